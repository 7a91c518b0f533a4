"""What polygons and lines share with grids, beside `geopandas.overlay`.

``.venv/bin/python benchmarks/overlay.py [--sections lines polygons] [--runs N]`` prints tables of
docs/benchmarks.md. Each run is a process of its own, and those that are compared take turns. The
frames lie in memory before the clock starts, and the machine code is loaded; all else is counted:
validity is checked by both. Peak memory is what the process has more, at its highest, than when the
clock started. All data are synthetic.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from assigning.coverages import coverage
from measuring import Cost, peak_mb, spread

from spatial.overlay.areas import polygons_to_grids
from spatial.overlay.lengths import lines_to_grids

ROOT = Path(__file__).resolve().parent.parent
METRES = 4549
OURS = "ours"


@dataclass(frozen=True)
class Job:
    """What is laid over what: two files are made, and each peer's work is given both.

    A peer's work returns how many rows it found, and their total of area or of length.
    """

    title: str
    make: Callable[[], tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]]
    peers: dict[str, Callable[[gpd.GeoDataFrame, gpd.GeoDataFrame], tuple[int, float]]]


def coverages(
    ours: tuple[int, int], theirs: tuple[int, int]
) -> Callable[[], tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]]:
    """Return how to make two coverages of so many polygons of so many corners."""

    def make() -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
        return framed(coverage(*ours, 3), "polygon"), framed(coverage(*theirs, 4), "grid")

    return make


def one_large() -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Make a polygon with very many corners, and grids within and around it."""
    turns = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    radii = 15_000 * (1 + 0.1 * np.sin(50 * turns) + 0.001 * np.sin(5000 * turns))
    xy = 25_000 + np.column_stack((radii * np.cos(turns), radii * np.sin(turns)))
    return framed(np.array([shapely.Polygon(xy)]), "polygon"), framed(coverage(2000, 30, 4), "grid")


def framed(geoms: Any, name: str) -> gpd.GeoDataFrame:
    """Return polygons as a frame, numbered."""
    return gpd.GeoDataFrame({name: np.arange(len(geoms)).astype(str)}, geometry=geoms, crs=METRES)


def areas(polygons: gpd.GeoDataFrame, grids: gpd.GeoDataFrame) -> tuple[int, float]:
    """Measure what polygons share with grids, by the kernel."""
    table = polygons_to_grids(polygons, grids, key="grid")
    inside = table["grid"].notna()
    return int(inside.sum()), float(table["area_m2"][inside].sum())


def overlay_areas(polygons: gpd.GeoDataFrame, grids: gpd.GeoDataFrame) -> tuple[int, float]:
    """Measure it by GeoPandas; what lies outside the grids it doesn't tell."""
    over = gpd.overlay(polygons, grids, how="intersection", keep_geom_type=True)
    return len(over), float(over.area.sum())


def walks(
    count: int, step_m: float, grids: int
) -> Callable[[], tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]]:
    """Return how to make lines of five random steps each, and a coverage of 100 corners."""

    def make() -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
        random = np.random.default_rng(5)
        steps = random.normal(0, step_m, (count, 6, 2))
        steps[:, 0] = random.uniform(0, 50_000, (count, 2))
        lines = shapely.linestrings(np.cumsum(steps, axis=1))
        return framed(lines, "line"), framed(coverage(grids, 100, 4), "grid")

    return make


def lengths(lines: gpd.GeoDataFrame, grids: gpd.GeoDataFrame) -> tuple[int, float]:
    """Measure how much of lines lies in grids, by the kernel; the index is made anew."""
    table = lines_to_grids(lines, grids, key="grid")
    inside = table["grid"].notna()
    return int(inside.sum()), float(table["length_m"][inside].sum())


def overlay_lengths(lines: gpd.GeoDataFrame, grids: gpd.GeoDataFrame) -> tuple[int, float]:
    """Measure it by GeoPandas; what lies outside the grids it doesn't tell."""
    over = gpd.overlay(lines, grids, how="intersection", keep_geom_type=True)
    return len(over), float(over.length.sum())


