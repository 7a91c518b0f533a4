"""What a layer says of an instant, an interval or one feature: selects, and how they are read.

`select_features` is the one place where a read is put together: visibility, time, revision, box,
filter, order and page; the tiles floor wraps the same select in ST_AsMVT.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import numpy as np
import sqlalchemy as sa
from pyproj import CRS, Transformer

from layers.errors import BadQuery
from layers.model import OPEN_REVISION, Field, FieldType, Kind, Layer
from layers.readers import Reader
from layers.tables import FOREVER, INSTANT, believed_range, column_type, srid_of, tables_of
from spatial.crs import CRS84, parse_crs
from spatial.periods import Interval, parse_instant

Box = tuple[float, float, float, float]
_NUMBER = re.compile(r"[+-]?[0-9]{1,25}(\.[0-9]{0,25})?([eE][+-]?[0-9]{1,3})?")
_LONLAT = parse_crs(CRS84)
_COMPARISONS: Mapping[str, Any] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_PYTHON: Mapping[FieldType, Any] = {
    FieldType.TEXT: str,
    FieldType.INTEGER: int,
    FieldType.NUMBER: int | float,
    FieldType.BOOLEAN: bool,
    FieldType.DATE: date,
    FieldType.INSTANT: datetime,
}


@dataclass(frozen=True, slots=True)
class Moment:
    """The pinned time of a read.

    Parameters
    ----------
    revision : int
        The state of knowledge.
    when : datetime or Interval or None
        The time in the world: an instant, a closed interval, or None for every version.
    now : datetime
        The present of the request, which an interval of events without an end means.
    """

    revision: int
    when: datetime | Interval | None
    now: datetime


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
    ids : sequence of str, optional
        Features wanted.
    after : tuple of str and datetime, optional
        The key (id, start) after which the page begins.
    limit : int, optional
        Rows at most.
    touched : tuple of int, optional
        Two revisions: only versions of which one after the first, up to the second, wrote anything.
    """

    bbox: Box | None = None
    bbox_crs: CRS = _LONLAT
    placeless: bool = False
    equal: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, Any] = field(default_factory=dict)
    ids: Sequence[str] | sa.CompoundSelect[Any] | None = None
    after: tuple[str, datetime] | None = None
    limit: int | None = None
    touched: tuple[int, int] | None = None


def select_features(layer: Layer, reader: Reader, moment: Moment, query: Query) -> sa.Select[Any]:
    """Put a read together.

    Parameters
    ----------
    layer : Layer
        As the catalogue has it in the transaction that will run the select.
    reader : Reader
        Only the fields that the reader may see are in the select, or can be filtered by.
    moment : Moment
        Revision and instant or interval.
    query : Query
        Box, filter and page.

    Returns
    -------
    Select
        Columns ``_fid``, ``_valid_from``, ``_valid_to`` (infinity while open), ``_hash``,
        ``_geom``, then one a field; ordered by id and start where a page is wanted.

    Raises
    ------
    BadQuery
        For a filter on a property that does not exist for the reader, or a value it can't have.
    """
    layer = layer.as_of(moment.revision)
    fields = reader.fields(layer.schema)
    branches = [
        _branch(layer, fields, table, end, conditions, query)
        for table, end, conditions in _times(layer, moment)
    ]
    if len(branches) == 1:
        whole = branches[0]
    else:
        whole = sa.select(*sa.union_all(*branches).subquery("versions").c)
    if query.limit is None:
        return whole
    columns = whole.selected_columns
    return whole.order_by(columns["_fid"], columns["_valid_from"]).limit(query.limit)


def _branch(
    layer: Layer,
    fields: Sequence[Field],
    table: sa.Table,
    end: sa.ColumnElement[datetime],
    conditions: Sequence[sa.ColumnElement[bool]],
    query: Query,
) -> sa.Select[Any]:
    c = table.c
    select = sa.select(
        c._fid,
        c._valid_from,
        end.label("_valid_to"),
        c._hash,
        sa.type_coerce(c._geom, sa.LargeBinary).label("_geom"),
        *(c[f.id].label(f.id) for f in fields),
    ).where(*conditions)
    if query.bbox is not None:
        inside = _in_box(c._geom, layer, query.bbox, query.bbox_crs)
        select = select.where(sa.or_(inside, c._geom.is_(None)) if query.placeless else inside)
    for name, text in query.equal.items():
        select = select.where(_equals(c, layer, fields, name, text))
    for name, condition in query.where.items():
        select = select.where(_holds(c, fields, name, condition))
    if query.touched is not None:
        select = select.where(_written(table, *query.touched))
    if query.ids is not None:
        select = select.where(c._fid.in_(query.ids))
    if query.after is not None:
        fid, start = query.after
        key = sa.tuple_(sa.literal(fid, sa.Text), sa.literal(start, INSTANT))
        select = select.where(sa.tuple_(c._fid, c._valid_from) > key)
    return select


