"""Geometries: literals brought into the storage system, and how a geometry lies to another.

A literal's edges are straight in the system that it is stated in: where the storage system is
another one in which they would be bent, they are cut into pieces first (0.01 degrees, a kilometre,
or as many as a bound of vertices allows), each of which is moved. All relations are those of the
plane of the storage system, in two dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
import shapely
import sqlalchemy as sa
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from layers.errors import BadQuery
from layers.model import Layer
from layers.reading.cql2.expressions import Expression, Kind
from layers.reading.sights import near
from layers.tables import srid_of
from spatial.crs import parse_crs

_STEP_DEGREES, _STEP_M = 0.01, 1_000.0
_MOST_PIECES = 5_000
_FUNCTIONS: Mapping[str, str] = {
    "s_intersects": "ST_Intersects",
    "s_equals": "ST_Equals",
    "s_touches": "ST_Touches",
    "s_crosses": "ST_Crosses",
    "s_within": "ST_Within",
    "s_contains": "ST_Contains",
    "s_overlaps": "ST_Overlaps",
}
_TURNED = {"s_within": "s_contains", "s_contains": "s_within"}
# The bounds' operator that must hold where the relation does; the index has them.
_OPERATORS = {"s_within": "@", "s_contains": "~"}


def geometry(node: Mapping[str, Any], layer: Layer, crs: CRS, said: str) -> Expression:
    """Return a literal geometry (GeoJSON's object, in the authority's order of axes).

    Raises
    ------
    BadQuery
        Where it is none, is not valid, or has no place in the storage system.
    """
    try:
        shape = shapely.from_geojson(orjson.dumps(node))
    except shapely.errors.GEOSException as error:
        raise BadQuery(f"filter: {said}: {str(error).splitlines()[0]}") from None
    if _is_turned(crs):
        shape = shapely.transform(shape, lambda xy: xy[:, ::-1])
    return _literal(shape, layer, crs, said)


def bbox(bounds: list[float], layer: Layer, crs: CRS, said: str) -> Expression:
    """Return a box as a literal geometry; west > east crosses 180 degrees.

    Raises
    ------
    BadQuery
        Where its south is above its north, or it has no place in the storage system.
    """
    a, b, c, d = bounds
    west, south, east, north = (b, a, d, c) if _is_turned(crs) else (a, b, c, d)
    if south > north or (west > east and not crs.is_geographic):
        raise BadQuery(f"filter: BBOX({a:g},{b:g},{c:g},{d:g}): write its smaller corner first")
    if west > east:
        halves = [shapely.box(west, south, 180.0, north), shapely.box(-180.0, south, east, north)]
        return _literal(shapely.MultiPolygon(halves), layer, crs, said)
    if west == east and south == north:
        return _literal(shapely.Point(west, south), layer, crs, said)
    if west == east or south == north:
        return _literal(shapely.LineString([(west, south), (east, north)]), layer, crs, said)
    return _literal(shapely.box(west, south, east, north), layer, crs, said)


def relate(op: str, one: Expression, other: Expression, said: str) -> Any:
    """Return the condition that two geometries lie so.

    Raises
    ------
    BadQuery
        Where one is no geometry, or a collection of points, lines and areas together is asked for
        more than whether it meets another.
    """
    for operand in (one, other):
        if operand.kind is not Kind.GEOMETRY:
            raise BadQuery(f"filter: {said}: {op.upper()} is for geometries; {operand.told}")
    if one.value is not None and other.value is not None:
        return _among_literals(op, one.value, other.value, said)
    if one.value is not None:
        one, other, op = other, one, _TURNED.get(op, op)
    if op == "s_disjoint":
        return sa.not_(relate("s_intersects", one, other, said))
    shape = other.value
    if shape is None:
        return getattr(sa.func, _FUNCTIONS[op])(one.sql, other.sql, type_=sa.Boolean)
    if shape.geom_type == "GeometryCollection" and op != "s_intersects":
        if op != "s_equals":
            raise BadQuery(
                f"filter: {said}: a collection of points, lines and areas can only be asked by "
                "S_INTERSECTS, S_DISJOINT and S_EQUALS; ask for its parts"
            )
        return sa.and_(one.sql.is_not(None), sa.false())
    return _asked(op, one.sql, other.sql, shape)


def _asked(op: str, column: Any, literal: Any, shape: Any) -> Any:
    exact = getattr(sa.func, _FUNCTIONS[op])(column, literal, type_=sa.Boolean)
    if op == "s_intersects" and _is_box(shape):
        # What lies within the bounds of a box needs no exact test.
        exact = sa.or_(_bounds(column, "@", literal), exact)
    return sa.and_(_bounds(column, _OPERATORS.get(op, "&&"), literal), exact)


def _bounds(column: Any, sign: str, literal: Any) -> Any:
    return column.op(sign, is_comparison=True)(literal)


def _is_box(shape: Any) -> bool:
    return bool(shape.geom_type == "Polygon" and shape.equals(shape.envelope))


_LITERAL: Mapping[str, Callable[[Any, Any], Any]] = {
    "s_intersects": shapely.intersects,
    "s_disjoint": shapely.disjoint,
    "s_equals": shapely.equals,
    "s_touches": shapely.touches,
    "s_crosses": shapely.crosses,
    "s_within": shapely.within,
    "s_contains": shapely.contains,
    "s_overlaps": shapely.overlaps,
}


def _among_literals(op: str, one: Any, other: Any, said: str) -> Any:
    try:
        return sa.true() if bool(_LITERAL[op](one, other)) else sa.false()
    except shapely.errors.GEOSException as error:
        raise BadQuery(f"filter: {said}: {error}") from None


def _literal(shape: Any, layer: Layer, crs: CRS, said: str) -> Expression:
    if not shapely.is_valid(shape):
        raise BadQuery(f"filter: {said} is not valid: {shapely.is_valid_reason(shape)}")
    if shape.geom_type == "GeometryCollection":
        # As parts of one kind, where they are: only such can be related to others.
        shape = shapely.union_all(shapely.get_parts(shape))
    moved = _moved(shape, crs, parse_crs(layer.schema.crs), layer.schema.crs, said)
    if not shapely.is_valid(moved):
        moved = shapely.make_valid(moved)
    wkb = sa.literal(bytes(shapely.to_wkb(moved)), sa.LargeBinary)
    stored = sa.func.ST_GeomFromWKB(wkb, srid_of(layer.schema))
    return Expression(Kind.GEOMETRY, said, stored, moved)


def _moved(shape: Any, source: CRS, target: CRS, name: str, said: str) -> Any:
    if shape.is_empty or source.equals(target, ignore_axis_order=True):
        return shape
    if not (source.is_geographic and target.is_geographic):
        if source.is_geographic:
            shape = near(name, shape)
        step = _STEP_DEGREES if source.is_geographic else _STEP_M
        shape = shapely.segmentize(shape, max(step, shape.length / _MOST_PIECES))
    if shape.is_empty:
        return shape
    try:
        transformer = _transformer(source, target)
        moved = shapely.transform(shape, transformer.transform, interleaved=False)
    except (ProjError, shapely.errors.GEOSException) as error:
        raise BadQuery(f"filter: {said} can't be brought into {name}: {error}") from None
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        raise BadQuery(f"filter: {said} has no place in {name}, in which the layer is stored")
    return moved


# Kept: PROJ takes up to half a second to make one.
@lru_cache(maxsize=64)
def _transformer(source: CRS, target: CRS) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


@lru_cache(maxsize=64)
def _is_turned(crs: CRS) -> bool:
    """Whether the authority has north before east: EPSG:4326, EPSG:4490 and China's zones."""
    return bool(crs.axis_info) and crs.axis_info[0].direction.lower() in ("north", "south")
