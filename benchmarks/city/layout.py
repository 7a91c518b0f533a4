"""Where things lie: sub-districts of lots between streets, and wiggly lines that neighbours share.

Metres of EPSG:4547 (CGCS2000, 3 degrees, central meridian 114), x east and y north.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

CRS = "EPSG:4547"
ORIGIN = (532_000.0, 3_381_000.0)
COUNTY = "420106"
LOTS_X, LOTS_Y = 25, 20
LOTS = LOTS_X * LOTS_Y
LOT_X_M, LOT_Y_M = 16.0, 20.0
STREET_M = 20.0
PITCH_X_M = LOTS_X * LOT_X_M + STREET_M
PITCH_Y_M = LOTS_Y * LOT_Y_M + STREET_M
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class City:
    """A city of so many parcels: sub-districts in a square, the last one in part."""

    seed: int
    parcels: int

    @property
    def subdistricts(self) -> int:
        """How many sub-districts it takes."""
        return max(1, math.ceil(self.parcels / LOTS))

    @property
    def columns(self) -> int:
        """Sub-districts from west to east."""
        return math.ceil(math.sqrt(self.subdistricts))

    @property
    def rows(self) -> int:
        """Sub-districts from south to north."""
        return math.ceil(self.subdistricts / self.columns)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north, with the streets around it."""
        west, south = ORIGIN
        east = west + self.columns * PITCH_X_M + STREET_M
        return west, south, east, south + self.rows * PITCH_Y_M + STREET_M

    def corner(self, subdistrict: int) -> tuple[float, float]:
        """The south-western corner of a sub-district's lots."""
        row, column = divmod(subdistrict, self.columns)
        west, south = ORIGIN
        return west + STREET_M + column * PITCH_X_M, south + STREET_M + row * PITCH_Y_M

    def dice(self, *what: int) -> np.random.Generator:
        """Chance for one purpose, the same at every run."""
        return np.random.default_rng([self.seed, *what])


@dataclass(frozen=True)
class Mesh:
    """A lattice of cells whose corners and edges are bent, the same for both neighbours.

    Attributes
    ----------
    corners : array, shape (rows + 1, columns + 1, 2)
    across : array, shape (rows + 1, columns, between, 2)
        Points of the edges from west to east, without their ends.
    along : array, shape (rows, columns + 1, between, 2)
        Points of the edges from south to north, without their ends.
    """

    corners: Floats
    across: Floats
    along: Floats

    def cells(self) -> NDArray[np.object_]:
        """The cells as polygons, row by row from the south-west."""
        south, north = self.across[:-1], self.across[1:, :, ::-1]
        east, west = self.along[:, 1:], self.along[:, :-1, ::-1]
        c = self.corners[:, :, None]
        rings = [c[:-1, :-1], south, c[:-1, 1:], east, c[1:, 1:], north, c[1:, :-1], west]
        closed = np.concatenate([*rings, c[:-1, :-1]], axis=2)
        flat = closed.reshape(-1, *closed.shape[2:])
        return shapely.polygons(flat)

    def block(self, row: int, column: int, height: int, width: int) -> shapely.Polygon:
        """Several cells as one polygon, along the same lines to the last digit."""
        last_row, last_column = row + height, column + width
        south = self._line(self.across[row, column:last_column], self.corners[row, column:])
        east = self._line(self.along[row:last_row, last_column], self.corners[row:, last_column])
        north = self._line(
            self.across[last_row, column:last_column], self.corners[last_row, column:]
        )
        west = self._line(self.along[row:last_row, column], self.corners[row:, column])
        ring = [south, east, north[::-1], west[::-1]]
        return shapely.Polygon(np.concatenate([part[:-1] for part in ring]))

    def _line(self, edges: Floats, corners: Floats) -> Floats:
        parts = [p for k in range(len(edges)) for p in (corners[k][None], edges[k])]
        return np.concatenate([*parts, corners[len(edges)][None]])


def bent_mesh(
    dice: np.random.Generator,
    origin: tuple[float, float],
    cell: tuple[float, float],
    size: tuple[int, int],
    between: int,
    bend: float,
) -> Mesh:
    """Make a mesh of `size` (rows, columns) cells of `cell` metres, straight at its rim.

    Parameters
    ----------
    between : int
        Points of an edge between its ends.
    bend : float
        How far an edge strays from straight, as a share of the cell.
    """
    rows, columns = size
    y, x = np.mgrid[0 : rows + 1, 0 : columns + 1].astype(float)
    corners = np.stack([x, y], axis=-1)
    inner = dice.uniform(-0.18, 0.18, (max(rows - 1, 0), max(columns - 1, 0), 2))
    corners[1:-1, 1:-1] += inner
    steps = np.linspace(0, 1, between + 2)[1:-1, None]

    def edges(ends: Floats, others: Floats) -> Floats:
        straight = ends[:, :, None] * (1 - steps) + others[:, :, None] * steps
        return straight + dice.uniform(-bend, bend, straight.shape)

    across = edges(corners[:, :-1], corners[:, 1:])
    along = edges(corners[:-1], corners[1:])
    across[0, ..., 1], across[-1, ..., 1] = 0, rows
    along[:, 0, :, 0], along[:, -1, :, 0] = 0, columns
    scale, shift = np.array(cell), np.array(origin)
    # Millimetres, as surveys have them; both neighbours round the same points.
    return Mesh(*(np.round(part * scale + shift, 3) for part in (corners, across, along)))
