"""CQL2: what is read and what is refused, by example; and who may ask by what."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from typing import Any

import geopandas as gpd
import pytest
import shapely
import sqlalchemy as sa
from publishing import layer, points, publish, schema_of
from territories import reader_of

from layers.edits import Update
from layers.errors import BadQuery
from layers.readers import Reader, View
from layers.reading.cql2 import DRAFT, FUNCTIONS, JSON, read_filter
from layers.store import Snapshot, Store, open_store
from layers.territories import Territory
from layers.writers import Writer
from spatial.crs import parse_crs
from tests.databases import Databases


def told(text: str, language: str = "cql2-text") -> str:
    with pytest.raises(BadQuery) as caught:
        read_filter(text, language)
    return str(caught.value)


def tree(text: str) -> Any:
    return read_filter(text).tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'it''s'", "it's"),
        (r"'it\'s'", "it's"),
        ("''", ""),
        (r"'a\tb\nc'", "a\tb\nc"),
        (r"'a\\b'", "a\\b"),
        (r"'50\%'", r"50\%"),
        ("'Chișinău 宗地'", "Chișinău 宗地"),
        ("'-- ; DROP'", "-- ; DROP"),
        ("-1.50", -1.5),
        (".5", 0.5),
        ("5.", 5),
        ("1E3", 1000),
        ("9223372036854775807", 2**63 - 1),
        ("true", True),
    ],
)
def test_literals(text: str, value: Any) -> None:
    assert tree(f"a = {text}")["args"][1] == value


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a=1 OR b=2 AND NOT c=3", "(a=1) OR ((b=2) AND (NOT (c=3)))"),
        ("a = 1+2*3^2-4", "a = ((1+(2*(3^2)))-4)"),
        ("a = 8/4/2", "a = ((8/4)/2)"),
        ("a = -b", "a = -1*b"),
        ("NOT a BETWEEN 1 AND 2 AND b=1", "(a NOT BETWEEN 1 AND 2) AND (b=1)"),
        ('"a b" IS NOT NULL', 'not ("a b" is null)'),
        ("S_INTERSECTS(g,POINT Z (1 2 3))", "s_intersects(g , point(1 2))"),
        ("S_INTERSECTS(g,POINT(1e2 -2.5))", "S_INTERSECTS(g,POINT(100 -2.5))"),
        ("A_CONTAINS(('a'),('a'))", "a_contains ( ('a') , ('a') )"),
    ],
)
def test_precedence(text: str, same: str) -> None:
    assert read_filter(text) == read_filter(same)
    assert read_filter(read_filter(text).text, JSON) == read_filter(text)


def test_names_and_parts() -> None:
    read = read_filter("\"date\" > DATE('2020-01-01') AND (b = c AND 宗地 LIKE 'x') AND NOT d")
    assert read.names == {"date", "b", "c", "宗地", "d"}
    assert [sorted(part.names) for part in read.parts()] == [["date"], ["b", "c"], ["宗地"], ["d"]]
    assert len({read, read_filter(read.text, JSON)}) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("a = ", "it ends too early"),
        ("a = 'b", "at character 5"),
        ("a == 1", "at character 4"),
        ("a = 1 = 1", "at character 7"),
        ("a IN ()", "at character 7"),
        ("a = 1; b", "at character 6"),
        ("a = 1e400", "too large"),
        ("a = 'x\x00'", "NUL"),
        ("S_INTERSECTS(g,POLYGON((0 0,1 1)))", "the geometry can't be read"),
        ("S_INTERSECTS(g,POINT(1e13 0))", "nowhere"),
        ("T_AFTER(a,INTERVAL('2020-01-01'))", "two ends"),
        ("DATE(a) = 1", "DATE takes one text"),
    ],
)
def test_what_is_no_filter(text: str, why: str) -> None:
    assert why in told(text)


@pytest.mark.parametrize(
    "made",
    [
        lambda n: "(" * n,
        lambda n: "(" * n + "a=1" + ")" * (n - 1),
        lambda n: "NOT " * n + "a=1",
        lambda n: "a=1" + "+1" * n,
        lambda n: "a=" + "-" * n + "b",
        lambda n: "f(" * n + "a" + ")" * n,
        lambda n: "a=1 AND (" * n,
        lambda n: "A_EQUALS(a," + "(1," * n + "1" + ")" * n + ")",
        lambda n: " AND ".join(["a=1"] * n),
        lambda n: f"a IN ({','.join('1' * n)})",
        lambda n: f"a = '{'x' * n}'",
        lambda n: f"S_INTERSECTS(g,LINESTRING({','.join(['1 2'] * n * 2)}))",
        lambda n: "GEOMETRYCOLLECTION(" * n,
        lambda n: "S_INTERSECTS(g,POLYGON" + "(" * n,
        lambda n: "a IN (" * n,
    ],
)
def test_too_much_is_refused_before_it_costs_anything(made: Any) -> None:
    """Some of these took a parser ten seconds, or its stack; others would take a database."""
    assert told(made(6_000))


def test_parentheses_alone_are_no_depth() -> None:
    assert read_filter("(" * 9_000 + "a=1" + ")" * 9_000) == read_filter("a=1")


@pytest.mark.parametrize(
    ("op", "levels"),
    [("+", 26), ("*", 8), ("/", 8), ("^", 8), ("casei", 8), ("round", 8), ("and", 26)],
)
def test_the_deepest_there_may_be_reaches_the_database(store: Store, op: str, levels: int) -> None:
    publish(store, "t", points(no=["1"], n=[1.5]), schema_of({"id": "n", "type": "number"}))
    one = {"op": "=", "args": [{"property": "n"}, 1.5]}
    node: Any = {"and": one, "casei": {"property": "no"}}.get(op, {"property": "n"})
    for _ in range(levels):
        more = {"and": [one], "^": [0.9], "casei": [], "round": []}.get(op, [1])
        node = {"op": op, "args": [node, *more]}
    deepest = {"op": "not", "args": [{"op": "isNull", "args": [node]}]}
    for _ in range(2):
        deepest = {"op": "not", "args": [deepest]}
    asked = read_filter(json.dumps(deepest), JSON)
    assert layer(store, "t").at().where(filter=asked).count() == 1
    for _ in range(34 - levels):
        node = {"op": op, "args": [node, *more]}
    assert re.search("deep|steps", told(json.dumps({"op": "isNull", "args": [node]}), JSON))


def test_what_would_grow_without_bound_is_refused(people: Store) -> None:
    """Conditions in lists in conditions in lists: each step would double the statement."""
    node: Any = {"op": "=", "args": [{"property": "age"}, 1]}
    for op in ("in", "a_equals", "a_contains", "between"):
        again: Any = node
        for _ in range(10):
            args = [[again], [True]] if op.startswith("a_") else [again, [True]]
            again = {"op": op, "args": [again, True, True] if op == "between" else args}
        with pytest.raises(BadQuery):
            found(people, json.dumps(again), JSON)


@pytest.mark.parametrize(
    "node",
    [
        None,
        {},
        {"a": 1},
        {"op": "=", "args": [1]},
        {"op": "=", "args": [1, None]},
        {"op": 1, "args": []},
        {"op": "in", "args": [1, 2]},
        {"op": "and", "args": [True]},
        {"property": 1},
        {"property": "a", "more": 1},
        {"interval": ["2020-01-01"]},
        {"bbox": [1, 2, 3]},
        {"bbox": [1, 2, 3, "4"]},
        {"type": "Point"},
        {"type": "Point", "coordinates": [1]},
        {"type": "Point", "coordinates": [1, True]},
        {"type": "Polygon", "coordinates": [1, 2]},
        {"type": "GeometryCollection", "geometries": [{"type": "GeometryCollection"}]},
        {"type": "Circle", "coordinates": [1, 2]},
    ],
)
def test_json_that_is_no_filter(node: Any) -> None:
    assert told(json.dumps(node), JSON).startswith("filter")


def test_other_languages() -> None:
    assert "there are cql2-text, cql2-json, cql-text" in told("a=1", "cql2")
    assert "no JSON" in told("a=1", JSON)


FIELDS: tuple[dict[str, Any], ...] = (
    {"id": "name"},
    {"id": "age", "type": "integer"},
    {"id": "area", "type": "number"},
    {"id": "used", "type": "boolean"},
    {"id": "day", "type": "date"},
    {"id": "seen", "type": "instant"},
)


@pytest.fixture
def people(store: Store) -> Store:
    frame = points(
        no=["1", "2", "3"],
        name=["Straße", "ΟΔΟΣ", None],
        age=[1, 2**53 + 1, -5],
        area=[0.1, 2.5, None],
        used=[True, False, None],
        day=[date(2020, 1, 1), date(2020, 1, 2), None],
        seen=[
            datetime(2019, 12, 31, 16, tzinfo=UTC),
            datetime(2020, 1, 1, tzinfo=UTC),
            datetime(2020, 1, 2, tzinfo=UTC),
        ],
    )
    frame["age"] = frame["age"].astype("Int64")
    frame["used"] = frame["used"].astype("boolean")
    publish(store, "people", frame, schema_of(*FIELDS, time_zone="Asia/Shanghai"))
    return store


def found(store: Store, text: str, language: str = "cql2-text") -> list[str]:
    snapshot = layer(store, "people").at()
    return sorted(row._fid for row in snapshot.where(filter=read_filter(text, language)).rows())


def parcels(store: Store, text: str, reader: Reader) -> list[str]:
    snapshot = store.layer("parcels", reader).at().where(filter=read_filter(text), restricted=False)
    return sorted(row._fid for row in snapshot.rows())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CASEI(name) = CASEI('STRASSE')", ["1"]),
        ("CASEI(name) = CASEI('οδός')", []),
        ("ACCENTI(CASEI(name)) = ACCENTI(CASEI('οδός'))", ["2"]),
        ("name LIKE 'Stra_e' OR name NOT LIKE '%'", ["1"]),
        ("NOT name = 'x'", ["1", "2"]),
        ("name IS NULL", ["3"]),
        ("age = 9007199254740993", ["2"]),
        ("age = 9007199254740992", []),
        ("age > 0.5 AND age < 1.5", ["1"]),
        ("age <> 0.5", ["1", "2", "3"]),
        ("age < 1e30 AND age > -1e30", ["1", "2", "3"]),
        ("area + 0.2 = 0.3", ["1"]),
        ("area / 0 = 1 OR area % 0 = 1 OR area / 0 IS NULL", ["1", "2", "3"]),
        ("age div 2 = -2", ["3"]),
        ("age % 2 = -1", ["3"]),
        ("area ^ 2 = 6.25", ["2"]),
        ("2 ^ age = 2", ["1"]),
        ("used", ["1"]),
        ("NOT used", ["2"]),
        ("used = FALSE", ["2"]),
        ("day = DATE('2020-01-01')", ["1"]),
        # A date is its midnight where the layer is: 16:00 of the day before, in UTC.
        ("seen = DATE('2020-01-01')", ["1"]),
        ("seen >= DATE('2020-01-02')", ["3"]),
        ("day < TIMESTAMP('2019-12-31T16:00:01Z')", ["1"]),
        ("T_INTERSECTS(seen, INTERVAL('2020-01-01', '2020-01-01T00:00:00Z'))", ["1", "2"]),
        ("T_AFTER(INTERVAL(seen, '..'), DATE('2020-01-01'))", ["2", "3"]),
        ("year(seen) = 2020 AND day(seen) = 1", ["1", "2"]),
        ("length(name) = 6 AND upper(name) LIKE 'STRASSE'", ["1"]),
        ("A_CONTAINS((age, 7), (1))", ["1"]),
        ("A_OVERLAPS((name, age), ('ΟΔΟΣ', 1))", ["1", "2"]),
        ("A_EQUALS((), ())", ["1", "2", "3"]),
        ("geometry IS NOT NULL", ["1", "2", "3"]),
        ("S_INTERSECTS(geometry, BBOX(0,1,0,1))", ["1"]),
        ("S_INTERSECTS(geom, POINT EMPTY)", []),
        ("S_DISJOINT(GEOMETRYCOLLECTION(POINT(0 1), LINESTRING(1 0,1 2)), geometry)", ["3"]),
        ("S_WITHIN(POINT(0 0), BBOX(-1,-1,1,1)) AND age = 1", ["1"]),
    ],
)
def test_answers(people: Store, text: str, expected: list[str]) -> None:
    assert found(people, text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("area < 'x'", "area < 'x': area is a number, 'x' is a text; a number has no quotes"),
        ("day = '2020-01-01'", "write DATE('2014-06-01')"),
        ("name = 1", "name is a text"),
        ("used > 1", "these can't be compared"),
        ("name", "name is a text, and no condition"),
        ("name + 1 = 2", "+ is for numbers; name is a text"),
        ("CASEI(age) = 'x'", "CASEI is for texts"),
        ("name LIKE 'x\\'", "at character"),
        ("name LIKE 'x\\y'", "a \\ stands before %, _ or \\"),
        ("name LIKE name", "the pattern is a text in quotes"),
        ("nothing = 1", "there is no parameter or property 'nothing'; properties are: no, name"),
        ("pg_sleep(9) = 1", "there is no function 'pg_sleep'; functions are: lower"),
        ("length(1) = 1", "length is for string; 1 is an integer"),
        ("length(name, 1) = 1", "takes 1, there are 2"),
        ("T_DURING(seen, INTERVAL('..','..'))", "T_DURING is for intervals"),
        ("T_AFTER(name, day)", "T_AFTER is for times; name is a text"),
        ("INTERVAL(day,'..') = day", "intervals are related by T_INTERSECTS"),
        ("INTERVAL(name,'..') IS NULL", "an interval has times as ends"),
        ("day = DATE('2020-02-30')", "is no date"),
        ("seen = TIMESTAMP('2020-01-01')", "is a date; write DATE('2020-01-01')"),
        ("seen = TIMESTAMP('2020-01-01T00:00:00')", "states no offset"),
        ("geometry = 1", "geometries are related by S_INTERSECTS"),
        ("S_INTERSECTS(name, POINT(1 2))", "S_INTERSECTS is for geometries; name is a text"),
        ("S_INTERSECTS(geometry, POLYGON((0 0,1 1,1 0,0 1,0 0)))", "is not valid"),
        ("S_INTERSECTS(geometry, BBOX(0,2,1,1))", "write its smaller corner first"),
        ("A_EQUALS(name, ('x'))", "A_EQUALS is for arrays"),
        ("2 ^ 1000 = age ^ 101", "an exponent is at most 100"),
        ("age ^ age = 1", "the base or the exponent is a number above 0"),
    ],
)
def test_what_does_not_fit_is_refused(people: Store, text: str, why: str) -> None:
    with pytest.raises(BadQuery) as caught:
        found(people, text)
    assert str(caught.value).startswith("filter: ")
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name ILIKE 'STRAS_e'", ["1"]),
        ("(name NOT ILIKE 'stra%') AND (age > 1)", ["2"]),
        # What has backslashes has them, in texts and in patterns.
        (r"name = 'Stra\u00dfe' OR name LIKE 'Stra\%' OR name = '\'", []),
        ("day = '2020-01-02T'", ["2"]),
        ("(day >= '2020-01-01T') AND (day < '2020-01-02T00:00:00Z')", ["1"]),
        ("day <> '2020-01-01'", ["2"]),
        # Instants as GDAL knows them, in UTC; a date alone is one at midnight.
        ("seen = '2020-01-01T'", ["2"]),
        ("seen > '2019-12-31T16:00Z'", ["2", "3"]),
        ("'2019-12-31T16:00:00Z' = seen", ["1"]),
        ("used = 1", ["1"]),
        ("used <> 1", ["2"]),
        ("NOT (used = 1)", ["2"]),
        ("area = '2.5'", ["2"]),
        ("age > '-6'", ["1", "2", "3"]),
        ("(name IS NULL)", ["3"]),
        ("S_INTERSECTS(geometry, BBOX(0,1,0,1))", ["1"]),
    ],
)
def test_the_text_that_gdal_writes(people: Store, text: str, expected: list[str]) -> None:
    assert found(people, text, DRAFT) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("day = 'yesterday'", "write DATE('2014-06-01')"),
        ("day = '2020-02-30T'", "is no date"),
        ("seen = '2020-01-01T25:00:00Z'", "2020-01-01T25:00:00Z"),
        ("used = 2", "these can't be compared"),
        ("area < 'x'", "a number has no quotes"),
        ("name = 1", "name is a text"),
        ("age ILIKE '1'", "CASEI is for texts"),
        ("name = 'x", "at character"),
    ],
)
def test_what_gdal_would_have_to_write_better(people: Store, text: str, why: str) -> None:
    with pytest.raises(BadQuery) as caught:
        found(people, text, DRAFT)
    assert str(caught.value).startswith("filter: ")
    assert why in str(caught.value)


@pytest.mark.parametrize("text", ["name ILIKE 'x'", "day = '2020-01-02T'", "used = 1"])
def test_cql2_is_read_as_it_stands(people: Store, text: str) -> None:
    with pytest.raises(BadQuery):
        found(people, text)


def test_every_function_is_described_and_answers(people: Store) -> None:
    values = {"string": "name", "integer": "age", "number": "area", "datetime": "seen"}
    for function in FUNCTIONS:
        described = function.document()
        args = ", ".join(values[arg["type"][0]] for arg in described["args"])
        assert found(people, f"{function.name}({args}) IS NOT NULL")


LONG = [
    *("", "a", "a" * 254, "a" * 255, "a" * 256, "a" * 254 + "b", "a" * 255 + "b", "a" * 300 + "c"),
    *("要" * 254, "要" * 255 + "素", "\ud7ff", "\ue000", "\U0010ffff", "\U0010ffffx", "50%", "50x"),
]
COMPARED: Mapping[str, Callable[[str, str], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@pytest.fixture(scope="module")
def texts(empty_template: str, make_database: Databases) -> Iterator[Store]:
    """A sortable field, of which the index has the first 255 characters, and one that is none."""
    fields = ({"id": "name", "indexed": True}, {"id": "same"})
    with make_database.passing(empty_template) as dsn, closing(open_store(dsn)) as opened:
        frame = points(no=[str(n) for n in range(len(LONG))], name=LONG, same=LONG)
        publish(opened, "texts", frame, schema_of(*fields))
        yield opened


def numbers(store: Store, text: str) -> list[int]:
    snapshot = layer(store, "texts").at()
    return sorted(int(row._fid) for row in snapshot.where(filter=read_filter(text)).rows())


@pytest.mark.parametrize("sign", COMPARED)
@pytest.mark.parametrize("value", LONG, ids=lambda value: f"{value[:3]!a}{len(value)}")
def test_a_text_is_compared_whole_whatever_the_index_has(
    texts: Store, sign: str, value: str
) -> None:
    # By code point, which is not how UTF-16 would have it.
    expected = [n for n, text in enumerate(LONG) if COMPARED[sign](text, value)]
    for name in ("name", "same"):
        assert numbers(texts, f"{name} {sign} '{value}'") == expected, name
    turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(sign, sign)
    assert numbers(texts, f"'{value}' {turned} name") == expected
    if sign == "=":
        assert numbers(texts, f"name IN ('{value}')") == expected


@pytest.mark.parametrize("value", LONG, ids=lambda value: f"{value[:3]!a}{len(value)}")
def test_a_pattern_s_beginning_finds_all_that_begins_so(texts: Store, value: str) -> None:
    pattern = value.replace("%", r"\%")
    begin = [n for n, text in enumerate(LONG) if text.startswith(value)]
    assert numbers(texts, f"name LIKE '{pattern}%'") == begin
    rest = [n for n in range(len(LONG)) if n not in begin]
    assert numbers(texts, f"NOT (name LIKE '{pattern}%')") == rest
    assert numbers(texts, f"name LIKE '{pattern}'") == [LONG.index(value)]


@pytest.mark.parametrize(
    "text", ["name = 'a'", "name > '50' AND name < '51'", "name IN ('a', 'b')", "name LIKE '50%'"]
)
def test_a_filter_on_a_sortable_text_is_found_by_its_index(texts: Store, text: str) -> None:
    snapshot = layer(texts, "texts").at().where(filter=read_filter(text))
    with snapshot.layer.reading() as (connection, record):
        connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
        select = snapshot.select(record).compile(
            connection, compile_kwargs={"literal_binds": True, "render_postcompile": True}
        )
        explained = connection.execute(
            sa.text(f"EXPLAIN {str(select).replace(':', chr(92) + ':')}")
        )
        plan = "\n".join(explained.scalars())
    assert "_texts_sort_" in plan, plan
    assert re.search(r'Index Cond: .*"left"\(', plan), plan


@pytest.mark.parametrize("stored", ["OGC:CRS84", "EPSG:4490", "EPSG:4549", "EPSG:32650"])
def test_a_filter_has_a_system_of_its_own(store: Store, stored: str) -> None:
    """Coordinates stand in the order of the authority: EPSG:4326 and 4549 have north first."""
    frame = gpd.GeoDataFrame(
        {"no": ["a", "b"]},
        geometry=[shapely.Point(120.1, 30.2), shapely.Point(120.9, 31.8)],
        crs="OGC:CRS84",
    )
    publish(store, "t", frame, schema_of(crs=stored))
    north_first = frame.to_crs("EPSG:4549").geometry
    (x, y), reach = (north_first[0].x, north_first[0].y), 50
    asked = {
        "OGC:CRS84": "BBOX(120,30,120.2,30.3)",
        "EPSG:4326": "BBOX(30,120,30.3,120.2)",
        "EPSG:4490": "POLYGON((30 120,31 120,31 120.5,30 120.5,30 120))",
        "EPSG:4549": f"BBOX({y - reach},{x - reach},{y + reach},{x + reach})",
    }
    snapshot = layer(store, "t").at()
    for crs, literal in asked.items():
        read = read_filter(f"S_INTERSECTS(geometry, {literal})")
        narrowed = snapshot.where(filter=read, filter_crs=parse_crs(crs))
        assert [row._fid for row in narrowed.rows()] == ["a"], (stored, crs)
    for world in ("BBOX(-180,-90,180,90)", "BBOX(100,-90,-100,90)"):
        read = read_filter(f"S_INTERSECTS(geometry, {world}) AND S_WITHIN(geometry, {world})")
        assert snapshot.where(filter=read).count() == 2


def test_a_long_edge_is_straight_where_it_was_stated(store: Store) -> None:
    """Half way along a parallel, a projection's straight line lies two kilometres north of it."""
    frame = gpd.GeoDataFrame({"no": ["on"]}, geometry=[shapely.Point(120, 30.01)], crs="OGC:CRS84")
    publish(store, "t", frame, schema_of(crs="EPSG:4549"))
    below = read_filter("S_INTERSECTS(geometry, POLYGON((117 29,123 29,123 30,117 30,117 29)))")
    above = read_filter("S_INTERSECTS(geometry, POLYGON((117 30,123 30,123 31,117 31,117 30)))")
    assert layer(store, "t").at().where(filter=below).count() == 0
    assert layer(store, "t").at().where(filter=above).count() == 1


