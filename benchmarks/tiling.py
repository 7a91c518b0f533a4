"""Tiles over HTTP beside tipg, pg_tileserv and martin; and how long kept ones are true.

``make peers`` installs the others. ``make bench-tiles``, or ``.venv/bin/python
benchmarks/tiling.py [--features N] [--parts ...]``, uses the cluster of benchmarks/features.py in
``--data`` (kept; commits that are made on it are undone), has all servers serve the same layer, and
prints rows of docs/benchmarks.md. CPU is that of the server with all its processes and of all
processes of PostgreSQL. ``PEERS`` names another folder than .cache/peers.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import psycopg
from measuring import Server as Postgres
from served.parcels import publish_editions
from served.places import make_view
from tiled.bench import Bench
from tiled.cached import measure_cached
from tiled.contents import measure_contents
from tiled.heard import measure_heard
from tiled.places import read_map
from tiled.touched import measure_touched
from tiled.uncached import measure_uncached

from layers.servers.embedded import running_cluster
from layers.store import open_store

ROOT = Path(__file__).resolve().parents[1]
PARTS: Mapping[str, Callable[[Bench], None]] = {
    "uncached": measure_uncached,
    "contents": measure_contents,
    "cached": measure_cached,
    "touched": measure_touched,
    "heard": measure_heard,
}
SERVERS = (
    "shikong",
    "tipg",
    "pg_tileserv",
    "martin",
    "granian RSGI",
    "granian ASGI",
    "nginx, a file",
)


def main() -> None:
    """Measure the parts asked for."""
    options = read_options()
    options.data.mkdir(parents=True, exist_ok=True)
    options.data.chmod(0o755)
    with running_cluster(options.data) as dsn:
        publish_editions(dsn, options.features, options.versions)
        with psycopg.connect(dsn, autocommit=True) as connection:
            make_view(connection)
            connection.execute("CHECKPOINT")
            found = read_map(connection)
        folder = options.data / "tiles"
        folder.mkdir(exist_ok=True)
        postmaster = Postgres.of(options.data).pid
        with closing(open_store(dsn)) as store:
            store.follow()
            bench = Bench(dsn, postmaster, folder, store, found, options)
            print(f"<!-- {options.features:,} parcels, {options.versions} past versions each -->")
            for part in options.parts:
                begun = time.perf_counter()
                PARTS[part](bench)
                told = f"<!-- {part}: {time.perf_counter() - begun:.0f} s -->"
                print(told, file=sys.stderr, flush=True)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--features", type=int, default=500_000, help="parcels")
    add("--versions", type=int, default=2, help="past versions of each")
    add("--data", type=Path, help="folder of the cluster, kept; .cache/features by default")
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    add("--servers", nargs="+", choices=SERVERS, default=list(SERVERS))
    add("--rounds", type=int, default=3, help="in which all take turns")
    add("--seconds", type=float, default=2.0, help="for each, in each round")
    add("--commits", type=int, default=20, help="that another process is to hear of")
    options = parser.parse_args()
    size = f"{options.features}x{options.versions}"
    options.data = (options.data or ROOT / ".cache" / "features" / size).absolute()
    os.environ["PYTHONPATH"] = str(ROOT)  # of the processes that are started
    return options


if __name__ == "__main__":
    main()
