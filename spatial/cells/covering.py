"""Which polygons the upper right corner of each cell lies in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial.cells.compiled import compiled
from spatial.cells.orientation import left_of, side
from spatial.cells.pages import column, row
from spatial.cells.sets import add, members

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]


@compiled
def cover_pages(
    pages: Any,
    first: int,
    borders: Any,
    xy: Any,
    polygon: Int32s,
    starts: Int64s,
    listed: Int32s,
    page_corners: Int32s,
    values: Int32s,
    offset: int,
    corners: Int32s,
    sets: Any,
    scratch: Int32s,
) -> bool:
    """Fill the cells of pages: `cover` for each polygon that meets one, in ascending order.

    `page_corners` are the sets that the pages' own upper right corners lie in.

    Returns
    -------
    bool
        False where there was no room for another set.
    """
    inside = np.empty(sets.polygons, dtype=np.int32)
    for i in range(len(starts) - 1):
        page = pages[first + i]
        own = values[page.start - offset : page.start - offset + page.columns * page.rows]
        left = members(sets, page_corners[i], inside)
        k, end = starts[i], starts[i + 1]
        while k < end or left > 0:
            by_edge = polygon[listed[k]] if k < end else sets.polygons
            by_corner = inside[left - 1] if left > 0 else sets.polygons
            chosen, stop = min(by_edge, by_corner), k
            while stop < end and polygon[listed[stop]] == chosen:
                stop += 1
            if not cover(
                page, borders, xy, listed[k:stop], chosen, by_corner == chosen, own, corners,
                sets, scratch,
            ):  # fmt: skip
                return False
            left -= by_corner == chosen
            k = stop
    return True


@compiled
def cover(
    page: Any,
    borders: Any,
    xy: Any,
    edges: Int32s,
    polygon: int,
    corner_inside: bool,
    values: Int32s,
    corners: Int32s,
    sets: Any,
    scratch: Int32s,
) -> bool:
    """Add a polygon to every cell of a page whose upper right corner lies inside it.

    What stands in a cell without edges is a set; of one with edges it stands in `corners`. Where
    a corner lies is told from that of the page (`corner_inside`) by the edges that are passed on
    the way there, down the page's right side and then to the left. A corner on an edge is taken
    for the points right of it and just above.

    `edges` are all of the polygon's that meet the page, `scratch` has room for what `crossings`
    needs. False where there was no room for another set.
    """
    columns, alone = page.columns, polygon + 1
    low, high = crossings(page, borders, xy, edges, scratch)
    if corner_inside:
        low, high = 0, page.rows - 1
    places = page.rows + 1
    for j in range(low, high + 1):
        start, end = scratch[j], scratch[j + 1]
        inside, right = corner_inside, columns
        found = scratch[places + start : places + end]
        _sort(found)
        for k in range(end - start - 1, -2, -1):
            left = found[k] if k >= 0 else 0
            if inside and left < right:
                base = j * columns
                for c in range(base + left, base + right):
                    value = values[c]
                    held = value if value >= 0 else corners[-1 - value]
                    made = alone if held == 0 else add(sets, held, polygon)
                    if made < 0:
                        return False
                    if value >= 0:
                        values[c] = made
                    else:
                        corners[-1 - value] = made
            inside = not inside
            right = left
    return True


@compiled
def _sort(found: Int32s) -> None:
    if len(found) > 16:
        found.sort()
        return
    for k in range(1, len(found)):
        value, place = found[k], k
        while place > 0 and found[place - 1] > value:
            found[place] = found[place - 1]
            place -= 1
        found[place] = value


@compiled
def crossings(page: Any, borders: Any, xy: Any, edges: Int32s, scratch: Int32s) -> tuple[int, int]:
    """Find behind which columns a polygon's edges pass the upper side of each row.

    Row j has ``scratch[rows + 1 + scratch[j]]`` up to ``scratch[rows + 1 + scratch[j + 1]]``: the
    corners in columns below each number lie on the other side of an edge than the page's.

    Returns
    -------
    tuple of int
        The first and the last row that has any; the second is less where none has.
    """
    rows = page.rows
    scratch[: rows + 1] = 0
    low, high = rows, -1
    places = rows + 1
    for turn in range(2):
        for k in range(len(edges)):
            e = edges[k]
            x1, y1, x2, y2 = xy[e, 0], xy[e, 1], xy[e, 2], xy[e, 3]
            if y1 > page.y1:
                continue
            first, last = _rows_passed(page, y1, y2)
            for j in range(first, last + 1):
                c = _corners_left_of(page, borders, j, x1, y1, x2, y2)
                if c == 0 or c == page.columns:
                    continue
                if turn == 0:
                    scratch[j + 1] += 1
                    low, high = min(low, j), max(high, j)
                else:
                    scratch[places + scratch[j]] = c
                    scratch[j] += 1
            if (x1 > page.x1) != (x2 > page.x1):
                last = _rows_beyond(page, borders, x1, y1, x2, y2)
                for j in range(last + 1):
                    if turn == 0:
                        scratch[j + 1] += 1
                        low, high = min(low, j), max(high, j)
                    else:
                        scratch[places + scratch[j]] = page.columns
                        scratch[j] += 1
        if turn == 0:
            for j in range(rows):
                scratch[j + 1] += scratch[j]
    # the second turn moved each start to the next one's
    for j in range(rows, 0, -1):
        scratch[j] = scratch[j - 1]
    scratch[0] = 0
    return low, high


@compiled
def _rows_passed(page: Any, y1: float, y2: float) -> tuple[int, int]:
    """Return the rows whose upper border lies in [y1, y2)."""
    first = row(page, y1) if y1 > page.y0 else 0
    if y2 > page.y1:
        return first, page.rows - 1
    return first, (row(page, y2) if y2 >= page.y0 else 0) - 1


@compiled
def _corners_left_of(
    page: Any, borders: Any, j: int, x1: float, y1: float, x2: float, y2: float
) -> int:
    """Return how many of row j's upper right corners lie left of an edge that passes its border."""
    y = borders[page.borders + page.columns + j]
    x = x1 + (y - y1) * ((x2 - x1) / (y2 - y1))
    x = min(max(x, min(x1, x2)), max(x1, x2))
    c = column(page, min(max(x, page.x0), page.x1))
    while c > 0 and side(x1, y1, x2, y2, borders[page.borders + c - 1], y) <= 0:
        c -= 1
    while c < page.columns and side(x1, y1, x2, y2, borders[page.borders + c], y) > 0:
        c += 1
    return c


@compiled
def _rows_beyond(page: Any, borders: Any, x1: float, y1: float, x2: float, y2: float) -> int:
    """Return the last row at whose upper right end an edge was passed, from the page's corner."""
    above = left_of(x1, y1, x2, y2, page.x1, page.y1)
    start = page.borders + page.columns
    low, high = -1, page.rows - 1  # passed at low, not at high
    while high - low > 1:
        middle = (low + high) // 2
        if left_of(x1, y1, x2, y2, page.x1, borders[start + middle]) != above:
            low = middle
        else:
            high = middle
    return low
