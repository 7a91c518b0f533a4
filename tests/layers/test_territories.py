"""Readers of a territory, by example: divisions, areas, times, and several of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import geopandas as gpd
import pytest
import shapely
from publishing import START, WRITER, layer, points, publish, schema_of
from territories import area, reader_of, seen, view

from layers.edits import Insert, Put, Retire, Update
from layers.errors import BadTerritory, FeatureGone, UnknownFeature, UnknownLayer
from layers.model import Mode
from layers.readers import Reader, View
from layers.schema_changes import SchemaChange
from layers.store import Store
from layers.territories import Territory, check_territory
from spatial.periods import Interval

CODE = {"id": "code"}
COUNTIES = schema_of(CODE, {"id": "a"}, division="code")
SHAPES = {
    "kind": "state",
    "title": "t",
    "time_zone": "UTC",
    "fields": [{"id": "no", "role": "key"}],
}


def at(year: int, month: int = 1, day: int = 1) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


def ids(store: Store, *views: View, when: Any = None) -> list[str]:
    """The features that a reader with some views sees, of an instant in 2021 unless stated."""
    return sorted(seen(store.layer("t", reader_of(*views)).at(when or at(2021))))


def publish_shapes(store: Store, shapes: Sequence[Any], geometry: str, crs: str) -> None:
    schema = schema_of(geometry=geometry, crs=crs)
    numbers = [str(n) for n in range(1, len(shapes) + 1)]
    frame = gpd.GeoDataFrame({"no": numbers}, geometry=list(shapes), crs=crs)
    publish(store, "t", frame, schema)


# Divisions


def test_a_division_is_a_prefix_to_the_letter(store: Store) -> None:
    """Neither % nor _ stands for other signs, nor does a sign stand for its other case."""
    codes = ["33%01", "33x01", "33_01", "3301", "a", "A", "\\", "33/01", None]
    publish(store, "t", points(no=list("123456789"), code=codes, a=codes), COUNTIES)
    expected = {"33%": ["1"], "33_": ["3"], "33": list("12348"), "a": ["5"], "A": ["6"]}
    expected |= {"\\": ["7"], "33/": ["8"], "%": [], "_": [], "3301": ["4"], "33011": []}
    assert {d: ids(store, view(division=d)) for d in expected} == expected


def test_codes_that_end_where_the_division_goes_on_lie_outside(store: Store) -> None:
    """What lies in the province is not known to lie in the county."""
    publish(store, "t", points(no=list("123"), code=["33", "3301", "330106"], a=[""] * 3), COUNTIES)
    assert ids(store, view(division="330106")) == ["3"]
    assert ids(store, view(division="3301"), view(division="4401")) == ["2", "3"]


def test_a_layer_without_division_has_nothing_in_any(store: Store) -> None:
    publish(store, "t", points(no=["33"], code=["33"], a=["x"]), schema_of(CODE, {"id": "a"}))
    published = store.layer("t", reader_of(view(division="33")))
    assert published.at(at(2021)).count() == published.history().count() == 0
    assert published.extent().bounds is None
    assert [r.n_live for r in published.revisions()] == [0]


def test_revisions_from_before_the_division_was_declared_go_by_the_same_field(
    store: Store,
) -> None:
    publish(store, "t", points(no=["1", "2"], code=["33", "44"]), schema_of(CODE))
    store.commit({"t": SchemaChange(schema_of(CODE, division="code"))}, WRITER, "declared")
    published = store.layer("t", reader_of(view(division="33")))
    assert [list(seen(published.at(at(2021), revision=r))) for r in (1, 2)] == [["1"], ["1"]]
    assert [c.version.id for c in published.changes()] == ["1"]


def test_revisions_from_before_the_division_field_are_of_no_division(store: Store) -> None:
    publish(store, "t", points(no=["1", "2"]), schema_of())
    with_code = schema_of(CODE, division="code")
    store.commit({"t": SchemaChange(with_code)}, WRITER, "declared")
    codes = [Update("1", {"code": "33"}, valid_from=START), Update("2", {"code": "44"})]
    store.commit({"t": codes}, WRITER, "told")
    published = store.layer("t", reader_of(view(division="33")))
    snapshots = [published.at(at(2021), revision=r) for r in (1, 2, 3)]
    assert [list(seen(s)) for s in snapshots] == [[], [], ["1"]]
    assert [list(published.touched(r)) for r in (1, 2, 3)] == [[], [], [("1", "created")]]
    assert [c.kind for c in published.diff(snapshots[0], snapshots[2])] == ["created"]


def test_fields_that_come_and_go_leave_the_division_as_it_is(store: Store) -> None:
    note = {"id": "note", "visibility": "internal"}
    frame = points(no=["1", "2"], code=["33", "44"], note=["x", "y"])
    with_note = schema_of(CODE, note, division="code")
    publish(store, "t", frame, with_note)
    store.commit({"t": SchemaChange(schema_of(CODE, division="code"))}, WRITER, "retired")
    store.commit({"t": SchemaChange(with_note)}, WRITER, "back")
    published = store.layer("t", reader_of(view(division="33")))
    told = [seen(published.at(at(2021), revision=r)) for r in (1, 2, 3)]
    assert [list(t) for t in told] == [["1"]] * 3
    assert [t["1"].get("note", ...) for t in told] == ["x", ..., "x"]


def test_a_parcel_that_moves_into_the_county_is_created_for_it(store: Store) -> None:
    publish(store, "t", points(no=["1"], code=["44"], a=["x"]), COUNTIES)
    moves = [
        Update("1", {"code": "33"}, valid_from=at(2022)),
        Update("1", {"a": "y"}, valid_from=at(2023)),
    ]
    for move in (*moves, Update("1", {"code": "44"}, valid_from=at(2024))):
        store.commit({"t": [move]}, WRITER, "move")
    county = store.layer("t", reader_of(view(division="33")))
    assert [list(county.touched(r)) for r in (1, 2, 3, 4)] == [
        [],
        [("1", "created")],
        [("1", "changed")],
        [("1", "retired")],
    ]
    counts = [(r.n_created, r.n_changed, r.n_retired) for r in county.revisions()]
    assert counts == [(0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0, 0)]
    assert [(c.revision, c.kind, c.version.valid_from.year) for c in county.changes()] == [
        (2, "asserted", 2022),
        (3, "retracted", 2022),
        (3, "asserted", 2022),
        (3, "asserted", 2023),
        (4, "retracted", 2023),
        (4, "asserted", 2023),
    ]
    years = [(c.kind, c.id) for c in county.diff(county.at(at(2021)), county.at(at(2022)))]
    assert years == [("created", "1")]
    with pytest.raises(FeatureGone):
        county.at(at(2021)).one("1")
    with pytest.raises(UnknownFeature):
        store.layer("t", reader_of(view(division="55"))).at(at(2021)).one("1")
    assert county.extent().start == at(2022)
    assert county.extent().end == at(2024)


# Areas


def test_neighbours_see_what_touches_their_border(store: Store) -> None:
    """Two counties share the meridian 1: a point on it is seen by both, as is a line across."""
    lines = [[(0, 0), (1, 0)], [(1, 0), (2, 0)], [(0, 1), (2, 1)], [(0, 2), (0.5, 2)]]
    publish_shapes(store, [shapely.LineString(line) for line in lines], "LineString", "OGC:CRS84")
    west, east = view(area=area(-1, -1, 1, 3)), view(area=area(1, -1, 3, 3))
    assert ids(store, west) == ["1", "2", "3", "4"]
    assert ids(store, east) == ["1", "2", "3"]
    assert ids(store, view(area=area(5, 5, 6, 6))) == []


def test_what_has_no_geometry_lies_in_no_area(store: Store) -> None:
    publish_shapes(store, [shapely.Point(0, 0), None], "Point", "OGC:CRS84")
    world = view(area=area(-180, -90, 180, 90))
    assert ids(store, world) == ["1"]
    everything = store.layer("t", reader_of(world)).at(at(2021))
    assert everything.where(bbox=(-1, -1, 1, 1), placeless=True).count() == 1
    assert ids(store, view()) == ["1", "2"]


@pytest.mark.parametrize("crs", ["EPSG:4490", "EPSG:4549", "EPSG:4326", "EPSG:3857"])
def test_an_area_in_degrees_is_asked_of_layers_in_any_system(store: Store, crs: str) -> None:
    """Points a few hundred metres on either side of the county's edges, around Hangzhou."""
    inside = [(120.01, 30.01), (120.29, 30.29), (120.15, 30.001), (120.15, 30.299)]
    outside = [(119.99, 30.1), (120.31, 30.1), (120.15, 29.999), (120.15, 30.301)]
    shapes = gpd.GeoSeries([shapely.Point(p) for p in inside + outside], crs="OGC:CRS84")
    publish_shapes(store, list(shapes.to_crs(crs)), "Point", crs)
    assert ids(store, view(area=area(120, 30, 120.3, 30.3))) == ["1", "2", "3", "4"]


