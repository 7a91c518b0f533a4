"""Tiles as several server processes give them: through the gate, from the cache, never stale."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from layers import catalog
from layers.access.grants import Role, Terms, give
from layers.access.keys import create_key, revoke
from layers.clock import system_clock
from layers.edits import Update
from layers.model import Visibility
from layers.store import Store, open_store
from layers.writers import Writer
from services.app import create_app
from services.settings import Settings
from tests.databases import Databases

PATH = "/collections/parcels/tiles/WebMercatorQuad/16/24236/19821"
FAR = "/collections/parcels/tiles/WebMercatorQuad/16/24238/19826"
WRITER = Writer("test")


@dataclass
class Served:
    """Server processes on one store, which a test may change beside them."""

    port: int
    store: Store
    process: subprocess.Popen[bytes]
    opened: list[http.client.HTTPConnection] = field(default_factory=list)

    def connect(self) -> http.client.HTTPConnection:
        self.opened.append(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60))
        return self.opened[-1]

    def get(
        self, connection: http.client.HTTPConnection, path: str, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers=named)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()

    def change(self, **properties: str) -> None:
        self.store.commit({"parcels": [Update("169-100", properties)]}, WRITER, "change")


@pytest.fixture(scope="module")
def served(
    demo_template: str,
    make_database: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    dsn = make_database(demo_template)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "services.cli", "serve", "--workers", "2", "--port", str(port)]
    data = tmp_path_factory.mktemp("served")
    environment = os.environ | {"DATABASE_URL": dsn, "SHIKONG_DATA": str(data)}
    with (
        subprocess.Popen(command, env=environment) as process,
        closing(open_store(dsn)) as store,
    ):
        found = Served(port, store, process)
        try:
            _wait(found)
            yield found
        finally:
            for connection in found.opened:
                connection.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


def _wait(served: Served) -> None:
    ends = time.monotonic() + 120
    while True:
        assert served.process.poll() is None
        assert time.monotonic() < ends
        try:
            if served.get(served.connect(), "/health")[0] == 200:
                return
        except OSError:
            time.sleep(0.2)


def connections(served: Served, path: str) -> list[http.client.HTTPConnection]:
    """Connections of which each process has some: the kernel hands them out as it likes."""
    made = [served.connect() for _ in range(12)]
    for connection in made:
        served.get(connection, path)
        served.get(connection, path)
    return made


def test_a_hit_says_what_the_application_said(served: Served) -> None:
    """The gate's answer is the application's to the last header, but for the request's id."""
    connection = served.connect()
    first = served.get(connection, f"{PATH}?properties=id")
    for _ in range(4):
        again = served.get(connection, f"{PATH}?properties=id")
    assert "-" in again[1]["x-request-id"]
    assert "-" not in first[1]["x-request-id"]
    own = ("x-request-id", "date")
    assert {k: v for k, v in again[1].items() if k not in own} == {
        k: v for k, v in first[1].items() if k not in own
    }
    assert again[0] == first[0] == 200
    assert again[2] == first[2]
    tag = first[1]["etag"]
    for known in (tag, f'"x", W/{tag}', "*"):
        status, headers, body = served.get(connection, f"{PATH}?properties=id", If_None_Match=known)
        assert (status, body, headers["etag"]) == (304, b"", tag)
    assert served.get(connection, f"{PATH}?properties=id", If_None_Match='"x"')[0] == 200


def test_who_asks_in_a_row_without_waiting_gets_all_answers(served: Served) -> None:
    wanted = served.get(served.connect(), PATH)[2]
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as raw:
        one = f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        other = b"GET /conformance HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        raw.sendall(one * 20 + other)
        received = b"".join(iter(lambda: raw.recv(1 << 16), b""))
    assert received.count(b"HTTP/1.1 200 OK") == 21
    assert received.count(wanted) == 20


def test_a_commit_that_was_answered_is_in_every_process(served: Served) -> None:
    """No connection gets a tile of before, and those far away keep their tags."""
    near, far = f"{PATH}?properties=title_deed,id", f"{FAR}?properties=title_deed,id"
    made = connections(served, near)
    for connection in made:
        served.get(connection, far)
    far_tag = served.get(made[0], far)[1]["etag"]
    before = served.get(made[0], near)
    for n in range(5):
        deed = f"deed {n} (synthetic)"
        served.change(title_deed=deed)
        answers = [served.get(connection, near) for connection in made]
        assert {deed.encode() in body for _, _, body in answers} == {True}
        assert len({headers["etag"] for _, headers, _ in answers}) == 1
        assert answers[0][1]["etag"] != before[1]["etag"]
        assert {served.get(connection, far)[1]["etag"] for connection in made} == {far_tag}
        assert served.get(made[0], far, If_None_Match=far_tag)[0] == 304


