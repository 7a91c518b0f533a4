"""A small store with everything in it: commits of every kind, in layers of every kind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import geopandas as gpd
import shapely
from publishing import START, WRITER, layer, points, publish, schema_of

from layers.access.grants import Role, Terms, give
from layers.access.keys import create_key
from layers.edits import Insert, Retire, Update, merge, split
from layers.model import Document, Mode, Schema
from layers.publish import Reload
from layers.schema_changes import SchemaChange
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
from layers.store import Store

# Texts on which a careless format breaks.
TEXTS = ["", None, 'a "quoted", text', "two\nlines", "\\N", "\\.", " 地块 ", "NULL"]
UNTIL = {"id": "until", "type": "instant", "role": "valid-to"}
OWNER = {"id": "owner", "visibility": "restricted"}


def plots_schema(*more: dict[str, Any]) -> Schema:
    return schema_of({"id": "a"}, UNTIL, OWNER, *more, visibility="public")


def with_note() -> Schema:
    """`a` retired, `note` added, and a second restricted field."""
    phone = {"id": "phone", "visibility": "restricted"}
    return schema_of({"id": "note", "type": "number"}, UNTIL, OWNER, phone, visibility="public")


def replaced() -> Schema:
    """`note` of another type; `a` back again."""
    fields = ({"id": "note"}, {"id": "a"}, UNTIL, OWNER)
    return schema_of(*fields, visibility="public")


def pipes_schema() -> Schema:
    fields = [
        {"id": "no", "role": "key"},
        {"id": "n", "type": "integer"},
        {"id": "width", "type": "number"},
        {"id": "open", "type": "boolean"},
        {"id": "laid", "type": "date"},
        {"id": "seen", "type": "instant"},
    ]
    document = {"title": "p", "geometry": "MultiLineStringZ", "crs": "EPSG:4490", "fields": fields}
    return parse_schema(document | {"visibility": "public"})


def pipes() -> gpd.GeoDataFrame:
    lines = [shapely.LineString([(110 + n, 30.1, 1), (110 + n, 30.2, 2.5)]) for n in range(4)]
    return gpd.GeoDataFrame(
        {
            "no": list("abcd"),
            "n": [1, None, -(2**62), 4],
            "width": [0.1, None, 1e-300, -1.5],
            "open": [True, None, False, True],
            "laid": ["1987-05-01", None, "2020-02-29", "1899-12-31"],
            "seen": ["2020-01-01T00:00:00.000001Z", None, "1987-07-01T00:00:00Z", None],
        },
        geometry=[*lines[:3], None],
        crs="EPSG:4490",
    )


def fill(store: Store) -> None:
    """Commit one day after the other; the last days see future ends pass by."""
    days = (START + timedelta(days=n) for n in range(1, 1000))

    def today() -> Store:
        instant = next(days)
        return store.with_clock(lambda: instant)

    _publishes(today)
    _edits(today)
    _schema_changes(today)
    _beside(store)


def _publishes(today: Any) -> None:
    numbers = [str(n) for n in range(len(TEXTS))]
    until = [None, "2020-01-06T00:00:00Z", "2020-06-01T00:00:00Z", *[None] * 5]
    rows = points(no=numbers, a=TEXTS, until=until, owner=[*TEXTS[2:], "x", None])
    publish(today(), "plots", rows, plots_schema())
    event = schema_of(
        {"id": "reported", "type": "instant", "role": "event-start"},
        {"id": "state"},
        {"id": "phone", "visibility": "restricted"},
        kind="event",
    )
    reported = ["2020-01-01T08:00:00Z", "2020-01-02T08:00:00Z"]
    columns = {
        "no": ["1", "2"],
        "reported": reported,
        "state": ["new", "new"],
        "phone": ["1", None],
    }
    publish(today(), "cases", points(**columns), event)
    store = today()
    both = {
        "pipes": Reload(FrameSource(pipes()), schema=pipes_schema(), valid_from=START),
        "plots": [Update("3", {"a": "backdated"}, valid_from="2020-01-01T12:00:00Z")],
    }
    store.commit(both, WRITER, "both", document=Document("D-1", "deed", "2020-01-04"))
    later = points(no=["1"], reported=reported[:1], state=["closed"])
    publish(today(), "cases", later, mode=Mode.UPSERT, valid_from=START + timedelta(days=3))


def _edits(today: Any) -> None:
    def edit(*edits: Any, layer_id: str = "plots") -> int:
        return today().commit({layer_id: list(edits)}, WRITER, "edits").commit

    edit(
        Retire("4", valid_from="2020-01-10"), Update("5", {"owner": "new"}, valid_from="2020-01-03")
    )
    edit(Update("6", {"a": "for a while"}, valid_from="2020-01-04", valid_to="2020-01-08"))
    edit(Retire("7", valid_from="2020-01-03", valid_to="2020-01-05"))
    shape = shapely.Point(7, 7)
    wrong = edit(Update("0", {"a": "wrong"}), Insert({"no": "8", "owner": "eight"}, shape))
    today().revert(wrong, WRITER, "undone")
    parts = [Insert({"no": "9"}, shapely.Point(9, 9)), Insert({"no": "10"}, shapely.Point(10, 9))]
    edit(split("0", parts))
    edit(merge(["9", "10"], Insert({"no": "11", "owner": "m"}, shape), valid_from="2021-01-01"))
    edit(Insert({"no": "8"}, shape, valid_from="2019-01-01", valid_to="2019-02-01"))
    edit(Update("5", {"owner": "newer"}))
    edit(Update("a", {"width": 2.0}), Retire("b"), layer_id="pipes")


def _schema_changes(today: Any) -> None:
    today().commit({"plots": SchemaChange(with_note())}, WRITER, "a retired, note added")
    more = points(no=["5", "20"], note=[1.5, 2.5], owner=["o", None], phone=["5", "6"])
    publish(today(), "plots", more, mode=Mode.UPSERT)
    today().commit({"plots": SchemaChange(replaced())}, WRITER, "note replaced")
    publish(today(), "plots", points(no=["5", "21"], note=["t", ""], a=["b", ""]), mode=Mode.UPSERT)
    wrong = today().commit({"plots": [Update("21", {"note": "wrong"})]}, WRITER, "wrong")
    today().revert(wrong.commit, WRITER, "undone")
    # The whole layer again: nothing changes but what is stated otherwise.
    frame = layer(today(), "plots").at(START + timedelta(days=600)).read()
    rows = frame.assign(no=frame.index, note="all").drop(columns=["valid_from", "valid_to"])
    backdated = START + timedelta(days=15)
    publish(today(), "plots", rows.reset_index(drop=True), valid_from=backdated, consent=True)


def _beside(store: Store) -> None:
    """A key, a tag, and an erasure."""
    with store.database.keep() as connection:
        key, _ = create_key(connection, "reader", store.clock())
        give(connection, key.caller, Terms(Role.READER), "tests", store.clock())
    store.tag("起点", 2, WRITER, "first cases")
    assert store.erase("plots", "6", WRITER, "asked for").versions > 0
