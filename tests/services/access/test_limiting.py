"""The limits over HTTP: turns and places behind a real server, refusals at the real doors."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2 as httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from services.access.limiting import Limiting, address_of
from services.access.queues import FairQueue
from services.access.rates import Rates
from services.app import create_app
from services.settings import Settings


@dataclass
class Slow:
    """A small application whose answers are ready when the test says so."""

    queue: FairQueue
    rates: Rates = field(default_factory=lambda: Rates("1000000/second"))
    order: list[str] = field(default_factory=list)
    ready: dict[str, asyncio.Event] = field(default_factory=dict)
    port: int = 0
    client: httpx.AsyncClient = field(default_factory=httpx.AsyncClient)

    def event(self, name: str) -> asyncio.Event:
        return self.ready.setdefault(name, asyncio.Event())

    async def slow(self, request: Request) -> Response:
        name = request.path_params["name"]
        self.order.append(name)
        await self.event(name).wait()
        return PlainTextResponse(name)

    async def stream(self, request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"begin "
            await self.event("stream").wait()
            yield b"end"

        return StreamingResponse(parts())

    async def echo(self, request: Request) -> Response:
        return Response(await request.body())

    async def broken(self, request: Request) -> Response:
        raise ZeroDivisionError

    def app(self) -> Starlette:
        async def identify(request: Request, call_next: Any) -> Response:
            request.state.caller = request.headers.get("x-caller")
            answer: Response = await call_next(request)
            return answer

        return Starlette(
            routes=[
                Route("/slow/{name}", self.slow),
                Route("/stream", self.stream),
                Route("/echo", self.echo, methods=["POST"]),
                Route("/broken", self.broken),
                Route("/health", lambda request: PlainTextResponse("well")),
            ],
            middleware=[
                Middleware(BaseHTTPMiddleware, dispatch=identify),
                Middleware(Limiting, queue=self.queue, rates=self.rates),
            ],
        )

    def ask(self, path: str, caller: str = "a", **options: Any) -> asyncio.Task[httpx.Response]:
        method = "POST" if "content" in options else "GET"
        address = f"http://127.0.0.1:{self.port}{path}"
        headers = {"X-Caller": caller}
        sent = self.client.request(method, address, headers=headers, timeout=60, **options)
        return asyncio.create_task(sent)

    async def reach(self, *, working: int, waiting: int) -> None:
        """Wait until so many are at work and wait."""
        async with asyncio.timeout(30):
            while (self.queue.working, self.queue.waiting) != (working, waiting):
                await asyncio.sleep(0.001)


@asynccontextmanager
async def served(slow: Slow) -> AsyncIterator[Slow]:
    """The application behind a real server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        slow.port = listener.getsockname()[1]
        config = uvicorn.Config(slow.app(), log_level="critical", ws="none", lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with slow.client:
                yield slow
        finally:
            for event in slow.ready.values():
                event.set()
            server.should_exit = True
            await serving


def test_callers_are_served_in_turns() -> None:
    async def run() -> None:
        async with served(Slow(FairQueue(at_once=1, each=1))) as slow:
            asked = [slow.ask("/slow/a0")]
            await slow.reach(working=1, waiting=0)
            for number, caller in enumerate("aaaab", 1):
                asked.append(slow.ask(f"/slow/{caller}{number}", caller))
                await slow.reach(working=1, waiting=number)
            assert slow.order == ["a0"]
            for name in ("a0", "a1", "a2", "a3", "a4", "b5"):
                slow.event(name).set()
            answers = await asyncio.gather(*asked)
            assert [a.status_code for a in answers] == [200] * 6
            assert slow.order == ["a0", "a1", "b5", "a2", "a3", "a4"]
            await slow.reach(working=0, waiting=0)

    asyncio.run(run())


def test_one_caller_leaves_places_to_others() -> None:
    async def run() -> None:
        async with served(Slow(FairQueue(at_once=3, each=2))) as slow:
            asked = [slow.ask(f"/slow/a{n}") for n in range(5)]
            await slow.reach(working=2, waiting=3)
            slow.event("b").set()
            assert (await slow.ask("/slow/b", "b")).text == "b"
            for n in range(5):
                slow.event(f"a{n}").set()
            assert [a.status_code for a in await asyncio.gather(*asked)] == [200] * 5

    asyncio.run(run())


async def hang_up(slow: Slow, request: bytes, *, working: int, waiting: int) -> None:
    """Ask over a connection of one's own, and close it once the request is where it is to be."""
    _, writer = await asyncio.open_connection("127.0.0.1", slow.port)
    writer.write(request)
    await writer.drain()
    await slow.reach(working=working, waiting=waiting)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /slow/b HTTP/1.1\r\nHost: x\r\nX-Caller: b\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nX-Caller: b\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nX-Caller: b\r\nContent-Length: 9\r\n\r\nabc",
    ],
)
def test_who_hangs_up_while_waiting_leaves_the_queue(request_: bytes) -> None:
    async def run() -> None:
        async with served(Slow(FairQueue(at_once=1, each=1))) as slow:
            first = slow.ask("/slow/a")
            await slow.reach(working=1, waiting=0)
            await hang_up(slow, request_, working=1, waiting=1)
            await slow.reach(working=1, waiting=0)
            slow.event("a").set()
            assert (await first).text == "a"
            assert slow.order == ["a"]
            assert (await slow.ask("/health")).text == "well"
            await slow.reach(working=0, waiting=0)

    asyncio.run(run())


