"""The lattice of a tile: where a point in degrees lies, in units of the tile.

Longitude goes in evenly. Latitude goes by a polynomial around the middle of the tile: in a grid of
degrees that is the grid itself; of spherical Mercator it is the Taylor series, which differs by
less than a thousandth of a unit within the tile, and beyond it the function is worked out. So what
a corner becomes depends on the corner and the tile alone.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from spatial.cells.compiled import compiled
from spatial.drawing.sphere import MERCATOR_END, RADIUS_M

_RADIAN: Final = math.pi / 180.0
# Radians from the middle within which the series is near enough.
_NEAR: Final = 0.05


class Lattice(NamedTuple):
    """A tile's units over degrees.

    Attributes
    ----------
    west, across : float
        Longitude of the left side; units of a degree of longitude.
    middle, low, high : float
        Latitude around which the polynomial is; between which latitudes it is used.
    c0, c1, c2, c3, c4, c5, c6 : float
        Of the polynomial, by degrees from the middle.
    top, down : float
        Beyond it: units from the top of the tile to the equator, and units of a radian.
    end : float
        Latitude north and south of which nothing is drawn.
    """

    west: float
    across: float
    middle: float
    low: float
    high: float
    c0: float
    c1: float
    c2: float
    c3: float
    c4: float
    c5: float
    c6: float
    top: float
    down: float
    end: float


def of_degrees(west: float, north: float, unit: float) -> Lattice:
    """Return the lattice of a tile whose sides are in degrees.

    Parameters
    ----------
    west, north : float
        Corner of the tile, in degrees.
    unit : float
        Degrees of a unit.

    Examples
    --------
    >>> row_of(of_degrees(100.0, 40.0, 0.5), 39.0)
    2.0
    """
    per, far = 1.0 / unit, math.inf
    zero = 0.0
    return Lattice(
        west, per, north, -far, far, zero, -per, zero, zero, zero, zero, zero, zero, zero, far
    )


def of_mercator(west: float, south: float, north: float, unit: float) -> Lattice:
    """Return the lattice of a tile whose sides are in metres of spherical Mercator.

    Parameters
    ----------
    west, south, north : float
        Sides of the tile, in metres.
    unit : float
        Metres of a unit.

    Examples
    --------
    >>> half = math.pi * RADIUS_M
    >>> whole = of_mercator(-half, -half, half, half / 2048)
    >>> round(row_of(whole, 0.0)), round(row_of(whole, 85.0511287798066))
    (2048, 0)
    """
    down = RADIUS_M / unit
    y = (south + north) / 2.0
    latitude = math.atan(math.sinh(y / RADIUS_M))
    reach = min(_NEAR, (north - south) / RADIUS_M)
    s, t = 1.0 / math.cos(latitude), math.tan(latitude)
    # The derivatives of asinh(tan) in turn, by the powers of the tangent that they are made of.
    derivatives = (
        s,
        s * t,
        s * (2 * t**2 + 1),
        s * (6 * t**3 + 5 * t),
        s * (24 * t**4 + 28 * t**2 + 5),
        s * (120 * t**5 + 180 * t**3 + 61 * t),
    )
    c1, c2, c3, c4, c5, c6 = (
        -down * value * _RADIAN**n / math.factorial(n) for n, value in enumerate(derivatives, 1)
    )
    middle = latitude / _RADIAN
    # Of large tiles the series would be too far off at the sides: there is none.
    band = reach / s / _RADIAN * 1.1 if reach < _NEAR else -1.0
    return Lattice(
        west / (RADIUS_M * _RADIAN),
        RADIUS_M * _RADIAN / unit,
        middle,
        middle - band,
        middle + band,
        (north - y) / unit,
        c1,
        c2,
        c3,
        c4,
        c5,
        c6,
        north / unit,
        down,
        MERCATOR_END,
    )


@compiled
def row_of(lattice: Lattice, latitude: float) -> float:
    """Return how many units below the tile's top a latitude lies."""
    if lattice.low <= latitude and latitude <= lattice.high:
        d = latitude - lattice.middle
        rest = lattice.c4 + d * (lattice.c5 + d * lattice.c6)
        return lattice.c0 + d * (lattice.c1 + d * (lattice.c2 + d * (lattice.c3 + d * rest)))
    return lattice.top - lattice.down * math.asinh(math.tan(latitude * _RADIAN))


@compiled
def column_of(lattice: Lattice, longitude: float) -> float:
    """Return how many units right of the tile's left side a longitude lies."""
    return (longitude - lattice.west) * lattice.across
