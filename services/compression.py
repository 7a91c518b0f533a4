"""Answers made smaller on their way: zstd, brotli or gzip, as the client likes best.

A coded answer is another representation, so its tag has the coding as a suffix (``"abc-zstd"``);
where a client shows such a tag again, the doors see it without. Streams are flushed piece by piece.

Pages of somebody's session go out as they are: they have the token of its forms in them, and what
the address says too; how well the two compress together would tell one letter after another
(BREACH). All other answers hold nothing secret that whoever asks does not have.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import brotli
import zstandard
from anyio.to_thread import run_sync
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.negotiation import quality

# Smaller bodies fit a packet as they are.
_SMALLEST = 1000
# From so many bytes on, others wait less when a thread does it.
_LARGE = 64 << 10
_PACKED = frozenset(
    (
        "application/gzip",
        "application/vnd.apache.parquet",
        "application/vnd.pmtiles",
        "application/x-parquet",
        "application/zip",
        "font/woff2",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/event-stream",
    )
)
_BODILESS = frozenset((204, 206, 304))
_SHOWING = frozenset((b"if-none-match", b"if-match", b"if-range"))
# Characters of an Accept-Encoding header.
_USUAL = 100


class Coder(Protocol):
    """What makes bytes smaller, piece by piece."""

    def add(self, piece: bytes, *, last: bool) -> bytes:
        """Return a piece coded, so that the client can read as far as it goes."""


class _Zstd:
    def __init__(self, level: int) -> None:
        self._coder = zstandard.ZstdCompressor(level=level).compressobj()

    def add(self, piece: bytes, *, last: bool) -> bytes:
        end = zstandard.COMPRESSOBJ_FLUSH_FINISH if last else zstandard.COMPRESSOBJ_FLUSH_BLOCK
        return self._coder.compress(piece) + self._coder.flush(end)


class _Brotli:
    def __init__(self, level: int) -> None:
        self._coder: Any = brotli.Compressor(quality=level)

    def add(self, piece: bytes, *, last: bool) -> bytes:
        coded: bytes = self._coder.process(piece)
        coded += self._coder.finish() if last else self._coder.flush()
        return coded


class _Gzip:
    def __init__(self, level: int) -> None:
        self._coder = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)

    def add(self, piece: bytes, *, last: bool) -> bytes:
        end = zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH
        return self._coder.compress(piece) + self._coder.flush(end)


@dataclass(frozen=True, slots=True)
class Coding:
    """A coding by its name in headers, with its levels: of what changes, and of what never does."""

    name: str
    make: Callable[[int], Coder]
    level: int
    thorough: int


# In the order in which they are preferred where the client has no preference (measured:
# docs/benchmarks.md).
CODINGS = (
    Coding("zstd", _Zstd, 3, 7),
    Coding("br", _Brotli, 4, 6),
    Coding("gzip", _Gzip, 4, 6),
)
_SUFFIXES = tuple(f"-{coding.name}" for coding in CODINGS)


def choose_coding(accept: str | None) -> Coding | None:
    """Return the coding that ``Accept-Encoding`` likes best; None for the answer as it is.

    >>> choose_coding("gzip, br;q=0.5").name, choose_coding("gzip, deflate, br, zstd").name
    ('gzip', 'zstd')
    >>> choose_coding("*;q=0.1").name, choose_coding("identity, gzip;q=0"), choose_coding(None)
    ('zstd', None, None)
    """
    weights: dict[str, float] = {}
    for part in (accept or "").lower().split(","):
        name, *parameters = (p.strip() for p in part.split(";"))
        weights[name] = quality(parameters)
    best, weight = None, 0.0
    for coding in CODINGS:
        wanted = weights.get(coding.name, weights.get("*", 0.0))
        if wanted > weight:
            best, weight = coding, wanted
    # Who likes it better as it is gets it so.
    return best if weight >= weights.get("identity", 0.0) else None


_chosen = lru_cache(maxsize=256)(choose_coding)


class Compressing:
    """Middleware that codes answers, and knows their tags again."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, its tags bare; code what comes back."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        accepted = [v for name, v in scope["headers"] if name == b"accept-encoding"]
        # Most browsers write the same; what is longer than any of them would fill what is kept.
        accept = b",".join(accepted).decode("latin-1")
        coding = _chosen(accept) if len(accept) < _USUAL else choose_coding(accept)
        await self.app(scope, receive, _Answer(scope, send, coding, _bare_tags(scope)).send)


