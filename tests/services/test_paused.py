"""A layer that is paused: no door over HTTP reads it or writes to it; the command line mends it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from land import A1, GEOJSON, LAND, OWNER, PATCH, Desk, feature

from layers.access.grants import Role, Terms
from layers.edits import Revert, Update
from layers.errors import LayerPaused
from layers.readers import ALL_LAYERS
from layers.settings import change_settings
from layers.writers import Permit, Verb, Writer

REVISIONS = "/collections/land/revisions"
EDIT = {"type": "Feature", "properties": {"size": 7}}
INSERT = {"action": "insert", "collection": "land", "items": [feature()]}
OTHER = {"action": "insert", "collection": "past", "items": [feature()]}
TX = "application/ogc-tx+json"
WRITES: list[tuple[str, str, Any, str]] = [
    ("POST", REVISIONS, feature(), GEOJSON),
    ("POST", f"{REVISIONS}?dry-run=true", feature(), GEOJSON),
    ("POST", LAND, feature(), GEOJSON),
    ("POST", f"{LAND}?dry-run=true", feature(), GEOJSON),
    ("PUT", A1, feature("a1"), GEOJSON),
    ("PATCH", A1, EDIT, PATCH),
    ("DELETE", A1, None, GEOJSON),
    ("POST", "/transactions", {"transaction": [INSERT]}, TX),
    ("POST", "/transactions", {"transaction": [OTHER, INSERT]}, TX),
]


def pause(desk: Desk, paused: bool = True) -> None:
    with desk.store.database.write() as connection:
        change_settings(connection, "land", {"paused": paused}, OWNER)
    for _ in range(500):  # the application hears of it a moment later
        if desk.store.layer("land").record.schema.paused == paused:
            return
        time.sleep(0.01)
    pytest.fail("the application never heard that the layer was paused, or started")


def publisher(desk: Desk) -> dict[str, str]:
    return desk.granted(Terms(Role.PUBLISHER, fields=("internal", "restricted")))


def head(desk: Desk, layer: str = "land") -> int:
    return desk.store.layer(layer).record.head


@pytest.mark.parametrize(("method", "path", "body", "kind"), WRITES)
def test_a_paused_layer_is_written_through_no_door(
    desk: Desk, method: str, path: str, body: Any, kind: str
) -> None:
    pause(desk)
    answer = desk.send(method, path, body, kind, **publisher(desk))
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "600"
    assert "shikong layer set land --start" in answer.json()["detail"]
    assert (head(desk), head(desk, "past")) == (1, 1)
    pause(desk, False)
    again = desk.send(method, path, body, kind, **publisher(desk))
    assert again.status_code < 300, again.text


def test_each_door_says_so_in_the_api_document(desk: Desk) -> None:
    document = desk.get("/api")
    for path, method in (
        ("/collections/{collectionId}/revisions", "post"),
        ("/collections/{collectionId}/items", "post"),
        ("/collections/{collectionId}/items/{featureId}", "patch"),
        ("/transactions", "post"),
    ):
        stated = document["paths"][path][method]["responses"]["503"]
        assert stated == {"$ref": "#/components/responses/Problem"}
    problem = document["components"]["responses"]["Problem"]
    assert "paused" in problem["description"]
    assert "Retry-After" in problem["headers"]


def test_a_layer_that_was_paused_meanwhile_is_not_written(desk: Desk) -> None:
    """The commit asks, and not only the door: between the two somebody may pause the layer."""
    done = desk.store.commit({"land": [Update("a1", {"size": 2.0})]}, OWNER, "")
    assert done.commit is not None
    pause(desk)
    permit = Permit(frozenset(Verb), ALL_LAYERS, restricted=True)
    caller = Writer("somebody", (permit,), "key:1")
    for change in ([Update("a1", {"size": 3.0})], Revert(2)):
        with pytest.raises(LayerPaused, match="land is paused"):
            desk.store.commit({"land": change}, caller, "")
    with pytest.raises(LayerPaused):
        desk.store.revert(done.commit, caller)
    assert head(desk) == 2


def test_whoever_runs_the_store_mends_it_and_is_told(desk: Desk) -> None:
    pause(desk)
    done = desk.store.commit({"land": [Update("a1", {"size": 3.0})]}, OWNER, "mended")
    assert done.commit is not None
    [note] = done.reports["land"].notes
    assert "land is paused" in note
    assert desk.client.get(LAND).status_code == 503
    pause(desk, False)
    assert desk.get(A1)["properties"]["size"] == 3.0
