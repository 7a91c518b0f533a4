"""Readers of different scope ask in turn, and at once: caches give nobody another's answer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
import shapely
from starlette.testclient import TestClient

from layers import catalog
from layers.access.desk import Desk
from layers.access.grants import Role, Terms
from layers.access.policy import Caller
from layers.model import Visibility
from layers.store import Store, open_store
from layers.territories import Territory
from services.app import create_app
from services.settings import Settings
from tests.databases import Databases

PLAIN = {"Accept-Encoding": "identity"}
# The middle of the demo city: some of its pipes and parcels lie within, most do not.
WEST, SOUTH, EAST, NORTH = -71.112, 42.37, -71.10, 42.38
AREA = shapely.to_wkb(shapely.box(WEST, SOUTH, EAST, NORTH))
READERS: Mapping[str, tuple[Terms, ...]] = {
    "anonymous": (),
    "staff": (Terms(Role.READER),),
    "of an area": (Terms(Role.READER, territory=Territory(area=AREA)),),
    "with restricted fields": (Terms(Role.READER, fields=("restricted",)),),
    "of one field": (Terms(Role.READER, fields=("right_holder",)),),
}
ADDRESSES = (
    "/collections",
    "/collections/pipe_nodes",
    "/collections/parcels",
    "/collections/pipe_nodes/items?limit=300",
    "/collections/parcels/items?limit=50&revision=3&datetime=2014-06-01",
    "/collections/parcels/items/169-100?revision=4&datetime=2014-06-01",
    "/collections/parcels/items/169-100/versions",
    "/collections/parcels/revisions",
    "/collections/pipe_nodes/revisions/1",
    "/collections/pipe_nodes/tiles/WebMercatorQuad",
    "/collections/pipe_nodes/tiles/WebMercatorQuad/14/6060/4956?revision=1&datetime=2023-01-01",
    "/commits",
)


@dataclass(frozen=True)
class City:
    """A copy of the demo in which pipes are internal, and the keys of its readers."""

    dsn: str
    keys: Mapping[str, Mapping[str, str]]


@pytest.fixture(scope="module")
def own(demo_template: str, make_database: Databases) -> City:
    dsn = make_database(demo_template)
    with closing(open_store(dsn)) as store:
        with store.database.write() as connection:
            catalog.set_visibility(connection, "pipe_segments", Visibility.INTERNAL)
        desk = Desk(store.register, Caller("shell:tests", "tests"), unbounded=True)
        keys: dict[str, Mapping[str, str]] = {"anonymous": {}}
        for name, terms in READERS.items():
            if terms:
                keys[name] = {"X-API-Key": desk.make_key(name, terms[0])[1]}
    return City(dsn, keys)


@pytest.fixture(scope="module")
def opened(own: City) -> Iterator[Store]:
    with closing(open_store(own.dsn)) as store:
        yield store


@pytest.fixture(scope="module")
def client(opened: Store, settings: Settings) -> Iterator[TestClient]:
    opened.follow()
    app = create_app(opened, settings)
    with TestClient(app, raise_server_exceptions=False, headers=PLAIN) as found:
        yield found


@pytest.fixture(scope="module")
def alone(own: City, settings: Settings) -> Mapping[tuple[str, str], Any]:
    """What each reader gets at each address of a server that has never served anybody else."""
    found = {}
    for name, key in own.keys.items():
        with closing(open_store(own.dsn)) as store:
            store.follow()
            app = create_app(store, settings)
            with TestClient(app, raise_server_exceptions=False, headers=PLAIN) as client:
                for address in ADDRESSES:
                    answer = client.get(address, headers=key)
                    assert answer.status_code in (200, 204), (name, address, answer.text)
                    found[name, address] = (body_of(answer), answer.headers["etag"])
    return found


def body_of(answer: Any) -> Any:
    """The answer, but for the instant at which it was given."""
    if answer.headers.get("content-type", "").startswith("application/"):
        if "json" not in answer.headers["content-type"]:
            return answer.content
        document = answer.json()
        if isinstance(document, dict):
            return {k: v for k, v in document.items() if k not in ("datetime", "links")}
        return document
    return answer.content


def test_readers_differ_here(alone: Mapping[tuple[str, str], Any]) -> None:
    """Else the tests below would show nothing."""
    items, field = ADDRESSES[3], ADDRESSES[5]
    bodies = [str(alone[name, items][0]) for name in ("anonymous", "staff", "of an area")]
    assert len(set(bodies)) == 3
    assert str(alone["anonymous", field][0]) != str(alone["of one field", field][0])


@pytest.mark.parametrize("order", [1, -1])
def test_asking_in_turn_nobody_gets_another_s_answer(
    own: City, client: TestClient, alone: Mapping[tuple[str, str], Any], order: int
) -> None:
    names = list(own.keys)[::order]
    for _, address, name in itertools.product(range(2), ADDRESSES, names):
        answer = client.get(address, headers=own.keys[name])
        assert (body_of(answer), answer.headers["etag"]) == alone[name, address], (name, address)


def test_asking_at_once_nobody_gets_another_s_answer(
    own: City, client: TestClient, alone: Mapping[tuple[str, str], Any]
) -> None:
    asked = [*itertools.product(own.keys, ADDRESSES)] * 2

    def ask(name: str, address: str) -> Any:
        return body_of(client.get(address, headers=own.keys[name]))

    with ThreadPoolExecutor(6) as pool:
        bodies = list(pool.map(lambda pair: ask(*pair), asked))
    for (name, address), body in zip(asked, bodies, strict=True):
        assert body == alone[name, address][0], (name, address)


def test_no_reader_has_another_s_validator(
    own: City, client: TestClient, alone: Mapping[tuple[str, str], Any]
) -> None:
    for address in ADDRESSES:
        bodies = {name: alone[name, address][0] for name in own.keys}
        tags = {name: alone[name, address][1] for name in own.keys}
        # Nobody sees what everybody sees, and one field is not all of them.
        assert len(set(tags.values())) >= 3, address
        for name, other in itertools.permutations(own.keys, 2):
            if tags[name] == tags[other]:
                # Two who are shown the same of a layer may know it by one name.
                assert bodies[name] == bodies[other], (name, other, address)
                continue
            headers = {**own.keys[name], "If-None-Match": tags[other]}
            assert client.get(address, headers=headers).status_code != 304, (name, other)
        for name, key in own.keys.items():
            again = client.get(address, headers={**key, "If-None-Match": tags[name]})
            assert again.status_code in (304, 204), (name, address)


def test_what_is_not_everybody_s_is_never_kept_for_everybody(own: City, client: TestClient) -> None:
    for (name, key), address in itertools.product(own.keys.items(), ADDRESSES):
        headers = client.get(address, headers=key).headers
        assert ("private" in headers["cache-control"]) is (name != "anonymous"), (name, address)
        assert "public" not in headers["cache-control"] or name == "anonymous"
        varies = {v.strip().lower() for v in headers["vary"].split(",")}
        assert {"authorization", "cookie", "x-api-key"} <= varies
