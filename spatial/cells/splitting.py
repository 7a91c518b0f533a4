"""Crowded cells, cut into pages of their own, so that a skewed extent ruins nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial.cells.blocks import PAGED
from spatial.cells.compiled import compiled
from spatial.cells.pages import PAGE, lay_borders, scale, shape_page

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]


class Second(NamedTuple):
    """The pages of crowded cells: with their borders, their edges, and their corners' sets."""

    pages: Any
    borders: NDArray[np.float64]
    starts: Int64s
    listed: Int32s
    corners: Int32s


def split(
    page: Any,
    borders: NDArray[np.float64],
    values: Int32s,
    starts: Int64s,
    listed: Int32s,
    corners: Int32s,
    crowd: int,
    cells_per_edge: float,
) -> Second:
    """Make a page of each cell with more than `crowd` edges, and let the cell's value name it."""
    crowded = np.flatnonzero(np.diff(starts) > crowd).astype(np.int64)
    cell_of = np.flatnonzero(values < 0)
    pages = np.zeros(len(crowded), dtype=PAGE)
    counts = np.diff(starts)[crowded]
    sized = _lay(page[0], borders, values, cell_of[crowded], counts, cells_per_edge, pages)
    kept = pages["columns"] > 0
    crowded, counts, pages = crowded[kept], counts[kept], pages[kept]
    values[cell_of[crowded]] = -1 - PAGED - np.arange(1, len(crowded) + 1)
    second = np.empty(sized, dtype=np.float64)
    _lay_all(pages, second)
    page_starts = np.concatenate([[0], np.cumsum(counts)])
    places = np.repeat(starts[crowded] - page_starts[:-1], counts) + np.arange(counts.sum())
    return Second(pages, second, page_starts, listed[places], corners[crowded])


@compiled
def _lay(
    page: Any,
    borders: Any,
    values: Int32s,
    cells: Int64s,
    counts: Int64s,
    cells_per_edge: float,
    pages: Any,
) -> int:
    """Lay a page over each cell; one without columns where its box is a single point."""
    start, border = len(values), 0
    for k in range(len(cells)):
        j, c = cells[k] // page.columns, cells[k] % page.columns
        x0 = page.x0 if c == 0 else np.nextafter(borders[c - 1], np.inf)
        y0 = page.y0 if j == 0 else np.nextafter(borders[page.columns + j - 1], np.inf)
        x1, y1 = borders[c], borders[page.columns + j]
        if not (x0 <= x1 and y0 <= y1 and (x0 < x1 or y0 < y1)):
            continue
        made = pages[k]
        made.x0, made.y0, made.x1, made.y1 = x0, y0, x1, y1
        columns, rows = shape_page(x1 - x0, y1 - y0, counts[k] * cells_per_edge)
        made.columns, made.rows = columns, rows
        made.across, made.up = scale(x1 - x0, columns), scale(y1 - y0, rows)
        made.start, made.borders = start, border
        start += columns * rows
        border += columns + rows
    return border


@compiled
def _lay_all(pages: Any, borders: NDArray[np.float64]) -> None:
    for k in range(len(pages)):
        lay_borders(pages[k], borders)
