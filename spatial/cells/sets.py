"""Sets of polygons, each made once and known by a number."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial.cells.compiled import compiled

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]
_PRIME: Final = 0x9E3779B97F4A7C15 - (1 << 64)


class Sets(NamedTuple):
    """Sets of polygons. Set 0 is empty, set p + 1 is of polygon p alone; any other is made once.

    Attributes
    ----------
    polygons : int
        How many there are.
    parent, last : ndarray of int32
        What set ``polygons + 1 + k`` is made of: another, and one polygon with a larger number.
    hashed : ndarray of int32
        Where each stands, by what it is made of; -1 where nothing does.
    used : ndarray of int64, shape (1,)
        How many have been made.
    """

    polygons: int
    parent: Int32s
    last: Int32s
    hashed: Int32s
    used: Int64s


def no_sets(polygons: int, room: int) -> Sets:
    """Return sets with room for so many that are made of several polygons."""
    slots = 1 << (2 * room).bit_length()
    return Sets(
        polygons,
        np.zeros(room, dtype=np.int32),
        np.zeros(room, dtype=np.int32),
        np.full(slots, -1, dtype=np.int32),
        np.zeros(1, dtype=np.int64),
    )


@compiled
def add(sets: Any, found: int, polygon: int) -> int:
    """Return the set that also has a polygon; -1 where there is no room for another set."""
    if found == 0:
        return polygon + 1
    mask = len(sets.hashed) - 1
    slot = ((np.int64(found) * 1_000_003 + polygon) * _PRIME >> 20) & mask
    while True:
        other = sets.hashed[slot]
        if other < 0:
            break
        if sets.parent[other] == found and sets.last[other] == polygon:
            return int(other + sets.polygons + 1)
        slot = (slot + 1) & mask
    made = sets.used[0]
    if 2 * made >= len(sets.hashed) or made >= len(sets.parent):
        return -1
    sets.used[0] = made + 1
    sets.hashed[slot] = made
    sets.parent[made] = found
    sets.last[made] = polygon
    return int(made + sets.polygons + 1)


@compiled
def members(sets: Any, found: int, into: Int32s) -> int:
    """Write the polygons of a set, the last one first, and return how many."""
    count = 0
    while found > sets.polygons:
        made = found - sets.polygons - 1
        into[count] = sets.last[made]
        count += 1
        found = sets.parent[made]
    if found > 0:
        into[count] = found - 1
        count += 1
    return count
