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
from services.links import address, base_url, link
from services.negotiation import HTML, JSON, answer_json, check_format
from services.openapi import ANYWHERE, PARAMETERS, PROBLEM, REFUSED, SEE_OTHER, operation
from services.pages import respond
from services.parameters import check_names

OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
_COMMON = "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/"
_TILESETS = "http://www.opengis.net/def/rel/ogc/1.0/tiling-schemes"
_PROCESSES = "http://www.opengis.net/def/rel/ogc/1.0/processes"


def mount(app: FastAPI, doors: Iterable[Door]) -> None:
    """Add the doors' routes to the application, and remember what they say of themselves."""
    app.state.doors = tuple(doors)
    for door in app.state.doors:
        # Servers decode %2F before the router sees it: the id of a feature may have slashes.
        path = door.path.replace("{featureId}", "{featureId:path}")
        app.router.routes.append(
            Route(
                path, ruled(door.rule)(door.handler), methods=[door.method], include_in_schema=False
            )
        )


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
    """Answer the OpenAPI document."""
    check_format(request)
    check_names(request, ("f",))
    document = openapi_document(request.app, base_url(request))
    return respond(request, document, "api.html", media_type=OPENAPI)


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
    document: dict[str, Any] = _as_3_0(control)
    document["info"]["license"] = {"name": "Apache-2.0"}
    document["servers"] = [{"url": server}]
    paths = document.setdefault("paths", {})
    for door in app.state.doors:
        paths.setdefault(door.path, {})[door.method.lower()] = _described(door)
    for described in (d for item in paths.values() for d in item.values()):
        described["responses"] = _with_refusals(described)
    components = document.setdefault("components", {})
    components["parameters"] = PARAMETERS
    components["responses"] = {"Problem": PROBLEM}
    components.setdefault("schemas", {})["FeatureCollection"] = _FEATURE_COLLECTION
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return document


def _described(door: Door) -> dict[str, Any]:
    """Return a door's operation; a browser is sent to sign in, or back to the page it came from."""
    described = dict(door.operation)
    if door.rule in (Rule.SIGNED_IN, Rule.ADMINISTER):
        described["responses"] = described["responses"] | {"303": SEE_OTHER}
    return described


def _with_refusals(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the responses of an operation, with those that it shares with all others."""
    stated = described["responses"]
    codes = {code for code in stated if code[:1] in "45"} | {str(code) for code in ANYWHERE}
    if "requestBody" in described:
        codes |= {"408", "413"}
    kept = {code: said for code, said in stated.items() if code not in codes}
    return kept | dict.fromkeys(sorted(codes), REFUSED)


def _as_3_0(value: Any) -> Any:
    """Bring JSON Schema of OpenAPI 3.1 down to 3.0: null as a type becomes nullable."""
    if isinstance(value, list):
        return [_as_3_0(v) for v in value]
    if not isinstance(value, Mapping):
        return value
    choices = value.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        rest = [_as_3_0(c) for c in choices if c != {"type": "null"}]
        other = {k: _as_3_0(v) for k, v in value.items() if k not in ("anyOf", "default")}
        return other | {"nullable": True} | (rest[0] if len(rest) == 1 else {"anyOf": rest})
    return {k: _as_3_0(v) for k, v in value.items()}


def _landing_links(request: Request) -> list[dict[str, str]]:
    return [
        link(address(request), "self", JSON, "This document"),
        link(address(request, f="html"), "alternate", HTML, "One Map · 一张图"),
        link(address(request, "api"), "service-desc", OPENAPI, "OpenAPI 3.0"),
        link(address(request, "api", f="html"), "service-doc", HTML, "The API as a page"),
        link(address(request, "conformance"), "conformance", JSON, "Conformance classes"),
        link(address(request, "collections"), "data", JSON, "Collections · 图层"),
        link(address(request, "tileMatrixSets"), _TILESETS, JSON, "Tile matrix sets"),
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
            parameters=("f",),
            media_types=(OPENAPI, "text/html"),
            errors=(400, 401, 406),
        ),
        rule=Rule.OPEN,
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
