"""Servers that remember what they were asked, for clients that are programs of others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest

from layers.access.grants import Role, Terms, give
from layers.access.keys import create_key
from layers.clock import system_clock
from layers.store import open_store
from tests.databases import Databases
from tests.interop import wells

RECORDER = Path(__file__).with_name("recorder.py")


@dataclass(frozen=True)
class Asked:
    """One request, as it came."""

    method: str
    path: str
    query: str
    status: int
    headers: dict[str, str]
    problem: str

    @property
    def parameters(self) -> dict[str, str]:
        return {k: v[-1] for k, v in parse_qs(self.query, keep_blank_values=True).items()}


@dataclass
class Server:
    """A server of a store, and all that it was asked since the last `forget`."""

    base: str
    dsn: str
    file: Path
    _from: int = field(default=0)

    def forget(self) -> None:
        self._from = self.file.stat().st_size

    def asked(self, path: str = "") -> list[Asked]:
        """Return the requests for paths that end so."""
        with self.file.open("rb") as file:
            file.seek(self._from)
            found = [Asked(**orjson.loads(line)) for line in file]
        return [a for a in found if a.path.endswith(path)]

    def json(self, path: str, **headers: str) -> Any:
        request = urllib.request.Request(self.base + path, headers=headers)
        with urllib.request.urlopen(request) as answer:
            return orjson.loads(answer.read())

    def key(self, *terms: Terms) -> str:
        """Return the text of a new key with some grants."""
        now = system_clock()
        with closing(open_store(self.dsn)) as store, store.database.keep() as connection:
            made, text = create_key(connection, "a client", now, expires_at=now + timedelta(days=1))
            for given in terms or (Terms(Role.READER),):
                give(connection, made.caller, given, "tests", now)
        return text


@contextmanager
def serving(dsn: str, file: Path) -> Iterator[Server]:
    """Serve a store in a process of its own, to clients who ask as often as they like."""
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    file.touch()
    given = {"DATABASE_URL": dsn, "SHIKONG_DATA": str(file.parent), "SHIKONG_RATE": "100000/second"}
    process = subprocess.Popen(
        [sys.executable, str(RECORDER), str(port), str(file)], env=os.environ | given
    )
    try:
        for _ in range(600):
            assert process.poll() is None, "the server ended"
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health"):
                break
            time.sleep(0.1)
        yield Server(f"http://127.0.0.1:{port}", dsn, file)
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def city_server(
    demo_template: str,
    make_database: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """The demo city behind a server; clients only read it."""
    with (
        make_database.passing(demo_template) as dsn,
        serving(dsn, tmp_path_factory.mktemp("city") / "asked") as city,
    ):
        yield city


@pytest.fixture
def asked_city(city_server: Server) -> Server:
    """The same, having forgotten what others asked."""
    city_server.forget()
    return city_server


@pytest.fixture
def own_server(empty_template: str, make_database: Databases, tmp_path: Path) -> Iterator[Server]:
    """A server of an empty store, to publish into."""
    with make_database.passing(empty_template) as dsn, serving(dsn, tmp_path / "asked") as own:
        yield own


@pytest.fixture(scope="module")
def wells_server(
    empty_template: str,
    make_database: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """A hundred wells behind a server; clients only read them."""
    dsn = make_database(empty_template)
    wells.publish(dsn)
    with serving(dsn, tmp_path_factory.mktemp("wells") / "asked") as server:
        yield server
