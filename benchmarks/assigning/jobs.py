"""The jobs, and their files in the cache, each made once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

from assigning.coverages import (
    Floats,
    Geometries,
    coverage,
    scattered,
    skewed_coverage,
    skewed_points,
)

POINTS = "points.parquet"
POLYGONS = "polygons.parquet"
_XY = "points.npy"


@dataclass(frozen=True)
class Job:
    """Points to be given polygons."""

    points: int
    polygons: int
    skewed: bool = False
    vertices: int = 100

    @property
    def title(self) -> str:
        """What it is called in a table."""
        skewed = ", skewed extent" if self.skewed else ""
        return f"{self.points:,} points x {self.polygons:,} polygons{skewed}"


JOBS: Mapping[str, Job] = {
    "1Mx2k": Job(1_000_000, 2_000),
    "1Mx20k": Job(1_000_000, 20_000),
    "10Mx20k": Job(10_000_000, 20_000),
    "skewed": Job(1_000_000, 20_000, skewed=True),
    "small": Job(10_000, 200),  # to try the benchmark itself
}


def make_files(name: str, cache: Path) -> Path:
    """Return the folder of a job's files, made where they are missing or were made otherwise."""
    job, here = JOBS[name], Path(__file__).parent
    made_by = hashlib.sha256(repr(job).encode())
    for module in ("coverages.py", "jobs.py"):
        made_by.update((here / module).read_bytes())
    folder = cache / f"{name}-{made_by.hexdigest()[:8]}"
    if not (folder / _XY).exists():
        folder.mkdir(parents=True, exist_ok=True)
        polygons = (skewed_coverage if job.skewed else coverage)(job.polygons, job.vertices)
        _write(polygons, folder / POLYGONS)
        x, y = (skewed_points if job.skewed else scattered)(job.points)
        _write(shapely.points(x, y), folder / POINTS)
        np.save(folder / _XY, np.stack([x, y]))  # last, as the mark that all is there
    return folder


def _write(geometries: Geometries, path: Path) -> None:
    """Write GeoParquet: WKB, and an `id` that is the place."""
    ids = np.arange(len(geometries), dtype=np.int32)
    gpd.GeoDataFrame({"id": ids}, geometry=geometries).to_parquet(path)


def read_points(folder: Path) -> tuple[Floats, Floats]:
    """Return the coordinates of a job's points."""
    x, y = np.load(folder / _XY)
    return x, y


def read_polygons(folder: Path) -> Geometries:
    """Return a job's polygons as Shapely's."""
    return np.asarray(gpd.read_parquet(folder / POLYGONS).geometry.array)
