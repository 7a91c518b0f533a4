"""A frame in memory as a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyproj import CRS

from layers.batches import BATCH_ROWS, Batch, columns_of
from layers.errors import BadSource

if TYPE_CHECKING:
    import geopandas as gpd


@dataclass(frozen=True)
class FrameSource:
    """A GeoDataFrame in memory, or a DataFrame without a geometry."""

    frame: gpd.GeoDataFrame | Any
    name: str = "frame"
    _table: pa.Table = field(init=False, repr=False)

    def __post_init__(self) -> None:
        plain = self.frame.drop(columns=self._geometrycolumns_of())
        try:
            table = pa.Table.from_pandas(plain, preserve_index=False)
        except pa.ArrowException as error:
            said = "; ".join(str(part) for part in error.args)
            raise BadSource(
                f"{self.name}: a column holds values of several types: {said}; make it of one, "
                "such as with astype(str)"
            ) from None
        object.__setattr__(self, "_table", table)

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
