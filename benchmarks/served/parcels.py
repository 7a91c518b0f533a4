"""The parcels with many past versions, published once into a cluster that is kept."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import psycopg
from city.parcels import parcels

from layers.errors import UnknownLayer
from layers.publish import Reload
from layers.readers import Reader
from layers.schemas.documents import read_schema
from layers.sourcing.frames import FrameSource
from layers.store import Store, open_store
from layers.writers import Writer
from served.questions import TABLE

LAYER = "parcels"
SCHEMA = Path(__file__).resolve().parents[1] / "parcels.toml"
_START = datetime(2010, 1, 1, tzinfo=UTC)
_MONTH = timedelta(days=30)


def publish_editions(dsn: str, features: int, versions: int) -> None:
    """Publish the parcels, and change all of them so many times, a month apart.

    Parameters
    ----------
    versions : int
        Past ones of each parcel; what was published before is not published again.
    """
    store = open_store(dsn)
    try:
        done = _editions(store)
        if done <= versions:
            _publish(store, features, range(done, versions + 1))
    finally:
        store.close()
    with psycopg.connect(dsn, autocommit=True) as connection:
        # Else it comes of itself while something is measured.
        connection.execute("VACUUM (ANALYZE)")
        found = connection.execute(f"SELECT count(*) FROM {TABLE}").fetchone()
    if found is None or found[0] != features:
        raise SystemExit(f"this folder has another number of parcels: {found}; choose another one")


def middle_of(edition: int) -> datetime:
    """Return an instant at which this edition was the newest, the first being 0."""
    return _START + edition * _MONTH + _MONTH / 2


def _editions(store: Store) -> int:
    try:
        return store.layer(LAYER, Reader.everything()).record.head
    except UnknownLayer:
        return 0


def _publish(store: Store, features: int, editions: range) -> None:
    frame = pd.concat(list(parcels(1, features)), ignore_index=True)
    schema = read_schema(SCHEMA)
    for edition in editions:
        begun = time.perf_counter()
        frame["floor_area_ratio"] = float(edition)
        since = _START + edition * _MONTH
        reload = Reload(FrameSource(frame), schema=schema, valid_from=since)
        store.commit({LAYER: reload}, Writer("benchmark"), f"edition {edition}")
        print(
            f"edition {edition}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True
        )
