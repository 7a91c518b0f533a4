"""An index of polygons by cells: built once, looked up at memory's speed, kept and shared."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from spatial.cells.blocks import bind_pages, no_table
from spatial.cells.covering import cover_pages
from spatial.cells.edges import edges_of
from spatial.cells.looking import Cells, locate, pair
from spatial.cells.marks import group, mark
from spatial.cells.pages import lay_borders, lay_page
from spatial.cells.sets import Sets, no_sets
from spatial.cells.splitting import split

CELLS_PER_EDGE: Final = 4.0
CROWD: Final = 24
_CHUNK: Final = 1 << 18


class Located(NamedTuple):
    """What points were given.

    Attributes
    ----------
    polygon : ndarray of int32, shape (n,)
        The least place among those that the point meets, -1 for none.
    status : ndarray of uint8, shape (n,)
        `spatial.cells.looking.NOWHERE`, `INSIDE`, `BOUNDARY` or `SEVERAL`.
    candidates : ndarray of int32, shape (n,)
        How many it meets.
    """

    polygon: NDArray[np.int32]
    status: NDArray[np.uint8]
    candidates: NDArray[np.int32]


class _Full(Exception):
    """There was no room for another set of polygons."""


@dataclass(frozen=True, slots=True, eq=False)
class CellIndex:
    """Which polygons points and lines meet, for one array of polygons."""

    cells: Cells

    @classmethod
    def build(
        cls,
        polygons: NDArray[np.object_],
        *,
        cells_per_edge: float = CELLS_PER_EDGE,
        crowd: int = CROWD,
    ) -> CellIndex:
        """Index polygons."""
        edges = edges_of(polygons)
        room = 1024
        while True:
            try:
                return cls(_build(edges.xy, edges.polygon, len(polygons), cells_per_edge, crowd, room))
            except _Full:
                room *= 8

    def locate(self, x: Any, y: Any, *, threads: int = 1) -> Located:
        x, y = np.ascontiguousarray(x, dtype=np.float64), np.ascontiguousarray(y, dtype=np.float64)
        found = Located(
            np.empty(len(x), dtype=np.int32),
            np.empty(len(x), dtype=np.uint8),
            np.empty(len(x), dtype=np.int32),
        )
        if threads == 1:
            locate(self.cells, x, y, *found)
        return found

    def pairs(self, x: Any, y: Any) -> Any:
        x, y = np.ascontiguousarray(x, dtype=np.float64), np.ascontiguousarray(y, dtype=np.float64)
        located = self.locate(x, y)
        starts = np.concatenate([[0], np.cumsum(located.candidates, dtype=np.int64)])
        polygons = np.empty(starts[-1], dtype=np.int32)
        interior = np.empty(starts[-1], dtype=np.bool_)
        pair(self.cells, x, y, starts, polygons, interior)
        return np.repeat(np.arange(len(x)), located.candidates), polygons, interior


def _build(xy, polygon, polygons, cells_per_edge, crowd, room) -> Cells:
    bounds = np.full(4, np.nan)
    if len(xy):
        bounds = np.array([
            min(xy[:, 0].min(), xy[:, 2].min()), xy[:, 1].min(),
            max(xy[:, 0].max(), xy[:, 2].max()), xy[:, 3].max()])
    pages = lay_page(bounds, len(xy), cells_per_edge)
    borders = np.empty(int(pages["columns"][0] + pages["rows"][0]))
    lay_borders(pages[0], borders)
    sets = no_sets(polygons, room)
    everything = np.arange(len(xy), dtype=np.int32)
    values = np.zeros(int(pages["columns"][0] * pages["rows"][0]), dtype=np.int32)
    first = _fill(pages, 0, borders, xy, polygon, np.array([0, len(xy)]), everything, np.zeros(1, dtype=np.int32), values, 0, sets)
    second = split(pages, borders, values, *first, crowd, cells_per_edge)
    all_pages = np.concatenate([pages, second.pages])
    total = int((second.pages["columns"] * second.pages["rows"]).sum())
    more = np.zeros(total, dtype=np.int32)
    deeper = _fill(all_pages, 1, second.borders, xy, polygon, second.starts, second.listed, second.corners, more, len(values), sets)
    made = no_table(len(first[0]) + len(deeper[0]), len(first[1]) + len(deeper[1]))
    if not bind_pages(pages, 0, borders, xy, polygon, *first, values, 0, made, sets):
        raise _Full
    if not bind_pages(all_pages, 1, second.borders, xy, polygon, *deeper, more, len(values), made, sets):
        raise _Full
    used = int(sets.used[0])
    floats = made.floats[: int(made.used[0])]
    count, least = _measure(sets)
    return Cells(all_pages, np.concatenate([values, more]), floats, floats.view(np.uint64), floats.view(np.int32),
        sets.parent[:used], sets.last[:used], count, least, polygons)


def _measure(sets):
    used = int(sets.used[0])
    count, least = np.zeros(used, dtype=np.int32), np.zeros(used, dtype=np.int32)
    for k in range(used):
        p = sets.parent[k]
        if p <= sets.polygons:
            count[k], least[k] = 2, p - 1
        else:
            count[k], least[k] = count[p - sets.polygons - 1] + 1, least[p - sets.polygons - 1]
    return count, least


def _fill(pages, first, borders, xy, polygon, starts, listed, page_corners, values, offset, sets):
    room = 3 * len(listed) + 16
    while True:
        cells, edges = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.int32)
        marks = mark(pages, first, starts, listed, xy, cells, edges)
        if marks <= room:
            break
        room = marks
    cell_starts, cell_edges = group(cells[:marks], edges[:marks], values, offset)
    corners = np.zeros(len(cell_starts) - 1, dtype=np.int32)
    most_rows = int(pages["rows"][first:].max(initial=1))
    biggest = int(np.diff(starts).max(initial=0))
    scratch = np.empty(most_rows + 1 + marks + (biggest * most_rows if first else 0), dtype=np.int32)
    if not cover_pages(pages, first, borders, xy, polygon, starts, listed, page_corners, values, offset, corners, sets, scratch):
        raise _Full
    return cell_starts, cell_edges, corners
