"""Transactions that say by CQL2 which features they change."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from land import A1, LAND, OWNER, SQUARE, Desk, feature

from layers.access.grants import Role, Terms
from layers.edits import Insert, Update
from layers.territories import Territory
from services.writing import actions

TX = "application/ogc-tx+json"
FIRST = {"op": "=", "args": [{"property": "use"}, "01"]}


def by(chosen: Any, action: str = "delete", layer: str = "land", **others: Any) -> dict[str, Any]:
    return {"action": action, "collection": layer, "filter": chosen} | others


def setting(chosen: Any, layer: str = "land", **values: Any) -> dict[str, Any]:
    modify = [{"name": name, "value": value} for name, value in values.items()]
    return by(chosen, "update", layer, properties={"modify": modify})


def text(chosen: str, **others: Any) -> dict[str, Any]:
    return by(chosen, **{"filter-lang": "cql2-text"} | others)


def send(desk: Desk, *made: Any, key: dict[str, str] | None = None, **headers: str) -> Any:
    own = headers | (key or desk.editor) | {"Content-Type": TX}
    return desk.client.post(
        "/transactions", content=json.dumps({"transaction": list(made)}), headers=own
    )


def done(desk: Desk, *made: Any, **more: Any) -> Any:
    answer = send(desk, *made, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()["summary"]


def there(desk: Desk, layer: str = "land", **query: str) -> list[str]:
    asked = "&".join(f"{k}={v}" for k, v in query.items())
    return [f["id"] for f in desk.get(f"/collections/{layer}/items?{asked}")["features"]]


def grow(desk: Desk, layer: str = "land", more: int = 6) -> None:
    """Some more: even ones are fields, odd ones forests."""
    rows = [
        Insert(
            {"no": f"c{n}", "name": f"C{n}", "use": ("01", "02")[n % 2], "size": n, "owner": "Q"}
        )
        for n in range(more)
    ]
    desk.store.commit({layer: rows}, OWNER, "more")


def test_what_a_filter_selects_is_changed_and_nothing_else(desk: Desk) -> None:
    grow(desk)
    answer = send(desk, setting(FIRST, size=70, sheet="A001"), text("use = '02' AND size >= 3"))
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["summary"] == {
        "totalInserted": 0, "totalReplaced": 0, "totalUpdated": 4, "totalDeleted": 2,
    }  # fmt: skip
    assert [href.rpartition("/")[2] for href in said["updateResults"]] == ["a1", "c0", "c2", "c4"]
    assert [href.rpartition("/")[2] for href in said["deleteResults"]] == ["c3", "c5"]
    assert said["revisions"] == {"land": desk.head()} == {"land": 3}
    found = desk.get(LAND)["features"]
    sizes = {f["id"]: (f["properties"]["size"], f["properties"]["sheet"]) for f in found}
    changed = dict.fromkeys(("a1", "c0", "c2", "c4"), (70, "A001"))
    assert sizes == changed | {"b2": (None, None), "c1": (1, None)}
    # What was so is what it was.
    assert len(there(desk, revision="2")) == 8


@pytest.mark.parametrize(
    ("chosen", "selected"),
    [
        ({"filter": FIRST}, ["a1"]),
        ({"filter": json.dumps(FIRST), "filter-lang": "cql2-json"}, ["a1"]),
        ({"filter": "id = 'b2'", "filter-lang": "cql2-text"}, ["b2"]),
        ({"filter": "floors IS NULL", "filter-lang": "cql2-text"}, ["b2"]),
        ({"filter": True}, ["a1", "b2"]),
        ({"filter": "1 = 2", "filter-lang": "cql2-text"}, []),
        ({"filter": {"op": "s_intersects", "args": [{"property": "geometry"},
            {"type": "Point", "coordinates": [5.9, 5.2]}]}}, ["b2"]),
        ({"filter": "S_INTERSECTS(geometry, POINT(5.2 5.9))", "filter-lang": "cql2-text",
          "filter-crs": "http://www.opengis.net/def/crs/EPSG/0/4326"}, ["b2"]),
    ],
)  # fmt: skip
def test_a_filter_is_json_or_text_in_any_system(
    desk: Desk, chosen: dict[str, Any], selected: list[str]
) -> None:
    assert done(desk, by(None) | chosen)["totalDeleted"] == len(selected)
    assert there(desk) == [i for i in ("a1", "b2") if i not in selected]


def test_a_replacement_is_of_one(desk: Desk) -> None:
    body = {"feature": feature("a1", name="R")}
    assert done(desk, by(FIRST, "replace", properties=body))["totalReplaced"] == 1
    assert desk.get(A1)["properties"]["name"] == "R"
    refused = send(desk, by(True, "replace", properties=body))
    assert refused.json()["errors"][0]["pointer"] == "#/transaction/0/filter"
    none = text("1 = 2", action="replace", properties=body)
    assert done(desk, none)["totalReplaced"] == 0


def test_what_is_wrong_with_a_filter_is_said_with_its_place(desk: Desk) -> None:
    owner = desk.granted(Terms(Role.EDITOR, fields=("restricted",)))
    for wrong, where in (
        (text("use = "), "filter"),
        (text("colour = 'x'"), "filter"),
        (text("size < 'x'"), "filter"),
        (by("use = '01'"), "filter"),
        (by(5), "filter"),
        (by(None), "filter"),
        (by(FIRST, **{"filter-lang": "cql2-text"}), "filter"),
        (by(FIRST, **{"filter-lang": "cql"}), "filter-lang"),
        (by(FIRST, **{"filter-crs": "EPSG:0"}), "filter-crs"),
        # A field that its sender does not see is none.
        (text("owner = 'Li'"), "filter"),
    ):
        answer = send(desk, setting({"ids": ["b2"]}, size=3), wrong)
        assert answer.status_code == 400, (wrong, answer.text)
        [error] = answer.json()["errors"]
        assert error["pointer"] == f"#/transaction/1/{where}", answer.text
    assert desk.head() == 1
    assert done(desk, text("owner = 'Li'"), key=owner)["totalDeleted"] == 1


def test_a_layer_that_wants_versions_takes_no_filter(desk: Desk) -> None:
    assert send(desk, setting(FIRST, "guarded", size=9)).status_code == 428
    assert desk.head("guarded") == 1


def test_all_or_nothing_with_filters_too(desk: Desk) -> None:
    grow(desk)
    for last in (
        by({"ids": ["never"]}),
        setting(True, no="same"),
        {"action": "insert", "collection": "past", "items": [feature("a1")]},
    ):
        refused = send(desk, by(FIRST), setting(True, "past", size=2), last)
        assert refused.status_code in (404, 409), refused.text
    assert (desk.head(), desk.head("past")) == (2, 1)
    version = f"b2.{'2020-01-01'.replace('-', '')}T000000.000000Z"
    desk.store.commit({"land": [Update("b2", {"size": 8})]}, OWNER, "")
    assert send(desk, by(FIRST), by({"ids": [version]})).status_code == 412
    strict = send(desk, by(FIRST), Prefer="handling=strict")
    assert strict.headers["preference-applied"] == "handling=strict"
    assert strict.json()["summary"]["totalDeleted"] == 4


def test_only_what_one_sees_is_selected_and_what_one_may_not_write_refuses_all(desk: Desk) -> None:
    grow(desk)
    grow(desk, "inner")
    some = desk.granted(Terms(Role.EDITOR, territory=Territory(division="c")))
    # Everybody sees land; of the inner layer they see theirs alone.
    assert send(desk, setting(FIRST, size=5), key=some).status_code == 403
    assert desk.head() == 2
    mine = {"op": "like", "args": [{"property": "no"}, "c%"]}
    assert done(desk, setting(mine, size=5), key=some)["totalUpdated"] == 6
    assert done(desk, by(True, layer="inner"), key=some)["totalDeleted"] == 6
    assert there(desk, "inner") == ["a1", "b2"]
    # What others have there is as if it were not.
    assert done(desk, by(FIRST, layer="inner"), key=some)["totalDeleted"] == 0
    reader = desk.granted(Terms(Role.READER))
    assert send(desk, by(True), key=reader).status_code == 403


def test_an_action_that_begins_at_an_instant_selects_what_is_so_then(desk: Desk) -> None:
    grow(desk, "past")
    then = setting(FIRST, "past", size=44) | {"datetime": "2021-05-14"}
    assert done(desk, then)["totalUpdated"] == 1
    for day, size in (("2021-05-13", 1.5), ("2021-05-14", 44)):
        address = f"/collections/past/items/a1?datetime={day}"
        assert desk.get(address)["properties"]["size"] == size
    assert desk.get("/collections/past/items/c2")["properties"]["size"] == 2


def test_a_filter_selects_in_the_revision_that_is_changed(desk: Desk) -> None:
    """Of several that look at once, each sees what those before it did."""
    desk.editor  # noqa: B018 - the key is made before they all ask for it
    grow(desk, more=20)

    def act(n: int) -> int:
        answer = send(desk, setting({"op": "isNull", "args": [{"property": "floors"}]}, floors=n))
        assert answer.status_code in (200, 412), answer.text
        return int(answer.json().get("summary", {}).get("totalUpdated", 0))

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(act, range(4))) == [0, 0, 0, 21]
    assert desk.head() == 3


def test_a_filter_that_selects_too_many_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.routes.transactions.MOST_FEATURES", 9)
    assert actions.MOST_FEATURES == 10_000
    grow(desk)
    insert = {"action": "insert", "collection": "past", "items": [feature("n1"), feature("n2")]}
    refused = send(desk, insert, by(True))
    assert refused.status_code == 400
    assert "at most 9" in refused.json()["errors"][0]["detail"]
    assert (desk.head(), desk.head("past")) == (2, 1)
    assert done(desk, by(True))["totalDeleted"] == 8


def test_shapes_change_too(desk: Desk) -> None:
    square = {"type": "Polygon", "coordinates": SQUARE}
    assert done(desk, setting({"op": "=", "args": [{"property": "no"}, "b2"]}, geometry=square))
    assert desk.get(f"{LAND}/b2")["geometry"] == square
