"""Small things counted in the cells of a tile: a point amid each cell that has some."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spatial.drawing.shapes import Drawn
from spatial.drawing.sphere import RADIUS_M

Floats = NDArray[np.float64]


def counted(
    middles: Floats,
    geographic: bool,
    corner: tuple[float, float],
    side: float,
    cells: int,
    units: int,
) -> tuple[Drawn, Sequence[int]]:
    """Return points amid the cells that hold some of the middles, and how many each holds.

    Parameters
    ----------
    middles : array of (longitude, latitude)
    geographic : bool
        Whether the tile is in degrees; in metres of spherical Mercator else.
    corner : tuple of float
        West and north of the tile, in its reference system.
    side : float
        Of a cell, in that.
    cells : int
        On a side of the tile.
    units : int
        Of the tile, on a side of a cell.

    Examples
    --------
    >>> middles = np.array([[1.5, 8.5], [1.4, 8.6], [99.0, 0.0]])
    >>> at, counts = counted(middles, True, (0.0, 10.0), 1.0, 10, 4)
    >>> at.xy.tolist(), counts
    ([[6.0, 6.0]], [2])
    """
    x, y = middles[:, 0], middles[:, 1]
    if not geographic:
        # A pole is far away, not nowhere.
        bounded = np.radians(np.clip(y, -89.999999, 89.999999))
        x, y = x * (RADIUS_M * math.pi / 180.0), RADIUS_M * np.arcsinh(np.tan(bounded))
    column = np.floor((x - corner[0]) / side)
    row = np.floor((corner[1] - y) / side)
    inside = (column >= 0) & (column < cells) & (row >= 0) & (row < cells)
    places = (row[inside] * cells + column[inside]).astype(np.int64)
    held, counts = np.unique(places, return_counts=True)
    xy = (np.column_stack([held % cells, held // cells]) + 0.5).astype(np.float64) * units
    starts = np.arange(len(held) + 1, dtype=np.int64)
    none = np.zeros(len(held), dtype=bool)
    return Drawn(xy, starts, none, starts[:-1], starts[1:], none), counts.tolist()
