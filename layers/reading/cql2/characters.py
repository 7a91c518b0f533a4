"""Texts: compared by code point, folded by case and by accent, matched with patterns.

Case is folded by ICU (lower, upper, lower), which is Unicode's full folding but for a few dozen
letters; accents by taking a letter apart (NFD), dropping the marks, and putting it together again.
Neither needs an extension. Both are immutable: what is folded here can be indexed.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import sqlalchemy as sa

from layers.errors import BadQuery
from layers.reading.cql2.expressions import Expression, Kind
from layers.sorting import LONGEST

_LONGEST_PATTERN = 1_000
# What is no letter by itself: the blocks of combining marks, but not those of Japanese, Hebrew,
# Arabic or Indian scripts, where they are more than an accent.
_MARKS = "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
# Letters with a stroke are not taken apart by Unicode.
_STROKED, _PLAIN = "ØøŁłĐđĦħŦŧƀɨƗ", "OoLlDdHhTtbiI"
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)


def text(value: str, said: str) -> Expression:
    """Return a literal text."""
    return Expression(Kind.TEXT, said, sa.literal(value, sa.Text), value)


def by_code_point(value: Any) -> Any:
    """Return a text that is compared by code point, whatever it was made by."""
    return sa.collate(value, "C")


def beside(side: Expression) -> Any:
    """Return a text as it stands beside one that is compared by code point."""
    return side.sql if side.value is not None else by_code_point(side.sql)


def fold(op: str, operand: Expression, said: str) -> Expression:
    """Return CASEI or ACCENTI of a text.

    Raises
    ------
    BadQuery
        Where it is no text.
    """
    if operand.kind is not Kind.TEXT:
        raise BadQuery(f"filter: {said}: {op.upper()} is for texts; {operand.told}")
    folded = _case(operand.sql) if op == "casei" else _accent(operand.sql)
    return Expression(Kind.TEXT, said, folded)


def _case(value: Any) -> Any:
    def lower(v: Any) -> Any:
        return sa.func.lower(sa.collate(v, "und-x-icu"), type_=sa.Text)

    upper = sa.func.upper(sa.collate(lower(value), "und-x-icu"), type_=sa.Text)
    # What a sigma is written as hangs on where in the word it stands.
    return sa.func.replace(lower(upper), "ς", "σ", type_=sa.Text)


def _accent(value: Any) -> Any:
    apart = sa.func.normalize(value, sa.literal_column("NFD"), type_=sa.Text)
    bare = sa.func.regexp_replace(apart, _MARKS, "", "g", type_=sa.Text)
    together = sa.func.normalize(bare, sa.literal_column("NFC"), type_=sa.Text)
    return sa.func.translate(together, _STROKED, _PLAIN, type_=sa.Text)


def like(one: Expression, pattern: Expression, said: str) -> Any:
    r"""Return the condition that a text is as a pattern says: %, _ and \ before them.

    Raises
    ------
    BadQuery
        Where one is no text, or the pattern ends in the middle of an escape.
    """
    for operand in (one, pattern):
        if operand.kind is not Kind.TEXT:
            raise BadQuery(f"filter: {said}: LIKE is for texts; {operand.told}")
    whole = by_code_point(one.sql).op("LIKE", is_comparison=True)(beside(pattern))
    prefix = _prefix(pattern.value) if one.key is not None else ""
    if not prefix:
        return whole
    # The index finds what begins so; the pattern says of these which are meant.
    after = _after(prefix)
    below = sa.true() if after is None else one.key < after
    return sa.and_(one.key >= prefix, below, whole)


def _prefix(pattern: str | None) -> str:
    """What all texts of a pattern begin with, as far as that is needed to find them.

    >>> _prefix("33010_%"), _prefix("%x")
    ('33010', '')
    """
    return re.split(r"[%_\\]", pattern or "", maxsplit=1)[0][: LONGEST - 1]


def _after(prefix: str) -> str | None:
    """The first text by code points that comes after all that begin so; None where none does."""
    last = ord(prefix[-1]) + 1
    if last > sys.maxunicode:
        return None
    # Between these two there are no letters.
    return prefix[:-1] + (chr(last) if last != 0xD800 else "\ue000")


def check_pattern(node: Any, said: str) -> None:
    r"""Refuse a pattern that is no literal, within CASEI or ACCENTI or not, or is no pattern.

    Raises
    ------
    BadQuery

    Examples
    --------
    >>> check_pattern("50\\", "a LIKE '50\\'")
    Traceback (most recent call last):
    layers.errors.BadQuery: filter: a LIKE '50\': a \ stands before %, _ or \ in a pattern
    """
    while isinstance(node, dict) and node.get("op") in ("casei", "accenti"):
        node = node["args"][0]
    if not isinstance(node, str):
        raise BadQuery(f"filter: {said}: the pattern is a text in quotes, nothing else")
    if len(node) > _LONGEST_PATTERN:
        raise BadQuery(f"filter: {said}: the pattern has more than {_LONGEST_PATTERN} characters")
    if any(match[1] not in ("%", "_", "\\") for match in _ESCAPE.finditer(node)):
        raise BadQuery(f"filter: {said}: a \\ stands before %, _ or \\ in a pattern")
