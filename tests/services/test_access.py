"""Who sees what: restricted fields, layers that are not public, keys, and CORS."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from layers import catalog
from layers.clock import system_clock
from layers.model import Visibility
from layers.tables import api_key, tables_of

RESTRICTED = {
    "parcels": ["right_holder"],
    "incidents": ["reporter_name", "reporter_phone"],
    "pipe_nodes": ["last_editor", "last_edited_user", "created_user"],
}
TILES = {"parcels": "14/6060/4956", "incidents": "12/1515/1239", "pipe_nodes": "12/1515/1239"}
ROUTES = [
    "/",
    "/conformance",
    "/api",
    "/health",
    "/collections",
    "/collections/{layer}",
    "/collections/{layer}/items?limit=1",
    "/collections/{layer}/items/{feature}",
    "/collections/{layer}/items/{feature}/versions",
    "/collections/{layer}/revisions",
    "/collections/{layer}/revisions/1",
    "/collections/{layer}/tiles",
    "/collections/{layer}/tiles/WebMercatorQuad",
    "/collections/{layer}/tiles/WebMercatorQuad/{tile}",
    "/tileMatrixSets",
    "/tileMatrixSets/WebMercatorQuad",
    "/processes",
    "/static/vendor/maplibre-gl/LICENSE.txt",
    "/no/such/place",
]


def addresses(layer: str, feature: str) -> list[str]:
    return [r.format(layer=layer, feature=feature, tile=TILES[layer]) for r in ROUTES]


def one_id(client: TestClient, layer: str, **options: Any) -> str:
    page = client.get(f"/collections/{layer}/items?limit=1", **options).json()
    return str(page["features"][0]["id"])


def secrets_of(store: Any, layer: str) -> list[bytes]:
    """Some values that really stand in a restricted table, long enough to be looked for."""
    record = store.layer(layer).record
    family = tables_of(record).restricted
    assert family is not None
    columns = [family.live.c[name] for name in RESTRICTED[layer]]
    with store.database.inspect() as connection:
        rows = connection.execute(sa.select(*columns).limit(40)).all()
    found = {str(v).encode() for row in rows for v in row if v is not None and len(str(v)) > 4}
    assert found
    return sorted(found)


@pytest.mark.parametrize("layer", list(RESTRICTED))
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_restricted_fields_are_in_no_answer(keyed_doors: Any, layer: str, accept: str) -> None:
    client, hidden = keyed_doors.client, secrets_of(keyed_doors.store, layer)
    feature = one_id(client, layer)
    asked = [a for a in addresses(layer, feature) if not a.startswith("/static")]
    more = f"/collections/{layer}/items?limit=50"
    asked += [more, f"{more}&datetime=2010-01-01/.."]
    for headers in ({}, keyed_doors.key("reader"), keyed_doors.key("publisher")):
        for address in asked:
            body = client.get(address, headers=headers | {"Accept": accept}).content
            for name in RESTRICTED[layer]:
                assert name.encode() not in body, address
            assert not [s for s in hidden if s in body], address


@pytest.mark.parametrize(
    ("layer", "name"), [(layer, name) for layer, names in RESTRICTED.items() for name in names]
)
def test_no_error_confirms_a_restricted_field(keyed_doors: Any, layer: str, name: str) -> None:
    """The answer to a name that is hidden is that to a name that never was."""
    made_up = "x" * len(name)
    for headers in ({}, keyed_doors.key("publisher")):
        for address in (
            f"/collections/{layer}/items?NAME=a",
            f"/collections/{layer}/items?NAME=",
            f"/collections/{layer}?NAME=a",
            f"/collections/{layer}/tiles/WebMercatorQuad/0/0/0?NAME=a",
            f"/collections/{layer}/items/a?NAME=a",
        ):
            hidden = keyed_doors.client.get(address.replace("NAME", name), headers=headers)
            absent = keyed_doors.client.get(address.replace("NAME", made_up), headers=headers)
            assert hidden.status_code == absent.status_code == 400
            assert hidden.text.replace(name, made_up) == absent.text


def test_internal_fields_are_for_keys(keyed_doors: Any) -> None:
    asked = "/collections/pipe_nodes/items?network=cambridge&limit=50"
    key = keyed_doors.key()
    for f in keyed_doors.json(asked)["features"]:
        assert "comments" not in f["properties"]
    for f in keyed_doors.json(asked, headers=key)["features"]:
        assert "comments" in f["properties"]
    assert keyed_doors.client.get(f"{asked}&comments=x").status_code == 400
    assert keyed_doors.client.get(f"{asked}&comments=x", headers=key).status_code == 200
    ours, theirs = (
        {f["id"] for f in keyed_doors.json("/collections/pipe_nodes", headers=h)["fields"]}
        for h in ({}, key)
    )
    assert theirs - ours == {"comments"}


def test_an_internal_layer_is_not_there_for_everyone(own_doors: Any) -> None:
    client, store, key = own_doors.client, own_doors.store, own_doors.key()
    feature = one_id(client, "parcels")
    with store.database.write() as connection:
        catalog.set_visibility(connection, "parcels", Visibility.INTERNAL)
    for address in addresses("parcels", feature):
        if "/parcels" not in address:
            continue
        closed = client.get(address)
        never = client.get(address.replace("/parcels", "/xxxxxxx"))
        assert closed.status_code == 404
        assert closed.text.replace("parcels", "xxxxxxx") == never.text
        assert client.get(address, headers=key).status_code == 200, address
    listed = [c["id"] for c in own_doors.json("/collections")["collections"]]
    assert "parcels" not in listed
    assert b"parcels" not in client.get("/", headers={"Accept": "application/json"}).content
    assert own_doors.json("/health")["layers"] == len(listed)
    seen = own_doors.json("/collections", headers=key)["collections"]
    assert "parcels" in [c["id"] for c in seen]


def test_a_private_layer_is_not_there_for_keys_either(own_doors: Any) -> None:
    """Private is for the command line: no key of this release reads it."""
    with own_doors.store.database.write() as connection:
        catalog.set_visibility(connection, "parcels", Visibility.PRIVATE)
    for headers in ({}, own_doors.key("reader"), own_doors.key("publisher")):
        for address in addresses("parcels", "169-100"):
            if "/parcels" in address:
                assert own_doors.client.get(address, headers=headers).status_code == 404
    upload = own_doors.client.post(
        "/collections/parcels/revisions", headers=own_doors.key("publisher"), content=b"{}"
    )
    assert upload.status_code == 404


WRONG = [
    {"Authorization": "Bearer sk_00000000_wrong"},
    {"Authorization": "Bearer "},
    {"Authorization": "Bearer"},
    {"Authorization": ""},
    {"Authorization": "Basic dXNlcjpwYXNz"},
    {"Authorization": "sk_00000000_wrong"},
    {"Authorization": "Bearer \u00e4".encode("latin-1").decode("latin-1")},
    {"Authorization": "Bearer " + "x" * 5000},
    {"Authorization": "Bearer ' OR 1=1 --"},
    {"X-API-Key": "sk_00000000_wrong"},
    {"X-API-Key": ""},
]


@pytest.mark.parametrize("headers", WRONG)
def test_a_wrong_key_is_401_on_every_route(client: TestClient, headers: dict[str, str]) -> None:
    sent = {k: v.encode("latin-1") for k, v in headers.items()}
    for address in addresses("parcels", "169-100"):
        answer = client.get(address, headers=sent)
        assert answer.status_code == 401, address
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == 401
        assert answer.headers["cache-control"] == "no-store"
    assert client.post("/collections/parcels/revisions", headers=sent).status_code == 401


def test_a_key_opens_every_way(keyed_doors: Any) -> None:
    bearer = keyed_doors.key()["Authorization"]
    text = bearer.removeprefix("Bearer ")
    for headers in (
        {"Authorization": bearer},
        {"Authorization": f"bearer {text}"},
        {"Authorization": f"BEARER   {text} "},
        {"X-API-Key": text},
    ):
        assert keyed_doors.client.get("/collections", headers=headers).status_code == 200
    for headers in (
        {"Authorization": f"Bearer {text}x"},
        {"Authorization": f"Bearer {text[:-1]}"},
        {"X-API-Key": text.upper()},
    ):
        assert keyed_doors.client.get("/collections", headers=headers).status_code == 401


def test_expired_and_revoked_keys_are_401(own_doors: Any) -> None:
    past = own_doors.key(expires=system_clock() - timedelta(seconds=1))
    future = own_doors.key(expires=system_clock() + timedelta(days=1))
    answer = own_doors.client.get("/collections", headers=past)
    assert answer.status_code == 401
    assert "expired" in answer.json()["detail"]
    assert own_doors.client.get("/collections", headers=future).status_code == 200
    with own_doors.store.database.keep() as connection:
        connection.execute(sa.update(api_key).values(revoked_at=system_clock()))
    # Another process revoked it: a second later it is known here.
    own_doors.store.register.forget()
    assert own_doors.client.get("/collections", headers=future).status_code == 401


def test_the_key_itself_is_not_kept(keyed_doors: Any) -> None:
    text = keyed_doors.key()["Authorization"].removeprefix("Bearer ")
    with keyed_doors.store.database.keep() as connection:
        rows = connection.execute(sa.select(api_key)).all()
    assert rows
    assert text.split("_", 2)[2] not in str(rows)


def test_any_page_of_the_web_may_read(client: TestClient) -> None:
    for address in [*addresses("parcels", "169-100"), "/collections/parcels/items?x=1"]:
        answer = client.get(address, headers={"Origin": "https://map.example"})
        assert answer.headers["access-control-allow-origin"] == "*", address
        assert "Content-Revision" in answer.headers["access-control-expose-headers"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_browser_may_ask_whether_it_may_send_a_key(client: TestClient) -> None:
    for address in ("/collections/parcels/items", "/collections/parcels/revisions", "/nowhere"):
        asked = {
            "Origin": "https://map.example",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization",
        }
        answer = client.options(address, headers=asked)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "Authorization" in answer.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in answer.headers
    assert client.options("/collections").status_code == 405


def test_who_and_why_is_for_keys(keyed_doors: Any) -> None:
    asked = "/collections/parcels/revisions/4"
    public, staff = keyed_doors.json(asked), keyed_doors.json(asked, headers=keyed_doors.key())
    counts = {"live", "created", "changed", "retired"}
    assert set(public) == {"number", "recorded", "simulated", "links"} | counts
    assert (public["created"], public["changed"], public["retired"]) == (0, 1, 0)
    assert staff["author"] == "demo"
    assert "1315" in staff["document"]
    assert (staff["created"], staff["changed"], staff["retired"]) == (0, 1, 0)
    log = keyed_doors.json("/collections/parcels/revisions")["revisions"]
    assert all(set(r) == set(public) for r in log)
