"""Which tiles are asked for: those around the place where parcels stand closest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import psycopg
from served.questions import TABLE

from tiles.grids import Place, place

GRID = "WebMercatorQuad"
_DEEPEST = 17
_HALF = 20037508.342789244
# A tile with less than this share of the fullest one's parcels is at the edge of the city.
_FULL = 0.1
_COUNT = """
SELECT floor((ST_X(at) + {half}) / {side})::int, floor(({half} - ST_Y(at)) / {side})::int, count(*)
FROM (SELECT ST_Transform(ST_PointOnSurface(ST_Envelope(_geom)), 3857) AS at FROM {table}) AS points
GROUP BY 1, 2
"""

Cell = tuple[int, int]


@dataclass(frozen=True)
class Map:
    """How many parcels lie in each tile, counted once by their middles.

    Attributes
    ----------
    cells : Counter of (column, row)
        Of the deepest zoom that is counted.
    """

    cells: Counter[Cell]

    def at(self, zoom: int) -> Counter[Cell]:
        """Return the number of parcels of each tile of a zoom that has any."""
        up = _DEEPEST - zoom
        found: Counter[Cell] = Counter()
        for (column, row), number in self.cells.items():
            found[column >> up, row >> up] += number
        return found

    def densest(self, zoom: int) -> Place:
        """Return the tile of a zoom with the most parcels, at or about the densest place."""
        return self.around(zoom, 1)[0]

    def around(self, zoom: int, number: int) -> list[Place]:
        """Return the tiles nearest to the densest place that are not at the city's edge."""
        found = self.at(zoom)
        middle = self.at(min(zoom + 1, _DEEPEST)).most_common(1)[0][0]
        half = 1 if zoom < _DEEPEST else 0
        x, y = ((n + 0.5) / (1 << half) for n in middle)
        most = max(found.values())
        full = [cell for cell, parcels in found.items() if parcels >= _FULL * most]
        full.sort(key=lambda cell: (max(abs(cell[0] + 0.5 - x), abs(cell[1] + 0.5 - y)), cell))
        return [place(GRID, zoom, row, column) for column, row in full[:number]]


def read_map(connection: psycopg.Connection) -> Map:
    """Count the parcels of each tile."""
    side = 2 * _HALF / (1 << _DEEPEST)
    rows = connection.execute(_COUNT.format(half=_HALF, side=side, table=TABLE)).fetchall()
    return Map(Counter({(column, row): number for column, row, number in rows}))


def named(where: Place) -> str:
    """Return how a tile is written: zoom/column/row."""
    return f"{where.zoom}/{where.column}/{where.row}"