def test_who_hangs_up_at_work_gives_the_place_back_when_the_work_ends() -> None:
    async def run() -> None:
        async with served(Slow(FairQueue(at_once=1, each=1))) as slow:
            request = b"GET /slow/a HTTP/1.1\r\nHost: x\r\n\r\n"
            await hang_up(slow, request, working=1, waiting=0)
            second = slow.ask("/slow/b")
            await slow.reach(working=1, waiting=1)
            slow.event("a").set()
            slow.event("b").set()
            assert (await second).text == "b"
            await slow.reach(working=0, waiting=0)

    asyncio.run(run())


def test_a_place_is_held_until_the_body_is_sent() -> None:
    async def run() -> None:
        async with served(Slow(FairQueue(at_once=1, each=1))) as slow:
            address = f"http://127.0.0.1:{slow.port}/stream"
            async with slow.client.stream("GET", address) as answer:
                parts = answer.aiter_bytes()
                assert await anext(parts) == b"begin "
                assert slow.queue.working == 1
                slow.event("stream").set()
                assert b"".join([part async for part in parts]) == b"end"
            await slow.reach(working=0, waiting=0)

    asyncio.run(run())


def test_a_place_is_free_after_an_error() -> None:
    async def run() -> None:
        async with served(Slow(FairQueue(at_once=1, each=1))) as slow:
            for _ in range(3):
                assert (await slow.ask("/broken")).status_code == 500
            await slow.reach(working=0, waiting=0)

    asyncio.run(run())


@pytest.mark.parametrize("size", [0, 10, 64 << 10, 1 << 20])
def test_a_body_that_came_while_waiting_arrives_whole(size: int) -> None:
    async def run() -> None:
        async with served(Slow(FairQueue(at_once=1, each=1))) as slow:
            body = bytes(n % 251 for n in range(size))
            first = slow.ask("/slow/a")
            await slow.reach(working=1, waiting=0)
            second = slow.ask("/echo", "b", content=body)
            await slow.reach(working=1, waiting=1)
            # What of the body is on its way arrives while it waits.
            await slow.ask("/health")
            slow.event("a").set()
            await first
            assert (await second).content == body

    asyncio.run(run())


def test_what_needs_no_place_does_not_wait() -> None:
    async def run() -> None:
        async with served(Slow(FairQueue(at_once=1, each=1))) as slow:
            first = slow.ask("/slow/a")
            await slow.reach(working=1, waiting=0)
            assert (await slow.ask("/health")).text == "well"
            slow.event("a").set()
            assert (await first).text == "a"

    asyncio.run(run())


def test_a_full_queue_answers_429() -> None:
    async def run() -> None:
        queue = FairQueue(at_once=1, each=1, waiting_each=1, waiting_all=2)
        async with served(Slow(queue)) as slow:
            asked = [slow.ask("/slow/a"), slow.ask("/slow/a")]
            await slow.reach(working=1, waiting=1)
            mine = await slow.ask("/slow/a")
            asked.append(slow.ask("/slow/a", "b"))
            await slow.reach(working=1, waiting=2)
            all_ = await slow.ask("/slow/a", "c")
            for answer, words in ((mine, "requests of yours wait"), (all_, "more to do")):
                assert answer.status_code == 429
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["cache-control"] == "no-store"
                assert int(answer.headers["retry-after"]) >= 1
                assert words in answer.json()["detail"]
            slow.event("a").set()
            assert [a.status_code for a in await asyncio.gather(*asked)] == [200] * 3
            assert (await slow.ask("/slow/a")).status_code == 200

    asyncio.run(run())