def test_a_key_that_is_revoked_opens_nothing_a_second_later(served: Served) -> None:
    now = system_clock()
    with served.store.database.keep() as database:
        made, text = create_key(database, "a key", now)
        give(database, made.caller, Terms(Role.READER), "tests", now)
    bearer = {"Authorization": f"Bearer {text}"}
    connection = served.connect()
    for _ in range(4):
        status, headers, _ = served.get(connection, PATH, **bearer)
        assert status == 200
        assert headers["cache-control"].startswith("private")
    assert served.get(connection, PATH)[1]["cache-control"] == "no-cache"
    with served.store.database.keep() as database:
        revoke(database, made.id, system_clock())
    time.sleep(1.1)
    assert served.get(connection, PATH, **bearer)[0] == 401
    assert served.get(connection, PATH)[0] == 200


def test_what_is_pinned_never_changes(served: Served) -> None:
    connection = served.connect()
    head = int(served.get(connection, PATH)[1]["content-revision"])
    pinned = f"{PATH}?datetime=2014-06-01&revision={head}"
    before = served.get(connection, pinned)
    assert before[1]["cache-control"] == "public, max-age=31536000, immutable"
    served.change(title_deed="another (synthetic)")
    after = served.get(connection, pinned)
    assert after[2] == before[2]
    assert after[1]["etag"] == before[1]["etag"]


def test_a_layer_that_is_closed_is_closed_at_the_gate(served: Served) -> None:
    made = connections(served, PATH)
    with served.store.database.write() as database:
        catalog.set_visibility(database, "parcels", Visibility.PRIVATE)
    time.sleep(1.0)  # heard from the database: who closed it did not say so to this machine
    assert {served.get(c, PATH)[0] for c in made} == {404}
    with served.store.database.write() as database:
        catalog.set_visibility(database, "parcels", Visibility.PUBLIC)
    time.sleep(1.0)
    assert {served.get(c, PATH)[0] for c in made} == {200}


def test_parameters(demo_store: Store, settings: Settings) -> None:
    """Properties, filters and the layer's own default instant."""
    app = create_app(demo_store, settings)
    with TestClient(app, headers={"Accept-Encoding": "identity"}) as client:
        whole, few = client.get(f"{PATH}?properties=all"), client.get(f"{PATH}?properties=")
        assert 0 < len(few.content) < len(whole.content)
        assert b"title_deed" not in few.content
        for wrong in ("properties=nothing", "properties=right_holder", "filter=right_holder='x'"):
            answer = client.get(f"{PATH}?{wrong}")
            assert answer.status_code == 400, wrong
            assert answer.headers["content-type"] == "application/problem+json"
        every = client.get(f"{PATH}?properties=id")
        one = client.get(f"{PATH}?properties=id&filter=ml='169-100'")
        assert one.status_code == 200
        assert b"169-100" in one.content
        assert len(one.content) < len(every.content)
        none = client.get(f"{PATH}?properties=id&filter=ml='nothing'")
        assert (none.status_code, none.content) == (204, b"")
        assert client.get(f"{PATH}?datetime=current").content == client.get(PATH).content


def test_memory_and_disk_can_be_none(demo_store: Store, tmp_path: Path) -> None:
    app = create_app(demo_store, Settings(tmp_path, tile_memory_bytes=0, tile_disk_bytes=0))
    with TestClient(app) as client:
        first, again = client.get(PATH), client.get(PATH)
        assert first.status_code == again.status_code == 200
        assert first.headers["etag"] == again.headers["etag"]
    assert not (tmp_path / "tiles").exists()


def test_a_process_that_dies_is_followed_by_another(served: Served) -> None:
    """Also where each in turn is killed; who comes then knows of what was committed meanwhile."""
    first = workers(served)
    assert len(first) == 2
    for pid in first:
        os.kill(pid, signal.SIGKILL)
        until(lambda gone=pid: gone not in workers(served) and len(workers(served)) == 2)
        _wait(served)
    assert not first & workers(served)
    served.change(title_deed="of another process (synthetic)")
    for connection in connections(served, PATH):
        status, _, body = served.get(connection, f"{PATH}?properties=title_deed")
        assert (status, b"of another process" in body) == (200, True)


def workers(served: Served) -> set[int]:
    """The processes that serve."""
    children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children")
    found = set()
    for pid in map(int, children.read_text().split()):
        with suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
    return found


def until(holds: Callable[[], bool]) -> None:
    ends = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.1)
