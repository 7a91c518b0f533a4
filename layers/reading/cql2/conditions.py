"""From a filter to its condition in SQL: one walk, in which every part has its type.

Every literal is a bound parameter. What can't be is refused before the database sees it, and no
condition that is made here can fail there: division by zero and what is too large are NULL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from pyproj import CRS

from layers.errors import BadQuery
from layers.model import Field, Layer
from layers.reading.boxes import LONLAT
from layers.reading.cql2 import (
    arithmetic,
    arrays,
    characters,
    comparisons,
    drafts,
    functions,
    shapes,
    times,
)
from layers.reading.cql2.expressions import KINDS, Expression, Kind, number, say
from layers.reading.cql2.filter import ARRAYS, SPATIAL, TEMPORAL, Filter
from layers.sorting import beginning

GEOMETRY = "geometry"
_COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
_CALCULATIONS = ("+", "-", "*", "/", "%", "div", "^")
_PREDICATES = (
    *("and", "or", "not", "between", "in", "like", "isNull", *_COMPARISONS),
    *(*SPATIAL, *TEMPORAL, *ARRAYS),
)


def condition(
    filter: Filter,  # noqa: A002 - its name in the standard
    columns: Mapping[str, Any],
    layer: Layer,
    fields: Sequence[Field],
    crs: CRS = LONLAT,
) -> sa.ColumnElement[bool]:
    """Return a filter as a condition on columns.

    Parameters
    ----------
    columns : mapping of str to column expression
        By ids of fields, and ``geometry`` (also known as ``geom``, where no field is called so).
    fields : sequence of Field
        Those that the reader sees: there are no others.
    crs : CRS
        Of the filter's geometries, in the order of axes of its authority.

    Raises
    ------
    BadQuery
        For a property or function that there is not, or operands that do not fit.
    """
    kinds = {f.id: KINDS[f.type] for f in fields}
    sortable = frozenset(f.id for f in layer.schema.sortables)
    walk = _Walk(columns, kinds, layer, crs, filter.loose, sortable)
    return walk.truth(filter.tree)


@dataclass(frozen=True, slots=True)
class _Walk:
    """What all parts of one filter share."""

    columns: Mapping[str, Any]
    kinds: Mapping[str, Kind]
    layer: Layer
    crs: CRS
    loose: bool
    sortable: frozenset[str]

    def truth(self, node: Any) -> sa.ColumnElement[bool]:
        """Return a part that must be true or false."""
        found = self.expression(node)
        if found.kind is not Kind.BOOLEAN:
            raise BadQuery(f"filter: {found.told}, and no condition")
        sql: sa.ColumnElement[bool] = found.sql
        return sql

    def expression(self, node: Any) -> Expression:
        """Return any part, with its type."""
        said = say(node)
        if isinstance(node, bool):
            return Expression(Kind.BOOLEAN, said, sa.true() if node else sa.false(), node)
        if isinstance(node, str):
            return characters.text(node, said)
        if isinstance(node, int | float):
            return number(node if isinstance(node, int) else Decimal(repr(node)), said)
        if isinstance(node, list):
            items = tuple(self.expression(item) for item in node)
            return Expression(Kind.ARRAY, said, items=items)
        if "op" in node:
            return self._operation(node["op"], node["args"], said)
        return self._thing(node, said)

    def _thing(self, node: Mapping[str, Any], said: str) -> Expression:
        if "property" in node:
            return self._property(node["property"])
        if "date" in node:
            return times.day(node["date"], said)
        if "timestamp" in node:
            return times.instant(node["timestamp"], said)
        if "interval" in node:
            start, end = (self._end(bound) for bound in node["interval"])
            return times.interval(start, end, said)
        if "bbox" in node:
            return shapes.bbox(node["bbox"], self.layer, self.crs, said)
        return shapes.geometry(node, self.layer, self.crs, said)

    def _end(self, node: Any) -> Expression:
        return times.end(node, say(node)) if isinstance(node, str) else self.expression(node)

    def _property(self, name: str) -> Expression:
        if name in self.kinds:
            kind, column = self.kinds[name], self.columns[name]
            key = beginning(column) if kind is Kind.TEXT and name in self.sortable else None
            return Expression(kind, name, column, is_property=True, key=key)
        if name in (GEOMETRY, "geom") and GEOMETRY in self.columns:
            return Expression(Kind.GEOMETRY, name, self.columns[GEOMETRY], is_property=True)
        known = ", ".join(self.columns)
        raise BadQuery(
            f"filter: there is no parameter or property {name[:80]!r}; properties are: {known}"
        )

    def _operation(self, op: str, args: Sequence[Any], said: str) -> Expression:
        if op in _PREDICATES:
            return Expression(Kind.BOOLEAN, said, self._predicate(op, args, said))
        values = [self.expression(arg) for arg in args]
        if op in _CALCULATIONS:
            return arithmetic.calculate(op, values[0], values[1], said)
        if op in ("casei", "accenti"):
            return characters.fold(op, values[0], said)
        return functions.call(op, values, self.layer, said)

    def _predicate(self, op: str, args: Sequence[Any], said: str) -> Any:
        if op in ("and", "or"):
            joined = sa.and_ if op == "and" else sa.or_
            return joined(*(self.truth(arg) for arg in args))
        if op == "not":
            return sa.not_(self.truth(args[0]))
        if op == "like":
            characters.check_pattern(args[1], said)
        values = [self.expression(arg) for arg in args]
        if op == "isNull":
            return _is_null(values[0], said)
        return self._related(op, values, said)

    def _related(self, op: str, values: Sequence[Expression], said: str) -> Any:
        layer, one, other = self.layer, values[0], values[1]
        if op in _COMPARISONS:
            if self.loose:
                one, other = drafts.fit(one, other), drafts.fit(other, one)
            return comparisons.compare(op, one, other, layer, said)
        if op == "between":
            return comparisons.between(one, other, values[2], layer, said)
        if op == "in":
            return comparisons.among(one, other.items, layer, said)
        if op == "like":
            return characters.like(one, other, said)
        if op in SPATIAL:
            return shapes.relate(op, one, other, said)
        if op in TEMPORAL:
            return times.relate(op, one, other, layer, said)
        return arrays.relate_sets(op, one, other, layer, said)


def _is_null(value: Expression, said: str) -> Any:
    if value.kind is Kind.INTERVAL:
        # It has no value where a property is its end, and has none.
        return sa.or_(
            sa.false(), *(end.sql.is_(None) for end in value.items if end.sql is not None)
        )
    if value.sql is None:
        raise BadQuery(f"filter: {said}: {value.told}, which is never null")
    asked = sa.cast(value.sql, sa.Boolean) if value.kind is Kind.BOOLEAN else value.sql
    return asked.is_(None)
