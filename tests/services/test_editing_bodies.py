"""What bodies may say, in which kinds and systems; and where they are wrong."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from land import A1, GEOJSON, LAND, PATCH, SQUARE, Desk, feature

BAD_BODIES: dict[str, tuple[Any, str]] = {
    "empty": (b"", ""),
    "no JSON": (b"{", ""),
    "not UTF-8": (b'{"type": "\xff"}', ""),
    "NaN": (b'{"type": NaN}', ""),
    "an array": ([], "#"),
    "null": (b"null", "#"),
    "twice": (b'{"type": "Feature", "type": "Feature", "properties": {}, "geometry": null}', ""),
    "deep": (b"[" * 900 + b"]" * 900, ""),
    "deeper": (b"[" * 100_000, ""),
    "a collection": ({"type": "FeatureCollection", "features": []}, "#/type"),
    "no type": ({"properties": {"name": "x"}, "geometry": None}, "#/type"),
    "no geometry": ({"type": "Feature", "properties": {"name": "x"}}, "#/geometry"),
    "no properties": ({"type": "Feature", "geometry": None}, "#/properties"),
    "an array of properties": (
        {"type": "Feature", "geometry": None, "properties": []},
        "#/properties",
    ),
    "crs": (feature() | {"crs": {"type": "name"}}, "#/crs"),
    "id": (feature() | {"id": ["x"]}, "#/id"),
    "unknown": (feature(colour="red"), "#/properties/colour"),
    "NUL": (feature(use="a\0b"), "#/properties/use"),
    "required": (feature(name=None), "#/properties/name"),
    "a number for a text": (feature(use=5), "#/properties/use"),
    "a text for a number": (feature(size="5"), "#/properties/size"),
    "true for a number": (feature(floors=True), "#/properties/floors"),
    "a fraction": (feature(floors=1.5), "#/properties/floors"),
    "65 bits": (feature(floors=2**63), "#/properties/floors"),
    "a number for truth": (feature(listed=1), "#/properties/listed"),
    "no date": (feature(built="2014-02-30"), "#/properties/built"),
    "a week": (feature(built="2014-W20-3"), "#/properties/built"),
    "no offset": (feature(seen="2014-05-14T04:00:00"), "#/properties/seen"),
    "no code": (feature(use="03"), "#/properties/use"),
    "no match": (feature(sheet="A0011"), "#/properties/sheet"),
    "an object": (feature(use={"a": 1}), "#/properties/use"),
    "time": (feature() | {"time": "2014-05-14"}, "#/time"),
    "one end": (feature() | {"time": {"interval": ["2014-05-14"]}}, "#/time"),
    "no start": (feature() | {"time": {"interval": ["..", ".."]}}, "#/time/interval/0"),
    "no instant": (feature() | {"time": {"interval": ["2014-05-14", "x"]}}, "#/time/interval/1"),
    "backwards": (feature() | {"time": {"interval": ["2014-05-14", "2013-05-14"]}}, ""),
}
RING = SQUARE[0]
BAD_SHAPES: dict[str, Any] = {
    "no object": [],
    "no type": {"coordinates": SQUARE},
    "a type that there is not": {"type": "Circle", "coordinates": SQUARE},
    "another type": {"type": "Point", "coordinates": [1, 1]},
    "several": {"type": "MultiPolygon", "coordinates": [SQUARE]},
    "a collection": {"type": "GeometryCollection", "geometries": []},
    "no coordinates": {"type": "Polygon"},
    "empty": {"type": "Polygon", "coordinates": []},
    "an empty ring": {"type": "Polygon", "coordinates": [[]]},
    "not closed": {"type": "Polygon", "coordinates": [RING[:-1]]},
    "three positions": {"type": "Polygon", "coordinates": [[*RING[:2], RING[0]]]},
    "crossing itself": {
        "type": "Polygon",
        "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]],
    },
    "heights": {"type": "Polygon", "coordinates": [[[*p, 5] for p in RING]]},
    "some heights": {
        "type": "Polygon",
        "coordinates": [[[*RING[0], 5], *RING[1:-1], [*RING[0], 5]]],
    },
    "one number": {"type": "Polygon", "coordinates": [[[1], [2], [3], [1]]]},
    "four numbers": {"type": "Polygon", "coordinates": [[[*p, 5, 5] for p in RING]]},
    "texts": {"type": "Polygon", "coordinates": [[["1", "1"]] * 4]},
    "too deep": {"type": "Polygon", "coordinates": [SQUARE]},
    "too flat": {"type": "Polygon", "coordinates": RING},
    "mixed depth": {"type": "Polygon", "coordinates": [RING, 5]},
    "off the globe": {"type": "Polygon", "coordinates": [[[p[0] + 200, p[1]] for p in RING]]},
    "beyond the pole": {"type": "Polygon", "coordinates": [[[p[0], p[1] + 90] for p in RING]]},
}


def test_bodies_that_state_no_feature(desk: Desk) -> None:
    cases = dict(BAD_BODIES)
    cases |= {f"shape: {n}": (feature(geometry=g), "#/geometry") for n, g in BAD_SHAPES.items()}
    for name, (body, where) in cases.items():
        answer = desk.send("POST", LAND, body)
        assert answer.status_code == 400, (name, answer.status_code, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        said = answer.json()
        assert said["detail"]
        if where:
            assert where in [error["pointer"] for error in said["errors"]], (name, said)
        if name.startswith("shape") and isinstance(body, dict):
            patch = {"geometry": body["geometry"]}
            # Of a patch the type may be left out.
            if name != "shape: no type":
                assert desk.send("PATCH", A1, patch, PATCH).status_code == 400, name
    everything = feature(colour="red", size="x", name=None)
    pointers = {e["pointer"] for e in desk.send("POST", LAND, everything).json()["errors"]}
    assert pointers == {"#/properties/colour", "#/properties/size"}
    assert desk.head() == 1


def test_what_was_there_may_be_said_again(desk: Desk) -> None:
    """A value that is no code came with a file; whoever changes something else need not mend it."""
    seen = desk.get(f"{LAND}/b2")
    del seen["time"]
    seen["properties"]["name"] = "other"
    assert seen["properties"]["use"] == "99"
    assert desk.send("PUT", f"{LAND}/b2", seen).status_code == 204
    assert desk.get(f"{LAND}/b2")["properties"]["use"] == "99"


def test_kinds_of_bodies(desk: Desk) -> None:
    body = json.dumps(feature()).encode()
    for kind, more, status in (
        ("text/plain", {}, 415),
        ("application/xml", {}, 415),
        ("nonsense", {}, 415),
        (PATCH, {}, 415),
        (f"{GEOJSON}; charset=latin-1", {}, 415),
        (GEOJSON, {"Content_Encoding": "gzip"}, 415),
        (f"{GEOJSON}; charset=UTF-8", {}, 201),
    ):
        answer = desk.send("POST", LAND, body, kind, **more)
        assert answer.status_code == status, (kind, answer.text)
        if status == 415:
            assert GEOJSON in answer.headers["accept-post"]
    assert desk.send("PATCH", A1, b"{}", GEOJSON).headers["accept-patch"] == PATCH
    missing = desk.client.request("POST", LAND, content=body, headers=desk.editor)
    assert missing.status_code == 400
    assert "Content-Type" in missing.json()["detail"]
    large = b'{"a": "' + b"x" * (16 << 20) + b'"}'
    assert desk.send("POST", LAND, large).status_code == 413
    assert desk.send("POST", f"{LAND}?colour=red", body).status_code == 400
    assert desk.send("POST", f"{LAND}?dry-run=perhaps", body).status_code == 400


def test_coordinates_come_in_any_system_that_is_offered(desk: Desk) -> None:
    swapped = [[[y, x] for x, y in RING]]
    body = feature("s1", geometry={"type": "Polygon", "coordinates": swapped})
    uri = "http://www.opengis.net/def/crs/EPSG/0/4326"
    # In angle brackets, as the standard has it; without, as QGIS sends it.
    assert desk.send("POST", LAND, body, Content_Crs=f"<{uri}>").status_code == 201
    assert desk.get(f"{LAND}/s1")["geometry"]["coordinates"] == SQUARE
    patch = {"geometry": {"type": "Polygon", "coordinates": swapped}}
    assert desk.send("PATCH", A1, patch, PATCH, Content_Crs=uri).status_code == 204
    # One degree of a web map: the spherical Mercator's own formula.
    radius = 6378137.0
    metres = [
        [radius * math.radians(x), radius * math.log(math.tan(math.radians(45 + y / 2)))]
        for x, y in RING
    ]
    web = "http://www.opengis.net/def/crs/EPSG/0/3857"
    shape = {"geometry": {"type": "Polygon", "coordinates": [metres]}}
    assert desk.send("PATCH", A1, shape, PATCH, Content_Crs=web).status_code == 204
    [ring] = desk.get(A1)["geometry"]["coordinates"]
    assert ring[0] == pytest.approx([1, 1], abs=1e-8)
    for wrong in ("http://www.opengis.net/def/crs/EPSG/0/2154", "x", ""):
        assert desk.send("POST", LAND, body, Content_Crs=wrong).status_code == 400


def test_json_fg_is_taken_with_its_place_and_time(desk: Desk) -> None:
    swapped = [[[y, x] for x, y in RING]]
    body = feature("j1", geometry=None) | {
        "conformsTo": ["http://www.opengis.net/spec/json-fg-1/1.0/conf/core"],
        "coordRefSys": "http://www.opengis.net/def/crs/EPSG/0/4490",
        "place": {"type": "Polygon", "coordinates": swapped},
        "time": {"interval": ["2014-05-14T04:00:00Z", ".."]},
    }
    assert desk.send("POST", LAND, body, "application/fg+json").status_code == 201
    found = desk.get(f"{LAND}/j1")
    assert found["geometry"]["coordinates"] == SQUARE
    assert found["time"]["interval"] == ["2014-05-14T04:00:00Z", ".."]
    unknown = desk.send("POST", LAND, body | {"coordRefSys": "EPSG:2154"})
    assert unknown.json()["errors"][0]["pointer"] == "#/place/coordRefSys"


def test_a_dry_run_says_what_would_be_done(desk: Desk) -> None:
    for method, path, body, kind, count in (
        ("POST", LAND, feature(), GEOJSON, "created"),
        ("PUT", A1, feature("a1"), GEOJSON, "changed"),
        ("PATCH", A1, {"properties": {"size": 3}}, PATCH, "changed"),
        ("DELETE", A1, None, GEOJSON, "retired"),
    ):
        answer = desk.send(method, f"{path}?dry-run=true", body, kind)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["dry_run"], answer.json()[count]) == (True, 1)
    assert desk.head() == 1
    assert desk.client.get(f"{LAND}/c3").status_code == 404
