"""What a layer believes now about every time, and the part of it that a scope names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from layers.model import OPEN_REVISION, Schema
from layers.tables import (
    Family,
    column_type,
)


def believed(family: Family, names: Iterable[str]) -> sa.CompoundSelect[Any]:
    """Select what is believed now about every time: the live rows, and the past of the world."""
    live, history = family.live.c, family.history.c
    names = tuple(names)
    return sa.union_all(
        sa.select(*(live[n] for n in names)),
        sa.select(*(history[n] for n in names)).where(history._rev_to == OPEN_REVISION),
    )


def scope_condition(
    columns: sa.ColumnCollection[Any, Any] | Any, schema: Schema, scope: Mapping[str, str]
) -> sa.ColumnElement[bool]:
    """Return the condition that a row lies in a scope (equality on each of its fields)."""
    conditions = []
    for name, value in scope.items():
        f = schema.find(name)
        assert f is not None  # noqa: S101 - the scope was checked
        conditions.append(columns[name].is_not_distinct_from(sa.cast(value, column_type(f))))
    return sa.and_(sa.true(), *conditions)
