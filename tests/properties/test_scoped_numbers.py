"""Changes and counts as readers of a territory are told them, against the naive sight.

A count is that of the versions that the reader sees: of events those that they see reported in a
period, of things that last those that they see in the time asked which are there at an instant.
Who does not see the field that is counted by in some version does not count that version.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from naive_sights import Layer, NaiveSight, Seen, When
from pairs import POINTS, Pair, plain
from test_sights import (
    EXAMPLES,
    VISIBILITY,
    World,
    by_name,
    draw_instant,
    draw_query,
    draw_view,
    draw_when,
    few,
    narrowed,
    snapshot_of,
    told_of,
    worlds,
)

from layers.errors import BadQuery
from layers.published import PublishedLayer
from layers.readers import Reader
from layers.reading.changes import ASSERTED, Place
from layers.reading.histograms import Grouping, Histogram
from layers.reading.snapshots import Snapshot

__all__ = ["worlds"]


@few(EXAMPLES)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_reader_is_told_of_what_they_see_alone(worlds: list[World], seed: int) -> None:
    dice = random.Random(seed)
    world, public = dice.choice(worlds), dice.random() < 0.3
    timed, many = dice.choice([0.2, 0.5, 1.0]), [0, 1, 2, 3] if public else [1, 1, 2, 3]
    views = [draw_view(dice, timed) for _ in range(dice.choice(many))]
    note(f"{world.pair.schema.kind}, public: {public}, {views}")
    world.show(public)
    pair = world.pair
    sight = NaiveSight(Layer(pair.model, POINTS, VISIBILITY, "a", public), views)
    layer = pair.store.with_clock(lambda: pair.now).layer(pair.id, Reader("key:test", tuple(views)))
    check_changes(dice, sight, layer)
    for _ in range(6):
        check_counts(dice, sight, layer, pair)


# Changes


def check_changes(dice: random.Random, sight: NaiveSight, layer: PublishedLayer) -> None:
    head = sight.model.head
    check_span(dice, sight, layer, 0, head)
    check_span(dice, sight, layer, *sorted(dice.randint(0, head) for _ in range(2)))


def check_span(
    dice: random.Random, sight: NaiveSight, layer: PublishedLayer, first: int, last: int
) -> None:
    """What several revisions did, each by itself; and the rest after any of it."""
    note(f"changes from {first} to {last}")
    found = list(layer.changes(first, last))
    expected: Counter[Any] = Counter()
    for revision in range(first + 1, last + 1):
        for kind, told in zip(("retracted", "asserted"), sight.changes(revision), strict=True):
            expected.update({(revision, kind, by_name(t)): n for t, n in told.items()})
    assert Counter((c.revision, c.kind, told_of(c.version)) for c in found) == expected
    order = [(c.revision, c.version.id, c.version.valid_from, c.kind == ASSERTED) for c in found]
    assert order == sorted(order)
    if found:
        n = dice.randrange(len(found))
        rest = list(layer.changes(first, last, resume=Place.of(found[n])))
        assert rest == found[n + 1 :]


# Counts


def check_counts(dice: random.Random, sight: NaiveSight, layer: PublishedLayer, pair: Pair) -> None:
    revision = dice.choice([sight.model.head, dice.randint(1, sight.model.head)])
    edges = draw_edges(dice)
    when: When = (edges[0], edges[-1]) if edges else draw_when(dice)
    query = {} if dice.random() < 0.6 else draw_query(dice)
    snapshot = snapshot_of(layer, when, revision).where(**query)
    by = dice.choice([None, *snapshot.shown.every])
    restricted = by is not None and by.is_restricted
    snapshot = snapshot.where(restricted=restricted)
    most = dice.choice([1, 2, 100])
    note(f"revision {revision}, {when}, {query}, by {by and by.id}, edges {edges}, most {most}")
    opens = {n.partition(":")[0] for n in sight.fields(revision)}
    asked = {*query.get("equal", {}), *query.get("where", {})}
    events = pair.model.event and bool(edges)
    if asked - opens or (events and "reported" not in opens):
        with pytest.raises(BadQuery):
            layer.histogram(snapshot, Grouping(by, edges, most))
        return
    rows = narrowed(sight.rows(revision, when, restricted=restricted, now=pair.now), query)
    name = None if by is None else by.id
    expected = [Counter(values(part, name)) for part in parted(rows, edges, events=events)]
    check_histogram(layer.histogram(snapshot, Grouping(by, edges, most)), expected, most)
    if most == 100 and not edges:
        check_alone(snapshot, name, expected)


def draw_edges(dice: random.Random) -> list[datetime]:
    if dice.random() < 0.4:
        return []
    start, step = draw_instant(dice), timedelta(days=dice.choice([0.5, 1, 2]))
    return [start + n * step for n in range(dice.randint(2, 6))]


def parted(
    rows: Sequence[Seen], edges: Sequence[datetime], *, events: bool
) -> Iterator[list[Seen]]:
    """The versions that are counted in each period, or at each instant."""
    if not edges:
        yield list(rows)
    elif events:
        for first, last in itertools.pairwise(edges):
            at = ((s, s.values.get("reported")) for s in rows)
            yield [s for s, when in at if when is not None and first <= when < last]
    else:
        for instant in edges:
            yield [s for s in rows if s.start <= instant < s.end]


def values(rows: Sequence[Seen], name: str | None) -> Iterator[Any]:
    for s in rows:
        seen = {n.partition(":")[0]: v for n, v in s.values.items()}
        if name is None:
            yield None
        elif name in seen:
            yield seen[name]


def check_histogram(found: Histogram, expected: list[Counter[Any]], most: int) -> None:
    """The most frequent values stand alone; of the others it is told how many there are."""
    kept = [plain(v) for v in found.values]
    assert len(kept) == len(set(kept)) <= most + 1
    told = [Counter({plain(v): n for v, n in cell.items() if n}) for cell in found.numbers]
    assert told == [Counter({v: n for v, n in cell.items() if v in kept}) for cell in expected]
    others = [sum(n for v, n in cell.items() if v not in kept) for cell in expected]
    assert list(found.others) == others
    if len(kept) < most:
        assert not found.is_cut


def check_alone(snapshot: Snapshot, name: str | None, expected: list[Counter[Any]]) -> None:
    """The numbers are those of the rows themselves, as the reader reads them."""
    rows = [snapshot.shown.properties(row) for row in snapshot.rows()]
    found = rows if name is None else [row for row in rows if name in row]
    assert sum(expected[0].values()) == len(found)
