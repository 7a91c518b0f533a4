"""The tile matrix sets that are offered, and where a tile of one lies.

``WebMercatorQuad`` and ``WorldCRS84Quad`` are the registered ones, as morecantile has them.
``CGCS2000Quad`` is ours: the OGC's register holds none of CGCS2000, so it is WorldCRS84Quad over
EPSG:4490, which writes latitude first. ``Tianditu_c`` and ``Tianditu_w`` are the two grids of
天地图, in degrees of CGCS2000 and in spherical Mercator, whose levels begin at 1. 天地图 publishes
scale denominators of a screen of 96 dots an inch; those here are of the OGC's pixel of 0.28 mm, by
which clients work out the same resolutions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import morecantile
from morecantile import TileMatrixSet
from pyproj import CRS

from spatial.crs import CRS84, mover, parse_crs
from spatial.drawing.sphere import DEGREE_M, SIDE_M, SQUARE_END
from tiles.errors import TileOutside, UnknownMatrixSet

OFFERED = ("WebMercatorQuad", "WorldCRS84Quad", "CGCS2000Quad", "Tianditu_c", "Tianditu_w")
# Beyond this a tile is smaller than a stride; MapLibre draws deeper zooms from it.
DEEPEST = 22
# In which the coordinates of a tile are written.
UNITS = 4096

Box = tuple[float, float, float, float]
_REGISTERED = ("WebMercatorQuad", "WorldCRS84Quad")
_PIXEL_M = 0.00028


@dataclass(frozen=True, slots=True)
class Place:
    """One tile: its matrix set, its address and its bounds in the set's CRS.

    Attributes
    ----------
    zoom : int
        The identifier of its matrix.
    bounds : tuple of four floats
        West, south, east, north, whatever the authority's order; in metres for WebMercatorQuad.
    """

    matrix_set: TileMatrixSet
    zoom: int
    row: int
    column: int
    bounds: Box
    crs: CRS

    @property
    def unit(self) -> float:
        """How long 1/4096 of the tile's side is, in units of the CRS."""
        return (self.bounds[2] - self.bounds[0]) / UNITS

    @property
    def scale(self) -> int:
        """The zoom of WebMercatorQuad that shows the equator as large: content goes by it.

        >>> place("WorldCRS84Quad", 0, 0, 1).scale, place("Tianditu_c", 7, 0, 0).scale
        (1, 7)
        """
        return self.zoom + grid(str(self.matrix_set.id)).shift


@dataclass(frozen=True, slots=True)
class Grid:
    """A matrix set as numbers: tiles of a matrix are squares of half the side of the one before.

    Attributes
    ----------
    first, last : int
        Identifiers of the first and the last matrix that is offered.
    columns, rows : int
        Of the first matrix.
    west, north : float
        The corner in which the rows and columns begin, in units of the CRS.
    side : float
        Of a tile of the first matrix.
    shift : int
        What a matrix adds to its identifier to be a zoom of WebMercatorQuad.
    """

    matrix_set: TileMatrixSet
    crs: CRS
    first: int
    last: int
    columns: int
    rows: int
    west: float
    north: float
    side: float
    shift: int

    def size(self, zoom: int) -> tuple[int, int]:
        """Return how many rows and columns a matrix has."""
        return self.rows << (zoom - self.first), self.columns << (zoom - self.first)

    def bounds(self, zoom: int, row: int, column: int) -> Box:
        """Return west, south, east and north of a tile; neighbours share their edges exactly."""
        side = self.side / (1 << (zoom - self.first))
        west, north = self.west + column * side, self.north - row * side
        return west, self.north - (row + 1) * side, self.west + (column + 1) * side, north

    def covering(self, zoom: int, box: Box) -> tuple[int, int, int, int]:
        """Return the first and last row and the first and last column that a box meets.

        Parameters
        ----------
        box : tuple of four floats
            In units of the CRS, x to the east; what lies outside the matrix is passed over.
        """
        side, (rows, columns) = self.side / (1 << (zoom - self.first)), self.size(zoom)

        def within(number: float, most: int) -> int:
            return max(0, min(most - 1, math.floor(number)))

        return (
            within((self.north - box[3]) / side, rows),
            within((self.north - box[1]) / side, rows),
            within((box[0] - self.west) / side, columns),
            within((box[2] - self.west) / side, columns),
        )


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
    if name in _REGISTERED:
        return morecantile.tms.get(name)
    return TileMatrixSet.model_validate(_OURS[name] | {"id": name})


