"""Arrays, which are sets: of literals, properties and what is made of them.

No field of a layer is an array; an array's elements are stated, or are fields of the feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from layers.errors import BadQuery
from layers.model import Layer
from layers.reading.cql2.comparisons import among, comparable
from layers.reading.cql2.expressions import Expression, Kind

_MOST_PAIRS = 500


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
    # Of sets it is so, or it is not so: the standard knows no third, as where an element has no
    # value.
    return sa.func.coalesce(_related(op, one.items, other.items, layer, said), sa.false())


def _related(
    op: str, a: Sequence[Expression], b: Sequence[Expression], layer: Layer, said: str
) -> Any:
    if op == "a_containedBy":
        a, b = b, a
    if op == "a_equals":
        ways = ((a, b), (b, a))
        return sa.and_(*(_related("a_contains", *way, layer, said) for way in ways))
    has = [_has(a, one, layer, said) for one in b]
    return sa.or_(sa.false(), *has) if op == "a_overlaps" else sa.and_(sa.true(), *has)


def _has(many: Sequence[Expression], one: Expression, layer: Layer, said: str) -> Any:
    """A set may have elements of several types; those of different types are never equal."""
    if one.kind is Kind.ARRAY:
        inner = (m.items for m in many if m.kind is Kind.ARRAY)
        return sa.or_(sa.false(), *(_related("a_equals", i, one.items, layer, said) for i in inner))
    return among(one, [m for m in many if comparable(m, one)], layer, said)


def _size(array: Expression) -> int:
    return sum(_size(i) if i.kind is Kind.ARRAY else 1 for i in array.items) or 1
