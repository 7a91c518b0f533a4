"""Overlaps against every pair, intersected one by one; and planted ones."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import shapely
from city.parcels import parcels
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from spatial.checks.overlaps import overlaps, strata

corner = st.tuples(st.integers(0, 12), st.integers(0, 12))
shape = st.one_of(
    st.none(),
    st.builds(lambda a, w, h: shapely.box(*a, a[0] + w, a[1] + h), corner,
              st.integers(1, 6), st.integers(1, 6)),
    st.lists(corner, min_size=3, max_size=6).map(lambda c: shapely.Polygon(c).convex_hull)
    .filter(lambda p: p.geom_type == "Polygon"),
    st.builds(lambda a: shapely.MultiPolygon([shapely.box(*a, a[0] + 2, a[1] + 1),
              shapely.box(a[0] + 4, a[1], a[0] + 5, a[1] + 5)]), corner),
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(shape, st.sampled_from("BSX")), max_size=14), st.integers(1, 20))
def test_overlaps_are_those_of_every_pair(
    rows: list[tuple[shapely.Geometry | None, str]], chunk: int
) -> None:
    geoms, letters = [g for g, _ in rows], [k for _, k in rows]
    expected = {}
    for i, j in combinations(range(len(rows)), 2):
        if geoms[i] is not None and geoms[j] is not None and letters[i] == letters[j]:
            area = geoms[i].intersection(geoms[j]).area
            if area > 1e-9:
                expected[i, j] = area
    found, slivers = overlaps(geoms, "EPSG:4549", groups=letters, chunk=chunk)
    told = [*zip(map(tuple, found.rows.tolist()), found.measured.tolist(), strict=True)]
    told += zip(map(tuple, slivers.rows.tolist()), slivers.measured.tolist(), strict=True)
    assert dict(told) == pytest.approx(expected)
    assert len(told) == len(expected)
    assert found.rows.tolist() == sorted(found.rows.tolist())
    for (i, j), place in zip(found.rows, found.places, strict=True):
        assert shapely.symmetric_difference(place, geoms[i].intersection(geoms[j])).area < 1e-9


def test_planted_overlaps_of_a_city_are_found_and_placed() -> None:
    city = pd.concat(list(parcels(3, 4000)))
    shapes, codes = city.geometry.to_numpy().copy(), city["parcel_code"].to_numpy(dtype=object)
    assert [len(f) for f in overlaps(shapes, "EPSG:4490")] == [0, 0]
    # One parcel is pushed into its neighbour, one is entered twice, and a cellar lies below.
    shapes[100] = shapely.affinity.translate(shapes[100], 1e-5, 0)
    shapes = np.append(shapes, [shapes[2000], shapes[3000]])
    codes = np.append(codes, [codes[2000], codes[3000][:13] + "X" + codes[3000][14:]])
    found, slivers = overlaps(shapes, "EPSG:4490", groups=strata(codes, at=14))
    pairs = {tuple(p) for p in found.rows.tolist()} | {tuple(p) for p in slivers.rows.tolist()}
    near = {(min(100, k), max(100, k)) for k in range(4000)
            if k != 100 and shapes[k].intersection(shapes[100]).area > 0}  # fmt: skip
    assert near
    assert pairs == near | {(2000, 4000)}
    (twice,) = np.flatnonzero(found.rows[:, 1] == 4000)
    area = abs(Geod(ellps="GRS80").geometry_area_perimeter(shapes[2000])[0])
    assert found.measured[twice] == pytest.approx(area, rel=1e-6)
    assert found.places[twice].equals(shapes[2000])


def test_slivers_are_said_apart_and_rounding_not_at_all() -> None:
    square = shapely.box(0, 0, 100, 100)
    for inside, counts in ((0.5, [1, 0]), (0.008, [0, 1]), (1e-7, [0, 0])):
        beside = shapely.box(100 - inside, 0, 200, 100)
        assert [len(f) for f in overlaps([square, beside], 4549)] == counts


def test_an_invalid_polygon_counts_as_it_is_mended() -> None:
    bow_tie = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    with np.errstate(invalid="ignore"):
        nan = shapely.from_wkt("POLYGON ((0 0, 1 0, NaN 1, 0 0))")
    found, _ = overlaps([bow_tie, shapely.box(0, 0, 1, 2), nan], "EPSG:4549")
    assert found.rows.tolist() == [[0, 1]]
    assert found.measured.tolist() == pytest.approx([1.0])


def test_parcels_of_other_letters_share_the_surface() -> None:
    codes = ["420106001001GB00001", "420106001001JC00001", "420106001001GS00001", None, "short"]
    assert strata(codes, at=14).tolist() == ["surface", "surface", "S", None, "surface"]
    square = shapely.box(0, 0, 10, 10)
    found, _ = overlaps([square] * 5, "EPSG:4549", groups=strata(codes, at=14))
    assert found.rows.tolist() == [[0, 1], [0, 4], [1, 4]]
