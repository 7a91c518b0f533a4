"""What readers see of random layers, against the naive sight: every read that the store has.

A world is a layer with a random history of every kind of commit (`test_store_machine`), made once.
An example is a reader with random views, and random questions.
"""

from __future__ import annotations

import itertools
import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import naive_model as naive
import pairs
import pytest
import shapely
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from naive_sights import GEOMETRY, Layer, NaiveSight, Seen, When
from pairs import MICROSECOND, POINTS, Pair, day, plain, shape_number
from test_store_machine import Machine

from layers import catalog
from layers.edits import Update
from layers.errors import BadQuery
from layers.model import Visibility
from layers.published import PublishedLayer
from layers.readers import Reader, View
from layers.reading.snapshots import Snapshot
from layers.store import Store, open_store
from layers.territories import Territory
from spatial.periods import Interval
from tests.databases import Databases

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
EXAMPLES = int(os.environ.get("SIGHTS", 3000 if LONG else 40))
SEEDS = range(20 if LONG else 2)
COMMITS = 9
# Who may see which field; a field of another type is another one.
VISIBILITY = {
    "b": "internal",
    "n": "internal",
    # pragma: allowlist nextline secret - letters that values are made of
    "secret": "restricted",
    "phone": "restricted",
    "note": "restricted",
}
EDGES = [-1, 0, 0.5, 1, 1.5, 2, 3]


def with_visibility(document: Any) -> dict[str, Any]:
    """The division is a field that changes, so that features move, and is lacking now and then."""
    shown = [f | {"visibility": VISIBILITY.get(f["id"], "public")} for f in document["fields"]]
    return {**document, "fields": shown, "division": "a"}


class WorldOfSights(Machine):
    documents = (with_visibility(pairs.STATE_SCHEMA), with_visibility(pairs.EVENT_SCHEMA))

    def hide(self, seed: int) -> None:
        """Write restricted fields for a part of what is: versions are split there."""
        dice, model = random.Random(seed), self.pair.model
        edits, same = [], []
        for key, versions in sorted(model.opens[-1].items()):
            if not versions:
                continue
            v = dice.choice(versions)
            start = v.start + dice.choice([0.0, 0.5, 1.0]) * timedelta(days=1)
            if dice.random() < 0.7 and start < v.end:
                end = dice.choice([None, start + timedelta(days=1)])
                stated = {dice.choice(model.restricted_fields): dice.choice(["x", "y", None])}
                edits.append(Update(key, stated, valid_from=start, valid_to=end))
                same.append(naive.Edit("update", key, start, end, stated))
        if edits:
            self.pair.edit(edits, same)


@dataclass
class World:
    """A layer with a history, to be read by many."""

    pair: Pair
    public: bool = False

    def show(self, public: bool) -> None:
        """Make the layer public, or internal."""
        if public is not self.public:
            visibility = Visibility.PUBLIC if public else Visibility.INTERNAL
            with self.pair.store.database.own() as connection:
                catalog.set_visibility(connection, self.pair.id, visibility)
            self.public = public


def make_world(store: Store, seed: int, event: bool) -> World:
    """A layer after some random commits of each kind."""
    dice = random.Random(seed)
    machine = WorldOfSights()
    machine.store = store
    machine.begin(event=event, worlds=5)  # type: ignore[call-arg]
    for _ in range(COMMITS):
        what = dice.choice(
            ["publish", "publish", "edit", "edit", "hide", "hide", "revert", "schema"]
        )
        if what == "publish":
            machine.publish(dice.randrange(10**6), dice.random() < 0.4, None)
        elif what == "edit":
            machine.edit(dice.randrange(10**6), 1)
        elif what == "hide":
            machine.hide(dice.randrange(10**6))
        elif what == "revert":
            machine.revert(dice.randrange(3), dice.random() < 0.7)
        elif machine.pair.model.head > 1:
            machine.change_schema(dice.choice(["c", "no n", "n as text", "note", "no phone"]))
        machine.pass_time(dice.choice([0.0, 0.5, 1.0]))
    return World(machine.pair)


