from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spatial.errors import BadInstant, BadPeriod
from spatial.instants import clean_instants
from spatial.periods import (
    Interval,
    Period,
    format_instant,
    format_version_instant,
    parse_datetime,
    parse_instant,
    parse_version_instant,
)

SHANGHAI, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")
ZONES = ["Asia/Shanghai", "America/New_York", "America/Toronto", "Pacific/Apia", "UTC"]
ZONES += ["America/Havana", "Australia/Lord_Howe", "Africa/Monrovia", "Europe/Dublin"]
NEAR, FAR = datetime(1, 1, 3), datetime(9999, 12, 29)
instants = st.datetimes(NEAR, FAR, timezones=st.just(UTC))
locals_ = st.datetimes(NEAR, FAR) | st.datetimes(datetime(1880, 1, 1), datetime(2040, 1, 1))


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2014-06-01T00:00:00Z", at(2014, 6, 1)),
        ("2014-06-01t00:00:00z", at(2014, 6, 1)),
        ("2014-06-01T00:00:00.5+08:00", at(2014, 5, 31, 16, 0, 0, 500000)),
        ("2014-06-01T00:00:00.000001-00:00", at(2014, 6, 1, 0, 0, 0, 1)),
        ("2014-06-01T00:00:00.123456000Z", at(2014, 6, 1, 0, 0, 0, 123456)),
        ("2024-02-29T23:59:59+23:59", at(2024, 2, 29, 0, 0, 59)),
        ("2014-06-01", at(2014, 5, 31, 16)),
        ("0407-04-01T00:00:00Z", at(407, 4, 1)),
        # Shanghai kept local mean time, +08:05:43, before 1901, and summer time in 1986-91
        ("1900-12-31", at(1900, 12, 30, 15, 54, 17)),
        ("1901-01-01", at(1900, 12, 31, 16)),
        ("1986-05-04", at(1986, 5, 3, 16)),
        ("1986-05-05", at(1986, 5, 4, 15)),
        ("1991-09-15", at(1991, 9, 14, 15)),
        ("1991-09-16", at(1991, 9, 15, 16)),
    ],
)
def test_reads_an_instant(text: str, expected: datetime) -> None:
    read = parse_instant(text, SHANGHAI)
    assert read == expected
    assert read.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "now",
            "2014",
            "2014-06",
            "2014-6-1",
            "20140601",
            "2014-06-01 ",
            "..",
            "2014-W01",
        ),
        *("2014-06-01T00:00:00", "2014-06-01T00:00Z", "2014-06-01 00:00:00Z", "2014-06-01TZ"),
        *("2014-02-30", "2013-02-29", "2014-13-01", "2014-00-10", "2014-06-31T00:00:00Z"),
        *("0000-01-01", "0000-01-01T00:00:00Z", "-0001-01-01", "10000-01-01", "+2014-06-01"),
        *("2014-06-01T24:00:00Z", "2014-06-01T00:60:00Z", "2016-12-31T23:59:60Z"),
        *("2014-06-01T00:00:00+24:00", "2014-06-01T00:00:00+08:60", "2014-06-01T00:00:00+0800"),
        *("2014-06-01T00:00:00 08:00", "2014-06-01T00:00:00.Z", "2014-06-01T00:00:00.1234567Z"),
        *("0001-01-01", "0001-01-01T00:00:00+08:00", "9999-12-31T23:59:59-08:00"),
        *("２０１４-06-01", "2014-06-01\n", "2014-06-01T00:00:00Z\x00"),
    ],
)
def test_refuses_what_is_no_instant(text: str) -> None:
    with pytest.raises(BadInstant) as caught:
        parse_instant(text, SHANGHAI)
    assert repr(text) in str(caught.value)


@settings(deadline=None)
@given(instants)
@example(at(1, 1, 3))
@example(at(2012, 10, 14, 16, 43, 17))
def test_what_is_written_reads_back(instant: datetime) -> None:
    assert parse_instant(format_instant(instant), SHANGHAI) == instant
    assert parse_version_instant(format_version_instant(instant)) == instant
    assert len(format_version_instant(instant)) == len("20121014T164317.000000Z")


@settings(deadline=None)
@given(instants, st.integers(-1439, 1439))
def test_the_offset_it_was_written_with_does_not_matter(instant: datetime, minutes: int) -> None:
    text = instant.astimezone(timezone(timedelta(minutes=minutes))).isoformat()
    assert parse_instant(text, SHANGHAI) == instant


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_by_name(text: str) -> None:
    try:
        parse_datetime(text, SHANGHAI)
    except (BadInstant, BadPeriod):
        return


