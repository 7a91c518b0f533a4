"""The synthetic city is what benchmarks and tests take it for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from city.files import write
from city.grids import grids
from city.incidents import incidents
from city.parcels import edited, parcels
from city.pipes import ground, pipes
from layers.profiles import profile_schemas

from layers.publish import Reload
from layers.readers import Reader, Writer
from layers.sources import FrameSource, open_source
from layers.store import Store

COUNT = 1_200


@pytest.fixture(scope="module")
def lots() -> gpd.GeoDataFrame:
    return pd.concat(parcels(1, COUNT), ignore_index=True)


@pytest.fixture(scope="module")
def systems() -> gpd.GeoDataFrame:
    return grids(1, COUNT)


def test_the_same_seed_gives_the_same_rows_and_another_others(lots: gpd.GeoDataFrame) -> None:
    again = pd.concat(parcels(1, COUNT), ignore_index=True)
    assert lots.equals(again)
    assert lots.geometry.to_wkb().equals(again.geometry.to_wkb())
    other = pd.concat(parcels(2, COUNT), ignore_index=True)
    assert not lots.geometry.to_wkb().equals(other.geometry.to_wkb())


def test_a_larger_city_begins_like_a_smaller_one_of_its_width() -> None:
    small, large = (pd.concat(parcels(1, n), ignore_index=True) for n in (1_100, COUNT))
    assert small.geometry.to_wkb().equals(large.geometry.iloc[:1_100].to_wkb())


def test_parcels_are_coded_and_measured(lots: gpd.GeoDataFrame) -> None:
    assert len(lots) == COUNT
    assert lots["parcel_code"].is_unique
    assert lots["parcel_code"].str.fullmatch(r"\d{12}[GJZ][ABSXCDEFWY]\d{5}").all()
    assert (abs(lots.area - lots["area_m2"]) <= 0.0051).all()
    assert lots.geometry.is_valid.all()
    vertices = shapely.get_num_coordinates(lots.geometry.to_numpy()) - 1
    assert vertices.min() >= 5
    assert vertices.max() <= 20


def test_parcels_share_their_edges(lots: gpd.GeoDataFrame) -> None:
    assert shapely.coverage_is_valid(lots.geometry.to_numpy())
    block = lots.iloc[:500].geometry
    assert shapely.union_all(block).area == pytest.approx(block.area.sum(), rel=1e-9)


def test_the_next_edition_changes_about_the_share_and_says_who_came_from_whom(
    lots: gpd.GeoDataFrame,
) -> None:
    after = pd.concat(edited(parcels(1, COUNT), 0.1, 1), ignore_index=True)
    assert after["parcel_code"].is_unique
    assert (abs(after.area - after["area_m2"]) <= 0.0051).all()
    before, now = (f.set_index("parcel_code") for f in (lots, after))
    both = before.index.intersection(now.index)
    same = (before.loc[both].geometry.to_wkb() == now.loc[both].geometry.to_wkb()) & (
        before.loc[both, "land_use_code"] == now.loc[both, "land_use_code"]
    )
    assert 0.04 * COUNT < (~same).sum() + len(before.index.difference(both)) < 0.14 * COUNT
    news = now.loc[now.index.difference(both)]
    named = {code for codes in news["predecessor_codes"] for code in codes.split(",")}
    assert named
    assert named == set(before.index.difference(both))


@pytest.mark.parametrize("kind", ["unit", "community"])
def test_each_system_of_grids_is_a_coverage(systems: gpd.GeoDataFrame, kind: str) -> None:
    one = systems[systems["grid_type"] == kind]
    assert shapely.coverage_is_valid(one.geometry.to_numpy())
    assert one["grid_code"].str.fullmatch(r"\d{15}").all()
    whole = shapely.union_all(one.geometry.to_numpy())
    assert len(shapely.get_parts(whole)) == 1
    assert not whole.interiors
    assert one["grid_code"].is_unique


def test_unit_grids_lie_in_their_community_and_areas_carry_over(systems: gpd.GeoDataFrame) -> None:
    units = systems[systems["grid_type"] == "unit"]
    communities = systems[systems["grid_type"] == "community"].set_index("grid_code")
    assert shapely.get_num_coordinates(units.geometry.to_numpy()).min() >= 100
    sums = units.groupby("parent_code").geometry.apply(lambda g: g.area.sum())
    assert sums.loc[communities.index].to_numpy() == pytest.approx(communities.area.to_numpy())
    for code, part in units.groupby("parent_code"):
        merged = shapely.coverage_union_all(part.geometry.to_numpy())
        assert merged.equals(communities.geometry[code])


def test_pipes_connect_and_fall(lots: gpd.GeoDataFrame) -> None:
    nodes, segments = pipes(1, COUNT)
    places = dict(zip(nodes["exp_no"], nodes.geometry, strict=True))
    assert len(places) == len(nodes)
    for letters in ("JS", "YS"):
        downhill: dict[str, list[str]] = {}
        beside: dict[str, set[str]] = {}
        for s in segments[segments["pipe_class"] == letters].itertuples():
            first, last = (shapely.Point(c) for c in s.geometry.coords)
            assert (first, last) == (places[s.start_no], places[s.end_no])
            downhill.setdefault(s.start_no, []).append(s.end_no)
            beside.setdefault(s.start_no, set()).add(s.end_no)
            beside.setdefault(s.end_no, set()).add(s.start_no)
            assert 0.05 <= shapely.length(s.geometry) <= 75
            assert s.start_elev + s.start_depth == pytest.approx(ground(first.x, first.y), abs=2e-3)
            if letters == "YS":
                assert s.end_elev < s.start_elev
        reached, waiting = set[str](), [next(iter(beside))]
        while waiting:
            node = waiting.pop()
            if node not in reached:
                reached.add(node)
                waiting += beside[node]
        assert reached == set(beside)
        if letters == "YS":
            assert len([n for n in beside if n not in downhill]) == 1
    tees = nodes.loc[nodes["feature"] == "tee", "exp_no"]
    ends = pd.concat([segments["start_no"], segments["end_no"]]).value_counts()
    assert (ends[tees] == 3).all()


def test_cases_develop_in_order(systems: gpd.GeoDataFrame) -> None:
    cases = incidents(1, 400, systems, COUNT)
    first = cases.groupby("case_no").first()
    assert (first["since"] == first["reported_at"]).all()
    assert (first["state"] == "reported").all()
    assert cases.groupby("case_no")["since"].apply(lambda s: s.is_monotonic_increasing).all()
    local = first["reported_at"].dt.tz_convert("Asia/Shanghai")
    assert (local == local.dt.normalize()).sum() >= 8
    whole = shapely.union_all(systems.geometry.to_numpy())
    outside = ~shapely.intersects(whole, cases.geometry.to_numpy())
    assert 0 < outside.sum() < len(cases) / 10
    edges = shapely.boundary(systems.geometry.to_numpy())
    assert shapely.intersects(edges[:, None], cases.geometry.to_numpy()[None]).any(axis=0).any()


@pytest.mark.parametrize("ending", ["gpkg", "parquet"])
def test_files_hold_the_same_rows(lots: gpd.GeoDataFrame, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"parcels.{ending}"
    assert write(parcels(1, COUNT), path, "EPSG:4547") == COUNT
    source = open_source(path)
    assert source.crs is not None
    assert source.crs.to_epsg() == 4547
    shapes = [g for batch in source.batches() for g in batch.geometries]
    assert shapely.equals_identical(shapes, lots.geometry.to_numpy()).all()


def test_the_whole_city_is_published_with_its_profile_and_again_changes_nothing(
    store: Store, systems: gpd.GeoDataFrame
) -> None:
    nodes, segments = pipes(1, COUNT)
    frames: dict[str, Any] = {
        "parcels": pd.concat(parcels(1, COUNT), ignore_index=True),
        "grids": systems,
        "pipe_nodes": nodes,
        "pipe_segments": segments,
        "incidents": incidents(1, 300, systems, COUNT),
    }
    schemas = profile_schemas("cn")
    begins = pd.Timestamp("2020-01-01", tz="Asia/Shanghai").to_pydatetime()
    edits = {
        name: Reload(FrameSource(frame), schemas[name], valid_from=begins)
        for name, frame in frames.items()
    }
    done = store.commit(edits, Writer("test"), "a synthetic city")
    assert {name: report.created for name, report in done.reports.items()} == {
        "parcels": COUNT,
        "grids": len(systems),
        "pipe_nodes": len(nodes),
        "pipe_segments": len(segments),
        "incidents": 300,
    }
    assert store.commit(edits, Writer("test"), "the same").commit is None
    public = {layer.record.id: layer for layer in store.published(Reader.anonymous())}
    assert sorted(public) == ["grids", "incidents", "parcels"]
    for layer in public.values():
        shown = layer.at("2024-06-01").read()
        assert not re.search("合成权利人|合成网格员|合成来电人", shown.to_csv())
