"""Arrays, which are sets: of literals, properties and what is made of them.

No field of a layer is an array; an array's elements are stated, or are fields of the feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from layers.errors import BadQuery
from layers.model import Layer
from layers.reading.cql2.comparisons import comparable, compare
from layers.reading.cql2.expressions import Expression, Kind

_MOST_PAIRS = 2_000


def relate_sets(op: str, one: Expression, other: Expression, layer: Layer, said: str) -> Any:
    """Return the condition that two sets lie so.

    Raises
    ------
    BadQuery
        Where one is no array, or they are too large to be compared.
    """
    for operand in (one, other):
        if operand.kind is not Kind.ARRAY:
            raise BadQuery(
                f"filter: {said}: {op.upper()} is for arrays, as ('a', 'b'); {operand.told}"
            )
    if _size(one) * _size(other) > _MOST_PAIRS:
        raise BadQuery(f"filter: {said}: arrays of more than {_MOST_PAIRS} pairs; ask less")
    return _related(op, one.items, other.items, layer, said)


def _related(
    op: str, a: Sequence[Expression], b: Sequence[Expression], layer: Layer, said: str
) -> Any:
    if op == "a_containedBy":
        a, b = b, a
    if op == "a_equals":
        ways = ((a, b), (b, a))
        return sa.and_(*(_related("a_contains", *way, layer, said) for way in ways))
    has = [sa.or_(sa.false(), *(_equal(x, y, layer, said) for x in a)) for y in b]
    return sa.or_(sa.false(), *has) if op == "a_overlaps" else sa.and_(sa.true(), *has)


def _equal(x: Expression, y: Expression, layer: Layer, said: str) -> Any:
    if x.kind is Kind.ARRAY and y.kind is Kind.ARRAY:
        return _related("a_equals", x.items, y.items, layer, said)
    # A set may have elements of several types; those of different types are never equal.
    return compare("=", x, y, layer, said) if comparable(x, y) else sa.false()


def _size(array: Expression) -> int:
    return sum(_size(i) if i.kind is Kind.ARRAY else 1 for i in array.items) or 1
