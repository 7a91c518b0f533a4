"""Answers that are sent while they are read: whoever goes away stops the reading."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator

import anyio
from starlette.concurrency import run_in_threadpool


async def begin_stream(parts: Generator[bytes]) -> AsyncIterator[bytes]:
    """Return what sends some parts; the first is read before, so that it may still be refused."""
    first = await run_in_threadpool(next, parts, None)
    return _flow(first, parts)


async def _flow(part: bytes | None, parts: Generator[bytes]) -> AsyncIterator[bytes]:
    try:
        while part is not None:
            yield part
            part = await run_in_threadpool(next, parts, None)
    finally:
        # What was opened to be read from is closed at once, also where the client has gone.
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(parts.close)
