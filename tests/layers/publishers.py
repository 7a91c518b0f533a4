"""Publishers in processes of their own, to be killed: both ends of the pipe to the test.

Run as a program it reads one order a line, and forks a publisher for each; what it has imported
and built is ready in each of them, so that a kill finds them at work and not at their imports.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from publishing import EVERYTHING, START, schema_of
from sqlalchemy.engine import make_url

from layers.errors import LayersError
from layers.publish import Reload
from layers.sourcing.frames import FrameSource
from layers.store import Store, open_store
from layers.writers import Writer

ROOT = Path(__file__).resolve().parents[2]
FEATURES = 100_000
CHANGED = FEATURES // 10
SCHEMA = schema_of({"id": "a"})
NAME = "publisher"  # of its session, for whoever looks at those of the database
_WAIT_S = 120
_LAST = ("done", "error", "crash")


@dataclass(frozen=True)
class Order:
    """What one publisher publishes: all features, `value` in the field a of each tenth."""

    dsn: str
    layer_id: str
    value: str


@dataclass(frozen=True)
class Told:
    """One line from a publisher: a word, and what belongs to it."""

    word: str
    pid: int = 0
    backend: int = 0
    text: str = ""


class Publishers:
    """The process that forks publishers, as the test sees it."""

    def __init__(self) -> None:
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        self._told: queue.Queue[Told] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._told.put(Told(**json.loads(line)))

    def begin(self, order: Order) -> Told:
        """Start a publisher, and return once it has opened the store and sets about its work."""
        assert self.process.stdin is not None
        print(json.dumps(asdict(order)), file=self.process.stdin, flush=True)
        return self.wait("ready")

    def wait(self, *words: str) -> Told:
        """Return the next line that begins with one of these words."""
        while True:
            told = self._told.get(timeout=_WAIT_S)
            if told.word in words:
                return told

    def listen(self, seconds: float = 0) -> list[Told]:
        """Return what is said for so long, or until a publisher is done."""
        lines: list[Told] = []
        until = time.monotonic() + seconds
        while not lines or lines[-1].word not in _LAST:
            try:
                lines.append(self._told.get(timeout=max(until - time.monotonic(), 0.001)))
            except queue.Empty:
                break
        return lines

    def close(self) -> None:
        """End the process; its publishers are done or dead."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(_WAIT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


def build_frame() -> gpd.GeoDataFrame:
    """Return the features, each tenth still to be given its value."""
    numbers = np.arange(FEATURES)
    columns = {"no": numbers.astype(str), "a": "same"}
    shapes = shapely.points(numbers % 360 - 179.5, numbers // 360 / 4)
    return gpd.GeoDataFrame(columns, geometry=shapes, crs="OGC:CRS84")


def publish_order(store: Store, frame: gpd.GeoDataFrame, order: Order, say: Any) -> None:
    """Publish what an order says, as the first revision of a layer or as a later one."""
    frame.loc[::10, "a"] = order.value
    known = order.layer_id in {found.record.id for found in store.published(EVERYTHING)}
    schema = None if known else SCHEMA
    reload = Reload(FrameSource(frame), schema, valid_from=START)
    store.commit({order.layer_id: reload}, Writer(NAME), order.value, say=say)


def _tell(word: str, **more: Any) -> None:
    line = json.dumps(asdict(Told(word, os.getpid(), **more))) + "\n"
    os.write(1, line.encode())  # one write, so that no line is half another's


def _work(frame: gpd.GeoDataFrame, order: Order) -> None:
    named = make_url(order.dsn).update_query_dict({"application_name": NAME})
    store = open_store(named.render_as_string(hide_password=False))
    with store.database.write() as connection:
        backend = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    _tell("ready", backend=backend)
    try:
        publish_order(store, frame, order, lambda stage, done, total: _tell(stage))
        _tell("done")
    except LayersError as error:
        _tell("error", text=f"{type(error).__name__}: {error}")
    except BaseException as error:
        _tell("crash", text=f"{type(error).__name__}: {error}")


def main() -> None:
    """Fork a publisher for each order."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the dead
    frame = build_frame()
    for line in sys.stdin:
        order = Order(**json.loads(line))
        if os.fork() == 0:
            _work(frame, order)
            os._exit(0)


if __name__ == "__main__":
    main()
