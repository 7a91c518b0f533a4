"""The functions that a filter can call beside CQL2's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from layers.errors import BadQuery
from layers.model import Layer, Title
from layers.reading.cql2 import times
from layers.reading.cql2.arithmetic import bounded, decimals
from layers.reading.cql2.expressions import NUMBERS, TIMES, Expression, Kind

Build = Callable[[Sequence[Expression], Layer], Any]


@dataclass(frozen=True, slots=True)
class Function:
    """A function, as ``/functions`` lists it.

    Attributes
    ----------
    takes : tuple of tuples of Kind
        The types that each argument can have.
    returns : Kind
        Text, integer, computed number, boolean ...
    """

    name: str
    title: Title
    takes: tuple[tuple[Kind, ...], ...]
    returns: Kind
    build: Build

    def document(self) -> dict[str, Any]:
        """Return the function as OGC API Features Part 3 describes one."""
        return {
            "name": self.name,
            "description": f"{self.title.en} · {self.title.zh}",
            "args": [{"type": list(_types(kinds))} for kinds in self.takes],
            "returns": list(_types((self.returns,))),
        }


_TYPES: Mapping[Kind, str] = {
    Kind.TEXT: "string",
    Kind.INTEGER: "integer",
    Kind.NUMBER: "number",
    Kind.DECIMAL: "number",
    Kind.BOOLEAN: "boolean",
    Kind.DATE: "datetime",
    Kind.INSTANT: "datetime",
}


def _types(kinds: Sequence[Kind]) -> dict[str, None]:
    return dict.fromkeys(_TYPES[kind] for kind in kinds)


def _of_text(name: str, result: Any = sa.Text) -> Build:
    return lambda args, layer: getattr(sa.func, name)(args[0].sql, type_=result)


def _folded(name: str) -> Build:
    def build(args: Sequence[Expression], layer: Layer) -> Any:
        return getattr(sa.func, name)(sa.collate(args[0].sql, "und-x-icu"), type_=sa.Text)

    return build


def _of_number(name: str) -> Build:
    def build(args: Sequence[Expression], layer: Layer) -> Any:
        return bounded(getattr(sa.func, name)(decimals(args[0]), type_=sa.Numeric))

    return build


def _part(name: str) -> Build:
    """A part of the local date, where the layer is."""

    def build(args: Sequence[Expression], layer: Layer) -> Any:
        time = args[0]
        local = time.sql
        if time.kind is Kind.INSTANT:
            local = sa.func.timezone(layer.schema.time_zone, time.sql, type_=sa.DateTime)
        return sa.func.date_part(name, local, type_=sa.Double)

    return build


def _clock(args: Sequence[Expression], layer: Layer) -> Any:
    return times.as_instant(args[0], layer)


_TEXT, _TIME = ((Kind.TEXT,),), (TIMES,)
FUNCTIONS: tuple[Function, ...] = (
    Function("lower", Title("In small letters", "转为小写"), _TEXT, Kind.TEXT, _folded("lower")),
    Function("upper", Title("In capital letters", "转为大写"), _TEXT, Kind.TEXT, _folded("upper")),
    Function(
        "trim",
        Title("Without blanks at both ends", "去除首尾空格"),
        _TEXT,
        Kind.TEXT,
        _of_text("btrim"),
    ),
    Function(
        "length",
        Title("Number of characters", "字符数"),
        _TEXT,
        Kind.INTEGER,
        _of_text("char_length", sa.Integer),
    ),
    Function(
        "abs", Title("Without its sign", "绝对值"), (NUMBERS,), Kind.DECIMAL, _of_number("abs")
    ),
    Function(
        "floor", Title("Rounded down", "向下取整"), (NUMBERS,), Kind.DECIMAL, _of_number("floor")
    ),
    Function("ceil", Title("Rounded up", "向上取整"), (NUMBERS,), Kind.DECIMAL, _of_number("ceil")),
    Function(
        "round",
        Title("Rounded, halves away from 0", "四舍五入"),
        (NUMBERS,),
        Kind.DECIMAL,
        _of_number("round"),
    ),
    Function(
        "year",
        Title("The year, in the layer's time zone", "年份"),
        _TIME,
        Kind.NUMBER,
        _part("year"),
    ),
    Function(
        "month",
        Title("The month, 1 to 12, in the layer's time zone", "月份"),
        _TIME,
        Kind.NUMBER,
        _part("month"),
    ),
    Function(
        "day",
        Title("The day of the month, in the layer's time zone", "日"),
        _TIME,
        Kind.NUMBER,
        _part("day"),
    ),
    Function(
        "instant",
        Title("The instant; of a date, its midnight in the layer's time zone", "时刻"),
        _TIME,
        Kind.INSTANT,
        _clock,
    ),
)
_NAMED = {function.name: function for function in FUNCTIONS}


def call(name: str, args: Sequence[Expression], layer: Layer, said: str) -> Expression:
    """Return what a function gives.

    Raises
    ------
    BadQuery
        Where there is no such function, or its arguments do not fit.
    """
    function = _NAMED.get(name.lower())
    if function is None:
        known = ", ".join(_NAMED)
        raise BadQuery(f"filter: there is no function {name[:40]!r}; functions are: {known}")
    if len(args) != len(function.takes):
        told = f"takes {len(function.takes)}, there are {len(args)}"
        raise BadQuery(f"filter: {said}: {function.name} {told} arguments")
    for arg, kinds in zip(args, function.takes, strict=True):
        if arg.kind not in kinds:
            wanted = " or ".join(_types(kinds))
            raise BadQuery(f"filter: {said}: {function.name} is for {wanted}; {arg.told}")
    return Expression(function.returns, said, function.build(args, layer))