LENGTHS = {"geopandas.overlay": overlay_lengths, OURS: lengths}
AREAS = {"geopandas.overlay": overlay_areas, OURS: areas}
SECTIONS: dict[str, dict[str, Job]] = {
    "lines": {
        "pipes": Job(
            "50,000 lines of 5 x 150 m x 2,000 grids of 100",
            walks(50_000, 150, 2_000),
            LENGTHS,
        ),
        "short": Job(
            "50,000 lines of 5 x 150 m x 20,000 grids of 100",
            walks(50_000, 150, 20_000),
            LENGTHS,
        ),
        "long": Job(
            "5,000 lines of 5 x 3 km x 20,000 grids of 100",
            walks(5_000, 3_000, 20_000),
            LENGTHS,
        ),
    },
    "polygons": {
        name: Job(title, make, AREAS)
        for name, title, make in (
            (
                "parcels",
                "20,000 polygons of 10 corners x 2,000 grids of 100",
                coverages((20_000, 10), (2_000, 100)),
            ),
            (
                "districts",
                "2,000 polygons of 100 corners x 20,000 grids of 10",
                coverages((2_000, 100), (20_000, 10)),
            ),
            (
                "alike",
                "2,000 polygons of 100 corners x 2,100 grids of 100",
                coverages((2_000, 100), (2_100, 100)),
            ),
            (
                "detailed",
                "100 polygons of 3,000 corners x 150 grids of 3,000",
                coverages((100, 3_000), (150, 3_000)),
            ),
            ("large", "1 polygon of 100,000 corners x 2,000 grids of 30", one_large),
        )
    },
}


def run_once(job: Job, peer: str, folder: Path) -> None:
    """Do a peer's work in this process, and print what it took as JSON."""
    frames = [gpd.read_parquet(folder / f"{side}.parquet") for side in ("ours", "theirs")]
    work = job.peers[peer]
    work(*(frame[:3] for frame in frames))  # imports, and machine code from the disk
    Path("/proc/self/clear_refs").write_text("5")  # the highest memory counts from here
    before = peak_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    rows, total = work(*frames)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps({"wall": wall, "cpu": cpu, "more_mb": peak_mb() - before, "rows": rows,
                      "total": total}))  # fmt: skip


def run_apart(words: Sequence[str]) -> Cost:
    """Have another process do it."""
    command = [sys.executable, "-P", __file__, *words]
    path = f"{ROOT}:{ROOT / 'benchmarks'}"
    done = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, text=True, env={"PYTHONPATH": path}
    )
    told = json.loads(done.stdout.splitlines()[-1])
    return Cost(told["wall"], told["cpu"], 0.0, told["more_mb"], told)


def measure(section: str, name: str, runs: int) -> None:
    """Print the rows of one job."""
    job = SECTIONS[section][name]
    costs: dict[str, list[Cost]] = {peer: [] for peer in job.peers}
    with tempfile.TemporaryDirectory() as folder:
        for side, frame in zip(("ours", "theirs"), job.make(), strict=True):
            frame.to_parquet(Path(folder) / f"{side}.parquet")
        for _ in range(runs):
            for peer, found in costs.items():
                found.append(run_apart(["--once", section, name, peer, folder]))
                print(f"<!-- {name}, {peer}: {found[-1]} -->", file=sys.stderr, flush=True)
    told = [found[0].result for found in costs.values()]
    for peer, found in costs.items():
        print(f"| {job.title} | {peer} | {spread(found, 'cpu')} | {spread(found, 'wall')} | "
              f"{statistics.median(c.peak_mb for c in found):.0f} MB | "
              f"{'' if peer == OURS else ratio(found, costs[OURS])} |")  # fmt: skip
    sys.stdout.flush()
    if any(abs(one["total"] - told[0]["total"]) > 1e-9 * told[0]["total"] for one in told):
        raise SystemExit(f"the totals of {name} differ: {told}")


def ratio(one: Sequence[Cost], other: Sequence[Cost]) -> str:
    """Return how much more CPU the one took: the median of the turns, and its spread."""
    found = [a.cpu / b.cpu for a, b in zip(one, other, strict=True)]
    return f"{statistics.median(found):.1f} ({min(found):.1f} to {max(found):.1f}) x ours"


def main() -> None:
    """Measure the sections asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--once", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        section, name, peer, folder = options.once
        run_once(SECTIONS[section][name], peer, Path(folder))
        return
    for section in options.sections:
        print("| job | | CPU s | wall s | peak memory | CPU |\n|---|---|---|---|---|---|")
        for name in SECTIONS[section]:
            measure(section, name, options.runs)


if __name__ == "__main__":
    main()
