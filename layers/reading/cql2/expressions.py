"""What stands in a filter: an expression with its type, and its SQL or its value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from layers.model import FieldType


class Kind(StrEnum):
    """The types of expressions."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    DECIMAL = "computed number"
    BOOLEAN = "boolean"
    DATE = "date"
    INSTANT = "instant"
    GEOMETRY = "geometry"
    INTERVAL = "interval"
    ARRAY = "array"
    OPEN = "open end"


NUMBERS = (Kind.INTEGER, Kind.NUMBER, Kind.DECIMAL)
TIMES = (Kind.DATE, Kind.INSTANT)
KINDS: Mapping[FieldType, Kind] = {
    FieldType.TEXT: Kind.TEXT,
    FieldType.INTEGER: Kind.INTEGER,
    FieldType.NUMBER: Kind.NUMBER,
    FieldType.BOOLEAN: Kind.BOOLEAN,
    FieldType.DATE: Kind.DATE,
    FieldType.INSTANT: Kind.INSTANT,
}


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """A property, a literal, or what is made of them.

    Attributes
    ----------
    said : str
        How it was written, short: for messages.
    sql : column expression
        None of arrays, intervals and open ends.
    value : value
        Of a literal, or of what is made of literals only: int, Decimal, str, bool, date, datetime
        or geometry; None of anything else.
    items : tuple of Expression
        Elements of an array, ends of an interval.
    is_property : bool
        Whether it is a field of the layer, or its geometry.
    key : column expression, optional
        Of a sortable text: what its index has.
    """

    kind: Kind
    said: str
    sql: Any = None
    value: Any = None
    items: tuple[Expression, ...] = ()
    is_property: bool = False
    key: Any = None

    @property
    def is_simple(self) -> bool:
        """Whether it is a property or a literal."""
        return self.is_property or self.value is not None

    @property
    def told(self) -> str:
        """The expression and its type, for a message."""
        article = "an" if self.kind[0] in "aio" else "a"
        return f"{self.said} is {article} {self.kind}"


def number(value: int | Decimal, said: str) -> Expression:
    """Return a literal number."""
    if isinstance(value, Decimal) and value == value.to_integral_value() and abs(value) < 2**62:
        value = int(value)
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return Expression(Kind.INTEGER, said, sa.literal(value, sa.BigInteger), value)
    exact = Decimal(value)
    return Expression(Kind.DECIMAL, said, sa.literal(exact, sa.Numeric), exact)


def say(node: Any, longest: int = 60) -> str:
    """Return a node of the tree as one would write it, cut short.

    >>> say({"op": "<", "args": [{"property": "area"}, "x"]})
    "area < 'x'"
    """
    text = _say(node, 0)
    return text if len(text) <= longest else text[: longest - 3] + "..."


def _say(node: Any, depth: int) -> str:
    if depth > 4:
        return "..."
    if isinstance(node, bool):
        return str(node).upper()
    if isinstance(node, str):
        return f"'{node[:40]}'"
    if isinstance(node, list):
        return f"({', '.join(_say(item, depth + 1) for item in node[:6])})"
    if not isinstance(node, dict):
        return str(node)
    if "op" in node:
        return _say_operation(node["op"], [_say(arg, depth + 1) for arg in node["args"][:6]])
    for name in ("property", "date", "timestamp"):
        if name in node:
            return str(node[name]) if name == "property" else f"{name.upper()}('{node[name]}')"
    if "interval" in node:
        return f"INTERVAL{_say(node['interval'], depth + 1)}"
    return "BBOX(...)" if "bbox" in node else f"{str(node['type']).upper()}(...)"


def _say_operation(op: str, args: list[str]) -> str:
    if len(args) == 2 and (not op[0].isalpha() or op in ("and", "or", "like", "in", "div")):
        return f"{args[0]} {op.upper()} {args[1]}"
    return f"{op.upper()}({', '.join(args)})"
