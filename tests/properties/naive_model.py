"""The bitemporal store told plainly: what a layer must believe after each commit.

Read it as the specification. A belief is, for each feature, a list of versions that do not overlap;
a version is a period of valid time ``[start, end)`` with a content. Every revision keeps the whole
belief, copied: nothing here is clever, fast or shared with the store.

A layer has two faces that are versioned apart: the open fields with the geometry, and the
restricted fields, whose versions exist only where one of those fields has a value.

What a commit of a source means:

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

What other commits mean:

8. Edits take effect in their order, each on the feature as a whole (both faces together), for its
   period: from its start (else, of an event that is inserted or put, when it was reported; else
   now) to its end (else for good; in event layers, for all but a
   retirement, to the next development: where the feature begins, or its open face becomes
   another). Insert: the feature is not there in the period, or
   the commit is refused. Update: it is there at some instant of it, and at each such instant the
   stated fields change and no other. Put: it is so. Retire: it is there, and is no more.
9. Supersede: at an instant, the predecessors are there, and from then on they are not; the
   successors are inserted from then on, with the fields in which all predecessors agree (keys and
   geometry apart) where they state none. A link leads from each predecessor to each successor.
10. What differs after the edits is asserted, and nothing else.
11. A revert of revision r: at each instant at which a feature was as it was before r, it stays as
    it is. Where r made it come or go, that is undone. Where r changed fields, these are again as
    before r, if the feature is there now. Refused, unless it is forced, where a later revision
    changed anything of a feature that r changed. Links that r told are taken back.
12. A schema change makes a revision and changes no version. A version keeps what it said in fields
    that are retired since; whether it says the same as another is judged by the fields of now.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

FOREVER = datetime.max.replace(tzinfo=UTC)
Content = tuple[tuple[str, Any], ...]
# What a row says in a face of which all its fields are NULL.
NOTHING: Content = ()


class Refused(Exception):
    """The commit can't be, and leaves no trace."""


@dataclass(frozen=True)
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
class Edit:
    """One edit; `what` is insert, update, put, retire or supersede.

    Of the last, `others` are the predecessors, and `into` the successors (key, values, end).
    """

    what: str
    key: str = ""
    start: datetime | None = None
    end: datetime | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    into: tuple[tuple[str, Mapping[str, Any], datetime | None], ...] = ()


@dataclass(frozen=True)
class Link:
    """That a feature came from another; believed in the revisions [since, until)."""

    ancestor: str
    descendant: str
    at: datetime
    since: int
    until: int | None = None


@dataclass(frozen=True)
class Counts:
    """Features created, changed and retired, over the open face."""

    created: int = 0
    changed: int = 0
    retired: int = 0


Whole = list[tuple[datetime, datetime, dict[str, Any]]]
"""A feature through time, both faces together: periods, each with all its fields."""


