"""Times: dates, instants and intervals, and how two of them can lie to one another.

A date stands for itself among dates. Beside an instant it is its midnight in the layer's time
zone, as everywhere on the platform. An interval is closed at both ends; ``..`` leaves one open.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date
from typing import Any

import sqlalchemy as sa

from layers.errors import BadQuery
from layers.model import Layer
from layers.reading.cql2.expressions import TIMES, Expression, Kind
from layers.tables import INSTANT
from spatial.errors import SpatialError
from spatial.periods import parse_instant

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ENDS: Mapping[Kind, tuple[Any, ...]] = {
    kind: tuple(sa.literal_column(f"'{sign}infinity'::{name}", of) for sign in ("-", ""))
    for kind, name, of in ((Kind.DATE, "date", sa.Date()), (Kind.INSTANT, "timestamptz", INSTANT))
}
_OPEN = ".."


def day(text: str, said: str) -> Expression:
    """Return a literal date.

    Raises
    ------
    BadQuery
        Where the text is none.
    """
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        value = date.fromisoformat(text)
    except ValueError:
        told = "is no date; write it as 2014-06-01, in the years 1 to 9999"
        raise BadQuery(f"filter: {text[:40]!r} {told}") from None
    return Expression(Kind.DATE, said, sa.literal(value, sa.Date), value)


def instant(text: str, said: str) -> Expression:
    """Return a literal instant.

    Raises
    ------
    BadQuery
        Where the text is none.
    """
    try:
        if _DATE.fullmatch(text):
            raise BadQuery(f"filter: {text!r} is a date; write DATE('{text}'), or add a time")
        # Nothing here hangs on the zone: an instant states its own.
        value = parse_instant(text[:60], UTC)
    except SpatialError as error:
        raise BadQuery(f"filter: {error}") from None
    return Expression(Kind.INSTANT, said, sa.literal(value, INSTANT), value)


def end(node: Any, said: str) -> Expression:
    """Return an end of an interval that was written as a text: a date, an instant or ``..``.

    Raises
    ------
    BadQuery
        Where it is neither.
    """
    if node == _OPEN:
        return Expression(Kind.OPEN, said)
    return day(node, said) if _DATE.fullmatch(node) else instant(node, said)


def interval(start: Expression, stop: Expression, said: str) -> Expression:
    """Return an interval.

    Raises
    ------
    BadQuery
        Where an end is no time.
    """
    for bound in (start, stop):
        if bound.kind not in (*TIMES, Kind.OPEN):
            raise BadQuery(f"filter: {said}: an interval has times as ends; {bound.told}")
    return Expression(Kind.INTERVAL, said, items=(start, stop))


def as_instant(time: Expression, layer: Layer) -> Any:
    """Return a date or an instant as an instant, in SQL."""
    if time.kind is Kind.INSTANT:
        return time.sql
    if time.value is None:
        return midnight(time.sql, layer)
    try:
        value = parse_instant(time.value.isoformat(), layer.schema.zone)
    except SpatialError as error:
        raise BadQuery(f"filter: {time.said}: {error}") from None
    return sa.literal(value, INSTANT)


def midnight(column: Any, layer: Layer) -> Any:
    """Return when a date begins in the layer's time zone, in SQL."""
    clock = sa.cast(column, sa.DateTime)
    return sa.func.timezone(layer.schema.time_zone, clock, type_=INSTANT)


Relation = Callable[[Any, Any, Any, Any], Any]
_AFTER: Relation = lambda s1, e1, s2, e2: s1 > e2  # noqa: E731 - a table of formulas
_BEFORE: Relation = lambda s1, e1, s2, e2: e1 < s2  # noqa: E731
_RELATIONS: Mapping[str, Relation] = {
    "t_after": _AFTER,
    "t_before": _BEFORE,
    "t_disjoint": lambda *ends: sa.or_(_BEFORE(*ends), _AFTER(*ends)),
    "t_equals": lambda s1, e1, s2, e2: sa.and_(s1 == s2, e1 == e2),
    "t_intersects": lambda s1, e1, s2, e2: sa.and_(e1 >= s2, s1 <= e2),
    "t_contains": lambda s1, e1, s2, e2: sa.and_(s1 < s2, e1 > e2),
    "t_during": lambda s1, e1, s2, e2: sa.and_(s1 > s2, e1 < e2),
    "t_finishedBy": lambda s1, e1, s2, e2: sa.and_(s1 < s2, e1 == e2),
    "t_finishes": lambda s1, e1, s2, e2: sa.and_(s1 > s2, e1 == e2),
    "t_meets": lambda s1, e1, s2, e2: e1 == s2,
    "t_metBy": lambda s1, e1, s2, e2: s1 == e2,
    "t_overlappedBy": lambda s1, e1, s2, e2: sa.and_(s1 > s2, s1 < e2, e1 > e2),
    "t_overlaps": lambda s1, e1, s2, e2: sa.and_(s1 < s2, e1 > s2, e1 < e2),
    "t_startedBy": lambda s1, e1, s2, e2: sa.and_(s1 == s2, e1 > e2),
    "t_starts": lambda s1, e1, s2, e2: sa.and_(s1 == s2, e1 < e2),
}
_OF_INSTANTS = ("t_after", "t_before", "t_disjoint", "t_equals", "t_intersects")


def relate(op: str, one: Expression, other: Expression, layer: Layer, said: str) -> Any:
    """Return the condition that two times lie so (OWL-Time has the definitions).

    Raises
    ------
    BadQuery
        Where one is no time, or an instant where only intervals can lie so.
    """
    for time in (one, other):
        if time.kind is not Kind.INTERVAL and (time.kind not in TIMES or op not in _OF_INSTANTS):
            wanted = "times" if op in _OF_INSTANTS else "intervals, as INTERVAL(a, b)"
            raise BadQuery(f"filter: {said}: {op.upper()} is for {wanted}; {time.told}")
    bounds = [*_bounds(one), *_bounds(other)]
    kind = Kind.INSTANT if any(b.kind is Kind.INSTANT for b in bounds) else Kind.DATE
    ends = [_bound(b, kind, i % 2, layer) for i, b in enumerate(bounds)]
    return _RELATIONS[op](*ends)


def _bounds(time: Expression) -> tuple[Expression, ...]:
    return time.items if time.kind is Kind.INTERVAL else (time, time)


def _bound(time: Expression, kind: Kind, which: int, layer: Layer) -> Any:
    if time.kind is Kind.OPEN:
        return _ENDS[kind][which]
    return as_instant(time, layer) if kind is Kind.INSTANT else time.sql
