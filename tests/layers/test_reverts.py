"""Reverts, tags, erasures and changes of schema: what they do, and what they refuse."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
import shapely
import sqlalchemy as sa
from publishing import START, WRITER, layer, points, publish, schema_of

from layers import tables
from layers.edits import Insert, Put, Retire, Revert, Update, split
from layers.errors import (
    BadQuery,
    BadRequest,
    RevertConflict,
    SchemaConflict,
    TagTaken,
    UnknownCommit,
    UnknownFeature,
    UnknownLayer,
)
from layers.model import Mode
from layers.readers import Reader
from layers.schema_changes import SchemaChange
from layers.store import Store, open_store

A, B, N = {"id": "a"}, {"id": "b"}, {"id": "n", "type": "integer"}
OWNER = {"id": "owner", "visibility": "restricted"}
POINT = shapely.Point(9, 9)


@pytest.fixture
def two(store: Store) -> Store:
    publish(store, "t", points(no=["1", "2"], a=["x", "y"], n=[1, 2]), schema_of(A, N, OWNER))
    return store


def edit(store: Store, *edits: Any) -> int:
    number = store.commit({"t": list(edits)}, WRITER, "edit").commit
    assert number is not None
    return number


def now(store: Store) -> dict[str, str]:
    frame = layer(store, "t").at("2025-01-01").read()
    return dict(zip(frame.index, frame["a"], strict=True))


def test_a_revert_restores_what_a_commit_changed(two: Store) -> None:
    made = edit(
        two,
        Update("1", {"a": "z"}, valid_from="2021-01-01"),
        Retire("2", "2021-01-01"),
        Insert({"no": "3", "a": "new"}, POINT, valid_from="2021-01-01"),
    )
    done = two.revert(made, WRITER)
    assert (done.reports["t"].changed, done.reports["t"].retired) == (2, 1)
    assert now(two) == {"1": "x", "2": "y"}
    assert two.log(Reader.everything(), limit=1)[0].commit.message == f"revert commit {made}"
    assert len(layer(two, "t").at("2025-01-01", revision=2).read()) == 2


def test_a_revert_of_a_revert_does_it_again(two: Store) -> None:
    made = edit(two, Update("1", {"a": "z"}, valid_from="2021-01-01"))
    undone = two.revert(made, WRITER).commit
    assert undone is not None
    two.revert(undone, WRITER)
    assert now(two)["1"] == "z"


def test_a_revert_is_refused_where_later_commits_touched_the_same(two: Store) -> None:
    made = edit(two, Update("1", {"a": "z"}, valid_from="2021-01-01"))
    edit(two, Update("1", {"n": 7}, valid_from="2022-01-01"))
    with pytest.raises(RevertConflict, match="'1'"):
        two.revert(made, WRITER)
    two.revert(made, WRITER, force=True)
    frame = layer(two, "t").at("2025-01-01").read()
    assert (frame.loc["1", "a"], frame.loc["1", "n"]) == ("x", 7)


def test_later_commits_about_other_features_do_not_stand_in_the_way(two: Store) -> None:
    made = edit(two, Update("1", {"a": "z"}, valid_from="2021-01-01"))
    edit(two, Update("2", {"a": "w"}, valid_from="2021-01-01"))
    two.revert(made, WRITER)
    assert now(two) == {"1": "x", "2": "w"}


def test_a_revert_goes_through_every_layer_of_the_commit(two: Store) -> None:
    publish(two, "u", points(no=["p"], a=["x"]), schema_of(A))
    made = two.commit(
        {"t": [Retire("1", "2021-01-01")], "u": [Update("p", {"a": "z"})]}, WRITER, "both"
    ).commit
    assert made is not None
    done = two.revert(made, WRITER, dry_run=True)
    assert done.commit is None
    assert sorted(two.revert(made, WRITER).reports) == ["t", "u"]
    assert now(two) == {"1": "x", "2": "y"}


def test_a_revert_of_a_whole_publish_leaves_an_empty_layer_with_its_past(two: Store) -> None:
    two.revert(1, WRITER)
    assert now(two) == {}
    assert len(layer(two, "t").at("2025-01-01", revision=1).read()) == 2
    publish(two, "t", points(no=["1"], a=["again"]), mode=Mode.UPSERT, valid_from=START)
    assert now(two) == {"1": "again"}


def test_a_revert_takes_lineage_back_and_says_it_was_known(two: Store) -> None:
    made = edit(two, split("1", [Insert({"no": "1a"}, POINT)], "2021-01-01"))
    two.revert(made, WRITER)
    found = layer(two, "t")
    assert found.lineage("1") == ([], [])
    assert [n.descendant for n in found.lineage("1", revision=2)[1]] == ["1a"]


def test_what_is_reverted_already_makes_no_revision(two: Store) -> None:
    made = edit(two, Update("1", {"a": "z"}, valid_from="2021-01-01"))
    two.revert(made, WRITER)
    again = two.commit({"t": Revert(2, force=True)}, WRITER, "m")
    assert again.commit is None


def test_a_commit_that_is_not_there_can_not_be_reverted(two: Store) -> None:
    for name in (99, "no such tag"):
        with pytest.raises(UnknownCommit, match=str(name)):
            two.revert(name, WRITER)


def test_tags_are_read_like_a_revision(two: Store) -> None:
    made = edit(two, Update("1", {"a": "z"}, valid_from="2021-01-01"))
    two.tag("地籍年终 2024", 1, WRITER, "as printed")
    two.tag("地籍年终 2024", 1, WRITER)
    edit(two, Update("1", {"a": "w"}, valid_from="2021-01-01"))
    found = layer(two, "t")
    assert found.at("2025-01-01", commit="地籍年终 2024").read().loc["1", "a"] == "x"
    assert found.at("2025-01-01", commit=made).read().loc["1", "a"] == "z"
    assert [(t.name, t.commit, t.note) for t in two.tags(Reader.everything())] == [
        ("地籍年终 2024", 1, "as printed")
    ]
    with pytest.raises(TagTaken, match="commit 1"):
        two.tag("地籍年终 2024", made, WRITER)
    with pytest.raises(BadRequest, match="no number"):
        two.tag("7", made, WRITER)
    with pytest.raises(BadQuery, match="one of revision"):
        found.at(revision=1, commit=1)


def test_erasing_removes_restricted_values_of_one_feature_from_all_history(two: Store) -> None:
    edit(two, Update("1", {"owner": "Li"}), Update("2", {"owner": "Wu"}))
    edit(two, Update("1", {"owner": "Zhang"}, valid_from="2021-01-01"))
    done = two.erase("t", "1", WRITER, "request 2024-3 of the person")
    assert done.versions >= 2
    family = tables.tables_of(layer(two, "t").record).restricted
    assert family is not None
    with two.database.inspect() as connection:
        kept = [
            tuple(row)
            for t in (family.live, family.history)
            for row in connection.execute(sa.select(t.c._fid, t.c.owner))
        ]
    assert kept == [("2", "Wu")]
    (logged,) = two.erasures(Reader.everything())
    assert (logged.feature, logged.reason) == ("1", "request 2024-3 of the person")
    assert [r.number for r in layer(two, "t").revisions()] == [3, 2, 1]
    assert now(two) == {"1": "x", "2": "y"}


@pytest.mark.parametrize(
    ("layer_id", "feature", "reason", "error"),
    [
        ("t", "9", "why", UnknownFeature),
        ("nope", "1", "why", UnknownLayer),
        ("t", "1", " ", BadRequest),
        ("plain", "1", "why", BadRequest),
    ],
)
def test_an_erasure_that_can_not_be_is_refused(
    two: Store, layer_id: str, feature: str, reason: str, error: type[Exception]
) -> None:
    publish(two, "plain", points(no=["1"], a=["x"]), schema_of(A))
    with pytest.raises(error):
        two.erase(layer_id, feature, WRITER, reason)
    assert two.erasures(Reader.everything()) == []


def change(store: Store, *fields: Any, **others: Any) -> Any:
    done = store.commit({"t": SchemaChange(schema_of(*fields, **others))}, WRITER, "schema")
    return done.reports["t"]


def test_a_schema_change_is_a_revision_and_old_ones_keep_theirs(two: Store) -> None:
    report = change(two, B, {"id": "n", "type": "text"}, OWNER)
    assert report.notes == [
        "field added: b",
        "field replaced: n, integer by text",
        "field retired: a",
    ]
    assert report.revision == 2
    edit(two, Update("1", {"b": "new", "n": "one"}, valid_from="2020-01-01"))
    found = layer(two, "t")
    assert list(found.at("2025-01-01", revision=1).read()["n"]) == [1, 2]
    frame = found.at("2025-01-01").read()
    assert frame.loc["1", ["b", "n"]].tolist() == ["new", "one"]
    assert "a" not in frame.columns
    assert [f.id for f in found.schema(1).fields] == ["no", "a", "n", "owner"]
    assert found.at("2025-01-01", revision=1).fields == ("no", "a", "n")


def test_the_same_schema_makes_no_revision(two: Store) -> None:
    assert change(two, A, N, OWNER).revision is None


def test_an_unchanged_source_writes_nothing_after_a_field_came_and_went(two: Store) -> None:
    change(two, A, N, OWNER, B)
    frame = points(no=["1", "2"], a=["x", "y"], n=[1, 2])
    assert publish(two, "t", frame, mode=Mode.UPSERT).nothing_to_do
    edit(two, Update("1", {"b": "z"}, valid_from="2020-01-01"))
    change(two, A, N, OWNER)
    assert publish(two, "t", frame, valid_from=START).nothing_to_do
    change(two, A, N, OWNER, B)
    assert layer(two, "t").at("2025-01-01").read().loc["1", "b"] == "z"


def test_a_schema_change_is_reverted_like_any_commit(two: Store) -> None:
    change(two, A, OWNER)
    two.revert(2, WRITER)
    assert list(layer(two, "t").at("2025-01-01").read()["n"]) == [1, 2]


@pytest.mark.parametrize(
    ("fields", "others", "says"),
    [
        ((A, N), {"geometry": "Polygon"}, "geometry of t is Point"),
        ((A, N), {"crs": "EPSG:4490"}, "crs of t"),
        ((A, N), {"time_zone": "Asia/Shanghai"}, "time_zone of t"),
        (({"id": "a", "role": "key"}, N), {}, "role key"),
        (({"id": "a", "visibility": "restricted"}, N), {}, "can't become restricted"),
        ((A, N, {"id": "owner"}), {}, "can't become public"),
    ],
)
def test_what_would_be_another_layer_is_refused(
    two: Store, fields: Any, others: Any, says: str
) -> None:
    with pytest.raises(SchemaConflict, match=says):
        change(two, *fields, **others)
    assert layer(two, "t").record.head == 1


def test_a_field_that_becomes_internal_is_so_in_every_revision(two: Store) -> None:
    change(two, {"id": "a", "visibility": "internal"}, N, OWNER)
    with two.database.write() as connection:
        connection.execute(sa.update(tables.layer).values(visibility="public"))
    anyone = two.layer("t", Reader.anonymous())
    for revision in (1, 2):
        assert "a" not in anyone.at("2025-01-01", revision=revision).read().columns


def test_restricted_fields_may_come_later(store: Store) -> None:
    publish(store, "t", points(no=["1"], a=["x"]), schema_of(A))
    change(store, A, OWNER)
    report = store.commit({"t": [Update("1", {"owner": "Li"})]}, WRITER, "m").reports["t"]
    assert (report.changed, report.restricted_only) == (0, 1)


def test_changes_replayed_into_an_empty_store_give_an_equal_store(
    two: Store, empty_template: str, make_database: Any
) -> None:
    """Rule 8, with a store at the other end."""
    edit(two, Update("1", {"a": "z"}, valid_from="2021-01-01", valid_to="2022-01-01"))
    edit(two, Retire("2", "2021-06-01"), Insert({"no": "3", "a": "w"}, POINT, "2020-05-01"))
    edit(two, split("3", [Insert({"no": "3a"}, POINT), Insert({"no": "3b"}, POINT)], "2023-01-01"))
    two.revert(2, WRITER)
    source = layer(two, "t")
    with make_database.passing(empty_template) as dsn, closing(open_store(dsn)) as replica:
        publish(replica, "t", points(no=["x"], a=["x"], n=[0]), schema_of(A, N, OWNER))
        replica.revert(1, WRITER)
        for revision in range(1, source.record.head + 1):
            edits: list[Any] = []
            for found in source.changes(revision - 1, revision):
                v = found.version
                if found.kind == "retracted":
                    edits.append(Retire(v.id, v.valid_from, v.valid_to))
                else:
                    shape = shapely.from_wkb(v.geometry)
                    edits.append(Put(v.properties, shape, v.valid_from, v.valid_to))
            replica.commit({"t": edits}, WRITER, "replay")
        copied = layer(replica, "t")
        for revision in range(1, source.record.head + 1):
            for day in ("2020-03-01", "2021-03-01", "2021-09-01", "2022-03-01", "2025-01-01"):
                ours = source.at(day, revision=revision).read()
                theirs = copied.at(day, revision=revision + 2).read()
                columns = ["no", "a", "n", "geometry"]
                assert ours[columns].equals(theirs[columns])


def test_where_narrows_a_read_by_typed_values(two: Store) -> None:
    snapshot = layer(two, "t").at("2025-01-01")
    assert list(snapshot.read(where={"n": (">=", 2)}).index) == ["2"]
    assert list(snapshot.read(where={"a": ["x", "q"], "n": 1}).index) == ["1"]
    assert list(snapshot.read(where={"a": None}).index) == []
    assert snapshot.table(where={"a": ("!=", "x")}).column("id").to_pylist() == ["2"]
    for wrong in ({"n": "1"}, {"a": 1}, {"n": True}, {"n": ("like", 1)}, {"owner": "Li"}):
        with pytest.raises(BadQuery):
            snapshot.read(where=wrong)


def test_an_arrow_table_says_where_it_is(two: Store) -> None:
    import geopandas as gpd

    table = layer(two, "t").at("2025-01-01").table()
    frame = gpd.GeoDataFrame.from_arrow(table)
    assert frame.crs is not None
    assert frame.geometry.tolist() == layer(two, "t").at("2025-01-01").read().geometry.tolist()
    assert table.schema.field("n").type == "int64"
    batches = list(layer(two, "t").at("2025-01-01").batches(1))
    assert [b.num_rows for b in batches] == [1, 1]


def test_the_history_of_a_region_is_every_version_that_was_there(two: Store) -> None:
    edit(two, Update("1", geometry=POINT, valid_from="2021-01-01"))
    found = layer(two, "t").history(bbox=(-1, 0, 0.5, 2)).read()
    assert [(i, v.valid_to is not None) for i, v in found.iterrows()] == [("1", True)]
    assert len(layer(two, "t").history(bbox=(8, 8, 10, 10)).read()) == 1
