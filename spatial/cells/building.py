"""How an index is built: cells marked, grouped, split where crowded, covered and bound."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial.cells.blocks import bind_pages, no_table
from spatial.cells.compiled import compiled
from spatial.cells.covering import cover_pages
from spatial.cells.edges import Edges
from spatial.cells.looking import Cells
from spatial.cells.marks import group, mark
from spatial.cells.pages import lay_borders, lay_page
from spatial.cells.sets import Sets, no_sets
from spatial.cells.splitting import Fineness, split

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]


class Level(NamedTuple):
    """Pages that lie side by side, their cells, and what each of their edges is listed under.

    Attributes
    ----------
    pages : structured ndarray
        All pages up to this level's.
    first : int
        The first one of this level.
    offset : int
        How many cells the levels before have.
    borders : ndarray of float64
        Of this level's columns and rows.
    starts, listed : ndarray
        Page ``first + i`` has the edges ``listed[starts[i]:starts[i + 1]]``.
    corners : ndarray of int32
        The sets that the pages' own corners lie in.
    values : ndarray of int32
        Of this level's cells.
    """

    pages: Any
    first: int
    offset: int
    borders: NDArray[np.float64]
    starts: Int64s
    listed: Int32s
    corners: Int32s
    values: Int32s


class Filled(NamedTuple):
    """The edges of each numbered cell of a level, and the set that its corner lies in."""

    starts: Int64s
    listed: Int32s
    corners: Int32s


def fill(edges: Edges, polygons: int, fineness: Fineness, room: int) -> Cells | None:
    """Build the cells of some edges, with room for so many sets of polygons; None if too little."""
    sets = no_sets(polygons, room)
    top = _top(edges, fineness.cells_per_edge)
    found = _fill(top, edges, sets)
    if found is None:
        return None
    crowded = split(top.pages, top.borders, edges.xy, top.values, *found, fineness)
    pages = np.concatenate([top.pages, crowded.pages])
    cells = int((crowded.pages["columns"] * crowded.pages["rows"]).sum())
    more = np.zeros(cells, dtype=np.int32)
    below = Level(
        pages, 1, len(top.values), crowded.borders, crowded.starts, crowded.listed,
        crowded.corners, more,
    )  # fmt: skip
    found_below = _fill(below, edges, sets)
    if found_below is None:
        return None
    counts = (len(part.starts) - 1 for part in (found, found_below))
    table = no_table(sum(counts), len(found.listed) + len(found_below.listed))
    for level, part in ((top, found), (below, found_below)):
        if not bind_pages(
            level.pages, level.first, level.borders, edges.xy, edges.polygon, part.starts,
            part.listed, part.corners, level.values, level.offset, table, sets,
        ):  # fmt: skip
            return None
    return _finish(pages, np.concatenate([top.values, more]), table, sets)


def _top(edges: Edges, cells_per_edge: float) -> Level:
    """Return the level of one page, which covers all."""
    xy = edges.xy
    bounds = np.full(4, np.nan)
    if len(xy):
        bounds[:] = bounds_of(xy)
    pages = lay_page(bounds, xy, cells_per_edge)
    borders = np.empty(int(pages["columns"][0] + pages["rows"][0]))
    lay_borders(pages[0], borders)
    values = np.zeros(int(pages["columns"][0] * pages["rows"][0]), dtype=np.int32)
    whole = np.array([0, len(xy)])
    outside = np.zeros(1, dtype=np.int32)
    return Level(pages, 0, 0, borders, whole, np.arange(len(xy), dtype=np.int32), outside, values)


def _fill(level: Level, edges: Edges, sets: Sets) -> Filled | None:
    cells, marked = _mark(level, edges)
    starts, listed = group(cells, marked, level.values, level.offset)
    corners = np.zeros(len(starts) - 1, dtype=np.int32)
    rows = int(level.pages["rows"][level.first :].max(initial=1))
    # besides those that are marked, an edge may pass the right side of a page, once a row
    beside = int(np.diff(level.starts).max(initial=0)) * rows if level.first else 0
    scratch = np.empty(rows + 1 + len(marked) + beside, dtype=np.int32)
    done = cover_pages(
        level.pages, level.first, level.borders, *edges, level.starts, level.listed,
        level.corners, level.values, level.offset, corners, sets, scratch,
    )  # fmt: skip
    return Filled(starts, listed, corners) if done else None


def _mark(level: Level, edges: Edges) -> tuple[Int32s, Int32s]:
    room = 2 * len(level.listed) + 16
    while True:
        cells, marked = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.int32)
        count = mark(level.pages, level.first, level.starts, level.listed, edges.xy, cells, marked)
        if count <= room:
            return cells[:count], marked[:count]
        room = count


def _finish(pages: Any, values: Int32s, table: Any, sets: Sets) -> Cells:
    floats = table.floats[: int(table.used[0])]
    used = int(sets.used[0])
    parent, last = sets.parent[:used].copy(), sets.last[:used].copy()
    count, first = measure(parent, last, sets.polygons)
    return frozen(
        Cells(
            pages, values, floats, floats.view(np.uint64), floats.view(np.int32),
            parent, last, count, first, sets.polygons,
        )
    )  # fmt: skip


@compiled
def bounds_of(xy: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return the least x and y of edges, and the largest."""
    x0, y0, x1, y1 = xy[0, 0], xy[0, 1], xy[0, 0], xy[0, 1]
    for e in range(len(xy)):
        x0, x1 = min(x0, xy[e, 0], xy[e, 2]), max(x1, xy[e, 0], xy[e, 2])
        y0, y1 = min(y0, xy[e, 1]), max(y1, xy[e, 3])
    return x0, y0, x1, y1


@compiled
def measure(parent: Int32s, last: Int32s, polygons: int) -> tuple[Int32s, Int32s]:
    """Return of each set of several polygons how many they are, and the least one."""
    count, first = np.empty_like(parent), np.empty_like(parent)
    for k in range(len(parent)):
        before = parent[k] - polygons - 1
        count[k] = 2 if before < 0 else count[before] + 1
        first[k] = parent[k] - 1 if before < 0 else first[before]
    return count, first


def frozen(cells: Cells) -> Cells:
    """Make every array read-only: of one kind, then, whether mapped from a file or built."""
    for array in cells[:-1]:
        array.flags.writeable = False
    return cells
