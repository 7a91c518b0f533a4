"""What the kernel's machine code takes: ``-m assigning.compiling``, in a process that is fresh."""

from __future__ import annotations

import importlib
import json
import time

import geopandas  # noqa: F401 - what a user of the kernel has imported already

from assigning.coverages import AFAR, Floats, Geometries, skewed_coverage, skewed_points


def main() -> None:
    """Import the kernel, use it once, and say what either took."""
    polygons, points = small_job()
    took, start = {}, clocks()
    index = importlib.import_module("spatial.cells.index")
    took["import"], start = since(start), clocks()
    built = index.CellIndex.build(polygons)
    took["build"], start = since(start), clocks()
    built.locate(*points)
    took["locate"] = since(start)
    print(json.dumps(took))


def small_job() -> tuple[Geometries, tuple[Floats, Floats]]:
    """Return little that uses everything: a skewed coverage has both levels of cells."""
    return skewed_coverage(200 + AFAR, 20), skewed_points(1_000)


def clocks() -> tuple[float, float]:
    """Return CPU and wall seconds."""
    return time.process_time(), time.perf_counter()


def since(start: tuple[float, float]) -> dict[str, float]:
    """Return how far the clocks have gone."""
    cpu, wall = clocks()
    return {"cpu": cpu - start[0], "wall": wall - start[1]}


if __name__ == "__main__":
    main()
