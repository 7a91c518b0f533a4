"""Corners, self-contact and slivers, of planted shapes and of random ones."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial.checks.vertices import repeated_corners, self_touching, thin_polygons

corner = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 1))


@settings(deadline=None, max_examples=200)
@given(st.lists(st.lists(corner, min_size=2, max_size=7), max_size=5), st.booleans())
def test_repeated_corners_are_those_of_a_loop(lines: list[list[tuple]], deep: bool) -> None:  # type: ignore[type-arg]
    shapes = [shapely.LineString([c if deep else c[:2] for c in line]) for line in lines]
    expected = [
        (k, after[:2])
        for k, line in enumerate(lines)
        for before, after in pairwise(line)
        if (before == after if deep else before[:2] == after[:2])
    ]
    found = repeated_corners(shapes, "EPSG:4549")
    places = [tuple(xy) for xy in shapely.get_coordinates(found.places)]
    assert [*zip(found.rows.tolist(), places, strict=True)] == expected


def test_corners_of_holes_and_parts_within_a_tolerance() -> None:
    hole = shapely.Polygon(
        shapely.box(0, 0, 10, 10).exterior, [[(4, 4), (6, 4), (6, 4.004), (6, 6)]]
    )
    shapes = [None, shapely.Point(1, 1), shapely.MultiPolygon([hole, shapely.box(20, 0, 21, 1)])]
    assert len(repeated_corners(shapes, "EPSG:4549")) == 0
    found = repeated_corners(shapes, "EPSG:4549", tolerance_m=0.005)
    assert found.rows.tolist() == [2]
    assert found.measured == pytest.approx([0.004])


@pytest.mark.parametrize(
    ("wkt", "places"),
    [
        ("LINESTRING (0 0, 5 0, 5 5)", []),
        ("LINESTRING (0 0, 5 0, 5 5, 0 0)", []),
        ("LINESTRING (0 0, 4 4, 4 0, 0 4)", [(2, 2)]),
        ("LINESTRING (0 0, 4 0, 4 4, 2 0)", [(2, 0)]),
        ("POLYGON ((0 0, 4 4, 4 0, 0 4, 0 0))", [(2, 2)]),
        ("POLYGON ((0 0, 2 2, 0 4, 4 4, 2 2, 4 0, 0 0))", [(2, 2)]),
        ("POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0), (0 4, 2 3, 2 5, 0 4))", []),
        ("MULTILINESTRING ((0 0, 4 4), (4 0, 0 4))", []),
        ("MULTILINESTRING ((0 0, 1 0), (0 0, 4 4, 4 0, 0 4))", [(2, 2)]),
        ("POINT (1 1)", []),
    ],
)
def test_where_a_shape_touches_itself(wkt: str, places: list[tuple[int, int]]) -> None:
    found = self_touching([None, shapely.from_wkt(wkt)])
    assert [tuple(xy) for xy in shapely.get_coordinates(found.places)] == places
    assert found.rows.tolist() == [1] * len(places)
    assert (found.measured > 2).all()


def test_slivers_are_told_by_part() -> None:
    wide, thin = shapely.box(0, 0, 10, 10), shapely.box(20, 0, 120, 0.03)
    shapes = [wide, None, shapely.MultiPolygon([wide, thin]), shapely.Polygon()]
    found = thin_polygons(shapes, "EPSG:4549", width_m=0.05)
    assert found.rows.tolist() == [2]
    assert found.places[0].equals(thin)
    assert found.measured == pytest.approx([2 * 3 / 200.06])
    in_degrees = shapely.transform(np.array(shapes), lambda xy: [114, 30] + xy / 111_000)
    assert thin_polygons(in_degrees, "EPSG:4490", width_m=0.05).rows.tolist() == [2]
