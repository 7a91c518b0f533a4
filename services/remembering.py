"""Remembering what clients were told, so that nothing is asked when they ask again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Remembered:
    """The validator of an answer, and the headers that go with it."""

    etag: str
    headers: Mapping[str, str]
    pinned: bool


@dataclass(frozen=True)
class Tags:
    """The validators of answers, by all that these depend on; the last twenty thousand of them."""

    _known: dict[Any, Remembered] = field(default_factory=dict)

    def find(self, state: Any) -> Remembered | None:
        """Return what was answered in a state, None where that is not known."""
        return self._known.get(state)

    def keep(self, state: Any, told: Remembered) -> None:
        """Keep what is answered in a state."""
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[state] = told
