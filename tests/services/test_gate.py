"""The gate by itself: what it answers, and what it leaves to the application."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from layers.access.policy import Caller
from layers.errors import BadCredential
from layers.readers import Reader, View
from services.access.rates import Rates
from services.gate import Answer, Gate, Lasting, sight_of

URL = b"/collections/parcels/tiles/WebMercatorQuad/0/0/0"
KEY = (b"authorization", b"Bearer sk_0000_secret")
HOST = (b"host", b"city.example")
NOBODY = Reader.anonymous()
KNOWN = Reader("key:0000", (View(),))


@dataclass
class Register:
    version: int = 0
    until: float = math.inf
    renewed: int = 0
    gone: bool = False

    def key_until(self, text: str) -> float:
        assert text == "sk_0000_secret"
        return self.until

    def renew_key(self, text: str) -> Any:
        self.renewed += 1
        if self.gone:
            raise BadCredential("revoked")
        self.until = time.monotonic() + 1
        return Caller("key:0000", "a key")


@dataclass
class Store:
    """What the gate asks of a store."""

    generation: int = 1
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    register: Register = field(default_factory=Register)

    def clock(self) -> datetime:
        return self.now


def answer(lasting: Lasting) -> Answer:
    return Answer(b"HTTP/1.1 200 OK\r\nx: y", b"body", b"HTTP/1.1 304 Not Modified", '"e"', lasting)


def gate_of(reader: Reader = NOBODY, **lasting: Any) -> tuple[Gate, Store]:
    store: Any = Store()
    gate = Gate(store, Rates("1/second", "5/minute"))
    told = answer(Lasting(**({"generation": 1, "until": math.inf} | lasting)))
    gate.keep((URL, (), sight_of(reader)), told)
    return gate, store


def test_what_is_true_still_is_answered() -> None:
    gate, store = gate_of()
    found, key = gate.ask(URL, [HOST])
    assert found.startswith(b"HTTP/1.1 200 OK\r\nx: y\r\nx-request-id: ")
    assert found.endswith(b"\r\n\r\nbody")
    assert key is not None
    assert gate.ask(URL, [HOST, (b"if-none-match", b'"e"')])[0].startswith(b"HTTP/1.1 304")
    assert gate.ask(URL, [HOST, (b"if-none-match", b'"other"')])[0].endswith(b"body")
    assert gate.ask(URL + b"?f=mvt", [HOST])[0] == b""
    assert gate.ask(URL, [HOST, (b"accept-encoding", b"gzip")])[0] == b""
    store.generation += 1
    assert gate.ask(URL, [HOST])[0] == b""


def test_the_clock_passes_a_boundary() -> None:
    gate, store = gate_of(until=datetime(2026, 1, 2, tzinfo=UTC).timestamp())
    assert gate.ask(URL, [HOST])[0]
    store.now = datetime(2026, 1, 2, tzinfo=UTC)
    assert gate.ask(URL, [HOST])[0] == b""


@pytest.mark.parametrize("name", [b"range", b"cookie", b"x-request-id", b"content-length"])
def test_what_is_for_the_application(name: bytes) -> None:
    gate, _ = gate_of()
    assert gate.ask(URL, [HOST, (name, b"1")]) == (b"", None)


def test_a_key_is_known_as_long_as_the_register_knows_it() -> None:
    gate, store = gate_of(KNOWN)
    assert gate.ask(URL, [KEY])[0] == b""
    gate.note(KEY[0] + KEY[1], KNOWN)
    assert gate.ask(URL, [KEY])[0].endswith(b"body")
    # What a key's reader gets is nobody else's.
    assert gate.ask(URL, [HOST])[0] == b""
    assert gate.ask(URL, [KEY, (b"x-api-key", b"another")]) == (b"", None)
    store.register.version += 1
    assert gate.ask(URL, [KEY])[0] == b""
    store.register.until = -math.inf
    gate.note(KEY[0] + KEY[1], KNOWN)
    assert gate.ask(URL, [KEY])[0] == b""


def test_a_key_in_use_is_looked_for_before_its_time_is_over() -> None:
    gate, store = gate_of(KNOWN)
    store.register.until = time.monotonic() + 0.3
    gate.note(KEY[0] + KEY[1], KNOWN)

    async def ask() -> None:
        assert gate.ask(URL, [KEY])[0].endswith(b"body")
        while store.register.renewed < 1:
            await asyncio.sleep(0.001)

    asyncio.run(ask())
    assert store.register.renewed == 1
    store.register.until = time.monotonic() + 0.3
    store.register.gone = True
    gate.note(KEY[0] + KEY[1], KNOWN)
    store.register.renewed = 0
    asyncio.run(ask())
    assert gate.ask(URL, [KEY])[0] == b""


def test_where_somebody_guesses_keys_take_the_long_way() -> None:
    gate, _ = gate_of(KNOWN)
    gate.note(KEY[0] + KEY[1], KNOWN)
    gate.rates.penalise("address:192.0.2.1")
    assert gate.ask(URL, [KEY])[0] == b""


def test_an_anonymous_answer_is_not_a_known_readers() -> None:
    """Both see the same; but the one answer is public, and the other private."""
    assert sight_of(Reader.anonymous()) != sight_of(Reader("key:0000"))
    gate, _ = gate_of()
    gate.note(KEY[0] + KEY[1], Reader("key:0000"))
    assert gate.ask(URL, [KEY])[0] == b""


def test_the_least_used_leave_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gate._MOST", 2)
    gate, _ = gate_of()
    told = answer(Lasting(1, math.inf))
    sight = sight_of(Reader.anonymous())
    gate.keep((b"/a", (), sight), told)
    assert gate.ask(URL, [])[0]
    gate.keep((b"/b", (), sight), told)
    assert gate.ask(b"/a", [])[0] == b""
    assert gate.ask(URL, [])[0]
    assert gate.ask(b"/b", [])[0]
