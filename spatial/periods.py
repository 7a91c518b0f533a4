"""Instants, half-open periods and closed intervals: read from text and columns, written as text.

One rule turns a local time into an instant, wherever that happens here: a local time that a
clock change skips moves forward by the length of the gap, one that it repeats means the first
of the two. It is the rule of PEP 495 with ``fold=0``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

import numpy as np
import pandas as pd

from spatial.errors import BadInstant, BadPeriod

if TYPE_CHECKING:
    from numpy.typing import NDArray

    InstantSeries: TypeAlias = "pd.Series[pd.Timestamp]"
    AnySeries: TypeAlias = "pd.Series[Any]"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MISSING_US: Final = np.iinfo(np.int64).min  # how datetime64 writes NaT
_MILLISECOND: Final = timedelta(milliseconds=1)
_FIRST_MS: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LAST_MS: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND

_STRICT: Final = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"(?:[Tt](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
    r"(?:\.(?P<fraction>[0-9]+))?"
    r"(?P<offset>[Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)
_LOOSE: Final = re.compile(
    r"(?P<year>[0-9]{4})(?P<mark>[-/])(?P<month>[0-9]{1,2})(?P=mark)(?P<day>[0-9]{1,2})"
    r"(?:[Tt ]+(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})"
    r"(?:[.,](?P<fraction>[0-9]+))?)?"
    r" ?(?P<offset>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
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
    return _instant_of_match(match, zone)


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


def clean_instants(values: AnySeries, zone: tzinfo, format: str | None = None) -> InstantSeries:  # noqa: A002
    """Turn a column of dates, however they were written, into instants.

    Parameters
    ----------
    values : Series
        Timestamps, aware or naive; dates; text; or whole numbers, which are milliseconds
        since 1970-01-01T00:00Z. Text is year-month-day with ``-`` or ``/``, alone or with a
        time and perhaps an offset; anything else needs `format`. None, NaN, NaT and blank
        text are missing.
    zone : tzinfo
        The time zone of what states no offset; a date is its 00:00. A local time that a
        clock change skips moves forward by the gap, one that it repeats is the first.
    format : str, optional
        As in `datetime.strptime`; every value must be written so.

    Returns
    -------
    Series of datetime64[us, UTC]
        With the index and name of `values`, NaT where missing. What is finer than a
        microsecond is cut off.

    Raises
    ------
    BadInstant
        If a value is no instant or lies outside the years 1 to 9999; it names the first row.

    Examples
    --------
    >>> clean_instants(pd.Series(["0407-04-01", None]), UTC).dt.year.tolist()
    [407.0, nan]
    """
    if format is None and pd.api.types.is_datetime64_dtype(values.dtype):
        return _clean_timestamps(values, zone)
    if format is None and isinstance(values.dtype, pd.DatetimeTZDtype):
        return _clean_timestamps(values, zone)
    if format is None and _is_number(values):
        return _clean_milliseconds(values)
    return _clean_objects(values, zone, format)


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


def _instant_of_match(match: re.Match[str], zone: tzinfo) -> datetime:
    """Turn a match of `_STRICT` or `_LOOSE` into an instant in UTC."""
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


def _is_number(values: AnySeries) -> bool:
    kind = values.dtype
    return pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)


def _refuse(values: AnySeries, position: int, why: str) -> NoReturn:
    label, value = values.index[position], values.iloc[position]
    raise BadInstant(f"row {label!r} of {values.name or 'the column'}: {value!r} {why}")


def _series(microseconds: NDArray[np.int64], like: AnySeries) -> InstantSeries:
    naive = pd.Series(microseconds.view("datetime64[us]"), index=like.index, name=like.name)
    return naive.dt.tz_localize("UTC")


def _clean_timestamps(values: AnySeries, zone: tzinfo) -> InstantSeries:
    _refuse_far(values, values.dt.year)
    cut = values.dt.as_unit("us")
    aware = cut if cut.dt.tz is not None else _localize(cut, zone)
    instants: InstantSeries = aware.dt.tz_convert("UTC")
    _refuse_far(values, instants.dt.year)
    return instants


def _refuse_far(values: AnySeries, years: AnySeries) -> None:
    far = np.flatnonzero((years < MINYEAR) | (years > MAXYEAR))
    if far.size:
        _refuse(values, int(far[0]), "lies outside the years 1 to 9999; mend or empty it")


def _localize(local: AnySeries, zone: tzinfo) -> InstantSeries:
    """Apply the module's rule to naive datetime64[us] values."""
    first = np.ones(len(local), dtype=bool)
    aware: InstantSeries = local.dt.tz_localize(zone, ambiguous=first, nonexistent="NaT")
    # pandas can shift a skipped time too, but goes astray where the gap is not a whole hour
    # or the time lies well inside it, so the few there are take the long way
    skipped = np.flatnonzero(aware.isna() & local.notna())
    for position in skipped:
        instant = local.iloc[int(position)].to_pydatetime().replace(tzinfo=zone).astimezone(UTC)
        aware.iloc[int(position)] = pd.Timestamp(instant).as_unit("us").tz_convert(zone)
    return aware


