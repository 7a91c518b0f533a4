from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import rotate, scale, translate

from spatial.crs import local_metric_crs
from spatial.errors import (
    DuplicateIds,
    InvalidPolygon,
    MissingColumn,
    MissingCRS,
    MissingIds,
    MixedCRS,
    NotFinite,
    WrongGeometryType,
)
from spatial.overlay.areas import largest_shares, polygons_to_grids
from spatial.shapes import repair

METRES = 4549
EAST, NORTH = 500000, 3300000
FOOT_M = 1200 / 3937  # the survey foot of the United States
DATA = Path(__file__).parents[4] / "shared" / "data" / "cambridge" / "grids"
here = pytest.mark.skipif(not DATA.is_dir(), reason="the real data of shared/data is not here")


def frame(*geoms: Any, crs: Any = METRES, **columns: Any) -> gpd.GeoDataFrame:
    columns = {"id": [f"{k}" for k in range(len(geoms))]} | columns
    return gpd.GeoDataFrame(columns, geometry=list(geoms), crs=crs)


def rows(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(table[["polygon", "grid", "area_m2"]].itertuples(index=False, name=None))


# The naive model: one Shapely overlay at a time, and a difference for what lies outside


def naive(polygons: gpd.GeoDataFrame, grids: gpd.GeoDataFrame) -> dict[tuple[Any, Any], float]:
    found = {}
    for label, geom in polygons.geometry.items():
        if geom is None or geom.is_empty:
            continue
        own = [(code, cell) for code, cell in zip(grids["id"], grids.geometry, strict=True) if cell]
        for code, cell in own:
            found[label, code] = geom.intersection(cell).area
        found[label, None] = geom.difference(shapely.union_all([cell for _, cell in own])).area
    return found


def slack(polygon: Any, grid: Any = None) -> float:
    """Return 1e-9 of the smaller area, and what overlay's rounding to last bits is worth."""
    both = [geom for geom in (polygon, grid) if geom is not None]
    bit = np.spacing(max(np.abs(geom.bounds).max() for geom in both))
    return 1e-9 * min(geom.area for geom in both) + 4 * bit * sum(geom.length for geom in both)


def assert_equals_naive(polygons: gpd.GeoDataFrame, grids: gpd.GeoDataFrame) -> None:
    table = polygons_to_grids(polygons, grids)
    got = {(row.polygon, row.grid): row.area_m2 for row in table.itertuples()}
    assert len(got) == len(table)
    expected = naive(polygons, grids)
    cells = dict(zip(grids["id"], grids.geometry, strict=True))
    assert set(got) <= set(expected)
    for (label, code), area in expected.items():
        near = slack(polygons.geometry[label], cells.get(code))
        if code is None:
            near += sum(slack(polygons.geometry[label], cell) for cell in cells.values() if cell)
        assert got.get((label, code), 0.0) == pytest.approx(area, rel=0, abs=near), (label, code)


# Whole and half numbers on purpose: edges and corners meet all the time
whole = st.integers(0, 6)
corner = st.tuples(whole, whole)
bent = st.lists(corner, min_size=3, max_size=7).map(lambda ring: shapely.Polygon(ring).buffer(0))
boxes = st.builds(
    lambda at, width, height: shapely.box(*at, at[0] + width, at[1] + height),
    corner,
    st.integers(1, 4),
    st.sampled_from([1, 2, 0.5]),
)
ringed = shapely.box(0, 0, 6, 6).difference(shapely.box(2, 2, 4, 4))
pair = shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(3, 0, 4, 1)])
touching = shapely.MultiPolygon([shapely.box(0, 0, 2, 2), shapely.box(2, 2, 4, 4)])
sliver = shapely.Polygon([(0, 0), (6, 5), (6, 5.001)])
angles = st.lists(st.floats(0.05, 1), min_size=3, max_size=12)


@st.composite
def stars(draw: st.DrawFn) -> Any:
    steps = np.array(draw(angles))
    turns = np.cumsum(steps) / steps.sum() * 2 * np.pi
    radii = np.array(draw(st.lists(st.floats(0.5, 4), min_size=len(steps), max_size=len(steps))))
    star = shapely.Polygon(np.column_stack((radii * np.cos(turns), radii * np.sin(turns))))
    return translate(shapely.make_valid(star).buffer(0), *draw(corner))


shape = st.one_of(
    bent, boxes, stars(), st.sampled_from([ringed, pair, touching, sliver, None, shapely.Polygon()])
)
shapes = st.lists(shape, min_size=1, max_size=5)


def placed(geoms: list[Any]) -> list[Any]:
    return [geom and translate(geom, EAST, NORTH) for geom in geoms]


