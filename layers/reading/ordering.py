"""The order of a page, and which rows come after (or before) a key in it.

A row's key is its values of the properties sorted by, then its id and start: no two rows share one.
NULL is larger than any value, and text is ordered by code point, as the indexes are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from layers.errors import BadQuery
from layers.model import Field, FieldType
from layers.sorting import sort_key
from layers.tables import INSTANT, column_type

# Names of columns that carry the sorted values, where a page is to go on from them.
KEY = "_key_"
Key = tuple[Any, ...]
_LARGEST_SORT = 5


@dataclass(frozen=True, slots=True)
class Sort:
    """One property of an order."""

    name: str
    descending: bool = False


@dataclass(frozen=True)
class Order:
    """The order of a page's rows, ties broken by id and start.

    Parameters
    ----------
    sorts : sequence of Sort
    fields : mapping of str to Field
        The properties that there are.
    backwards : bool
        From the last to the first: the page before a key.
    """

    sorts: tuple[Sort, ...]
    fields: Mapping[str, Field]
    backwards: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns with the sorted values."""
        return tuple(f"{KEY}{n}" for n in range(len(self.sorts)))

    @property
    def directions(self) -> tuple[bool, ...]:
        """Whether each part of a key descends; id and start go with the last property."""
        last = self.sorts[-1].descending if self.sorts else False
        plain = (*(s.descending for s in self.sorts), last, last)
        return tuple(d != self.backwards for d in plain)

    def keys(self, columns: Mapping[str, Any]) -> list[Any]:
        """Return the sorted values as labelled columns."""
        named = zip(self.sorts, self.names, strict=True)
        return [sort_key(self.fields[s.name], columns[s.name]).label(n) for s, n in named]

    def by(self, columns: Any) -> list[sa.ColumnElement[Any]]:
        """Return what to order a select by, which has the columns of `keys`."""
        parts = [*(columns[name] for name in self.names), columns["_fid"], columns["_valid_from"]]
        return [
            column.desc() if descends else column.asc()
            for column, descends in zip(parts, self.directions, strict=True)
        ]

    def zones(
        self, columns: Mapping[str, Any], fid: Any, start: Any, key: Key
    ) -> list[sa.ColumnElement[bool]]:
        """Return conditions, of which one holds for each row after a key, and never two.

        They are several where NULL keeps one index scan from serving all.
        """
        values = self._literals(key)
        parts = [*self._compared(columns), fid, start]
        down = self.directions
        if len(set(down)) > 1 or len(self.sorts) > 1:
            return [_after(parts, values, key, down)]
        if not self.sorts:
            return [_row(parts, values, descending=down[0])]
        return _zones_of_one(parts, values, nothing=key[0] is None, descending=down[0])

    def _compared(self, columns: Mapping[str, Any]) -> list[Any]:
        return [sort_key(self.fields[s.name], columns[s.name]) for s in self.sorts]

    def _literals(self, key: Key) -> list[Any]:
        kinds = [column_type(self.fields[s.name]) for s in self.sorts]
        return [
            sa.literal(value, kind)
            for value, kind in zip(key, [*kinds, sa.Text(), INSTANT], strict=True)
        ]


def check_sorts(sorts: Sequence[Sort], sortable: Sequence[Field]) -> None:
    """Refuse an order that no index serves, or that names a property twice.

    Raises
    ------
    BadQuery
        With the properties that there are.
    """
    known = [f.id for f in sortable]
    for s in sorts:
        if s.name not in known:
            there = ", ".join(known) or "none"
            raise BadQuery(f"sortby: {s.name!r} is not sortable; sortables are: {there}")
    if len({s.name for s in sorts}) < len(sorts):
        raise BadQuery("sortby names a property twice")
    if len(sorts) > _LARGEST_SORT:
        raise BadQuery(f"sortby names {len(sorts)} properties; at most {_LARGEST_SORT} are taken")


def check_key(order: Order, key: Key) -> None:
    """Refuse a key that is none of this order.

    Raises
    ------
    BadQuery
    """
    kinds = [_KINDS[order.fields[s.name].type] for s in order.sorts]
    fits = len(key) == len(kinds) + 2 and isinstance(key[-2], str) and isinstance(key[-1], datetime)
    if not fits or not all(v is None or type(v) in k for v, k in zip(key, kinds, strict=False)):
        raise BadQuery("the token is of another order; follow a next or prev link as it is")


_KINDS: Mapping[FieldType, tuple[type, ...]] = {
    FieldType.TEXT: (str,),
    FieldType.INTEGER: (int,),
    FieldType.NUMBER: (int, float),
    FieldType.BOOLEAN: (bool,),
    FieldType.DATE: (date,),
    FieldType.INSTANT: (datetime,),
}


def _row(parts: Sequence[Any], values: Sequence[Any], *, descending: bool) -> Any:
    key, value = sa.tuple_(*parts), sa.tuple_(*values)
    return key < value if descending else key > value


def _zones_of_one(
    parts: Sequence[Any], values: Sequence[Any], *, nothing: bool, descending: bool
) -> list[sa.ColumnElement[bool]]:
    """One property: rows with a value by one comparison of rows, those without by another."""
    first, tie = parts[0], _row(parts[1:], values[1:], descending=descending)
    nulls = first.is_(None)
    if nothing:
        within = sa.and_(nulls, tie)
        return [within, first.is_not(None)] if descending else [within]
    beyond = _row(parts, values, descending=descending)
    return [beyond] if descending else [beyond, nulls]


def _after(
    parts: Sequence[Any], values: Sequence[Any], key: Key, descending: Sequence[bool]
) -> sa.ColumnElement[bool]:
    """The general case: equal in the first parts, and later in the next."""
    found: list[sa.ColumnElement[bool]] = []
    equal: list[sa.ColumnElement[bool]] = []
    for part, value, plain, down in zip(parts, values, key, descending, strict=True):
        found.append(sa.and_(*equal, _beyond(part, value, nothing=plain is None, down=down)))
        equal.append(part.is_(None) if plain is None else part == value)
    return sa.or_(*found)


def _beyond(part: Any, value: Any, *, nothing: bool, down: bool) -> Any:
    if nothing:
        return part.is_not(None) if down else sa.false()
    return part < value if down else sa.or_(part > value, part.is_(None))
