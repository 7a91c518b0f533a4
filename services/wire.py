"""HTTP on the wire: uvicorn's, but that the address of what was made has a capital letter.

Names of headers have no case (RFC 9110, 5.1), and servers write them small. QGIS, up to 3.40 at
least, finds ``Location`` only so, and says of a feature that it made that it could not be added.
"""

from __future__ import annotations

from asyncio import BaseTransport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_CREATED = b"HTTP/1.1 201"
_SMALL, _CAPITAL = b"\r\nlocation: ", b"\r\nLocation: "


class Wire(HttpToolsProtocol):
    """uvicorn's protocol, over a transport that writes one name with a capital letter."""

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin to speak with a client."""
        super().connection_made(_Capital(transport))  # type: ignore[arg-type]


class _Capital:
    """A transport, of which all but what it writes is as it was."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write what an answer begins with, or goes on with."""
        if data.startswith(_CREATED):
            data = data.replace(_SMALL, _CAPITAL, 1)
        self._transport.write(data)
