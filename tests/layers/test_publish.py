"""What a publish does with rows: keys, repeats, scopes, consent, shapes, columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
import shapely
import sqlalchemy as sa
from publishing import START, WRITER, counts, layer, points, publish, schema_of

from layers import tables
from layers.errors import (
    BadKey,
    BadPeriod,
    BadSchema,
    BadScope,
    BadSource,
    BadValue,
    NeedsConsent,
    SchemaConflict,
    UnknownLayer,
)
from layers.model import Mode
from layers.publish import Reload
from layers.schemas.inference import Choices
from layers.sourcing.frames import FrameSource
from layers.store import Store

SECRET = "Zhang San 138-0013-8000"  # pragma: allowlist secret - a person made up
A, ZONE = {"id": "a"}, {"id": "zone"}


def test_an_unchanged_reload_writes_nothing(store: Store) -> None:
    frame = points(no=["1", "2"], a=["x", None])
    assert counts(publish(store, "t", frame, schema_of(A))) == (2, 0, 0)
    again = publish(store, "t", frame)
    assert (again.revision, again.unchanged, again.nothing_to_do) == (None, 2, True)
    assert layer(store, "t").record.head == 1


def test_a_dry_run_reports_and_writes_nothing(store: Store) -> None:
    report = publish(store, "t", points(no=["1"]), schema_of(), dry_run=True)
    assert (counts(report), report.revision, report.dry_run) == ((1, 0, 0), None, True)
    with pytest.raises(UnknownLayer):
        layer(store, "t")
    with store.database.inspect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.layer)) == 0


def test_the_first_publish_must_say_from_when(store: Store) -> None:
    with pytest.raises(BadPeriod, match="--valid-from"):
        store.commit({"t": Reload(FrameSource(points(no=["1"])), schema_of())}, WRITER, "m")


def test_repeated_keys_are_refused_with_their_rows(store: Store) -> None:
    with pytest.raises(BadKey, match=r"'1' in rows 1, 3"):
        publish(store, "t", points(no=["1", "2", "1"]), schema_of())


@pytest.mark.parametrize(("policy", "kept"), [("first", "x"), ("last", "z")])
def test_of_repeated_keys_one_is_kept(store: Store, policy: str, kept: str) -> None:
    frame = points(no=["1", "1", "1"], a=["x", "y", "z"])
    report = publish(store, "t", frame, schema_of(A, duplicates=policy))
    assert layer(store, "t").at().read()["a"].tolist() == [kept]
    (repeated,) = report.findings.repeated
    assert (repeated.rows, repeated.outcome, repeated.differing) == ([1, 2, 3], policy, ["a"])


def test_repeated_keys_are_merged_into_one_shape(store: Store) -> None:
    squares = [shapely.box(x, 0, x + 1, 1) for x in (0, 5, 1)]
    frame = gpd.GeoDataFrame({"no": ["1"] * 3}, geometry=squares, crs="OGC:CRS84")
    publish(store, "t", frame, schema_of(geometry="MultiPolygon", duplicates="merge"))
    (shape,) = layer(store, "t").at().read().geometry
    assert shape.equals(shapely.union_all(squares))


def test_a_placeholder_is_no_key(store: Store) -> None:
    schema = schema_of(placeholder_keys=["---"])
    report = publish(store, "t", points(no=["---", "1", " ", None]), schema)
    assert report.findings.without_key.count == 3
    ids = layer(store, "t").at().read().index
    assert sorted(i[0] for i in ids) == ["1", "~", "~", "~"]


def test_rows_without_a_key_keep_their_id_while_their_shape_stays(store: Store) -> None:
    schema = schema_of(A, placeholder_keys=["-"], geometry_tolerance=0.01)
    publish(store, "t", points(no=["-", "-"], a=["x", "y"]), schema)
    before = layer(store, "t").at().read()
    moved = points(no=["-", "-"], a=["x", "z"])
    moved.geometry = moved.translate(0.005)
    assert counts(publish(store, "t", moved)) == (0, 1, 0)
    after = layer(store, "t").at().read()
    assert sorted(after.index) == sorted(before.index)
    assert sorted(after["a"]) == ["x", "z"]


def test_rows_without_a_key_in_one_place_are_told_apart(store: Store) -> None:
    """The name of what was once x, and is y now, is taken: another x must not take its place."""
    here = shapely.Point(0, 0)
    schema = schema_of(A, placeholder_keys=["-"])

    def of(*values: str) -> gpd.GeoDataFrame:
        data = {"no": ["-"] * len(values), "a": list(values)}
        return gpd.GeoDataFrame(data, geometry=[here] * len(values), crs="OGC:CRS84")

    publish(store, "t", of("x"), schema)
    publish(store, "t", of("y"))
    assert counts(publish(store, "t", of("x", "y"))) == (1, 0, 0)
    assert sorted(layer(store, "t").at().read()["a"]) == ["x", "y"]
    assert counts(publish(store, "t", of("x", "w"), consent=True)) == (0, 1, 0)
    assert publish(store, "t", of("w", "x")).nothing_to_do
    assert publish(store, "t", of("x", "w", "x")).nothing_to_do


def test_events_without_a_key_in_one_place_are_different_events(store: Store) -> None:
    reported = {"id": "at", "type": "instant", "role": "event-start"}
    schema = schema_of(reported, kind="event", placeholder_keys=["-"])

    def event(instant: datetime) -> gpd.GeoDataFrame:
        return points(no=["-"], at=pd.Series([instant], dtype="datetime64[us, UTC]"))

    publish(store, "t", event(START), schema)
    assert counts(publish(store, "t", event(START + timedelta(days=1)))) == (1, 0, 0)
    assert len(layer(store, "t").at().read()) == 2


def test_rows_without_a_key_are_matched_within_their_scope(store: Store) -> None:
    schema = schema_of(ZONE, placeholder_keys=["-"])
    publish(store, "t", points(no=["-"]), schema, scope={"zone": "east"})
    report = publish(store, "t", points(no=["-"]), schema, scope={"zone": "west"})
    assert counts(report) == (1, 0, 0)
    assert sorted(layer(store, "t").at().read()["zone"]) == ["east", "west"]


def test_a_scoped_reload_touches_nothing_outside(store: Store) -> None:
    schema = schema_of(ZONE)
    publish(store, "t", points(no=["1", "2"], zone=["east", "west"]), schema)
    report = publish(store, "t", points(no=["3"]), scope={"zone": "east"}, consent=True)
    assert counts(report) == (1, 0, 1)
    assert sorted(layer(store, "t").at().read().index) == ["2", "3"]


def test_rows_outside_the_scope_are_refused(store: Store) -> None:
    frame = points(no=["1", "2"], zone=["east", "west"])
    with pytest.raises(BadScope, match="rows 2"):
        publish(store, "t", frame, schema_of(ZONE), scope={"zone": "east"})


def test_an_id_that_lives_outside_the_scope_is_refused(store: Store) -> None:
    publish(store, "t", points(no=["1"], zone=["west"]), schema_of(ZONE))
    with pytest.raises(BadScope, match="'1' live in the layer outside"):
        publish(store, "t", points(no=["1"]), scope={"zone": "east"})


@pytest.mark.parametrize("scope", [{"nope": "1"}, {"n": "many"}, {"n": ""}])
def test_a_scope_that_can_not_be_is_refused(store: Store, scope: dict[str, str]) -> None:
    schema = schema_of({"id": "n", "type": "integer", "missing": [""]})
    with pytest.raises(BadScope, match=next(iter(scope))):
        publish(store, "t", points(no=["1"], n=[1]), schema, scope=scope)


def test_more_than_a_fifth_needs_consent(store: Store) -> None:
    ten = points(no=[str(n) for n in range(10)])
    publish(store, "t", ten, schema_of())
    assert counts(publish(store, "t", ten.iloc[:8])) == (0, 0, 2)
    with pytest.raises(NeedsConsent, match="2 of the 8"):
        publish(store, "t", ten.iloc[:6])
    assert layer(store, "t").record.head == 2
    assert counts(publish(store, "t", ten.iloc[:6], consent=True)) == (0, 0, 2)


def test_consent_counts_what_was_there_at_the_instant_of_a_backdated_reload(store: Store) -> None:
    """Ten of 2020 gave way to ten others in 2021: one fewer from 2020 on is one of ten."""
    of_2020, of_2021 = (points(no=[f"{c}{n}" for n in range(10)]) for c in "ab")
    publish(store, "t", of_2020, schema_of())
    publish(store, "t", of_2021, valid_from=datetime(2021, 1, 1, tzinfo=UTC), consent=True)
    report = publish(store, "t", of_2021.iloc[:9], valid_from=datetime(2021, 1, 1, tzinfo=UTC))
    assert counts(report) == (0, 0, 1)


def test_a_key_column_that_is_not_there(store: Store) -> None:
    with pytest.raises(BadSchema, match="nope"):
        publish(
            store, "t", FrameSource(points(no=["1"])), choices=Choices(keys=("nope",)),
            valid_from=START,
        )  # fmt: skip
    publish(store, "t", points(no=["1"]), schema_of())
    with pytest.raises(BadSource, match="no column for the key no"):
        publish(store, "t", points(other=["1"]))


def test_reference_systems_must_be_stated_once(store: Store) -> None:
    unstated = points(no=["1"]).set_crs(None, allow_override=True)
    with pytest.raises(BadSource, match="--crs"):
        publish(store, "t", unstated, schema_of())
    with pytest.raises(BadSource, match="EPSG:3857"):
        publish(store, "t", points(no=["1"]), schema_of(), crs=gpd.GeoSeries(crs=3857).crs)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("integer", "7", "7.5"),
        ("number", "7.5", "inf"),
        ("boolean", "是", "maybe"),
        ("date", "2020-02-29", "2021-02-29"),
        ("instant", "2020-02-29T00:00:00Z", "yesterday"),
        ("text", "x", "a\x00b"),
    ],
)
def test_a_bad_value_names_its_row(store: Store, kind: str, good: str, bad: str) -> None:
    schema = schema_of({"id": "v", "type": kind})
    with pytest.raises(BadValue, match=r"row 2, field v"):
        publish(store, "t", points(no=["1", "2"], v=[good, bad]), schema)
    publish(store, "t", points(no=["1", "2"], v=[good, None]), schema)


def test_a_bad_restricted_value_is_not_in_the_message(store: Store) -> None:
    schema = schema_of({"id": "v", "type": "integer", "visibility": "restricted"})
    with pytest.raises(BadValue, match="row 1, field v") as caught:
        publish(store, "t", points(no=["1"], v=[SECRET]), schema)
    assert SECRET not in str(caught.value)


def test_a_required_value_may_not_be_absent(store: Store) -> None:
    schema = schema_of({"id": "v", "required": True})
    with pytest.raises(BadValue, match="v is required, and absent in rows 2"):
        publish(store, "t", points(no=["1", "2"], v=["x", None]), schema)


def test_a_period_that_ends_before_it_starts(store: Store) -> None:
    until = {"id": "until", "type": "date", "role": "valid-to"}
    with pytest.raises(BadPeriod, match="rows 2"):
        publish(
            store, "t", points(no=["1", "2"], until=["2021-01-01", "2019-01-01"]), schema_of(until)
        )


def test_another_schema_is_refused(store: Store) -> None:
    publish(store, "t", points(no=["1"]), schema_of(A))
    with pytest.raises(SchemaConflict, match="fields"):
        publish(store, "t", points(no=["1"]), schema_of(A, ZONE))


def test_a_shape_within_the_tolerance_is_kept_and_does_not_drift(store: Store) -> None:
    schema = schema_of(geometry_tolerance=0.01)
    first = points(no=["1"])
    publish(store, "t", first, schema)
    for step in range(1, 3):
        moved = first.set_geometry(first.translate(0.004 * step))
        report = publish(store, "t", moved)
        assert (report.revision, report.kept_shapes) == (None, 1)
    far = first.set_geometry(first.translate(0.012))
    assert counts(publish(store, "t", far)) == (0, 1, 0)
    assert layer(store, "t").at().read().geometry.iloc[0].equals(far.geometry.iloc[0])


def test_an_upsert_keeps_what_the_source_lacks(store: Store) -> None:
    publish(store, "t", points(no=["1", "2"], a=["x", "y"], zone=["e", "w"]), schema_of(A, ZONE))
    report = publish(store, "t", pd.DataFrame({"no": ["1"], "a": ["z"]}), mode=Mode.UPSERT)
    assert counts(report) == (0, 1, 0)
    frame = layer(store, "t").at().read()
    assert frame.loc["1", ["a", "zone"]].tolist() == ["z", "e"]
    assert frame.loc["1"].geometry.equals(shapely.Point(0, 1))
    assert frame.loc["2", "a"] == "y"


def test_one_commit_over_two_layers(store: Store) -> None:
    edits = {
        name: Reload(FrameSource(points(no=["1"])), schema_of(A), valid_from=START)
        for name in ("b", "a")
    }
    done = store.commit(edits, WRITER, "both")
    revisions = [layer(store, name).revision(1) for name in ("a", "b")]
    assert {r.commit.id for r in revisions} == {done.commit}
    good = Reload(FrameSource(points(no=["2"])), mode=Mode.UPSERT)
    number = schema_of({"id": "v", "type": "number"})
    bad = Reload(FrameSource(points(no=["1"], v=["x"])), number, valid_from=START)
    with pytest.raises(BadValue):
        store.commit({"a": good, "c": bad}, WRITER, "m")
    assert layer(store, "a").record.head == 1


@pytest.mark.parametrize("layer_id", ["select", "x" * 48, "user", "live", "a_live_geom"])
def test_awkward_layer_ids(store: Store, layer_id: str) -> None:
    schema = schema_of({"id": "s", "visibility": "restricted"})
    publish(store, layer_id, points(no=["1"], s=["x"]), schema)
    publish(store, layer_id, points(no=["1", "2"], s=["y", "z"]))
    assert len(layer(store, layer_id).at().read()) == 2


@pytest.mark.parametrize("layer_id", ["地块", 'a"b', "A", "", "1a", "x" * 49, "a-b", "live.t"])
def test_refused_layer_ids(store: Store, layer_id: str) -> None:
    with pytest.raises(BadSchema):
        publish(store, layer_id, points(no=["1"]), schema_of())


@pytest.mark.parametrize(
    "field_id", ["地块编号", "select", "order", "id", "geometry", "valid_from", "XMin", "字" * 20]
)
def test_awkward_field_names(store: Store, field_id: str) -> None:
    frame = points(no=["1", "2"]).rename_geometry("shape")
    frame[field_id] = ["x", "y"]
    schema = schema_of({"id": field_id})
    publish(store, "t", frame, schema)
    frame[field_id] = ["x", "z"]
    assert counts(publish(store, "t", frame)) == (0, 1, 0)
    shown = f"{field_id}_" if field_id in ("geometry", "valid_from") else field_id
    assert layer(store, "t").at().read()[shown].tolist() == ["x", "z"]
    found = layer(store, "t")
    (change,) = found.diff(found.at(revision=1), found.at())
    assert change.fields == (field_id,)


def test_a_bounding_box_in_columns_is_published_without_a_schema(store: Store) -> None:
    frame = points(xmin=[1.5], ctid=["x"], no=["1"])
    publish(store, "t", frame, valid_from=START, choices=Choices(keys=("no",)))
    assert layer(store, "t").at().read().loc["1", "f_xmin"] == 1.5


def test_reserved_names_are_said(store: Store) -> None:
    report = publish(store, "t", points(no=["1"], limit=["x"]), schema_of({"id": "limit"}))
    assert report.findings.reserved == ["limit"]


def test_restricted_values_stand_in_the_side_tables_only(store: Store) -> None:
    fields = [A, {"id": "holder", "visibility": "restricted"}]
    schema = schema_of(*fields, duplicates="first")
    frame = points(no=["1", "1"], a=["x", "x"], holder=[SECRET, f"{SECRET}!"])
    first = publish(store, "t", frame, schema)
    second = publish(store, "t", points(no=["1"], a=["x"], holder=["another"]))
    assert (counts(second), second.restricted_only, second.revision) == ((0, 0, 0), 1, 2)
    assert SECRET not in str(first) + str(first.document())
    frame = layer(store, "t").at().read()
    assert "holder" not in frame
    found_layer = layer(store, "t")
    assert not list(found_layer.diff(found_layer.at(revision=1), found_layer.at()))
    found: dict[str, bool] = {}
    with store.database.inspect() as connection:
        names = connection.execute(
            sa.text(
                "SELECT schemaname, tablename FROM pg_tables"
                " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            )
        )
        for pg_schema, table in names.all():
            text = sa.text(
                f"SELECT coalesce(string_agg(t::text, ' '), '') FROM {pg_schema}.\"{table}\" t"
            )
            found[f"{pg_schema}.{table}"] = "Zhang" in str(connection.scalar(text))
    assert [name for name, hit in found.items() if hit] == ["restricted_history.t"]


def test_the_parcels_editions(demo_store: Store, demo_files: Path) -> None:
    """What changed between the editions, found again with geopandas from the files themselves."""
    editions = [
        read_parcels(demo_files / f"ASSESSING_ParcelsFY{y}.topojson.gz") for y in (2013, 2014)
    ]
    old, new = editions
    parcels = layer(demo_store, "parcels")
    revision = parcels.revision(2)
    keyed = [{i for i in e.index if not i.startswith("~")} for e in editions]
    shared = sorted(keyed[0] & keyed[1])
    names = ["MAP", "LOT", "UYEAR"]
    differs = (old.loc[shared, names] != new.loc[shared, names]).any(axis=1)
    differing = set(differs.index[differs])
    far = shapely.hausdorff_distance(
        old.loc[shared].geometry.to_numpy(), new.loc[shared].geometry.to_numpy()
    )
    # Against an empty shape there is no distance; one that lost its shape has changed as well.
    moved = {i for i, distance in zip(shared, far, strict=True) if not distance <= 1e-5}
    changes = {
        c.id: c
        for c in parcels.diff(
            parcels.at("2013-06-01", revision=2), parcels.at("2014-01-15", revision=2)
        )
    }
    by_kind: dict[str, set[str]] = {k: set() for k in ("created", "changed", "retired")}
    for c in changes.values():
        if not c.id.startswith("~"):
            by_kind[c.kind].add(c.id)
    assert by_kind["changed"] == differing | moved
    assert by_kind["created"] == keyed[1] - keyed[0]
    assert by_kind["retired"] == keyed[0] - keyed[1]
    assert {"geometry"} >= {f for i in moved - differing for f in changes[i].fields}
    assert revision.n_changed == sum(c.kind == "changed" for c in changes.values())
    assert revision.n_created == sum(c.kind == "created" for c in changes.values())
    assert revision.n_retired == sum(c.kind == "retired" for c in changes.values())


@pytest.fixture(scope="module")
def demo_files() -> Path:
    return Path(__file__).parents[2] / "deploy" / "demo" / "data"


def read_parcels(path: Path) -> gpd.GeoDataFrame:
    frame = gpd.read_file(f"/vsigzip/{path}").set_crs("OGC:CRS84", allow_override=True)
    placeholders = {"---", "--", "-", "--MD", "--R", "ROAD", ""}
    key = frame["ML"].fillna("").str.strip()
    frame = frame[~key.isin(placeholders)].assign(ML=key)
    bad = ~frame.is_valid
    mended = frame[bad].make_valid(method="structure", keep_collapsed=False)
    frame.loc[bad, "geometry"] = mended
    frame["UYEAR"] = frame["UYEAR"].fillna(0).astype(int)
    frame["MAP"], frame["LOT"] = frame["MAP"].fillna(""), frame["LOT"].fillna("")
    repeated = frame["ML"].duplicated(keep=False)
    rest: dict[str, Any] = dict.fromkeys(("MAP", "LOT", "UYEAR"), "first")
    merged = frame[repeated].dissolve("ML", aggfunc=rest)
    shapes = pd.concat([frame[~repeated].set_index("ML"), merged])
    return gpd.GeoDataFrame(shapes[["MAP", "LOT", "UYEAR", "geometry"]])
