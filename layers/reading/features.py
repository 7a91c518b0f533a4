"""What a layer says of an instant, an interval or one feature: selects, and how they are read.

`select_features` is the one place where a read is put together: what the reader may see, time,
revision, box, filter, order and page; the tiles floor wraps the same select in ST_AsMVT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from pyproj import CRS

from layers.errors import BadQuery
from layers.model import Layer
from layers.readers import Reader
from layers.reading import inputs, restricted
from layers.reading.boxes import LONLAT, Box, meets_box
from layers.reading.cql2 import Filter, condition
from layers.reading.filters import equals, holds, mentions
from layers.reading.inputs import FID, FIDS, LIMIT, OFFSET, REACH, given
from layers.reading.moments import Moment, branches, written
from layers.reading.ordering import Key, Order, Sort, check_key
from layers.reading.sights import Eye, Shown, shown
from layers.tables import EARLIEST, FOREVER, INSTANT

TEXTS: sa.ARRAY[str] = sa.ARRAY(sa.Text)
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
    q : str, optional
        Phrases, with commas between; one of them stands in a text of the feature.
    sort : tuple of Sort
        Properties to order by, before id and start.
    after : tuple, optional
        The key (sorted values, id, start) after which the page begins.
    backwards : bool
        From the last row to the first, after a key: the page before it, in opposite order.
    limit, offset : int, optional
        Rows at most, and rows passed over.
    only : frozenset of str, optional
        The fields wanted; all where absent.
    geometry : bool
        Whether the geometry is wanted.
    touched : tuple of int, optional
        Two revisions: only versions of which one after the first, up to the second, wrote anything.
    restricted : bool
        Whether restricted fields are wanted, where the reader has any.
    marked : bool
        Whether rows are to have the columns of `layers.reading.marks`; of few features.
    """

    bbox: Box | None = None
    bbox_crs: CRS = LONLAT
    placeless: bool = False
    equal: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, Any] = field(default_factory=dict)
    filter: Filter | None = None
    filter_crs: CRS = LONLAT
    ids: Sequence[str] | sa.CompoundSelect[Any] | None = None
    q: str | None = None
    sort: tuple[Sort, ...] = ()
    after: Key | None = None
    backwards: bool = False
    limit: int | None = None
    offset: int = 0
    only: frozenset[str] | None = None
    geometry: bool = True
    touched: tuple[int, int] | None = None
    restricted: bool = False
    marked: bool = False


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
    reading = _Reading(layer, Eye(layer, sight, moment.when), what, moment, query)
    parts = [part for branch in branches(layer, moment) for part in reading.select(*branch)]
    if reading.is_bounded and (len(parts) > 1 or what.restricted):
        # The first of all are among the first of each, which an index may give in order.
        parts = [sa.select(reading.first(part, inner=True).subquery()) for part in parts]
    whole = parts[0] if len(parts) == 1 else _together(parts)
    if what.restricted:
        keys = reading.order.names
        whole = reading.filtered(restricted.joined(whole, layer, what, moment, keys))
        whole = reading.after(whole)
    return reading.first(whole)


def _among(column: Any, ids: Any) -> sa.ColumnElement[bool]:
    if isinstance(ids, list | tuple) and len(ids) == 1:
        return sa.cast(column == given(FID, ids[0], sa.Text), sa.Boolean)
    if isinstance(ids, sa.CompoundSelect):
        return sa.cast(column.in_(ids), sa.Boolean)
    # One parameter, however many there are.
    every = sa.cast(given(FIDS, list(ids), TEXTS), TEXTS)
    return sa.cast(column == sa.any_(every), sa.Boolean)


def order_of(layer: Layer, reader: Reader, moment: Moment, query: Query) -> Order:
    """Return the order in which `select_features` gives its rows."""
    layer = layer.as_of(moment.revision)
    what = shown(layer, reader.sight(layer), restricted=query.restricted)
    return _Reading(layer, Eye(layer, reader.sight(layer)), what, moment, query).order


def shown_to(layer: Layer, reader: Reader, moment: Moment, query: Query) -> Shown:
    """Return which fields the rows of `select_features` have, and which only some of them have."""
    layer = layer.as_of(moment.revision)
    return shown(layer, reader.sight(layer), restricted=query.restricted)


def _together(parts: Sequence[sa.Select[Any]]) -> sa.Select[Any]:
    return sa.select(*sa.union_all(*parts).subquery("versions").c)


