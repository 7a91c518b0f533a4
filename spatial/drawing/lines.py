"""Lines as they are stored, drawn on a lattice: rounded, cut at the margin into pieces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spatial.cells.compiled import compiled
from spatial.drawing.binaries import number_at, stride_of, take_points
from spatial.drawing.lattices import Lattice, column_of, row_of
from spatial.drawing.rings import crossing
from spatial.drawing.shapes import TOO_SMALL, Drawn, longer, more_parts

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]


@compiled
def draw_lines(data: Bytes, features: int, lattice: Lattice, low: float, high: float) -> Drawn:
    """Draw lines and multilines; see `spatial.drawing.polygons.draw_polygons`."""
    xy = np.empty((len(data) // 16 + 16, 2))
    starts, outer = np.zeros(2 * features + 2, np.int64), np.zeros(2 * features + 1, np.bool_)
    first, end = np.zeros(features, np.int64), np.zeros(features, np.int64)
    raw, side = np.empty(512), np.empty((2, 2))
    raw_bytes, box = raw.view(np.uint8), np.empty(4)
    place, parts = 0, 0
    for n in range(features):
        first[n] = parts
        box[:2], box[2:] = np.inf, -np.inf
        lines = 1
        code = number_at(data, place + 1)
        if data[place] != 1 or (code % 1000 != 2 and code % 1000 != 5):
            raise ValueError("lines are needed, in well-known binary of little endian")
        if code % 1000 == 5:
            lines, place = number_at(data, place + 5), place + 9
        for _ in range(lines):
            stride = stride_of(number_at(data, place + 1))
            points = number_at(data, place + 5)
            at, place = place + 9, place + 9 + 8 * stride * points
            if stride * points > len(raw):
                raw = np.empty(2 * stride * points)
                raw_bytes = raw.view(np.uint8)
            take_points(data, at, points, stride, raw, raw_bytes)
            xy = longer(xy, starts[parts] + 2 * points)
            # A part is open from its first corner until the line leaves the margin.
            corners = starts[parts]
            for k in range(1, points):
                if not _side(raw, k, stride, lattice, low, high, side, box):
                    continue
                ax, ay, bx, by = side[0, 0], side[0, 1], side[1, 0], side[1, 1]
                begin = starts[parts]
                going_on = corners > begin and (
                    xy[corners - 1, 0] == ax and xy[corners - 1, 1] == ay
                )
                if not going_on:
                    if corners - begin > 1:
                        starts, outer = more_parts(starts, outer, parts + 1)
                        parts += 1
                        starts[parts] = corners
                    else:
                        corners = begin
                    xy[corners, 0], xy[corners, 1] = ax, ay
                    corners += 1
                if ax == bx and ay == by:
                    continue
                if corners - starts[parts] > 1 and _is_straight(xy, corners, bx, by):
                    corners -= 1
                xy[corners, 0], xy[corners, 1] = bx, by
                corners += 1
            if corners - starts[parts] > 1:
                starts, outer = more_parts(starts, outer, parts + 1)
                parts += 1
                starts[parts] = corners
        if box[2] - box[0] < TOO_SMALL and box[3] - box[1] < TOO_SMALL:
            parts = first[n]
        end[n] = parts
    xy = xy[: starts[parts]]
    return Drawn(xy, starts[: parts + 1], outer[:parts], first, end, np.zeros(features, np.bool_))


@compiled
def _is_straight(xy: Floats, corners: int, x: float, y: float) -> bool:
    """Return whether the last corner lies amid the way from the one before it to a point."""
    ax, ay = xy[corners - 1, 0] - xy[corners - 2, 0], xy[corners - 1, 1] - xy[corners - 2, 1]
    bx, by = x - xy[corners - 1, 0], y - xy[corners - 1, 1]
    straight: bool = ax * by - ay * bx == 0.0 and ax * bx + ay * by > 0.0
    return straight


@compiled
def _side(
    raw: Floats, k: int, stride: int, lattice: Lattice, low: float, high: float, side: Floats,
    box: Floats,
) -> bool:  # fmt: skip
    """Write a side of a line as it is drawn; return whether anything of it is."""
    for m in range(2):
        place = (k - 1 + m) * stride
        side[m, 0], side[m, 1] = raw[place], raw[place + 1]
    if not _cut(side, 1, -lattice.end, lattice.end, False):
        return False
    for m in range(2):
        x, y = column_of(lattice, side[m, 0]), row_of(lattice, side[m, 1])
        box[0], box[1] = min(box[0], x), min(box[1], y)
        box[2], box[3] = max(box[2], x), max(box[3], y)
        side[m, 0], side[m, 1] = np.rint(x), np.rint(y)
    return _cut(side, 0, low, high, True) and _cut(side, 1, low, high, True)


@compiled
def _cut(side: Floats, axis: int, low: float, high: float, whole: bool) -> bool:
    """Keep what of a side lies between two bounds; return whether anything does."""
    a, b = side[0, axis], side[1, axis]
    if low <= min(a, b) and max(a, b) <= high:
        return True
    if max(a, b) < low or min(a, b) > high:
        return False
    a_other, b_other = side[0, 1 - axis], side[1, 1 - axis]
    for m in range(2):
        value = side[m, axis]
        bound = low if value < low else high
        if low <= value and value <= high:
            continue
        other = crossing(a, a_other, b, b_other, bound)
        side[m, axis], side[m, 1 - axis] = bound, np.rint(other) if whole else other
    return True
