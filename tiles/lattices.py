"""The lattice of a tile: how large its unit is, and how large a stored thing is in such units.

What is drawn and what is counted goes by the size of a version in units. It is worked out from the
box of the stored geometry alone, so that it is the same in each tile that the version meets.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from pyproj import CRS

from layers.model import Schema
from layers.reading.inputs import given
from spatial.crs import parse_crs
from tiles.grids import Place

# Metres along a meridian, or the equator, of a degree on the sphere of the web's Mercator.
_DEGREE_M = math.pi * 6378137.0 / 180.0
# Beyond this latitude the web's Mercator has no place.
_MERCATOR_END = 85.06
UNIT = "in_tileunit"
# Drawn beyond the tile's edge, in its units, so that outlines and symbols join.
BUFFER = 64


def size_in_units(geom: Any, schema: Schema, where: Place, unit: float) -> sa.ColumnElement[float]:
    """Return the larger side of a stored geometry's box, in units of a tile.

    Parameters
    ----------
    geom : column
        In the storage reference system.
    unit : float
        Side of a unit in the tile's reference system.

    Notes
    -----
    Between degrees and metres it is the sphere's, at the thing's own latitude where that is stored
    and at the middle of the system's area where it is not: what decides what is drawn must not
    depend on the tile.
    """
    per_unit = given(UNIT, 1.0 / unit, sa.Double)
    wide = sa.func.ST_XMax(geom) - sa.func.ST_XMin(geom)
    high = sa.func.ST_YMax(geom) - sa.func.ST_YMin(geom)
    x, y = _factors(geom, schema.crs, bool(where.crs.is_geographic))
    return sa.func.greatest(wide * x, high * y) * per_unit


def _factors(geom: Any, storage: str, to_degrees: bool) -> tuple[Any, Any]:
    """How many of the tile's measures go into one of storage, east and north."""
    degrees, metres, latitude = _measures(storage)
    if degrees and to_degrees:
        return _constant(1.0), _constant(1.0)
    if degrees:
        middle = (sa.func.ST_YMax(geom) + sa.func.ST_YMin(geom)) / 2.0
        bounded = sa.func.least(sa.func.abs(middle), _constant(_MERCATOR_END))
        # Typed, or it would be divided by as a decimal number, which takes a hundred times as long.
        stretch = sa.func.cos(sa.func.radians(bounded), type_=sa.Double)
        return _constant(_DEGREE_M), _constant(_DEGREE_M) / stretch
    stretched = metres / math.cos(math.radians(latitude))
    if to_degrees:
        return _constant(stretched / _DEGREE_M), _constant(metres / _DEGREE_M)
    return _constant(stretched), _constant(stretched)


@lru_cache(maxsize=256)
def _measures(storage: str) -> tuple[bool, float, float]:
    """Whether a system has degrees; metres of its unit; the latitude of its middle."""
    crs = parse_crs(storage)
    area = crs.area_of_use
    latitude = 0.0 if area is None else (area.south + area.north) / 2.0
    bounded = max(-_MERCATOR_END, min(_MERCATOR_END, latitude))
    return bool(crs.is_geographic), _metres_of(crs), bounded


def _metres_of(crs: CRS) -> float:
    return float(crs.axis_info[0].unit_conversion_factor) if crs.is_projected else 1.0


def _constant(number: float) -> sa.ColumnElement[float]:
    return sa.literal_column(repr(number), sa.Double)
