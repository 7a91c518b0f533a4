"""The area that two polygons share, by the trapezoids below their edges, without an overlay.

A polygon is the sum of the trapezoids between its edges and a level line below it, those of edges
that run to the left counted as positive, of others as negative. So what two polygons share is the
sum, over each edge of the one and each of the other, of what the two trapezoids share. No point is
placed and no ring is built: what the sum is does not hang on any sign near zero, so shared edges,
slivers and touching corners are nothing special, and the error is that of rounding, in proportion
to the polygons' common box. Edges are cut to that box first; where both still have many, it is
halved again and again.

That the areas of an overlay need no overlay is W. R. Franklin's, *Calculating the area of overlaid
polygons without constructing the overlay*, Cartography and Geographic Information Systems 21
(1994), who sums over corners and crossings instead, for which both must be found exactly.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spatial.cells.compiled import compiled
from spatial.overlay.clipping import (
    AT_LEFT,
    AT_RIGHT,
    LEFT,
    RIGHT,
    SIGN,
    WORDS,
    clip,
    cut,
)

Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]

_MANY: Final = 4096  # pairs of edges that are quicker looked at than avoided
_ABOVE: Final = 64  # edges above each other, on the average, that a sweep may meet
_DEEPEST: Final = 24
_ROUNDING: Final = 1e-14


@compiled
def share_areas(first: Any, second: Any, i: Int64s, j: Int64s, areas: Floats) -> None:
    """Write the area that each pair of polygons shares, ``first[i[k]]`` with ``second[j[k]]``.

    What is less than the rounding of the common box is written as 0. First and second are
    `Outlines`.
    """
    # apart: numba counts the references of a tuple's arrays at each call that takes them out
    corners1, chains1, boxes1, starts1 = first.corners, first.chains, first.boxes, first.starts
    corners2, chains2, boxes2, starts2 = second.corners, second.chains, second.boxes, second.starts
    groups1, wide1, turns1, bounds1 = first.groups, first.group_boxes, first.turns, first.bounds
    groups2, wide2, turns2, bounds2 = second.groups, second.group_boxes, second.turns, second.bounds
    pieces1 = np.empty((2 * first.most + 2, WORDS))
    pieces2 = np.empty((2 * second.most + 2, WORDS))
    for k in range(len(i)):
        p, q = i[k], j[k]
        x0, x1 = max(bounds1[p, 0], bounds2[q, 0]), min(bounds1[p, 2], bounds2[q, 2])
        y0, y1 = max(bounds1[p, 1], bounds2[q, 1]), min(bounds1[p, 3], bounds2[q, 3])
        areas[k] = 0.0
        if not (x0 < x1 and y0 < y1):
            continue
        box = (x0, y0, x1, y1)
        used1 = clip(
            corners1, chains1, boxes1, groups1, wide1, turns1,
            starts1[p], starts1[p + 1], box, pieces1,
        )  # fmt: skip
        if used1 == 0:
            continue
        used2 = clip(
            corners2, chains2, boxes2, groups2, wide2, turns2,
            starts2[q], starts2[q + 1], box, pieces2,
        )  # fmt: skip
        if used1 * used2 <= _MANY:
            found = _sum(pieces1, used1, pieces2, used2, 0.0)
        else:
            found = _halve(pieces1[:used1], pieces2[:used2], x1 - x0, y1 - y0)
        if found > _ROUNDING * (x1 - x0) * (y1 - y0):
            areas[k] = found


@compiled
def _sum(ours: Any, many: int, theirs: Any, others: int, floor: float) -> float:
    """Return the sum of what the trapezoids of both share, above a floor."""
    found = 0.0
    for a in range(many):
        left, right = ours[a, LEFT], ours[a, RIGHT]
        for b in range(others):
            if theirs[b, LEFT] < right and theirs[b, RIGHT] > left:
                found += _share(ours, a, theirs, b, floor)
    return found


@compiled
def _sweep(ours: Any, theirs: Any, floor: float) -> float:
    """Return what `_sum` returns, from left to right; NaN where too much lies above each other."""
    first, second = ours[np.argsort(ours[:, LEFT])], theirs[np.argsort(theirs[:, LEFT])]
    found: float = 0.0
    a, b = 0, 0
    left = _ABOVE * (len(first) + len(second))
    while a < len(first) and b < len(second) and left > 0:
        # the one that begins first, with all of the other's that begin before it ends
        if first[a, LEFT] <= second[b, LEFT]:
            k = b
            while k < len(second) and second[k, LEFT] < first[a, RIGHT]:
                found += _share(first, a, second, k, floor)
                k += 1
            left -= k - b
            a += 1
        else:
            k = a
            while k < len(first) and first[k, LEFT] < second[b, RIGHT]:
                found += _share(first, k, second, b, floor)
                k += 1
            left -= k - a
            b += 1
    if left <= 0:
        found = np.nan
    return found


@compiled
def _share(ours: Any, a: int, theirs: Any, b: int, floor: float) -> float:
    """Return what two trapezoids share, one above the other in part, with its sign."""
    al, ar, p1, p2 = ours[a, LEFT], ours[a, RIGHT], ours[a, AT_LEFT], ours[a, AT_RIGHT]
    bl, br, q1, q2 = theirs[b, LEFT], theirs[b, RIGHT], theirs[b, AT_LEFT], theirs[b, AT_RIGHT]
    rise, steep = (p2 - p1) / (ar - al), (q2 - q1) / (br - bl)
    left, right = al, ar
    if al < bl:
        left, p1 = bl, p1 + (bl - al) * rise
    else:
        q1 += (al - bl) * steep
    if ar > br:
        right, p2 = br, p2 + (br - ar) * rise
    else:
        q2 += (ar - br) * steep
    width: float = ours[a, SIGN] * theirs[b, SIGN] * (right - left)
    return width * (_lower(p1, p2, q1, q2) - floor)


@compiled
def _lower(p1: float, p2: float, q1: float, q2: float) -> float:
    """Return the mean height of what lies below both of two lines, given at two ends."""
    d1, d2 = p1 - q1, p2 - q2
    if d1 <= 0.0 and d2 <= 0.0:
        return 0.5 * (p1 + p2)
    if d1 >= 0.0 and d2 >= 0.0:
        return 0.5 * (q1 + q2)
    part = d1 / (d1 - d2)
    crossing = p1 + part * (p2 - p1)
    return 0.5 * (part * min(p1, q1) + crossing + (1.0 - part) * min(p2, q2))


@compiled
def _halve(ours: Any, theirs: Any, width: float, height: float) -> float:
    """Return what `_sum` returns, by sweeps, in boxes that are halved while those take long."""
    found = 0.0
    room = np.empty((2 * max(len(ours), len(theirs)), WORDS))
    waiting = [(ours, theirs, (0.0, 0.0, width, height), 0)]
    while len(waiting) > 0:
        mine, other, box, depth = waiting.pop()
        if len(mine) * len(other) <= _MANY or depth == _DEEPEST:
            found += _sum(mine, len(mine), other, len(other), box[1])
            continue
        swept = _sweep(mine, other, box[1])
        if not np.isnan(swept):
            found += swept
            continue
        if 2 * max(len(mine), len(other)) > len(room):
            room = np.empty((2 * max(len(mine), len(other)), WORDS))
        x0, y0, x1, y1 = box
        x2, y2, x3, y3 = x1, y1, x0, y0
        if x1 - x0 >= y1 - y0:
            x2 = x3 = 0.5 * (x0 + x1)
        else:
            y2 = y3 = 0.5 * (y0 + y1)
        for half in ((x0, y0, x2, y2), (x3, y3, x1, y1)):
            part = _part(mine, half, room)
            if len(part) > 0:
                waiting.append((part, _part(other, half, room), half, depth + 1))
    return found


@compiled
def _part(pieces: Any, box: tuple[float, float, float, float], room: Any) -> Floats:
    """Return the pieces cut to a smaller box."""
    used = 0
    x0, y0, x1, y1 = box
    for k in range(len(pieces)):
        used = cut(
            room, used, pieces[k, LEFT], pieces[k, AT_LEFT], pieces[k, RIGHT], pieces[k, AT_RIGHT],
            pieces[k, SIGN], x0, y0, x1, y1,
        )  # fmt: skip
    made: Floats = room[:used].copy()
    return made
