"""The limits before the doors: what a request carries, who asks too often, and whose turn it is."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.access.bounds import Bounds, check_request
from services.access.queues import FairQueue
from services.access.rates import Rates
from services.errors import ServicesError
from services.problems import answer_error

EXEMPT = ("/health", "/static/")
_CREDENTIALS = frozenset((b"authorization", b"x-api-key"))
# Of a body that arrives while its request waits; the rest stays with the server.
_KEPT_BYTES = 64 << 10
_MAPPED = bytes(10) + b"\xff\xff"


class Guarding:
    """Refuses, before anybody is identified, what is too large and who guesses credentials.

    Parameters
    ----------
    app : ASGI application
    rates : Rates
        Counts wrong credentials by address.
    bounds : Bounds
        Of any request.
    headers : mapping
        Put on each refusal: nothing that stands behind this does it.

    Notes
    -----
    A 401 to a request that showed a credential is a wrong one. After too many, requests with a
    credential are refused from that address, right ones too, or guessing would go on; those without
    one are not, as an office of many people may stand behind one address.
    """

    def __init__(
        self,
        app: ASGIApp,
        rates: Rates,
        bounds: Bounds | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.app, self.rates = app, rates
        self.bounds, self.headers = bounds or Bounds(), headers or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        address = address_of(scope)
        shown = any(name in _CREDENTIALS for name, _ in scope["headers"])
        try:
            check_request(scope, self.bounds)
            if shown:
                self.rates.check_failures(address)
        except ServicesError as error:
            await _refuse(error, scope, receive, send, self.headers)
            return

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                self.rates.penalise(address)
            await send(message)

        await self.app(scope, receive, watch if shown else send)


class Limiting:
    """Admits requests by the rate of their caller, and lets them work in turns.

    Parameters
    ----------
    app : ASGI application
    queue : FairQueue
        A place is held from the first step of the application to its last.
    rates : Rates
    exempt : tuple of str
        Paths that need no place; with a slash at its end, all below it. Their requests are counted.
    """

    def __init__(
        self, app: ASGIApp, queue: FairQueue, rates: Rates, exempt: tuple[str, ...] = EXEMPT
    ) -> None:
        self.app, self.queue, self.rates = app, queue, rates
        self.exempt = frozenset(exempt)
        self.exempt_below = tuple(path for path in exempt if path.endswith("/"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 429, or pass the request on when its turn has come."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        caller = caller_of(scope)
        try:
            self.rates.admit(caller)
            held = not self._is_exempt(scope)
            heard = await self._enter(caller, receive) if held else receive
        except ServicesError as error:
            await _refuse(error, scope, receive, send)
            return
        try:
            await self.app(scope, heard, send)
        finally:
            if held:
                self.queue.give_back(caller)

    def _is_exempt(self, scope: Scope) -> bool:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        return path in self.exempt or path.startswith(self.exempt_below)

    async def _enter(self, caller: str, receive: Receive) -> Receive:
        """Take a place; return how the application hears the client from then on."""
        if self.queue.try_take(caller):
            return receive
        heard: deque[Message] = deque()
        listening = asyncio.create_task(_listen(receive, heard))
        listening.add_done_callback(_note)
        try:
            await self.queue.take(caller, gone=listening)
        except BaseException:
            listening.cancel()
            raise
        try:
            listening.cancel()
            await asyncio.wait((listening,))
        except BaseException:
            self.queue.give_back(caller)
            raise

        async def replay() -> Message:
            return heard.popleft() if heard else await receive()

        return replay


def caller_of(scope: Scope) -> str:
    """Return whose request it is: who was identified, or else the address.

    >>> caller_of({"state": {"caller": "key:ab12"}, "client": ("192.0.2.1", 5000)})
    'key:ab12'
    """
    caller: str | None = scope.get("state", {}).get("caller")
    return caller or address_of(scope)


def address_of(scope: Scope) -> str:
    """Return the client's address; of IPv6 the network, as one client has all of it.

    >>> address_of({"client": ("192.0.2.1", 5000)})
    'address:192.0.2.1'
    >>> address_of({"client": ("2001:db8:1:2:3:4:5:6", 5000)})
    'address:2001:db8:1:2::/64'
    >>> address_of({"client": ("::ffff:192.0.2.1", 5000)})
    'address:192.0.2.1'
    """
    host: str = (scope.get("client") or ("unknown", 0))[0]
    if ":" not in host:
        return f"address:{host}"
    try:
        packed = inet_pton(AF_INET6, host.partition("%")[0])
    except (OSError, ValueError):
        return f"address:{host}"
    # IPv4 through a socket of IPv6: all of IPv4 would be one network.
    if packed.startswith(_MAPPED):
        return f"address:{inet_ntop(AF_INET, packed[12:])}"
    return f"address:{inet_ntop(AF_INET6, packed[:8] + bytes(8))}/64"


async def _listen(receive: Receive, heard: deque[Message]) -> None:
    """Keep what a waiting client sends, and return when it has gone."""
    size = 0
    while size <= _KEPT_BYTES:
        message = await receive()
        heard.append(message)
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
    # With more of a body than is kept one doesn't hear what comes after it.
    await asyncio.Event().wait()


def _note(listening: asyncio.Task[None]) -> None:
    """Look at how it ended: asyncio complains of what nobody looked at."""
    if not listening.cancelled():
        listening.exception()


async def _refuse(
    error: ServicesError,
    scope: Scope,
    receive: Receive,
    send: Send,
    headers: Mapping[str, str] | None = None,
) -> None:
    response = await answer_error(Request(scope), error)
    response.headers.update(headers or {})
    await response(scope, receive, send)
