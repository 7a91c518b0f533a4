"""Many writers and readers at once: nothing is lost, nothing hangs, nobody sees half a commit.

Writers are threads and processes, as publishers are. Each commit of the large test writes one stamp
into several features of several layers; whoever reads two different stamps has seen half of it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import shapely
import sqlalchemy as sa
from publishing import EVERYTHING, START, WRITER, layer, points, publish, schema_of

from layers.edits import Put, Update
from layers.keeping.verify import verify
from layers.model import Mode
from layers.publish import Reload
from layers.readers import Reader
from layers.schema_changes import SchemaChange
from layers.sourcing.frames import FrameSource
from layers.store import Store, open_store
from layers.writers import Writer

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = schema_of({"id": "stamp"}, {"id": "by"})
WRITERS = 8
COMMITS = 3
READERS = 16
PAIR = ("left", "right")  # layers that every writer writes, always together
HANG_S = 120.0

# Commits to two layers at once, like `write_pair`, and prints the commits that were accepted.
PROCESS = """
import json, sys
from contextlib import closing
from test_concurrency import COMMITS, write_pair
from layers.store import open_store
sys.stdin.readline()
with closing(open_store(sys.argv[1])) as store:
    print(json.dumps([write_pair(store, sys.argv[2], n) for n in range(COMMITS)]))
"""


def write_pair(store: Store, name: str, n: int) -> tuple[str, int]:
    """Write a stamp into the shared features of both layers, and a feature of the writer's own."""
    stamp = f"{name}-{n}"
    shared = points(no=["0", "1"], stamp=[stamp] * 2, by=[name] * 2)
    edits = [Update(no, {"stamp": stamp, "by": name}) for no in ("0", "1")]
    own = Put({"no": stamp, "stamp": stamp, "by": name}, shapely.Point(2, 2))
    changes: dict[str, Any] = {
        "left": Reload(FrameSource(shared), mode=Mode.UPSERT),
        "right": [*edits, own],
    }
    if n % 2:  # named in either order, by either kind of change
        changes = {"right": changes["left"], "left": changes["right"]}
    done = store.commit(changes, Writer(name), stamp)
    assert done.commit is not None
    return stamp, done.commit


def write_own(store: Store, name: str, n: int) -> tuple[str, int]:
    """Write a layer of the writer's own, and every other time one that the next writer writes."""
    stamp, number = f"{name}-{n}", int(name.removeprefix("other"))
    names = {name, f"other{(number + 1) % WRITERS}"} if n % 2 else {name}
    frame = points(no=["0", "1"], stamp=[stamp] * 2, by=[name] * 2)
    upsert = Reload(FrameSource(frame), mode=Mode.UPSERT)
    done = store.commit(dict.fromkeys(names, upsert), Writer(name), stamp)
    assert done.commit is not None
    return stamp, done.commit


def address(store: Store) -> str:
    url = store.database.writing.url.set(drivername="postgresql")
    return url.render_as_string(hide_password=False)


def settle(store: Store, futures: Sequence[Future[Any]], limit_s: float = HANG_S) -> list[Any]:
    """Return what all came to; fail where some hang, saying what the database waits for."""
    _, hanging = wait(futures, limit_s)
    if hanging:
        ask = sa.text(
            "SELECT pid, wait_event_type, wait_event, pg_blocking_pids(pid), left(query, 80)"
            " FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'"
        )
        with store.database.read() as connection:
            waits = "\n".join(map(str, connection.execute(ask)))
            end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            connection.exec_driver_sql(f"{end} WHERE {others}")
        pytest.fail(f"{len(hanging)} of {len(futures)} hang after {limit_s:.0f} s:\n{waits}")
    return [future.result() for future in futures]


