"""Features on a lattice as the bytes of a Mapbox vector tile 2.1."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spatial.cells.compiled import compiled
from spatial.drawing.shapes import Drawn

Bytes = NDArray[np.uint8]
Int32s = NDArray[np.int32]
Bools = NDArray[np.bool_]

POINT: Final = 1
LINE: Final = 2
POLYGON: Final = 3
_VERSION: Final = 2
_INT, _DOUBLE, _TEXT, _BYTES = 0, 1, 2, 2


def layer(
    name: str,
    extent: int,
    keys: Sequence[str],
    values: Iterable[bytes],
    features: Iterable[bytes],
) -> bytes:
    """Return a tile of one layer.

    Parameters
    ----------
    values : iterable of bytes
        Each as `value` gives it.
    features : iterable of bytes
        Each any number of features, as `encode` gives them.
    """
    body = [_number(15, _VERSION), _told(1, name.encode()), *features]
    body += [_told(3, key.encode()) for key in keys]
    body += [_told(4, value) for value in values]
    body.append(_number(5, extent))
    return _told(3, b"".join(body))


def value(found: str | bool | int | float) -> bytes:
    r"""Return a value as a tile's table of values holds it.

    Examples
    --------
    >>> value("a"), value(True), value(-1), value(300)
    (b'\n\x01a', b'8\x01', b'0\x01', b'(\xac\x02')
    """
    if isinstance(found, str):
        return _told(1, found.encode())
    if isinstance(found, bool):
        return _number(7, int(found))
    if isinstance(found, float):
        return bytes([3 << 3 | _DOUBLE]) + struct.pack("<d", found)
    return _number(5, found) if found >= 0 else _number(6, -2 * found - 1)


def _told(tag: int, body: bytes) -> bytes:
    return bytes([tag << 3 | _BYTES]) + _varint(len(body)) + body


def _number(tag: int, number: int) -> bytes:
    return bytes([tag << 3 | _INT]) + _varint(number)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


@compiled
def encode(drawn: Drawn, kind: int, tags: Int32s) -> Bytes:
    """Return features as the bytes that a tile's layer holds.

    Parameters
    ----------
    drawn : Drawn
        Of which features without parts are left out.
    kind : int
        POINT, LINE or POLYGON.
    tags : array of (feature, key) to value
        By their places in the layer's tables; below 0 where a feature has none.
    """
    xy, starts, first, end = drawn.xy, drawn.starts, drawn.first, drawn.end
    keys = tags.shape[1]
    # Of a corner at most 10 bytes are written, of a part 12, of a feature's own 40.
    parts, corners, most = 0, 0, 0
    for n in range(len(first)):
        own = starts[end[n]] - starts[first[n]]
        parts += end[n] - first[n]
        corners += own
        most = max(most, 10 * own + 12 * (end[n] - first[n]))
    out = np.empty(10 * corners + 12 * parts + (40 + 20 * keys) * len(first), np.uint8)
    shape, told = np.empty(most + 16, np.uint8), np.empty(20 * keys + 16, np.uint8)
    place = 0
    for n in range(len(first)):
        if first[n] == end[n]:
            continue
        size, x, y = 0, 0, 0
        for part in range(first[n], end[n]):
            a, b = starts[part], starts[part + 1]
            size = _put(shape, size, 9)
            for k in range(a, b):
                if k == a + 1:
                    size = _put(shape, size, (b - a - 1) << 3 | 2)
                to_x, to_y = int(xy[k, 0]), int(xy[k, 1])
                size = _put(shape, size, _zigzag(to_x - x))
                size = _put(shape, size, _zigzag(to_y - y))
                x, y = to_x, to_y
            if kind == POLYGON:
                size = _put(shape, size, 15)
        tagged = 0
        for key in range(keys):
            if tags[n, key] >= 0:
                tagged = _put(told, _put(told, tagged, key), tags[n, key])
        # The type takes two bytes; tags and geometry a byte each and their lengths.
        whole = 2 + 1 + _length(size) + size
        whole += 1 + _length(tagged) + tagged if tagged else 0
        place = _put(out, _put(out, place, 18), whole)
        if tagged:
            place = _copy(out, _put(out, _put(out, place, 18), tagged), told, tagged)
        place = _put(out, _put(out, place, 24), kind)
        place = _copy(out, _put(out, _put(out, place, 34), size), shape, size)
    return out[:place]


@compiled
def _zigzag(number: int) -> int:
    return 2 * number if number >= 0 else -2 * number - 1


@compiled
def _put(out: Bytes, place: int, number: int) -> int:
    """Write a number of variable length; return the place after it."""
    while number > 127:
        out[place] = number & 127 | 128
        number >>= 7
        place += 1
    out[place] = number
    return place + 1


@compiled
def _length(number: int) -> int:
    found = 1
    while number > 127:
        number >>= 7
        found += 1
    return found


@compiled
def _copy(out: Bytes, place: int, source: Bytes, count: int) -> int:
    for k in range(count):
        out[place + k] = source[k]
    return place + count
