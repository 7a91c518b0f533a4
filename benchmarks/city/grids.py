"""Management grids: four systems over one another that share their edges vertex by vertex.

A unit grid is a block to the middle of its streets. Duty grids are made of unit grids, community
grids of duty grids, evaluation grids of community grids, so that areas and counts carry over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from city.layout import (
    ACROSS,
    BLOCK_HEIGHT_M,
    BLOCK_WIDTH_M,
    BLOCKS,
    DOWN,
    City,
    Integers,
    Numbers,
    areas_m2,
    bent,
    cell_of_blocks,
    division_codes,
    lots_of_blocks,
    polygons,
    projected,
    ragged,
)
from city.noise import chosen, hashed, uniform, whole

TYPES = ("unit", "duty", "community", "evaluation")
SERIALS = {"unit": 1, "duty": 801, "community": 901, "evaluation": 999}
BENDS = 99  # of an edge between two crossings, ends not counted
_NAMES = {"unit": "单元", "duty": "责任", "community": "社区", "evaluation": "评价"}
_WIGGLE_M = 1.6  # of each harmonic; together they stay within the street
_HARMONICS = 6


def grids(
    seed: int, n: int, crs: str = "EPSG:4490", types: tuple[str, ...] = TYPES
) -> Iterator[gpd.GeoDataFrame]:
    """Yield the grids of the city of n parcels, system by system, a district at a time.

    Parameters
    ----------
    seed, n : int
        As for `city.parcels.parcels`.
    types : tuple of str
        Which systems.
    """
    city = City(seed, n)
    for grid_type in types:
        for blocks in city.chunks():
            yield _frame(seed, blocks, grid_type, crs)


def serials_of_blocks(seed: int, blocks: Integers) -> dict[str, Integers]:
    """Return, for each grid type, the last three digits of the grid that each block is in."""
    community, block = np.divmod(blocks, BLOCKS)
    row, column = np.divmod(block, ACROSS)
    # Bands from west to east whose borders differ row by row; each keeps a column of its own.
    band = (column >= whole(seed, "first border", 1, 2, community, row)).astype(np.int64)
    band += column >= whole(seed, "second border", 4, 5, community, row)
    south = row >= whole(seed, "cut", 2, DOWN - 2, community, band)
    east = (band == 2) | ((band == 1) & south)
    return {
        "unit": SERIALS["unit"] + block,
        "duty": SERIALS["duty"] + 2 * band + south,
        "community": SERIALS["community"] + east,
        "evaluation": np.full_like(block, SERIALS["evaluation"]),
    }


def edge_points(seed: int, column: Integers, row: Integers, upright: Any) -> Numbers:
    """Return the bends of the edges that begin at crossings, shape (n, BENDS, 2), in order.

    Parameters
    ----------
    column, row : ndarray of int
        Of the crossing in the south or west.
    upright : bool or ndarray of bool
        Whether the edge runs north rather than east.
    """
    upright = np.broadcast_to(upright, column.shape)
    edge = (column + 1, row + 1, upright)
    part = np.arange(1, BENDS + 1) / (BENDS + 1)
    number = np.arange(BENDS)
    shift = 0.3 * (2 * uniform(seed, "edge", *(i[:, None] for i in edge), number) - 1)
    shift *= np.sin(np.pi * part)
    for harmonic in range(1, _HARMONICS + 1):
        amplitude = 2 * uniform(seed, "harmonic", *edge, harmonic) - 1
        shift += _WIGGLE_M / harmonic * amplitude[:, None] * np.sin(harmonic * np.pi * part)
    along = upright[:, None]
    x = column[:, None] * BLOCK_WIDTH_M + np.where(along, shift, part * BLOCK_WIDTH_M)
    y = row[:, None] * BLOCK_HEIGHT_M + np.where(along, part * BLOCK_HEIGHT_M, shift)
    return bent(x.ravel(), y.ravel()).reshape(*x.shape, 2)


def _frame(seed: int, blocks: Integers, grid_type: str, crs: str) -> gpd.GeoDataFrame:
    community = blocks // BLOCKS
    serials = serials_of_blocks(seed, blocks)
    divisions = np.array(division_codes(np.arange(community[0], community[-1] + 1)), dtype=object)
    units, areas = _units(seed, blocks, crs)
    lots = lots_of_blocks(seed, blocks)
    households = (lots * (1 + 1.2 * uniform(seed, "households", blocks))).astype(np.int64)
    people = (households * (2 + uniform(seed, "people", blocks))).astype(np.int64)
    # Hundredths of square metres, which add up exactly.
    counts = np.column_stack([np.round(areas * 100).astype(np.int64), households, people])

    group = community * 1000 + serials[grid_type]
    keys, first, member = np.unique(group, return_index=True, return_inverse=True)
    totals = np.zeros((len(keys), 3), np.int64)
    np.add.at(totals, member, counts)
    parent = {
        "unit": serials["duty"],
        "duty": serials["community"],
        "community": serials["evaluation"],
    }.get(grid_type)
    division = divisions[keys // 1000 - community[0]]
    codes = _joined(division, keys % 1000)
    above = division if parent is None else _joined(division, parent[first])
    shapes = units if grid_type == "unit" else _united(units, member, len(keys))
    return gpd.GeoDataFrame(
        _attributes(seed, grid_type, codes, above, totals), geometry=shapes, crs=crs
    )


def _attributes(
    seed: int, grid_type: str, codes: list[str], above: Any, totals: Integers
) -> pd.DataFrame:
    numbers = np.array([int(c) for c in codes])
    categories = ("urban", "rural", "water", "green")
    return pd.DataFrame(
        {
            "grid_code": codes,
            "grid_type": grid_type,
            "name": [f"合成{_NAMES[grid_type]}网格{c[6:]}" for c in codes],
            "parent_code": list(above),
            "area_m2": totals[:, 0] / 100,
            "land_category": chosen(seed, "category", categories, (80, 12, 3, 5), numbers),
            "management_level": chosen(seed, "level", ("1", "2", "3"), (2, 5, 3), numbers),
            "responsible_org": [f"合成市{c[6:9]}街道办事处" for c in codes],
            "population": totals[:, 2],
            "households": totals[:, 1],
            "counted_on": pd.Series(["2020-11-01"] * len(codes)),
            "staff_ref": [f"合成网格员{h % 100_000:05}" for h in hashed(seed, "staff", numbers)],
        }
    )


def _units(seed: int, blocks: Integers, crs: str) -> tuple[NDArray[np.object_], Numbers]:
    """The blocks to the middle of their streets, and their areas."""
    column, row = cell_of_blocks(blocks)
    south, west = (column, row, np.zeros_like(column)), (column, row, np.ones_like(column))
    north, east = (column, row + 1, south[2]), (column + 1, row, west[2])
    every = np.concatenate([np.stack(edge, 1) for edge in (south, east, north, west)])
    edges, place = np.unique(every, axis=0, return_inverse=True)
    s, e, n, w = place.reshape(4, -1)
    every = np.concatenate(
        [np.stack([column + i, row + j], 1) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))]
    )
    corners, place = np.unique(every, axis=0, return_inverse=True)
    sw, se, ne, nw = place.reshape(4, -1)
    bends = edge_points(seed, edges[:, 0], edges[:, 1], edges[:, 2] == 1).reshape(-1, 2)
    points = np.concatenate(
        [bent(corners[:, 0] * BLOCK_WIDTH_M, corners[:, 1] * BLOCK_HEIGHT_M), bends]
    )
    first, last = len(corners), len(corners) + BENDS - 1
    starts = np.stack(
        [
            sw,
            first + s * BENDS,
            se,
            first + e * BENDS,
            ne,
            last + n * BENDS,
            nw,
            last + w * BENDS,
            sw,
        ],
        axis=1,
    )
    counts = np.tile([1, BENDS] * 4 + [1], (len(blocks), 1))
    steps = np.tile([1, 1, 1, 1, 1, -1, 1, -1, 1], (len(blocks), 1))
    rings = ragged(starts.ravel(), counts.ravel(), steps.ravel())
    sizes = counts.sum(axis=1)
    return polygons(projected(points, crs), rings, sizes), areas_m2(points, rings, sizes)


def _united(units: NDArray[np.object_], member: Integers, groups: int) -> NDArray[np.object_]:
    """The units of each group as one polygon, no point of its outline lost."""
    order = np.argsort(member, kind="stable")
    bounds = np.searchsorted(member[order], np.arange(groups + 1))
    united = [
        shapely.coverage_union_all(units[order[a:b]])
        for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ]
    return shapely.get_geometry(np.array(united, dtype=object), 0)


def _joined(division: Any, serial: Integers) -> list[str]:
    return [f"{d}{s:03}" for d, s in zip(division.tolist(), serial.tolist(), strict=True)]
