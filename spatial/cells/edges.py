"""Polygons as the edges of their rings, taken from the coordinate arrays."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from spatial.errors import NotFinite

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
    kind, ends, rings = _rings(polygons)
    if not np.abs(kind).max(initial=0.0) <= FARTHEST:
        bad = int(np.flatnonzero(~(np.abs(kind) <= FARTHEST).all(axis=1))[0])
        ring = int(np.searchsorted(ends, bad, side="right")) - 1
        raise NotFinite(
            f"polygon {int(rings[ring])} has the coordinates {tuple(kind[bad].tolist())}; "
            "repair it with spatial.shapes.repair, or leave it out"
        )
    return _edges(kind, ends, rings)


def _rings(polygons: NDArray[np.object_]) -> tuple[NDArray[np.float64], Any, Any]:
    """Return coordinates, where each ring starts in them (and the end), and each ring's polygon."""
    whole, owner = shapely.get_rings(polygons, return_index=True)
    counts = shapely.get_num_coordinates(whole)
    starts = np.concatenate([[0], np.cumsum(counts)])
    return shapely.get_coordinates(whole), starts, owner


def _edges(xy: NDArray[np.float64], starts: Any, rings: Any) -> Edges:
    kept = np.ones(max(len(xy) - 1, 0), dtype=bool)
    kept[starts[1:-1] - 1] = False  # from the end of a ring to the start of the next
    first, second = xy[:-1][kept], xy[1:][kept]
    polygon = np.repeat(rings, np.diff(starts) - 1).astype(np.int32)
    down = (first[:, 1] > second[:, 1]) | (
        (first[:, 1] == second[:, 1]) & (first[:, 0] > second[:, 0])
    )
    ordered = np.empty((len(first), 4))
    ordered[:, :2] = np.where(down[:, None], second, first)
    ordered[:, 2:] = np.where(down[:, None], first, second)
    long = (first != second).any(axis=1)
    if not long.all():
        ordered, polygon = ordered[long], polygon[long]
    return Edges(ordered, polygon)
