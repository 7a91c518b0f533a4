"""Editing over HTTP: what each method does, when in the world, and for whom."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import shapely
from land import A1, GEOJSON, LAND, OWNER, PATCH, Desk, feature

from layers.access.grants import Role, Terms
from layers.edits import Update
from layers.readers import Reader
from layers.territories import Territory


def test_a_feature_is_created(desk: Desk) -> None:
    body = feature(use="02", size=2, floors=4.0, listed=True, built="1999-12-31", sheet="A001")
    body["properties"]["seen"] = "2020-05-01T12:00:00+08:00"
    answer = desk.send("POST", f"{LAND}?message=hello&document=D-7", body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"].endswith("/collections/land/items/c3")
    assert answer.content == b""
    assert answer.headers["content-revision"] == "2"
    there = desk.client.get(answer.headers["location"], headers=desk.editor)
    assert there.headers["etag"] == answer.headers["etag"]
    assert there.headers["last-modified"] == answer.headers["last-modified"]
    found = there.json()["properties"]
    assert found | body["properties"] | {"seen": "2020-05-01T04:00:00Z"} == found
    assert there.json()["geometry"] == body["geometry"]
    said = desk.get("/collections/land/revisions/2")
    assert (said["message"], said["document"], said["author"]) == ("hello", "D-7", "a key")
    again = desk.send("POST", LAND, body)
    assert again.status_code == 409
    assert desk.send("POST", LAND, body, If_None_Match="*").status_code == 412
    assert desk.head() == 2


def test_ids_are_made_of_keys_or_by_the_store(desk: Desk) -> None:
    agreeing = feature("d4") | {"id": "d4"}
    assert desk.send("POST", LAND, agreeing).headers["location"].endswith("/items/d4")
    assert desk.send("POST", LAND, feature("e5") | {"id": "f6"}).status_code == 400
    bare = "/collections/bare/items"
    point = {"type": "Feature", "properties": {"k": "y"}, "geometry": None}
    made = desk.send("POST", bare, point)
    assert made.status_code == 201
    assert desk.get(made.headers["location"])["properties"] == {"k": "y"}
    assert desk.send("POST", bare, point | {"id": "mine"}).status_code == 400
    other = desk.send("POST", bare, point)
    assert (other.status_code, other.headers["location"] == made.headers["location"]) == (
        201,
        False,
    )


def test_a_feature_begins_and_ends_when_it_says(desk: Desk) -> None:
    time = {"interval": ["2014-05-14", "2015-05-14T00:00:00Z"]}
    assert desk.send("POST", LAND, feature("x1") | {"time": time}).status_code == 201
    assert desk.client.get(f"{LAND}/x1").status_code == 410
    then = desk.get(f"{LAND}/x1?datetime=2014-06-01")
    assert then["time"]["interval"] == ["2014-05-14T00:00:00Z", "2015-05-14T00:00:00Z"]
    future = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    answer = desk.send("POST", LAND, feature("x2") | {"time": {"interval": [future, ".."]}})
    assert answer.status_code == 201
    assert desk.client.get(f"{LAND}/x2").status_code == 410


def test_preferences_are_followed_and_said(desk: Desk) -> None:
    sent = {"Prefer": "return=representation; foo, handling=strict"}
    answer = desk.send("POST", LAND, feature(), **sent)
    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "return=representation, handling=strict"
    assert answer.headers["content-type"] == GEOJSON
    assert answer.json()["id"] == "c3"
    assert answer.json()["properties"]["name"] == "C"
    put = desk.send("PUT", f"{LAND}/c3", feature(name="D"), Prefer="return=representation")
    assert (put.status_code, put.json()["properties"]["name"]) == (200, "D")
    assert put.headers["etag"] == desk.client.get(f"{LAND}/c3", headers=desk.editor).headers["etag"]
    minimal = desk.send("PUT", f"{LAND}/c3", feature(name="E"), Prefer="return=minimal")
    assert (minimal.status_code, minimal.content) == (204, b"")
    assert minimal.headers["preference-applied"] == "return=minimal"


def test_a_feature_is_replaced_from_now_on(desk: Desk) -> None:
    before = desk.get(A1)
    answer = desk.send("PUT", A1, feature("a1", size=9))
    assert (answer.status_code, answer.content) == (204, b"")
    after = desk.get(A1)
    assert after["properties"] == {
        **dict.fromkeys(before["properties"]), "no": "a1", "name": "C", "size": 9,
    }  # fmt: skip
    assert before["time"]["interval"][0] == "2020-01-01T00:00:00Z"
    assert after["time"]["interval"][0] > "2026"
    assert desk.get(f"{A1}?datetime=2021-01-01")["properties"] == before["properties"]
    same = desk.send("PUT", A1, feature("a1", size=9))
    assert (same.status_code, desk.head()) == (204, 2)


def test_a_replacement_keeps_what_its_writer_does_not_see(desk: Desk) -> None:
    everything = Terms(Role.READER, fields=frozenset({"restricted"}))
    public = desk.granted(Terms(Role.EDITOR, fields=frozenset({"public"})))
    seen = desk.client.get(A1, headers=public).json()
    assert not {"owner", "note"} & set(seen["properties"])
    seen["properties"]["name"] = "other"
    del seen["time"]
    assert desk.client.put(A1, json=seen, headers=public).status_code == 204
    found = desk.client.get(A1, headers=desk.granted(everything)).json()["properties"]
    assert (found["name"], found["owner"], found["note"]) == ("other", "Li", "n")
    for method, body in (
        ("PUT", feature("a1", owner="me")),
        ("PATCH", {"properties": {"owner": "me"}}),
        ("POST", feature("z9", owner="me")),
    ):
        path, kind = (LAND if method == "POST" else A1), PATCH if method == "PATCH" else GEOJSON
        sent = {**public, "Content-Type": kind}
        refused = desk.client.request(method, path, content=json.dumps(body), headers=sent)
        assert refused.status_code == 400, refused.text
        assert refused.json()["errors"][0]["pointer"] == "#/properties/owner"
    found = desk.client.get(A1, headers=desk.granted(everything)).json()["properties"]
    assert found["owner"] == "Li"


def test_who_sees_restricted_fields_writes_them(desk: Desk) -> None:
    key = desk.granted(Terms(Role.EDITOR, fields=frozenset({"restricted"})))
    sent = {**key, "Content-Type": PATCH}
    patched = desk.client.patch(A1, content='{"properties": {"owner": "Ma"}}', headers=sent)
    assert patched.status_code == 204
    assert desk.client.get(A1, headers=key).json()["properties"]["owner"] == "Ma"


def test_a_public_tag_knows_nothing_of_restricted_fields(desk: Desk) -> None:
    before = desk.client.get(A1)
    desk.store.commit({"land": [Update("a1", {"owner": "Ma"}, valid_from="2021-01-01")]}, OWNER, "")
    desk.store.commit({"land": [Update("a1", {"owner": "Xu"})]}, OWNER, "")
    after = desk.client.get(A1)
    revisions = [int(told.headers["content-revision"]) for told in (before, after)]
    assert revisions[1] == revisions[0] + 2
    assert after.content == before.content
    assert (before.headers["etag"], before.headers["last-modified"]) == (
        after.headers["etag"], after.headers["last-modified"],
    )  # fmt: skip
    key = desk.granted(Terms(Role.READER, fields=frozenset({"restricted"})))
    tag = desk.client.get(A1, headers=key).headers["etag"]
    desk.store.commit({"land": [Update("a1", {"owner": "Yu"})]}, OWNER, "")
    assert desk.client.get(A1, headers=key).headers["etag"] != tag


def test_a_merge_patch_changes_what_it_names(desk: Desk) -> None:
    before = desk.get(A1)["properties"]
    answer = desk.send("PATCH", A1, {"properties": {"floors": None, "size": 7}}, PATCH)
    assert answer.status_code == 204, answer.text
    assert desk.get(A1)["properties"] == before | {"floors": None, "size": 7}
    flat = desk.send("PATCH", A1, {"use": "02", "name": "F"}, PATCH)
    assert flat.status_code == 204, flat.text
    assert desk.get(A1)["properties"]["use"] == "02"
    moved = [[[3.0, 1.0], [4.0, 1.0], [4.0, 2.0], [3.0, 1.0]]]
    shape = desk.send("PATCH", A1, {"geometry": {"coordinates": moved}}, PATCH)
    assert shape.status_code == 204, shape.text
    assert desk.get(A1)["geometry"] == {"type": "Polygon", "coordinates": moved}
    assert desk.send("PATCH", A1, {"geometry": None}, PATCH).status_code == 204
    assert desk.get(A1)["geometry"] is None
    assert desk.send("PATCH", A1, {"properties": None}, PATCH).status_code == 400
    assert desk.send("PATCH", A1, {"properties": {"no": "zz"}}, PATCH).status_code == 409
    assert desk.send("PATCH", A1, {"id": "zz"}, PATCH).status_code == 400


def test_a_deleted_feature_is_gone_and_its_past_is_not(desk: Desk) -> None:
    assert desk.send("DELETE", A1).status_code == 204
    assert desk.client.get(A1).status_code == 410
    assert desk.get(f"{A1}?datetime=2021-01-01")["id"] == "a1"
    for method in ("PUT", "PATCH", "DELETE"):
        body = {"PUT": feature("a1"), "PATCH": {"properties": {}}}.get(method)
        kind = PATCH if method == "PATCH" else GEOJSON
        assert desk.send(method, A1, body, kind).status_code == 410
        assert desk.send(method, f"{LAND}/never", body, kind).status_code == 404
    assert desk.send("POST", LAND, feature("a1")).status_code == 201
    assert desk.client.get(A1).status_code == 200


def test_a_geometry_said_again_is_left_as_it_is_stored(desk: Desk) -> None:
    shape = shapely.Polygon([(1 / 3, 1 / 3), (2 / 3, 1 / 3), (2 / 3, 2 / 3), (1 / 3, 1 / 3)])
    desk.store.commit({"land": [Update("a1", {}, shape)]}, OWNER, "")
    seen = desk.get(A1)
    del seen["time"]
    seen["properties"]["name"] = "other"
    assert desk.send("PUT", A1, seen).status_code == 204
    frame = desk.store.layer("land", Reader.everything()).at().read(ids=["a1"])
    assert frame.loc["a1", "name"] == "other"
    assert frame.geometry["a1"].equals_exact(shape, 0)


def test_a_late_record_changes_the_world_from_then_on(desk: Desk) -> None:
    time = {"interval": ["2021-05-14", ".."]}
    assert (
        desk.send("PATCH", A1, {"properties": {"size": 5}, "time": time}, PATCH).status_code == 204
    )
    assert desk.get(f"{A1}?datetime=2021-05-13")["properties"]["size"] == 1.5
    assert desk.get(f"{A1}?datetime=2021-05-14")["properties"]["size"] == 5
    assert desk.get(f"{A1}?datetime=2021-06-01&revision=1")["properties"]["size"] == 1.5
    put = feature("a1", size=6) | {"time": {"interval": ["2022-05-14T00:00:00Z", None]}}
    assert desk.send("PUT", A1, put).status_code == 204
    gone = desk.send("DELETE", A1, OGC_Mutation_Datetime="2023-05-14")
    assert gone.status_code == 204
    ended = desk.get(f"{A1}?datetime=2023-05-13")
    assert ended["time"]["interval"] == ["2022-05-14T00:00:00Z", "2023-05-14T00:00:00Z"]


def test_only_a_layer_that_allows_it_is_backdated(desk: Desk) -> None:
    desk.send("PATCH", A1, {"properties": {"size": 5}}, PATCH)
    for start in ("2019-01-01", "2020-01-01", "2021-01-01"):
        body = {"properties": {"size": 6}, "time": {"interval": [start, ".."]}}
        refused = desk.send("PATCH", A1, body, PATCH)
        assert (refused.status_code, desk.head()) == (409, 2), start
    past = "/collections/past/items/a1"
    desk.send("PATCH", past, {"properties": {"size": 5}}, PATCH)
    body = {"properties": {"size": 6}, "time": {"interval": ["2021-01-01", "2022-01-01"]}}
    assert desk.send("PATCH", past, body, PATCH).status_code == 204
    sizes = [
        desk.get(f"{past}?datetime={day}")["properties"]["size"]
        for day in ("2020-06-01", "2021-06-01", "2022-06-01")
    ]
    assert sizes == [1.5, 6, 1.5]
    put = feature("a1", name="N", size=1.5) | {"time": {"interval": ["2019-06-01", ".."]}}
    assert desk.send("PUT", past, put).status_code == 204
    assert desk.get(f"{past}?datetime=2019-07-01")["properties"]["name"] == "N"
    assert desk.get(f"{past}?datetime=2021-06-01")["properties"]["size"] == 1.5
    assert desk.get(past)["properties"]["size"] == 1.5
    assert desk.get("/collections/past")["versioning"]["backdating"] is True


def test_versions_are_never_written_to(desk: Desk) -> None:
    version = f"{A1}.20200101T000000.000000Z"
    for address in (version, f"{A1}?datetime=2021-01-01"):
        for method, body, kind in (
            ("PUT", feature("a1"), GEOJSON),
            ("PATCH", {"properties": {"size": 1}}, PATCH),
            ("DELETE", None, GEOJSON),
        ):
            refused = desk.send(method, address, body, kind)
            assert refused.status_code == 405, (method, address, refused.text)
            assert refused.headers["allow"] == "GET, HEAD, OPTIONS"
    assert desk.send("OPTIONS", version).headers["allow"] == "GET, HEAD, OPTIONS"
    header = desk.send("PATCH", A1, {}, PATCH, OGC_Mutation_Datetime="2021-01-01")
    assert header.status_code == 400
    assert desk.send("DELETE", A1, OGC_Mutation_Datetime="soon").status_code == 400
    assert desk.head() == 1


def test_who_may_edit(desk: Desk) -> None:
    reader = desk.granted(Terms(Role.READER))
    county = desk.granted(Terms(Role.EDITOR, territory=Territory(division="b")))
    elsewhere = desk.granted(Terms(Role.EDITOR, layers="layer:past"))
    some = desk.granted(Terms(Role.EDITOR, fields=frozenset({"size"})))
    body = json.dumps({"properties": {"size": 3}})
    for headers, layer, status in (
        ({}, "land", 401),
        (reader, "land", 403),
        (elsewhere, "land", 403),
        (county, "land", 403),
        ({}, "inner", 401),
        (elsewhere, "inner", 404),
        (reader, "nowhere", 403),
        (elsewhere, "nowhere", 404),
    ):
        sent = {**headers, "Content-Type": PATCH}
        answer = desk.client.patch(f"/collections/{layer}/items/a1", content=body, headers=sent)
        assert answer.status_code == status, (layer, status, answer.text)
    assert desk.head() == 1
    sent = {**county, "Content-Type": PATCH}
    assert desk.client.patch(f"{LAND}/b2", content=body, headers=sent).status_code == 204
    made = {**county, "Content-Type": GEOJSON}
    outside = desk.client.post(LAND, content=json.dumps(feature("c3")), headers=made)
    assert outside.status_code == 403
    if "size" in some:  # pragma: no cover - documents what the grant is
        raise AssertionError
    options = {
        "nobody": ({}, "GET, HEAD, OPTIONS", "GET, HEAD, OPTIONS"),
        "reader": (reader, "GET, HEAD, OPTIONS", "GET, HEAD, OPTIONS"),
        "county": (county, "GET, HEAD, OPTIONS, POST", "GET, HEAD, OPTIONS, PUT, PATCH, DELETE"),
    }
    for who, (headers, of_items, of_item) in options.items():
        assert desk.client.options(LAND, headers=headers).headers["allow"] == of_items, who
        assert desk.client.options(A1, headers=headers).headers["allow"] == of_item, who


def test_options_say_what_is_taken(desk: Desk) -> None:
    items, item = desk.send("OPTIONS", LAND), desk.send("OPTIONS", f"{LAND}/unknown_id")
    assert (items.status_code, item.status_code) == (200, 200)
    assert GEOJSON in items.headers["accept-post"].split(", ")
    assert item.headers["accept-patch"] == PATCH
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "PATCH"}
    preflight = desk.client.options(A1, headers=asked)
    assert preflight.status_code == 204
    allowed = preflight.headers["access-control-allow-methods"]
    assert {"PUT", "PATCH", "DELETE"} <= set(allowed.split(", "))
    named = preflight.headers["access-control-allow-headers"].lower().split(", ")
    assert {"if-match", "content-crs", "prefer", "ogc-mutation-datetime"} <= set(named)
