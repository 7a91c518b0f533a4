"""Restricted and internal fields, read by those who may see some: by example."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from publishing import WRITER, layer, points, publish, schema_of
from territories import reader_of, seen, view

from layers.edits import Insert, Retire, Supersede, Update
from layers.errors import BadQuery
from layers.readers import View
from layers.schema_changes import SchemaChange
from layers.store import Snapshot, Store
from layers.territories import Territory
from spatial.periods import Interval

CODE = {"id": "code"}
STATE = {"id": "state", "visibility": "internal"}
OWNER = {"id": "owner", "visibility": "restricted"}
PHONE = {"id": "phone", "visibility": "restricted"}
SCHEMA = schema_of(CODE, STATE, OWNER, PHONE, division="code", visibility="public")
OWNERS = reader_of(View(fields=frozenset({"owner"})))
EVERY = reader_of(View(fields=frozenset({"restricted"})))


def at(year: int, month: int = 1) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


def fill(store: Store, *edits: Any) -> None:
    """Two parcels in two counties, with owners; and edits, each a revision of its own."""
    frame = points(
        no=["1", "2"],
        code=["330106", "330108"],
        state=["used", "idle"],
        owner=["Li", "Wang"],
        phone=["1", None],
    )
    publish(store, "parcels", frame, SCHEMA)
    for edit in edits:
        store.commit({"parcels": [edit]}, WRITER, "edit")


def periods(snapshot: Snapshot) -> list[tuple[str, int, int | None, Any]]:
    """Id, years of start and end, and the owner as it is seen, of each row."""
    shown = snapshot.shown
    return [
        (r._fid, r._valid_from.year, r._valid_to and r._valid_to.year, values.get("owner", ...))
        for r in snapshot.rows()
        for values in [shown.properties(r)]
    ]


def test_at_an_instant_a_restricted_value_is_that_of_the_instant(store: Store) -> None:
    fill(store, Update("1", {"owner": "Zhao"}, valid_from=at(2023)))
    published = store.layer("parcels", OWNERS)
    assert periods(published.at(at(2022)))[0] == ("1", 2020, 2023, "Li")
    assert periods(published.at(at(2023)))[0] == ("1", 2023, None, "Zhao")
    assert seen(published.at(at(2023), revision=1))["1"]["owner"] == "Li"


def test_over_an_interval_a_version_is_split_where_its_owner_changed(store: Store) -> None:
    fill(
        store,
        Update("1", {"owner": "Zhao"}, valid_from=at(2023), valid_to=at(2024)),
        Update("1", {"state": "idle"}, valid_from=at(2022)),
    )
    expected = [
        ("1", 2020, 2022, "Li"),
        ("1", 2022, 2023, "Li"),
        ("1", 2023, 2024, "Zhao"),
        ("1", 2024, None, "Li"),
        ("2", 2020, None, "Wang"),
    ]
    published = store.layer("parcels", OWNERS)
    assert periods(published.history()) == expected
    assert periods(published.versions("1")) == expected[:4]
    assert published.history().count() == 5
    # Who may see no owner sees the versions that there are.
    assert [p[:3] for p in periods(layer(store, "parcels").history())] == [
        ("1", 2020, 2022),
        ("1", 2022, None),
        ("2", 2020, None),
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_go_through_all_pieces_once(store: Store, limit: int) -> None:
    changes = [Update("1", {"owner": f"O{n}"}, valid_from=at(n)) for n in range(2021, 2026)]
    fill(store, *changes, Update("2", {"owner": None}, valid_from=at(2022)))
    history = store.layer("parcels", OWNERS).history()
    found: list[Any] = []
    after = None
    while page := periods(history.where(limit=limit, after=after)):
        assert len(page) <= limit
        found += page
        last = history.where(limit=limit, after=after).rows()[-1]
        after = (last._fid, last._valid_from)
    assert found == periods(history)
    assert len(found) == 8


def test_nothing_is_split_where_another_restricted_field_changed(store: Store) -> None:
    """When a phone changed is as restricted as the phone."""
    fill(store, Update("1", {"phone": "2"}, valid_from=at(2023)))
    assert periods(store.layer("parcels", OWNERS).versions("1")) == [("1", 2020, None, "Li")]
    assert periods(store.layer("parcels", OWNERS).at(at(2024)))[0][1:3] == (2020, None)
    assert [p[1] for p in periods(store.layer("parcels", EVERY).versions("1"))] == [2020, 2023]


def test_nothing_is_split_in_rows_whose_owner_is_not_seen(store: Store) -> None:
    fill(store, *(Update(no, {"owner": "Zhao"}, valid_from=at(2023)) for no in "12"))
    county = reader_of(view("owner", division="330106"))
    assert periods(store.layer("parcels", county).history()) == [
        ("1", 2020, 2023, "Li"),
        ("1", 2023, None, "Zhao"),
        ("2", 2020, None, ...),
    ]


def test_an_owner_is_absent_outside_the_county_and_there_within(store: Store) -> None:
    fill(store)
    published = store.layer("parcels", reader_of(view("owner", division="330106")))
    snapshot = published.at(at(2021))
    assert snapshot.fields == ("no", "code", "state", "owner")
    assert seen(snapshot) == {
        "1": {"no": "1", "code": "330106", "state": "used", "owner": "Li"},
        "2": {"no": "2", "code": "330108"},
    }


def test_frames_and_tables_have_no_value_where_a_field_is_absent(store: Store) -> None:
    fill(store)
    snapshot = store.layer("parcels", reader_of(view("owner", division="330106"))).at(at(2021))
    frame = snapshot.read()
    assert list(frame.columns) == [
        *("valid_from", "valid_to", "no", "code", "state", "owner", "geometry")
    ]
    assert frame["owner"].dropna().to_dict() == {"1": "Li"}
    assert [p.x for p in frame.geometry] == [0, 1]
    assert snapshot.table()["state"].to_pylist() == ["used", None]
    assert [len(f) for f in snapshot.stream(1)] == [1, 1]
    assert [t["owner"].to_pylist() for t in snapshot.batches(1)] == [["Li"], [None]]


def test_a_field_can_be_asked_for_only_where_it_is_seen(store: Store) -> None:
    fill(store)
    county = store.layer("parcels", reader_of(view(division="330106"))).at(at(2021))
    for condition in ("idle", None, ("!=", "used"), ["idle", None]):
        assert county.where(where={"state": condition}).count() == 0
    assert county.where(equal={"state": "idle"}).count() == 0
    assert [r._fid for r in county.where(where={"state": ("!=", "idle")}).rows()] == ["1"]


def test_restricted_fields_can_be_asked_for_by_nobody(store: Store) -> None:
    fill(store)
    published = store.layer("parcels", EVERY).at(at(2021))
    unknown = "there is no parameter or property 'owner'"
    for asked in ({"where": {"owner": "Li"}}, {"equal": {"owner": "Li"}}):
        with pytest.raises(BadQuery, match=unknown):
            published.where(**asked).count()


def test_an_internal_field_is_to_the_public_as_one_that_never_was(store: Store) -> None:
    fill(store)
    public = store.layer("parcels").at(at(2021))
    told = []
    for name in ("state", "owner", "nonsense"):
        with pytest.raises(BadQuery) as refused:
            public.where(where={name: "x"}).count()
        told.append(str(refused.value).replace(name, "NAME"))
    assert len(set(told)) == 1


def test_what_changed_in_hidden_fields_alone_is_no_change(store: Store) -> None:
    fill(
        store,
        Update("1", {"state": "sold"}, valid_from=at(2020)),
        Update("1", {"owner": "Zhao"}, valid_from=at(2020)),
    )
    public = store.layer("parcels")
    assert list(public.changes(1)) == []
    assert [list(public.touched(n)) for n in (2, 3)] == [[], []]
    assert list(public.diff(public.at(at(2021), revision=1), public.at(at(2021)))) == []
    assert [(r.n_created, r.n_changed, r.n_live) for r in public.revisions()] == [
        (0, 0, 2),
        (0, 0, 2),
        (2, 0, 2),
    ]
    assert public.revisions()[0].commit.author == ""
    assert [list(layer(store, "parcels").touched(n)) for n in (2, 3)] == [[("1", "changed")], []]


def test_a_field_that_was_internal_when_it_was_retired_is_so_in_every_revision(
    store: Store,
) -> None:
    """It was public by mistake, became internal, and is there no more."""
    note = {"id": "note"}
    publish(store, "t", points(no=["1"], note=["x"]), schema_of(note, visibility="public"))
    for fields in ([note | {"visibility": "internal"}], []):
        schema = schema_of(*fields, visibility="public")
        store.commit({"t": SchemaChange(schema)}, WRITER, "schema")
    for revision in (1, 2):
        assert seen(store.layer("t").at(at(2021), revision=revision)) == {"1": {"no": "1"}}
        assert next(store.layer("t").changes(0, 1)).version.properties == {"no": "1"}
    assert seen(layer(store, "t").at(at(2021), revision=1))["1"]["note"] == "x"


def test_counts_follow_a_schema_that_says_anew_what_is_seen(store: Store) -> None:
    """The same reader: a revision's counts are not those that were kept from before."""
    publish(store, "t", points(no=["1", "2"], code=["33", "44"]), schema_of(CODE))
    county = reader_of(view(division="33"))
    assert store.layer("t", county).revision(1).n_created == 0
    store.commit({"t": SchemaChange(schema_of(CODE, division="code"))}, WRITER, "division")
    assert store.layer("t", county).revision(1).n_created == 1


