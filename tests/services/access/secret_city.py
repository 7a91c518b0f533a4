"""A small city of which every value is a text of its own, so that a leak can be looked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import geopandas as gpd
import shapely
import sqlalchemy as sa

from layers import tables
from layers.edits import Retire, Update
from layers.model import Document, Schema
from layers.publish import Reload
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
from layers.store import Store
from layers.writers import Writer

A_CODE, B_CODE = "330106", "330107"
A_AREA = "POLYGON ((10 50, 11 50, 11 51, 10 51, 10 50))"
WATER = "water"
START, MOVED, CHANGED = (datetime(y, 1, 1, tzinfo=UTC) for y in (2020, 2022, 2023))
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)

PUBLIC, INTERNAL, RESTRICTED = "public", "internal", "restricted"
LAYERS = ("openland", "innerland", "privland", "pendland", "calls", "zones")
OPEN_LAYERS = frozenset({"openland", "calls", "zones"})
# Of each layer its fields, but for the key: id to who sees them.
FIELDS: Mapping[str, Mapping[str, str]] = {
    "openland": {
        "o_code": PUBLIC,
        "o_label": PUBLIC,
        "o_note": INTERNAL,
        "o_owner": RESTRICTED,
        "o_phone": RESTRICTED,
    },
    "innerland": {
        "i_code": PUBLIC,
        "i_label": PUBLIC,
        "i_note": INTERNAL,
        "i_owner": RESTRICTED,
    },
    "privland": {"p_code": PUBLIC, "p_label": PUBLIC, "p_note": INTERNAL, "p_owner": RESTRICTED},
    "pendland": {"q_code": PUBLIC, "q_label": PUBLIC, "q_note": INTERNAL, "q_owner": RESTRICTED},
    "calls": {
        "c_at": PUBLIC,
        "c_code": PUBLIC,
        "c_label": PUBLIC,
        "c_note": INTERNAL,
        "c_reporter": RESTRICTED,
    },
    "zones": {"z_label": PUBLIC, "z_system": INTERNAL},
}
# What every place is called by: of the layers that have the same fields under other letters.
LETTERS = {"openland": "o", "innerland": "i", "privland": "p", "pendland": "q", "calls": "c"}


@dataclass(frozen=True)
class Marker:
    """A text that stands in one field of one layer, and where and when it stands there.

    Attributes
    ----------
    field : str
        Its id; empty for ids and shapes, which whoever sees the row sees; ``commit`` for what is
        said of a commit.
    sees : str
        The class of the field.
    county : str
        ``A`` or ``B``; empty where it stands in both.
    start, end : datetime
        When it stands there, as believed at any revision.
    """

    text: str
    layer: str
    field: str
    sees: str
    county: str = ""
    start: datetime = START
    end: datetime = FOREVER


@dataclass(frozen=True)
class Place:
    """A feature of some time, in one county, and all its values."""

    layer: str
    id: str
    county: str
    longitude: float
    values: Mapping[str, str]
    start: datetime = START
    end: datetime = FOREVER

    def markers(self) -> Iterator[Marker]:
        """Yield the texts by which this place would be known."""
        own = (self.county, self.start, self.end)
        yield Marker(self.id, self.layer, "", PUBLIC, *own)
        yield Marker(str(self.longitude), self.layer, "", PUBLIC, *own)
        for name, text in self.values.items():
            yield Marker(text, self.layer, name, FIELDS[self.layer][name], *own)


def _place(layer: str, name: str, county: str, longitude: float, **when: datetime) -> Place:
    letter = LETTERS[layer]
    stated = {n: s for n, s in FIELDS[layer].items() if n not in (f"{letter}_code", "c_at")}
    values = {n: f"{layer}-{name}-{s}-{n[2:]}" for n, s in stated.items()}
    longitude = round(longitude, 7)
    return Place(layer, f"ID-{layer}-{name.split('.')[0]}", county, longitude, values, **when)


def _pair(layer: str, first: float) -> list[Place]:
    return [
        _place(layer, "a1", "A", 10 + first),
        _place(layer, "b1", "B", 12 + first),
        # The same feature, which moved; its id is known to whoever sees any of both.
        # Where it was first: until it moved nobody knew that it would.
        _place(layer, "m.inA", "A", 10.5 + first),
        _place(layer, "m.inB", "B", 12.5 + first, start=MOVED),
    ]


PLACES = [
    *_pair("openland", 0.1234561),
    _place("openland", "ret", "A", 10.2234562),
    _place("openland", "fix", "B", 12.2234562),
    *_pair("innerland", 0.1234563),
    *_pair("privland", 0.1234564),
    *_pair("pendland", 0.1234565),
    _place("calls", "a1", "A", 10.1234566),
    _place("calls", "b1", "B", 12.1234566, start=CHANGED),
]
REPORTED = {
    "ID-calls-a1": datetime(2021, 6, 1, tzinfo=UTC),
    "ID-calls-b1": datetime(2023, 6, 1, tzinfo=UTC),
}
# What only one field says, from some day on or in some revisions.
LATER = [
    Marker("openland-a1-restricted-owner-later", "openland", "o_owner", RESTRICTED, "A", CHANGED),
    Marker("openland-b1-internal-note-later", "openland", "o_note", INTERNAL, "B", CHANGED),
    Marker("openland-fix-internal-note-corrected", "openland", "o_note", INTERNAL, "B"),
    Marker("calls-a1-internal-note-later", "calls", "c_note", INTERNAL, "A", CHANGED),
]
ZONES = [
    Marker("ID-zones-east", "zones", "", PUBLIC, "A"),
    Marker("ID-zones-west", "zones", "", PUBLIC, "B"),
    Marker("zones-a-public-label", "zones", "z_label", PUBLIC, "A"),
    Marker("zones-b-public-label", "zones", "z_label", PUBLIC, "B"),
    Marker("zones-a-internal-system", "zones", "z_system", INTERNAL, "A"),
    Marker("zones-b-internal-system", "zones", "z_system", INTERNAL, "B"),
]
SAID = [
    Marker(f"{word}-{layer}", layer, "commit", INTERNAL)
    for layer in LAYERS
    for word in ("MESSAGE", "AUTHOR", "DOCUMENT", "TAG")
]


def markers() -> list[Marker]:
    """Return every text by which something of the city is known, once for each place of it."""
    placed = [marker for place in PLACES for marker in place.markers()]
    return [*placed, *LATER, *ZONES, *SAID]


def schema_of(layer: str) -> Schema:
    """Return the schema of a layer."""
    fields: list[dict[str, Any]] = [{"id": "no", "role": "key"}]
    fields += [{"id": n, "visibility": s} for n, s in FIELDS[layer].items() if n != "c_at"]
    document: dict[str, Any] = {
        "title": f"TITLE-{layer}",
        "description": f"ABOUT-{layer}",
        "geometry": "Point",
        "time_zone": "UTC",
        "visibility": {"innerland": "internal", "privland": "private"}.get(layer, "public"),
        "division": f"{LETTERS.get(layer)}_code",
        "fields": fields,
    }
    if layer == "calls":
        fields.append({"id": "c_at", "type": "instant", "role": "event-start"})
        document |= {"kind": "event"}
    if layer == "zones":
        del document["division"]
        document |= {"geometry": "Polygon", "scope": ["z_system"]}
    return parse_schema(document)


def build(store: Store) -> None:
    """Publish the city into an empty store, revision after revision."""
    for layer in LAYERS:
        rows = _zones() if layer == "zones" else _first(layer)
        first = Reload(FrameSource(rows), schema_of(layer), valid_from=START)
        made = _commit(store, layer, first)
        store.tag(f"TAG-{layer}", made, Writer("tests"))
    for layer in ("openland", "innerland", "privland", "pendland"):
        _commit(store, layer, [_move(layer)])
    note, owner = ("openland-b1-internal-note-later", "openland-a1-restricted-owner-later")
    edits = [
        Update("ID-openland-a1", {"o_owner": owner}, valid_from=CHANGED),
        Update("ID-openland-b1", {"o_note": note}, valid_from=CHANGED),
        Retire("ID-openland-ret", valid_from=CHANGED),
        Update("ID-openland-fix", {"o_note": LATER[2].text}, valid_from=START),
    ]
    for edit in edits:
        _commit(store, "openland", [edit])
    _commit(store, "calls", [Update("ID-calls-a1", {"c_note": LATER[3].text}, valid_from=CHANGED)])
    with store.database.own() as connection:
        where = tables.layer.c.id
        pending = sa.update(tables.layer).where(where == "pendland").values(pending=True)
        connection.execute(pending)
        owned = sa.update(tables.layer).where(where.in_(["innerland", "privland"]))
        connection.execute(owned.values(department=WATER))


def _commit(store: Store, layer: str, change: Any) -> int:
    """Each layer's commits say the same: what is said of them is looked for by layer."""
    said = (Writer(f"AUTHOR-{layer}"), f"MESSAGE-{layer}")
    done = store.commit({layer: change}, *said, document=Document(f"DOCUMENT-{layer}"))
    assert done.commit is not None
    return done.commit


