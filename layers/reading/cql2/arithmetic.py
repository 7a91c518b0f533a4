"""Arithmetic: decimal, and never an error: what has no result, or too large a one, is NULL.

Numbers of the data are taken with 15 digits (0.1 + 0.2 = 0.3), and results up to 1e100 with 100
decimal places. What is made of literals only is worked out here, so that an index can serve it.
"""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from layers.errors import BadQuery
from layers.reading.cql2.expressions import NUMBERS, Expression, Kind, number

_BOUND = Decimal("1e100")
_PLACES = 100
# PostgreSQL works out powers of whole numbers by multiplying, others by logarithms up to 10^2614.
_LARGEST_EXPONENT, _LARGEST_ROOT = 100, 25
# Smaller than any number that is left after rounding, and than nothing else.
_NEGATIVE = Decimal("-1e-101")
_CONTEXT = decimal.Context(prec=60, traps=[])


def calculate(op: str, left: Expression, right: Expression, said: str) -> Expression:
    """Return the result of an operator.

    Raises
    ------
    BadQuery
        Where an operand is no number, or both base and exponent are properties.
    """
    for operand in (left, right):
        if operand.kind not in NUMBERS:
            raise BadQuery(f"filter: {said}: {op} is for numbers; {operand.told}")
    if left.value is not None and right.value is not None:
        return _constant(op, Decimal(left.value), Decimal(right.value), said)
    a, b = decimals(left), decimals(right)
    made: Any
    if op in ("+", "-"):
        # As many as a filter can have are not too large for the next step, which is bounded.
        made = a + b if op == "+" else a - b
        return Expression(Kind.DECIMAL, said, sa.type_coerce(made, sa.Numeric))
    if op == "*":
        made = a * b
    elif op == "^":
        made = _power(a, b, left.value, right.value, said)
    else:
        made = _divided(op, a, sa.func.nullif(b, 0, type_=sa.Numeric))
    return Expression(Kind.DECIMAL, said, bounded(sa.type_coerce(made, sa.Numeric)))


def decimals(operand: Expression) -> Any:
    """Return a number as one to calculate with."""
    if operand.value is not None:
        return sa.literal(Decimal(operand.value), sa.Numeric)
    if operand.kind is Kind.DECIMAL:
        return operand.sql
    cast = sa.cast(operand.sql, sa.Numeric)
    return cast if operand.kind is Kind.INTEGER else bounded(cast)


def bounded(value: Any) -> Any:
    """Return a number, NULL where it is infinite, none, or too large; `value` stands there once."""
    return sa.func.round(_within(value, _BOUND), _PLACES, type_=sa.Numeric)


def _divided(op: str, a: Any, b: Any) -> Any:
    if op == "div":
        return sa.func.div(a, b)
    return a % b if op == "%" else a / b


def _power(a: Any, b: Any, base: Any, exponent: Any, said: str) -> Any:
    """The one of both that is a literal says for which values of the other there is a power."""
    if exponent is not None:
        whole = exponent == int(exponent)
        largest = _LARGEST_EXPONENT if whole else _LARGEST_ROOT
        if abs(exponent) > largest:
            raise BadQuery(f"filter: {said}: an exponent is at most {largest}")
        if exponent < 0:
            a = sa.func.nullif(a, 0)
        if not whole:
            a = sa.func.nullif(sa.func.greatest(a, _NEGATIVE), _NEGATIVE)
        return sa.func.power(a, b)
    if base is None or not 1 / _BOUND < base < _BOUND:
        raise BadQuery(f"filter: {said}: the base or the exponent is a number above 0; state it")
    return sa.func.power(a, _within(b, Decimal(_LARGEST_ROOT)))


def _within(value: Any, bound: Decimal) -> Any:
    """Return a number, NULL where it is as large as the bound; `value` stands there once."""
    least = sa.func.least(sa.func.greatest(value, -bound), bound)
    return sa.func.nullif(sa.func.nullif(least, bound), -bound)


def _constant(op: str, a: Decimal, b: Decimal, said: str) -> Expression:
    with decimal.localcontext(_CONTEXT):
        result = _result(op, a, b)
        if not result.is_finite() or abs(result) >= _BOUND:
            return Expression(Kind.DECIMAL, said, sa.cast(sa.null(), sa.Numeric))
    with decimal.localcontext(prec=3 * _PLACES):
        return number(round(result, _PLACES).normalize(), said)


def _result(op: str, a: Decimal, b: Decimal) -> Decimal:
    if op == "+":
        return a + b
    if op == "-":
        return a - b
    if op == "*":
        return a * b
    if op == "^":
        # Decimal has no 0 ^ 0, which is 1 to PostgreSQL.
        small = abs(b) <= _LARGEST_EXPONENT
        return Decimal(1) if not b else a**b if small else Decimal("NaN")
    if not b:
        return Decimal("NaN")
    if op == "/":
        return a / b
    return _whole(a / b) if op == "div" else a - b * _whole(a / b)


def _whole(value: Decimal) -> Decimal:
    return value.to_integral_value(decimal.ROUND_DOWN)
