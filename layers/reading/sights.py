"""What a reader may see, as conditions and columns of a select: rows, fields, and times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any

import shapely
import sqlalchemy as sa

from layers.model import Field, FieldType, Kind, Layer
from layers.readers import Known, Sight
from layers.reading.boxes import lonlat_to
from layers.tables import INSTANT, srid_of
from layers.territories import Territory
from spatial.crs import parse_crs
from spatial.periods import Interval

# Names of columns that say whether a row's masked fields are seen; no field's id begins so.
FLAG = "_sees_"


@dataclass(frozen=True)
class Shown:
    """Which columns a read of a layer has, and which of them only some rows have.

    Attributes
    ----------
    fields, restricted : tuple of Field
        Open and restricted fields that are seen in some row.
    masks : mapping of str to str
        Id of a field that is seen in some rows only, to the column that says in which.
    """

    fields: tuple[Field, ...]
    restricted: tuple[Field, ...]
    masks: Mapping[str, str]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Ids of all fields, the open ones first."""
        return tuple(f.id for f in self.every)

    @property
    def every(self) -> tuple[Field, ...]:
        """All fields, the open ones first."""
        return (*self.fields, *self.restricted)

    def chosen(self, only: frozenset[str] | None) -> Shown:
        """Return the same of some fields alone; of all where None."""
        if only is None:
            return self
        fields, restricted = (
            tuple(f for f in part if f.id in only) for part in (self.fields, self.restricted)
        )
        return Shown(fields, restricted, {n: m for n, m in self.masks.items() if n in only})

    def left_out(self, only: frozenset[str] | None) -> frozenset[str]:
        """Return the ids of the fields that are not chosen."""
        return frozenset() if only is None else frozenset(self.names) - only

    def properties(self, row: sa.Row[Any]) -> dict[str, Any]:
        """Return the fields that the reader sees of this row, with their values."""
        values, masks = row._mapping, self.masks
        if not masks:
            return {name: values[name] for name in self.names}
        return {n: values[n] for n in self.names if n not in masks or values[masks[n]]}


def shown(layer: Layer, sight: Sight, *, restricted: bool) -> Shown:
    """Return what a sight shows of a layer under the schema that its record has."""
    return _shown(Known(layer.schema), sight, restricted)


@lru_cache(maxsize=4096)
def _shown(known: Known, sight: Sight, restricted: bool) -> Shown:
    fields = sight.fields(known.schema)
    closed = sight.restricted(known.schema) if restricted else ()
    flags = {group: f"{FLAG}{n}" for n, group in enumerate(_groups(sight, (*fields, *closed)))}
    masks = {f.id: flags[g] for f in (*fields, *closed) if (g := sight.where(f))}
    return Shown(fields, closed, masks)


@dataclass(frozen=True, slots=True)
class Eye:
    """A sight of one layer, as conditions on the rows of its tables.

    Attributes
    ----------
    when : datetime or Interval or None
        Of a snapshot, in which grants for another time have no part; None for every version.
    """

    layer: Layer
    sight: Sight
    when: datetime | Interval | None = None

    def rows(self, columns: Any, end: Any) -> list[sa.ColumnElement[bool]]:
        """Return what must hold for a row to be seen at all; nothing where every row is.

        Parameters
        ----------
        columns : columns of an open table
        end : column
            Of the version, as it was believed.
        """
        if self.sight.whole:
            return []
        inside = (self._inside(columns, end, tier.territory) for tier in self.sight.tiers)
        return [sa.or_(sa.false(), *inside)]

    def flags(self, columns: Any, end: Any, what: Shown) -> dict[str, sa.ColumnElement[bool]]:
        """Return the columns that say in which rows masked fields are seen, by their names."""
        found: dict[str, sa.ColumnElement[bool]] = {}
        for f in what.every:
            name = what.masks.get(f.id)
            if name is not None and name not in found:
                inside = (self._inside(columns, end, t) for t in self.sight.where(f))
                found[name] = sa.or_(sa.false(), *inside)
        return found

    def start(self, start: Any) -> Any:
        """Return the start of a version as it is seen: not before the time that is seen begins."""
        bound = self.sight.time[0]
        if self._of_events or bound is None:
            return start
        return sa.func.greatest(start, sa.literal(bound, INSTANT))

    def end(self, end: Any) -> Any:
        """Return the end of a version as it is seen: not after the time that is seen ends."""
        bound = self.sight.time[1]
        if self._of_events or bound is None:
            return end
        return sa.func.least(end, sa.literal(bound, INSTANT))

    @property
    def _of_events(self) -> bool:
        return self.layer.schema.kind is Kind.EVENT

    def _inside(self, columns: Any, end: Any, territory: Territory) -> sa.ColumnElement[bool]:
        if not self._of_events and not territory.meets(self.when):
            return sa.false()
        conditions: list[sa.ColumnElement[bool]] = []
        if territory.division is not None:
            conditions.append(in_division(self.layer, columns, territory.division))
        if territory.area is not None:
            conditions.append(touches_area(self.layer, columns, territory.area))
        conditions += self._in_time(columns, end, territory)
        return sa.and_(sa.true(), *conditions)

    def _in_time(
        self, columns: Any, end: Any, territory: Territory
    ) -> Iterator[sa.ColumnElement[bool]]:
        """An event is of the time when it was reported, a state of every time that it meets."""
        first = last = end
        if self._of_events:
            first = last = reported(self.layer, columns)
        elif isinstance(self.when, datetime):
            return
        else:
            first = columns._valid_from
        if territory.end is not None:
            yield first < territory.end
        if territory.start is not None:
            yield last >= territory.start if self._of_events else last > territory.start