@settings(max_examples=120, deadline=None)
@given(shapes, shapes)
def test_equals_one_pair_at_a_time(polygons: list[Any], grids: list[Any]) -> None:
    # not moved at first: there the last bits are worth nothing, and overlay is right to 1e-9
    assert_equals_naive(frame(*polygons), frame(*grids))
    assert_equals_naive(frame(*placed(polygons)), frame(*placed(grids)))


@settings(max_examples=60, deadline=None)
@given(shapes, shapes)
def test_equals_overlay(polygons: list[Any], grids: list[Any]) -> None:
    ours = frame(*polygons).rename(columns={"id": "polygon"})
    theirs = frame(*grids)
    # overlay itself fails where the first row of a frame has no geometry
    full = [side[shapely.area(side.geometry.to_numpy()) > 0] for side in (ours, theirs)]
    over = gpd.overlay(*full, how="intersection", keep_geom_type=True)
    expected = over.area.groupby([over["polygon"], over["id"]]).sum().to_dict()
    table = polygons_to_grids(ours.set_index("polygon"), theirs).dropna(subset="grid")
    got = {(row.polygon, row.grid): row.area_m2 for row in table.itertuples()}
    for i, j in set(expected) | set(got):
        near = slack(ours.geometry[int(i)], theirs.geometry[int(j)])
        assert got.get((i, j), 0.0) == pytest.approx(expected.get((i, j), 0.0), rel=0, abs=near)


seeds = st.lists(st.tuples(st.integers(1, 39), st.integers(1, 39)), min_size=2, max_size=12)


def coverage(points: list[tuple[int, int]], turn: float = 0.0) -> list[Any]:
    """Return polygons that fill a square of 40 m, neighbours sharing their corners."""
    square = shapely.box(0, 0, 40, 40)
    cells = shapely.voronoi_polygons(shapely.MultiPoint(points), extend_to=square)
    cells = (
        [cell.intersection(square) for cell in cells.geoms] if len(set(points)) > 1 else [square]
    )
    return [translate(rotate(cell, turn, origin=(0, 0)), EAST, NORTH) for cell in cells]


@settings(max_examples=60, deadline=None)
@given(seeds, seeds, st.sampled_from([0.0, 10.0]))
def test_totals_are_conserved_where_grids_do_not_overlap(
    ones: list[Any], others: list[Any], turn: float
) -> None:
    polygons, grids = frame(*coverage(ones)), frame(*coverage(others, turn))
    table = polygons_to_grids(polygons, grids)
    sums = table.groupby("polygon")["area_m2"].sum()
    assert sums.tolist() == pytest.approx(polygons.area.tolist(), rel=1e-9)
    assert table.groupby("polygon")["share"].sum().tolist() == pytest.approx([1] * len(polygons))
    outside = table["grid"].isna()
    if not turn:
        assert not outside.any()
        by_grid = table.groupby("grid")["area_m2"].sum()[grids["id"]]
        assert by_grid.tolist() == pytest.approx(grids.area.tolist(), rel=1e-9)
    else:
        rest = shapely.box(0, 0, 40, 40).difference(rotate(shapely.box(0, 0, 40, 40), 10, (0, 0)))
        assert table["area_m2"][outside].sum() == pytest.approx(rest.area, rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(100, 900), st.integers(0, 2**32 - 1), st.booleans())
def test_many_corners_and_holes(corners: int, seed: int, holes: bool) -> None:
    random = np.random.default_rng(seed)
    geoms = []
    for _ in range(2):
        turns = np.linspace(0, 2 * np.pi, corners, endpoint=False)
        radii = random.uniform(20, 50, corners)
        xy = np.column_stack((radii * np.cos(turns), radii * np.sin(turns)))
        star = shapely.Polygon(xy + random.uniform(-5, 5, 2))
        if holes:
            at = random.uniform(-40, 40, (60, 2))
            star = star.difference(shapely.union_all(shapely.points(at).tolist()).buffer(1.5))
        geoms.append(star)
    table = polygons_to_grids(frame(geoms[0]), frame(geoms[1]))
    expected = [geoms[0].intersection(geoms[1]).area, geoms[0].difference(geoms[1]).area]
    assert table["area_m2"].tolist() == pytest.approx(expected, rel=1e-9)


def test_teeth_across_teeth() -> None:
    # every edge of the one passes over every edge of the other
    up = shapely.union_all([shapely.box(2 * k, -1, 2 * k + 1, 400) for k in range(200)])
    up = up.union(shapely.box(0, -1, 400, 0))
    along = translate(rotate(up, 90, origin=(200, 200)), 0.25, 0)
    table = polygons_to_grids(frame(up), frame(along))
    assert shapely.get_num_coordinates(up) > 800
    assert table["area_m2"].tolist() == pytest.approx(
        [up.intersection(along).area, up.difference(along).area], rel=1e-9
    )


