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

SIDE_M = 50_000.0
# The skewed coverage: how much wider than its main part all is, and how many polygons lie afar.
SPREAD = 10.0
AFAR = 20
_ISLANDS = ((0.05, 0.1), (0.2, 0.85), (0.9, 0.05), (0.95, 0.95))  # of the extent
_MAIN = (0.55, 0.45)
_WAVES = (1.3, 2.9, 5.3)  # to the width of a cell
_STRENGTH = 0.12


def coverage(count: int, vertices: int, seed: int = 1, side_m: float = SIDE_M) -> Geometries:
    """Return `count` valid polygons of about so many vertices that fill about a square, gapless.

    Neighbours share their edges to the last bit: what bends an edge depends on where it lies alone.
    The waves are made weaker until no polygon crosses itself.
    """
    cells = _cut(_cells(count, seed), vertices)
    for weaker in range(20):
        strength = _STRENGTH * 0.9**weaker
        bent = shapely.transform(cells, lambda xy, s=strength: side_m * _bend(xy, count, s))
        if shapely.is_valid(bent).all() and shapely.coverage_is_valid(bent):
            return bent
    raise SystemExit(f"no waves are weak enough for {count} polygons of {vertices} vertices")


def _cells(count: int, seed: int) -> Geometries:
    """Return the Voronoi cells of random places in the unit square."""
    random = np.random.default_rng(seed)
    seeds = shapely.multipoints(random.random((count, 2)))
    square = shapely.box(0, 0, 1, 1)
    cells = shapely.get_parts(shapely.voronoi_polygons(seeds, extend_to=square))
    # Each of two neighbours has their common edge cut by the square on its own.
    return shapely.transform(shapely.intersection(cells, square), lambda xy: np.round(xy, 12))


def _cut(cells: Geometries, vertices: int) -> Geometries:
    """Cut edges into so many that a polygon has about so many vertices.

    An edge is cut from its lesser end, or the two polygons that share it would differ by an ulp.
    """
    length = float(shapely.length(cells).mean()) / vertices
    _, xy, (rings, _) = shapely.to_ragged_array(cells)
    edges = np.delete(np.arange(len(xy)), rings[1:] - 1)
    one, other = xy[edges], xy[edges + 1]
    turned = (one[:, 0] > other[:, 0]) | ((one[:, 0] == other[:, 0]) & (one[:, 1] > other[:, 1]))
    low = np.where(turned[:, None], other, one)
    high = np.where(turned[:, None], one, other)
    pieces = np.ceil(np.hypot(*(high - low).T) / length).astype(np.int64)  # none, of no length
    edge = np.repeat(np.arange(len(edges)), pieces)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    step = np.where(turned[edge], pieces[edge] - step, step)
    made = low[edge] + (high - low)[edge] * (step / pieces[edge])[:, None]
    made = np.where((step == pieces[edge])[:, None], high[edge], made)
    ring = np.repeat(np.arange(len(cells)), np.diff(rings) - 1)[edge]
    return shapely.polygons(shapely.linearrings(made, indices=ring))


def _bend(xy: Floats, count: int, strength: float) -> Floats:
    """Move points by waves about as long as a cell is wide, first aside, then up.

    Either maps the plane onto itself one to one, so that only edges cut too coarsely can cross.
    """
    width = 1 / np.sqrt(count)
    moved = xy.copy()
    for waves in _WAVES:
        turn = 2 * np.pi * waves / width
        moved[:, 0] += strength * width / waves * np.sin(turn * xy[:, 1] + waves)
    aside = moved[:, 0].copy()
    for waves in _WAVES:
        turn = 2 * np.pi * waves / width
        moved[:, 1] += strength * width / waves * np.sin(turn * aside + 2 * waves)
    return np.round(moved, 10)


def skewed_coverage(count: int, vertices: int, seed: int = 1, side_m: float = SIDE_M) -> Geometries:
    """Return a coverage whose polygons but `AFAR` lie in a hundredth of the extent.

    The others are islands in the corners, as France has its overseas parts. The main part is a
    square of `side_m`, the extent is `SPREAD` times as wide.
    """
    parts = [_move(coverage(count - AFAR, vertices, seed, side_m), _MAIN, side_m)]
    size = AFAR // len(_ISLANDS)
    for place, island in enumerate(_ISLANDS):
        made = coverage(size, vertices, seed + 1 + place, side_m / 10)
        parts.append(_move(made, island, side_m))
    return np.concatenate(parts)


def _move(polygons: Geometries, place: tuple[float, float], side_m: float) -> Geometries:
    corner = np.array(place) * SPREAD * side_m
    return shapely.transform(polygons, lambda xy: xy + corner)


def scattered(count: int, seed: int = 2, side_m: float = SIDE_M) -> tuple[Floats, Floats]:
    """Return points all over the square, and a little beyond it."""
    random: Any = np.random.default_rng(seed)
    return tuple(random.uniform(-0.02, 1.02, (2, count)) * side_m)


def skewed_points(count: int, seed: int = 2, side_m: float = SIDE_M) -> tuple[Floats, Floats]:
    """Return points of which 95 % lie about the main part, 4 % about the islands, 1 % anywhere."""
    random = np.random.default_rng(seed)
    xy = random.uniform(-0.02, 1.02, (count, 2)) * side_m
    kind = random.random(count)
    corners = np.array([_MAIN, *_ISLANDS]) * SPREAD * side_m
    island = np.where(kind < 0.95, 0, random.integers(1, len(corners), count))
    xy = np.where((island > 0)[:, None], xy / 10, xy) + corners[island]
    anywhere = kind >= 0.99
    xy[anywhere] = random.random((int(anywhere.sum()), 2)) * SPREAD * side_m
    return xy[:, 0].copy(), xy[:, 1].copy()
