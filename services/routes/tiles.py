"""Vector tiles of a collection at any instant, and what describes them."""

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
from services.gate import lasting
from services.links import address, link, self_links
from services.negotiation import JSON, answer_bytes, check_format
from services.openapi import TIME, operation
from services.pages import respond
from services.parameters import FILTER, check_names
from services.routes.collections import find_layer
from services.tile_questions import Asked, knows_question, read_tile_question
from tiles.grids import DEEPEST, OFFERED, Place, matrix_set, place
from tiles.keeping.kept import KeptTile
from tiles.keeping.making import TileMaker
from tiles.vector import MEDIA_TYPE

# Characters of a filter that is read while others wait.
_SHORT = 500
_TILING = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme"
_TMS = "http://www.opengis.net/def/tilematrixset/OGC/1.0/"


async def vector_tile(request: Request) -> Response:
    """Answer one tile; 204 where nothing lies in it."""
    check_format(request, offered=("mvt",))
    where = read_place(request)
    asked = _ask_soon(request, where)
    if asked is None:
        asked = await run_in_threadpool(_ask, request, where)
    maker: TileMaker = request.app.state.tiles
    return answer_tile(request, asked, await maker.answer(asked.question))


def answer_tile(request: Request, asked: Asked, tile: KeptTile) -> Response:
    """Answer with a tile: 304 where the client has it, 204 where nothing lies in it."""
    headers = {"Content-Revision": str(asked.question.state.revision)}
    if tile.thinned is not None:
        headers["Shikong-Thinned"] = f"counted below {tile.thinned:g} units"
    status = 200 if tile.body else 204
    own = (request, tile.body, MEDIA_TYPE, headers)
    return answer_bytes(*own, pinned=asked.is_pinned, status=status, etag=tile.etag)


def _ask_soon(request: Request, where: Place) -> Asked | None:
    """What is asked, where that needs no thread to find out; None where it does."""
    admitted: Admitted = request.state.admitted
    generation = admitted.generation
    layer = admitted.known_layer(request.path_params["collectionId"])
    if layer is None or admitted.notes(layer, restricted=False):
        return None
    if not knows_question(request, layer):
        return None
    if len(request.query_params.get("filter", "")) > _SHORT:
        return None
    asked = read_tile_question(request, layer, where)
    if asked.question.key is not None:
        lasting(request, layer, generation, pinned=asked.pins.when is not None)
    return asked


def _ask(request: Request, where: Place) -> Asked:
    admitted: Admitted = request.state.admitted
    layer = admitted.layer(request.path_params["collectionId"])
    admitted.note(layer, "tile", restricted=False)
    return read_tile_question(request, layer, where)


async def tilesets(request: Request) -> Response:
    """Answer the tilesets of a collection."""
    check_format(request)
    check_names(request, ("f",))
    layer = await find_layer(request)
    await run_in_threadpool(layer.extent)
    sets = [_tileset(request, layer, name) for name in OFFERED]
    here = ("collections", layer.record.id, "tiles")
    document = {"links": self_links(request, JSON, *here), "tilesets": sets}
    return respond(request, document, "tilesets.html", layer=layer.record)


async def tileset(request: Request) -> Response:
    """Answer one tileset's description."""
    check_format(request)
    check_names(request, ("f",))
    layer = await find_layer(request)
    await run_in_threadpool(layer.extent)
    name = matrix_set(request.path_params["tileMatrixSetId"]).id
    return respond(request, _tileset(request, layer, str(name)), "tileset.html", layer=layer.record)


async def matrix_sets(request: Request) -> Response:
    """Answer the tile matrix sets that are offered."""
    check_format(request)
    check_names(request, ("f",))
    found = [
        {
            "id": name,
            "uri": f"{_TMS}{name}",
            "links": [link(address(request, "tileMatrixSets", name), "self", JSON, name)],
        }
        for name in OFFERED
    ]
    document = {"links": self_links(request, JSON, "tileMatrixSets"), "tileMatrixSets": found}
    return respond(request, document, "matrix_sets.html")


async def one_matrix_set(request: Request) -> Response:
    """Answer the definition of a tile matrix set."""
    check_format(request)
    check_names(request, ("f",))
    tiling = matrix_set(request.path_params["tileMatrixSetId"])
    return respond(request, tiling.model_dump(mode="json", exclude_none=True), "matrix_set.html")