def test_contacts_give_no_row() -> None:
    middle = shapely.box(0, 0, 10, 10)
    around = [
        shapely.box(10, 0, 20, 10),  # a shared edge
        shapely.box(10, 10, 20, 20),  # a shared corner
        shapely.box(-5, 3, 0, 6),  # within an edge
        shapely.Polygon([(5, 10), (8, 15), (2, 15)]),  # a corner upon an edge
        shapely.box(30, 0, 40, 10),
    ]
    table = polygons_to_grids(frame(*placed([middle])), frame(*placed(around)))
    assert rows(table) == [(0, None, 100.0)]


def test_corners_rounded_upon_an_edge_are_contacts() -> None:
    # the third corners lie upon the slanted edge but for their last bits, which overlay sees
    a = shapely.Polygon([(0, 0), (100, 37), (0, 37)])
    points = [(100 * part, 37 * part) for part in (0.1, 0.3, 0.7, 0.9)]
    b = shapely.Polygon([(0, 0), *points, (100, 37), (100, 0)])
    a, b = placed([a, b])
    assert a.intersection(b).area + a.union(b).area != a.area + b.area or a.overlaps(b)
    table = polygons_to_grids(frame(a), frame(a, b))
    assert [row[1] for row in rows(table)] == ["0"]
    assert table["share"].tolist() == [1.0]


def test_a_polygon_within_a_grid_has_a_share_of_exactly_one() -> None:
    random = np.random.default_rng(4)
    spots = [shapely.Point(*xy).buffer(0.7) for xy in random.uniform(1, 9, (300, 2))]
    table = polygons_to_grids(frame(*placed(spots)), frame(*placed([shapely.box(0, 0, 10, 10)])))
    assert table["share"].tolist() == [1.0] * 300


def test_rows_are_in_the_order_of_polygons_then_of_codes_as_text_then_outside() -> None:
    cells = frame(*(shapely.box(k, 0, k + 1, 1) for k in range(3)), id=[9, 10, 1])
    polygons = frame(shapely.box(0, 0, 4, 1), None, shapely.box(2.5, 0, 3.5, 1), shapely.Polygon())
    polygons.index = pd.Index(["q", "z", "a", "b"])
    table = polygons_to_grids(polygons, cells)
    assert rows(table) == [
        *(("q", 1, 1.0), ("q", 10, 1.0), ("q", 9, 1.0), ("q", None, 1.0)),
        *(("a", 1, 0.5), ("a", None, 0.5)),
    ]
    assert table["share"].tolist() == [0.25] * 4 + [0.5] * 2
    assert list(table) == ["polygon", "grid", "area_m2", "share"]


def test_neither_the_order_of_grids_nor_z_nor_the_turn_of_rings_matters() -> None:
    polygons = frame(*placed([ringed, pair, touching]))
    cells = frame(*placed([shapely.box(0, 0, 3.3, 6), sliver, shapely.box(3.3, 0, 6, 6)]))
    turned = cells.iloc[::-1].set_geometry(shapely.force_3d(cells.geometry[::-1].reverse(), 9.0))
    expected = polygons_to_grids(polygons, cells)
    assert len(expected) == sum(area > 0 for area in naive(polygons, cells).values()) == 9
    pd.testing.assert_frame_equal(polygons_to_grids(polygons, turned), expected)


def test_where_grids_overlap_each_counts_and_outside_is_counted_once() -> None:
    doubled = frame(shapely.box(0, 0, 2, 1), shapely.box(0, 0, 2, 1), shapely.box(1, 0, 3, 1))
    table = polygons_to_grids(frame(shapely.box(0, 0, 4, 1), shapely.box(0, 0, 2, 1)), doubled)
    assert rows(table) == [
        *((0, "0", 2.0), (0, "1", 2.0), (0, "2", 2.0), (0, None, 1.0)),
        *((1, "0", 2.0), (1, "1", 2.0), (1, "2", 1.0)),
    ]


