"""The sphere of the web's Mercator."""

from __future__ import annotations

import math
from typing import Final

RADIUS_M: Final = 6378137.0
# From the middle of its square to a side; the latitude at which that ends.
SIDE_M: Final = math.pi * RADIUS_M
SQUARE_END: Final = math.degrees(math.atan(math.sinh(math.pi)))
# Where geometries are cut off: a little beyond, so that what lies at the square's side is whole.
MERCATOR_END: Final = 85.06
# Along a meridian, or the equator.
DEGREE_M: Final = SIDE_M / 180.0
