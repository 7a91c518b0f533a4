"""Vector tiles of a collection at any instant."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from services.access.admission import Admitted
from services.access.rules import Rule
from services.doors import Door
from services.errors import BadParameter
from services.negotiation import answer_bytes, check_format
from services.openapi import TIME, operation
from services.parameters import Pins, check_names, read_pins
from tiles.grids import Place, place
from tiles.vector import MEDIA_TYPE, tile


async def vector_tile(request: Request) -> Response:
    """Answer one tile; 204 where nothing lies in it."""
    check_format(request, offered=("mvt",))
    check_names(request, (*TIME, "f"))
    where = find_place(request)
    content, pins, revision = await run_in_threadpool(_read_tile, request, where)
    headers = {"Content-Revision": str(revision)}
    status = 200 if content else 204
    return answer_bytes(request, content, MEDIA_TYPE, headers, pinned=pins.complete, status=status)


def _read_tile(request: Request, where: Place) -> tuple[bytes, Pins, int]:
    admitted: Admitted = request.state.admitted
    layer = admitted.layer(request.path_params["collectionId"])
    admitted.note(layer, "tile")
    pins = read_pins(request, layer.record)
    snapshot = layer.at(pins.when, **pins.known)
    return tile(snapshot, where), pins, snapshot.moment.revision


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
                "f-tile",
            ),
            media_types=(MEDIA_TYPE,),
        ),
        rule=Rule.LAYER,
    ),
)
