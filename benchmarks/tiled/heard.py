"""How long after a commit other server processes answer with it: here, and on other machines."""

from __future__ import annotations

import dataclasses
import multiprocessing
import statistics
import time
from contextlib import closing
from multiprocessing.connection import Connection

import psycopg
from served.parcels import LAYER
from served.questions import TABLE
from served.rows import print_table, shown

from layers.counters import Counter
from layers.edits import Update
from layers.following import Follower
from layers.store import Store, open_store
from tiled.bench import ANYBODY, WRITER, Bench

# Between two looks; another answers sooner than this is not told from at once.
_LOOK_S = 0.0002
_REST_S = 0.25
_PATIENCE_S = 20.0
WAYS = {
    "of the same machine: shared counter": True,
    "of another machine: LISTEN alone": False,
}


def measure_heard(bench: Bench) -> None:
    """The delay until another process answers with a commit."""
    lines = []
    for name, shares in WAYS.items():
        delays, takes = _delays(bench, shares)
        late = sum(delay > 0 for delay in delays)
        middle, most = statistics.median(delays), max(delays)
        told = f"{middle:.1f} ({min(delays):.1f} to {most:.1f})"
        lines.append([name, str(len(delays)), told, f"{late} of {len(delays)}", shown(takes)])
    titles = ["a process", "commits", "ms after the commit was answered, until it answers with it"]
    print_table([*titles, "later than that", "ms of a commit"], lines)


def _delays(bench: Bench, shares: bool) -> tuple[list[float], list[float]]:
    """Milliseconds of each commit: until the other knew, since it was answered; and its own."""
    here, there = multiprocessing.Pipe()
    other = multiprocessing.get_context("spawn").Process(
        target=watch, args=(bench.dsn, shares, there), daemon=True
    )
    other.start()
    try:
        _heard(here)
        found, took = [], []
        for edit in _edits(bench):
            time.sleep(_REST_S)
            begun = time.monotonic()
            bench.store.commit({LAYER: [edit]}, WRITER, "benchmark of tiles: heard")
            answered = time.monotonic()
            found.append((_heard(here) - answered) * 1000)
            took.append((answered - begun) * 1000)
        return found, took
    finally:
        other.terminate()
        other.join()


def _heard(here: Connection) -> float:
    if not here.poll(_PATIENCE_S):
        raise SystemExit(f"the other process heard nothing for {_PATIENCE_S:g} s")
    return float(here.recv())


def watch(dsn: str, shares: bool, there: Connection) -> None:
    """Look for commits as a server does that is asked without a pause, and say when one is known.

    Parameters
    ----------
    shares : bool
        Whether the counter of this machine's processes is looked at; else notifications alone tell.
    """
    store = open_store(dsn)
    if not shares:
        store = dataclasses.replace(store, _follower=Follower(dsn, Counter(None)))
    with closing(store):
        store.follow()
        while not _hears(store):
            time.sleep(_LOOK_S)
        head = store.layer(LAYER, ANYBODY).record.head
        there.send(time.monotonic())
        while True:
            found = store.layer(LAYER, ANYBODY).record.head
            if found != head:
                head = found
                there.send(time.monotonic())
            time.sleep(_LOOK_S)


def _hears(store: Store) -> bool:
    return store._follower.hears


def _edits(bench: Bench) -> list[Update]:
    """An even number of changes to one parcel, after which it is as it was."""
    with psycopg.connect(bench.dsn) as connection:
        query = f"SELECT _fid, land_grade FROM {TABLE} ORDER BY md5(_fid) LIMIT 1"
        feature, grade = connection.execute(query).fetchone() or ("", 0)
    number = bench.options.commits // 2 * 2
    values = (grade + 1 if grade is not None else 1, grade)
    return [Update(feature, {"land_grade": values[n % 2]}) for n in range(number)]
