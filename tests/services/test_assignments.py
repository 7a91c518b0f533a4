"""Cases to grids: every case once a system, in the grid of its own time, pinned for good."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from layers.errors import UnknownLayer, UnknownRevision
from layers.model import Field, FieldType, Kind, Mode, Role, Schema, Title, Visibility
from layers.publish import Reload
from layers.readers import Reader
from layers.sourcing.frames import FrameSource
from layers.store import Store
from layers.writers import Writer
from services import assignments
from services.assignments import LostCases, UnsuitableLayer, assign_cases
from services.errors import BadParameter
from spatial.errors import BadDistance, BadInstant
from spatial.periods import Interval

ANYONE = Reader.anonymous()
EDITION = pd.Timestamp("2022-01-01", tz="America/New_York")
FILES = {
    "precinct": ("ELECTIONS_WardsPrecincts.geojson.gz", "WardPrecinct"),
    "neighborhood": ("BOUNDARY_CDDNeighborhoods.geojson.gz", "N_HOOD"),
    "police_response_district": ("PUBLICSAFETY_PoliceResponseDistricts.geojson.gz", "CADRA"),
}


@pytest.fixture(scope="module")
def found(demo_store: Store) -> assignments.CaseGrids:
    return assign_cases(demo_store, ANYONE, cases="incidents", grids="grids")


def source_grids(data: Path, file: str, code: str) -> gpd.GeoDataFrame:
    grids = gpd.read_file(f"/vsigzip/{data / file}")[[code, "geometry"]]
    grids[code] = grids[code].astype(str)
    return grids.rename(columns={code: "code"}).to_crs("OGC:CRS84")


def joined(points: gpd.GeoDataFrame, grids: gpd.GeoDataFrame) -> dict[str, set[str]]:
    """The codes of all grids that each case meets, by geopandas alone."""
    pairs = gpd.sjoin(points, grids, predicate="intersects")
    return pairs.groupby(level=0)["code"].agg(set).to_dict()


# Totals


def test_every_case_appears_once_in_each_system(demo_store: Store, found) -> None:
    ids = demo_store.layer("incidents").at().read().index
    assert found.systems == ("neighborhood", "police_response_district", "precinct")
    for system in found.systems:
        rows = found.assignments[found.assignments["grid_type"] == system]
        assert sorted(rows["case"]) == sorted(ids)
    assert found.cases == len(ids) == 10_000
    assert set(found.totals.values()) == {10_000}


def test_the_summary_adds_up_to_the_cases(found) -> None:
    sums = found.summary.groupby("grid_type")["count"].sum()
    assert dict(sums) == dict(found.totals)


def test_a_lost_row_is_an_error_and_no_result(demo_store: Store, monkeypatch) -> None:
    whole = assignments.assign
    monkeypatch.setattr(assignments, "assign", lambda *a, **k: whole(*a, **k).iloc[1:])
    with pytest.raises(LostCases, match="nothing of this result can be used"):
        assign_cases(demo_store, ANYONE, cases="incidents", grids="grids")


def test_a_repeated_row_in_place_of_another_is_an_error(demo_store: Store, monkeypatch) -> None:
    whole = assignments.assign

    def twice(*a, **k):
        table = whole(*a, **k)
        return pd.concat([table.iloc[1:], table.iloc[-1:]], ignore_index=True)

    monkeypatch.setattr(assignments, "assign", twice)
    with pytest.raises(LostCases, match="1 of them repeated"):
        assign_cases(demo_store, ANYONE, cases="incidents", grids="grids")


# The grid of its own time, against geopandas on the source files


@pytest.mark.parametrize("system", FILES)
def test_each_case_is_in_the_grid_of_its_own_time(
    demo_store: Store, found, data: Path, system: str
) -> None:
    cases = demo_store.layer("incidents").at().read()
    late = joined(cases, source_grids(data, *FILES[system]))
    early = late
    if system == "precinct":
        early = joined(
            cases, source_grids(data, "ELECTIONS_WardsPrecincts2010.geojson.gz", FILES[system][1])
        )
    rows = found.assignments[found.assignments["grid_type"] == system].set_index("case")
    differing = 0
    for case, row in rows.iterrows():
        before = cases.loc[case, "reported_at"] < EDITION
        expected = (early if before else late).get(case, set())
        assert row["grid_code"] == min(expected, default=None), (case, row["status"])
        assert (row["status"] == "unassigned") is (not expected)
        differing += early.get(case) != late.get(case)
    # The two editions tell the cases apart, or this test would show nothing
    assert (differing > 500) is (system == "precinct")


def test_the_feature_behind_a_code_is_named(demo_store: Store, found) -> None:
    named = found.assignments.dropna(subset=["grid"])
    assert (named["grid"] == named["grid_type"] + ":" + named["grid_code"]).all()


def test_within_the_tolerance_the_nearest_is_taken(demo_store: Store, found) -> None:
    near = assign_cases(demo_store, ANYONE, cases="incidents", grids="grids", tolerance_m=50)
    lost = found.assignments["status"] == "unassigned"
    assert lost.sum() > 0
    taken = near.assignments["status"] == "nearest"
    assert taken.any()
    assert (taken <= lost).all()
    assert near.assignments.loc[taken, "distance_m"].between(0, 50, inclusive="right").all()
    pd.testing.assert_frame_equal(found.assignments[~lost], near.assignments[~lost])


# Which cases, and what was known


def test_an_interval_takes_the_cases_reported_within_it(demo_store: Store) -> None:
    july = assign_cases(
        demo_store, ANYONE, cases="incidents", grids="grids", datetime="2023-07-01/2023-08-01"
    )
    reported = demo_store.layer("incidents").at().read()["reported_at"].dt.tz_convert(EDITION.tz)
    assert july.cases == ((reported.dt.year == 2023) & (reported.dt.month == 7)).sum() > 0
    assert july.datetime == Interval(
        datetime(2023, 7, 1, 4, tzinfo=UTC), datetime(2023, 8, 1, 4, tzinfo=UTC)
    )


def test_what_means_now_is_resolved(demo_store: Store) -> None:
    now = datetime(2024, 3, 1, tzinfo=UTC)
    then = demo_store.with_clock(lambda: now)
    by_default = assign_cases(then, ANYONE, cases="incidents", grids="grids")
    open_ended = assign_cases(
        then, ANYONE, cases="incidents", grids="grids", datetime="2024-02-01/.."
    )
    assert by_default.datetime == now
    assert isinstance(open_ended.datetime, Interval)
    assert open_ended.datetime.end == now
    again = assign_cases(
        demo_store, ANYONE, cases="incidents", grids="grids", datetime=open_ended.datetime
    )
    pd.testing.assert_frame_equal(open_ended.assignments, again.assignments)


def test_a_box_takes_cases_and_leaves_the_grids_whole(demo_store: Store, found) -> None:
    box = (-71.12, 42.36, -71.10, 42.38)
    part = assign_cases(demo_store, ANYONE, cases="incidents", grids="grids", bbox=box)
    assert 0 < part.cases < found.cases
    whole = found.assignments[found.assignments["case"].isin(part.assignments["case"])]
    pd.testing.assert_frame_equal(whole.reset_index(drop=True), part.assignments)


def test_no_cases_are_no_rows_of_every_system(demo_store: Store) -> None:
    none = assign_cases(demo_store, ANYONE, cases="incidents", grids="grids", datetime="2013-01-01")
    assert none.cases == len(none.assignments) == 0
    assert none.totals == {"neighborhood": 0, "police_response_district": 0, "precinct": 0}


def test_grid_types_narrow_the_systems(demo_store: Store, found) -> None:
    one = assign_cases(
        demo_store, ANYONE, cases="incidents", grids="grids", grid_types=["precinct"]
    )
    rows = found.assignments[found.assignments["grid_type"] == "precinct"]
    pd.testing.assert_frame_equal(rows.reset_index(drop=True), one.assignments)


def test_a_revision_pins_what_was_known_of_the_grids(demo_store: Store) -> None:
    early = assign_cases(demo_store, ANYONE, cases="incidents", grids="grids", grids_revision=3)
    assert early.grids_revision == 3
    # The edition of 2022 was not known yet: that of 2010 seemed to last
    first = assign_cases(demo_store, ANYONE, cases="incidents", grids="grids", grids_revision=1)
    precincts = early.assignments[early.assignments["grid_type"] == "precinct"]
    pd.testing.assert_frame_equal(precincts.reset_index(drop=True), first.assignments)


def test_pinned_revisions_give_the_same_after_another_commit(own_doors) -> None:
    own_demo = own_doors.store

    def run(**pins: int):
        return assign_cases(
            own_demo, ANYONE, cases="incidents", grids="grids", datetime="2025-01-01", **pins
        )

    before = run()
    moved = own_demo.layer("grids").at().read(equal={"grid_type": "precinct"})
    moved["geometry"] = moved.geometry.translate(0.01, 0.0)
    frame = moved.drop(columns=["valid_from", "valid_to"])
    own_demo.commit(
        {
            "grids": Reload(
                FrameSource(gpd.GeoDataFrame(frame)),
                mode=Mode.RELOAD,
                scope={"grid_type": "precinct"},
                valid_from=datetime(2021, 1, 1, tzinfo=UTC),
                consent=True,
            )
        },
        Writer("a test"),
        "Precincts moved, from 2021 on",
    )
    pinned = run(cases_revision=before.cases_revision, grids_revision=before.grids_revision)
    pd.testing.assert_frame_equal(before.assignments, pinned.assignments)
    pd.testing.assert_frame_equal(before.summary, pinned.summary)
    newest = run()
    assert newest.grids_revision == before.grids_revision + 1
    assert not newest.summary.equals(before.summary)
    recorded = own_demo.layer("grids").revision(before.grids_revision).commit.recorded_at
    assert before.cases_revision == 1  # recorded later than the grids, hence the later instant
    later = max(recorded, own_demo.layer("incidents").revision(1).commit.recorded_at)
    by_instant = assign_cases(
        own_demo, ANYONE, cases="incidents", grids="grids", datetime="2025-01-01", recorded=later
    )
    pd.testing.assert_frame_equal(before.assignments, by_instant.assignments)


# Layers of our own: reference systems, one system, days, and what is not open


def field(name: str, kind: FieldType = FieldType.TEXT, role: Role | None = None, **more) -> Field:
    return Field(name, kind, Title(name, name), role, **more)


def publish(store: Store, layer_id: str, schema: Schema, frame: gpd.GeoDataFrame) -> None:
    start = None if schema.kind is Kind.EVENT else datetime(2020, 1, 1, tzinfo=UTC)
    reload = Reload(FrameSource(frame), schema=schema, mode=Mode.RELOAD, valid_from=start)
    store.commit({layer_id: reload}, Writer("a test"), "made for a test")


def zones(crs: str = "OGC:CRS84", **more) -> tuple[Schema, gpd.GeoDataFrame]:
    fields = (field("code", role=Role.KEY, required=True),)
    schema = Schema(
        Kind.STATE,
        Title("z", "z"),
        "Polygon",
        fields,
        crs=crs,
        visibility=Visibility.PUBLIC,
        **more,
    )
    shapes = [shapely.box(120, 30, 120.1, 30.1), shapely.box(120.1, 30, 120.2, 30.1)]
    frame = gpd.GeoDataFrame({"code": ["b", "a"]}, geometry=shapes, crs="OGC:CRS84")
    return schema, frame.to_crs(crs)


def calls(**more) -> tuple[Schema, gpd.GeoDataFrame]:
    fields = (
        field("no", role=Role.KEY, required=True),
        field("day", FieldType.DATE, Role.EVENT_START, required=True, **more),
    )
    schema = Schema(Kind.EVENT, Title("c", "c"), "Point", fields, visibility=Visibility.PUBLIC)
    points = gpd.points_from_xy([120.05, 120.1, 120.3], [30.05, 30.05, 30.05])
    frame = gpd.GeoDataFrame(
        {"no": ["1", "2", "3"], "day": ["2020-01-01", "2020-01-02", "2020-02-01"]},
        geometry=points,
        crs="OGC:CRS84",
    )
    return schema, frame


def test_layers_in_two_reference_systems_are_brought_together_and_it_is_said(store: Store) -> None:
    publish(store, "zones", *zones("EPSG:4549"))
    publish(store, "calls", *calls())
    found = assign_cases(store, ANYONE, cases="calls", grids="zones")
    assert found.systems == ("",)
    rows = found.assignments.set_index("case")
    assert rows.loc["2", "grid_code"] in ("a", "b")  # on the edge, to a rounding
    assert rows.loc["3", "reason"] == "outside every polygon"
    (note,) = found.notes
    assert "from WGS 84 (CRS84) to CGCS2000" in note


def test_a_day_begins_in_the_time_zone_of_the_layer(store: Store) -> None:
    publish(store, "zones", *zones())
    publish(store, "calls", *calls())
    found = assign_cases(store, ANYONE, cases="calls", grids="zones")
    rows = found.assignments.set_index("case")
    # 2020-01-01 in Shanghai began before the zones did, at 2020-01-01T00:00Z
    assert rows.loc["1", "reason"] == "no polygon is valid then"
    assert rows.loc["1", "reported_at"] == pd.Timestamp("2019-12-31T16:00Z")
    assert rows.loc["2", ["grid_code", "status"]].tolist() == ["a", "boundary"]
    assert rows.loc["3", "reason"] == "outside every polygon"
    assert found.notes == ()


def test_one_system_has_no_grid_types(store: Store) -> None:
    publish(store, "zones", *zones())
    publish(store, "calls", *calls())
    with pytest.raises(BadParameter, match="leave out grid_types"):
        assign_cases(store, ANYONE, cases="calls", grids="zones", grid_types=["a"])


def test_grids_that_begin_after_the_last_case_are_an_error(store: Store) -> None:
    publish(store, "zones", *zones())
    publish(store, "calls", *calls())
    with pytest.raises(UnsuitableLayer, match="no grids of zones r1"):
        assign_cases(store, ANYONE, cases="calls", grids="zones", datetime="2019-01-01/2020-01-01")


def test_a_report_instant_that_is_not_open_is_not_used(store: Store) -> None:
    publish(store, "zones", *zones())
    publish(store, "calls", *calls(visibility=Visibility.INTERNAL))
    with pytest.raises(UnsuitableLayer, match="not open to you"):
        assign_cases(store, ANYONE, cases="calls", grids="zones")
    assert assign_cases(store, Reader.everything(), cases="calls", grids="zones").cases == 3


# What can't be


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"cases": "nope"}, UnknownLayer, "nope"),
        ({"cases": "grids"}, UnsuitableLayer, "event layer"),
        ({"grids": "incidents"}, UnsuitableLayer, "polygons"),
        ({"grids": "pipe_segments"}, UnsuitableLayer, "polygons"),
        ({"grid_types": ["ward"]}, BadParameter, "there are: neighborhood"),
        ({"datetime": "yesterday"}, BadInstant, "yesterday"),
        ({"cases_revision": 9}, UnknownRevision, "9"),
        ({"recorded": "2013-01-01"}, UnknownRevision, "recorded by"),
        ({"recorded": "2026-01-01", "grids_revision": 1}, BadParameter, "one of them"),
        ({"tolerance_m": -1}, BadDistance, "-1"),
        ({"most_rows": 9_999}, BadParameter, "ask for less"),
        ({"most_rows": 29_999}, BadParameter, "ask for less"),
    ],
)
def test_what_can_not_be_is_refused_with_a_remedy(demo_store, given, error, said) -> None:
    asked = {"cases": "incidents", "grids": "grids"} | given
    with pytest.raises(error, match=said):
        assign_cases(demo_store, ANYONE, **asked)
