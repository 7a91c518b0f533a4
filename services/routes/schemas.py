"""What features of a collection have, and what filters and orders can name, as JSON Schema."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from services.access.rules import Rule
from services.doors import Door
from services.languages import read_language
from services.links import address
from services.negotiation import JSON, SCHEMA, VARY, Format, best_of, check_format
from services.openapi import operation
from services.pages import respond
from services.parameters import check_names, read_pins
from services.routes.collections import find_layer
from services.schema_documents import CODE_LISTS, Purpose, describe, has_codes, seen_fields

_KNOWN = ("revision", "recorded", "commit")
# GDAL asks for queryables as application/json alone, and refuses anything else.
_SCHEMA = Format("json", SCHEMA, "JSON Schema", also=(JSON,))


def _answering(purpose: Purpose) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler that lists the fields for a purpose."""

    async def answer(request: Request) -> Response:
        check_format(request)
        check_names(request, (*_KNOWN, "f"))
        layer = await find_layer(request)
        pins = read_pins(request, layer.record)
        snapshot = await run_in_threadpool(layer.at, **pins.known)
        revision = snapshot.moment.revision
        record = layer.record.as_of(revision)
        uri = address(request, "collections", record.id, purpose.value)
        language = read_language(request)
        fields = seen_fields(purpose, layer, record)
        document = describe(purpose, record.schema, fields, uri, language)
        headers = {"Content-Revision": str(revision), "Vary": f"{VARY}, Accept-Language"}
        headers["Content-Language"] = language or "zh, en"
        if has_codes(document):
            headers["Link"] = f'<{CODE_LISTS}>; rel="profile"'
        return respond(
            request,
            document,
            "schema.html",
            media_type=_media_type(request),
            headers=headers,
            layer=record,
            purpose=purpose.value,
            revision=revision,
        )

    return answer


def _media_type(request: Request) -> str:
    """The schema's own, or that of any JSON where the client takes that only, or rather."""
    found = best_of(", ".join(request.headers.getlist("accept")), (_SCHEMA,))
    return SCHEMA if found is None or "f" in request.query_params else found.media_type


_COMMON = "http://www.opengis.net/spec/ogcapi-common-3/1.0/conf/"
_DRAFT = "http://www.opengis.net/spec/ogcapi-features-5/1.0/conf/"
_FILTERS = "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/"
_CLASSES = {
    Purpose.FEATURES: (
        f"{_COMMON}schemas",
        f"{_COMMON}advanced-property-roles",
        f"{_COMMON}returnables-and-receivables",
        f"{_COMMON}profile-codelists",
        f"{_DRAFT}schemas",
        f"{_DRAFT}returnables-and-receivables",
    ),
    Purpose.FILTERS: (
        f"{_COMMON}queryables",
        f"{_FILTERS}queryables",
        f"{_FILTERS}queryables-query-parameters",
    ),
    Purpose.ORDERS: (f"{_COMMON}sortables",),
}
_SUMMARIES = {
    Purpose.FEATURES: ("getSchema", "What features have · 字段模式"),
    Purpose.FILTERS: ("getQueryables", "What filters can name · 可查询字段"),
    Purpose.ORDERS: ("getSortables", "What orders can name · 可排序字段"),
}
DOORS = tuple(
    Door(
        f"/collections/{{collectionId}}/{purpose.value}",
        "GET",
        _answering(purpose),
        operation(
            *_SUMMARIES[purpose],
            "collections",
            parameters=("collectionId", *_KNOWN, "f"),
            media_types=(SCHEMA, JSON, "text/html"),
        ),
        _CLASSES[purpose],
        rule=Rule.LAYER,
    )
    for purpose in Purpose
)
