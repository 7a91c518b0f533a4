"""Edits that give a feature a code which is not valid then."""

from __future__ import annotations

from collections.abc import Iterable

from layers.errors import BadValue
from layers.model import Layer, Outcome
from layers.reading.timelines import Timeline, within
from layers.rows.validity import explain, is_valid, limited_fields, remedy, time_of

_Change = tuple[str, Timeline, Timeline]


def check_codes(record: Layer, changes: Iterable[_Change]) -> None:
    """Refuse codes that are not valid when an event was reported, or when a version starts.

    What a feature had at that time before may stay.

    Raises
    ------
    BadValue
        Naming the feature and the code.
    """
    schema = record.schema
    limited = [(f, p) for f, p in limited_fields(schema) if f.outdated is not Outcome.SAY]
    if not limited:
        return
    for key, was, becomes in changes:
        for span in becomes:
            when = time_of(span.values, span.start, schema)
            before = within(was, span.start, span.start + span.start.resolution)
            for f, periods in limited:
                value = span.values[f.id]
                code = str(value)
                had = bool(before) and before[0].values[f.id] == value
                if value is None or code not in periods or had or is_valid(periods[code], when):
                    continue
                raise BadValue(
                    f"{key!r}: {explain(f, code, when, schema)}; {remedy(schema, f, record.id)}"
                )