def _times(
    layer: Layer, moment: Moment
) -> list[tuple[sa.Table, sa.ColumnElement[datetime], list[sa.ColumnElement[bool]]]]:
    """The tables to read with, for each, the end as believed then, and what must hold."""
    family = tables_of(layer).open
    live, history = family.live, family.history
    revision, when = moment.revision, moment.when
    extra: list[list[sa.ColumnElement[bool]]] = [[], []]
    if layer.schema.kind is Kind.EVENT and isinstance(when, Interval):
        extra = [_reported_within(layer, t, when, moment.now) for t in (live, history)]
        when = moment.now if when.end is None else min(when.end, moment.now)
    instant = when if isinstance(when, datetime) else None
    if instant is not None:
        return _at_instant(layer, live, history, revision, instant, extra)
    known = [_known(live, revision), _known(history, revision)]
    if isinstance(when, Interval):
        for table, conditions in zip((live, history), known, strict=True):
            conditions += _meets(table, revision, when)
    return [
        (t, _end_then(t, revision), conditions)
        for t, conditions in zip((live, history), known, strict=True)
    ]


def _at_instant(
    layer: Layer,
    live: sa.Table,
    history: sa.Table,
    revision: int,
    instant: datetime,
    extra: list[list[sa.ColumnElement[bool]]],
) -> list[tuple[sa.Table, sa.ColumnElement[datetime], list[sa.ColumnElement[bool]]]]:
    c, h = live.c, history.c
    v = sa.literal(instant, INSTANT)
    if revision == layer.head and layer.recorded_at is not None and instant >= layer.recorded_at:
        # Whatever has gone to history was over when the head was recorded: live says it all.
        current: list[sa.ColumnElement[bool]] = [c._valid_from <= v, c._valid_to > v]
        return [(live, c._valid_to, current + extra[0])]
    in_live: list[sa.ColumnElement[bool]] = [c._rev_from <= revision, c._valid_from <= v]
    in_live.append(sa.or_(c._valid_to > v, c._rev_closed > revision))
    was_open: list[sa.ColumnElement[bool]] = [
        believed_range(history).op("@>")(sa.literal(revision, sa.Integer)),
        h._valid_from <= v,
    ]
    period = sa.func.tstzrange(h._valid_from, h._valid_to)
    was_closed = [period.op("@>")(v), h._rev_closed <= revision, h._rev_to > revision]
    return [
        (live, _end_then(live, revision), in_live + extra[0]),
        (history, FOREVER, was_open + extra[1]),
        (history, h._valid_to, was_closed + extra[1]),
    ]


def _known(table: sa.Table, revision: int) -> list[sa.ColumnElement[bool]]:
    c = table.c
    if table.schema == "live":
        return [c._rev_from <= revision]
    return [c._rev_from <= revision, c._rev_to > revision]


def _end_then(table: sa.Table, revision: int) -> sa.ColumnElement[datetime]:
    """The end of a version as far as it was known at a revision."""
    c = table.c
    if revision >= OPEN_REVISION - 1:
        return c._valid_to
    return sa.case((c._rev_closed <= revision, c._valid_to), else_=FOREVER)


def _meets(table: sa.Table, revision: int, interval: Interval) -> list[sa.ColumnElement[bool]]:
    """A version [from, to) meets a closed interval [a, b]."""
    c, conditions = table.c, []
    if interval.end is not None:
        conditions.append(c._valid_from <= interval.end)
    if interval.start is not None:
        conditions.append(sa.or_(c._valid_to > interval.start, c._rev_closed > revision))
    return conditions


def _reported_within(
    layer: Layer, table: sa.Table, interval: Interval, now: datetime
) -> list[sa.ColumnElement[bool]]:
    started: Any = table.c[layer.schema.event_start().id]
    if layer.schema.event_start().type is FieldType.DATE:
        started = sa.func.timezone(layer.schema.time_zone, sa.cast(started, sa.DateTime))
    conditions = [started <= (now if interval.end is None else interval.end)]
    if interval.start is not None:
        conditions.append(started >= interval.start)
    return conditions


def _written(table: sa.Table, low: int, high: int) -> sa.ColumnElement[bool]:
    """Whether revisions after one, up to another, began a version, ended it, or took it back."""
    c = table.c
    begun, ended, taken_back = (
        sa.and_(column > low, column <= high) for column in (c._rev_from, c._rev_closed, c._rev_to)
    )
    if table.schema == "live":
        # Few live rows have an end, and an index leads to them; none is taken back.
        return sa.or_(begun, sa.and_(c._valid_to != FOREVER, ended))
    return sa.or_(begun, ended, sa.and_(c._rev_to < OPEN_REVISION, taken_back))


def _equals(columns: Any, layer: Layer, fields: Sequence[Field], name: str, text: str) -> Any:
    f = _field(fields, name)
    if f.type is FieldType.TEXT:
        return columns[name] == text
    try:
        value: Any = _read_value(f, text, layer)
    except (ValueError, KeyError, OverflowError):
        raise BadQuery(f"{name} = {text!r}: the property is of type {f.type}") from None
    return columns[name] == sa.literal(value, column_type(f))