def read_place(request: Request) -> Place:
    """Read the address of a tile.

    Raises
    ------
    BadParameter
        Where it is not of whole numbers.
    UnknownMatrixSet, TileOutside
    """
    path = request.path_params
    numbers = [path["tileMatrix"], path["tileRow"], path["tileCol"]]
    if not all(n.isascii() and n.isdigit() and len(n) < 12 for n in numbers):
        raise BadParameter("a tile's address is zoom, row and column: whole numbers")
    zoom, row, column = map(int, numbers)
    return place(path["tileMatrixSetId"], zoom, row, column)


def _tileset(request: Request, layer: PublishedLayer, name: str) -> dict[str, Any]:
    record, here = layer.record, ("collections", layer.record.id, "tiles", name)
    template = f"{address(request, *here)}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}"
    bounds = layer.extent().bounds
    document: dict[str, Any] = {
        "title": f"{record.schema.title.zh} · {record.schema.title.en}",
        "dataType": "vector",
        "crs": "http://www.opengis.net/def/crs/EPSG/0/3857",
        "tileMatrixSetURI": f"{_TMS}{name}",
        "minZoom": 0,
        "maxZoom": DEEPEST,
        "links": [
            *self_links(request, JSON, *here),
            {**link(template, "item", MEDIA_TYPE, "Tiles"), "templated": True},
            link(address(request, "tileMatrixSets", name), _TILING, JSON, name),
        ],
        "layers": [
            {
                "id": record.id,
                "dataType": "vector",
                "geometryDimension": _dimension(record.schema.geometry),
                "propertiesSchema": {
                    "type": "object",
                    "properties": {
                        f.id: {"title": f"{f.title.zh} · {f.title.en}"}
                        for f in layer.reader.fields(record)
                    },
                },
            }
        ],
    }
    if bounds is not None:
        document["boundingBox"] = {
            "lowerLeft": list(bounds[:2]),
            "upperRight": list(bounds[2:]),
            "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
        }
    return document


def _dimension(geometry: str) -> int:
    name = geometry.removesuffix("Z").removeprefix("Multi")
    return {"Point": 0, "LineString": 1, "Polygon": 2}[name]


_TILES = "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/"
_HERE = "/collections/{collectionId}/tiles"
DOORS = (
    Door(
        _HERE,
        "GET",
        tilesets,
        operation("getTilesets", "Tilesets · 瓦片集", "tiles", parameters=("collectionId", "f")),
        tuple(f"{_TILES}{n}" for n in ("core", "tilesets-list", "geodata-tilesets", "mvt")),
        rule=Rule.LAYER,
    ),
    Door(
        _HERE + "/{tileMatrixSetId}",
        "GET",
        tileset,
        operation(
            "getTileset",
            "One tileset · 单个瓦片集",
            "tiles",
            parameters=("collectionId", "tileMatrixSetId", "f"),
        ),
        (f"{_TILES}tileset",),
        rule=Rule.LAYER,
    ),
    Door(
        _HERE + "/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}",
        "GET",
        vector_tile,
        operation(
            "getTile",
            "A vector tile · 矢量瓦片",
            "tiles",
            parameters=(
                "collectionId",
                "tileMatrixSetId",
                "tileMatrix",
                "tileRow",
                "tileCol",
                *TIME,
                *FILTER,
                "tile-properties",
                "f-tile",
            ),
            media_types=(MEDIA_TYPE,),
        ),
        rule=Rule.LAYER,
    ),
    Door(
        "/tileMatrixSets",
        "GET",
        matrix_sets,
        operation(
            "getTileMatrixSets",
            "Tile matrix sets · 瓦片矩阵集",
            "tiles",
            parameters=("f",),
            errors=(400, 401, 406),
        ),
        (
            "http://www.opengis.net/spec/tms/2.0/conf/tilematrixset",
            "http://www.opengis.net/spec/tms/2.0/conf/json-tilematrixset",
        ),
        rule=Rule.OPEN,
    ),
    Door(
        "/tileMatrixSets/{tileMatrixSetId}",
        "GET",
        one_matrix_set,
        operation(
            "getTileMatrixSet",
            "One tile matrix set · 单个瓦片矩阵集",
            "tiles",
            parameters=("tileMatrixSetId", "f"),
        ),
        rule=Rule.OPEN,
    ),
)
