"""Columns as text, a whole column at a time: what JSON and CSV are joined of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from layers.rows.binary_copy import join
from spatial.periods import format_instant

# Which characters a JSON text can't hold as they are, and which a CSV field can't without quotes.
_NOT_IN_JSON = r'["\\\x00-\x1f]'
_NOT_IN_CSV = r'[",\r\n]|^\s|\s$|^$'
_MAY_NOT_BE_IN_JSON = np.isin(np.arange(256), [*range(32), *b'"\\'])
# What a spreadsheet takes for the beginning of a formula.
_FORMULA = r"^[=+\-@\t\r]"


def as_json(column: pa.Array) -> pa.Array:
    r"""Return a column's values as JSON texts, NULL as ``null``.

    >>> as_json(pa.array(["宗地", 'a "b"', None])).to_pylist()
    ['"宗地"', '"a \\"b\\""', 'null']
    >>> as_json(pa.array([1.5, float("nan")])).to_pylist()
    ['1.5', 'null']
    """
    kind = column.type
    if pa.types.is_string(kind):
        texts = _quoted(column, _NOT_IN_JSON, lambda text: orjson.dumps(text).decode())
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        texts = _joined('"', as_plain(column), '"')
    else:
        texts = as_plain(column)
    return pc.fill_null(texts, "null")


def json_pieces(before: str, column: pa.Array) -> list[pa.Array | str]:
    """Return what is joined to write a column as JSON, after something else.

    >>> json_pieces("n:", pa.array(["a"]))[0], len(json_pieces("n:", pa.array([None, "a"])))
    ('n:"', 2)
    """
    plain = pa.types.is_string(column.type) and not column.null_count
    if plain and not _may_have(column, _MAY_NOT_BE_IN_JSON):
        return [f'{before}"', column, '"']
    return [before, as_json(column)]


def as_csv(column: pa.Array, *, guarded: bool = False) -> pa.Array:
    """Return a column's values as fields of CSV (RFC 4180); NULL as nothing.

    Parameters
    ----------
    guarded : bool
        Whether a text that a spreadsheet would run as a formula gets an apostrophe before it.

    Examples
    --------
    >>> as_csv(pa.array(["宗地", "a,b", "", None])).to_pylist()
    ['宗地', '"a,b"', '""', '']
    >>> as_csv(pa.array(["=1+1"]), guarded=True).to_pylist()
    ["'=1+1"]
    """
    if not pa.types.is_string(column.type):
        return pc.fill_null(as_plain(column), "")
    if guarded:
        column = pc.replace_substring_regex(column, _FORMULA, r"'\0")
    special = pc.match_substring_regex(column, _NOT_IN_CSV)
    if pc.any(special).as_py():
        escaped = _joined('"', pc.replace_substring(column, '"', '""'), '"')
        column = pc.if_else(special, escaped, column)
    return pc.fill_null(column, "")


def as_plain(column: pa.Array) -> pa.Array:
    """Return numbers, booleans, days and instants as texts, as JSON and CSV both write them.

    >>> as_plain(pa.array([0, None], pa.timestamp("us", "UTC"))).to_pylist()
    ['1970-01-01T00:00:00Z', None]
    """
    kind = column.type
    if pa.types.is_floating(kind):
        finite = pc.is_finite(column)
        return pc.if_else(finite, column, pa.scalar(None, kind)).cast(pa.string())
    if not pa.types.is_timestamp(kind):
        return column.cast(pa.string())
    # Few of them differ: what begins, begins with an edition.
    coded = column.dictionary_encode()
    texts = [format_instant(instant) for instant in coded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(coded.indices)


def joined_lines(pieces: Sequence[pa.Array | str]) -> bytes:
    """Return all rows in one piece, each put together of its columns' texts."""
    kind = pa.binary()
    # Texts that stand side by side are one: what is joined costs by the piece.
    parts: list[pa.Array | pa.Scalar] = []
    for text, group in groupby(pieces, key=lambda p: isinstance(p, str)):
        if text:
            parts.append(pa.scalar("".join(map(str, group)).encode(), kind))
        else:
            parts += [array.cast(kind) for array in group if not isinstance(array, str)]
    ends, data = join(parts)
    return bytes(data[int(ends[0]) : int(ends[-1])])


def joined(pieces: Sequence[pa.Array | str]) -> pa.Array:
    """Return rows put together of their columns' texts, none of which is NULL."""
    return _joined(*pieces)


def _joined(*pieces: pa.Array | str) -> pa.Array:
    parts = [pa.scalar(p, pa.string()) if isinstance(p, str) else p for p in pieces]
    return pc.binary_join_element_wise(*parts, pa.scalar("", pa.string()))


def _quoted(column: pa.Array, special: str, escape: Callable[[str], str]) -> pa.Array:
    """Texts within quotes; the few with special characters go through Python."""
    quoted = _joined('"', column, '"')
    if not _may_have(column, _MAY_NOT_BE_IN_JSON):
        return quoted
    found = pc.fill_null(pc.match_substring_regex(column, special), False)
    if not pc.any(found).as_py():
        return quoted
    escaped = [escape(text) for text in column.filter(found).to_pylist()]
    return pc.replace_with_mask(quoted, found, pa.array(escaped, pa.string()))


def _may_have(column: pa.Array, special: NDArray[np.bool_]) -> bool:
    """Whether any of some bytes is among a column's: to look at all of them at once is nothing."""
    _, offsets, data = column.buffers()
    if data is None:
        return False
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return bool(special[np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]].any())
