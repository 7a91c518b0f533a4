"""Polygons as chains of corners with their boxes, ready for the kernel of areas."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from spatial.cells.compiled import compiled

Geometries = NDArray[np.object_]
Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]

_EDGES: Final = 8  # of a chain at most
_CHAINS: Final = 32  # of a group at most


class Outlines(NamedTuple):
    """The rings of polygons, cut into chains of a few edges, and these put in groups.

    Attributes
    ----------
    corners : ndarray of float64, shape (c, 2)
        x and y of all rings, one after the other.
    chains : ndarray of int64, shape (n, 2)
        Places of the first and the last corner of each chain.
    boxes : ndarray of float64, shape (n, 4)
        ``min x, min y, max x, max y`` of each chain.
    groups : ndarray of int64, shape (g, 2)
        Each has the chains of one ring from the first place up to before the second.
    group_boxes : ndarray of float64, shape (g, 4)
    turns : ndarray of float64, shape (g,)
        1.0 where the group has the polygon on its left, -1.0 where on its right.
    starts : ndarray of int64, shape (p + 1,)
        Polygon k has the groups ``starts[k]`` up to ``starts[k + 1]``.
    areas : ndarray of float64, shape (p,)
        In the square of the coordinates' unit; 0 for missing and empty ones.
    bounds : ndarray of float64, shape (p, 4)
        NaN for missing and empty ones.
    most : int
        How many corners the polygon with the most has.
    """

    corners: Floats
    chains: Int64s
    boxes: Floats
    groups: Int64s
    group_boxes: Floats
    turns: Floats
    starts: Int64s
    areas: Floats
    bounds: Floats
    most: int


def take_outlines(polygons: Geometries) -> Outlines:
    """Take valid polygons and multipolygons apart; a missing or an empty one has no chains.

    Examples
    --------
    >>> outlines = take_outlines(np.array([shapely.box(0, 0, 2, 1), None]))
    >>> outlines.starts.tolist(), outlines.areas.tolist()
    ([0, 1, 1], [2.0, 0.0])
    """
    corners, bounds = shapely.get_coordinates(polygons), shapely.bounds(polygons)
    most = int(shapely.get_num_coordinates(polygons).max(initial=0))
    sizes, owners, holes = take_rings(polygons)
    edges = np.maximum(sizes - 1, 0)
    chain_ends = np.cumsum(-(-edges // _EDGES))
    group_ends = np.cumsum(-(-edges // (_EDGES * _CHAINS)))
    count, large = (int(ends[-1]) if len(ends) else 0 for ends in (chain_ends, group_ends))
    starts = np.concatenate([[0], group_ends])[
        np.searchsorted(owners, np.arange(len(polygons) + 1))
    ]
    outlines = Outlines(
        corners,
        np.empty((count, 2), dtype=np.int64),
        np.empty((count, 4)),
        np.empty((large, 2), dtype=np.int64),
        np.empty((large, 4)),
        np.empty(large),
        starts,
        np.zeros(len(polygons)),
        bounds,
        most,
    )
    _cut(outlines, sizes, owners, holes)
    return outlines


def take_rings(polygons: Geometries) -> tuple[Int64s, Int64s, NDArray[np.bool_]]:
    """Return how many corners each ring has, its first one twice, whose it is, and if a hole.

    Rings are taken out of those polygons only that have several: it is most of the work.
    """
    sizes = shapely.get_num_coordinates(polygons).astype(np.int64)
    owners = np.arange(len(polygons), dtype=np.int64)
    several = shapely.get_num_interior_rings(polygons) > 0
    multi = np.flatnonzero(shapely.get_type_id(polygons) == shapely.GeometryType.MULTIPOLYGON)
    parts = shapely.get_geometry(polygons[multi], 0)
    several[multi] = (shapely.get_num_geometries(polygons[multi]) > 1) | (
        shapely.get_num_interior_rings(parts) > 0
    )
    parts, owner = shapely.get_parts(polygons[several], return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    hole = np.zeros(len(rings), dtype=bool)
    hole[1:] = part[1:] == part[:-1]
    owners = np.concatenate([owners[~several], owners[several][owner[part]]])
    sizes = np.concatenate([sizes[~several], shapely.get_num_coordinates(rings)])
    holes = np.concatenate([np.zeros(int((~several).sum()), dtype=bool), hole])
    order = np.argsort(owners, kind="stable")
    return sizes[order], owners[order], holes[order]


@compiled
def _cut(outlines: Any, sizes: Int64s, owners: Int64s, holes: Any) -> None:
    """Write the chains, the groups and the areas of polygons from the sizes of their rings."""
    corners, chains, boxes = outlines.corners, outlines.chains, outlines.boxes
    groups, group_boxes, turns = outlines.groups, outlines.group_boxes, outlines.turns
    chain, group, first = 0, 0, 0
    for ring in range(len(sizes)):
        last = first + sizes[ring] - 1
        twice = _twice_the_area(corners, first, last)
        outlines.areas[owners[ring]] += -abs(twice) / 2 if holes[ring] else abs(twice) / 2
        for k in range(first, last, _EDGES * _CHAINS):
            groups[group, 0], start = chain, chain
            for c in range(k, min(k + _EDGES * _CHAINS, last), _EDGES):
                chains[chain, 0], chains[chain, 1] = c, min(c + _EDGES, last)
                _bound(corners, c, chains[chain, 1] + 1, 0, boxes[chain])
                chain += 1
            groups[group, 1] = chain
            _bound(boxes, start, chain, 2, group_boxes[group])
            turns[group] = 1.0 if (twice > 0.0) != holes[ring] else -1.0
            group += 1
        first = last + 1


@compiled
def _bound(rows: Any, start: int, end: int, upper: int, box: Any) -> None:
    """Write the box of some rows: of corners, or of boxes, whose upper ends are in column 2."""
    x0, y0, x1, y1 = rows[start, 0], rows[start, 1], rows[start, upper], rows[start, upper + 1]
    for k in range(start + 1, end):
        x0, x1 = min(x0, rows[k, 0]), max(x1, rows[k, upper])
        y0, y1 = min(y0, rows[k, 1]), max(y1, rows[k, upper + 1])
    box[0], box[1], box[2], box[3] = x0, y0, x1, y1


@compiled
def _twice_the_area(corners: Any, first: int, last: int) -> float:
    """Return twice the area of a ring, negative where it turns to the right."""
    # from the first corner: far from the origin whole products would hold nothing but rounding
    found, x0, y0 = 0.0, corners[first, 0], corners[first, 1]
    for k in range(first + 1, last - 1):
        found += (corners[k, 0] - x0) * (corners[k + 1, 1] - y0)
        found -= (corners[k + 1, 0] - x0) * (corners[k, 1] - y0)
    return found
