"""Which cells each edge meets, and which edges each cell has."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial.cells.compiled import compiled
from spatial.cells.pages import columns_of, rows_of

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]


@compiled
def mark(
    pages: Any, first: int, starts: Int64s, listed: Int32s, xy: Any, cells: Int32s, edges: Int32s
) -> int:
    """Write each cell that an edge meets, with the edge, page by page; return how many.

    Page ``first + i`` has the edges ``listed[starts[i]:starts[i + 1]]``. What goes beyond the end
    of `cells` and `edges` is counted, and not written.
    """
    count, room = 0, len(cells)
    for i in range(len(starts) - 1):
        page = pages[first + i]
        for k in range(starts[i], starts[i + 1]):
            e = listed[k]
            x1, y1, x2, y2 = xy[e, 0], xy[e, 1], xy[e, 2], xy[e, 3]
            low, high = rows_of(page, y1, y2)
            for j in range(low, high + 1):
                left, right = columns_of(page, j, x1, y1, x2, y2)
                cell = page.start + j * page.columns
                for c in range(left, right + 1):
                    if count < room:
                        cells[count] = cell + c
                        edges[count] = e
                    count += 1
    return count


@compiled
def group(cells: Int32s, edges: Int32s, values: Int32s, offset: int) -> tuple[Int64s, Int32s]:
    """Group marks by cell: number the cells that have any, as ``values = -1 - number``.

    Returns
    -------
    tuple
        Where each numbered cell's edges start (and the end), and these edges, in their order.
    """
    counts = np.zeros(len(values), dtype=np.int32)
    for k in range(len(cells)):
        counts[cells[k] - offset] += 1
    numbered = 0
    for c in range(len(values)):
        if counts[c] > 0:
            numbered += 1
    starts = np.zeros(numbered + 1, dtype=np.int64)
    numbered = 0
    for c in range(len(values)):
        if counts[c] > 0:
            values[c] = -1 - numbered
            starts[numbered + 1] = starts[numbered] + counts[c]
            numbered += 1
    sorted_edges = np.empty(len(cells), dtype=np.int32)
    places = starts[:-1].copy()
    for k in range(len(cells)):
        number = -1 - values[cells[k] - offset]
        sorted_edges[places[number]] = edges[k]
        places[number] += 1
    return starts, sorted_edges
