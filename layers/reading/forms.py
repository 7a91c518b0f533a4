"""Geometries on their way out: moved to the system that is asked for, as WKB or as text."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from layers.errors import BadQuery
from layers.model import Layer
from spatial.crs import is_north_first, parse_crs


class Form(StrEnum):
    """What a geometry is written as."""

    WKB = "wkb"
    GEOJSON = "geojson"
    WKT = "wkt"


# Decimal places: a tenth of a millimetre.
_IN_DEGREES, _IN_METRES = 9, 4


def written_as(form: Form, geom: Any, layer: Layer, crs: CRS) -> sa.ColumnElement[Any]:
    """Return a geometry column of a layer in a form, and in a reference system.

    Parameters
    ----------
    form : Form
        WKB has x, y as its readers expect; texts have the order of the system's authority.
    geom : column
        As it is stored.
    crs : CRS

    Raises
    ------
    BadQuery
        Where the database does not know the system.
    """
    moved = moved_to(geom, layer, crs)
    if form is Form.WKB:
        return sa.func.ST_AsBinary(moved, type_=sa.LargeBinary)
    if is_north_first(crs):
        moved = sa.func.ST_FlipCoordinates(moved)
    digits = _IN_DEGREES if crs.is_geographic else _IN_METRES
    if form is Form.GEOJSON:
        return sa.func.ST_AsGeoJSON(moved, digits, 0, type_=sa.Text)
    return sa.func.ST_AsText(moved, digits, type_=sa.Text)


def moved_to(geom: Any, layer: Layer, crs: CRS) -> Any:
    """Return a geometry column in another system; as it is, where that changes no coordinate."""
    if _stays(layer.schema.crs, crs.to_json()):
        return geom
    return sa.func.ST_Transform(geom, srid_of_crs(crs))


def srid_of_crs(crs: CRS) -> int:
    """Return the number by which PostGIS knows a system.

    >>> srid_of_crs(parse_crs("OGC:CRS84")), srid_of_crs(parse_crs("EPSG:4549"))
    (4326, 4549)
    """
    authority = crs.to_authority()
    if authority == ("OGC", "CRS84"):
        return 4326
    if authority is None or authority[0] != "EPSG":
        raise BadQuery(f"{crs.name!r} has no EPSG code; ask for a system that has one")
    return int(authority[1])


# PostGIS would move each coordinate by nothing, which costs half as much as to write it.
@lru_cache(maxsize=1024)
def _stays(source: str, target: str) -> bool:
    both = parse_crs(source), CRS.from_json(target)
    if both[0] == both[1]:
        return True
    try:
        definition = Transformer.from_crs(*both, always_xy=True).definition
    except ProjError:
        return False
    return definition.split()[0] in ("proj=noop", "+proj=noop")
