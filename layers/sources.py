"""Any file, or a frame in memory, as batches of rows: Arrow columns and shapely geometries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from layers.errors import BadSource
from spatial.crs import parse_crs

if TYPE_CHECKING:
    import geopandas as gpd

# Each takes some 10 MB of parcels, and a few are in hand at once.
BATCH_ROWS = 4_096


@dataclass(frozen=True)
class Batch:
    """Some rows of a source.

    Attributes
    ----------
    first_row : int
        Number of the first row in the source, from 1.
    columns : mapping of str to pyarrow.Array
        The attributes.
    shapes : ndarray of shapely geometries, shape (n,), optional
        An element is None where a row has none.
    wkb : pyarrow.Array of bytes, optional
        Instead of shapes, where the source has them so. Without either, it has no geometry at all.
    """

    first_row: int
    columns: Mapping[str, pa.Array]
    shapes: NDArray[np.object_] | None = None
    wkb: pa.Array | None = None

    def __len__(self) -> int:
        geometries = self.wkb if self.shapes is None else self.shapes
        if geometries is not None:
            return len(geometries)
        return len(next(iter(self.columns.values()), ()))

    @cached_property
    def geometries(self) -> NDArray[np.object_] | None:
        """The shapes, read from the WKB where they stand in that.

        Raises
        ------
        BadSource
            Where a shape can't be read.
        """
        if self.shapes is not None or self.wkb is None:
            return self.shapes
        return decode(self.wkb, np.arange(self.first_row, self.first_row + len(self)))


def decode(wkb: pa.Array, rows: NDArray[np.int64]) -> NDArray[np.object_]:
    """Return shapes from their WKB.

    Parameters
    ----------
    wkb : pyarrow.Array of bytes, shape (n,)
    rows : ndarray of int, shape (n,)
        Their numbers in the source.

    Raises
    ------
    BadSource
        Where one can't be read.
    """
    try:
        shapes: NDArray[np.object_] = shapely.from_wkb(wkb.to_numpy(zero_copy_only=False))
    except (shapely.errors.ShapelyError, TypeError) as error:
        raise BadSource(
            f"geometry in rows {rows[0]} to {rows[-1]}: {first_line(error)}; "
            "convert curves and surfaces to lines and polygons first"
        ) from None
    return shapes


class Source(Protocol):
    """What a publish reads from."""

    @property
    def name(self) -> str:
        """What messages and the provenance call it."""

    @property
    def crs(self) -> CRS | None:
        """The reference system that it states, None where it states none."""

    @property
    def types(self) -> Mapping[str, pa.DataType]:
        """Its attributes and their Arrow types, in order."""

    @property
    def rows(self) -> int | None:
        """How many rows it has, where that is cheap to know."""

    @property
    def has_geometry(self) -> bool:
        """Whether it has a geometry column."""

    def batches(self) -> Iterator[Batch]:
        """Yield the rows from the first on; each call begins anew."""


def open_source(
    path: Path, *, encoding: str | None = None, coordinates: tuple[str, str] | None = None
) -> Source:
    """Open a file as a Source.

    Parameters
    ----------
    path : Path
        Anything that GDAL's vector drivers read (also within ``.gz`` or ``.zip``), GeoParquet, or
        CSV.
    encoding : str, optional
        Of attribute text, where the file does not state it (``GBK`` for many shapefiles).
    coordinates : pair of str, optional
        Names of the x and y columns of a CSV.

    Raises
    ------
    BadSource
        Where the file is missing, empty or no geodata.
    """
    if not path.exists():
        raise BadSource(f"{path} does not exist; check the path")
    if path.is_file() and path.stat().st_size == 0:
        raise BadSource(f"{path} is empty; export it again")
    names = path.name.lower().removesuffix(".gz")
    if names.endswith((".csv", ".txt")):
        return CsvSource(path, encoding or "utf-8", coordinates)
    if names.endswith((".parquet", ".geoparquet")):
        return ParquetSource(path)
    # Late: GDAL is 30 MB that a server which publishes nothing does without.
    from layers.gdal_sources import GdalSource

    return GdalSource(path, encoding)


@dataclass(frozen=True)
class CsvSource:
    """A table of text: every column is read as text, and the schema says what it means."""

    path: Path
    encoding: str = "utf-8"
    coordinates: tuple[str, str] | None = None
    crs: CRS | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @cached_property
    def types(self) -> Mapping[str, pa.DataType]:
        """The columns, all text."""
        with self._errors(), pyarrow.csv.open_csv(str(self.path), self._read_options()) as reader:
            return {name: pa.string() for name in reader.schema.names}

    @property
    def rows(self) -> int | None:
        """Not known before the file is read."""
        return None

    @property
    def has_geometry(self) -> bool:
        """Whether coordinates are named."""
        return self.coordinates is not None

    def batches(self) -> Iterator[Batch]:
        """Yield the rows."""
        convert = pyarrow.csv.ConvertOptions(
            column_types=dict(self.types), strings_can_be_null=True, null_values=[""]
        )
        parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
        row = 1
        with self._errors():
            reader = pyarrow.csv.open_csv(str(self.path), self._read_options(), parse, convert)
            for batch in reader:
                table = pa.Table.from_batches([batch])
                yield Batch(row, _columns(table, ()), self._points(table, row))
                row += batch.num_rows

    def _points(self, table: pa.Table, first_row: int) -> NDArray[np.object_] | None:
        if self.coordinates is None:
            return None
        x, y = (self._numbers(table, name, first_row) for name in self.coordinates)
        points = np.full(len(x), None, dtype=object)
        known = ~(np.isnan(x) | np.isnan(y))
        points[known] = shapely.points(x[known], y[known])
        return points

    def _numbers(self, table: pa.Table, name: str, first_row: int) -> NDArray[np.float64]:
        if name not in table.column_names:
            raise BadSource(f"{self.path} has no column {name!r}; it has {table.column_names}")
        texts = table.column(name)
        try:
            numbers = texts.cast(pa.float64())
        except pa.ArrowInvalid as error:
            raise BadSource(
                f"{self.path}: column {name!r}, from row {first_row}: {first_line(error)}"
            ) from None
        values: NDArray[np.float64] = numbers.to_numpy(zero_copy_only=False).astype(float)
        return values

    def _read_options(self) -> pyarrow.csv.ReadOptions:
        return pyarrow.csv.ReadOptions(encoding=self.encoding, block_size=4 << 20)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowInvalid, UnicodeDecodeError, LookupError) as error:
            raise BadSource(
                f"{self.path} is no table that can be read ({first_line(error)}); "
                "check the separator (a comma) and --encoding"
            ) from None


@dataclass(frozen=True)
class ParquetSource:
    """A GeoParquet file."""

    path: Path

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @cached_property
    def _file(self) -> pyarrow.parquet.ParquetFile:
        try:
            # Read as it is needed: row groups can be as large as the file.
            return pyarrow.parquet.ParquetFile(self.path, pre_buffer=False, buffer_size=1 << 20)
        except (pa.ArrowInvalid, OSError) as error:
            raise BadSource(f"{self.path} is no Parquet file ({first_line(error)})") from None

    @cached_property
    def _geo(self) -> Mapping[str, Any]:
        metadata = self._file.schema_arrow.metadata or {}
        geo: Mapping[str, Any] = orjson.loads(metadata.get(b"geo", b"{}"))
        return geo

    @cached_property
    def _geometry(self) -> str | None:
        return self._geo.get("primary_column")

    @property
    def crs(self) -> CRS | None:
        """The reference system of the primary geometry column (GeoParquet: CRS84 by default)."""
        if self._geometry is None:
            return None
        column = self._geo["columns"][self._geometry]
        if "crs" not in column:
            return parse_crs("OGC:CRS84")
        return None if column["crs"] is None else stated_crs(self.name, column["crs"])

    @property
    def types(self) -> Mapping[str, pa.DataType]:
        """The attributes."""
        return {f.name: f.type for f in self._file.schema_arrow if f.name != self._geometry}

    @property
    def rows(self) -> int | None:
        """The row count."""
        return int(self._file.metadata.num_rows)

    @property
    def has_geometry(self) -> bool:
        """Whether it is GeoParquet."""
        return self._geometry is not None

    def batches(self) -> Iterator[Batch]:
        """Yield the rows."""
        row = 1
        for batch in self._file.iter_batches(BATCH_ROWS):
            yield batch_of(row, pa.Table.from_batches([batch]), self._geometry)
            row += batch.num_rows


@dataclass(frozen=True)
class FrameSource:
    """A GeoDataFrame in memory, or a DataFrame without a geometry."""

    frame: gpd.GeoDataFrame | Any
    name: str = "frame"
    _table: pa.Table = field(init=False, repr=False)

    def __post_init__(self) -> None:
        plain = self.frame.drop(columns=self._geometry_columns())
        object.__setattr__(self, "_table", pa.Table.from_pandas(plain, preserve_index=False))

    def _geometry_columns(self) -> list[str]:
        return [self.frame.geometry.name] if self.has_geometry else []

    @property
    def crs(self) -> CRS | None:
        """The frame's reference system."""
        return self.frame.crs if self.has_geometry else None

    @property
    def types(self) -> Mapping[str, pa.DataType]:
        """The columns but the geometry."""
        return {f.name: f.type for f in self._table.schema}

    @property
    def rows(self) -> int | None:
        """The row count."""
        return len(self.frame)

    @property
    def has_geometry(self) -> bool:
        """Whether it is a GeoDataFrame."""
        import geopandas as gpd  # late: with pandas it is 45 MB

        return isinstance(self.frame, gpd.GeoDataFrame)

    def batches(self) -> Iterator[Batch]:
        """Yield the rows."""
        shapes = np.asarray(self.frame.geometry.array) if self.has_geometry else None
        for start in range(0, len(self.frame), BATCH_ROWS):
            part = slice(start, start + BATCH_ROWS)
            table = self._table.slice(start, BATCH_ROWS)
            yield Batch(start + 1, _columns(table, ()), None if shapes is None else shapes[part])


