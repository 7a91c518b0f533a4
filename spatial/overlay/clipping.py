"""Edges of polygons cut to a box, as pieces between its left and right side, above its floor."""

from __future__ import annotations

from typing import Any

from spatial.cells.compiled import compiled

# Words of a piece: its left and right end, the heights there, and its sign
LEFT, RIGHT, AT_LEFT, AT_RIGHT, SIGN, WORDS = 0, 1, 2, 3, 4, 5


@compiled
def clip(
    corners: Any, chains: Any, boxes: Any, groups: Any, group_boxes: Any, turns: Any,
    start: int, end: int, box: tuple[float, float, float, float], pieces: Any,
) -> int:  # fmt: skip
    """Cut a polygon's edges to a box, from whose lower left corner pieces count; return how many.

    What lies above the box becomes part of its upper side; what lies elsewhere goes.
    """
    used = 0
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    for group in range(start, end):
        beside = group_boxes[group, 0] >= x1 or group_boxes[group, 2] <= x0
        if beside or group_boxes[group, 3] <= y0:
            continue
        first, last, turn = groups[group, 0], groups[group, 1], turns[group]
        if group_boxes[group, 1] >= y1:
            a, b = chains[first, 0], chains[last - 1, 1]
            used = _lift(pieces, used, corners[a, 0] - x0, corners[b, 0] - x0, width, height, turn)
            continue
        for chain in range(first, last):
            if boxes[chain, 0] >= x1 or boxes[chain, 2] <= x0 or boxes[chain, 3] <= y0:
                continue
            a, b = chains[chain, 0], chains[chain, 1]
            xa, ya = corners[a, 0] - x0, corners[a, 1] - y0
            if boxes[chain, 1] >= y1:
                used = _lift(pieces, used, xa, corners[b, 0] - x0, width, height, turn)
                continue
            for c in range(a + 1, b + 1):
                xb, yb = corners[c, 0] - x0, corners[c, 1] - y0
                if xa < xb:
                    used = cut(pieces, used, xa, ya, xb, yb, -turn, 0.0, 0.0, width, height)
                elif xb < xa:
                    used = cut(pieces, used, xb, yb, xa, ya, turn, 0.0, 0.0, width, height)
                xa, ya = xb, yb
    return used


@compiled
def _lift(
    pieces: Any, used: int, xa: float, xb: float, width: float, height: float, turn: float
) -> int:
    """Add a chain that lies above the box: all of it is one stretch of the upper side."""
    left, right = max(min(xa, xb), 0.0), min(max(xa, xb), width)
    if not left < right:
        return used
    return _raise(pieces, used, left, right, height, turn if xa > xb else -turn)


@compiled
def cut(
    pieces: Any,
    used: int,
    xl: float,
    yl: float,
    xr: float,
    yr: float,
    sign: float,
    x0: float,
    y0: float,
    x1: float,
    y1: float,
) -> int:
    """Add what is left of an edge, from its left to its right end, in a box."""
    if xr <= x0 or xl >= x1 or (yl <= y0 and yr <= y0):
        return used
    left, right = max(xl, x0), min(xr, x1)
    if yl >= y1 and yr >= y1:
        return _raise(pieces, used, left, right, y1, sign)
    slope = (yr - yl) / (xr - xl)
    low, high = (yl + (left - xl) * slope, yr + (right - xr) * slope)
    if low >= y1 and high >= y1:
        return _raise(pieces, used, left, right, y1, sign)
    if low <= y0 and high <= y0:
        return used
    if low < y0:
        left, low = min(left + (y0 - low) / slope, right), y0
    elif high < y0:
        right, high = max(right + (y0 - high) / slope, left), y0
    if low > y1:
        middle = min(left + (y1 - low) / slope, right)
        used = _raise(pieces, used, left, middle, y1, sign)
        left, low = middle, y1
    elif high > y1:
        middle = max(right + (y1 - high) / slope, left)
        used = _raise(pieces, used, middle, right, y1, sign)
        right, high = middle, y1
    return _add(pieces, used, left, right, low, high, sign)


@compiled
def _raise(pieces: Any, used: int, left: float, right: float, top: float, sign: float) -> int:
    """Add a stretch of the box's upper side, to the last piece where that is such a one too."""
    k = used - 1
    if k < 0 or pieces[k, AT_LEFT] != top or pieces[k, AT_RIGHT] != top:
        return _add(pieces, used, left, right, top, top, sign)
    if pieces[k, SIGN] == sign:
        if pieces[k, RIGHT] == left:
            pieces[k, RIGHT] = right
            return used
        if pieces[k, LEFT] == right:
            pieces[k, LEFT] = left
            return used
        return _add(pieces, used, left, right, top, top, sign)
    # the same way back: what both pass is nothing
    if pieces[k, LEFT] == left:
        sign = pieces[k, SIGN] if pieces[k, RIGHT] > right else sign
        left, right = min(pieces[k, RIGHT], right), max(pieces[k, RIGHT], right)
    elif pieces[k, RIGHT] == right:
        sign = pieces[k, SIGN] if pieces[k, LEFT] < left else sign
        left, right = min(pieces[k, LEFT], left), max(pieces[k, LEFT], left)
    else:
        return _add(pieces, used, left, right, top, top, sign)
    return _add(pieces, k, left, right, top, top, sign)


@compiled
def _add(
    pieces: Any, used: int, left: float, right: float, low: float, high: float, sign: float
) -> int:
    if not left < right:
        return used
    pieces[used, LEFT], pieces[used, RIGHT] = left, right
    pieces[used, AT_LEFT], pieces[used, AT_RIGHT], pieces[used, SIGN] = low, high, sign
    return used + 1
