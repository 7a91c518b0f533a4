"""Every kernel of drawing called once, with what it is called with by tiles."""

from __future__ import annotations

import numpy as np
import shapely

from spatial.drawing.cells import counted
from spatial.drawing.encoding import LINE, POINT, POLYGON, encode
from spatial.drawing.lattices import of_degrees
from spatial.drawing.lines import draw_lines
from spatial.drawing.mending import mend
from spatial.drawing.polygons import draw_polygons


def draw_once() -> int:
    """Draw a bow tie, a line and a count; return how many bytes they are.

    Examples
    --------
    >>> draw_once() > 0
    True
    """
    lattice = of_degrees(0.0, 1.0, 1 / 4096)
    bow = shapely.Polygon([(0.1, 0.1), (0.3, 0.3), (0.3, 0.1), (0.1, 0.3)])
    line = shapely.LineString([(0.1, 0.1), (0.2, 0.3)])
    tags = np.zeros((1, 1), np.int32)
    # As they come from the database: bytes that nobody writes.
    areas, lines = (np.frombuffer(shapely.to_wkb(s, byte_order=1), np.uint8) for s in (bow, line))
    drawn = mend(draw_polygons(areas, 1, lattice, -64.0, 4160.0))
    cells, _ = counted(np.array([[0.5, 0.5]]), True, (0.0, 1.0), 1 / 64, 64, 64)
    made = [
        encode(drawn, POLYGON, tags),
        encode(draw_lines(lines, 1, lattice, -64.0, 4160.0), LINE, tags),
        encode(cells, POINT, tags),
    ]
    return sum(map(len, made))
