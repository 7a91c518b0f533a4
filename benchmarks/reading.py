"""Reads and diffs of layers with few and with many versions: CPU of the database's process."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import sqlalchemy as sa
from measuring import backend_seconds
from parcels import ORIGIN, SCHEMA, SPACING, make_parcels

from layers.features import as_wkb
from layers.publish import Reload
from layers.readers import Reader, Writer
from layers.schema_files import parse_schema
from layers.sources import FrameSource
from layers.store import PublishedLayer, Store

FEATURES = 20_000
_START = datetime(2010, 1, 1, tzinfo=UTC)
_BOXES = 40


def publish_versions(store: Store, layer_id: str, versions: int, share: float = 1.0) -> None:
    """Publish a layer and change the share of its features again and again, a month apart."""
    schema = parse_schema(SCHEMA)
    for edition in range(versions):
        frame = make_parcels(FEATURES, 0, share if edition else 0.0, edition)
        since = _START + timedelta(days=30 * edition)
        reload = Reload(FrameSource(frame), schema=schema, valid_from=since)
        store.commit({layer_id: reload}, Writer("benchmark"), f"edition {edition}")


def boxes(count: int = _BOXES) -> Iterable[tuple[float, float, float, float]]:
    """Yield boxes of about 1,000 parcels among the first `FEATURES`, ten rows of 2,000 each."""
    rng = np.random.default_rng(11)
    for west in rng.uniform(0, 2_000 - 100, count):
        x = ORIGIN[0] + west * SPACING
        yield x, ORIGIN[1] - SPACING, x + 100 * SPACING, ORIGIN[1] + 10 * SPACING


def measure(store: Store, reads: dict[str, Callable[[Any], int]]) -> dict[str, list[float]]:
    """Return the milliseconds of CPU of each read over many boxes, taken in turn."""
    with store.database.read() as connection:
        pid = connection.scalar(sa.select(sa.func.pg_backend_pid()))
    found: dict[str, list[float]] = {name: [] for name in reads}
    for warm in (True, False):
        for box in boxes():
            for name, read in reads.items():
                before = backend_seconds(pid)
                rows = read(box)
                assert rows, name
                if not warm:
                    found[name].append((backend_seconds(pid) - before) * 1000)
    return found


def box_reader(
    store: Store, layer_id: str, when: datetime | None, revision: int | None
) -> Callable[[Any], int]:
    """Return what reads a box of a layer at a moment, and tells how many features it got."""
    layer = open_layer(store, layer_id)

    def read(box: tuple[float, float, float, float]) -> int:
        snapshot = layer.at(when, revision=revision)
        with layer.reading() as (connection, record):
            select = snapshot.where(bbox=box).select(record)
            return len(connection.execute(as_wkb(select)).all())

    return read


def open_layer(store: Store, layer_id: str) -> PublishedLayer:
    """Return a layer as everything sees it."""
    return store.layer(layer_id, Reader.everything())


def read_seconds(store: Store, work: Callable[[], int], runs: int) -> tuple[list[float], int]:
    """Return the milliseconds of CPU in the database of some runs, and the rows of one."""
    with store.database.read() as connection:
        pid = connection.scalar(sa.select(sa.func.pg_backend_pid()))
    work()
    spent, rows = [], 0
    for _ in range(runs):
        before = backend_seconds(pid)
        rows = work()
        spent.append((backend_seconds(pid) - before) * 1000)
    return spent, rows


def shown(values: list[float]) -> str:
    """Return a median with the smallest and the largest."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"

