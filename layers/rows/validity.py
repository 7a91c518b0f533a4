"""From when until when the codes of a field are valid, as instants; and what is said of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from layers.model import Field, Kind, Schema, Term
from layers.schemas.terms import terms_of

Period = tuple[datetime | None, datetime | None]
# So many signs of a title are told.
_SIGNS = 40


def rule_of(f: Field) -> str:
    """Return under which name the report has the codes of a field; no rule can be called so."""
    return f"codes {f.id}"


def limited_fields(schema: Schema) -> list[tuple[Field, Mapping[str, Sequence[Period]]]]:
    """Return the fields with codes that are not valid at all times, with the periods of these."""
    found: list[tuple[Field, Mapping[str, Sequence[Period]]]] = []
    for f in (*schema.stored, *schema.restricted):
        periods = {
            code: [_instants(term, schema) for term in terms]
            for code, terms in f.terms.items()
            if any(t.valid_from or t.valid_to for t in terms)
        }
        if periods:
            found.append((f, periods))
    return found


def is_valid(periods: Sequence[Period], when: datetime) -> bool:
    """Return whether an instant lies in one of some periods.

    >>> day = datetime(2021, 1, 1)
    >>> is_valid([(None, day)], day), is_valid([(day, None)], day)
    (False, True)
    """
    return any((s is None or s <= when) and (e is None or when < e) for s, e in periods)


def time_of(values: Mapping[str, Any], start: datetime, schema: Schema) -> datetime:
    """Return when a row's codes must be valid: when an event was reported, else its start."""
    if schema.kind is not Kind.EVENT:
        return start
    reported = values.get(schema.event_start().id)
    if isinstance(reported, datetime):
        return reported
    return _begin(reported, schema) if isinstance(reported, date) else start


def explain(f: Field, code: str, when: datetime, schema: Schema) -> str:
    """Return why a code is none at an instant; without it where the field is restricted."""
    day = when.astimezone(schema.zone).date()
    if f.is_restricted:
        return f"the code of {f.id} is not valid on {day}"
    terms = terms_of(f, code)
    title = terms[-1].title
    called = f"{title.zh} · {title.en}" if title.zh != title.en else title.zh
    held = " and ".join(_days(term) for term in terms)
    return f"code {code!r} ({called[:_SIGNS]}) of {f.id} is valid {held}, not on {day}"


def remedy(schema: Schema, f: Field, layer_id: str) -> str:
    """Return what to do about codes that are none at their time."""
    what = "the time of report" if schema.kind is Kind.EVENT else "the start of the version"
    return (
        f"give a code that is valid at {what}, or change the list (shikong layer codes {layer_id} "
        f"{f.id} FILE.csv)"
    )


def _days(term: Term) -> str:
    if term.valid_from is None:
        return f"before {term.valid_to}"
    until = "on" if term.valid_to is None else f"until before {term.valid_to}"
    return f"from {term.valid_from} {until}"


def _instants(term: Term, schema: Schema) -> Period:
    days = (term.valid_from, term.valid_to)
    start, end = (None if day is None else _begin(day, schema) for day in days)
    return start, end


def _begin(day: date, schema: Schema) -> datetime:
    return datetime.combine(day, time(), schema.zone)