def stated_crs(source: str, stated: Any) -> CRS:
    """Return the reference system that a file describes, by its code where it has one.

    Files describe it in full (WKT, PROJJSON) more often than they name it.
    """
    try:
        found = CRS.from_user_input(stated)
        authority = found.to_authority()
        return found if authority is None else CRS.from_authority(*authority)
    except CRSError as error:
        raise BadSource(
            f"{source} states a reference system that can't be read ({first_line(error)}); "
            "mend the file, or take it out and give --crs"
        ) from None


def batch_of(first_row: int, table: pa.Table, geometry: str | None) -> Batch:
    """Return the rows of a table as a batch; `geometry` names its column of WKB, if it has one."""
    if geometry is None:
        return Batch(first_row, _columns(table, ()))
    wkb = table.column(geometry).combine_chunks()
    return Batch(first_row, _columns(table, (geometry,)), wkb=wkb)


def _columns(table: pa.Table, left_out: tuple[str, ...]) -> dict[str, pa.Array]:
    return {
        name: table.column(name).combine_chunks()
        for name in table.column_names
        if name not in left_out
    }


def geometry_name(meta: Mapping[str, Any], schema: pa.Schema) -> str | None:
    """Return the name of the geometry column, as a reader tells it."""
    name = meta.get("geometry_name") or "wkb_geometry"
    return name if name in schema.names else None


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or else its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
