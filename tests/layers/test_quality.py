"""Rules at a publish: faults in the report, rows left out, and the whole refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import geopandas as gpd
import pytest
import shapely
from publishing import counts, layer, points, publish, schema_of

from layers.errors import RuleBroken, UnknownLayer
from layers.model import Mode
from layers.report import Report
from layers.schemas.documents import parse_schema
from layers.store import Store

SIZE = {"id": "size", "type": "number", "unit": "m"}
AT_LEAST = {"id": "size", "check": "range", "fields": {"value": "size"}, "params": {"least": 0}}
LATER = datetime(2021, 1, 1, tzinfo=UTC)


def sized(**said: Any) -> Any:
    return schema_of(SIZE, rules=[AT_LEAST | said])


def told(report: Report) -> list[tuple[str, str, int, list[tuple[int, str]]]]:
    broken = report.findings.broken
    return [(b.rule, b.fault, b.rows.count, b.rows.named) for b in broken]


def ids(store: Store, when: str = "2022-01-01") -> list[str]:
    return sorted(layer(store, "t").at(when).read()["no"])


def test_faults_are_said_with_their_rows(store: Store) -> None:
    frame = points(no=list("abcd"), size=[1.0, -2.0, None, -0.5])
    report = publish(store, "t", frame, sized())
    cause = "range: {} m (allowed: at least 0)"
    rows = [(2, cause.format("-2")), (4, cause.format("-0.5"))]
    assert told(report) == [("size", "range", 2, rows)]
    assert counts(report) == (4, 0, 0)
    (said,) = report.document()["rules_broken"]
    assert (said["rule"], said["outcome"], said["count"]) == ("size", "say", 2)
    assert said["rows"][0] == {"row": 2, "cause": rows[0][1]}
    # The same is found again where nothing differs.
    again = publish(store, "t", frame)
    assert told(again) == told(report)
    assert again.nothing_to_do


def test_the_whole_is_refused_from_a_share_on_and_nothing_written(store: Store) -> None:
    frame = points(no=list("abcd"), size=[1.0, -2.0, 3.0, -0.5])
    with pytest.raises(RuleBroken, match=r"2 of 4 rows break the rule size .*rows 2, 4; the first"):
        publish(store, "t", frame, sized(outcome="refuse", share=0.49))
    with pytest.raises(UnknownLayer):
        layer(store, "t")
    report = publish(store, "t", frame, sized(outcome="refuse", share=0.5))
    assert counts(report) == (4, 0, 0)
    with pytest.raises(RuleBroken):
        publish(store, "t", points(no=list("ab"), size=[-1.0, -1.0]), consent=True)
    assert ids(store) == list("abcd")


def test_a_row_that_is_left_out_takes_nothing_away(store: Store) -> None:
    schema = sized(outcome="row")
    first = publish(store, "t", points(no=list("abc"), size=[1.0, 2.0, -1.0]), schema)
    assert counts(first) == (2, 0, 0)
    assert ids(store) == ["a", "b"]
    # What b was goes on, though its new row is left out; a is gone from the source, and retired.
    frame = points(no=list("bcd"), size=[-5.0, 3.0, 4.0])
    second = publish(store, "t", frame, valid_from=LATER, consent=True)
    assert counts(second) == (2, 0, 1)
    assert ids(store) == ["b", "c", "d"]
    size = layer(store, "t").at("2022-01-01").read().set_index("no")["size"]
    assert size["b"] == 2
    frame = points(no=list("bc"), size=[-1.0, 1.0])
    with pytest.raises(RuleBroken, match="1 of 2"):
        publish(store, "u", frame, sized(outcome="row", share=0.2))


def polygons(**columns: Any) -> gpd.GeoDataFrame:
    shapes = columns.pop("shapes")
    return gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4549")


def grids(*rules: dict[str, Any], **others: Any) -> Any:
    fields = [{"id": "no", "role": "key"}, {"id": "kind"}, {"id": "area", "type": "number",
              "unit": "m2"}, {"id": "since", "type": "date", "role": "valid-from"}]  # fmt: skip
    document = {"title": "t", "geometry": "Polygon", "crs": "EPSG:4549", "fields": fields}
    return parse_schema(document | {"rules": list(rules)} | others)


COVERAGE = {"id": "whole", "check": "coverage", "fields": {"group": "kind"}}
AREA = {"id": "area", "check": "area", "fields": {"stated": "area"}, "params": {"share": 0.01}}
AT = 500_000.0


def box(x0: float, y0: float, x1: float, y1: float) -> shapely.Polygon:
    return shapely.box(AT + x0, AT + y0, AT + x1, AT + y1)


def test_gaps_overlaps_and_areas_of_a_coverage(store: Store) -> None:
    around = box(0, 0, 10, 10) - box(4, 4, 6, 6)
    frame = polygons(
        no=list("abcd"), kind=["unit", "unit", "duty", "duty"], since=["2020-01-01"] * 4,
        area=[96.0, 100.0, 50.0, 400.0],
        shapes=[around, box(9, 0, 19, 10), box(0, 0, 10, 10), box(10, 0, 50, 10)],
    )  # fmt: skip
    report = publish(store, "t", frame, grids(COVERAGE, AREA))
    assert told(report) == [
        ("whole", "gap", 1, [(1, "gap: 4 m2 (allowed: 0)")]),
        ("whole", "overlap", 1, [(2, "overlap with row 1: 10 m2 (allowed: 0)")]),
        ("area", "area-share", 1, [(3, "area-share: -0.5 (allowed: -0.01 to 0.01)")]),
    ]
    # Added to others, their gaps are nobody's; their overlaps are.
    more = publish(store, "t", frame.iloc[:2], mode=Mode.UPSERT)
    assert told(more) == []
    assert more.findings.unasked == [
        "rule whole was not asked: it is of whole layers, and these rows are a part"
    ]


def test_versions_of_a_feature_do_not_overlap(store: Store) -> None:
    overlap = {"id": "strata", "check": "overlap"}
    frame = polygons(
        no=["a", "a", "b"], kind=["x"] * 3, since=["2020-01-01", "2021-01-01", "2020-01-01"],
        area=[1.0] * 3, shapes=[box(0, 0, 10, 10), box(0, 0, 9, 10), box(9, 0, 20, 10)],
    )  # fmt: skip
    report = publish(store, "t", frame, grids(overlap))
    assert told(report) == []
    assert counts(report)[0] == 2


def test_what_looks_at_another_layer_is_not_asked_and_said_so(store: Store) -> None:
    outside = {"id": "inside", "check": "outside", "params": {"boundary": "city"}}
    report = publish(store, "t", points(no=["a"], size=[1.0]), schema_of(SIZE, rules=[outside]))
    assert report.findings.unasked == ["rule inside was not asked: there is no layer city yet"]
    assert report.document()["rules_unasked"] == report.findings.unasked


def test_no_value_of_a_restricted_field_is_told(store: Store) -> None:
    hidden = SIZE | {"visibility": "restricted"}
    report = publish(
        store, "t", points(no=["a"], size=[-7.25]), schema_of(hidden, rules=[AT_LEAST])
    )
    assert told(report) == [("size", "range", 1, [(1, "range")])]
    assert "7.25" not in str(report.document())


def test_pipes_of_one_layer_by_themselves(store: Store) -> None:
    ends = {"start": "a", "end": "b"}
    rules = [
        {"id": "loop", "check": "loop", "fields": ends},
        {"id": "twice", "check": "duplicate", "fields": ends, "outcome": "row"},
        {"id": "length", "check": "length", "params": {"most_m": 75}},
        {"id": "stray", "check": "stray-end", "params": {"tolerance_m": 0.1}},
        {"id": "fall", "check": "slope", "params": {"least": 0, "drains": ["PS"]},
         "fields": {"start_elev": "up", "end_elev": "down", "flow": "flow", "drain": "kind"}},
    ]  # fmt: skip
    fields = [{"id": n} for n in ("a", "b", "kind", "flow")]
    fields += [{"id": n, "type": "number"} for n in ("up", "down")]
    schema = schema_of(*fields, geometry="LineString", crs="EPSG:4549", rules=rules)
    lines = [[(0, 0), (50, 0)], [(50, 0), (0, 0)], [(50, 0), (50, 80)], [(50, 80), (50, 120)]]
    frame = gpd.GeoDataFrame(
        {"no": list("wxyz"), "a": ["1", "2", "2", "3"], "b": ["2", "1", "3", "3"],
         "kind": ["PS", "PS", "JS", "PS"], "flow": ["+", "-", "+", "+"],
         "up": [5.0, 4.0, 1.0, None], "down": [4.0, 5.0, 2.0, 2.0]},
        geometry=[shapely.LineString([(AT + x, AT + y) for x, y in line]) for line in lines],
        crs="EPSG:4549",
    )  # fmt: skip
    report = publish(store, "t", frame, schema)
    assert [(rule, fault, [r for r, _ in rows]) for rule, fault, _, rows in told(report)] == [
        ("loop", "loop", [4]),
        ("twice", "reversed-duplicate", [2]),
        ("length", "length", [3]),
        ("stray", "stray-end", [4]),
    ]
    assert ids(store) == list("wyz")
