"""One peer does one job in this process, which is fresh: ``-m assigning.running PEER FOLDER``.

Prints what it took as a line of JSON. CPU is user and system of all threads, and of the processes
that work for this one.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import importlib
import json
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from measuring import peak_mb

from assigning.peers import Peer

# Named, not imported: no process has another peer's libraries in its memory.
PEERS: Mapping[str, str] = {
    "kernel": "ours.Kernel",
    "pairs": "ours.KernelPairs",
    "assign": "ours.Assign",
    "sjoin": "trees.Sjoin",
    "point-tree": "trees.PointTree",
    "polygon-tree": "trees.PolygonTree",
    "duckdb": "engines.DuckDB",
    "sedonadb": "engines.SedonaDB",
    "postgis": "postgis.PostGIS",
}


def main() -> None:
    """Load, build, ask, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    # So that whoever ends us has the peer's own processes ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    module, _, name = PEERS[options.peer].partition(".")
    peer: Peer = getattr(importlib.import_module(f"assigning.{module}"), name)()
    print(json.dumps(measure(peer, options.folder)))


def measure(peer: Peer, folder: Path) -> dict[str, Any]:
    """Return what building and asking took, and what was answered."""
    try:
        peer.load(folder)
        found: dict[str, Any] = {"title": peer.title, "counted": peer.counted}
        found["held_mb"] = peer.peak_mb_elsewhere() or forget_peak()
        if peer.apart:
            found["build"] = spent(peer, peer.build)
        found["query"] = spent(peer, peer.query)
        found["peak_mb"] = peer.peak_mb_elsewhere() or peak_mb()
        found |= vars(peer.answer())
    finally:
        peer.close()
    return found


def spent(peer: Peer, work: Callable[[], None]) -> dict[str, float]:
    """Return the CPU and wall seconds of a piece of work."""
    gc.collect()
    elsewhere, wall, cpu = peer.busy_elsewhere(), time.perf_counter(), time.process_time()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu": cpu + peer.busy_elsewhere() - elsewhere, "wall": wall}


def forget_peak() -> float:
    """Have the highest resident memory be the present one, the data, and return that."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mb()


if __name__ == "__main__":
    main()
