"""Stored styles: through time, each layer's own, written by those who publish it and told of."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely
import sqlalchemy as sa

from layers.access import audit
from layers.database import connect
from layers.errors import BadStyleName, Forbidden, TooMuchAsked, UnknownLayer, UnknownStyle
from layers.keeping.archives import backup, restore
from layers.keeping.verify import verify
from layers.model import Title
from layers.publish import Reload
from layers.readers import Reader, View
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
from layers.store import Store, open_store
from layers.styles import NewStyle, Style
from layers.tables import style
from layers.writers import Permit, Verb, Writer
from tests.databases import Databases

OWNER = Writer("owner")
START = datetime(2020, 1, 1, tzinfo=UTC)
ALL = Reader.everything()


def any_state(found: Style | None) -> None:
    """No condition."""


def wanted(name: str = "plan", width: int = 1, **others: Any) -> NewStyle:
    return NewStyle(f"wells.{name}", Title("Plan", "规划"), {"width": width}, **others)


@pytest.fixture
def wells(store: Store) -> Store:
    """Two layers, one of which is internal."""
    frame = gpd.GeoDataFrame({"no": ["a"]}, geometry=[shapely.Point(1, 1)], crs="OGC:CRS84")
    for layer, visibility in (("wells", "public"), ("vaults", "internal")):
        document = {"title": "t", "geometry": "Point", "fields": [{"id": "no", "role": "key"}]}
        schema = parse_schema(document | {"visibility": visibility})
        reload = Reload(FrameSource(frame), schema=schema, valid_from=START)
        store.commit({layer: reload}, OWNER, "first")
    return store


def write(store: Store, new: NewStyle, writer: Writer = OWNER, reader: Reader = ALL) -> Style:
    return store.styles.write(new, writer, reader, any_state)


def test_the_newest_is_in_force_and_what_was_is_kept(wells: Store) -> None:
    first = write(wells, wanted(width=1))
    second = write(wells, wanted(width=2))
    found = wells.styles.read("wells.plan", ALL)
    assert found == second
    assert (found.document, found.title, found.author) == (
        {"width": 2},
        Title("Plan", "规划"),
        "owner",
    )
    assert second.written_at >= first.written_at
    wells.styles.delete("wells.plan", OWNER, ALL, any_state)
    with pytest.raises(UnknownStyle):
        wells.styles.read("wells.plan", ALL)
    with wells.database.inspect() as connection:
        rows = connection.execute(sa.select(style.c.document).order_by(style.c.seq)).scalars()
        assert list(rows) == [{"width": 1}, {"width": 2}, None]
    again = write(wells, wanted(width=3))
    assert wells.styles.read_all(ALL, "wells") == [again]


def test_a_layer_is_drawn_by_the_one_that_was_chosen_last(wells: Store) -> None:
    def chosen() -> list[str]:
        return [s.id for s in wells.styles.read_all(ALL) if s.chosen]

    write(wells, wanted("a"))
    assert chosen() == []
    write(wells, wanted("a", chosen=True))
    write(wells, NewStyle("vaults.v", Title("v", "v"), {}, chosen=True))
    assert chosen() == ["vaults.v", "wells.a"]
    assert write(wells, wanted("b", chosen=True)).chosen
    assert chosen() == ["vaults.v", "wells.b"]
    write(wells, wanted("c", chosen=True))
    write(wells, wanted("b", chosen=True))
    assert not write(wells, wanted("a", width=2)).chosen
    assert write(wells, wanted("b", width=2)).chosen
    assert not wells.styles.read("wells.a", ALL).chosen
    write(wells, wanted("b", chosen=False))
    # Nobody chose one of the others again.
    assert chosen() == ["vaults.v"]


def test_a_layer_has_so_many_styles_at_most(wells: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layers.styles.MOST_STYLES", 2)
    for name in ("one", "two"):
        write(wells, wanted(name))
    with pytest.raises(TooMuchAsked, match="wells has 2 styles"):
        write(wells, wanted("three"))
    assert write(wells, wanted("two", 5)).document == {"width": 5}
    wells.styles.delete("wells.one", OWNER, ALL, any_state)
    write(wells, wanted("three"))
    assert [s.id for s in wells.styles.read_all(ALL)] == ["wells.three", "wells.two"]


def test_styles_of_layers_that_are_not_seen_are_not_there(wells: Store) -> None:
    write(wells, NewStyle("vaults.v", Title("v", "v"), {}))
    write(wells, wanted())
    nobody = Reader.anonymous()
    assert [s.id for s in wells.styles.read_all(nobody)] == ["wells.plan"]
    assert wells.styles.read_all(nobody, "vaults") == []
    with pytest.raises(UnknownStyle) as hidden:
        wells.styles.read("vaults.v", nobody)
    with pytest.raises(UnknownStyle) as missing:
        wells.styles.read("vaults.w", nobody)
    assert str(hidden.value).replace("vaults.v", "vaults.w") == str(missing.value)
    inside = Reader("key:a", (View(),))
    assert [s.id for s in wells.styles.read_all(inside)] == ["vaults.v", "wells.plan"]


def test_only_a_publisher_writes(wells: Store) -> None:
    editor = Writer("e", (Permit(frozenset({Verb.EDIT})),))
    elsewhere = Writer("p", (Permit(frozenset({Verb.PUBLISH}), "layer:vaults"),))
    write(wells, wanted())
    for writer in (editor, elsewhere, Writer("n", ())):
        with pytest.raises(Forbidden, match="does not publish wells"):
            write(wells, wanted(width=9), writer)
        with pytest.raises(Forbidden):
            wells.styles.delete("wells.plan", writer, ALL, any_state)
    with pytest.raises(UnknownLayer):
        write(wells, NewStyle("vaults.v", Title("v", "v"), {}), elsewhere, Reader.anonymous())
    with pytest.raises(UnknownLayer):
        write(wells, NewStyle("nowhere.v", Title("v", "v"), {}))
    assert wells.styles.read("wells.plan", ALL).document == {"width": 1}


def test_what_the_check_refuses_is_not_written(wells: Store) -> None:
    seen: list[Style | None] = []

    def refuse(found: Style | None) -> None:
        seen.append(found)
        raise Forbidden("no")

    for _ in range(2):
        with pytest.raises(Forbidden, match="no"):
            wells.styles.write(wanted(), OWNER, ALL, refuse)
    kept = write(wells, wanted())
    with pytest.raises(Forbidden, match="no"):
        wells.styles.delete("wells.plan", OWNER, ALL, refuse)
    assert seen == [None, None, kept]
    assert wells.styles.read("wells.plan", ALL) == kept


@pytest.mark.parametrize(
    "style_id", ["wells", "wells.", ".plan", "wells.Plan", "wells.a.b", "wells.-", "wells.规划"]
)
def test_names_that_no_style_can_have(wells: Store, style_id: str) -> None:
    with pytest.raises(BadStyleName, match="such as parcels"):
        write(wells, NewStyle(style_id, Title("v", "v"), {}))
    for title in (Title("", "a"), Title("a", "a\nb"), Title("a" * 201, "a")):
        with pytest.raises(BadStyleName, match="title"):
            write(wells, NewStyle("wells.plan", title, {}))


def test_the_audit_says_who_did_it(wells: Store) -> None:
    write(wells, wanted(chosen=True), Writer("Li", None, "person:7", "10.0.0.1"))
    wells.styles.delete("wells.plan", OWNER, ALL, any_state)
    with wells.database.keep() as connection:
        taken, made = (e.entry for e in audit.read_entries(connection, action="style"))
    assert (made.actor, made.origin, made.layer) == ("person:7", "10.0.0.1", "wells")
    assert made.detail == {"style": "wells.plan", "new": True, "default": True}
    assert taken.detail == {"style": "wells.plan", "gone": True}


def test_an_archive_has_them(wells: Store, make_database: Databases, tmp_path: Path) -> None:
    kept = write(wells, wanted(chosen=True))
    backup(wells.database, tmp_path / "whole.zip")
    dsn = make_database()
    with closing(connect(dsn)) as database:
        restore(database, tmp_path / "whole.zip")
    with closing(open_store(dsn)) as restored:
        assert restored.styles.read_all(ALL) == [kept]
        # Numbers go on where they were.
        assert write(restored, wanted(width=5)).chosen
        assert restored.styles.read("wells.plan", ALL).document == {"width": 5}
        assert verify(restored.database) == []
