"""`verify`: a healthy store has no fault, and each invariant, broken once, is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
from sqlalchemy.engine import Connection

from layers.errors import UnknownLayer
from layers.keeping.faults import abridged
from layers.keeping.verify import find_faults, verify
from layers.store import Store, open_store
from tests.databases import Databases

# How each invariant is broken, and the checks that must name it.
BROKEN = {
    "a revision is missing": (
        "DELETE FROM shikong.revision WHERE layer_id = 'plots' AND number = 3",
        {"commits", "revisions", "unchecked"},
    ),
    "the head is behind": (
        "UPDATE shikong.layer SET head = head - 1 WHERE id = 'cases'",
        {"revisions", "head", "unchecked"},
    ),
    "the head was recorded at another time": (
        "UPDATE shikong.layer SET recorded_at = recorded_at + interval '1 s' WHERE id = 'cases'",
        {"head", "unchecked"},
    ),
    "a commit was recorded before the one before it": (
        "UPDATE shikong.commit SET recorded_at = '2000-01-01' WHERE id = 2",
        {"recorded", "counts"},
    ),
    "revisions of a layer were recorded in another order": (
        "UPDATE shikong.revision SET commit_id = 1 WHERE layer_id = 'plots' AND number = 2",
        {"recorded", "unchecked"},
    ),
    "a commit made nothing": (
        "INSERT INTO shikong.commit (recorded_at, author, message, simulated, provenance)"
        " VALUES ('2099-01-01', 't', '', false, '{}')",
        {"commits"},
    ),
    "the first schema is gone": (
        "DELETE FROM shikong.layer_schema WHERE layer_id = 'pipes'",
        {"schemas", "unchecked"},
    ),
    "a schema is no schema": (
        "UPDATE shikong.layer_schema SET document = '{\"fields\": 1}' WHERE layer_id = 'cases'",
        {"schemas", "unchecked"},
    ),
    "a schema begins late": (
        "UPDATE shikong.layer_schema SET since_revision = 2 WHERE layer_id = 'cases'",
        {"schemas", "unchecked"},
    ),
    "a schema is of a revision to come": (
        "UPDATE shikong.layer_schema SET since_revision = 999 WHERE since_revision ="
        " (SELECT max(since_revision) FROM shikong.layer_schema)",
        {"schemas", "unchecked"},
    ),
    "the kind is another": (
        "UPDATE shikong.layer SET kind = 'event' WHERE id = 'pipes'",
        {"schemas", "unchecked"},
    ),
    "the store format is old": (
        "UPDATE shikong.layer SET store_format = 1 WHERE id = 'pipes'",
        {"format"},
    ),
    "a tag names nothing": (
        "ALTER TABLE shikong.tag DROP CONSTRAINT tag_commit_id_fkey;"
        "UPDATE shikong.tag SET commit_id = 999",
        {"tags"},
    ),
    "lineage is of a layer that is not there": (
        "ALTER TABLE shikong.lineage DROP CONSTRAINT lineage_layer_id_fkey;"
        "UPDATE shikong.lineage SET layer_id = 'gone'",
        {"lost"},
    ),
    "a table is missing": ("DROP TABLE live.cases", {"tables", "unchecked"}),
    "a table of the catalogue is missing": ("DROP TABLE shikong.api_key", {"tables"}),
    "a table is left over": ("CREATE TABLE history.old (a int)", {"strays"}),
    "a restricted table is no layer's": ("CREATE TABLE restricted_live.pipes (a int)", {"strays"}),
    "a view is left over": ("CREATE VIEW shikong.peek AS SELECT 1", {"strays"}),
    "a column is missing": ("ALTER TABLE history.pipes DROP COLUMN n", {"columns", "unchecked"}),
    "a column is of another type": (
        "ALTER TABLE live.pipes ALTER n TYPE numeric",
        {"columns", "unchecked"},
    ),
    "a column may be null": (
        "ALTER TABLE live.pipes ALTER _fid DROP NOT NULL",
        {"columns", "unchecked"},
    ),
    "a restricted column stands in an open table": (
        "ALTER TABLE live.plots ADD COLUMN owner text",
        {"columns", "unchecked"},
    ),
    "an open column stands in a restricted table": (
        "ALTER TABLE restricted_history.plots ADD COLUMN _geom geometry(Point, 4326)",
        {"columns", "unchecked"},
    ),
    "a constraint is gone": ("ALTER TABLE live.pipes DROP CONSTRAINT pipes_check", {"constraints"}),
    "an index is gone": ("DROP INDEX history._pipes_geom", {"indexes"}),
    "an index is no longer unique": (
        "DROP INDEX live._pipes_pk; CREATE INDEX _pipes_pk ON live.pipes (_fid, _valid_from)",
        {"indexes"},
    ),
    "a row is of a revision to come": (
        "UPDATE live.pipes SET _rev_from = 99, _rev_closed = greatest(99, _rev_closed)"
        " WHERE _fid = 'c'",
        {"bounds", "counts"},
    ),
    "a row is of revision 0": (
        "UPDATE live.pipes SET _rev_from = 0 WHERE _fid = 'c'",
        {"bounds", "counts"},
    ),
    "a live row is believed no more": (
        "UPDATE live.pipes SET _rev_to = 2 WHERE _fid = 'c'",
        {"bounds", "counts"},
    ),
    "an end is without its revision": (
        "ALTER TABLE live.pipes DROP CONSTRAINT pipes_check2;"
        "ALTER TABLE live.pipes DROP CONSTRAINT pipes_check1;"
        "ALTER TABLE live.pipes DROP CONSTRAINT pipes_check;"
        "UPDATE live.pipes SET _valid_to = '2030-01-01' WHERE _fid = 'c'",
        {"bounds", "constraints"},
    ),
    "a row of history is not over": (
        "WITH gone AS (DELETE FROM live.pipes WHERE _fid = 'c' RETURNING *)"
        " INSERT INTO history.pipes SELECT * FROM gone",
        {"bounds"},
    ),
    "a restricted row of history is not over": (
        "WITH gone AS (DELETE FROM restricted_live.cases RETURNING *)"
        " INSERT INTO restricted_history.cases SELECT * FROM gone",
        {"bounds"},
    ),
    "a version stands twice": (
        "INSERT INTO history.pipes SELECT * FROM history.pipes WHERE _rev_to = 2147483647",
        {"overlap", "counts"},
    ),
    "two live versions overlap": (
        "INSERT INTO live.pipes (_fid, _rev_from, _rev_closed, _valid_from, _valid_to, _hash)"
        " SELECT _fid, 1, 2, _valid_from - interval '1 y', _valid_from + interval '1 us', _hash"
        " FROM live.pipes WHERE _fid = 'c'",
        {"overlap", "hash", "counts"},
    ),
    "two restricted versions overlap": (
        "INSERT INTO restricted_history.plots SELECT * FROM restricted_history.plots",
        {"overlap"},
    ),
    "a value was changed": ("UPDATE live.pipes SET n = 5 WHERE _fid = 'a'", {"hash"}),
    "a shape was moved": (
        "UPDATE history.plots SET _geom = ST_Translate(_geom, 1e-9, 0)",
        {"hash"},
    ),
    "a value of a retired field was changed": (
        "UPDATE history.plots SET note = 7 WHERE note = 1.5",
        {"hash"},
    ),
    "a restricted value was changed": (
        "UPDATE restricted_history.plots SET owner = 'me' WHERE _fid = '2'",
        {"hash"},
    ),
    "the log has another number of features": (
        "UPDATE shikong.revision SET n_live = n_live + 1 WHERE layer_id = 'plots' AND number = 4",
        {"counts"},
    ),
    "the log has one created too many": (
        "UPDATE shikong.revision SET n_created = n_created + 1"
        " WHERE layer_id = 'plots' AND number = 1",
        {"counts"},
    ),
    "the log has one retired for one changed": (
        "UPDATE shikong.revision SET n_retired = n_retired + 1, n_changed = n_changed - 1"
        " WHERE layer_id = 'plots' AND number = 2",
        {"counts"},
    ),
    "a feature was deleted": ("DELETE FROM live.cases WHERE _fid = '2'", {"counts"}),
    "restricted values outlive their feature": (
        "UPDATE restricted_history.plots SET _valid_from = '1990-01-01'"
        " WHERE _fid = '1' AND _rev_to = 2147483647",
        {"orphan"},
    ),
    "restricted values are of no feature": (
        "UPDATE restricted_live.cases SET _fid = 'nobody'",
        {"orphan"},
    ),
    "lineage is of a feature that never was": (
        "UPDATE shikong.lineage SET ancestor = 'nobody' WHERE ancestor = '0' AND descendant = '9'",
        {"lineage"},
    ),
    "lineage is of a revision to come": (
        "UPDATE shikong.lineage SET rev_to = 999 WHERE descendant = '9'",
        {"lineage"},
    ),
    "an erasure is of a feature that never was": (
        "UPDATE shikong.erasure SET feature = 'nobody'",
        {"erasures"},
    ),
    "what was erased is still there": (
        "UPDATE shikong.erasure SET feature = '5'",
        {"erased"},
    ),
}


@pytest.fixture(scope="module")
def rich(rich_template: str, make_database: Databases) -> Iterator[Store]:
    with make_database.passing(rich_template) as dsn, closing(open_store(dsn)) as store:
        yield store


@contextmanager
def broken(store: Store, statements: str) -> Iterator[Connection]:
    """A transaction in which the store is broken, and which is undone."""
    with store.database.owning.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        driver.execute(statements)
        yield connection
        connection.rollback()


def test_a_store_with_everything_in_it_has_no_fault(rich: Store) -> None:
    told: list[str] = []
    assert [str(f) for f in verify(rich.database, told.append)] == []
    assert told == ["cases", "pipes", "plots"]


def test_the_demo_city_has_no_fault(demo_store: Store) -> None:
    assert [str(f) for f in verify(demo_store.database)] == []


def test_an_empty_store_has_no_fault(store: Store) -> None:
    assert verify(store.database) == []


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named(rich: Store, name: str) -> None:
    statements, expected = BROKEN[name]
    with broken(rich, statements) as connection:
        found = list(find_faults(connection))
    assert {f.check for f in found} == expected, [str(f) for f in found]
    assert all(f.text for f in found)


def test_a_stage_that_a_publish_left_behind_is_named(
    rich_template: str, make_database: Databases
) -> None:
    dsn = make_database(rich_template)
    with psycopg.connect(dsn, autocommit=True) as other, closing(open_store(dsn)) as store:
        other.execute("CREATE TEMPORARY TABLE raw_plots (a int)")
        assert [f.where for f in verify(store.database)] == ["pg_temp.raw_plots"]


def test_a_publish_under_way_is_no_fault(rich_template: str, make_database: Databases) -> None:
    from publishing import WRITER, points

    from layers.model import Mode
    from layers.publish import Reload
    from layers.sourcing.frames import FrameSource

    with make_database.passing(rich_template) as dsn, closing(open_store(dsn)) as store:
        faults = []

        def meanwhile(stage: str, done: int, total: int | None) -> None:
            faults.append(verify(store.database))

        rows = points(no=["5", "77"], note=["n", "m"], a=["b", "c"])
        edits = {"plots": Reload(FrameSource(rows), mode=Mode.UPSERT)}
        store.commit(edits, WRITER, "m", say=meanwhile)
        assert faults
        assert not any(faults)
        assert verify(store.database) == []


def test_thousands_of_faults_are_told_in_a_few_lines(rich: Store) -> None:
    many = (
        "INSERT INTO history.cases (_fid, _rev_from, _rev_closed, _valid_from, _valid_to, _hash)"
        " SELECT 'f' || n, 1, 1, '2001-01-01', '2001-01-02', '' FROM generate_series(1, 3000) n"
    )
    with broken(rich, many) as connection:
        found = list(abridged(find_faults(connection, layers=["cases"])))
    hashes = [f for f in found if f.check == "hash"]
    assert len(hashes) == 21
    assert hashes[-1].text == "2980 more like these"


def test_layers_can_be_chosen_and_must_be_there(rich: Store) -> None:
    told: list[str] = []
    assert verify(rich.database, told.append, layers=["pipes"]) == []
    assert told == ["pipes"]
    with pytest.raises(UnknownLayer, match="cases, pipes, plots"):
        verify(rich.database, layers=["nowhere"])
