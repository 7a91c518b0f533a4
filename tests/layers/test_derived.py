"""What is worked out once: kept while there is room, made once however many ask."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from layers.reading.derived import Derived


def test_what_was_not_asked_for_the_longest_goes_first() -> None:
    derived = Derived(most_bytes=250)
    made: list[str] = []

    def ask(key: str, size: int = 100) -> None:
        derived.get(key, lambda: made.append(key) or np.zeros(size, dtype=np.int8))

    for key in ("a", "b", "a", "c", "a", "b"):
        ask(key)
    assert made == ["a", "b", "c", "b"]
    ask("large", 1000)
    ask("large", 1000)
    ask("a")
    assert made == ["a", "b", "c", "b", "large", "a"]


def test_what_grows_makes_room_when_it_is_asked_for_again() -> None:
    class Growing:
        nbytes = 10

    derived, growing = Derived(most_bytes=100), Growing()
    first = derived.get("a", lambda: np.zeros(50, dtype=np.int8))
    derived.get("b", lambda: growing)
    assert derived.get("a", lambda: np.ones(1)) is first
    growing.nbytes = 90
    assert derived.get("b", Growing) is growing
    assert derived.get("a", lambda: np.ones(1)) is not first


def test_many_who_ask_at_once_wait_for_one_that_makes() -> None:
    derived, made, ready = Derived(), [], Barrier(8)

    def make() -> np.ndarray:
        made.append(1)
        return np.zeros(1)

    def ask(_: int) -> int:
        ready.wait(10)
        return id(derived.get("a", make))

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
    assert made == [1]


def test_what_fails_is_made_again() -> None:
    derived = Derived()

    def fail() -> np.ndarray:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        derived.get("a", fail)
    assert derived.get("a", lambda: np.ones(1)).sum() == 1
