"""On which side of a line a point lies, exactly: a floating-point filter, then double-double.

The filter's bound is that of Ozaki, Bünger, Ogita, Oishi and Rump, *Simple floating-point filters
for the two-dimensional orientation problem*, BIT 56 (2016); the double-double arithmetic is
Dekker's (1971) and Knuth's. GEOS decides by the same two steps, so that both agree on every
point, beside an edge or upon it.
"""

from __future__ import annotations

from typing import Final

from spatial.cells.compiled import compiled

_FILTER: Final = 3.3306690621773724e-16
_SPLIT: Final = 134217729.0  # 2**27 + 1


@compiled
def side(ax: float, ay: float, bx: float, by: float, x: float, y: float) -> int:
    """Return 1 where (x, y) lies left of the line from a to b, -1 right of it, 0 on it.

    Examples
    --------
    >>> side(0.0, 0.0, 3.0, 1.0, 1.5, 0.5), side(0.0, 0.0, 3.0, 1.0, 1.5, 0.5000000000000001)
    (0, 1)
    """
    left = (ax - x) * (by - y)
    right = (ay - y) * (bx - x)
    found = left - right
    if abs(found) >= abs(left + right) * _FILTER:
        return (1 if found > 0.0 else 0) - (1 if found < 0.0 else 0)
    return _side_of_doubles(ax, ay, bx, by, x, y)


@compiled
def left_of(x1: float, y1: float, x2: float, y2: float, x: float, y: float) -> bool:
    """Return whether a point lies left of an edge; upon one that is level counts as above it."""
    found = side(x1, y1, x2, y2, x, y)
    return found > 0 or (found == 0 and y1 == y2)


@compiled
def _side_of_doubles(ax: float, ay: float, bx: float, by: float, x: float, y: float) -> int:
    first, first_low = _times(*_minus(bx, ax), *_minus(y, by))
    second, second_low = _times(*_minus(by, ay), *_minus(x, bx))
    high, low = _minus(first, second)
    rest, rest_low = _minus(first_low, second_low)
    low += rest
    high, low = _renew(high, low)
    high, low = _renew(high, low + rest_low)
    found = high if high != 0.0 else low
    return (1 if found > 0.0 else 0) - (1 if found < 0.0 else 0)


@compiled
def _minus(a: float, b: float) -> tuple[float, float]:
    """Return a - b and what rounding cut off of it."""
    whole = a - b
    part = whole - a
    return whole, (a - (whole - part)) - (b + part)


@compiled
def _renew(high: float, low: float) -> tuple[float, float]:
    whole = high + low
    return whole, low - (whole - high)


@compiled
def _times(a: float, a_low: float, b: float, b_low: float) -> tuple[float, float]:
    product = a * b
    scaled = _SPLIT * a
    a_high = scaled - (scaled - a)
    scaled = _SPLIT * b
    b_high = scaled - (scaled - b)
    a_rest, b_rest = a - a_high, b - b_high
    cut = ((a_high * b_high - product) + a_high * b_rest + a_rest * b_high) + a_rest * b_rest
    return _renew(product, cut + (a * b_low + a_low * b))
