"""Gaps against the union's own holes; planted ones; and the grid systems of a real city."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from city.grids import grids
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial.checks.coverage import coverage
from spatial.checks.measures import areas_m2
from spatial.checks.seams import Seams

DATA = Path(__file__).parents[4] / "shared" / "data" / "cambridge" / "grids"
here = pytest.mark.skipif(not DATA.is_dir(), reason="the real data of shared/data is not here")

corner = st.tuples(st.integers(0, 9), st.integers(0, 9))
shape = st.one_of(
    st.builds(lambda a, w, h: shapely.box(*a, a[0] + w, a[1] + h), corner,
              st.integers(1, 5), st.integers(1, 5)),
    st.lists(corner, min_size=3, max_size=5).map(lambda c: shapely.Polygon(c).convex_hull)
    .filter(lambda p: p.geom_type == "Polygon"),
    st.builds(lambda a: shapely.box(*a, a[0] + 5, a[1] + 5)
              - shapely.box(a[0] + 1, a[1] + 1, a[0] + 3, a[1] + 4), corner),
)  # fmt: skip


def enclosed(polygons: list[shapely.Geometry]) -> shapely.Geometry:
    """What the union of polygons encloses and does not cover: where one can't walk out of."""
    around = shapely.box(-200, -200, 200, 200)
    open_land = shapely.get_parts(around - shapely.union_all(polygons))
    return shapely.union_all([p for p in open_land if not p.intersects(around.exterior)])


def polygons_of(geom: shapely.Geometry) -> list[shapely.Geometry]:
    return [p for p in shapely.get_parts(geom) if p.geom_type == "Polygon" and p.area > 1e-9]


@settings(deadline=None, max_examples=300)
@given(st.lists(shape, max_size=12), st.integers(1, 15))
def test_gaps_are_the_holes_of_the_union(polygons: list[shapely.Geometry], chunk: int) -> None:
    gaps, slivers, *_ = coverage(polygons, "EPSG:4549", chunk=chunk)
    expected = enclosed(polygons)
    told = shapely.union_all([*gaps.places, *slivers.places])
    assert shapely.symmetric_difference(told, expected).area < 1e-7
    assert gaps.measured.sum() + slivers.measured.sum() == pytest.approx(expected.area, abs=1e-7)
    for place, (row, other) in zip(gaps.places, gaps.rows.tolist(), strict=True):
        beside = [k for k, p in enumerate(polygons) if p.distance(place) < 1e-9]
        assert [row, other] == [*beside, -1][:2]


@settings(deadline=None, max_examples=200)
@given(st.lists(shape, min_size=1, max_size=10), shape)
def test_gaps_against_a_boundary(polygons: list[shapely.Geometry], city: shapely.Geometry) -> None:
    gaps, slivers, *_ = coverage(polygons, "EPSG:4549", boundary=city)
    holes = [h for h in polygons_of(enclosed(polygons)) if h.intersection(city).area > 1e-9]
    lacking = shapely.union_all([city - shapely.union_all(polygons), *holes])
    told = shapely.union_all([*gaps.places, *slivers.places])
    assert shapely.symmetric_difference(told, lacking).area < 1e-7


@settings(deadline=None, max_examples=200)
@given(st.lists(shape, max_size=12), st.lists(st.integers(1, 4), max_size=4))
def test_edges_left_over_tell_how_many_cover_a_place(
    polygons: list[shapely.Geometry], cuts: list[int]
) -> None:
    seams, whole = Seams(), np.array([*polygons, None], dtype=object)[:-1]
    for part in np.split(whole, [min(c, len(whole)) for c in sorted(cuts)]):
        seams.add(part)
    # No place of this lattice lies on an edge between whole numbers.
    xs = np.arange(-0.5 + 0.0123, 15, 1.37)
    places = shapely.points([(x, y) for x in xs for y in xs + 0.00717])
    expected = [sum(p.contains(q) for p in polygons) for q in places]
    assert seams.covers(places).tolist() == expected


def test_neighbours_of_one_edge_leave_nothing_over() -> None:
    squares = shapely.box(
        *np.mgrid[0:30, 0:30].reshape(2, -1), *np.mgrid[1:31, 1:31].reshape(2, -1)
    )
    seams = Seams()
    seams.add(squares)
    assert len(seams.edges) == 120


