"""Reads of layers with few and with many versions, and diffs: CPU of the database's process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import sqlalchemy as sa
from city.parcels import parcels
from measuring import backend_seconds

from layers.model import Schema
from layers.publish import Reload
from layers.readers import Reader
from layers.reading.features import Box
from layers.reading.outputs import as_wkb
from layers.sourcing.frames import FrameSource
from layers.store import PublishedLayer, Store
from layers.writers import Writer

FEATURES = 20_000
WANTED = 1_000
_START = datetime(2010, 1, 1, tzinfo=UTC)
_MONTH = timedelta(days=30)
_BOXES = 30

Read = Callable[[Box], int]


def publish_versions(store: Store, layer_id: str, schema: Schema, versions: int) -> None:
    """Publish a layer, and change all of its features again and again, a month apart."""
    frame = make_frame()
    for edition in range(versions):
        frame["floor_area_ratio"] = float(edition)
        since = _START + edition * _MONTH
        reload = Reload(FrameSource(frame), schema=schema, valid_from=since)
        store.commit({layer_id: reload}, Writer("benchmark"), f"edition {edition}")


def change_some(store: Store, layer_id: str, revisions: int, share: float) -> None:
    """Change a share of the features, other ones each time."""
    frame, rng = make_frame(), np.random.default_rng(5)
    frame["floor_area_ratio"] = 0.0
    for edition in range(1, revisions + 1):
        frame.loc[rng.random(len(frame)) < share, "floor_area_ratio"] = float(edition)
        reload = Reload(FrameSource(frame), valid_from=_START + edition * _MONTH)
        store.commit({layer_id: reload}, Writer("benchmark"), f"edition {edition}")


def make_frame() -> gpd.GeoDataFrame:
    """Return the city's first parcels."""
    return pd.concat(list(parcels(1, FEATURES)), ignore_index=True)


def make_boxes(frame: gpd.GeoDataFrame) -> list[Box]:
    """Return boxes around some parcels, each with about a thousand in it."""
    west, south, east, north = frame.bounds.to_numpy().T
    x, y = (west + east) / 2, (south + north) / 2
    found: list[Box] = []
    rng = np.random.default_rng(11)
    while len(found) < _BOXES:
        i = rng.integers(len(x))
        reach = np.partition(np.maximum(abs(x - x[i]), abs(y - y[i])), WANTED)[WANTED]
        found.append((x[i] - reach, y[i] - reach, x[i] + reach, y[i] + reach))
    return found


def measure_reads(store: Store, reads: dict[str, Read], boxes: list[Box]) -> Iterator[Any]:
    """Yield, for each read, its name and its milliseconds of CPU over the boxes, taken in turn."""
    pid = backend(store)
    found: dict[str, list[float]] = {name: [] for name in reads}
    for warm in (True, False):
        for box in boxes:
            for name, read in reads.items():
                before = backend_seconds(pid)
                assert read(box) > WANTED / 2, name
                if not warm:
                    found[name].append((backend_seconds(pid) - before) * 1000)
    yield from found.items()


def reader_of(
    store: Store, layer_id: str, when: datetime | None = None, revision: int | None = None
) -> Read:
    """Return what reads a box of a layer at a moment, and tells how many features it got."""
    layer = open_layer(store, layer_id)

    def read(box: Box) -> int:
        snapshot = layer.at(when, revision=revision).where(bbox=box)
        with layer.reading() as (connection, record):
            return len(connection.execute(as_wkb(snapshot.select(record))).all())

    return read


def middle_of(versions: int) -> datetime:
    """Return an instant at which half of the editions were out."""
    return _START + versions // 2 * _MONTH + _MONTH / 2


def measure_diff(store: Store, layer_id: str, runs: int) -> tuple[list[float], int]:
    """Return the milliseconds of CPU of the diff of the last two revisions, and its changes."""
    layer, pid = open_layer(store, layer_id), backend(store)
    new = layer.at(None)
    old = dataclasses.replace(
        new, moment=dataclasses.replace(new.moment, revision=new.moment.revision - 1)
    )
    spent, changes = [], 0
    for _ in range(runs + 1):
        before = backend_seconds(pid)
        changes = sum(1 for _ in layer.diff(old, new))
        spent.append((backend_seconds(pid) - before) * 1000)
    return spent[1:], changes


def blocks_read(store: Store, layer_id: str, boxes: list[Box]) -> float:
    """Return how many blocks a box of a thousand features reads, in the mean."""
    layer, total = open_layer(store, layer_id), 0
    for box in boxes:
        snapshot = layer.at(None).where(bbox=box)
        with layer.reading() as (connection, record):
            compiled = as_wkb(snapshot.select(record)).compile(
                connection, compile_kwargs={"literal_binds": False}
            )
            text = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {compiled}"
            plan = connection.exec_driver_sql(text, compiled.params).scalar_one()[0]["Plan"]
        total += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return total / len(boxes)


def open_layer(store: Store, layer_id: str) -> PublishedLayer:
    """Return a layer as everything sees it."""
    return store.layer(layer_id, Reader.everything())


def backend(store: Store) -> int:
    """Return the process that serves this store's reads, one after another."""
    with store.database.read() as connection:
        return int(connection.scalar(sa.select(sa.func.pg_backend_pid())) or 0)
