"""Where things are: blocks between streets, 30 a community, 36 communities a street office.

Everything is laid out on a lattice of blocks in metres and then bent by one smooth map, so that
what shares a corner on the lattice shares it in the city.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from city.noise import chosen, whole

METRIC = "EPSG:4547"  # CGCS2000, 3-degree zone around 114 E; x is east in all arrays and files
BLOCK_WIDTH_M, BLOCK_HEIGHT_M = 120.0, 95.0
ACROSS, DOWN = 6, 5
BLOCKS = ACROSS * DOWN  # of a community
SIDE = 6  # communities along a side of a district
COMMUNITIES = SIDE * SIDE
DISTRICTS = 99  # of a county
CHUNK_BLOCKS = BLOCKS * COMMUNITIES
COUNTY = 429901  # the first; of a range in which no county has a number
_EAST_M, _NORTH_M = 480_000.0, 3_350_000.0
_TYPICAL_LOTS = 12

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class City:
    """A city with a number of parcels.

    Attributes
    ----------
    seed : int
        Another city for another seed.
    n_parcels : int
        How many parcels it has; everything else is as large as these need it.
    """

    seed: int
    n_parcels: int

    @cached_property
    def n_blocks(self) -> int:
        """Blocks, to whole communities."""
        found, block = 0, 0
        while found < self.n_parcels or block == 0:
            blocks = np.arange(block, block + CHUNK_BLOCKS)
            totals = found + np.cumsum(lots_of_blocks(self.seed, blocks))
            reached = int(np.searchsorted(totals, self.n_parcels))
            block += min(reached + 1, CHUNK_BLOCKS)
            found = int(totals[min(reached, CHUNK_BLOCKS - 1)])
        return -(-block // BLOCKS) * BLOCKS

    @property
    def n_communities(self) -> int:
        """Communities."""
        return self.n_blocks // BLOCKS

    def chunks(self) -> Iterator[Integers]:
        """Yield the blocks, a district at a time."""
        for first in range(0, self.n_blocks, CHUNK_BLOCKS):
            yield np.arange(first, min(first + CHUNK_BLOCKS, self.n_blocks))

    def has_cell(self, column: Integers, row: Integers) -> NDArray[np.bool_]:
        """Return which cells of the lattice are blocks of the city."""
        community = communities_of_cells(column, row)
        return (community >= 0) & (community < self.n_communities)


def rows_of_blocks(seed: int, blocks: Integers) -> Integers:
    """Return how many rows of lots each block has."""
    return chosen(seed, "rows", (1, 2, 3), (12, 58, 30), blocks)


def lots_of_rows(seed: int, blocks: Integers, rows: Integers) -> Integers:
    """Return how many lots a row has; a block of one row is a school, a park, a works."""
    single = rows_of_blocks(seed, blocks) == 1
    many = whole(seed, "lots", 4, 10, blocks, rows)
    return np.where(single, whole(seed, "few lots", 1, 3, blocks), many)


def lots_of_blocks(seed: int, blocks: Integers) -> Integers:
    """Return how many lots each block has."""
    rows = rows_of_blocks(seed, blocks)
    return sum(  # type: ignore[return-value]
        np.where(r < rows, lots_of_rows(seed, blocks, np.full_like(blocks, r)), 0) for r in range(3)
    )


def cell_of_blocks(blocks: Integers) -> tuple[Integers, Integers]:
    """Return each block's column and row on the lattice, from the south-west."""
    community, block = np.divmod(blocks, BLOCKS)
    cx, cy = cell_of_communities(community)
    # Numbered west to east and north to south within the community.
    return cx * ACROSS + block % ACROSS, cy * DOWN + (DOWN - 1 - block // ACROSS)


def cell_of_communities(communities: Integers) -> tuple[Integers, Integers]:
    """Return each community's column and row on the lattice of communities."""
    district, community = np.divmod(communities, COMMUNITIES)
    dx, dy = _shell(district)
    cx, cy = _shell(community)
    return dx * SIDE + cx, dy * SIDE + cy


def communities_of_cells(column: Integers, row: Integers) -> Integers:
    """Return the community that each cell of the lattice is in; negative outside the lattice."""
    x, y = column // ACROSS, row // DOWN
    found = _number(x // SIDE, y // SIDE) * COMMUNITIES + _number(x % SIDE, y % SIDE)
    return np.where((column < 0) | (row < 0), -1, found)


def blocks_of_cells(column: Integers, row: Integers) -> Integers:
    """Return the block at each cell of the lattice: the reverse of `cell_of_blocks`."""
    within = (DOWN - 1 - row % DOWN) * ACROSS + column % ACROSS
    return communities_of_cells(column, row) * BLOCKS + within


def _number(x: Integers, y: Integers) -> Integers:
    """The number at a place that `_shell` gives."""
    return np.where(x >= y, x * x + y, y * y + 2 * y - x)


def _shell(number: Integers) -> tuple[Integers, Integers]:
    """Columns and rows of 0, 1, 2 ... laid around a corner, so that any first n are compact."""
    shell = np.floor(np.sqrt(number)).astype(np.int64)
    rest = number - shell * shell
    return np.where(rest <= shell, shell, 2 * shell - rest), np.where(rest <= shell, rest, shell)


def division_codes(communities: Integers) -> list[str]:
    """Return each community's 12 digits: county, street office, community."""
    district, community = np.divmod(communities, COMMUNITIES)
    county, office = np.divmod(district, DISTRICTS)
    return [
        f"{COUNTY + k}{o + 1:03}{c + 1:03}"
        for k, o, c in zip(county.tolist(), office.tolist(), community.tolist(), strict=True)
    ]


def bent(x: Numbers, y: Numbers) -> Numbers:
    """Return lattice metres as eastings and northings, to the millimetre, shape (n, 2).

    The map's slope is under 0.2, so that nothing folds.
    """
    east = x + 150 * np.sin(y / 1500 + 0.3) + 12 * np.sin(x / 700 + y / 500)
    north = y + 150 * np.sin(x / 1700 + 1.1) + 12 * np.sin(x / 600 - y / 800)
    return np.round(np.column_stack([east + _EAST_M, north + _NORTH_M]), 3)


def projected(points: Numbers, crs: str) -> Numbers:
    """Return eastings and northings (and heights, kept) in another system, x east, y north."""
    if CRS(crs) == CRS(METRIC):
        return points
    transformer = Transformer.from_crs(METRIC, crs, always_xy=True)
    x, y = transformer.transform(points[:, 0], points[:, 1])
    return np.column_stack([x, y, *points[:, 2:].T])


def ragged(starts: Integers, counts: Integers, steps: Integers | int = 1) -> Integers:
    """Return start, start + step ... for each run, one after the other.

    >>> ragged(np.array([5, 2]), np.array([2, 3]), np.array([1, -1])).tolist()
    [5, 6, 2, 1, 0]
    """
    steps = np.broadcast_to(steps, counts.shape)
    firsts = np.cumsum(counts) - counts
    within = np.arange(counts.sum()) - np.repeat(firsts, counts)
    return np.repeat(starts, counts) + within * np.repeat(steps, counts)


def polygons(points: Numbers, rings: Integers, counts: Integers) -> NDArray[np.object_]:
    """Return polygons of the points that closed rings name, `counts` of them each."""
    owners = np.repeat(np.arange(len(counts)), counts)
    return shapely.polygons(shapely.linearrings(points[rings], indices=owners))


def areas_m2(points: Numbers, rings: Integers, counts: Integers) -> Numbers:
    """Return the areas of such rings, to 0.01 m2."""
    firsts = np.cumsum(counts) - counts
    x, y = (points[rings] - np.repeat(points[rings[firsts]], counts, axis=0)).T
    # Each ring begins in its own origin, so that the jump to the next ring adds nothing.
    turns = x[:-1] * y[1:] - x[1:] * y[:-1]
    return np.round(np.add.reduceat(np.append(turns, 0.0), firsts) / 2, 2)
