"""Pages of cells: a box of the plane cut into columns and rows, and what an edge passes there.

A cell is the set of points whose column and row come out as its own. Points, edges and the borders
of cells are all placed by that one expression (`column`, `row`), which never falls as a coordinate
grows, so that no tolerance is needed where a point lies on the border of two cells.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spatial.cells.compiled import compiled

PAGE: Final = np.dtype(
    [
        ("x0", "f8"), ("y0", "f8"), ("x1", "f8"), ("y1", "f8"),
        ("across", "f8"), ("up", "f8"),  # cells per unit of x, of y
        ("columns", "i8"), ("rows", "i8"),
        ("start", "i8"),  # of its cells among all cells
        ("borders", "i8"),  # of its columns' borders, then its rows', among all borders
    ],
    align=True,
)  # fmt: skip
MOST_COLUMNS: Final = 32_768.0
MOST_PASSED: Final = 3.0
SMALLEST: Final = 1e-200  # a box less wide or high is not cut
Floats = NDArray[np.float64]
_ROUNDING: Final = 8.0 * np.finfo(np.float64).eps


def lay_page(bounds: Floats, xy: Floats, cells_per_edge: float) -> NDArray[Any]:
    """Return the one page, shape (1,), that covers `bounds`, cut to suit edges `xy`.

    Parameters
    ----------
    bounds : ndarray of float64, shape (4,)
        ``x0, y0, x1, y1``; NaN where there is nothing to cover.
    """
    page = np.zeros(1, dtype=PAGE)
    if np.isnan(bounds).any():
        bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
        page["columns"], page["rows"] = 1, 1
    else:
        width, height = float(bounds[2] - bounds[0]), float(bounds[3] - bounds[1])
        across, up = stretch(xy, np.arange(len(xy)), width, height)
        columns, rows = shape_page(width, height, len(xy) * cells_per_edge, across, up)
        page["columns"], page["rows"] = columns, rows
        page["across"], page["up"] = scale(width, columns), scale(height, rows)
    for name, value in zip(("x0", "y0", "x1", "y1"), bounds, strict=True):
        page[name] = value
    return page


@compiled
def stretch(xy: Floats, listed: Any, width: float, height: float) -> tuple[float, float]:
    """Return how far edges go across and up in the mean, at most as far as their page."""
    across, up = 0.0, 0.0
    for e in listed:
        across += min(abs(xy[e, 2] - xy[e, 0]), width)
        up += min(xy[e, 3] - xy[e, 1], height)
    return across / len(listed), up / len(listed)


@compiled
def shape_page(
    width: float, height: float, cells: float, across: float, up: float
) -> tuple[int, int]:
    """Return how many columns and rows make about so many cells, of the shape of the mean edge.

    An edge shall pass few columns and rows, `MOST_PASSED` of each in the mean, or long needles
    would fill all the cells there are.
    """
    wide, high = width > SMALLEST, height > SMALLEST
    edge_columns = width / max(across, width / MOST_COLUMNS) if wide else 1.0
    edge_rows = height / max(up, height / MOST_COLUMNS) if high else 1.0
    passed = min(np.sqrt(cells / (edge_columns * edge_rows)), MOST_PASSED)
    columns = min(max(np.ceil(passed * edge_columns), 1.0), MOST_COLUMNS) if wide else 1.0
    rows = min(max(np.ceil(passed * edge_rows), 1.0), MOST_COLUMNS) if high else 1.0
    return int(columns), int(rows)


@compiled
def scale(length: float, parts: int) -> float:
    """Return parts per unit of length; 0, which makes one part of all, where it is too short."""
    return parts / length if length > SMALLEST else 0.0


@compiled
def column(page: Any, x: float) -> int:
    """Return the column of an x that lies within the page."""
    return int(min(np.int64((x - page.x0) * page.across), page.columns - 1))


@compiled
def row(page: Any, y: float) -> int:
    """Return the row of a y that lies within the page."""
    return int(min(np.int64((y - page.y0) * page.up), page.rows - 1))


@compiled
def lay_borders(page: Any, borders: NDArray[np.float64]) -> None:
    """Find the largest number of each column, then of each row, and write it to `borders`."""
    for i in range(page.columns):
        borders[page.borders + i] = _last(page.x0, page.x1, page.across, page.columns, i)
    for j in range(page.rows):
        borders[page.borders + page.columns + j] = _last(page.y0, page.y1, page.up, page.rows, j)


@compiled
def _last(start: float, end: float, per_unit: float, parts: int, part: int) -> float:
    """Return the largest number whose part is `part`, or an earlier one where it has none."""
    if part >= parts - 1:
        return end
    guess = start + (part + 1) / per_unit
    spread = (end - start + max(abs(start), abs(end))) * _ROUNDING
    low, high = max(start, guess - spread), min(end, guess + spread)
    if np.int64((low - start) * per_unit) > part:
        low = start
    if np.int64((high - start) * per_unit) <= part:
        high = end
    while True:  # low is in the part or before it, high after it
        middle = low + 0.5 * (high - low)
        if middle <= low or middle >= high:
            return low
        if np.int64((middle - start) * per_unit) <= part:
            low = middle
        else:
            high = middle


@compiled
def rows_of(page: Any, y1: float, y2: float) -> tuple[int, int]:
    """Return the first and the last row that the stretch from y1 up to y2 meets; none if empty."""
    if y2 < page.y0 or y1 > page.y1:
        return 0, -1
    return row(page, max(y1, page.y0)), row(page, min(y2, page.y1))


@compiled
def columns_of(page: Any, j: int, x1: float, y1: float, x2: float, y2: float) -> tuple[int, int]:
    """Return the first and the last column that an edge meets in row j: these, and seldom more.

    More does no harm: every edge of a cell is tested exactly. One too few would be wrong, so the
    edge is cut to the row in cell units with a margin for all that rounding can do.
    """
    least, most = min(x1, x2), max(x1, x2)
    if most < page.x0 or least > page.x1:
        return 0, -1
    first, last = column(page, max(least, page.x0)), column(page, min(most, page.x1))
    v1, v2 = (y1 - page.y0) * page.up, (y2 - page.y0) * page.up
    if first == last or v2 <= v1:
        return first, last
    u1, u2 = (x1 - page.x0) * page.across, (x2 - page.x0) * page.across
    slope = (u2 - u1) / (v2 - v1)
    margin = 1e-6 + _ROUNDING * (
        max(abs(u1), abs(u2), float(page.columns))
        + abs(slope) * max(abs(v1), abs(v2), float(page.rows))
    )
    bottom = u1 + (max(v1, float(j)) - v1) * slope
    top = u1 + (min(v2, j + 1.0) - v1) * slope
    low, high = min(bottom, top) - margin, max(bottom, top) + margin
    if low > first:
        first = min(int(low), last)
    if high < last:
        last = max(int(high), first)
    return first, last
