"""Points looked up in the cells: which polygons each meets, and the first of them."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial.cells.blocks import A_ROW, COVER, EDGES, MORE, NONE, ONE, PAGED, RIGHT, try_block
from spatial.cells.compiled import compiled
from spatial.cells.pages import column, row

Floats = NDArray[np.float64]
Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]
Bytes = NDArray[np.uint8]

NOWHERE: Final = 0
INSIDE: Final = 1
BOUNDARY: Final = 2
SEVERAL: Final = 3
_AHEAD: Final = 512


class Cells(NamedTuple):
    """A finished index as its arrays, none of which is written again.

    Attributes
    ----------
    pages : structured ndarray
        As in `spatial.cells.pages`; the first covers all.
    values : ndarray of int32
        Of each cell: a set that holds it whole; or ``-1 - row`` of its block; or
        ``-1 - PAGED - page``.
    floats, bits, ints : ndarray of float64, uint64 and int32
        Three readings of the blocks' rows, as in `spatial.cells.blocks`.
    parent, last, sizes, leasts : ndarray of int32
        Of each set of several polygons: as in `spatial.cells.sets`; how many; the least.
    polygons : int
        How many there are.
    """

    pages: Any
    values: Int32s
    floats: Floats
    bits: NDArray[np.uint64]
    ints: Int32s
    parent: Int32s
    last: Int32s
    sizes: Int32s
    leasts: Int32s
    polygons: int


@compiled
def value_at(pages: Any, values: Int32s, x: float, y: float) -> int:
    """Return the value of a point's cell: a set, or -1 - row; 0 where it is outside, or NaN."""
    page = pages[0]
    if not (page.x0 <= x and x <= page.x1 and page.y0 <= y and y <= page.y1):
        return 0
    value = int(values[row(page, y) * page.columns + column(page, x)])
    return value if value >= -PAGED else paged_value(pages, values, value, x, y)


@compiled
def paged_value(pages: Any, values: Int32s, value: int, x: float, y: float) -> int:
    """Return the value of a point's cell in the page that another value names."""
    page = pages[-1 - PAGED - value]
    return int(values[page.start + row(page, y) * page.columns + column(page, x)])


@compiled
def locate(
    cells: Any, x: Floats, y: Floats, polygon: Int32s, status: Bytes, candidates: Int32s
) -> None:
    """Look up points, shape (n,), and write of each what it was given.

    `polygon` gets the least of those that a point meets, or -1; `status` one of `NOWHERE`,
    `INSIDE`, `BOUNDARY` and `SEVERAL`; `candidates` how many it meets.

    It goes through some points at a time, and asks for all their cells, then for all their
    blocks: what takes long is the memory, which answers many questions at once.
    """
    pages, values, floats, bits, ints = (
        cells.pages, cells.values, cells.floats, cells.bits, cells.ints
    )  # fmt: skip
    sizes, leasts, polygons = cells.sizes, cells.leasts, cells.polygons
    page = pages[0]
    x0, y0, x1, y1 = page.x0, page.y0, page.x1, page.y1
    across, up, columns, rows = page.across, page.up, page.columns, page.rows
    found = np.empty(_AHEAD, dtype=np.int64)
    hard = np.empty(_AHEAD, dtype=np.int64)
    seen = np.empty(_AHEAD, dtype=np.float64)
    for start in range(0, len(x), _AHEAD):
        size = min(_AHEAD, len(x) - start)
        for k in range(size):
            px, py = x[start + k], y[start + k]
            found[k] = 0
            if x0 <= px and px <= x1 and y0 <= py and py <= y1:
                i = min(int((px - x0) * across), columns - 1)
                j = min(int((py - y0) * up), rows - 1)
                found[k] = values[j * columns + i]
        left = 0
        for k in range(size):
            value = found[k]
            if value < -PAGED:
                value = paged_value(pages, values, value, x[start + k], y[start + k])
                found[k] = value
            if value >= 0 and value <= polygons:
                polygon[start + k] = value - 1
                status[start + k] = INSIDE if value > 0 else NOWHERE
                candidates[start + k] = 1 if value > 0 else 0
            else:
                hard[left] = k
                left += 1
        for m in range(left):
            value = found[hard[m]]
            seen[m] = floats[-1 - value, RIGHT] if value < 0 else 0.0
        for m in range(left):
            k = hard[m]
            polygon[start + k], status[start + k], candidates[start + k] = _place(
                floats, bits, ints, sizes, leasts, polygons, found[k], x[start + k], y[start + k]
            )