@pytest.fixture(scope="module")
def worlds(empty_template: str, make_database: Databases) -> Iterator[list[World]]:
    with ExitStack() as stack:
        made = []
        for seed, event in itertools.product(SEEDS, (False, True)):
            store = stack.enter_context(closing(open_store(make_database(empty_template))))
            made.append(make_world(store, seed, event))
        yield made


# What is drawn: by a seed, as hypothesis' own draws prefer what is small and alike


def draw_instant(dice: random.Random) -> datetime:
    return day(dice.randint(-1, 9)) + dice.choice([-1, 0, 0, 0, 1]) * MICROSECOND


def draw_when(dice: random.Random) -> When:
    first = draw_instant(dice)
    last = first + timedelta(days=dice.randint(0, 3))
    return dice.choice(
        [first, first, None, (first, last), (first, last), (first, None), (None, first)]
    )


def draw_territory(dice: random.Random, timed: float) -> Territory:
    division = dice.choice([None, None, None, "x", "x", "y", "y", "xy", "%", "_"])
    box = None
    if dice.random() < 0.25:
        west, east = sorted(dice.sample(EDGES, 2))
        box = bytes(shapely.to_wkb(shapely.box(west, dice.choice([0, 1]), east, 2)))
    start: datetime | None = None
    end: datetime | None = None
    if dice.random() < timed:
        start = draw_instant(dice)
        end = start + timedelta(days=dice.randint(1, 4))
        bounds = dice.choice(["both", "both", "start", "end"])
        start, end = (start if bounds != "end" else None), (end if bounds != "start" else None)
    return Territory(division, box, start, end)


def draw_view(dice: random.Random, timed: float) -> View:
    territory = Territory() if dice.random() < 0.2 - timed / 5 else draw_territory(dice, timed)
    names = ["internal", "internal", "restricted", "secret", "phone", "note", "b", "n"]
    return View(
        territory=territory, fields=frozenset(dice.sample(names, dice.choice([0, 1, 1, 2])))
    )


def draw_query(dice: random.Random) -> dict[str, Any]:
    """Parts of a Query."""
    found: dict[str, Any] = {}
    if dice.random() < 0.3:
        west, east = sorted(dice.choices(EDGES, k=2))
        found["bbox"] = (west, 0.0, east, dice.choice([0.5, 1.0, 2.0]))
        found["placeless"] = dice.random() < 0.5
    if dice.random() < 0.25:
        found["equal"] = {dice.choice("abc"): dice.choice("xy")}
    if dice.random() < 0.4:
        condition = dice.choice(["x", "y", None, ["x", None], ["y"], ("!=", "x"), (">", "x")])
        found["where"] = {dice.choice(["a", "b", "b", "c", "secret"]): condition}
    if dice.random() < 0.2:
        names = [f"{zone}{n}-{no}" for zone in "ew" for n in range(3) for no in "123"]
        found["ids"] = dice.sample(names, 6)
    return found


# What the naive sight makes of a query


def narrowed(rows: list[Seen], query: dict[str, Any]) -> list[Seen]:
    return [
        s
        for s in rows
        if ("ids" not in query or s.key in query["ids"])
        and ("bbox" not in query or in_box(s, query))
        and all(s.values.get(n) == v for n, v in query.get("equal", {}).items())
        and all(n in s.values and fits(s.values[n], c) for n, c in query.get("where", {}).items())
    ]


def in_box(s: Seen, query: dict[str, Any]) -> bool:
    shape = POINTS[s.values[GEOMETRY] or 0]
    return query["placeless"] if shape is None else shapely.box(*query["bbox"]).intersects(shape)


def fits(value: Any, condition: Any) -> bool:
    if isinstance(condition, list):
        return value in condition
    if isinstance(condition, tuple):
        sign, other = condition
        return value is not None and (value != other if sign == "!=" else value > other)
    return bool(value == condition)


