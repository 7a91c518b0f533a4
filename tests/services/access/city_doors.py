"""The doors of the city of `secret_city`: an application, and everybody's headers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
from city_roles import Person, enter
from fastapi import FastAPI
from starlette.testclient import TestClient

from layers.access.grants import Terms, give
from layers.access.keys import create_key
from layers.clock import system_clock
from layers.store import Store, open_store
from services.app import create_app
from services.settings import Settings

# Squeezed, a marker could not be looked for.
PLAIN = {"Accept-Encoding": "identity"}


@dataclass
class SecretDoors:
    """An application on a store of its own, and those who come to it."""

    store: Store
    app: FastAPI
    client: TestClient
    headers: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def enter(self, who: Person) -> Mapping[str, str]:
        """Enter somebody of the table."""
        self.headers[who.name] = enter(self.store, who)
        return self.headers[who.name]

    def granted(self, *terms: Terms) -> dict[str, str]:
        """Return the headers of a new key with some grants."""
        now = system_clock()
        with self.store.database.keep() as connection:
            end = now + timedelta(days=1)
            made, text = create_key(connection, "a key", now, expires_at=end)
            for given in terms:
                give(connection, made.caller, given, "tests", now)
        return {"Authorization": f"Bearer {text}"}

    def ask(self, who: str, address: str, method: str = "GET", **more: Any) -> httpx2.Response:
        """Ask as somebody of the table."""
        headers = {**self.headers[who], **more.pop("headers", {})}
        options = {"headers": headers, "follow_redirects": False}
        answer = self.client.request(method, address, **options, **more)
        # What a page gives one of them must not be sent along by the next.
        self.client.cookies.clear()
        return answer


@contextmanager
def open_doors(dsn: str, settings: Settings, **changed: Any) -> Iterator[SecretDoors]:
    """Open an application on a database."""
    with closing(open_store(dsn)) as store:
        # As a server does: so what it knows is asked of it too.
        store.follow()
        app = create_app(store, dataclasses.replace(settings, **changed))
        with TestClient(app, raise_server_exceptions=False, headers=PLAIN) as client:
            yield SecretDoors(store, app, client)
