"""How long after a commit other server processes answer with it: here, and on other machines."""

from __future__ import annotations

import dataclasses
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection

import psycopg
from served.parcels import LAYER
from served.questions import TABLE
from served.rows import print_table

from layers.commits import Committed
from layers.counters import Counter
from layers.edits import Update
from layers.following import Follower
from layers.store import Store, open_store
from tiled.bench import ANYBODY, WRITER, Bench

# Between two looks.
_LOOK_S = 0.0002
_REST_S = 0.25
_PATIENCE_S = 20.0
_PARCEL = (
    f"SELECT _fid, coalesce(land_grade, 0), _valid_from FROM {TABLE} ORDER BY md5(_fid) LIMIT 1"
)
WAYS = {
    "of the same machine: shared counter": True,
    "of another machine: LISTEN alone": False,
}


@dataclass(frozen=True)
class Delay:
    """What another process made of one commit, in milliseconds since that was answered.

    Attributes
    ----------
    known : float
        Until it first answered with the commit.
    stale : float
        When the last question was asked that it answered with the state of before; negative where
        that was before the commit was answered.
    commit : float
        What the commit took.
    """

    known: float
    stale: float
    commit: float


def measure_heard(bench: Bench) -> None:
    """The delay until another process answers with a commit."""
    lines = []
    for name, shares in WAYS.items():
        found = _delays(bench, shares=shares)
        stale = [d.stale for d in found if d.stale > 0]
        lines.append(
            [
                *(name, str(len(found)), _spread([d.known for d in found])),
                *(f"{len(stale)} of {len(found)}", _spread(stale) if stale else "-"),
                _spread([d.commit for d in found]),
            ]
        )
    titles = ["a process", "commits", "first answer with it, ms after the commit was answered"]
    more = ["asked after that, and told what was before", "until, ms", "ms of a commit"]
    print_table([*titles, *more], lines)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def _delays(bench: Bench, *, shares: bool) -> list[Delay]:
    here, there = multiprocessing.Pipe()
    other = multiprocessing.get_context("spawn").Process(
        target=watch, args=(bench.dsn, there), kwargs={"shares": shares}, daemon=True
    )
    other.start()
    try:
        _heard(here)
        return [_delay(act, here) for act in _acts(bench)]
    finally:
        other.terminate()
        other.join()


def _delay(act: Callable[[], object], here: Connection) -> Delay:
    time.sleep(_REST_S)
    begun = time.monotonic()
    act()
    answered = time.monotonic()
    stale, known = (1000 * (at - answered) for at in _heard(here))
    return Delay(known, stale, 1000 * (answered - begun))


def _heard(here: Connection) -> tuple[float, float]:
    if not here.poll(_PATIENCE_S):
        raise SystemExit(f"the other process heard nothing for {_PATIENCE_S:g} s")
    stale, known = here.recv()
    return float(stale), float(known)


def watch(dsn: str, there: Connection, *, shares: bool) -> None:
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
        head, stale = 0, time.monotonic()
        while True:
            begun = time.monotonic()
            found = store.layer(LAYER, ANYBODY).record.head
            if found != head:
                there.send((stale, time.monotonic()))
                head = found
            else:
                stale = begun
            time.sleep(_LOOK_S)


def _hears(store: Store) -> bool:
    return store._follower.hears


def _acts(bench: Bench) -> Iterator[Callable[[], object]]:
    """Commits: changes of one parcel, each of which the next commit undoes."""
    with psycopg.connect(bench.dsn) as connection:
        found = connection.execute(_PARCEL).fetchone()
    assert found is not None
    feature, grade, since = found
    # For the whole of its period: else what is undone leaves a period that ends and begins there.
    edits = {LAYER: [Update(feature, {"land_grade": grade + 1}, valid_from=since)]}
    for _ in range(bench.options.commits // 2):
        done: list[Committed] = []
        yield lambda done=done: done.append(bench.store.commit(edits, WRITER, "benchmark: heard"))
        yield lambda done=done: bench.store.revert(done[0].commit, WRITER)