def test_instants_are_written_in_utc() -> None:
    assert format_instant(datetime(2012, 10, 14, tzinfo=SHANGHAI)) == "2012-10-13T16:00:00Z"
    assert format_instant(at(2012, 1, 1, 0, 0, 0, 50)) == "2012-01-01T00:00:00.000050Z"
    assert format_version_instant(at(407, 4, 1)) == "04070401T000000.000000Z"
    for write in (format_instant, format_version_instant):
        with pytest.raises(BadInstant, match="no offset"):
            write(datetime(2012, 1, 1))


@pytest.mark.parametrize("text", ["", "20121014", "20121014T164317Z", "20121314T164317.000000Z"])
def test_refuses_what_is_no_versions_instant(text: str) -> None:
    with pytest.raises(BadInstant):
        parse_version_instant(text)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2014-06-01/2014-06-02", at(2014, 5, 31, 16), at(2014, 6, 1, 16)),
        ("2014-06-01/2014-06-01", at(2014, 5, 31, 16), at(2014, 5, 31, 16)),
        ("../2014-06-02", None, at(2014, 6, 1, 16)),
        ("/2014-06-02", None, at(2014, 6, 1, 16)),
        ("2014-06-01/..", at(2014, 5, 31, 16), None),
        ("2014-06-01/", at(2014, 5, 31, 16), None),
        *((text, None, None) for text in ("../..", "/", "../", "/..")),
    ],
)
def test_reads_an_interval(text: str, start: datetime | None, end: datetime | None) -> None:
    assert parse_datetime(text, SHANGHAI) == Interval(start, end)


def test_an_instant_is_no_interval() -> None:
    assert parse_datetime("2014-06-01T00:00:00Z", SHANGHAI) == at(2014, 6, 1)


@pytest.mark.parametrize("text", ["2014-06-02/2014-06-01", "a/b/c", "2014-06-01/2014-06-02/"])
def test_refuses_a_bad_interval(text: str) -> None:
    with pytest.raises(BadPeriod):
        parse_datetime(text, SHANGHAI)


@pytest.mark.parametrize("text", ["x/..", "../2014-02-30", ".", "..."])
def test_refuses_an_interval_of_bad_instants(text: str) -> None:
    with pytest.raises(BadInstant):
        parse_datetime(text, SHANGHAI)


ends = st.none() | st.integers(0, 6)


def moment(hour: int | None) -> datetime | None:
    return None if hour is None else at(2024, 1, 1, hour)


@settings(deadline=None)
@given(ends, ends, ends, ends)
def test_periods_meet_where_they_share_an_instant(
    a: int | None, b: int | None, c: int | None, d: int | None
) -> None:
    """Instants half an hour apart stand for all of time: bounds are whole hours."""
    ticks = [at(2023, 12, 31, 12) + timedelta(minutes=30 * step) for step in range(50)]
    try:
        one = Period(moment(a), moment(b))
    except BadPeriod:
        assert a is not None and b is not None and a >= b  # noqa: PT018
        return
    inside = [t for t in ticks if (a is None or t >= moment(a)) and (b is None or t < moment(b))]
    assert [t for t in ticks if one.contains(t)] == inside
    for kind in (Period, Interval):
        try:
            other = kind(moment(c), moment(d))
        except BadPeriod:
            continue
        assert one.intersects(other) == any(other.contains(t) for t in inside)


def test_a_period_is_kept_in_utc_and_aware() -> None:
    assert Period(datetime(2024, 1, 1, tzinfo=SHANGHAI), None).start == at(2023, 12, 31, 16)
    assert Period(datetime(2024, 1, 1, tzinfo=SHANGHAI), None).start.tzinfo is UTC
    with pytest.raises(BadInstant):
        Period(datetime(2024, 1, 1), None)
    with pytest.raises(BadPeriod, match=r"\[?2024-01-02T00:00:00Z/2024-01-01T00:00:00Z"):
        Period(at(2024, 1, 2), at(2024, 1, 1))


def naive_instant(local: datetime, zone: str) -> datetime:
    return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@settings(deadline=None)
@given(st.lists(locals_), st.sampled_from(ZONES))
@example([datetime(1919, 3, 31), datetime(1919, 3, 30, 23, 30)], "America/Toronto")
@example([datetime(2011, 12, 30, 12)], "Pacific/Apia")
@example([datetime(1986, 5, 4, 2, 30), datetime(1986, 9, 14, 1, 30)], "Asia/Shanghai")
@example([datetime(1900, 12, 31, 23, 55), datetime(1900, 12, 31, 23, 54, 17)], "Asia/Shanghai")
def test_every_way_of_writing_a_local_time_gives_the_same(times: list[datetime], zone: str) -> None:
    expected = [naive_instant(time, zone) for time in times]
    columns = [
        pd.Series(np.array(times, dtype="datetime64[us]")),
        pd.Series(times, dtype=object),
        pd.Series([time.isoformat() for time in times], dtype=object),
        pd.Series([time.isoformat(" ").replace("-", "/") for time in times], dtype="str"),
        pd.Series(expected, dtype=object),
        pd.Series([time.isoformat() for time in expected], dtype=object),
    ]
    for column in columns:
        cleaned = clean_instants(column, ZoneInfo(zone))
        assert str(cleaned.dtype) == "datetime64[us, UTC]"
        assert [stamp.to_pydatetime() for stamp in cleaned] == expected


