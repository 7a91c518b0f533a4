"""Well-known binary as kernels read it: numbers at any place of an array of bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial.cells.compiled import compiled

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]


@compiled
def number_at(data: Bytes, place: int) -> int:
    """Return the unsigned number of four bytes, the least first.

    Examples
    --------
    >>> number_at(np.array([9, 1, 2, 0, 0], dtype=np.uint8), 1)
    513
    """
    found: Any = (
        np.int64(data[place])
        | np.int64(data[place + 1]) << 8
        | np.int64(data[place + 2]) << 16
        | np.int64(data[place + 3]) << 24
    )
    return found  # type: ignore[no-any-return]


@compiled
def stride_of(code: int) -> int:
    """Return how many numbers a point has: two, and one each for heights and measures.

    Examples
    --------
    >>> stride_of(6), stride_of(1003), stride_of(3003)
    (2, 3, 4)
    """
    more = code // 1000
    return 2 + (1 if more == 1 or more == 2 else 0) + (2 if more == 3 else 0)


@compiled
def take_points(
    data: Bytes, place: int, count: int, stride: int, into: Floats, into_bytes: Bytes
) -> None:
    """Copy points to where they can be read as numbers.

    Parameters
    ----------
    into_bytes : array
        The same memory as `into`.
    """
    size = 8 * stride * count
    into_bytes[:size] = data[place : place + size]
