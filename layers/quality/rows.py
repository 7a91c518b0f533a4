"""Staged rows as arrays: shapes, and the fields that rules look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import shapely
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from layers.model import Field, FieldType
from layers.rows.columns import ARROW_TYPES
from layers.rows.copied import decode, without_frame
from layers.writing.staging import Stage

BATCH_ROWS = 1 << 15
_NUMBERS = (FieldType.INTEGER, FieldType.NUMBER)


@dataclass(frozen=True)
class Staged:
    """Some staged rows.

    Attributes
    ----------
    numbers : ndarray of int64, shape (n,)
        Theirs in the source, from 1.
    keys : ndarray of object, shape (n,)
        Ids of their features.
    starts : ndarray of int64, shape (n,)
        Of their periods, in microseconds since 1970.
    ended : ndarray of bool, shape (n,)
        Whether a period has an end of its own.
    shapes : ndarray of Geometry, shape (n,)
        In the layer's system.
    values : mapping of str to ndarray, shape (n,)
        By field: of float64 where it is of numbers, else of object.
    """

    numbers: NDArray[np.int64]
    keys: NDArray[np.object_]
    starts: NDArray[np.int64]
    ended: NDArray[np.bool_]
    shapes: NDArray[np.object_]
    values: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.numbers)

    def only(self, kept: NDArray[Any]) -> Staged:
        """Return those of a mask, or of an order."""
        return Staged(
            self.numbers[kept],
            self.keys[kept],
            self.starts[kept],
            self.ended[kept],
            self.shapes[kept],
            {name: array[kept] for name, array in self.values.items()},
        )

    def newest(self) -> Staged:
        """Return the last row of each feature, where it goes on: what lies beside each other."""
        of = pd.factorize(self.keys)[0]
        order = np.lexsort((self.numbers, self.starts, of))
        last = order[np.append(of[order][1:] != of[order][:-1], True)] if len(of) else order
        return self.only(np.sort(last[~self.ended[last]]))


def read_staged(connection: Connection, stage: Stage, names: Sequence[str]) -> Iterator[Staged]:
    """Yield the staged rows with these fields, about in the order of the source."""
    raw, schema = stage.raw.c, stage.schema
    shape: Any = sa.func.ST_AsBinary(raw._geom)
    query = sa.select(raw._row, raw._key, raw._s, raw._e, shape, *(raw[n] for n in names))
    fields = [f for f in map(schema.find, names) if f is not None]
    instant = ARROW_TYPES[FieldType.INSTANT]
    kinds = [pa.int64(), pa.string(), instant, instant, pa.binary()]
    kinds += [ARROW_TYPES[f.type] for f in fields]
    # Nothing is bound in it: COPY would take no values beside it.
    text = f"COPY ({query.compile(dialect=connection.dialect)}) TO STDOUT (FORMAT BINARY)"
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(text) as copy:
        for rows in without_frame(_parts(copy)):
            yield _staged(fields, decode(rows, kinds))


def _parts(messages: Iterable[Any]) -> Iterator[list[Any]]:
    coming = iter(messages)
    while part := list(islice(coming, BATCH_ROWS)):
        yield part


def joined(parts: Sequence[Staged]) -> Staged:
    """Return several runs of rows as one."""
    return Staged(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.starts for part in parts]),
        np.concatenate([part.ended for part in parts]),
        np.concatenate([part.shapes for part in parts]),
        {n: np.concatenate([part.values[n] for part in parts]) for n in parts[0].values},
    )


def _staged(fields: Sequence[Field], columns: Sequence[pa.Array]) -> Staged:
    numbers, keys, starts, ends, wkb = columns[:5]
    found = Staged(
        numbers.to_numpy(),
        keys.to_numpy(zero_copy_only=False),
        starts.cast(pa.int64()).fill_null(0).to_numpy(),
        ends.is_valid().to_numpy(zero_copy_only=False),
        shapely.from_wkb(wkb.to_numpy(zero_copy_only=False)),
        {f.id: _array(f, column) for f, column in zip(fields, columns[5:], strict=True)},
    )
    return found.only(np.argsort(found.numbers, kind="stable"))


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
