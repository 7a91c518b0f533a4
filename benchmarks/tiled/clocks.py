"""CPU of a server that has processes of its own, such as one that keeps watch over workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from served.clocks import Meter, children, cpu_seconds


class TreeMeter(Meter):
    """The clocks of a server with all its processes, and of one PostgreSQL."""

    def _served(self) -> float:
        assert self.server is not None
        total = 0.0
        for pid in _family(self.server):
            with suppress(OSError):
                total += cpu_seconds(pid)
        return total


def _family(pid: int) -> Iterator[int]:
    yield pid
    for child in children(pid):
        yield from _family(child)