@contextmanager
def stores(dsn: str, count: int) -> Iterator[list[Store]]:
    """Stores for writers; those who share one have sessions of their own."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(open_store(dsn))) for _ in range(count)]


def run_process(dsn: str, name: str) -> subprocess.Popen[str]:
    paths = [str(ROOT), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, dsn, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )


def result_of(process: subprocess.Popen[str]) -> list[tuple[str, int]]:
    with process:
        try:
            said, _ = process.communicate("go\n", timeout=HANG_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert process.returncode == 0
    return [(stamp, commit) for stamp, commit in json.loads(said)]


def repeat(
    write: Callable[[Store, str, int], tuple[str, int]], store: Store, name: str
) -> list[tuple[str, int]]:
    return [write(store, name, n) for n in range(COMMITS)]


def read_stamps(store: Store, names: Sequence[str], commit: int | str) -> set[str]:
    """The stamps of the shared features in all these layers, as of one commit."""
    frames = [layer(store, name).at(commit=commit).read(ids=["0", "1"]) for name in names]
    return {stamp for frame in frames for stamp in frame["stamp"]}


def watch(store: Store, ended: threading.Event, n: int) -> int:
    """Read both layers, pinned in one way or another, until the writers are done."""
    reads = 0
    while not reads or not ended.wait(0.8):
        newest = store.log(Reader.everything(), layer_id=PAIR[n % 2], limit=1)[0].commit
        # What a commit wrote is there from the moment in which its log entry is.
        assert read_stamps(store, PAIR, newest.id) == {newest.message}
        frames = [layer(store, name).at(recorded=newest.recorded_at).read() for name in PAIR]
        shared = {frame.loc[no, "stamp"] for frame in frames for no in ("0", "1")}
        assert shared == {newest.message}
        # Where nothing is pinned, one snapshot of both is still one moment.
        left, right = store_heads(store)
        assert left == right
        reads += 1
    return reads


def store_heads(store: Store) -> tuple[int, int]:
    heads = {found.record.id: found.record.head for found in store.published(EVERYTHING)}
    return heads[PAIR[0]], heads[PAIR[1]]


def test_writers_and_readers_at_once_lose_nothing_and_see_whole_commits(store: Store) -> None:
    others = [f"other{n}" for n in range(WRITERS)]
    first = points(no=["0", "1"], stamp=["first"] * 2, by=["first"] * 2)
    start = Reload(FrameSource(first), SCHEMA, valid_from=START)
    for names in (PAIR, others):
        store.commit(dict.fromkeys(names, start), WRITER, "first")
    ended, dsn = threading.Event(), address(store)
    processes = {f"process{n}": run_process(dsn, f"process{n}") for n in range(2)}
    threads = [f"thread{n}" for n in range(WRITERS - len(processes))]
    with (
        stores(dsn, 2) as (one, other),
        ThreadPoolExecutor(2 * WRITERS + READERS) as pool,
    ):
        readers = [pool.submit(watch, store, ended, n) for n in range(READERS)]
        writers = [pool.submit(result_of, process) for process in processes.values()]
        writers += [pool.submit(repeat, write_pair, one, name) for name in threads]
        beside = [pool.submit(repeat, write_own, other, name) for name in others]
        try:
            accepted = list(itertools.chain(*settle(store, writers)))
            accepted_beside = list(itertools.chain(*settle(store, beside)))
        finally:
            ended.set()
        assert all(reads >= 1 for reads in settle(store, readers))
    assert len(accepted) == len(accepted_beside) == WRITERS * COMMITS
    check_pair(store, accepted)
    check_beside(store, accepted_beside)
    assert [str(fault) for fault in verify(store.database)] == []


def check_pair(store: Store, accepted: list[tuple[str, int]]) -> None:
    """Each commit is in the log of both layers, and all of it in the state of its revision."""
    for name in PAIR:
        found = layer(store, name)
        log = {r.commit.id: r for r in found.revisions()}
        assert sorted(r.number for r in log.values()) == list(range(1, len(accepted) + 2))
        for stamp, commit in accepted:
            assert log[commit].commit.message == stamp
    for stamp, commit in accepted:
        assert read_stamps(store, PAIR, commit) == {stamp}
    written = {no for name in PAIR for no in layer(store, name).at().read().index}
    assert written == {"0", "1", *(stamp for stamp, _ in accepted)}


def check_beside(store: Store, accepted: list[tuple[str, int]]) -> None:
    entries: dict[int, list[Any]] = {}
    for revision in store.log(Reader.everything()):
        entries.setdefault(revision.commit.id, []).append(revision)
    for stamp, commit in accepted:
        revisions = entries[commit]
        assert len(revisions) == (2 if int(stamp[-1]) % 2 else 1)
        assert {r.commit.message for r in revisions} == {stamp}
        assert read_stamps(store, [r.layer for r in revisions], commit) == {stamp}


def test_a_read_pinned_on_both_axes_is_the_same_bytes_a_thousand_times(store: Store) -> None:
    publish(store, "t", points(no=["0", "1"], stamp=["a", "b"], by=["x", "y"]), SCHEMA)
    store.commit({"t": [Update("0", {"stamp": "c"}, valid_from="2021-01-01")]}, WRITER, "later")
    middle, ended = START + timedelta(days=400), threading.Event()

    def write(own: Store) -> int:
        for n in itertools.count():
            if ended.is_set():
                return n
            # Backdated, over the very instant that is read.
            edit = Update("0", {"stamp": f"w{n}"}, valid_from="2020-06-01")
            own.commit({"t": [edit]}, WRITER, str(n))
        raise AssertionError

    def read(times: int) -> set[str]:
        return {read_bytes(store, revision=2, when=middle) for _ in range(times)}

    with stores(address(store), 1) as (own,), ThreadPoolExecutor(5) as pool:
        writer = pool.submit(write, own)
        readers = [pool.submit(read, 250) for _ in range(4)]
        try:
            found = settle(store, readers)
        finally:
            ended.set()
        assert settle(store, [writer])[0] >= 2
    assert len(set().union(*found)) == 1
    assert layer(store, "t").at(middle, revision=2).read()["stamp"].tolist() == ["c", "b"]


def read_bytes(store: Store, *, revision: int, when: Any) -> str:
    rows = layer(store, "t").at(when, revision=revision).rows()
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def test_a_commit_held_open_holds_up_no_writer_of_other_layers(store: Store) -> None:
    for name in ("a", "b", "c"):
        publish(store, name, points(no=["0"], stamp=["old"], by=["x"]), SCHEMA)
    inside, leave = threading.Event(), threading.Event()

    def hold(stage: str, done: int, total: int | None) -> None:
        if stage == "write":  # once for each of its layers; locked are all of them
            inside.set()
            assert leave.wait(HANG_S)

    def upsert(stamp: str) -> Reload:
        frame = points(no=["0"], stamp=[stamp], by=["x"])
        return Reload(FrameSource(frame), mode=Mode.UPSERT)

    with stores(address(store), 3) as own, ThreadPoolExecutor(2) as pool:
        held = {"a": upsert("held"), "b": upsert("held")}
        long = pool.submit(own[0].commit, held, WRITER, "held", say=hold)
        try:
            assert inside.wait(HANG_S)
            beside = own[1].commit({"c": upsert("beside")}, WRITER, "beside")
            behind = pool.submit(own[2].commit, {"b": upsert("behind")}, WRITER, "behind")
            # A writer of one of its layers, however, takes its turn.
            assert not wait([behind], 0.5).done
            assert not long.done()
        finally:
            leave.set()
        commits = [beside, *settle(store, [long, behind])]
    numbers = [done.commit for done in commits]
    assert numbers == sorted(numbers, key=int)
    assert layer(store, "b").at().read()["stamp"].tolist() == ["behind"]
    assert layer(store, "a").at().read()["stamp"].tolist() == ["held"]


def test_no_commit_is_to_be_seen_before_one_that_was_recorded_earlier(store: Store) -> None:
    for name in ("a", "b"):
        publish(store, name, points(no=["0"], stamp=["old"], by=["x"]), SCHEMA)
    reached, leave = threading.Event(), threading.Event()

    def hold(_: sa.Connection) -> None:
        reached.set()
        assert leave.wait(HANG_S)

    with stores(address(store), 2) as own, ThreadPoolExecutor(2) as pool:
        sa.event.listen(own[0].database.writing, "commit", hold, once=True)
        edit = [Put({"no": "0", "stamp": "new", "by": "x"})]
        first = pool.submit(own[0].commit, {"a": edit}, WRITER, "first")
        try:
            assert reached.wait(HANG_S)
            second = pool.submit(own[1].commit, {"b": edit}, WRITER, "second")
            # Its layer is free; but the first has its recorded time, and is not to be seen yet.
            assert not wait([second], 1).done
            log = store.log(Reader.everything())
            assert not {"first", "second"} & {r.commit.message for r in log}
        finally:
            leave.set()
        earlier, later = settle(store, [first, second])
    assert earlier.recorded_at < later.recorded_at
    assert earlier.commit < later.commit


def test_a_commit_that_lands_within_a_read_is_not_seen_by_it(store: Store) -> None:
    publish(store, "t", points(no=["0", "1"], stamp=["old"] * 2, by=["x"] * 2), SCHEMA)
    snapshot = layer(store, "t").at()
    landed: list[int | None] = []

    def land(*_: Any) -> None:
        if not landed:
            landed.append(None)
            edits = [Update(no, {"stamp": "new"}) for no in ("0", "1")]
            landed[0] = store.commit({"t": edits}, WRITER, "m").commit

    sa.event.listen(store.database.reading, "after_cursor_execute", land)
    assert set(snapshot.read()["stamp"]) == {"old"}
    assert landed[0] is not None
    assert set(layer(store, "t").at().read()["stamp"]) == {"new"}


WIDER = schema_of({"id": "stamp"}, {"id": "by"}, {"id": "more", "type": "integer"})


def read_meanwhile(store: Store, name: str, seconds: float) -> float:
    """Read a layer over and over; return how long the slowest read took."""
    slowest, until = 0.0, time.monotonic() + seconds
    while (begun := time.monotonic()) < until:
        assert layer(store, name).at().count() == layer(store, name).at(revision=1).count()
        slowest = max(slowest, time.monotonic() - begun)
    return slowest


def publish_many(store: Store, name: str) -> int:
    numbers = [str(n) for n in range(150)]
    publish(store, name, points(no=numbers, stamp=numbers, by=numbers), SCHEMA)
    return len(numbers)


def test_a_schema_change_behind_a_long_export_waits_without_holding_up_readers(
    store: Store,
) -> None:
    count = publish_many(store, "t")
    export = layer(store, "t").at().stream(size=10)
    exported = len(next(export))
    with stores(address(store), 1) as (own,), ThreadPoolExecutor(1) as pool:
        change = pool.submit(own.commit, {"t": SchemaChange(WIDER)}, WRITER, "wider")
        slowest = read_meanwhile(store, "t", 5)
        assert not change.done(), "the change did not wait for the export"
        exported += sum(map(len, export))
        assert settle(store, [change])[0].reports["t"].revision == 2
    assert exported == count
    assert slowest < 2
    assert "more" in layer(store, "t").at().read().columns
    assert "more" not in layer(store, "t").at(revision=1).read().columns


def test_schema_changes_of_two_layers_hold_up_the_readers_of_neither_for_an_export(
    store: Store,
) -> None:
    for name in ("t", "u"):
        publish_many(store, name)
    export = layer(store, "u").at().stream(size=10)
    next(export)
    changes = {"t": SchemaChange(WIDER), "u": SchemaChange(WIDER)}
    with stores(address(store), 1) as (own,), ThreadPoolExecutor(2) as pool:
        change = pool.submit(own.commit, changes, WRITER, "wider")
        reading = pool.submit(read_meanwhile, store, "t", 4)
        wait([reading], 8)
        assert not change.done(), "the change did not wait for the export"
        assert len(list(export)) == 14
        assert settle(store, [reading])[0] < 2
        reports = settle(store, [change])[0].reports
    assert {name: report.revision for name, report in reports.items()} == {"t": 2, "u": 2}
