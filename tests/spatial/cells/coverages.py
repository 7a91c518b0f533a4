"""Polygons and points that are hard to tell apart: on edges, one ulp beside, many at one place."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from hypothesis import strategies as st
from numpy.typing import NDArray

Geometries = NDArray[np.object_]
Floats = NDArray[np.float64]


def lattice(columns: int, rows: int, seed: int, jitter: float = 0.0) -> Geometries:
    """Quadrilaterals that share their corners, moved a little; some halved, some missing."""
    random = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(columns + 1.0), np.arange(rows + 1.0))
    x = x + random.uniform(-jitter, jitter, x.shape)
    y = y + random.uniform(-jitter, jitter, y.shape)
    found = []
    for j in range(rows):
        for i in range(columns):
            corners = [(j, i), (j, i + 1), (j + 1, i + 1), (j + 1, i)]
            ring = [(x[c], y[c]) for c in corners]
            kind = random.random()
            if kind < 0.1:
                continue
            if kind < 0.3:
                found += [shapely.Polygon(ring[:3]), shapely.Polygon([ring[0], *ring[2:]])]
            elif kind < 0.4:
                middle = shapely.Polygon(
                    np.mean(ring, axis=0) + 0.3 * (ring - np.mean(ring, axis=0))
                )
                found += [shapely.Polygon(ring, [middle.exterior.coords]), middle]
            else:
                found.append(shapely.Polygon(ring))
    return np.array(found, dtype=object)


def star(points: int, centre: tuple[float, float] = (0.1, 0.2)) -> Geometries:
    """Triangles that all meet in one point: more than a block holds, and no cut parts them."""
    turns = np.linspace(0, 2 * np.pi, points, endpoint=False)
    around = np.column_stack([np.cos(turns), np.sin(turns)]) + centre
    return np.array(
        [shapely.Polygon([centre, around[k], around[(k + 1) % points]]) for k in range(points)],
        dtype=object,
    )


def skewed(seed: int) -> Geometries:
    """A dense town, and two plots on the other side of the world."""
    town = shapely.transform(lattice(12, 12, seed, 0.3), lambda xy: xy * 1e-3 + 48.0)
    return np.concatenate(
        [town, [shapely.box(-178, -21, -177, -20), shapely.box(165, -23, 168, -20)]]
    )


def beside(values: Floats) -> Floats:
    """Each number, and its neighbours on both sides."""
    return np.concatenate([values, np.nextafter(values, np.inf), np.nextafter(values, -np.inf)])


def hard_points(polygons: Geometries, seed: int = 0, share: float = 1.0) -> tuple[Floats, Floats]:
    """Points on vertices and edges, one ulp beside them, and all over the place."""
    random = np.random.default_rng(seed)
    corners, ring = shapely.get_coordinates(shapely.get_rings(polygons), return_index=True)
    start, end = corners[:-1][ring[:-1] == ring[1:]], corners[1:][ring[:-1] == ring[1:]]
    part = random.random((len(start), 1))
    along = np.concatenate([start, (start + end) / 2, start + part * (end - start), end])
    level = np.column_stack([random.permutation(start[:, 0]), start[:, 1]])  # heights of vertices
    upright = np.column_stack([start[:, 0], random.permutation(start[:, 1])])
    low, high = corners.min(axis=0), corners.max(axis=0)
    away = random.uniform(low - 0.1 * (high - low), high + 0.1 * (high - low), corners.shape)
    known = np.concatenate([along, level, upright])
    x = np.concatenate([beside(known[:, 0]), known[:, 0], known[:, 0], away[:, 0]])
    y = np.concatenate(
        [np.tile(known[:, 1], 3), np.nextafter(known[:, 1], 9e9), np.nextafter(known[:, 1], -9e9),
         away[:, 1]]
    )  # fmt: skip
    odd = np.array([np.nan, np.inf, -np.inf, 1e308])
    keep = random.random(len(x)) < share
    return np.concatenate([x[keep], odd, [x[0]]]), np.concatenate([y[keep], [y[0]] * 4, [np.nan]])


def truth(polygons: Geometries, x: Floats, y: Floats) -> set[tuple[int, int, bool]]:
    """The pairs, and whether inside, by Shapely's tree and predicates."""
    usable = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    points = shapely.points(x[usable], y[usable])
    j, i = shapely.STRtree(points).query(polygons, predicate="intersects")
    inside = shapely.contains_xy(polygons[j], x[usable][i], y[usable][i])
    return set(zip(usable[i].tolist(), j.tolist(), inside.tolist(), strict=True))


# Whole numbers on purpose: edges overlap, cross and touch all the time
corner = st.tuples(st.integers(0, 7), st.integers(0, 7))
ring = st.lists(corner, min_size=3, max_size=7).map(lambda c: shapely.Polygon(c).buffer(0))
block = st.tuples(corner, st.integers(1, 4), st.integers(1, 4)).map(
    lambda c: shapely.box(*c[0], c[0][0] + c[1], c[0][1] + c[2])
)
holed = block.map(lambda b: b.difference(b.buffer(-0.25, join_style="mitre")))
several = st.lists(st.one_of(ring, block, holed), min_size=1, max_size=3).map(
    lambda parts: shapely.union_all(parts)
)
nothing: Any = st.sampled_from([None, shapely.Polygon(), shapely.MultiPolygon()])
polygon = st.one_of(ring, block, holed, several, nothing).filter(
    lambda p: p is None or p.is_empty or p.geom_type in ("Polygon", "MultiPolygon")
)
