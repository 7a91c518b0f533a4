"""Every kind of commit in any order against the naive model: hypothesis' stateful machine.

A machine is one layer; what it holds are worlds, which share nothing but the layer and the
commits: the features of each world have a history of their own, of sources, edits, splits, merges,
reverts, schema changes and passing time. So a machine of thirty worlds is thirty histories, and
hypothesis shrinks a failure to one world and few commits. Rules 1 to 8 of the semantics are asked
of each machine at its end, at every boundary of time, for every revision.
"""

from __future__ import annotations

import copy
import os
import random
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import naive_model as naive
import pairs
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pairs import EVERYTHING, MICROSECOND, POINTS, History, Pair, Step, day

from layers.edits import Edit, Insert, Put, Retire, Supersede, Update
from layers.schemas.documents import parse_schema
from layers.store import Store

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
MACHINES = int(os.environ.get("MACHINES", 1700 if LONG else 30))
WORLDS = 40
ZONE = ZoneInfo("Asia/Shanghai")
# Midnights that do not exist or come twice, the first of standard time, the last of local mean
# time; and the microseconds beside them.
EDGES = [date(1940, 6, 1), date(1986, 5, 4), date(1986, 9, 14), date(1991, 4, 14)]
EDGES += [date(1901, 1, 1), date(1900, 12, 31)]
C, N_TEXT = {"id": "c"}, {"id": "n", "type": "text"}
NOTE = {"id": "note", "visibility": "restricted"}
seeds = st.integers(0, 2**32 - 1)


def schema_with(document: Mapping[str, Any], traits: frozenset[str]) -> tuple[Any, ...]:
    """A schema with some fields added, retired or replaced; and the model's names for them."""
    fields, opens, hidden = [], [], []
    for f in document["fields"]:
        if f["id"] == "n" and "n as text" in traits:
            f = N_TEXT
        if (f["id"] == "n" and "no n" in traits) or (f["id"] == "phone" and "no phone" in traits):
            continue
        fields.append(f)
    fields += [C] if "c" in traits else []
    fields += [NOTE] if "note" in traits else []
    for f in fields:
        token = "n:text" if f is N_TEXT else f["id"]
        if f.get("visibility") == "restricted":
            hidden.append(token)
        elif f.get("role") not in ("valid-from", "valid-to"):
            opens.append(token)
    schema = parse_schema({**document, "fields": fields, "duplicates": "last"})
    return schema, (*opens, "geometry"), tuple(hidden)


