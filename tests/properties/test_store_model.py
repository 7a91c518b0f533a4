"""The store against the naive model: random histories, every revision, every boundary of time.

Each example publishes a random sequence of sources through `Store.commit`, and the same into the
model, and then asks both for everything. Counterexamples that were found stand at the end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import naive_model as naive
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pairs import EVENT_OPEN, OPEN, History, Pair, Step, check_history, day, forget_all

from layers.store import Store, open_store
from tests.databases import Databases

days = st.integers(0, 8)
texts = st.sampled_from(["x", "y", None])


def rows_of(event: bool) -> st.SearchStrategy[tuple[dict[str, Any], ...]]:
    extra: dict[str, Any] = (
        {"reported": days}
        if event
        else {"zone": st.sampled_from(["east", "west"]), "n": st.sampled_from([None, 0, 7])}
    )
    row = st.fixed_dictionaries(
        {
            "no": st.sampled_from(["1", "2", "3"]),
            "a": texts,
            "b": texts,
            "secret": texts,
            "geometry": st.integers(0, 3),
            "since": st.none() | days,
            "lasts": st.sampled_from([None, None, None, 1, 2, 4]),
            **({} if event else {"phone": st.none() | st.just("555")}),
            **extra,
        }
    )
    return st.lists(row.map(_with_end), min_size=1, max_size=5).map(tuple)


def _with_end(row: dict[str, Any]) -> dict[str, Any]:
    lasts = row.pop("lasts")
    return row | {"until": None if lasts is None else (row["since"] or 4) + lasts}


@st.composite
def steps_of(draw: st.DrawFn, event: bool) -> Step:
    rows = draw(rows_of(event))
    zone = None if event else draw(st.sampled_from([None, None, "east", "west"]))
    if zone is not None and draw(st.integers(0, 9)) > 0:
        rows = tuple({**r, "zone": zone, "no": f"{zone[0]}{r['no']}"} for r in rows)
    possible = EVENT_OPEN if event else OPEN
    wanted = {*possible, "secret", "phone", "since", "until"}
    lacking = draw(st.sets(st.sampled_from(sorted(wanted - {"no", "since"})), max_size=3))
    whole = draw(st.booleans())
    return Step(
        rows,
        draw(st.booleans()),
        frozenset(wanted if whole else wanted - lacking),
        zone,
        draw(st.none() | days),
        draw(st.sampled_from([0.0, 0.5, 1.0, 2.0])),
    )


@st.composite
def histories(draw: st.DrawFn) -> History:
    event = draw(st.booleans())
    steps = list(draw(st.lists(steps_of(event), min_size=2, max_size=6)))
    if draw(st.booleans()):
        # The same source again: nothing may change unless time has, or something between.
        steps.insert(draw(st.integers(1, len(steps))), draw(st.sampled_from(steps)))
    duplicates = draw(st.sampled_from(["first", "last", "last", "refuse"]))
    probes = draw(st.lists(st.integers(0, 10_000), min_size=4, max_size=4))
    return History(tuple(steps), event, duplicates, tuple(probes))


@pytest.fixture(scope="module")
def reused(empty_template: str, make_database: Databases) -> Iterator[Store]:
    with make_database.passing(empty_template) as dsn, closing(open_store(dsn)) as opened:
        yield opened


def run(store: Store, history: History) -> Pair:
    forget_all(store.database)
    # The same names again, so that SQLAlchemy need not compile every statement anew.
    return check_history(store, f"example_{history.duplicates}_{history.event:d}", history)


@settings(
    max_examples=1000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 25,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=histories())
def test_the_store_believes_what_the_model_believes(reused: Store, history: History) -> None:
    run(reused, history)


ALL = frozenset({"no", "zone", "a", "b", "n", "since", "until", "geometry"})


def state_row(no: str, **values: Any) -> dict[str, Any]:
    row = {"zone": "east", "a": "x", "b": None, "n": 1, "secret": None, "phone": None}
    return {"no": no, **row, "geometry": 1, "since": None, "until": None, **values}


def test_a_scoped_reload_leaves_the_version_of_another_scope(reused: Store) -> None:
    """It was east until day 4 and west since: an eastern reload from day 2 ends the east only."""
    moved = (state_row("1", since=0, until=4), state_row("1", since=4, zone="west"))
    reload = Step((state_row("2"),), columns=ALL, zone="east", valid_from=2)
    pair = run(reused, History((Step(moved, columns=ALL), reload)))
    assert [v.end for v in pair.model.opens[2]["1"]] == [day(2), naive.FOREVER]


def test_neighbours_that_say_the_same_hold_an_assertion_together(reused: Store) -> None:
    """Retired from day 3, back from day 3 on: so it was all the time, which is no news."""
    there, gone = Step((state_row("1"),), columns=ALL, valid_from=0), state_row("2")
    steps = (
        there,
        Step((gone,), columns=ALL, valid_from=3),
        Step((state_row("1"),), reload=False, columns=ALL, valid_from=3),
        Step((state_row("1"),), reload=False, columns=ALL, valid_from=1),
    )
    assert run(reused, History(steps)).model.head == 3


def test_values_that_move_between_fields_are_a_change(reused: Store) -> None:
    steps = (
        Step((state_row("1", a="x", b=None),), columns=ALL, valid_from=0),
        Step((state_row("1", a=None, b="x"),), columns=ALL, valid_from=1),
    )
    assert run(reused, History(steps)).model.head == 2


def test_a_restricted_field_alone_makes_a_revision_that_no_diff_shows(reused: Store) -> None:
    columns = ALL | {"secret"}
    steps = (
        Step((state_row("1", secret="x"),), columns=columns, valid_from=0),
        Step((state_row("1", secret="y"),), columns=columns, valid_from=1),
    )
    pair = run(reused, History(steps))
    assert pair.model.head == 2
    assert pair.model.diff((1, day(2)), (2, day(2))) == {}


def test_a_future_end_passes_and_is_swept_by_the_next_commit(reused: Store) -> None:
    steps = (
        Step((state_row("1", until=4), state_row("2")), columns=ALL, valid_from=0),
        Step((state_row("3"),), reload=False, columns=ALL, advance=1.0),
        Step((state_row("4"),), reload=False, columns=ALL, advance=5.0),
    )
    pair = run(reused, History(steps))
    with reused.database.inspect() as connection:
        live = sa.text(f'SELECT _fid FROM live."{pair.id}" ORDER BY 1')
        assert connection.scalars(live).all() == ["2", "3", "4"]


def test_late_developments_take_their_place_in_the_order_of_events(reused: Store) -> None:
    def development(a: str, since: int) -> dict[str, Any]:
        row = {"no": "1", "reported": 0, "a": a, "b": None, "secret": None, "geometry": 1}
        return {**row, "since": since, "until": None}

    columns = frozenset({"no", "reported", "a", "b", "since", "geometry"})
    steps = tuple(
        Step((development(a, since),), reload=False, columns=columns)
        for a, since in (("reported", 0), ("closed", 6), ("dispatched", 2), ("at the door", 4))
    )
    pair = run(reused, History(steps, event=True))
    states = [(dict(v.content)["a"], v.end) for v in pair.model.opens[-1]["1"]]
    assert [s for s, _ in states] == ["reported", "dispatched", "at the door", "closed"]
    assert [e for _, e in states] == [day(2), day(4), day(6), naive.FOREVER]
