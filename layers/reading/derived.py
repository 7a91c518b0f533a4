"""What was worked out of revisions: it can't change, so it is kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Derived:
    """Things by what they were made of; those that were not asked for the longest go first.

    Attributes
    ----------
    most_bytes : int
        What all together may take, by their own account (``nbytes``); the newest always stays.

    Examples
    --------
    >>> import numpy as np
    >>> derived = Derived(most_bytes=100)
    >>> derived.get("a", lambda: np.zeros(10)) is derived.get("a", lambda: np.ones(10))
    True
    """

    most_bytes: int = 1 << 29
    _things: OrderedDict[Hashable, Any] = field(default_factory=OrderedDict, repr=False)
    _making: dict[Hashable, Lock] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def get(self, key: Hashable, make: Callable[[], Thing]) -> Thing:
        """Return the thing of a key, which is made when it is first asked for, and once."""
        with self._lock:
            making = self._making.setdefault(key, Lock())
        try:
            with making:
                found = self._find(key)
                if found is None:
                    found = make()
                    self._keep(key, found)
        finally:
            with self._lock:
                self._making.pop(key, None)
        thing: Thing = found
        return thing

    def _find(self, key: Hashable) -> Any:
        with self._lock:
            found = self._things.get(key)
            if found is not None:
                self._things.move_to_end(key)
                self._trim()
            return found

    def _keep(self, key: Hashable, thing: Any) -> None:
        with self._lock:
            self._things[key] = thing
            self._trim()

    def _trim(self) -> None:
        # at every look, as some grow when they are used; what was asked for last always stays
        while len(self._things) > 1 and self._size() > self.most_bytes:
            self._things.popitem(last=False)

    def _size(self) -> int:
        return sum(int(thing.nbytes) for thing in self._things.values())
