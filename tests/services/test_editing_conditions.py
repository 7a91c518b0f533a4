"""Editing on conditions: no writer overwrites what they have not seen."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from land import A1, GEOJSON, LAND, OWNER, PATCH, Desk, feature

from layers.access.grants import Role, Terms
from layers.edits import Update


def test_if_match_names_the_version_that_was_read(desk: Desk) -> None:
    read = desk.client.get(A1, headers=desk.editor)
    tag = read.headers["etag"]
    assert read.headers["etag"].startswith('"')
    again = desk.client.get(A1, headers={**desk.editor, "If-None-Match": tag})
    assert again.status_code == 304
    for wrong in ('"0"', f"W/{tag}", '"', "x", '"0", "1"'):
        for method, body in (("PUT", feature("a1")), ("DELETE", None)):
            refused = desk.send(method, A1, body, If_Match=wrong)
            assert refused.status_code == 412, (wrong, refused.text)
    assert desk.head() == 1
    other_format = tag.replace("-json", "-fgb-br")
    answer = desk.send("PUT", A1, feature("a1"), If_Match=f'"0", {other_format}')
    assert answer.status_code == 204, answer.text
    assert answer.headers["etag"] != tag
    assert desk.send("PUT", A1, feature("a1", size=3), If_Match=tag).status_code == 412
    new = answer.headers["etag"]
    assert (
        desk.send("PATCH", A1, {"properties": {"size": 3}}, PATCH, If_Match=new).status_code == 204
    )
    assert (
        desk.send("PATCH", A1, {"properties": {"size": 4}}, PATCH, If_Match="*").status_code == 204
    )
    assert desk.send("PUT", A1, feature("a1"), If_None_Match="*").status_code == 412
    assert desk.send("PUT", f"{LAND}/never", feature("never"), If_Match="*").status_code == 404


def test_if_unmodified_since_is_to_the_second(desk: Desk) -> None:
    read = desk.client.get(A1, headers=desk.editor).headers["last-modified"]
    stamp = datetime.strptime(read, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    early = (stamp - timedelta(seconds=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    refused = desk.send("PUT", A1, feature("a1"), If_Unmodified_Since=early)
    assert (refused.status_code, desk.head()) == (412, 1)
    done = desk.send("PUT", A1, feature("a1"), If_Unmodified_Since=read)
    assert done.status_code == 204
    assert desk.send("DELETE", A1, If_Unmodified_Since=early).status_code == 412
    assert desk.send("DELETE", A1, If_Unmodified_Since="yesterday").status_code == 400
    assert (
        desk.send("DELETE", A1, If_Unmodified_Since=done.headers["last-modified"]).status_code
        == 204
    )


def test_a_guarded_layer_asks_for_a_condition(desk: Desk) -> None:
    there = "/collections/guarded/items/a1"
    for method, body, kind in (
        ("PUT", feature("a1"), GEOJSON),
        ("PATCH", {"properties": {"size": 3}}, PATCH),
        ("DELETE", None, GEOJSON),
    ):
        assert desk.send(method, there, body, kind).status_code == 428
    assert desk.send("POST", "/collections/guarded/items", feature()).status_code == 201
    tag = desk.client.get(there, headers=desk.editor).headers["etag"]
    assert desk.send("PUT", there, feature("a1"), If_Match=tag).status_code == 204


def test_of_two_writers_with_one_tag_exactly_one_wins(desk: Desk) -> None:
    desk.editor  # noqa: B018 - the key is made before they all ask for it
    for round_no in range(5):
        tag = desk.client.get(A1, headers=desk.editor).headers["etag"]
        before, together = desk.head(), threading.Barrier(4)

        def write(n: int, tag: str = tag, round_no: int = round_no) -> int:
            together.wait()  # noqa: B023 - all of one round
            body = {"properties": {"name": f"{round_no}-{n}"}}
            return desk.send("PATCH", A1, body, PATCH, If_Match=tag).status_code

        with ThreadPoolExecutor(4) as pool:
            statuses = sorted(pool.map(write, range(4)))
        assert statuses == [204, 412, 412, 412]
        assert desk.head() == before + 1


def test_a_change_of_what_is_not_seen_is_no_reason_to_refuse(desk: Desk) -> None:
    public = desk.granted(Terms(Role.EDITOR, fields=frozenset({"public"})))
    tag = desk.client.get(A1, headers=public).headers["etag"]
    desk.store.commit({"land": [Update("a1", {"owner": "Ma"})]}, OWNER, "")
    sent = {**public, "Content-Type": PATCH, "If-Match": tag}
    answer = desk.client.patch(A1, content='{"properties": {"size": 3}}', headers=sent)
    assert answer.status_code == 204
