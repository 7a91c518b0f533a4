"""Random numbers that belong to things: the same for the same seed and ids, in any order."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

_STEP = np.uint64(0x9E3779B97F4A7C15)


def hashed(seed: int, what: str, *ids: Any) -> NDArray[np.uint64]:
    """Return 64 random bits for each thing; the ids are integers or arrays of them."""
    ids = tuple(np.asarray(i).astype(np.uint64) for i in ids)
    value = _mixed(np.array([(seed << 32) + zlib.crc32(what.encode())], np.uint64))
    for i in ids:
        value = _mixed(value ^ _mixed(i + _STEP))
    return value


def uniform(seed: int, what: str, *ids: Any) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each thing."""
    return (hashed(seed, what, *ids) >> np.uint64(11)).astype(float) * 2.0**-53


def whole(seed: int, what: str, low: int, high: int, *ids: Any) -> NDArray[np.int64]:
    """Return an integer of low to high, both included, for each thing."""
    return low + (uniform(seed, what, *ids) * (high - low + 1)).astype(np.int64)


def chosen(seed: int, what: str, values: Any, weights: Any, *ids: Any) -> NDArray[Any]:
    """Return one of the values for each thing, as often as its weight says."""
    bounds = np.cumsum(weights, dtype=float)
    places = np.searchsorted(bounds / bounds[-1], uniform(seed, what, *ids), side="right")
    return np.asarray(values)[np.minimum(places, len(bounds) - 1)]


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    # The finaliser of splitmix64 (Steele, Lea, Flood 2014); wrapping around is what it wants.
    with np.errstate(over="ignore"):
        x = x + _STEP
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
