"""The bitemporal store told plainly: what a layer must believe after each commit.

Read it as the specification. A belief is, for each feature, a list of versions that do not overlap;
a version is a period of valid time ``[start, end)`` with a content. Every revision keeps the whole
belief, copied: nothing here is clever, fast or shared with the store.

A layer has two faces that are versioned apart: the open fields with the geometry, and the
restricted fields, whose versions exist only where one of those fields has a value.

What a commit means:

1. A staged row *asserts* its content for ``[start, end)``. Its start is its own valid-from, else
   the publish's ``effective`` instant (the valid_from that was given, else now). Its end is the
   earliest of: its own valid-to; the next start of the same feature in the source; in event
   layers, the next start of the feature that is already believed; never.
2. In an upsert, a column that the source lacks has the value that the feature is believed to have
   at the row's start. In a reload it is NULL.
3. Rows of one feature that follow without a gap and say the same are one assertion.
4. A reload also asserts absence: what is believed of the scope from ``effective`` on, and is not
   covered by rows of the same feature, ceases. A version is of the scope if its own fields say so.
   An upsert asserts no absence.
5. An assertion that is believed already, in every instant of its period, changes nothing.
6. Every other assertion replaces what is believed in its period, and nothing outside of it.
7. A commit that changes neither face makes no revision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

FOREVER = datetime.max.replace(tzinfo=UTC)
Content = tuple[tuple[str, Any], ...]


class Refused(Exception):
    """The commit can't be, and leaves no trace."""


@dataclass(frozen=True, order=True)
class Version:
    """A content (None: absence, in assertions only) with the period in which it is so."""

    start: datetime
    end: datetime
    content: Content | None

    def overlaps(self, other: Version) -> bool:
        return self.start < other.end and other.start < self.end

    def without(self, other: Version) -> list[Version]:
        """What of this version lies outside another's period."""
        if not self.overlaps(other):
            return [self]
        before = Version(self.start, other.start, self.content)
        after = Version(other.end, self.end, self.content)
        return [v for v in (before, after) if v.start < v.end]


Belief = dict[str, list[Version]]


@dataclass(frozen=True)
class Row:
    """A row of a source; `values` has just the columns that the source has."""

    key: str
    start: datetime | None
    end: datetime | None
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Publish:
    """A source and how it is published."""

    rows: tuple[Row, ...]
    now: datetime
    reload: bool
    valid_from: datetime | None = None
    scope: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Counts:
    """Features created, changed and retired, over the open face."""

    created: int = 0
    changed: int = 0
    retired: int = 0


