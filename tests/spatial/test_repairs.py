"""Repairs against naive means: loops over points, places in the whole, areas on the ellipsoid."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from spatial.antimeridian import split_at_antimeridian
from spatial.errors import AroundPole
from spatial.repairs import Mended, drop_repeated
from spatial.shapes import repair

GEOD = Geod(ellps="WGS84")
SPLIT, MOVED = "split at 180 degrees", "moved within 180 degrees"
POLE = f"{MOVED}; closed along the pole"
WORLD = "POLYGON ((-180 -90, 180 -90, 180 90, -180 90, -180 -90))"
FIJI = "POLYGON ((177 -19, 182 -19, 182 -16, 177 -16, 177 -19))"


@pytest.mark.parametrize(
    ("text", "expected", "done"),
    [
        (
            FIJI,
            "MULTIPOLYGON (((177 -19, 180 -19, 180 -16, 177 -16, 177 -19)),"
            "((-180 -19, -178 -19, -178 -16, -180 -16, -180 -19)))",
            SPLIT,
        ),
        (
            "POLYGON ((177 -19, -178 -19, -178 -16, 177 -16, 177 -19))",
            "MULTIPOLYGON (((177 -19, 180 -19, 180 -16, 177 -16, 177 -19)),"
            "((-180 -19, -178 -19, -178 -16, -180 -16, -180 -19)))",
            SPLIT,
        ),
        (
            # A hole across the line opens both halves; one beside it stays a hole.
            "POLYGON ((170 0, -170 0, -170 10, 170 10, 170 0), (178 2, -178 2, -178 4, 178 4, "
            "178 2), (171 7, 172 7, 172 8, 171 7))",
            "MULTIPOLYGON (((170 0, 180 0, 180 2, 178 2, 178 4, 180 4, 180 10, 170 10, 170 0), "
            "(171 7, 172 7, 172 8, 171 7)), ((-180 0, -170 0, -170 10, -180 10, -180 4, -178 4, "
            "-178 2, -180 2, -180 0)))",
            SPLIT,
        ),
        (
            "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((179 0, 181 0, 181 2, 179 2, 179 0)))",
            "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((179 0, 180 0, 180 2, 179 2, 179 0)), "
            "((-180 0, -179 0, -179 2, -180 2, -180 0)))",
            SPLIT,
        ),
        ("POLYGON ((181 0, 190 0, 190 9, 181 0))", "POLYGON((-179 0,-170 0,-170 9,-179 0))", MOVED),
        ("POLYGON ((170 0, 180 0, -180 9, 170 0))", "POLYGON((170 0,180 0,180 9,170 0))", MOVED),
        ("POINT (190 5)", "POINT (-170 5)", MOVED),
        ("MULTIPOINT (-181 5, 3 4)", "MULTIPOINT (179 5, 3 4)", MOVED),
        ("LINESTRING (170 0, -170 20)", "MULTILINESTRING((170 0,180 10),(-180 10,-170 20))", SPLIT),
        (
            "LINESTRING (-200 0, 200 40)",
            "MULTILINESTRING ((160 0, 180 2), (-180 2, 180 38), (-180 38, -160 40))",
            SPLIT,
        ),
        # Around a pole: a cap, and a band between two parallels.
        (
            "POLYGON ((0 70, 90 70, 180 70, -90 70, 0 70))",
            "POLYGON ((-180 70, 180 70, 180 90, -180 90, -180 70))",
            POLE,
        ),
        (
            "POLYGON ((0 -70, -90 -70, 179 -70, 90 -70, 0 -70))",
            "POLYGON ((-180 -70, 180 -70, 180 -90, -180 -90, -180 -70))",
            POLE,
        ),
        (
            "POLYGON((0 70,90 70,180 70,-90 70,0 70),(10 80,-90 80,180 80,90 80,10 80))",
            "POLYGON ((-180 70, 180 70, 180 80, -180 80, -180 70))",
            POLE,
        ),
        # Cut already, or to the edge; no longitude at all; nothing.
        (WORLD, WORLD, None),
        ("LINESTRING (180 0, -180 0)", "LINESTRING (180 0, -180 0)", None),
        ("POINT (500000 3000000)", "POINT (500000 3000000)", None),
        ("POLYGON EMPTY", "POLYGON EMPTY", None),
        ("GEOMETRYCOLLECTION (POINT (190 1))", "GEOMETRYCOLLECTION (POINT (190 1))", None),
    ],
)
def test_what_crosses_is_cut(text: str, expected: str, done: str | None) -> None:
    geoms = [None, shapely.from_wkt(text)]
    mended = split_at_antimeridian(geoms)
    after, wanted = mended.geoms[1], shapely.from_wkt(expected)
    assert after.wkt == wanted.wkt or shapely.equals(after, wanted)
    assert after.geom_type == wanted.geom_type
    assert mended.done.tolist() == [None, done]
    assert mended.changed.tolist() == [False, done is not None]
    assert mended.geoms[0] is None
    assert (after is geoms[1]) == (done is None)
    assert not split_at_antimeridian(mended.geoms).changed.any()


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_is_not_finite_is_left_to_others(odd: float) -> None:
    with np.errstate(invalid="ignore"):
        line = shapely.LineString([(170, 0), (odd, 1), (190, 1)])
    mended = split_at_antimeridian([line])
    assert mended.geoms[0] is line
    assert not mended.changed[0]


def test_heights_are_kept_and_given_to_what_is_cut() -> None:
    texts = [
        "LINESTRING Z (-170 0 0, -190 10 20)",
        "POLYGON Z ((170 0 0, -170 0 20, -170 10 20, 170 10 0, 170 0 0))",
        "POINT Z (190 0 7)",
    ]
    for shape in split_at_antimeridian(shapely.from_wkt(texts)).geoms:
        points = shapely.get_coordinates(shape, include_z=True)
        east = points[:, 0] > 0
        height = {"Point": [7], "MultiLineString": 180 - points[:, 0], "MultiPolygon": None}
        wanted = height[shape.geom_type]
        if wanted is None:
            wanted = np.where(east, points[:, 0] - 170, points[:, 0] + 190)
        elif shape.geom_type == "MultiLineString":
            wanted = np.where(east, 190 - points[:, 0], -170 - points[:, 0])
        assert points[:, 2] == pytest.approx(wanted)


@pytest.mark.parametrize("name", ["S3A_antimeridian_stac.json", "antimeridian_issues-124.json"])
def test_an_orbit_around_the_earth_has_no_inside(shared: Path, name: str) -> None:
    document = json.loads((shared / "data" / "awkward" / name).read_text(encoding="utf-8"))
    orbit = shapely.geometry.shape(document.get("geometry", document))
    with pytest.raises(AroundPole, match="both sides of the equator") as raised:
        split_at_antimeridian([shapely.Point(1, 2), orbit])
    assert raised.value.position == 1


@st.composite
def around_180(draw: st.DrawFn) -> tuple[Any, Any]:
    """A star of small steps about the edge, or not: as it goes on, and from edge to edge."""
    middle = draw(st.floats(140, 220).map(lambda x: round(x, 3)))
    latitude = draw(st.floats(-50, 50).map(lambda y: round(y, 3)))
    corners = draw(st.lists(st.floats(2, 20), min_size=5, max_size=12))
    angles = np.linspace(0, 2 * np.pi, len(corners), endpoint=False)
    ring = np.column_stack(
        [middle + corners * np.cos(angles), latitude + np.asarray(corners) * np.sin(angles)]
    )
    shell = shapely.segmentize(shapely.Polygon(ring), 0.25)
    hole = shapely.segmentize(shapely.Point(middle, latitude).buffer(1), 0.25)
    whole = shapely.Polygon(shell.exterior, [hole.exterior])

    def wrapped(points: Any) -> Any:
        return np.column_stack([(points[:, 0] + 180) % 360 - 180, points[:, 1]])

    return whole, shapely.transform(whole, wrapped)


@settings(deadline=None, max_examples=60)
@given(around_180(), st.integers(0, 2**32 - 1))
def test_either_way_of_writing_gives_the_same_area(both: tuple[Any, Any], seed: int) -> None:
    whole = both[0]
    places = np.random.default_rng(seed).uniform([110, -90], [250, 90], (300, 2))
    # Naive: whether the place, a turn further on or not, lies in the shape as it goes on.
    inside = shapely.contains_xy(whole, places)
    for given_ in both:
        mended = split_at_antimeridian([given_])
        after = mended.geoms[0]
        west, _, east, _ = after.bounds
        assert shapely.is_valid(after)
        assert -180 <= west <= east <= 180
        assert after.area == pytest.approx(whole.area, rel=1e-12)
        assert area_m2(after) == pytest.approx(area_m2(given_), rel=1e-5)
        x = np.where(places[:, 0] > 180, places[:, 0] - 360, places[:, 0])
        assert (shapely.contains_xy(after, x, places[:, 1]) == inside).all()
        again = split_at_antimeridian([after])
        assert again.geoms[0] is after
        assert mended.changed[0] == (after is not given_)


def area_m2(shape: Any) -> float:
    """On the ellipsoid, ring by ring, whichever way they go around."""
    total = 0.0
    for polygon in shapely.get_parts(shape):
        shell, *holes = (abs(GEOD.geometry_area_perimeter(r)[0]) for r in rings(polygon))
        total += shell - sum(holes)
    return total


def rings(polygon: Any) -> list[Any]:
    return [shapely.Polygon(ring) for ring in shapely.get_rings(polygon)]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(60, 85), st.floats(5, 40)).map(lambda t: (round(t[0], 3), t[1])),
        min_size=9, max_size=30,
    ),
    st.floats(-180, 180),
    st.sampled_from([1, -1]),
    st.booleans(),
)  # fmt: skip
def test_a_cap_has_the_area_of_the_ring_around_it(
    corners: list[tuple[float, float]], start: float, side: int, westward: bool
) -> None:
    latitudes, steps = np.array(corners).T
    x = start + np.cumsum(steps) / steps.sum() * 360
    ring = np.column_stack([(x + 180) % 360 - 180, side * latitudes])
    ring = np.concatenate([ring, ring[:1]])
    # The naive way: a polygon in the plane of the turns, from the ring to the pole.
    going = np.column_stack([np.append(x, x[0] + 360), ring[:, 1]])
    ends = [(going[-1, 0], 90 * side), (going[0, 0], 90 * side)]
    area = shapely.Polygon([*going, *ends]).area
    after = split_at_antimeridian([shapely.Polygon(ring[::-1] if westward else ring)]).geoms[0]
    assert shapely.is_valid(after)
    assert after.area == pytest.approx(area, rel=1e-9)
    assert after.bounds[:3:2] == (-180, 180)
    assert (after.bounds[3] if side > 0 else -after.bounds[1]) == 90
    assert not split_at_antimeridian([after]).changed[0]


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-80, 80), st.integers(-89, 89)), min_size=2, max_size=20))
def test_a_line_keeps_its_length_and_its_order(steps: list[tuple[float, int]]) -> None:
    x = 170 + np.cumsum([dx / 8 for dx, _ in steps])
    line = np.column_stack([(x + 180) % 360 - 180, [y for _, y in steps]])
    mended = split_at_antimeridian([shapely.LineString(line)])
    parts = [shapely.get_coordinates(part) for part in shapely.get_parts(mended.geoms[0])]
    # Every point of the line, in order; what is new lies on the edge, where parts meet.
    kept = [p for part in parts for p in part.tolist() if abs(p[0]) != 180]
    given_ = [p for p in line.tolist() if abs(p[0]) != 180]
    assert np.array(kept) == pytest.approx(np.array(given_))
    for part, after in itertools.pairwise(parts):
        assert part[-1, 1] == after[0, 1]
        assert part[-1, 0] == -after[0, 0]
    whole = np.column_stack([x, line[:, 1]])
    plane = sum(np.hypot(*np.diff(part, axis=0).T).sum() for part in parts)
    assert plane == pytest.approx(np.hypot(*np.diff(whole, axis=0).T).sum())


def test_rows_at_no_fault_are_the_same_to_the_byte() -> None:
    rng = np.random.default_rng(8)
    boxes = shapely.box(*rng.uniform((-10, -85), (160, 80), (500, 2)).T, 165, 85)
    lines = shapely.linestrings(rng.uniform(-80, 80, (500, 4, 2)))
    fault = shapely.from_wkt([FIJI, "LINESTRING (0 0, 0 0, 1 1)"])
    geoms = np.array([*boxes, fault[0], *lines, fault[1], None], dtype=object)
    before = shapely.to_wkb(geoms)
    for remedy, place in ((split_at_antimeridian, 500), (drop_repeated, 1001)):
        mended = remedy(geoms)
        assert np.flatnonzero(mended.changed).tolist() == [place]
        same = np.arange(len(geoms)) != place
        assert all(a is b for a, b in zip(mended.geoms[same], geoms[same], strict=True))
    assert (shapely.to_wkb(geoms) == before).all(), "the caller's are left alone"


@pytest.mark.parametrize(
    ("text", "expected", "done"),
    [
        ("LINESTRING (0 0, 0 0, 1 1, 1 1)", "LINESTRING (0 0, 1 1)", "2 repeated points dropped"),
        # A riser goes straight up: its points are not repeated.
        (
            "LINESTRING Z (0 0 0, 0 0 5, 0 0 5, 9 0 5)",
            "LINESTRING Z (0 0 0, 0 0 5, 9 0 5)",
            "1 repeated point dropped",
        ),
        ("LINESTRING (0 0, 0 0)", "LINESTRING (0 0, 0 0)", None),
        ("LINESTRING (0 0, 1 1, 0 0)", "LINESTRING (0 0, 1 1, 0 0)", None),
        # The hole begins where the shell ends.
        (
            "POLYGON ((0 0, 9 0, 9 0, 9 9, 0 0, 0 0), (0 0, 5 1, 5 2, 5 2, 0 0))",
            "POLYGON ((0 0, 9 0, 9 9, 0 0), (0 0, 5 1, 5 2, 0 0))",
            "3 repeated points dropped",
        ),
        (
            "POLYGON ((0 0, 9 0, 9 9, 0 0), (0 0, 5 1, 5 2, 0 0))",
            "POLYGON ((0 0, 9 0, 9 9, 0 0), (0 0, 5 1, 5 2, 0 0))",
            None,
        ),
        (
            "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((0 0, 0 0, -1 0, -1 -1, 0 0)), EMPTY)",
            "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((0 0, -1 0, -1 -1, 0 0)), EMPTY)",
            "1 repeated point dropped",
        ),
        ("MULTIPOINT (0 0, 0 0)", "MULTIPOINT (0 0, 0 0)", None),
    ],
)
def test_repeated_points_are_dropped(text: str, expected: str, done: str | None) -> None:
    mended = drop_repeated([shapely.from_wkt(text), None])
    assert mended.geoms[0].wkt == shapely.from_wkt(expected).wkt
    assert mended.done.tolist() == [done, None]
    assert not drop_repeated(mended.geoms).changed.any()


steps = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=12)


@settings(deadline=None)
@given(st.lists(steps, min_size=1, max_size=6), st.booleans())
def test_dropped_as_a_loop_and_as_geos_does(
    lines: list[list[tuple[int, int]]], closed: bool
) -> None:
    """The points of GEOS, which looks at no heights; where enough are left for a line or ring."""
    made = [shapely.Polygon([*p, p[0]]) if closed and len(p) > 2 else shapely.LineString(p)
            for p in lines]  # fmt: skip
    mended = drop_repeated(made)
    for before, after in zip(made, mended.geoms, strict=True):
        points = shapely.get_coordinates(before).tolist()
        kept = [p for p, _ in itertools.groupby(points)]
        least = 4 if before.geom_type == "Polygon" else 2
        assert shapely.get_coordinates(after).tolist() == (kept if len(kept) >= least else points)
        if len(kept) >= least:
            assert after.wkt == shapely.remove_repeated_points(before).wkt


def test_remedies_follow_each_other() -> None:
    tie = shapely.from_wkt("POLYGON ((170 0, 190 10, 190 10, 190 0, 170 10, 170 0))")
    start = Mended(np.array([tie, None]), np.full(2, None, dtype=object))
    mended = start.then(drop_repeated).then(split_at_antimeridian)
    assert mended.done[0] == f"1 repeated point dropped; {SPLIT}; Self-intersection[180 5]"
    assert mended.done[1] is None
    assert mended.geoms[0].area == pytest.approx(100)
    assert not repair(mended.geoms).repaired.any()
