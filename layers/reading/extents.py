"""Where and when a layer's versions are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pyproj import Transformer
from sqlalchemy.engine import Connection

from layers.model import OPEN_REVISION, Layer
from layers.readers import Reader
from layers.reading.boxes import Box, split_box
from layers.reading.outputs import finite
from layers.reading.sights import Eye
from layers.tables import tables_of
from spatial.crs import CRS84, parse_crs
from spatial.periods import Interval


@dataclass(frozen=True, slots=True)
class Extent:
    """Where and when a layer's versions are: bounds in CRS84 and the first and last instant."""

    bounds: Box | None
    start: datetime | None
    end: datetime | None

    def meets_box(self, box: Box) -> bool:
        """Return whether a box in longitude and latitude meets the bounds, or there are none.

        Either may cross 180 degrees.

        >>> Extent((170, -10, -170, 10), None, None).meets_box((-175, 0, -174, 1))
        True
        """
        if self.bounds is None:
            return True
        return any(_meet(a, b) for a in split_box(self.bounds) for b in split_box(box))

    def meets_time(self, when: datetime | Interval) -> bool:
        """Return whether an instant or an interval, both ends of which belong to it, meets it."""
        first, last = (when.start, when.end) if isinstance(when, Interval) else (when, when)
        begins = self.start is None or last is None or self.start <= last
        return begins and (self.end is None or first is None or first <= self.end)


def _meet(one: Box, other: Box) -> bool:
    across = one[0] <= other[2] and other[0] <= one[2]
    return across and one[1] <= other[3] and other[1] <= one[3]


def read_extent(connection: Connection, record: Layer, reader: Reader) -> Extent:
    """Return where and when the versions are that a reader sees of a layer, as believed now."""
    family = tables_of(record).open
    # What was retracted is believed no more, and must not stretch the layer for ever.
    found = [
        connection.execute(_extent_of(record, reader, t)).one()
        for t in (family.live, family.history)
    ]
    found = [row for row in found if row.start is not None]
    boxed = [row for row in found if row.west is not None]
    bounds = None
    if boxed:
        whole = (
            min(row.west for row in boxed),
            min(row.south for row in boxed),
            max(row.east for row in boxed),
            max(row.north for row in boxed),
        )
        to_lonlat = Transformer.from_crs(parse_crs(record.schema.crs), CRS84, always_xy=True)
        bounds = to_lonlat.transform_bounds(*whole)
    is_open = any(row.end is None for row in found)
    return Extent(
        bounds,
        min((row.start for row in found), default=None),
        None if is_open else max((row.end for row in found), default=None),
    )


def _extent_of(record: Layer, reader: Reader, table: sa.Table) -> sa.Select[Any]:
    c, eye = table.c, Eye(record, reader.sight(record))
    box = sa.func.ST_Extent(c._geom, type_=sa.Text)
    bounds = [
        getattr(sa.func, f"ST_{side}")(box, type_=sa.Double).label(name)
        for side, name in (("XMin", "west"), ("YMin", "south"), ("XMax", "east"), ("YMax", "north"))
    ]
    start = sa.func.min(eye.start(c._valid_from)).label("start")
    end = finite(sa.func.max(eye.end(c._valid_to))).label("end")
    seen = eye.rows(c, c._valid_to)
    return sa.select(*bounds, start, end).where(c._rev_to == OPEN_REVISION, *seen)
