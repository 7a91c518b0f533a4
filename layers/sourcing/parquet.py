"""GeoParquet as a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet
from pyproj import CRS

from layers.batches import BATCH_ROWS, Batch, batch_of, first_line, stated_crs
from layers.errors import BadSource
from spatial.crs import parse_crs


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
