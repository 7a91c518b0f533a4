"""Many at once: processes and threads that write to one layer, to others and to several, and
readers meanwhile. Whoever waits for ever fails the test with what the database says of it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from publishing import START, WRITER, layer, points, publish, schema_of
from writers import SHARED, upsert

from layers.errors import LayerBusy
from layers.model import Mode, Revision
from layers.publish import Reload
from layers.sources import FrameSource
from layers.store import Snapshot, Store, open_store

ONE = "one"
OTHERS = [f"other{n}" for n in range(8)]
LAYERS = [ONE, *OTHERS]
WRITERS = 16
PROCESSES = 2
COMMITS = 3
READERS = 16
# Far beyond what anything here takes, on a machine that is busy with other things too.
PATIENCE_S = 150

WAITING = """
SELECT pid, state, wait_event_type, wait_event, pg_blocking_pids(pid) AS behind, left(query, 90)
FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
ORDER BY pid
"""


# A check that is put off to the end of the transaction, and takes its time there.
SLOW_COMMIT = (
    """
    CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_sleep(2); RETURN NULL; END'
    """,
    """
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON shikong.commit
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.message = 'slow') EXECUTE FUNCTION sleep()
    """,
)
SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


def dsn_of(store: Store) -> str:
    url = store.database.writing.url.set(drivername="postgresql")
    return url.render_as_string(hide_password=False)


def what_hangs(store: Store) -> str:
    with store.database.read() as connection:
        return "\n".join(str(tuple(row)) for row in connection.execute(sa.text(WAITING)))


def within_patience(store: Store, *running: Future[Any]) -> list[Any]:
    """The results of what runs; where one does not come, what the database waits for."""
    deadline = time.monotonic() + PATIENCE_S
    try:
        return [r.result(max(deadline - time.monotonic(), 0)) for r in running]
    except TimeoutError:
        pytest.fail(f"hung after {PATIENCE_S} s:\n{what_hangs(store)}")


@contextmanager
def threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that are not waited for where one of them hangs: the failure comes first."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class Held:
    """A commit that stops at a stage until it is let go, in a thread of its own."""

    def __init__(self, pool: ThreadPoolExecutor, store: Store, stage: str, *layers: str) -> None:
        self.reached, self.released = threading.Event(), threading.Event()
        self.stage = stage
        self.times = len(layers)
        edits = {name: upsert(0, 1) for name in layers}
        self.running = pool.submit(store.commit, edits, WRITER, "held", say=self.say)
        assert self.reached.wait(PATIENCE_S)

    def say(self, stage: str, done: int, total: int | None) -> None:
        # Of several layers, at the last: what was written of the others stands there uncommitted.
        self.times -= stage == self.stage
        if stage == self.stage and self.times == 0:
            self.reached.set()
            assert self.released.wait(PATIENCE_S)


def seed(store: Store, *names: str) -> None:
    fields = [{"id": f"c{n}", "type": "integer"} for n in range(WRITERS)]
    schema = schema_of({"id": "stamp"}, *fields)
    frame = points(no=SHARED, stamp=["0"] * len(SHARED))
    edits = {name: Reload(FrameSource(frame), schema, valid_from=START) for name in names}
    store.commit(edits, WRITER, "0")


def plan_sets(chance: random.Random, writer: int) -> list[list[str]]:
    """Which layers each commit of a writer touches, in an order that is not that of the locks."""
    own = ONE if writer < 8 else OTHERS[writer - 8]
    sets = []
    for number in range(COMMITS):
        some = [own, *chance.sample([n for n in LAYERS if n != own], number % 3)]
        chance.shuffle(some)
        sets.append(some)
    return sets


def stamps(rows: list[sa.Row[Any]]) -> set[str]:
    """The stamps of the features that every commit writes."""
    return {row.stamp for row in rows if row.no in SHARED}


@dataclass
class Witness:
    """A reader: what it saw that can't be, and what it pinned, to be read again."""

    store: Store
    stop: threading.Event
    wrong: list[str] = field(default_factory=list)
    pinned: list[tuple[datetime, dict[str, int]]] = field(default_factory=list)

    def watch(self) -> int:
        """Read until told to stop; return how often."""
        rounds = 0
        while not self.stop.is_set():
            newest = self.store.log(limit=3)
            self.see_commit([r for r in newest if r.commit == newest[0].commit])
            self.see_layers(newest[0].commit.recorded_at)
            rounds += 1
            # Sixteen that never rest would leave the writers nothing of two cores.
            self.stop.wait(random.uniform(0.5, 1.5))
        return rounds

    def see_commit(self, revisions: list[Revision]) -> None:
        """A commit that is in the log is whole in each of its layers."""
        commit = revisions[0].commit
        for name in (r.layer for r in revisions):
            rows = layer(self.store, name).at(commit=commit.id).rows()
            if stamps(rows) != {commit.message}:
                self.wrong.append(f"{name} at commit {commit.message}: {stamps(rows)}")
            if commit.message != "0" and commit.message not in {row.no for row in rows}:
                self.wrong.append(f"{name} at commit {commit.message} has not its own feature")

    def see_layers(self, recorded: datetime) -> None:
        """What is read now is of one commit; what is pinned by recorded time stays."""
        vector = {}
        for name in random.sample(LAYERS, 2):
            found = layer(self.store, name)
            vector[name] = found.at(recorded=recorded).moment.revision
            if len(stamps(found.at().rows())) != 1:
                self.wrong.append(f"{name} is half written: {stamps(found.at().rows())}")
        self.pinned.append((recorded, vector))


