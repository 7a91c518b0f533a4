"""Numbers of features by period of time, by the value of a field, or by both.

Events are counted in the period ``[start, end)`` in which they were reported; of things that last,
those that are there at an instant are counted, for each of some instants.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from layers.errors import BadQuery
from layers.model import Field, Kind, Layer
from layers.reading.sights import Shown, reported
from layers.tables import FOREVER, INSTANT

_MICROSECOND = sa.literal(timedelta(microseconds=1), sa.Interval)


@dataclass(frozen=True, slots=True)
class Grouping:
    """What numbers are wanted.

    Attributes
    ----------
    by : Field, optional
        A number for each of its values.
    edges : sequence of datetime, optional
        Of events the bounds of the periods, one more than there are periods; of things that last
        the instants. One number of all where absent.
    most : int
        Values at most; the rarer ones are counted together.
    """

    by: Field | None = None
    edges: Sequence[datetime] = ()
    most: int = 100


@dataclass(frozen=True, slots=True)
class Histogram:
    """Numbers by period and value.

    Attributes
    ----------
    values : tuple
        Values of the field, the most frequent first; None, last, for features that have none.
    numbers : tuple of mapping
        For each period or instant, value to number.
    others : tuple of int
        For each, how many have values that are not among these.
    """

    values: tuple[Any, ...]
    numbers: tuple[Mapping[Any, int], ...]
    others: tuple[int, ...]

    @property
    def is_cut(self) -> bool:
        """Whether there are more values than these."""
        return any(self.others)


def select_cells(
    features: sa.Select[Any], layer: Layer, what: Shown, wanted: Grouping
) -> sa.Select[Any]:
    """Return the select of the numbers, around a select of features, in one pass over these.

    Columns ``cell`` (of things that last: from which instant on there are so many more), ``value``,
    ``kept`` (whether it is one of the most frequent values) and ``n``.

    Raises
    ------
    BadQuery
        Where events are to be counted by period, and when they were reported is not shown.
    """
    rows = features.subquery("features")
    c = rows.c
    value, seen = _value(c, what, wanted)
    lasting = layer.schema.kind is Kind.STATE and bool(wanted.edges)
    first, last, within = _places(c, layer, what, wanted.edges)
    columns = (first.label("first"), last.label("last"), value.label("value"))
    counted = sa.func.count().label("n")
    grouped = (
        sa.select(*columns, counted).select_from(rows).where(*seen, *within).group_by(*columns)
    )
    spans = grouped.cte("spans")
    s = spans.c
    cells = sa.select(s.first.label("cell"), s.value, s.n)
    if lasting:
        there = s.first < s.last
        ends = sa.select(s.last.label("cell"), s.value, -s.n).where(there)
        both = sa.union_all(cells.where(there), ends).subquery("cells")
        frequent = sa.select(s.value).where(there, s.value.is_not(None))
        return _ranked(both, frequent, s, wanted.most)
    frequent = sa.select(s.value).where(s.value.is_not(None))
    return _ranked(cells.subquery("cells"), frequent, s, wanted.most)


def histogram_of(rows: Iterable[sa.Row[Any]], layer: Layer, wanted: Grouping) -> Histogram:
    """Return the histogram of the rows of `select_cells`."""
    events = layer.schema.kind is Kind.EVENT
    periods = len(wanted.edges) - events if wanted.edges else 1
    numbers: list[Counter[Any]] = [Counter() for _ in range(periods)]
    others = [0] * periods
    totals: Counter[Any] = Counter()
    for row in rows:
        n = int(row.n)
        if row.kept:
            totals[row.value] += max(n, 0)
        if row.cell >= periods:
            continue
        if row.kept:
            numbers[row.cell][row.value] += n
        else:
            others[row.cell] += n
    if wanted.edges and not events:
        numbers, others = _summed(numbers), list(itertools.accumulate(others))
    values = sorted((v for v in totals if v is not None), key=lambda v: (-totals[v], str(v)))
    if None in totals:
        values.append(None)
    return Histogram(tuple(values), tuple(numbers), tuple(others))


def _summed(changes: Iterable[Counter[Any]]) -> list[Counter[Any]]:
    """What is there at each instant, of how many there are more or fewer than at the one before."""
    found, there = [], Counter[Any]()
    for change in changes:
        there.update(change)
        found.append(Counter(there))
    return found


def select_first(features: sa.Select[Any], layer: Layer, what: Shown) -> sa.Select[Any]:
    """Return the select of the first instant that can be counted: of a report, or of a version."""
    c = features.subquery("features").c
    events = layer.schema.kind is Kind.EVENT
    at = _reported(layer, c, what) if events else c._valid_from
    return sa.select(sa.func.min(at))


def _value(c: Any, what: Shown, wanted: Grouping) -> tuple[Any, list[Any]]:
    if wanted.by is None:
        return sa.cast(sa.null(), sa.Text), []
    mask = what.masks.get(wanted.by.id)
    # Who doesn't see a field's value in a row is told no number of those who have none.
    return c[wanted.by.id], [] if mask is None else [c[mask]]


def _places(
    c: Any, layer: Layer, what: Shown, edges: Sequence[datetime]
) -> tuple[Any, Any, list[Any]]:
    """The first and last place of a row among the edges, and what must hold for it to have one."""
    if not edges:
        return sa.literal(0), sa.literal(0), []
    if layer.schema.kind is Kind.EVENT:
        at = _reported(layer, c, what)
        place = sa.func.width_bucket(at, _array(edges), type_=sa.Integer) - 1
        return place, sa.literal(0), [at >= _instant(edges[0]), at < _instant(edges[-1])]
    # Of the instants, so many come before the version begins, or ends.
    first, last = (
        sa.func.width_bucket(at - _MICROSECOND, _array(edges), type_=sa.Integer)
        for at in (c._valid_from, c._valid_to)
    )
    forever = sa.case((c._valid_to == FOREVER, len(edges)), else_=last)
    return first, forever, [c._valid_from <= _instant(edges[-1]), c._valid_to > _instant(edges[0])]


def _reported(layer: Layer, c: Any, what: Shown) -> Any:
    start = layer.schema.event_start()
    if start.id not in what.names:
        raise BadQuery("when these events were reported is not shown to you; count them by a field")
    at = reported(layer, c)
    mask = what.masks.get(start.id)
    return at if mask is None else sa.case((c[mask], at))


def _ranked(cells: sa.Subquery, values: sa.Select[Any], spans: Any, most: int) -> sa.Select[Any]:
    ranked = values.group_by(spans.value).order_by(sa.func.sum(spans.n).desc(), spans.value)
    frequent = ranked.limit(most).subquery("frequent")
    c = cells.c
    kept = sa.or_(c.value.is_(None), frequent.c.value.is_not(None)).label("kept")
    value = sa.case((kept, c.value)).label("value")
    joined = cells.outerjoin(frequent, c.value == frequent.c.value)
    columns = (c.cell, value, kept)
    total = sa.func.sum(c.n).label("n")
    return sa.select(*columns, total).select_from(joined).group_by(*columns)


def _array(edges: Sequence[datetime]) -> Any:
    return sa.literal(list(edges), ARRAY(INSTANT))


def _instant(at: datetime) -> Any:
    return sa.literal(at, INSTANT)
