"""The OpenAPI document is what OpenAPI 3.0 says it must be, and what Part 1 wants in it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import orjson
import pygeoapi
import pytest
import shapely
from jsonschema import Draft4Validator
from openapi_spec_validator import OpenAPIV30SpecValidator
from starlette.testclient import TestClient

from layers.publish import Reload
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
from layers.writers import Writer
from tests.services.conftest import Doors


def test_the_document_is_openapi_3_0(client: TestClient) -> None:
    """By the schema of OpenAPI 3.0 that pygeoapi brings along."""
    file = Path(pygeoapi.__file__).parent / "schemas" / "openapi" / "openapi-3.0.x.json"
    checked = Draft4Validator(orjson.loads(file.read_bytes()))
    faults = []
    for error in checked.iter_errors(client.get("/api").json()):
        while error.context:
            error = max(error.context, key=lambda cause: len(cause.absolute_path))
        faults.append(f"{error.json_path}: {error.message[:200]}")
    assert not faults, "\n".join(faults[:10])


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("bbox", {"type": "array", "minItems": 4, "maxItems": 6, "items": {"type": "number"}}),
        ("datetime", {"type": "string"}),
        ("limit", {"type": "integer", "minimum": 1}),
    ],
)
def test_core_parameters_are_as_part_1_has_them(
    client: TestClient, name: str, schema: dict[str, object]
) -> None:
    document = client.get("/api").json()
    stated = document["paths"]["/collections/{collectionId}/items"]["get"]["parameters"]
    assert {"$ref": f"#/components/parameters/{name}"} in stated
    found = document["components"]["parameters"][name]
    assert (found["in"], found["style"], found["explode"]) == ("query", "form", False)
    assert not found.get("required", False)
    assert found["schema"] | schema == found["schema"]


def test_every_operation_states_how_it_refuses(client: TestClient) -> None:
    """A page where a page was asked for, a problem document otherwise."""
    document = client.get("/api").json()
    refusal = document["components"]["responses"]["Problem"]
    assert set(refusal["content"]) == {"application/problem+json", "text/html"}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            codes = set(operation["responses"])
            assert {"400", "401", "414", "429", "431", "503"} <= codes, (path, method)
            assert "requestBody" not in operation or {"408", "413"} <= codes, (path, method)
            for code in codes:
                refused = operation["responses"][code].get("$ref", "")
                assert (code[0] in "45") == refused.endswith("/Problem"), (path, method, code)


@pytest.mark.parametrize("path", ["/account", "/admin", "/admin/audit"])
def test_a_browser_is_sent_to_sign_in_as_the_document_says(client: TestClient, path: str) -> None:
    answer = client.get(path, headers={"Accept": "text/html"}, follow_redirects=False)
    assert answer.status_code == 303
    assert "303" in client.get("/api").json()["paths"][path]["get"]["responses"]


def test_pages_of_commits_and_tags_are_stated(client: TestClient) -> None:
    """FastAPI describes their JSON alone."""
    paths = client.get("/api").json()["paths"]
    for path in ("/commits", "/tags", "/collections/{collectionId}/revisions"):
        stated = paths[path]["get"]["responses"]["200"]["content"]
        for accept in ("application/json", "text/html"):
            answer = client.get(path.format(collectionId="parcels"), headers={"Accept": accept})
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"].split(";")[0] == accept
            assert accept in stated


def parameters_of(document: dict[str, Any], path: str) -> dict[str, dict[str, Any]]:
    """The parameters of a path's GET by name, references followed."""
    known = document["components"]["parameters"]
    stated = document["paths"][path]["get"]["parameters"]
    found = [known[p["$ref"].rpartition("/")[2]] if "$ref" in p else p for p in stated]
    return {p["name"]: p for p in found}


@pytest.mark.parametrize("version", ["json", "oas31"])
def test_each_collection_has_its_queryables_as_parameters(client: TestClient, version: str) -> None:
    """At a path of its own, in the form in which GDAL and QGIS look for them."""
    document = client.get("/api", params={"f": version}).json()
    template = parameters_of(document, "/collections/{collectionId}/items").keys()
    for layer in ("parcels", "incidents", "pipe_segments"):
        found = parameters_of(document, f"/collections/{layer}/items")
        queryables = client.get(f"/collections/{layer}/queryables").json()["properties"]
        scalar = {n: q for n, q in queryables.items() if "type" in q}
        assert found.keys() == (template - {"collectionId", "property"}) | scalar.keys()
        for name, queryable in scalar.items():
            stated = found[name]
            assert (stated["in"], stated["style"], stated["explode"]) == ("query", "form", False)
            assert stated["description"] == queryable["title"]
            for key in ("type", "format"):
                assert stated["schema"].get(key) == queryable.get(key)
        # Each is a parameter indeed.
        [feature] = client.get(f"/collections/{layer}/items?limit=1").json()["features"]
        for name, value in feature["properties"].items():
            if name in scalar and value is not None:
                said = value if isinstance(value, str) else orjson.dumps(value).decode()
                answer = client.get(f"/collections/{layer}/items", params={name: said, "limit": 1})
                assert answer.status_code == 200, answer.text
                [other] = answer.json()["features"]
                assert other["properties"][name] == value


@pytest.fixture
def odd_doors(own_doors: Doors) -> Doors:
    """With a layer that is not everybody's, and a field that hardly anybody sees."""
    schema = parse_schema(
        {
            "title": "Hidden",
            "geometry": "Point",
            "visibility": "internal",
            "fields": [
                {"id": "no", "role": "key"},
                {"id": "seldom", "visibility": "restricted"},
                {"id": "count", "type": "integer"},
            ],
        }
    )
    columns = {"no": ["1"], "seldom": ["x"], "count": [3]}
    frame = gpd.GeoDataFrame(columns, geometry=[shapely.Point(1, 2)], crs="OGC:CRS84")
    reload = Reload(FrameSource(frame), schema=schema, valid_from=date(2020, 1, 1))
    own_doors.store.commit({"hidden": reload}, Writer("tests"), "")
    return own_doors


def test_the_document_is_that_of_whoever_asks(odd_doors: Doors) -> None:
    """Layers and fields that one does not see are not named; caches know it."""
    stranger = odd_doors.client.get("/api")
    reader = odd_doors.client.get("/api", headers=odd_doors.key("reader"))
    assert "hidden" not in stranger.text
    assert "no" in parameters_of(reader.json(), "/collections/hidden/items")
    assert "seldom" not in reader.text
    assert stranger.headers["etag"] != reader.headers["etag"]
    varies = {name.strip() for name in reader.headers["vary"].split(",")}
    assert {"Authorization", "Cookie", "X-API-Key"} <= varies
    again = odd_doors.client.get("/api", headers={"If-None-Match": reader.headers["etag"]})
    assert again.status_code == 200
    assert "hidden" not in again.text


def test_a_field_that_is_called_as_a_parameter_is_that_parameter(odd_doors: Doors) -> None:
    """It is stated once, and means what it means of every collection."""
    document = odd_doors.json("/api", headers=odd_doors.key("reader"))
    OpenAPIV30SpecValidator(document).validate()
    stated = document["paths"]["/collections/hidden/items"]["get"]["parameters"]
    assert "count" not in [p.get("name") for p in stated]
    assert parameters_of(document, "/collections/hidden/items")["count"]["schema"] == {
        "type": "string",
        "enum": ["exact"],
    }
