"""The upload: who may, what it takes, and that a refusal writes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from layers.access.grants import Role, Terms
from services.routes.revisions import LARGEST_BODY

HERE = "/collections/parcels/revisions"
POINT = {"type": "Point", "coordinates": [1, 1]}
SQUARE = [[[-71.1, 42.3], [-71.09, 42.3], [-71.09, 42.31], [-71.1, 42.3]]]


def feature(ml: Any = "169-100", geometry: Any = "square", **properties: Any) -> dict[str, Any]:
    if geometry == "square":
        geometry = {"type": "Polygon", "coordinates": SQUARE}
    return {"type": "Feature", "properties": {"ml": ml, **properties}, "geometry": geometry}


def collection(*features: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


def head(doors: Any) -> int:
    return int(doors.json("/collections/parcels")["revision"])


def test_an_upload_becomes_a_revision(own_doors: Any) -> None:
    body = collection(feature("NEW-1", title_deed="Book 1"), feature(title_deed="Book 2"))
    asked = f"{HERE}?valid-from=2020-01-01&message=hello&document=D-1"
    answer = own_doors.client.post(asked, json=body, headers=own_doors.key("publisher"))
    assert answer.status_code == 201, answer.text
    said = answer.json()
    assert (said["revision"], said["created"], said["changed"], said["retired"]) == (5, 1, 1, 0)
    assert said["dry_run"] is False
    there = own_doors.client.get(answer.headers["location"], headers=own_doors.key())
    assert there.json()["number"] == 5
    assert (there.json()["author"], there.json()["message"]) == ("a key", "hello")
    assert there.json()["document"] == "D-1"
    new = own_doors.json("/collections/parcels/items/NEW-1")
    assert new["time"]["interval"] == ["2020-01-01T05:00:00Z", ".."]
    assert new["geometry"]["coordinates"][0] == SQUARE or new["geometry"]["type"] == "MultiPolygon"
    then = own_doors.client.get("/collections/parcels/items/NEW-1?revision=4")
    assert then.status_code == 404
    again = own_doors.client.post(asked, json=body, headers=own_doors.key("publisher"))
    assert (again.status_code, again.json()["commit"]) == (200, None)
    assert head(own_doors) == 5


def test_a_dry_run_writes_nothing(keyed_doors: Any) -> None:
    asked = f"{HERE}?dry-run=true"
    key = keyed_doors.key("publisher")
    answer = keyed_doors.client.post(asked, json=feature(title_deed="Book 2"), headers=key)
    assert answer.status_code == 200
    assert (answer.json()["changed"], answer.json()["dry_run"]) == (1, True)
    assert (answer.json()["commit"], answer.json()["revision"]) == (None, None)
    assert head(keyed_doors) == 4


def test_who_may_write(keyed_doors: Any) -> None:
    body = feature(title_deed="Book 2")
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        (keyed_doors.key("reader"), 403),
    ):
        for asked in (HERE, f"{HERE}?dry-run=true", "/collections/no-such/revisions"):
            answer = keyed_doors.client.post(asked, json=body, headers=headers)
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"
    assert head(keyed_doors) == 4


def test_a_reload_that_retires_much_asks_first(own_doors: Any) -> None:
    key = own_doors.key("publisher")
    asked = f"{HERE}?mode=reload"
    refused = own_doors.client.post(asked, json=feature(), headers=key)
    assert refused.status_code == 409
    assert head(own_doors) == 4
    done = own_doors.client.post(f"{asked}&consent=true", json=feature(), headers=key)
    assert (done.status_code, done.json()["retired"]) == (201, 13_106)


BAD = [
    b"",
    b"{",
    b"\xff\xfe\x00",
    b"null",
    b"5",
    b'"text"',
    b"[]",
    b"[" * 100_000,
    b'{"type":"Feature"}',
    b'{"type":"Feature","properties":{"ml":"\\ud800"},"geometry":null}',
    b'{"type":"Feature","properties":{"ml":"a"},"geometry":NaN}',
    {"type": "FeatureCollection"},
    {"type": "FeatureCollection", "features": 5},
    {"type": "FeatureCollection", "features": {"a": 1}},
    {"type": "Topology", "objects": {}},
    collection(),
    collection(None),
    collection(5),
    collection("text"),
    collection([]),
    feature(geometry={"type": "Polygon"}),
    feature(geometry={"type": "Polygon", "coordinates": "x"}),
    feature(geometry={"type": "Polygon", "coordinates": [[[1, 1], [2, 2]]]}),
    feature(geometry={"type": "Polygon", "coordinates": [[["a", "b"]] * 4]}),
    feature(geometry={"type": "Blob", "coordinates": [1]}),
    feature(geometry=POINT),
    feature(geometry={"type": "LineString", "coordinates": [[1, 1], [2, 2]]}),
    feature(
        geometry={
            "type": "GeometryCollection",
            "geometries": [{"type": "Point", "coordinates": [1, 1]}],
        }
    ),
    feature(geometry=[1]),
    feature(geometry="POINT (1 1)"),
    feature(geometry=5),
    feature(ml="a\x00b"),
    feature(title_deed="a\x00b"),
    feature(title_deed={"a": 1}),
    feature(title_deed=[1]),
    feature(uyear="nineteen"),
    feature(uyear=1.5),
    feature(uyear=2**70),
    collection(feature(title_deed=1), feature("B", title_deed="a")),
    collection(feature(uyear=1), feature("B", uyear="a")),
    {"type": "Feature", "properties": [1], "geometry": None},
    {"type": "Feature", "properties": {}, "geometry": None},
    {"type": "Feature", "properties": {"no_key": 1}, "geometry": None},
    feature(geometry_={"x": 1}) | {"properties": {"ml": "x", "geometry": 5}},
]


def test_bad_bodies_are_400_and_write_nothing(keyed_doors: Any) -> None:
    key = keyed_doors.key("publisher")
    for body in BAD:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = keyed_doors.client.post(HERE, content=content, headers=key)
        assert answer.status_code == 400, (content[:200], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.text) < 2000
    assert head(keyed_doors) == 4


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("mode=replace", "mode"),
        ("valid-from=x", "valid-from"),
        ("valid-from=2013-01-01/2014-01-01", "valid-from"),
        ("valid-from=", "valid-from"),
        ("dry-run=perhaps", "dry-run"),
        ("consent=perhaps", "consent"),
        ("dryrun=true", "dryrun"),
        ("message=a&message=b", "message"),
        ("message=a%00b", "NUL"),
        ("document=%00", "NUL"),
        ("message=" + "x" * 3000, "message"),
    ],
)
def test_bad_parameters_write_nothing(keyed_doors: Any, query: str, word: str) -> None:
    key = keyed_doors.key("publisher")
    body = feature(title_deed="Book 2")
    answer = keyed_doors.client.post(f"{HERE}?{query}", json=body, headers=key)
    assert answer.status_code == 400, answer.text
    assert word in answer.json()["detail"]
    assert head(keyed_doors) == 4


def test_a_body_may_not_be_without_end(keyed_doors: Any) -> None:
    key = keyed_doors.key("publisher")
    size, part = 0, b" " * (1 << 20)

    def parts() -> Any:
        nonlocal size
        while True:
            size += len(part)
            yield part
            assert size < LARGEST_BODY + (8 << 20), "the whole was read"

    class Endless:
        def __iter__(self) -> Any:
            for chunk, _ in zip(parts(), range((LARGEST_BODY >> 20) + 2), strict=False):
                yield chunk

    answer = keyed_doors.client.post(HERE, content=iter(Endless()), headers=key)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert head(keyed_doors) == 4


def test_restricted_fields_can_be_written_and_not_read(own_doors: Any) -> None:
    key = own_doors.key("publisher")
    trusted = own_doors.granted(Terms(Role.PUBLISHER, fields=("internal", "right_holder")))
    before = own_doors.client.get("/collections/parcels/items/169-100?revision=4")
    kept = feature(right_holder="Nobody Ofthisname", geometry=before.json()["geometry"])
    refused = own_doors.client.post(HERE, json=kept, headers=key)
    assert refused.status_code == 403
    assert "right_holder" in refused.json()["detail"]
    assert head(own_doors) == 4
    answer = own_doors.client.post(HERE, json=kept, headers=trusted)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["created"], answer.json()["changed"]) == (0, 0)
    for address in ("/collections/parcels/items/169-100", "/collections/parcels/revisions/5"):
        assert "Ofthisname" not in own_doors.client.get(address, headers=key).text
    seen = own_doors.json("/collections/parcels/items/169-100", headers=trusted)
    assert seen["properties"]["right_holder"] == "Nobody Ofthisname"
