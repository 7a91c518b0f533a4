"""Writers with bounds, by example: what they may change, and that nothing is left of what not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import geopandas as gpd
import pytest
import shapely
from publishing import EVERYTHING, START, WRITER, layer, points, schema_of
from publishing import publish as publish_all
from territories import area, permit, reader_of, seen, writer_of

from layers.edits import Edit, Insert, Put, Retire, Revert, Supersede, Update
from layers.errors import Forbidden, LayersError, UnknownLayer
from layers.keeping.verify import verify
from layers.model import Mode
from layers.publish import Reload
from layers.readers import View
from layers.schema_changes import SchemaChange
from layers.sourcing.frames import FrameSource
from layers.store import Store
from layers.writers import Permit, Verb, Writer

CODE, A, B = {"id": "code"}, {"id": "a"}, {"id": "b"}
OWNER = {"id": "owner", "visibility": "restricted"}
PHONE = {"id": "phone", "visibility": "restricted"}
SCHEMA = schema_of(CODE, A, B, OWNER, PHONE, division="code")
ALL = reader_of(View(fields=frozenset({"restricted"})))
COUNTY = writer_of(permit(division="33"))


def at(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)


def fill(store: Store, *edits: Edit) -> None:
    """Two features in division 33 and one in 44, with owners; and edits, a revision each."""
    columns = {"code": ["33", "33", "44"], "a": ["x"] * 3, "b": ["y"] * 3}
    hidden = {"owner": ["Li", "Wang", "Zhao"], "phone": ["1", "2", "3"]}
    publish_all(store, "t", points(no=list("123"), **columns, **hidden), SCHEMA)
    for edit in edits:
        store.commit({"t": [edit]}, WRITER, "edit")


def told(store: Store) -> Any:
    """All that the store says of the layer, of all times."""
    published = store.layer("t", ALL)
    rows = published.history().rows()
    return [tuple(row) for row in rows], published.record.head, list(published.changes())


def refuses(
    store: Store, change: Any, writer: Writer, error: type[LayersError] = Forbidden
) -> LayersError:
    """Check that a change is refused, tried or done, and that nothing was written."""
    before = told(store)
    for dry_run in (True, False):
        with pytest.raises(error) as refused:
            store.commit({"t": change}, writer, "no", dry_run=dry_run)
    assert told(store) == before
    return refused.value


def takes(store: Store, change: Any, writer: Writer) -> int:
    """Check that a change is taken, tried and done alike; return the revision."""
    before = told(store)
    dry = store.commit({"t": change}, writer, "yes", dry_run=True).reports["t"]
    assert told(store) == before
    done = store.commit({"t": change}, writer, "yes").reports["t"]
    assert (dry.created, dry.changed, dry.retired) == (done.created, done.changed, done.retired)
    assert [str(f) for f in verify(store.database)] == []
    assert done.revision is not None
    return done.revision


def reload_of(mode: Mode = Mode.RELOAD, year: int = 2021, **columns: Any) -> Reload:
    return Reload(FrameSource(points(**columns)), mode=mode, valid_from=at(year), consent=True)


def now_so(store: Store, year: int = 2030) -> dict[str, dict[str, Any]]:
    return seen(store.layer("t", ALL).at(at(year)))


# Places


ELSEWHERE: list[Edit] = [
    Update("3", {"a": "z"}),
    Update("3", {"code": "33"}),
    Update("1", {"code": "44"}),
    Update("1", {"code": None}),
    Retire("3"),
    Insert({"no": "9", "code": "44"}),
    Insert({"no": "9"}),
    Put({"no": "9", "code": "3"}),
    Put({"no": "3", "code": "33"}),
    Supersede(("1", "3"), [Insert({"no": "9", "code": "33"})]),
    Supersede(("1",), [Insert({"no": "9", "code": "44"})]),
]


def test_a_county_changes_nothing_that_lies_or_comes_to_lie_elsewhere(store: Store) -> None:
    fill(store)
    for edit in ELSEWHERE:
        refuses(store, [edit], COUNTY)
        refuses(store, [Update("1", {"a": "z"}), edit], COUNTY)


def test_a_county_changes_what_is_its_own(store: Store) -> None:
    fill(store)
    edits = [
        Update("1", {"a": "z"}),
        Retire("2", valid_from=at(2022)),
        Insert({"no": "9", "code": "3301"}),
    ]
    assert takes(store, edits, COUNTY) == 2
    # What a county may not do it may have another do.
    takes(store, [Update("3", {"code": "33"}, valid_from=at(2023))], WRITER)
    takes(store, [Update("3", {"a": "z"}, valid_from=at(2024))], COUNTY)
    refuses(store, [Update("3", {"a": "z"}, valid_from=at(2022))], COUNTY)


def test_what_is_refused_is_not_told_of(store: Store) -> None:
    """A feature elsewhere: whether the edit could be is not said, nor what the feature is."""
    fill(store, Retire("3", valid_from=at(2022)))
    errors = [
        refuses(store, [edit], COUNTY)
        for edit in (Update("3", {"a": "x"}), Insert({"no": "3", "code": "33"}), Retire("3"))
    ]
    assert len({str(e) for e in errors}) == 1
    assert "Zhao" not in str(errors[0])


def test_a_reload_by_a_county_retires_nothing_elsewhere(store: Store) -> None:
    fill(store)
    source = reload_of(no=["1"], code=["33"], a=["z"], b=["y"])
    takes(store, source, COUNTY)
    assert {k: v["a"] for k, v in now_so(store).items()} == {"1": "z", "3": "x"}


def test_a_reload_by_a_county_states_nothing_elsewhere(store: Store) -> None:
    fill(store)
    ours = {"no": ["1", "2"], "code": ["33", "33"], "a": ["x", "x"], "b": ["y", "y"]}
    there = {k: [*v, w] for (k, v), w in zip(ours.items(), ("3", "44", "x", "z"), strict=True)}
    refuses(store, reload_of(**there), COUNTY)
    # The same as it is, too: it would tell that it is so.
    same = there | {"b": ["y"] * 3}
    refuses(store, reload_of(**same), COUNTY)
    new = there | {"no": ["1", "2", "9"]}
    refuses(store, reload_of(**new), COUNTY)
    refuses(store, reload_of(Mode.UPSERT, **new), COUNTY)


def test_a_county_reloads_what_has_come_to_it(store: Store) -> None:
    """In its history it lay elsewhere: that stays, and does not stand in the way."""
    fill(store, Update("3", {"code": "33"}, valid_from=at(2022)))
    columns = {"no": list("123"), "code": ["33"] * 3, "a": ["z"] * 3, "b": ["y"] * 3}
    refuses(store, reload_of(year=2021, **columns), COUNTY)
    takes(store, reload_of(year=2023, **columns), COUNTY)
    assert [now_so(store, year)["3"]["a"] for year in (2021, 2022, 2023)] == ["x", "x", "z"]


def test_a_county_reverts_what_was_done_to_it_alone(store: Store) -> None:
    fill(store, Update("1", {"a": "z"}, valid_from=at(2021)), Update("3", {"a": "z"}))
    takes(store, Revert(2), COUNTY)
    refuses(store, Revert(3), COUNTY)
    refuses(store, Revert(1, force=True), COUNTY)


def test_permits_of_two_divisions_are_of_what_moves_between_them(store: Store) -> None:
    fill(store)
    both = writer_of(permit(division="33"), permit(division="44"))
    takes(store, [Update("1", {"code": "44"}), Update("3", {"a": "z"})], both)
    refuses(store, [Update("1", {"code": "55"})], both)


def test_in_an_area_lies_what_has_a_point_of_its_surface_there(store: Store) -> None:
    """Neighbours share their border: each parcel is of one county, though it touches both."""
    boxes = [shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1), shapely.box(0.8, 2, 2, 3), None]
    frame = gpd.GeoDataFrame({"no": list("1234"), "a": ["x"] * 4}, geometry=boxes, crs="OGC:CRS84")
    publish_all(store, "t", frame, schema_of(A, geometry="Polygon"))
    west = writer_of(permit(area=area(0, 0, 1, 3)))
    takes(store, [Update("1", {"a": "z"})], west)
    for no in ("2", "3", "4"):
        refuses(store, [Update(no, {"a": "z"})], west)
    refuses(store, [Update("1", geometry=shapely.box(0.9, 0, 1.9, 1))], west)
    refuses(store, [Update("1", geometry=None)], west)
    takes(store, [Update("1", geometry=shapely.box(0, 0, 1.4, 1))], west)


# Times


def test_outside_its_time_a_permit_leaves_the_world_as_it_is(store: Store) -> None:
    fill(store)
    year = writer_of(permit(start=at(2021), end=at(2022)))
    refuses(store, [Update("1", {"a": "z"}, valid_from=at(2021))], year)
    refuses(store, [Update("1", {"a": "z"}, valid_from=START, valid_to=at(2021))], year)
    refuses(store, [Retire("1", valid_from=at(2021))], year)
    refuses(store, reload_of(no=["1"], code=["33"], a=["x"], b=["y"]), year)
    takes(store, [Update("1", {"a": "z"}, valid_from=at(2021), valid_to=at(2022))], year)
    assert [now_so(store, n)["1"]["a"] for n in (2020, 2021, 2022)] == ["x", "z", "x"]


def test_the_time_of_a_permit_is_that_of_its_own_place(store: Store) -> None:
    """33 at all times, and 44 in 2021: not 44 at all times."""
    fill(store)
    both = writer_of(permit(division="33"), permit(division="44", start=at(2021), end=at(2022)))
    takes(store, [Update("1", {"a": "z"}, valid_from=at(2025))], both)
    refuses(store, [Update("3", {"a": "z"}, valid_from=at(2025))], both)
    takes(store, [Update("3", {"a": "z"}, valid_from=at(2021), valid_to=at(2022))], both)


def test_of_events_a_permit_is_of_those_reported_in_its_time(store: Store) -> None:
    """Late developments of an early report are of the time of the report."""
    reported = {"id": "at", "type": "instant", "role": "event-start"}
    frame = points(no=["1", "2"], at=[at(2021), at(2022)], a=["x", "x"])
    schema = schema_of(reported, A, kind="event")
    publish_all(store, "t", frame, schema, mode=Mode.UPSERT, valid_from=None)
    year = writer_of(permit(start=at(2021), end=at(2022)))
    takes(store, [Update("1", {"a": "done"}, valid_from=at(2024))], year)
    refuses(store, [Update("2", {"a": "done"}, valid_from=at(2022))], year)
    takes(store, [Insert({"no": "3", "at": "2021-06-01"})], year)
    refuses(store, [Insert({"no": "4", "at": "2022-06-01"})], year)


# Fields


def test_a_permit_of_fields_is_of_these_alone(store: Store) -> None:
    fill(store)
    clerk = writer_of(permit("a"))
    takes(store, [Update("3", {"a": "z"}, valid_from=at(2021))], clerk)
    for edit in (
        Update("1", {"b": "z"}),
        Update("1", {"a": "z", "b": "z"}),
        Update("1", geometry=shapely.Point(9, 9)),
        Retire("1"),
        Insert({"no": "9", "a": "z"}),
        Supersede(("1",), [Insert({"no": "9", "a": "x"})]),
        Insert({"no": "1", "a": "z"}, valid_from=at(2010), valid_to=at(2011)),
    ):
        refuses(store, [edit], clerk)
    refuses(store, Revert(1, force=True), clerk)
    takes(store, Revert(2), clerk)
    upsert = Reload(
        FrameSource(points(no=["1"], a=["w"]).drop(columns="geometry")), mode=Mode.UPSERT
    )
    takes(store, upsert, clerk)


def test_fields_of_several_permits_may_be_changed_where_each_is(store: Store) -> None:
    fill(store)
    clerk = writer_of(permit("a"), permit("b", division="33"))
    takes(store, [Update("1", {"a": "z", "b": "z"})], clerk)
    refuses(store, [Update("3", {"a": "z", "b": "z"})], clerk)
    takes(store, [Update("3", {"a": "z"})], clerk)


def test_no_link_is_taken_back_by_who_may_change_fields_alone(store: Store) -> None:
    into = [Insert({"no": "9", "code": "33", "a": "x"})]
    fill(store, Supersede(("1",), into, valid_from=at(2021)))
    # Of the split nothing is left but the link.
    edits = [Retire("9", valid_from=at(2021)), Put({"no": "1"}, points(no=["1"]).geometry[0])]
    store.commit({"t": edits}, WRITER, "undone by hand")
    refuses(store, Revert(2, force=True), writer_of(permit("a")))


# Restricted fields


def owners(store: Store, no: str = "1") -> list[tuple[int, Any]]:
    """From which years a feature has which owner."""
    published = store.layer("t", ALL)
    rows = [(r._valid_from.year, r.owner) for r in published.versions(no).rows()]
    return [r for n, r in enumerate(rows) if n == 0 or rows[n - 1][1] != r[1]]


def test_restricted_fields_are_stated_by_those_who_may(store: Store) -> None:
    fill(store)
    for edit in (Update("1", {"owner": "Sun"}), Insert({"no": "9", "code": "33", "owner": None})):
        assert "owner" in str(refuses(store, [edit], COUNTY))
    columns = {"no": ["1"], "code": ["33"], "a": ["x"], "b": ["y"], "owner": ["Sun"]}
    for mode in (Mode.RELOAD, Mode.UPSERT):
        refuses(store, reload_of(mode, **columns), COUNTY)
        refuses(store, reload_of(mode, **columns), writer_of(permit()))
    land = writer_of(permit(division="33", restricted=True))
    takes(store, [Update("1", {"owner": "Sun"}, valid_from=at(2021))], land)
    clerk = writer_of(permit("owner", restricted=True))
    takes(store, [Update("3", {"owner": "Sun"})], clerk)
    refuses(store, [Update("3", {"phone": "Sun"})], clerk)
    refuses(store, [Update("3", {"owner": "Wu"})], writer_of(permit("owner")))


CHANGES: dict[str, Callable[[], Any]] = {
    "reload": lambda: reload_of(no=["1", "2"], code=["33"] * 2, a=["z"] * 2, b=["y"] * 2),
    "upsert": lambda: reload_of(Mode.UPSERT, no=["1"], code=["33"], a=["z"], b=["y"]),
    "early upsert": lambda: reload_of(Mode.UPSERT, 2010, no=["1"], code=["33"], a=["z"], b=["y"]),
    "update": lambda: [Update("1", {"a": "z"}, valid_from=at(2021))],
}


@pytest.mark.parametrize("county", [True, False], ids=["county", "all"])
@pytest.mark.parametrize("what", CHANGES)
def test_restricted_fields_that_are_not_stated_stay_what_they_become(
    store: Store, what: str, county: bool
) -> None:
    """Also where they change within the period that a row is of."""
    fill(store, Update("1", {"owner": "Sun"}, valid_from=at(2023)))
    before = [o for o in owners(store) if o[1]]
    writer = COUNTY if county else writer_of(permit())
    takes(store, CHANGES[what](), writer)
    assert now_so(store)["1"]["a"] == "z"
    assert [o for o in owners(store) if o[1]] == before == [(2020, "Li"), (2023, "Sun")]
    assert now_so(store)["2"]["phone"] == "2"


def test_a_feature_takes_its_restricted_fields_with_it(store: Store) -> None:
    fill(store)
    takes(store, reload_of(year=2022, no=["1"], code=["33"], a=["x"], b=["y"]), COUNTY)
    assert list(now_so(store)) == ["1", "3"]
    assert [r._valid_to.year for r in store.layer("t", ALL).versions("2").rows()] == [2022]
    # Whoever undoes that calls them back, and learns nothing of them.
    takes(store, Revert(2), COUNTY)
    assert now_so(store)["2"]["owner"] == "Wang"


def test_to_revert_restricted_fields_is_to_write_them(store: Store) -> None:
    fill(store, Update("1", {"owner": "Sun"}, valid_from=at(2021)))
    refuses(store, Revert(2), COUNTY)
    refuses(store, Revert(2), writer_of(permit()))
    takes(store, Revert(2), writer_of(permit(division="33", restricted=True)))
    assert owners(store) == [(2020, "Li")]


def test_to_revert_internal_fields_is_to_write_them(store: Store) -> None:
    note = {"id": "note", "visibility": "internal"}
    publish_all(store, "t", points(no=list("12"), a=["x"] * 2, note=["1", "2"]), schema_of(A, note))
    store.commit({"t": [Update("1", {"note": "3"}, valid_from=at(2021))]}, WRITER, "edit")
    refuses(store, Revert(2), writer_of(replace(permit(), internal=False)))
    refuses(store, Revert(2), writer_of(replace(permit("a"), internal=False)))
    takes(store, Revert(2), writer_of(replace(permit("note"), named=frozenset({"note"}))))


def test_all_of_a_feature_is_put_by_those_who_may_state_all(store: Store) -> None:
    fill(store)
    refuses(store, [Put({"no": "1", "code": "33"})], COUNTY)
    takes(store, [Put({"no": "9", "code": "33"})], COUNTY)


def test_restricted_fields_of_a_past_elsewhere_are_not_the_countys(store: Store) -> None:
    """It was in 44 until 2022 and is in 33 since: its owner of 2021 is a matter of 44."""
    fill(store, Update("3", {"code": "33"}, valid_from=at(2022)))
    land = writer_of(permit(division="33", restricted=True))
    refuses(store, [Update("3", {"owner": "Sun"}, valid_from=START, valid_to=at(2021))], land)
    takes(store, [Update("3", {"owner": "Sun"}, valid_from=at(2023))], land)
    assert owners(store, "3") == [(2020, "Zhao"), (2023, "Sun")]


def test_restricted_fields_are_written_where_the_permit_is_that_says_so(store: Store) -> None:
    """Restricted fields of 33, and open ones of 44."""
    fill(store)
    both = writer_of(permit(division="33", restricted=True), permit(division="44"))
    takes(store, [Update("1", {"owner": "Sun"}), Update("3", {"a": "z"})], both)
    refuses(store, [Update("3", {"owner": "Sun"})], both)


# Whole layers


def test_what_a_layer_is_is_changed_by_who_may_publish_all_of_it(store: Store) -> None:
    fill(store)
    wider = SchemaChange(schema_of(CODE, A, B, {"id": "c"}, OWNER, PHONE, division="code"))
    edit_only = Permit(frozenset({Verb.EDIT}))
    for writer in (COUNTY, writer_of(permit("a")), writer_of(edit_only), writer_of()):
        refuses(store, wider, writer)
    assert takes(store, wider, writer_of(permit())) == 2
    for writer in (COUNTY, writer_of(permit("a")), writer_of(edit_only)):
        refuses(store, Revert(2), writer)
    takes(store, Revert(2), writer_of(permit()))


def test_who_may_edit_may_add_and_not_reload(store: Store) -> None:
    fill(store)
    editor = writer_of(Permit(frozenset({Verb.EDIT})))
    columns = {"no": ["1"], "code": ["33"], "a": ["z"], "b": ["y"]}
    refuses(store, reload_of(**columns), editor)
    takes(store, reload_of(Mode.UPSERT, **columns), editor)
    refuses(store, [Update("1", {"a": "w"})], writer_of(Permit(frozenset({Verb.PUBLISH}))))
    elsewhere = Permit(frozenset(Verb), layers="layer:other")
    refuses(store, [Update("1", {"a": "w"})], writer_of(elsewhere))


def test_a_new_layer_waits_until_it_is_let_out(store: Store) -> None:
    first = Reload(
        FrameSource(points(no=["1"])), schema=schema_of(visibility="public"), valid_from=START
    )
    for writer in (COUNTY, writer_of(permit("a")), writer_of(Permit(frozenset({Verb.EDIT})))):
        with pytest.raises(Forbidden):
            store.commit({"t": first}, writer, "no")
    assert store.layers(EVERYTHING) == []
    store.commit({"t": first}, writer_of(permit()), "first")
    assert layer(store, "t").record.pending
    for reader in (None, ALL, reader_of(View("layer:t"))):
        with pytest.raises(UnknownLayer, match="none yet"):
            store.layer("t", reader)
    assert store.layer("t", reader_of(View(pending=True))).at(at(2021)).count() == 1
    with pytest.raises(UnknownLayer):
        store.layer("t", reader_of(View("layer:other", pending=True)))
    store.commit({"u": first}, writer_of(permit(), Permit(frozenset({Verb.REVIEW}))), "first")
    assert store.layer("u").at(at(2021)).count() == 1


def test_of_two_layers_both_are_changed_or_none(store: Store) -> None:
    fill(store)
    publish_all(store, "u", points(no=["1"], code=["44"]), schema_of(CODE, division="code"))
    before = told(store)
    changes = {"t": [Update("1", {"a": "z"})], "u": [Update("1", {"code": "33"})]}
    with pytest.raises(Forbidden, match="'1' of u"):
        store.commit(changes, COUNTY, "both")
    assert told(store) == before
