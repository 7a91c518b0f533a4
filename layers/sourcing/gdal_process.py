"""GDAL in a process of its own, which may open little, write nothing and take only so much.

It reads what strangers made, with parsers in C. What breaks one of them ends this process, and no
other; nothing that a file says makes it open another file or ask a server. A line of JSON comes in
on standard input, one goes out on standard output, and then batches as an Arrow stream; what is
wrong goes out by a pipe of its own. It is run as a script: else the store would be imported.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
import warnings
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from typing import IO, Any


class _Absent(MetaPathFinder):
    """What pyogrio would import and not use here: half of the time to begin, and 45 MB."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        """Have it that there is no such module."""
        if name in ("pandas", "geopandas"):
            raise ImportError(name)


sys.meta_path.insert(0, _Absent())

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyogrio  # noqa: E402
import pyogrio.raw  # noqa: E402

from spatial import surfaces  # noqa: E402

# Of addresses, not of bytes in use: libraries reserve more than they take.
MEMORY_BYTES = 4 << 30
LARGEST_BATCH_BYTES = 512 << 20
GEOMETRY = "geometry"
REPAIRED = "repaired"
_COUNTED_LAYERS = 40
# Tables that styles and projects of QGIS stand in: no data.
_BESIDE = ("layer_styles", "qgis_projects")


class Refused(Exception):
    """What is said of a file that can't be read: a kind for the program, a text for people."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def main() -> int:
    """Do what standard input asks; tell what can't be."""
    job = json.loads(sys.stdin.readline())
    try:
        _do(job)
    except BrokenPipeError:
        return 0
    except MemoryError:
        return _tell(job, "memory", "it takes more memory than one file may")
    except Refused as error:
        return _tell(job, error.kind, str(error))
    except (UnicodeDecodeError, pa.ArrowInvalid) as error:
        return _tell(job, "text", str(error))
    except Exception as error:
        return _tell(job, "data", str(error) or type(error).__name__)
    return 0


def _do(job: dict[str, Any]) -> None:
    _bind(job)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    strangers = set(pyogrio.list_drivers()) - set(job["drivers"])
    if strangers:
        raise Refused("drivers", ", ".join(sorted(strangers)))
    if job["task"] == "look":
        _say(sys.stdout.buffer, _look(job))
    else:
        _read(job, sys.stdout.buffer)