def test_a_skipped_time_moves_forward_and_a_repeated_one_is_the_first() -> None:
    local = pd.Series(["2014-03-09 02:30", "2014-11-02 01:30", "2014-06-01"])
    cleaned = clean_instants(local, NEW_YORK).tolist()
    # 03:30 EDT, 01:30 EDT (not EST), 00:00 EDT
    assert cleaned == [at(2014, 3, 9, 7, 30), at(2014, 11, 2, 5, 30), at(2014, 6, 1, 4)]


@pytest.mark.parametrize("dtype", ["int64", "Int64", "float64", "Float64", "object"])
def test_whole_numbers_are_milliseconds(dtype: str) -> None:
    values = pd.Series([0, 1401580800123, -49326192000000], dtype=dtype)
    cleaned = clean_instants(values, SHANGHAI).tolist()
    assert cleaned[:2] == [at(1970, 1, 1), at(2014, 6, 1, 0, 0, 0, 123000)]
    assert cleaned[2].year == 406


def test_what_is_missing_stays_missing_and_the_index_stays() -> None:
    gaps = [None, float("nan"), pd.NaT, "", "  ", "2014-06-01", date(407, 4, 1)]
    cleaned = clean_instants(pd.Series(gaps, index=list("abcdefg"), dtype=object, name="x"), UTC)
    assert cleaned.isna().tolist() == [True] * 5 + [False] * 2
    assert cleaned["g"] == at(407, 4, 1)
    assert (cleaned.name, list(cleaned.index)) == ("x", list("abcdefg"))
    for empty in (pd.Series([np.nan, np.nan]), pd.Series([], dtype=object), pd.Series([None])):
        cleaned = clean_instants(empty, UTC)
        assert str(cleaned.dtype) == "datetime64[us, UTC]"
        assert cleaned.isna().all()


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_of_every_unit_come_out_in_microseconds(unit: str) -> None:
    naive = pd.Series(np.array(["2014-06-01T00:00", "NaT"], dtype=f"datetime64[{unit}]"))
    for column in (naive, naive.dt.tz_localize(SHANGHAI)):
        cleaned = clean_instants(column, SHANGHAI)
        assert str(cleaned.dtype) == "datetime64[us, UTC]"
        assert cleaned[0] == at(2014, 5, 31, 16)
        assert cleaned[1] is pd.NaT


@pytest.mark.parametrize("dtype", [object, "str", "int64", "float64"])
def test_a_stated_format_is_used(dtype: object) -> None:
    values = pd.Series(["20140601", "20150601"]).astype("int64").astype(dtype)
    if dtype == "str" or dtype is object:
        values = pd.Series(["20140601", "20150601"], dtype=dtype)
    assert clean_instants(values, UTC, "%Y%m%d").tolist() == [at(2014, 6, 1), at(2015, 6, 1)]
    local = pd.Series(["4/10/10 9:39", None])
    assert clean_instants(local, NEW_YORK, "%m/%d/%y %H:%M")[0] == at(2010, 4, 10, 13, 39)


@pytest.mark.parametrize(
    "values",
    [
        *(
            ["2014-06-01", bad]
            for bad in ("2014-02-30", "soon", "1/2/2014", "2014-06-01T", "0000-01-01")
        ),
        *([at(2014, 6, 1), bad] for bad in (True, 1.5, [1], b"2014", float("inf"), 10**30)),
        [0, 253402300800000],
        [0.0, 0.5],
        [False, True],
        np.array(["2014-06-01", "12014-06-01"], dtype="datetime64[s]"),
        np.array(["2014-06-01", "0000-06-01"], dtype="datetime64[us]"),
    ],
)
def test_refuses_a_column_naming_row_and_value(values: object) -> None:
    column = pd.Series(values, index=["first", "second"], name="built")
    first = "first" if column.dtype == bool else "second"
    with pytest.raises(BadInstant, match=f"'{first}' of built"):
        clean_instants(column, SHANGHAI)


def test_refuses_a_local_time_whose_instant_is_out_of_range() -> None:
    edge = pd.Series(np.array(["0001-01-01"], dtype="datetime64[us]"))
    with pytest.raises(BadInstant):
        clean_instants(edge, SHANGHAI)
    with pytest.raises(BadInstant):
        clean_instants(edge.astype(object), SHANGHAI)
