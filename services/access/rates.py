"""How many requests a caller makes in a time, and how many wrong credentials are shown."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from limits import RateLimitItem, parse_many
from limits.storage import Storage
from limits.storage.base import SlidingWindowCounterSupport
from limits.strategies import SlidingWindowCounterRateLimiter

from services.errors import BadSettings, TooManyRequests

MOST_CALLERS = 50_000


class Rates:
    """Requests and wrong credentials of each caller, counted in a sliding window.

    Parameters
    ----------
    per_caller : str
        Requests of one caller: ``3000/minute``.
    failures : str
        Wrong credentials from one address: ``20/minute``.
    most_callers : int
        How many callers are remembered; beyond, whoever was silent longest is forgotten.
    clock : callable
        Returns seconds; never goes back.

    Raises
    ------
    BadSettings
        Where a rate can't be read.

    Examples
    --------
    >>> rates = Rates("2/minute", clock=lambda: 0.0)
    >>> rates.admit("key:ab12"), rates.admit("key:ab12")
    (None, None)
    >>> rates.admit("key:ab12")
    Traceback (most recent call last):
    services.errors.TooManyRequests: more than 2 requests in 60 s; ask again in 61 s
    """

    def __init__(
        self,
        per_caller: str = "3000/minute",
        failures: str = "20/minute",
        *,
        most_callers: int = MOST_CALLERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests = parse_rate(per_caller)
        self._failures = parse_rate(failures)
        self._failures.namespace = "failures"
        self._clock, self._failed_until = clock, -math.inf
        self._counts = SlidingCounts(most_callers, clock)
        self._limiter = SlidingWindowCounterRateLimiter(self._counts)

    def __len__(self) -> int:
        """How many counts are kept."""
        return len(self._counts)

    def admit(self, caller: str) -> None:
        """Count a request.

        Raises
        ------
        TooManyRequests
            Where it is one too many; such a one isn't counted.
        """
        rate = self._requests
        # What the limiter does for each hit, without its coats.
        key, within = rate.key_for(caller), rate.get_expiry()
        if not self._counts.acquire_sliding_window_entry(key, rate.amount, within):
            raise self._refusal(self._requests, caller, "requests")

    @property
    def somebody_failed(self) -> bool:
        """Whether anybody has shown a wrong credential for as long as these are counted."""
        return self._clock() < self._failed_until

    def penalise(self, caller: str) -> None:
        """Count a credential that was wrong."""
        self._failed_until = self._clock() + 2 * self._failures.get_expiry()
        self._limiter.hit(self._failures, caller)

    def check_failures(self, caller: str) -> None:
        """Refuse who showed too many wrong credentials.

        Raises
        ------
        TooManyRequests
        """
        if not self._limiter.test(self._failures, caller):
            raise self._refusal(self._failures, caller, "wrong credentials")

    def _refusal(self, rate: RateLimitItem, caller: str, what: str) -> TooManyRequests:
        within = rate.get_expiry()
        wait = self._counts.wait_s(rate.key_for(caller), rate.amount, within)
        return TooManyRequests(f"more than {rate.amount} {what} in {within} s", wait)


def parse_rate(text: str) -> RateLimitItem:
    """Read one rate: a number, a slash and a time.

    Raises
    ------
    BadSettings

    Examples
    --------
    >>> parse_rate("10/5minutes").get_expiry()
    300
    >>> parse_rate("often")
    Traceback (most recent call last):
    services.errors.BadSettings: 'often' is no rate; write one such as 3000/minute or 100/second
    """
    try:
        (rate,) = parse_many(text)
    except ValueError:
        rate = None
    if rate is None or rate.amount < 1:
        raise BadSettings(f"{text!r} is no rate; write one such as 3000/minute or 100/second")
    return rate


@dataclass(slots=True)
class _Count:
    """What one caller did in a window of time and in the one before it."""

    window: int
    now: int
    before: int
    ends: float


class SlidingCounts(Storage, SlidingWindowCounterSupport):
    """A store of `limits` in memory: one small entry a caller, and a bound on their number.

    The library's own has no bound, and a thread that looks at every entry a hundred times a second.
    """

    STORAGE_SCHEME = None

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        super().__init__()
        self._most, self._clock = most, clock
        # The least lately counted first.
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Count if the window has room for it; return whether it had."""
        before, before_ends, now, _ = self.get_sliding_window(key, expiry)
        if int(before * before_ends / expiry + now) + amount > limit:
            return False
        self.incr(key, expiry, amount)
        return True

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Return the count of the window before and of this one, each with what is left of it."""
        moment = self._clock()
        count = self._counts.get(key)
        left = expiry - moment % expiry
        before, now = _counted(count, int(moment // expiry))
        return before, left if before else 0.0, now, left + expiry

    def wait_s(self, key: str, limit: int, expiry: int) -> float:
        """Return after how many seconds the window has room for one more."""
        before, before_left, now, now_left = self.get_sliding_window(key, expiry)
        if before * before_left / expiry + now < limit:
            return 0.0
        if now < limit:
            room_in = before_left - (limit - now) * expiry / before
        else:
            room_in = now_left - expiry + expiry * (now - limit) / now
        # At that very instant it's still full.
        return room_in + 0.001

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget a key."""
        self.clear(key)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, and return the count of this window."""
        moment = self._clock()
        window = int(moment // expiry)
        count = self._counts.get(key)
        before, now = _counted(count, window)
        if count is None:
            count = self._counts[key] = _Count(window, 0, 0, 0.0)
            self._forget(moment)
        self._counts.move_to_end(key)
        count.window, count.before, count.now = window, before, now + amount
        count.ends = (window + 2.0) * expiry
        return count.now

    def get(self, key: str) -> int:
        """Return the count of the window in which it was counted last."""
        count = self._counts.get(key)
        return 0 if count is None else count.now

    def get_expiry(self, key: str) -> float:
        """Return when a key says nothing any more."""
        count = self._counts.get(key)
        return self._clock() if count is None else count.ends

    def clear(self, key: str) -> None:
        """Forget a key."""
        self._counts.pop(key, None)

    def check(self) -> bool:
        """Return that memory is there."""
        return True

    def reset(self) -> int:
        """Forget every key; return how many there were."""
        there = len(self._counts)
        self._counts.clear()
        return there

    @property
    def base_exceptions(self) -> type[Exception]:
        """What the library is to wrap: nothing of ours."""
        return ValueError

    def _forget(self, moment: float) -> None:
        """Forget what has ended, so that no address is kept for long, and what is too many."""
        while len(self._counts) > self._most:
            self._counts.popitem(last=False)
        for _ in range(2):
            oldest = next(iter(self._counts))
            if self._counts[oldest].ends > moment or len(self._counts) == 1:
                return
            del self._counts[oldest]


def _counted(count: _Count | None, window: int) -> tuple[int, int]:
    """Return the counts of the window before this one and of this one."""
    if count is None or count.window < window - 1:
        return 0, 0
    if count.window < window:
        return count.now, 0
    return count.before, count.now
