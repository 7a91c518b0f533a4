"""The pinned time of a read, and which rows of the live and history tables it selects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from layers.model import OPEN_REVISION, FieldType, Kind, Layer
from layers.reading.inputs import AT, REVISION, given
from layers.tables import FOREVER, INSTANT, Family, believed_range, tables_of
from spatial.periods import Interval


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

    def instant_of(self, kind: Kind) -> datetime | None:
        """Return the instant at which things are seen: of events of an interval, its end."""
        if kind is Kind.EVENT and isinstance(self.when, Interval):
            return self.now if self.when.end is None else min(self.when.end, self.now)
        return self.when if isinstance(self.when, datetime) else None


Branch = tuple[sa.Table, sa.ColumnElement[datetime], list[sa.ColumnElement[bool]]]


def branches(layer: Layer, moment: Moment) -> list[Branch]:
    """Return the tables to read with, for each, the end as believed then, and what must hold."""
    family = tables_of(layer).open
    extra: list[list[sa.ColumnElement[bool]]] = [[], []]
    if layer.schema.kind is Kind.EVENT and isinstance(moment.when, Interval):
        both = (family.live, family.history)
        extra = [_reported_within(layer, t, moment.when, moment.now) for t in both]
    return _branches(layer, family, moment, extra)


def restricted_branches(layer: Layer, moment: Moment) -> list[Branch]:
    """Return the same of the tables of restricted fields; none where the layer has no such."""
    family = tables_of(layer).restricted
    return [] if family is None else _branches(layer, family, moment, [[], []])


def _branches(
    layer: Layer, family: Family, moment: Moment, extra: list[list[sa.ColumnElement[bool]]]
) -> list[Branch]:
    live, history, revision = family.live, family.history, moment.revision
    instant = moment.instant_of(layer.schema.kind)
    if instant is not None:
        return _at_instant(layer, live, history, revision, instant, extra)
    known = [_known(live, revision), _known(history, revision)]
    if isinstance(moment.when, Interval):
        for table, conditions in zip((live, history), known, strict=True):
            conditions += _meets(table, revision, moment.when)
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
) -> list[Branch]:
    c, h = live.c, history.c
    v = given(AT, instant, INSTANT)
    known = given(REVISION, revision, sa.Integer)
    if revision == layer.head and layer.recorded_at is not None and instant >= layer.recorded_at:
        # Whatever has gone to history was over when the head was recorded: live says it all.
        current: list[sa.ColumnElement[bool]] = [c._valid_from <= v, c._valid_to > v]
        return [(live, c._valid_to, current + extra[0])]
    in_live: list[sa.ColumnElement[bool]] = [c._rev_from <= known, c._valid_from <= v]
    in_live.append(sa.or_(c._valid_to > v, c._rev_closed > known))
    was_open: list[sa.ColumnElement[bool]] = [
        believed_range(history).op("@>")(known),
        h._valid_from <= v,
    ]
    period = sa.func.tstzrange(h._valid_from, h._valid_to)
    was_closed = [period.op("@>")(v), h._rev_closed <= known, h._rev_to > known]
    return [
        (live, _end_then(live, revision), in_live + extra[0]),
        (history, FOREVER, was_open + extra[1]),
        (history, h._valid_to, was_closed + extra[1]),
    ]


def _known(table: sa.Table, revision: int) -> list[sa.ColumnElement[bool]]:
    c, known = table.c, given(REVISION, revision, sa.Integer)
    if table.schema == "live":
        return [c._rev_from <= known]
    return [c._rev_from <= known, c._rev_to > known]


def _end_then(table: sa.Table, revision: int) -> sa.ColumnElement[datetime]:
    """The end of a version as far as it was known at a revision."""
    c = table.c
    if revision >= OPEN_REVISION - 1:
        return c._valid_to
    known = given(REVISION, revision, sa.Integer)
    return sa.case((c._rev_closed <= known, c._valid_to), else_=FOREVER)


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


def written(table: sa.Table, low: int, high: int) -> sa.ColumnElement[bool]:
    """Return the condition that revisions of a stretch began, ended or took back a version."""
    c = table.c
    begun, ended, taken_back = (
        sa.and_(column > low, column <= high) for column in (c._rev_from, c._rev_closed, c._rev_to)
    )
    if table.schema == "live":
        # Few live rows have an end, and an index leads to them; none is taken back.
        return sa.or_(begun, sa.and_(c._valid_to != FOREVER, ended))
    return sa.or_(begun, ended, sa.and_(c._rev_to < OPEN_REVISION, taken_back))


def touched_between(families: Iterable[Family], low: int, high: int) -> sa.CompoundSelect[Any]:
    """Select the features of which revisions after one, up to another, wrote anything."""
    parts = []
    for family in families:
        live, history = family.live.c, family.history.c
        parts += [
            sa.select(live._fid).where(live._rev_from > low, live._rev_from <= high),
            # Of the live rows few have an end, and an index leads to them.
            sa.select(live._fid)
            .where(live._valid_to != FOREVER)
            .where(live._rev_closed > low, live._rev_closed <= high),
            sa.select(history._fid).where(history._rev_from > low, history._rev_from <= high),
            sa.select(history._fid).where(history._rev_closed > low, history._rev_closed <= high),
            sa.select(history._fid)
            .where(history._rev_to < OPEN_REVISION)
            .where(history._rev_to > low, history._rev_to <= high),
        ]
    return sa.union(*parts)
