"""What a layer says of an instant, an interval or one feature: selects, and how they are read.

`select_features` is the one place where a read is put together: what the reader may see, time,
revision, box, filter, order and page; the tiles floor wraps the same select in ST_AsMVT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pyproj import CRS

from layers.model import Layer
from layers.readers import Reader
from layers.reading import restricted
from layers.reading.boxes import LONLAT, Box, meets_box
from layers.reading.cql2 import Filter, condition
from layers.reading.filters import equals, holds
from layers.reading.moments import Moment, branches, written
from layers.reading.sights import Eye, Shown, shown
from layers.tables import FOREVER, INSTANT, srid_of

__all__ = ["Box", "Moment", "Query", "select_features"]


@dataclass(frozen=True, slots=True)
class Query:
    """What of a snapshot is wanted.

    Parameters
    ----------
    bbox : tuple of four floats, optional
        Western, southern, eastern and northern bound in `bbox_crs`; west > east crosses 180
        degrees.
    bbox_crs : CRS
        Longitude and latitude unless stated.
    placeless : bool
        Whether a box also selects features without a geometry, as OGC API Features has it.
    equal : mapping of str to str
        Property to the value that it must have, as text.
    where : mapping of str to value
        Property to the value that it must have; a list of values of which it must have one; None
        where it must have none; or a comparison such as ``(">=", 100)``.
    filter : Filter, optional
        What must hold, in CQL2.
    filter_crs : CRS
        Of the geometries in the filter; longitude and latitude unless stated.
    ids : sequence of str, optional
        Features wanted.
    after : tuple of str and datetime, optional
        The key (id, start) after which the page begins.
    limit : int, optional
        Rows at most.
    touched : tuple of int, optional
        Two revisions: only versions of which one after the first, up to the second, wrote anything.
    restricted : bool
        Whether restricted fields are wanted, where the reader has any.
    """

    bbox: Box | None = None
    bbox_crs: CRS = LONLAT
    placeless: bool = False
    equal: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, Any] = field(default_factory=dict)
    filter: Filter | None = None
    filter_crs: CRS = LONLAT
    ids: Sequence[str] | sa.CompoundSelect[Any] | None = None
    after: tuple[str, datetime] | None = None
    limit: int | None = None
    touched: tuple[int, int] | None = None
    restricted: bool = False


def select_features(layer: Layer, reader: Reader, moment: Moment, query: Query) -> sa.Select[Any]:
    """Put a read together.

    Parameters
    ----------
    layer : Layer
        As the catalogue has it in the transaction that will run the select.
    reader : Reader
        Only the rows and fields that the reader may see are selected, or can be filtered by.
    moment : Moment
        Revision and instant or interval.
    query : Query
        Box, filter and page.

    Returns
    -------
    Select
        Columns ``_fid``, ``_valid_from``, ``_valid_to`` (infinity while open), ``_hash``,
        ``_geom``, then one a field, then those that say in which rows masked fields are seen
        (`layers.reading.sights.Shown`); ordered by id and start where a page is wanted.

    Raises
    ------
    BadQuery
        For a filter on a property that does not exist for the reader, or a value it can't have.
    """
    layer = layer.as_of(moment.revision)
    sight = reader.sight(layer)
    what = shown(layer, sight, restricted=query.restricted)
    eye = Eye(layer, sight, moment.when)
    reading = _Reading(layer, eye, what, moment, query)
    parts = [reading.select(*branch) for branch in branches(layer, moment)]
    whole = parts[0] if len(parts) == 1 else _together(parts)
    if what.restricted:
        if not reading.later_filters and (
            query.after is None or moment.instant_of(layer.schema.kind) is not None
        ):
            # Each of these is to give one row at least: more of them are not needed.
            whole = _first(whole, query.limit)
        whole = reading.filtered(restricted.joined(whole, layer, what, moment, query.after))
    return _first(whole, query.limit)


def shown_to(layer: Layer, reader: Reader, moment: Moment, query: Query) -> Shown:
    """Return which fields the rows of `select_features` have, and which only some of them have."""
    layer = layer.as_of(moment.revision)
    return shown(layer, reader.sight(layer), restricted=query.restricted)


def _first(whole: sa.Select[Any], limit: int | None) -> sa.Select[Any]:
    if limit is None:
        return whole
    columns = whole.selected_columns
    return whole.order_by(columns["_fid"], columns["_valid_from"]).limit(limit)


def _together(parts: Sequence[sa.Select[Any]]) -> sa.Select[Any]:
    return sa.select(*sa.union_all(*parts).subquery("versions").c)


@dataclass(frozen=True, slots=True)
class _Reading:
    """All that the branches of one select share."""

    layer: Layer
    eye: Eye
    what: Shown
    moment: Moment
    query: Query

    def select(
        self,
        table: sa.Table,
        end: sa.ColumnElement[datetime],
        conditions: Sequence[sa.ColumnElement[bool]],
    ) -> sa.Select[Any]:
        """Return the select of one table."""
        c = table.c
        start = self.eye.start(c._valid_from)
        seen = self.eye.flags(c, end, self.what)
        select = sa.select(
            c._fid,
            start.label("_valid_from"),
            self.eye.end(end).label("_valid_to"),
            c._hash,
            sa.type_coerce(c._geom, sa.LargeBinary).label("_geom"),
            *(self._column(c, seen, f.id).label(f.id) for f in self.what.fields),
            *(inside.label(name) for name, inside in seen.items()),
        ).where(*conditions, *self.eye.rows(c, end), *self._narrowed(table, seen))
        return select if self.query.after is None else select.where(self._later(c, start))

    def _column(self, c: Any, seen: Mapping[str, Any], name: str) -> Any:
        """A masked field has no value where it is not seen, also for whoever filters by it."""
        mask = self.what.masks.get(name)
        return c[name] if mask is None else sa.case((seen[mask], c[name]), else_=None)

    def _narrowed(self, table: sa.Table, seen: Mapping[str, Any]) -> list[sa.ColumnElement[bool]]:
        c, query, layer, fields = table.c, self.query, self.layer, self.what.fields
        found: list[sa.ColumnElement[bool]] = []
        if query.bbox is not None:
            inside = meets_box(c._geom, layer, query.bbox, query.bbox_crs)
            found.append(sa.or_(inside, c._geom.is_(None)) if query.placeless else inside)
        columns = {f.id: self._column(c, seen, f.id) for f in fields}
        found += [equals(columns, layer, fields, n, text) for n, text in query.equal.items()]
        for name, wanted in query.where.items():
            found.append(holds(columns, fields, name, wanted))
            if name in self.what.masks:
                found.append(seen[self.what.masks[name]])
        seen_here = columns | {"geometry": c._geom}
        for part in self.filters:
            found.append(condition(part, seen_here, layer, fields, query.filter_crs))
        if query.touched is not None:
            found.append(written(table, *query.touched))
        if query.ids is not None:
            found.append(c._fid.in_(query.ids))
        return found

    @property
    def filters(self) -> tuple[Filter, ...]:
        """What of the filter the open tables can answer, each part to hold."""
        return tuple(part for part in self._parts if not self._is_later(part))

    @property
    def later_filters(self) -> tuple[Filter, ...]:
        """What of the filter is asked of restricted fields: of rows that have them."""
        return tuple(part for part in self._parts if self._is_later(part))

    def filtered(self, whole: sa.Select[Any]) -> sa.Select[Any]:
        """Leave out rows that the filter's later parts do not hold for; they are masked already."""
        if not self.later_filters:
            return whole
        rows = whole.subquery("whole").c
        fields = self.what.every
        columns = {f.id: rows[f.id] for f in fields} | {"geometry": rows._geom}
        crs = self.query.filter_crs
        held = (condition(p, columns, self.layer, fields, crs) for p in self.later_filters)
        return sa.select(*rows).where(*held)

    @property
    def _parts(self) -> tuple[Filter, ...]:
        asked = self.query.filter
        if asked is None:
            return ()
        return asked.parts() if self._is_later(asked) else (asked,)

    def _is_later(self, part: Filter) -> bool:
        return any(f.id in part.names for f in self.what.restricted)

    def _later(self, c: Any, start: Any) -> sa.ColumnElement[bool]:
        assert self.query.after is not None  # noqa: S101 - asked just before
        fid, since = self.query.after
        if self.what.restricted:
            if self.moment.instant_of(self.layer.schema.kind) is not None:
                return sa.cast(c._fid > sa.literal(fid, sa.Text), sa.Boolean)
            # One version here may become several, of which some lie after the key.
            return sa.cast(c._fid >= sa.literal(fid, sa.Text), sa.Boolean)
        key = sa.tuple_(sa.literal(fid, sa.Text), sa.literal(since, INSTANT))
        return sa.tuple_(c._fid, start) > key


