"""What time it is, as an argument: the system's clock, or one that a demo or a test sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Return the present instant in UTC.

    >>> system_clock().tzinfo
    datetime.timezone.utc
    """
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class SimulatedClock:
    """A clock that stands still: commits made under it are marked simulated.

    Parameters
    ----------
    instant : datetime
        Aware instant that the clock shows.
    """

    instant: datetime

    def __call__(self) -> datetime:
        """Return the instant."""
        return self.instant.astimezone(UTC)
