"""From error to status, in one table; and the problem+json that says it (RFC 9457)."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from layers import errors as layers
from services import errors as services
from services.negotiation import wants_html
from services.pages import problem_page
from spatial.errors import SpatialError
from tiles import errors as tiles

log = logging.getLogger("shikong")

STATUS: Mapping[type[Exception], int] = {
    layers.BadRequest: 400,
    layers.TooMuchAsked: 422,
    layers.NotFound: 404,
    layers.FeatureGone: 410,
    layers.Conflict: 409,
    layers.FeatureChanged: 412,
    layers.BadCredential: 401,
    layers.Forbidden: 403,
    layers.StoreUnavailable: 503,
    layers.LayerPaused: 503,
    layers.DamagedRaster: 503,
    layers.NoRoom: 503,
    tiles.UnknownMatrixSet: 404,
    tiles.TileOutside: 404,
    tiles.NotAnInstant: 400,
    tiles.NotARaster: 404,
    tiles.BadStyle: 400,
    tiles.BadStyledLayer: 400,
    tiles.Unsayable: 406,
    tiles.UnknownSprite: 404,
    tiles.UnknownArchive: 404,
    services.BadParameter: 400,
    services.RangeOutside: 416,
    services.NotAcceptable: 406,
    services.Unauthorized: 401,
    services.BodyTooLarge: 413,
    services.BodyTooSlow: 408,
    services.BadBody: 400,
    services.WrongMediaType: 415,
    services.MethodRefused: 405,
    services.PreconditionFailed: 412,
    services.PreconditionRequired: 428,
    services.LoginFailed: 401,
    services.FetchRefused: 502,
    services.FetchFailed: 502,
    services.AddressTooLong: 414,
    services.HeadersTooLarge: 431,
    services.TooManyRequests: 429,
    # Nobody reads it; proxies and logs know the number for a client that closed.
    services.ClientGone: 499,
    layers.StreamStopped: 499,
    SpatialError: 400,
}
# Where the text of the error is for the log alone.
DETAILS: Mapping[int, str] = {
    502: "another server that this one needs does not answer as it should; try again",
    503: "the database does not answer; try again",
}
# Of the same status, where it is not what most others of it are.
_OWN_DETAILS: Mapping[type[Exception], str] = {
    layers.DamagedRaster: "the store lacks the file of a scene here; tell who runs this server",
    layers.NoRoom: "a disk of this server is full; tell who runs it",
}
_TITLES = {499: "Client Closed Request"}


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error, 500 for what nobody expected.

    >>> from layers.errors import UnknownLayer
    >>> status_of(UnknownLayer("no layer"))
    404
    """
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 500


def problem(
    request: Request,
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    faults: Sequence[tuple[str, str]] = (),
    report: Mapping[str, Any] | None = None,
) -> Response:
    """Return the answer that says what was wrong, as a page where a page was asked for.

    Parameters
    ----------
    faults : sequence of (str, str)
        What is wrong in a body and where, as a JSON pointer.
    report : mapping, optional
        What was found in an upload that is refused.
    """
    title = _TITLES.get(status) or HTTPStatus(status).phrase
    extra = dict(headers or {}) | {"Cache-Control": "no-store"}
    if status == 401:
        extra["WWW-Authenticate"] = 'Bearer realm="shikong"'
    if wants_html(request):
        return problem_page(request, status, title, detail, extra)
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status}
    body["detail"] = detail
    if faults:
        body["errors"] = [{"detail": what, "pointer": f"#{where}"} for what, where in faults]
    if report is not None:
        body["report"] = report
    return Response(orjson.dumps(body), status, extra, "application/problem+json")


async def answer_error(request: Request, error: Exception) -> Response:
    """Answer an error of ours, or one that nobody expected (which is logged, not shown)."""
    status = status_of(error)
    if status >= 500 and not isinstance(error, layers.LayerPaused):
        _log(request, error)
        detail = _OWN_DETAILS.get(type(error)) or DETAILS.get(status, "an internal error")
        return problem(request, status, detail)
    headers: dict[str, str] = {}
    faults: tuple[tuple[str, str], ...] = ()
    if isinstance(error, services.TooManyRequests | layers.LayerPaused):
        headers["Retry-After"] = str(error.seconds)
    elif isinstance(error, services.MethodRefused):
        headers["Allow"] = ", ".join(error.allowed)
    elif isinstance(error, services.WrongMediaType):
        accepted = "Accept-Patch" if request.method == "PATCH" else "Accept-Post"
        headers[accepted] = ", ".join(error.offered)
    elif isinstance(error, services.BadFeature | tiles.BadStyle):
        faults = error.faults
    return problem(request, status, str(error), headers, faults)


def _log(request: Request, error: Exception) -> None:
    """Log what broke and where, by the request's id: never values, which may be somebody's."""
    route = getattr(request.scope.get("route"), "path", "?")
    steps = "".join(traceback.format_tb(error.__traceback__))
    who = getattr(request.state, "request_id", "-")
    log.error("%s %s %s: %s\n%s", who, request.method, route, type(error).__qualname__, steps)


async def answer_http_error(request: Request, error: Exception) -> Response:
    """Answer what the router raises: no such path, or no such method on it."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    detail, headers = error.detail, dict(error.headers or {})
    if error.status_code == 404:
        detail = f"there is nothing at {request.url.path}; begin at the landing page /"
    if error.status_code == 405:
        detail = f"{request.method} is not possible on {request.url.path}"
        headers["Allow"] = ", ".join(_methods(request))
    return problem(request, error.status_code, detail, headers)


def _methods(request: Request) -> list[str]:
    """The methods that there are on a path; the router names those of one route."""
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return sorted(found)
