"""Writers with random permits, and random commits, against the naive permits: refused, or done.

Each step is tried (a dry run) and then done by the store, and by the model. What the model refuses
the store must refuse both times, with nothing written; what it takes must be so afterwards.
"""

from __future__ import annotations

import copy
import os
import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import naive_model as naive
import pairs
import shapely
from hypothesis import given, note
from hypothesis import strategies as st
from naive_permits import BoundedLayer
from pairs import POINTS, WRITER, Pair, Step, day
from test_sights import WorldOfSights, draw_instant, few
from test_store_machine import schema_with

from layers.commits import Change
from layers.edits import Edit, Update
from layers.errors import LayersError
from layers.keeping.verify import verify
from layers.report import Report
from layers.store import Store
from layers.territories import Territory
from layers.writers import Permit, Verb, Writer

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
EXAMPLES = int(os.environ.get("PERMITS", 300 if LONG else 5))
STEPS = 25
BOTH = frozenset({Verb.EDIT, Verb.PUBLISH})


class BoundedPair(Pair):
    """A pair that tries each commit first, and counts what came of them."""

    refused: Counter[str]

    def _commit(self, change: Change) -> Report | LayersError:
        before = self._head()
        clock = self.store.with_clock(lambda: self.now)
        tried: Report | LayersError
        try:
            dry = clock.commit({self.id: change}, self.writer, "try", dry_run=True)
            tried = dry.reports[self.id]
        except LayersError as error:
            tried = error
        done = super()._commit(change)
        if isinstance(tried, Report) and isinstance(done, Report):
            counts = [(r.created, r.changed, r.retired) for r in (tried, done)]
            assert counts[0] == counts[1]
        else:
            assert type(tried) is type(done), f"tried: {tried}; done: {done}"
            assert self._head() == before
        return done

    def _head(self) -> int:
        with self.store.database.inspect() as connection:
            found = connection.exec_driver_sql(
                "SELECT (SELECT coalesce(max(head), 0) FROM shikong.layer), "
                "(SELECT count(*) FROM shikong.revision), (SELECT count(*) FROM shikong.commit), "
                "(SELECT count(*) FROM shikong.layer_schema)"
            ).one()
        return hash(tuple(found))


