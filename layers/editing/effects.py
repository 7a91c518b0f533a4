"""Edits into a plan: the features they name, through time, changed in the order of the list."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers import descent
from layers.descent import Links, Told
from layers.editing import outdated, restating
from layers.editing.statements import (
    Statement,
    blank,
    check_required,
    feature_id,
    read_statements,
    unkeyed_id,
)
from layers.edits import UNSTATED, Edit, Edits, Insert, Put, Retire, Supersede, Update, When
from layers.errors import BadPeriod, EditConflict, FeatureChanged, Forbidden, UnknownFeature
from layers.model import Kind, Layer
from layers.reading.moments import touched_between
from layers.reading.timelines import FOREVER, Span, Timeline, put, within, without
from layers.report import Findings, Report
from layers.tables import tables_of
from layers.writing.plans import Planned, count
from spatial.errors import SpatialError
from spatial.periods import format_instant, parse_instant

# So many features that have changed are named.
_NAMED = 5


def plan(
    connection: Connection,
    record: Layer,
    edits: Edits,
    now: datetime,
    check: Callable[[set[str]], None] = lambda ids: None,
    kept: frozenset[str] = frozenset(),
) -> Planned:
    """Work out what a list of edits would write; the layer must be locked.

    Parameters
    ----------
    check : callable
        Told the ids that the edits name, before anything is said of what they are.
    kept : frozenset of str
        Restricted fields that the edits may not touch.

    Raises
    ------
    EditConflict
        Where a feature is there that should not be, or is not there that should.
    UnknownFeature
        Where no feature of that id was ever there.
    FeatureChanged
        Where one is no more as it was seen, or the layer no more at the revision looked at.
    BadValue, BadKey, BadPeriod
        For what an edit states.
    """
    findings = Findings(rows_read=len(edits.edits))
    statements = _read(record, edits, findings)
    editing = _Editing(connection, record, now, statements, kept, edits.forward)
    check(editing.named(edits.edits))
    if edits.as_of not in (None, record.head):
        raise FeatureChanged(
            f"{record.id} was changed since it was looked which features are meant; nothing was "
            "written. Send it again"
        )
    _check_expected(connection, record, edits.expected)
    editing.load(edits.edits)
    for edit in edits.edits:
        editing.apply(edit)
    outdated.check_codes(record, editing.changes())
    restatement = restating.begin(connection, record)
    restating.restate(connection, restatement, editing.changes())
    families = restating.plan(connection, restatement)
    report = Report(record.id, "edits", findings, named=tuple(editing.touched))
    count(connection, families, report)
    seen = len(editing.now_so)
    report.unchanged = max(seen - report.created - report.changed - report.retired, 0)
    told = descent.unknown(connection, record, editing.told)
    return Planned(record, report, now, families, Links(told))


def fields_stated(edits: Edits) -> set[str]:
    """Return the ids of all fields that some edits state."""
    stating: list[Insert | Update | Put] = []
    for edit in edits.edits:
        if isinstance(edit, Supersede):
            stating += edit.into
        elif not isinstance(edit, Retire):
            stating.append(edit)
    return {name for edit in stating for name in edit.properties}


def _check_expected(connection: Connection, record: Layer, expected: Mapping[str, int]) -> None:
    """Refuse features that a revision has touched after the one as of which they were seen."""
    families = tables_of(record).families
    for revision in sorted(set(expected.values())):
        ids = [key for key, seen in expected.items() if seen == revision]
        later = touched_between(families, revision, record.head).subquery("later")
        query = sa.select(later.c._fid).where(later.c._fid.in_(ids)).order_by(later.c._fid)
        changed = list(connection.scalars(query.limit(_NAMED)))
        if changed:
            raise FeatureChanged(
                f"{', '.join(map(repr, changed))} of {record.id} changed since you saw it; nothing "
                "was written. Read it again, then change it"
            )


def _read(record: Layer, edits: Edits, findings: Findings) -> dict[int, Statement]:
    """What each edit states, by the identity of the edit."""
    stating: list[Insert | Update | Put] = []
    for edit in edits.edits:
        if isinstance(edit, Supersede):
            stating += edit.into
        elif not isinstance(edit, Retire):
            stating.append(edit)
    read = read_statements(record, stating, edits.crs, findings)
    return {id(edit): statement for edit, statement in zip(stating, read, strict=True)}


@dataclass
class _Editing:
    """The features that a list of edits names, and how they change under it."""

    connection: Connection
    record: Layer
    now: datetime
    statements: Mapping[int, Statement]
    kept: frozenset[str]
    forward: bool = False
    was: dict[str, Timeline] = field(default_factory=dict)
    now_so: dict[str, Timeline] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)

    def load(self, edits: Sequence[Edit]) -> None:
        """Read the features that the edits name, all at once."""
        self._read(self.named(edits))

    def named(self, edits: Sequence[Edit]) -> set[str]:
        """Return the ids that the edits name."""
        ids: set[str] = set()
        for edit in edits:
            if isinstance(edit, Supersede):
                ids |= {*edit.ids, *(i for e in edit.into for i in self._known(e))}
            elif isinstance(edit, Insert | Put):
                ids |= set(self._known(edit))
            else:
                ids.add(edit.id)
        return ids

    def changes(self) -> Iterable[tuple[str, Timeline, Timeline]]:
        """Yield each feature as it was and as it shall be."""
        for key, timeline in self.now_so.items():
            yield key, self.was[key], timeline

    def apply(self, edit: Edit) -> None:
        """Let one edit take effect."""
        if isinstance(edit, Insert):
            key, values = self._new(edit, {})
            self._insert(key, values, *self._period(edit, key, values))
        elif isinstance(edit, Put):
            key = self._put(edit)
        elif isinstance(edit, Update):
            key = edit.id
            self._update(edit)
        elif isinstance(edit, Retire):
            key, period = edit.id, self._bounds(edit)
            self._there(key, *period)
            self._set(key, without(self._timeline(key), *period))
        else:
            self._supersede(edit)
            return
        self.touched.append(key)

    def _put(self, edit: Put) -> str:
        key, values = self._new(edit, {})
        line = self._timeline(key)
        if self.kept and line and edit.keep is None:
            raise Forbidden(
                f"to put {key!r} is to state all of it, and {', '.join(sorted(self.kept))} "
                "are not yours to write; update it instead"
            )
        start, end = self._period(edit, key, values)
        spans = [Span(start, end, values)]
        if edit.keep is not None:
            stay = edit.keep | self.kept | ({"_geom"} if edit.geometry is UNSTATED else set())
            for s in within(line, start, end):
                as_it_is = {name: s.values[name] for name in stay}
                spans.append(Span(s.start, s.end, {**values, **as_it_is}))
        after = put(line, *spans)
        for span in within(after, start, end):
            check_required(self.record.schema, key, span.values)
        self._set(key, after)
        return key

    def _known(self, edit: Insert | Put) -> list[str]:
        key = feature_id(self.record, edit, self.statements[id(edit)])
        return [] if key is None else [key]

    def _new(self, edit: Insert | Put, inherited: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        stated = self.statements[id(edit)]
        values = blank(self.record.schema) | dict(inherited) | dict(stated.values)
        key = feature_id(self.record, edit, stated)
        if key is None:
            key = self._unkeyed(values)
        if not isinstance(edit, Put):
            check_required(self.record.schema, key, values)
        return key, values

    def _unkeyed(self, values: Mapping[str, Any]) -> str:
        names = (unkeyed_id(values, salt) for salt in itertools.count())
        return next(name for name in names if not self._timeline(name))

    def _insert(self, key: str, values: dict[str, Any], start: datetime, end: datetime) -> None:
        there = within(self._timeline(key), start, end)
        if there:
            since, until = there[0].start, there[-1].end
            raise EditConflict(
                f"{self.record.id} has {key!r} already {_shown(since, until)}; update it, or put it"
            )
        self._set(key, put(self._timeline(key), Span(start, end, values)))

    def _update(self, edit: Update) -> None:
        stated = self.statements[id(edit)].values
        keys = {f.id for f in self.record.schema.keys}
        start, end = self._bounds(edit)
        for span in self._there(edit.id, start, end):
            changed = {n for n in keys & set(stated) if stated[n] != span.values[n]}
            if changed:
                raise EditConflict(
                    f"{', '.join(sorted(changed))} makes the id of {edit.id!r}, which never "
                    "changes; supersede it by another feature"
                )
            values = {**span.values, **stated}
            check_required(self.record.schema, edit.id, values)
            self._set(edit.id, put(self._timeline(edit.id), Span(span.start, span.end, values)))

    def _supersede(self, edit: Supersede) -> None:
        start = self._instant(edit.valid_from) or self.now
        before = [self._there(key, start, _next(start))[0].values for key in edit.ids]
        left_out = {"_geom", *(f.id for f in self.record.schema.keys)}
        inherited = {
            name: value
            for name, value in before[0].items()
            if name not in left_out and all(values[name] == value for values in before)
        }
        for key in edit.ids:
            self._set(key, without(self._timeline(key), start, FOREVER))
        for into in edit.into:
            key, values = self._new(into, inherited)
            self._insert(key, values, *self._until(key, start, self._instant(into.valid_to)))
            self.told += [(ancestor, key, start) for ancestor in edit.ids if ancestor != key]

    def _period(
        self, edit: Insert | Put, key: str, values: Mapping[str, Any]
    ) -> tuple[datetime, datetime]:
        start = self._instant(edit.valid_from)
        if start is None and self.record.schema.kind is Kind.EVENT:
            start = self._instant(values[self.record.schema.event_start().id])
        return self._until(key, start or self.now, self._instant(edit.valid_to))

    def _bounds(self, edit: Update | Retire) -> tuple[datetime, datetime]:
        start, end = self._instant(edit.valid_from) or self.now, self._instant(edit.valid_to)
        if isinstance(edit, Retire):
            return self._checked(edit.id, start, end or FOREVER)
        return self._until(edit.id, start, end)

    def _until(self, key: str, start: datetime, end: datetime | None) -> tuple[datetime, datetime]:
        if end is None:
            end = FOREVER
            if self.record.schema.kind is Kind.EVENT:
                end = self._next_development(key, start)
        return self._checked(key, start, end)

    def _next_development(self, key: str, after: datetime) -> datetime:
        """When an event next begins, or is another in its open fields."""
        hidden = {f.id for f in self.record.schema.restricted}
        shown = [
            Span(s.start, s.end, {n: v for n, v in s.values.items() if n not in hidden})
            for s in self._timeline(key)
        ]
        goes_on = {s.end: s.values for s in shown}
        later = (s.start for s in shown if s.start > after and goes_on.get(s.start) != s.values)
        return min(later, default=FOREVER)

    def _checked(self, key: str, start: datetime, end: datetime) -> tuple[datetime, datetime]:
        self._timeline(key)
        # As it was before this list of edits, which may be about one feature twice.
        newest = self.was[key][-1:] if self.forward else ()
        if newest and start <= newest[0].start:
            raise EditConflict(
                f"the newest version of {key!r} began at {format_instant(newest[0].start)}; "
                f"{self.record.id} takes nothing that begins before that, or with it: say from "
                "when on it is so, or leave the time out for now"
            )
        if end <= start:
            raise BadPeriod(
                f"{key!r}: the period ends at {format_instant(end)}, and starts at "
                f"{format_instant(start)}"
            )
        return start, end

    def _instant(self, when: When) -> datetime | None:
        zone = self.record.schema.zone
        try:
            if isinstance(when, str):
                when = parse_instant(when, zone)
        except SpatialError as error:
            raise BadPeriod(str(error)) from None
        if isinstance(when, datetime):
            return (when if when.tzinfo else when.replace(tzinfo=zone)).astimezone(UTC)
        if isinstance(when, date):
            return datetime.combine(when, time(), zone).astimezone(UTC)
        return None

    def _there(self, key: str, start: datetime, end: datetime) -> Timeline:
        found = within(self._timeline(key), start, end)
        if found:
            return found
        if not self._timeline(key):
            raise UnknownFeature(f"{self.record.id} has no feature {key!r}")
        raise EditConflict(
            f"{self.record.id} has {key!r} at another time, not {_shown(start, end)}"
        )

    def _timeline(self, key: str) -> Timeline:
        if key not in self.was:
            self._read({key})
        return self.now_so[key]

    def _read(self, ids: set[str]) -> None:
        found = restating.read_timelines(self.connection, self.record, sorted(ids))
        for key in ids:
            self.was[key] = self.now_so[key] = found.get(key, ())

    def _set(self, key: str, timeline: Timeline) -> None:
        self.now_so[key] = timeline


def _next(instant: datetime) -> datetime:
    return instant + datetime.resolution


def _shown(start: datetime, end: datetime) -> str:
    if end == FOREVER:
        return f"from {format_instant(start)} on"
    return f"from {format_instant(start)} to {format_instant(end)}"