def test_a_restricted_field_of_another_time_stays_hidden(store: Store) -> None:
    """Seen in 2021 alone: neither before nor after, at an instant or over an interval."""
    fill(store, *(Update("1", {"owner": f"O{n}"}, valid_from=at(n)) for n in (2021, 2022)))
    time = Territory(start=at(2021), end=at(2022))
    reader = reader_of(View(territory=time, fields=frozenset({"restricted"})))
    published = store.layer("parcels", reader)
    owners = [seen(published.at(at(n)))["1"].get("owner") for n in (2020, 2021, 2022)]
    assert owners == [None, "O2021", None]
    later = published.at(Interval(at(2022), at(2023)))
    assert [values.get("owner") for values in seen(later).values()] == [None, None]


def test_no_link_is_seen_of_a_split_at_a_time_that_is_not(store: Store) -> None:
    """Both ends were there in the time that is seen; one came from the other later."""
    schema = schema_of(CODE, division="code")
    publish(store, "t", points(no=["1", "2"], code=["33", "33"]), schema)
    store.commit({"t": [Retire("2", valid_from=at(2021))]}, WRITER, "gone")
    into = Insert({"no": "2", "code": "33"})
    store.commit({"t": [Supersede(("1",), [into], valid_from=at(2023))]}, WRITER, "split")

    def links(**time: datetime) -> int:
        return len(store.layer("t", reader_of(view(division="33", **time))).lineage("1")[1])

    assert links() == links(end=at(2024)) == links(start=at(2022)) == 1
    assert links(end=at(2023)) == links(start=at(2023)) == 0
    assert len(layer(store, "t").lineage("1")[1]) == 1
