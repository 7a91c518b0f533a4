"""The desk of a request, and how what was done at it is answered: as JSON, or back to the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from layers.access.desk import Desk
from services.access.admission import Admitted
from services.errors import BadParameter
from services.links import address
from services.negotiation import JSON, wants_html

_NO_STORE = {"Cache-Control": "no-store"}


def desk_of(request: Request) -> Desk:
    """Return the desk at which the caller of a request stands."""
    admitted: Admitted = request.state.admitted
    return admitted.desk()


def number(request: Request) -> int:
    """Return the number in the path.

    Raises
    ------
    BadParameter
    """
    text = request.path_params["number"]
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadParameter(f"{text!r}: a whole number")
    return int(text)


def done(request: Request, document: Mapping[str, Any], *page: str) -> Response:
    """Answer what was done: to a program the document, to a browser the page it came from."""
    if wants_html(request):
        return RedirectResponse(address(request, *page), 303, _NO_STORE)
    return Response(orjson.dumps(document), 200, _NO_STORE, JSON)
