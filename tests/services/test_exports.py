"""Streams over HTTP: their headers, their limits, and what becomes of them when it goes wrong."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from starlette.testclient import TestClient

from services.formats import STREAMS
from services.routes.exports import disposition
from tests.databases import Databases

PARCELS = "/collections/parcels/items"
PINNED = "datetime=2014-06-01T00:00:00Z&revision=2"
COPIES = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'COPY (SELECT%%' AND state = 'active'"


@contextmanager
def serving(dsn: str, folder: Path, **settings: str) -> Iterator[str]:
    """A server in a process of its own, its temporary files in a folder of this test's."""
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "services.cli", "serve", "--port", str(port)],
        env=os.environ | {"DATABASE_URL": dsn, "TMPDIR": str(folder)} | settings,
    )
    try:
        for _ in range(900):
            assert process.poll() is None, "the server ended"
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health"):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def dsn(demo_template: str, make_database: Databases) -> str:
    return make_database(demo_template)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def server(dsn: str, folder: Path) -> Iterator[str]:
    """A server with two places for streams, of which each caller may have one."""
    with serving(dsn, folder, SHIKONG_EXPORTS="2", SHIKONG_EXPORT_SECONDS="60") as address:
        yield address


def ask(server: str, query: str) -> socket.socket:
    """A connection that has asked, and takes in little at once."""
    where = urlsplit(server)
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    opened.settimeout(60)
    opened.connect((where.hostname, where.port))
    opened.sendall(f"GET {PARCELS}?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return opened


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    for _ in range(300):
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come to be")


@pytest.fixture
def running(dsn: str) -> Iterator[Callable[[], list[int]]]:
    """The processes of the database that stream."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield lambda: [row[0] for row in connection.execute(COPIES)]


# --- what is said ------------------------------------------------------------------------------


@pytest.mark.parametrize("found", STREAMS, ids=lambda found: found.name)
def test_the_headers_of_a_stream(client: TestClient, found: Any) -> None:
    asked = f"{PARCELS}?f={found.name}&bbox=-71.12,42.37,-71.11,42.38"
    answer = client.get(asked)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == found.media_type
    assert answer.headers["content-disposition"] == disposition(f"parcels{found.extension}")
    assert answer.headers["content-revision"] == str(
        client.get(f"{PARCELS}?limit=1").json()["revision"]
    )
    assert answer.headers["content-crs"].startswith("<http://www.opengis.net/def/crs/")
    assert answer.headers["cache-control"] == "no-cache"
    assert "content-length" not in answer.headers
    told = client.head(asked)
    assert told.status_code == 200
    assert told.content == b""
    for name in ("content-type", "content-disposition", "content-revision", "content-crs"):
        assert told.headers[name] == answer.headers[name]


def test_a_stream_has_no_limit_but_the_one_asked_for(client: TestClient) -> None:
    page = client.get(f"{PARCELS}?limit=1").json()
    every = client.get(f"{PARCELS}?f=geojsonl").text
    assert every.count("\n") == page["numberMatched"] > 10_000
    some = client.get(f"{PARCELS}?f=geojsonl&limit=7").text
    assert every.startswith(some)
    assert some.count("\n") == 7


def test_what_is_pinned_has_a_tag(client: TestClient) -> None:
    asked = f"{PARCELS}?f=csv&limit=3&{PINNED}"
    first = client.get(asked)
    assert "immutable" in first.headers["cache-control"]
    again = client.get(asked, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get(asked.replace("csv", "geojsonl"))
    assert other.headers["etag"] != first.headers["etag"]
    assert "etag" not in client.get(f"{PARCELS}?f=csv&limit=3").headers


def test_another_reader_has_another_tag(keyed_doors: Any) -> None:
    asked = f"{PARCELS}?f=csv&limit=3&{PINNED}"
    anonymous, known = (
        keyed_doors.client.get(asked, headers=headers) for headers in ({}, keyed_doors.key())
    )
    assert anonymous.headers["etag"] != known.headers["etag"]
    assert known.headers["cache-control"].startswith("private")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 400),
        ("limit=many", 400),
        ("nothing=1", 400),
        ("bbox=1,2", 400),
        ("revision=99", 404),
        ("land_use_none=x", 400),
    ],
)
@pytest.mark.parametrize("name", ["geojsonl", "flatgeobuf"])
def test_what_is_wrong_is_said_as_a_problem(
    client: TestClient, query: str, status: int, name: str
) -> None:
    answer = client.get(f"{PARCELS}?f={name}&{query}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_files_are_named_in_any_script() -> None:
    assert disposition("宗地 1.csv").endswith("filename*=UTF-8''%E5%AE%97%E5%9C%B0%201.csv")
    assert '"' not in disposition('a"b\r\n.csv').partition('filename="')[2].partition('"')[2]


# --- what goes wrong ---------------------------------------------------------------------------


def test_the_query_ends_when_the_client_goes(server: str, running: Callable[[], list[int]]) -> None:
    asked = ask(server, "f=geojsonl&datetime=../..")
    assert asked.recv(100).startswith(b"HTTP/1.1 200")
    wait_for(running, "a stream")
    asked.close()
    wait_for(lambda: not running(), "the end of the stream")


@pytest.mark.parametrize("query", ["limit=7", "limit=7&filter=map%3D'169'&count=exact"])
def test_a_page_is_given_up_when_the_client_goes(server: str, dsn: str, query: str) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with psycopg.connect(dsn) as locks, psycopg.connect(dsn, autocommit=True) as looks:

        def waits() -> bool:
            return looks.execute(waiting).fetchone() != (0,)

        # Known, so that it is asked at once: what is not takes other ways.
        with urllib.request.urlopen(f"{server}{PARCELS}?limit=7"):
            pass
        locks.execute("LOCK TABLE live.parcels IN ACCESS EXCLUSIVE MODE")
        asked = ask(server, query)
        wait_for(waits, "a query")
        asked.close()
        wait_for(lambda: not waits(), "the end of the query")


def test_a_file_is_removed_when_the_client_goes(server: str, folder: Path) -> None:
    asked = ask(server, "f=flatgeobuf&datetime=../..")
    wait_for(lambda: list(folder.glob("shikong-export-*")), "a temporary file")
    asked.close()
    wait_for(lambda: not list(folder.glob("shikong-export-*")), "the end of the file")


def test_a_broken_stream_is_no_whole_file(
    server: str, dsn: str, running: Callable[[], list[int]]
) -> None:
    where = urlsplit(server)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)  # type: ignore[arg-type]
    with closing(connection), psycopg.connect(dsn, autocommit=True) as database:
        connection.connect()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.request("GET", f"{PARCELS}?f=geojsonl&datetime=../..")
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read(100)
        (pid,) = wait_for(running, "a stream")
        database.execute("SELECT pg_terminate_backend(%s)", (pid,))
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
    # And the server goes on.
    with urllib.request.urlopen(f"{server}{PARCELS}?f=geojsonl&limit=2") as whole:
        assert len([json.loads(line) for line in whole]) == 2


def test_only_so_many_streams_at_once(server: str, running: Callable[[], list[int]]) -> None:
    first = ask(server, "f=geojsonl&datetime=../..")
    assert first.recv(100).startswith(b"HTTP/1.1 200")
    wait_for(running, "a stream")
    second = ask(server, "f=csv&limit=1")
    assert second.recv(100).startswith(b"HTTP/1.1 429")
    # Pages are no streams.
    with urllib.request.urlopen(f"{server}{PARCELS}?limit=1") as page:
        assert page.status == 200
    second.close()
    first.close()
    wait_for(lambda: not running(), "the end of the stream")
    with urllib.request.urlopen(f"{server}{PARCELS}?f=csv&limit=1") as again:
        assert again.status == 200