def run_writers(store: Store) -> list[Mapping[str, Any]]:
    """Let processes write, each with some of the writers; return what became of each commit."""
    chance = random.Random(3)
    plans: list[dict[int, list[list[str]]]] = [{} for _ in range(PROCESSES)]
    for writer in range(WRITERS):
        plans[writer % PROCESSES][writer] = plan_sets(chance, writer)
    command = [sys.executable, str(Path(__file__).with_name("writers.py")), dsn_of(store)]
    with ExitStack() as stack:
        running = []
        for _ in plans:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            running.append(process)
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        with threads(PROCESSES) as pool:
            told = [
                pool.submit(process.communicate, json.dumps(plan) + "\n")
                for process, plan in zip(running, plans, strict=True)
            ]
            answers = within_patience(store, *told)
    return [json.loads(line) for out, _ in answers for line in out.splitlines()]


@pytest.fixture(scope="module")
def storm(
    empty_template: str, make_database: Callable[..., str]
) -> Iterator[tuple[Store, list[Mapping[str, Any]], list[Witness], list[int]]]:
    """A store on which sixteen wrote while sixteen read: it, the commits, the readers."""
    with closing(open_store(make_database(empty_template))) as store, threads(READERS) as pool:
        seed(store, *LAYERS)
        stop = threading.Event()
        witnesses = [Witness(store, stop) for _ in range(READERS)]
        watching = [pool.submit(witness.watch) for witness in witnesses]
        try:
            done = run_writers(store)
        finally:
            stop.set()
        yield store, done, witnesses, within_patience(store, *watching)


Storm = tuple[Store, list[Mapping[str, Any]], list[Witness], list[int]]


def test_sixteen_writers_all_come_through(storm: Storm) -> None:
    _, done, _, _ = storm
    assert [line for line in done if "error" in line] == []
    assert len(done) == WRITERS * COMMITS


def test_every_accepted_commit_is_in_the_log_of_its_layers(storm: Storm) -> None:
    store, done, _, _ = storm
    said = {(n, r): line for line in done for n, r in line["revisions"].items()}
    for name in LAYERS:
        revisions = layer(store, name).revisions()[::-1]
        assert [r.number for r in revisions] == list(range(1, len(revisions) + 1))
        logged = {(name, r.number): (r.commit.id, r.commit.message) for r in revisions[1:]}
        accepted = {at: (s["commit"], s["stamp"]) for at, s in said.items() if at[0] == name}
        assert logged == accepted


def test_recorded_times_and_commits_are_in_one_order(storm: Storm) -> None:
    store, done, _, _ = storm
    commits = {r.commit.id: r.commit.recorded_at for r in store.log()}
    assert len(commits) == 1 + len(done)
    assert sorted(commits, key=commits.__getitem__) == sorted(commits)
    assert len(set(commits.values())) == len(commits)


