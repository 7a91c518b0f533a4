"""The cell index against Shapely, on every place where floating point could go wrong."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from coverages import hard_points, lattice, polygon, skewed, star, truth
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spatial.cells.index import CellIndex
from spatial.cells.looking import BOUNDARY, INSIDE, NOWHERE, SEVERAL
from spatial.errors import NotFinite, UnreadableIndex

FINENESS = [(0.01, 8), (0.5, 3), (3.0, 24), (40.0, 1), (3.0, 10_000)]
CASES = {
    "squares": lattice(9, 7, 1),
    "bent": lattice(15, 15, 2, 0.35),
    "far from 0": shapely.transform(lattice(8, 8, 3, 0.3), lambda xy: xy * 7.3 + [5e5, 3.3e6]),
    "thin": shapely.transform(lattice(10, 10, 4, 0.3), lambda xy: xy * [1e4, 1e-4]),
    "tiny": shapely.transform(lattice(6, 6, 5, 0.3), lambda xy: xy * 1e-9 + 120.0),
    "star": star(150),
    "two layers": np.concatenate([lattice(6, 6, 6, 0.3), lattice(5, 5, 7, 0.3)]),
    "stacked": np.array([shapely.box(0, 0, 2 + k / 7, 3) for k in range(90)], dtype=object),
    "skewed": skewed(8),
}


def found(index: CellIndex, x: np.ndarray, y: np.ndarray) -> set[tuple[int, int, bool]]:
    pairs = index.pairs(x, y)
    return set(zip(*(column.tolist() for column in pairs), strict=True))


def check(index: CellIndex, polygons: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """All pairs are those of Shapely, and what `locate` says is what the pairs say."""
    expected = truth(polygons, x, y)
    assert found(index, x, y) == expected
    located = index.locate(x, y)
    first, count, within = {}, np.zeros(len(x), dtype=int), np.zeros(len(x), dtype=int)
    for point, place, inside in sorted(expected):
        first.setdefault(point, (place, inside))
        count[point] += 1
        within[point] += inside
    for point in range(len(x)):
        place, inside = first.get(point, (-1, False))
        assert located.polygon[point] == place
        assert located.candidates[point] == count[point]
        if place < 0:
            status = NOWHERE
        elif within[point] > 1 or (inside and count[point] > 1):
            status = SEVERAL
        else:
            status = INSIDE if inside else BOUNDARY
        assert located.status[point] == status


@pytest.mark.parametrize("fineness", FINENESS, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_the_pairs_are_those_of_shapely_at_every_cell_size(
    name: str, fineness: tuple[float, int]
) -> None:
    polygons = CASES[name]
    index = CellIndex.build(polygons, cells_per_edge=fineness[0], crowd=fineness[1])
    check(index, polygons, *hard_points(polygons, share=0.2))


def test_the_pairs_are_those_of_sjoin() -> None:
    polygons = CASES["bent"]
    x, y = (column[:-5] for column in hard_points(polygons))
    joined = gpd.GeoSeries(gpd.points_from_xy(x, y)).to_frame("geometry").sjoin(
        gpd.GeoDataFrame(geometry=polygons), predicate="intersects"
    )  # fmt: skip
    pairs = CellIndex.build(polygons).pairs(x, y)
    expected = sorted(zip(joined.index, joined["index_right"], strict=True))
    assert list(zip(pairs.point, pairs.polygon, strict=True)) == expected


@settings(deadline=None)
@given(
    st.lists(polygon, max_size=9),
    st.sampled_from(FINENESS),
    hnp.arrays(float, 8, elements=st.integers(-2, 34).map(lambda n: n / 4)),
)
def test_the_pairs_of_any_polygons_are_those_of_shapely(
    polygons: list[shapely.Geometry | None], fineness: tuple[float, int], at: np.ndarray
) -> None:
    array = np.array(polygons, dtype=object)
    index = CellIndex.build(array, cells_per_edge=fineness[0], crowd=fineness[1])
    x, y = (c.ravel() for c in np.meshgrid(at, at))
    x = np.concatenate([x, np.nextafter(x, 9), np.nextafter(x, -9), x])
    y = np.concatenate([y, y, y, np.nextafter(y, 9)])
    check(index, array, x, y)


def test_the_threads_and_processes_agree(tmp_path: Path) -> None:
    polygons = CASES["two layers"]
    index = CellIndex.build(polygons)
    x, y = (np.tile(column, 200_000 // len(column) + 1) for column in hard_points(polygons))
    alone = index.locate(x, y)
    assert (alone.polygon >= 0).any()
    for threads in (2, 5):
        for one, other in zip(alone, index.locate(x, y, threads=threads), strict=True):
            np.testing.assert_array_equal(one, other)
    index.save(tmp_path / "cells")
    mapped = CellIndex.open(tmp_path / "cells")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for sent in (index, mapped):
            there = pool.submit(sent.locate, x[:5000], y[:5000]).result()
            np.testing.assert_array_equal(there.polygon, alone.polygon[:5000])


def test_an_index_of_a_file_is_pickled_as_its_name(tmp_path: Path) -> None:
    index = CellIndex.build(CASES["bent"])
    index.save(tmp_path / "cells")
    mapped = CellIndex.open(tmp_path / "cells")
    assert len(pickle.dumps(mapped)) < 500 < len(pickle.dumps(index))
    x, y = hard_points(CASES["bent"])
    for copy in (mapped, pickle.loads(pickle.dumps(mapped)), pickle.loads(pickle.dumps(index))):
        assert copy.nbytes == index.nbytes
        np.testing.assert_array_equal(copy.locate(x, y).polygon, index.locate(x, y).polygon)


def test_a_file_that_is_no_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cells"
    with pytest.raises(UnreadableIndex):
        CellIndex.open(path)
    CellIndex.build(CASES["bent"]).save(path)
    whole = path.read_bytes()
    for broken in (b"", b"something else", whole[:100], whole[: len(whole) // 2]):
        path.write_bytes(broken)
        with pytest.raises(UnreadableIndex, match="build it anew"):
            CellIndex.open(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1e200])
def test_coordinates_that_are_none_are_refused_by_name(bad: float) -> None:
    with np.errstate(invalid="ignore"):
        polygons = [shapely.box(0, 0, 1, 1), shapely.Polygon([(0, 0), (1, bad), (1, 1), (0, 0)])]
    with pytest.raises(NotFinite, match="polygon 1 has the coordinates"):
        CellIndex.build(np.array(polygons, dtype=object))


def test_nothing_to_index() -> None:
    for polygons in ([], [None], [shapely.Polygon()], [shapely.MultiPolygon(), None]):
        index = CellIndex.build(np.array(polygons, dtype=object))
        assert index.locate([0.0, np.nan], [0.0, 1.0]).polygon.tolist() == [-1, -1]
        assert len(index.pairs([0.0], [0.0]).point) == 0
        assert len(index.locate([], []).polygon) == 0
