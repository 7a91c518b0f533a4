"""The demo's cases: made up, but as cases are."""

import gzip
import io
import time
import tomllib
from datetime import date
from itertools import pairwise
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from services.demo.cases import CLASSES, TRANSITIONS, URGENCY_FACTOR, make_cases

DEMO = Path(__file__).parents[2] / "deploy" / "demo"
DEVELOPMENT = {"state", "responsible_org", "changed_at", "rework_count", "satisfaction"}


def read(name: str) -> gpd.GeoDataFrame:
    return gpd.read_file(io.BytesIO(gzip.decompress((DEMO / "data" / name).read_bytes())))


@pytest.fixture(scope="module")
def blocks():
    return read("ADDRESS_MasterAddressBlocks.geojson.gz")


@pytest.fixture(scope="module")
def city():
    return read("BOUNDARY_CityBoundary.geojson.gz")


@pytest.fixture(scope="module")
def neighborhoods():
    return read("BOUNDARY_CDDNeighborhoods.geojson.gz")


@pytest.fixture(scope="module")
def cases(blocks, city, neighborhoods):
    return make_cases(blocks, boundary=city, edges=neighborhoods)


@pytest.fixture(scope="module")
def reports(cases):
    return cases.drop_duplicates("case_no")


@pytest.fixture(scope="module")
def schema():
    return tomllib.loads((DEMO / "schemas" / "incidents.toml").read_text(encoding="utf-8"))


def test_the_same_seed_gives_the_same_cases(cases, blocks, city, neighborhoods):
    again = make_cases(blocks, boundary=city, edges=neighborhoods)
    pd.testing.assert_frame_equal(cases, again)
    assert (shapely.to_wkb(cases.geometry.values) == shapely.to_wkb(again.geometry.values)).all()
    other = make_cases(blocks, seed=2, boundary=city, edges=neighborhoods)
    assert not cases["reported_at"].head(100).equals(other["reported_at"].head(100))


def test_ten_thousand_cases_take_little_time(blocks):
    start = time.perf_counter()
    make_cases(blocks)
    assert time.perf_counter() - start < 5


def test_counts(cases, reports):
    assert len(reports) == 10_000
    assert 4 <= len(cases) / len(reports) <= 6
    assert reports["case_no"].is_monotonic_increasing
    by_class = reports["sub_class"].value_counts()
    assert len(by_class) == len(CLASSES)
    assert by_class.max() > 5 * by_class.min()


def test_columns_and_codes_are_those_of_the_schema(cases, schema):
    fields = {f["id"]: f for f in schema["fields"]}
    assert list(cases.columns) == [*fields, "geometry"]
    for name, f in fields.items():
        if "codes" in f:
            assert set(cases[name].dropna().astype(str)) <= set(f["codes"]), name
        if f.get("required"):
            assert cases[name].notna().all(), name
    titles = {c.sub_class: {"en": c.en, "zh": c.zh} for c in CLASSES}
    assert fields["sub_class"]["codes"] == titles
    assert set(fields["state"]["codes"]) == set(TRANSITIONS)


def test_every_development_is_a_legal_transition(cases):
    for _, states in cases.groupby("case_no")["state"]:
        assert states.iloc[0] == "reported"
        for before, after in pairwise(states):
            assert after in TRANSITIONS[before]
    assert set(cases["state"]) == set(TRANSITIONS)


def test_times_rise_and_the_rest_stays(cases):
    steps = cases.groupby("case_no")["changed_at"].diff().dropna()
    assert (steps > pd.Timedelta(0)).all()
    first = cases.drop_duplicates("case_no")
    assert (first["changed_at"] == first["reported_at"]).all()
    fixed = [c for c in cases.columns if c not in DEVELOPMENT and c != "geometry"]
    assert (cases.groupby("case_no")[fixed].nunique() <= 1).all(axis=None)
    assert (cases.assign(w=cases.geometry.to_wkb()).groupby("case_no")["w"].nunique() == 1).all()


def test_reported_within_the_period_with_a_rhythm(cases, reports):
    local = reports["reported_at"]
    assert str(local.dt.tz) == "America/New_York"
    assert local.min() >= pd.Timestamp("2020-01-01", tz=local.dt.tz)
    assert cases["changed_at"].max() < pd.Timestamp("2025-01-01", tz=local.dt.tz)
    assert (local.dt.year.astype(str) == reports["case_no"].str[4:8]).all()
    assert (local.dt.hour == 10).sum() > 5 * (local.dt.hour == 3).sum()
    assert (local.dt.day_of_week == 0).sum() > 1.4 * (local.dt.day_of_week == 6).sum()
    snow = local[reports["sub_class"] == "E01-03"].dt.month
    assert set(snow) <= {1, 2, 3, 4, 11, 12}


