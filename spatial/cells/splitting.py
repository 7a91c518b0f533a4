"""Crowded cells, cut into pages of their own, so that a skewed extent ruins nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial.cells.blocks import PAGED
from spatial.cells.compiled import compiled
from spatial.cells.pages import PAGE, lay_borders, scale, shape_page, stretch

Floats = NDArray[np.float64]
Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]


class Fineness(NamedTuple):
    """How many cells there are for each edge, and how many edges make a cell crowded."""

    cells_per_edge: float
    crowd: int


class Second(NamedTuple):
    """The pages of crowded cells: with their borders, their edges, and their corners' sets."""

    pages: Any
    borders: Floats
    starts: Int64s
    listed: Int32s
    corners: Int32s


def split(
    page: Any,
    borders: Floats,
    xy: Floats,
    values: Int32s,
    starts: Int64s,
    listed: Int32s,
    corners: Int32s,
    fineness: Fineness,
) -> Second:
    """Make a page of each crowded cell, and let the cell's value name it."""
    crowded = np.flatnonzero(np.diff(starts) > fineness.crowd).astype(np.int64)
    cell_of = np.flatnonzero(values < 0)
    pages = np.zeros(len(crowded), dtype=PAGE)
    counts = np.diff(starts)[crowded]
    sized = _lay(
        page[0], borders, xy, len(values), cell_of[crowded], starts[crowded], listed, counts,
        fineness.cells_per_edge, pages,
    )  # fmt: skip
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
    xy: Floats,
    start: int,
    cells: Int64s,
    firsts: Int64s,
    listed: Int32s,
    counts: Int64s,
    cells_per_edge: float,
    pages: Any,
) -> int:
    """Lay a page over each cell; one without columns where its box is a single point."""
    border = 0
    for k in range(len(cells)):
        j, c = cells[k] // page.columns, cells[k] % page.columns
        x0 = page.x0 if c == 0 else np.nextafter(borders[c - 1], np.inf)
        y0 = page.y0 if j == 0 else np.nextafter(borders[page.columns + j - 1], np.inf)
        x1, y1 = borders[c], borders[page.columns + j]
        if not (x0 <= x1 and y0 <= y1 and (x0 < x1 or y0 < y1)):
            continue
        made = pages[k]
        made.x0, made.y0, made.x1, made.y1 = x0, y0, x1, y1
        own = listed[firsts[k] : firsts[k] + counts[k]]
        across, up = stretch(xy, own, x1 - x0, y1 - y0)
        columns, rows = shape_page(x1 - x0, y1 - y0, counts[k] * cells_per_edge, across, up)
        made.columns, made.rows = columns, rows
        made.across, made.up = scale(x1 - x0, columns), scale(y1 - y0, rows)
        made.start, made.borders = start, border
        start += columns * rows
        border += columns + rows
    return border


@compiled
def _lay_all(pages: Any, borders: Floats) -> None:
    for k in range(len(pages)):
        lay_borders(pages[k], borders)
