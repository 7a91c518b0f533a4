"""What is known of layers is kept until somebody changes it, in this process or in another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
import sqlalchemy as sa
from publishing import EVERYTHING, WRITER, points, publish, schema_of

from layers.edits import Update
from layers.reading.presents import read_present
from layers.store import Store, open_store
from layers.tables import layer
from tests.databases import Databases

A = {"id": "a"}


@pytest.fixture
def two(empty_template: str, make_database: Databases) -> Iterator[tuple[Store, Store]]:
    """Two processes on one store, of which the first follows."""
    dsn = make_database(empty_template)
    with closing(open_store(dsn)) as first, closing(open_store(dsn)) as second:
        publish(first, "t", points(no=["1", "2"], a=["x", "y"]), schema_of(A))
        first.follow()
        wait_until(lambda: first._follower.hears)
        yield first, second


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for what comes soon, and does not come at once."""
    for _ in range(600):
        if holds():
            return
        time.sleep(0.05)
    pytest.fail("it did not come within half a minute")


def test_what_is_known_is_asked_once(two: tuple[Store, Store]) -> None:
    first, _ = two
    assert first.known_layer("t", EVERYTHING) is None
    record = first.layer("t", EVERYTHING).record
    known = first.known_layer("t", EVERYTHING)
    assert known is not None
    assert known.record is record
    assert first.layer("t", EVERYTHING).record is record


def test_one_s_own_commit_is_known_at_once(two: tuple[Store, Store]) -> None:
    first, _ = two
    for n in range(2, 6):
        assert first.layer("t", EVERYTHING).record.head == n - 1
        first.commit({"t": [Update("1", {"a": f"z{n}"})]}, WRITER, "edit")
        assert first.layer("t", EVERYTHING).record.head == n


def test_another_s_commit_is_heard(two: tuple[Store, Store]) -> None:
    first, second = two
    for n in range(2, 5):
        first.layer("t", EVERYTHING)
        second.commit({"t": [Update("1", {"a": f"z{n}"})]}, WRITER, "edit")
        wait_until(lambda: first.known_layer("t", EVERYTHING) is None)
        assert first.layer("t", EVERYTHING).record.head == n


def test_whatever_changes_a_layer_is_heard(two: tuple[Store, Store]) -> None:
    first, second = two
    first.layer("t", EVERYTHING)
    with second.database.own() as connection:
        connection.execute(sa.update(layer).values(department="water"))
    wait_until(lambda: first.known_layer("t", EVERYTHING) is None)
    assert first.layer("t", EVERYTHING).record.department == "water"


def test_who_hears_nothing_keeps_nothing(two: tuple[Store, Store]) -> None:
    first, second = two
    second.layer("t", EVERYTHING)
    assert second.known_layer("t", EVERYTHING) is None
    first.layer("t", EVERYTHING)
    listening = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    with second.database.own() as connection:
        assert connection.execute(sa.text(listening)).all()
    wait_until(lambda: not first._follower.hears)
    assert first.known_layer("t", EVERYTHING) is None
    # It comes back by itself.
    wait_until(lambda: first._follower.hears)
    first.layer("t", EVERYTHING)
    assert first.known_layer("t", EVERYTHING) is not None


def test_a_page_is_of_the_newest_revision_though_it_was_not_heard_of(
    two: tuple[Store, Store],
) -> None:
    """A page says which revision the database had as it was read."""
    first, second = two
    published = first.layer("t", EVERYTHING)
    present = published.present()
    snapshot = published.at(present).where(limit=10)
    assert [row[0] for row in snapshot.page().rows] == ["1", "2"]
    second.commit({"t": [Update("1", {"a": "later"})]}, WRITER, "edit")
    found = snapshot.page()
    # Of what is pinned nothing has changed, whatever way it is read.
    assert [row[found.at("a")] for row in found.rows] == ["x", "y"]


def test_the_present_lasts_until_a_version_begins_or_ends(two: tuple[Store, Store]) -> None:
    first, _ = two
    published = first.layer("t", EVERYTHING)
    recorded = published.record.recorded_at
    assert recorded is not None
    assert published.present() == recorded
    with first.database.read() as connection:
        told = read_present(connection, published.record, recorded, restricted=False)
    assert (told.since, told.until) == (recorded, None)
