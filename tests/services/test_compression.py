"""Answers that are made smaller: by whose wish, and what becomes of their tags."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from typing import Any

import brotli
import pytest
import zstandard
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from services.compression import CODINGS, Compressing

TEXT = b"a city has parcels, grids and pipes. " * 400
OPEN: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
}
PAGE = "/collections/parcels/items?limit=50"


async def plain(request: Request) -> Response:
    wanted = request.query_params
    headers = {"ETag": '"abc"'} if "tag" in wanted else {}
    if "tag" in wanted and request.headers.get("if-none-match") == '"abc"':
        return Response(None, 304, headers)
    body = TEXT[: int(wanted.get("size", len(TEXT)))]
    return Response(body, 200, headers, wanted.get("type", "text/plain"))


async def stream(request: Request) -> Response:
    async def pieces() -> Any:
        for n in range(3):
            yield f"piece {n} ".encode() * 100

    return StreamingResponse(pieces(), media_type="text/csv")


async def shown(request: Request) -> Response:
    return Response(request.headers["if-match"])


@pytest.fixture(scope="module")
def small() -> TestClient:
    routes = [Route("/", plain), Route("/stream", stream), Route("/shown", shown)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(Compressing)]))


def raw(client: TestClient, address: str, accept: str, **headers: str) -> tuple[Any, bytes]:
    """An answer with its body as it came."""
    asked = {"Accept-Encoding": accept, **headers}
    with client.stream("GET", address, headers=asked) as answer:
        return answer, b"".join(answer.iter_raw())


@pytest.mark.parametrize("name", OPEN)
def test_each_coding_says_the_same(small: TestClient, name: str) -> None:
    answer, body = raw(small, "/", name)
    assert answer.headers["content-encoding"] == name
    assert OPEN[name](body) == TEXT
    assert int(answer.headers["content-length"]) == len(body) < len(TEXT) / 10
    assert "Accept-Encoding" in answer.headers["vary"]


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0.5, gzip;q=0.6", "gzip"),
        ("*", "zstd"),
        ("zstd;q=0, *", "br"),
        ("identity, gzip;q=0.5", None),
        ("identity", None),
        ("", None),
        ("gzip;q=0", None),
        ("deflate", None),
    ],
)
def test_the_client_chooses(small: TestClient, accept: str, coding: str | None) -> None:
    answer, body = raw(small, "/", accept)
    assert answer.headers.get("content-encoding") == coding
    assert (body == TEXT) == (coding is None)
    # A cache that stands between must know also of the answer that is as it was.
    assert "Accept-Encoding" in answer.headers["vary"]


@pytest.mark.parametrize(
    "query", ["size=999", "type=application/vnd.apache.parquet", "type=image/png"]
)
def test_what_would_not_be_smaller_is_left_alone(small: TestClient, query: str) -> None:
    answer, body = raw(small, f"/?{query}", "gzip")
    assert "content-encoding" not in answer.headers
    assert TEXT.startswith(body)
    assert int(answer.headers["content-length"]) == len(body)


@pytest.mark.parametrize("name", OPEN)
def test_a_stream_can_be_read_piece_by_piece(name: str) -> None:
    """Each piece is opened before the next one is made."""
    sent: list[bytes] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/csv"), (b"content-length", b"9000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for n in range(3):
            body = f"piece {n} ".encode() * 100
            await send({"type": "http.response.body", "body": body, "more_body": n < 2})
            assert opened() == b"".join(f"piece {k} ".encode() * 100 for k in range(n + 1))

    def opened() -> bytes:
        if name == "gzip":
            import zlib

            return zlib.decompressobj(31).decompress(b"".join(sent))
        if name == "br":
            return bytes(brotli.Decompressor().process(b"".join(sent)))
        return zstandard.ZstdDecompressor().decompressobj().decompress(b"".join(sent))

    started: list[Any] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            sent.append(message["body"])
        else:
            started.append(message)

    import asyncio

    scope = {"type": "http", "headers": [(b"accept-encoding", name.encode())]}
    asyncio.run(Compressing(application)(scope, None, send))  # type: ignore[arg-type]
    assert (b"content-length", b"9000") not in started[0]["headers"]
    assert len(sent) == 3


def test_the_tag_of_a_coded_answer_is_its_own(small: TestClient) -> None:
    tags = {raw(small, "/?tag", name)[0].headers["etag"] for name in (*OPEN, "identity")}
    assert tags == {'"abc"', '"abc-gzip"', '"abc-br"', '"abc-zstd"'}


@pytest.mark.parametrize("name", [*OPEN, "identity"])
def test_a_tag_is_known_again(small: TestClient, name: str) -> None:
    first, _ = raw(small, "/?tag", name)
    again, body = raw(small, "/?tag", name, **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert "content-encoding" not in again.headers
    assert "Accept-Encoding" in again.headers["vary"]


def test_the_doors_see_tags_as_they_made_them(small: TestClient) -> None:
    shows = {"If-Match": '"a-gzip", "b-br" ,"c-zstd", "d"'}
    assert small.get("/shown", headers=shows).text == '"a", "b", "c", "d"'


@pytest.mark.parametrize("name", OPEN)
def test_the_city_compressed(city_doors: Any, name: str) -> None:
    client = city_doors.client
    answer, body = raw(client, PAGE, name)
    assert answer.headers["content-encoding"] == name
    bare, whole = raw(client, PAGE, "identity")
    assert abs(len(OPEN[name](body)) - len(whole)) < 100
    assert answer.headers["etag"] != bare.headers["etag"]


def test_a_page_with_the_token_of_a_session_is_not_compressed() -> None:
    """What the address says and what is secret, in one compressed page, would tell the secret."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("state", {})["csrf"] = scope["token"]
        headers = [(b"content-type", b"text/html; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": TEXT})

    async def ask(token: str) -> dict[bytes, bytes]:
        heads: list[Any] = []

        async def send(message: Any) -> None:
            heads.append(message)

        scope = {"type": "http", "headers": [(b"accept-encoding", b"gzip")], "token": token}
        await Compressing(application)(scope, None, send)  # type: ignore[arg-type]
        return dict(heads[0]["headers"])

    import asyncio

    assert b"content-encoding" not in asyncio.run(ask("secret"))
    assert asyncio.run(ask(""))[b"content-encoding"] == b"gzip"


def test_every_coding_is_tested() -> None:
    assert {coding.name for coding in CODINGS} == set(OPEN)
