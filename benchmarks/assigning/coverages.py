"""Synthetic coverages: cells of a Voronoi diagram whose shared edges meander.

Every figure made with these is of synthetic data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

Geometries = NDArray[np.object_]
Floats = NDArray[np.float64]


def coverage(count: int, vertices: int, seed: int = 1, side_m: float = 50_000.0) -> Geometries:
    """Return `count` polygons of about so many vertices that fill a square without gaps.

    Neighbours share their edges to the last bit: what bends an edge depends on where it lies alone.
    """
    random = np.random.default_rng(seed)
    seeds = shapely.multipoints(random.random((count, 2)))
    square = shapely.box(0, 0, 1, 1)
    cells = shapely.get_parts(shapely.voronoi_polygons(seeds, extend_to=square))
    cells = shapely.intersection(cells, square)
    length = float(shapely.length(cells).mean()) / vertices
    cells = shapely.segmentize(cells, length)
    return shapely.transform(cells, lambda xy: side_m * _bend(np.round(xy, 9), count))


def _bend(xy: Floats, count: int) -> Floats:
    """Move points by waves shorter than a cell, too weak to make an edge cross another."""
    width = 1 / np.sqrt(count)
    moved = xy.copy()
    for waves in (2.3, 5.1, 11.7):
        strength = 0.11 * width / waves
        turn = 2 * np.pi * waves / width
        moved[:, 0] += strength * np.sin(turn * xy[:, 1] + waves) * 2
        moved[:, 1] += strength * np.sin(turn * xy[:, 0] + 2 * waves) * 2
    return np.round(moved, 10)


def scattered(count: int, seed: int = 2, side_m: float = 50_000.0) -> tuple[Floats, Floats]:
    """Return points all over the square, and a little beyond it."""
    random: Any = np.random.default_rng(seed)
    return tuple(random.uniform(-0.02, 1.02, (2, count)) * side_m)
