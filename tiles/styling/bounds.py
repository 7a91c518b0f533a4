"""What every value of a style is held to, whatever it stands for: its depth, and its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from tiles.styling.expressions import Fault

# Of lists and objects in each other: functions that call themselves go down as far.
DEEPEST = 60
# Larger whole numbers are no longer themselves in a browser, and break what writes JSON.
LARGEST = 2**53


def check_bounds(document: Any) -> Iterator[Fault]:
    """Yield what is too deep, too large, or no number, wherever it stands in a document."""
    waiting: list[tuple[Any, str, int]] = [(document, "", 0)]
    while waiting:
        value, where, depth = waiting.pop()
        if isinstance(value, int | float) and not abs(value) <= LARGEST:
            told = "no number" if isinstance(value, float) and math.isnan(value) else "too large"
            yield f"a number is {told}; up to {LARGEST} is taken", where
        elif isinstance(value, list | Mapping) and depth >= DEEPEST:
            yield f"values stand more than {DEEPEST} deep in each other; make it flatter", where
        elif isinstance(value, list):
            waiting += [(inner, f"{where}/{n}", depth + 1) for n, inner in enumerate(value)]
        elif isinstance(value, Mapping):
            waiting += [(v, f"{where}/{escaped(n)}", depth + 1) for n, v in value.items()]


def escaped(name: str) -> str:
    """Return a member's name as a part of a JSON pointer.

    >>> escaped("a/b")
    'a~1b'
    """
    return name.replace("~", "~0").replace("/", "~1")
