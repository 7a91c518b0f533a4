from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial.errors import (
    BadValues,
    DuplicateIds,
    InvalidPolygon,
    MissingColumn,
    MissingIds,
    MixedCRS,
    UnknownIds,
    WrongGeometryType,
)
from spatial.overlay.crosswalks import carry, crosswalk

METRES = 4549
EAST, NORTH = 500000, 3300000
DATA = Path(__file__).parents[4] / "shared" / "data" / "cambridge" / "grids"
here = pytest.mark.skipif(not DATA.is_dir(), reason="the real data of shared/data is not here")


def grids(*boxes: tuple[float, ...] | None, crs: Any = METRES, **columns: Any) -> gpd.GeoDataFrame:
    columns = columns or {"id": list("abcdefgh")[: len(boxes)]}
    shapes = [box and shapely.box(*box) for box in boxes]
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=crs)


def dots(*xy: tuple[float, float]) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(geometry=[shapely.Point(*pair) for pair in xy], crs=METRES)


def told(walk: pd.DataFrame) -> list[tuple[Any, ...]]:
    assert list(walk) == ["source", "target", "weight", "by"]
    return list(walk.itertuples(index=False, name=None))


side = st.integers(0, 8).map(lambda n: n / 2)
box = st.tuples(side, side, side, side).map(
    lambda c: (EAST + c[0], NORTH + c[1], EAST + c[0] + c[2] + 0.5, NORTH + c[1] + c[3] + 0.7)
)
some = st.lists(st.none() | box, min_size=1, max_size=6)
spots = st.lists(st.tuples(side, side).map(lambda c: (EAST + c[0], NORTH + c[1])), max_size=30)


@settings(max_examples=80, deadline=None)
@given(some, some, st.none() | spots, st.data())
def test_whatever_overlaps_or_is_left_out_totals_are_conserved(
    ours: list[Any], theirs: list[Any], places: list[Any] | None, data: st.DataObject
) -> None:
    source, target = grids(*ours), grids(*theirs, code=list(range(7, 7 + len(theirs))))
    points = None if places is None else dots(*places)
    walk = crosswalk(source, target, target_key="code", points=points)
    assert set(walk["source"]) == set(source["id"])
    assert not walk.duplicated(["source", "target"]).any()
    assert (walk["weight"] > 0).all()
    for _, own in walk.groupby("source"):
        assert math.fsum(own["weight"]) == 1.0
    numbers = st.floats(-1e12, 1e12) | st.integers(0, 10**6).map(float)
    values = pd.Series({code: data.draw(numbers) for code in source["id"]})
    carried = carry(values, walk)
    near = 1e-12 * math.fsum(values.abs())
    assert math.fsum(carried) == pytest.approx(math.fsum(values), rel=0, abs=near)
    counts = pd.Series({code: data.draw(st.integers(-50, 10**9)) for code in source["id"]})
    shared, exact = carry(counts, walk, whole=True), carry(counts, walk)
    assert shared.dtype == np.int64
    assert shared.sum() == counts.sum()
    assert list(shared.index) == list(exact.index)
    assert ((shared - exact).abs() < 1 + 1e-6).all()


@settings(max_examples=60, deadline=None)
@given(some, some)
def test_weights_are_shares_of_area_where_targets_do_not_overlap(
    ours: list[Any], theirs: list[Any]
) -> None:
    apart = []
    for shape in grids(*theirs).geometry:
        left = shape and shape.difference(shapely.union_all([s for s in apart if s]))
        apart.append(left if left is not None and left.area > 0.01 else None)
    target = gpd.GeoDataFrame({"id": range(len(apart))}, geometry=apart, crs=METRES)
    source = grids(*ours)
    walk = crosswalk(source, target)
    for code, own in zip(source["id"], source.geometry, strict=True):
        rows = walk[walk["source"] == code]
        got = dict(zip(rows["target"], rows["weight"], strict=True))
        if own is None:
            assert got == {None: 1.0}
            continue
        expected = {
            k: own.intersection(cell).area / own.area for k, cell in enumerate(apart) if cell
        }
        expected[None] = own.difference(shapely.union_all([cell for cell in apart if cell])).area
        expected[None] /= own.area
        for key, share in expected.items():
            assert got.get(key, 0.0) == pytest.approx(share, rel=0, abs=1e-8)


