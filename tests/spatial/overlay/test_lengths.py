"""Lines to grids against geopandas.overlay; and each metre counted once."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from coverages import lattice, polygon, skewed, star
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial.errors import (
    DuplicateIds,
    MissingColumn,
    MissingCRS,
    MissingIds,
    MixedCRS,
    NotFinite,
    WrongGeometryType,
)
from spatial.overlay.lengths import lines_to_grids

METRES = 4549
DATA = Path(__file__).parents[4] / "shared" / "data" / "cambridge"
here = pytest.mark.skipif(not DATA.is_dir(), reason="the real data of shared/data is not here")


def frame(geometries: Any, crs: Any = METRES, **columns: Any) -> gpd.GeoDataFrame:
    array = np.array([*geometries, None], dtype=object)[:-1]
    return gpd.GeoDataFrame(columns, geometry=array, crs=crs)


def grids_of(polygons: Any, crs: Any = METRES) -> gpd.GeoDataFrame:
    return frame(polygons, crs, id=[f"g{k:04}" for k in range(len(polygons))])


def overlaid(lines: gpd.GeoDataFrame, grids: gpd.GeoDataFrame) -> dict[tuple[Any, Any], float]:
    """The same by geopandas, in the frames' own unit."""
    numbered = lines.assign(line=lines.index)[["line", lines.geometry.name]]
    pieces = gpd.overlay(numbered, grids, how="intersection", keep_geom_type=True)
    found: dict[tuple[Any, Any], float] = {}
    for row in pieces.itertuples():
        found[row.line, row.id] = found.get((row.line, row.id), 0.0) + row.geometry.length
    return found


def told(table: Any) -> dict[tuple[Any, Any], float]:
    return {(row.line, row.grid): row.length_m for row in table.itertuples()}


def check(lines: gpd.GeoDataFrame, grids: gpd.GeoDataFrame, unit: float = 1.0) -> None:
    own = dict(zip(lines.index, lines.length * unit, strict=True))
    ours, theirs = told(lines_to_grids(lines, grids)), overlaid(lines, grids)
    for pair in {p for p in ours if p[1] is not None} | set(theirs):
        expected = theirs.get(pair, 0.0) * unit
        assert ours.get(pair, 0.0) == pytest.approx(expected, rel=1e-9, abs=1e-9 * own[pair[0]])


def random_lines(count: int, low: float, high: float, seed: int) -> list[shapely.Geometry]:
    random = np.random.default_rng(seed)
    found = [
        shapely.LineString(random.uniform(low, high, (random.integers(2, 7), 2)))
        for _ in range(count)
    ]
    return [*found[::2], *(shapely.MultiLineString(found[k : k + 2]) for k in range(1, count, 8))]


@pytest.mark.parametrize(
    ("polygons", "low", "high"),
    [
        (lattice(14, 14, 1, 0.35), -2, 16),
        (np.concatenate([lattice(6, 6, 2, 0.3), lattice(7, 7, 3, 0.3)]), -1, 8),
        (star(150), -1, 1.3),
        (skewed(4), 47.9, 48.1),
    ],
    ids=["coverage", "two layers", "star", "skewed"],
)
def test_lengths_are_those_of_overlay(polygons: Any, low: float, high: float) -> None:
    check(frame(random_lines(120, low, high, 5)), grids_of(polygons))


def test_lengths_far_from_the_origin() -> None:
    moved = shapely.transform(lattice(9, 9, 6, 0.3), lambda xy: xy * 73.1 + [5e5, 3.3e6])
    lines = shapely.transform(
        np.array(random_lines(60, -1, 10, 7)), lambda xy: xy * 73.1 + [5e5, 3.3e6]
    )
    check(frame(lines), grids_of(moved))


corner = st.tuples(st.integers(-1, 8), st.integers(-1, 8))
# corners that rounding moved off a line lie beside it, and what lies on such an edge is chance
exact = polygon.filter(lambda p: p is None or (shapely.get_coordinates(p) * 4 % 1 == 0).all())
line = st.lists(corner, min_size=2, max_size=5).map(shapely.LineString)


@settings(deadline=None)
@given(st.lists(line, min_size=1, max_size=4), st.lists(exact, min_size=1, max_size=6))
def test_each_metre_counts_once_for_its_boundary_and_once_for_each_inside(
    lines: list[shapely.LineString], polygons: list[shapely.Geometry | None]
) -> None:
    table = told(lines_to_grids(frame(lines), grids_of(polygons)))
    whole = [shapely.Polygon() if p is None else p for p in polygons]
    for k, one in enumerate(lines):
        if one.length == 0:
            assert not [pair for pair in table if pair[0] == k]
            continue
        # every piece between two crossings, and what its middle lies in, by Shapely alone
        noded = shapely.node(shapely.union_all([one, *(p.boundary for p in whole)]))
        expected: dict[Any, float] = {}
        for segment in segments(one):
            for piece in cut(segment, noded):
                middle = piece.interpolate(0.5, normalized=True)
                inside = [m for m, p in enumerate(whole) if p.distance(middle) < 1e-9]
                bound = [m for m in inside if p_boundary(whole[m], piece)]
                owners = [m for m in inside if m not in bound] + bound[:1]
                for m in owners or [None]:
                    code = None if m is None else f"g{m:04}"
                    expected[code] = expected.get(code, 0.0) + piece.length
        got = {code: length for (number, code), length in table.items() if number == k}
        for code in set(expected) | set(got):
            assert got.get(code, 0.0) == pytest.approx(expected.get(code, 0.0), abs=1e-6)


