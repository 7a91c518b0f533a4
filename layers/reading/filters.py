"""Conditions on properties: what a query states, as typed conditions on a layer's columns."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from layers.errors import BadQuery
from layers.model import Field, FieldType, Layer
from layers.sorting import LONGEST, beginning
from layers.tables import column_type
from spatial.periods import parse_instant

_NUMBER = re.compile(r"[+-]?[0-9]{1,25}(\.[0-9]{0,25})?([eE][+-]?[0-9]{1,3})?")
_MOST_PHRASES = 10
_COMPARISONS: Mapping[str, Any] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_PYTHON: Mapping[FieldType, Any] = {
    FieldType.TEXT: str,
    FieldType.INTEGER: int,
    FieldType.NUMBER: int | float,
    FieldType.BOOLEAN: bool,
    FieldType.DATE: date,
    FieldType.INSTANT: datetime,
}


def equals(columns: Any, layer: Layer, fields: Sequence[Field], name: str, text: str) -> Any:
    """Return the condition that a property has a value, which is given as text.

    Raises
    ------
    BadQuery
        For a property that is not among the fields, or a value that it can't have.
    """
    f = _field(fields, name)
    if f.type is FieldType.TEXT:
        short = len(text) < LONGEST and name in {s.id for s in layer.schema.sortables}
        return (beginning(columns[name]) if short else columns[name]) == text
    try:
        value: Any = _read_value(f, text, layer)
    except (ValueError, KeyError, OverflowError):
        raise BadQuery(f"{name} = {text!r}: the property is of type {f.type}") from None
    return columns[name] == sa.literal(value, column_type(f))


def _field(fields: Sequence[Field], name: str) -> Field:
    f = next((f for f in fields if f.id == name), None)
    if f is None:
        known = ", ".join(f.id for f in fields)
        raise BadQuery(f"there is no parameter or property {name!r}; properties are: {known}")
    return f


def holds(
    columns: Any, fields: Sequence[Field], name: str, condition: Any
) -> sa.ColumnElement[bool]:
    """Return a condition of Query.where on one property.

    Raises
    ------
    BadQuery
        For a property that is not among the fields, or a value that it can't have.
    """
    f = _field(fields, name)
    column = columns[name]
    if isinstance(condition, tuple):
        if len(condition) != 2 or condition[0] not in _COMPARISONS:
            signs = ", ".join(_COMPARISONS)
            raise BadQuery(f"{name}: {condition!r} is no comparison; (sign, value), of {signs}")
        sign, value = condition
        return sa.cast(_COMPARISONS[sign](column, _literal(f, value)), sa.Boolean)
    if isinstance(condition, list | set | frozenset):
        among = [_literal(f, v) for v in condition if v is not None]
        nothing = column.is_(None) if None in condition else sa.false()
        return sa.or_(column.in_(among), nothing)
    holds: sa.ColumnElement[bool] = column.is_(None)
    if condition is not None:
        holds = column == _literal(f, condition)
    return holds


def mentions(columns: Any, fields: Sequence[Field], q: str) -> sa.ColumnElement[bool]:
    """Return the condition that one of some phrases, with commas between, stands in a text.

    In whatever case; in any text field that the reader sees (OGC API Features, text search).

    Raises
    ------
    BadQuery
        For no phrase, or too many.
    """
    phrases = [phrase for part in q.split(",") if (phrase := " ".join(part.split()))]
    if not 0 < len(phrases) <= _MOST_PHRASES:
        raise BadQuery(f"q has {len(phrases)} phrases; write 1 to {_MOST_PHRASES}")
    texts = [columns[f.id] for f in fields if f.type is FieldType.TEXT]
    found = (text.icontains(p, autoescape=True) for p in phrases for text in texts)
    return sa.or_(sa.false(), *found)


def _literal(f: Field, value: Any) -> sa.ColumnElement[Any]:
    kinds = _PYTHON[f.type]
    fits = isinstance(value, kinds) and isinstance(value, bool) is (f.type is FieldType.BOOLEAN)
    if f.type is FieldType.DATE:
        fits = fits and not isinstance(value, datetime)
    if f.type is FieldType.INTEGER:
        fits = fits and abs(value) < 2**63
    if f.type is FieldType.INSTANT:
        fits = fits and value.tzinfo is not None
    if not fits:
        raise BadQuery(f"{f.id}: {value!r} is no {f.type} value")
    return sa.literal(value, column_type(f))


def _read_value(f: Field, text: str, layer: Layer) -> Any:
    """A filter's text as a value of the field; what the field can't hold is a ValueError."""
    if f.type is FieldType.INSTANT:
        return parse_instant(text, layer.schema.zone)
    if f.type is FieldType.DATE:
        return datetime.strptime(text, "%Y-%m-%d").date()
    if f.type is FieldType.BOOLEAN:
        return {"true": True, "false": False}[text]
    if not _NUMBER.fullmatch(text):
        raise ValueError
    value = float(text) if f.type is FieldType.NUMBER else int(text)
    if abs(value) > 2**63 - 1 and f.type is FieldType.INTEGER:
        raise ValueError
    return value
