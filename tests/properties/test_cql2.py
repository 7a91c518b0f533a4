"""CQL2 in the database against CQL2 worked out row by row, and against whatever one may send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
import shapely
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from naive_cql2 import holds
from sqlalchemy.engine import Connection

from layers.errors import BadQuery
from layers.publish import Reload
from layers.readers import Reader
from layers.reading.cql2 import JSON, TEXT, read_filter
from layers.reading.cql2.functions import FUNCTIONS
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
from layers.store import Snapshot, open_store
from layers.writers import Writer
from tests.databases import Databases

SCHEMA = parse_schema(
    {
        "title": "Everything",
        "geometry": "Polygon",
        "time_zone": "Asia/Shanghai",
        "fields": [
            {"id": "no", "role": "key"},
            {"id": "t"},
            {"id": "u"},
            {"id": "k", "type": "integer"},
            {"id": "large", "type": "integer"},
            {"id": "n", "type": "number"},
            {"id": "far", "type": "number"},
            {"id": "b", "type": "boolean"},
            {"id": "c", "type": "boolean"},
            {"id": "d", "type": "date"},
            {"id": "w", "type": "instant"},
            {"id": "x", "type": "instant"},
        ],
    }
)
TEXTS = ["", "a", "A", "b", "ab", "É", "é", "50%", "a_b", "it's", "宗地", "ß", "back\\slash", "Z"]
FAR = [1.7976931348623157e308, 5e-324, -1e-300, 0.0, 9e99, -1e99, 1e-99, 1e150, 123456789.125]
SIGNS = ["=", "<>", "<", "<=", ">", ">="]
DAYS = [date(2020, 1, 1), date(2020, 2, 29), date(2021, 12, 31), date(1, 1, 2), date(9999, 12, 30)]
CLOCKS = [
    datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=8))),
    datetime(2020, 1, 1, tzinfo=UTC),
    datetime(2020, 2, 29, 12, 30, 15, 125, tzinfo=UTC),
    datetime(2021, 12, 30, 16, tzinfo=UTC),
]


def pick(values: list[Any], i: int, step: int) -> Any:
    """One of the values, or None each so many rows."""
    return None if i % step == step - 1 else values[i % len(values)]


def build_rows() -> list[dict[str, Any]]:
    rows = []
    for i in range(36):
        rows.append(
            {
                "no": str(i),
                "t": pick(TEXTS, i, 9),
                "u": pick(TEXTS[::-1], i, 7),
                "k": pick([-3, -1, 0, 1, 2, 7], i, 8),
                "large": pick([2**63 - 1, -(2**63) + 1, 0, 10**18], i, 10),
                "n": pick([-1.5, 0.0, 0.1, 0.2, 2.0, 1e6], i, 11),
                "far": pick(FAR, i, 12),
                "b": pick([True, False], i, 3),
                "c": pick([False, False, True], i, 4),
                "d": pick(DAYS[:3], i, 5),
                "w": pick(CLOCKS, i, 6),
                "x": pick(CLOCKS[::-1], i // 2, 6),
                "geometry": None if i == 35 else shapely.box(i % 6, i // 6, i % 6 + 1, i // 6 + 1),
            }
        )
    return rows


ROWS = build_rows()


class Asked:
    """The rows as a layer, and a connection to ask it."""

    def __init__(self, snapshot: Snapshot, connection: Connection) -> None:
        self.snapshot, self.connection = snapshot, connection

    def __call__(self, text: str, language: str = JSON) -> set[str]:
        narrowed = self.snapshot.where(filter=read_filter(text, language))
        rows = narrowed.select(self.snapshot.layer.record).subquery()
        with self.connection.begin_nested():
            return {row._fid for row in self.connection.execute(sa.select(rows.c._fid))}


@pytest.fixture(scope="module")
def asked(empty_template: str, make_database: Databases) -> Iterator[Asked]:
    columns: dict[str, Any] = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    for name, kind in (("k", "Int64"), ("large", "Int64"), ("b", "boolean"), ("c", "boolean")):
        columns[name] = pd.array(columns[name], dtype=kind)
    frame = gpd.GeoDataFrame(columns, geometry="geometry", crs="OGC:CRS84")
    with make_database.passing(empty_template) as dsn, closing(open_store(dsn)) as store:
        reload = Reload(FrameSource(frame), SCHEMA, valid_from=datetime(2020, 1, 1, tzinfo=UTC))
        store.commit({"every": reload}, Writer("t"), "")
        snapshot = store.layer("every", Reader.everything()).at()
        with store.database.read() as connection:
            yield Asked(snapshot, connection)


def prop(*names: str) -> st.SearchStrategy[Any]:
    return st.sampled_from([{"property": name} for name in names])


def op(*names: str, args: tuple[st.SearchStrategy[Any], ...]) -> st.SearchStrategy[Any]:
    made = st.tuples(st.sampled_from(names), st.tuples(*args))
    return made.map(lambda found: {"op": found[0], "args": list(found[1])})


days = st.sampled_from(DAYS[:3]).map(date.isoformat)
clocks = st.sampled_from(CLOCKS).map(lambda w: w.astimezone(UTC).isoformat())
texts = prop("t", "u") | st.sampled_from(TEXTS)
integers = st.recursive(
    prop("k") | st.integers(-4, 8),
    lambda inner: op("+", "-", "*", "div", "%", args=(inner, inner)),
    max_leaves=4,
)
decimals = st.recursive(
    prop("k", "n") | st.sampled_from([0, 1, -1.5, 0.1, 0.3, 2, 1e6]),
    lambda inner: op("+", "-", "*", args=(inner, inner)),
    max_leaves=4,
)
numbers = integers | decimals | prop("large")
times = (
    prop("d", "w", "x") | days.map(lambda d: {"date": d}) | clocks.map(lambda w: {"timestamp": w})
)
intervals = st.tuples(
    st.just("..") | days | clocks | prop("w", "x"), st.just("..") | days | clocks | prop("w", "x")
).map(lambda ends: {"interval": list(ends)})
patterns = st.lists(
    st.sampled_from(["%", "_", "a", "A", "b", "\\%", "\\_", "\\\\", "é", "'"]), max_size=4
).map("".join)
shapes = st.builds(
    lambda x, y, w, h: shapely.geometry.mapping(shapely.box(x, y, x + w, y + h)),
    *(st.sampled_from([0, 0.5, 1, 2, 3]) for _ in range(2)),
    *(st.sampled_from([0.5, 1, 2, 6]) for _ in range(2)),
) | st.builds(
    lambda x, y: {"type": "Point", "coordinates": [x, y]}, *(st.integers(0, 6) for _ in range(2))
)
scalars = st.sampled_from([texts, numbers, times])
SHORT = ("t_after", "t_before", "t_disjoint", "t_equals", "t_intersects")
LONG = (
    "t_contains t_during t_finishedBy t_finishes t_meets t_metBy t_overlappedBy t_overlaps "
    "t_startedBy t_starts"
).split()
SPATIAL = [
    f"s_{name}"
    for name in "intersects disjoint equals touches crosses within contains overlaps".split()
]
geom = st.just({"property": "geometry"})
predicates = (
    scalars.flatmap(lambda kind: op(*SIGNS, args=(kind, kind)))
    | scalars.flatmap(lambda kind: op("between", args=(kind, kind, kind)))
    | scalars.flatmap(lambda k: op("in", args=(k, st.lists(k, min_size=1, max_size=4))))
    | op("=", "<>", args=(prop("b", "c"), prop("b", "c") | st.booleans()))
    | op("like", args=(texts, patterns))
    | op("isNull", args=(prop("t", "k", "n", "b", "d", "w", "geometry"),))
    | op(*SHORT, args=(times | intervals, times | intervals))
    | op(*LONG, args=(intervals, intervals))
    | op(*SPATIAL, args=(geom, shapes))
    | op(*SPATIAL, args=(shapes, geom))
    | st.sampled_from([texts, integers]).flatmap(
        lambda kind: op(
            *("a_equals", "a_contains", "a_containedBy", "a_overlaps"),
            args=(st.lists(kind, max_size=3), st.lists(kind, max_size=3)),
        )
    )
    | prop("b", "c")
    | st.booleans()
)
filters = st.recursive(
    predicates,
    lambda inner: op("and", "or", args=(inner, inner)) | op("not", args=(inner,)),
    max_leaves=5,
)


@given(tree=filters)
def test_the_database_says_what_each_row_says(asked: Asked, tree: Any) -> None:
    zone = SCHEMA.zone
    expected = {row["no"] for row in ROWS if holds(tree, row, zone) is True}
    assert asked(json.dumps(tree)) == expected


anything = st.recursive(
    prop(*(f.id for f in SCHEMA.fields), "geometry", "nothing")
    | st.sampled_from(TEXTS)
    | st.text(max_size=5)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([*FAR, 2**63, -(2**63), 2**64, 0, -1, 0.5, 100, 1e300])
    | st.booleans()
    | st.dates().map(lambda d: {"date": d.isoformat()})
    | st.datetimes().map(lambda w: {"timestamp": f"{w.isoformat()}Z"})
    | intervals
    | shapes
    | st.lists(st.floats(-400, 400), min_size=4, max_size=4).map(lambda b: {"bbox": b}),
    lambda inner: (
        op("+", "-", "*", "/", "%", "div", "^", args=(inner, inner))
        | op("casei", "accenti", *(f.name for f in FUNCTIONS), args=(inner,))
        | op(*SIGNS, "like", *SHORT, *LONG, *SPATIAL, "and", "or", args=(inner, inner))
        | op("between", args=(inner, inner, inner))
        | op("in", "a_overlaps", "a_equals", args=(inner, st.lists(inner, max_size=3)))
        | op("not", "isNull", args=(inner,))
    ),
    max_leaves=6,
)
calculations = st.recursive(
    prop("k", "large", "n", "far", "k")
    | st.sampled_from([*FAR, 0, 1, -1, 2, 0.5, -0.5, 100, -100, 99.5, 2**63 - 1, 1e300]),
    lambda inner: (
        op("+", "-", "*", "/", "%", "div", args=(inner, inner))
        | op("^", args=(inner, st.sampled_from([2, -2, 0.5, -0.5, 0, 100, -100, 24.5, -24.5])))
        | op("^", args=(st.sampled_from([2, 1e-99, 1e99, 0.5]), inner))
        | op("abs", "floor", "ceil", "round", args=(inner,))
    ),
    max_leaves=8,
)


@given(tree=anything | op(*SIGNS, args=(calculations, calculations)))
def test_whatever_is_asked_the_database_can_answer(asked: Asked, tree: Any) -> None:
    """Either the filter is refused, or it selects; no error of the database is ever seen."""
    with suppress(BadQuery):
        asked(json.dumps(tree))


@given(text=st.text(max_size=30) | st.text(alphabet="()' \"\\ab1.,+-*^<>=NOTINA", max_size=40))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    for language in (TEXT, JSON):
        with suppress(BadQuery):
            read_filter(text, language)


def test_the_naive_rows_are_all_there(asked: Asked) -> None:
    assert asked("true") == {row["no"] for row in ROWS}
