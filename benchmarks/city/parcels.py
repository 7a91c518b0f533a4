"""Cadastral parcels: blocks cut into rows of lots that share their edges vertex by vertex."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd

from city.layout import (
    BLOCK_HEIGHT_M,
    BLOCK_WIDTH_M,
    BLOCKS,
    City,
    Integers,
    Numbers,
    areas_m2,
    bent,
    cell_of_blocks,
    division_codes,
    lots_of_rows,
    polygons,
    projected,
    ragged,
    rows_of_blocks,
)
from city.noise import chosen, uniform, whole

STREET_M, MAIN_STREET_M = 6.0, 12.0  # from a street's middle to the parcels
_U = 1 << 12  # places along a line, so that equal places are equal exactly
_WIGGLE_M = 3.0
_BEND_M = 1.2
_EXTRA = 3  # bends of a line where no lot ends

_URBAN = ("0701", "0501", "0503", "0505", "0507", "0601", "0604")
_URBAN_WEIGHTS = (70, 12, 4, 4, 2, 6, 2)
_PUBLIC = ("0801", "0803", "0805", "0807", "0809", "0810")


def parcels(seed: int, n: int, crs: str = "EPSG:4490") -> Iterator[gpd.GeoDataFrame]:
    """Yield the city's n parcels, a district (about 17,000) at a time.

    Parameters
    ----------
    seed : int
        Another city for another seed.
    n : int
        How many parcels. A smaller city is the first part of a larger one.
    crs : str
        Of the geometries; ``area_m2`` is that of the shape in EPSG:4547 in any case.
    """
    city = City(seed, n)
    left = n
    for blocks in city.chunks():
        frame = _frame(seed, blocks, crs).iloc[:left]
        if len(frame):
            yield frame
        left -= len(frame)


@dataclass(frozen=True)
class _Lots:
    """The lots of some blocks: whose they are, and their rings over shared points."""

    block: Integers
    community: Integers
    row: Integers
    rows: Integers
    place: Integers
    places: Integers
    points: Numbers
    rings: Integers
    counts: Integers


def _frame(seed: int, blocks: Integers, crs: str) -> gpd.GeoDataFrame:
    lots = _lots(seed, blocks)
    areas = areas_m2(lots.points, lots.rings, lots.counts)
    shapes = polygons(projected(lots.points, crs), lots.rings, lots.counts)
    return gpd.GeoDataFrame(_attributes(seed, lots, areas), geometry=shapes, crs=crs)


def _lots(seed: int, blocks: Integers) -> _Lots:
    rows = rows_of_blocks(seed, blocks)
    row_owner = np.repeat(np.arange(len(blocks)), rows)
    row = ragged(np.zeros_like(rows), rows)
    lots = lots_of_rows(seed, blocks[row_owner], row)

    cut_row = np.repeat(np.arange(len(row)), lots + 1)
    place = ragged(np.zeros_like(lots), lots + 1)
    u = _cuts(seed, blocks[row_owner], row, lots, cut_row, place)
    line_first = np.cumsum(rows + 1) - (rows + 1)
    below = (line_first[row_owner] + row)[cut_row]
    extra_line = np.repeat(np.arange(int((rows + 1).sum())), _EXTRA)
    line_owner = np.repeat(np.arange(len(blocks)), rows + 1)
    line = ragged(np.zeros_like(rows), rows + 1)
    number = np.tile(np.arange(_EXTRA), len(line))
    of_block = blocks[line_owner][extra_line]
    bends = whole(seed, "bends", 1, _U - 1, of_block, line[extra_line], number)

    keys = np.unique(
        np.concatenate([below, below + 1, extra_line]) * (2 * _U) + np.concatenate([u, u, bends])
    )
    at_bottom = np.searchsorted(keys, below * (2 * _U) + u)
    at_top = np.searchsorted(keys, (below + 1) * (2 * _U) + u)
    x, y = _line_points(seed, blocks, rows, line_owner, line, keys)
    cut = (blocks[row_owner][cut_row], row[cut_row], place)
    bends_of_cut = whole(seed, "side bends", 1, 3, *cut)
    side = _side_points(seed, cut, bends_of_cut, (x, y), at_bottom, at_top)
    side_first = len(x) + np.cumsum(bends_of_cut) - bends_of_cut

    left = np.flatnonzero(place < lots[cut_row])
    rings, counts = _rings(left, at_bottom, at_top, side_first, bends_of_cut)
    points = bent(np.concatenate([x, side[0]]), np.concatenate([y, side[1]]))
    of_row = cut_row[left]
    return _Lots(
        block=blocks[row_owner][of_row],
        community=blocks[row_owner][of_row] // BLOCKS,
        row=row[of_row],
        rows=rows[row_owner][of_row],
        place=place[left],
        places=lots[of_row],
        points=points,
        rings=rings,
        counts=counts,
    )


def _cuts(
    seed: int, block: Integers, row: Integers, lots: Integers, cut_row: Integers, place: Integers
) -> Integers:
    """Where each cut between lots meets the lines above and below, of _U places."""
    n = lots[cut_row]
    shift = 0.5 * (uniform(seed, "cuts", block[cut_row], row[cut_row], place) - 0.5)
    shift[(place == 0) | (place == n)] = 0
    return np.round((place + shift) / n * _U).astype(np.int64)


def _line_points(
    seed: int,
    blocks: Integers,
    rows: Integers,
    line_owner: Integers,
    line: Integers,
    keys: Integers,
) -> tuple[Numbers, Numbers]:
    """Points of the lines between rows, before the city is bent."""
    column, height = cell_of_blocks(blocks)
    west = np.where(column % 6 == 0, MAIN_STREET_M, STREET_M)
    east = np.where(column % 6 == 5, MAIN_STREET_M, STREET_M)
    south = np.where(height % 5 == 0, MAIN_STREET_M, STREET_M)
    north = np.where(height % 5 == 4, MAIN_STREET_M, STREET_M)
    of, u = np.divmod(keys, 2 * _U)
    owner, n = line_owner[of], line[of]
    part = u / _U
    x = (column * BLOCK_WIDTH_M + west)[owner]
    x = x + (BLOCK_WIDTH_M - west - east)[owner] * part
    depth = (BLOCK_HEIGHT_M - south - north) / rows
    outer = (n == 0) | (n == rows[owner])
    shift = np.where(outer, 0.0, 0.2 * (uniform(seed, "lines", blocks[owner], n) - 0.5))
    amplitude = np.where(outer, 0.8, np.minimum(0.1 * depth[owner], _WIGGLE_M))
    phase = 2 * np.pi * uniform(seed, "phase", blocks[owner], n)
    y = (height * BLOCK_HEIGHT_M + south)[owner] + (n + shift) * depth[owner]
    return x, y + amplitude * np.sin(phase + 2 * np.pi * part)


def _side_points(
    seed: int,
    cut: tuple[Integers, Integers, Integers],
    counts: Integers,
    lines: tuple[Numbers, Numbers],
    bottom: Integers,
    top: Integers,
) -> tuple[Numbers, Numbers]:
    """Bends of the cuts, from the south to the north."""
    number = ragged(np.zeros_like(counts), counts)
    of = np.repeat(np.arange(len(counts)), counts)
    part = (number + 1) / (counts[of] + 1)
    shift = 2 * _BEND_M * (uniform(seed, "sides", *(ids[of] for ids in cut), number) - 0.5)
    x, y = lines
    return x[bottom[of]] + shift, y[bottom[of]] * (1 - part) + y[top[of]] * part


def _rings(
    left: Integers, bottom: Integers, top: Integers, side: Integers, bends: Integers
) -> tuple[Integers, Integers]:
    """Closed rings, counter-clockwise from the south-west corner: south, east, north, west."""
    right = left + 1
    starts = np.stack([bottom[left], side[right], top[right], side[left] + bends[left] - 1], 1)
    counts = np.stack(
        [bottom[right] - bottom[left] + 1, bends[right], top[right] - top[left] + 1, bends[left]], 1
    )
    steps = np.tile([1, 1, -1, -1], (len(left), 1))
    one = np.ones((len(left), 1), np.int64)
    starts = np.hstack([starts, bottom[left][:, None]])
    counts = np.hstack([counts, one])
    steps = np.hstack([steps, one])
    return ragged(starts.ravel(), counts.ravel(), steps.ravel()), counts.sum(axis=1)


def _attributes(seed: int, lots: _Lots, areas: Numbers) -> pd.DataFrame:
    serial = _serials(lots.community)
    rural = uniform(seed, "rural", lots.community) < 0.15
    public = (lots.rows == 1) & ~rural
    n = (lots.community, serial)
    use = np.where(rural, "0702", chosen(seed, "use", _URBAN, _URBAN_WEIGHTS, *n))
    use = np.where(public, chosen(seed, "public use", _PUBLIC, np.ones(6), lots.block), use)
    built = uniform(seed, "built", *n) < 0.8
    divisions = division_codes(np.arange(lots.community[0], lots.community[-1] + 1))
    prefix = [divisions[i] for i in (lots.community - lots.community[0]).tolist()]
    letters = np.where(rural, "JC", "GB").tolist()
    codes = [f"{p}{t}{s:05}" for p, t, s in zip(prefix, letters, serial.tolist(), strict=True)]
    units = np.where(built, "F00010001", "W00000000").tolist()
    west, east = (
        _neighbours(codes, lots.place > 0, -1),
        _neighbours(codes, lots.place < lots.places - 1, 1),
    )
    storeys = whole(seed, "storeys", 2, 33, lots.block)
    holder = (uniform(seed, "holder", *n) * 1e8).astype(np.int64).tolist()
    return pd.DataFrame(
        {
            "parcel_code": codes,
            "real_estate_unit_no": [c + u for c, u in zip(codes, units, strict=True)],
            "location": [
                f"合成市{p[6:9]}街道{p[9:12]}社区{b}街坊{s}号"
                for p, b, s in zip(
                    prefix, (lots.block % BLOCKS + 1).tolist(), serial.tolist(), strict=True
                )
            ],
            "area_m2": areas,
            "land_use_code": use,
            "right_type": np.select([rural & built, rural, built], ["6", "5", "4"], default="3"),
            "right_nature": np.select([rural, public], ["203", "101"], default="102"),
            "land_grade": whole(seed, "grade", 1, 10, lots.community),
            "floor_area_ratio": np.round(0.5 + 3 * uniform(seed, "ratio", *n), 2),
            "building_density": np.round(0.2 + 0.3 * uniform(seed, "density", *n), 2),
            "height_limit_m": storeys * 3.0,
            "bound_e": east,
            "bound_s": np.where(lots.row == 0, "道路", "宗地"),
            "bound_w": west,
            "bound_n": np.where(lots.row == lots.rows - 1, "道路", "宗地"),
            "predecessor_codes": pd.Series([None] * len(codes), dtype=object),
            "right_holder": [f"合成权利人{h:08}" for h in holder],
        }
    )


def _serials(community: Integers) -> Integers:
    """Count the lots of each community from 1."""
    firsts = np.flatnonzero(np.diff(community, prepend=-1))
    counts = np.diff(np.append(firsts, len(community)))
    return ragged(np.ones_like(counts), counts)


def _neighbours(codes: list[str], has: Numbers, step: int) -> list[str]:
    """The codes of the lots beside, or the street."""
    flags = has.tolist()
    return [codes[i + step] if flag else "道路" for i, flag in enumerate(flags)]
