"""Rows of the table: who took how much in turns, and what one is of another."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from served.clocks import Spent

Ask = Callable[[int], Spent]
_LEAST, _MOST = 3, 20_000
_TRIED = 3


@dataclass
class Row:
    """One line: what was asked, who could answer, and what it took them, round by round."""

    title: str
    asks: dict[str, Ask]
    refused: dict[str, str] = field(default_factory=dict)
    found: dict[str, list[Spent]] = field(default_factory=dict)
    bar: str = ""

    def of(self, name: str, part: str = "cpu") -> list[float]:
        """Return the milliseconds of one of those who answered, empty where they could not."""
        return [getattr(spent, part) * 1000 for spent in self.found.get(name, [])]

    def cell(self, name: str, part: str = "cpu") -> str:
        """Return the median with the least and the most, or that there is none."""
        return shown(self.of(name, part)) if name in self.found else "-"

    def ratio(self, one: str, other: str, part: str = "cpu") -> str:
        """Return how many times the other the one took, by the medians of the rounds."""
        return times(self.of(one, part), self.of(other, part))


def take_turns(rows: Sequence[Row], rounds: int, seconds: float) -> None:
    """Have all answer all rows, in rounds, so that what drifts hits all of them alike.

    Parameters
    ----------
    seconds : float
        How long each answers in each round, about.
    """
    numbers = {
        (row.title, name): _number(ask, seconds) for row in rows for name, ask in row.asks.items()
    }
    for turn in range(rounds):
        for row in rows:
            for name, ask in row.asks.items():
                spent = ask(numbers[row.title, name])
                row.found.setdefault(name, []).append(spent)
        print(f"<!-- round {turn + 1} of {rounds} -->", file=sys.stderr, flush=True)


def _number(ask: Ask, seconds: float) -> int:
    """How often is enough; asking for it warms both sides up."""
    return max(_LEAST, min(_MOST, int(seconds / max(ask(_TRIED).wall, 1e-6))))


def shown(values: Sequence[float]) -> str:
    """Return a median with the least and the most.

    >>> shown([1.0, 3.0, 2.0])
    '2.00 (1.00 to 3.00)'
    """
    digits = 0 if min(values) >= 100 else 1 if min(values) >= 10 else 2
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({least:.{digits}f} to {most:.{digits}f})"


def times(one: Sequence[float], other: Sequence[float]) -> str:
    """Return the ratio of two medians, and how it was from round to round.

    >>> times([2.0, 4.0, 6.0], [1.0, 1.0, 2.0])
    '4.0 x (2.0 to 4.0)'
    """
    if not one or not other:
        return "-"
    each = [a / b for a, b in zip(one, other, strict=True)]
    whole = statistics.median(one) / statistics.median(other)
    return f"{whole:.1f} x ({min(each):.1f} to {max(each):.1f})"


def print_table(titles: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """Print a table in Markdown."""
    print(f"\n| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    for line in lines:
        print(f"| {' | '.join(line)} |")
    sys.stdout.flush()


def print_refusals(rows: Sequence[Row]) -> None:
    """Print who could not answer what, and why."""
    told: Mapping[tuple[str, str], None] = dict.fromkeys(
        (name, f"{row.title}: {why}") for row in rows for name, why in row.refused.items()
    )
    for name, why in told:
        print(f"<!-- {name}: {why} -->", flush=True)
