"""Engines that run within the process: DuckDB and SedonaDB, their tables in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pyarrow

from assigning.jobs import POINTS, POLYGONS, read_points
from assigning.peers import Answer, Peer, answer_of

_JOIN = """
    SELECT points.id AS point, polygons.id AS polygon
    FROM points JOIN polygons ON ST_Intersects(points.geometry, polygons.geometry)
"""


class _Engine(Peer):
    """A join of two tables, of which all pairs are kept."""

    found: Any
    count: int

    def answer(self) -> Answer:
        """Return what was found."""
        points, polygons = self.found["point"].to_numpy(), self.found["polygon"].to_numpy()
        return answer_of(points, polygons, self.count)


class DuckDB(_Engine):
    """DuckDB spatial, which makes its tree of one side within the join."""

    title = "DuckDB spatial"
    counted = "SPATIAL_JOIN of two tables in memory (GEOMETRY), pairs as Arrow"
    operator: ClassVar[str] = "SPATIAL_JOIN"

    def load(self, folder: Path) -> None:
        """Copy the files into tables; the extension is a file of a package."""
        import duckdb
        import duckdb_extension_spatial

        home = Path(duckdb_extension_spatial.__path__[0]) / "extensions"
        self.connection = duckdb.connect()
        extension = home / f"v{duckdb.__version__}" / "spatial.duckdb_extension"
        self.connection.load_extension(str(extension))
        for table, file in (("points", POINTS), ("polygons", POLYGONS)):
            self.connection.execute(
                f"CREATE TABLE {table} AS SELECT id, geometry FROM read_parquet(?)",
                [str(folder / file)],
            )
        self.count = len(read_points(folder)[0])
        plan = self.connection.execute(f"EXPLAIN {_JOIN}").fetchall()
        if self.operator not in str(plan):
            raise SystemExit(f"DuckDB does not plan a {self.operator}: {plan}")

    def query(self) -> None:
        """Join."""
        self.found = self.connection.execute(_JOIN).to_arrow_table()


class SedonaDB(_Engine):
    """SedonaDB, which makes its index of one side within the join."""

    title = "SedonaDB"
    counted = "join of two tables in memory (WKB), pairs into a third"

    def load(self, folder: Path) -> None:
        """Copy the files into tables."""
        import sedonadb

        self.context = sedonadb.connect()
        for table, file in (("points", POINTS), ("polygons", POLYGONS)):
            read = self.context.read_parquet(str(folder / file))
            read.to_memtable().to_view(table)
        self.count = len(read_points(folder)[0])

    def query(self) -> None:
        """Join."""
        self.found = self.context.sql(_JOIN).to_memtable()

    def answer(self) -> Answer:
        """Return what was found."""
        self.found = pyarrow.table(self.found)
        return super().answer()
