"""Staged rows as arrays: shapes, and the fields that rules look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from layers.model import Field, FieldType, Schema
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
    starts, ends : ndarray of object, shape (n,)
        Datetimes of their periods; None where a period has no end of its own.
    shapes : ndarray of Geometry, shape (n,)
        In the layer's system.
    values : mapping of str to ndarray, shape (n,)
        By field: of float64 where it is of numbers, else of object.
    """

    numbers: NDArray[np.int64]
    keys: NDArray[np.object_]
    starts: NDArray[np.object_]
    ends: NDArray[np.object_]
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
            self.ends[kept],
            self.shapes[kept],
            {name: array[kept] for name, array in self.values.items()},
        )

    def newest(self) -> Staged:
        """Return the last row of each feature, where it goes on: what lies beside each other."""
        frame = pd.DataFrame({"key": self.keys, "start": self.starts, "row": self.numbers})
        frame = frame.sort_values(["start", "row"], kind="stable")
        last = frame.drop_duplicates("key", keep="last").index.to_numpy()
        order = last[np.argsort(self.numbers[last], kind="stable")]
        return self.only(order[pd.isna(self.ends[order])])


def read_staged(connection: Connection, stage: Stage, names: Sequence[str]) -> Iterator[Staged]:
    """Yield the staged rows in the order of the source, with these fields."""
    raw, schema = stage.raw.c, stage.schema
    shape: Any = sa.func.ST_AsBinary(raw._geom, type_=sa.LargeBinary)
    query = sa.select(raw._row, raw._key, raw._s, raw._e, shape, *(raw[n] for n in names))
    query = query.order_by(raw._row)
    # Of the statement alone: as the connection's own, options would hold for all that follows.
    with connection.execute(query, execution_options={"yield_per": BATCH_ROWS}) as found:
        for rows in found.partitions():
            yield _staged(schema, names, list(zip(*rows, strict=True)))


def joined(parts: Sequence[Staged]) -> Staged:
    """Return several runs of rows as one."""
    return Staged(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.starts for part in parts]),
        np.concatenate([part.ends for part in parts]),
        np.concatenate([part.shapes for part in parts]),
        {n: np.concatenate([part.values[n] for part in parts]) for n in parts[0].values},
    )


def _staged(schema: Schema, names: Sequence[str], columns: Sequence[Sequence[Any]]) -> Staged:
    numbers, *others = columns
    keys, starts, ends, wkb = (_objects(column) for column in others[:4])
    return Staged(
        np.array(numbers, dtype=np.int64),
        keys,
        starts,
        ends,
        shapely.from_wkb(wkb),
        {
            name: values_of(schema.find(name), column)
            for name, column in zip(names, others[4:], strict=True)
        },
    )


def values_of(f: Field | None, column: Sequence[Any]) -> NDArray[Any]:
    """Return a column as an array: of float64 where its field is of numbers, else of object."""
    if f is not None and f.type in _NUMBERS:
        return np.array(column, dtype=np.float64)
    return _objects(column)


def _objects(column: Sequence[Any]) -> NDArray[np.object_]:
    made = np.empty(len(column), dtype=object)
    made[:] = column
    return made
