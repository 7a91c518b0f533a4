"""Pieces of OpenAPI 3.0 that the doors of tiles describe themselves with."""

from __future__ import annotations

from typing import Any

from tiles.grids import OFFERED

_WMTS = {
    "service": "WMTS",
    "request": "GetCapabilities or GetTile",
    "version": "1.0.0",
    "acceptversions": "Of GetCapabilities: versions with commas between, 1.0.0 among them",
    "layer": "Of GetTile: id of a collection · 图层",
    "style": "Of GetTile: default",
    "format": "Of GetTile: a media type of the layer's",
    "time": "Of GetTile: current, or what datetime takes · 有效时间",
    "tilematrixset": "Of GetTile: id of a tile matrix set · 瓦片矩阵集",
    "tilematrix": "Of GetTile: identifier of a matrix · 级别",
    "tilerow": "Of GetTile · 行",
    "tilecol": "Of GetTile · 列",
}
# The parameters of WMTS, whose names are of any case.
WMTS = tuple(f"wmts-{name}" for name in _WMTS)
_WMTS_PARAMETERS: dict[str, dict[str, Any]] = {
    f"wmts-{name}": {
        "name": name,
        "in": "query",
        "required": name in ("service", "request"),
        "description": told,
        "schema": {"type": "string"},
    }
    for name, told in _WMTS.items()
}
TILE_PARAMETERS: dict[str, dict[str, Any]] = {
    **_WMTS_PARAMETERS,
    "f-tile": {
        "name": "f",
        "in": "query",
        "description": "Format of the answer",
        "schema": {"type": "string", "enum": ["mvt"]},
    },
    "tile-properties": {
        "name": "properties",
        "in": "query",
        "description": "Attributes that every feature of the tile is to have, with commas between; "
        "`all` of them, or nothing. By the content rule of the tileset where absent · 属性",
        "schema": {"type": "string"},
    },
    "f-tileset": {
        "name": "f",
        "in": "query",
        "description": "Format of the answer; the Accept header otherwise. TileJSON is of Mercator "
        "alone: 406 in other matrix sets · 输出格式",
        "schema": {"type": "string", "enum": ["json", "html", "tilejson"]},
    },
    "collections": {
        "name": "collections",
        "in": "query",
        "description": "Ids of collections, with commas between; all that the caller sees where "
        "absent · 图层",
        "explode": False,
        "style": "form",
        "schema": {"type": "array", "items": {"type": "string"}},
    },
    "tileMatrixSetId": {
        "name": "tileMatrixSetId",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": list(OFFERED)},
    },
    "style": {
        "name": "style",
        "in": "path",
        "required": True,
        "description": "Style of a WMTS layer: default · 样式",
        "schema": {"type": "string", "enum": ["default"]},
    },
    "time": {
        "name": "time",
        "in": "path",
        "required": True,
        "description": "Valid time: current, or what datetime takes · 有效时间",
        "schema": {"type": "string", "default": "current"},
    },
    "tileMatrix": {
        "name": "tileMatrix",
        "in": "path",
        "required": True,
        "description": "Zoom: the identifier of a matrix of the set · 级别",
        "schema": {"type": "string"},
    },
    "tileRow": {
        "name": "tileRow",
        "in": "path",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "tileCol": {
        "name": "tileCol",
        "in": "path",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
}
