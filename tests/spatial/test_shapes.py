from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spatial.errors import WrongGeometryType
from spatial.shapes import as_multi, geometry_type_name, repair

BOW_TIE = "POLYGON ((0 0, 2 2, 2 0, 0 2, 0 0))"
SPIKE = "POLYGON ((0 0, 2 0, 2 2, 1 2, 1 3, 1 2, 0 2, 0 0))"
FLAT = "POLYGON ((0 0, 1 1, 2 2, 0 0))"


def test_what_is_valid_stays_to_the_letter() -> None:
    geoms = shapely.from_wkt(["POINT Z (1 2 3)", "POLYGON ((0 0, 1 0, 1 1, 0 0))", "POINT EMPTY"])
    done = repair(geoms)
    assert (done.geoms == geoms).all()
    assert not done.repaired.any()
    assert done.reasons.tolist() == [None] * 3
    assert done.empty.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("text", "area", "says"),
    [
        (BOW_TIE, 2, "Self-intersection"),
        (SPIKE, 4, "1 part without area dropped"),
        (FLAT, 0, "nothing of it is left"),
        ("MULTIPOLYGON (((0 0,2 0,2 2,0 2,0 0)),((1 1,3 1,3 3,1 3,1 1)))", 7, "Self-intersection"),
        ("POLYGON ((0 0,9 0,9 9,0 9,0 0),(20 20,21 20,21 21,20 20))", 81.5, "Hole lies outside"),
    ],
)
def test_polygons_stay_polygons(text: str, area: float, says: str) -> None:
    done = repair([shapely.from_wkt(text)])
    assert done.geoms[0].area == area
    assert done.geoms[0].geom_type in ("Polygon", "MultiPolygon")
    assert done.repaired.tolist() == [True]
    assert says in done.reasons[0]
    assert done.empty[0] == (area == 0)


def test_z_is_kept() -> None:
    done = repair([shapely.from_wkt("POLYGON Z ((0 0 1, 2 2 1, 2 0 1, 0 2 1, 0 0 1))")])
    assert set(shapely.get_coordinates(done.geoms, include_z=True)[:, 2]) == {1.0}


def test_what_is_missing_or_not_finite_is_pointed_out_and_left() -> None:
    geoms = [None, shapely.Point(np.nan, 1), shapely.LineString([(0, 0), (np.inf, 1)])]
    done = repair(geoms)
    assert done.geoms.tolist() == geoms
    assert done.empty.tolist() == [True, False, False]
    assert done.non_finite.tolist() == [False, True, True]
    assert not done.repaired.any()
    assert len(repair([]).geoms) == 0


def test_a_line_of_no_length_is_an_empty_line() -> None:
    done = repair([shapely.LineString([(0, 0), (0, 0)])])
    assert done.geoms[0].wkt == "LINESTRING EMPTY"


corners = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=9)


@settings(deadline=None)
@given(st.lists(corners, max_size=4))
@example([[(2, 0), (2, 1), (1, 0), (0, 0), (2, 1), (1, 0)]])
def test_any_ring_becomes_valid_and_stays_an_area(rings: list[list[tuple[int, int]]]) -> None:
    geoms = np.array([shapely.Polygon(ring) for ring in rings], dtype=object)
    done = repair(geoms)
    assert shapely.is_valid(done.geoms).all()
    assert (shapely.get_dimensions(done.geoms) == 2).all()
    assert (done.repaired == ~shapely.is_valid(geoms)).all()
    assert [reason is not None for reason in done.reasons] == done.repaired.tolist()
    assert not repair(done.geoms).repaired.any()


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (["POINT (1 2)"], "Point"),
        (["POINT Z (1 2 3)", "POINT (1 2)"], "PointZ"),
        (["POLYGON ((0 0,1 0,1 1,0 0))", "MULTIPOLYGON EMPTY", None], "MultiPolygon"),
        (["LINEARRING (0 0,1 0,1 1,0 0)", "LINESTRING (0 0,1 1)"], "LineString"),
        (["POINT (1 2)", "LINESTRING (0 0,1 1)"], "Geometry"),
        (["GEOMETRYCOLLECTION EMPTY"], "Geometry"),
        ([None], "Geometry"),
        ([], "Geometry"),
    ],
)
def test_names_the_type_that_holds_all(texts: list[str | None], name: str) -> None:
    geoms = np.array([None if text is None else shapely.from_wkt(text) for text in texts], object)
    assert geometry_type_name(geoms) == name
    assert geometry_type_name(as_multi(geoms, name)) == name


def test_wraps_single_geometries() -> None:
    geoms = [shapely.Point(1, 2, 3), shapely.Point(), None, shapely.MultiPoint([(1, 2), (3, 4)])]
    wrapped = as_multi(geoms, "MultiPoint")
    assert [None if geom is None else geom.geom_type for geom in wrapped] == [
        *("MultiPoint", "MultiPoint", None, "MultiPoint")
    ]
    assert wrapped[0].geoms[0].z == 3
    assert wrapped[1].is_empty
    assert geoms[0].geom_type == "Point", "the caller's are left alone"


def test_unwraps_a_single_part() -> None:
    assert as_multi([shapely.MultiPoint([(1, 2)])], "Point")[0].wkt == "POINT (1 2)"
    ring = as_multi([shapely.LinearRing([(0, 0, 1), (1, 0, 1), (1, 1, 1)])], "LineStringZ")[0]
    assert ring.geom_type == "LineString"
    assert ring.has_z


@pytest.mark.parametrize(
    ("geom", "name", "says"),
    [
        (shapely.MultiPoint([(1, 2), (3, 4)]), "Point", "geometry 1 is a MultiPoint of 2 parts"),
        (shapely.Point(1, 2), "MultiPolygon", "is a Point, where MultiPolygon"),
        (shapely.GeometryCollection([shapely.Point(1, 2)]), "MultiPoint", "GeometryCollection"),
        (shapely.Point(1, 2), "Circle", "no type"),
    ],
)
def test_refuses_another_type(geom: shapely.Geometry, name: str, says: str) -> None:
    with pytest.raises(WrongGeometryType, match=says):
        as_multi([None, geom], name)
