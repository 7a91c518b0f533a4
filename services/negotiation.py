"""Which format an answer takes: ``f`` first, then the Accept header; and its validators."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import orjson
from pyproj import CRS
from starlette.requests import Request
from starlette.responses import Response

from layers.reading.snapshots import Snapshot
from services.errors import NotAcceptable

JSON = "application/json"
GEOJSON = "application/geo+json"
SCHEMA = "application/schema+json"
HTML = "text/html"
VARY = "Accept, Authorization, Cookie, X-API-Key"
_ANYTHING = ("", "*/*")
IMMUTABLE = "public, max-age=31536000, immutable"


# Of a snapshot's features, in a system or in the format's own: all of it, piece by piece.
Writer = Callable[[Snapshot, CRS | None], Iterator[bytes]]


@dataclass(frozen=True)
class Format:
    """A format that something is offered in.

    Attributes
    ----------
    name : str
        What ``f`` calls it.
    media_type : str
        As ``Content-Type`` has it.
    title : str
        For links.
    extension : str
        Of a file of it, with the point.
    write : callable, optional
        Writes all of a snapshot as a stream; a format without is written a page at a time.
    also : tuple of str
        Other media types that ask for it.
    by_name : bool
        Whether only ``f`` asks for it, as another has its media type.
    packed : bool
        Whether it is compressed as it is.
    """

    name: str
    media_type: str
    title: str
    extension: str = ""
    write: Writer | None = None
    also: tuple[str, ...] = ()
    by_name: bool = False
    packed: bool = False

    @cached_property
    def link_type(self) -> str:
        """The media type as links have it: in which letters it is written goes without saying."""
        return self.media_type.removesuffix("; charset=utf-8")

    @cached_property
    def media_types(self) -> tuple[str, ...]:
        """The media types that ask for it, without parameters; none where only ``f`` does."""
        if self.by_name:
            return ()
        return tuple(t.partition(";")[0].strip() for t in (self.media_type, *self.also))


GEOJSON_PAGE = Format("json", GEOJSON, "GeoJSON", ".geojson", also=(JSON,))
HTML_PAGE = Format("html", f"{HTML}; charset=utf-8", "As a page", ".html")


def choose_format(request: Request, offered: Sequence[Format]) -> Format:
    """Return the format of an answer: the one that ``f`` names, else what Accept likes best.

    Parameters
    ----------
    offered : sequence of Format
        The first is the default: of two equally wanted the earlier wins, and an Accept header that
        names none of them gets the first, as RFC 9110 (12.5.1) allows. To refuse would help nobody:
        who can't read JSON sees at least what there is.

    Returns
    -------
    Format
        Its media type is the one by which it was asked for, where it goes by several.

    Raises
    ------
    NotAcceptable
        Where ``f`` names none of them; the text lists those that there are.
    """
    f = request.query_params.get("f")
    if f is not None:
        for found in offered:
            if found.name == f:
                return found
        names = ", ".join(found.name for found in offered)
        raise NotAcceptable(f"f={f!r} is not offered here; f is one of {names}")
    # Several headers of one name are one list.
    accept = ", ".join(request.headers.getlist("accept"))
    if accept in _ANYTHING:
        return offered[0]
    return best_of(accept, offered) or offered[0]


def best_of(accept: str, offered: Sequence[Format]) -> Format | None:
    """Return what an Accept header likes best, None where it wants none of them.

    The most specific range that a media type falls in says its weight (RFC 9110, 12.5.1).

    >>> best_of("text/html;q=0.9, */*;q=0.1", [GEOJSON_PAGE, HTML_PAGE]).name
    'html'
    >>> best_of("application/*, application/geo+json;q=0, application/json;q=0", [GEOJSON_PAGE])
    """
    ranges = _preferences(accept or "*/*")
    best, weight = None, 0.0
    for found in offered:
        for kind in found.media_types:
            wanted = _weight(kind, ranges)
            if wanted > weight:
                own = kind == found.media_types[0]
                best, weight = found if own else replace(found, media_type=kind), wanted
    return best


def _weight(kind: str, ranges: Mapping[str, float]) -> float:
    for name in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
        if name in ranges:
            return ranges[name]
    return 0.0


def wants_html(request: Request) -> bool:
    """Return whether the answer is to be a page; of two formats equally wanted, JSON."""
    f = request.query_params.get("f")
    if f is not None:
        return f == "html"
    found = best_of(", ".join(request.headers.getlist("accept")), (GEOJSON_PAGE, HTML_PAGE))
    return found is not None and found.name == "html"


def prefers(request: Request, f: str, media_type: str) -> bool:
    """Return whether a format is asked for: by ``f``, or by Accept before JSON and pages."""
    asked = request.query_params.get("f")
    if asked is not None:
        return asked == f
    other = Format(f, media_type, "", "")
    accept = ", ".join(request.headers.getlist("accept"))
    return best_of(accept, (GEOJSON_PAGE, HTML_PAGE, other)) is other


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
    body = as_json(document)
    return answer_bytes(request, body, media_type, headers, pinned=pinned, stable=stable, etag=etag)


def as_json(document: Any) -> bytes:
    """Return a document as JSON; instants in it are in UTC."""
    return orjson.dumps(document, option=orjson.OPT_UTC_Z)


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
        etag = _tag_of(request, body if stable is None else stable, media_type)
        etag = etag if stable is None else f"W/{etag}"
    if status == 200 and has_etag(request, etag):
        return not_modified(request, etag, headers, pinned=pinned)
    return Response(body, status, _common(request, etag, headers, pinned=pinned), media_type)


def validated(
    request: Request, made_of: bytes, media_type: str, *, pinned: bool = False
) -> tuple[dict[str, str], bool]:
    """Return the headers by which caches know an answer, and whether the client has it.

    Parameters
    ----------
    made_of : bytes
        Its body, or whatever else tells it from others.
    """
    etag = _tag_of(request, made_of, media_type)
    return _common(request, etag, None, pinned=pinned), has_etag(request, etag)


def _tag_of(request: Request, made_of: bytes, media_type: str) -> str:
    # Answers of different scope never stand for each other, though they may be the same just now.
    scope = f"{media_type} {request.state.reader.fingerprint}"
    if media_type.startswith(HTML):
        # A page names who is signed in, and has the token of their session in its forms.
        scope += f" {request.state.who.id} {request.state.csrf}"
    return make_etag(made_of + scope.encode())


def make_etag(told: bytes) -> str:
    """Return a strong tag made of all that tells an answer from others."""
    return f'"{hashlib.sha256(told).hexdigest()[:32]}"'


def has_etag(request: Request, etag: str) -> bool:
    """Return whether the client has the answer with this tag."""
    return has_tag(request.headers.get("if-none-match"), etag)


def not_modified(
    request: Request, etag: str, headers: Mapping[str, str] | None, *, pinned: bool
) -> Response:
    """Return the answer to a client that has it."""
    return Response(None, 304, _common(request, etag, headers, pinned=pinned))


def _common(
    request: Request, etag: str, headers: Mapping[str, str] | None, *, pinned: bool
) -> dict[str, str]:
    cache = IMMUTABLE if pinned else "no-cache"
    if not request.state.reader.is_anonymous:
        cache = cache.replace("public", "private") if pinned else "private, no-cache"
    return {"ETag": etag, "Cache-Control": cache, "Vary": VARY} | dict(headers or {})


def has_tag(header: str | None, etag: str | None) -> bool:
    """Return whether a list of tags, as ``If-None-Match`` has it, names one; weak ones count.

    >>> has_tag('"a", W/"b"', '"b"'), has_tag("*", '"a"'), has_tag(None, '"a"'), has_tag("*", None)
    (True, True, False, False)
    """
    if header is None or etag is None:
        return False
    tags = [t.strip().removeprefix("W/") for t in header.split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags


def _preferences(accept: str) -> dict[str, float]:
    """The weights of an Accept header's media types.

    >>> _preferences("text/html;level=1;q=0.5, */*; q=bad")
    {'text/html': 0.5, '*/*': 0.0}
    """
    found: dict[str, float] = {}
    for part in accept.split(","):
        name, *parameters = (p.strip().lower() for p in part.split(";"))
        if name:
            found[name] = max(quality(parameters), found.get(name, 0.0))
    return found


def quality(parameters: Sequence[str]) -> float:
    """Return the weight among a range's parameters, 1 where there is none, 0 where it is none.

    >>> quality(["level=1", "q=0.5"]), quality([]), quality(["q=much"]), quality(["q=nan"])
    (0.5, 1.0, 0.0, 0.0)
    """
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                weight = float(value)
            except ValueError:
                return 0.0
            return min(weight, 1.0) if weight > 0 else 0.0
    return 1.0