class Office(WorldOfSights):
    """A layer that is changed by many writers."""

    pair_type = BoundedPair

    def open(self, dice: random.Random) -> None:
        """Make a layer with some history, which everybody may change."""
        self.dice = dice
        self.begin(event=dice.random() < 0.3, worlds=4)  # type: ignore[call-arg]
        self.edit(dice.randrange(10**6), 1)
        self.hide(dice.randrange(10**6))
        self.pair.now += timedelta(days=1)
        self.pair.model = BoundedLayer.of(self.pair.model, POINTS, "a")
        self.done: Counter[tuple[str, bool]] = Counter()

    @property
    def model(self) -> BoundedLayer:
        assert isinstance(self.pair.model, BoundedLayer)
        return self.pair.model

    def step(self) -> None:
        """One commit by somebody with random permits; now and then, by one without bounds."""
        dice = self.dice
        permits = tuple(draw_permit(dice, self.event) for _ in range(dice.choice([1, 1, 2, 3])))
        bounded = dice.random() < 0.9
        self.pair.writer = Writer("somebody", permits) if bounded else WRITER
        self.model.permits = self.model.counting = permits if bounded else None
        self.model.now = self.pair.now
        what = dice.choice("publish publish edit edit edit hide hide revert schema".split())
        note(f"{what} by {permits if bounded else 'all'}, at {self.pair.now}")
        head = self.model.head
        getattr(self, f"_{what}_one")(permits)
        self.done[what, self.model.head > head] += 1
        self.pair.now += timedelta(days=dice.choice([0.0, 0.0, 0.5]))

    def check(self) -> None:
        """All that is in the tables is what the model has."""
        pairs.check_tables(self.pair)
        pairs.check_touched(self.pair)
        assert [str(fault) for fault in verify(self.pair.store.database)] == []

    # What is done

    def _publish_one(self, permits: tuple[Permit, ...]) -> None:
        dice, reload = self.dice, self.dice.random() < 0.5
        names = {f.id for f in self.pair.schema.fields} | {"geometry"}
        needed = {"no", "since", "zone", "reported", "geometry"}
        lacking = set(dice.sample(sorted(names - needed), 1))
        if dice.random() < 0.85:
            lacking |= self.model.kept
        rows = [r for w in self.worlds for r in self._rows(dice, w, None)]
        if dice.random() < 0.85:
            rows = [r for r in rows if self._is_ours(r)]
        if dice.random() < 0.5:
            rows = [r | {"since": (r["since"] or 4) % 6, "until": 6} for r in rows]
        if rows:
            start = dice.choice([None, None, 0, 1, 3, 6])
            columns = frozenset(names - {n.partition(":")[0] for n in lacking})
            self.pair.publish(Step(tuple(rows), reload, columns, None, start))

    def _is_ours(self, row: dict[str, Any]) -> bool:
        """Whether a row, and all that is known of its feature, lies where the writer may write."""
        values = row | {"reported": day(row["reported"]), "geometry": row["geometry"] or None}
        known = self.model.opens[-1].get(row["no"], [])
        every = [values, *(dict(v.content or ()) for v in known)]
        return all(self.model.within(v) for v in every)

    def _edit_one(self, permits: tuple[Permit, ...]) -> None:
        edits: dict[str, tuple[Edit, naive.Edit]] = {}
        for _ in range(30):
            ours, theirs = self._edit(self.dice, self.dice.choice(self.worlds))
            alone = theirs.what == "supersede"
            if (alone and edits) or not (self._can_be([theirs]) or self.dice.random() < 0.1):
                continue
            edits.setdefault(theirs.key, (ours, theirs))
            if alone or len(edits) == 2 or self.dice.random() < 0.5:
                break
        if edits:
            self.pair.edit([o for o, _ in edits.values()], [t for _, t in edits.values()])

    def _hide_one(self, permits: tuple[Permit, ...]) -> None:
        """Some fields of one feature, within the time of a permit."""
        dice, model = self.dice, self.model
        known = sorted(k for k, versions in model.opens[-1].items() if versions)
        if not known:
            return
        key = dice.choice(known)
        v = dice.choice(model.opens[-1][key])
        permit = dice.choice(permits)
        start = max(v.start, permit.territory.start or v.start)
        end = min(v.end, permit.territory.end or dice.choice([v.end, start + timedelta(days=1)]))
        if start >= end:
            return
        names = [n for n in ("a", "b", "secret", "phone") if self.pair.schema.find(n)]
        mine = [n for n in names if n in (permit.fields or ())] or names
        chosen = dice.sample(mine, dice.choice([1, 1, len(mine)]))
        stated = {n: dice.choice(["x", "y", None]) for n in chosen}
        until = None if end == naive.FOREVER else end
        edit = Update(key, stated, valid_from=start, valid_to=until)
        self.pair.edit([edit], [naive.Edit("update", key, start, until, stated)])

    def _revert_one(self, permits: tuple[Permit, ...]) -> None:
        back = self.dice.choice([0, 0, 1, 2])
        if self.pair.revert(max(self.model.head - back, 1), force=self.dice.random() < 0.5):
            self.traits = frozenset() if "c" not in self.model.open_fields else frozenset({"c"})

    def _schema_one(self, permits: tuple[Permit, ...]) -> None:
        traits = frozenset() if self.traits else frozenset({"c"})
        if self.pair.change_schema(*schema_with(self.document, traits)):
            self.traits = traits

    def _can_be(self, same: list[naive.Edit]) -> bool:
        trial = copy.copy(self.model)
        trial.permits = trial.counting = None
        try:
            trial.edit(same, self.pair.now)
        except naive.Refused:
            return False
        return True


def draw_permit(dice: random.Random, event: bool) -> Permit:
    division = dice.choice([None, None, "x", "x", "y", "xy"])
    box: bytes | None = None
    if dice.random() < 0.2:
        west, east = dice.choice([(-0.5, 0.5), (-0.5, 1), (0.5, 2.5), (1, 2), (-1, 3)])
        box = bytes(shapely.to_wkb(shapely.box(west, 0, east, 2)))
    start: datetime | None = None
    end: datetime | None = None
    if dice.random() < 0.3:
        start = draw_instant(dice)
        end = dice.choice([None, start + timedelta(days=dice.randint(2, 6))])
    territory = Territory() if dice.random() < 0.25 else Territory(division, box, start, end)
    fields = None
    if dice.random() < 0.3:
        fields = frozenset(dice.sample(["a", "b", "n", "secret", "phone"], dice.choice([1, 2, 3])))
    verbs = dice.choice([BOTH, BOTH, BOTH, BOTH, frozenset({Verb.EDIT}), frozenset({Verb.PUBLISH})])
    return Permit(verbs, "*", territory, fields, restricted=dice.random() < 0.4)


@few(EXAMPLES)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_writer_does_what_the_naive_permits_allow(own_store: Store, seed: int) -> None:
    office = Office()
    office.store = own_store
    office.open(random.Random(seed))
    for _ in range(STEPS):
        office.step()
    office.check()
    note(f"{sorted(office.done.items())}")