def test_planted_gaps_and_overlaps_of_a_city_are_found_and_placed() -> None:
    city = pd.concat(list(grids(2, 1000)))
    shapes, types = city.geometry.to_numpy().copy(), city["grid_type"].to_numpy(dtype=object)
    assert [len(f) for f in coverage(shapes, "EPSG:4490", groups=types)] == [0, 0, 0, 0]
    units = np.flatnonzero(types == "unit")
    rim = shapely.coverage_union_all(shapes[units]).boundary
    inside = units[shapely.distance(shapes[units], rim) > 1e-6]
    hole, small, gone = inside[0], inside[-1], inside[len(inside) // 2]
    middle = shapely.point_on_surface(shapes[hole])
    shapes[hole] = shapes[hole] - middle.buffer(1e-5)
    lost, shapes[gone] = shapes[gone], None
    shapes[small] = shapes[small].buffer(1e-5)
    gaps, thin, over, thin_over = coverage(shapes, "EPSG:4490", groups=types, chunk=50)
    assert len(gaps) == 2
    assert len(thin) == 0
    assert [p.contains(middle) for p in gaps.places].count(True) == 1
    (of_lost,) = [k for k, p in enumerate(gaps.places) if p.intersects(lost.centroid)]
    assert shapely.symmetric_difference(gaps.places[of_lost], lost).area < 1e-15
    expected = areas_m2(np.array([lost]), "EPSG:4490", geodesic=False)
    assert gaps.measured[of_lost] == pytest.approx(expected[0], rel=1e-6)
    assert gaps.rows[1 - of_lost].tolist() == [hole, -1]
    assert len(over) + len(thin_over) > 1
    assert all(small in pair for pair in [*over.rows.tolist(), *thin_over.rows.tolist()])
    again = coverage(shapes, "EPSG:4490", groups=types)
    for one, other in zip((gaps, thin, over, thin_over), again, strict=True):
        assert one.rows.tolist() == other.rows.tolist()
        assert one.measured.tolist() == other.measured.tolist()


def test_a_hole_beyond_the_boundary_is_no_gap() -> None:
    frame = shapely.box(0, 0, 10, 10) - shapely.box(4, 4, 6, 6)
    assert len(coverage([frame], "EPSG:4549")[0]) == 1
    city = shapely.box(0, 0, 10, 10) - shapely.box(3, 3, 7, 7)
    assert [len(f) for f in coverage([frame], "EPSG:4549", boundary=city)] == [0] * 4
    half = shapely.box(0, 0, 5, 10)
    gaps, *_ = coverage([frame], "EPSG:4549", boundary=half)
    assert gaps.measured.tolist() == [4.0]


def test_a_corner_within_a_neighbours_edge_is_no_gap() -> None:
    halves = [shapely.box(0, 0, 10, 5), shapely.box(0, 5, 4, 10), shapely.box(4, 5, 10, 10)]
    assert [len(f) for f in coverage(halves, "EPSG:4549")] == [0] * 4


def test_nothing_has_no_faults() -> None:
    for nothing in ([], [None], [shapely.Polygon()]):
        assert [len(f) for f in coverage(nothing, "EPSG:4549")] == [0] * 4


@here
@pytest.mark.parametrize("path", sorted(DATA.glob("*.geojson")), ids=lambda p: p.stem)
def test_real_grids_have_the_gaps_of_their_union(path: Path) -> None:
    shapes = gpd.read_file(path).geometry.to_numpy()
    gaps, thin, over, thin_over = coverage(shapes, "EPSG:4326")
    holes = np.array([*polygons_of_any(enclosed(list(shapes))), None], dtype=object)[:-1]
    areas = areas_m2(holes, "EPSG:4326", geodesic=False)
    # What is thinner than a micrometre is rounding, and no gap.
    assert gaps.measured.sum() + thin.measured.sum() == pytest.approx(areas.sum(), abs=1e-3)
    assert len(gaps) + len(thin) <= len(holes)
    told = shapely.union_all([*gaps.places, *thin.places])
    within = shapely.point_on_surface(holes)
    assert areas[shapely.distance(told, within) > 1e-9].sum() < 1e-3
    doubled = shapely.area(shapes).sum() - shapely.union_all(shapes).area
    told_doubled = shapely.area([*over.places, *thin_over.places]).sum()
    assert told_doubled == pytest.approx(doubled, abs=1e-13)


def polygons_of_any(geom: shapely.Geometry) -> list[shapely.Geometry]:
    return [p for p in shapely.get_parts(geom) if p.geom_type == "Polygon"]
