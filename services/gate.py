"""A gate before everything: what was answered a moment ago, and is true still, is answered there.

A tile that is kept takes some microseconds to find, and what stands around a route takes a hundred
times that. So a route may say how long its answer lasts (`lasting`): until the catalogue changes,
or the clock passes the next start or end. The gate keeps such answers as they went out, by address
and by what their reader sees, and gives them again. Whoever shows a credential has been identified
by the application within the last second, as everywhere (`layers.access.register`).

What is answered here is not counted against a caller's rate: to count takes longer than to answer.
Where anybody has shown a wrong credential of late, requests with one take the long way.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from layers.errors import LayersError
from layers.readers import Reader
from layers.store import PublishedLayer, Store
from services.access.rates import Rates
from services.negotiation import has_tag

_MOST = 20_000
_MOST_SIGHTS = 10_000
# So long before its time is over a key that is in use is looked for again.
_RENEWED_S = 0.4
# Of an answer that says "not modified": what describes the body goes with the body.
_OF_BODIES = frozenset((b"content-length", b"content-type", b"content-encoding"))
# Requests that carry one of these are for the application.
_OTHERS = frozenset((b"range", b"cookie", b"x-request-id", b"content-length", b"transfer-encoding"))
_ASKED = frozenset((b"accept", b"accept-encoding", b"origin"))
_CREDENTIALS = frozenset((b"authorization", b"x-api-key"))
_LASTING = "lasting"


@dataclass(frozen=True, slots=True)
class Lasting:
    """How long an answer is true.

    Attributes
    ----------
    generation : int
        Of the store: what it was before the answer was looked for.
    until : float
        Seconds since the epoch.
    """

    generation: int
    until: float


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it went out, but for the date and the request's id."""

    head: bytes
    body: bytes
    not_modified: bytes
    etag: str
    lasting: Lasting

    @property
    def size(self) -> int:
        """Bytes that it takes to keep it, about."""
        return len(self.head) + len(self.body) + len(self.not_modified) + 500


Key = tuple[bytes, tuple[tuple[bytes, bytes], ...], str]


