"""A million points: every pair that Shapely finds, and no other, on three coverages."""

from __future__ import annotations

import os

import numpy as np
import pytest
import shapely
from coverages import hard_points, lattice, skewed

from spatial.cells.index import CellIndex

# `make test-long` asks all of it; a usual run a fiftieth.
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
RANDOM, HARD = (1_000_000, 300_000) if LONG else (20_000, 6_000)

COVERAGES = {
    "city": shapely.transform(lattice(45, 45, 21, 0.35), lambda xy: xy * 97.3 + [5e5, 3.3e6]),
    "three layers": np.concatenate(
        [lattice(20, 20, seed, 0.3) for seed in (22, 23)] + [lattice(5, 5, 24, 0.3)]
    ),
    "skewed": skewed(25),
}


@pytest.mark.parametrize("name", COVERAGES)
def test_every_pair_is_found_and_no_other(name: str) -> None:
    polygons = COVERAGES[name]
    random = np.random.default_rng(26)
    x0, y0, x1, y1 = shapely.total_bounds(polygons)
    away = random.uniform([x0 - 0.1, y0 - 0.1], [x1 + 0.1, y1 + 0.1], (RANDOM, 2))
    hard = np.column_stack(hard_points(polygons))
    hard = hard[np.isfinite(hard).all(axis=1)]
    hard = np.concatenate([hard] * (HARD // len(hard) + 1))[: max(HARD, len(hard))]
    x, y = np.concatenate([away, random.permutation(hard)[:HARD]]).T
    j, i = shapely.STRtree(shapely.points(x, y)).query(polygons, predicate="intersects")
    order = np.lexsort((j, i))
    pairs = CellIndex.build(polygons).pairs(x, y)
    np.testing.assert_array_equal(pairs.point, i[order])
    np.testing.assert_array_equal(pairs.polygon, j[order])
    inside = shapely.contains_xy(polygons[pairs.polygon], x[pairs.point], y[pairs.point])
    np.testing.assert_array_equal(pairs.interior, inside)
    assert not inside.all()
