"""What a kernel has drawn: lines or rings on a lattice, one after the other, by feature."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial.cells.compiled import compiled

Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]

# What is narrower and lower than this, in units before it is rounded, is nothing.
TOO_SMALL: Final = 0.5


class Drawn(NamedTuple):
    """Features on a lattice.

    Attributes
    ----------
    xy : array of (x, y)
        Whole numbers; rings are not closed.
    starts : array of int
        Part k has the corners ``xy[starts[k]:starts[k + 1]]``.
    outer : array of bool
        Whether a part is an outer ring.
    first, end : array of int
        Feature n has the parts from ``first[n]`` to before ``end[n]``.
    doubtful : array of bool
        Whether the rings of a feature may meet: to be looked at by who knows how to mend them.
    """

    xy: Floats
    starts: Int64s
    outer: Bools
    first: Int64s
    end: Int64s
    doubtful: Bools


@compiled
def longer(xy: Floats, needed: int) -> Floats:
    """Return the same points in an array with room for so many."""
    if needed <= len(xy):
        return xy
    found = np.empty((2 * needed, 2))
    for k in range(len(xy)):
        found[k, 0], found[k, 1] = xy[k, 0], xy[k, 1]
    return found


@compiled
def more_parts(starts: Int64s, outer: Bools, needed: int) -> tuple[Int64s, Bools]:
    """Return the same parts in arrays with room for so many."""
    if needed < len(outer):
        return starts, outer
    wider, flags = np.zeros(2 * needed + 1, np.int64), np.zeros(2 * needed, np.bool_)
    wider[: len(starts)] = starts
    flags[: len(outer)] = outer
    return wider, flags