class NaiveLayer:
    """Every revision of a layer."""

    def __init__(
        self,
        open_fields: Iterable[str],
        restricted: Iterable[str],
        *,
        event: bool,
        duplicates: str,
        keys: Iterable[str] = ("no",),
    ) -> None:
        self.event = event
        self.duplicates = duplicates
        self.keys = tuple(keys)
        self.opens: list[Belief] = [{}]
        self.restricteds: list[Belief] = [{}]
        self.links: list[Link] = []
        # Since which revision which fields are open, and which restricted.
        self.schemas: list[tuple[int, tuple[str, ...], tuple[str, ...]]] = [
            (1, tuple(open_fields), tuple(restricted))
        ]

    @property
    def head(self) -> int:
        return len(self.opens) - 1

    @property
    def open_fields(self) -> tuple[str, ...]:
        return self.schemas[-1][1]

    @property
    def restricted_fields(self) -> tuple[str, ...]:
        return self.schemas[-1][2]

    def fields_at(self, revision: int) -> tuple[str, ...]:
        """The open fields that the layer had at a revision."""
        return [opens for since, opens, _ in self.schemas if since <= max(revision, 1)][-1]

    # Commits

    def commit(self, publish: Publish) -> Counts | None:
        """Apply a publish; None where it changes nothing."""
        effective = publish.valid_from or publish.now
        rows = self._rows(publish, effective)
        stated = self._periods(rows)
        voids = self._voids(self.opens[-1], stated, publish, effective) if publish.reload else {}
        return self._assert(stated, voids)

    def edit(self, edits: Sequence[Edit], now: datetime) -> Counts | None:
        """Apply edits in their order; None where they change nothing."""
        was: dict[str, Whole] = {}
        wholes: dict[str, Whole] = {}
        links: list[tuple[str, str, datetime]] = []

        def whole(key: str) -> Whole:
            if key not in wholes:
                was[key] = wholes[key] = self._whole(key, self.head)
            return wholes[key]

        for e in edits:
            start = e.start or now
            if e.start is None and e.what in ("insert", "put") and self.event:
                start = e.values.get("reported") or now
            if e.what == "supersede":
                self._supersede(e, start, whole, wholes, links)
                continue
            end = e.end or FOREVER
            if e.end is None and self.event and e.what != "retire":
                end = self._next_development(whole(e.key), start)
            wholes[e.key] = self._edited(e, whole(e.key), start, end)
        told = [link for link in dict.fromkeys(links) if link not in self._believed_links()]
        counts = self._restate(was, wholes, even_if_nothing=bool(told))
        self.links += [Link(*link, self.head) for link in told]
        return counts

    def revert(self, revision: int, *, force: bool) -> Counts | None:
        """Undo a revision; None where nothing is left of it."""
        changed = self._changed_in(revision)
        later = {k for r in range(revision + 1, self.head + 1) for k in self._changed_in(r)}
        if changed & later and not force:
            raise Refused("later revisions changed the same features")
        schema = None
        if revision > 1 and revision in [since for since, *_ in self.schemas]:
            if self.schemas[-1][0] != revision:
                raise Refused("the schema has changed again")
            schema = self.schemas[-2]
        was = {k: self._whole(k, self.head) for k in changed}
        wholes = {k: self._undone(k, revision) for k in changed}
        told = [n for n in self.links if n.since == revision and n.until is None]
        untold = {(n.ancestor, n.descendant, n.at) for n in self.links if n.until == revision}
        untold -= self._believed_links()
        something = bool(schema or told or untold)
        counts = self._restate(was, wholes, even_if_nothing=something)
        if counts is None:
            return None
        for n in told:
            self.links[self.links.index(n)] = Link(
                n.ancestor, n.descendant, n.at, n.since, self.head
            )
        self.links += [Link(*link, self.head) for link in sorted(untold)]
        if schema is not None:
            self.schemas.append((self.head, *schema[1:]))
        return counts

    def change_schema(self, open_fields: Iterable[str], restricted: Iterable[str]) -> bool:
        """Give the layer other fields; False where they are the same."""
        new = (tuple(open_fields), tuple(restricted))
        if new == self.schemas[-1][1:]:
            return False
        self._append({}, {})
        self.schemas.append((self.head, *new))
        return True

    # Questions

    def at(self, revision: int, instant: datetime) -> dict[str, Version]:
        """What is believed at a revision about an instant, in the fields of that revision."""
        fields = self.fields_at(revision)
        return {
            key: Version(v.start, v.end, _project(v.content, fields))
            for key, versions in self.opens[revision].items()
            for v in versions
            if v.start <= instant < v.end
        }

    def during(self, revision: int, first: datetime, last: datetime) -> set[tuple[str, Version]]:
        """The versions that meet a closed interval."""
        fields = self.fields_at(revision)
        return {
            (key, Version(v.start, v.end, _project(v.content, fields)))
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
        """The features that differ between two snapshots: how, and in which common fields."""
        before, after = self.at(*old), self.at(*new)
        common = [n for n in self.fields_at(new[0]) if n in self.fields_at(old[0])]
        found: dict[str, tuple[str, tuple[str, ...]]] = {}
        for key in {*before, *after}:
            if key not in before:
                found[key] = ("created", ())
            elif key not in after:
                found[key] = ("retired", ())
            else:
                was, now = dict(before[key].content or ()), dict(after[key].content or ())
                differing = tuple(n for n in common if was[n] != now[n])
                if differing:
                    found[key] = ("changed", differing)
        return found

    def touched(self, revision: int) -> dict[str, str]:
        """The features that a revision created, changed or retired in its open face."""
        fields = self.fields_at(revision)
        before, after = (
            {
                key: [Version(v.start, v.end, _project(v.content, fields)) for v in versions]
                for key, versions in self.opens[r].items()
            }
            for r in (revision - 1, revision)
        )
        found = {}
        for key in {*before, *after}:
            old, new = before.get(key, []), after.get(key, [])
            if _same_at_every_instant(old, new):
                continue
            left = [n for v in new for n in _outside(v, [o for o in old if o.content == v.content])]
            found[key] = "created" if not old else "changed" if left else "retired"
        return found

    def lineage(self, key: str, revision: int, until: datetime) -> tuple[set[Any], set[Any]]:
        """All links upwards from a feature, and all downwards, as known at a revision."""
        known = [
            n
            for n in self.links
            if n.since <= revision < (n.until or revision + 1) and n.at <= until
        ]

        def follow(up: bool) -> set[Any]:
            found: set[Link] = set()
            while True:
                more = {
                    n
                    for n in known
                    if (n.descendant if up else n.ancestor) == key
                    or any(
                        n.descendant == f.ancestor and n.at <= f.at
                        if up
                        else n.ancestor == f.descendant and n.at >= f.at
                        for f in found
                    )
                }
                if more == found:
                    return {(n.ancestor, n.descendant, n.at, n.since) for n in found}
                found = more

        return follow(True), follow(False)

    # What commits have in common

    def _assert(
        self, stated: Mapping[str, list[tuple[datetime, datetime, Row]]], voids: Belief
    ) -> Counts | None:
        """Let assertions and absences replace what is believed, where that is news."""
        wanted = self._news(self.opens[-1], _assertions(stated, self._open), voids)
        hidden = self._news(self.restricteds[-1], _assertions(stated, self._restricted), voids)
        if not wanted and not hidden:
            return None
        counts = _counts(self.opens[-1], wanted)
        self._append(wanted, hidden)
        return counts

    def _append(self, wanted: Belief, hidden: Belief) -> None:
        self.opens.append(_applied(self.opens[-1], wanted))
        self.restricteds.append(_applied(self.restricteds[-1], hidden))

    def _news(self, before: Belief, *asserted: Belief) -> Belief:
        """The assertions that are not believed already."""
        found: Belief = {}
        for belief in asserted:
            for key, assertions in belief.items():
                for a in assertions:
                    if not self._is_believed(before.get(key, []), a):
                        found.setdefault(key, []).append(a)
        return found

    def _is_believed(self, versions: list[Version], asserted: Version) -> bool:
        if asserted.content is None:
            return not any(v.overlaps(asserted) for v in versions)
        if asserted.content == NOTHING:
            now = self.restricted_fields
            return not any(v.overlaps(asserted) and _says(v.content, now) for v in versions)
        fields = [n for n, _ in asserted.content]
        same = [v for v in versions if _project(v.content, fields) == asserted.content]
        return not _outside(asserted, same)

    def _open(self, values: Mapping[str, Any]) -> Content:
        return tuple((n, values[n]) for n in self.open_fields)

    def _restricted(self, values: Mapping[str, Any]) -> Content:
        content = tuple((n, values[n]) for n in self.restricted_fields)
        return content if any(v is not None for _, v in content) else NOTHING

    # Sources

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
        now = (*self.open_fields, *self.restricted_fields)
        values = {n: publish.scope.get(n) for n in now}
        if not publish.reload and self.head:
            for belief in (self.opens[-1], self.restricteds[-1]):
                for v in belief.get(row.key, []):
                    if row.start is not None and v.start <= row.start < v.end:
                        known = {n: x for n, x in dict(v.content or ()).items() if n in now}
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
                gap = Version(max(v.start, effective), v.end, None)
                there = [Version(start, end, None) for start, end, _ in stated.get(key, [])]
                voids.setdefault(key, []).extend(_outside(gap, there))
        return voids

    # Edits and reverts

    def _whole(self, key: str, revision: int) -> Whole:
        """A feature through time at a revision, in the fields of now."""
        opens, hidden = self.opens[revision].get(key, []), self.restricteds[revision].get(key, [])
        found: Whole = []
        for start, end, (shown, secret) in _pieces(opens, hidden):
            if shown is not None:
                values = dict(_project(shown, self.open_fields))
                values |= dict(_project(secret or NOTHING, self.restricted_fields))
                found.append((start, end, values))
        return found

    def _edited(self, e: Edit, whole: Whole, start: datetime, end: datetime) -> Whole:
        if end <= start:
            raise Refused("a period ends before it starts")
        there = [p for p in whole if p[0] < end and p[1] > start]
        outside = [
            (v.start, v.end, values)
            for s, t, values in whole
            for v in Version(s, t, None).without(Version(start, end, None))
        ]
        if e.what == "insert" and there:
            raise Refused("it is there already")
        if e.what in ("update", "retire") and not there:
            raise Refused("it is not there")
        blank = dict.fromkeys((*self.open_fields, *self.restricted_fields))
        inside: Whole = []
        if e.what in ("insert", "put"):
            inside = [(start, end, blank | dict(e.values))]
        elif e.what == "update":
            inside = [(max(s, start), min(t, end), {**v, **e.values}) for s, t, v in there]
        return sorted(outside + inside, key=lambda p: p[0])

    def _next_development(self, whole: Whole, after: datetime) -> datetime:
        goes_on = {end: self._open(values) for _, end, values in whole}
        return min(
            (
                start
                for start, _, values in whole
                if start > after and goes_on.get(start) != self._open(values)
            ),
            default=FOREVER,
        )

    def _supersede(
        self,
        e: Edit,
        at: datetime,
        whole: Callable[[str], Whole],
        wholes: dict[str, Whole],
        links: list[tuple[str, str, datetime]],
    ) -> None:
        before = []
        for key in e.others:
            there = [values for s, t, values in whole(key) if s <= at < t]
            if not there:
                raise Refused("a predecessor is not there")
            before.append(there[0])
        inherited = {
            n: v
            for n, v in before[0].items()
            if n not in ("geometry", *self.keys) and all(b[n] == v for b in before)
        }
        for key in e.others:
            wholes[key] = self._edited(Edit("retire", key), whole(key), at, FOREVER)
        for key, values, stated_end in e.into:
            end = stated_end or FOREVER
            if stated_end is None and self.event:
                end = self._next_development(whole(key), at)
            insert = Edit("insert", key, values={**inherited, **values})
            wholes[key] = self._edited(insert, whole(key), at, end)
            links += [(other, key, at) for other in e.others if other != key]

    def _undone(self, key: str, revision: int) -> Whole:
        lines = [self._whole(key, r) for r in (revision - 1, revision, self.head)]
        spans = [[Version(s, t, tuple(values.items())) for s, t, values in w] for w in lines]
        found: Whole = []
        for start, end, (before, after, now) in _pieces(*spans):
            values = now
            if before != after and (before is None or after is None):
                values = before
            elif before != after and now is not None:
                was, then = dict(before or ()), dict(after or ())
                back = {n: v for n, v in was.items() if v != then[n]}
                values = tuple({**dict(now), **back}.items())
            if values is not None:
                found.append((start, end, dict(values)))
        return found

    def _restate(
        self, was: Mapping[str, Whole], now: Mapping[str, Whole], *, even_if_nothing: bool
    ) -> Counts | None:
        """Assert what differs between features as they were and as they shall be."""
        stated: dict[str, list[tuple[datetime, datetime, Row]]] = {}
        voids: Belief = {}
        for key in now:
            lines = [
                [Version(s, t, tuple(sorted(values.items()))) for s, t, values in w]
                for w in (was[key], now[key])
            ]
            for start, end, (old, new) in _pieces(*lines):
                if old == new:
                    continue
                if new is None:
                    voids.setdefault(key, []).append(Version(start, end, None))
                else:
                    row = Row(key, start, end, dict(new))
                    stated.setdefault(key, []).append((start, end, row))
        counts = self._assert(stated, voids)
        if counts is None and even_if_nothing:
            self._append({}, {})
            counts = Counts()
        return counts

    def _changed_in(self, revision: int) -> set[str]:
        found = set()
        for beliefs in (self.opens, self.restricteds):
            before, after = beliefs[revision - 1], beliefs[revision]
            found |= {k for k in {*before, *after} if before.get(k, []) != after.get(k, [])}
        return found

    def _believed_links(self) -> set[tuple[str, str, datetime]]:
        return {(n.ancestor, n.descendant, n.at) for n in self.links if n.until is None}


def _within(values: Mapping[str, Any], scope: Mapping[str, Any]) -> bool:
    return all(values[n] == wanted for n, wanted in scope.items())


def _project(content: Content | None, fields: Iterable[str]) -> Content:
    said = dict(content or ())
    return tuple((n, said.get(n)) for n in fields)


def _says(content: Content | None, fields: Iterable[str]) -> bool:
    return any(v is not None for _, v in _project(content, fields))


def _outside(version: Version, others: Iterable[Version]) -> list[Version]:
    left = [version]
    for o in others:
        left = [piece for rest in left for piece in rest.without(o)]
    return left


def _pieces(
    *lines: Sequence[Version],
) -> Iterator[tuple[datetime, datetime, tuple[Content | None, ...]]]:
    """The periods between all starts and ends, with what each line says in them (None: nothing)."""
    instants = sorted({t for line in lines for v in line for t in (v.start, v.end)})
    for start, end in itertools.pairwise(instants):
        yield (
            start,
            end,
            tuple(
                next((v.content for v in line if v.start <= start < v.end), None) for line in lines
            ),
        )


def _same_at_every_instant(old: Sequence[Version], new: Sequence[Version]) -> bool:
    return all(a == b for *_, (a, b) in _pieces(old, new))


def _assertions(
    stated: Mapping[str, list[tuple[datetime, datetime, Row]]],
    content_of: Callable[[Mapping[str, Any]], Content],
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


def _applied(before: Belief, wanted: Belief) -> Belief:
    after = {key: list(versions) for key, versions in before.items()}
    for key, assertions in wanted.items():
        for a in assertions:
            rest = [piece for v in after.get(key, []) for piece in v.without(a)]
            after[key] = rest + ([a] if a.content else [])
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
