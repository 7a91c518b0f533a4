"""Rows as PostgreSQL's binary COPY sends them, as Arrow arrays: a column at a time, not a row.

The counterpart of `layers.rows.binary_copy`. All rows' values of one column are found at once: the
length of a value stands before it, so where the next column begins is a sum over all rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from layers.rows.binary_copy import _DAYS, _MICROSECONDS, HEADER, TRAILER

# What comes before the first row, in the same message as it: 11 bytes of signature, two numbers.
_HEAD = len(HEADER)
_ENDLESS = np.array([np.iinfo(np.int64).min, np.iinfo(np.int64).max])


def decode(rows: Sequence[bytes | memoryview], kinds: Sequence[pa.DataType]) -> list[pa.Array]:
    """Return the columns of some rows, each of which is one message of a binary COPY.

    Parameters
    ----------
    rows : sequence of bytes
        As `without_frame` leaves them.
    kinds : sequence of DataType
        Text, binary, int64, float64, bool, date32 or timestamp("us", "UTC"), one a column. An
        infinite instant or day is NULL.

    Examples
    --------
    >>> from layers.rows.binary_copy import encode
    >>> table = pa.table({"n": [7], "t": ["宗地"]})
    >>> [array.to_pylist() for array in decode(list(encode(table)), table.schema.types)]
    [[7], ['宗地']]
    """
    data = np.frombuffer(b"".join(rows), np.uint8)
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    # The number of columns is known; the first length comes after it.
    place = np.concatenate(([0], np.cumsum(lengths)[:-1])) + 2 if len(rows) else lengths
    arrays = []
    for kind in kinds:
        size = _numbers(data, place, ">i4").astype(np.int64)
        place = place + 4
        arrays.append(_column(data, place, size, kind))
        place = place + np.maximum(size, 0)
    return arrays


def without_frame(parts: Iterator[list[Any]]) -> Iterator[list[Any]]:
    """Yield the rows among the messages of a COPY: what stands before and after them is left out.

    One part at least is yielded, though it may be empty.

    >>> list(without_frame(iter([[HEADER + b"row", b"row"], [TRAILER]])))
    [[b'row', b'row'], []]
    """
    first = True
    for messages in parts:
        if first and messages:
            # In the same message as the first row, or as the end where there is none.
            messages[0] = messages[0][_HEAD:]
            first = False
        if messages and messages[-1] == TRAILER:
            messages.pop()
        yield messages


def _column(
    data: NDArray[np.uint8], place: NDArray[np.int64], size: NDArray[np.int64], kind: pa.DataType
) -> pa.Array:
    absent = size < 0
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _texts(data, place, size, absent, kind)
    # Where there is no value, that of another place is read and never shown.
    place = np.where(absent, 0, place)
    if pa.types.is_boolean(kind):
        return pa.array(data[place] != 0, kind, mask=absent)
    if pa.types.is_int64(kind):
        return pa.array(_numbers(data, place, ">i8").astype(np.int64), kind, mask=absent)
    if pa.types.is_float64(kind):
        return pa.array(_numbers(data, place, ">f8").astype(np.float64), kind, mask=absent)
    if pa.types.is_date32(kind):
        days = _numbers(data, place, ">i4").astype(np.int64)
        absent |= np.isin(days, (np.iinfo(np.int32).min, np.iinfo(np.int32).max))
        days = np.where(absent, 0, days + _DAYS).astype(np.int32)
        return pa.array(days, pa.int32(), mask=absent).cast(kind)
    if kind == pa.timestamp("us", "UTC"):
        instants = _numbers(data, place, ">i8").astype(np.int64)
        absent |= np.isin(instants, _ENDLESS)
        instants = np.where(absent, 0, instants) + _MICROSECONDS
        return pa.array(instants, pa.int64(), mask=absent).cast(kind)
    raise TypeError(f"no binary form of {kind}")


def _numbers(data: NDArray[np.uint8], place: NDArray[np.int64], kind: str) -> NDArray[Any]:
    """The numbers that stand at some places, which need not be multiples of anything."""
    width = np.dtype(kind).itemsize
    if not len(place):
        return np.empty(0, kind)
    # At every byte begins one: nothing is copied but what is asked for.
    windows: NDArray[Any] = np.ndarray((len(data) - width + 1,), kind, data, strides=(1,))
    # Of a row that ends in NULLs the place may be beyond the last byte.
    found: NDArray[Any] = windows[np.minimum(place, len(windows) - 1)]
    return found


def _texts(
    data: NDArray[np.uint8],
    place: NDArray[np.int64],
    size: NDArray[np.int64],
    absent: NDArray[np.bool_],
    kind: pa.DataType,
) -> pa.Array:
    """The values, and between them what else stands in the rows, of which every second is taken."""
    ends = np.empty(2 * len(place), np.int32)
    ends[0::2], ends[1::2] = place, place + np.maximum(size, 0)
    if not len(place):
        return pa.array([], kind)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(data)]
    every = pa.Array.from_buffers(pa.binary(), len(ends) - 1, buffers)
    wanted = np.arange(0, len(ends) - 1, 2, dtype=np.int64)
    values = every.take(pa.array(wanted, mask=absent if absent.any() else None))
    # PostgreSQL holds no text that is not UTF-8: to look again would take longer than all else.
    return values.view(kind) if pa.types.is_string(kind) else values
