"""Files that GDAL reads, as batches of rows; GDAL itself is at work in another process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import pyarrow as pa
from pyproj import CRS

from layers.batches import BATCH_ROWS, Batch, stated_crs
from layers.errors import BadSource
from layers.readings import ReadAs
from layers.sourcing import drivers
from layers.sourcing.asked import NOTHING, Asked
from layers.sourcing.encodings import check_dbf, dbf_encoding
from layers.sourcing.isolation import Job, asked_gdal, read_tables
from layers.sourcing.places import Packing, Place

_ARROW_TYPES = {
    "bool": pa.bool_(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "datetime64[D]": pa.date32(),
    "datetime64[ms]": pa.timestamp("ms"),
}
# A member of an archive, to pyogrio; the archive itself, to GDAL.
_SIGNS = frozenset("!{}")
# The other files of a Shapefile, of a table of MapInfo, and of a GML.
_BESIDE = (*".shx .dbf .prj .cpg".split(), *".map .dat .id .ind .mid".split(), ".xsd")
# Seconds of work: some at least, and more for what is large.
_SECONDS, _BYTES_A_SECOND, _UNPACKED = 300, 200_000, 20
_HEAD_BYTES = 1 << 16
_SHX_BYTES = 1 << 30


@dataclass(frozen=True)
class GdalSource:
    """A file read by GDAL through pyogrio."""

    place: Place
    asked: Asked = NOTHING

    @property
    def name(self) -> str:
        """The file's name."""
        return self.place.name

    @cached_property
    def _info(self) -> Mapping[str, Any]:
        _check_content(self.place)
        with self._doing("look", self.asked.layer) as (said, _):
            names = said["fields"]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise BadSource(f"{self.name} has two fields {repeated.pop()!r}; rename one")
        return said

    @cached_property
    def _encoding(self) -> str | None:
        if self.asked.encoding is not None or self.place.suffix not in (".shp", ".dbf"):
            return self.asked.encoding
        return check_dbf(self.place)

    @property
    def read_as(self) -> tuple[ReadAs, ...]:
        """How its text was read, where formats leave that open."""
        if self.asked.encoding is not None:
            return (ReadAs("encoding", self.asked.encoding, "publisher"),)
        if self.place.suffix not in (".shp", ".dbf"):
            return ()
        if self._encoding is not None:
            return (ReadAs("encoding", self._encoding, "found"),)
        stated = dbf_encoding(self.place)
        return (ReadAs("encoding", stated, "source"),) if stated else ()

    @property
    def crs(self) -> CRS | None:
        """The reference system that the file states."""
        stated = self._info["crs"]
        return None if stated is None else stated_crs(self.name, stated)

    @cached_property
    def types(self) -> Mapping[str, pa.DataType]:
        """The attributes, as the driver states them."""
        # Asking a reader would have GDAL parse a GeoJSON once more.
        kinds = zip(self._info["fields"], self._info["types"], strict=True)
        return {name: _ARROW_TYPES.get(kind, pa.string()) for name, kind in kinds}

    @property
    def rows(self) -> int | None:
        """The feature count."""
        count = int(self._info["rows"])
        return count if count >= 0 else None

    @property
    def has_geometry(self) -> bool:
        """Whether the layer has a geometry column."""
        return bool(self._info["has_geometry"])

    def batches(self) -> Iterator[Batch]:
        """Yield the rows."""
        row = 1
        with self._doing("read", self._info["layer"]) as (said, out):
            for table in read_tables(out):
                yield _batch(row, table, said["columns"])
                row += table.num_rows

    @contextmanager
    def _doing(self, task: str, layer: str | None) -> Iterator[tuple[dict[str, Any], IO[bytes]]]:
        with _opened(self.place) as (address, writes):
            job = Job(
                name=self.name,
                task=task,
                address=address,
                layer=layer,
                single=self.place.suffix in drivers.SINGLE and self.asked.layer is None,
                encoding=self._encoding,
                curves=self.asked.curves,
                batch_rows=BATCH_ROWS,
                # Else GDAL writes what it learned of a GML beside it.
                options={"WRITE_GFS": "NO"} if self.place.suffix in drivers.XML else {},
                writes=_SHX_BYTES if writes else 0,
                seconds=_SECONDS + _size(self.place) // _BYTES_A_SECOND,
            )
            with asked_gdal(job) as found:
                yield found


