"""Which format an answer takes: ``f`` first, then the Accept header; and its validators."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from services.errors import NotAcceptable

JSON = "application/json"
GEOJSON = "application/geo+json"
HTML = "text/html"
_JSON_TYPES = ("application/json", "application/geo+json", "application/*", "*/*")
VARY = "Accept, Authorization, Cookie, X-API-Key"
IMMUTABLE = "public, max-age=31536000, immutable"


def wants_html(request: Request) -> bool:
    """Return whether the answer is to be a page; of two formats equally wanted, JSON."""
    f = request.query_params.get("f")
    if f is not None:
        return f == "html"
    wanted = _preferences(request.headers.get("accept", "*/*"))
    html = wanted.get(HTML, 0.0)
    return html > 0 and html > max((wanted.get(t, 0.0) for t in _JSON_TYPES), default=0.0)


def check_format(request: Request, *, offered: tuple[str, ...] = ("json", "html")) -> None:
    """Refuse a format that is not offered.

    Raises
    ------
    NotAcceptable
        Naming those that are. (An Accept header that names none of them gets JSON, as RFC 9110
        allows.)
    """
    f = request.query_params.get("f")
    if f is not None and f not in offered:
        raise NotAcceptable(f"f={f!r} is not offered here; f is one of {', '.join(offered)}")


def answer_json(
    request: Request,
    document: Any,
    *,
    media_type: str = JSON,
    headers: Mapping[str, str] | None = None,
    pinned: bool = False,
    stable: bytes | None = None,
    etag: str | None = None,
) -> Response:
    """Return a document as JSON with its validator."""
    body = orjson.dumps(document)
    return answer_bytes(request, body, media_type, headers, pinned=pinned, stable=stable, etag=etag)


def answer_bytes(
    request: Request,
    body: bytes,
    media_type: str,
    headers: Mapping[str, str] | None = None,
    *,
    pinned: bool = False,
    status: int = 200,
    stable: bytes | None = None,
    etag: str | None = None,
) -> Response:
    """Return a body with its ETag, or 304 where the client has it.

    Parameters
    ----------
    pinned : bool
        Whether revision and instant were both asked for: the answer can never change then.
    stable : bytes, optional
        What there is of the body that says nothing of the present instant: the ETag is made of it,
        and is a weak one.
    etag : str, optional
        The tag, where it was known before the answer was made.
    """
    if etag is None:
        # Answers of different scope never stand for each other, though they may be the same now.
        scope = f"{media_type} {request.state.reader.fingerprint}"
        if media_type.startswith(HTML):
            # A page names who is signed in, and has the token of their session in its forms.
            scope += f" {request.state.who.id} {request.state.csrf}"
        etag = make_etag((body if stable is None else stable) + scope.encode())
        etag = etag if stable is None else f"W/{etag}"
    if status == 200 and has_etag(request, etag):
        return not_modified(request, etag, headers, pinned=pinned)
    return Response(body, status, _common(request, etag, headers, pinned=pinned), media_type)


def make_etag(told: bytes) -> str:
    """Return a strong tag made of all that tells an answer from others."""
    return f'"{hashlib.sha256(told).hexdigest()[:32]}"'


def has_etag(request: Request, etag: str) -> bool:
    """Return whether the client has the answer with this tag."""
    return _has(request.headers.get("if-none-match"), etag)


def not_modified(
    request: Request, etag: str, headers: Mapping[str, str] | None, *, pinned: bool
) -> Response:
    """Return the answer to a client that has it."""
    return Response(None, 304, _common(request, etag, headers, pinned=pinned))


def _common(
    request: Request, etag: str, headers: Mapping[str, str] | None, *, pinned: bool
) -> dict[str, str]:
    anonymous = request.state.reader.is_anonymous
    cache = IMMUTABLE if pinned else "no-cache"
    if not anonymous:
        cache = cache.replace("public", "private") if pinned else "private, no-cache"
    return {"ETag": etag, "Cache-Control": cache, "Vary": VARY} | dict(headers or {})


def _has(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    tags = [t.strip().removeprefix("W/") for t in header.split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags


def _preferences(accept: str) -> dict[str, float]:
    """The weights of an Accept header's media types."""
    found: dict[str, float] = {}
    for part in accept.split(","):
        name, *parameters = (p.strip() for p in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        found[name.lower()] = max(weight, found.get(name.lower(), 0.0))
    return found
