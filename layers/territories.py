"""Territories: the part of the world, and of its time, that somebody may see or change."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

import shapely

from layers.errors import BadTerritory
from spatial.nesting import MOST, text_depth
from spatial.periods import Interval

_MOST_VERTICES = 10_000
_LONGEST_DIVISION = 40


@dataclass(frozen=True, slots=True)
class Territory:
    """Rows of a division, within an area, of a time in the world; all three, where all are stated.

    Parameters
    ----------
    division : str, optional
        What the codes of a layer's division field must begin with: ``330106`` for a county. A
        layer whose schema names no such field has nothing in any division.
    area : bytes, optional
        A polygon or multipolygon that features must touch: WKB, longitude and latitude (CRS84).
    start, end : datetime, optional
        The time in the world, from `start` up to but not at `end`.
    """

    division: str | None = None
    area: bytes | None = None
    start: datetime | None = None
    end: datetime | None = None

    @property
    def is_everywhere(self) -> bool:
        """Whether it has no bounds at all."""
        return self == EVERYWHERE

    @property
    def fingerprint(self) -> str:
        """A short text that differs wherever the territory does.

        >>> Territory(division="33").fingerprint == Territory(division="330106").fingerprint
        False
        """
        told = repr((self.division, self.area, self.start, self.end))
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def holds(self, instant: datetime) -> bool:
        """Return whether an instant is of its time."""
        after = self.start is None or self.start <= instant
        return after and (self.end is None or instant < self.end)

    def meets(self, when: datetime | Interval | None) -> bool:
        """Return whether anything of an instant, or of a closed interval, is of its time."""
        if when is None:
            return True
        if isinstance(when, datetime):
            return self.holds(when)
        after = self.start is None or when.end is None or self.start <= when.end
        return after and (self.end is None or when.start is None or when.start < self.end)

    def covers(self, other: Territory) -> bool:
        """Return whether all that lies in another lies in this one too."""
        if self.division is not None and not (other.division or "").startswith(self.division):
            return False
        if self.area is not None and not _within(other.area, self.area):
            return False
        early = self.start is not None and (other.start is None or other.start < self.start)
        late = self.end is not None and (other.end is None or other.end > self.end)
        return not (early or late)


def check_territory(territory: Territory) -> Territory:
    """Return a territory that can be one.

    Raises
    ------
    BadTerritory
        Where its division has signs that no code has, its area is no valid polygon in longitude
        and latitude or has more than 10,000 vertices, or its time ends before it begins.

    Examples
    --------
    >>> check_territory(Territory(division="330106")).division
    '330106'
    """
    division = territory.division
    if division is not None and not (division.isascii() and division.isalnum()):
        raise BadTerritory(f"division {division!r}: the first letters and digits of a code")
    if division is not None and len(division) > _LONGEST_DIVISION:
        raise BadTerritory(f"a division has at most {_LONGEST_DIVISION} signs")
    if territory.area is not None:
        _check_area(territory.area)
    if territory.start and territory.end and territory.start >= territory.end:
        raise BadTerritory(f"the time seen ends at {territory.end}, before it begins")
    return territory


def read_area(text: str) -> bytes:
    """Read an area from WKT or GeoJSON.

    Raises
    ------
    BadTerritory
        Where the text is neither, or no valid polygon.

    Examples
    --------
    >>> len(read_area("POLYGON ((0 0, 1 0, 1 1, 0 0))"))
    77
    """
    try:
        if text_depth(text) > MOST:
            raise ValueError("nested too deep")
        read = shapely.from_geojson if text.lstrip().startswith("{") else shapely.from_wkt
        area: bytes = shapely.to_wkb(shapely.force_2d(read(text)))
    except (shapely.errors.ShapelyError, TypeError, ValueError):
        raise BadTerritory("the area is no polygon; write WKT or a GeoJSON geometry") from None
    _check_area(area)
    return area


def _check_area(wkb: bytes) -> None:
    try:
        shape = shapely.from_wkb(wkb)
    except (shapely.errors.ShapelyError, TypeError):
        shape = None
    if shape is None or shape.geom_type not in ("Polygon", "MultiPolygon") or shape.is_empty:
        raise BadTerritory("the area is no polygon; write WKT or a GeoJSON geometry")
    if shapely.get_num_coordinates(shape) > _MOST_VERTICES:
        raise BadTerritory(f"the area has more than {_MOST_VERTICES} vertices; simplify it")
    if not shape.is_valid:
        raise BadTerritory(f"the area is not valid: {shapely.is_valid_reason(shape)}")
    west, south, east, north = shape.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise BadTerritory("the area lies outside longitude and latitude; give it in CRS84")


def _within(inner: bytes | None, outer: bytes) -> bool:
    if inner is None:
        return False
    return bool(shapely.covers(shapely.from_wkb(outer), shapely.from_wkb(inner)))


EVERYWHERE = Territory()
