"""Staged rows as arrays: shapes, and the fields that rules look at."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from layers.model import Field, FieldType
from layers.quality.strips import BATCH_ROWS, Strips
from layers.reading.streams import Patience, receive
from layers.rows.columns import ARROW_TYPES
from layers.rows.copied import decode
from layers.writing.staging import Stage

_NUMBERS = (FieldType.INTEGER, FieldType.NUMBER)


@dataclass(frozen=True)
class Staged:
    """Some staged rows.

    Attributes
    ----------
    numbers : ndarray of int64, shape (n,)
        Theirs in the source, from 1.
    newest : ndarray of bool, shape (n,)
        Whether it is the last row of its feature, and goes on: what lies beside each other.
    strips : ndarray of int64, shape (n,)
        The first strip that each lies in.
    shapes : ndarray of Geometry, shape (n,)
        In the layer's system.
    values : mapping of str to ndarray, shape (n,)
        By field: of float64 where it is of numbers, else of object.
    strip : int
        The strip that they are read for: rows of earlier ones were there before.
    """

    numbers: NDArray[np.int64]
    newest: NDArray[np.bool_]
    strips: NDArray[np.int64]
    shapes: NDArray[np.object_]
    values: dict[str, NDArray[Any]]
    strip: int = 0

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def own(self) -> Staged:
        """The rows that were in no strip before."""
        mine = self.strips == self.strip
        return self if mine.all() else self.only(mine)

    @property
    def current(self) -> Staged:
        """The newest rows."""
        return self if self.newest.all() else self.only(self.newest)

    def batches(self) -> Iterator[Staged]:
        """Yield the rows, so many at a time that what is made of them takes little memory."""
        for start in range(0, len(self), BATCH_ROWS):
            yield self.only(slice(start, start + BATCH_ROWS))

    def only(self, kept: NDArray[Any] | slice) -> Staged:
        """Return those of a mask, of an order, or of a run."""
        return Staged(
            self.numbers[kept],
            self.newest[kept],
            self.strips[kept],
            self.shapes[kept],
            {name: array[kept] for name, array in self.values.items()},
            self.strip,
        )


def read_staged(
    connection: Connection, stage: Stage, names: Sequence[str], strips: Strips
) -> Generator[Staged]:
    """Yield the staged rows with these fields, strip by strip.

    A row comes with each strip that it lies in. A strip comes in parts, about in the order of
    the source.
    """
    raw, schema = stage.raw.c, stage.schema
    first, last = (sa.cast(strip, sa.BigInteger) for strip in strips.columns(stage))
    shape: Any = sa.func.ST_AsBinary(raw._geom)
    query = sa.select(raw._row, _newest(stage), first.label("first"), shape)
    query = query.add_columns(*(raw[n] for n in names), last.label("strip"))
    if strips.cuts:
        placed = query.subquery("placed")
        columns = list(placed.c)[:-1]
        strip: Any = sa.func.generate_series(placed.c.first, placed.c.strip).column_valued("at")
        query = sa.select(*columns, strip).order_by(strip)
    fields = [f for f in map(schema.find, names) if f is not None]
    kinds = [pa.int64(), pa.bool_(), pa.int64(), pa.binary()]
    kinds += [*(ARROW_TYPES[f.type] for f in fields), pa.int64()]
    for rows in receive(connection, query, Patience(), strips.batch):
        yield from _staged(fields, decode(rows, kinds))


def _newest(stage: Stage) -> Any:
    raw = stage.raw.c
    goes_on = raw._e.is_(None)
    if stage.single:
        return goes_on
    start: Any = sa.func.coalesce(raw._s, sa.literal_column("'-infinity'::timestamptz"))
    order = (start.desc(), raw._row.desc())
    place: Any = sa.func.row_number().over(partition_by=raw._key, order_by=order)
    return sa.and_(place == sa.literal_column("1"), goes_on)


def joined(parts: Sequence[Staged]) -> Staged:
    """Return several runs of rows of one strip as one, in the order of the source."""
    if len(parts) == 1:
        return parts[0]
    found = Staged(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.newest for part in parts]),
        np.concatenate([part.strips for part in parts]),
        np.concatenate([part.shapes for part in parts]),
        {n: np.concatenate([part.values[n] for part in parts]) for n in parts[0].values},
        parts[0].strip,
    )
    return found.only(np.argsort(found.numbers, kind="stable"))


def _staged(fields: Sequence[Field], columns: Sequence[pa.Array]) -> Iterator[Staged]:
    """Yield rows in their order, those of each strip by themselves."""
    numbers, newest, firsts, wkb, *columns, strips = columns
    found = Staged(
        numbers.to_numpy(),
        newest.to_numpy(zero_copy_only=False),
        firsts.to_numpy(),
        shapely.from_wkb(wkb.to_numpy(zero_copy_only=False)),
        {f.id: _array(f, column) for f, column in zip(fields, columns, strict=True)},
    )
    of = strips.to_numpy()
    for strip in np.unique(of).tolist() or [0]:
        rows = np.flatnonzero(of == strip)
        rows = rows[np.argsort(found.numbers[rows], kind="stable")]
        yield replace(found.only(rows), strip=strip)


def _array(f: Field, column: pa.Array) -> NDArray[Any]:
    if f.type in _NUMBERS:
        numbers: NDArray[Any] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return numbers
    return values_of(f, column.to_pylist())


def values_of(f: Field | None, column: Sequence[Any]) -> NDArray[Any]:
    """Return a column as an array: of float64 where its field is of numbers, else of object."""
    if f is not None and f.type in _NUMBERS:
        return np.array(column, dtype=np.float64)
    return _objects(column)


def _objects(column: Sequence[Any]) -> NDArray[np.object_]:
    made = np.empty(len(column), dtype=object)
    made[:] = column
    return made
