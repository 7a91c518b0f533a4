r"""CQL2 text: its grammar, and the tree that CQL2 JSON has for what it says.

An LALR parser reads each sign once and keeps its own stack: neither a deep nor a broken text can
take long, or break the interpreter's stack.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import shapely
from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken, VisitError

from layers.errors import BadQuery

# Well-known text is one word of the language, read by GEOS: coordinates to the depth of a polygon
# in a multipolygon in a collection. Possessive (++), so that no text is tried in two ways.
_PLAIN = r"[^()'\"]"
_RING = rf"\({_PLAIN}*+\)"
_PARTS = rf"\((?:{_PLAIN}++|{_RING})*+\)"
_SHAPE = rf"\((?:{_PLAIN}++|{_PARTS})*+\)"
_SHAPES = rf"\((?:{_PLAIN}++|{_SHAPE})*+\)"
_KINDS = r"(?:(?:MULTI)?(?:POINT|LINESTRING|POLYGON)|GEOMETRYCOLLECTION)"
_END = r"(?![\w.:])"

GRAMMAR = rf"""
start: either
?either: both (_OR both)*
?both: factor (_AND factor)*
?factor: _NOT factor -> negation
    | predicate
?predicate: sum
    | sum COMPARISON sum -> comparison
    | sum _BETWEEN sum _AND sum -> between
    | sum _NOT _BETWEEN sum _AND sum -> not_between
    | sum _IN "(" list ")" -> among
    | sum _NOT _IN "(" list ")" -> not_among
    | sum _LIKE sum -> like
    | sum _NOT _LIKE sum -> not_like
    | sum _IS _NULL -> is_null
    | sum _IS _NOT _NULL -> is_not_null
?sum: term
    | sum SIGN term -> calculation
?term: power
    | term TIMES power -> calculation
?power: signed
    | power CARET signed -> calculation
?signed: atom
    | SIGN signed -> sign
?atom: NUMBER -> number
    | STRING -> text
    | _TRUE -> true
    | _FALSE -> false
    | GEOMETRY -> geometry
    | NAME -> property
    | QUOTED -> quoted
    | call
    | "(" either ")"
    | "(" either "," list ")" -> longer_array
    | "(" ")" -> empty_array
call: NAME "(" [list] ")"
    | ARRAY_FUNCTION "(" operand "," operand ")" -> array_call
?operand: "(" [list] ")" -> array
    | NAME -> property
    | QUOTED -> quoted
    | call
list: either ("," either)*

_OR.3: /OR{_END}/i
_AND.3: /AND{_END}/i
_NOT.3: /NOT{_END}/i
_BETWEEN.3: /BETWEEN{_END}/i
_IN.3: /IN{_END}/i
_LIKE.3: /LIKE{_END}/i
_IS.3: /IS{_END}/i
_NULL.3: /NULL{_END}/i
_TRUE.3: /TRUE{_END}/i
_FALSE.3: /FALSE{_END}/i
COMPARISON: "<>" | "<=" | ">=" | "=" | "<" | ">"
SIGN: "+" | "-"
CARET: "^"
TIMES.3: "*" | "/" | "%" | /DIV{_END}/i
NUMBER: /(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:e[+-]?[0-9]++)?/i
STRING: /'(?:[^'\\]++|''|\\.)*+'/s
GEOMETRY.4: /{_KINDS}\s*+(?:Z\s*+)?(?:EMPTY{_END}|{_SHAPES})/i
ARRAY_FUNCTION.4: /A_(?:EQUALS|CONTAINS|CONTAINEDBY|OVERLAPS)(?=\s*\()/i
QUOTED: /"(?:[^"]++|"")++"/
NAME.1: /[^\W\d][\w.:]*+|:[\w.:]*+/
%ignore /[\s\x0b\x85]+/
"""

_WORDS = {
    "COMPARISON": "a comparison (= <> < <= > >=)",
    "SIGN": "+ or -",
    "TIMES": "* / % or div",
    "CARET": "^",
    "NUMBER": "a number",
    "STRING": "a text in '...'",
    "GEOMETRY": "a geometry",
    "NAME": "a property or function",
    "QUOTED": "a property in double quotes",
    "ARRAY_FUNCTION": "an array function",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": ",",
    "$END": "the end",
}
# What stands for a control character in a text (requirement /req/cql2-text/escaping).
_ESCAPES = {"a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r"}
_ESCAPED = re.compile(r"''|\\(.)", re.DOTALL)


def parse_text(text: str) -> Any:
    r"""Return the tree of a CQL2 text, as CQL2 JSON has it.

    Raises
    ------
    BadQuery
        Where it is none: with the place, and what could stand there.

    Examples
    --------
    >>> parse_text("名称 LIKE '宗地%'")
    {'op': 'like', 'args': [{'property': '名称'}, '宗地%']}
    >>> parse_text("a = 1 b")
    Traceback (most recent call last):
    layers.errors.BadQuery: filter: at character 7, 'b' can't stand; there could stand: ...
    """
    return parse_with(_parser(), text)


def parse_with(parser: Lark, text: str) -> Any:
    """Return the tree of a text in the language of a parser.

    Raises
    ------
    BadQuery
        Where it is none: with the place, and what could stand there.
    """
    try:
        return parser.parse(text)
    except UnexpectedInput as error:
        raise BadQuery(_told(text, error)) from None
    except VisitError as error:  # pragma: no cover - callbacks raise as they are in this parser
        raise error.orig_exc from None


@lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", lexer="contextual", transformer=_Tree())


def _told(text: str, error: UnexpectedInput) -> str:
    expected: set[str] = set()
    if isinstance(error, UnexpectedToken):
        expected = set(error.accepts or error.expected)
    elif isinstance(error, UnexpectedCharacters):
        expected = set(error.allowed or ())
    words = sorted({_WORDS.get(name, name.lstrip("_")) for name in expected})
    could = f"; there could stand: {' '.join(words)}" if words else ""
    place = error.pos_in_stream
    if place is None or place >= len(text) or getattr(error, "token", None) == "":
        return f"filter: it ends too early{could}"
    return f"filter: at character {place + 1}, {text[place : place + 20]!r} can't stand{could}"


class Text(str):
    """A literal that remembers what it is as a pattern, where backslashes are the pattern's."""

    __slots__ = ("pattern",)
    pattern: str


