"""``cql-text``: the language of a draft of the standard, as GDAL still writes it.

GDAL (3.6 to 3.12 were seen) knows no other name, and writes CQL2 text but for this, which would be
refused or misread as such:

- a text has no escapes but ``''``, and a pattern none at all: a backslash is one;
- ``ILIKE``, for which CQL2 has ``CASEI``;
- a date or an instant is a text, ``'2014-06-01T'`` or ``'2014-06-01T12:00:00Z'``; a truth is 0 or
  1; a number is a text where GDAL saw no number of the field yet.

What GDAL left to a server it does not look at again: to refuse it would take away what it could do
by itself.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from lark import Lark, Token, v_args

from layers.reading.cql2 import times
from layers.reading.cql2.expressions import NUMBERS, TIMES, Expression, Kind, number
from layers.reading.cql2.text import GRAMMAR, Text, _Tree, parse_with

_ILIKE = """
    | sum _ILIKE sum -> ilike
    | sum _NOT _ILIKE sum -> not_ilike"""
_TERMINALS = """
_ILIKE.3: /ILIKE(?![\\w.:])/i
STRING: /'(?:[^']++|'')*+'/s
"""
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(?:(\d\d)(?::(\d\d)(?::(\d\d))?)?Z)?)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?", re.ASCII)


def parse_draft(text: str) -> Any:
    """Return the tree of a text as GDAL writes it, as CQL2 JSON has it.

    Raises
    ------
    BadQuery
        Where it is none: with the place, and what could stand there.

    Examples
    --------
    >>> parse_draft("street ILIKE 'o''b%'")["args"][1]
    {'op': 'casei', 'args': ["o'b%"]}
    """
    return parse_with(_parser(), text)


def fit(literal: Expression, beside: Expression) -> Expression:
    """Return a literal in the type of the property that it is compared with, where it fits.

    Anything else is returned as it is: what can't be compared is refused where it always is.
    """
    if literal.value is None or not beside.is_property:
        return literal
    if literal.kind is Kind.TEXT and beside.kind in TIMES:
        return _as_time(literal, beside.kind)
    if literal.kind is Kind.TEXT and beside.kind in NUMBERS and _NUMBER.fullmatch(literal.value):
        return number(Decimal(literal.value), literal.said)
    if beside.kind is Kind.BOOLEAN and literal.kind is Kind.INTEGER and literal.value in (0, 1):
        truth = sa.true() if literal.value else sa.false()
        return Expression(Kind.BOOLEAN, literal.said, truth, bool(literal.value))
    return literal


def _as_time(literal: Expression, kind: Kind) -> Expression:
    match = _TIME.fullmatch(literal.value)
    if match is None:
        return literal
    clock = ":".join(part or "00" for part in match.groups()[1:])
    if kind is Kind.DATE and clock == "00:00:00":
        return times.day(match[1], literal.said)
    return times.instant(f"{match[1]}T{clock}Z", literal.said)


@lru_cache(maxsize=1)
def _parser() -> Lark:
    """The grammar of CQL2 text, with what is different."""
    grammar = re.sub(r"\nSTRING: .*", lambda _: _TERMINALS, GRAMMAR)
    grammar = grammar.replace("-> not_like", f"-> not_like{_ILIKE}")
    return Lark(grammar, parser="lalr", lexer="contextual", transformer=_DraftTree())


@v_args(inline=True)
class _DraftTree(_Tree):
    def text(self, token: Token) -> Any:
        text = Text(token[1:-1].replace("''", "'"))
        text.pattern = text.replace("\\", "\\\\")
        return text

    def ilike(self, one: Any, pattern: Any) -> Any:
        return self.like(*({"op": "casei", "args": [arg]} for arg in (one, pattern)))

    def not_ilike(self, one: Any, pattern: Any) -> Any:
        return {"op": "not", "args": [self.ilike(one, pattern)]}
