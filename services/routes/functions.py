"""The functions that filters can name (OGC API Features, Part 3)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from layers.reading.cql2 import FUNCTIONS
from services.access.rules import Rule
from services.doors import Door
from services.links import self_links
from services.negotiation import JSON, check_format
from services.openapi import operation
from services.pages import respond
from services.parameters import check_names


async def functions(request: Request) -> Response:
    """Answer the functions, each with its arguments and what it gives."""
    check_format(request)
    check_names(request, ("f",))
    document = {
        "functions": [f.document() for f in FUNCTIONS],
        "links": self_links(request, JSON, "functions"),
    }
    return respond(request, document, "functions.html")


DOORS = (
    Door(
        "/functions",
        "GET",
        functions,
        operation(
            "getFunctions",
            "What filters can calculate · 过滤函数",
            "capabilities",
            parameters=("f",),
            errors=(400, 401, 406),
        ),
        rule=Rule.OPEN,
    ),
)
