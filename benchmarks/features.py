"""Features over HTTP beside tipg, pygeoapi, pg_featureserv and the bare SELECT.

``make peers`` installs the others. ``make bench-features``, or ``.venv/bin/python
benchmarks/features.py [--features N] [--versions N] [--parts ...]``, makes a cluster of its own in
``--data`` (kept, as to publish takes long), has all of them serve the same table, and prints rows
of docs/benchmarks.md. CPU is that of the server's process and of all processes of PostgreSQL.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
from measuring import Server as Postgres
from served.answers import measure_filters, measure_pages, measure_past
from served.bench import OTHERS, OURS, Bench, serving
from served.parcels import publish_editions
from served.places import Place, make_view
from served.questions import take_samples
from served.whole import measure_crowd, measure_exports

from layers.servers.embedded import running_cluster

ROOT = Path(__file__).resolve().parents[1]
PARTS: Mapping[str, Callable[[Bench], None]] = {
    "pages": measure_pages,
    "past": measure_past,
    "filters": measure_filters,
    "exports": measure_exports,
    "crowd": measure_crowd,
}


def main() -> None:
    """Measure the parts asked for."""
    options = read_options()
    options.data.mkdir(parents=True, exist_ok=True)
    options.data.chmod(0o755)
    with running_cluster(options.data) as dsn:
        publish_editions(dsn, options.features, options.versions)
        with psycopg.connect(dsn, autocommit=True) as connection:
            make_view(connection)
            samples = take_samples(connection)
        place = Place(dsn, options.data / "servers", samples.features)
        place.folder.mkdir(exist_ok=True)
        with serving(place, options.servers) as servers:
            postmaster = Postgres.of(options.data).pid
            bench = Bench(dsn, postmaster, place.folder, servers, samples, options)
            print(f"<!-- {samples.features:,} parcels, {options.versions} past versions each -->")
            for part in options.parts:
                PARTS[part](bench)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--features", type=int, default=500_000, help="parcels")
    add("--versions", type=int, default=10, help="past versions of each")
    add("--data", type=Path, help="folder of the cluster, kept; .cache/features by default")
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    add("--servers", nargs="+", choices=(OURS, *OTHERS), default=[OURS, *OTHERS])
    add("--rounds", type=int, default=5, help="in which all take turns")
    add("--seconds", type=float, default=1.0, help="for each, in each round")
    add("--exports", type=int, default=3, help="rounds of exports")
    add("--crowd", type=int, default=600, help="seconds that the crowd reads")
    options = parser.parse_args()
    size = f"{options.features}x{options.versions}"
    options.data = (options.data or ROOT / ".cache" / "features" / size).absolute()
    os.environ["PYTHONPATH"] = str(ROOT)  # of the processes that are started
    return options


if __name__ == "__main__":
    main()
