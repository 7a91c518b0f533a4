"""What it costs to spread assignment over processes by Dask, beside the same work in a plain loop.

``.venv/bin/python benchmarks/partitions.py [--files N] [--rounds N]`` prints tables of
docs/benchmarks.md: medians. All of it is synthetic: 20,000 polygons of about 100 vertices, and
GeoParquet files of half a million points about them.

Each row has a process of its own, in which plain loops and Dask take turns, five files at a time,
so that whatever else the machine does slows down both. Their clocks start when all is warm: modules
and machine code are loaded, and each process has answered a small file, and so has mapped the
index. CPU is user and system of all threads, for Dask of the workers and of the process with the
client, the scheduler and the nannies. Two workers are compared with two plain loops at once, as
processes that run side by side slow each other down. ``its own settings``: Dask not told to watch
itself less.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
from assigning.coverages import coverage, scattered
from assignment import run_process
from distributed import Client, LocalCluster
from measuring import backend_seconds

from spatial.grids import GridIndex
from spatial.partitions.partition import assign_partition
from spatial.partitions.runs import assign_partitions, start_workers

HERE = Path(__file__).resolve()
CACHE = HERE.parent.parent / ".cache" / "partitions"
GRIDS, SMALL = CACHE / "grids.cells", CACHE / "small.parquet"
POLYGONS, VERTICES, ROWS, LARGE = 20_000, 100, 500_000, 2_000_000
CRS = 4549
TITLES = {
    "dask 1": "1 worker",
    "dask 2": "2 workers",
    "usual 1": "1 worker, Dask's own settings",
    "usual 2": "2 workers, Dask's own settings",
}
COSTS = (
    "| | CPU s, plain | Dask | more | inside tasks, plain | Dask | outside, to inside | "
    "wall s, plain | Dask |\n|---|---|---|---|---|---|---|---|---|"
)
MEMORY = (
    "| rows a file | memory of a worker, MB: idle | peak | peak less idle | of the index |\n"
    "|---|---|---|---|---|"
)
_TURN = 5  # files
_EVERY_S = 0.02


def main() -> None:
    """Measure all, or, as a process of this very program, one row."""
    options = read_options()
    if options.run:
        kind, _, count = options.run.partition(" ")
        print(json.dumps(PARTS[kind](int(count), options)))
        return
    make_files(options.files)
    print(f"\n{options.files * ROWS:,} points in {options.files} files x {POLYGONS:,} polygons")
    print(f"(synthetic), medians of {options.rounds}; what is more, of the ratios in each round:\n")
    print(COSTS)
    for run, title in TITLES.items():
        print(cost_row(title, run_process(words(run, options))), flush=True)
    print(f"\n{MEMORY}")
    for rows in (ROWS, LARGE):
        print(memory_row(rows, run_process(words(f"memory {rows}", options))), flush=True)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20, help="of half a million points each")
    parser.add_argument("--rounds", type=int, default=3, help="in which all files are answered")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    return parser.parse_args()


def words(run: str, options: argparse.Namespace) -> Sequence[str | Path]:
    """Return the command of one row."""
    numbers = ["--files", str(options.files), "--rounds", str(options.rounds)]
    return [sys.executable, "-P", HERE, "--run", run, *numbers]


def make_files(files: int) -> None:
    """Write the grids and the points where they are missing."""
    CACHE.mkdir(parents=True, exist_ok=True)
    if not GRIDS.exists():
        shapes = coverage(POLYGONS, VERTICES)
        ids = [f"grid {place:05d}" for place in range(len(shapes))]
        polygons = gpd.GeoDataFrame({"id": ids}, geometry=shapes, crs=CRS)
        GridIndex.build(polygons).save(GRIDS)
    make_points(SMALL, 1000, 0)
    for place in range(files):
        make_points(points_file(ROWS, place), ROWS, 1 + place)
    for place in range(2):
        make_points(points_file(LARGE, place), LARGE, 1 + place)


def points_file(rows: int, place: int) -> Path:
    """Return where a file of so many points is."""
    return CACHE / f"{rows}-{place:02d}.parquet"


def make_points(path: Path, rows: int, seed: int) -> None:
    """Write points as GeoPandas does: WKB, row groups of up to a million."""
    if not path.exists():
        points = gpd.points_from_xy(*scattered(rows, seed))
        frame = gpd.GeoDataFrame({"no": range(rows)}, geometry=points, crs=CRS)
        unfinished = path.with_suffix(".partial")
        frame.to_parquet(unfinished)
        unfinished.replace(path)


# Rows, each in a process of its own


def run_costs(count: int, options: argparse.Namespace, usual: bool = False) -> dict[str, Any]:
    """Do all files in so many plain loops, and by as many workers, in turns."""
    with (
        folder() as target,
        warm_loops(count, target) as loops,
        warm_cluster(count, target, usual) as (client, pids),
    ):
        rounds = []
        for _ in range(options.rounds):
            costs: Counter[str] = Counter()
            for first in range(0, options.files, _TURN):
                places = range(first, min(first + _TURN, options.files))
                turns = [
                    partial(do_plain, loops, places, target),
                    partial(do_spread, client, pids, places, target),
                ]
                for turn in turns if first // _TURN % 2 else turns[::-1]:
                    costs.update(turn())
            rounds.append(costs)
    return {"rounds": rounds}


def do_plain(loops: Sequence[Executor], places: range, target: Path) -> dict[str, float]:
    """Do files in plain loops."""
    began = time.perf_counter()
    parts = [places[offset :: len(loops)] for offset in range(len(loops))]
    waiting = [
        loop.submit(do_loop, [points_file(ROWS, place) for place in part], target)
        for loop, part in zip(loops, parts, strict=True)
    ]
    cpu, tasks = (sum(each) for each in zip(*(one.result() for one in waiting), strict=True))
    return {"plain": cpu, "plain tasks": tasks, "plain wall": time.perf_counter() - began}


def do_loop(sources: Sequence[Path], target: Path) -> tuple[float, float]:
    """Answer files one after the other; return CPU seconds, of the process and of the thread."""
    cpu, tasks = time.process_time(), 0.0
    for source in sources:
        tasks += assign_partition(source, GRIDS, target / source.name, key="no").cpu_seconds
    return time.process_time() - cpu, tasks


def do_spread(client: Any, pids: list[int], places: range, target: Path) -> dict[str, float]:
    """Do files by a cluster."""
    start, began = busy(pids), time.perf_counter()
    with tempfile.TemporaryDirectory(dir=target) as name:
        table = spread(client, [points_file(ROWS, place) for place in places], Path(name))
        wall, took = time.perf_counter() - began, busy(pids) - start
    return {"dask": took, "dask tasks": float(table["cpu_seconds"].sum()), "dask wall": wall}


@contextmanager
def warm_loops(count: int, target: Path) -> Iterator[Sequence[Executor]]:
    """Give processes that do plain loops."""
    with ExitStack() as stack:
        fresh = multiprocessing.get_context("spawn")
        pools = [ProcessPoolExecutor(1, mp_context=fresh) for _ in range(count)]
        loops: list[Executor] = [stack.enter_context(pool) for pool in pools]
        for loop in loops:
            loop.submit(do_loop, [SMALL], target).result()
        yield loops


def run_memory(rows: int, _: argparse.Namespace) -> dict[str, float]:
    """Do two files of so many points by one worker; watch its memory."""
    sources = [points_file(rows, place) for place in range(2)]
    with folder() as target, warm_cluster(1, target, False) as (client, pids):
        before = anonymous_mb(pids[1])
        seen: list[float] = []
        with watching(lambda: seen.append(anonymous_mb(pids[1]))):
            spread(client, sources, target / "all")
        mapped = mapped_mb(pids[1], GRIDS)
    return {"before": before, "peak": max(seen), "mapped": mapped}


PARTS: dict[str, Callable[[int, argparse.Namespace], Any]] = {
    "dask": run_costs,
    "usual": partial(run_costs, usual=True),
    "memory": run_memory,
}


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder for answers."""
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        yield Path(name)