@cache
def grid(name: str) -> Grid:
    """Return a tile matrix set as numbers.

    Raises
    ------
    UnknownMatrixSet

    Examples
    --------
    >>> grid("Tianditu_c").side
    180.0
    """
    tiling = matrix_set(name)
    crs = parse_crs(CRS84 if name == "WorldCRS84Quad" else CRS.from_wkt(tiling.crs.to_wkt()))
    top = tiling.tileMatrices[0]
    first, degrees = int(top.id), crs.is_geographic
    # All begin at the north-western corner of the world; of full precision, other than the
    # registered definitions, so that neighbours and parents have the very same edges.
    west, north = (-180.0, 90.0) if degrees else (-SIDE_M, SIDE_M)
    side = -2 * west / top.matrixWidth
    shift = round(math.log2(top.matrixWidth)) - first
    last = min(DEEPEST - shift, int(tiling.tileMatrices[-1].id))
    return Grid(
        tiling, crs, first, last, top.matrixWidth, top.matrixHeight, west, north, side, shift
    )


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
    tiling = grid(name)
    if not tiling.first <= zoom <= tiling.last:
        raise TileOutside(f"zoom {zoom} is not offered; {tiling.first} to {tiling.last} are")
    rows, columns = tiling.size(zoom)
    if not (0 <= row < rows and 0 <= column < columns):
        raise TileOutside(
            f"row {row}, column {column} lie outside zoom {zoom}, which has "
            f"{rows} rows and {columns} columns"
        )
    bounds = tiling.bounds(zoom, row, column)
    return Place(tiling.matrix_set, zoom, row, column, bounds, tiling.crs)


def to_grid(name: str, lonlat: Box) -> Box:
    """Return a box in longitude and latitude as one in the CRS of a matrix set.

    Where it crosses 180 degrees it is as wide as the world.

    >>> [round(n) for n in to_grid("WebMercatorQuad", (0, 0, 180, 90))]
    [0, 0, 20037508, 20037508]
    """
    west, south, east, north = lonlat
    if west > east:
        west, east = -180.0, 180.0
    tiling = grid(name)
    if not tiling.crs.is_geographic:
        south, north = (max(-SQUARE_END, min(SQUARE_END, n)) for n in (south, north))
    x, y = mover(CRS84, tiling.crs)([west, east], [south, north])
    return float(x[0]), float(y[0]), float(x[1]), float(y[1])


def _matrices(
    *, first: int, last: int, cell: float, unit_m: float, origin: list[float], wide: int, high: int
) -> list[dict[str, Any]]:
    """Matrices of tiles of 256 pixels, each of half the cells of the one before."""
    return [
        {
            "id": str(first + n),
            "scaleDenominator": cell / 2**n * unit_m / _PIXEL_M,
            "cellSize": cell / 2**n,
            "cornerOfOrigin": "topLeft",
            "pointOfOrigin": origin,
            "tileWidth": 256,
            "tileHeight": 256,
            "matrixWidth": wide << n,
            "matrixHeight": high << n,
        }
        for n in range(last - first + 1)
    ]


_EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
_DEGREES: dict[str, Any] = {
    "cell": 0.703125,
    "unit_m": DEGREE_M,
    "origin": [90.0, -180.0],
    "wide": 2,
    "high": 1,
}
_METRES: dict[str, Any] = {
    "cell": 2 * SIDE_M / 512,
    "unit_m": 1.0,
    "origin": [-SIDE_M, SIDE_M],
    "wide": 2,
    "high": 2,
}
_LATITUDE_FIRST = {"crs": f"{_EPSG}4490", "orderedAxes": ["Lat", "Lon"]}
_OURS: dict[str, dict[str, Any]] = {
    "CGCS2000Quad": {
        "title": "CGCS2000 for the World · 2000 国家大地坐标系经纬度",
        **_LATITUDE_FIRST,
        "tileMatrices": _matrices(first=0, last=23, **_DEGREES),
    },
    "Tianditu_c": {
        "title": "天地图经纬度 · Tianditu c, degrees of CGCS2000",
        **_LATITUDE_FIRST,
        "tileMatrices": _matrices(first=1, last=18, **_DEGREES),
    },
    "Tianditu_w": {
        "title": "天地图球面墨卡托 · Tianditu w, spherical Mercator",
        "crs": f"{_EPSG}3857",
        "orderedAxes": ["X", "Y"],
        "tileMatrices": _matrices(first=1, last=18, **_METRES),
    },
}
