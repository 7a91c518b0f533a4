"""Polygons as they are stored, drawn on a lattice: rounded, cut at the margin, freed of nothing.

A ring that has no area on the lattice is left out, an outer one with its holes. Where rings may
meet (there are several; or one touches itself after it was rounded), the feature is noted as
doubtful: most are not, and those that are not need no mending.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spatial.cells.compiled import compiled
from spatial.drawing.binaries import number_at, stride_of, take_points
from spatial.drawing.lattices import Lattice, column_of, row_of
from spatial.drawing.rings import area, clean, cut, is_simple, reverse
from spatial.drawing.shapes import TOO_SMALL, Drawn, longer, more_parts

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

# Of more corners it takes less to have all sides put in order than to compare each with each.
_MOST_COMPARED = 200


@compiled
def draw_polygons(data: Bytes, features: int, lattice: Lattice, low: float, high: float) -> Drawn:
    """Draw polygons and multipolygons.

    Parameters
    ----------
    data : array of bytes
        Well-known binary of all, one after the other, the least byte first.
    features : int
        How many there are.
    lattice : Lattice
        Of the tile.
    low, high : float
        Within which, on either axis, they are drawn.

    Raises
    ------
    ValueError
        Where it is another geometry, or the bytes are in another order.
    """
    xy = np.empty((len(data) // 20 + 16, 2))
    starts, outer = np.zeros(2 * features + 2, np.int64), np.zeros(2 * features + 1, np.bool_)
    first, end = np.zeros(features, np.int64), np.zeros(features, np.int64)
    doubtful = np.zeros(features, np.bool_)
    raw, ring, spare = np.empty(512), np.empty((512, 2)), np.empty((512, 2))
    raw_bytes, box = raw.view(np.uint8), np.empty(4)
    place, corners, parts = 0, 0, 0
    for n in range(features):
        first[n] = parts
        box[:2], box[2:] = np.inf, -np.inf
        polygons = 1
        code = number_at(data, place + 1)
        if data[place] != 1 or (code % 1000 != 3 and code % 1000 != 6):
            raise ValueError("polygons are needed, in well-known binary of little endian")
        if code % 1000 == 6:
            polygons, place = number_at(data, place + 5), place + 9
        for _ in range(polygons):
            stride = stride_of(number_at(data, place + 1))
            rings, place, lost = number_at(data, place + 5), place + 9, False
            for r in range(rings):
                points, place = number_at(data, place), place + 4
                at, place = place, place + 8 * stride * points
                if lost:
                    continue
                if stride * points > len(raw):
                    raw = np.empty(2 * stride * points)
                    raw_bytes = raw.view(np.uint8)
                if 12 * points + 16 > len(ring):
                    room = 24 * points + 16
                    ring, spare = np.empty((room, 2)), np.empty((room, 2))
                take_points(data, at, points, stride, raw, raw_bytes)
                count = _ring(raw, points, stride, lattice, low, high, ring, spare, box)
                begin, count = clean(ring, count)
                if count == 0:
                    lost = r == 0
                    continue
                if (area(ring, begin, count) > 0.0) != (r == 0):
                    reverse(ring, begin, count)
                xy = longer(xy, corners + count)
                starts, outer = more_parts(starts, outer, parts + 1)
                for k in range(begin, count):
                    xy[corners, 0], xy[corners, 1] = ring[k, 0], ring[k, 1]
                    corners += 1
                outer[parts] = r == 0
                parts += 1
                starts[parts] = corners
        if box[2] - box[0] < TOO_SMALL and box[3] - box[1] < TOO_SMALL:
            parts = first[n]
            corners = starts[parts]
        end[n] = parts
        if parts == first[n] + 1:
            a, b = starts[parts - 1], corners
            doubtful[n] = b - a > _MOST_COMPARED or not is_simple(xy, a, b)
        else:
            doubtful[n] = parts > first[n]
    return Drawn(xy[:corners], starts[: parts + 1], outer[:parts], first, end, doubtful)


@compiled
def _ring(
    raw: Floats, points: int, stride: int, lattice: Lattice, low: float, high: float,
    ring: Floats, spare: Floats, box: Floats,
) -> int:  # fmt: skip
    """Round a ring to the lattice, and cut it; return how many corners it has then."""
    count, beyond = 0, False
    # The last point is the first once more.
    for k in range(points - 1):
        ring[k, 0], ring[k, 1] = raw[k * stride], raw[k * stride + 1]
        beyond = beyond or abs(ring[k, 1]) > lattice.end
    points -= 1
    if beyond:
        points = cut(ring, points, spare, 1, 1.0, lattice.end, False)
        points = cut(spare, points, ring, 1, -1.0, -lattice.end, False)
    left, top, right, bottom = np.inf, np.inf, -np.inf, -np.inf
    for k in range(points):
        x, y = column_of(lattice, ring[k, 0]), row_of(lattice, ring[k, 1])
        box[0], box[1] = min(box[0], x), min(box[1], y)
        box[2], box[3] = max(box[2], x), max(box[3], y)
        x, y = np.rint(x), np.rint(y)
        left, top = min(left, x), min(top, y)
        right, bottom = max(right, x), max(bottom, y)
        ring[count, 0], ring[count, 1] = x, y
        count += 1
    if left >= low and top >= low and right <= high and bottom <= high:
        return count
    if left > high or top > high or right < low or bottom < low:
        return 0
    count = cut(ring, count, spare, 0, -1.0, low, True)
    count = cut(spare, count, ring, 0, 1.0, high, True)
    count = cut(ring, count, spare, 1, -1.0, low, True)
    return cut(spare, count, ring, 1, 1.0, high, True)
