"""Rows that a layer holds already, told by their hashes before anything else is done with them.

Most rows of a source that is published again are as they were. Their shapes were read, checked and
found sound when they were first published: they need not be once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from layers.batches import Batch, decode
from layers.rows.columns import DEFAULT_REMEDIES, Conversion
from layers.rows.hashes import with_hashes
from layers.rows.wkb import ready_wkb
from layers.tables import Family, LayerTables

_PREFIX_BYTES = 8


@dataclass(frozen=True)
class KnownHashes:
    """The beginnings of the hashes of a layer's rows, in order: 40 MB for five million."""

    prefixes: NDArray[np.uint64]

    def hold(self, hashes: pa.Array) -> NDArray[np.bool_]:
        """Tell of each hash whether a row of the layer has it.

        By eight bytes of each: among five million rows one in 10^12 is taken for known wrongly.
        What is written is decided by whole hashes, in the database.

        Examples
        --------
        >>> known = KnownHashes(np.array([0x4141414141414141], np.uint64))
        >>> known.hold(pa.array([b"A" * 32, b"B" * 32])).tolist()
        [True, False]
        """
        sought = _prefixes(b"".join(h[:_PREFIX_BYTES] for h in hashes.to_pylist()))
        if not self.prefixes.size:
            return np.zeros(len(sought), dtype=bool)
        places = np.searchsorted(self.prefixes, sought)
        found: NDArray[np.bool_] = self.prefixes[places.clip(max=self.prefixes.size - 1)] == sought
        return found


def read_known(connection: Connection, family: Family) -> KnownHashes:
    """Read what the live rows of a family hold, in as few rows as there are first bytes."""
    hashed = family.live.c._hash
    first: Any = sa.func.get_byte(hashed, 0)
    beginnings = sa.func.string_agg(sa.func.substr(hashed, 1, _PREFIX_BYTES), sa.literal(b""))
    query = sa.select(beginnings).group_by(first).order_by(first)
    # A few parts at a time: the answer is as large as what is kept of it.
    query = query.execution_options(stream_results=True, max_row_buffer=4)
    parts = [np.sort(_prefixes(part)) for part in connection.scalars(query)]
    return KnownHashes(np.concatenate([np.empty(0, np.uint64), *parts]))


def hashed_rows(
    conversion: Conversion, batch: Batch, tables: LayerTables, known: KnownHashes | None
) -> pa.Table:
    """Return a batch as the stage has it, with hashes.

    Parameters
    ----------
    known : KnownHashes or None
        Rows that it holds are taken as they came.

    Returns
    -------
    pyarrow.Table
        The rows in any order; ``_row`` is the number of each.
    """
    # What a remedy is for may be in the layer from before it was chosen.
    anew = conversion.remedies - DEFAULT_REMEDIES
    if known is None or batch.wkb is None or not conversion.keeps_coordinates or anew:
        return with_hashes(conversion.table(batch), tables)
    rows = conversion.attributes(batch)
    all_sound = np.ones(len(batch), dtype=bool)
    as_they_came = ready_wkb(batch.wkb, conversion.schema.geometry, all_sound)
    guess = with_hashes(rows.append_column("_geom", as_they_came), tables)
    same = known.hold(guess["_hash"].combine_chunks())
    same &= as_they_came.is_valid().to_numpy(zero_copy_only=False)
    if same.all():
        return guess
    others = pa.array(~same)
    rest, wkb = rows.filter(others), batch.wkb.filter(others)
    numbers = rest["_row"].to_numpy()
    told = frozenset(row for row, _ in batch.repaired)
    shapes = conversion.shapes(decode(wkb, numbers), wkb, numbers, told)
    rest = with_hashes(rest.append_column("_geom", shapes), tables)
    return pa.concat_tables([guess.filter(pa.array(same)), rest]) if same.any() else rest


def _prefixes(data: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(data, ">u8").astype(np.uint64)