class Machine(RuleBasedStateMachine):
    """One layer of many worlds."""

    store: Store
    documents: tuple[Mapping[str, Any], Mapping[str, Any]] = (
        pairs.STATE_SCHEMA,
        pairs.EVENT_SCHEMA,
    )

    pair_type = Pair

    @initialize(event=st.booleans(), worlds=st.integers(1, WORLDS))
    def begin(self, event: bool, worlds: int) -> None:
        pairs.forget_all(self.store.database)
        self.document = {**self.documents[event], "time_zone": ZONE.key}
        self.event, self.worlds = event, range(worlds)
        self.pair = self.pair_type(self.store, f"machine_{event:d}", History((), event, "last"))
        self.pair.schema = schema_with(self.document, frozenset())[0]
        self.traits: frozenset[str] = frozenset()
        self.pins: list[tuple[int, datetime, bytes]] = []
        self.commits = 0
        self._publish(random.Random(worlds), reload=False, zone=None)

    @rule(seed=seeds, reload=st.booleans(), zone=st.sampled_from([None, None, "east", "west"]))
    def publish(self, seed: int, reload: bool, zone: str | None) -> None:
        self._publish(random.Random(seed), reload, None if self.event else zone)

    @rule(seed=seeds, wild=st.integers(0, 9))
    def edit(self, seed: int, wild: int) -> None:
        """Edits in every world; now and then one that can't be, which both must refuse."""
        dice = random.Random(seed)
        edits: list[Edit] = []
        same: list[naive.Edit] = []
        for world in self.worlds:
            for _ in range(dice.choice([0, 1, 1, 2])):
                ours, theirs = self._edit(dice, world)
                if wild == 0 or self._stands(same, theirs):
                    edits.append(ours)
                    same.append(theirs)
        if edits:
            self.pair.edit(edits, same)

    @rule(back=st.integers(0, 3), force=st.booleans())
    def revert(self, back: int, force: bool) -> None:
        revision = max(self.pair.model.head - back, 1)
        if self.pair.revert(revision, force=force):
            traits = self.pair.model.schemas[-1]
            self.traits = next(
                t for t in self._possible() if schema_with(self.document, t)[1:] == traits[1:]
            )

    @precondition(lambda self: self.pair.model.head > 1)
    @rule(trait=st.sampled_from(["c", "no n", "n as text", "note", "no phone"]))
    def change_schema(self, trait: str) -> None:
        """Add a field, retire one, replace one; or take that back."""
        if self.event and trait in ("no n", "n as text", "no phone"):
            trait = "c"
        traits = self.traits ^ {trait}
        if {"no n", "n as text"} <= traits:
            traits -= {"no n"}
        self.traits = frozenset(traits)
        self.pair.change_schema(*schema_with(self.document, self.traits))

    @rule(days=st.sampled_from([0.0, 0.5, 1.0, 3.0, 1 / 86400_000_000]))
    def pass_time(self, days: float) -> None:
        self.pair.now += timedelta(days=days)

    @rule(back=st.integers(0, 5), seed=seeds)
    def pin(self, back: int, seed: int) -> None:
        """Read something pinned on both axes; it must read the same at the end."""
        revision = max(self.pair.model.head - back, 1)
        instant = random.Random(seed).choice(pairs.boundaries(self.pair))
        self.pins.append((revision, instant, self._answer(revision, instant)))

    def teardown(self) -> None:
        if not hasattr(self, "pins") or not self.pair.model.head:
            return
        pairs.check_no_overlap(self.pair)
        pairs.check_tables(self.pair)
        pairs.check_reads(self.pair, (7, 41))
        pairs.check_log(self.pair)
        pairs.check_changes(self.pair)
        pairs.check_touched(self.pair)
        pairs.check_lineage(self.pair)
        for revision, instant, answer in self.pins:
            assert self._answer(revision, instant) == answer

    # What is drawn

    def _publish(self, dice: random.Random, reload: bool, zone: str | None) -> None:
        names = {f.id for f in self.pair.schema.fields} - {"no", "since", "zone", "geometry"}
        whole = {*names, "zone", "geometry", "since"}
        lacking = set(dice.sample(sorted(names), dice.choice([0, 0, 1, 2])))
        lacking -= {"reported"} if self.event else set()
        if self.pair.model.head and not reload:
            lacking |= dice.choice([set(), set(), {"geometry"}])
        rows = tuple(r for w in self.worlds for r in self._rows(dice, w, zone))
        if "geometry" in lacking:
            # A table without geometry tells of features that are known.
            rows = tuple(r for r in rows if self.pair.model.opens[-1].get(r["no"]))
        if rows:
            start = dice.choice([None, None, 0, 1, 3, 6])
            columns = frozenset(whole - lacking)
            self.pair.publish(Step(rows, reload, columns, zone, start))

    def _rows(self, dice: random.Random, world: int, zone: str | None) -> Iterator[dict[str, Any]]:
        least = 0 if world or self.pair.model.head else 1
        for no in dice.choices("123", k=dice.choice([least, 1, 2, 3])):
            key, zone_of = self._key(world, no)
            if zone is not None and zone_of != zone:
                continue
            since = dice.choice([None, *range(8)])
            lasts = dice.choice([None, None, None, 1, 2, 4])
            until = None if lasts is None else (2 if since is None else since) + lasts
            # Open periods that begin at the present may not end before it.
            until = None if since is None else until
            period = {"since": since, "until": until}
            yield {"no": key, "zone": zone_of, **self._values(dice), **period}

    def _key(self, world: int, no: str) -> tuple[str, str]:
        zone = "east" if (world + int(no)) % 2 else "west"
        return f"{zone[0]}{world}-{no}", zone

    def _values(self, dice: random.Random) -> dict[str, Any]:
        text = dice.choice([None, "7", "x"]) if "n as text" in self.traits else None
        number = dice.choice([None, 0, 7])
        return {
            "a": dice.choice(["x", "y", None]),
            "b": dice.choice(["x", "y", None]),
            "c": dice.choice(["x", None]),
            "n": text if "n as text" in self.traits else number,
            "secret": dice.choice(["x", "y", None, None]),
            "phone": dice.choice(["555", None]),
            "note": dice.choice(["x", None]),
            "geometry": dice.choice([0, 1, 2, 3]),
            "reported": dice.choice(range(8)),
        }

    def _edit(self, dice: random.Random, world: int) -> tuple[Edit, naive.Edit]:
        key, zone = self._key(world, dice.choice("123"))
        start, end = self._when(dice), self._when(dice)
        if end is not None and start is not None and _instant(end) <= _instant(start):
            start, end = end, start
        period = {"valid_from": start, "valid_to": dice.choice([None, end])}
        stated = {"start": _or_none(start), "end": _or_none(period["valid_to"])}
        what = dice.choice(["insert", "update", "update", "put", "retire", "supersede"])
        if what == "supersede":
            return self._supersede(dice, world, start)
        if what == "retire":
            return Retire(key, **period), naive.Edit(what, key, **stated)
        ours, theirs = self._stated(dice, key, zone, everything=what != "update")
        geometry = {"geometry": POINTS[theirs["geometry"] or 0]} if "geometry" in theirs else {}
        same = naive.Edit(what, key, values=theirs, **stated)
        if what == "update":
            return Update(key, ours, **geometry, **period), same
        kind = Insert if what == "insert" else Put
        return kind(ours, **geometry, **period), same

    def _supersede(
        self, dice: random.Random, world: int, start: Any
    ) -> tuple[Supersede, naive.Edit]:
        nos = dice.sample("123", 3)
        before = [self._key(world, no)[0] for no in nos[: dice.choice([1, 2])]]
        into: list[Insert] = []
        same = []
        for no in nos[2 if len(before) == 2 else dice.choice([0, 1]) :]:
            key, zone = self._key(world, no)
            ours, theirs = self._stated(dice, key, zone, everything=False)
            shape = dice.choice([0, 1, 2, 3])
            into.append(Insert({**ours, "no": key}, geometry=POINTS[shape]))
            same.append((key, {**theirs, "no": key, "geometry": shape or None}, None))
        edit = Supersede(before, into, start)
        at = _or_none(start)
        return edit, naive.Edit("supersede", start=at, others=tuple(before), into=tuple(same))

    def _stated(
        self, dice: random.Random, key: str, zone: str, *, everything: bool
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Values as an edit has them, and as the model has them."""
        values = self._values(dice)
        fields = {f.id for f in self.pair.schema.fields} - {"no", "since", "until"}
        if not everything:
            fields = set(dice.sample(sorted(fields), dice.choice([1, 2])))
            values |= {"geometry": values["geometry"]} if dice.random() < 0.3 else {}
        ours, theirs = {}, {}
        for name in sorted(fields - {"geometry"}):
            value = zone if name == "zone" else values[name]
            ours[name] = day(value) if name == "reported" else value
            theirs["n:text" if name == "n" and "n as text" in self.traits else name] = ours[name]
        if everything:
            ours["no"] = theirs["no"] = key
        if everything or dice.random() < 0.3:
            theirs["geometry"] = values["geometry"] or None
        return ours, theirs

    def _when(self, dice: random.Random) -> Any:
        near = pairs.day(dice.choice(range(9))) + dice.choice([-1, 0, 0, 0, 1]) * MICROSECOND
        return dice.choice([None, near, near, near, near.isoformat(), dice.choice(EDGES)])

    def _stands(self, same: list[naive.Edit], another: naive.Edit) -> bool:
        trial = copy.copy(self.pair.model)
        trial.opens, trial.restricteds = list(trial.opens), list(trial.restricteds)
        trial.links = list(trial.links)
        key = another.key or another.others[0]
        world = key.partition("-")[0][1:]
        own = [e for e in same if (e.key or e.others[0]).partition("-")[0][1:] == world]
        try:
            trial.edit([*own, another], self.pair.now)
        except naive.Refused:
            return False
        return True

    def _possible(self) -> Iterator[frozenset[str]]:
        traits = ["c", "no n", "n as text", "note", "no phone"]
        for chosen in range(2 ** len(traits)):
            yield frozenset(t for n, t in enumerate(traits) if chosen >> n & 1)

    def _answer(self, revision: int, instant: datetime) -> bytes:
        layer = self.store.layer(self.pair.id, EVERYTHING)
        return repr(layer.at(instant, revision=revision).rows()).encode()


def _instant(when: Any) -> datetime:
    if isinstance(when, str):
        return datetime.fromisoformat(when)
    if isinstance(when, datetime):
        return when
    return datetime.combine(when, time(), ZONE).astimezone(UTC)


def _or_none(when: Any) -> datetime | None:
    return None if when is None else _instant(when)


def test_any_sequence_of_commits_gives_what_the_model_gives(own_store: Store) -> None:
    class OnThisStore(Machine):
        store = own_store

    run_state_machine_as_test(
        OnThisStore,
        settings=settings(
            max_examples=MACHINES,
            stateful_step_count=12,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            report_multiple_bugs=False,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
