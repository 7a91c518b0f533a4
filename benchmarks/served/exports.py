"""All features of the layer as one file: this project's streams beside others' ways there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psycopg

from served.clocks import Meter, Spent, forget_peak, peak_mb, resident_mb, run
from served.questions import FIELDS, TABLE
from served.servers import PEERS, Server, Shikong, Tipg

HERE = Path(__file__).resolve().parent
FORMATS = ("GeoJSONSeq", "GeoParquet", "FlatGeobuf")
ENDINGS = {"GeoJSONSeq": "geojsonl", "GeoParquet": "parquet", "FlatGeobuf": "fgb"}
# What this project and tipg call them in ``f``.
_OURS = {"GeoJSONSeq": "geojsonl", "GeoParquet": "geoparquet", "FlatGeobuf": "flatgeobuf"}
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Export:
    """One export that was made.

    Attributes
    ----------
    first_s : float or None
        Until the first byte, where it came over HTTP.
    before_mb : float
        Resident memory before, of a server that ran already.
    """

    spent: Spent
    peak_mb: float
    first_s: float | None
    features: int
    before_mb: float = 0.0


class NoExport(Exception):
    """A way that does not lead to a format, with why."""


Way = Callable[[Path], Export]


def ways(name: str, servers: dict[str, Server], dsn: str, postmaster: int) -> dict[str, Way]:
    """Return who can be asked for all features in a format, by name.

    Parameters
    ----------
    name : str
        One of FORMATS.
    """
    found: dict[str, Way] = {}
    ours, tipg = servers.get(Shikong.name), servers.get(Tipg.name)
    if ours is not None:
        path = f"{ours.items}?f={_OURS[name]}"
        found["shikong"] = lambda out: _download(ours, path, postmaster, out)
    if name != "GeoParquet":  # Debian's GDAL is built without it
        found["ogr2ogr"] = lambda out: _ogr2ogr(name, dsn, postmaster, out)
    if name != "GeoJSONSeq":
        found["bare ADBC"] = lambda out: _adbc(name, dsn, postmaster, out)
    if tipg is not None and name == "GeoJSONSeq":
        every = f"{tipg.items}?f=geojsonseq&limit={tipg.place.features}"
        found["tipg"] = lambda out: _download(tipg, every, postmaster, out)
    return found


def _download(server: Server, path: str, postmaster: int, out: Path) -> Export:
    forget_peak(server.pid)
    before = resident_mb(server.pid)
    connection = HTTPConnection("127.0.0.1", server.port, timeout=1800)
    begun = time.perf_counter()
    with Meter(server.pid, postmaster).metered() as bill, out.open("wb") as file:
        connection.request("GET", path, headers={"Accept-Encoding": "identity"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise NoExport(f"{answer.status}: {answer.read()[:200]!r}")
        first = None
        for chunk in _chunks(answer):
            first = first or time.perf_counter() - begun
            file.write(chunk)
    connection.close()
    return Export(bill.spent, peak_mb(server.pid), first, count_features(out), before)


def _chunks(answer: Any) -> Iterator[bytes]:
    while chunk := answer.read1(_CHUNK):
        yield chunk


def _ogr2ogr(name: str, dsn: str, postmaster: int, out: Path) -> Export:
    where = psycopg.conninfo.conninfo_to_dict(dsn)
    source = "PG:" + " ".join(f"{key}={value}" for key, value in where.items())
    wanted = ["-sql", select("_geom"), "-nln", "parcels", "-nlt", "MULTIPOLYGON"]
    system = ["-t_srs", "EPSG:4326"] if name == "GeoJSONSeq" else []
    ran = run(["ogr2ogr", "-f", name, out, source, *wanted, *system], postmaster)
    return Export(ran.spent, ran.peak_mb, None, count_features(out))


def _adbc(name: str, dsn: str, postmaster: int, out: Path) -> Export:
    python = PEERS / "adbc" / "bin" / "python"
    if not python.exists():
        raise NoExport("not installed; run make peers")
    statement = select("ST_AsBinary(_geom) AS geometry")
    ran = run([python, HERE / "bare_adbc.py", dsn, statement, name, out], postmaster)
    told = json.loads(ran.output)
    spent = Spent(told["cpu"], ran.spent.database, told["wall"])
    return Export(spent, ran.peak_mb, None, count_features(out))


def select(shape: str) -> str:
    """Return the SELECT of all features for programs that read the table themselves."""
    columns = ", ".join(("_fid", "_valid_from", "nullif(_valid_to, 'infinity') AS _valid_to"))
    return f"SELECT {columns}, {', '.join(FIELDS)}, {shape} FROM {TABLE}"


def count_features(path: Path) -> int:
    """Return how many features a file has, read by somebody else's library."""
    if path.suffix == ".parquet":
        import pyarrow.parquet

        return int(pyarrow.parquet.ParquetFile(path).metadata.num_rows)
    if path.suffix == ".fgb":
        import pyogrio

        return int(pyogrio.read_info(path)["features"])
    with path.open("rb") as lines:
        found = 0
        for line in lines:
            text = line.strip(b"\x1e\r\n")
            found += bool(text)
        if found:
            json.loads(text or b"null")  # the last one is whole
        return found