class _Answer:
    """One answer, of which the head waits until it is known how much body there is."""

    def __init__(
        self, scope: Scope, send: Send, coding: Coding | None, shown: Mapping[str, str]
    ) -> None:
        self.scope, self.out, self.coding, self.shown = scope, send, coding, shown
        self.start: Message | None = None
        self.coder: Coder | None = None

    async def send(self, message: Message) -> None:
        """Take what the application sends."""
        if message["type"] == "http.response.start":
            self.start = message
        elif message["type"] != "http.response.body":
            await self.out(message)
        elif self.start is not None:
            await self._begin(self.start, message)
        else:
            await self._go_on(message)

    async def _begin(self, start: Message, message: Message) -> None:
        self.start = None
        body, more = message.get("body", b""), message.get("more_body", False)
        headers = MutableHeaders(scope=start)
        self._label(start["status"], headers)
        if self._is_coded(start["status"], headers, len(body), more):
            assert self.coding is not None  # noqa: S101 - or nothing is coded
            pinned = "immutable" in headers.get("cache-control", "")
            self.coder = self.coding.make(self.coding.thorough if pinned else self.coding.level)
            body = await self._code(body, last=not more)
            headers["Content-Encoding"] = self.coding.name
            if "etag" in headers:
                headers["ETag"] = f'{headers["etag"][:-1]}-{self.coding.name}"'
            del headers["Content-Length"]
            if not more:
                headers["Content-Length"] = str(len(body))
        await self.out(start)
        await self.out({**message, "body": body})

    async def _go_on(self, message: Message) -> None:
        if self.coder is not None:
            last = not message.get("more_body", False)
            body = await self._code(message.get("body", b""), last=last)
            message = {**message, "body": body}
        await self.out(message)

    def _label(self, status: int, headers: MutableHeaders) -> None:
        """Say what the answer depends on; the tag of one that the client has is the client's."""
        kind = _kind_of(headers)
        if kind not in _PACKED and (kind or status == 304):
            headers.add_vary_header("Accept-Encoding")
        if status == 304 and "etag" in headers:
            headers["ETag"] = self.shown.get(headers["etag"].removeprefix("W/"), headers["etag"])

    def _is_coded(self, status: int, headers: Headers, size: int, more: bool) -> bool:
        if self.coding is None or status in _BODILESS or "content-encoding" in headers:
            return False
        kind = _kind_of(headers)
        if not kind or kind in _PACKED or (size < _SMALLEST and not more):
            return False
        of_session = bool(self.scope.get("state", {}).get("csrf"))
        return not (of_session and kind == "text/html")

    async def _code(self, body: bytes, *, last: bool) -> bytes:
        assert self.coder is not None  # noqa: S101 - asked before
        if len(body) < _LARGE:
            return self.coder.add(body, last=last)
        return await run_sync(lambda: self.coder.add(body, last=last))  # type: ignore[union-attr]


def _kind_of(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _bare_tags(scope: Scope) -> dict[str, str]:
    """Take the suffixes off the tags that a request shows; return the tags by what is left.

    >>> scope = {"headers": [(b"if-none-match", b'"a-br", W/"b"')]}
    >>> _bare_tags(scope), scope["headers"]
    ({'"a"': '"a-br"'}, [(b'if-none-match', b'"a", W/"b"')])
    """
    found: dict[str, str] = {}
    if not any(name in _SHOWING for name, _ in scope["headers"]):
        return found
    headers = []
    for name, value in scope["headers"]:
        if name in _SHOWING:
            tags = [_bare_tag(tag.strip(), found) for tag in value.decode("latin-1").split(",")]
            value = ", ".join(tags).encode("latin-1")
        headers.append((name, value))
    if found:
        scope["headers"] = headers
    return found


def _bare_tag(tag: str, found: dict[str, str]) -> str:
    for suffix in _SUFFIXES:
        if tag.endswith(f'{suffix}"'):
            bare = f'{tag[: -len(suffix) - 1]}"'
            found.setdefault(bare.removeprefix("W/"), tag)
            return bare
    return tag