INNER = {"id": "inner", "visibility": "internal"}
OWNER = {"id": "owner", "visibility": "restricted"}


def fill(store: Store) -> None:
    schema = schema_of({"id": "code"}, INNER, OWNER, division="code", visibility="public")
    frame = points(
        no=["1", "2", "3"],
        code=["330106", "330108", "330108"],
        inner=["x", "x", None],
        owner=["Li", "Wang", "Li"],
    )
    publish(store, "parcels", frame, schema)


def test_who_does_not_see_a_field_can_not_ask_by_it(store: Store) -> None:
    fill(store)
    for name in ("inner", "owner", "nothing"):
        for text in (f"{name} = 'x'", f"{name} IS NULL", f"A_OVERLAPS(({name}), ('x'))"):
            with pytest.raises(BadQuery) as caught:
                parcels(store, text, Reader.anonymous())
            known = f"no parameter or property '{name}'; properties are: no, code, geometry"
            assert known in str(caught.value)


def test_a_field_that_some_rows_show_has_no_value_in_others(store: Store) -> None:
    fill(store)
    county = Territory(division="330106")
    reader = reader_of(View(territory=county, fields=frozenset({"internal"})))
    reader = Reader("mixed", (*reader.views, *Reader.anonymous().views))
    assert parcels(store, "inner = 'x'", reader) == ["1"]
    assert parcels(store, "NOT inner = 'y' OR inner LIKE '%'", reader) == ["1"]
    # Where it is not seen it has no value, as where it has none: the answer has it in neither.
    assert parcels(store, "inner IS NULL", reader) == ["2", "3"]
    assert parcels(store, "inner IS NULL", Reader.everything()) == ["3"]
    assert parcels(store, "inner IS NOT NULL", reader) == ["1"]
    assert parcels(store, "A_CONTAINS((inner), ('x'))", reader) == ["1"]
    assert parcels(store, "NOT A_CONTAINS((inner), ('x'))", reader) == ["2", "3"]


