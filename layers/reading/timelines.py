"""One feature through time, in memory: periods that do not overlap, each with what was so.

The algebra behind edits and reverts, which touch few features: cut, put, and compare, instant by
instant. Whole layers are compared in the database instead (`layers.writing.versions`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

FOREVER = datetime.max.replace(tzinfo=UTC)
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """What was so in ``[start, end)``."""

    start: datetime
    end: datetime
    values: Values


Timeline = tuple[Span, ...]


def within(timeline: Timeline, start: datetime, end: datetime) -> Timeline:
    """Return what of a timeline lies in a period.

    Examples
    --------
    >>> day = lambda n: datetime(2024, 1, n, tzinfo=UTC)
    >>> [(s.start.day, s.end.day) for s in within((Span(day(1), day(9), {}),), day(3), day(5))]
    [(3, 5)]
    """
    return tuple(
        Span(max(s.start, start), min(s.end, end), s.values)
        for s in timeline
        if s.start < end and s.end > start
    )


def without(timeline: Timeline, start: datetime, end: datetime) -> Timeline:
    """Return what of a timeline lies outside a period.

    Examples
    --------
    >>> day = lambda n: datetime(2024, 1, n, tzinfo=UTC)
    >>> left = without((Span(day(1), day(9), {}),), day(3), day(5))
    >>> [(s.start.day, s.end.day) for s in left]
    [(1, 3), (5, 9)]
    """
    first = datetime.min.replace(tzinfo=UTC)
    rest = (*within(timeline, first, start), *within(timeline, end, FOREVER))
    return tuple(s for s in rest if s.start < s.end)


def put(timeline: Timeline, *spans: Span) -> Timeline:
    """Return a timeline in which these spans have taken the place of what was there."""
    for span in spans:
        timeline = (*without(timeline, span.start, span.end), span)
    return tuple(sorted(timeline, key=lambda s: s.start))


def side_by_side(
    *timelines: Timeline,
) -> Iterator[tuple[datetime, datetime, tuple[Values | None, ...]]]:
    """Yield the periods in which none of some timelines changes, with what each says there.

    Examples
    --------
    >>> day = lambda n: datetime(2024, 1, n, tzinfo=UTC)
    >>> one, other = (Span(day(1), day(5), "a"),), (Span(day(3), FOREVER, "b"),)
    >>> [values for *_, values in side_by_side(one, other)]
    [('a', None), ('a', 'b'), (None, 'b')]
    """
    instants = sorted({t for line in timelines for s in line for t in (s.start, s.end)})
    places = [0] * len(timelines)
    for start, end in itertools.pairwise(instants):
        found: list[Values | None] = []
        for n, line in enumerate(timelines):
            while places[n] < len(line) and line[places[n]].end <= start:
                places[n] += 1
            here = line[places[n]] if places[n] < len(line) else None
            found.append(here.values if here is not None and here.start <= start else None)
        yield start, end, tuple(found)
