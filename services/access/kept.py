"""What was fetched and is good for a while, so that others are asked seldom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from layers.clock import Clock
from services.errors import FetchFailed, FetchRefused

T = TypeVar("T")


class Kept(Generic[T]):
    """A thing that is fetched when it is first wanted, and again when it is old.

    Whatever callers do, there is one fetch at a time, and none sooner than a pause after the one
    before, failed ones too: strangers who send tokens can't make this server press another one.

    Parameters
    ----------
    fetch : callable
        Gets it; may raise ``FetchRefused`` or ``FetchFailed``.
    clock : Clock
        One that runs: under one that stands still nothing ever grows old.
    good_for : timedelta
        How long it is used without asking again.
    pause : timedelta
        Between two fetches.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[T]],
        clock: Clock,
        good_for: timedelta = timedelta(hours=1),
        pause: timedelta = timedelta(seconds=15),
    ) -> None:
        self._fetch, self._clock = fetch, clock
        self._good_for, self._pause = good_for, pause
        self._lock = asyncio.Lock()
        self._kept: tuple[T, datetime] | None = None
        self._failed: FetchRefused | FetchFailed | None = None
        self._tried: datetime | None = None

    async def get(self) -> T:
        """Return it, at most so old as it is good for."""
        young = self._young()
        if young is not None:
            return young[0]
        async with self._lock:
            young = self._young()  # another caller may have fetched it while this one waited
            return young[0] if young is not None else await self._try()

    async def renew(self) -> T:
        """Return it fetched anew, or as it is where the last fetch was only just now."""
        async with self._lock:
            young = self._young()
            if young is not None and self._rests():
                return young[0]
            return await self._try()

    async def _try(self) -> T:
        if self._failed is not None and self._rests():
            raise type(self._failed)(str(self._failed))
        self._tried = self._clock()
        try:
            value = await self._fetch()
        except (FetchRefused, FetchFailed) as error:
            self._failed = error
            raise
        self._kept, self._failed = (value, self._tried), None
        return value

    def _young(self) -> tuple[T] | None:
        if self._kept is None or self._clock() - self._kept[1] >= self._good_for:
            return None
        return (self._kept[0],)

    def _rests(self) -> bool:
        return self._tried is not None and self._clock() - self._tried < self._pause
