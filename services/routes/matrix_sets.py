"""The tile matrix sets that are offered, and the definition of each."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from services.access.rules import Rule
from services.doors import Door
from services.links import address, base_url, link, self_links
from services.negotiation import JSON, check_format
from services.openapi import operation
from services.pages import respond
from services.parameters import check_names
from services.tile_documents import describe_matrix_set, matrix_set_uri
from tiles.grids import OFFERED, matrix_set


async def matrix_sets(request: Request) -> Response:
    """Answer the tile matrix sets that are offered."""
    check_format(request)
    check_names(request, ("f",))
    found = [
        {
            "id": name,
            "title": matrix_set(name).title,
            "uri": matrix_set_uri(base_url(request), name),
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
    document = describe_matrix_set(base_url(request), request.path_params["tileMatrixSetId"])
    return respond(request, document, "matrix_set.html")


_TMS = "http://www.opengis.net/spec/tms/2.0/conf/"
DOORS = (
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
        (f"{_TMS}tilematrixset", f"{_TMS}json-tilematrixset"),
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