def test_after_retry_after_one_is_answered_again() -> None:
    now = 6000.0
    slow = Slow(FairQueue(), Rates("3/minute", clock=lambda: now))
    with TestClient(slow.app()) as client:
        ask = {c: {"X-Caller": c} for c in "ab"}
        statuses = [client.get("/health", headers=ask["a"]).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        assert client.get("/health", headers=ask["b"]).status_code == 200
        refused = client.get("/health", headers=ask["a"])
        assert refused.json()["detail"] == "more than 3 requests in 60 s; ask again in 61 s"
        now += int(refused.headers["retry-after"])
        assert client.get("/health", headers=ask["a"]).status_code == 200


@pytest.fixture
def limited(demo_store: Any, settings: Settings) -> Callable[..., TestClient]:
    """Makes clients of the real application with its limits; each address is another caller."""

    def make(address: str = "192.0.2.1", **limits: Any) -> TestClient:
        if limits:
            apps.append(create_app(demo_store, replace(settings, **limits)))
        return TestClient(apps[-1], raise_server_exceptions=False, client=(address, 5000))

    apps: list[Any] = []
    return make


def test_too_many_requests_at_the_real_doors(
    limited: Callable[..., TestClient], browser: dict[str, str]
) -> None:
    client = limited(rate="4/hour")
    for path in ("/collections", "/health", "/static/pages.css", "/no/such/place"):
        assert client.get(path).status_code in (200, 404)
    for path in ("/collections", "/health", "/static/pages.css", "/no/such/place"):
        refused = client.get(path)
        assert refused.status_code == 429
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["cache-control"] == "no-store"
        assert 1 <= int(refused.headers["retry-after"]) <= 3601
        assert refused.headers["access-control-allow-origin"] == "*"
        assert "Retry-After" in refused.headers["access-control-expose-headers"]
        assert refused.headers["x-content-type-options"] == "nosniff"
    page = client.get("/collections", headers=browser)
    assert page.status_code == 429
    assert page.headers["content-type"].startswith("text/html")
    assert int(page.headers["retry-after"]) >= 1
    assert "请求过多" in page.text
    assert "Too Many Requests" in page.text
    assert limited("192.0.2.2").get("/collections").status_code == 200
    assert limited("::ffff:192.0.2.1").get("/collections").status_code == 429


def test_a_network_of_ipv6_is_one_caller(limited: Callable[..., TestClient]) -> None:
    limited(rate="3/hour")
    statuses = [limited(f"2001:db8:1:2::{n}").get("/health").status_code for n in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert limited("2001:db8:1:3::1").get("/health").status_code == 200


def test_keys_can_not_be_guessed_quickly(limited: Callable[..., TestClient]) -> None:
    client, wrong = limited(failures="5/hour"), {"Authorization": "Bearer sk_00000000_wrong"}
    # Without a credential nothing was guessed, though it is 401 too.
    for _ in range(10):
        assert client.post("/collections/parcels/revisions").status_code == 401
    statuses = [client.get("/collections", headers=wrong).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    for headers in (wrong, {"X-API-Key": "another"}):
        refused = client.get("/collections", headers=headers)
        assert refused.status_code == 429
        assert "wrong credentials" in refused.json()["detail"]
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["cache-control"] == "no-store"
        assert refused.headers["access-control-allow-origin"] == "*"
    assert client.get("/collections").status_code == 200
    assert limited("192.0.2.2").get("/collections", headers=wrong).status_code == 401


def test_right_keys_are_no_guesses(keyed_doors: Any, settings: Settings) -> None:
    app = create_app(keyed_doors.store, replace(settings, failures="2/hour"))
    client, key = TestClient(app), keyed_doors.key()
    assert {client.get("/collections", headers=key).status_code for _ in range(10)} == {200}


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (None, "address:unknown"),
        (("testclient", 1), "address:testclient"),
        (("no:address", 1), "address:no:address"),
        (("fe80::1%eth0", 1), "address:fe80::/64"),
    ],
)
def test_every_client_has_a_name(client: Any, address: str) -> None:
    assert address_of({"client": client}) == address
