"""The providers of identities that these tests sign in with, and the loop they do it in."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

sys.path.insert(0, str(Path(__file__).parent))

import city_roles
import secret_city
from city_doors import SecretDoors, open_doors
from city_provider import Browser, Running, running_provider
from liars import Liar, lying_server

from layers.store import open_store
from services.settings import Settings
from tests.databases import Databases


@pytest.fixture(scope="session")
def city_login() -> Iterator[Running]:
    """The provider, signing with RS256 as most do."""
    with running_provider(RSAKey.generate_key(2048, auto_kid=True), "RS256") as running:
        yield running


@pytest.fixture(scope="session")
def curved_login() -> Iterator[Running]:
    """The provider, signing with an elliptic curve."""
    with running_provider(ECKey.generate_key("P-256", auto_kid=True), "ES256") as running:
        yield running


@pytest.fixture
def person() -> Iterator[Browser]:
    """A browser that nobody has signed in with yet."""
    browser = Browser()
    with browser.client:
        yield browser


@pytest.fixture
def liar() -> Iterator[Liar]:
    """A server of this test's own, which answers what it is told to."""
    with lying_server() as lying:
        yield lying


@pytest.fixture
def run() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Run a coroutine; all of one test's in one loop, as in the server."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(scope="session")
def secret_template(empty_template: str, make_database: Databases) -> str:
    """The address of a database with the city of `secret_city`, to copy and never to write."""
    dsn = make_database(empty_template)
    with closing(open_store(dsn)) as store:
        secret_city.build(store)
    return dsn


@pytest.fixture(scope="session")
def secret_doors(
    secret_template: str, make_database: Databases, settings: Settings
) -> Iterator[SecretDoors]:
    """The city of `secret_city` with everybody of `city_roles`, for tests that only read."""
    with open_doors(make_database(secret_template), settings) as doors:
        for who in city_roles.PEOPLE:
            doors.enter(who)
        yield doors


@pytest.fixture
def own_secret_doors(
    secret_template: str, make_database: Databases, settings: Settings
) -> Iterator[SecretDoors]:
    """The city of `secret_city` for one test, which may change it."""
    with open_doors(make_database(secret_template), settings) as doors:
        yield doors
