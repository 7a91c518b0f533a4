"""Each conformance class that is declared names the tests that hold it, and no other is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from starlette.testclient import TestClient

OGC = "http://www.opengis.net/spec/"
COMMON, FEATURES = f"{OGC}ogcapi-common-1/1.0/conf/", f"{OGC}ogcapi-features-1/1.0/conf/"
TILES, TMS = f"{OGC}ogcapi-tiles-1/1.0/conf/", f"{OGC}tms/2.0/conf/"
EDITING = f"{OGC}ogcapi-features-4/1.0/conf/"
TRANSACTIONS = f"{OGC}ogcapi-features-11/1.0/conf/"
PROCESSES = f"{OGC}ogcapi-processes-1/1.0/conf/"
# Class, then file below tests/ and tests in it. Those of the processes stand in test_guest.py.
HELD_BY: dict[str, tuple[str, ...]] = {
    f"{COMMON}core": ("services/test_landing.py::test_every_get_has_its_head",),
    f"{COMMON}landing-page": ("services/test_landing.py::test_the_landing_page_names_everything",),
    f"{COMMON}json": ("services/test_landing.py::test_accept_is_weighed",),
    f"{COMMON}html": ("services/test_landing.py::test_a_browser_gets_a_page",),
    f"{COMMON}oas30": ("services/test_landing.py::test_the_openapi_document_is_3_0",),
    f"{OGC}ogcapi-common-2/1.0/conf/collections": (
        "services/test_landing.py::test_collections",
        "services/test_landing.py::test_the_extent_is_that_of_the_features",
    ),
    f"{FEATURES}core": (
        "services/test_items.py::test_pages_visit_each_feature_once",
        "services/test_items.py::test_a_box_selects_what_meets_it",
        "services/test_items.py::test_intervals_are_closed_and_periods_half_open",
        "services/test_items.py::test_bad_parameters_are_400",
        "services/test_landing.py::test_self_is_the_document_itself",
    ),
    f"{FEATURES}geojson": ("services/test_items.py::test_geometries_are_those_of_the_source",),
    f"{FEATURES}html": ("services/test_landing.py::test_a_browser_gets_a_page",),
    f"{FEATURES}oas30": (
        "services/test_landing.py::test_openapi_states_each_parameter_that_a_door_takes",
    ),
    f"{EDITING}create-replace-delete": (
        "services/test_editing.py::test_a_feature_is_created",
        "services/test_editing.py::test_a_feature_is_replaced_from_now_on",
        "services/test_editing.py::test_a_deleted_feature_is_gone_and_its_past_is_not",
        "services/test_editing.py::test_options_say_what_is_taken",
    ),
    f"{EDITING}update": ("services/test_editing.py::test_a_merge_patch_changes_what_it_names",),
    f"{EDITING}features": (
        "services/test_editing_bodies.py::test_coordinates_come_in_any_system_that_is_offered",
        "services/test_editing_bodies.py::test_bodies_that_state_no_feature",
    ),
    f"{EDITING}optimistic-locking-etags": (
        "services/test_editing_conditions.py::test_if_match_names_the_version_that_was_read",
        "services/test_editing_conditions.py::test_of_two_writers_with_one_tag_exactly_one_wins",
    ),
    f"{EDITING}optimistic-locking-timestamps": (
        "services/test_editing_conditions.py::test_if_unmodified_since_is_to_the_second",
    ),
    f"{TRANSACTIONS}transactions": (
        "services/test_transactions.py::test_several_layers_change_in_one_commit",
    ),
    f"{TRANSACTIONS}atomic-semantics": ("services/test_transactions.py::test_all_or_nothing",),
    f"{TRANSACTIONS}atomic-transactions": ("services/test_transactions.py::test_all_or_nothing",),
    f"{TRANSACTIONS}features": (
        "services/test_transactions.py::test_what_is_wrong_is_said_with_its_place",
    ),
    f"{TILES}core": ("tiles/test_vector.py::test_a_tile_has_the_features_that_meet_it",),
    f"{TILES}mvt": ("tiles/test_vector.py::test_what_a_feature_carries",),
    f"{TILES}tileset": ("services/test_conformance.py::test_a_tileset_leads_to_its_tiles",),
    f"{TILES}tilesets-list": ("services/test_conformance.py::test_tilesets_are_listed",),
    f"{TILES}geodata-tilesets": ("services/test_conformance.py::test_tilesets_are_listed",),
    f"{TMS}tilematrixset": ("services/test_conformance.py::test_the_matrix_set_is_the_known_one",),
    f"{TMS}json-tilematrixset": (
        "services/test_conformance.py::test_the_matrix_set_is_the_known_one",
    ),
}


def test_each_class_declared_names_its_tests(client: TestClient) -> None:
    declared = client.get("/conformance").json()["conformsTo"]
    assert declared == sorted(set(declared))
    assert {c for c in declared if not c.startswith(PROCESSES)} == set(HELD_BY)
    tests = Path(__file__).parents[1]
    for held in (name for names in HELD_BY.values() for name in names):
        file, name = held.split("::")
        assert re.search(rf"^def {name}\(", (tests / file).read_text("utf-8"), re.M), held
    if any(c.startswith(PROCESSES) for c in declared):
        assert (tests / "services" / "test_guest.py").exists()


@pytest.mark.parametrize("layer", ["parcels", "incidents", "pipe_segments"])
def test_tilesets_are_listed(client: TestClient, layer: str) -> None:
    about = client.get(f"/collections/{layer}").json()
    rel = "http://www.opengis.net/def/rel/ogc/1.0/tilesets-vector"
    [address] = [x["href"] for x in about["links"] if x["rel"] == rel]
    listed = client.get(address).json()["tilesets"]
    assert len(listed) == 1
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
        "ml", "map", "lot", "uyear", "title_deed",
    }  # fmt: skip
    lower, upper = tileset["boundingBox"]["lowerLeft"], tileset["boundingBox"]["upperRight"]
    assert lower[0] < upper[0] < 0 < lower[1] < upper[1]


def test_the_matrix_set_is_the_known_one(client: TestClient) -> None:
    listed = client.get("/tileMatrixSets").json()["tileMatrixSets"]
    assert [t["id"] for t in listed] == ["WebMercatorQuad"]
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
