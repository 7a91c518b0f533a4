"""One case as it arrives: how long its grids take to look up, with the index at hand.

``.venv/bin/python benchmarks/arrivals.py`` asks the demo city (``make demo`` first): three grid
types of two editions, a place and an instant at random each time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np

from layers.readers import Reader
from services.arrivals import assign_arrival
from services.grid_indexes import kept_grids
from services.opening import opened_store
from spatial.assignment import assign_one

ROUNDS = 2_000
READER = Reader.anonymous()
Box = tuple[tuple[float, float], tuple[float, float]]
CITY: Box = ((-71.12, 42.365), (-71.09, 42.38))
BEYOND: Box = ((-71.30, 42.30), (-71.20, 42.33))


def percentiles(ask: Callable[[float, float, datetime], object], box: Box) -> str:
    """Return the median, the 99th percentile and the longest of many, in microseconds."""
    random, took = np.random.default_rng(1), []
    for _ in range(ROUNDS):
        x, y = random.uniform(*box)
        at = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=float(random.uniform(0, 40_000)))
        start = time.perf_counter()
        ask(float(x), float(y), at)
        took.append((time.perf_counter() - start) * 1e6)
    told = (statistics.median(took), statistics.quantiles(took, n=100)[98], max(took))
    return " | ".join(f"{t:.0f}" for t in told)


def main() -> None:
    """Measure the look-up alone, and with the catalogue and the transformation before it."""
    with opened_store() as store:
        store.follow()

        def whole(x: float, y: float, at: datetime) -> object:
            return assign_arrival(
                store, READER, grids="grids", longitude=x, latitude=y, reported_at=at,
                tolerance_m=25,
            )  # fmt: skip

        now = datetime.now(tz=UTC)
        start = time.perf_counter()
        whole(-71.1, 42.37, now)
        first = time.perf_counter() - start
        layer = store.layer("grids", READER)
        index = kept_grids(store, layer, layer.record.head, "grid_type").index
        x0, y0, x1, y1 = index.systems[0].shapes[0].bounds
        print("| microseconds | median | p99 | longest |\n|---|---|---|---|")
        print(f"| `assign_arrival`, places in the city | {percentiles(whole, CITY)} |")
        print(f"| places out of it: is one within 25 m? | {percentiles(whole, BEYOND)} |")
        inside = (x0 + x1) / 2, (y0 + y1) / 2
        alone = percentiles(lambda _x, _y, at: assign_one(*inside, index, at=at), CITY)
        print(f"| `assign_one`, in the grids' system | {alone} |")
        print(f"\nThe first call, which reads and indexes the grids: {first:.2f} s")


if __name__ == "__main__":
    main()
