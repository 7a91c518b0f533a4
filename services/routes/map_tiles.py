"""Map tiles of a raster collection at any instant, and what describes them."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from layers.store import PublishedLayer
from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.errors import BadParameter
from services.links import address, link, self_links
from services.negotiation import JSON, Format, answer_bytes, check_format, choose_format
from services.openapi import TIME, operation
from services.pages import respond
from services.parameters import Pins, check_names, read_pins
from services.routes.collections import find_layer
from tiles.grids import DEEPEST, OFFERED, Place, matrix_set, place
from tiles.raster import PictureFormat, check_raster, map_tile

_TILING = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme"
_TMS = "http://www.opengis.net/def/tilematrixset/OGC/1.0/"
_CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_MERCATOR = "http://www.opengis.net/def/crs/EPSG/0/3857"
_TILE = ("collectionId", "tileMatrixSetId", "tileMatrix", "tileRow", "tileCol")
FORMATS = tuple(
    Format(kind.value, kind.media_type, kind.name, f".{kind.value}", packed=True)
    for kind in PictureFormat
)


async def one_map_tile(request: Request) -> Response:
    """Answer one map tile; 204 where nothing is to be seen in it."""
    check_names(request, (*TIME, "f"))
    picture = PictureFormat(choose_format(request, FORMATS).name)
    where = _place(request)
    content, pins, revision = await run_in_threadpool(_read_tile, request, where, picture)
    headers = {"Content-Revision": str(revision)}
    status = 204 if content is None else 200
    own = (content or b"", picture.media_type, headers)
    return answer_bytes(request, *own, pinned=pins.complete, status=status)


async def map_tilesets(request: Request) -> Response:
    """Answer the map tilesets of a raster collection."""
    check_format(request)
    check_names(request, ("f",))
    layer = await _find_raster(request)
    sets = [_tileset(request, layer, name) for name in OFFERED]
    document = {"links": self_links(request, JSON, *_here(layer)), "tilesets": sets}
    return respond(request, document, "map_tilesets.html", layer=layer.record)


async def map_tileset(request: Request) -> Response:
    """Answer one map tileset's description."""
    check_format(request)
    check_names(request, ("f",))
    layer = await _find_raster(request)
    name = str(matrix_set(request.path_params["tileMatrixSetId"]).id)
    return respond(
        request, _tileset(request, layer, name), "map_tileset.html", layer=layer.record, name=name
    )


async def _find_raster(request: Request) -> PublishedLayer:
    layer = await find_layer(request)
    check_raster(layer.record)
    await run_in_threadpool(layer.extent)
    return layer


def _read_tile(
    request: Request, where: Place, picture: PictureFormat
) -> tuple[bytes | None, Pins, int]:
    admitted: Admitted = request.state.admitted
    layer = admitted.layer(request.path_params["collectionId"])
    admitted.note(layer, "tile")
    pins = read_pins(request, layer.record)
    snapshot = layer.at(pins.when, **pins.known)
    return map_tile(snapshot, where, picture), pins, snapshot.moment.revision


def _place(request: Request) -> Place:
    path = request.path_params
    numbers = [path["tileMatrix"], path["tileRow"], path["tileCol"]]
    if not all(n.isascii() and n.isdigit() and len(n) < 12 for n in numbers):
        raise BadParameter("a tile's address is zoom, row and column: whole numbers")
    zoom, row, column = map(int, numbers)
    return place(path["tileMatrixSetId"], zoom, row, column)


def _here(layer: PublishedLayer) -> tuple[str, ...]:
    return ("collections", layer.record.id, "map", "tiles")


def _tileset(request: Request, layer: PublishedLayer, name: str) -> dict[str, Any]:
    record, here = layer.record, (*_here(layer), name)
    document: dict[str, Any] = {
        "title": f"{record.schema.title.zh} · {record.schema.title.en}",
        "dataType": "map",
        "crs": _crs_of(name),
        "tileMatrixSetURI": f"{_TMS}{name}",
        "minZoom": 0,
        "maxZoom": DEEPEST,
        "links": [
            *self_links(request, JSON, *here),
            *_templates(request, *here),
            link(address(request, "tileMatrixSets", name), _TILING, JSON, name),
        ],
        "layers": [{"id": record.id, "dataType": "map"}],
    }
    if record.schema.value_range is not None:
        document["valueRange"] = list(record.schema.value_range)
    bounds = layer.extent().bounds
    if bounds is not None:
        corners = {"lowerLeft": list(bounds[:2]), "upperRight": list(bounds[2:])}
        document["boundingBox"] = {**corners, "crs": _CRS84}
    return document


def _crs_of(name: str) -> str:
    found = matrix_set(name).crs.to_epsg()
    return _MERCATOR if found is None else f"http://www.opengis.net/def/crs/EPSG/0/{found}"


def _templates(request: Request, *here: str) -> list[dict[str, Any]]:
    base = f"{address(request, *here)}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}"
    return [
        {
            **link(f"{base}?f={found.name}", "item", found.media_type, f"Tiles as {found.title}"),
            "templated": True,
        }
        for found in FORMATS
    ]


def _described_tile() -> dict[str, Any]:
    described = operation(
        "getMapTile",
        "A map tile · 地图瓦片",
        "tiles",
        parameters=(*_TILE, *TIME),
        media_types=tuple(found.media_type for found in FORMATS),
        errors=(400, 401, 403, 404, 406, 422),
    )
    described["parameters"].append(
        {
            "name": "f",
            "in": "query",
            "description": "Format of the picture; the Accept header otherwise",
            "schema": {"type": "string", "enum": [found.name for found in FORMATS]},
        }
    )
    described["responses"]["204"] = {"description": "Nothing is to be seen in this tile"}
    return described


_TILES = "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/"
_HERE = "/collections/{collectionId}/map/tiles"
DOORS = (
    Door(
        _HERE,
        "GET",
        map_tilesets,
        operation(
            "getMapTilesets", "Map tilesets · 地图瓦片集", "tiles", parameters=("collectionId", "f")
        ),
        rule=Rule.LAYER,
    ),
    Door(
        _HERE + "/{tileMatrixSetId}",
        "GET",
        map_tileset,
        operation(
            "getMapTileset",
            "One map tileset · 单个地图瓦片集",
            "tiles",
            parameters=("collectionId", "tileMatrixSetId", "f"),
        ),
        rule=Rule.LAYER,
    ),
    Door(
        _HERE + "/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}",
        "GET",
        one_map_tile,
        _described_tile(),
        (f"{_TILES}png",),
        rule=Rule.LAYER,
    ),
)
