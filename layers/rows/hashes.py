"""The hashes of a source's rows, worked out beside the reading of it.

They are those of `layers.sameness`, which says the same of rows that stand in the database: a text
of all that a row says, and SHA-256 of it. A property test holds the two together.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from layers.model import FieldType
from layers.rows.binary_copy import fixed_width, join, parts_of, plain
from layers.sameness import ABSENT, HASH_VERSION, PRESENT
from layers.tables import Family, LayerTables

_DIGEST = np.dtype("V32")
_HEX = np.frombuffer(b"".join(b"%02x" % n for n in range(256)), "u2")


@cache
def _nothing() -> pa.Scalar:
    # Made late: to make a value, pyarrow loads pandas.
    return pa.scalar(b"", pa.binary())


def with_hashes(table: pa.Table, tables: LayerTables) -> pa.Table:
    """Return a table of staged rows with the hashes of what each says, open and restricted.

    Parameters
    ----------
    table : pyarrow.Table
        Columns by field id, in the types of the fields; ``_geom`` as little-endian ISO WKB.
    tables : LayerTables
        Those of the layer.

    Returns
    -------
    pyarrow.Table
        With ``_hash``, and ``_hash_restricted`` (NULL where nothing restricted is said).
    """
    table = table.append_column("_hash", _hashes(table, tables.open))
    if tables.restricted is None:
        return table.append_column("_hash_restricted", pa.nulls(len(table), pa.binary()))
    said = np.zeros(len(table), dtype=bool)
    for f in tables.restricted.fields:
        said |= table[f.id].is_valid().to_numpy()
    hashed = _hashes(table, tables.restricted)
    nothing = pa.scalar(None, pa.binary())
    return table.append_column("_hash_restricted", pc.if_else(pa.array(said), hashed, nothing))


def _hashes(table: pa.Table, family: Family) -> pa.ChunkedArray:
    columns = [(family.live.c[f.id].name, f.id, f.type) for f in family.fields]
    # The number of the row is there for layers that have no fields.
    names = ["_row", *(f.id for f in family.fields), *(["_geom"] if family.spatial else [])]
    chunks = [_digests(part, sorted(columns)) for part in parts_of(table.select(names))]
    return pa.chunked_array(chunks, pa.binary())


def _digests(table: pa.Table, columns: Iterable[tuple[str, str, FieldType]]) -> pa.Array:
    version = np.full(len(table), f"{HASH_VERSION}".encode())
    pieces: list[pa.Array | pa.Scalar] = [fixed_width(version)]
    between = b""  # constants that follow each other are one, which is joined in once
    for name, key, kind in columns:
        column = table[key].combine_chunks()
        if column.null_count == len(column):
            continue
        mark, text = _stable_text(kind, column)
        before = f"|{name}=".encode() + mark
        if column.null_count:  # a name goes with its value, or not at all
            said = pc.binary_join_element_wise(_constant(before), text, _constant(mark), _nothing())
            pieces += [_constant(between), said] if between else [said]
            between = b""
        else:
            pieces += [_constant(between + before), text]
            between = mark
    between += b"|"
    if "_geom" in table.column_names:
        shapes = table["_geom"].combine_chunks()
        if shapes.null_count:
            there = pc.if_else(shapes.is_valid(), _constant(PRESENT), _constant(ABSENT))
            pieces += [_constant(between), there, shapes]
        else:
            pieces += [_constant(between + PRESENT), shapes]
    else:
        pieces.append(_constant(between))
    ends, data = join(pieces)
    whole, sha = data.to_pybytes(), hashlib.sha256
    digests = [sha(whole[a:b]).digest() for a, b in itertools.pairwise(ends.tolist())]
    return fixed_width(np.frombuffer(b"".join(digests), _DIGEST))


def _stable_text(kind: FieldType, column: pa.Array) -> tuple[bytes, pa.Array]:
    """A column's values as they are hashed, and what stands before and after each of them."""
    if kind is FieldType.TEXT:
        if not any(_occurs(sign, column) for sign in (b"'", b"\\")):
            return b"'", column.cast(pa.binary())
        return b"", _quoted(column).cast(pa.binary())
    if kind is FieldType.NUMBER:
        texts = fixed_width(_hexadecimal(plain(column, pa.float64())))
        nothing = pa.scalar(None, pa.binary())
        return b"", pc.if_else(column.is_valid(), texts, nothing) if column.null_count else texts
    if kind is FieldType.DATE:
        column = column.cast(pa.int32())
    if kind is FieldType.INSTANT:
        column = column.cast(pa.int64())
    return b"", column.cast(pa.string()).cast(pa.binary())


def _occurs(sign: bytes, texts: pa.Array) -> bool:
    _, offsets, data = texts.buffers()
    if data is None:
        return False
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return sign in data[int(ends[0]) : int(ends[-1])].to_pybytes()


def _quoted(texts: pa.Array) -> pa.Array:
    """Texts as PostgreSQL's quote_literal has them."""
    escaped = pc.match_substring(texts, "\\")
    doubled = pc.replace_substring(pc.replace_substring(texts, "\\", "\\\\"), "'", "''")
    begin = pc.if_else(escaped, pa.scalar("E'"), pa.scalar("'"))
    return pc.binary_join_element_wise(begin, doubled, pa.scalar("'"), "")


def _hexadecimal(numbers: NDArray[np.float64]) -> NDArray[Any]:
    """The 16 digits of each number's bytes, the first byte first."""
    octets = numbers.astype(">f8").view(np.uint8).reshape(len(numbers), 8)
    return np.ascontiguousarray(_HEX[octets]).view("S16").reshape(len(numbers))


def _constant(value: bytes) -> pa.Scalar:
    return pa.scalar(value, pa.binary())
