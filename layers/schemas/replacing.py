"""A code list in place of another: what it lacks has ceased, and stays known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime

from layers.model import Field, Schema, Term
from layers.schemas.terms import Terms, joined, terms_of, title_of

# So many codes are named in a note.
_NAMED = 10


def after(old: Schema, new: Schema, now: datetime) -> Schema:
    """Return a schema with the codes that its lists replace, each until its list ends.

    A code that a list lacks ceases on the day from which the list holds (`codes_since`), or today.
    One that has another title from a day on keeps its old one until then.

    Parameters
    ----------
    old : Schema
        The layer's own.
    now : datetime
        Of which today is the day, in the layer's time zone.

    Examples
    --------
    >>> from layers.schemas.documents import parse_schema
    >>> listed = [{"title": "t", "geometry": "Point", "fields": [{"id": "use", "codes": codes,
    ...     "codes_since": "2021-01-01"}]} for codes in ({"A": "Lamps"}, {"B": "Lights"})]
    >>> use = after(*map(parse_schema, listed), datetime(2024, 1, 1)).fields[0]
    >>> [(code, str(use.terms[code][0].valid_to)) for code in use.codes if code in use.terms]
    [('A', '2021-01-01')]
    """
    today = now.astimezone(old.zone).date()
    fields = tuple(_field_after(old.find(f.id), f, today) for f in new.fields)
    return replace(new, fields=fields)


def differences(old: Field, new: Field) -> Iterator[str]:
    """Yield what differs in the codes of a field, some of them by name."""
    added = [code for code in new.codes if code not in old.codes]
    dropped = [code for code in old.codes if code not in new.codes]
    both = [code for code in new.codes if code in old.codes]
    ended = [code for code in both if _end(old, code) is None and _end(new, code) is not None]
    titled = [code for code in both if title_of(old, code) != title_of(new, code)]
    for word, codes in (
        ("added", added),
        ("ceased, kept for rows of before", ended),
        ("called otherwise", titled),
        ("dropped", dropped),
    ):
        if codes:
            more = " ..." if len(codes) > _NAMED else ""
            yield f"codes of {new.id} {word}: {len(codes)}: {', '.join(codes[:_NAMED])}{more}"


def _end(f: Field, code: str) -> date | None:
    return terms_of(f, code)[-1].valid_to


def _field_after(old: Field | None, new: Field, today: date) -> Field:
    if old is None or not old.codes or not new.codes:
        return replace(new, codes_since=None)
    since = new.codes_since or today
    found = {code: _together(old, new, code) for code in new.codes}
    for code in old.codes:
        ceased = tuple(_until(terms_of(old, code), since))
        if code not in new.codes and ceased:
            found[code] = ceased
    return replace(
        new,
        codes={code: terms[-1].title for code, terms in found.items()},
        terms={code: terms for code, terms in found.items() if terms != (Term(terms[-1].title),)},
        codes_since=None,
    )


def _together(old: Field, new: Field, code: str) -> Terms:
    """What a code meant until the new list says otherwise, and what it means by that."""
    stated = terms_of(new, code)
    start = stated[0].valid_from
    if code not in old.codes or start is None:
        return stated
    return joined((*_until(terms_of(old, code), start), *stated))


def _until(terms: Terms, day: date) -> Iterator[Term]:
    for term in terms:
        if term.valid_from is None or term.valid_from < day:
            yield replace(term, valid_to=min(term.valid_to or day, day))
