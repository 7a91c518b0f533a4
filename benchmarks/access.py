"""What permissions cost: of a request's work, and of a county's read in the database.

``.venv/bin/python benchmarks/access.py [--parcels N]`` makes its own cluster and city in a
temporary folder and prints rows of docs/benchmarks.md: CPU of what stands between a request and
its read, and
CPU of the database's process for boxes of about a thousand features, read in turn by somebody who
sees all, by a county named by its division, and by one named by an area.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import pandas as pd
import shapely
from city.parcels import parcels
from reading import Read, make_boxes, measure_reads

from layers.access.desk import Desk
from layers.access.grants import Role, Terms
from layers.access.policy import Caller
from layers.publish import Reload
from layers.readers import Reader
from layers.reading.features import Box
from layers.reading.outputs import as_wkb
from layers.reading.sights import shown
from layers.schemas.documents import read_schema
from layers.servers.embedded import running_cluster
from layers.sourcing.frames import FrameSource
from layers.store import Store, open_store
from layers.territories import Territory
from layers.writers import Writer

SCHEMA = Path(__file__).resolve().parent / "parcels.toml"
START = datetime(2010, 1, 1, tzinfo=UTC)
ROUNDS, REPEATS = 101, 40
COUNTY_DIGITS = 9


def main() -> None:
    """Measure, and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parcels", type=int, default=100_000)
    options = parser.parse_args()
    frame = pd.concat(list(parcels(1, options.parcels)), ignore_index=True)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        data.chmod(0o755)
        with running_cluster(data) as dsn, closing(open_store(dsn)) as store:
            schema = dataclasses.replace(read_schema(SCHEMA), division="parcel_code")
            reload = Reload(FrameSource(frame), schema=schema, valid_from=START)
            store.commit({"parcels": reload}, Writer("benchmark"), "first")
            print_checks(store)
            print_reads(store, frame)


def print_checks(store: Store) -> None:
    """Print the CPU of what is done for a request before anything is read, a page of 100 after."""
    record = store.layer("parcels", Reader.everything()).record
    rows = store.layer("parcels", Reader.everything()).at().where(limit=100).rows()
    desk = Desk(store.register, Caller("shell:bench", "bench"), unbounded=True)
    _, key = desk.make_key("bench", Terms(Role.READER))
    county = Terms(Role.READER, territory=Territory(division="330106"))
    callers = {
        "anonymous": Caller("anonymous", "anonymous"),
        "a county's reader": Caller("key:0a1b", "county", None, (county,)),
        "five grants": Caller("key:0a1c", "five", None, (county, *_layers(4))),
    }
    for name, caller in callers.items():

        def check(caller: Caller = caller) -> None:
            store.register.by_key(key)
            reader = caller.reader()
            sight = reader.sight(record)
            what = shown(record, sight, restricted=True)
            for row in rows:
                what.properties(row)

        def plainly() -> None:
            names = [f.id for f in record.schema.stored]
            for row in rows:
                values = row._mapping
                {n: values[n] for n in names}

        more = [_cpu_ms(check) - _cpu_ms(plainly) for _ in range(ROUNDS)]
        ends = f"({min(more):.3f} to {max(more):.3f})"
        print(f"| {name} | {statistics.median(more):.3f} {ends} ms |")


def print_reads(store: Store, frame: gpd.GeoDataFrame) -> None:
    """Print the CPU of the database for boxes within one county."""
    county = frame["parcel_code"].str[:COUNTY_DIGITS].value_counts().index[0]
    own = frame[frame["parcel_code"].str.startswith(county)].reset_index(drop=True)
    # Of a county's size and detail: some hundreds of vertices.
    area = shapely.segmentize(shapely.box(*own.total_bounds).buffer(0.02), 0.001)
    boxes = make_boxes(own)
    views = {
        "all": Terms(Role.READER),
        "a division": Terms(Role.READER, territory=Territory(division=county)),
        "an area": Terms(Role.READER, territory=Territory(area=shapely.to_wkb(area))),
    }
    reads = {name: _read(store, Caller("key:0", "b", None, (t,))) for name, t in views.items()}
    found = dict(measure_reads(store, reads, boxes))
    base = sorted(found["all"])[len(found["all"]) // 2]
    vertices = shapely.get_num_coordinates(area)
    share = f"{len(own):,} of {len(frame):,} parcels are the county's"
    print(f"\n{share}; its area has {vertices} vertices")
    for name, spent in found.items():
        middle = sorted(spent)[len(spent) // 2]
        ends = f"({min(spent):.1f} to {max(spent):.1f})"
        print(f"| {name} | {middle:.1f} {ends} | {middle / base:.2f} x |")


def _layers(count: int) -> tuple[Terms, ...]:
    return tuple(Terms(Role.READER, f"layer:l{n}", fields=("internal",)) for n in range(count))


def _read(store: Store, caller: Caller) -> Read:
    layer = store.layer("parcels", Reader("reader", caller.reader().views, unlimited=True))

    def read(box: Box) -> int:
        snapshot = layer.at().where(bbox=box)
        with layer.reading() as (connection, record):
            return len(connection.execute(as_wkb(snapshot.select(record))).all())

    return read


def _cpu_ms(work: Callable[[], None]) -> float:
    begun = time.process_time()
    for _ in range(REPEATS):
        work()
    return (time.process_time() - begun) / REPEATS * 1000


if __name__ == "__main__":
    main()
