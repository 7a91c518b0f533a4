"""Landing page, conformance and OpenAPI, assembled from every route there is, guest and plain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.access.rules import Rule, ruled
from services.doors import Door
from services.hatch import route_path
from services.links import address, base_url, link
from services.negotiation import HTML, JSON, answer_json, check_format, wants_html
from services.openapi import PARAMETERS, PROBLEM, operation
from services.openapi_collections import with_collections
from services.openapi_styles import STYLE_PARAMETERS
from services.openapi_versions import (
    OPENAPI_3_0,
    OPENAPI_3_1,
    as_3_0,
    as_3_1,
    wants_3_1,
    with_common,
)
from services.pages import respond
from services.parameters import check_names
from services.wmts_documents import XML

_COMMON = "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/"
_SCHEMES = "http://www.opengis.net/def/rel/ogc/1.0/tiling-schemes"
_TILESETS = "http://www.opengis.net/def/rel/ogc/1.0/tilesets-vector"
_FUNCTIONS = "http://www.opengis.net/def/rel/ogc/1.0/functions"
_STYLES = "http://www.opengis.net/def/rel/ogc/1.0/styles"
_PROCESSES = "http://www.opengis.net/def/rel/ogc/1.0/processes"


def mount(app: FastAPI, doors: Iterable[Door]) -> None:
    """Add the doors' routes to the application, and remember what they say of themselves."""
    app.state.doors = tuple(doors)
    app.state.described = {}
    # Before the control routes: what is looked for first is found soonest.
    app.router.routes[:0] = [
        Route(
            route_path(door),
            ruled(door.rule)(door.handler),
            methods=[door.method],
            include_in_schema=False,
        )
        for door in app.state.doors
    ]


async def landing(request: Request) -> Response:
    """Answer the landing page; as a page it is One Map."""
    check_format(request)
    check_names(request, ("f", "datetime", "recorded"))
    document = {
        "title": "时空 Shikong",
        "description": "时空信息云平台：图层按时间版本发布。"
        " A spatio-temporal platform: layers published with all their versions.",
        "links": _landing_links(request),
    }
    return respond(request, document, "map.html")


async def conformance(request: Request) -> Response:
    """Answer the conformance classes that the routes declare."""
    check_format(request)
    check_names(request, ("f",))
    classes = sorted({c for door in request.app.state.doors for c in door.conformance})
    return respond(request, {"conformsTo": classes}, "conformance.html")


async def api(request: Request) -> Response:
    """Answer the OpenAPI document, in either version."""
    check_format(request, offered=("json", "html", "oas31"))
    check_names(request, ("f",))
    document = _described(request.app, newer=wants_3_1(request))
    document = {**document, "servers": [{"url": base_url(request)}]}
    # People find a collection's queryables on its own page.
    if not wants_html(request):
        layers = await run_in_threadpool(request.state.admitted.published)
        document = with_collections(document, layers)
    media_type = OPENAPI_3_1 if wants_3_1(request) else OPENAPI_3_0
    return respond(request, document, "api.html", media_type=media_type)


async def health(request: Request) -> Response:
    """Answer whether the store answers."""
    check_names(request, ())
    layers = await run_in_threadpool(request.state.admitted.layers)
    return answer_json(request, {"status": "ok", "layers": len(layers)})


def openapi_document(app: FastAPI, server: str) -> dict[str, Any]:
    """Return the OpenAPI 3.0 document of every route of the application.

    FastAPI describes the control routes (as 3.1, brought down to 3.0 here), the doors describe
    themselves.
    """
    control: dict[str, Any] = get_openapi(
        title="时空 Shikong", version=app.version, routes=app.routes, openapi_version="3.0.3"
    )
    document: dict[str, Any] = as_3_0(control)
    document["info"]["license"] = {"name": "Apache-2.0"}
    document["servers"] = [{"url": server}]
    paths = document.setdefault("paths", {})
    for methods in paths.values():
        for method, described in methods.items():
            methods[method] = with_common(described, method, None)
    for door in app.state.doors:
        described = as_3_0(with_common(door.operation, door.method, door.rule))
        paths.setdefault(door.path, {})[door.method.lower()] = described
    components = document.setdefault("components", {})
    components["parameters"] = PARAMETERS | STYLE_PARAMETERS
    components["responses"] = {"Problem": PROBLEM}
    components.setdefault("schemas", {})["FeatureCollection"] = _FEATURE_COLLECTION
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return document


