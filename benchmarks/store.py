"""What the versioned store costs, beside the same work done plainly.

``.venv/bin/python benchmarks/store.py [--parcels N] [--runs N] [--parts publish reads ...]`` makes
its own cluster and city in a temporary folder and prints rows of docs/benchmarks.md. CPU is that of
the publishing process and of all the database's processes; the runs of what is compared take turns.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import reading
from city.editions import edited
from city.files import write_gpkg, write_parquet
from city.parcels import parcels
from measuring import Cost, Server, run_process, spread

from layers.schemas.documents import read_schema
from layers.servers.embedded import running_cluster
from layers.store import Store, open_store

HERE = Path(__file__).resolve().parent
SCHEMA = HERE / "parcels.toml"
KEY = "parcel_code"
BOX_ROUNDS = 10
PARTS = ("publish", "republish", "reads", "diff", "order")


class Bench:
    """A cluster, the city's files, and what was measured so far."""

    def __init__(self, folder: Path, dsn: str, options: argparse.Namespace) -> None:
        self.folder, self.dsn, self.options = folder, dsn, options
        self.server = Server.of(folder)
        self.files = {
            "gpkg": self._written("gpkg", 0.0),
            "parquet": self._written("parquet", 0.0),
            "changed": self._written("gpkg", 0.01),
        }

    def _written(self, ending: str, share: float) -> Path:
        path = self.folder / f"parcels{'_changed' if share else ''}.{ending}"
        frames = parcels(1, self.options.parcels)
        write = write_parquet if path.suffix == ".parquet" else write_gpkg
        write(edited(frames, share, 2) if share else frames, path, "Synthetic parcels")
        return path

    def publish(self, layer: str, file: str, *words: str) -> Cost:
        """Publish one of the files, by a process of its own."""
        command = [HERE / "one_publish.py", self.dsn, layer, self.files[file], SCHEMA, *words]
        return run_process(self.server, [sys.executable, *command])

    def plainly(self, file: str, *words: str) -> Cost:
        """Parse, copy, hash and join one of the files."""
        command = [HERE / "yardsticks.py", self.dsn, self.files[file], KEY, *words]
        return run_process(self.server, [sys.executable, *command])

    def ogr2ogr(self) -> Cost:
        """Load the GeoPackage into a plain table with a key, its index and that of the shapes."""
        self.execute("DROP TABLE IF EXISTS plain_ogr")
        where = psycopg.conninfo.conninfo_to_dict(self.dsn)
        target = "PG:" + " ".join(f"{k}={v}" for k, v in where.items())
        index = f"CREATE UNIQUE INDEX ON plain_ogr ({KEY})"
        options = ["-nln", "plain_ogr", "-nlt", "PROMOTE_TO_MULTI"]
        options += ["--config", "PG_USE_COPY", "YES"]
        file = str(self.files["gpkg"])
        load = run_process(self.server, ["ogr2ogr", "-f", "PostgreSQL", target, file, *options])
        before, start = self.server.busy(), time.perf_counter()
        self.execute(index)
        wall, served = time.perf_counter() - start, self.server.busy() - before
        return Cost(load.wall + wall, load.client, load.server + served)

    def execute(self, statement: str) -> None:
        """Run one statement."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement)


def measure_publish(bench: Bench) -> None:
    """First publishes beside ogr2ogr."""
    works: dict[str, Callable[[int], Cost]] = {
        "ogr2ogr": lambda run: bench.ogr2ogr(),
        "first publish, GPKG": lambda run: bench.publish(f"g{run}", "gpkg", "first"),
        "first publish, GeoParquet": lambda run: bench.publish(f"p{run}", "parquet", "first"),
    }
    costs = take_turns(works, bench.options.runs)
    base = costs.pop("ogr2ogr")
    row("ogr2ogr, plain table, GPKG", base, "")
    for name, found in costs.items():
        by_cpu, by_wall = ratio(base, found, "cpu"), ratio(base, found, "wall")
        row(name, found, f"{by_cpu} the features per CPU second, {by_wall} per second")


def measure_republish(bench: Bench) -> None:
    """Republishes, unchanged and changed, beside parse + COPY + hash + join."""
    bench.publish("again", "gpkg", "first")
    bench.plainly("gpkg", "--load")
    works: dict[str, Callable[[int], Cost]] = {
        "plainly, nothing changed": lambda run: bench.plainly("gpkg"),
        "republish, nothing changed": lambda run: bench.publish("again", "gpkg"),
        "plainly, 1 % changed": lambda run: bench.plainly("changed"),
        "republish, 1 % changed": lambda run: bench.publish("again", "changed"),
        "back": lambda run: bench.publish("again", "gpkg"),
    }
    costs = take_turns(works, bench.options.runs)
    for what in ("nothing changed", "1 % changed"):
        base, found = costs[f"plainly, {what}"], costs[f"republish, {what}"]
        row(f"parse + COPY + hash + join, {what}", base, "")
        row(f"republish, {what}", found, f"{ratio(found, base, 'cpu')} the CPU")
        print(f"<!-- {found[0].result} -->")


def measure_reads(bench: Bench) -> None:
    """Boxes of a thousand features, now and then, at 1, 10 and 40 versions a feature."""
    store, schema = open_store(bench.dsn), read_schema(SCHEMA)
    for versions in (1, 10, 40):
        reading.publish_versions(store, f"v{versions}", schema, versions)
    boxes = reading.make_boxes(reading.make_frame())
    then = reading.middle_of(10)
    reads = {
        "now, 1 version": reading.reader_of(store, "v1"),
        "now, 10 versions": reading.reader_of(store, "v10"),
        "now, 40 versions": reading.reader_of(store, "v40"),
        "as of an instant, 10 versions": reading.reader_of(store, "v10", then),
        "as of instant and revision, 10 versions": reading.reader_of(store, "v10", then, 6),
    }
    first = None
    for name, spent in reading.measure_reads(store, reads, boxes):
        middle = statistics.median(spent)
        first = first or middle
        print(f"| box of 1,000 features: {name} | {shown(spent)} ms | {middle / first:.2f} x |")


def measure_diff(bench: Bench) -> None:
    """The diff of two adjacent revisions, of which the second changed one in a hundred."""
    store = published(bench)
    bench.publish("again", "changed")
    spent, changes = reading.measure_diff(store, "again", BOX_ROUNDS)
    print(f"| diff of adjacent revisions, {changes} changes | {shown(spent)} ms | |")


def measure_order(bench: Bench) -> None:
    """How far changes of one in fifty features, thirty times over, disturb the order of rows."""
    store, schema = open_store(bench.dsn), read_schema(SCHEMA)
    boxes = reading.make_boxes(reading.make_frame())
    reading.publish_versions(store, "order", schema, 1)
    before = reading.blocks_read(store, "order", boxes)
    reading.change_some(store, "order", revisions=30, share=0.02)
    after = reading.blocks_read(store, "order", boxes)
    print(f"| blocks read for 1,000 features, first | {before:.0f} | |")
    print(f"| blocks read for 1,000 features, after 30 revisions of 2 % | {after:.0f} | |")


def published(bench: Bench) -> Store:
    """Return the store, in which the layer ``again`` says what the GeoPackage does."""
    store = open_store(bench.dsn)
    known = {layer.id for layer in store.layers(reading.Reader.everything())}
    bench.publish("again", "gpkg", *([] if "again" in known else ["first"]))
    return store


def take_turns(works: dict[str, Callable[[int], Cost]], runs: int) -> dict[str, list[Cost]]:
    """Run each in turn, so many times over."""
    found: dict[str, list[Cost]] = {name: [] for name in works}
    for run in range(runs):
        for name, work in works.items():
            found[name].append(work(run))
            print(f"<!-- {name}: {found[name][-1]} -->", file=sys.stderr, flush=True)
    return found


def ratio(one: Sequence[Cost], other: Sequence[Cost], name: str) -> str:
    """Return how much more the one took than the other: the median of the turns, and its spread."""
    found = [getattr(a, name) / getattr(b, name) for a, b in zip(one, other, strict=True)]
    return f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f}) x"


def row(title: str, costs: Sequence[Cost], note: str) -> None:
    """Print one row of the table."""
    peak = max(c.peak_mb for c in costs)
    print(
        f"| {title} | {spread(costs, 'cpu')} | {spread(costs, 'wall')} | {peak:.0f} MB | {note} |"
    )
    sys.stdout.flush()


def shown(values: Sequence[float]) -> str:
    """Return a median with the smallest and the largest."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def main() -> None:
    """Measure the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parcels", type=int, default=500_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    measures: dict[str, Callable[[Bench], Any]] = {
        "publish": measure_publish,
        "republish": measure_republish,
        "reads": measure_reads,
        "diff": measure_diff,
        "order": measure_order,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with running_cluster(folder) as dsn:
            bench = Bench(folder, dsn, options)
            for part in options.parts:
                measures[part](bench)


if __name__ == "__main__":
    main()
