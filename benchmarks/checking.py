"""What the checks of `spatial.checks` take, for the synthetic city.

``.venv/bin/python benchmarks/checking.py [--parcels 100000] [--seed 1] [--only parcels grids]``
prints a table of docs/benchmarks.md. Each check runs in turn in this one process, after a run on a
few rows that loads machine code; the frames lie in memory before the clock starts. Peak memory is
what the process has more, at its highest, than when the clock started. All data are synthetic.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
from city.grids import grids
from city.parcels import parcels
from city.pipes import pipe_nodes, pipe_segments
from measuring import peak_mb

from spatial.checks.coverage import coverage
from spatial.checks.heights import ground_off, lengths_off, slopes_off
from spatial.checks.networks import (
    degrees_off,
    differing,
    duplicates,
    ends_apart,
    loops,
    missing_nodes,
    orphan_nodes,
    stray_ends,
    take_network,
)
from spatial.checks.overlaps import overlaps, strata
from spatial.checks.placed import repeated_places
from spatial.checks.values import areas_off, out_of_range
from spatial.checks.vertices import repeated_corners, self_touching, thin_polygons

CRS = "EPSG:4490"
Job = tuple[str, Callable[[], Any]]


def joined(frames: Iterator[gpd.GeoDataFrame]) -> gpd.GeoDataFrame:
    """Return districts as one frame."""
    return pd.concat(list(frames), ignore_index=True)


def of_polygons(frame: gpd.GeoDataFrame) -> list[Job]:
    """Return the checks that any polygons can have."""
    shapes, stated = frame.geometry.to_numpy(), frame["area_m2"].to_numpy()
    return [
        ("range", lambda: out_of_range(stated, least=0, places=shapes)),
        ("area", lambda: areas_off(stated, shapes, CRS, share=0.01)),
        ("sliver", lambda: thin_polygons(shapes, CRS, width_m=0.05)),
        ("repeated-corner", lambda: repeated_corners(shapes, CRS)),
        ("self-touching", lambda: self_touching(shapes)),
    ]


def parcel_jobs(seed: int, rows: int) -> tuple[int, list[Job]]:
    """Return how many parcels there are, and their checks."""
    frame = joined(parcels(seed, rows))
    shapes, codes = frame.geometry.to_numpy(), frame["parcel_code"].to_numpy()
    over = ("overlap", lambda: overlaps(shapes, CRS, groups=strata(codes, at=14)))
    return len(frame), [*of_polygons(frame), over]


def grid_jobs(seed: int, rows: int) -> tuple[int, list[Job]]:
    """Return how many grids there are over so many parcels, and their checks."""
    frame = joined(grids(seed, rows))
    shapes, types = frame.geometry.to_numpy(), frame["grid_type"].to_numpy()
    whole = ("coverage", lambda: coverage(shapes, CRS, groups=types))
    return len(frame), [*of_polygons(frame), whole]


def pipe_jobs(seed: int, rows: int) -> tuple[int, list[Job]]:
    """Return how many segments there are below so many parcels, and the checks of their network."""
    frame, nodes = (joined(make(seed, rows)) for make in (pipe_segments, pipe_nodes))
    points, lines = nodes.geometry.to_numpy(), frame.geometry.to_numpy()
    kinds, refs = frame["pipe_class"].to_numpy(), frame["elev_ref"].to_numpy()
    depths = frame[["start_depth", "end_depth"]].to_numpy()
    elevations = frame[["start_elev", "end_elev"]].to_numpy()
    height, flows = frame["diameter_mm"].to_numpy() / 1000, frame["flow_dir"].to_numpy()

    def link() -> Any:
        return take_network(lines, frame["start_no"], frame["end_no"], points, nodes["exp_no"], CRS)

    net = link()
    ground = nodes["ground_elev"].to_numpy()
    jobs: list[Job] = [
        ("linking ends to nodes", link),
        ("missing-node", lambda: missing_nodes(net)),
        ("orphan-node", lambda: orphan_nodes(net)),
        ("end-apart", lambda: ends_apart(net, tolerance_m=0.05)),
        ("stray-end", lambda: stray_ends(lines, CRS, tolerance_m=0.05, nodes=points)),
        ("loop", lambda: loops(net)),
        ("duplicate", lambda: duplicates(net, groups=kinds)),
        ("degree", lambda: degrees_off(net, nodes["feature"], feature="tee", degree=3)),
        ("differing", lambda: differing(net, kinds, nodes["pipe_class"])),
        ("ground", lambda: ground_off(net, ground, depths, elevations, tolerance_m=0.05,
                                      heights_m=height, depth_refs=refs, elevation_refs=refs)),
        ("length", lambda: lengths_off(lines, CRS)),
        ("slope", lambda: slopes_off(lines, CRS, elevations, flows, applies=refs == "invert")),
        ("repeated-place", lambda: repeated_places(points, CRS, tolerance_m=0.01)),
    ]  # fmt: skip
    return len(frame), jobs


SECTIONS = {"parcels": parcel_jobs, "grids": grid_jobs, "pipes": pipe_jobs}


def measure(section: str, seed: int, rows: int) -> None:
    """Print a row of the table for each check of a section."""
    for _, job in SECTIONS[section](seed, 50)[1]:
        job()
    count, jobs = SECTIONS[section](seed, rows)
    for name, job in jobs:
        Path("/proc/self/clear_refs").write_text("5")  # the highest memory counts from here
        before = peak_mb()
        wall, cpu = time.perf_counter(), time.process_time()
        found = job()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        some = found if isinstance(found, tuple) else (found,)
        told = sum(len(f) for f in some) if hasattr(some[0], "measured") else ""
        print(f"| {count:,} {section} | {name} | {wall:.2f} | {cpu:.2f} | "
              f"{peak_mb() - before:.0f} MB | {told} |", flush=True)  # fmt: skip


def main() -> None:
    """Measure the sections asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parcels", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    options = parser.parse_args()
    print("| rows | check | wall s | CPU s | more memory | faults |\n|---|---|---|---|---|---|")
    for section in options.only:
        measure(section, options.seed, options.parcels)


if __name__ == "__main__":
    main()
