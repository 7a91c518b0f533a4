"""A file that is read while it is written: what a writer of others writes, as pieces of bytes."""

from __future__ import annotations

import io
from typing import Any


class Pipe(io.RawIOBase):
    """What is written into it waits to be taken out; it knows how much there was, and no more."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        """Tell that it can be written."""
        return True

    def write(self, data: Any) -> int:
        """Keep what is written until somebody takes it."""
        piece = bytes(data)
        self._pieces.append(piece)
        self._written += len(piece)
        return len(piece)

    def tell(self) -> int:
        """Return how much was ever written."""
        return self._written

    def take(self) -> bytes:
        """Return what was written since it was last asked."""
        taken, self._pieces = b"".join(self._pieces), []
        return taken
