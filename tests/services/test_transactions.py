"""Transactions: several layers in one commit, all or nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from land import A1, GEOJSON, LAND, OWNER, SQUARE, Desk, feature

from layers.access.grants import Role, Terms
from layers.edits import Update

TX = "application/ogc-tx+json"
OPEN = "20200101T000000.000000Z"


def insert(layer: str, *features: Any) -> dict[str, Any]:
    return {"action": "insert", "collection": layer, "items": list(features)}


def delete(layer: str, *ids: str) -> dict[str, Any]:
    return {"action": "delete", "collection": layer, "filter": {"ids": list(ids)}}


def update(layer: str, feature_id: str, *gone: str, **values: Any) -> dict[str, Any]:
    modify = [{"name": name, "value": value} for name, value in values.items()]
    properties: dict[str, Any] = {"modify": modify, "delete": list(gone)}
    own = {"collection": layer, "filter": {"ids": [feature_id]}}
    return {"action": "update", "properties": properties, **own}


def replace(layer: str, body: Any, **others: Any) -> dict[str, Any]:
    own = {"action": "replace", "collection": layer, "properties": {"feature": body}}
    return own | others


def send(desk: Desk, *actions: Any, **more: Any) -> Any:
    headers = more.pop("headers", {})
    return desk.send("POST", "/transactions", {"transaction": list(actions), **more}, TX, **headers)


def heads(desk: Desk) -> list[int]:
    return [desk.head(layer) for layer in ("land", "past", "guarded", "inner", "bare")]


def test_several_layers_change_in_one_commit(desk: Desk) -> None:
    moved = {"type": "Polygon", "coordinates": SQUARE}
    answer = send(
        desk,
        {**insert("land", feature("c3"), feature("d4")), "id": "first"},
        update("past", "a1", "floors", size=4, geometry=moved),
        replace("land", feature("b2", name="R") | {"id": "b2"}),
        delete("inner", "a1"),
        title="A day's work",
        description="of two",
        headers={"Prefer": "handling=strict"},
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["preference-applied"] == "handling=strict"
    said = answer.json()
    assert said["semantic"] == "atomic"
    assert said["revisions"] == {"land": 2, "past": 2, "inner": 2}
    assert said["summary"] == {
        "totalInserted": 2, "totalReplaced": 1, "totalUpdated": 1, "totalDeleted": 1,
    }  # fmt: skip
    assert [a["action"] for a in said["actions"]] == ["insert", "update", "replace", "delete"]
    assert said["actions"][0]["id"] == "first"
    assert said["insertResults"] == said["actions"][0]["features"]
    assert [desk.get(href)["id"] for href in said["insertResults"]] == ["c3", "d4"]
    assert desk.get(said["updateResults"][0])["properties"]["size"] == 4
    assert desk.get(said["updateResults"][0])["properties"]["floors"] is None
    assert desk.get(f"{LAND}/b2")["properties"]["name"] == "R"
    assert desk.client.get("/collections/inner/items/a1", headers=desk.editor).status_code == 410
    log = {layer: desk.get(f"/collections/{layer}/revisions/2") for layer in said["revisions"]}
    assert {entry["commit"] for entry in log.values()} == {said["commit"]}
    assert {entry["message"] for entry in log.values()} == {"A day's work: of two"}
    assert heads(desk) == [2, 2, 1, 2, 1]


def test_a_version_that_is_no_more_refuses_all(desk: Desk) -> None:
    desk.store.commit({"land": [Update("a1", {"size": 8})]}, OWNER, "")
    before = heads(desk)
    for action in (
        update("land", f"a1.{OPEN}", size=9),
        replace("land", feature("a1") | {"id": f"a1.{OPEN}"}),
        delete("land", f"a1.{OPEN}"),
    ):
        refused = send(desk, insert("past", feature("c3")), action)
        assert refused.status_code == 412, refused.text
        assert heads(desk) == before
    [start, _] = desk.get(A1)["time"]["interval"]
    date, time = start.removesuffix("Z").split("T")
    version = f"a1.{date.replace('-', '')}T{time.replace(':', '')}Z"
    assert send(desk, update("land", version, size=9)).status_code == 200
    assert send(desk, delete("land", version)).status_code == 412
    assert send(desk, update("guarded", f"a1.{OPEN}", size=9)).status_code == 200
    assert send(desk, update("guarded", "a1", size=9)).status_code == 428


def test_of_transactions_about_one_version_one_is_done(desk: Desk) -> None:
    desk.editor  # noqa: B018 - the key is made before they all ask for it

    def act(n: int) -> int:
        actions = (insert("past", feature(f"n{n}")), update("land", f"a1.{OPEN}", size=n))
        return int(send(desk, *actions).status_code)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(act, range(4))) == [200, 412, 412, 412]
    assert heads(desk) == [2, 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("status", "last"),
    [
        (404, delete("land", "never")),
        (404, delete("nowhere", "a1")),
        (409, insert("land", feature("a1"))),
        (409, update("land", "a1", no="z9")),
        (400, update("land", "a1", size="x")),
        (400, replace("land", feature("b2"), filter={"ids": ["a1"]})),
        (400, insert("land", feature(geometry={"type": "Point", "coordinates": [1, 1]}))),
    ],
)
def test_all_or_nothing(desk: Desk, status: int, last: Any) -> None:
    refused = send(desk, insert("past", feature("c3")), update("land", "b2", size=7), last)
    assert refused.status_code == status, refused.text
    assert refused.headers["content-type"] == "application/problem+json"
    assert heads(desk) == [1, 1, 1, 1, 1]


def test_what_is_wrong_is_said_with_its_place(desk: Desk) -> None:
    one = delete("land", "a1")
    point = {"type": "Point", "coordinates": [1, 1]}
    for actions, where in (
        ([], "#/transaction"),
        ([5], "#/transaction/0"),
        ([{"collection": "land"}], "#/transaction/0/action"),
        ([one, {"action": "upsert"}], "#/transaction/1/action"),
        ([{"action": "delete"}], "#/transaction/0/collection"),
        ([one | {"colour": "red"}], "#/transaction/0/colour"),
        ([one | {"filter": "no = 'a1'"}], "#/transaction/0/filter"),
        ([delete("land")], "#/transaction/0/filter"),
        ([delete("land", "a1", "a1")], "#/transaction/0/filter"),
        ([one | {"datetime": "soon"}], "#/transaction/0/datetime"),
        ([insert("land")], "#/transaction/0/items"),
        ([insert("land", feature(), {"href": "http://a"})], "#/transaction/0/items/1/type"),
        ([insert("land", feature(geometry=point))], "#/transaction/0/items/0/geometry"),
        ([replace("land", feature("a1"))], "#/transaction/0/filter"),
        ([update("land", "a1", size="x")], "#/transaction/0/properties/modify/0/value"),
        ([update("land", "a1", "colour")], "#/transaction/0/properties/delete/0"),
        ([update("land", "a1", "size", size=2)], "#/transaction/0/properties/delete/0"),
        ([update("land", "a1", geometry=point)], "#/transaction/0/properties/modify/0/value"),
        ([one] * 1001, "#/transaction"),
        ([delete("land", *map(str, range(10_001)))], "#/transaction"),
    ):
        answer = send(desk, *actions)
        assert answer.status_code == 400, (actions[:2], answer.text)
        assert [e["pointer"] for e in answer.json()["errors"]] == [where], answer.text
    batch = send(desk, one, semantic="batch")
    assert batch.json()["errors"][0]["pointer"] == "#/semantic"
    lenient = send(desk, one, headers={"Prefer": "handling=lenient"})
    assert lenient.status_code == 400
    assert desk.send("POST", "/transactions", {"transaction": [one]}, GEOJSON).status_code == 415
    assert desk.send("POST", "/transactions", b"[", TX).status_code == 400
    assert heads(desk) == [1, 1, 1, 1, 1]


def test_an_action_says_from_when_on(desk: Desk) -> None:
    late = update("land", "a1", size=4) | {"datetime": "2021-05-14"}
    gone = delete("land", "b2") | {"datetime": "2022-05-14T00:00:00Z"}
    time = {"interval": ["2023-05-14T00:00:00Z", ".."]}
    assert send(desk, late, gone, insert("land", feature("c3") | {"time": time})).status_code == 200
    assert desk.get(f"{A1}?datetime=2021-05-13")["properties"]["size"] == 1.5
    assert desk.get(f"{A1}?datetime=2021-05-14")["properties"]["size"] == 4
    assert (
        desk.get(f"{LAND}/b2?datetime=2022-05-13")["time"]["interval"][1] == "2022-05-14T00:00:00Z"
    )
    assert desk.get(f"{LAND}/c3")["time"]["interval"] == ["2023-05-14T00:00:00Z", ".."]
    early = update("land", "a1", size=5) | {"datetime": "2019-01-01"}
    assert send(desk, early).status_code == 409
    assert send(desk, early | {"collection": "past"}).status_code == 200


def test_who_may_transact(desk: Desk) -> None:
    body = {"transaction": [delete("past", "a1"), delete("land", "a1")]}
    reader = desk.granted(Terms(Role.READER))
    some = desk.granted(Terms(Role.EDITOR, layers="layer:past"))
    for headers, status in (({}, 401), (reader, 403), (some, 403)):
        answer = desk.client.post("/transactions", json=body, headers=headers)
        assert answer.status_code == status, answer.text
    assert heads(desk) == [1, 1, 1, 1, 1]


def test_preferences_and_dry_runs(desk: Desk) -> None:
    dry = desk.send(
        "POST", "/transactions?dry-run=true", {"transaction": [delete("land", "a1")]}, TX
    )
    assert (dry.status_code, dry.json()["dry_run"], dry.json()["commit"]) == (200, True, None)
    assert heads(desk) == [1, 1, 1, 1, 1]
    minimal = send(desk, delete("land", "a1"), headers={"Prefer": "return=minimal"})
    assert set(minimal.json()) == {"semantic", "dry_run", "commit", "revisions", "summary"}
    none = send(desk, delete("land", "b2"), headers={"Prefer": "return=none"})
    assert (none.status_code, none.content) == (204, b"")
    same = send(desk, update("past", "a1", size=1.5))
    assert (same.status_code, same.json()["commit"], same.json()["revisions"]) == (200, None, {})