def test_overlapping_targets_share_what_they_cover_in_proportion() -> None:
    source = grids((0, 0, 5, 1))
    target = grids((0, 0, 3, 1), (2, 0, 4, 1), (0, 0, 1, 1))
    # 4 of 5 are covered; the targets have 3, 2 and 1 of it
    assert told(crosswalk(source, target)) == [
        ("a", "a", pytest.approx(0.4), "area"),
        ("a", "b", pytest.approx(0.8 / 3), "area"),
        ("a", "c", pytest.approx(0.4 / 3), "area"),
        ("a", None, pytest.approx(0.2), "area"),
    ]


def test_points_weigh_where_there_are_any() -> None:
    source = grids((0, 0, 2, 1), (2, 0, 4, 1), (4, 0, 6, 1), id=[9, 10, 8])
    target = grids((0, 0, 1, 1), (1, 0, 5, 1), code=["x", "y"])
    places = dots((0.2, 0.5), (0.4, 0.5), (1.5, 0.5), (5.5, 0.5), (7, 7))
    # the point at 2 lies in 10 and 9: the lowest code as text is 10
    places = pd.concat([places, dots((2, 0.5))], ignore_index=True)
    walk = crosswalk(source, target, target_key="code", points=places)
    assert told(walk) == [
        (10, "y", 1.0, "count"),
        (8, None, 1.0, "count"),
        (9, "x", pytest.approx(2 / 3), "count"),
        (9, "y", pytest.approx(1 / 3), "count"),
    ]
    fewer = crosswalk(source, target, target_key="code", points=places[:3])
    assert told(fewer)[:3] == [
        (10, "y", 1.0, "area"),
        (8, "y", 0.5, "area"),
        (8, None, 0.5, "area"),
    ]
    assert fewer["by"].tolist()[3:] == ["count"] * 2
    none = crosswalk(source, target, target_key="code", points=places[:0])
    pd.testing.assert_frame_equal(none, crosswalk(source, target, target_key="code"))


def test_a_source_without_area_is_outside() -> None:
    walk = crosswalk(grids((0, 0, 1, 1), None), grids((0, 0, 1, 1)))
    assert told(walk) == [("a", "a", 1.0, "area"), ("b", None, 1.0, "area")]
    hollow = crosswalk(grids(None), grids((0, 0, 1, 1)))
    assert told(hollow) == [("a", None, 1.0, "area")]
    assert told(crosswalk(grids(), grids((0, 0, 1, 1)))) == []
    assert told(crosswalk(grids((0, 0, 1, 1)), grids())) == [("a", None, 1.0, "area")]


def test_carries_to_targets_in_the_order_of_text_with_outside_last() -> None:
    walk = crosswalk(
        grids((0, 0, 4, 1), (4, 0, 8, 1)), grids((0, 0, 1, 1), (1, 0, 6, 1), id=[9, 10])
    )
    carried = carry(pd.Series({"a": 8.0, "b": 10.0}, name="people"), walk)
    assert list(carried.items()) == [(10, 11.0), (9, 2.0), (None, 5.0)]
    assert (carried.name, carried.index.name) == ("people", "target")
    assert carried[None] == 5.0
    assert carry(pd.Series({"b": 10.0}), walk).tolist() == [5.0, 0.0, 5.0]
    assert carry(pd.Series(dtype=float), walk).tolist() == [0.0, 0.0, 0.0]
    assert carry(pd.Series(dtype=float), walk[:0]).tolist() == []


def test_whole_numbers_go_to_the_largest_remainders_the_lowest_code_first() -> None:
    thirds = pd.DataFrame(
        {"source": ["a"] * 3, "target": ["c", "b", "d"], "weight": [1 / 3] * 3, "by": "area"}
    )
    for value, expected in ((1, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 1]), (-1, [0, 0, -1])):
        carried = carry(pd.Series({"a": value}), thirds, whole=True)
        assert (carried.index.tolist(), carried.tolist()) == (["b", "c", "d"], expected)
    # not source by source, or b would have 2 of 4 x 0.6
    many = pd.DataFrame({"source": [1, 1, 2, 2, 3, 3, 4, 4], "target": ["b", "c"] * 4})
    many = many.assign(weight=[0.6, 0.4] * 4, by="area")
    carried = carry(pd.Series(1, index=[1, 2, 3, 4]), many, whole=True)
    assert carried.tolist() == [2, 2]
    assert carry(pd.Series({1: 2**53 - 1}), many, whole=True).sum() == 2**53 - 1


def test_there_and_back_is_the_same_where_grids_are_split() -> None:
    districts = grids((0, 0, 2, 1), (2, 0, 4, 1))
    blocks = grids(*((k / 2, 0, k / 2 + 0.5, 1) for k in range(8)))
    people = pd.Series({"a": 11, "b": 7})
    down = carry(people, crosswalk(districts, blocks))
    assert down.tolist() == [2.75] * 4 + [1.75] * 4
    assert carry(down, crosswalk(blocks, districts)).to_dict() == people.to_dict()


