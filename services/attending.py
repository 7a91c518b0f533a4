"""Attending to clients: when one leaves, nobody works on its answer any more.

A server tells an application that the client has left only where the application asks for it. To
ask costs more than most answers take, so it is asked only of what takes long.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from layers.errands import Errand, errand

_LONG_S = 0.5


class Attending:
    """Middleware that gives up reads whose client has left; writes go on to their end."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and listen to the client where it takes long."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        listening: list[asyncio.Task[None]] = []
        with errand() as run:
            later = asyncio.get_running_loop().call_later(
                _LONG_S, lambda: listening.append(asyncio.create_task(_attend(receive, run)))
            )
            try:
                await self.app(scope, receive, send)
            finally:
                later.cancel()
                for task in listening:
                    task.cancel()


async def _attend(receive: Receive, run: Errand) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    await asyncio.to_thread(run.give_up)
