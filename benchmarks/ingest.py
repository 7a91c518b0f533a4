"""What checks cost a publish, and what memory a large source takes.

``.venv/bin/python benchmarks/ingest.py [--parts checks large] [--parcels 500000] [--rounds 3]``
makes its own cluster and files in a temporary folder (``--folder`` says where; ``large`` takes five
times ``--gigabytes`` of room) and prints rows of docs/benchmarks.md. CPU is that of the publishing
process, of what it started and of the database's processes. All data are synthetic.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import psycopg
import shapely
from city.files import write_gpkg
from city.parcels import parcels
from city.schemas import synthetic_schemas
from measuring import Cost, Server, run_process, spread

from layers.schemas.documents import write_schema
from layers.servers.embedded import running_cluster
from layers.store import open_store

HERE = Path(__file__).resolve().parent
PARTS = ("checks", "large")
# Of a large parcel, as if it had been digitised closely.
CORNERS = 190


class Bench:
    """A cluster, and the schemas with and without rules."""

    def __init__(self, folder: Path, dsn: str, options: argparse.Namespace) -> None:
        self.folder, self.dsn, self.options = folder, dsn, options
        self.server = Server.of(folder)
        schema = synthetic_schemas()["parcels"]
        self.schemas = {
            "bare": self._written("bare", dataclasses.replace(schema, rules=())),
            "checked": self._written("checked", schema),
        }

    def _written(self, name: str, schema: object) -> Path:
        path = self.folder / f"{name}.toml"
        path.write_text(write_schema(schema), encoding="utf-8")
        return path

    def publish(self, layer: str, file: Path, schema: str) -> Cost:
        """Publish a file for the first time, by a process of its own, and forget it again."""
        command = [HERE / "one_publish.py", self.dsn, layer, file, self.schemas[schema], "first"]
        cost = run_process(self.server, [sys.executable, *command])
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        return cost


def measure_checks(bench: Bench) -> None:
    """The same parcels with all rules of the profile and with none, in turns."""
    count = bench.options.parcels
    file = bench.folder / "parcels.gpkg"
    write_gpkg(parcels(1, count), file, "Synthetic parcels")
    costs: dict[str, list[Cost]] = {"bare": [], "checked": []}
    for turn in range(bench.options.rounds):
        for name in costs if turn % 2 else reversed(costs):
            costs[name].append(bench.publish(f"{name}{turn}", file, name))
    print("| first publish | wall s | CPU s | features/s, to the bare one | peak |")
    print("|---|---|---|---|---|")
    for name, found in costs.items():
        pairs = list(zip(costs["bare"], found, strict=True))
        by_wall = sorted(bare.wall / one.wall for bare, one in pairs)
        by_cpu = sorted(bare.cpu / one.cpu for bare, one in pairs)
        middle = len(pairs) // 2
        said = (f"{by_wall[middle]:.2f} x ({by_wall[0]:.2f} to {by_wall[-1]:.2f}); of CPU "
                f"{by_cpu[middle]:.2f} x ({by_cpu[0]:.2f} to {by_cpu[-1]:.2f})")  # fmt: skip
        print(f"| {count:,} parcels, {name} | {spread(found, 'wall')} | {spread(found, 'cpu')} | "
              f"{said} | {peaks(found)} |", flush=True)  # fmt: skip


def measure_large(bench: Bench) -> None:
    """A GeoPackage of many gigabytes, with all rules: time and memory."""
    file = bench.options.large or bench.folder / "large.gpkg"
    if not file.exists():
        # As these parcels come out; SQLite's pages take as much again as its attributes.
        count = round(bench.options.gigabytes * 1e9 / (CORNERS * 16 + 1100))
        frames = _of_many_corners(parcels(1, count))
        write_gpkg(frames, file, "Synthetic parcels of many corners", say)
        print(file=sys.stderr)
    size = file.stat().st_size
    cost = bench.publish("large", file, "checked")
    print("| source | rows | wall s | CPU s | MB/s | peak |\n|---|---|---|---|---|---|")
    rows = (cost.result or {}).get("rows", 0)
    print(f"| {size / 1e9:.2f} GB of GeoPackage, all rules | {rows:,} | {cost.wall:.0f} | "
          f"{cost.cpu:.0f} | {size / 1e6 / cost.wall:.1f} | {peaks([cost])} |")  # fmt: skip


def say(rows: int) -> None:
    """Tell how many rows were written."""
    print(f"\r{rows:,} rows written", end="", file=sys.stderr, flush=True)


def peaks(costs: list[Cost]) -> str:
    """Return the highest memory of the publishing process, and of the one that reads for it."""
    found = [(c.result or {}) for c in costs]
    own, other = (max(f.get(n, 0.0) for f in found) for n in ("peak_mb", "reader_mb"))
    return f"{own:.0f} MB, and its reader {other:.0f} MB"


def _of_many_corners(frames: Iterator[gpd.GeoDataFrame]) -> Iterator[gpd.GeoDataFrame]:
    for frame in frames:
        for start in range(0, len(frame), 2000):
            some = frame.iloc[start : start + 2000]
            shapes = some.geometry.to_numpy()
            steps = shapely.length(shapes) / CORNERS
            dense = [shapely.segmentize(g, s) for g, s in zip(shapes, steps, strict=True)]
            yield some.set_geometry(dense, crs=frame.crs)


def main() -> None:
    """Measure the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--parcels", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gigabytes", type=float, default=10.0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--large", type=Path, help="kept, and not written a second time")
    options = parser.parse_args()
    measures = {"checks": measure_checks, "large": measure_large}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        folder.chmod(0o755)
        with running_cluster(folder) as dsn:
            open_store(dsn).close()
            bench = Bench(folder, dsn, options)
            for part in options.parts:
                measures[part](bench)


if __name__ == "__main__":
    main()
