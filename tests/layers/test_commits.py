"""Commits one after another: recorded time, clocks, snapshots that stay, failures."""

from __future__ import annotations

import itertools
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from publishing import EVERYTHING, START, WRITER, layer, points, publish, schema_of

from layers import tables
from layers.clock import SimulatedClock
from layers.errors import ClockRefused, UnknownLayer
from layers.model import Mode
from layers.publish import Reload
from layers.sourcing.frames import FrameSource
from layers.store import Store, open_store


def test_recorded_time_strictly_increases_whatever_the_clock_does(store: Store) -> None:
    shown = [START, START, START - timedelta(days=1), START + timedelta(days=1), START]
    for n, instant in enumerate(shown):
        clock = store.with_clock(lambda instant=instant: instant)
        for name in ("a", "b"):
            publish(clock, name, points(no=[str(n)]), schema_of(), mode=Mode.UPSERT)
    with store.database.read() as connection:
        by_id = sa.select(tables.commit.c.recorded_at).order_by(tables.commit.c.id)
        recorded = connection.scalars(by_id).all()
    assert len(recorded) == 10
    assert all(one < other for one, other in itertools.pairwise(recorded))


def test_a_clock_set_back_within_a_commit_hides_no_version(store: Store) -> None:
    until = {"id": "until", "type": "instant", "role": "valid-to"}
    shown = iter([START + timedelta(days=9), START])
    clock = store.with_clock(lambda: next(shown))
    publish(clock, "t", points(no=["1"], until=["2020-01-05T00:00:00Z"]), schema_of(until))
    assert len(layer(store, "t").at(START + timedelta(days=2)).read()) == 1


def test_a_simulated_clock_needs_a_store_without_real_commits(store: Store) -> None:
    simulated = store.with_clock(SimulatedClock(START))
    publish(simulated, "t", points(no=["1"]), schema_of())
    publish(simulated, "t", points(no=["2"]), mode=Mode.UPSERT)
    assert layer(store, "t").revision(2).commit.simulated
    publish(store, "t", points(no=["3"]), mode=Mode.UPSERT)
    assert not layer(store, "t").revision(3).commit.simulated
    with pytest.raises(ClockRefused, match="real use"):
        publish(simulated, "t", points(no=["4"]), mode=Mode.UPSERT)


def test_a_revision_is_found_by_when_it_was_recorded(store: Store) -> None:
    for n in range(3):
        clock = store.with_clock(lambda n=n: START + timedelta(days=n))
        publish(clock, "t", points(no=[str(n)]), schema_of(), mode=Mode.UPSERT)
    found = layer(store, "t")
    at = START + timedelta(days=10)
    assert len(found.at(at, recorded=START + timedelta(days=1)).read()) == 2
    assert len(found.at(at, recorded=START + timedelta(hours=23)).read()) == 1


def test_a_snapshot_stays_what_it_was_while_others_commit(store: Store) -> None:
    publish(store, "t", points(no=["0"], a=["old"]), schema_of({"id": "a"}))
    snapshot = layer(store, "t").at()
    publish(store, "t", points(no=["0", "1"], a=["new", "new"]), valid_from=START)
    assert snapshot.read()["a"].tolist() == ["old"]
    assert snapshot.count() == 1


def test_a_first_publish_that_fails_leaves_no_trace(store: Store) -> None:
    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "write":
            raise KeyboardInterrupt

    edits = {"t": Reload(FrameSource(points(no=["1"])), schema_of(), valid_from=START)}
    with pytest.raises(KeyboardInterrupt):
        store.commit(edits, WRITER, "m", say=stop)
    with pytest.raises(UnknownLayer):
        layer(store, "t")
    with store.database.read() as connection:
        assert connection.scalar(sa.text("SELECT to_regclass('live.t')")) is None
    assert publish(store, "t", points(no=["1"]), schema_of()).revision == 1


def test_migrations_make_what_the_tables_say(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    def ours(name: str | None, kind: str, parents: Any) -> bool:
        return kind != "schema" or name == tables.CATALOGUE

    options = {
        "include_schemas": True,
        "include_name": ours,
        "version_table_schema": tables.CATALOGUE,
        "compare_type": True,
        "compare_server_default": True,
    }
    with store.database.read() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, tables.metadata) == []


def test_opening_a_store_again_changes_nothing(store: Store) -> None:
    publish(store, "t", points(no=["1"]), schema_of())
    dsn = store.database.writing.url.set(drivername="postgresql")
    with closing(open_store(dsn.render_as_string(hide_password=False))) as again:
        assert [found.id for found in again.layers(EVERYTHING)] == ["t"]
        assert again.layer("t", EVERYTHING).record.recorded_at < datetime.now(UTC)