def test_more_polygons_than_are_held_at_a_time() -> None:
    x, y = np.meshgrid(np.arange(100.0), np.arange(100.0))
    squares = frame(*shapely.box(x.ravel(), y.ravel(), x.ravel() + 1, y.ravel() + 1))
    halves = frame(shapely.box(0, 0, 49.5, 100), shapely.box(49.5, 0, 100, 100))
    table = polygons_to_grids(squares, halves)
    assert len(table) == 10_000 + 100
    assert table.groupby("grid")["area_m2"].sum().tolist() == [4950.0, 5050.0]
    assert table["polygon"].is_monotonic_increasing
    back = polygons_to_grids(halves, squares)
    expected = table.assign(code=table["polygon"].astype(str)).sort_values(["grid", "code"])
    assert back["grid"].tolist() == expected["code"].tolist()
    assert back["area_m2"].tolist() == expected["area_m2"].tolist()


def test_feet_become_square_metres() -> None:
    polygons = frame(shapely.box(700000, 2900000, 700300, 2900100), crs=2249)
    grids = frame(shapely.box(700000, 2900000, 700100, 2900100), crs=2249)
    table = polygons_to_grids(polygons, grids)
    assert table["area_m2"].tolist() == pytest.approx(
        [10_000 * FOOT_M**2, 20_000 * FOOT_M**2], rel=1e-12
    )


@pytest.mark.parametrize("crs", [4326, 4490])
def test_degrees_are_measured_in_metres(crs: int) -> None:
    lines = [shapely.box(120 + k / 100, 30, 120.01 + k / 100, 30.01) for k in range(3)]
    polygons = frame(scale(lines[1], 1.5, 0.5), lines[2], crs=crs)
    grids = frame(*lines[:2], crs=crs)
    metric = local_metric_crs(tuple(grids.total_bounds), crs)
    moved = polygons.to_crs(metric), grids.to_crs(metric)
    table = polygons_to_grids(polygons, grids)
    expected = naive(*moved)
    got = {(row.polygon, row.grid): row.area_m2 for row in table.itertuples()}
    assert set(got) == {(0, "0"), (0, "1"), (0, None), (1, None)}
    assert got == pytest.approx({key: expected[key] for key in got}, rel=1e-9)
    # a hundredth of a degree at 30 degrees north, on the ellipsoid
    assert got[1, None] == pytest.approx(964.8 * 1108.5, rel=1e-3)


def test_nothing_to_measure_or_nowhere_to() -> None:
    square = shapely.box(0, 0, 1, 1)
    for crs in (METRES, 4326):
        none = polygons_to_grids(frame(crs=crs), frame(square, crs=crs))
        assert len(none) == 0
        assert list(none) == ["polygon", "grid", "area_m2", "share"]
        for nowhere in (frame(crs=crs), frame(None, shapely.Polygon(), crs=crs)):
            table = polygons_to_grids(frame(square, crs=crs), nowhere)
            assert table["grid"].tolist() == [None]
            assert table["share"].tolist() == [1.0]
        assert len(polygons_to_grids(frame(None, crs=crs), frame(None, crs=crs))) == 0


def test_the_frames_that_come_in_stay_as_they_were() -> None:
    polygons, cells = frame(ringed, crs=4326), frame(shapely.box(0, 0, 1, 1), crs=4326)
    before = polygons.to_wkb(), cells.to_wkb()
    polygons_to_grids(polygons, cells)
    pd.testing.assert_frame_equal(polygons.to_wkb(), before[0])
    pd.testing.assert_frame_equal(cells.to_wkb(), before[1])
    assert not shapely.is_prepared(cells.geometry.to_numpy()).any()


def test_refuses_frames_that_do_not_fit() -> None:
    square = shapely.box(0, 0, 1, 1)
    polygons, cells = frame(square), frame(square, shapely.box(1, 0, 2, 1))
    for bad in (
        (polygons.set_crs(None, allow_override=True), cells),
        (polygons, cells.set_crs(None, allow_override=True)),
    ):
        with pytest.raises(MissingCRS):
            polygons_to_grids(*bad)
    with pytest.raises(MixedCRS):
        polygons_to_grids(polygons, cells.set_crs(4490, allow_override=True))
    with pytest.raises(WrongGeometryType):
        polygons_to_grids(frame(shapely.Point(1, 1)), cells)
    with pytest.raises(WrongGeometryType):
        polygons_to_grids(polygons, frame(shapely.LineString([(0, 0), (1, 1)])))
    with pytest.raises(MissingColumn):
        polygons_to_grids(polygons, cells, key="code")
    with pytest.raises(MissingIds, match="row 1 has no 'id'"):
        polygons_to_grids(polygons, cells.assign(id=["a", None]))
    with pytest.raises(DuplicateIds, match="1 is the 'id' of two polygons"):
        polygons_to_grids(polygons, cells.assign(id=["1", 1]))
    with pytest.raises(DuplicateIds, match="7 is the index value of two polygons"):
        polygons_to_grids(cells.set_index(pd.Index([7, 7])), cells)
    with pytest.raises(MissingIds, match="index value"):
        polygons_to_grids(cells.set_index(pd.Index(["a", None])), cells)