def _first(layer: str) -> gpd.GeoDataFrame:
    letter = LETTERS[layer]
    found = [p for p in PLACES if p.layer == layer and not p.id.endswith("-m")]
    found += [p for p in PLACES if p.layer == layer and p.id.endswith("-m") and p.start == START]
    columns: dict[str, list[Any]] = {"no": [p.id for p in found]}
    columns[f"{letter}_code"] = [_code(p.county) for p in found]
    for name in found[0].values:
        columns[name] = [p.values[name] for p in found]
    if layer == "calls":
        columns["c_at"] = [REPORTED[p.id].isoformat() for p in found]
    shapes = [shapely.Point(p.longitude, 50.5) for p in found]
    return gpd.GeoDataFrame(columns, geometry=shapes, crs="OGC:CRS84")


def _move(layer: str) -> Update:
    (after,) = (p for p in PLACES if p.layer == layer and p.start == MOVED)
    code = {f"{LETTERS[layer]}_code": B_CODE}
    shape = shapely.Point(after.longitude, 50.5)
    return Update(after.id, dict(after.values) | code, shape, valid_from=MOVED)


def _code(county: str) -> str:
    return f"{A_CODE if county == 'A' else B_CODE}001"


def _zones() -> gpd.GeoDataFrame:
    columns = {
        "no": ["ID-zones-east", "ID-zones-west"],
        "z_label": ["zones-a-public-label", "zones-b-public-label"],
        "z_system": ["zones-a-internal-system", "zones-b-internal-system"],
    }
    shapes = [shapely.box(10, 50, 11, 51), shapely.box(12, 50, 13, 51)]
    return gpd.GeoDataFrame(columns, geometry=shapes, crs="OGC:CRS84")