def test_what_can_have_no_value_can_be_asked_for_it(store: Store) -> None:
    """Every operand that the grammar allows before IS NULL; only properties have no value."""
    fields = ({"id": "day", "type": "date"}, {"id": "seen", "type": "instant"})
    frame = points(no=["1", "2"], day=["2014-06-01", None], seen=[None, "2014-06-01T00:00:00Z"])
    publish(store, "t", frame, schema_of(*fields))
    for text, found in (
        ("INTERVAL('2020-01-01','..') IS NULL", []),
        ("INTERVAL('2020-01-01','..') IS NOT NULL", ["1", "2"]),
        ("INTERVAL(day,'..') IS NULL", ["2"]),
        ("INTERVAL(seen,'..') IS NULL", ["1"]),
        ("DATE('2020-01-01') IS NULL OR 'a' IS NULL OR 1 IS NULL OR POINT(1 1) IS NULL", []),
        ("(day = DATE('2014-06-01')) IS NULL", ["2"]),
        ("year(day) + 1 IS NULL", ["2"]),
    ):
        snapshot = store.layer("t", Reader.everything()).at()
        rows = snapshot.where(filter=read_filter(text)).rows()
        assert [row._fid for row in rows] == found, text


def owners(store: Store, text: str, reader: Reader, **at: Any) -> list[tuple[str, Any]]:
    snapshot: Snapshot = store.layer("parcels", reader).at(**at)
    narrowed = snapshot.where(filter=read_filter(text), restricted=True, limit=2)
    return [(row._fid, narrowed.shown.properties(row).get("owner")) for row in narrowed.rows()]


