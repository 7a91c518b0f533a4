"""What it costs to spread assignment over processes by Dask, beside the same work in a plain loop.

``.venv/bin/python benchmarks/partitions.py [--files N] [--rounds N]`` prints tables of
docs/benchmarks.md: medians. All of it is synthetic: 20,000 polygons of about 100 vertices, and
GeoParquet files of half a million points about them.

Each run has a process of its own. Its clock starts when all is warm: modules and machine code are
loaded, and each process has answered a small file, and so has mapped the index. CPU is user and
system of all threads, for Dask of the workers and of the process with the client, the scheduler
and the nannies. As processes that run side by side slow each other down, two workers are compared
with two plain loops at once. ``its own settings``: Dask not told to watch itself less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
RUNS = ("loop 1", "dask 1", "usual 1", "loop 2", "dask 2", "usual 2")
TITLES = {
    "loop 1": "plain loop",
    "dask 1": "Dask, 1 worker",
    "usual 1": "Dask, 1 worker, its own settings",
    "loop 2": "2 plain loops at once",
    "dask 2": "Dask, 2 workers",
    "usual 2": "Dask, 2 workers, its own settings",
}
_TICKS = os.sysconf("SC_CLK_TCK")
_EVERY_S = 0.02


def main() -> None:
    """Measure all, or, as a process of this very program, one run."""
    options = read_options()
    if options.run:
        kind, _, count = options.run.partition(" ")
        print(json.dumps(PARTS[kind](int(count), options.files)))
        return
    make_files(options.files)
    found: dict[str, list[dict[str, Any]]] = {run: [] for run in RUNS}
    for turn in range(options.rounds):
        for run, runs in found.items():
            runs.append(run_process(words(run, options.files)))
            print(f"round {turn}: {run}: {runs[-1]}", file=sys.stderr, flush=True)
    show_costs(found, options.files)
    show_memory({rows: run_process(words(f"memory {rows}", 1)) for rows in (ROWS, LARGE)})


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20, help="of half a million points each")
    parser.add_argument("--rounds", type=int, default=3, help="in which all take turns")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    return parser.parse_args()


def words(run: str, files: int) -> Sequence[str | Path]:
    """Return the command of one run."""
    return [sys.executable, "-P", HERE, "--run", run, "--files", str(files)]


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


# Runs, each in a process of its own


def run_loops(count: int, files: int) -> dict[str, float]:
    """Do all files in so many plain loops at once; this process is one of them."""
    sources = [points_file(ROWS, place) for place in range(files)]
    others = [
        subprocess.Popen(
            words(f"part {offset}", files), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for offset in range(1, count)
    ]
    with folder() as target:
        do_loop([SMALL], target)
        for other in others:
            assert other.stdout is not None
            other.stdout.readline()  # it is warm
        wall, cpu = time.perf_counter(), time.process_time()
        started = cpu * count
        for other in others:
            assert other.stdin is not None
            other.stdin.write("go\n")
            other.stdin.flush()
        do_loop(sources[::count], target)
        cpu = time.process_time() - cpu
        for other in others:
            cpu += float(other.communicate()[0])
    return {"cpu": cpu, "wall": time.perf_counter() - wall, "started": started}


def run_part(offset: int, files: int) -> float:
    """Do every other file, when told to; return CPU seconds."""
    with folder() as target:
        do_loop([SMALL], target)
        print("warm", flush=True)
        sys.stdin.readline()
        cpu = time.process_time()
        do_loop([points_file(ROWS, place) for place in range(offset, files, 2)], target)
        return time.process_time() - cpu


def do_loop(sources: Sequence[Path], target: Path) -> None:
    """Answer files one after the other."""
    for source in sources:
        assign_partition(source, GRIDS, target / source.name, key="no")


def run_dask(count: int, files: int, usual: bool = False) -> dict[str, float]:
    """Do all files by a cluster of so many workers, as `assign_partitions` starts them, or not."""
    sources = [points_file(ROWS, place) for place in range(files)]
    with folder() as target, warm_cluster(count, target, usual) as (client, pids):
        start, began = busy(pids), time.perf_counter()
        table = spread(client, sources, target / "all")
        wall = time.perf_counter() - began
        took = [now - then for now, then in zip(busy(pids), start, strict=True)]
    tasks = float(table["cpu_seconds"].sum())
    own = {"client": took[0], "workers": sum(took[1:]), "tasks": tasks}
    return {"cpu": sum(took), "wall": wall, **own, "started": sum(start)}


def run_memory(rows: int, _files: int) -> dict[str, float]:
    """Do two files of so many points by one worker; watch its memory."""
    sources = [points_file(rows, place) for place in range(2)]
    with folder() as target, warm_cluster(1, target, False) as (client, pids):
        before = anonymous_mb(pids[1])
        seen: list[float] = []
        with watching(lambda: seen.append(anonymous_mb(pids[1]))):
            spread(client, sources, target / "all")
        mapped = mapped_mb(pids[1], GRIDS)
    return {"before": before, "peak": max(seen), "mapped": mapped}


PARTS: dict[str, Callable[[int, int], Any]] = {
    "loop": run_loops,
    "part": run_part,
    "dask": run_dask,
    "usual": partial(run_dask, usual=True),
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


def busy(pids: Sequence[int]) -> list[float]:
    """Return the CPU seconds of processes so far, all their threads'."""
    return [
        sum(backend_seconds(int(task.name)) for task in Path(f"/proc/{pid}/task").iterdir())
        for pid in pids
    ]


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


def show_costs(found: dict[str, list[dict[str, Any]]], files: int) -> None:
    """Print what each way took, beside plain loops of the same round."""
    print(
        f"\n{files * ROWS:,} points in {files} files x {POLYGONS:,} polygons (synthetic), medians"
    )
    print(f"of {len(found[RUNS[0]])}; what is more than plain, of the ratios in each round:\n")
    print(
        "| | CPU s | more than plain | CPU ms a file | of it in the task | wall s | "
        "CPU s before the clock |\n|---|---|---|---|---|---|---|"
    )
    for run, runs in found.items():
        spread_out = not run.startswith("loop")
        ratios = [r["cpu"] / p["cpu"] for r, p in zip(runs, found[f"loop {run[-1]}"], strict=True)]
        cells = [
            TITLES[run],
            f"{middle(runs, 'cpu'):.2f}",
            f"{statistics.median(ratios) - 1:+.1%}" if spread_out else "",
            f"{1000 * middle(runs, 'cpu') / files:.0f}",
            f"{1000 * middle(runs, 'tasks') / files:.0f}" if spread_out else "",
            f"{middle(runs, 'wall'):.2f}",
            f"{middle(runs, 'started'):.1f}",
        ]
        print(f"| {' | '.join(cells)} |")


def show_memory(found: dict[int, dict[str, float]]) -> None:
    """Print the memory of a worker."""
    print("\n| rows a file | memory of a worker, MB: idle | peak | peak less idle | of the index |")
    print("|---|---|---|---|---|")
    for rows, run in found.items():
        idle, peak = run["before"], run["peak"]
        print(f"| {rows:,} | {idle:.0f} | {peak:.0f} | {peak - idle:.0f} | {run['mapped']:.0f} |")


def middle(runs: Sequence[dict[str, Any]], name: str) -> float:
    """Return a median."""
    return float(statistics.median(run[name] for run in runs))


if __name__ == "__main__":
    main()
