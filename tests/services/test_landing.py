"""Landing page, conformance, OpenAPI and collections, as a client of OGC APIs relies on them."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator
from starlette.routing import BaseRoute, Mount, Route
from starlette.testclient import TestClient

LAYERS = ["grids", "incidents", "parcels", "pipe_nodes", "pipe_segments"]
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
OPENAPI_3_1 = "application/vnd.oai.openapi+json;version=3.1"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
ONE_OF_EACH = [
    "/",
    "/conformance",
    "/functions",
    "/api",
    "/collections",
    "/collections/parcels",
    "/collections/pipe_nodes",
    "/collections/parcels/items?limit=3",
    "/collections/parcels/items?limit=3&datetime=2013-06-01/2014-06-01",
    "/collections/incidents/items?limit=3",
    "/collections/parcels/items/169-100",
    "/collections/parcels/items/169-100?datetime=2013-06-01&revision=2",
    "/collections/parcels/items/169-100/versions",
    "/collections/parcels/schema",
    "/collections/parcels/queryables",
    "/collections/parcels/sortables",
    "/collections/parcels/revisions",
    "/collections/parcels/revisions/1",
    "/collections/parcels/tiles",
    "/collections/parcels/tiles/WebMercatorQuad",
    "/collections/parcels/tiles/CGCS2000Quad?datetime=2014-06-01&revision=3",
    "/tiles",
    "/tiles/WebMercatorQuad",
    "/tiles/Tianditu_w?datetime=2014-06-01&collections=parcels,grids",
    "/tileMatrixSets",
    "/tileMatrixSets/WebMercatorQuad",
    "/tileMatrixSets/CGCS2000Quad",
    "/styles",
    "/styles/parcels/metadata",
    "/collections/parcels/styles",
]


def links(document: dict[str, Any], rel: str) -> list[dict[str, Any]]:
    return [found for found in document["links"] if found["rel"] == rel]


def href(document: dict[str, Any], rel: str, media_type: str | None = None) -> str:
    found = [x for x in links(document, rel) if media_type in (None, x["type"])]
    assert len(found) == 1, (rel, document["links"])
    return str(found[0]["href"])


def test_the_landing_page_names_everything(client: TestClient) -> None:
    document = client.get("/").json()
    assert document["title"]
    for rel, kind in (
        ("self", "application/json"),
        ("alternate", "text/html"),
        ("service-desc", OPENAPI),
        ("service-desc", OPENAPI_3_1),
        ("service-doc", "text/html"),
        ("conformance", "application/json"),
        ("data", "application/json"),
    ):
        answer = client.get(href(document, rel, kind))
        assert answer.status_code == 200, rel
        assert answer.headers["content-type"].startswith(kind), rel


@pytest.mark.parametrize("address", ONE_OF_EACH)
def test_every_link_leads_where_it_says(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 200
    for found in _all_links(answer.json()):
        if found.get("templated") or found["rel"] == "license":
            continue
        there = client.get(found["href"])
        assert there.status_code == 200, found
        said = there.headers["content-type"].removesuffix("; charset=utf-8")
        assert said == found["type"], found


@pytest.mark.parametrize("address", ONE_OF_EACH)
def test_self_is_the_document_itself(client: TestClient, address: str) -> None:
    document = client.get(address).json()
    if "/tileMatrixSets/" in address or address in ("/conformance", "/functions", "/api"):
        return
    if address.endswith(("/schema", "/queryables", "/sortables")):
        return  # A JSON Schema names itself: test_schemas.py
    if "/revisions/" not in address:
        alternate = href(document, "alternate", "text/html")
        assert client.get(alternate).headers["content-type"].startswith("text/html")
    again = client.get(href(document, "self")).json()
    for answer in (document, again):
        answer.pop("datetime", None)
        answer["links"] = [x for x in answer["links"] if x["rel"] != "next"]
    assert again == document


@pytest.mark.parametrize("address", ONE_OF_EACH)
def test_a_browser_gets_a_page(client: TestClient, browser: dict[str, str], address: str) -> None:
    page = client.get(address, headers=browser)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "Accept" in page.headers["vary"]
    joined = "&" if "?" in address else "?"
    asked = client.get(f"{address}{joined}f=html")
    assert asked.status_code == 200
    assert asked.headers["content-type"].startswith("text/html")
    data = client.get(f"{address}{joined}f=json", headers=browser)
    assert "json" in data.headers["content-type"]


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        ("*/*", False),
        ("", False),
        ("application/json", False),
        ("text/html", True),
        ("text/html;q=0.5, application/json", False),
        ("text/html, application/geo+json;q=0.9", True),
        ("image/png", False),
        ("text/html;q=zero", False),
        ("TEXT/HTML", True),
    ],
)
def test_accept_is_weighed(client: TestClient, accept: str, page: bool) -> None:
    answer = client.get("/collections", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html") is page


@pytest.mark.parametrize("address", ONE_OF_EACH)
def test_a_format_that_is_not_offered_is_406(client: TestClient, address: str) -> None:
    joined = "&" if "?" in address else "?"
    answer = client.get(f"{address}{joined}f=gml")
    assert answer.status_code == 406
    assert "json, html" in answer.json()["detail"]


def test_collections(client: TestClient) -> None:
    document = client.get("/collections").json()
    assert [c["id"] for c in document["collections"]] == LAYERS
    assert document["numberMatched"] == document["numberReturned"] == len(LAYERS)
    for listed in document["collections"]:
        alone = client.get(f"/collections/{listed['id']}").json()
        assert {k: alone[k] for k in listed if k != "links"} == {
            k: v for k, v in listed.items() if k != "links"
        }
        assert all(x in alone["links"] for x in listed["links"])
        assert listed["itemType"] == "feature"
        assert listed["crs"] == [CRS84, *(f"{EPSG}{code}" for code in (4326, 4490, 3857))]
        assert listed["storageCrs"] == CRS84
        kinds = {x["type"] for x in links(listed, "items")}
        assert kinds == {"application/geo+json", "text/html"}


def test_the_extent_is_that_of_the_features(client: TestClient) -> None:
    extent = client.get("/collections/parcels").json()["extent"]
    west, south, east, north = extent["spatial"]["bbox"][0]
    assert -71.17 < west < -71.15 < -71.07 < east < -71.05
    assert 42.34 < south < 42.36 < 42.40 < north < 42.41
    assert extent["spatial"]["crs"] == CRS84
    assert extent["temporal"]["interval"] == [["2013-01-01T05:00:00Z", None]]


def test_state_layers_are_versioned_and_events_are_not(client: TestClient) -> None:
    found = {c["id"]: c for c in client.get("/collections").json()["collections"]}
    axes = {"timeAxis": "validity-time", "mutationTime": "client"}
    assert found["grids"]["versioning"] == axes
    assert found["parcels"]["versioning"] == axes | {"backdating": True}
    assert "versioning" not in found["incidents"]
    assert found["incidents"]["synthetic"] is True


def test_a_base_url_is_what_links_begin_with(city_doors: Any, settings: Any) -> None:
    from dataclasses import replace

    from services.app import create_app

    behind = replace(settings, base_url="https://city.example/platform")
    with TestClient(create_app(city_doors.store, behind)) as client:
        for address in ONE_OF_EACH[:4]:
            for found in _all_links(client.get(address).json()):
                if found["rel"] == "license":
                    continue
                assert found["href"].startswith("https://city.example/platform/")
        servers = client.get("/api").json()["servers"]
    assert servers == [{"url": "https://city.example/platform"}]


def test_openapi_is_the_route_table(client: TestClient) -> None:
    """Beside the templates stand the items of each collection, as a route has them."""
    app: FastAPI = client.app  # type: ignore[assignment]
    layers = [c["id"] for c in client.get("/collections").json()["collections"]]
    named = {f"/collections/{layer}/items" for layer in layers}
    described: dict[str, set[str]] = {}
    for path, item in client.get("/api").json()["paths"].items():
        described[path] = {method.upper() for method in item if method != "parameters"}
    assert named <= described.keys()
    for path in named:
        assert described.pop(path) == described["/collections/{collectionId}/items"]
    assert {(p, m) for p, found in described.items() for m in found} == set(_routes(app.routes))


def _routes(routes: list[BaseRoute]) -> list[tuple[str, str]]:
    found = []
    for route in routes:
        if isinstance(route, Route | APIRoute):
            path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path)
            # HEAD comes with every GET and is said of none.
            found += [(path, method) for method in route.methods or () if method != "HEAD"]
        elif isinstance(route, Mount):
            assert route.path == "/static", route
        elif hasattr(route, "original_router"):
            found += _routes(route.original_router.routes)
        else:
            raise AssertionError(f"a route of a kind that this test does not know: {route!r}")
    return found


def test_every_get_has_its_head(client: TestClient) -> None:
    for address in [*ONE_OF_EACH, "/health"]:
        got, head = client.get(address), client.head(address)
        assert (head.status_code, head.content) == (200, b""), address
        for name in ("content-type", "cache-control", "content-revision"):
            assert head.headers.get(name) == got.headers.get(name), (address, name)


def test_the_openapi_document_is_3_0(client: TestClient) -> None:
    answer = client.get("/api", headers={"Accept": OPENAPI})
    assert answer.headers["content-type"] == OPENAPI
    document = answer.json()
    jsonschema.validate(document, OPENAPI_3_0)
    assert re.fullmatch(r"3\.0\.\d", document["openapi"])
    operations = [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    ids = [operation["operationId"] for *_, operation in operations]
    assert len(ids) == len(set(ids))
    for path, method, operation in operations:
        stated = [_resolve(document, p) for p in operation.get("parameters", ())]
        for parameter in stated:
            jsonschema.validate(parameter, PARAMETER)
        names = [(p["name"], p["in"]) for p in stated]
        assert len(names) == len(set(names)), (path, method)
        assert {n for n, place in names if place == "path"} == set(re.findall(r"\{(\w+)\}", path))
        for response in operation["responses"].values():
            assert _resolve(document, response)["description"]
    for value in _walk(document):
        if isinstance(value, dict):
            assert value.get("type") != "null", "null is no type of OpenAPI 3.0"
            assert not isinstance(value.get("type"), list), "a list of types is OpenAPI 3.1"
            assert not isinstance(value.get("exclusiveMinimum"), float | int) or isinstance(
                value["exclusiveMinimum"], bool
            )
            if isinstance(value.get("$ref"), str):
                _resolve(document, value)


@pytest.mark.parametrize(
    "asked", [{"params": {"f": "oas31"}}, {"headers": {"Accept": OPENAPI_3_1}}]
)
def test_openapi_3_1_says_the_same(client: TestClient, asked: dict[str, Any]) -> None:
    answer = client.get("/api", **asked)
    assert answer.headers["content-type"] == OPENAPI_3_1
    newer, older = answer.json(), client.get("/api").json()
    assert newer["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(newer).validate()
    assert newer["paths"].keys() == older["paths"].keys()
    assert "nullable" not in answer.text
    # A feature without a geometry is one in both.
    places = ["FeatureCollection", "properties", "features", "items", "properties", "geometry"]
    geometry = newer["components"]["schemas"]
    for place in places:
        geometry = geometry[place]
    jsonschema.validate(None, geometry)


def test_openapi_is_valid_and_3_0_unless_asked(client: TestClient) -> None:
    for headers in ({}, {"Accept": f"{OPENAPI_3_1};q=0.5, {OPENAPI}"}, {"Accept": "*/*"}):
        answer = client.get("/api", headers=headers)
        assert answer.headers["content-type"] == OPENAPI
        assert "Accept" in answer.headers["vary"]
    OpenAPIV30SpecValidator(answer.json()).validate()


def test_every_operation_states_what_any_can_be_answered_with(client: TestClient) -> None:
    for path, item in client.get("/api").json()["paths"].items():
        for method, operation in item.items():
            stated = set(operation["responses"])
            assert {"400", "401", "414", "429", "431", "503"} <= stated, (path, method)
            if method not in ("get", "options"):
                assert {"403", "408", "413"} <= stated, (path, method)


def test_openapi_states_each_parameter_that_a_door_takes(client: TestClient) -> None:
    document = client.get("/api").json()
    for path, item in document["paths"].items():
        if "get" not in item or "{jobId}" in path or "/processes" in path or "/jobs" in path:
            continue
        if path.startswith(("/account", "/admin", "/login/")):
            continue  # for people who have signed in: tests/services/access
        if re.match(r"/collections/(?!\{|parcels/)", path):
            continue  # one collection is as another; not all of them have three revisions
        if "/map/tiles" in path:
            continue  # of raster layers, of which the city has none: tests/services/test_map_tiles
        if path.endswith("/faults"):
            continue  # for staff who see the whole layer: tests/services/test_reports
        stated = {
            p["name"]
            for p in (_resolve(document, x) for x in item["get"].get("parameters", ()))
            if p["in"] == "query"
        }
        filled = path.format(
            collectionId="parcels",
            featureId="169-100",
            number="1",
            commitId="1",
            tileMatrixSetId="WebMercatorQuad",
            archiveId="r4-0123456789abcdef.pmtiles",
            tileMatrix="13",
            tileRow="3030",
            tileCol="2478",
            style="default",
            time="current",
            styleId="parcels",
            spriteFile="shikong.json",
        )
        for name in ("f", "bbox", "datetime", "revision", "recorded", "limit"):
            value = {
                "f": "mvt" if "tileRow" in path else "json",
                "bbox": "-71.2,42.3,-71,42.4",
                "datetime": "2014-06-01",
                "revision": "3",
                "recorded": "2014-06-01",
                "limit": "1",
            }[name]
            status = client.get(f"{filled}?{name}={value}").status_code
            assert (status < 300) is (name in stated), (path, name, status)


def test_items_say_what_the_schema_says(client: TestClient) -> None:
    document = client.get("/api").json()
    schema = document["components"]["schemas"]["FeatureCollection"]
    # What 3.0 writes as nullable is a choice of types to JSON Schema.
    schema = _nullable(schema)
    for address in (
        "/collections/parcels/items?limit=20",
        "/collections/incidents/items?limit=20",
        "/collections/parcels/items/169-100/versions",
    ):
        jsonschema.validate(client.get(address).json(), schema)


def _nullable(value: Any) -> Any:
    if isinstance(value, list):
        return [_nullable(v) for v in value]
    if not isinstance(value, dict):
        return value
    found = {k: _nullable(v) for k, v in value.items() if k != "nullable"}
    return {"anyOf": [found, {"type": "null"}]} if value.get("nullable") else found


def _resolve(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        found: Any = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        value = found
    return value


def _walk(value: Any) -> Any:
    yield value
    for child in value.values() if isinstance(value, dict) else value:
        if isinstance(child, dict | list):
            yield from _walk(child)


def _all_links(value: Any) -> list[dict[str, Any]]:
    return [
        x
        for part in _walk(value)
        if isinstance(part, dict) and isinstance(part.get("links"), list)
        for x in part["links"]
    ]


PARAMETER = {
    "type": "object",
    "required": ["name", "in", "schema"],
    "properties": {
        "in": {"enum": ["path", "query", "header"]},
        "schema": {"type": "object"},
        "required": {"type": "boolean"},
    },
    "if": {"properties": {"in": {"const": "path"}}},
    "then": {"required": ["required"], "properties": {"required": {"const": True}}},
}
# The parts of the specification's own schema that a generator gets wrong.
OPENAPI_3_0 = {
    "type": "object",
    "required": ["openapi", "info", "paths"],
    "additionalProperties": False,
    "patternProperties": {"^x-": {}},
    "properties": {
        "openapi": {"type": "string"},
        "info": {
            "type": "object",
            "required": ["title", "version"],
            "properties": {"license": {"type": "object", "required": ["name"]}},
        },
        "servers": {"type": "array", "items": {"required": ["url"]}},
        "paths": {
            "type": "object",
            "additionalProperties": False,
            "patternProperties": {
                "^/": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        m: {
                            "type": "object",
                            "required": ["responses", "operationId", "summary", "tags"],
                            "properties": {
                                "responses": {
                                    "type": "object",
                                    "minProperties": 1,
                                    "propertyNames": {"pattern": "^([1-5][0-9]{2}|default)$"},
                                },
                                "requestBody": {"required": ["content"]},
                            },
                        }
                        for m in ("get", "post", "put", "delete", "patch", "options", "head")
                    },
                }
            },
        },
        "components": {"type": "object"},
        "tags": {"type": "array"},
        "security": {"type": "array"},
        "externalDocs": {"type": "object"},
    },
}
