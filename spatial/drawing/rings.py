"""Rings on a lattice: cut at a line, freed of what has no area, and looked at for crossings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spatial.cells.compiled import compiled

Floats = NDArray[np.float64]


@compiled
def cut(
    ring: Floats, count: int, into: Floats, axis: int, sign: float, bound: float, whole: bool
) -> int:
    """Keep what of a ring lies on one side of a line along an axis (Sutherland and Hodgman).

    Parameters
    ----------
    ring : array of (x, y)
        Of which the first `count` are its corners.
    into : array of (x, y)
        Where those that remain are written; room for two for each.
    axis, sign, bound : int, float, float
        What has ``sign * value <= sign * bound`` is kept.
    whole : bool
        Whether new corners are rounded to whole numbers.

    Returns
    -------
    int
        How many corners remain.

    Examples
    --------
    >>> into = np.empty((8, 2))
    >>> square = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]])
    >>> into[: cut(square, 4, into, 0, 1.0, 2.0, True)].tolist()
    [[0.0, 0.0], [2.0, 0.0], [2.0, 4.0], [0.0, 4.0]]
    """
    found = 0
    last = count - 1
    for k in range(count):
        before, here = sign * (ring[last, axis] - bound), sign * (ring[k, axis] - bound)
        if (before < 0.0 and here > 0.0) or (before > 0.0 and here < 0.0):
            other = crossing(
                ring[last, axis], ring[last, 1 - axis], ring[k, axis], ring[k, 1 - axis], bound
            )
            into[found, axis] = bound
            into[found, 1 - axis] = np.rint(other) if whole else other
            found += 1
        if here <= 0.0:
            into[found, 0], into[found, 1] = ring[k, 0], ring[k, 1]
            found += 1
        last = k
    return found


@compiled
def crossing(a: float, a_other: float, b: float, b_other: float, bound: float) -> float:
    """Return where a side meets a line; the same from whichever end one begins.

    Examples
    --------
    >>> crossing(0.0, 0.0, 3.0, 1.0, 1.0) == crossing(3.0, 1.0, 0.0, 0.0, 1.0)
    True
    """
    if a > b:
        a, a_other, b, b_other = b, b_other, a, a_other
    return a_other + (bound - a) / (b - a) * (b_other - a_other)


@compiled
def clean(ring: Floats, count: int) -> tuple[int, int]:
    """Take out, in place, corners that say nothing: repeated, amid a straight side, on a spike.

    Returns
    -------
    tuple of int
        The first corner that remains, and the one after the last; fewer than three are none.

    Examples
    --------
    >>> ring = np.array([[0.0, 0], [2, 0], [4, 0], [4, 4], [9, 9], [4, 4], [0, 4], [0, 4]])
    >>> first, end = clean(ring, 8)
    >>> ring[first:end].tolist()
    [[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]]
    """
    end = 0
    for k in range(count):
        x, y = ring[k, 0], ring[k, 1]
        while end >= 2 and turn(ring, end - 2, end - 1, x, y) == 0.0:
            end -= 1
        if end >= 1 and ring[end - 1, 0] == x and ring[end - 1, 1] == y:
            continue
        ring[end, 0], ring[end, 1] = x, y
        end += 1
    first = 0
    while end - first >= 3:
        x, y = ring[first, 0], ring[first, 1]
        if turn(ring, end - 2, end - 1, x, y) == 0.0:
            end -= 1
        elif turn(ring, end - 1, first, ring[first + 1, 0], ring[first + 1, 1]) == 0.0:
            first += 1
        else:
            break
    return (first, end) if end - first >= 3 else (0, 0)


@compiled
def turn(ring: Floats, a: int, b: int, x: float, y: float) -> float:
    """Return twice the area of the triangle of two corners and a point: exact on a lattice."""
    ax, ay = ring[a, 0], ring[a, 1]
    found: float = (ring[b, 0] - ax) * (y - ay) - (ring[b, 1] - ay) * (x - ax)
    return found


@compiled
def area(ring: Floats, first: int, end: int) -> float:
    """Return twice the area of a ring; positive where the tile's y axis, downward, sees it so.

    Examples
    --------
    >>> area(np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]]), 0, 4)
    8.0
    """
    found = 0.0
    x0, y0 = ring[first, 0], ring[first, 1]
    for k in range(first + 1, end - 1):
        ax, ay = ring[k, 0] - x0, ring[k, 1] - y0
        found += ax * (ring[k + 1, 1] - y0) - ay * (ring[k + 1, 0] - x0)
    return found


@compiled
def reverse(ring: Floats, first: int, end: int) -> None:
    """Turn a ring round, in place."""
    end -= 1
    while first < end:
        x, y = ring[first, 0], ring[first, 1]
        ring[first, 0], ring[first, 1] = ring[end, 0], ring[end, 1]
        ring[end, 0], ring[end, 1] = x, y
        first, end = first + 1, end - 1


@compiled
def is_simple(ring: Floats, first: int, end: int) -> bool:
    """Return whether no two sides of a clean ring meet but in the corner that they share.

    Examples
    --------
    >>> is_simple(np.array([[0.0, 0.0], [4.0, 4.0], [4.0, 0.0], [0.0, 4.0]]), 0, 4)
    False
    """
    count = end - first
    if count < 4:
        return True
    for k in range(count - 2):
        a, b = first + k, first + k + 1
        ax, ay, bx, by = ring[a, 0], ring[a, 1], ring[b, 0], ring[b, 1]
        left, right = min(ax, bx), max(ax, bx)
        low, high = min(ay, by), max(ay, by)
        # The last side leads to the first corner.
        for m in range(k + 2, count if k > 0 else count - 1):
            c = first + m
            d = first + (m + 1 if m + 1 < count else 0)
            cx, cy, dx, dy = ring[c, 0], ring[c, 1], ring[d, 0], ring[d, 1]
            if max(cx, dx) < left or min(cx, dx) > right:
                continue
            if max(cy, dy) < low or min(cy, dy) > high:
                continue
            if turn(ring, a, b, cx, cy) * turn(ring, a, b, dx, dy) > 0.0:
                continue
            if turn(ring, c, d, ax, ay) * turn(ring, c, d, bx, by) > 0.0:
                continue
            return False
    return True
