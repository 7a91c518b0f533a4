"""What every answer tells the browser: what its page may load, who may frame it, who may read it.

Pages and what they are made of (scripts, styles, workers) get a strict policy; all other answers
can't be a page of anything. Other sites' pages may read what anybody may read, never with cookies.
"""

from __future__ import annotations

from functools import cache

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
_PARTS_OF_PAGES = (b"text/html", b"text/javascript", b"application/javascript", b"text/css")
_EXPOSED = (
    "Accept-Patch, Accept-Post, Accept-Ranges, Allow, Content-Crs, Content-Range, "
    "Content-Revision, ETag, Last-Modified, Link, Location, Memento-Datetime, "
    "Preference-Applied, Retry-After"
)
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": (
        "Authorization, Content-Crs, Content-Type, If-Match, If-None-Match, If-Unmodified-Since, "
        "OGC-Mutation-Datetime, Prefer, Range, X-API-Key"
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
        origin = None
        for name, value in scope["headers"]:
            if name == b"origin":
                origin = value.decode("latin-1")
            elif name == b"access-control-request-method" and scope["method"] == "OPTIONS":
                await self._answer_beforehand(scope, receive, send)
                return

        async def labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                label(message["headers"], message["status"], origin, self.settings)
            await send(message)

        await self.app(scope, receive, labelled)

    async def _answer_beforehand(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say whether a page of another site may show a key; browsers never send one to ask."""
        answer = Response(None, 204)
        label(answer.raw_headers, 204, Headers(scope=scope).get("origin"), self.settings)
        answer.headers.update(_PREFLIGHT)
        await answer(scope, receive, send)


Raw = list[tuple[bytes, bytes]]


def label(headers: Raw, status: int, origin: str | None, settings: Settings) -> None:
    """Add to an answer's headers what the browser must know.

    Parameters
    ----------
    headers : list of (name, value)
        Of the answer; changed in place. None of those that are added are there already.
    status : int
        Of the answer. One that says "not modified" leaves the policy of what the browser has.
    origin : str or None
        The site whose page asks.
    """
    kind = b""
    if status != 304:
        kind = next((value for name, value in headers if name == b"content-type"), b"")
        kind = kind.partition(b";")[0].strip().lower() or b"none"
    secure = bool(settings.base_url and settings.base_url.startswith("https://"))
    headers += _labels(kind in _PARTS_OF_PAGES, bool(kind), secure, "*" in settings.cors_origins)
    if "*" not in settings.cors_origins:
        _let_read(MutableHeaders(raw=headers), origin, settings.cors_origins)


@cache
def _labels(is_page: bool, is_new: bool, is_secure: bool, is_open: bool) -> Raw:
    """The headers that do not depend on who asks."""
    found = dict(_EVERY)
    if is_secure:
        found["Strict-Transport-Security"] = f"max-age={_YEAR_S}"
    if is_new:
        found |= _PAGE if is_page else _ANSWER
        if not is_page:
            found["Cross-Origin-Resource-Policy"] = "cross-origin" if is_open else "same-site"
    if is_open:
        found |= {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": _EXPOSED}
    return [(name.lower().encode(), value.encode()) for name, value in found.items()]


def label_unexpected(request: Request, answer: Response) -> Response:
    """Label an answer that is made outside all middleware: to an error that nobody expected."""
    origin, settings = request.headers.get("origin"), request.app.state.settings
    label(answer.raw_headers, answer.status_code, origin, settings)
    return answer


def _let_read(headers: MutableHeaders, origin: str | None, allowed: tuple[str, ...]) -> None:
    """Say which pages may read the answer; with cookies none may, so that is never said."""
    headers.add_vary_header("Origin")
    if origin is not None and origin in allowed:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = _EXPOSED