@dataclass(frozen=True)
class _Reading:
    """All that the branches of one select share."""

    layer: Layer
    eye: Eye
    what: Shown
    moment: Moment
    query: Query

    @cached_property
    def order(self) -> Order:
        fields = {f.id: f for f in self.what.fields}
        for s in self.query.sort:
            if s.name not in fields:
                raise BadQuery(f"sortby: there is no property {s.name!r} to sort by")
        order = Order(self.query.sort, fields, self.query.backwards)
        if self.query.after is not None:
            check_key(order, self.query.after)
        return order

    def select(
        self,
        table: sa.Table,
        end: sa.ColumnElement[datetime],
        conditions: Sequence[sa.ColumnElement[bool]],
    ) -> list[sa.Select[Any]]:
        """Return the selects of one table; no row is in two of them."""
        c = table.c
        start = self.eye.start(c._valid_from)
        seen = self.eye.flags(c, end, self.what)
        columns = {f.id: self._column(c, seen, f.id) for f in self.what.fields}
        select = sa.select(
            c._fid,
            start.label("_valid_from"),
            self.eye.end(end).label("_valid_to"),
            c._hash,
            sa.type_coerce(c._geom, sa.LargeBinary).label("_geom"),
            *(column.label(name) for name, column in columns.items()),
            *(inside.label(name) for name, inside in seen.items()),
            *self.order.keys(columns),
        ).where(*conditions, *self.eye.rows(c, end), *self._narrowed(table, columns, seen))
        if self.query.after is None:
            return [select]
        zones = self.order.zones(columns, c._fid, self._placed(start), self.query.after)
        return [select.where(zone) for zone in zones]

    @property
    def is_bounded(self) -> bool:
        """Whether each row read gives one of the page at least: no more are needed than it has."""
        if not self.what.restricted:
            return True
        return not self.later_filters and (self.query.after is None or self._is_instant)

    @property
    def _is_instant(self) -> bool:
        return self.moment.instant_of(self.layer.schema.kind) is not None

    def _placed(self, start: Any) -> Any:
        """The start by which a row's place is known before restricted fields cut the row anew."""
        assert self.query.after is not None  # noqa: S101 - asked just before
        if not self.what.restricted:
            return start
        if self._is_instant:
            return given(f"{inputs.KEY}{len(self.query.after) - 1}", self.query.after[-1], INSTANT)
        # One version here may become several, of which some lie after the key.
        return EARLIEST if self.order.directions[-1] else FOREVER

    def after(self, whole: sa.Select[Any]) -> sa.Select[Any]:
        """Leave out what comes before the page's key, of rows that are whole."""
        if self.query.after is None:
            return whole
        rows = whole.subquery("placed")
        columns = {
            s.name: rows.c[n] for s, n in zip(self.order.sorts, self.order.names, strict=True)
        }
        key = (columns, rows.c._fid, rows.c._valid_from, self.query.after)
        return sa.select(*rows.c).where(sa.or_(*self.order.zones(*key)))

    def first(self, whole: sa.Select[Any], *, inner: bool = False) -> sa.Select[Any]:
        """Return the page's rows in order; of an inner part, those that it could have."""
        limit, offset = self.query.limit, self.query.offset
        if limit is None and not (offset and not inner):
            return whole
        ordered = whole.order_by(*self.order.by(whole.selected_columns))
        if limit is not None:
            name, most = (REACH, limit + offset) if inner else (LIMIT, limit)
            ordered = ordered.limit(given(name, most, sa.Integer))
        return ordered if inner or not offset else ordered.offset(given(OFFSET, offset, sa.Integer))

    def _column(self, c: Any, seen: Mapping[str, Any], name: str) -> Any:
        """A masked field has no value where it is not seen, also for whoever filters by it."""
        mask = self.what.masks.get(name)
        return c[name] if mask is None else sa.case((seen[mask], c[name]), else_=None)

    def _narrowed(
        self, table: sa.Table, columns: Mapping[str, Any], seen: Mapping[str, Any]
    ) -> list[sa.ColumnElement[bool]]:
        c, query, layer, fields = table.c, self.query, self.layer, self.what.fields
        found: list[sa.ColumnElement[bool]] = []
        if query.bbox is not None:
            inside = meets_box(c._geom, layer, query.bbox, query.bbox_crs)
            found.append(sa.or_(inside, c._geom.is_(None)) if query.placeless else inside)
        found += [equals(columns, layer, fields, n, text) for n, text in query.equal.items()]
        for name, wanted in query.where.items():
            found.append(holds(columns, fields, name, wanted))
            if name in self.what.masks:
                found.append(seen[self.what.masks[name]])
        seen_here = dict(columns) | {"geometry": c._geom}
        for part in self.filters:
            found.append(condition(part, seen_here, layer, fields, query.filter_crs))
        if query.q is not None:
            found.append(mentions(columns, fields, query.q))
        if query.touched is not None:
            found.append(written(table, *query.touched))
        if query.ids is not None:
            found.append(_among(c._fid, query.ids))
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
