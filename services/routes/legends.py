"""Legends of styles, and the sheets of symbols that styles use."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from services.access.rules import Rule
from services.doors import Door
from services.links import address, link
from services.negotiation import JSON, Format, answer_bytes, answer_json, choose_format
from services.openapi import operation
from services.parameters import check_names
from services.routes.styles import find
from tiles.styling.legend_pictures import MEDIA_TYPE as SVG_TYPE
from tiles.styling.legend_pictures import draw_legend
from tiles.styling.sprites import sprite_file

_SVG = Format("svg", SVG_TYPE, "Legend · 图例", ".svg")
_LEGENDS = (_SVG, Format("json", JSON, "Legend · 图例", ".json"))


async def legend(request: Request) -> Response:
    """Answer a style's legend, as a picture or as JSON."""
    check_names(request, ("f",))
    chosen = choose_format(request, _LEGENDS)
    found = await find(request)
    entries = await run_in_threadpool(lambda: found.legend)
    if chosen is _SVG:
        drawn = await run_in_threadpool(draw_legend, found.title, entries)
        return answer_bytes(request, drawn, SVG_TYPE)
    document = {
        "id": found.id,
        "title": {"zh": found.title.zh, "en": found.title.en},
        "entries": [entry.document() for entry in entries],
        "links": [link(address(request, "styles", found.id, "legend", f="json"), "self", JSON)],
    }
    return answer_json(request, document)


async def sprite(request: Request) -> Response:
    """Answer a file of a sheet of symbols."""
    check_names(request, ())
    found = await run_in_threadpool(sprite_file, request.path_params["spriteFile"])
    return answer_bytes(request, found.content, found.media_type)


DOORS = (
    Door(
        "/styles/{styleId}/legend",
        "GET",
        legend,
        operation(
            "getLegend",
            "A style's legend · 图例",
            "styles",
            parameters=("styleId", "f-legend"),
            media_types=(SVG_TYPE, JSON),
        ),
        rule=Rule.CATALOGUE,
    ),
    Door(
        "/sprites/{spriteFile}",
        "GET",
        sprite,
        operation(
            "getSprite",
            "A sheet of symbols · 符号图",
            "styles",
            parameters=("spriteFile",),
            media_types=("image/png", JSON),
            errors=(400, 401, 404),
        ),
        rule=Rule.OPEN,
    ),
)
