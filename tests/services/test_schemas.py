"""Schema, queryables and sortables of a collection, as OGC API Common Part 3 has them."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from layers.access.grants import Role, Terms
from layers.schema_changes import SchemaChange
from layers.schemas.documents import parse_schema, schema_document
from layers.schemas.profiles import profile_schemas
from layers.systems import offered_crs
from layers.writers import Writer
from services.schema_documents import Purpose, describe
from tests.services.conftest import Doors

LAYERS = ["grids", "incidents", "parcels", "pipe_nodes", "pipe_segments"]
RESOURCES = ["schema", "queryables", "sortables"]
REL = "http://www.opengis.net/def/rel/ogc/1.0/"
SCHEMA = "application/schema+json"
GEOMETRY = re.compile(r"geometry-(multi)?(point|linestring|polygon)")


def schema_of(**changes: Any) -> Any:
    fields = [
        {"id": "no", "role": "key", "title": {"en": "Number", "zh": "编号"}, "required": True},
        {
            "id": "use",
            "title": {"en": "Use", "zh": "用途"},
            "codes": {"01": {"en": "A", "zh": "甲"}},
        },
        {"id": "level", "type": "integer", "codes": {"1": "one", "x": "what is none"}},
        {"id": "area", "type": "number", "unit": "m2", "indexed": True},
        {"id": "code", "pattern": "[A-Z][0-9]{3}"},
        {"id": "other", "pattern": r"\pN+(?i:x)"},
        {"id": "seen", "type": "date"},
        {"id": "old", "type": "boolean"},
    ]
    document = {"title": {"en": "Plots", "zh": "地块"}, "geometry": "MultiPolygonZ"}
    return parse_schema(document | {"fields": fields} | changes)


def described(
    schema: Any, purpose: Purpose = Purpose.FEATURES, language: str | None = None
) -> dict[str, Any]:
    fields = (*schema.stored, *schema.restricted)
    return describe(purpose, schema, fields, f"https://a.example/{purpose}", language)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("resource", RESOURCES)
def test_a_schema_is_a_json_schema_of_the_standards_kind(
    client: TestClient, layer: str, resource: str
) -> None:
    address = f"/collections/{layer}/{resource}"
    answer = client.get(address, headers={"Accept": SCHEMA})
    assert answer.headers["content-type"] == SCHEMA
    document = answer.json()
    Draft202012Validator.check_schema(document)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["$id"] == f"http://testserver{address}"
    assert (document["type"], document["additionalProperties"]) == ("object", False)
    places = [p["x-ogc-propertySeq"] for p in document["properties"].values()]
    assert places == sorted(set(places))
    for name, found in document["properties"].items():
        assert found["title"], name
        if str(found.get("format", "")).startswith("geometry"):
            assert GEOMETRY.fullmatch(found["format"])
            assert not {"type", "$ref"} & found.keys()
            assert resource != "sortables"
        else:
            assert found["type"] in ("string", "number", "integer", "boolean")
    assert client.get(address, params={"f": "json"}).content == answer.content


@pytest.mark.parametrize("layer", LAYERS)
def test_a_collection_links_to_its_schemas(client: TestClient, layer: str) -> None:
    listed = {c["id"]: c for c in client.get("/collections").json()["collections"]}
    alone = client.get(f"/collections/{layer}").json()
    for document in (listed[layer], alone):
        for resource in RESOURCES:
            [found] = [x for x in document["links"] if x["rel"] == f"{REL}{resource}"]
            assert found["type"] == SCHEMA
            assert client.get(found["href"]).json()["$id"] == found["href"]


def test_titles_units_and_patterns() -> None:
    found = described(schema_of())["properties"]
    assert found["no"]["title"] == "编号 · Number"
    assert found["no"]["x-shikong-titles"] == {"en": "Number", "zh": "编号"}
    assert described(schema_of(), language="en")["properties"]["no"]["title"] == "Number"
    assert described(schema_of(), language="zh")["title"] == "地块"
    assert found["area"]["x-ogc-unit"] == "m2"
    assert re.fullmatch(found["code"]["pattern"], "A001")
    for misfit in ("A0011", "xA001"):
        assert not re.search(found["code"]["pattern"], misfit)
    # JSON Schema's expressions are others than RE2's: what they would misread is left out.
    assert "pattern" not in found["other"]
    kinds = {name: (f.get("type"), f.get("format")) for name, f in found.items()}
    assert kinds == {
        "no": ("string", None),
        "use": ("string", None),
        "level": ("integer", "int64"),
        "area": ("number", "double"),
        "code": ("string", None),
        "other": ("string", None),
        "seen": ("string", "date"),
        "old": ("boolean", None),
        "geometry": (None, "geometry-multipolygon"),
        "valid_from": ("string", "date-time"),
        "valid_to": ("string", "date-time"),
    }


def test_codes_stand_in_the_schema(client: TestClient) -> None:
    found = described(schema_of(), language="en")["properties"]
    [code] = found["use"]["oneOf"]
    assert (code["const"], code["title"]) == ("01", "A")
    assert [c["const"] for c in found["level"]["oneOf"]] == [1, "x"]
    answer = client.get("/collections/incidents/schema")
    assert answer.headers["link"].endswith('/OGC/0/codelist-inline>; rel="profile"')
    states = {c["const"] for c in answer.json()["properties"]["state"]["oneOf"]}
    cases = client.get("/collections/incidents/items", params={"limit": 500}).json()["features"]
    assert {c["properties"]["state"] for c in cases} <= states
    assert "link" not in client.get("/collections/parcels/schema").headers


def test_roles() -> None:
    def roles(schema: Any) -> dict[str, str]:
        found = described(schema)["properties"]
        return {n: f["x-ogc-role"] for n, f in found.items() if "x-ogc-role" in f}

    period = {"valid_from": "primary-interval-start", "valid_to": "primary-interval-end"}
    shape = {"geometry": "primary-geometry"}
    assert roles(schema_of()) == {"no": "id"} | shape | period
    # An id that is made of several fields, or is not always the key, is none of the fields.
    two = schema_of(fields=[{"id": "a", "role": "key"}, {"id": "b", "role": "key"}])
    assert roles(two) == {"id": "id"} | shape | period
    assert described(two)["properties"]["id"]["readOnly"] is True
    assert roles(schema_of(placeholder_keys=["---"]))["id"] == "id"
    whole = schema_of(fields=[{"id": "id", "type": "integer", "role": "key"}, {"id": "valid_to"}])
    assert roles(whole) == {"_id": "id", "valid_from": period["valid_from"]} | shape | {
        "_valid_to": period["valid_to"]
    }
    event = profile_schemas("cn")["incidents"]
    assert roles(event) == {"case_no": "id", "reported_at": "primary-instant"} | shape


@pytest.mark.parametrize("layer", LAYERS)
def test_features_are_as_their_schema_says(client: TestClient, layer: str) -> None:
    document = client.get(f"/collections/{layer}/schema").json()
    roles = {f.get("x-ogc-role"): n for n, f in document["properties"].items()}
    kinds = set()
    for feature in client.get(f"/collections/{layer}/items?limit=200").json()["features"]:
        # NULL is no value: the logical schema does not speak of it.
        stated = {n: v for n, v in feature["properties"].items() if v is not None}
        stated.setdefault(roles["id"], feature["id"])
        assert stated[roles["id"]] == feature["id"]
        if feature["geometry"] is not None:
            kinds.add(f"geometry-{feature['geometry']['type'].lower()}")
        jsonschema.validate(stated, document)
    assert kinds == {document["properties"]["geometry"]["format"]}
    assert set(feature["properties"]) <= set(document["properties"])


@pytest.mark.parametrize("layer", ["parcels", "incidents"])
def test_each_queryable_is_a_parameter(client: TestClient, layer: str) -> None:
    items = f"/collections/{layer}/items"
    found = client.get(f"/collections/{layer}/queryables").json()["properties"]
    some = client.get(items, params={"limit": 50}).json()["features"]
    asked = 0
    for name, queryable in found.items():
        value = next((f["properties"][name] for f in some if f["properties"].get(name)), None)
        if "type" not in queryable or value is None:
            continue
        answer = client.get(items, params={name: value, "limit": 5}).json()
        assert answer["features"], name
        assert {f["properties"][name] for f in answer["features"]} == {value}
        asked += 1
    assert asked > 3
    assert client.get(items, params={"no_such_field": "1"}).status_code == 400


def test_sortables_are_what_has_an_index(client: TestClient) -> None:
    found = {n: client.get(f"/collections/{n}/sortables").json()["properties"] for n in LAYERS}
    assert list(found["parcels"]) == ["ml", "uyear"]
    assert list(found["pipe_segments"]) == ["network", "segment_no", "pipe_class", "diameter_m"]
    assert {"case_no", "reported_at", "due_at", "state"} <= set(found["incidents"])


def test_the_language_is_the_one_asked_for(client: TestClient) -> None:
    for asked, language, title in (
        ("en", "en", "Parcels"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh", "宗地"),
        ("fr, zh-Hant;q=0.3, en-GB;q=0.7", "en", "Parcels"),
        ("fr", "zh, en", "宗地 · Parcels"),
        ("en;q=oops", "zh, en", "宗地 · Parcels"),
    ):
        headers = {"Accept-Language": asked}
        answer = client.get("/collections/parcels/schema", headers=headers)
        assert answer.json()["title"] == title
        assert answer.headers["content-language"] == language
        assert "Accept-Language" in answer.headers["vary"]


def test_what_may_not_be_seen_is_not_there(keyed_doors: Doors) -> None:
    for resource in RESOURCES:
        document = keyed_doors.json(f"/collections/incidents/{resource}")
        assert "reporter_" not in str(document)
    key = keyed_doors.granted(
        Terms(Role.READER, layers="layer:incidents", fields=("reporter_name",))
    )
    found = {r: keyed_doors.json(f"/collections/incidents/{r}", headers=key) for r in RESOURCES}
    assert {r: "reporter_name" in d["properties"] for r, d in found.items()} == {
        "schema": True,
        # No way to find them by what they are, nor to put them in its order.
        "queryables": False,
        "sortables": False,
    }
    assert "reporter_phone" not in str(found)


def test_a_schema_of_an_earlier_revision(own_doors: Doors) -> None:
    store, address = own_doors.store, "/collections/grids/schema"
    record = store.layer("grids").record
    head = record.head
    document = schema_document(record.schema)
    document["fields"] = [
        *(f for f in document["fields"] if f["id"] != "webpage"),
        {"id": "fresh", "type": "integer", "indexed": True},
    ]
    store.commit({"grids": SchemaChange(parse_schema(document))}, Writer("test"), "another schema")
    newest, before = own_doors.json(address), own_doors.json(f"{address}?revision={head}")
    assert ("fresh" in newest["properties"], "webpage" in newest["properties"]) == (True, False)
    assert ("fresh" in before["properties"], "webpage" in before["properties"]) == (False, True)
    assert before["$id"] == newest["$id"]
    answer = own_doors.client.get(f"{address}?revision={head}")
    assert answer.headers["content-revision"] == str(head)
    assert "fresh" in own_doors.json("/collections/grids/sortables")["properties"]
    assert own_doors.client.get(f"{address}?revision={head + 2}").status_code == 404


@pytest.mark.parametrize(
    ("asked", "status"),
    [("?datetime=2014-01-01", 400), ("?revision=0", 400), ("?f=xml", 406), ("?limit=1", 400)],
)
@pytest.mark.parametrize("resource", RESOURCES)
def test_what_can_not_be_asked(client: TestClient, resource: str, asked: str, status: int) -> None:
    assert client.get(f"/collections/parcels/{resource}{asked}").status_code == status
    assert client.get(f"/collections/nowhere/{resource}").status_code == 404


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("resource", RESOURCES)
def test_a_page_names_every_field_in_both_languages(
    client: TestClient, layer: str, resource: str
) -> None:
    document = client.get(f"/collections/{layer}/{resource}").json()
    page = client.get(f"/collections/{layer}/{resource}?f=html").text
    for name, found in document["properties"].items():
        assert f"<code>{name}</code>" in page
        assert found["x-shikong-titles"]["zh"] in page


def test_collections_carry_a_theme_and_an_owner(client: TestClient) -> None:
    found = {c["id"]: c for c in client.get("/collections").json()["collections"]}
    assert {c["theme"]["id"] for c in found.values()} == {
        "cadastre", "governance", "incidents", "pipes",
    }  # fmt: skip
    assert found["parcels"]["theme"]["title"] == {"en": "Cadastre", "zh": "地籍"}
    assert all({"en", "zh"} == set(c["owner"]) for c in found.values())
    [license_] = [x for x in found["parcels"]["links"] if x["rel"] == "license"]
    assert license_["href"].startswith("https://opendatacommons.org/")
    for page in ("/collections?f=html", "/collections/parcels?f=html"):
        assert "地籍" in client.get(page).text
        assert "马萨诸塞州剑桥市" in client.get(page).text


@pytest.mark.parametrize(
    ("storage", "codes"),
    [
        ("EPSG:4490", ["CRS84", "4490", "4326", "3857"]),
        ("EPSG:4547", ["CRS84", "4547", "4526", "4326", "4490", "3857"]),
        ("EPSG:4526", ["CRS84", "4526", "4547", "4326", "4490", "3857"]),
        ("EPSG:4508", ["CRS84", "4508", "4497", "4326", "4490", "3857"]),
        ("EPSG:32650", ["CRS84", "32650", "4326", "4490", "3857"]),
        # Between NAD83 and CGCS2000 only a guess is known.
        ("EPSG:26986", ["CRS84", "26986", "4326", "3857"]),
    ],
)
def test_systems_that_a_layer_is_offered_in(storage: str, codes: list[str]) -> None:
    offered = offered_crs(schema_of(crs=storage))
    assert [uri.rpartition("/")[2] for uri in offered] == codes