@compiled
def _place(
    floats: Any, bits: Any, ints: Any, sizes: Any, leasts: Any, polygons: int, value: int,
    x: float, y: float,
) -> tuple[int, int, int]:  # fmt: skip
    """Return the least polygon of a point whose cell holds more than one answer, and the rest."""
    place = -1 - value
    cover = value if value >= 0 else int(ints[place, COVER])
    within, candidates, least, boundary = 0, 0, polygons, False
    if cover > polygons:
        within = int(sizes[cover - polygons - 1])
        least = int(leasts[cover - polygons - 1])
    elif cover > 0:
        within, least = 1, cover - 1
    more = value < 0
    while more:
        inside, touched = try_block(floats, bits, ints, place, x, y)
        met = inside | touched
        if met != NONE:
            lowest = _lowest(met)
            other = polygon_of(ints, place, lowest)
            if other < least:
                least = other
                boundary = (touched >> np.uint64(lowest)) & ONE != NONE
            within += _bits(inside)
            candidates += _bits(touched)
        more = ints[place, MORE] > 0
        place += ints[place, MORE]
    candidates += within
    if candidates == 0:
        return -1, NOWHERE, 0
    if within > 1 or (candidates > 1 and not boundary):
        return least, SEVERAL, candidates
    return least, (BOUNDARY if boundary else INSIDE), candidates


@compiled
def polygon_of(ints: Any, place: int, bit: int) -> int:
    """Return the polygon that a bit of a block stands for."""
    start = place + 1 + ints[place, EDGES]
    return int(ints[start + bit // A_ROW, bit % A_ROW])


@compiled
def _lowest(bits: Any) -> int:
    place = 0
    while bits & ONE == NONE:
        bits >>= ONE
        place += 1
    return place


@compiled
def _bits(bits: Any) -> int:
    count = 0
    while bits != NONE:
        bits &= bits - ONE
        count += 1
    return count


@compiled
def meet(
    pages: Any, values: Any, floats: Any, bits: Any, ints: Any, parent: Any, last: Any,
    singles: int, x: float, y: float, polygons: Int32s, interior: Any,
) -> int:  # fmt: skip
    """Write every polygon that a point meets, in no order, and whether it lies inside.

    Returns
    -------
    int
        How many; `polygons` and `interior` need room for all there are.
    """
    value, count = value_at(pages, values, x, y), 0
    place, more = -1 - value, value < 0
    found = int(ints[place, COVER]) if more else value
    while found > singles:
        polygons[count], interior[count] = last[found - singles - 1], True
        found = int(parent[found - singles - 1])
        count += 1
    if found > 0:
        polygons[count], interior[count] = found - 1, True
        count += 1
    while more:
        inside, touched = try_block(floats, bits, ints, place, x, y)
        met, bit = inside | touched, 0
        while met != NONE:
            if met & ONE != NONE:
                polygons[count] = polygon_of(ints, place, bit)
                interior[count] = inside & ONE != NONE
                count += 1
            met >>= ONE
            inside >>= ONE
            bit += 1
        more = ints[place, MORE] > 0
        place += ints[place, MORE]
    return count


@compiled
def pair(
    cells: Any, x: Floats, y: Floats, least: Int32s, status: Bytes, starts: Int64s,
    polygons: Int32s, interior: Any,
) -> None:  # fmt: skip
    """Write the polygons that each point meets, point k's from ``starts[k]`` on, ascending.

    `least` and `status` are what `locate` found: who meets one polygon is not looked up again.
    """
    pages, values, floats, bits, ints = (
        cells.pages, cells.values, cells.floats, cells.bits, cells.ints
    )  # fmt: skip
    parent, last, singles = cells.parent, cells.last, cells.polygons
    own = np.empty(singles, dtype=np.int32)
    inside = np.empty(singles, dtype=np.bool_)
    for k in range(len(x)):
        if starts[k + 1] - starts[k] < 2:
            if starts[k + 1] > starts[k]:
                polygons[starts[k]], interior[starts[k]] = least[k], status[k] == INSIDE
            continue
        count = meet(
            pages, values, floats, bits, ints, parent, last, singles, x[k], y[k], own, inside
        )
        for m in range(count):
            place = starts[k] + m
            while place > starts[k] and polygons[place - 1] > own[m]:
                polygons[place], interior[place] = polygons[place - 1], interior[place - 1]
                place -= 1
            polygons[place], interior[place] = own[m], inside[m]
