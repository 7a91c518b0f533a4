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
