"""GCJ-02 and BD-09, the shifted longitudes and latitudes of Chinese web maps, and the way back."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CHINA: Final = (72.004, 0.8293, 137.8347, 55.8271)
"""West, south, east and north of the box in which coordinates are shifted, in degrees."""

# The ellipsoid of Krasovsky 1940, in which the shift was written down.
_A: Final = 6378245.0
_E2: Final = 0.00669342162296594323
# What a step of BD-09's waves is, in radians a degree.
_WAVE: Final = np.pi * 3000.0 / 180.0
# 1e-12 degrees are a ten-thousandth of a millimetre; each round gains at least one decimal.
_CLOSE: Final = 1e-12
_MOST_ROUNDS: Final = 40


class Shift(StrEnum):
    """What was done to longitudes and latitudes of WGS 84."""

    GCJ02 = "gcj02"
    BD09 = "bd09"


MIDDLE_OFF_M: Final = {Shift.GCJ02: 0.25, Shift.BD09: 4.0}
"""By how much the middle of an edge of 1 km may be off that is moved by its ends, in metres."""


def parse_shift(name: str) -> Shift | None:
    """Return the shift of that name, None where it names none.

    Examples
    --------
    >>> parse_shift("GCJ-02"), parse_shift("bd09"), parse_shift("EPSG:4490")
    (<Shift.GCJ02: 'gcj02'>, <Shift.BD09: 'bd09'>, None)
    """
    plain = name.strip().lower().replace("-", "")
    return Shift(plain) if plain in tuple(Shift) else None


def shift(lon: Any, lat: Any, kind: Shift) -> tuple[Floats, Floats]:
    """Shift longitudes and latitudes of WGS 84, as a web map of China would show them.

    Parameters
    ----------
    lon, lat : array_like of float, shape (n,)
        In degrees. Outside the box `CHINA` they stay as they are.
    kind : Shift
        To what.

    Returns
    -------
    pair of ndarray of float64, shape (n,)

    Notes
    -----
    Those who apply the shifts never published them. These are the formulae that have gone round
    since about 2010 (GCJ-02 came to light in the project on4wp7); one comparison with what a map
    service answers found them 3.4 m off in the mean (github.com/vistawn/eviltransform_extra).

    Examples
    --------
    >>> lon, lat = shift([116.404], [39.915], Shift.GCJ02)
    >>> f"{lon[0]:.8f} {lat[0]:.8f}"
    '116.41024450 39.91640428'
    """
    x, y = np.atleast_1d(np.asarray(lon, float)), np.atleast_1d(np.asarray(lat, float))
    inside = _inside(x, y)
    moved_x, moved_y = x.copy(), y.copy()
    moved_x[inside], moved_y[inside] = _shift(x[inside], y[inside], kind)
    return moved_x, moved_y


def unshift(lon: Any, lat: Any, kind: Shift) -> tuple[Floats, Floats]:
    """Return the longitudes and latitudes of WGS 84 that a shift has made these of.

    Exact to far less than a millimetre as far as the formulae go: what is found gives these again
    when it is shifted. Within 1 km of the box's edge nothing can tell what was shifted.

    Parameters
    ----------
    lon, lat : array_like of float, shape (n,)
        In degrees, as the map has them. Outside the box `CHINA` they stay as they are.
    kind : Shift
        Which.

    Returns
    -------
    pair of ndarray of float64, shape (n,)

    Examples
    --------
    >>> lon, lat = unshift([116.41024449916938], [39.91640428150164], Shift.GCJ02)
    >>> f"{lon[0]:.9f} {lat[0]:.9f}"
    '116.404000000 39.915000000'
    """
    x, y = np.atleast_1d(np.asarray(lon, float)), np.atleast_1d(np.asarray(lat, float))
    inside = _inside(x, y)
    true_x, true_y = x.copy(), y.copy()
    true_x[inside], true_y[inside] = _unshift(x[inside], y[inside], kind)
    return true_x, true_y


def _inside(x: Floats, y: Floats) -> NDArray[np.bool_]:
    west, south, east, north = CHINA
    inside: NDArray[np.bool_] = (x >= west) & (x <= east) & (y >= south) & (y <= north)
    return inside


def _unshift(x: Floats, y: Floats, kind: Shift) -> tuple[Floats, Floats]:
    """Solve shift(u, v) = (x, y)."""
    u, v = x.copy(), y.copy()
    # The shift changes so little from place to place that what differs vanishes, taken off again
    # and again.
    for _ in range(_MOST_ROUNDS):
        got_x, got_y = _shift(u, v, kind)
        u, v = u + (x - got_x), v + (y - got_y)
        if max(np.abs(x - got_x).max(initial=0), np.abs(y - got_y).max(initial=0)) < _CLOSE:
            break
    return u, v


def _shift(x: Floats, y: Floats, kind: Shift) -> tuple[Floats, Floats]:
    x, y = _to_gcj02(x, y)
    return _to_bd09(x, y) if kind is Shift.BD09 else (x, y)


def _to_gcj02(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    x, y = lon - 105.0, lat - 35.0
    root, both = np.sqrt(np.abs(x)), _waves(x, (6, 20), (2, 20))
    east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root
    east += both + _waves(x, (1, 20), (1 / 3, 40), (1 / 12, 150), (1 / 30, 300))
    north = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root
    north += both + _waves(y, (1, 20), (1 / 3, 40), (1 / 12, 160), (1 / 30, 320))
    phi = np.radians(lat)
    w2 = 1 - _E2 * np.sin(phi) ** 2
    # Metres to degrees, by the radii of curvature across and along the meridian.
    to_lon = np.degrees(east / (_A / np.sqrt(w2) * np.cos(phi)))
    to_lat = np.degrees(north / (_A * (1 - _E2) / w2**1.5))
    return lon + to_lon, lat + to_lat


def _waves(degrees: Floats, *waves: tuple[float, float]) -> Floats:
    """Return the sum of waves of so many half turns a degree, and so high."""
    total = np.zeros_like(degrees)
    for turns, height in waves:
        total += height * np.sin(turns * np.pi * degrees)
    return total * 2 / 3


def _to_bd09(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    radius = np.hypot(lon, lat) + 2e-5 * np.sin(lat * _WAVE)
    angle = np.arctan2(lat, lon) + 3e-6 * np.cos(lon * _WAVE)
    return radius * np.cos(angle) + 0.0065, radius * np.sin(angle) + 0.006