class NaiveLayer:
    """Every revision of a layer."""

    def __init__(
        self, open_fields: Iterable[str], restricted: Iterable[str], *, event: bool, duplicates: str
    ) -> None:
        self.open_fields = tuple(open_fields)
        self.restricted_fields = tuple(restricted)
        self.event = event
        self.duplicates = duplicates
        self.opens: list[Belief] = [{}]
        self.restricteds: list[Belief] = [{}]

    @property
    def head(self) -> int:
        return len(self.opens) - 1

    def commit(self, publish: Publish) -> Counts | None:
        """Apply a publish; None where it changes nothing."""
        effective = publish.valid_from or publish.now
        rows = self._rows(publish, effective)
        before, before_restricted = self.opens[-1], self.restricteds[-1]
        stated = self._periods(rows)
        voids = self._voids(before, stated, publish, effective) if publish.reload else {}
        wanted = _news(before, _assertions(stated, self._open), voids)
        hidden = _news(before_restricted, _assertions(stated, self._restricted), voids)
        if not wanted and not hidden:
            return None
        self.opens.append(_applied(before, wanted))
        self.restricteds.append(_applied(before_restricted, hidden))
        return _counts(before, wanted)

    def at(self, revision: int, instant: datetime) -> dict[str, Version]:
        """What is believed at a revision about an instant."""
        return {
            key: v
            for key, versions in self.opens[revision].items()
            for v in versions
            if v.start <= instant < v.end
        }

    def during(self, revision: int, first: datetime, last: datetime) -> set[tuple[str, Version]]:
        """The versions that meet a closed interval."""
        return {
            (key, v)
            for key, versions in self.opens[revision].items()
            for v in versions
            if v.start <= last and v.end > first
        }

    def reported(
        self, revision: int, first: datetime, last: datetime, now: datetime, start_field: str
    ) -> dict[str, Version]:
        """The events reported within a closed interval, in their state at its end."""
        state = self.at(revision, min(last, now))
        found = {}
        for key, v in state.items():
            reported = dict(v.content or ())[start_field]
            if reported is not None and first <= reported <= last:
                found[key] = v
        return found

    def diff(
        self, old: tuple[int, datetime], new: tuple[int, datetime]
    ) -> dict[str, tuple[str, tuple[str, ...]]]:
        """The features that differ between two snapshots: how, and in which fields."""
        before, after = self.at(*old), self.at(*new)
        found: dict[str, tuple[str, tuple[str, ...]]] = {}
        for key in {*before, *after}:
            if key not in before:
                found[key] = ("created", ())
            elif key not in after:
                found[key] = ("retired", ())
            else:
                was, now = dict(before[key].content or ()), dict(after[key].content or ())
                differing = tuple(n for n in self.open_fields if was[n] != now[n])
                if differing:
                    found[key] = ("changed", differing)
        return found

    def _open(self, values: Mapping[str, Any]) -> Content | None:
        return tuple((n, values[n]) for n in self.open_fields)

    def _restricted(self, values: Mapping[str, Any]) -> Content | None:
        """Absence where no restricted field has a value."""
        content = tuple((n, values[n]) for n in self.restricted_fields)
        return content if any(v is not None for _, v in content) else None

    def _rows(self, publish: Publish, effective: datetime) -> list[Row]:
        """The rows in full: started, filled, without repeats, within the scope."""
        rows = [Row(r.key, r.start or effective, r.end, r.values) for r in publish.rows]
        if any(r.end is not None and r.end <= r.start for r in rows if r.start):
            raise Refused("a period ends before it starts")
        adds = not publish.reload and self.head
        if any(adds and "geometry" not in r.values and not self.opens[-1].get(r.key) for r in rows):
            raise Refused("a row of a table without geometry is of no feature")
        rows = [self._filled(r, publish) for r in rows]
        kept: dict[tuple[str, datetime], Row] = {}
        for r in rows:
            assert r.start is not None
            if (r.key, r.start) in kept and self.duplicates == "refuse":
                raise Refused("a key is repeated")
            if (r.key, r.start) not in kept or self.duplicates == "last":
                kept[r.key, r.start] = r
        rows = list(kept.values())
        for r in rows:
            if not _within(r.values, publish.scope):
                raise Refused("a row lies outside the scope")
            for v in self.opens[-1].get(r.key, []):
                if not _within(dict(v.content or ()), publish.scope):
                    raise Refused("an id lives outside the scope")
        return rows

    def _filled(self, row: Row, publish: Publish) -> Row:
        values = {n: publish.scope.get(n) for n in (*self.open_fields, *self.restricted_fields)}
        if not publish.reload and self.head:
            for belief in (self.opens[-1], self.restricteds[-1]):
                for v in belief.get(row.key, []):
                    if row.start is not None and v.start <= row.start < v.end:
                        known = dict(v.content or ())
                        values |= {n: x for n, x in known.items() if n not in publish.scope}
        return Row(row.key, row.start, row.end, values | dict(row.values))

    def _periods(self, rows: list[Row]) -> dict[str, list[tuple[datetime, datetime, Row]]]:
        """Each feature's rows in the order of their starts, with the periods they assert."""
        found: dict[str, list[tuple[datetime, datetime, Row]]] = {}
        for r in rows:
            assert r.start is not None
            later = [o.start for o in rows if o.key == r.key and o.start and o.start > r.start]
            if self.event:
                believed = self.opens[-1].get(r.key, [])
                later += [v.start for v in believed if v.start > r.start]
            end = min([*later, r.end or FOREVER])
            found.setdefault(r.key, []).append((r.start, end, r))
        return {key: sorted(spans, key=lambda s: s[0]) for key, spans in found.items()}

    def _voids(
        self,
        before: Belief,
        stated: Mapping[str, list[tuple[datetime, datetime, Row]]],
        publish: Publish,
        effective: datetime,
    ) -> Belief:
        """Absence from `effective` on, wherever the scope is believed and not stated."""
        voids: Belief = {}
        for key, versions in before.items():
            for v in versions:
                inside = _within(dict(v.content or ()), publish.scope)
                if not inside or v.end <= effective:
                    continue
                gaps = [Version(max(v.start, effective), v.end, None)]
                for start, end, _ in stated.get(key, []):
                    gaps = [g for gap in gaps for g in gap.without(Version(start, end, None))]
                voids.setdefault(key, []).extend(gaps)
        return voids


def _within(values: Mapping[str, Any], scope: Mapping[str, Any]) -> bool:
    return all(values[n] == wanted for n, wanted in scope.items())


def _assertions(
    stated: Mapping[str, list[tuple[datetime, datetime, Row]]],
    content_of: Callable[[Mapping[str, Any]], Content | None],
) -> Belief:
    """The assertions of one face: neighbours that say the same are one."""
    found: Belief = {}
    for key, spans in stated.items():
        merged: list[Version] = []
        for start, end, r in spans:
            content = content_of(r.values)
            if merged and merged[-1].end == start and merged[-1].content == content:
                merged[-1] = Version(merged[-1].start, end, content)
            else:
                merged.append(Version(start, end, content))
        found[key] = merged
    return found


def _news(before: Belief, *asserted: Belief) -> Belief:
    """The assertions that are not believed already."""
    found: Belief = {}
    for belief in asserted:
        for key, assertions in belief.items():
            for a in assertions:
                if not _believed(before.get(key, []), a):
                    found.setdefault(key, []).append(a)
    return found


def _believed(versions: list[Version], asserted: Version) -> bool:
    if asserted.content is None:
        return not any(v.overlaps(asserted) for v in versions)
    left = [asserted]
    for v in versions:
        if v.content == asserted.content:
            left = [piece for rest in left for piece in rest.without(v)]
    return not left


def _applied(before: Belief, wanted: Belief) -> Belief:
    after = {key: list(versions) for key, versions in before.items()}
    for key, assertions in wanted.items():
        for a in assertions:
            rest = [piece for v in after.get(key, []) for piece in v.without(a)]
            after[key] = rest + ([a] if a.content is not None else [])
    return {key: sorted(versions, key=lambda v: v.start) for key, versions in after.items()}


def _counts(before: Belief, wanted: Belief) -> Counts:
    """Retired: absence only. Created: never believed at any time. Changed: all other news."""
    created = changed = retired = 0
    for key, assertions in wanted.items():
        if all(a.content is None for a in assertions):
            retired += 1
        elif before.get(key):
            changed += 1
        else:
            created += 1
    return Counts(created, changed, retired)