def test_no_update_is_lost_at_any_revision(storm: Storm) -> None:
    store, *_ = storm
    for name in LAYERS:
        found = layer(store, name)
        expected: dict[str, dict[str, Any]] = {no: {"stamp": "0"} for no in SHARED}
        for revision in found.revisions()[::-1]:
            stamp = revision.commit.message
            if stamp != "0":
                writer, number = stamp.removeprefix("w").split(".")
                for no in (*SHARED, stamp):
                    said = {"stamp": stamp, f"c{writer}": int(number)}
                    expected[no] = expected.get(no, {}) | said
            rows = found.at(revision=revision.number).rows()
            assert {r.no: contents(r) for r in rows} == expected
            assert revision.n_live == len(expected)


def contents(row: sa.Row[Any]) -> dict[str, Any]:
    names = ["stamp", *(f"c{n}" for n in range(WRITERS))]
    values = row._mapping
    return {n: values[n] for n in names if values[n] is not None}


def test_no_reader_saw_half_a_commit(storm: Storm) -> None:
    _, _, witnesses, rounds = storm
    assert [wrong for witness in witnesses for wrong in witness.wrong] == []
    assert min(rounds) >= 3


def test_what_was_pinned_by_recorded_time_is_the_same_afterwards(storm: Storm) -> None:
    store, _, witnesses, _ = storm
    seen = {
        (recorded, name, revision)
        for witness in witnesses
        for recorded, vector in witness.pinned
        for name, revision in vector.items()
    }
    assert len({recorded for recorded, _, _ in seen}) > 10
    for recorded, name, revision in seen:
        assert layer(store, name).at(recorded=recorded).moment.revision == revision


def test_a_read_pinned_on_both_axes_has_the_same_bytes_a_thousand_times(store: Store) -> None:
    publish(store, "t", points(no=list("abcdef"), a=["old"] * 6), schema_of({"id": "a"}))
    later = START + timedelta(days=9)
    publish(store, "t", points(no=list("abcd"), a=["new"] * 4), valid_from=later, consent=True)
    pinned = [layer(store, "t").at(START + timedelta(days=d), revision=2) for d in (5, 20)]
    first = [as_bytes(snapshot) for snapshot in pinned]
    assert first[0] != first[1]
    stop = threading.Event()
    with threads(3) as pool:
        writing = pool.submit(rewrite_the_past, store, stop)
        reading = [pool.submit(differing, s, b, 500) for s, b in zip(pinned, first, strict=True)]
        try:
            assert within_patience(store, *reading) == [0, 0]
        finally:
            stop.set()
        assert within_patience(store, writing)[0] >= 10
    history = sa.text("SELECT count(*) FROM history.t WHERE _rev_from <= 2 AND _rev_to > 2")
    with store.database.read() as connection:
        assert connection.scalar(history), "the versions that were pinned have moved meanwhile"


def as_bytes(snapshot: Snapshot) -> bytes:
    table = snapshot.where(limit=1000).table()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def differing(snapshot: Snapshot, first: bytes, times: int) -> int:
    return sum(as_bytes(snapshot) != first for _ in range(times))


def rewrite_the_past(store: Store, stop: threading.Event) -> int:
    """Correct, end and add versions before, at and after the pinned instants; return how often."""
    count = 0
    while not stop.is_set():
        count += 1
        since = START + timedelta(days=count % 30, microseconds=count)
        frame = points(no=[*"abcdefg"[count % 3 :], str(count)], a=[str(count)] * (8 - count % 3))
        publish(store, "t", frame, valid_from=since, consent=True)
    return count


@pytest.mark.parametrize("stage", ["read", "hash", "compare", "write"])
def test_a_commit_holds_up_neither_readers_nor_writers_of_other_layers(
    store: Store, stage: str
) -> None:
    seed(store, "a", "b", "c")
    with threads(2) as pool:
        held = Held(pool, store, stage, "a", "b")
        try:
            other = pool.submit(store.commit, {"c": upsert(1, 1)}, WRITER, "other")
            assert within_patience(store, other)[0].reports["c"].revision == 2
            assert not held.running.done()
            for name, stamp in (("a", "0"), ("b", "0"), ("c", "w1.1")):
                assert stamps(layer(store, name).at().rows()) == {stamp}
        finally:
            held.released.set()
        committed = within_patience(store, held.running)[0]
    assert {n: r.revision for n, r in committed.reports.items()} == {"a": 2, "b": 2}
    assert layer(store, "a").record.recorded_at == layer(store, "b").record.recorded_at
    assert stamps(layer(store, "a").at().rows()) == {"w0.1"}