def _batch(row: int, table: pa.Table, names: list[str]) -> Batch:
    columns = {name: table.column(f"f{n}").combine_chunks() for n, name in enumerate(names)}
    if "geometry" not in table.column_names:
        return Batch(row, columns)
    told = table.column("repaired")
    repaired: tuple[tuple[int, str], ...] = ()
    if told.null_count < len(told):
        repaired = tuple((row + n, t) for n, t in enumerate(told.to_pylist()) if t is not None)
    return Batch(row, columns, wkb=table.column("geometry").combine_chunks(), repaired=repaired)


@contextmanager
def _opened(place: Place) -> Iterator[tuple[str, bool]]:
    """Yield the address for GDAL, and whether it may write there.

    Some it is shown in a folder of ours, under a name of ours: a Shapefile without its index, which
    it makes there; a GML, beside which it would write; what is in a tar under a name that is not
    plain, which it does not find; and names whose signs mean something in its addresses.
    """
    lacks_index = place.suffix == ".shp" and place.beside(".shx") is None
    hidden = place.packing is Packing.TAR and not str(place.inner).isascii()
    written = place.packing is None and place.suffix in drivers.XML
    odd = not _SIGNS.isdisjoint(str(place.path.absolute()))
    if not (lacks_index or hidden or written or odd):
        yield place.address, False
        return
    with TemporaryDirectory(prefix="shikong-source-") as name:
        folder = Path(name)
        if odd and place.packing is not None and not (lacks_index or hidden):
            archive = folder / f"archive{place.path.suffix}"
            archive.symlink_to(place.path.absolute())
            yield replace(place, path=archive).address, False
            return
        _lay_all(place, folder)
        yield str(folder / f"layer{place.suffix}"), lacks_index


def _lay_all(place: Place, folder: Path) -> None:
    if place.suffix == ".gdb" and place.packing is not None:
        raise BadSource(f"{place.name}: in a tar, its name must be plain letters; pack it as .zip")
    if place.path.is_dir():
        (folder / f"layer{place.suffix}").symlink_to(place.path.absolute())
        return
    for suffix in {place.suffix, *_BESIDE}:
        part = place.beside(suffix)
        if part is not None:
            _lay(part, folder / f"layer{suffix}")


def _lay(part: Place, target: Path) -> None:
    if part.packing is None:
        target.symlink_to(part.path.absolute())
        return
    with part.opened() as file, target.open("wb") as copy:
        shutil.copyfileobj(file, copy, 1 << 20)


def _size(place: Place) -> int:
    if place.path.is_dir():
        return sum(p.stat().st_size for p in place.path.rglob("*") if p.is_file())
    return place.path.stat().st_size * (1 if place.packing is None else _UNPACKED)


def _check_content(place: Place) -> None:
    """Refuse files that are made of others: XML with entities, MapInfo tables of tables."""
    if place.suffix == ".gdb" or place.path.is_dir():
        return
    if place.suffix == ".kmz":
        for name in place.members:
            if name.lower().endswith(".kml"):
                _check_content(replace(place, packing=Packing.ZIP, inner=name))
        return
    # Whatever its encoding, these words stand there in ASCII.
    head = place.head(_HEAD_BYTES).replace(b"\0", b"")
    if b"<!ENTITY" in head or (b"<!DOCTYPE" in head and place.suffix in drivers.XML):
        raise BadSource(
            f"{place.name} declares entities, which are not read: files of geodata need none; "
            "export it again"
        )
    text = head.lower()
    if place.suffix == ".tab" and (b"create view" in text or b"isseamless" in text):
        raise BadSource(f"{place.name} is made of other tables; publish each of them")
