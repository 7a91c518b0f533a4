"""Addresses and links: how answers name each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request

from services.negotiation import Format


def base_url(request: Request) -> str:
    """Return the address of the landing page without its slash."""
    stated = request.app.state.settings.base_url
    return stated or str(request.base_url).rstrip("/")


def address(request: Request, *segments: str, **query: Any) -> str:
    """Return the address of a path below the landing page; segments are quoted, None left out."""
    path = "".join(f"/{quote(s, safe='')}" for s in segments)
    asked = {k: v for k, v in query.items() if v is not None}
    return f"{base_url(request)}{path or '/'}" + (f"?{urlencode(asked)}" if asked else "")


def link(href: str, rel: str, media_type: str, title: str | None = None) -> dict[str, str]:
    """Return a link object.

    >>> link("/", "self", "application/json")
    {'href': '/', 'rel': 'self', 'type': 'application/json'}
    """
    return {"href": href, "rel": rel, "type": media_type} | ({"title": title} if title else {})


def format_links(
    request: Request, offered: Sequence[Format], chosen: Format, *segments: str
) -> list[dict[str, str]]:
    """Return the links to a document itself: as it is asked for, and in all other formats."""
    query = {k: v for k, v in request.query_params.items() if k != "f"}
    own = address(request, *segments, **request.query_params)
    found = [link(own, "self", chosen.link_type, "This document")]
    for other in offered:
        if other.name != chosen.name:
            # Where a page goes on, a stream of the same begins: it needs no limit.
            left_out = ("limit",) if other.write is not None else ()
            asked = {k: v for k, v in query.items() if k not in left_out}
            href = address(request, *segments, **asked, f=other.name)
            found.append(link(href, "alternate", other.link_type, other.title))
    return found


def self_links(request: Request, media_type: str, *segments: str) -> list[dict[str, str]]:
    """Return the links to a document itself: as it is asked for, and as a page."""
    query = {k: v for k, v in request.query_params.multi_items() if k != "f"}
    return [
        link(address(request, *segments, **query), "self", media_type, "This document"),
        link(address(request, *segments, **query, f="html"), "alternate", "text/html", "As a page"),
    ]