def test_writers_that_queue_for_one_layer_do_not_keep_others_from_theirs(store: Store) -> None:
    seed(store, "busy", "free")
    queue = 20
    with threads(queue + 2) as pool:
        held = Held(pool, store, "hash", "busy")
        try:
            waiting = [
                pool.submit(store.commit, {"busy": upsert(w % 16, 1 + w // 16)}, WRITER, str(w))
                for w in range(1, queue + 1)
            ]
            wait_until(lambda: waiting_for_locks(store) >= queue, store)
            other = pool.submit(store.commit, {"free": upsert(0, 1)}, WRITER, "other")
            assert within_patience(store, other)[0].reports["free"].revision == 2
        finally:
            held.released.set()
        within_patience(store, held.running, *waiting)
    assert layer(store, "busy").record.head == 2 + queue


def test_who_waits_for_a_layer_holds_none_that_comes_after_it(store: Store) -> None:
    """Else two commits over the same layers could wait for each other for ever."""
    seed(store, "a", "b", "c")
    with threads(3) as pool:
        held = Held(pool, store, "hash", "b")
        try:
            edits = {name: upsert(1, 1) for name in ("c", "b", "a")}
            waiting = pool.submit(store.commit, edits, WRITER, "waits")
            wait_until(lambda: waiting_for_locks(store) == 1, store)
            other = pool.submit(store.commit, {"c": upsert(2, 1)}, WRITER, "other")
            assert within_patience(store, other)[0].reports["c"].revision == 2
        finally:
            held.released.set()
        last = within_patience(store, held.running, waiting)[1]
    assert {n: r.revision for n, r in last.reports.items()} == {"a": 2, "b": 3, "c": 3}


def test_no_commit_is_seen_before_one_that_was_recorded_earlier(store: Store) -> None:
    """Else what was read at a recorded time could change afterwards."""
    seed(store, "a", "b")
    with store.database.write() as connection:
        for statement in SLOW_COMMIT:
            connection.execute(sa.text(statement))
    with threads(2) as pool:
        slow = pool.submit(store.commit, {"a": upsert(0, 1)}, WRITER, "slow")
        wait_until(lambda: count(store, SLEEPING) == 1, store)
        within_patience(store, pool.submit(store.commit, {"b": upsert(1, 1)}, WRITER, "quick"))
        seen = store.log()
        within_patience(store, slow)
    assert [r.commit.message for r in seen] == ["quick", "slow", "0", "0"]
    assert seen[0].commit.recorded_at > seen[1].commit.recorded_at


def waiting_for_locks(store: Store) -> int:
    return count(store, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")


def count(store: Store, query: str) -> int:
    with store.database.read() as connection:
        return int(connection.scalar(sa.text(query)) or 0)


def wait_until(holds: Callable[[], bool], store: Store) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"it did not come to that in {PATIENCE_S} s:\n{what_hangs(store)}")
        time.sleep(0.02)


def test_who_has_waited_long_enough_for_a_layer_is_told_so(store: Store) -> None:
    seed(store, "busy")

    @sa.event.listens_for(store.database.writing, "connect")
    def wait_shortly(driver: Any, _: Any) -> None:
        driver.execute("SET lock_timeout = '200ms'")
        driver.commit()

    with threads(2) as pool:
        held = Held(pool, store, "hash", "busy")
        try:
            with closing(open_store(dsn_of(store))) as other:
                sa.event.listen(other.database.writing, "connect", wait_shortly)
                other.database.writing.dispose()
                with pytest.raises(LayerBusy, match=r"'busy'.*nothing was written.*try again"):
                    other.commit({"busy": upsert(1, 1)}, WRITER, "impatient")
        finally:
            held.released.set()
        within_patience(store, held.running)
    assert layer(store, "busy").record.head == 2


def test_two_first_publishes_of_one_layer_take_turns(store: Store) -> None:
    def first(no: str) -> int | None:
        return publish(store, "t", points(no=[no]), schema_of(), mode=Mode.UPSERT).revision

    with threads(2) as pool:
        made = within_patience(store, *(pool.submit(first, no) for no in "ab"))
    assert sorted(made) == [1, 2]
    assert sorted(layer(store, "t").at().read().index) == ["a", "b"]
