"""GEOS's tree, by GeoPandas and by Shapely from either side."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import shapely

from assigning.jobs import read_points, read_polygons
from assigning.peers import Answer, Peer, answer_of


class Sjoin(Peer):
    """GeoPandas' join."""

    title = "geopandas.sjoin"
    counted = "sjoin(points, polygons, predicate='intersects'), frames of Shapely's geometries"

    def load(self, folder: Path) -> None:
        """Make the frames."""
        self.polygons = gpd.GeoDataFrame(geometry=read_polygons(folder))
        self.points = gpd.GeoDataFrame(geometry=shapely.points(*read_points(folder)))

    def query(self) -> None:
        """Join."""
        self.found = gpd.sjoin(self.points, self.polygons, predicate="intersects")

    def answer(self) -> Answer:
        """Return what was found."""
        points, polygons = self.found.index.to_numpy(), self.found["index_right"].to_numpy()
        return answer_of(points, polygons, len(self.points))


class PointTree(Peer):
    """A tree of the points, asked with the polygons."""

    title = "shapely STRtree(points)"
    counted = "build: STRtree(points); query: .query(polygons, predicate='intersects')"
    apart = True

    def load(self, folder: Path) -> None:
        """Make Shapely's geometries."""
        self.polygons = read_polygons(folder)
        self.points = shapely.points(*read_points(folder))

    def build(self) -> None:
        """Make the tree."""
        self.tree = shapely.STRtree(self.points)

    def query(self) -> None:
        """Ask it."""
        self.met, self.found = self.tree.query(self.polygons, predicate="intersects")

    def answer(self) -> Answer:
        """Return what was found."""
        return answer_of(self.found, self.met, len(self.points))


class PolygonTree(PointTree):
    """A tree of the polygons, asked with the points."""

    title = "shapely STRtree(polygons)"
    counted = "build: STRtree(polygons); query: .query(points, predicate='intersects')"

    def build(self) -> None:
        """Make the tree."""
        self.tree = shapely.STRtree(self.polygons)

    def query(self) -> None:
        """Ask it."""
        self.found, self.met = self.tree.query(self.points, predicate="intersects")
