"""What a peer is: data in the form it wants, an index where it has one apart, and an answer."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Answer:
    """What a peer found.

    Attributes
    ----------
    pairs : int
        Of a point and a polygon that meet.
    lowest : str
        Fingerprint of each point's lowest polygon; empty where that is dear to get.
    """

    pairs: int
    lowest: str = ""


class Peer(ABC):
    """One way to find which polygons points meet.

    Attributes
    ----------
    title : str
        What it is called in a table.
    counted : str
        What `build` and `query` are.
    apart : bool
        Whether it has an index that is built apart from being asked.
    """

    title: ClassVar[str]
    counted: ClassVar[str]
    apart: ClassVar[bool] = False

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Take a job's data in the form it wants, and warm up; not counted."""

    def build(self) -> None:
        """Make the index."""
        raise NotImplementedError

    @abstractmethod
    def query(self) -> None:
        """Find what meets what, and keep it."""

    @abstractmethod
    def answer(self) -> Answer:
        """Return what was found; not counted."""

    def busy_elsewhere(self) -> float:
        """Return the CPU seconds of processes that work for this one."""
        return 0.0

    def peak_mb_elsewhere(self) -> float:
        """Return the memory of those processes together at its highest."""
        return 0.0

    def close(self) -> None:  # noqa: B027 - most start nothing
        """End whatever was started."""


def answer_of(points: NDArray[Any], polygons: NDArray[Any], count: int) -> Answer:
    """Return the answer that pairs of places are."""
    none = np.iinfo(np.int32).max
    lowest = np.full(count, none, dtype=np.int32)
    np.minimum.at(lowest, points, np.asarray(polygons, dtype=np.int32))
    lowest[lowest == none] = -1
    return Answer(len(points), fingerprint(lowest))


def fingerprint(lowest: NDArray[Any]) -> str:
    """Return the hash of each point's lowest polygon."""
    kept = np.ascontiguousarray(lowest, dtype=np.int32)
    return hashlib.sha256(kept.tobytes()).hexdigest()[:16]