@contextmanager
def warm_cluster(count: int, target: Path, usual: bool) -> Iterator[tuple[Any, list[int]]]:
    """Give a client of a cluster, and its processes: this one, then the workers."""
    with usual_workers(count) if usual else start_workers(count) as client:
        client.run(assign_partition, str(SMALL), str(GRIDS), str(target / "warm"), key="no")
        spread(client, [SMALL], target / "small")
        yield client, [os.getpid(), *client.run(os.getpid).values()]


@contextmanager
def usual_workers(count: int) -> Iterator[Any]:
    """Start workers as Dask does when not told otherwise."""
    own = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=count, **own) as cluster, Client(cluster) as client:
        yield client


def spread(client: Any, sources: Sequence[Path], target: Path) -> Any:
    """Answer files by a cluster."""
    return assign_partitions(sources, GRIDS, target, key="no", client=client)


def busy(pids: Sequence[int]) -> float:
    """Return the CPU seconds of processes so far, all their threads'."""
    tasks = (task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir())
    return sum(backend_seconds(int(task.name)) for task in tasks)


@contextmanager
def watching(look: Callable[[], None]) -> Iterator[None]:
    """Look again and again meanwhile."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(_EVERY_S):
            look()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def anonymous_mb(pid: int) -> float:
    """Return the resident memory of a process that is no mapped file."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.partition("\nAnonymous:")[2].split()[0]) / 1024


def mapped_mb(pid: int, path: Path) -> float:
    """Return how much of a file a process has in memory by its mapping."""
    parts = Path(f"/proc/{pid}/smaps").read_text().split(str(path))[1:]
    return sum(int(part.partition("\nRss:")[2].split()[0]) for part in parts) / 1024


# Tables


def cost_row(title: str, run: dict[str, Any]) -> str:
    """Return what Dask took, beside plain loops of the same round."""
    rounds = run["rounds"]

    def seconds(name: str) -> str:
        return f"{statistics.median(costs[name] for costs in rounds):.2f}"

    def more(name: str, base: str) -> str:
        return f"{statistics.median(costs[name] / costs[base] for costs in rounds) - 1:+.1%}"

    cells = [
        title, seconds("plain"), seconds("dask"), more("dask", "plain"),
        seconds("plain tasks"), seconds("dask tasks"), more("dask", "dask tasks"),
        seconds("plain wall"), seconds("dask wall"),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def memory_row(rows: int, run: dict[str, float]) -> str:
    """Return the memory of a worker."""
    idle, peak = run["before"], run["peak"]
    return f"| {rows:,} | {idle:.0f} | {peak:.0f} | {peak - idle:.0f} | {run['mapped']:.0f} |"


if __name__ == "__main__":
    main()
