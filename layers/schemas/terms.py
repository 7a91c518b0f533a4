"""Codes with their terms: titles, parents, and from when until when a code is valid."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any

from layers.errors import BadSchema
from layers.model import Field, Term, Title

Terms = tuple[Term, ...]
_DAY = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})", re.ASCII)
_TERM_KEYS = frozenset(("en", "zh", "parent", "valid_from", "valid_to"))


def read_day(value: Any, where: str) -> date | None:
    """Return a day, written 2021-01-01 or as spreadsheets do, 2021/1/1; None for an empty text.

    Raises
    ------
    BadSchema
        Naming the value.

    Examples
    --------
    >>> read_day("2021/1/1", "valid_from"), read_day("", "valid_to")
    (datetime.date(2021, 1, 1), None)
    """
    if value is None or value == "":
        return None
    match = _DAY.fullmatch(str(value).strip())
    try:
        if match is None:
            raise ValueError
        return date(*map(int, match.groups()))
    except ValueError:
        raise BadSchema(f"{where} = {str(value)!r} is no day; write 2021-01-01") from None


def parse_codes(
    value: Any, where: str, title_of: Callable[[Any, str], Title]
) -> tuple[dict[str, Title], dict[str, Terms]]:
    """Return a document's codes with their newest titles, and their terms where these say more.

    Parameters
    ----------
    value : mapping
        Code to a title, to a title with ``parent``, ``valid_from`` and ``valid_to``, or to a list
        of such, one a period.
    title_of : callable
        Reads a title of a document.

    Raises
    ------
    BadSchema
        Naming the code.
    """
    if not isinstance(value, Mapping):
        raise BadSchema(f"{where} = {value!r}; a table of values and titles, or a file beside this")
    codes: dict[str, Title] = {}
    terms: dict[str, Terms] = {}
    for code, stated in value.items():
        place = f"{where}: {code}"
        several = stated if isinstance(stated, list) and stated else [stated]
        found = joined(in_order([_term(one, place, title_of) for one in several], place))
        codes[str(code)] = found[-1].title
        if found != (Term(found[-1].title),):
            terms[str(code)] = found
    return codes, terms


def codes_document(f: Field) -> dict[str, Any]:
    """Return the document from which `parse_codes` makes the same."""
    return {code: _document(terms_of(f, code)) for code in f.codes}


def terms_of(f: Field, code: str) -> Terms:
    """Return what a code of a field means and when, in order of time."""
    return f.terms.get(code) or (Term(f.codes[code]),)


def title_of(f: Field, code: str) -> Title:
    """Return what a code is called, whenever: its newest title, and what it was called before.

    Examples
    --------
    >>> old, new = Title("Lamp", "路灯"), Title("Litter", "垃圾")
    >>> day = date(2021, 1, 1)
    >>> lists = {"7": (Term(old, None, day), Term(new, day))}
    >>> title_of(Field("use", "text", old, codes={"7": new}, terms=lists), "7").en
    'Litter (before 2021-01-01: Lamp)'
    """
    *before, newest = terms_of(f, code)
    title = newest.title
    told = {one.title: one.valid_to for one in before if one.title != title}
    if not told:
        return title
    en = "; ".join(f"before {day}: {one.en}" for one, day in told.items())
    zh = "；".join(f"{day} 前：{one.zh}" for one, day in told.items())
    return Title(f"{title.en} ({en})", f"{title.zh}（{zh}）")


def title_on(f: Field, code: str, day: date) -> Title:
    """Return what a code is called on a day: by the term that holds, or the next that does."""
    terms = terms_of(f, code)
    found = (t for t in terms if t.valid_to is None or day < t.valid_to)
    return next(found, terms[-1]).title


def lasting(f: Field) -> list[str]:
    """Return the codes that last longest: those that have not ceased while others go on.

    Examples
    --------
    >>> both = {"A": Title("a", "a"), "B": Title("b", "b")}
    >>> lasting(Field("use", "text", both["A"], codes=both, terms={
    ...     "A": (Term(both["A"], None, date(2021, 1, 1)),)}))
    ['B']
    """
    ends = {code: terms_of(f, code)[-1].valid_to or date.max for code in f.codes}
    latest = max(ends.values(), default=None)
    return [code for code, end in ends.items() if end == latest]


def in_order(terms: Sequence[Term], where: str) -> Terms:
    """Return the terms of a code in order of time.

    Raises
    ------
    BadSchema
        Where one ends before it begins, or two hold at once.
    """
    ordered = tuple(sorted(terms, key=lambda t: t.valid_from or date.min))
    for one in ordered:
        if one.valid_from and one.valid_to and one.valid_to <= one.valid_from:
            raise BadSchema(
                f"{where}: valid_to {one.valid_to} is not after valid_from {one.valid_from}; it is "
                "the first day on which the code is no longer valid"
            )
    for one, other in pairwise(ordered):
        if one.valid_to is None or other.valid_from is None or other.valid_from < one.valid_to:
            raise BadSchema(
                f"{where} is there twice, for periods that overlap; keep one, or end the first "
                "(valid_to) on the day on which the second begins (valid_from)"
            )
    return ordered


def joined(terms: Sequence[Term]) -> Terms:
    """Return terms in order with those made one that follow each other and say the same."""
    found: list[Term] = []
    for term in terms:
        last = found[-1] if found else None
        if last is not None and (last.title, last.parent, last.valid_to) == (
            term.title,
            term.parent,
            term.valid_from,
        ):
            found[-1] = replace(last, valid_to=term.valid_to)
        else:
            found.append(term)
    return tuple(found)


def term_document(term: Term) -> dict[str, str]:
    """Return a term as documents have it."""
    days = {"valid_from": term.valid_from, "valid_to": term.valid_to}
    document = {"en": term.title.en, "zh": term.title.zh}
    document |= {k: day.isoformat() for k, day in days.items() if day is not None}
    return document | ({"parent": term.parent} if term.parent else {})


def _term(stated: Any, where: str, title_of: Callable[[Any, str], Title]) -> Term:
    if not isinstance(stated, Mapping) or not set(stated) <= _TERM_KEYS:
        return Term(title_of(stated, where))
    title = title_of({k: v for k, v in stated.items() if k in ("en", "zh")}, where)
    start, end = (read_day(stated.get(k), f"{where}: {k}") for k in ("valid_from", "valid_to"))
    parent = stated.get("parent")
    return Term(title, start, end, None if parent is None else str(parent))


def _document(terms: Terms) -> Any:
    told = [term_document(term) for term in terms]
    return told if len(told) > 1 else told[0]