def test_a_restricted_field_is_asked_of_rows_that_have_it(store: Store) -> None:
    fill(store)
    edit = Update("3", {"owner": "Zhao"}, valid_from=datetime(2023, 1, 1, tzinfo=UTC))
    store.commit({"parcels": [edit]}, Writer("t"), "sold")
    reader = reader_of(View(fields=frozenset({"restricted"})))
    assert owners(store, "owner = 'Li'", reader) == [("1", "Li")]
    assert owners(store, "owner = 'Zhao' AND code = '330108'", reader) == [("3", "Zhao")]
    assert owners(store, "owner <> 'Wang' OR code = '330108'", reader) == [
        ("1", "Li"),
        ("2", "Wang"),
    ]
    then = datetime(2022, 1, 1, tzinfo=UTC)
    assert owners(store, "owner = 'Li'", reader, when=then) == [("1", "Li"), ("3", "Li")]
    met = "owner = 'Zhao' AND S_INTERSECTS(geometry, BBOX(0,0,9,9))"
    assert owners(store, met, reader) == [("3", "Zhao")]
    with pytest.raises(BadQuery, match="no parameter or property 'owner'"):
        parcels(store, "owner = 'Li'", reader)


def test_a_restricted_field_that_some_rows_show(store: Store) -> None:
    fill(store)
    county = Territory(division="330108")
    views = (View(territory=county, fields=frozenset({"restricted"})), View())
    reader = reader_of(*views)
    assert owners(store, "owner = 'Li'", reader) == [("3", "Li")]
    assert owners(store, "NOT owner = 'Wang'", reader) == [("3", "Li")]