def finite(instant: Any) -> sa.ColumnElement[datetime | None]:
    """Return an instant column with infinity as NULL, which is how Python has it."""
    return sa.func.nullif(instant, FOREVER, type_=INSTANT)


def count_features(select: sa.Select[Any]) -> sa.Select[Any]:
    """Return the select that counts the rows of another."""
    return sa.select(sa.func.count()).select_from(select.subquery("counted"))


def as_geojson(select: sa.Select[Any], layer: Layer, digits: int = 9) -> sa.Select[Any]:
    """Return a features select with the geometry as GeoJSON text in longitude and latitude.

    Parameters
    ----------
    digits : int
        Decimal places; nine is a tenth of a millimetre.
    """
    rows = select.subquery("features")
    geom: Any = rows.c._geom
    if srid_of(layer.schema) != 4326:
        geom = sa.func.ST_Transform(geom, 4326)
    text = sa.func.ST_AsGeoJSON(geom, digits, 0, type_=sa.Text).label("_geom")
    return _ordered(sa.select(*_others(rows), text), rows)


def as_wkb(select: sa.Select[Any]) -> sa.Select[Any]:
    """Return a features select with the geometry as WKB in the storage reference system."""
    rows = select.subquery("features")
    geom = sa.func.ST_AsBinary(rows.c._geom, type_=sa.LargeBinary).label("_geom")
    return _ordered(sa.select(*_others(rows), geom), rows)


def _ordered(select: sa.Select[Any], rows: sa.Subquery) -> sa.Select[Any]:
    return select.order_by(rows.c._fid, rows.c._valid_from)


def _others(rows: sa.Subquery) -> list[Any]:
    columns: list[Any] = []
    for column in rows.c:
        if column.name == "_valid_to":
            columns.append(finite(column).label("_valid_to"))
        elif column.name not in ("_geom", "_hash"):
            columns.append(column)
    return columns
