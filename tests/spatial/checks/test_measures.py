"""Areas and lengths against pyproj's own geodesics, one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from spatial.checks.measures import areas_m2, distances_m, in_metres, lengths_m

GEOD = Geod(ellps="GRS80")  # CGCS2000's flattening is the same to 1e-9


@settings(deadline=None, max_examples=200)
@given(
    st.floats(-170, 170),
    st.floats(-80, 80),
    st.floats(1e-4, 2),
    st.lists(st.floats(0.3, 1), min_size=3, max_size=9),
    st.booleans(),
    st.booleans(),
)
def test_areas_are_those_of_pyproj(
    x: float, y: float, size: float, radii: list[float], hole: bool, turned: bool
) -> None:
    turns = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    rim = np.array(radii)[:, None] * np.column_stack([np.cos(turns), np.sin(turns)])
    corners = [x, y] + size * rim
    shell = shapely.Polygon(corners[::-1] if turned else corners)
    if hole:
        shell = shapely.Polygon(shell.exterior, [[x, y] + size * 0.1 * rim[::-1]])
    shapes = np.array([shell, shapely.MultiPolygon([shell]), None, shapely.Polygon()], dtype=object)
    area = abs(GEOD.geometry_area_perimeter(shapely.orient_polygons(shell))[0])
    around = sum(GEOD.geometry_length(ring) for ring in shapely.get_rings(shell))
    found = areas_m2(shapes, "EPSG:4490")
    assert found[:2] == pytest.approx([area] * 2, rel=1e-7, abs=1e-4)
    assert found[2:].tolist() == [0, 0]
    assert lengths_m(shapes, "EPSG:4490")[0] == pytest.approx(around, rel=1e-9)


def test_what_is_straight_in_degrees_encloses_no_sliver() -> None:
    # A corner upon an edge of 150 m: the geodesic passes it by.
    line = np.array([(114.0, 40.0), (114.002, 40.0)])
    triangle = np.array([shapely.Polygon([*line, (114.001, 40.0)])])
    assert areas_m2(triangle, "EPSG:4490", geodesic=False)[0] < 1e-6
    assert areas_m2(triangle, "EPSG:4490")[0] > 1e-3
    strip = np.array([shapely.box(114, 30, 114.3, 30.2)])
    dense = shapely.segmentize(strip, 1e-4)
    expected = abs(GEOD.geometry_area_perimeter(dense[0])[0])
    assert areas_m2(strip, "EPSG:4490", geodesic=False) == pytest.approx([expected], rel=1e-9)


def test_feet_and_plane_metres() -> None:
    square = np.array([shapely.box(0, 0, 100, 100)])
    foot = 1200 / 3937
    assert areas_m2(square, "EPSG:2263") == pytest.approx([(100 * foot) ** 2])
    assert lengths_m(square, "EPSG:2263") == pytest.approx([400 * foot])
    assert areas_m2(square, "EPSG:4549").tolist() == [10_000]
    assert distances_m(np.zeros((1, 2)), np.array([[3.0, 4.0]]), 2263) == pytest.approx([5 * foot])


def test_a_system_in_grads_is_measured_too() -> None:
    box = shapely.box(2, 54, 2.01, 54.01)  # NTF (Paris), in grads
    degrees = shapely.transform(box, lambda xy: xy * 0.9)
    expected, around = Geod(ellps="clrk80ign").geometry_area_perimeter(degrees)
    assert areas_m2(np.array([box]), "EPSG:4807") == pytest.approx([abs(expected)], rel=1e-6)
    assert lengths_m(np.array([box]), "EPSG:4807") == pytest.approx([around], rel=1e-9)


def test_lengths_in_three_dimensions() -> None:
    lines = np.array(
        [
            shapely.LineString([(114, 30, 5), (114, 30, 2)]),
            shapely.LineString([(114, 30, 0), (114.001, 30, 40)]),
            shapely.MultiLineString([[(0, 0), (3, 4)], [(50, 50), (53, 54)]]),
            None,
        ],
        dtype=object,
    )
    along = GEOD.inv(114, 30, 114.001, 30)[2]
    found = lengths_m(lines, "EPSG:4490", with_z=True)
    assert found[:2] == pytest.approx([3, math.hypot(along, 40)])
    assert np.isnan(found[2])
    assert found[3] == 0
    assert lengths_m(lines[2:3], "EPSG:4549").tolist() == [10]


def test_a_plane_in_metres_keeps_near_distances() -> None:
    a, b = shapely.Point(114.3, 30.5), shapely.Point(114.3001, 30.5001)
    moved = in_metres(np.array([a, b, None], dtype=object), "EPSG:4490")
    expected = GEOD.inv(a.x, a.y, b.x, b.y)[2]
    assert shapely.distance(moved[0], moved[1]) == pytest.approx(expected, rel=1e-6)
    assert moved[2] is None
    assert in_metres(np.array([None], dtype=object), "EPSG:4490").tolist() == [None]