def _clean_milliseconds(values: AnySeries) -> InstantSeries:
    # float64 holds every millisecond of the years 1 to 9999 exactly
    numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    missing = np.isnan(numbers)
    good = (numbers >= _FIRST_MS) & (numbers <= _LAST_MS) & (numbers == np.floor(numbers))
    bad = np.flatnonzero(~good & ~missing)
    if bad.size:
        _refuse(values, int(bad[0]), "is no whole number of milliseconds in the years 1 to 9999")
    microseconds = np.full(len(values), _MISSING_US, dtype=np.int64)
    microseconds[~missing] = numbers[~missing].astype(np.int64) * 1000
    return _series(microseconds, values)


def _clean_objects(values: AnySeries, zone: tzinfo, format: str | None) -> InstantSeries:  # noqa: A002
    read = lru_cache(maxsize=None)(partial(_read_text, zone=zone, format=format))
    microseconds = np.full(len(values), _MISSING_US, dtype=np.int64)
    missing = values.isna().to_numpy(dtype=bool)
    for position, value in enumerate(values.tolist()):
        if missing[position] or (isinstance(value, str) and not value.strip()):
            continue
        try:
            instant = _read_value(value, zone, format, read)
        except (ValueError, OverflowError) as error:
            _refuse(values, position, f"can't be read: {error}")
        microseconds[position] = (instant - _EPOCH) // _MICROSECOND
    return _series(microseconds, values)


def _read_value(
    value: object,
    zone: tzinfo,
    format: str | None,  # noqa: A002
    read: Callable[[str], datetime],
) -> datetime:
    if isinstance(value, str):
        return read(value.strip())
    if isinstance(value, pd.Timestamp):
        value = value.as_unit("us").to_pydatetime()
    if isinstance(value, date):
        clock = (
            value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        )
        return clock.replace(tzinfo=clock.tzinfo or zone, fold=0).astimezone(UTC)
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        return (
            read(str(_whole(value))) if format else _EPOCH + timedelta(milliseconds=_whole(value))
        )
    raise BadInstant("it is neither a date, a timestamp, text nor whole milliseconds")


def _whole(number: float | np.number[Any]) -> int:
    if number != int(number):
        raise BadInstant("it is no whole number")
    return int(number)


def _read_text(text: str, zone: tzinfo, format: str | None) -> datetime:  # noqa: A002
    if format is not None:
        local = datetime.strptime(text, format)
        return local.replace(tzinfo=local.tzinfo or zone).astimezone(UTC)
    match = _LOOSE.fullmatch(text)
    if match is None:
        raise BadInstant("write year-month-day, or state the format, such as %m/%d/%y %H:%M")
    return _instant_of_match(match, zone)
