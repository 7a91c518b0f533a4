"""The kernel of this project, and the public function on it."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from assigning.compiling import small_job
from assigning.jobs import read_points, read_polygons
from assigning.peers import Answer, Peer, answer_of, fingerprint
from spatial.assignment import assign
from spatial.cells.index import CellIndex, Located

_CRS = 4548


class Kernel(Peer):
    """The index of cells, by one thread."""

    title = "this project's kernel"
    counted = "build: CellIndex.build(polygons); query: .locate(x, y), lowest polygon and number"
    apart = True
    found: Located

    def load(self, folder: Path) -> None:
        """Read arrays and Shapely's polygons; have the machine code loaded."""
        warm_up()
        self.x, self.y = read_points(folder)
        self.polygons = read_polygons(folder)

    def build(self) -> None:
        """Make the index."""
        self.index = CellIndex.build(self.polygons)

    def query(self) -> None:
        """Look each point up."""
        self.found = self.index.locate(self.x, self.y)

    def answer(self) -> Answer:
        """Return what was found."""
        pairs = int(self.found.candidates.sum(dtype=np.int64))
        return Answer(pairs, fingerprint(self.found.polygon))


class KernelPairs(Kernel):
    """The same, asked for all pairs as the others are."""

    title = "this project's kernel, all pairs"
    counted = "as the kernel; query: .pairs(x, y)"

    def query(self) -> None:
        """Look each point up, and list all it meets."""
        self.points, self.met, _ = self.index.pairs(self.x, self.y)

    def answer(self) -> Answer:
        """Return what was found."""
        return answer_of(self.points, self.met, len(self.x))


class Assign(Peer):
    """The public function, frames in and a frame out."""

    title = "spatial.assignment.assign"
    counted = "assign(points, polygons), GeoDataFrames of Shapely's geometries"
    found: pd.DataFrame

    def load(self, folder: Path) -> None:
        """Make the frames, and call it once for a few."""
        polygons, points = small_job()
        assign(_frame(shapely.points(*points)), _coded(polygons))
        self.polygons = _coded(read_polygons(folder))
        self.points = _frame(shapely.points(*read_points(folder)))

    def query(self) -> None:
        """Call it."""
        self.found = assign(self.points, self.polygons)

    def answer(self) -> Answer:
        """Return what was found; a code is a place, padded to be in the order of places."""
        pairs = int(self.found["candidates"].sum())
        return Answer(pairs, fingerprint(self.found["grid"].fillna("-1").to_numpy().astype(int)))


def warm_up() -> None:
    """Have all that is compiled loaded."""
    polygons, points = small_job()
    index = CellIndex.build(polygons)
    index.locate(*points)
    index.pairs(*points)


def _coded(polygons: np.ndarray) -> gpd.GeoDataFrame:
    frame = _frame(polygons)
    frame["id"] = [f"{place:08d}" for place in range(len(polygons))]
    return frame


def _frame(geometries: np.ndarray) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(geometry=geometries, crs=_CRS)