def test_an_edge_of_an_area_is_straight_in_degrees(store: Store) -> None:
    """Over six degrees along a parallel, a straight line on the map lies 400 m beside it."""
    along = [(x, 30 + side * 0.0005) for side in (1, -1) for x in (118.5, 120.5, 121.5)]
    shapes = gpd.GeoSeries([shapely.Point(p) for p in along], crs="OGC:CRS84")
    publish_shapes(store, list(shapes.to_crs("EPSG:4549")), "Point", "EPSG:4549")
    assert ids(store, view(area=area(117, 30, 123, 33))) == ["1", "2", "3"]


@pytest.mark.parametrize("crs", ["EPSG:4549", "EPSG:4490", "EPSG:3857"])
@pytest.mark.parametrize(
    "bounds", [(-180, -90, 180, 90), (60, -80, 180, 80), (73, 3, 136, 54), (0, 0, 180, 90)]
)
def test_an_area_larger_than_a_projection_holds_all_there_is(
    store: Store, crs: str, bounds: tuple[float, float, float, float]
) -> None:
    shapes = gpd.GeoSeries(gpd.points_from_xy([119, 120, 121], [29, 30, 31]), crs="OGC:CRS84")
    publish_shapes(store, list(shapes.to_crs(crs)), "Point", crs)
    assert ids(store, view(area=area(*bounds))) == ["1", "2", "3"]
    for far in ((-80, -50, -70, 20), (-180, -90, 0, 90), (-180, -90, 180, 0), (0, 0, 60, 90)):
        assert ids(store, view(area=area(*far))) == []


