"""What a writer may change of a layer, told plainly: the naive model, with the writer's permits.

Read it as the specification of bounded writes. The rules of the naive model hold, and:

1. A permit has verbs, a territory, fields (all open ones, where none are named), and says whether
   restricted fields may be stated. It is unbounded where it has neither territory nor fields.
2. To reload, to change the schema, and to take such a change back is to publish, all else to edit;
   what is of the layer as a whole needs an unbounded permit. The permits that count are those.
3. A restricted field that none of them is of may not be stated. A reload, or an upsert, leaves it
   as it is; a feature that is there can't be put.
4. A reload asserts no absence of versions outside the permits' territories, and none of them may
   overlap a row of the same feature. An edit or a revert names no feature that is outside: by its
   rows in force, or by all of them where none is.
5. Whatever a commit did: of each feature that it touched, all versions that it made or took away
   lie in territories of the permits, and so do those in force.
6. At each instant at which a feature becomes another, permits of the place and of the time, before
   and after, are of the fields that change; of a feature that comes or goes, one without fields.
7. Links are told and taken back by permits without fields.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import naive_model as naive
import shapely

from layers.territories import Territory
from layers.writers import Permit, Verb


class BoundedLayer(naive.NaiveLayer):
    """A naive layer that is changed by somebody with permits; by anybody, where they are None."""

    shapes: Sequence[Any] = ()
    division: str = ""
    permits: tuple[Permit, ...] | None = None
    # The permits that count for the commit that is under way.
    counting: tuple[Permit, ...] | None = None
    # When versions that were over were last put away: others are in force.
    swept: datetime = datetime.min.replace(tzinfo=UTC)
    # The present, for what no source or edit says.
    now: datetime = swept
    _publishing = False

    @classmethod
    def of(cls, layer: naive.NaiveLayer, shapes: Sequence[Any], division: str) -> BoundedLayer:
        """The same layer, bounded."""
        found = cls((), (), event=layer.event, duplicates=layer.duplicates, keys=layer.keys)
        found.__dict__.update(layer.__dict__)
        found.shapes, found.division = shapes, division
        return found

    # Commits

    def commit(self, publish: naive.Publish) -> naive.Counts | None:
        def change(trial: BoundedLayer) -> naive.Counts | None:
            trial._publishing = True
            return naive.NaiveLayer.commit(trial, publish)

        verb = Verb.PUBLISH if publish.reload else Verb.EDIT
        return self._try(verb, publish.now, change)

    def edit(self, edits: Sequence[naive.Edit], now: datetime) -> naive.Counts | None:
        def change(trial: BoundedLayer) -> naive.Counts | None:
            trial._check_edits(edits)
            return naive.NaiveLayer.edit(trial, edits, now)

        return self._try(Verb.EDIT, now, change)

    def revert(self, revision: int, *, force: bool) -> naive.Counts | None:
        def change(trial: BoundedLayer) -> naive.Counts | None:
            trial._check_named(trial._changed_in(revision))
            return naive.NaiveLayer.revert(trial, revision, force=force)

        of_schema = revision > 1 and revision in [since for since, *_ in self.schemas]
        verb = Verb.PUBLISH if of_schema else Verb.EDIT
        return self._try(verb, self.now, change, whole=of_schema)

    def change_schema(self, open_fields: Iterable[str], restricted: Iterable[str]) -> bool:
        self._count(Verb.PUBLISH, whole=True)
        return super().change_schema(open_fields, restricted)

    def _try(
        self,
        verb: Verb,
        now: datetime,
        change: Callable[[BoundedLayer], naive.Counts | None],
        *,
        whole: bool = False,
    ) -> naive.Counts | None:
        trial = copy.copy(self)
        trial.opens, trial.restricteds = list(self.opens), list(self.restricteds)
        trial.links, trial.schemas = list(self.links), list(self.schemas)
        trial._count(verb, whole=whole)
        counts = change(trial)
        if counts is not None:
            trial.swept = now
            trial._check_effect(self)
            self.__dict__.update(trial.__dict__, _publishing=False)
        return counts

    def _count(self, verb: Verb, *, whole: bool) -> None:
        if self.permits is None:
            return
        found = tuple(p for p in self.permits if verb in p.verbs)
        self.counting = tuple(p for p in found if p.is_unbounded) if whole else found
        if not self.counting:
            raise naive.Refused("no permit is of that")

    # What the rules say

    @property
    def kept(self) -> set[str]:
        """Rule 3: restricted fields that no permit is of."""
        permits = self.counting
        if permits is None:
            return set()
        return {n for n in self.restricted_fields if not any(self._is_of(p, n) for p in permits)}

    def lies(self, values: Mapping[str, Any], where: Territory) -> bool:
        """Whether what is so lies in a territory; of events, when they were reported as well."""
        if where.division is not None:
            code = values.get(self.division)
            if code is None or not code.startswith(where.division):
                return False
        if where.area is not None:
            shape = self.shapes[values.get("geometry") or 0]
            if shape is None or not shapely.from_wkb(where.area).intersects(shape):
                return False
        if self.event and (where.start is not None or where.end is not None):
            reported = values["reported"]
            early = reported is None or (where.start is not None and reported < where.start)
            return not early and (where.end is None or reported < where.end)
        return True

    def within(self, values: Mapping[str, Any]) -> bool:
        """Whether what is so lies in the territory of a permit that counts."""
        permits = self.counting
        return permits is None or any(self.lies(values, p.territory) for p in permits)

    def in_force(self, key: str) -> list[naive.Version]:
        return [v for v in self.opens[-1].get(key, []) if v.end > self.swept]

    def _is_of(self, permit: Permit, name: str) -> bool:
        named = permit.fields is None or name.partition(":")[0] in permit.fields
        return named and (permit.restricted or name not in self.restricted_fields)

    def _check_named(self, keys: Iterable[str]) -> None:
        for key in keys:
            rows = self.in_force(key) or self.opens[-1].get(key, [])
            if not all(self.within(dict(v.content or ())) for v in rows):
                raise naive.Refused("a feature that is named lies elsewhere")

    def _check_edits(self, edits: Sequence[naive.Edit]) -> None:
        stated = {n for e in edits for n in e.values}
        stated |= {n for e in edits for _, values, _ in e.into for n in values}
        if stated & self.kept:
            raise naive.Refused("a restricted field is stated")
        named = {e.key for e in edits if e.key} | {k for e in edits for k in e.others}
        self._check_named(named | {key for e in edits for key, *_ in e.into})
        if self.kept and any(e.what == "put" and self.opens[-1].get(e.key) for e in edits):
            raise naive.Refused("all of a feature is put, with its restricted fields")

    def _check_effect(self, before: BoundedLayer) -> None:
        permits = self.counting
        if permits is None:
            return
        if before.links != self.links and all(p.fields is not None for p in permits):
            raise naive.Refused("links are told with permits of fields alone")
        touched = self._changed_in(self.head)
        for key in touched:
            old, new = before.opens[-1].get(key, []), self.opens[-1].get(key, [])
            rows = [v for v in (*old, *new) if v not in old or v not in new]
            rows += self.in_force(key)
            if not all(self.within(dict(v.content or ())) for v in rows):
                raise naive.Refused("what was touched lies elsewhere")
            self._check_steps(key, old, new)

    def _check_steps(self, key: str, old: list[naive.Version], new: list[naive.Version]) -> None:
        lines = [
            [naive.Version(s, t, tuple(values.items())) for s, t, values in self._whole(key, r)]
            for r in (self.head - 1, self.head)
        ]
        for start, end, (was, now) in naive._pieces(*lines):
            if was == now:
                continue
            places = [
                dict(v.content or ()) for v in (*old, *new) if v.start < end and v.end > start
            ]
            for values in places:
                permits = [p for p in self.counting or () if self._holds(p, values, start, end)]
                if not self._allow(permits, was, now):
                    raise naive.Refused("no permit of the place and the time is of what changed")

    def _holds(
        self, permit: Permit, values: Mapping[str, Any], start: datetime, end: datetime
    ) -> bool:
        where = permit.territory
        if not self.lies(values, where):
            return False
        early = where.start is not None and start < where.start
        return self.event or not (early or (where.end is not None and end > where.end))

    def _allow(self, permits: Sequence[Permit], was: Any, now: Any) -> bool:
        if was is None or now is None:
            return any(p.fields is None for p in permits)
        old, new = dict(was), dict(now)
        changed = [n for n in old if old[n] != new[n]]
        return all(
            any(self._is_of(p, n) for p in permits if n != "geometry" or p.fields is None)
            for n in changed
        )

    # Sources

    def _rows(self, publish: naive.Publish, effective: datetime) -> list[naive.Row]:
        rows = super()._rows(publish, effective)
        if any(n in r.values for r in publish.rows for n in self.kept):
            raise naive.Refused("a restricted field is stated")
        for key, spans in self._periods(rows).items():
            for start, end, _ in spans:
                for v in self.opens[-1].get(key, []):
                    overlaps = v.start < end and v.end > start
                    if overlaps and not self.within(dict(v.content or ())):
                        raise naive.Refused("a row is of a feature that lies elsewhere")
        return rows

    def _filled(self, row: naive.Row, publish: naive.Publish) -> naive.Row:
        filled = super()._filled(row, publish)
        values = dict(filled.values)
        for v in self.restricteds[-1].get(row.key, []):
            if row.start is not None and v.start <= row.start < v.end:
                values |= {n: x for n, x in dict(v.content or ()).items() if n in self.kept}
        return naive.Row(row.key, row.start, row.end, values)

    def _voids(self, before: naive.Belief, *others: Any) -> naive.Belief:
        inside = {
            key: [v for v in versions if self.within(dict(v.content or ()))]
            for key, versions in before.items()
        }
        return super()._voids(inside, *others)

    def _assert(self, stated: Any, voids: naive.Belief) -> naive.Counts | None:
        # Where nothing restricted may be stated, only absences say anything of it.
        if self._publishing and self.kept and self.kept == set(self.restricted_fields):
            wanted = self._news(self.opens[-1], naive._assertions(stated, self._open), voids)
            hidden = self._news(self.restricteds[-1], voids)
            if not wanted and not hidden:
                return None
            counts = naive._counts(self.opens[-1], wanted)
            self._append(wanted, hidden)
            return counts
        return super()._assert(stated, voids)
