"""HTTP on the wire: uvicorn's, with a gate before it, and one header with a capital letter.

Names of headers have no case (RFC 9110, 5.1), and servers write them small. QGIS, up to 3.40 at
least, finds ``Location`` only so, and says of a feature that it made that it could not be added.

What the gate (`services.gate`) has at hand goes out before the application hears of the request: to
set up what an application needs takes longer than to answer.
"""

from __future__ import annotations

from asyncio import BaseTransport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.gate import Gate

_CREATED = b"HTTP/1.1 201"
_SMALL, _CAPITAL = b"\r\nlocation: ", b"\r\nLocation: "


class Wire(HttpToolsProtocol):
    """uvicorn's protocol, over a transport that writes one name with a capital letter."""

    gate: Gate | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin to speak with a client."""
        super().connection_made(_Capital(transport))  # type: ignore[arg-type]

    def on_headers_complete(self) -> None:
        """Answer at the gate, or let the application answer."""
        gate = self.gate
        if gate is None or b"/tiles/" not in self.url or not self._is_free():
            super().on_headers_complete()
            return
        found, key = gate.ask(self.url, self.headers)
        if found:
            self._answer(found)
        elif key is None:
            super().on_headers_complete()
        else:
            app, self.app = self.app, gate.watching(self.app, key)
            try:
                super().on_headers_complete()
            finally:
                self.app = app

    def _is_free(self) -> bool:
        """Whether a GET can be answered here: nothing is under way, and the client reads."""
        return (
            self.parser.get_method() == b"GET"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and not self.flow.write_paused
            and (self.cycle is None or self.cycle.response_complete)
        )

    def _answer(self, found: bytes) -> None:
        if self.cycle is None:
            self.cycle = _DONE
        self.server_state.total_requests += 1
        head, _, rest = found.partition(b"\r\n")
        default = (b"%s: %s\r\n" % pair for pair in self.server_state.default_headers)
        self.transport.write(b"".join((head, b"\r\n", *default, rest)))
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )


class _Done:
    """A request that was answered, as the protocol looks at one."""

    response_complete = True
    message_event = type("Event", (), {"set": staticmethod(lambda: None)})()


_DONE: Any = _Done()


def wire_with(gate: Gate) -> type[Wire]:
    """Return the protocol with a gate before it."""
    return type("GatedWire", (Wire,), {"gate": gate})


class _Capital:
    """A transport, of which all but what it writes is as it was."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._transport, name)
        if name in _STEADY:
            # What is asked for each time is found at once the next time.
            setattr(self, name, found)
        return found

    def write(self, data: bytes) -> None:
        """Write what an answer begins with, or goes on with."""
        if data.startswith(_CREATED):
            data = data.replace(_SMALL, _CAPITAL, 1)
        self._transport.write(data)


_STEADY = frozenset(("is_closing", "close", "pause_reading", "resume_reading"))