def test_an_area_across_the_antimeridian_has_two_parts(store: Store) -> None:
    around = [shapely.Point(x, 0) for x in (179.5, -179.5, 178, -178, 0)]
    publish_shapes(store, around, "Point", "OGC:CRS84")
    both = shapely.MultiPolygon([shapely.box(179, -1, 180, 1), shapely.box(-180, -1, -179, 1)])
    assert ids(store, view(area=bytes(shapely.to_wkb(both)))) == ["1", "2"]
    with pytest.raises(BadTerritory, match="CRS84"):
        check_territory(Territory(area=area(179, -1, 181, 1)))


def test_an_area_and_a_division_of_one_view_must_both_hold(store: Store) -> None:
    publish(store, "t", points(no=list("123"), code=["33", "44", "33"], a=[""] * 3), COUNTIES)
    west = area(-1, 0, 1, 2)
    assert ids(store, view(division="33", area=west)) == ["1"]
    assert ids(store, view(division="33"), view(area=west)) == ["1", "2", "3"]


# Times


def timed(store: Store) -> None:
    """One feature since 2020, another thing from 2022 to 2024, gone since 2026."""
    publish(store, "t", points(no=["1"], code=["33"], a=["x"]), COUNTIES)
    change = Update("1", {"a": "y"}, valid_from=at(2022), valid_to=at(2024))
    store.commit({"t": [change, Retire("1", valid_from=at(2026))]}, WRITER, "change")