def test_refuses_invalid_polygons_with_the_remedy() -> None:
    square = shapely.box(0, 0, 1, 1)
    tie = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    both = frame(square), frame(square, tie)
    for ours, theirs, where in ((*both[::-1], "polygons"), (*both, "grids")):
        with pytest.raises(InvalidPolygon, match=rf"1 of the {where} .* row 1: Self.*repair"):
            polygons_to_grids(ours, theirs)
    mended = polygons_to_grids(frame(repair([tie]).geoms[0]), frame(square))
    assert mended["area_m2"].tolist() == [0.5, 1.5]
    for value in (np.nan, np.inf, 1e200):
        with np.errstate(invalid="ignore"):
            endless = shapely.Polygon([(0, 0), (value, 0), (1, 1)])
        with pytest.raises(NotFinite, match="row 0 of the grids"):
            polygons_to_grids(frame(square), frame(endless))


def test_the_largest_share() -> None:
    table = pd.DataFrame(
        [
            *(("q", "9", 2.0), ("q", "10", 2.0 * (1 - 1e-10)), ("q", "11", 1.0), ("q", None, 9.0)),
            *(("a", 5, 1.0), ("a", 40, 1.1), ("z", None, 3.0)),
        ],
        columns=["polygon", "grid", "area_m2"],
    ).assign(share=0.5)
    result = largest_shares(table)
    assert rows(result) == [("q", "10", 2.0 * (1 - 1e-10)), ("a", 40, 1.1), ("z", None, 3.0)]
    assert rows(largest_shares(table.iloc[::-1]))[::-1] == rows(result)
    assert rows(largest_shares(table[:0])) == []
    with pytest.raises(MissingColumn):
        largest_shares(table[["polygon", "grid"]])


@settings(max_examples=50, deadline=None)
@given(shapes, shapes)
def test_the_largest_share_is_that_of_the_largest_overlay(
    polygons: list[Any], grids: list[Any]
) -> None:
    table = polygons_to_grids(frame(*polygons), frame(*grids))
    chosen = largest_shares(table).set_index("polygon")
    assert list(chosen.index) == list(dict.fromkeys(table["polygon"]))
    for label, own in table.groupby("polygon"):
        inside = own.dropna(subset="grid")
        if inside.empty:
            assert chosen["grid"][label] is None
            continue
        most = inside["area_m2"].max()
        near = inside[inside["area_m2"] >= most * (1 - 1e-9)]
        assert chosen["grid"][label] == min(near["grid"], key=str)


def cambridge(name: str, key: str) -> gpd.GeoDataFrame:
    found = gpd.read_file(DATA / f"{name}.geojson")[[key, "geometry"]].dissolve(key, as_index=False)
    return found.rename(columns={key: "id"})


@here
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("crs", [26986, 2249, None])
def test_real_neighborhoods_and_precincts(turned: bool, crs: int | None) -> None:
    ours = cambridge("BOUNDARY_CDDNeighborhoods", "NAME")
    theirs = cambridge("ELECTIONS_WardsPrecincts", "WardPrecinct")
    if turned:
        ours, theirs = theirs, ours
    if crs:
        ours, theirs = ours.to_crs(crs), theirs.to_crs(crs)
    metric = crs or local_metric_crs(tuple(theirs.total_bounds), theirs.crs)
    table = polygons_to_grids(ours.set_index("id"), theirs)
    assert set(table["polygon"]) == set(ours["id"])
    flat = [side.to_crs(metric) for side in (ours, theirs)]
    unit = FOOT_M**2 if crs == 2249 else 1.0
    over = gpd.overlay(flat[0].rename(columns={"id": "polygon"}), flat[1], how="intersection")
    expected = (over.area * unit).groupby([over["polygon"], over["id"]]).sum()
    inside = table.dropna(subset="grid").set_index(["polygon", "grid"])["area_m2"]
    areas = [(side.set_index("id").area * unit).to_dict() for side in flat]
    for key in expected.index.union(inside.index):
        near = 1e-9 * min(areas[0][key[0]], areas[1][key[1]])
        assert inside.get(key, 0.0) == pytest.approx(expected.get(key, 0.0), rel=0, abs=near)
    union = flat[1].union_all()
    outside = table[table["grid"].isna()].set_index("polygon")["area_m2"]
    for label, geom in flat[0].set_index("id").geometry.items():
        rest = geom.difference(union).area * unit
        assert outside.get(label, 0.0) == pytest.approx(rest, rel=0, abs=1e-9 * areas[0][label])