@dataclass(eq=False)
class Gate:
    """What was answered lately and is true still.

    Parameters
    ----------
    store : Store
    rates : Rates
        Knows of wrong credentials.
    most_bytes : int
        That the answers may take.
    """

    store: Store
    rates: Rates
    most_bytes: int = 64 << 20
    _answers: OrderedDict[Key, Answer] = field(default_factory=OrderedDict, repr=False)
    _sights: OrderedDict[bytes, tuple[str, float, int]] = field(
        default_factory=OrderedDict, repr=False
    )
    _renewing: set[bytes] = field(default_factory=set, repr=False)
    _size: int = 0
    _number: itertools.count[int] = field(default_factory=itertools.count, repr=False)
    _prefix: str = field(default_factory=lambda: secrets.token_hex(6))

    def ask(self, url: bytes, headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, Key | None]:
        """Return the answer to a GET request, as bytes; and by what to keep one.

        Returns
        -------
        tuple of bytes and Key or None
            No bytes where the application has to answer; no key where its answer is not kept.
        """
        tag, credential, asked = None, None, []
        for name, value in headers:
            if name in _ASKED:
                asked.append((name, value))
            elif name == b"if-none-match":
                tag = value
            elif name in _CREDENTIALS:
                if credential is not None:
                    return b"", None
                credential = name + value
            elif name in _OTHERS:
                return b"", None
        sight = _ANONYMOUS if credential is None else self._sight(credential)
        if sight is None:
            return b"", (url, tuple(asked), "")
        key = (url, tuple(asked), sight)
        answer = self._answers.get(key)
        if answer is None or not self._holds(answer.lasting):
            return b"", key
        self._answers.move_to_end(key)
        if tag is not None and has_tag(tag.decode("latin-1"), answer.etag):
            return self._labelled(answer.not_modified), key
        return self._labelled(answer.head) + answer.body, key

    def _holds(self, lasting: Lasting) -> bool:
        return (
            lasting.generation == self.store.generation
            and self.store.clock().timestamp() < lasting.until
        )

    def _labelled(self, head: bytes) -> bytes:
        return b"%s\r\nx-request-id: %s-%d\r\n\r\n" % (
            head,
            self._prefix.encode(),
            next(self._number),
        )

    def _sight(self, credential: bytes) -> str | None:
        found = self._sights.get(credential)
        if found is None or self.rates.somebody_failed:
            return None
        sight, until, version = found
        left = until - time.monotonic()
        if left <= 0 or version != self.store.register.version:
            return None
        if left < _RENEWED_S and credential not in self._renewing:
            self._renew_soon(credential)
        return sight

    def _renew_soon(self, credential: bytes) -> None:
        """Have a key looked for again before its time is over, or all who show it would ask."""
        with suppress(RuntimeError):
            loop = asyncio.get_running_loop()
            self._renewing.add(credential)
            loop.run_in_executor(None, self._renew, credential)

    def _renew(self, credential: bytes) -> None:
        try:
            self.note(credential, self.store.register.renew_key(_text_of(credential)).reader())
        except LayersError:
            self._sights.pop(credential, None)
        finally:
            self._renewing.discard(credential)

    def keep(self, key: Key, answer: Answer) -> None:
        """Keep an answer; the least used leave first."""
        old = self._answers.pop(key, None)
        self._size += answer.size - (0 if old is None else old.size)
        self._answers[key] = answer
        while len(self._answers) > _MOST or self._size > self.most_bytes:
            _, gone = self._answers.popitem(last=False)
            self._size -= gone.size

    def note(self, credential: bytes, reader: Reader) -> None:
        """Keep whose an API key is, for as long as the application takes it to be theirs.

        Parameters
        ----------
        credential : bytes
            What the request showed, with its header's name.
        reader : Reader
            Who was found to ask.
        """
        register = self.store.register
        until = register.key_until(_text_of(credential))
        self._sights[credential] = (sight_of(reader), until, register.version)
        while len(self._sights) > _MOST_SIGHTS:
            self._sights.popitem(last=False)

    def watching(self, app: ASGIApp, key: Key) -> ASGIApp:
        """Return the application, with its answer kept where it says that it lasts."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            start: Message = {}
            parts: list[bytes] = []

            async def heard(message: Message) -> None:
                nonlocal start
                if message["type"] == "http.response.start":
                    start = message
                elif message["type"] == "http.response.body":
                    parts.append(message.get("body", b""))
                    if not message.get("more_body", False):
                        self._hear(scope, key, start, b"".join(parts))
                await send(message)

            await app(scope, receive, heard)

        return watched

    def _hear(self, scope: Scope, key: Key, start: Message, body: bytes) -> None:
        state = scope.get("state", {})
        lasting: Lasting | None = state.get(_LASTING)
        if lasting is None:
            return
        reader: Reader = state["reader"]
        credential = next((n + v for n, v in scope["headers"] if n in _CREDENTIALS), None)
        if credential is not None:
            self.note(credential, reader)
        if start.get("status") in (200, 204):
            answer = answer_of(start, body, lasting)
            if answer is not None:
                self.keep((key[0], key[1], sight_of(reader)), answer)


def lasting(request: Request, layer: PublishedLayer, generation: int, *, pinned: bool) -> None:
    """Say how long the answer to a request for one layer is true.

    Parameters
    ----------
    generation : int
        Of the store, from before the layer was looked for.
    pinned : bool
        Whether the instant is stated, so that the clock changes nothing.
    """
    if pinned:
        until = float("inf")
    else:
        found = layer.present_until()
        if found is None:
            return
        until = found
    setattr(request.state, _LASTING, Lasting(generation, until))


def answer_of(start: Message, body: bytes, lasting: Lasting) -> Answer | None:
    """Return an answer as it is to be given again; None where it has no tag."""
    headers: list[tuple[bytes, bytes]] = list(start["headers"])
    etag = next((value for name, value in headers if name == b"etag"), None)
    if etag is None:
        return None
    kept = [(n, v) for n, v in headers if n not in (b"x-request-id", b"date")]
    less = [(n, v) for n, v in kept if n not in _OF_BODIES]
    status = b"HTTP/1.1 200 OK" if start["status"] == 200 else b"HTTP/1.1 204 No Content"
    return Answer(
        _written(status, kept),
        body,
        _written(b"HTTP/1.1 304 Not Modified", less),
        etag.decode("latin-1"),
        lasting,
    )


def _text_of(credential: bytes) -> str:
    """The key in what a request shows, header's name and all."""
    text = credential.decode("latin-1").removeprefix("authorization").removeprefix("x-api-key")
    return text.strip().rpartition(" ")[2]


def sight_of(reader: Reader) -> str:
    """Return a text by which answers to this reader are known."""
    return _ANONYMOUS if reader.is_anonymous else f"known {reader.fingerprint}"


_ANONYMOUS = "anonymous"


def _written(status: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    return b"\r\n".join([status, *(b"%s: %s" % pair for pair in headers)])
