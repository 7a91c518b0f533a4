"""Arrow tables as PostgreSQL's binary COPY reads them.

A row is its number of values, then for each value its length and its bytes; a NULL has the length
-1 and no bytes. PostgreSQL takes this in for about a third of what it takes to read the same rows
as text. (PostgreSQL's documentation of COPY, "Binary Format".)
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
TRAILER = struct.pack(">h", -1)
# Days and microseconds from 1970, where Arrow's time begins, to 2000, where PostgreSQL's does.
_DAYS = 10_957
_MICROSECONDS = _DAYS * 86_400_000_000
# Rows are joined in parts of about so many bytes, however large their shapes are.
_PART_BYTES = 8 << 20
Encoder = Callable[[pa.Array], pa.Array]


def encode(table: pa.Table) -> Iterator[bytes]:
    """Yield the rows of a table, in parts of some megabytes, without header and trailer.

    Parameters
    ----------
    table : pyarrow.Table
        Columns of text, binary, int64, float64, bool, date32 or timestamp("us").

    Examples
    --------
    >>> b"".join(encode(pa.table({"n": [7, None], "t": ["x", "y"]}))).hex(" ", 2)
    '0002 0000 0008 0000 0000 0000 0007 0000 0001 7800 02ff ffff ff00 0000 0179'
    """
    size = max(1, _PART_BYTES * len(table) // max(table.nbytes, 1))
    for start in range(0, len(table), size):
        yield _joined(table.slice(start, size))


def _joined(table: pa.Table) -> bytes:
    pieces: list[pa.Array | pa.Scalar] = [_constant(struct.pack(">h", table.num_columns))]
    for column in table.columns:
        values = _ENCODERS[_kind(column.type)](column.combine_chunks())
        pieces += [_lengths(values), values]
    rows = pc.binary_join_element_wise(
        *pieces, _constant(b""), null_handling="replace", null_replacement=b""
    )
    _, offsets, data = rows.buffers()
    ends = np.frombuffer(offsets, np.int32)[rows.offset : rows.offset + len(rows) + 1]
    return data[int(ends[0]) : int(ends[-1])].to_pybytes() if data is not None else b""


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return f"timestamp[{kind.unit}]"
    return str(kind)


def _constant(value: bytes) -> pa.Scalar:
    return pa.scalar(value, pa.binary())


def _lengths(values: pa.Array) -> pa.Array:
    lengths = pc.fill_null(pc.binary_length(values), -1)
    return _fixed(lengths.to_numpy(zero_copy_only=False).astype(">i4"), None)


def _fixed(values: NDArray[np.void], source: pa.Array | None) -> pa.Array:
    """Numbers in PostgreSQL's order of bytes as binary values, NULL where the source is."""
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.itemsize
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(values))]
    array = pa.Array.from_buffers(pa.binary(), len(values), buffers)
    if source is None or not source.null_count:
        return array
    return pc.if_else(source.is_valid(), array, pa.scalar(None, pa.binary()))


def _number(dtype: str, stored: pa.DataType | None = None, less: int = 0) -> Encoder:
    """Return what turns a column of fixed width into binary values."""

    def turn(column: pa.Array) -> pa.Array:
        plain = column if stored is None else column.cast(stored)
        known = pc.fill_null(plain, False if pa.types.is_boolean(plain.type) else 0)
        numbers = known.to_numpy(zero_copy_only=False)
        return _fixed((numbers - less if less else numbers).astype(dtype), column)

    return turn


def _bytes(column: pa.Array) -> pa.Array:
    return column.cast(pa.binary())


_ENCODERS: dict[str, Encoder] = {
    "string": _bytes,
    "binary": _bytes,
    "int64": _number(">i8"),
    "double": _number(">f8"),
    "bool": _number("u1"),
    "date32[day]": _number(">i4", pa.int32(), _DAYS),
    "timestamp[us]": _number(">i8", pa.int64(), _MICROSECONDS),
}
