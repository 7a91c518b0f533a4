"""Map tiles of a raster collection at any instant, and what describes them."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.gate import lasting
from services.links import address, base_url, said_again, self_links
from services.negotiation import JSON, Format, answer_bytes, check_format, choose_format
from services.openapi import TIME, operation
from services.pages import respond
from services.parameters import check_names, read_pins
from services.routes.tiles import find_place
from services.routes.tilesets import answer_tileset
from services.tile_documents import PICTURES, TILEJSON, Part, Tiled, list_tilesets
from services.tile_questions import Asked, picture_of
from tiles.grids import Place, matrix_set
from tiles.keeping.making import TileMaker
from tiles.raster import PictureFormat, check_raster

_TILE = ("collectionId", "tileMatrixSetId", "tileMatrix", "tileRow", "tileCol")
FORMATS = tuple(
    Format(kind.value, kind.media_type, kind.name, f".{kind.value}", packed=True)
    for kind in PictureFormat
)


async def one_map_tile(request: Request) -> Response:
    """Answer one map tile; 204 where nothing is to be seen in it."""
    check_names(request, (*TIME, "f"))
    picture = PictureFormat(choose_format(request, FORMATS).name)
    where = find_place(request)
    asked, generation = await run_in_threadpool(_ask, request, where, picture)
    maker: TileMaker = request.app.state.tiles
    tile = await maker.answer(asked.question)
    layer = asked.question.layer
    if asked.question.key is not None and not request.state.admitted.notes(layer, restricted=False):
        lasting(request, layer, generation, pinned=asked.pins.when is not None)
    headers = {"Content-Revision": str(asked.question.state.revision)}
    own = (tile.body, picture.media_type, headers)
    status = 200 if tile.body else 204
    return answer_bytes(request, *own, pinned=asked.is_pinned, status=status, etag=tile.etag)


async def map_tilesets(request: Request) -> Response:
    """Answer the map tilesets of a raster collection."""
    check_format(request)
    check_names(request, (*TIME, "f"))
    tiled = await run_in_threadpool(_read_tiled, request, ())
    record = tiled.parts[0].layer.record
    return respond(request, list_tilesets(tiled), "map_tilesets.html", layer=record)


async def map_tileset(request: Request) -> Response:
    """Answer one map tileset's description."""
    check_format(request, offered=("json", "html", "tilejson"))
    check_names(request, (*TIME, "f"))
    name = str(matrix_set(request.path_params["tileMatrixSetId"]).id)
    tiled = await run_in_threadpool(_read_tiled, request, (name,))
    record = tiled.parts[0].layer.record
    return answer_tileset(request, tiled, name, "map_tileset.html", layer=record)


def _read_tiled(request: Request, further: tuple[str, ...]) -> Tiled:
    admitted: Admitted = request.state.admitted
    layer = admitted.layer(request.path_params["collectionId"])
    schema, pins = layer.record.schema, read_pins(request, layer.record, default=True)
    check_raster(layer.record)
    revision = layer.at(pins.when, **pins.known).moment.revision
    here = ("collections", layer.record.id, "map", "tiles")
    bounds = layer.extent().bounds if revision == layer.record.head else None
    return Tiled(
        schema.title,
        schema.description,
        address(request, *here),
        base_url(request),
        (Part(layer, bounds),),
        said_again(request, ("f",), {}),
        tuple(self_links(request, JSON, *here, *further)),
        PICTURES,
    )


def _ask(request: Request, where: Place, picture: PictureFormat) -> tuple[Asked, int]:
    admitted: Admitted = request.state.admitted
    generation = admitted.generation
    layer = admitted.layer(request.path_params["collectionId"])
    check_raster(layer.record)
    admitted.note(layer, "tile", restricted=False)
    pins = read_pins(request, layer.record, default=True)
    return picture_of(layer, pins, where, picture), generation


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
            "getMapTilesets",
            "Map tilesets · 地图瓦片集",
            "tiles",
            parameters=("collectionId", *TIME, "f"),
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
            parameters=("collectionId", "tileMatrixSetId", *TIME, "f-tileset"),
            media_types=(JSON, "text/html", TILEJSON),
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
