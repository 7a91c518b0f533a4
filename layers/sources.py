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

from layers.batches import (
    BATCH_ROWS,
    Batch,
    batch_of,
    columns_of,
    first_line,
    stated_crs,
)
from layers.errors import BadSource
from spatial.crs import parse_crs

if TYPE_CHECKING:
    import geopandas as gpd


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
                yield Batch(row, columns_of(table, ()), self._points(table, row))
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
        plain = self.frame.drop(columns=self._geometrycolumns_of())
        object.__setattr__(self, "_table", pa.Table.from_pandas(plain, preserve_index=False))

    def _geometrycolumns_of(self) -> list[str]:
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
            yield Batch(start + 1, columns_of(table, ()), None if shapes is None else shapes[part])
