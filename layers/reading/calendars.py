"""Calendar periods: the years, months, weeks and days of a time zone, by where they begin."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum


class Step(StrEnum):
    """How long a period is; a week begins on a Monday."""

    YEAR = "year"
    MONTH = "month"
    WEEK = "week"
    DAY = "day"


def period_starts(step: Step, start: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Yield the instants at which periods begin, from the first at or after an instant on.

    Examples
    --------
    >>> from itertools import islice
    >>> from zoneinfo import ZoneInfo
    >>> first = datetime(2014, 5, 31, 16, tzinfo=UTC)
    >>> starts = period_starts(Step.MONTH, first, ZoneInfo("Asia/Shanghai"))
    >>> [str(at) for at in islice(starts, 2)]
    ['2014-05-31 16:00:00+00:00', '2014-06-30 16:00:00+00:00']
    """
    day: date | None = _first_day(step, start.astimezone(zone).date())
    while day is not None:
        at = _midnight(day, zone)
        if at is None:
            return
        if at >= start:
            yield at
        day = _next_day(step, day)


def _midnight(day: date, zone: tzinfo) -> datetime | None:
    """The instant in which a day begins; None where that lies outside the years 1 to 9999."""
    try:
        return datetime.combine(day, time(), zone).astimezone(UTC)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC) if day.year == 1 else None


def _first_day(step: Step, day: date) -> date:
    if step is Step.YEAR:
        return day.replace(month=1, day=1)
    if step is Step.MONTH:
        return day.replace(day=1)
    if step is Step.WEEK:
        return day - timedelta(days=min(day.weekday(), day.toordinal() - 1))
    return day


def _next_day(step: Step, day: date) -> date | None:
    try:
        if step is Step.YEAR:
            return day.replace(year=day.year + 1)
        if step is Step.MONTH:
            return (day + timedelta(days=31)).replace(day=1)
        return day + timedelta(days=7 if step is Step.WEEK else 1)
    except (OverflowError, ValueError):
        return None
