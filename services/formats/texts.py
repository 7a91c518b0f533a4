"""Columns as text, a whole column at a time: what JSON and CSV are joined of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from layers.rows.binary_copy import join
from spatial.periods import format_instant

# Which characters a JSON text can't hold as they are, and which a CSV field can't without quotes.
_NOT_IN_JSON = r'["\\\x00-\x1f]'
_NOT_IN_CSV = r'[",\r\n]|^\s|\s$|^$'
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
    ends, data = join(
        [pa.scalar(p.encode(), kind) if isinstance(p, str) else p.cast(kind) for p in pieces]
    )
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
    found = pc.fill_null(pc.match_substring_regex(column, special), False)
    if not pc.any(found).as_py():
        return quoted
    escaped = [escape(text) for text in column.filter(found).to_pylist()]
    return pc.replace_with_mask(quoted, found, pa.array(escaped, pa.string()))