# What the store says


def told_by(snapshot: Snapshot) -> list[Any]:
    """What the rows of a snapshot tell, in their order."""
    shown = snapshot.shown
    found = []
    for row in snapshot.rows():
        shape = None if row._geom is None else shapely.from_geojson(row._geom)
        values = shown.properties(row) | {GEOMETRY: shape_number(shape)}
        end = row._valid_to or naive.FOREVER
        found.append((row._fid, row._valid_from, end, tuple(sorted(values.items()))))
    return found


def by_id(s: Seen) -> Any:
    """What a naive version tells, with fields by their ids."""
    values = sorted((n.partition(":")[0], v) for n, v in s.values.items())
    return s.key, s.start, s.end, tuple(values)


def few(examples: int) -> settings:
    """Of large worlds few examples can be had, and none is made smaller: a seed says nothing."""
    return settings(
        max_examples=examples,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def snapshot_of(layer: PublishedLayer, when: When, revision: int) -> Snapshot:
    if when is None:
        return layer.history(revision=revision)
    asked = Interval(*when) if isinstance(when, tuple) else when
    return layer.at(asked, revision=revision)


@few(EXAMPLES)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_reader_sees_what_the_naive_sight_sees(worlds: list[World], seed: int) -> None:
    dice = random.Random(seed)
    world, public = dice.choice(worlds), dice.random() < 0.3
    timed, many = dice.choice([0.2, 0.5, 1.0]), [0, 1, 2, 3] if public else [1, 1, 2, 3]
    views = [draw_view(dice, timed) for _ in range(dice.choice(many))]
    note(f"{world.pair.schema.kind}, public: {public}, {views}")
    world.show(public)
    pair = world.pair
    sight = NaiveSight(Layer(pair.model, POINTS, VISIBILITY, "a", public), views)
    reader = Reader("key:test", tuple(views))
    layer = pair.store.with_clock(lambda: pair.now).layer(pair.id, reader)
    for _ in range(6):
        check_time(sight, layer, pair, draw_when(dice))
    for _ in range(2):
        check_rows(dice, sight, layer, pair)
    check_differences(dice, sight, layer)
    check_log(dice, sight, layer)
    check_extent(sight, layer)


def check_time(sight: NaiveSight, layer: PublishedLayer, pair: Pair, when: When) -> None:
    """All that is seen of an instant, an interval or every time, now and halfway back."""
    for revision in {sight.model.head, (sight.model.head + 1) // 2}:
        note(f"revision {revision}, {when}")
        expected = sight.rows(revision, when, restricted=True, now=pair.now)
        assert told_by(snapshot_of(layer, when, revision)) == [by_id(s) for s in expected]


def check_rows(dice: random.Random, sight: NaiveSight, layer: PublishedLayer, pair: Pair) -> None:
    """A snapshot with a filter: its fields, rows, count, frame, table and pages."""
    head = sight.model.head
    revision = dice.choice([head, dice.randint(1, head)])
    when, query = draw_when(dice), draw_query(dice)
    note(f"revision {revision}, {when}, {query}")
    rows = sight.rows(revision, when, restricted=True, now=pair.now)
    snapshot = snapshot_of(layer, when, revision).where(**query)
    opens = [n.partition(":")[0] for n in sight.fields(revision)]
    hidden = [n.partition(":")[0] for n in sight.restricted(revision)]
    assert sorted(snapshot.fields) == sorted(opens + hidden)
    if {*query.get("equal", {}), *query.get("where", {})} - {*opens}:
        with pytest.raises(BadQuery):
            snapshot.rows()
        return
    expected = [by_id(s) for s in narrowed(rows, query)]
    assert told_by(snapshot) == expected
    assert snapshot.count() == len(expected)
    check_frame(snapshot, expected)
    assert list(paged(snapshot, dice.choice([2, 5, 11]))) == expected
    open_only = snapshot_of(layer, when, revision).where(restricted=False, **query)
    plainly = sight.rows(revision, when, now=pair.now)
    assert told_by(open_only) == [by_id(s) for s in narrowed(plainly, query)]


def check_frame(snapshot: Snapshot, expected: list[Any]) -> None:
    """In a frame, and in an Arrow table, what is absent has no value."""
    frame, table = snapshot.read(), snapshot.table().to_pylist()
    assert len(frame) == len(table) == len(expected)
    for (key, row), plainly, (fid, start, end, values) in zip(
        frame.iterrows(), table, expected, strict=True
    ):
        assert (key, plain(row["valid_from"])) == (plainly["id"], plainly["valid_from"])
        assert (key, plain(row["valid_from"])) == (fid, start)
        assert (plain(row["valid_to"]) or naive.FOREVER) == end
        told = dict(values)
        assert shape_number(row["geometry"]) == told.pop(GEOMETRY)
        assert {n: plain(row[n]) for n in snapshot.fields} == dict.fromkeys(snapshot.fields) | told
        assert {n: plainly[n] for n in snapshot.fields} == dict.fromkeys(snapshot.fields) | told


def paged(snapshot: Snapshot, limit: int) -> Iterator[Any]:
    """All rows, page by page; the last page is empty."""
    after: tuple[str, datetime] | None = None
    for _ in range(1000):
        page = told_by(snapshot.where(after=after, limit=limit))
        assert len(page) <= limit
        yield from page
        if not page:
            return
        after = page[-1][:2]


def check_differences(dice: random.Random, sight: NaiveSight, layer: PublishedLayer) -> None:
    for same in (False, True):
        old, new = ((dice.randint(1, sight.model.head), draw_instant(dice)) for _ in range(2))
        new = (new[0], old[1]) if same else new
        before, after = (layer.at(when, revision=r) for r, when in (old, new))
        found = {c.id: (c.kind, c.fields) for c in layer.diff(before, after)}
        expected = {
            k: (how, tuple(n.partition(":")[0] for n in names))
            for k, (how, names) in sight.differences(old, new).items()
        }
        assert found == expected


def check_log(dice: random.Random, sight: NaiveSight, layer: PublishedLayer) -> None:
    """What a revision did, version by version and feature by feature, and its counts."""
    number = dice.randint(1, sight.model.head)
    note(f"the log of revision {number}")
    told = sight.touched(number)
    assert dict(layer.touched(number)) == told
    gone, come = sight.changes(number)
    changes = list(layer.changes(number - 1, number))
    for kind, expected in (("retracted", gone), ("asserted", come)):
        found = Counter(told_of(c.version) for c in changes if c.kind == kind)
        assert found == Counter({by_name(t): n for t, n in expected.items()})
    order = [(c.version.id, c.version.valid_from) for c in changes]
    assert order == sorted(order)
    revision, at = layer.revision(number), layer.revision(number).commit.recorded_at
    kinds = Counter(told.values())
    counted = (revision.n_created, revision.n_changed, revision.n_retired)
    assert counted == (kinds["created"], kinds["changed"], kinds["retired"])
    assert revision.n_live == len(sight.rows(number, at))
    assert next(r for r in layer.revisions() if r.number == number) == revision


def told_of(version: Any) -> Any:
    shape = None if version.geometry is None else shapely.from_wkb(version.geometry)
    values = {**version.properties, GEOMETRY: shape_number(shape)}
    end = version.valid_to or naive.FOREVER
    return version.id, version.valid_from, end, tuple(sorted(values.items()))


def by_name(told: Any) -> Any:
    key, start, end, values = told
    return key, start, end, tuple(sorted((n.partition(":")[0], v) for n, v in values))


def check_extent(sight: NaiveSight, layer: PublishedLayer) -> None:
    start, end, bounds = sight.extent()
    found = layer.extent()
    assert (found.start, found.end) == (start, end)
    assert (found.bounds is None) == (bounds is None)
    if bounds is not None:
        assert found.bounds == pytest.approx(bounds)
