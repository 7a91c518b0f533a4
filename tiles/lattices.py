"""The lattice of a tile: how large a stored thing is in its units, and where it lies in them.

What is drawn and what is counted goes by the size of a version in units. It is worked out from the
box of the stored geometry alone, so that it is the same in each tile that the version meets.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from pyproj import CRS

from layers.model import Layer, Schema
from layers.reading.boxes import Box
from layers.reading.forms import srid_of_crs
from layers.reading.inputs import given
from layers.tables import srid_of
from spatial.crs import parse_crs
from spatial.drawing.sphere import DEGREE_M, MERCATOR_END, RADIUS_M, SIDE_M
from tiles.content import CELL, EXTENT
from tiles.grids import Place

UNIT = "in_tileunit"
# Drawn beyond the tile's edge, in its units, so that outlines and symbols join.
BUFFER = 64
_ENVELOPE = ("in_tilewest", "in_tilesouth", "in_tileeast", "in_tilenorth")
_MERCATOR = 3857
# Degrees that the web's Mercator shows.
_MERCATOR_BOX = (-180.0, -MERCATOR_END, 180.0, MERCATOR_END)


def size_in_units(geom: Any, schema: Schema, where: Place) -> sa.ColumnElement[float]:
    """Return the larger side of a stored geometry's box, in units of a tile.

    Parameters
    ----------
    geom : column
        In the storage reference system.

    Notes
    -----
    Between degrees and metres it is the sphere's, at the thing's own latitude where that is stored
    and at the middle of the system's area where it is not: what decides what is drawn must not
    depend on the tile.
    """
    per_unit = units(where)
    wide = sa.func.ST_XMax(geom) - sa.func.ST_XMin(geom)
    high = sa.func.ST_YMax(geom) - sa.func.ST_YMin(geom)
    x, y = _factors(geom, schema.crs, bool(where.crs.is_geographic))
    return sa.func.greatest(wide * x, high * y) * per_unit


def _factors(geom: Any, storage: str, to_degrees: bool) -> tuple[Any, Any]:
    """How many of the tile's measures go into one of storage, east and north."""
    degrees, metres, latitude = _measures(storage)
    if degrees and to_degrees:
        return constant(1.0), constant(1.0)
    if degrees:
        middle = (sa.func.ST_YMax(geom) + sa.func.ST_YMin(geom)) / 2.0
        bounded = sa.func.least(sa.func.abs(middle), constant(MERCATOR_END))
        # Typed, or it would be divided by as a decimal number, which takes a hundred times as long.
        stretch = sa.func.cos(sa.func.radians(bounded), type_=sa.Double)
        return constant(DEGREE_M), constant(DEGREE_M) / stretch
    stretched = metres / math.cos(math.radians(latitude))
    if to_degrees:
        return constant(stretched / DEGREE_M), constant(metres / DEGREE_M)
    return constant(stretched), constant(stretched)


@lru_cache(maxsize=256)
def _measures(storage: str) -> tuple[bool, float, float]:
    """Whether a system has degrees; metres of its unit; the latitude of its middle."""
    crs = parse_crs(storage)
    area = crs.area_of_use
    latitude = 0.0 if area is None else (area.south + area.north) / 2.0
    bounded = max(-MERCATOR_END, min(MERCATOR_END, latitude))
    return bool(crs.is_geographic), _metres_of(crs), bounded


def _metres_of(crs: CRS) -> float:
    return float(crs.axis_info[0].unit_conversion_factor) if crs.is_projected else 1.0


def values_of(where: Place) -> dict[str, Any]:
    """Return what a statement of a tile is given: its sides, and units of its system's measure."""
    return {**dict(zip(_ENVELOPE, where.bounds, strict=True)), UNIT: 1.0 / where.unit}


