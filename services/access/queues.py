"""Places to work at, and the queue before them: callers are served in turns."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.errors import ClientGone, TooManyRequests

# How long work takes isn't known here: a place may be free in a moment, so the advice is short.
_RETRY_S = 2.0


class FairQueue:
    """Places for requests at work; who finds none waits, and callers are served in turns.

    Parameters
    ----------
    at_once : int
        Requests at work at most.
    each : int
        Of them, requests of one caller at most.
    waiting_each, waiting_all : int
        Requests that may wait, of one caller and of all.
    wait_s : float
        How long one waits at most, in seconds.

    Notes
    -----
    Belongs to one event loop. Between any two steps of it this holds: if a place is free, whoever
    waits has `each` at work already. So a request that finds a place overtakes nobody.
    """

    def __init__(
        self,
        at_once: int = 16,
        each: int = 8,
        waiting_each: int = 64,
        waiting_all: int = 1000,
        wait_s: float = 30.0,
    ) -> None:
        self.at_once, self.each = at_once, each
        self.waiting_each, self.waiting_all, self.wait_s = waiting_each, waiting_all, wait_s
        self.working = 0
        self.waiting = 0
        self._working: Counter[str] = Counter()
        # The order of the callers is the order of their turns; each has its own line.
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def place(self, caller: str) -> AsyncIterator[None]:
        """Hold a place.

        Raises
        ------
        TooManyRequests
            Where the queue is full, or no place was free in time.
        """
        await self.take(caller)
        try:
            yield
        finally:
            self.give_back(caller)

    def try_take(self, caller: str) -> bool:
        """Take a place if there is one for this caller now; return whether there was."""
        if self.working >= self.at_once or self._working[caller] >= self.each:
            return False
        self._begin(caller)
        return True

    async def take(self, caller: str, gone: asyncio.Future[None] | None = None) -> None:
        """Take a place, waiting for it if need be; give it back with `give_back`.

        Parameters
        ----------
        caller : str
            Whose request it is.
        gone : Future, optional
            Done when the one who asks has left.

        Raises
        ------
        TooManyRequests
            Where the queue is full, or no place was free in time.
        ClientGone
        """
        if self.try_take(caller):
            return
        turn = self._line_up(caller)
        awaited = {turn} if gone is None else {turn, gone}
        try:
            await asyncio.wait(awaited, timeout=self.wait_s, return_when=asyncio.FIRST_COMPLETED)
            if gone is not None and gone.done():
                raise ClientGone("the client left before its turn")
            if not turn.done():
                cause = f"no place was free within {self.wait_s:g} s"
                raise TooManyRequests(cause, _RETRY_S)
        except BaseException:
            # Cancelled too: a place that was given in the same moment goes to the next.
            self._leave(caller, turn)
            raise

    def give_back(self, caller: str) -> None:
        """Give a place back; whoever's turn it is has it at once."""
        self._working[caller] -= 1
        if not self._working[caller]:
            del self._working[caller]
        self.working -= 1
        self._serve()

    def _begin(self, caller: str) -> None:
        self._working[caller] += 1
        self.working += 1

    def _line_up(self, caller: str) -> asyncio.Future[None]:
        line = self._lines.get(caller, ())
        if len(line) >= self.waiting_each:
            cause = f"{len(line)} requests of yours wait already; let some be answered first"
            raise TooManyRequests(cause, _RETRY_S)
        if self.waiting >= self.waiting_all:
            raise TooManyRequests("the server has more to do than it can", _RETRY_S)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(caller, deque()).append(turn)
        self.waiting += 1
        return turn

    def _leave(self, caller: str, turn: asyncio.Future[None]) -> None:
        if turn.done():
            self.give_back(caller)
            return
        line = self._lines[caller]
        line.remove(turn)
        self.waiting -= 1
        if not line:
            del self._lines[caller]

    def _serve(self) -> None:
        while self._lines and self.working < self.at_once:
            # Only callers with all their places at work are passed over: few, and they keep
            # their turn.
            caller = next((c for c in self._lines if self._working[c] < self.each), None)
            if caller is None:
                return
            line = self._lines[caller]
            line.popleft().set_result(None)
            self.waiting -= 1
            self._begin(caller)
            if line:
                self._lines.move_to_end(caller)
            else:
                del self._lines[caller]