def spans(store: Store, *views: View, when: Any = None) -> list[tuple[int, int | None]]:
    """The years in which versions begin and end, as they are seen."""
    published = store.layer("t", reader_of(*views))
    snapshot = published.history() if when is None else published.at(when)
    return [(r._valid_from.year, r._valid_to and r._valid_to.year) for r in snapshot.rows()]


def test_the_world_outside_the_time_that_is_seen_is_not(store: Store) -> None:
    timed(store)
    window = view(start=at(2021), end=at(2023))
    assert spans(store, view()) == [(2020, 2022), (2022, 2024), (2024, 2026)]
    assert spans(store, window) == [(2021, 2022), (2022, 2023)]
    assert spans(store, view(start=at(2021))) == [(2021, 2022), (2022, 2024), (2024, 2026)]
    assert spans(store, view(end=at(2022))) == [(2020, 2022)]
    assert spans(store, window, when=at(2022)) == [(2022, 2023)]
    assert spans(store, window, when=at(2023)) == spans(store, window, when=at(2020, 12)) == []
    assert store.layer("t", reader_of(window)).extent().end == at(2023)


def test_an_interval_outside_the_time_that_is_seen_tells_nothing(store: Store) -> None:
    """Nor does it tell that a version went on until then."""
    timed(store)
    window = view(start=at(2021), end=at(2023))
    for later in (Interval(at(2023), at(2023, 6)), Interval(at(2023), None)):
        assert spans(store, window, when=later) == []
    assert spans(store, window, when=Interval(None, at(2020, 12, 31))) == []
    assert spans(store, window, when=Interval(at(2022, 12), at(2025))) == [(2022, 2023)]
    assert spans(store, window, when=Interval(at(2020), at(2021))) == [(2021, 2022)]


def test_what_changed_outside_the_time_that_is_seen_is_no_change(store: Store) -> None:
    timed(store)
    early = store.layer("t", reader_of(view(end=at(2021))))
    assert [list(early.touched(r)) for r in (1, 2)] == [[("1", "created")], []]
    assert [c.revision for c in early.changes()] == [1]
    assert [r.n_changed for r in early.revisions()] == [0, 0]
    # Until now, as the clock says, it is outside what is seen.
    assert [r.n_live for r in early.revisions()] == [0, 0]


def test_of_several_views_an_instant_has_those_of_its_time(store: Store) -> None:
    publish(store, "t", points(no=["1", "2"], code=["33", "44"], a=["x", "y"]), COUNTIES)
    views = (view(division="33", end=at(2022)), view(division="44", start=at(2021), end=at(2023)))
    found = [ids(store, *views, when=at(n)) for n in (2020, 2021, 2022, 2023)]
    assert found == [["1"], ["1", "2"], ["2"], []]
    # Between the first and the last instant of both, versions are shown as they are.
    assert spans(store, *views) == [(2020, 2023), (2020, 2023)]


def test_two_instants_differ_in_a_field_that_is_seen_at_one_of_them(store: Store) -> None:
    """The version is the same, and what is seen of it is not."""
    fields = ({"id": "b", "visibility": "internal"},)
    publish(store, "t", points(no=["1"], b=["x"]), schema_of(*fields, visibility="public"))
    published = store.layer("t", reader_of(view(end=at(2022))))
    (change,) = published.diff(published.at(at(2021)), published.at(at(2023)))
    assert (change.kind, change.fields) == ("changed", ("b",))
    told = [v.properties for v in (change.old, change.new) if v is not None]
    assert told == [{"no": "1", "b": "x"}, {"no": "1"}]
    assert list(published.diff(published.at(at(2022)), published.at(at(2023)))) == []


