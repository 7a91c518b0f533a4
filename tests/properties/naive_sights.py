"""What a reader may see of a layer, told plainly: the naive versions, gone through one by one.

Read it as the specification of scoped reads.

1. A view (a grant to read) is of a territory and of classes of fields. The views of a reader, and
   what is public of a public layer, are the *tiers*: a territory with the fields seen there.
2. A version lies in a territory where its division begins with the territory's, its shape touches
   the territory's area, and its time is of the territory's: an event was reported then; a state
   goes on at some instant of it, and at one that was asked for.
3. A version is seen where it lies in the territory of any tier; a field of it, where it lies in
   that of a tier that has the field. A field that is not seen is absent.
4. A state begins no earlier than the first start of the tiers, and ends no later than their last
   end; where a tier has no such bound, there is none.
5. Restricted fields that are seen split a version where they change.
6. A filter holds where the field is seen and has the value. Restricted fields can't be filtered by.
7. What a revision did, and what differs between two snapshots, is told of what is seen alone; a
   field that is absent is like one without a value.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import naive_model as naive
import shapely

from layers.readers import View
from layers.territories import Territory

GEOMETRY = "geometry"
When = datetime | tuple[datetime | None, datetime | None] | None
"""An instant; a closed interval; every time."""


@dataclass(frozen=True)
class Seen:
    """A version as it is seen: `values` has just the fields that are seen, and the geometry."""

    key: str
    start: datetime
    end: datetime
    values: Mapping[str, Any]

    @property
    def told(self) -> tuple[str, datetime, datetime, tuple[tuple[str, Any], ...]]:
        return self.key, self.start, self.end, tuple(sorted(self.values.items()))


@dataclass(frozen=True)
class Layer:
    """A model with what the store has beside it: shapes, who may see which field, the division."""

    model: naive.NaiveLayer
    shapes: Sequence[Any]
    visibility: Mapping[str, str]
    division: str
    public: bool


class NaiveSight:
    """A layer as it is seen with some views."""

    def __init__(self, layer: Layer, views: Sequence[View]) -> None:
        self.layer, self.model, self.views = layer, layer.model, views

    # Fields

    def fields(self, revision: int) -> list[str]:
        """The open fields that are seen in some version."""
        had = (n for n in self.model.fields_at(revision) if n != GEOMETRY)
        return [n for n in had if self._somewhere(n)]

    def restricted(self, revision: int) -> list[str]:
        """The restricted fields that are seen in some version."""
        had = [hidden for since, _, hidden in self.model.schemas if since <= max(revision, 1)][-1]
        return [n for n in had if self._somewhere(n)]

    def tiers(self) -> Iterator[tuple[Territory, Any]]:
        """Territories, each with the function that says whether a field is seen there."""
        if self.layer.public:
            yield Territory(), lambda n: self._visibility(n) == "public"
        for view in self.views:
            yield view.territory, lambda n, view=view: self._shows(view, n)

    def _shows(self, view: View, name: str) -> bool:
        visibility = self._visibility(name)
        if visibility == "public" or name.partition(":")[0] in view.fields:
            return True
        return "restricted" in view.fields or (
            visibility == "internal" and "internal" in view.fields
        )

    def _visibility(self, name: str) -> str:
        return self.layer.visibility.get(name, "public")

    def _somewhere(self, name: str) -> bool:
        return any(has(name) for _, has in self.tiers())

    # Versions

    def rows(
        self, revision: int, when: When, *, restricted: bool = False, now: datetime | None = None
    ) -> list[Seen]:
        """What is seen of a revision, in the order of ids and starts."""
        found = []
        for key, versions in self.model.opens[revision].items():
            for v in versions:
                found += self._seen(key, v, revision, when, restricted=restricted, now=now)
        return sorted(found, key=lambda s: (s.key, s.start))

    def _seen(
        self,
        key: str,
        v: naive.Version,
        revision: int,
        when: When,
        *,
        restricted: bool,
        now: datetime | None,
    ) -> list[Seen]:
        content = dict(naive._project(v.content, self.model.fields_at(revision)))
        if not self._asked(v, content, when, now):
            return []
        tiers = [has for where, has in self.tiers() if self._lies(v, content, where, when)]
        if not tiers:
            return []
        start, end = self._clipped(v)
        values = {n: content[n] for n in self.fields(revision) if any(has(n) for has in tiers)}
        values[GEOMETRY] = content[GEOMETRY]
        if not restricted:
            return [Seen(key, start, end, values)]
        hidden = [n for n in self.restricted(revision) if any(has(n) for has in tiers)]
        pieces = self._split(key, start, end, revision, hidden)
        seen = [Seen(key, s, e, values | secret) for s, e, secret in pieces]
        at = self._instant(when, now)
        return [s for s in seen if at is None or s.start <= at < s.end]

    def _instant(self, when: When, now: datetime | None) -> datetime | None:
        if isinstance(when, tuple) and self.model.event:
            assert now is not None
            return now if when[1] is None else min(when[1], now)
        return when if isinstance(when, datetime) else None

    def _asked(
        self, v: naive.Version, content: Mapping[str, Any], when: When, now: datetime | None
    ) -> bool:
        at = self._instant(when, now)
        if at is not None and not v.start <= at < v.end:
            return False
        if isinstance(when, tuple):
            first, last = when
            if not self.model.event:
                return (last is None or v.start <= last) and (first is None or v.end > first)
            reported = content["reported"]
            early = first is not None and (reported is None or reported < first)
            return not early and reported is not None and reported <= (last or now)
        return True

    def _lies(
        self, v: naive.Version, content: Mapping[str, Any], where: Territory, when: When
    ) -> bool:
        return self._is_placed(content, where) and self._is_of_time(v, content, where, when)

    def _is_placed(self, content: Mapping[str, Any], where: Territory) -> bool:
        if where.division is not None:
            code = content.get(self.layer.division)
            if code is None or not code.startswith(where.division):
                return False
        if where.area is None:
            return True
        shape = self.layer.shapes[content[GEOMETRY] or 0]
        return shape is not None and bool(shapely.from_wkb(where.area).intersects(shape))

    def _is_of_time(
        self, v: naive.Version, content: Mapping[str, Any], where: Territory, when: When
    ) -> bool:
        early = where.start or datetime.min.replace(tzinfo=v.start.tzinfo)
        late = where.end or naive.FOREVER
        if self.model.event:
            if where.start is None and where.end is None:
                return True
            reported = content["reported"]
            return reported is not None and early <= reported < late
        if isinstance(when, datetime):
            return early <= when < late
        first, last = when or (None, None)
        # Of all three, version, territory and what is asked, there is an instant in common.
        start = max(v.start, early, first or early)
        if start >= min(v.end, late):
            return False
        return last is None or start <= last

    def _clipped(self, v: naive.Version) -> tuple[datetime, datetime]:
        start, end = v.start, v.end
        territories = [where for where, _ in self.tiers()]
        if not self.model.event and all(t.start is not None for t in territories):
            start = max(start, min(t.start for t in territories if t.start))
        if not self.model.event and all(t.end is not None for t in territories):
            end = min(end, max(t.end for t in territories if t.end))
        return start, end

    def _split(
        self, key: str, start: datetime, end: datetime, revision: int, hidden: list[str]
    ) -> list[tuple[datetime, datetime, dict[str, Any]]]:
        versions = self.model.restricteds[revision].get(key, [])
        cuts = {t for v in versions for t in (v.start, v.end) if start < t < end}
        found: list[tuple[datetime, datetime, dict[str, Any]]] = []
        for first, last in itertools.pairwise(sorted({start, end} | cuts)):
            there = next((v.content for v in versions if v.start <= first < v.end), None)
            secret = dict(naive._project(there, hidden))
            if found and found[-1][2] == secret:
                found[-1] = (found[-1][0], last, secret)
            else:
                found.append((first, last, secret))
        return found

    # What is told of them

    def differences(
        self, old: tuple[int, datetime], new: tuple[int, datetime]
    ) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Features that differ between two snapshots: how, and in which common fields."""
        before, after = ({s.key: s for s in self.rows(*moment)} for moment in (old, new))
        was = self.fields(old[0])
        common = [n for n in self.fields(new[0]) if n in was] + [GEOMETRY]
        found: dict[str, tuple[str, tuple[str, ...]]] = {}
        for key in {*before, *after}:
            if key not in before:
                found[key] = ("created", ())
            elif key not in after:
                found[key] = ("retired", ())
            else:
                a, b = before[key].values, after[key].values
                differing = tuple(n for n in common if a.get(n) != b.get(n))
                if differing:
                    found[key] = ("changed", differing)
        return found

    def changes(self, revision: int) -> tuple[Counter[Any], Counter[Any]]:
        """The versions that a revision retracted, and those that it asserted, in its own schema."""
        sight = NaiveSight(self._under(revision), self.views)
        before, after = (Counter(s.told for s in sight.rows(r, None)) for r in (0, 1))
        return before - after, after - before

    def _under(self, revision: int) -> Layer:
        """The two states of knowledge around a revision, both in its schema."""
        model = self.model
        both = naive.NaiveLayer((), (), event=model.event, duplicates=model.duplicates)
        both.opens = [model.opens[revision - 1], model.opens[revision]]
        both.restricteds = [{}, {}]
        both.schemas = [(1, model.fields_at(revision), ())]
        layer = self.layer
        return Layer(both, layer.shapes, layer.visibility, layer.division, layer.public)

    def touched(self, revision: int) -> dict[str, str]:
        """The features of which a revision wrote versions, as far as it is seen what it did."""
        was, now = self.model.opens[revision - 1], self.model.opens[revision]
        wrote = {k for k in {*was, *now} if was.get(k, []) != now.get(k, [])}
        before, after = (self._lines(r) for r in (revision - 1, revision))
        found = {}
        for key in wrote:
            old, new = before.get(key, []), after.get(key, [])
            news = [(b, a) for *_, (b, a) in naive._pieces(old, new) if b != a]
            if news:
                gone = all(a is None for _, a in news)
                found[key] = "created" if not old else "retired" if gone else "changed"
        return found

    def _lines(self, revision: int) -> dict[str, list[naive.Version]]:
        found: dict[str, list[naive.Version]] = {}
        for s in self.rows(revision, None) if revision else []:
            said = tuple(sorted((n, v) for n, v in s.values.items() if v is not None))
            found.setdefault(s.key, []).append(naive.Version(s.start, s.end, said))
        return found

    def extent(self) -> tuple[datetime | None, datetime | None, Any]:
        """First start, last end (None: open), and the bounds of all shapes."""
        rows = self.rows(self.model.head, None)
        shapes = [self.layer.shapes[s.values[GEOMETRY]] for s in rows if s.values[GEOMETRY]]
        bounds = shapely.MultiPoint(shapes).bounds if shapes else None
        start = min((s.start for s in rows), default=None)
        end = max((s.end for s in rows), default=None)
        return start, None if end == naive.FOREVER else end, bounds