def _bind(job: dict[str, Any]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    # The first is a signal by which one knows what it was.
    resource.setrlimit(resource.RLIMIT_CPU, (job["seconds"], job["seconds"] + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    written = job["writes"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (written, written))
    pyogrio.set_gdal_config_options({"SHAPE_RESTORE_SHX": bool(written)})


def _tell(job: dict[str, Any], kind: str, text: str) -> int:
    os.write(job["tell"], json.dumps({"kind": kind, "text": text[:4000]}).encode())
    return 3


def _say(out: IO[bytes], document: dict[str, Any]) -> None:
    out.write(json.dumps(document).encode() + b"\n")
    out.flush()


def _look(job: dict[str, Any]) -> dict[str, Any]:
    layer = None if job["single"] else _choose(job["address"], job["layer"])
    info = _info(job, layer)
    if layer is None and info["driver"] == "TopoJSON":
        # Alone of the kinds of JSON it may hold several; listing is another reading of all.
        layer = _choose(job["address"], None)
        info = _info(job, layer)
    return {
        "layer": layer,
        "driver": info["driver"],
        "crs": info["crs"],
        "fields": [str(name) for name in info["fields"]],
        "types": [str(kind) for kind in info["dtypes"]],
        "rows": int(info["features"]),
        "has_geometry": info["geometry_type"] is not None,
    }


def _info(job: dict[str, Any], layer: str | None) -> dict[str, Any]:
    info: dict[str, Any] = pyogrio.read_info(
        job["address"],
        layer=layer,
        encoding=job["encoding"],
        force_feature_count=True,
        **job["options"],
    )
    return info


def _choose(address: str, asked: str | None) -> str:
    names = [str(n) for n, _ in pyogrio.list_layers(address) if str(n) not in _BESIDE]
    if asked is not None:
        if asked not in names:
            raise Refused("layers", json.dumps([asked, names]))
        return asked
    if len(names) > 1 and len(names) <= _COUNTED_LAYERS:
        # Of several of which one alone has anything in it, that is meant.
        names = [n for n in names if _has_rows(address, n)] or names[:1]
    if len(names) != 1:
        raise Refused("layers", json.dumps([None, names]))
    return names[0]


def _has_rows(address: str, name: str) -> bool:
    return bool(pyogrio.read_info(address, layer=name, force_feature_count=True)["features"])


def _read(job: dict[str, Any], out: IO[bytes]) -> None:
    with pyogrio.raw.open_arrow(
        job["address"],
        layer=job["layer"],
        encoding=job["encoding"],
        batch_size=job["batch_rows"],
        use_pyarrow=True,
        **job["options"],
    ) as (meta, reader):
        place = _geometry_place(reader.schema) if meta["geometry_type"] is not None else -1
        names = [name for n, name in enumerate(reader.schema.names) if n != place]
        _say(out, {"columns": names})
        _write(out, (_table(job, batch, place, row) for batch, row in _numbered(reader)))


def _geometry_place(schema: pa.Schema) -> int:
    """Which column is the geometry: attributes may have its name."""
    for n in range(len(schema)):
        told = (schema.field(n).metadata or {}).get(b"ARROW:extension:name", b"")
        # ogc.wkb or geoarrow.wkb, by the release.
        if told.endswith(b".wkb"):
            return n
    return -1


def _numbered(reader: Any) -> Iterator[tuple[pa.RecordBatch, int]]:
    row = 0
    for batch in reader:
        if batch.nbytes > LARGEST_BATCH_BYTES:
            first, last = row + 1, row + batch.num_rows
            raise Refused("memory", f"rows {first} to {last} take {batch.nbytes:,} bytes")
        yield batch, row
        row += batch.num_rows


def _write(out: IO[bytes], batches: Iterator[pa.RecordBatch]) -> None:
    writer = None
    for batch in batches:
        writer = writer or pa.ipc.new_stream(out, batch.schema)
        writer.write_batch(batch)
    if writer is not None:
        writer.close()
    out.flush()


def _table(job: dict[str, Any], batch: pa.RecordBatch, place: int, row: int) -> pa.RecordBatch:
    """Columns by their places: names may repeat, or be the geometry's own."""
    kept = [n for n in range(batch.num_columns) if n != place]
    columns = {f"f{n}": _plain(batch.column(at)) for n, at in enumerate(kept)}
    if place >= 0:
        shapes, repaired = _plain_shapes(job, batch.column(place), row)
        columns |= {GEOMETRY: shapes, REPAIRED: repaired}
    return pa.RecordBatch.from_pydict(columns)


def _plain(values: pa.Array) -> pa.Array:
    """Lists, which no field holds, as the JSON that they mostly were."""
    if not pa.types.is_list(values.type):
        return values
    texts = (None if v is None else json.dumps(v, ensure_ascii=False) for v in values.to_pylist())
    return pa.array(list(texts), pa.string())


def _plain_shapes(job: dict[str, Any], wkb: pa.Array, row: int) -> tuple[pa.Array, pa.Array]:
    wkb = wkb.cast(pa.binary())
    codes = surfaces.type_codes(wkb)
    told = np.full(len(wkb), None, dtype=object)
    told[surfaces.is_measured(codes)] = "measures (M) left out"
    curved = np.flatnonzero(surfaces.is_curved(codes))
    if not curved.size:
        return wkb, pa.array(told, pa.string())
    if not job["curves"]:
        name = surfaces.curve_name(int(codes[curved[0]]))
        raise Refused("curves", f"row {row + int(curved[0]) + 1} is a {name}")
    shapes = np.array(wkb.to_pylist(), dtype=object)
    straight = _linearised(job, row, len(wkb))
    for n in curved:
        shapes[n] = surfaces.as_polygons(straight[n])
        told[n] = surfaces.what_became(int(codes[n]))
    return pa.array(shapes, pa.binary()), pa.array(told, pa.string())


def _linearised(job: dict[str, Any], row: int, count: int) -> Any:
    """Read shapes once more by GDAL's other reader, which makes arcs segments of 4 degrees."""
    _, _, shapes, _ = pyogrio.raw.read(
        job["address"],
        layer=job["layer"],
        encoding=job["encoding"],
        columns=[],
        skip_features=row,
        max_features=count,
        **job["options"],
    )
    return shapes


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # GDAL's own farewells are not waited for.
    os._exit(code)
