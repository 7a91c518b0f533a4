"""A client on the demo city, and one on a copy that a test may change, with keys."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from layers.access.grants import Role, Terms, give
from layers.access.keys import create_key
from layers.clock import system_clock
from layers.store import Store, open_store
from layers.tables import api_key
from services.app import create_app
from services.settings import Settings

sys.path.insert(0, str(Path(__file__).parent))

import land

from tests.databases import Databases

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

# To squeeze ten thousand features and to open them again takes longer than to read them.
PLAIN = {"Accept-Encoding": "identity"}


@dataclass(frozen=True)
class Doors:
    """An application on a store of its own."""

    store: Store
    client: TestClient

    def key(self, role: str = "reader", expires: datetime | None = None) -> dict[str, str]:
        """Return the headers of a new key."""
        return self.granted(Terms(Role(role)), expires=expires)

    def granted(self, *terms: Terms, expires: datetime | None = None) -> dict[str, str]:
        """Return the headers of a new key with some grants."""
        now = system_clock()
        with self.store.database.keep() as connection:
            made, text = create_key(connection, "a key", now, expires_at=now + timedelta(days=1))
            for given in terms:
                give(connection, made.caller, given, "tests", now)
            if expires is not None:
                where = api_key.c.id == made.id
                connection.execute(sa.update(api_key).where(where).values(expires_at=expires))
        return {"Authorization": f"Bearer {text}"}

    def json(self, address: str, **options: Any) -> Any:
        """Return the document at an address, which must be there."""
        answer = self.client.get(address, **options)
        assert answer.status_code == 200, (address, answer.text)
        return answer.json()


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One address asks all that the tests ask, and shows all their wrong keys."""
    data = tmp_path_factory.mktemp("data")
    return Settings(data, rate="1000000/second", failures="1000000/second")


@pytest.fixture(scope="session")
def city_doors(demo_store: Store, settings: Settings) -> Iterator[Doors]:
    """The demo city, for tests that only read."""
    demo_store.follow()
    app = create_app(demo_store, settings)
    with TestClient(app, raise_server_exceptions=False, headers=PLAIN) as client:
        yield Doors(demo_store, client)


@pytest.fixture(scope="session")
def client(city_doors: Doors) -> TestClient:
    return city_doors.client


@contextmanager
def _copy(template: str, make_database: Databases, settings: Settings) -> Iterator[Doors]:
    with make_database.passing(template) as dsn, closing(open_store(dsn)) as store:
        store.follow()
        app = create_app(store, settings)
        with TestClient(app, raise_server_exceptions=False, headers=PLAIN) as client:
            yield Doors(store, client)


@pytest.fixture
def own_doors(demo_template: str, make_database: Databases, settings: Settings) -> Iterator[Doors]:
    """A copy of the demo city that the test may change."""
    with _copy(demo_template, make_database, settings) as doors:
        yield doors


@pytest.fixture(scope="session")
def keyed_doors(
    demo_template: str, make_database: Databases, settings: Settings
) -> Iterator[Doors]:
    """A copy in which tests may make keys, and nothing else."""
    with _copy(demo_template, make_database, settings) as doors:
        yield doors


@pytest.fixture(scope="session")
def browser() -> dict[str, str]:
    """The Accept header of a browser."""
    return {"Accept": BROWSER}


@pytest.fixture(scope="session")
def data() -> Path:
    """The demo city's files."""
    return Path(__file__).resolve().parents[2] / "deploy" / "demo" / "data"


@pytest.fixture(scope="session")
def land_template(empty_template: str, make_database: Databases) -> str:
    """The address of a database with the layers of `land`, to copy and never to write."""
    dsn = make_database(empty_template)
    with closing(open_store(dsn)) as store:
        land.build(store)
    return dsn


@pytest.fixture
def desk(land_template: str, make_database: Databases, settings: Settings) -> Iterator[land.Desk]:
    """A land register of the test's own, and keys for whoever edits it."""
    with _copy(land_template, make_database, settings) as doors:
        kept: dict[tuple[Terms, ...], dict[str, str]] = {}

        def granted(*terms: Terms) -> dict[str, str]:
            if terms not in kept:
                kept[terms] = doors.granted(*terms)
            return kept[terms]

        yield land.Desk(doors.store, doors.client, granted)