def segments(one: shapely.LineString) -> list[shapely.LineString]:
    ends = list(one.coords)
    return [shapely.LineString(p) for p in pairwise(ends) if p[0] != p[1]]


def cut(segment: shapely.LineString, noded: shapely.Geometry) -> list[shapely.LineString]:
    places = {0.0, segment.length}
    for x, y in shapely.get_coordinates(noded):
        if segment.distance(shapely.Point(x, y)) < 1e-9:
            places.add(segment.project(shapely.Point(x, y)))
    ordered = sorted(places)
    return [
        shapely.LineString([segment.interpolate(a), segment.interpolate(b)])
        for a, b in pairwise(ordered)
        if b - a > 1e-7
    ]


def p_boundary(p: shapely.Geometry, piece: shapely.LineString) -> bool:
    return bool(p.boundary.distance(piece.interpolate(0.5, normalized=True)) < 1e-9)


def test_shared_edges_count_once_for_the_lowest_code_and_totals_are_conserved() -> None:
    cells = lattice(10, 10, 8, 0.35)
    edges = [shapely.LineString(c.exterior.coords) for c in cells]
    lines, grids = frame(edges), grids_of(cells)
    table = lines_to_grids(lines, grids)
    sums = table.groupby("line")["length_m"].sum()
    np.testing.assert_allclose(sums, lines.length, rtol=1e-12)
    # the ring of a cell belongs to it and to its lower neighbours, and to nobody above
    assert all(row.grid is not None and row.grid <= f"g{row.line:04}" for row in table.itertuples())
    shared = frame([shapely.LineString([(1, 0), (1, 1)])])
    two = frame([shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)], id=["9", "10"])
    assert told(lines_to_grids(shared, two)) == {(0, "10"): 1.0}


def test_degrees_and_feet_are_metres() -> None:
    grids = grids_of([shapely.box(120, 30, 120.1, 30.1)], crs=4490)
    lines = frame([shapely.LineString([(119.95, 30.05), (120.05, 30.05)])], crs=4326)
    table = told(lines_to_grids(lines.set_crs(4490, allow_override=True), grids))
    geodesic = gpd.GeoSeries(lines.geometry).crs.get_geod().line_length(
        [120.0, 120.05], [30.05, 30.05]
    )  # fmt: skip
    assert table[0, "g0000"] == pytest.approx(geodesic, rel=1e-4)
    feet = 2249  # Massachusetts, US survey feet
    check(
        frame(random_lines(20, -1, 8, 9), feet), grids_of(lattice(6, 6, 9, 0.3), feet), 1200 / 3937
    )


def test_nothing_to_measure() -> None:
    grids = grids_of([shapely.box(0, 0, 1, 1), None, shapely.Polygon()])
    lines = frame([None, shapely.LineString(), shapely.LineString([(0, 0), (0, 0)])])
    assert len(lines_to_grids(lines, grids)) == 0
    table = lines_to_grids(frame([shapely.LineString([(0, 0), (3, 4)])]), grids_of([]))
    assert told(table) == {(0, None): 5.0}
    assert len(lines_to_grids(frame([]), grids_of([], crs=METRES))) == 0


def test_refuses_what_does_not_fit() -> None:
    lines, grids = (
        frame([shapely.LineString([(0, 0), (1, 1)])]),
        grids_of([shapely.box(0, 0, 1, 1)]),
    )
    with pytest.raises(WrongGeometryType):
        lines_to_grids(grids, grids)
    with pytest.raises(WrongGeometryType):
        lines_to_grids(lines, lines.assign(id="a"))
    with pytest.raises(MissingCRS):
        lines_to_grids(lines.set_crs(None, allow_override=True), grids)
    with pytest.raises(MixedCRS):
        lines_to_grids(lines.set_crs(4490, allow_override=True), grids)
    with pytest.raises(MissingColumn):
        lines_to_grids(lines, grids, key="code")
    with pytest.raises(MissingIds, match="row 0 has no 'id'"):
        lines_to_grids(lines, grids.assign(id=[None]))
    with pytest.raises(DuplicateIds):
        lines_to_grids(lines, frame([shapely.box(0, 0, 1, 1)] * 2, id=["a", "a"]))
    endless = shapely.from_wkt("LINESTRING (0 0, Infinity 1)")
    with pytest.raises(NotFinite, match="row 0 of the lines"):
        lines_to_grids(frame([endless]), grids)


@here
def test_real_streets_of_real_grids() -> None:
    neighborhoods = gpd.read_file(DATA / "grids" / "BOUNDARY_CDDNeighborhoods.geojson")
    grids = neighborhoods[["N_HOOD", "geometry"]].astype({"N_HOOD": str}).to_crs(26986)
    precincts = gpd.read_file(DATA / "grids" / "ELECTIONS_WardsPrecincts.geojson").to_crs(26986)
    rings = frame(precincts.geometry.boundary, 26986)
    table = lines_to_grids(rings, grids, key="N_HOOD")
    # the neighborhoods overlap by a metre here and there: nothing is lost, and that counts twice
    assert (table.groupby("line")["length_m"].sum() > rings.length * (1 - 1e-9)).all()
    check(rings, grids.rename(columns={"N_HOOD": "id"}))
