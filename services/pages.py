"""Documents as pages: Jinja templates, and the one place where an answer turns HTML or JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, tzinfo
from functools import cache
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from layers.access.policy import ANONYMOUS
from layers.model import Field, Kind, Schema, Title
from layers.schemas.terms import title_of, title_on
from services.links import base_url
from services.negotiation import HTML, JSON, answer_bytes, answer_json, wants_html


def respond(
    request: Request,
    document: Mapping[str, Any],
    template: str,
    *,
    media_type: str = JSON,
    headers: Mapping[str, str] | None = None,
    pinned: bool = False,
    stable: bytes | None = None,
    etag: str | None = None,
    as_page: bool | None = None,
    **context: Any,
) -> Response:
    """Answer with a document, as JSON or as a page of it.

    Parameters
    ----------
    template : str
        File in ``services/templates``; it sees the document as ``doc``.
    pinned : bool
        Whether the answer can never change. (A page of it can: with the next release.)
    stable : bytes, optional
        What its ETag is made of, where the document says what time it is.
    etag : str, optional
        Its tag, where it was known before (that of a page never is).
    as_page : bool, optional
        Whether a page is wanted, where that was found out before.
    **context
        What only the page needs.
    """
    if not (wants_html(request) if as_page is None else as_page):
        return answer_json(
            request,
            document,
            media_type=media_type,
            headers=headers,
            pinned=pinned,
            stable=stable,
            etag=etag,
        )
    html = render(request, template, doc=document, **context)
    return answer_bytes(request, html, f"{HTML}; charset=utf-8", headers, stable=stable)


def render(request: Request, template: str, **context: Any) -> bytes:
    """Return a page as bytes; everything in it is escaped."""
    query = {k: v for k, v in request.query_params.multi_items() if k != "f"}
    page = _environment().get_template(template)
    own: dict[str, Any] = {"base": base_url(request), "path": request.url.path, "query": query}
    # A request that is refused at once is answered before anybody is identified.
    own |= {"who": getattr(request.state, "who", ANONYMOUS)}
    own |= {"csrf": getattr(request.state, "csrf", "")}
    text = page.render(own | context)
    return text.encode()


def problem_page(
    request: Request, status: int, title: str, detail: str, headers: Mapping[str, str]
) -> Response:
    """Return a problem as a page."""
    html = render(request, "problem.html", status=status, title=title, detail=detail)
    return Response(html, status, headers, f"{HTML}; charset=utf-8")


def moment(instant: str, zone: tzinfo | str) -> str:
    """Return an RFC 3339 instant as people of a zone write it; of midnight only the day.

    >>> moment("2014-05-14T04:00:00Z", "America/New_York")
    '2014-05-14'
    >>> moment("2014-06-05T13:00:00Z", "America/New_York")
    '2014-06-05 09:00'
    """
    local = _local(instant, zone)
    if local.timetz().replace(tzinfo=None) == time():
        return f"{local:%Y-%m-%d}"
    return f"{local:%Y-%m-%d %H:%M:%S}".removesuffix(":00")


def parameter(instant: str, zone: tzinfo | str) -> str:
    """Return what to write into ``?datetime=`` for an instant: a date where that means the same.

    >>> parameter("2014-05-14T04:00:00Z", "America/New_York")
    '2014-05-14'
    >>> parameter("2014-06-05T13:00:00Z", "America/New_York")
    '2014-06-05T13:00:00Z'
    """
    text = moment(instant, zone)
    return text if len(text) == len("2014-05-14") else instant


def code_title(code: Any, f: Field, feature: Mapping[str, Any] | None, schema: Schema) -> Title:
    """Return what a code of a feature is called: by the list that held at its time."""
    at = None
    if feature is not None and "time" in feature:
        at = feature["time"]["interval"][0]
        if schema.kind is Kind.EVENT:
            at = feature["properties"].get(schema.event_start().id) or at
    if at is None:
        return title_of(f, str(code))
    if isinstance(at, str):
        at = date.fromisoformat(at) if len(at) == len("2014-05-14") else _local(at, schema.zone)
    elif isinstance(at, datetime):
        at = at.astimezone(schema.zone)
    return title_on(f, str(code), at.date() if isinstance(at, datetime) else at)


def _local(instant: str, zone: tzinfo | str) -> datetime:
    zone = ZoneInfo(zone) if isinstance(zone, str) else zone
    return datetime.fromisoformat(instant).astimezone(zone)


def _json(value: Any) -> str:
    """Return a value as JSON text; geometries stand in documents as text already."""
    return orjson.dumps(value).decode()


def _last_segment(address: str) -> str:
    return unquote(address.partition("?")[0].rpartition("/")[2])


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("services", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "code_title": code_title,
        "json": _json,
        "last_segment": _last_segment,
        "moment": moment,
        "parameter": parameter,
    }
    return environment
