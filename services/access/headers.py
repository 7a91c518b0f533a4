"""What every answer tells the browser: what its page may load, who may frame it, who may read it.

Pages and what they are made of (scripts, styles, workers) get a strict policy; all other answers
can't be a page of anything. Other sites' pages may read what anybody may read, never with cookies.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.settings import Settings

# The map's worker is a file of ours; data: is the icon of nothing and MapLibre's own buttons,
# blob: the pictures it makes of a style's.
_PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
_NEVER = ("camera", "display-capture", "geolocation", "microphone", "midi", "payment", "usb")
_EVERY = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
_PAGE = {
    "Content-Security-Policy": _PAGE_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _NEVER),
    "X-Frame-Options": "SAMEORIGIN",
}
_ANSWER = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}
# A worker obeys the policy of its own script, so scripts have the page's.
_PARTS_OF_PAGES = ("text/html", "text/javascript", "application/javascript", "text/css")
_EXPOSED = (
    "Accept-Patch, Accept-Post, Allow, Content-Crs, Content-Revision, ETag, Last-Modified, Link, "
    "Location, Memento-Datetime, Preference-Applied, Retry-After"
)
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": (
        "Authorization, Content-Crs, Content-Type, If-Match, If-None-Match, If-Unmodified-Since, "
        "OGC-Mutation-Datetime, Prefer, X-API-Key"
    ),
    "Access-Control-Max-Age": "86400",
}
_YEAR_S = 365 * 24 * 3600


class Labelling:
    """Middleware, the outermost of ours: headers for every answer, and browsers' questions."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what a browser asks beforehand; label what the others answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = Headers(scope=scope)
        if scope["method"] == "OPTIONS" and "access-control-request-method" in asked:
            # A browser asks whether a page of another site may show a key; it never sends the key.
            answer = Response(None, 204)
            label(answer.headers, 204, asked, self.settings)
            answer.headers.update(_PREFLIGHT)
            await answer(scope, receive, send)
            return

        async def labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                label(MutableHeaders(scope=message), message["status"], asked, self.settings)
            await send(message)

        await self.app(scope, receive, labelled)


def label(headers: MutableHeaders, status: int, asked: Headers, settings: Settings) -> None:
    """Add to an answer's headers what the browser must know.

    Parameters
    ----------
    headers : MutableHeaders
        Of the answer; changed in place.
    status : int
        Of the answer. One that says "not modified" leaves the policy of what the browser has.
    asked : Headers
        Of the request.
    """
    headers.update(_EVERY)
    if settings.base_url and settings.base_url.startswith("https://"):
        headers["Strict-Transport-Security"] = f"max-age={_YEAR_S}"
    if status != 304:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        headers.update(_PAGE if kind in _PARTS_OF_PAGES else _ANSWER)
        if kind not in _PARTS_OF_PAGES:
            is_open = "*" in settings.cors_origins
            headers["Cross-Origin-Resource-Policy"] = "cross-origin" if is_open else "same-site"
    _let_read(headers, asked.get("origin"), settings.cors_origins)


def label_unexpected(request: Request, answer: Response) -> Response:
    """Label an answer that is made outside all middleware: to an error that nobody expected."""
    label(answer.headers, answer.status_code, request.headers, request.app.state.settings)
    return answer


def _let_read(headers: MutableHeaders, origin: str | None, allowed: tuple[str, ...]) -> None:
    """Say which pages may read the answer; with cookies none may, so that is never said."""
    if "*" in allowed:
        headers["Access-Control-Allow-Origin"] = "*"
    else:
        headers.add_vary_header("Origin")
        if origin is None or origin not in allowed:
            return
        headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Expose-Headers"] = _EXPOSED
