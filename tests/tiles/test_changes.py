"""Tiles of changes against what the layer itself says differs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import geopandas as gpd
import shapely

from layers.edits import Insert, Retire, Update
from layers.publish import Reload
from layers.readers import Reader
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
from layers.store import Store
from layers.writers import Writer
from tiles.changes import draw_changes
from tiles.grids import Place

WRITER, READER = Writer("test"), Reader.everything()
T1, T2 = (datetime(2021, month, 1, tzinfo=UTC) for month in (1, 6))
FIELDS = [{"id": "no", "role": "key"}, {"id": "use", "codes": {"a": "A", "b": "B"}}]
TileAt = Callable[[float, float, int], Place]
Decode = Callable[[bytes, Place], gpd.GeoDataFrame]


def box(n: float) -> shapely.Polygon:
    return shapely.box(114.30 + n * 0.001, 30.6, 114.3005 + n * 0.001, 30.6005)


def build(store: Store) -> None:
    schema = parse_schema(
        {"title": "t", "geometry": "Polygon", "time_zone": "UTC", "fields": FIELDS}
    )
    rows = [{"no": str(n), "use": "a"} for n in range(10)]
    frame = gpd.GeoDataFrame(rows, geometry=[box(n) for n in range(10)], crs="OGC:CRS84")
    start = datetime(2020, 1, 1, tzinfo=UTC).date()
    store.commit(
        {"things": Reload(FrameSource(frame), schema=schema, valid_from=start)}, WRITER, "begin"
    )
    edits = [
        Update("1", {"use": "b"}, valid_from=T2),
        Update("2", {}, box(2.3), valid_from=T2),
        # Far away: seen in the tile as retired from here it would be a lie.
        Update("3", {}, shapely.box(116.0, 30.0, 116.001, 30.001), valid_from=T2),
        Retire("4", valid_from=T2),
        Insert({"no": "new", "use": "b"}, box(12), valid_from=T2),
        Insert({"no": "tiny", "use": "b"}, shapely.box(114.3002, 30.598, 114.300201, 30.598001)),
    ]
    store.commit({"things": edits}, WRITER, "edits")


def test_they_are_what_differs(store: Store, tile_at: TileAt, decode: Decode) -> None:
    build(store)
    layer = store.layer("things", READER)
    where = tile_at(114.305, 30.6, 12)
    now = layer.present()
    spans = {
        "revisions": (layer.at(now, revision=1), layer.at(now, revision=2)),
        "instants": (layer.at(T1), layer.at(now)),
        "from nothing": (layer.before(now), layer.at(now, revision=1)),
    }
    for name, (old, new) in spans.items():
        frame = decode(draw_changes(layer, old, new, where).body, where)
        wanted = {c.id: c.kind for c in layer.diff(old, new)}
        drawn = frame[frame["id"].notna()]
        assert dict(zip(drawn["id"], drawn["change"], strict=True)) == {
            # What moved away is where it is now, outside of the tile.
            i: kind
            for i, kind in wanted.items()
            if i not in ("3", "tiny") or name == "from nothing"
        }, name
        if "tiny" in wanted:
            counted = frame[frame["id"].isna()]
            assert counted[["change", "count"]].to_numpy().tolist() == [["created", 1]]


def test_nothing_differs_nothing_is_drawn(store: Store, tile_at: TileAt) -> None:
    build(store)
    layer = store.layer("things", READER)
    now = layer.at()
    assert draw_changes(layer, now, now, tile_at(114.305, 30.6, 12)).body == b""
    away = tile_at(100, 30.6, 12)
    assert draw_changes(layer, layer.before(layer.present()), now, away).body == b""
