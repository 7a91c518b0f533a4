"""Comparisons of scalars: of the same type, or of numbers, or of times; else they are refused."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from layers.errors import BadQuery
from layers.model import Layer
from layers.reading.cql2 import times
from layers.reading.cql2.characters import beside, by_code_point
from layers.reading.cql2.expressions import NUMBERS, TIMES, Expression, Kind
from layers.sorting import LONGEST

_SIGNS: Mapping[str, Any] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_SCALAR = (Kind.TEXT, Kind.BOOLEAN, *NUMBERS, *TIMES)


def compare(op: str, left: Expression, right: Expression, layer: Layer, said: str) -> Any:
    """Return a comparison.

    Raises
    ------
    BadQuery
        Where the two are of types that can't be compared.
    """
    if not comparable(left, right):
        remedy = _remedy(left, right)
        raise BadQuery(f"filter: {said}: {left.told}, {right.told}{remedy}")
    if left.kind in NUMBERS:
        return _compare_numbers(op, left, right)
    if left.kind is not right.kind:
        return _SIGNS[op](times.as_instant(left, layer), times.as_instant(right, layer))
    if left.kind is Kind.TEXT:
        return _compare_texts(op, left, right)
    if left.kind is Kind.BOOLEAN:
        return _compare_truths(op, left, right)
    return _SIGNS[op](left.sql, right.sql)


def comparable(left: Expression, right: Expression) -> bool:
    """Tell whether two expressions can be compared."""
    if left.kind not in _SCALAR or right.kind not in _SCALAR:
        return False
    families = (NUMBERS, TIMES)
    both = (left.kind, right.kind)
    return left.kind is right.kind or any(all(k in f for k in both) for f in families)


def between(
    one: Expression, low: Expression, high: Expression, layer: Layer, said: str
) -> sa.ColumnElement[bool]:
    """Return the condition that a value lies between two others, both included.

    Raises
    ------
    BadQuery
        Where they can't be compared, or have no order.
    """
    if one.kind is Kind.BOOLEAN:
        raise BadQuery(f"filter: {said}: {one.told}, which has no between")
    return sa.and_(compare(">=", one, low, layer, said), compare("<=", one, high, layer, said))


def among(
    one: Expression, many: Sequence[Expression], layer: Layer, said: str
) -> sa.ColumnElement[bool]:
    """Return the condition that a value is one of a list; each of them stands there once.

    Raises
    ------
    BadQuery
        Where one can't be compared with the value, or is a condition.
    """
    for item in (one, *many):
        if item.kind is Kind.BOOLEAN and not item.is_simple:
            raise BadQuery(f"filter: {said}: {item.said} is a condition, and no value of a list")
    if not many:
        return sa.false()
    for item in many:
        compare("=", one, item, layer, said)
    value, *values = _alike((one, *many), layer)
    found: sa.ColumnElement[bool] = value.in_(values)
    return found


def _alike(items: Sequence[Expression], layer: Layer) -> list[Any]:
    """Comparable values as SQL of one type; the first of them is compared with the others."""
    one, many = items[0], items[1:]
    if one.kind is Kind.TEXT:
        by_key = one.key is not None and all(_is_short(m) for m in many)
        first = one.key if by_key else by_code_point(one.sql)
        return [first, *(beside(m) for m in many)]
    if one.kind is Kind.BOOLEAN:
        return [sa.cast(item.sql, sa.Boolean) for item in items]
    kinds = {item.kind for item in items}
    if kinds <= set(TIMES) and len(kinds) > 1:
        return [times.as_instant(item, layer) for item in items]
    if one.kind is Kind.NUMBER and all(m.value is not None for m in many):
        return [one.sql, *(sa.literal(float(m.value), sa.Double) for m in many)]
    if kinds & set(NUMBERS) and kinds != {Kind.INTEGER}:
        return [_exact(item) for item in items]
    return [item.sql for item in items]


def _compare_numbers(op: str, left: Expression, right: Expression) -> Any:
    """The side that is a column stays as it is, so that its index can serve."""
    if left.value is not None and right.value is None:
        return _compare_numbers(_TURNED.get(op, op), right, left)
    if left.kind is Kind.INTEGER and isinstance(right.value, Decimal):
        op, right_sql = _rounded(op, right.value)
        return _SIGNS[op](left.sql, right_sql)
    if left.kind is Kind.NUMBER and right.value is not None:
        return _SIGNS[op](left.sql, sa.literal(float(right.value), sa.Double))
    if Kind.DECIMAL in (left.kind, right.kind):
        return _SIGNS[op](_exact(left), _exact(right))
    return _SIGNS[op](left.sql, right.sql)


def _compare_texts(op: str, left: Expression, right: Expression) -> Any:
    """A sortable property is compared by what its index has, where that says as much."""
    if left.value is not None and right.value is None:
        return _compare_texts(_TURNED.get(op, op), right, left)
    if left.key is not None and _is_short(right):
        return _SIGNS[op](left.key, right.sql)
    return _SIGNS[op](by_code_point(left.sql), beside(right))


def _is_short(side: Expression) -> bool:
    """Whether it is a text that says against the beginning of another what it says against all."""
    return side.value is not None and len(side.value) < LONGEST


def _compare_truths(op: str, left: Expression, right: Expression) -> Any:
    """False is less than true. Without the casts SQLAlchemy would write ``a = b = c``."""
    one, other = sa.cast(left.sql, sa.Boolean), sa.cast(right.sql, sa.Boolean)
    return one.op(op, is_comparison=True)(other)


def _exact(side: Expression) -> Any:
    return side.sql if side.kind is Kind.DECIMAL else sa.cast(side.sql, sa.Numeric)


def _rounded(op: str, value: Decimal) -> tuple[str, Any]:
    """A comparison of an integer with what is none, as one with an integer where there is one."""
    whole = math.floor(value) if op in ("<=", ">") else math.ceil(value)
    if op in ("=", "<>") or not -(2**63) <= whole < 2**63:
        return op, sa.literal(value, sa.Numeric)
    return op, sa.literal(whole, sa.BigInteger)


def _plain(side: Expression) -> bool:
    return side.value is not None


def _remedy(left: Expression, right: Expression) -> str:
    kinds = {left.kind, right.kind}
    if Kind.TEXT in kinds and kinds & set(TIMES):
        return "; write DATE('2014-06-01') or TIMESTAMP('2014-06-01T00:00:00Z')"
    if Kind.TEXT in kinds and kinds & set(NUMBERS):
        return "; a number has no quotes"
    if Kind.GEOMETRY in kinds:
        return "; geometries are related by S_INTERSECTS and its like"
    if Kind.INTERVAL in kinds:
        return "; intervals are related by T_INTERSECTS and its like"
    return "; these can't be compared"