def margin_of(where: Place) -> Box:
    """Return the bounds of a tile with its margin, in its reference system; never past the world.

    Past 180 degrees is the other end of it, and what lies there is not beside the tile.
    """
    west, south, east, north = where.bounds
    margin = where.unit * BUFFER
    x, y = (180.0, 90.0) if where.crs.is_geographic else (SIDE_M, SIDE_M)
    return (
        max(west - margin, -x),
        max(south - margin, -y),
        min(east + margin, x),
        min(north + margin, y),
    )


def geometry_in(geom: Any, record: Layer, where: Place) -> sa.ColumnElement[Any]:
    """Return a stored geometry in the units of a tile, cut at its margin."""
    envelope = sa.func.ST_MakeEnvelope(*_envelope(where), _srid_number(_srid(where)))
    moved = _moved_to(_within_mercator(geom, record, where), record, where)
    margin: tuple[Any, ...] = (EXTENT, BUFFER, True)
    made: sa.ColumnElement[Any] = sa.func.ST_AsMVTGeom(moved, envelope, *margin)
    return made


def cell_of(geom: Any, record: Layer, where: Place) -> tuple[Any, Any]:
    """Return column and row of the cell of a tile in which the middle of a geometry's box lies."""
    x, y = _middle_in(geom, record, where)
    west, _, _, north = _envelope(where)
    per_cell = units(where) / constant(float(CELL))
    return sa.func.floor((x - west) * per_cell), sa.func.floor((north - y) * per_cell)


def constant(number: float) -> sa.ColumnElement[float]:
    """Return a number that is written into the statement."""
    return sa.literal_column(repr(number), sa.Double)


def _middle_in(geom: Any, record: Layer, where: Place) -> tuple[Any, Any]:
    """Where the middle of a stored geometry's box is, in a tile's reference system.

    From degrees to the web's Mercator it is worked out here: PostGIS takes longer to make a point,
    to move it and to read it again.
    """
    x = (sa.func.ST_XMin(geom) + sa.func.ST_XMax(geom)) / 2.0
    y = (sa.func.ST_YMin(geom) + sa.func.ST_YMax(geom)) / 2.0
    if _srid(where) == _MERCATOR and parse_crs(record.schema.crs).is_geographic:
        end = constant(MERCATOR_END)
        bounded = sa.func.greatest(-end, sa.func.least(end, y))
        tangent = sa.func.tan(sa.func.radians(constant(45.0) + bounded / 2.0))
        return x * constant(DEGREE_M), sa.func.ln(tangent) * constant(RADIUS_M)
    point = sa.func.ST_SetSRID(sa.func.ST_Point(x, y), _srid_number(srid_of(record.schema)))
    moved = _moved_to(point, record, where)
    return sa.func.ST_X(moved), sa.func.ST_Y(moved)


def _moved_to(geom: Any, record: Layer, where: Place) -> Any:
    srid = _srid(where)
    return geom if srid == srid_of(record.schema) else sa.func.ST_Transform(geom, srid)


def _within_mercator(geom: Any, record: Layer, where: Place) -> Any:
    """Cut off what the web's Mercator has no place for; a pole would be at infinity."""
    if _srid(where) != _MERCATOR or not parse_crs(record.schema.crs).is_geographic:
        return geom
    corners = (constant(c) for c in _MERCATOR_BOX)
    box = sa.func.ST_MakeEnvelope(*corners, _srid_number(srid_of(record.schema)))
    return sa.case((geom.op("@")(box), geom), else_=sa.func.ST_ClipByBox2D(geom, box))


def _envelope(where: Place) -> list[sa.BindParameter[Any]]:
    return [given(n, v, sa.Double) for n, v in zip(_ENVELOPE, where.bounds, strict=True)]


def _srid_number(srid: int) -> sa.ColumnElement[int]:
    return sa.literal_column(str(srid), sa.Integer)


def _srid(where: Place) -> int:
    return srid_of_crs(where.crs)


def units(where: Place) -> sa.BindParameter[Any]:
    """Return how many units go into one of the tile's measures."""
    return given(UNIT, 1.0 / where.unit, sa.Double)
