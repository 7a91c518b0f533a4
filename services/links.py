"""Addresses and links: how answers name each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

from starlette.requests import Request

from services.negotiation import Format

_BASES: dict[Hashable, str] = {}
_MOST_BASES = 256
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
# Names in plain letters, and nothing in the values that a link could not hold.
_VALUE = r"(?:[A-Za-z0-9_.~+,:/-]|%[0-9A-Fa-f]{2})*"
_WRITTEN_WELL = re.compile(rf"(?:[A-Za-z0-9_.~-]+={_VALUE}(?:&|$))*")


def base_url(request: Request) -> str:
    """Return the address of the landing page without its slash."""
    stated: str | None = request.app.state.settings.base_url
    if stated:
        return stated
    scope = request.scope
    host = next((value for name, value in scope["headers"] if name == b"host"), None)
    key = (scope.get("scheme"), host, tuple(scope.get("server") or ()), scope.get("root_path"))
    found = _BASES.get(key)
    if found is None:
        if len(_BASES) >= _MOST_BASES:
            _BASES.clear()
        found = _BASES[key] = str(request.base_url).rstrip("/")
    return found


def address(request: Request, *segments: str, **query: Any) -> str:
    """Return the address of a path below the landing page; segments are quoted, None left out."""
    path = "".join([f"/{_quoted(s, quote)}" for s in segments])
    return f"{base_url(request)}{path or '/'}{written_query(query)}"


def written_query(query: Mapping[str, Any]) -> str:
    """Return a query string with its question mark, nothing where there is nothing to ask.

    >>> written_query({"datetime": "2014-05-14T04:00:00Z", "limit": 10, "f": None})
    '?datetime=2014-05-14T04%3A00%3A00Z&limit=10'
    """
    asked = [
        f"{_quoted(name, quote_plus)}={_quoted(str(value), quote_plus)}"
        for name, value in query.items()
        if value is not None
    ]
    return f"?{'&'.join(asked)}" if asked else ""


def said_again(request: Request, but: Collection[str], more: Mapping[str, str]) -> str:
    """Return the query string of a request as the client wrote it, with its question mark.

    Parameters
    ----------
    but : collection of str
        Names of parameters that are left out.
    more : mapping of str to str
        Parameters that come after it.
    """
    said: str = request.scope["query_string"].decode("latin-1")
    if _WRITTEN_WELL.fullmatch(said):
        kept = [part for part in said.split("&") if part and part.partition("=")[0] not in but]
        kept += [f"{name}={_quoted(value, quote_plus)}" for name, value in more.items()]
        return f"?{'&'.join(kept)}" if kept else ""
    others = {name: v for name, v in request.query_params.items() if name not in but}
    return written_query(others | dict(more))


def _quoted(text: str, quoting: Callable[..., str]) -> str:
    # Most ids and values need none, and to find that out this way takes a tenth of the time.
    return text if _PLAIN.fullmatch(text) else quoting(text, safe="")


def link(href: str, rel: str, media_type: str, title: str | None = None) -> dict[str, str]:
    """Return a link object.

    >>> link("/", "self", "application/json")
    {'href': '/', 'rel': 'self', 'type': 'application/json'}
    """
    found = {"href": href, "rel": rel, "type": media_type}
    if title:
        found["title"] = title
    return found


def format_links(
    request: Request, offered: Sequence[Format], chosen: Format, *segments: str
) -> list[dict[str, str]]:
    """Return the links to a document itself: as it is asked for, and in all other formats."""
    here = address(request, *segments)
    own = here + said_again(request, (), {})
    found = [link(own, "self", chosen.link_type, "This document")]
    page, whole = (
        f"{here}{said}&" if (said := said_again(request, but, {})) else f"{here}?"
        for but in (("f",), ("f", "limit"))
    )
    for other in offered:
        if other.name != chosen.name:
            # Where a page goes on, a stream of the same begins: it needs no limit.
            href = f"{page if other.write is None else whole}f={other.name}"
            found.append(link(href, "alternate", other.link_type, other.title))
    return found


def self_links(request: Request, media_type: str, *segments: str) -> list[dict[str, str]]:
    """Return the links to a document itself: as it is asked for, and as a page."""
    here = address(request, *segments)
    own, page = (said_again(request, ("f",), more) for more in ({}, {"f": "html"}))
    return [
        link(here + own, "self", media_type, "This document"),
        link(here + page, "alternate", "text/html", "As a page"),
    ]
