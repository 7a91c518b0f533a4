"""Polygons as the edges of their rings, taken from the coordinate arrays."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from spatial.cells.compiled import compiled
from spatial.errors import NotFinite

Int64s = NDArray[np.int64]

FARTHEST: Final = 1e100  # beyond it products of coordinates overflow


class Edges(NamedTuple):
    """Edges of rings, those of a polygon together, each from its lower end to its upper one.

    Attributes
    ----------
    xy : ndarray of float64, shape (n, 4)
        ``x1, y1, x2, y2`` with ``y1 < y2``, or ``y1 == y2`` and ``x1 < x2``.
    polygon : ndarray of int32, shape (n,)
        Place of the polygon among all, ascending.
    """

    xy: NDArray[np.float64]
    polygon: NDArray[np.int32]


def edges_of(polygons: NDArray[np.object_]) -> Edges:
    """Take polygons apart; missing and empty ones have no edges, nor have edges without length.

    Raises
    ------
    NotFinite
        If a coordinate is not finite, or beyond 1e100; it names the first position.

    Examples
    --------
    >>> len(edges_of(np.array([shapely.box(0, 0, 1, 1), None])).xy)
    4
    """
    corners = shapely.get_coordinates(polygons)
    counts, owners = _rings(polygons)
    ends = np.cumsum(counts)
    if not np.abs(corners).max(initial=0.0) <= FARTHEST:
        bad = int(np.flatnonzero(~(np.abs(corners) <= FARTHEST).all(axis=1))[0])
        raise NotFinite(
            f"polygon {int(owners[np.searchsorted(ends, bad, side='right')])} has the coordinates "
            f"{tuple(corners[bad].tolist())}; repair it with spatial.shapes.repair, or leave it out"
        )
    xy = np.empty((len(corners), 4))
    polygon = np.empty(len(corners), dtype=np.int32)
    count = _cut(corners, ends, owners, xy, polygon)
    return Edges(xy[:count], polygon[:count])


def _rings(polygons: NDArray[np.object_]) -> tuple[Int64s, Int64s]:
    """Return how many corners each ring has, its first one twice, and whose ring it is.

    Rings are taken out of those polygons only that have several: it is half of the work.
    """
    counts = shapely.get_num_coordinates(polygons).astype(np.int64)
    owners = np.arange(len(polygons), dtype=np.int64)
    single = (shapely.get_type_id(polygons) != shapely.GeometryType.MULTIPOLYGON) & (
        shapely.get_num_interior_rings(polygons) == 0
    )
    several = np.flatnonzero(~single)
    parts, whose = shapely.get_parts(polygons[several], return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    owners = np.concatenate([owners[single], several[whose[part]]])
    counts = np.concatenate([counts[single], shapely.get_num_coordinates(rings)])
    order = np.argsort(owners, kind="stable")
    return counts[order], owners[order]


@compiled
def _cut(corners: Any, ends: Int64s, owners: Int64s, xy: Any, polygon: Any) -> int:
    """Write each edge from its lower to its upper end, and whose it is; return how many."""
    count, start = 0, 0
    for ring in range(len(ends)):
        for k in range(start, ends[ring] - 1):
            x1, y1, x2, y2 = corners[k, 0], corners[k, 1], corners[k + 1, 0], corners[k + 1, 1]
            if y1 == y2 and x1 == x2:
                continue
            if y1 > y2 or (y1 == y2 and x1 > x2):
                x1, y1, x2, y2 = x2, y2, x1, y1
            xy[count, 0], xy[count, 1], xy[count, 2], xy[count, 3] = x1, y1, x2, y2
            polygon[count] = owners[ring]
            count += 1
        start = ends[ring]
    return count