@pytest.mark.parametrize("kind", ["instant", "date"])
def test_events_are_of_the_time_when_they_were_reported(store: Store, kind: str) -> None:
    """A plain date is the midnight in which it begins, in Shanghai; what develops later is seen."""
    fields = [{"id": "at", "type": kind, "role": "event-start"}, {"id": "a"}]
    schema = schema_of(*fields, kind="event", time_zone="Asia/Shanghai")
    first = datetime(2024, 4, 30, 16, tzinfo=UTC)
    reported = [first + timedelta(days=n) for n in range(3)]
    if kind == "date":
        reported = [date(2024, 5, n) for n in (1, 2, 3)]
    frame = points(no=list("123"), at=reported, a=["x"] * 3)
    publish(store, "t", frame, schema, mode=Mode.UPSERT, valid_from=None)
    store.commit({"t": [Update("2", {"a": "done"}, valid_from=at(2024, 6))]}, WRITER, "later")
    second = view(start=first + timedelta(days=1), end=first + timedelta(days=2))
    assert ids(store, second, when=at(2024, 7)) == ["2"]
    published = store.layer("t", reader_of(second))
    assert [values["a"] for values in seen(published.at(at(2024, 7))).values()] == ["done"]
    assert [r._valid_to is None for r in published.history().rows()] == [False, True]
    assert list(published.touched(1)) == [("2", "created")]
    assert published.at(Interval(at(2024, 1), at(2024, 12))).count() == 1
    assert published.extent().end is None


# Several


def test_fields_are_seen_where_the_view_is_that_has_them(store: Store) -> None:
    fields = [CODE, *({"id": n, "visibility": "internal"} for n in "bc")]
    schema = schema_of(*fields, division="code", visibility="public")
    frame = points(no=list("123"), code=["330106", "3302", None], b=["b"] * 3, c=["c"] * 3)
    publish(store, "t", frame, schema)
    province = View(territory=Territory(division="33"), fields=frozenset({"b"}))
    county = View(territory=Territory(division="330106"), fields=frozenset({"c"}))
    told = seen(store.layer("t", reader_of(province, county)).at(at(2021)))
    assert {no: "".join(sorted({"b", "c"} & set(v))) for no, v in told.items()} == {
        "1": "bc",
        "2": "b",
        "3": "",
    }
    assert list(told["1"]) == ["no", "code", "b", "c"]


def test_a_view_that_adds_nothing_makes_no_other_sight(store: Store) -> None:
    publish(store, "t", points(no=["1"], code=["33"], a=["x"]), COUNTIES)
    record = layer(store, "t").record
    whole, part = View(), view(division="33")
    sights = [reader_of(*v).sight(record) for v in ((whole, part), (whole,), (part, part), (part,))]
    assert sights[0] == sights[1] != sights[2] == sights[3]
    assert sights[0].fingerprint == sights[1].fingerprint != sights[2].fingerprint


def test_a_view_of_another_layer_shows_nothing_of_this_one(store: Store) -> None:
    publish(store, "t", points(no=["1"], code=["33"], a=["x"]), COUNTIES)
    with pytest.raises(UnknownLayer):
        store.layer("t", reader_of(View("layer:other")))
    with pytest.raises(UnknownLayer):
        store.layer("t", Reader.anonymous())
    mixed = reader_of(View("layer:other"), View("layer:t", Territory(division="44")))
    assert store.layer("t", mixed).at(at(2021)).count() == 0


def test_what_has_no_division_is_seen_by_those_who_see_all(store: Store) -> None:
    publish(store, "t", points(no=["1", "2"], code=["33", None], a=["x", "y"]), COUNTIES)
    edits = [Put({"no": "3"}, geometry=shapely.Point(5, 5)), Insert({"no": "4"})]
    store.commit({"t": edits}, WRITER, "placeless")
    now = datetime.now(UTC)
    assert ids(store, view(division="33"), when=now) == ["1"]
    assert ids(store, view(), when=now) == ["1", "2", "3", "4"]
