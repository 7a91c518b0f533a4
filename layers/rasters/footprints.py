"""Where a raster lies: its outline in longitude and latitude, also across 180 degrees."""

from __future__ import annotations

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from shapely.affinity import translate

from layers.errors import BadRaster
from spatial.crs import CRS84, mover
from spatial.errors import SpatialError

# Points on each side of the grid, as a straight side is none in degrees.
_POINTS = 64
# Points that a side does without: they lie within a centimetre of it.
_SPARED = 1e-7
_BEYOND, _FURTHEST = 91.0, 541.0
_WORLD = shapely.box(-180.0, -90.0, 180.0, 90.0)


def footprint(
    name: str, transform: Affine, width: int, height: int, crs: CRS
) -> shapely.MultiPolygon:
    """Return the outline of a grid in longitude and latitude, cut at 180 degrees.

    Parameters
    ----------
    name : str
        Of the file, for messages.
    transform : Affine
        From column and row to coordinates of `crs`, x = east.
    width, height : int
        In pixels.

    Raises
    ------
    BadRaster
        Where the grid lies outside its reference system, or not on the earth.
    """
    columns, rows = _ring(width, height)
    t = transform
    x, y = t.a * columns + t.b * rows + t.c, t.d * columns + t.e * rows + t.f
    lon, lat = _lonlat(name, x, y, crs)
    lon = np.unwrap(lon, period=360.0)
    if abs(lon[-1] - lon[0]) > 180.0:
        return _around_pole(lat)
    outline = shapely.make_valid(shapely.Polygon(np.column_stack([lon, np.clip(lat, -90, 90)])))
    parts = [translate(outline, 360.0 * turn).intersection(_WORLD) for turn in (-1, 0, 1)]
    whole = shapely.union_all([p for part in parts for p in _polygons(part)])
    found = _polygons(whole)
    if not found:
        raise BadRaster(f"{name} covers nothing of the earth; check its transform and its --crs")
    simple = shapely.simplify(shapely.MultiPolygon(found), _SPARED)
    return shapely.MultiPolygon(_polygons(simple))


def _ring(width: int, height: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    along = np.linspace(0.0, 1.0, _POINTS, endpoint=False)
    zero, one = np.zeros(_POINTS), np.ones(_POINTS)
    columns = np.concatenate([along, one, 1 - along, zero, [0.0]]) * width
    rows = np.concatenate([zero, along, one, 1 - along, [0.0]]) * height
    return columns, rows


def _lonlat(
    name: str, x: NDArray[np.float64], y: NDArray[np.float64], crs: CRS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if crs.is_geographic and np.abs(y).max() <= _BEYOND:
        # A grid of centres, or of whole degrees, may reach over a pole by half a pixel.
        y = np.clip(y, -90.0, 90.0)
    try:
        lon, lat = map(np.asarray, mover(crs, CRS84)(x, y))
    except SpatialError as error:
        raise BadRaster(f"{name}: {error}") from None
    sound = np.isfinite(lon).all() and np.isfinite(lat).all()
    if not sound or np.abs(lat).max() > _BEYOND or np.abs(lon).max() > _FURTHEST:
        raise BadRaster(
            f"{name} reaches from x {x.min():.10g} to {x.max():.10g}, y {y.min():.10g} to "
            f"{y.max():.10g}, which lies outside {crs.name}; check its transform and its --crs"
        )
    return lon, lat


def _around_pole(lat: NDArray[np.float64]) -> shapely.MultiPolygon:
    """A grid with a pole inside: all longitudes from its lowest latitude on."""
    south, north = (float(lat.min()), 90.0) if lat.mean() > 0 else (-90.0, float(lat.max()))
    return shapely.MultiPolygon([shapely.box(-180.0, south, 180.0, north)])


def _polygons(shape: shapely.Geometry) -> list[shapely.Polygon]:
    return [p for p in shapely.get_parts(shape) if p.geom_type == "Polygon" and p.area > 0]
