"""The edges of polygons that no neighbour takes up, and what they enclose.

Each polygon is the chain of its directed edges, itself on their left. In the sum of all chains an
edge that two neighbours share is there once in each direction, and falls out. What is left still
tells of every place how many polygons cover it: it is the sum of the chains that a ray from there
crosses. So gaps are found from the edges left alone, which are few where polygons fit.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from spatial.overlay.outlines import take_rings

Geometries = NDArray[np.object_]
Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]

_RAYS: Final = 512  # at a time
_MIX: Final = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5],
    dtype=np.uint64,
)


class Seams:
    """Edges left over of polygons that are added bit by bit, in any order and by any number.

    Examples
    --------
    >>> seams = Seams()
    >>> seams.add(np.array([shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)]))
    >>> len(seams.edges)  # of 8, of which two are one
    6
    """

    def __init__(self) -> None:
        self.edges: Floats = np.empty((0, 4))
        """x and y of the lesser end, then of the greater one."""
        self.turns: Int64s = np.empty(0, dtype=np.int64)
        """How many more have it in this direction than in the other one."""

    def add(self, polygons: Geometries) -> None:
        """Add the edges of valid polygons; missing and empty ones have none."""
        edges, turns = _directed(polygons)
        edges, turns = np.concatenate([self.edges, edges]), np.concatenate([self.turns, turns])
        self.edges, self.turns = _summed(edges, turns)

    def faces(self, lines: Floats | None = None) -> Geometries:
        """Return the polygons that the edges bound together, and further lines where given."""
        edges = self.edges if lines is None else np.concatenate([self.edges, lines])
        if not len(edges):
            return np.array([], dtype=object)
        strings = shapely.linestrings(edges.reshape(-1, 2, 2))
        noded = shapely.get_parts(shapely.union_all(strings))
        faces: Geometries = shapely.get_parts(shapely.polygonize(noded))
        return faces

    def covers(self, points: Geometries) -> Int64s:
        """Return how many of the polygons cover each point; those on an edge are chance.

        Examples
        --------
        >>> seams = Seams()
        >>> seams.add(np.array([shapely.box(0, 0, 2, 2), shapely.box(1, 1, 3, 3)]))
        >>> seams.covers(shapely.points([(1.5, 1.5), (0.5, 0.5), (2.5, 0.5)])).tolist()
        [2, 1, 0]
        """
        found = np.zeros(len(points), dtype=np.int64)
        if not len(self.edges):
            return found
        tree = shapely.STRtree(shapely.linestrings(self.edges.reshape(-1, 2, 2)))
        west = float(self.edges[:, [0, 2]].min())
        xy = shapely.get_coordinates(points)
        for start in range(0, len(points), _RAYS):
            some = xy[start : start + _RAYS]
            rays = shapely.box(np.minimum(west, some[:, 0]), some[:, 1], some[:, 0], some[:, 1])
            ray, edge = tree.query(rays)
            turns = self._crossed(some[ray], edge)
            found[start : start + _RAYS] = np.bincount(ray, turns, minlength=len(some))
        return found

    def _crossed(self, xy: Floats, edge: Int64s) -> Floats:
        """Return what an edge adds for a ray from a place to the west: 1 where it goes down."""
        x0, y0, x1, y1 = self.edges[edge].T
        x, y = xy.T
        # Half open, so that a ray through a corner crosses one of its two edges.
        rises = (y0 <= y) & (y < y1)
        falls = (y1 <= y) & (y < y0)
        with np.errstate(divide="ignore", invalid="ignore"):
            at = x0 + (y - y0) / (y1 - y0) * (x1 - x0)
        before = (rises | falls) & (at < x)
        crossed: Floats = np.where(before, np.where(falls, 1, -1) * self.turns[edge], 0)
        return crossed


def boundary_edges(polygons: Geometries) -> Floats:
    """Return the edges of polygons, each as x and y of its lesser and its greater end."""
    return _directed(polygons)[0]


def _directed(polygons: Geometries) -> tuple[Floats, Int64s]:
    """Return edges from their lesser to their greater end, and 1 where the polygon is at left."""
    sizes, _, holes = take_rings(polygons)
    some = sizes > 0
    sizes, holes = sizes[some], holes[some]
    if not len(sizes):
        return np.empty((0, 4)), np.empty(0, dtype=np.int64)
    xy = shapely.get_coordinates(polygons) + 0.0  # so that -0.0 is 0.0
    ends = np.cumsum(sizes) - 1
    starts = ends + 1 - sizes
    left = np.where(_twice_the_areas(xy, starts, sizes) > 0, 1, -1) * np.where(holes, -1, 1)
    ring = np.repeat(np.arange(len(sizes)), sizes)
    within = np.ones(len(xy), dtype=bool)
    within[ends] = False
    here = np.flatnonzero(within)
    a, b = xy[here], xy[here + 1]
    moves = (a != b).any(axis=1)
    a, b, ring = a[moves], b[moves], ring[here[moves]]
    turned = (b[:, 0] < a[:, 0]) | ((b[:, 0] == a[:, 0]) & (b[:, 1] < a[:, 1]))
    low, high = np.where(turned[:, None], b, a), np.where(turned[:, None], a, b)
    return np.hstack([low, high]), (left[ring] * np.where(turned, -1, 1)).astype(np.int64)


def _twice_the_areas(xy: Floats, starts: Int64s, sizes: Int64s) -> Floats:
    # From each ring's first corner: far from the origin products hold nothing but rounding.
    near = xy - np.repeat(xy[starts], sizes, axis=0)
    cross = np.append(near[:-1, 0] * near[1:, 1] - near[1:, 0] * near[:-1, 1], 0.0)
    cross[starts + sizes - 1] = 0.0
    twice: Floats = np.add.reduceat(cross, starts)
    return twice


def _summed(edges: Floats, turns: Int64s) -> tuple[Floats, Int64s]:
    """Return each edge once, with the sum of its turns, without those whose sum is nothing."""
    if not len(edges):
        return edges, turns
    hashes = _hashes(edges)
    order = np.argsort(hashes, kind="stable")
    edges, turns, hashes = edges[order], turns[order], hashes[order]
    fresh = np.append(True, (edges[1:] != edges[:-1]).any(axis=1))
    if (fresh[1:] & (hashes[1:] == hashes[:-1])).any():
        # Different edges of one hash may stand mixed: sorted by themselves they don't.
        order = np.lexsort(edges.T)
        edges, turns = edges[order], turns[order]
        fresh = np.append(True, (edges[1:] != edges[:-1]).any(axis=1))
    starts = np.flatnonzero(fresh)
    sums = np.add.reduceat(turns, starts)
    left = sums != 0
    return edges[starts[left]], sums[left]


def _hashes(edges: Floats) -> NDArray[np.uint64]:
    words = np.ascontiguousarray(edges).view(np.uint64)
    mixed = np.zeros(len(words), dtype=np.uint64)
    for k in range(4):
        mixed = (mixed ^ words[:, k]) * _MIX[k]
        mixed ^= mixed >> np.uint64(29)
    return mixed
