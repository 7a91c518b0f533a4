"""Editing over HTTP: what each method does, on which conditions, and what it refuses."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import geopandas as gpd
import httpx2
import pytest
import shapely
from starlette.testclient import TestClient

from layers.access.grants import Role, Terms
from layers.edits import Update
from layers.publish import Reload
from layers.schemas.documents import parse_schema
from layers.sources import FrameSource
from layers.store import Store, open_store
from layers.territories import Territory
from layers.writers import Writer
from services.app import create_app
from services.settings import Settings

GEOJSON, PATCH = "application/geo+json", "application/merge-patch+json"
OWNER = Writer("tests")
START = datetime(2020, 1, 1, tzinfo=UTC)
SQUARE = [[[1.0, 1.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0], [1.0, 1.0]]]
FIELDS = [
    {"id": "no", "role": "key"},
    {"id": "name", "required": True},
    {"id": "use", "codes": {"01": "field", "02": "forest"}},
    {"id": "size", "type": "number"},
    {"id": "floors", "type": "integer"},
    {"id": "listed", "type": "boolean"},
    {"id": "built", "type": "date"},
    {"id": "seen", "type": "instant"},
    {"id": "sheet", "pattern": "[A-Z][0-9]{3}"},
    {"id": "note", "visibility": "internal"},
    {"id": "owner", "visibility": "restricted"},
]


def schema_of(**others: Any) -> Any:
    document = {"title": "t", "geometry": "Polygon", "time_zone": "UTC", "visibility": "public"}
    return parse_schema(document | {"fields": FIELDS, "division": "no"} | others)


@dataclass(frozen=True)
class Desk:
    """An application on a store of one's own, and whoever comes to it."""

    store: Store
    client: TestClient
    granted: Callable[..., dict[str, str]]

    def send(
        self, method: str, path: str, body: Any = None, kind: str = GEOJSON, **headers: str
    ) -> httpx2.Response:
        """Send a body as the editor, with headers that have _ for -."""
        sent = {**self.editor, **{k.replace("_", "-"): v for k, v in headers.items()}}
        if body is not None:
            sent["Content-Type"] = kind
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        return self.client.request(method, path, content=content, headers=sent)

    @property
    def editor(self) -> dict[str, str]:
        return self.granted(Terms(Role.EDITOR))

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Any:
        answer = self.client.get(path, headers=headers or self.editor)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def head(self, layer: str = "land") -> int:
        return int(self.get(f"/collections/{layer}")["revision"])


@pytest.fixture(scope="module")
def template(empty_template: str, make_database: Callable[..., str]) -> str:
    """Two features in each of some layers, from 2020 on."""
    dsn = make_database(empty_template)
    rows: dict[str, list[Any]] = {"no": ["a1", "b2"], "name": ["A", "B"], "use": ["01", "99"]}
    rows |= {"size": [1.5, None], "floors": [3, None], "owner": ["Li", "Wu"], "note": ["n", "m"]}
    shapes = [shapely.Polygon(SQUARE[0]), shapely.Polygon([(5, 5), (6, 5), (6, 6), (5, 5)])]
    with closing(open_store(dsn)) as store:
        for layer, others in {
            "land": {},
            "past": {"backdating": True},
            "guarded": {"if_match": True},
            "inner": {"visibility": "internal"},
        }.items():
            frame = gpd.GeoDataFrame(rows, geometry=shapes, crs="OGC:CRS84")
            reload = Reload(FrameSource(frame), schema=schema_of(**others), valid_from=START)
            store.commit({layer: reload}, OWNER, "first")
        bare = gpd.GeoDataFrame({"k": ["x"]}, geometry=[shapely.Point(1, 1)], crs="OGC:CRS84")
        document = {"title": "t", "geometry": "Point", "time_zone": "UTC", "visibility": "public"}
        schema = parse_schema(document | {"fields": [{"id": "k"}]})
        store.commit(
            {"bare": Reload(FrameSource(bare), schema=schema, valid_from=START)}, OWNER, ""
        )
    return dsn


@pytest.fixture
def desk(template: str, make_database: Callable[..., str], settings: Settings) -> Iterator[Desk]:
    from layers.access.grants import give
    from layers.access.keys import create_key
    from layers.clock import system_clock

    with closing(open_store(make_database(template))) as store:
        kept: dict[tuple[Terms, ...], dict[str, str]] = {}

        def granted(*terms: Terms) -> dict[str, str]:
            if terms not in kept:
                now = system_clock()
                with store.database.keep() as connection:
                    end = now + timedelta(days=1)
                    made, text = create_key(connection, "a key", now, expires_at=end)
                    for given in terms:
                        give(connection, made.caller, given, "tests", now)
                kept[terms] = {"Authorization": f"Bearer {text}"}
            return kept[terms]

        app = create_app(store, settings)
        with TestClient(app, raise_server_exceptions=False) as client:
            yield Desk(store, client, granted)


LAND = "/collections/land/items"
A1 = f"{LAND}/a1"


def feature(no: str | None = "c3", geometry: Any = "square", **properties: Any) -> dict[str, Any]:
    if geometry == "square":
        geometry = {"type": "Polygon", "coordinates": SQUARE}
    own = {} if no is None else {"no": no}
    own |= {"name": "C"} | properties
    return {"type": "Feature", "properties": own, "geometry": geometry}


# -- create ---------------------------------------------------------------------------------------


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


# -- replace, update, delete ----------------------------------------------------------------------


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
    assert after.json()["revision"] == before.json()["revision"] + 2
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
    from layers.readers import Reader

    frame = desk.store.layer("land", Reader.everything()).at().read(ids=["a1"])
    assert frame.loc["a1", "name"] == "other"
    assert frame.geometry["a1"].equals_exact(shape, 0)


# -- time -----------------------------------------------------------------------------------------


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


# -- conditions -----------------------------------------------------------------------------------


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


# -- who ------------------------------------------------------------------------------------------


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


# -- bodies ---------------------------------------------------------------------------------------

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