def test_refuses_values_that_can_not_be_carried() -> None:
    walk = crosswalk(grids((0, 0, 1, 1)), grids((0, 0, 1, 1)))
    with pytest.raises(UnknownIds, match="no source 'z', one of 1"):
        carry(pd.Series({"a": 1, "z": 2}), walk)
    with pytest.raises(UnknownIds):
        carry(pd.Series({None: 2.0}), walk)
    with pytest.raises(DuplicateIds, match="'a' has several values"):
        carry(pd.Series([1, 2], index=["a", "a"]), walk)
    for bad in (np.nan, np.inf, None):
        with pytest.raises(BadValues, match="the value of 'a' is"):
            carry(pd.Series({"a": bad}, dtype=float), walk)
    with pytest.raises(BadValues, match="give numbers"):
        carry(pd.Series({"a": "12"}), walk)
    with pytest.raises(BadValues, match=r"1\.5, which is not whole"):
        carry(pd.Series({"a": 1.5}), walk, whole=True)
    with pytest.raises(BadValues, match=r"2\*\*53"):
        carry(pd.Series({"a": 2.0**60}), walk, whole=True)
    with pytest.raises(MissingColumn):
        carry(pd.Series({"a": 1}), walk.drop(columns="weight"))


def test_refuses_frames_that_do_not_fit() -> None:
    source, target = grids((0, 0, 1, 1), (1, 0, 2, 1)), grids((0, 0, 1, 1))
    with pytest.raises(MissingColumn):
        crosswalk(source, target, target_key="code")
    with pytest.raises(DuplicateIds, match="'id' of two polygons"):
        crosswalk(source.assign(id="a"), target)
    with pytest.raises(MissingIds, match="has no 'id'"):
        crosswalk(source.assign(id=["a", None]), target)
    with pytest.raises(MixedCRS):
        crosswalk(source, target.set_crs(4490, allow_override=True))
    with pytest.raises(MixedCRS):
        crosswalk(source, target, points=dots((0, 0)).set_crs(4490, allow_override=True))
    with pytest.raises(WrongGeometryType):
        crosswalk(source, target, points=source)
    tie = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    with pytest.raises(InvalidPolygon):
        crosswalk(source, target.set_geometry([tie]))


def cambridge(name: str, key: str) -> gpd.GeoDataFrame:
    found = gpd.read_file(DATA / f"{name}.geojson")[[key, "geometry"]].dissolve(key, as_index=False)
    return found.to_crs(26986)


@here
def test_real_precincts_of_two_decades() -> None:
    key = "WardPrecinct"
    old = cambridge("ELECTIONS_WardsPrecincts2010", key)
    new = cambridge("ELECTIONS_WardsPrecincts", key)
    people = pd.Series(np.arange(1000, 1000 + len(old)), index=old[key])
    by_area = crosswalk(old, new, key=key)
    carried = carry(people, by_area, whole=True)
    assert carried.sum() == people.sum()
    assert set(carried.index) <= {*new[key], None}
    ours, theirs = (side.set_index(key).geometry for side in (old, new))
    for row in by_area.dropna(subset="target").itertuples():
        share = ours[row.source].intersection(theirs[row.target]).area / ours[row.source].area
        # the new precincts overlap by slivers, which are shared
        assert row.weight == pytest.approx(share, abs=1e-5)
    addresses = gpd.read_file(DATA / "ADDRESS_MasterAddressBlocks.geojson").to_crs(26986)
    addresses = addresses.set_geometry(addresses.geometry.representative_point())
    by_count = crosswalk(old, new, key=key, points=addresses)
    assert carry(people, by_count, whole=True).sum() == people.sum()
    joined = addresses.sjoin(old, predicate="intersects").drop(columns="index_right")
    joined = joined.sjoin(new, predicate="intersects", how="left", lsuffix="old", rsuffix="new")
    assert not joined.index.duplicated().any()
    counts = joined.groupby([f"{key}_old", f"{key}_new"], dropna=False).size()
    shares = counts / counts.groupby(level=0).transform("sum")
    counted = by_count[by_count["by"] == "count"]
    assert len(counted) == len(shares) > len(old)
    for row in counted.itertuples():
        own = shares[row.source]
        share = own[own.index.isna()].iloc[0] if row.target is None else own[row.target]
        assert row.weight == pytest.approx(share, rel=1e-12)
