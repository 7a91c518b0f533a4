"""Cells that edges pass: their edges, each with the polygons that it bounds, and their corner.

A block stands in consecutive rows of one table, so that a look-up asks for memory once: a head,
a row for each edge, and the polygons, ten to a row. Rows are of five words, read as float64, as
uint64 or, two to a word, as int32::

    head   right, top           the cell's corner: the largest x and y that are in it
           inside               of which polygons the corner lies inside, a bit each
           edges, polygons      how many there are
           cover, more          the set that holds the whole cell, besides the polygons that have
                                edges here; rows to the next block of the same cell, 0 for none
    edge   x1, y1, x2, y2       from the lower end to the upper one
           bounds               which polygons it bounds, a bit each

A block holds up to 64 polygons; a cell with more has several.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial.cells.compiled import compiled
from spatial.cells.orientation import left_of, side
from spatial.cells.sets import add, members

Floats = NDArray[np.float64]
Bits = NDArray[np.uint64]
Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]

ONE: Final = np.uint64(1)
NONE: Final = np.uint64(0)
MOST: Final = 64
PAGED: Final = 1 << 30  # a cell's value is -1 - row, or -1 - PAGED - page
# Words of a row as float64 or uint64, and as int32
RIGHT, TOP, INSIDE, BOUNDS = 0, 1, 2, 4
EDGES, POLYGONS, COVER, MORE = 6, 7, 8, 9
A_ROW: Final = 10  # polygons


class Table(NamedTuple):
    """The rows of all blocks in three readings of the same memory; `used` says how many."""

    floats: Floats
    bits: Bits
    ints: Int32s
    used: Int64s


def no_table(cells: int, marks: int) -> Table:
    """Return room for the blocks of so many cells, with so many edges in all."""
    # a head and at most one broken row of polygons a block, of which a cell has one more for every
    # 64 of its edges; then a row an edge, and one for each ten of their polygons
    heads = cells + marks // MOST
    floats = np.empty((2 * heads + marks + marks // A_ROW + 1, 5))
    return Table(floats, floats.view(np.uint64), floats.view(np.int32), np.zeros(1, dtype=np.int64))


@compiled
def bind_pages(
    pages: Any,
    first: int,
    borders: Any,
    xy: Any,
    polygon: Int32s,
    starts: Int64s,
    listed: Int32s,
    corners: Int32s,
    values: Int32s,
    offset: int,
    table: Any,
    sets: Any,
) -> bool:
    """Make the blocks of every numbered cell of pages, and let the cell's value name them.

    Returns
    -------
    bool
        False where there was no room for another set.
    """
    # apart: numba counts the references of a tuple's arrays at each call that takes the tuple
    floats, bits, ints, used = table.floats, table.bits, table.ints, table.used
    scratch = np.empty(sets.polygons + 1, dtype=np.int32)
    local = np.empty(sets.polygons + 1, dtype=np.int32)
    end, singles = used[0], sets.polygons
    for i in range(first, len(pages)):
        page = pages[i]
        tops = page.borders + page.columns
        for j in range(page.rows):
            top = borders[tops + j]
            for c in range(page.columns):
                cell = page.start - offset + j * page.columns + c
                number = -1 - values[cell]
                if number < 0 or number >= PAGED:
                    continue
                start = end
                values[cell] = -1 - start
                right = borders[page.borders + c]
                end, count = _bind(
                    xy, polygon, listed, starts[number], starts[number + 1], right, top,
                    floats, bits, ints, start, local,
                )  # fmt: skip
                corner = corners[number]
                if corner > 0 and (corner > singles or count > MOST):
                    found = _corner(corner, local[:count], start, bits, ints, sets, scratch)
                    if found < 0:
                        return False
                    ints[start, COVER] = found
                elif corner > 0:
                    place = _place_of(local, count, corner - 1)
                    if place >= 0:
                        bits[start, INSIDE] = ONE << np.uint64(place)
                    else:
                        ints[start, COVER] = corner
    used[0] = end
    return True


@compiled
def _bind(
    xy: Any, polygon: Int32s, listed: Int32s, k: int, stop: int, right: float, top: float,
    floats: Any, bits: Any, ints: Any, start: int, local: Int32s,
) -> tuple[int, int]:  # fmt: skip
    """Make the blocks of one cell, whose edges are listed from k to stop, ordered by polygon.

    Returns
    -------
    tuple of int
        The row after them, and how many polygons they bound, which stand in `local`, ascending.
    """
    count = 0
    while k < stop:
        end, before, last = start + 1, count, np.int32(-1)
        while k < stop:
            e = listed[k]
            if polygon[e] != last:
                if count == before + MOST:
                    break
                last = polygon[e]
                local[count] = last
                count += 1
            end = _put(xy, e, ONE << np.uint64(count - before - 1), start + 1, end, floats, bits)
            k += 1
        floats[start, RIGHT], floats[start, TOP] = right, top
        bits[start, INSIDE] = NONE
        ints[start, EDGES], ints[start, POLYGONS] = end - start - 1, count - before
        for m in range(count - before):
            ints[end + m // A_ROW, m % A_ROW] = local[before + m]
        end += (count - before + A_ROW - 1) // A_ROW
        ints[start, COVER] = 0
        ints[start, MORE] = end - start if k < stop else 0
        start = end
    return start, count


@compiled
def _put(xy: Any, e: int, bit: Any, start: int, end: int, floats: Any, bits: Any) -> int:
    """Add an edge, or the polygon alone where a neighbour has brought the same edge."""
    x1, y1, x2, y2 = xy[e, 0], xy[e, 1], xy[e, 2], xy[e, 3]
    for m in range(start, end):
        if (
            floats[m, 0] == x1
            and floats[m, 1] == y1
            and floats[m, 2] == x2
            and (floats[m, 3] == y2 and bits[m, BOUNDS] & bit == NONE)
        ):
            bits[m, BOUNDS] |= bit
            return end
    floats[end, 0], floats[end, 1], floats[end, 2], floats[end, 3] = x1, y1, x2, y2
    bits[end, BOUNDS] = bit
    return end + 1


@compiled
def _corner(
    corner: int, local: Int32s, start: int, bits: Any, ints: Any, sets: Any, scratch: Int32s
) -> int:
    """Mark the polygons that the corner lies inside of; return the set of those without edges."""
    rest = 0
    for m in range(members(sets, corner, scratch)):
        place = _place_of(local, len(local), scratch[m])
        if place >= 0:
            block = start
            for _ in range(place // MOST):
                block += ints[block, MORE]
            bits[block, INSIDE] |= ONE << np.uint64(place % MOST)
        else:
            scratch[rest] = scratch[m]
            rest += 1
    found = 0
    for m in range(rest - 1, -1, -1):
        found = add(sets, found, scratch[m])
        if found < 0:
            break
    return found


@compiled
def _place_of(local: Int32s, count: int, polygon: int) -> int:
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if local[middle] < polygon:
            low = middle + 1
        else:
            high = middle
    return low if low < count and local[low] == polygon else -1


@compiled
def try_block(floats: Any, bits: Any, ints: Any, start: int, x: float, y: float) -> tuple[Any, Any]:
    """Return the polygons of a block that a point of its cell lies in, and those it bounds.

    From the cell's corner down to the height of the point, and then left to it, every edge that
    is passed changes sides for the polygons that it bounds.

    Returns
    -------
    tuple of uint64
        A bit for each polygon that the point lies inside of; and for each on whose boundary.
    """
    inside, touched = bits[start, INSIDE], NONE
    right, top = floats[start, RIGHT], floats[start, TOP]
    for k in range(start + 1, start + 1 + ints[start, EDGES]):
        x1, y1, x2, y2 = floats[k, 0], floats[k, 1], floats[k, 2], floats[k, 3]
        passed = False
        spans = (x1 > right) != (x2 > right)  # the line down from the corner
        beyond = spans and left_of(x1, y1, x2, y2, right, y)
        if y1 <= y and y < y2:
            before = False
            if x1 >= x or x2 >= x:
                found = side(x1, y1, x2, y2, x, y)
                if found == 0:
                    touched |= bits[k, BOUNDS]
                    continue
                before = found > 0
            passed = before != (beyond if spans else x1 > right)
        elif (x == x2 and y == y2) or (y == y1 and y1 == y2 and x1 <= x and x <= x2):
            touched |= bits[k, BOUNDS]
            continue
        if spans and beyond != left_of(x1, y1, x2, y2, right, top):
            passed = not passed
        if passed:
            inside ^= bits[k, BOUNDS]
    return inside & ~touched, touched
