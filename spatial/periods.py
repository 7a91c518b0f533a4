"""Instants, half-open periods and closed intervals: read from text, and written as text.

One rule turns a local time into an instant, wherever that happens here: a local time that a
clock change skips moves forward by the length of the gap, one that it repeats means the first
of the two. It is the rule of PEP 495 with ``fold=0``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final

from spatial.errors import BadInstant, BadPeriod

_STRICT: Final = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"(?:[Tt](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
    r"(?:\.(?P<fraction>[0-9]+))?"
    r"(?P<offset>[Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)
_VERSION: Final = re.compile(
    r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})\.([0-9]{6})Z"
)


@dataclass(frozen=True, slots=True)
class Interval:
    """The closed interval of the API: ``[start, end]``, where None is open.

    Parameters
    ----------
    start, end : datetime or None
        Aware instants; they are kept in UTC.

    Raises
    ------
    BadInstant
        If one of them is naive.
    BadPeriod
        If it ends before it starts.

    Examples
    --------
    >>> Interval(None, None).contains(datetime(2024, 1, 1, tzinfo=UTC))
    True
    """

    start: datetime | None
    end: datetime | None

    def __post_init__(self) -> None:
        _keep_utc(self)
        if self.start is not None and self.end is not None and self.start > self.end:
            raise BadPeriod(f"{_bounds(self)} ends before it starts; swap the two")

    def contains(self, instant: datetime) -> bool:
        """Return whether an aware instant lies in it, both ends included."""
        return (self.start is None or self.start <= instant) and (
            self.end is None or instant <= self.end
        )


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of valid time: ``[start, end)``, where None is open.

    Parameters
    ----------
    start, end : datetime or None
        Aware instants; they are kept in UTC.

    Raises
    ------
    BadInstant
        If one of them is naive.
    BadPeriod
        If it ends before, or when, it starts.

    Examples
    --------
    >>> year = Period(datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
    >>> year.contains(datetime(2025, 1, 1, tzinfo=UTC))
    False
    """

    start: datetime | None
    end: datetime | None

    def __post_init__(self) -> None:
        _keep_utc(self)
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise BadPeriod(f"{_bounds(self)} is empty; a period must end after it starts")

    def contains(self, instant: datetime) -> bool:
        """Return whether an aware instant lies in it; its end does not."""
        return (self.start is None or self.start <= instant) and (
            self.end is None or instant < self.end
        )

    def intersects(self, other: Period | Interval) -> bool:
        """Return whether it shares an instant with another period, or with a closed interval."""
        if isinstance(other, Interval):
            reached = self.start is None or other.end is None or self.start <= other.end
        else:
            reached = self.start is None or other.end is None or self.start < other.end
        return reached and (self.end is None or other.start is None or other.start < self.end)


def parse_instant(text: str, zone: tzinfo) -> datetime:
    """Read an RFC 3339 instant, or a plain date.

    Parameters
    ----------
    text : str
        With an offset or ``Z``, to at most microseconds; or ``yyyy-mm-dd``, which means
        00:00 of that day in `zone`.
    zone : tzinfo
        The time zone of plain dates.

    Returns
    -------
    datetime
        Aware, in UTC.

    Raises
    ------
    BadInstant
        If it is neither, does not exist, or lies outside the years 1 to 9999.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> parse_instant("2014-06-01", ZoneInfo("Asia/Shanghai")).isoformat()
    '2014-05-31T16:00:00+00:00'
    """
    match = _STRICT.fullmatch(text)
    if match is None:
        raise BadInstant(
            f"{text!r} is no instant; write it as 2014-06-01T00:00:00+08:00, "
            "2014-05-31T16:00:00Z or 2014-06-01 (a '+' in a URL is %2B)"
        )
    if match["hour"] and not match["offset"]:
        raise BadInstant(f"{text!r} states no offset; end it with Z or one such as +08:00")
    if (match["fraction"] or "")[6:].strip("0"):
        raise BadInstant(f"{text!r} is finer than a microsecond; give at most six decimals")
    return instant_of_match(match, zone)


