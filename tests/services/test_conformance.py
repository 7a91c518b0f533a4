"""Each conformance class that is declared names the tests that hold it, and no other is."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from starlette.testclient import TestClient

from services.conformance import STANDARDS, held_by

TESTS = Path(__file__).parents[1]
SETS = ["WebMercatorQuad", "WorldCRS84Quad", "CGCS2000Quad", "Tianditu_c", "Tianditu_w"]
DOCS = TESTS.parent / "docs" / "interop.md"
KNOWN = {f"{s.base}{name}": tests for s in STANDARDS for name, tests in s.classes.items()}


@cache
def collected(file: str) -> frozenset[str]:
    """The tests of a file that pytest collects: those that stand at its top."""
    assert re.fullmatch(r"([a-z_]+/)*test_[a-z0-9_]+\.py", file), file
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


def test_each_class_declared_names_its_tests(client: TestClient) -> None:
    declared = client.get("/conformance").json()["conformsTo"]
    assert declared == sorted(set(declared))
    # A class with tests is declared by the door that makes it true, and no other is.
    assert set(declared) == {uri for uri, tests in KNOWN.items() if tests}
    for uri in declared:
        for held in held_by(uri):
            file, _, name = held.partition("::")
            assert name in collected(file), f"{uri}: there is no test {held}"


def test_the_page_of_the_docs_has_the_same_table() -> None:
    text = DOCS.read_text("utf-8")
    found: dict[str, tuple[str, ...]] = {}
    for base, rows in re.findall(r"^`(http\S+/conf/)`\n\n((?:\|.*\n)+)", text, re.M):
        for row in rows.splitlines()[2:]:
            name, tests = (cell.strip() for cell in row.strip("| ").split("|"))
            found[base + name.strip("`")] = tuple(re.findall(r"`([^`]+)`", tests))
    assert found == KNOWN


@pytest.mark.parametrize("layer", ["parcels", "incidents", "pipe_segments"])
def test_tilesets_are_listed(client: TestClient, layer: str) -> None:
    about = client.get(f"/collections/{layer}").json()
    rel = "http://www.opengis.net/def/rel/ogc/1.0/tilesets-vector"
    [address] = [x["href"] for x in about["links"] if x["rel"] == rel]
    listed = client.get(address).json()["tilesets"]
    assert [t["tileMatrixSetId"] for t in listed] == SETS
    for tileset in listed:
        jsonschema.validate(tileset, TILESET)
        [there] = [x["href"] for x in tileset["links"] if x["rel"] == "self"]
        alone = client.get(there).json()
        assert alone["tileMatrixSetURI"] == tileset["tileMatrixSetURI"]
        assert alone["crs"] == tileset["crs"]


def test_a_tileset_leads_to_its_tiles(client: TestClient) -> None:
    tileset = client.get("/collections/parcels/tiles/WebMercatorQuad").json()
    jsonschema.validate(tileset, TILESET)
    [item] = [x for x in tileset["links"] if x["rel"] == "item"]
    assert item["templated"] is True
    assert item["type"] == "application/vnd.mapbox-vector-tile"
    for name, value in (("tileMatrix", "14"), ("tileRow", "6060"), ("tileCol", "4956")):
        assert f"{{{name}}}" in item["href"]
        item["href"] = item["href"].replace(f"{{{name}}}", value)
    tile = client.get(item["href"])
    assert (tile.status_code, tile.headers["content-type"]) == (200, item["type"])
    scheme = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme"
    [there] = [x["href"] for x in tileset["links"] if x["rel"] == scheme]
    assert client.get(there).json()["id"] == "WebMercatorQuad"
    [layer] = tileset["layers"]
    assert layer["id"] == "parcels"
    assert layer["geometryDimension"] == 2
    assert set(layer["propertiesSchema"]["properties"]) == {
        "id", "valid_from", "valid_to", "count", "ml", "map", "lot", "uyear", "title_deed",
    }  # fmt: skip
    lower, upper = tileset["boundingBox"]["lowerLeft"], tileset["boundingBox"]["upperRight"]
    assert lower[0] < upper[0] < 0 < lower[1] < upper[1]


def test_the_matrix_set_is_the_known_one(client: TestClient) -> None:
    listed = client.get("/tileMatrixSets").json()["tileMatrixSets"]
    assert [t["id"] for t in listed] == SETS
    found = client.get(listed[0]["links"][0]["href"]).json()
    jsonschema.validate(found, MATRIX_SET)
    assert found["uri"] == listed[0]["uri"]
    for zoom, matrix in enumerate(found["tileMatrices"]):
        assert matrix["id"] == str(zoom)
        assert matrix["matrixWidth"] == matrix["matrixHeight"] == 2**zoom
        assert matrix["cellSize"] * 256 * 2**zoom == pytest.approx(2 * 20037508.342789244)
        assert matrix["scaleDenominator"] == pytest.approx(559082264.0287178 / 2**zoom)
        assert matrix["pointOfOrigin"] == pytest.approx([-20037508.342789244, 20037508.342789244])


NUMBERS = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
TILESET: dict[str, Any] = {
    "type": "object",
    "required": ["dataType", "crs", "links"],
    "anyOf": [{"required": ["tileMatrixSetURI"]}, {"required": ["tileMatrixSet"]}],
    "properties": {
        "dataType": {"enum": ["vector", "map", "coverage"]},
        "crs": {"type": "string", "format": "uri"},
        "links": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["href", "rel"],
                "properties": {"templated": {"type": "boolean"}},
            },
        },
        "layers": {"type": "array", "items": {"required": ["id", "dataType"]}},
        "boundingBox": {
            "required": ["lowerLeft", "upperRight"],
            "properties": {"lowerLeft": NUMBERS, "upperRight": NUMBERS},
        },
    },
}
MATRIX_SET: dict[str, Any] = {
    "type": "object",
    "required": ["crs", "tileMatrices"],
    "properties": {
        "tileMatrices": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": [
                    "id",
                    "scaleDenominator",
                    "cellSize",
                    "pointOfOrigin",
                    "tileWidth",
                    "tileHeight",
                    "matrixWidth",
                    "matrixHeight",
                ],
                "properties": {"id": {"type": "string"}, "pointOfOrigin": NUMBERS},
            },
        }
    },
}
