"""Lines walked through the cells: how much of each lies in which polygon.

A segment is cut wherever it meets an edge; each piece lies in the polygons that its middle lies in.
Only the edges of cells that the segment passes are asked, and none where all of its cells are of
one polygon.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spatial.cells.blocks import A_ROW, BOUNDS, EDGES, MORE, NONE, ONE, PAGED, POLYGONS
from spatial.cells.compiled import compiled
from spatial.cells.looking import meet, value_at
from spatial.cells.orientation import side
from spatial.cells.pages import columns_of, rows_of

Floats = NDArray[np.float64]
Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]

_NEAR: Final = 1e-9
_MIXED: Final = -1


@compiled
def walk(
    cells: Any, xy: Floats, starts: Int64s, owners: Int64s, line: Int64s, polygon: Int32s,
    length: Floats,
) -> int:  # fmt: skip
    """Measure how much of lines lies in each polygon, and outside all.

    Part k of the lines has the corners ``xy[starts[k]:starts[k + 1]]`` and is of line
    ``owners[k]``. Of each stretch `line`, `polygon` (-1 outside) and `length` are written;
    stretches of one line in one polygon may be several. What lies on the boundary of polygons,
    and inside of none, is of the least of them.

    Returns
    -------
    int
        How many stretches there are; those beyond the end of `line` are not written.
    """
    pages, values, floats, bits, ints = (
        cells.pages, cells.values, cells.floats, cells.bits, cells.ints
    )  # fmt: skip
    parent, last, singles = cells.parent, cells.last, cells.polygons
    own = np.empty(singles, dtype=np.int32)
    inside = np.empty(singles, dtype=np.bool_)
    blocks, deeper = np.empty(64, dtype=np.int64), np.empty(64, dtype=np.int64)
    cuts = np.empty(64)
    along, along_of = np.empty((64, 2)), np.empty(64, dtype=np.int32)
    page = pages[0]
    x0, y0, x1, y1 = page.x0, page.y0, page.x1, page.y1
    across, up, columns, rows = page.across, page.up, page.columns, page.rows
    count = 0
    for k in range(len(starts) - 1):
        before = -1
        for c in range(starts[k], starts[k + 1]):
            bx, by = xy[c, 0], xy[c, 1]
            cell = -1
            if x0 <= bx and bx <= x1 and y0 <= by and by <= y1:
                i = min(np.int64((bx - x0) * across), columns - 1)
                cell = min(np.int64((by - y0) * up), rows - 1) * columns + i
            start, before = before, cell
            if c == starts[k]:
                continue
            ax, ay = xy[c - 1, 0], xy[c - 1, 1]
            whole = np.sqrt((bx - ax) * (bx - ax) + (by - ay) * (by - ay))
            if whole == 0.0:
                continue
            # most segments are short, and stay within one cell that one polygon holds
            if start == cell and cell >= 0 and values[cell] >= 0 and values[cell] <= singles:
                count = _put(line, polygon, length, count, owners[k], values[cell] - 1, whole)
                continue
            while True:
                found, edges, same = _pass(pages, values, ints, ax, ay, bx, by, blocks, deeper)
                if found <= len(blocks):
                    break
                blocks, deeper = np.empty(2 * found, np.int64), np.empty(2 * found, np.int64)
            if same >= 0 and same <= singles:
                count = _put(line, polygon, length, count, owners[k], same - 1, whole)
                continue
            if 2 * edges + 2 > len(cuts):
                cuts = np.empty(4 * edges + 4)
            if 64 * edges > len(along_of):
                along, along_of = np.empty((64 * edges, 2)), np.empty(64 * edges, np.int32)
            pieces, lying = _cut(
                floats, bits, ints, blocks[:found], ax, ay, bx, by, cuts, along, along_of
            )
            for m in range(pieces):
                part = cuts[m + 1] - cuts[m]
                if part <= 0.0:
                    continue
                middle = cuts[m] + 0.5 * part
                mx, my = ax + middle * (bx - ax), ay + middle * (by - ay)
                if lying == 0:
                    held = value_at(pages, values, mx, my)
                    if held >= 0 and held <= singles:
                        count = _put(
                            line, polygon, length, count, owners[k], held - 1, part * whole
                        )
                        continue
                met = meet(
                    pages, values, floats, bits, ints, parent, last, singles, mx, my, own, inside
                )
                met = _lie(along, along_of, lying, middle, own, inside, met)
                count = _share(
                    line, polygon, length, count, owners[k], own, inside, met, part * whole
                )
    return count


@compiled
def _pass(
    pages: Any, values: Any, ints: Any, ax: float, ay: float, bx: float, by: float,
    blocks: Int64s, deeper: Int64s,
) -> tuple[int, int, int]:  # fmt: skip
    """Find the blocks of all the cells that a segment passes.

    Returns
    -------
    tuple of int
        How many blocks there are, or more than fit; how many edges they have; the set that all
        cells hold, or -1 where they differ or have edges.
    """
    if ay > by or (ay == by and ax > bx):
        ax, ay, bx, by = bx, by, ax, ay
    count, edges, same, paged = 0, 0, -2, 0
    turn = -1
    while turn < paged:
        page = pages[0] if turn < 0 else pages[deeper[turn]]
        turn += 1
        low, high = rows_of(page, ay, by)
        for j in range(low, high + 1):
            left, right = columns_of(page, j, ax, ay, bx, by)
            for c in range(left, right + 1):
                value = int(values[page.start + j * page.columns + c])
                if value >= 0:
                    same = value if same == -2 or same == value else _MIXED
                    continue
                same = _MIXED
                if value < -PAGED:
                    if paged < len(deeper):
                        deeper[paged] = -1 - PAGED - value
                    paged += 1
                    continue
                place = -1 - value
                while True:
                    if count < len(blocks):
                        blocks[count] = place
                    count += 1
                    edges += ints[place, EDGES]
                    if ints[place, MORE] == 0:
                        break
                    place += ints[place, MORE]
        if paged > len(deeper) or count > len(blocks):
            return max(count, paged, len(blocks) + 1), edges, _MIXED
    return count, edges, 0 if same == -2 else same


@compiled
def _cut(
    floats: Any, bits: Any, ints: Any, blocks: Int64s, ax: float, ay: float, bx: float, by: float,
    cuts: Floats, along: Floats, along_of: Int32s,
) -> tuple[int, int]:  # fmt: skip
    """Write where a segment meets edges, ascending from 0 to 1, and where it lies upon one.

    A cut too many does no harm, so that what is doubtful is a cut.

    Returns
    -------
    tuple of int
        How many pieces it is cut into; and of how many polygons it lies on an edge, somewhere.
    """
    dx, dy = bx - ax, by - ay
    square = dx * dx + dy * dy
    whole = 1.0 / square
    count, lying = 1, 0
    cuts[0] = 0.0
    for place in blocks:
        for k in range(place + 1, place + 1 + ints[place, EDGES]):
            px, py, qx, qy = floats[k, 0], floats[k, 1], floats[k, 2], floats[k, 3]
            ex, ey = qx - px, qy - py
            first = ((px - ax) * dx + (py - ay) * dy) * whole
            second = ((qx - ax) * dx + (qy - ay) * dy) * whole
            if min(first, second) > 1.0 + _NEAR or max(first, second) < -_NEAR:
                continue
            turn = dx * ey - dy * ex
            if turn * turn <= _NEAR * _NEAR * square * (ex * ex + ey * ey):
                count = _add(cuts, _add(cuts, count, first), second)
                if side(px, py, qx, qy, ax, ay) == 0 and side(px, py, qx, qy, bx, by) == 0:
                    lying = _lay(bits, ints, place, k, first, second, along, along_of, lying)
            else:
                there = ((px - ax) * dy - (py - ay) * dx) / turn
                if there >= -_NEAR and there <= 1.0 + _NEAR:
                    count = _add(cuts, count, ((px - ax) * ey - (py - ay) * ex) / turn)
    cuts[count] = 1.0
    _sort(cuts, count + 1)
    return count, lying


@compiled
def _sort(cuts: Floats, count: int) -> None:
    if count > 32:
        cuts[:count].sort()
        return
    for k in range(1, count):
        value, place = cuts[k], k
        while place > 0 and cuts[place - 1] > value:
            cuts[place] = cuts[place - 1]
            place -= 1
        cuts[place] = value


@compiled
def _add(cuts: Floats, count: int, part: float) -> int:
    if not (part > 0.0 and part < 1.0):
        return count
    cuts[count] = part
    return count + 1


@compiled
def _lay(
    bits: Any, ints: Any, place: int, k: int, first: float, second: float, along: Floats,
    along_of: Int32s, lying: int,
) -> int:  # fmt: skip
    """Note that a segment lies on an edge from `first` to `second`, for each that it bounds."""
    bounds = bits[k, BOUNDS]
    start = place + 1 + ints[place, EDGES]
    for m in range(ints[place, POLYGONS]):
        if (bounds >> np.uint64(m)) & ONE != NONE:
            along[lying, 0], along[lying, 1] = min(first, second), max(first, second)
            along_of[lying] = ints[start + m // A_ROW, m % A_ROW]
            lying += 1
    return lying


@compiled
def _lie(
    along: Floats, along_of: Int32s, lying: int, middle: float, own: Int32s, inside: Any, met: int
) -> int:
    """Let what lies upon an edge be on the boundary, however its middle was rounded."""
    for k in range(lying):
        if not (along[k, 0] < middle and middle < along[k, 1]):
            continue
        place = 0
        while place < met and own[place] != along_of[k]:
            place += 1
        own[place], inside[place] = along_of[k], False
        met = max(met, place + 1)
    return met


@compiled
def _share(
    line: Int64s, polygon: Int32s, length: Floats, count: int, owner: int, own: Int32s,
    inside: Any, met: int, part: float,
) -> int:  # fmt: skip
    """Write a piece for each polygon that it lies inside of, and once for its boundaries."""
    least = -1
    for k in range(met):
        if inside[k]:
            count = _put(line, polygon, length, count, owner, own[k], part)
        elif least < 0 or own[k] < least:
            least = own[k]
    if met == 0 or least >= 0:
        count = _put(line, polygon, length, count, owner, least, part)
    return count


@compiled
def _put(
    line: Int64s, polygon: Int32s, length: Floats, count: int, owner: int, place: int, part: float
) -> int:
    """Write a stretch, or lengthen the last one where it is of the same line and polygon."""
    before = count - 1
    if before >= 0 and before < len(line) and line[before] == owner and polygon[before] == place:
        length[before] += part
        return count
    if count < len(line):
        line[count], polygon[count], length[count] = owner, place, part
    return count + 1