def parse_datetime(text: str, zone: tzinfo) -> datetime | Interval:
    """Read the API's ``datetime``: an instant, or an interval closed at both ends.

    Parameters
    ----------
    text : str
        ``a``, ``a/b``, ``../b``, ``a/..``, ``/b`` or ``a/``, where a and b are what
        `parse_instant` reads. Open at both ends is the whole of time.
    zone : tzinfo
        The time zone of plain dates.

    Raises
    ------
    BadInstant
        If a part is no instant.
    BadPeriod
        If it has more than two parts, or ends before it starts.

    Examples
    --------
    >>> parse_datetime("2014-06-01/..", UTC).end is None
    True
    """
    parts = text.split("/")
    if len(parts) == 1:
        return parse_instant(text, zone)
    if len(parts) > 2:
        raise BadPeriod(f"{text!r} has {len(parts)} parts; an interval has a start and an end")
    start, end = (None if part in ("", "..") else parse_instant(part, zone) for part in parts)
    return Interval(start, end)


def parse_version_instant(text: str) -> datetime:
    """Read what `format_version_instant` writes, and nothing else.

    Raises
    ------
    BadInstant
        If it is anything else.

    Examples
    --------
    >>> parse_version_instant("20121014T164317.000000Z").isoformat()
    '2012-10-14T16:43:17+00:00'
    """
    match = _VERSION.fullmatch(text)
    if match is None:
        raise BadInstant(f"{text!r} is no version's instant; it looks like 20121014T164317.000000Z")
    year, month, day, hour, minute, second, fraction = match.groups()
    return parse_instant(f"{year}-{month}-{day}T{hour}:{minute}:{second}.{fraction}Z", UTC)


@lru_cache(maxsize=4096)
def format_instant(instant: datetime) -> str:
    """Write an aware instant as RFC 3339 in UTC, with microseconds where there are any.

    Raises
    ------
    BadInstant
        If it is naive.

    Examples
    --------
    >>> format_instant(datetime(2012, 10, 14, 16, 43, 17, tzinfo=UTC))
    '2012-10-14T16:43:17Z'
    """
    return _utc(instant).replace(tzinfo=None).isoformat() + "Z"


def format_version_instant(instant: datetime) -> str:
    """Write an aware instant as it stands in the id of a version, always to the microsecond.

    Raises
    ------
    BadInstant
        If it is naive.

    Examples
    --------
    >>> format_version_instant(datetime(2012, 10, 14, 16, 43, 17, tzinfo=UTC))
    '20121014T164317.000000Z'
    """
    text = _utc(instant).replace(tzinfo=None).isoformat(timespec="microseconds")
    return text.replace("-", "").replace(":", "") + "Z"


def _utc(instant: datetime) -> datetime:
    if instant.utcoffset() is None:
        raise BadInstant(f"{instant} states no offset; give it a tzinfo")
    return instant.astimezone(UTC)


def _keep_utc(bounded: Period | Interval) -> None:
    for name in ("start", "end"):
        instant = getattr(bounded, name)
        if instant is not None:
            object.__setattr__(bounded, name, _utc(instant))


def _bounds(bounded: Period | Interval) -> str:
    ends = (bounded.start, bounded.end)
    return "/".join(".." if end is None else format_instant(end) for end in ends)


def instant_of_match(match: re.Match[str], zone: tzinfo) -> datetime:
    """Turn a match with the groups year to fraction and offset into an instant in UTC."""
    text, part = match.string, match.groupdict(default="")
    hour, minute, second = (int(part[name] or 0) for name in ("hour", "minute", "second"))
    if second == 60:
        raise BadInstant(f"{text!r} is a leap second, which no clock here has; use second 59")
    if part["year"] == "0000":
        raise BadInstant(f"{text!r} is in the year 0, which can't be stored; there are 1 to 9999")
    microsecond = int(part["fraction"][:6].ljust(6, "0"))
    try:
        day = date(*(int(part[name]) for name in ("year", "month", "day")))
        local = datetime.combine(day, time(hour, minute, second, microsecond))
        return local.replace(tzinfo=_offset(part["offset"]) or zone).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadInstant(f"{text!r} does not exist: {error}") from None


def _offset(text: str) -> tzinfo | None:
    if not text:
        return None
    if text in "Zz":
        return UTC
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise ValueError(f"an offset of {text} is more than a day, or its minutes than an hour")
    size = timedelta(hours=hours, minutes=minutes)
    return timezone(-size if text[0] == "-" else size)
