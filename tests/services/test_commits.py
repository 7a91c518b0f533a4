"""Commits over HTTP: the log of all layers, what a document changed, and reads as of a commit."""

from __future__ import annotations

from typing import Any

from layers.edits import Insert, Retire, split
from layers.model import Document
from layers.readers import Reader
from layers.writers import Writer

WRITER = Writer("test")


def _split(doors: Any) -> int:
    """Split a parcel by a document, and retire a node with it."""
    store = doors.store
    node = store.layer("pipe_nodes", Reader.everything()).at().read().index[0]
    shape = store.layer("parcels", Reader.everything()).at().read(ids=["169-100"]).geometry.iloc[0]
    into = [Insert({"ml": f"169-100{n}"}, shape) for n in "AB"]
    edits: dict[str, Any] = {
        "parcels": [split("169-100", into, "2024-05-14")],
        "pipe_nodes": [Retire(node, "2024-05-14")],
    }
    done = store.commit(edits, WRITER, "a split", document=Document("CAD-2024-7"))
    assert done.commit is not None
    return done.commit


def test_the_public_sees_commits_without_who_and_why(own_doors: Any) -> None:
    _split(own_doors)
    found = own_doors.json("/commits")["commits"]
    assert [c["id"] for c in found] == sorted((c["id"] for c in found), reverse=True)
    assert set(found[0]) == {"id", "recorded", "simulated", "layers", "links"}
    assert own_doors.client.get("/commits?document=CAD-2024-7").status_code == 401


def test_a_document_lists_all_that_it_created_and_retired(own_doors: Any) -> None:
    commit = _split(own_doors)
    (found,) = own_doors.json("/commits?document=CAD-2024-7", headers=own_doors.key())["commits"]
    assert (found["id"], found["document"], found["author"]) == (commit, "CAD-2024-7", "test")
    by_layer = {layer["collection"]: layer["features"] for layer in found["layers"]}
    assert by_layer["parcels"] == {
        "created": ["169-100A", "169-100B"],
        "changed": [],
        "retired": ["169-100"],
    }
    assert len(by_layer["pipe_nodes"]["retired"]) == 1
    assert own_doors.json("/commits?document=none", headers=own_doors.key())["commits"] == []


def test_a_read_may_name_a_commit_or_a_tag(own_doors: Any) -> None:
    before = own_doors.json("/commits?limit=1")["commits"][0]["id"]
    _split(own_doors)
    own_doors.store.tag("年终 2024", before, WRITER)
    when = "datetime=2024-06-01"
    assert own_doors.client.get(f"/collections/parcels/items/169-100?{when}").status_code == 410
    for name in (str(before), "年终 2024"):
        answer = own_doors.client.get(
            "/collections/parcels/items/169-100",
            params={"datetime": "2024-06-01", "commit": name},
        )
        assert answer.status_code == 200, answer.text
        assert "immutable" in answer.headers["cache-control"]
    wrong = own_doors.client.get("/collections/parcels/items?commit=nope")
    assert wrong.status_code == 404
    assert "no commit or tag" in wrong.json()["detail"]
    twice = own_doors.client.get("/collections/parcels/items?commit=1&revision=1")
    assert twice.status_code == 400


def test_there_is_a_page_of_commits(own_doors: Any) -> None:
    commit = _split(own_doors)
    for headers, seen in (({}, False), (own_doors.key(), True)):
        page = own_doors.client.get("/commits?f=html", headers=headers)
        assert page.status_code == 200
        assert f'/commits/{commit}?f=html">{commit}</a>' in page.text
        assert ("a split" in page.text) == seen
    page = own_doors.client.get("/commits?document=CAD-2024-7&f=html", headers=own_doors.key())
    assert page.status_code == 200
    assert "169-100A" in page.text
    assert "依据文件" in page.text


def test_limits_are_checked(own_doors: Any) -> None:
    for wrong in ("0", "-1", "1001", "x"):
        assert own_doors.client.get(f"/commits?limit={wrong}").status_code in (400, 422)
