"""Tags over HTTP: who publishes what a commit touched names it, once and for good."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from land import OWNER, Desk

from layers.access.grants import Role, Terms
from layers.edits import Update
from layers.writers import Writer

WORKS = Terms(Role.PUBLISHER)


def give(desk: Desk, name: Any, commit: Any, key: dict[str, str] | None = None, **more: Any) -> Any:
    body = {"name": name, "commit": commit} | more
    return desk.client.post("/tags", json=body, headers=key or desk.granted(WORKS))


def change(desk: Desk, *layers: str, size: float) -> int:
    edits = {layer: [Update("a1", {"size": size})] for layer in layers}
    commit = desk.store.commit(edits, OWNER, "").commit
    assert commit is not None
    return commit


def names(desk: Desk, key: dict[str, str] | None = None) -> dict[str, int]:
    found = desk.get("/tags", key or desk.granted(WORKS))["tags"]
    return {tag["name"]: tag["commit"] for tag in found}


def test_a_commit_is_named_once_and_for_good(desk: Desk) -> None:
    first, second = change(desk, "land", "past", size=4), change(desk, "land", size=5)
    made = give(desk, " 地籍年终 2024 ", first, note="as printed")
    assert made.status_code == 201, made.text
    said = made.json()
    assert (said["name"], said["commit"], said["note"]) == ("地籍年终 2024", first, "as printed")
    assert said["author"] == desk.get("/tags", desk.granted(WORKS))["tags"][0]["author"]
    again = give(desk, "地籍年终 2024", first, note="another")
    assert (again.status_code, again.json()) == (200, said)
    taken = give(desk, "地籍年终 2024", second)
    assert taken.status_code == 409
    assert str(first) in taken.json()["detail"]
    assert names(desk) == {"地籍年终 2024": first}
    # It can be read by at once.
    address = "/collections/land/items/a1?commit=地籍年终%202024"
    assert desk.get(address)["properties"]["size"] == 4


def test_only_who_publishes_all_that_it_touched_names_a_commit(desk: Desk) -> None:
    both, inner = change(desk, "land", "inner", size=4), change(desk, "inner", size=5)
    assert desk.client.post("/tags", json={"name": "x", "commit": both}).status_code == 401
    for terms in (Terms(Role.READER), Terms(Role.EDITOR), Terms(Role.PUBLISHER, "layer:past")):
        assert give(desk, "x", both, desk.granted(terms)).status_code == 403, terms
    # They see land, which they do not publish.
    only_inner = desk.granted(Terms(Role.PUBLISHER, "layer:inner"))
    refused = give(desk, "x", both, only_inner)
    assert (refused.status_code, "land" in refused.json()["detail"]) == (403, True)
    assert give(desk, "y", inner, only_inner).status_code == 201
    # Of a commit of which they see nothing there is none.
    only_past = desk.granted(Terms(Role.PUBLISHER, "layer:past"))
    hidden, never = (give(desk, "z", n, only_past) for n in (inner, 9_999))
    assert hidden.status_code == never.status_code == 404
    assert hidden.json()["detail"].replace(str(inner), "9999") == never.json()["detail"]
    assert names(desk) == {"y": inner}


def test_a_taken_name_tells_nothing_of_a_hidden_commit(desk: Desk) -> None:
    inner, past = change(desk, "inner", size=5), change(desk, "past", size=5)
    assert give(desk, "y", inner).status_code == 201
    refused = give(desk, "y", past, desk.granted(Terms(Role.PUBLISHER, "layer:past")))
    assert refused.status_code == 409
    assert (
        refused.json()["detail"]
        == "tag 'y' names another commit, and stays so; choose another name"
    )


def test_the_audit_says_who_named_what(desk: Desk) -> None:
    commit, key = change(desk, "land", size=4), desk.granted(WORKS)
    for _ in range(2):
        assert give(desk, "x", commit, key).status_code in (200, 201)
    give(desk, "", commit, key)
    desk.store.tag("of the shell", commit, Writer("shell"))
    noted = desk.get("/admin/audit?action=tag", desk.granted(Terms(Role.ADMINISTRATOR)))["entries"]
    assert [entry["commit"] for entry in noted] == [commit, commit]
    assert sorted(entry["actor"].partition(":")[0] for entry in noted) == ["key", "shell"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([], "#"),
        ({"name": "x"}, "#/commit"),
        ({"name": "x", "commit": "1"}, "#/commit"),
        ({"name": "x", "commit": True}, "#/commit"),
        ({"name": "x", "commit": 2**63}, "#/commit"),
        ({"name": 5, "commit": 1}, "#/name"),
        ({"name": "x", "commit": 1, "note": None}, "#/note"),
        ({"name": "x", "commit": 1, "note": "x" * 2_001}, "#/note"),
        ({"name": "x", "commit": 1, "colour": "red"}, "#/colour"),
    ],
)
def test_bodies_that_name_nothing(desk: Desk, body: Any, pointer: str) -> None:
    refused = desk.client.post("/tags", json=body, headers=desk.granted(WORKS))
    assert refused.status_code == 400, refused.text
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]


def test_names_that_can_be_none(desk: Desk) -> None:
    commit = change(desk, "land", size=4)
    for name in ("", " ", "7", "a\nb", "x" * 201):
        assert give(desk, name, commit).status_code == 400, name
    key = desk.granted(WORKS)
    assert desk.client.post("/tags", content=b"name=x", headers=key).status_code in (400, 415)
    assert desk.client.post("/tags?name=x", json={}, headers=key).status_code == 400
    assert names(desk) == {}


def test_of_two_who_give_one_name_one_does(desk: Desk) -> None:
    commits = [change(desk, "land", size=n) for n in (5, 6, 7, 8)]
    desk.granted(WORKS)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: give(desk, "x", n).status_code, commits))
    assert sorted(found) == [201, 409, 409, 409]
    assert names(desk) == {"x": commits[found.index(201)]}
