"""The tile matrix sets that are offered, and where a tile of one lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import morecantile
from morecantile import TileMatrixSet
from pyproj import CRS

from tiles.errors import TileOutside, UnknownMatrixSet

OFFERED = ("WebMercatorQuad",)
# Beyond this a tile is smaller than a stride; MapLibre draws deeper zooms from it.
DEEPEST = 22


@dataclass(frozen=True, slots=True)
class Place:
    """One tile: its matrix set, its address and its bounds in the set's CRS.

    Attributes
    ----------
    bounds : tuple of four floats
        West, south, east, north, in metres for WebMercatorQuad.
    """

    matrix_set: TileMatrixSet
    zoom: int
    row: int
    column: int
    bounds: tuple[float, float, float, float]
    crs: CRS

    @property
    def unit(self) -> float:
        """Side of one of the tile's 4096 units, in the measure of the reference system."""
        return (self.bounds[2] - self.bounds[0]) / 4096

    @property
    def scale(self) -> int:
        """The zoom of the web's Mercator grid that comes nearest."""
        return self.zoom


@cache
def matrix_set(name: str) -> TileMatrixSet:
    """Return a tile matrix set that is offered.

    Raises
    ------
    UnknownMatrixSet
        Naming those that are.

    Examples
    --------
    >>> matrix_set("WebMercatorQuad").minzoom
    0
    """
    if name not in OFFERED:
        raise UnknownMatrixSet(f"no tile matrix set {name!r}; there are: {', '.join(OFFERED)}")
    return morecantile.tms.get(name)


def place(name: str, zoom: int, row: int, column: int) -> Place:
    """Return where a tile lies.

    Raises
    ------
    UnknownMatrixSet, TileOutside

    Examples
    --------
    >>> place("WebMercatorQuad", 0, 0, 0).bounds[2].__round__()
    20037508
    """
    tiling = matrix_set(name)
    if not 0 <= zoom <= DEEPEST:
        raise TileOutside(f"zoom {zoom} is not offered; 0 to {DEEPEST} are")
    matrix = tiling.matrix(zoom)
    if not (0 <= row < matrix.matrixHeight and 0 <= column < matrix.matrixWidth):
        raise TileOutside(
            f"row {row}, column {column} lie outside zoom {zoom}, which has "
            f"{matrix.matrixHeight} rows and {matrix.matrixWidth} columns"
        )
    box = tiling.xy_bounds(morecantile.Tile(x=column, y=row, z=zoom))
    bounds = (box.left, box.bottom, box.right, box.top)
    return Place(tiling, zoom, row, column, bounds, CRS.from_wkt(tiling.crs.to_wkt()))
