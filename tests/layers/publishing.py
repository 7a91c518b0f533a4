"""Short ways to make frames, schemas and publishes, for the tests of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import geopandas as gpd
import shapely

from layers.model import Schema
from layers.publish import Reload
from layers.readers import Reader
from layers.report import Report
from layers.schemas.documents import parse_schema
from layers.sources import Source
from layers.sourcing.frames import FrameSource
from layers.store import PublishedLayer, Store
from layers.writers import Writer

EVERYTHING = Reader.everything()
WRITER = Writer("test")
START = datetime(2020, 1, 1, tzinfo=UTC)


def schema_of(*fields: Mapping[str, Any], **others: Any) -> Schema:
    """A schema of points with the field `no` as key, and these."""
    key = {"id": "no", "role": "key"}
    document = {"title": "t", "geometry": "Point", "time_zone": "UTC", "fields": [key, *fields]}
    return parse_schema(document | others)


def points(crs: str = "OGC:CRS84", **columns: Sequence[Any]) -> gpd.GeoDataFrame:
    """A frame of points (0, 1), (1, 1) ... with columns."""
    count = len(next(iter(columns.values())))
    shapes = [shapely.Point(x, 1) for x in range(count)]
    return gpd.GeoDataFrame({k: list(v) for k, v in columns.items()}, geometry=shapes, crs=crs)


def publish(
    store: Store, layer_id: str, source: Any, schema: Schema | None = None, **how: Any
) -> Report:
    """Publish a frame or source; valid from 2020 at the first time, unless stated."""
    dry_run = how.pop("dry_run", False)
    if schema is not None:
        how.setdefault("valid_from", START)
    opened: Source = FrameSource(source) if hasattr(source, "columns") else source
    reload = Reload(opened, schema=schema, **how)
    done = store.commit({layer_id: reload}, WRITER, "test", dry_run=dry_run)
    return done.reports[layer_id]


def layer(store: Store, layer_id: str) -> PublishedLayer:
    """The layer as everything sees it."""
    return store.layer(layer_id, EVERYTHING)


def counts(report: Report) -> tuple[int, int, int]:
    """Created, changed and retired."""
    return report.created, report.changed, report.retired
