"""Geometries of a body: GeoJSON in a system that the collection offers, to the stored one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import shapely
from pyproj import CRS
from shapely.geometry import shape

from layers.model import Schema
from services.access.bounds import check_geojson
from services.errors import BadBody, BadFeature
from spatial.crs import is_north_first, parse_crs, transform
from spatial.errors import SpatialError

_KINDS = ("Point", "LineString", "Polygon")
# A hair beyond the edge is rounding.
_MOST_LONGITUDE, _MOST_LATITUDE = 180.001, 90.001


def read_geometry(value: Any, crs: CRS, schema: Schema, where: str) -> shapely.Geometry | None:
    """Return a GeoJSON geometry in the layer's storage system; None for null.

    Parameters
    ----------
    crs : CRS
        Of its coordinates, which are in the order of axes of its authority.
    where : str
        JSON pointer to it.

    Raises
    ------
    BadFeature
        Where it is none, of another kind than the layer's, or not sound; it says why.
    BodyTooLarge
        Where it has too many vertices.
    """
    if value is None:
        return None
    _check_kind(value, schema, where)
    try:
        check_geojson({"type": "Feature", "geometry": value, "properties": {}})
    except BadBody as error:
        raise BadFeature((str(error).removeprefix("geometry: "), where)) from None
    _check_lines(value, where)
    found = _shape(value, where)
    _check_heights(found, schema, where)
    if is_north_first(crs):
        found = shapely.transform(found, _turned, include_z=bool(shapely.has_z(found)))
    _check_place(found, crs, where)
    if not shapely.is_valid(found):
        raise BadFeature((f"it is not valid: {shapely.is_valid_reason(found)}", where))
    return _stored(found, crs, schema, where)


def _check_kind(value: Any, schema: Schema, where: str) -> None:
    wanted = schema.geometry.removesuffix("Z")
    kinds = (wanted.removeprefix("Multi"), wanted) if schema.is_multi else (wanted,)
    kind = value.get("type") if isinstance(value, Mapping) else None
    if kind not in kinds:
        shown = kind if isinstance(kind, str) and len(kind) < 40 else "no geometry"
        raise BadFeature((f"{shown} is not what the layer holds: {' or '.join(kinds)}", where))
    if not isinstance(value.get("coordinates"), list) or not value["coordinates"]:
        raise BadFeature(("it has no coordinates; write null where there is no geometry", where))


def _check_lines(value: Mapping[str, Any], where: str) -> None:
    """Refuse rings that are not closed, which Shapely would close, and lines of one position."""
    kind, coordinates = value["type"], value["coordinates"]
    parts = coordinates if kind.startswith("Multi") else [coordinates]
    try:
        if kind.endswith("Polygon"):
            for ring in (ring for part in parts for ring in part):
                if len(ring) < 4 or ring[0] != ring[-1]:
                    said = "a ring has four positions at least, the last of which is the first"
                    raise BadFeature((said, where))
        if kind.endswith("LineString") and any(len(line) < 2 for line in parts):
            raise BadFeature(("a line has two positions at least", where))
    except TypeError:
        raise BadFeature((f"its coordinates are not those of a {kind}", where)) from None


def _shape(value: Mapping[str, Any], where: str) -> shapely.Geometry:
    kind = value["type"]
    depth = _KINDS.index(kind.removeprefix("Multi")) + kind.startswith("Multi")
    if any(found != depth for found in _depths(value["coordinates"])):
        raise BadFeature((f"its coordinates are not those of a {kind}", where))
    try:
        found = shape({"type": kind, "coordinates": value["coordinates"]})
    except (shapely.errors.ShapelyError, ValueError, TypeError, IndexError, AttributeError):
        raise BadFeature((f"its coordinates are not those of a {kind}", where)) from None
    if found.is_empty:
        raise BadFeature(("it is empty; write null where there is no geometry", where))
    return found


def _depths(coordinates: list[Any]) -> Iterator[int]:
    """How deep positions stand in arrays: 0 where the array is one itself."""
    waiting: list[tuple[int, Any]] = [(0, coordinates)]
    while waiting:
        depth, value = waiting.pop()
        if not isinstance(value, list) or not value or not isinstance(value[0], list):
            yield depth
        elif value[0] and not isinstance(value[0][0], list):
            # Of a line's positions all are like the first, or else Shapely can't read it.
            yield depth + 1
        else:
            waiting += [(depth + 1, inner) for inner in value]


def _check_heights(found: shapely.Geometry, schema: Schema, where: str) -> None:
    wanted = schema.geometry.endswith("Z")
    if bool(shapely.has_z(found)) is not wanted:
        said = "it has no heights, and needs them" if wanted else "it has heights, of which none"
        raise BadFeature((f"{said} can be kept: the layer holds {schema.geometry}", where))


def _check_place(found: shapely.Geometry, crs: CRS, where: str) -> None:
    west, south, east, north = shapely.bounds(found)
    if not np.isfinite([west, south, east, north]).all():
        raise BadFeature(("a coordinate is not finite", where))
    if not crs.is_geographic:
        return
    if max(-west, east) > _MOST_LONGITUDE or max(-south, north) > _MOST_LATITUDE:
        raise BadFeature(
            (
                f"it reaches {west:.10g} {south:.10g} {east:.10g} {north:.10g}, which is no "
                "longitude and latitude; mind Content-Crs, and the order of the axes",
                where,
            )
        )


def _stored(found: shapely.Geometry, crs: CRS, schema: Schema, where: str) -> shapely.Geometry:
    try:
        [moved] = transform([found], crs, parse_crs(schema.crs))
    except SpatialError as error:
        raise BadFeature((str(error), where)) from None
    return moved


def _turned(coordinates: Any) -> Any:
    turned = coordinates.copy()
    turned[:, [0, 1]] = coordinates[:, [1, 0]]
    return turned
