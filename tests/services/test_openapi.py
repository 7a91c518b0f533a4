"""The OpenAPI document is what OpenAPI 3.0 says it must be, and what Part 1 wants in it."""

from __future__ import annotations

from pathlib import Path

import orjson
import pygeoapi
import pytest
from jsonschema import Draft4Validator
from starlette.testclient import TestClient


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