def test_due_by_class_and_urgency(reports):
    limits = {c.sub_class: c.limit_hours for c in CLASSES}
    hours = reports["sub_class"].map(limits) * reports["urgency"].map(dict(URGENCY_FACTOR))
    assert (reports["due_at"] - reports["reported_at"] == pd.to_timedelta(hours, "h")).all()


def test_most_are_closed_on_time_and_some_are_open(cases):
    last = cases.drop_duplicates("case_no", keep="last")
    still = ~last["state"].map(lambda s: not TRANSITIONS[s])
    assert 30 <= still.sum() <= 500
    disposed = cases[cases["state"] == "disposed"].drop_duplicates("case_no")
    assert 0.7 < (disposed["changed_at"] <= disposed["due_at"]).mean() < 0.97


def test_rework_organisation_and_satisfaction(cases):
    counted = (cases["state"] == "rework").groupby(cases["case_no"]).cumsum()
    assert (cases["rework_count"] == counted).all()
    sent = (cases["state"] == "dispatched").groupby(cases["case_no"]).cumsum() > 0
    assert (cases["responsible_org"].notna() == sent).all()
    returned = cases.loc[cases["state"] == "returned", "case_no"]
    through = cases[(cases["state"] == "dispatched") & cases["case_no"].isin(returned)]
    twice = through[through["case_no"].duplicated(keep=False)]
    assert len(twice) > 100
    assert (twice.groupby("case_no")["responsible_org"].nunique() == 2).all()
    scored = cases[cases["satisfaction"].notna()]
    assert set(scored["state"]) == {"closed"}
    assert scored["satisfaction"].between(1, 5).all()


def test_places(reports, blocks, city, neighborhoods):
    tree = shapely.STRtree(blocks.geometry.values)
    points = reports.geometry.values
    hit = np.unique(tree.query(points, predicate="intersects")[0])
    away = np.setdiff1d(np.arange(len(points)), hit)
    assert 40 <= len(away) <= 52
    assert reports["address_block"].isna().to_numpy()[away].all()
    assert reports["address_block"].notna().sum() == len(points) - len(away)
    gaps = points[away]
    assert shapely.intersects(city.geometry.iloc[0], gaps).sum() == len(away)
    on = shapely.STRtree(neighborhoods.geometry.values).query(points, predicate="touches")[0]
    assert (np.unique(on, return_counts=True)[1] >= 2).sum() == 12
    named = blocks.set_index("UNQ_ID2").geometry
    inside = reports[reports["address_block"].notna()]
    assert shapely.intersects(
        named.loc[inside["address_block"]].values, inside.geometry.values
    ).all()
    assert reports.crs == blocks.crs


def test_all_says_that_it_is_synthetic(cases, schema):
    assert schema["synthetic"] is True
    assert cases["case_no"].str.fullmatch(r"SYN-20\d\d-\d{6}").all()
    assert cases["description"].str.startswith("合成 synthetic").all()
    phones = cases["reporter_phone"].dropna()
    assert phones.str.fullmatch(r"617-555-01\d\d").all()
    hotline = cases["source"] == "12345"
    assert (cases["reporter_name"].notna() == hotline).all()
    assert (cases["reporter_phone"].notna() == hotline).all()
    assert 0.4 < hotline.mean() < 0.8
    restricted = {f["id"] for f in schema["fields"] if f.get("visibility") == "restricted"}
    assert restricted == {"reporter_name", "reporter_phone"}


def test_small_and_impossible(blocks):
    one = make_cases(blocks.head(1), count=1)
    assert one["case_no"].nunique() == 1
    day = make_cases(blocks, count=50, start=date(2024, 3, 10), end=date(2024, 3, 11))
    # The night in which the clocks go forward has no hour from two to three.
    assert set(day.drop_duplicates("case_no")["reported_at"].dt.date) == {date(2024, 3, 10)}
    with pytest.raises(ValueError, match="at least one block"):
        make_cases(blocks.head(0))
    with pytest.raises(ValueError, match="no day"):
        make_cases(blocks, start=date(2024, 1, 1), end=date(2024, 1, 1))
