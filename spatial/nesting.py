"""How deep shapes are nested: GEOS reads them by recursion, and ends the process where too deep."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

MOST: Final = 64
"""Deeper shapes are made to do harm: no program nests collections more than a few times."""

# Shorter ones can't be nested so deep that it matters: a level takes nine bytes.
_SHORT_BYTES: Final = 4096
_OPENING, _CLOSING = "([{", ")]}"
_ORDERS: Final = {0: ">", 1: "<"}
_POINT, _LINES, _POLYGON = 1, (2, 8), 3
_COLLECTIONS: Final = (4, 5, 6, 7, 9, 10, 11, 12)


def text_depth(text: str) -> int:
    """Return how deep the brackets of a well-known text or GeoJSON are nested; 1 where not deep.

    Examples
    --------
    >>> text_depth("POINT (1 2)"), text_depth("(" * 100 + ")" * 100)
    (1, 100)
    """
    if sum(map(text.count, _OPENING)) <= MOST:
        return 1
    signs = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
    steps = np.isin(signs, _codes(_OPENING)).astype(np.int64)
    steps -= np.isin(signs, _codes(_CLOSING))
    return int(np.cumsum(steps).max())


def _codes(signs: str) -> list[int]:
    return [ord(sign) for sign in signs]


def deep_rows(wkb: pa.Array) -> NDArray[np.int64]:
    """Return the places of those shapes in an array of WKB that are nested too deep.

    Examples
    --------
    >>> level, point = struct.pack("<BII", 1, 7, 1), struct.pack("<BIdd", 1, 1, 0.0, 0.0)
    >>> deep_rows(pa.array([point, level * 3 + point, level * 9000 + point])).tolist()
    [2]
    """
    lengths = pc.binary_length(wkb).fill_null(0).to_numpy(zero_copy_only=False)
    long = np.flatnonzero(lengths > _SHORT_BYTES)
    return np.array([n for n in long if _is_deep(wkb[n].as_py())], dtype=np.int64)


def _is_deep(blob: bytes) -> bool:
    """Walk through a shape as GEOS does, part by part, until one stands too deep.

    Where GEOS can't read on, neither does this: what is wrong there is GEOS's to say.
    """
    waiting, place = [1], 0  # parts still to come, level by level
    try:
        while waiting:
            if not waiting[-1]:
                waiting.pop()
                continue
            waiting[-1] -= 1
            place, parts = _pass_by(blob, place)
            if parts:
                waiting.append(parts)
            if len(waiting) > MOST:
                return True
    except (struct.error, ValueError, IndexError):
        return False
    except KeyError:
        # GEOS would go on by the byte order of the part before.
        return True
    return False


def _pass_by(blob: bytes, place: int) -> tuple[int, int]:
    """Return where the next shape begins, and how many parts this one has that are shapes."""
    order = _ORDERS[blob[place]]
    (code,) = struct.unpack_from(f"{order}I", blob, place + 1)
    # Z and M are flags in PostGIS's dialect, thousands in ISO's.
    flags = code >> 29
    thousands, kind = divmod(code & 0xFFFF, 1000)
    has_z, has_m = flags & 4 or thousands in (1, 3), flags & 2 or thousands in (2, 3)
    numbers = 2 + bool(has_z) + bool(has_m)
    place += 9 if flags & 1 else 5
    if kind == _POINT:
        return place + 8 * numbers, 0
    (count,) = struct.unpack_from(f"{order}I", blob, place)
    place += 4
    if kind in _COLLECTIONS:
        return place, count
    if kind in _LINES:
        return place + 8 * numbers * count, 0
    if kind != _POLYGON:
        raise ValueError(kind)
    for _ in range(count):
        (corners,) = struct.unpack_from(f"{order}I", blob, place)
        place += 4 + 8 * numbers * corners
    return place, 0
