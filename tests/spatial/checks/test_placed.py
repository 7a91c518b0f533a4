"""Points outside a boundary, and points of one place, against every one looked at by itself."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from spatial.checks.placed import outside, repeated_places

DATA = Path(__file__).parents[4] / "shared" / "data" / "cambridge" / "grids"
here = pytest.mark.skipif(not DATA.is_dir(), reason="the real data of shared/data is not here")
point = st.one_of(st.none(), st.tuples(st.integers(0, 5), st.integers(0, 5)).map(shapely.Point))


@settings(deadline=None, max_examples=200)
@given(st.lists(point, max_size=12), st.sampled_from([0.0, 1.0, 1.5]), st.integers(1, 12))
def test_points_of_one_place_are_those_of_every_pair(
    points: list[shapely.Point | None], tolerance: float, chunk: int
) -> None:
    expected = [
        [i, j]
        for i, j in combinations(range(len(points)), 2)
        if points[i] and points[j] and points[i].distance(points[j]) <= tolerance
    ]
    found = repeated_places(points, "EPSG:4549", tolerance_m=tolerance, chunk=chunk)
    assert found.rows.tolist() == expected
    assert all(points[j] == place for (_, j), place in zip(expected, found.places, strict=True))


def test_places_in_degrees_are_near_in_metres() -> None:
    a, b = shapely.Point(114.3, 30.5, 7), shapely.Point(114.3000003, 30.5, 9)
    away = Geod(ellps="GRS80").inv(a.x, a.y, b.x, b.y)[2]
    assert repeated_places([a, b], 4490, tolerance_m=away + 1e-6).rows.tolist() == [[0, 1]]
    assert len(repeated_places([a, b], 4490, tolerance_m=away - 1e-6)) == 0


def test_what_lies_outside_and_how_far() -> None:
    city = shapely.MultiPolygon([shapely.box(0, 0, 10, 10), shapely.box(20, 0, 30, 10)])
    points = [shapely.Point(5, 5), shapely.Point(10, 5), shapely.Point(14, 5), None,
              shapely.Point(), shapely.Point(33, 14)]  # fmt: skip
    found = outside(points, city, "EPSG:4549")
    assert found.rows.tolist() == [2, 5]
    assert found.measured.tolist() == [4, 5]
    assert len(outside([], city, "EPSG:4549")) == 0
    feet = outside([shapely.Point(15, 5)], shapely.box(0, 0, 10, 10), "EPSG:2263")
    assert feet.measured == pytest.approx([5 * 1200 / 3937])


@here
def test_points_of_a_grid_around_a_real_city() -> None:
    city = gpd.read_file(DATA / "BOUNDARY_CityBoundary.geojson").geometry.iloc[0]
    west, south, east, north = city.bounds
    x, y = np.meshgrid(np.linspace(west, east, 40), np.linspace(south, north, 40))
    points = shapely.points(x.ravel(), y.ravel())
    found = outside(points, city, "EPSG:4326")
    expected = [k for k, p in enumerate(points) if not city.intersects(p)]
    assert found.rows.tolist() == expected
    k = int(found.measured.argmax())
    place = found.places[k]
    nearest = shapely.get_point(shapely.shortest_line(place, city), 1)
    away = Geod(ellps="WGS84").inv(place.x, place.y, nearest.x, nearest.y)[2]
    # The nearest in degrees is not quite the nearest in metres.
    assert 0 < found.measured[k] <= away * (1 + 1e-4)
