"""Vector tiles of a collection at any instant."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.errors import BadParameter
from services.gate import lasting
from services.negotiation import answer_bytes, check_format
from services.openapi import TIME, operation
from services.parameters import FILTER
from services.tile_questions import Asked, knows_question, read_tile_question
from tiles.grids import Place, place
from tiles.keeping.kept import KeptTile
from tiles.keeping.making import TileMaker
from tiles.vector import MEDIA_TYPE

# Characters of a filter that is read while others wait.
_SHORT = 500


async def vector_tile(request: Request) -> Response:
    """Answer one tile; 204 where nothing lies in it."""
    check_format(request, offered=("mvt",))
    where = find_place(request)
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


def find_place(request: Request) -> Place:
    """Return the tile of the path.

    Raises
    ------
    BadParameter
        Where its numbers are none.
    UnknownMatrixSet, TileOutside
    """
    path = request.path_params
    numbers = [path["tileMatrix"], path["tileRow"], path["tileCol"]]
    if not all(n.isascii() and n.isdigit() and len(n) < 12 for n in numbers):
        raise BadParameter("a tile's address is zoom, row and column: whole numbers")
    zoom, row, column = map(int, numbers)
    return place(path["tileMatrixSetId"], zoom, row, column)


_HERE = "/collections/{collectionId}/tiles"
DOORS = (
    Door(
        _HERE + "/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}",
        "GET",
        vector_tile,
        operation(
            "tiles.collection.vector.getTile",
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
)