def _described(app: FastAPI, *, newer: bool) -> Mapping[str, Any]:
    """What of the document is the same for all callers: put together once, in each version."""
    known: dict[bool, Mapping[str, Any]] = app.state.described
    if newer not in known:
        document = openapi_document(app, "/")
        known[newer] = as_3_1(document) | {"openapi": "3.1.0"} if newer else document
    return known[newer]


def _landing_links(request: Request) -> list[dict[str, str]]:
    return [
        link(address(request), "self", JSON, "This document"),
        link(address(request, f="html"), "alternate", HTML, "One Map · 一张图"),
        link(address(request, "api"), "service-desc", OPENAPI_3_0, "OpenAPI 3.0"),
        link(address(request, "api", f="oas31"), "service-desc", OPENAPI_3_1, "OpenAPI 3.1"),
        link(address(request, "api", f="html"), "service-doc", HTML, "The API as a page"),
        link(address(request, "conformance"), "conformance", JSON, "Conformance classes"),
        link(address(request, "collections"), "data", JSON, "Collections · 图层"),
        link(address(request, "functions"), _FUNCTIONS, JSON, "Functions of filters · 过滤函数"),
        link(address(request, "tiles"), _TILESETS, JSON, "Tiles of several layers · 多图层瓦片"),
        link(
            address(request, "wmts", "1.0.0", "WMTSCapabilities.xml"), "service", XML, "WMTS 1.0.0"
        ),
        link(address(request, "tileMatrixSets"), _SCHEMES, JSON, "Tile matrix sets"),
        link(address(request, "styles"), _STYLES, JSON, "Styles · 样式"),
        link(address(request, "processes"), _PROCESSES, JSON, "Processes · 分析"),
    ]


_LINKS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["href", "rel"],
        "properties": {"href": {"type": "string"}, "rel": {"type": "string"}},
    },
}
_FEATURE_COLLECTION: dict[str, Any] = {
    "type": "object",
    "required": ["type", "features"],
    "properties": {
        "type": {"type": "string", "enum": ["FeatureCollection"]},
        "features": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "geometry", "properties"],
                "properties": {
                    "type": {"type": "string", "enum": ["Feature"]},
                    "id": {"type": "string"},
                    "geometry": {"type": "object", "nullable": True},
                    "properties": {"type": "object", "nullable": True},
                },
            },
        },
        "numberMatched": {"type": "integer", "minimum": 0},
        "numberReturned": {"type": "integer", "minimum": 0},
        "links": _LINKS,
    },
}
_CORE = tuple(f"{_COMMON}{n}" for n in ("core", "landing-page", "json", "html", "oas30"))
DOORS = (
    Door(
        "/",
        "GET",
        landing,
        operation(
            "getLandingPage",
            "Landing page · 首页",
            "capabilities",
            parameters=("datetime", "recorded", "f"),
            errors=(400, 401, 406),
        ),
        _CORE,
        rule=Rule.CATALOGUE,
    ),
    Door(
        "/conformance",
        "GET",
        conformance,
        operation(
            "getConformance",
            "Conformance classes · 符合性",
            "capabilities",
            parameters=("f",),
            errors=(400, 401, 406),
        ),
        rule=Rule.OPEN,
    ),
    Door(
        "/api",
        "GET",
        api,
        operation(
            "getApi",
            "This document · 接口描述",
            "capabilities",
            parameters=("f-api",),
            media_types=(OPENAPI_3_0, OPENAPI_3_1, "text/html"),
            errors=(400, 401, 406),
        ),
        rule=Rule.CATALOGUE,
    ),
    Door(
        "/health",
        "GET",
        health,
        operation(
            "getHealth",
            "Whether the store answers · 健康检查",
            "capabilities",
            media_types=(JSON,),
            errors=(401, 503),
        ),
        rule=Rule.CATALOGUE,
    ),
)