def _text(token: str) -> Text:
    body = token[1:-1]
    text = Text(_ESCAPED.sub(lambda m: _unescaped(m, keep="%_"), body))
    text.pattern = _ESCAPED.sub(lambda m: _unescaped(m, keep="%_\\"), body)
    return text


def _unescaped(match: re.Match[str], keep: str) -> str:
    sign = match[1]
    if sign is None or sign == "'":
        return "'"
    if sign in keep:
        return match[0]
    return "\\" if sign == "\\" else _ESCAPES.get(sign, match[0])


def _pattern(node: Any) -> Any:
    if isinstance(node, Text):
        return node.pattern
    if isinstance(node, dict) and node.get("op") in ("casei", "accenti"):
        return {"op": node["op"], "args": [_pattern(arg) for arg in node["args"]]}
    return node


def _op(op: str, *args: Any) -> dict[str, Any]:
    return {"op": op, "args": list(args)}


def _not(op: str, *args: Any) -> dict[str, Any]:
    return _op("not", _op(op, *args))


@v_args(inline=True)
class _Tree(Transformer[Token, Any]):
    """What each rule of the grammar is in CQL2 JSON."""

    def start(self, node: Any) -> Any:
        return node

    def either(self, *args: Any) -> Any:
        return _op("or", *args)

    def both(self, *args: Any) -> Any:
        return _op("and", *args)

    def negation(self, arg: Any) -> Any:
        return _op("not", arg)

    def comparison(self, left: Any, sign: Token, right: Any) -> Any:
        return _op(str(sign), left, right)

    def between(self, *args: Any) -> Any:
        return _op("between", *args)

    def not_between(self, *args: Any) -> Any:
        return _not("between", *args)

    def among(self, one: Any, many: Any) -> Any:
        return _op("in", one, many)

    def not_among(self, one: Any, many: Any) -> Any:
        return _not("in", one, many)

    def like(self, one: Any, pattern: Any) -> Any:
        return _op("like", one, _pattern(pattern))

    def not_like(self, one: Any, pattern: Any) -> Any:
        return _not("like", one, _pattern(pattern))

    def is_null(self, one: Any) -> Any:
        return _op("isNull", one)

    def is_not_null(self, one: Any) -> Any:
        return _not("isNull", one)

    def calculation(self, left: Any, sign: Token, right: Any) -> Any:
        return _op(sign.lower(), left, right)

    def sign(self, sign: Token, one: Any) -> Any:
        if sign == "+":
            return one
        return -one if _is_number(one) else _op("*", -1, one)

    def number(self, token: Token) -> Any:
        if token.isdigit() and len(token) < 25:
            return int(token)
        return float(token)

    def text(self, token: Token) -> Any:
        return _text(token)

    def true(self) -> Any:
        return True

    def false(self) -> Any:
        return False

    def property(self, token: Token) -> Any:
        return {"property": str(token)}

    def quoted(self, token: Token) -> Any:
        return {"property": token[1:-1].replace('""', '"')}

    def geometry(self, token: Token) -> Any:
        try:
            shape = shapely.from_wkt(re.sub(r"\s+", " ", token))
        except shapely.errors.GEOSException as error:
            place = f"filter: at character {(token.start_pos or 0) + 1}"
            raise BadQuery(f"{place}, the geometry can't be read: {error}") from None
        return json.loads(shapely.to_geojson(shape))

    def list(self, *items: Any) -> Any:
        return [*items]

    def longer_array(self, first: Any, others: Any) -> Any:
        return [first, *others]

    def array(self, items: Any) -> Any:
        return items or []

    def empty_array(self) -> Any:
        return []

    def array_call(self, name: Token, *args: Any) -> Any:
        return _op(name.lower(), *args)

    def call(self, name: Token, args: Any) -> Any:
        known = _CALLS.get(name.lower())
        return _op(str(name), *(args or [])) if known is None else known(args or [])


def _is_number(node: Any) -> bool:
    return isinstance(node, int | float) and not isinstance(node, bool)


def _instant(name: str) -> Callable[[Any], Any]:
    def read(args: Any) -> Any:
        if len(args) != 1 or not isinstance(args[0], str):
            raise BadQuery(f"filter: {name.upper()} takes one text, as in {name.upper()}('...')")
        return {name: args[0]}

    return read


def _bounds(args: Any) -> Any:
    return {"bbox": args}


def _interval(args: Any) -> Any:
    return {"interval": args}


_CALLS: dict[str, Callable[[Any], Any]] = {
    "date": _instant("date"),
    "timestamp": _instant("timestamp"),
    "interval": _interval,
    "bbox": _bounds,
}
