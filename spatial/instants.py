"""Columns of dates, however they were written, as columns of instants.

The rule for local times is that of `spatial.periods`. A module of its own: it needs pandas, which
takes 45 MB that a server which only answers can do without.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache, partial
from typing import Any, Final, NoReturn, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatial.errors import BadInstant
from spatial.periods import instant_of_match

InstantSeries: TypeAlias = "pd.Series[pd.Timestamp]"
AnySeries: TypeAlias = "pd.Series[Any]"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MISSING_US: Final = np.iinfo(np.int64).min  # how datetime64 writes NaT
_MILLISECOND: Final = timedelta(milliseconds=1)
_FIRST_MS: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LAST_MS: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND

_LOOSE: Final = re.compile(
    r"(?P<year>[0-9]{4})(?P<mark>[-/])(?P<month>[0-9]{1,2})(?P=mark)(?P<day>[0-9]{1,2})"
    r"(?:[Tt ]+(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})"
    r"(?:[.,](?P<fraction>[0-9]+))?)?"
    r" ?(?P<offset>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)


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


def as_microseconds(instants: AnySeries) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return instants as microseconds since 1970 in UTC, and which of them are missing.

    Raises
    ------
    BadInstant
        If they are not aware timestamps, or one lies outside the years 1 to 9999.

    Examples
    --------
    >>> as_microseconds(clean_instants(pd.Series(["1970-01-02"]), UTC))[0].tolist()
    [86400000000]
    """
    missing = instants.isna().to_numpy(dtype=bool)
    if missing.all():
        return np.zeros(len(instants), dtype=np.int64), missing
    if not isinstance(instants.dtype, pd.DatetimeTZDtype):
        raise BadInstant(
            f"column {instants.name!r} holds {instants.dtype}, not aware timestamps; "
            "clean it with spatial.instants.clean_instants"
        )
    utc = instants.dt.tz_convert("UTC").dt.tz_localize(None)
    found = utc.to_numpy(dtype="datetime64[us]").view(np.int64)
    far = np.flatnonzero(~missing & ((found < _FIRST_MS * 1000) | (found >= (_LAST_MS + 1) * 1000)))
    if far.size:
        _refuse(instants, int(far[0]), "lies outside the years 1 to 9999; mend or empty it")
    return found, missing


def _is_number(values: AnySeries) -> bool:
    kind = values.dtype
    return pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)


def _refuse(values: AnySeries, position: int, why: str) -> NoReturn:
    label, value = values.index[position], values.iloc[position]
    try:
        shown = repr(value)
    except (NotImplementedError, ValueError):  # pandas can't write the years that Python has not
        shown = str(value.asm8)
    raise BadInstant(f"row {label!r} of {values.name or 'the column'}: {shown} {why}")


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
    return instant_of_match(match, zone)