def masked(column: Any, seen: sa.ColumnElement[bool] | None) -> Any:
    """Return a column that has no value where it is not seen."""
    return column if seen is None else sa.case((seen, column)).label(column.key)


def reported(layer: Layer, columns: Any) -> Any:
    """Return the column that says when an event was reported, as an instant."""
    start = layer.schema.event_start()
    column: Any = columns[start.id]
    if start.type is FieldType.DATE:
        return sa.func.timezone(layer.schema.time_zone, sa.cast(column, sa.DateTime))
    return column


def _groups(sight: Sight, fields: Sequence[Field]) -> Iterator[tuple[Territory, ...]]:
    """The different sets of territories in which fields are masked, each once."""
    yield from dict.fromkeys(group for f in fields if (group := sight.where(f)))


def in_division(layer: Layer, columns: Any, division: str) -> sa.ColumnElement[bool]:
    """Return the condition that a row's code begins so; false where the layer has no such code."""
    newest = layer.schemas[-1][1] if layer.schemas else layer.schema
    f = None if newest.division is None else layer.schema.find(newest.division)
    if f is None or f.type is not FieldType.TEXT or f.is_restricted:
        return sa.false()
    begins: sa.ColumnElement[bool] = columns[f.id].startswith(division, autoescape=True)
    return begins


def touches_area(layer: Layer, columns: Any, area: bytes) -> sa.ColumnElement[bool]:
    """Return the condition that a row's geometry touches an area (WKB, CRS84)."""
    shape = stored_area(layer, area)
    return sa.and_(columns._geom.op("&&")(shape), sa.func.ST_Intersects(columns._geom, shape))


def stored_area(layer: Layer, area: bytes) -> sa.ColumnElement[Any]:
    """Return an area (WKB, CRS84) in the layer's storage reference system."""
    return sa.func.ST_GeomFromWKB(_transformed(layer.schema.crs, area), srid_of(layer.schema))


# Kept: an area is asked of every read of whoever is granted it.
@lru_cache(maxsize=256)
def _transformed(crs: str, area: bytes) -> bytes:
    shape = shapely.from_wkb(area)
    if not parse_crs(crs).is_geographic:
        shape = shapely.segmentize(near(crs, shape), _STEP_DEGREES)
    moved = shapely.transform(shape, lonlat_to(crs), interleaved=False)
    return bytes(shapely.to_wkb(moved))


def near(crs: str, shape: Any) -> Any:
    """Return the part of a shape that a projection can have: half the world away it folds."""
    use = parse_crs(crs).area_of_use
    if use is None or use.west > use.east:
        return shape
    west, east = max(use.west - _MARGIN_DEGREES, -180), min(use.east + _MARGIN_DEGREES, 180)
    south, north = max(use.south - _MARGIN_DEGREES, -89), min(use.north + _MARGIN_DEGREES, 89)
    return shape.intersection(shapely.box(west, south, east, north))


# How far beyond where a projection is meant to be used what lies there is still looked for.
_MARGIN_DEGREES = 10.0
# An edge of an area is straight in longitude and latitude: about a kilometre a piece.
_STEP_DEGREES = 0.01


def lies_in(
    record: Layer, columns: Any, territories: Sequence[Territory]
) -> sa.ColumnElement[bool]:
    """Return the condition that a row lies in one of some territories, whenever it is so.

    A shape lies where a point well within it does: along a border, neighbours share their edges.
    """
    parts = []
    for territory in territories:
        conditions: list[Any] = []
        if territory.division is not None:
            conditions.append(in_division(record, columns, territory.division))
        if territory.area is not None:
            inner = sa.func.ST_PointOnSurface(columns._geom)
            conditions.append(sa.func.ST_Intersects(inner, stored_area(record, territory.area)))
        if record.schema.kind is Kind.EVENT:
            conditions += _reported_in(record, columns, territory)
        parts.append(sa.and_(sa.true(), *conditions))
    return sa.or_(sa.false(), *parts)


def columns_for(record: Layer, territories: Sequence[Territory]) -> tuple[str, ...]:
    """Return the columns that `lies_in` looks at."""
    if not territories:
        return ()
    division = record.schema.division
    named = () if division is None else (division,)
    if record.schema.kind is Kind.EVENT:
        named = (*named, record.schema.event_start().id)
    return (*dict.fromkeys(named), "_geom")


def _reported_in(record: Layer, columns: Any, territory: Territory) -> list[Any]:
    at = reported(record, columns)
    found = [] if territory.start is None else [at >= territory.start]
    return found if territory.end is None else [*found, at < territory.end]
