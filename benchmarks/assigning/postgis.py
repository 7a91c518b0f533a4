"""PostGIS on Debian's PostgreSQL, in a cluster that lives as long as the process."""

from __future__ import annotations

import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psycopg
import shapely
from measuring import Server

from assigning.jobs import read_points, read_polygons
from assigning.peers import Answer, Peer
from layers.servers.embedded import running_cluster

_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_END = b"\xff\xff"
_JOIN = "SELECT count(*) FROM points p JOIN polygons q ON ST_Intersects(p.geometry, q.geometry)"
_SAMPLED_S = 0.5


class PostGIS(Peer):
    """The join of a table of points and an indexed one of polygons."""

    title = "PostGIS"
    counted = (
        "build: CREATE INDEX USING gist on polygons; query: count(*) of the join, points not "
        "indexed; CPU of client and server, memory: proportional set of the server's processes"
    )
    apart = True
    pairs: int

    def load(self, folder: Path) -> None:
        """Make a cluster and copy the data into its tables."""
        self.opened = ExitStack()
        data = Path(self.opened.enter_context(tempfile.TemporaryDirectory()))
        data.chmod(0o755)
        dsn = self.opened.enter_context(running_cluster(data, durable=False))
        self.server = Server.of(data)
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.opened.enter_context(self.connection)
        _copy_points(self.connection, *read_points(folder))
        _copy_polygons(self.connection, read_polygons(folder))
        for table in ("points", "polygons"):
            self.connection.execute(f"VACUUM ANALYZE {table}")
        self.connection.execute("CHECKPOINT")
        self.memory = Memory(self.server.pid)
        self.opened.callback(self.memory.stop)

    def build(self) -> None:
        """Index the polygons."""
        self.connection.execute("CREATE INDEX ON polygons USING gist (geometry)")

    def query(self) -> None:
        """Join."""
        (self.pairs,) = self.connection.execute(_JOIN).fetchone() or (0,)

    def answer(self) -> Answer:
        """Return how many pairs were found."""
        return Answer(self.pairs)

    def busy_elsewhere(self) -> float:
        """Return the CPU seconds of all of the server's processes."""
        return self.server.busy()

    def peak_mb_elsewhere(self) -> float:
        """Return the memory of all of the server's processes at its highest."""
        return self.memory.peak_mb

    def close(self) -> None:
        """End the cluster."""
        self.opened.close()


class Memory(threading.Thread):
    """Watches the proportional set of a process and its children, twice a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.ended = pid, threading.Event()
        self.peak_mb = self._now_mb()
        self.start()

    def run(self) -> None:
        """Watch until told to stop."""
        while not self.ended.wait(_SAMPLED_S):
            self.peak_mb = max(self.peak_mb, self._now_mb())

    def _now_mb(self) -> float:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        total = 0
        for pid in (self.pid, *children):
            try:
                words = Path(f"/proc/{pid}/smaps_rollup").read_text().partition("\nPss:")[2]
            except OSError:
                continue  # it has ended
            total += int(words.split()[0]) if words else 0
        return total / 1024

    def stop(self) -> None:
        """Stop watching."""
        self.ended.set()
        self.join()


def _copy_points(connection: psycopg.Connection, x: np.ndarray, y: np.ndarray) -> None:
    """Copy coordinates as PostgreSQL's own binary rows, a million at a time."""
    numbers = [("id", ">i4"), ("x", ">f8"), ("y", ">f8")]
    lengths = [(f"{name}_length", ">i4") for name, _ in numbers]
    fields = [field for pair in zip(lengths, numbers, strict=True) for field in pair]
    kind = np.dtype([("fields", ">i2"), *fields])
    connection.execute("CREATE TEMP TABLE raw (id int, x float8, y float8)")
    with connection.cursor().copy("COPY raw FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(_COPY_HEADER)
        for start in range(0, len(x), 1_000_000):
            part = slice(start, start + 1_000_000)
            rows = np.empty(len(x[part]), dtype=kind)
            rows["fields"], rows["id_length"], rows["x_length"], rows["y_length"] = 3, 4, 8, 8
            rows["id"] = np.arange(start, start + len(rows))
            rows["x"], rows["y"] = x[part], y[part]
            copy.write(rows.tobytes())
        copy.write(_COPY_END)
    connection.execute("CREATE TABLE points AS SELECT id, ST_Point(x, y) AS geometry FROM raw")
    connection.execute("DROP TABLE raw")


def _copy_polygons(connection: psycopg.Connection, polygons: np.ndarray) -> None:
    connection.execute("CREATE TABLE polygons (id int, geometry geometry)")
    with connection.cursor().copy("COPY polygons FROM STDIN") as copy:
        for row in enumerate(shapely.to_wkb(polygons, hex=True)):
            copy.write_row(row)
