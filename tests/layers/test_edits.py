"""Edits of single features: what each does to its period, and what it refuses."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
import shapely
from publishing import START, WRITER, layer, points, publish, schema_of

from layers.edits import UNSTATED, Edit, Edits, Insert, Put, Retire, Supersede, Update, merge, split
from layers.errors import (
    BadKey,
    BadPeriod,
    BadValue,
    EditConflict,
    FeatureChanged,
    UnknownFeature,
    UnknownLayer,
)
from layers.model import Document
from layers.readers import Reader
from layers.store import Store
from spatial.crs import parse_crs

A, N, OWNER = (
    {"id": "a"},
    {"id": "n", "type": "integer"},
    {"id": "owner", "visibility": "restricted"},
)
POINT = shapely.Point(9, 9)


@pytest.fixture
def three(store: Store) -> Store:
    """Features 1, 2 and 3, from 2020 on."""
    frame = points(no=["1", "2", "3"], a=["x", "y", "y"], n=[1, 2, 2], owner=["Li", "Wu", None])
    publish(store, "t", frame, schema_of(A, N, OWNER))
    return store


def commit(store: Store, *edits: Edit) -> Any:
    return store.commit({"t": list(edits)}, WRITER, "edit").reports["t"]


def story(store: Store, feature: str, field: str = "a") -> list[tuple[str, str | None, Any]]:
    """The versions of a feature: from when, to when, and one field."""
    frame = layer(store, "t").versions(feature).read()
    return [
        (
            f"{v.valid_from:%Y-%m-%d}",
            None if v.valid_to is pd.NaT else f"{v.valid_to:%Y-%m-%d}",
            v[field],
        )
        for _, v in frame.iterrows()
    ]


def test_an_update_changes_the_stated_fields_in_its_period_alone(three: Store) -> None:
    report = commit(three, Update("1", {"a": "z"}, valid_from="2021-01-01", valid_to="2022-01-01"))
    assert (report.created, report.changed, report.retired) == (0, 1, 0)
    assert story(three, "1") == [
        ("2020-01-01", "2021-01-01", "x"),
        ("2021-01-01", "2022-01-01", "z"),
        ("2022-01-01", None, "x"),
    ]
    assert [n for *_, n in story(three, "1", "n")] == [1, 1, 1]


def test_an_update_over_several_versions_leaves_their_other_fields_alone(three: Store) -> None:
    commit(three, Update("1", {"n": 5}, valid_from="2021-01-01"))
    commit(three, Update("1", {"n": 6}, valid_from="2022-01-01"))
    commit(three, Update("1", {"a": "z"}, valid_from="2020-06-01", valid_to="2022-06-01"))
    assert [n for *_, n in story(three, "1", "n")] == [1, 1, 5, 6, 6]
    assert [a for *_, a in story(three, "1")] == ["x", "z", "z", "z", "x"]


def test_an_update_that_says_what_is_known_makes_no_revision(three: Store) -> None:
    done = three.commit({"t": [Update("1", {"a": "x"}, valid_from="2020-06-01")]}, WRITER, "m")
    assert (done.commit, done.reports["t"].nothing_to_do) == (None, True)
    assert layer(three, "t").record.head == 1


def test_values_are_read_as_a_source_is(three: Store) -> None:
    commit(three, Update("1", {"n": "7"}, valid_from="2021-01-01"), Update("2", {"n": 8}))
    assert story(three, "1", "n")[-1][-1] == 7
    assert story(three, "2", "n")[-1][-1] == 8
    with pytest.raises(BadValue, match="n: 'seven' is no integer"):
        commit(three, Update("1", {"n": "seven"}))


def test_a_shape_may_come_as_geojson_in_another_reference_system(three: Store) -> None:
    drawn = {"type": "Point", "coordinates": [13358338.9, 3503549.8]}
    edits = Edits([Update("1", geometry=drawn, valid_from="2021-01-01")], parse_crs("EPSG:3857"))
    three.commit({"t": edits}, WRITER, "m")
    (shape,) = layer(three, "t").at("2021-06-01").read(ids=["1"]).geometry
    assert shape.equals_exact(shapely.Point(120.0, 30.0), 1e-4)


def test_retiring_for_a_while_leaves_a_gap(three: Store) -> None:
    report = commit(three, Retire("1", "2021-01-01", "2022-01-01"))
    assert report.retired == 1
    assert [v[:2] for v in story(three, "1")] == [
        ("2020-01-01", "2021-01-01"),
        ("2022-01-01", None),
    ]


def test_a_feature_may_come_back_after_a_gap(three: Store) -> None:
    commit(three, Retire("1", "2021-01-01"))
    report = commit(three, Insert({"no": "1", "a": "again"}, POINT, valid_from="2023-01-01"))
    assert (report.created, report.changed) == (0, 1)
    assert [a for *_, a in story(three, "1")] == ["x", "again"]


def test_put_says_all_of_a_feature_whether_it_is_there_or_not(three: Store) -> None:
    commit(
        three,
        Put({"no": "1", "a": "whole"}, POINT, valid_from="2021-01-01"),
        Put({"no": "9", "a": "new"}, POINT, valid_from="2021-01-01"),
    )
    assert story(three, "1", "n")[-1][2] is pd.NA
    assert story(three, "9") == [("2021-01-01", None, "new")]


def test_edits_of_a_list_take_effect_in_their_order(three: Store) -> None:
    commit(
        three,
        Insert({"no": "9", "a": "first"}, POINT, valid_from="2021-01-01"),
        Update("9", {"a": "second"}, valid_from="2022-01-01"),
        Retire("9", "2023-01-01"),
    )
    assert story(three, "9") == [
        ("2021-01-01", "2022-01-01", "first"),
        ("2022-01-01", "2023-01-01", "second"),
    ]


def test_a_plain_date_begins_at_midnight_of_the_layers_zone(store: Store) -> None:
    publish(store, "t", points(no=["1"], a=["x"]), schema_of(A, time_zone="Asia/Shanghai"))
    commit(store, Update("1", {"a": "y"}, valid_from=date(2021, 1, 1)))
    commit(store, Update("1", {"a": "z"}, valid_from=datetime(2022, 1, 1, tzinfo=UTC)))
    starts = layer(store, "t").versions("1").read()["valid_from"].tolist()
    assert starts[1:] == [
        datetime(2020, 12, 31, 16, tzinfo=UTC),
        datetime(2022, 1, 1, tzinfo=UTC),
    ]


def test_a_future_edit_takes_effect_as_the_clock_passes(store: Store) -> None:
    clock = store.with_clock(lambda: START)
    publish(clock, "t", points(no=["1"], a=["x"]), schema_of(A))
    tomorrow = START + timedelta(days=1)
    commit(clock, Update("1", {"a": "y"}, valid_from=tomorrow))
    assert layer(clock, "t").at().read()["a"].tolist() == ["x"]
    later = store.with_clock(lambda: tomorrow)
    assert layer(later, "t").at().read()["a"].tolist() == ["y"]
    assert layer(later, "t").record.head == 2


def test_an_edit_of_an_event_lasts_to_its_next_development(store: Store) -> None:
    at = {"id": "at", "type": "instant", "role": "event-start"}
    frame = points(no=["1"], a=["reported"], at=pd.Series([START], dtype="datetime64[us, UTC]"))
    publish(store, "t", frame, schema_of(A, at, kind="event"))
    commit(store, Update("1", {"a": "closed"}, valid_from="2020-03-01"))
    commit(store, Update("1", {"a": "dispatched"}, valid_from="2020-02-01"))
    assert [v[1:] for v in story(store, "1")] == [
        ("2020-02-01", "reported"),
        ("2020-03-01", "dispatched"),
        (None, "closed"),
    ]


@pytest.mark.parametrize(
    ("edit", "error", "says"),
    [
        (Insert({"no": "1"}, POINT), EditConflict, "has '1' already"),
        (Update("9", {"a": "z"}), UnknownFeature, "no feature '9'"),
        (
            Update("1", {"a": "z"}, valid_from="2019-01-01", valid_to="2019-02-01"),
            EditConflict,
            "at another time",
        ),
        (Retire("1", "2019-01-01", "2019-02-01"), EditConflict, "at another time"),
        (Update("1", {"no": "2"}), EditConflict, "never changes"),
        (Update("1", {"b": "z"}), BadValue, "no field 'b'"),
        (
            Update("1", {"a": "z"}, valid_from="2022-01-01", valid_to="2021-01-01"),
            BadPeriod,
            "ends at",
        ),
        (Update("1", {"a": "z"}, valid_from="yesterday"), BadPeriod, "yesterday"),
        (Insert({"a": "z"}, POINT, id="7"), BadKey, "without a key"),
        (Insert({"no": "8"}, POINT, id="7"), BadKey, "differs from '8'"),
        (Update("1", geometry={"type": "Point"}), BadValue, "no GeoJSON"),
        (Update("1", geometry=shapely.box(0, 0, 1, 1)), BadValue, "the layer holds Point"),
        (Supersede(["1", "9"], [Insert({"no": "7"}, POINT)]), UnknownFeature, "'9'"),
    ],
)
def test_what_can_not_be_is_refused_and_writes_nothing(
    three: Store, edit: Edit, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        commit(three, Update("2", {"a": "written first"}), edit)
    assert layer(three, "t").record.head == 1
    assert [a for *_, a in story(three, "2")] == ["y"]


def test_a_required_field_can_not_be_taken_away(store: Store) -> None:
    publish(store, "t", points(no=["1"], a=["x"]), schema_of({"id": "a", "required": True}))
    for edit in (Update("1", {"a": None}), Insert({"no": "2"}, POINT)):
        with pytest.raises(BadValue, match="a is required"):
            commit(store, edit)


def test_a_layer_that_is_not_there_can_not_be_edited(store: Store) -> None:
    with pytest.raises(UnknownLayer, match="publish a source"):
        commit(store, Retire("1"))


def test_features_without_a_key_are_named_by_the_store(store: Store) -> None:
    schema = schema_of(A)
    unkeyed = dataclasses.replace(schema, fields=schema.fields[1:])
    publish(store, "t", points(a=["x"]), unkeyed)
    commit(store, Insert({"a": "y"}, POINT), Insert({"a": "y"}, POINT))
    ids = sorted(layer(store, "t").at().read().index)
    assert len(ids) == 3
    assert all(i.startswith("~") for i in ids)


def test_a_split_keeps_what_is_not_restated_and_who_came_from_whom(three: Store) -> None:
    document = Document("CAD-2021-7", "cadastral survey", "2021-05-14")
    into = [Insert({"no": "1a"}, POINT), Insert({"no": "1b", "n": 9}, POINT)]
    three.commit({"t": [split("1", into, "2021-05-14")]}, WRITER, "split", document=document)
    assert story(three, "1") == [("2020-01-01", "2021-05-14", "x")]
    assert story(three, "1a") == [("2021-05-14", None, "x")]
    assert [story(three, i, "n")[0][2] for i in ("1a", "1b")] == [1, 9]
    up, down = layer(three, "t").lineage("1a")
    assert [(n.ancestor, n.descendant, n.document) for n in up] == [("1", "1a", "CAD-2021-7")]
    assert down == []
    _, down = layer(three, "t").lineage("1")
    assert sorted(n.descendant for n in down) == ["1a", "1b"]


def test_a_merge_keeps_the_fields_in_which_all_agree(three: Store) -> None:
    commit(three, merge(["2", "3"], Insert({"no": "23"}, POINT), "2021-01-01"))
    assert story(three, "23") == [("2021-01-01", None, "y")]
    assert story(three, "23", "n")[0][2] == 2
    secrets = layer(three, "t").record
    assert secrets.schema.restricted[0].id == "owner"


def test_one_part_of_a_split_may_keep_the_old_id(three: Store) -> None:
    into = [Insert({"no": "1", "n": 5}, POINT), Insert({"no": "1b"}, POINT)]
    commit(three, split("1", into, "2021-01-01"))
    assert [n for *_, n in story(three, "1", "n")] == [1, 5]
    up, _ = layer(three, "t").lineage("1b")
    assert [n.ancestor for n in up] == ["1"]


def test_lineage_is_asked_both_ways_at_any_time_and_as_known_then(three: Store) -> None:
    commit(three, split("1", [Insert({"no": n}, POINT) for n in ("1a", "1b")], "2021-01-01"))
    commit(three, merge(["1b", "2"], Insert({"no": "4"}, POINT), "2022-01-01"))
    found = layer(three, "t")
    up, down = found.lineage("4")
    assert [(n.ancestor, n.descendant) for n in up] == [("1", "1b"), ("1b", "4"), ("2", "4")]
    _, down = found.lineage("1")
    assert [(n.ancestor, n.descendant) for n in down] == [("1", "1a"), ("1", "1b"), ("1b", "4")]
    _, down = found.lineage("1", until=datetime(2021, 6, 1, tzinfo=UTC))
    assert [n.descendant for n in down] == ["1a", "1b"]
    assert found.lineage("1", revision=1) == ([], [])


def test_a_commit_over_two_layers_is_one(three: Store) -> None:
    publish(three, "pipes", points(no=["p"], a=["x"]), schema_of(A))
    done = three.commit(
        {
            "t": [split("1", [Insert({"no": "1a"}, POINT)], "2021-01-01")],
            "pipes": [Update("p", {"a": "cut"}, valid_from="2021-01-01")],
        },
        WRITER,
        "a parcel with its pipe",
        document=Document("D-1"),
    )
    log = three.log(Reader.everything(), document="D-1")
    assert [(r.layer, r.commit.id, r.commit.recorded_at) for r in log] == [
        (name, done.commit, done.recorded_at) for name in ("pipes", "t")
    ]
    touched = {r.layer: dict(layer(three, r.layer).touched(r.number)) for r in log}
    assert touched == {"pipes": {"p": "changed"}, "t": {"1": "retired", "1a": "created"}}


def test_if_one_layer_refuses_none_is_written(three: Store) -> None:
    publish(three, "pipes", points(no=["p"], a=["x"]), schema_of(A))
    edits = {"pipes": [Update("p", {"a": "cut"})], "t": [Retire("9")]}
    with pytest.raises(UnknownFeature):
        three.commit(edits, WRITER, "m")
    assert layer(three, "pipes").record.head == 1


def test_restricted_fields_are_edited_and_never_read(three: Store) -> None:
    report = commit(three, Update("3", {"owner": "Zhang"}, valid_from="2021-01-01"))
    assert (report.changed, report.restricted_only, report.revision) == (0, 1, 2)
    assert "owner" not in layer(three, "t").at().read().columns
    assert list(layer(three, "t").changes(1)) == []


def test_a_dry_run_says_and_writes_nothing(three: Store) -> None:
    done = three.commit({"t": [Retire("1")]}, WRITER, "m", dry_run=True)
    assert (done.commit, done.reports["t"].retired) == (None, 1)
    assert layer(three, "t").record.head == 1


def test_a_put_keeps_what_it_is_told_to_in_each_version(three: Store) -> None:
    commit(three, Update("1", {"n": 5, "owner": "Wu"}, valid_from="2021-01-01"))
    body = {"no": "1", "a": "z"}
    keep = frozenset({"n", "owner"})
    commit(three, Put(body, UNSTATED, valid_from="2019-01-01", id="1", keep=keep))
    assert [a for *_, a in story(three, "1")] == ["z", "z", "z"]
    assert [n for *_, n in story(three, "1", "n")][1:] == [1, 5]
    frame = layer(three, "t").versions("1").read()
    # Before it was there it had no shape, and nothing that could stay.
    assert frame.geometry.isna().tolist() == [True, False, False]
    assert pd.isna(frame["n"].iloc[0])


def test_edits_of_what_changed_since_are_refused(three: Store) -> None:
    seen = Edits([Update("1", {"n": 7})], expected={"1": 1})
    three.commit({"t": [Update("2", {"n": 7})]}, WRITER, "another feature")
    assert three.commit({"t": seen}, WRITER, "m", dry_run=True).reports["t"].changed == 1
    three.commit({"t": [Update("1", {"owner": "Xu"})]}, WRITER, "a restricted field of it")
    with pytest.raises(FeatureChanged, match="'1' of t changed"):
        three.commit({"t": seen}, WRITER, "m")
    again = dataclasses.replace(seen, expected={"1": 3})
    assert three.commit({"t": again}, WRITER, "m").reports["t"].revision == 4


def test_forward_edits_begin_after_the_newest_version(three: Store) -> None:
    def forward(*edits: Edit) -> Any:
        return three.commit({"t": Edits(edits, forward=True)}, WRITER, "m").reports["t"]

    for start in ("2019-01-01", "2020-01-01"):
        for edit in (
            Update("1", {"n": 5}, valid_from=start),
            Put({"no": "1"}, valid_from=start),
            Retire("1", valid_from=start),
        ):
            with pytest.raises(EditConflict, match="the newest version of '1' began"):
                forward(edit)
    assert forward(Insert({"no": "9"}, valid_from="1999-01-01")).created == 1
    # Two edits of one list are of one moment: the second is not before the first.
    assert forward(Update("1", {"n": 5}), Update("1", {"a": "z"})).changed == 1
    assert forward(Update("2", {"n": 5}, valid_from="2020-01-02")).changed == 1


def test_a_report_names_the_features_of_its_edits(three: Store) -> None:
    report = commit(three, Insert({"no": "7"}), Update("1", {"n": 9}), Retire("2"))
    assert report.named == ("7", "1", "2")
