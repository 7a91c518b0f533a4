"""A layer of wells with a field of each type, as the clients' tests publish it."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import geopandas as gpd
import shapely

from layers.edits import Edit
from layers.model import Layer
from layers.publish import Reload
from layers.readers import Reader
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
from layers.store import Store, open_store
from layers.writers import Writer

WRITER = Writer("tests")
SINCE = date(2020, 1, 1)
FIELDS = [
    {"id": "no", "type": "text", "role": "key"},
    {"id": "street", "type": "text"},
    {"id": "depth", "type": "number", "unit": "m"},
    {"id": "rings", "type": "integer"},
    {"id": "dug", "type": "date"},
    {"id": "measured", "type": "instant"},
    {"id": "dry", "type": "boolean"},
    {"id": "keeper", "type": "text", "visibility": "internal"},
]


def frame(count: int, crs: str) -> gpd.GeoDataFrame:
    """Return wells in rows of twenty, some 100 m apart, east of Beijing."""
    rows = range(count)
    places = [shapely.Point(118.2 + i % 20 * 0.001, 39.6 + i // 20 * 0.001) for i in rows]
    start = datetime(2024, 5, 1, 8, tzinfo=UTC)
    columns = {
        "no": [f"W{i:05}" for i in rows],
        "street": [("长安街", "王府井大街", "O'Brien's Lane")[i % 3] for i in rows],
        "depth": [2 + i / 4 for i in rows],
        "rings": list(rows),
        "dug": [date(1990, 1, 1) + timedelta(days=i) for i in rows],
        "measured": [start + timedelta(minutes=i) for i in rows],
        "dry": [i % 2 == 0 for i in rows],
        "keeper": ["Li Si"] * count,
    }
    return gpd.GeoDataFrame(columns, geometry=places, crs="OGC:CRS84").to_crs(crs)


def publish(dsn: str, count: int = 100, crs: str = "OGC:CRS84") -> None:
    """Publish the layer ``wells``, public, stored in a reference system."""
    schema = parse_schema(
        {
            "title": {"en": "Wells", "zh": "水井"},
            "geometry": "Point",
            "crs": crs,
            "visibility": "public",
            "fields": FIELDS,
        }
    )
    reload = Reload(FrameSource(frame(count, crs)), schema=schema, valid_from=SINCE)
    with closing(open_store(dsn)) as store:
        store.commit({"wells": reload}, WRITER, "")


def edit(store: Store, *edits: Edit) -> None:
    store.commit({"wells": list(edits)}, WRITER, "")


def read(dsn: str, layer_id: str, revision: int | None = None) -> gpd.GeoDataFrame:
    """Return a layer as the store has it now, by another way than any server's."""
    with closing(open_store(dsn)) as store:
        return store.layer(layer_id, Reader.everything()).at(revision=revision).read()


def record(dsn: str, layer_id: str) -> Layer:
    with closing(open_store(dsn)) as store:
        return store.layer(layer_id, Reader.everything()).record
