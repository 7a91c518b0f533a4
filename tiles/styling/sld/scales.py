"""Scale denominators of maps as zooms, and back."""

from __future__ import annotations

import math

# A pixel is 0.28 mm (OGC); at zoom 0 the world's equator has 512 of them.
_AT_ZOOM_0 = 2 * math.pi * 6_378_137 / 512 / 0.000_28
DEEPEST = 24.0


def zoom_of(denominator: float) -> float:
    """Return the zoom at which a map has a scale, at the equator, from 0 to 24.

    >>> zoom_of(279541132.0143589), round(zoom_of(2132.7296), 3)
    (0.0, 17.0)
    """
    if denominator <= 0:
        return DEEPEST
    return round(min(max(math.log2(_AT_ZOOM_0 / denominator), 0.0), DEEPEST), 4)


def denominator_of(zoom: float) -> float:
    """Return the scale denominator of a zoom, at the equator.

    >>> round(denominator_of(17), 1)
    2132.7
    """
    return float(_AT_ZOOM_0 / 2**zoom)