def _field(fields: Sequence[Field], name: str) -> Field:
    f = next((f for f in fields if f.id == name), None)
    if f is None:
        known = ", ".join(f.id for f in fields)
        raise BadQuery(f"there is no parameter or property {name!r}; properties are: {known}")
    return f


def _holds(
    columns: Any, fields: Sequence[Field], name: str, condition: Any
) -> sa.ColumnElement[bool]:
    """Return a condition of Query.where on one property."""
    f = _field(fields, name)
    column = columns[name]
    if isinstance(condition, tuple):
        if len(condition) != 2 or condition[0] not in _COMPARISONS:
            signs = ", ".join(_COMPARISONS)
            raise BadQuery(f"{name}: {condition!r} is no comparison; (sign, value), of {signs}")
        sign, value = condition
        return sa.cast(_COMPARISONS[sign](column, _literal(f, value)), sa.Boolean)
    if isinstance(condition, list | set | frozenset):
        among = [_literal(f, v) for v in condition if v is not None]
        nothing = column.is_(None) if None in condition else sa.false()
        return sa.or_(column.in_(among), nothing)
    holds: sa.ColumnElement[bool] = column.is_(None)
    if condition is not None:
        holds = column == _literal(f, condition)
    return holds


def _literal(f: Field, value: Any) -> sa.ColumnElement[Any]:
    kinds = _PYTHON[f.type]
    fits = isinstance(value, kinds) and isinstance(value, bool) is (f.type is FieldType.BOOLEAN)
    if f.type is FieldType.DATE:
        fits = fits and not isinstance(value, datetime)
    if f.type is FieldType.INTEGER:
        fits = fits and abs(value) < 2**63
    if f.type is FieldType.INSTANT:
        fits = fits and value.tzinfo is not None
    if not fits:
        raise BadQuery(f"{f.id}: {value!r} is no {f.type} value")
    return sa.literal(value, column_type(f))


def _read_value(f: Field, text: str, layer: Layer) -> Any:
    """A filter's text as a value of the field; what the field can't hold is a ValueError."""
    if f.type is FieldType.INSTANT:
        return parse_instant(text, layer.schema.zone)
    if f.type is FieldType.DATE:
        return datetime.strptime(text, "%Y-%m-%d").date()
    if f.type is FieldType.BOOLEAN:
        return {"true": True, "false": False}[text]
    if not _NUMBER.fullmatch(text):
        raise ValueError
    value = float(text) if f.type is FieldType.NUMBER else int(text)
    if abs(value) > 2**63 - 1 and f.type is FieldType.INTEGER:
        raise ValueError
    return value


def _in_box(geom: Any, layer: Layer, box: Box, crs: CRS) -> sa.ColumnElement[bool]:
    return sa.or_(*(_meets_envelope(geom, layer, part, crs) for part in _parts(box, crs)))


def _meets_envelope(geom: Any, layer: Layer, box: Box, crs: CRS) -> sa.ColumnElement[bool]:
    bounds = storage_bounds(layer, box, crs)
    envelope = sa.func.ST_MakeEnvelope(*bounds, srid_of(layer.schema))
    # A shape within the box needs no exact test: half the filter's cost on large pages.
    exact = sa.or_(geom.op("@")(envelope), sa.func.ST_Intersects(geom, envelope))
    return sa.and_(geom.op("&&")(envelope), exact)


def _parts(box: Box, crs: CRS) -> list[Box]:
    west, south, east, north = box
    if west <= east or not crs.is_geographic:
        return [box]
    return [(west, south, 180.0, north), (-180.0, south, east, north)]


# Kept: to make one takes PROJ 0.4 s for CGCS2000, a hundred times what the read itself does.
@lru_cache(maxsize=64)
def _transformer(source: CRS, target: CRS) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def storage_bounds(layer: Layer, box: Box, crs: CRS) -> Box:
    """Return a box in the layer's storage reference system, large enough to hold the box asked.

    Raises
    ------
    BadQuery
        Where the box has no place in that system.
    """
    target = parse_crs(layer.schema.crs)
    if target == crs:
        return box
    transformer = _transformer(crs, target)
    bounds = transformer.transform_bounds(*box, densify_pts=21)
    if not np.isfinite(bounds).all():
        # A world-wide box has no image in a local projection: everything there is, then.
        area = target.area_of_use
        if area is None:
            raise BadQuery(f"bbox {box} can't be expressed in {layer.schema.crs}")
        clipped = (
            max(box[0], area.west),
            max(box[1], area.south),
            min(box[2], area.east),
            min(box[3], area.north),
        )
        if clipped[0] > clipped[2] or clipped[1] > clipped[3]:
            return (0.0, 0.0, 0.0, 0.0)
        bounds = transformer.transform_bounds(*clipped, densify_pts=21)
    west, south, east, north = (float(b) for b in bounds)
    return west, south, east, north


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
