"""Publishers, databases and connections that die half way: nothing is ever half written.

The kills are spread over the whole time that a publish of 100,000 features takes, which is measured
once, on a cluster of the tests' own that takes care of a power cut as a user's does (fsync and
full_page_writes on, and a commit is answered when it is on the disk). That care is not what is
tested: a process that is killed takes none of the kernel's memory with it. But without it
PostgreSQL answers commits that it would lose, and half a page could be left by a kill within a
write. Sixteen kills in ``make test``, fifty with HYPOTHESIS_PROFILE=long: a kill, the restart, the
checks and the next publish take about four seconds together.
"""

from __future__ import annotations

import json
import os
import pwd
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from publisher import FEATURES, PAIR, SCHEMA, SHARE, few
from publishing import EVERYTHING, START, WRITER, layer, points, publish, schema_of

from layers import tables
from layers.cluster import identity
from layers.embedded import running_cluster
from layers.errors import StoreUnavailable, UnknownLayer
from layers.model import Mode
from layers.postgres import PostgresMissing, find_server
from layers.publish import Reload
from layers.sources import FrameSource
from layers.store import Store, open_store

POINTS = 50 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 16
KINDS = ("publisher", "postmaster", "backend", "immediate stop")
_CHANCE = random.Random(3)
# When (as a share of the time it takes), what dies, and whether the layer is a new one.
PLAN = [
    ((n + _CHANCE.random()) / POINTS, KINDS[n % len(KINDS)], n // len(KINDS) % 2 == 0)
    for n in range(POINTS)
]
IDS = [f"{when:.3f}-{kind}-{'first' if new else 'update'}" for when, kind, new in PLAN]
PATIENCE_S = 60

ROWS = (
    "SELECT stamp, count(*), sum(no::bigint) FROM live.{} WHERE _valid_to = 'infinity' GROUP BY 1"
)
BEYOND = """
SELECT count(*) FROM (SELECT * FROM live.{0} UNION ALL SELECT * FROM history.{0}) AS whole
WHERE _rev_from > %(head)s OR _rev_to BETWEEN %(head)s + 1 AND 2147483646
   OR _rev_closed BETWEEN %(head)s + 1 AND 2147483646
"""
TEMPORARY = """
SELECT relname FROM pg_class WHERE relpersistence = 't'
UNION ALL
SELECT file FROM pg_ls_dir('base/' || (SELECT oid FROM pg_database
                                       WHERE datname = current_database())) AS file
WHERE file ~ '^t[0-9]+_'
UNION ALL
SELECT pg_ls_dir('base/pgsql_tmp', true, false)
"""
STANDING = "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname = ANY(%s)"
IDLE = """
SELECT count(*) FROM shikong.commit AS c
WHERE NOT EXISTS (SELECT FROM shikong.revision AS r WHERE r.commit_id = c.id)
"""
OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND pid = %s
"""

OURS = "datname = current_database() AND pid <> pg_backend_pid()"
# The check is put off to the end of the transaction, where it sleeps.
SLOW_COMMIT = (
    """
    CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END'
    """,
    """
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON shikong.commit
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sleep()
    """,
)


class Bench:
    """A cluster to be killed, a store on it, and a process that publishes."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.running = ExitStack()
        self.address = self.running.enter_context(running_cluster(data))
        self.store = open_store(self.address)
        self.publisher = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("publisher.py")), self.address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        assert "ready" in self.hear()
        self.takes: dict[bool, float] = {}
        self.struck: list[str] = []

    def hear(self) -> dict[str, Any]:
        assert self.publisher.stdout is not None
        said: dict[str, Any] = json.loads(self.publisher.stdout.readline())
        return said

    def begin(self, layer_id: str, stamp: str, *, new: bool) -> dict[str, Any]:
        """Have a publish begin; return whose processes do it."""
        assert self.publisher.stdin is not None
        job = {"layer": layer_id, "stamp": stamp, "new": new}
        self.publisher.stdin.write(json.dumps(job) + "\n")
        self.publisher.stdin.flush()
        return self.hear()

    def end(self) -> dict[str, Any]:
        """Wait for a publish to end; return what it said last, nothing where it was killed."""
        said: dict[str, Any] = {}
        while "ended" not in (line := self.hear()):
            said = line
        return said

    def strike(self, kind: str, begun: Mapping[str, Any]) -> None:
        if kind == "postmaster":
            os.kill(self.postmaster(), signal.SIGKILL)
        elif kind == "immediate stop":
            self.stop_at_once()
        else:
            # A publish that went faster than the one that was timed is over by now.
            with suppress(ProcessLookupError):
                os.kill(begun["begun" if kind == "publisher" else "backend"], signal.SIGKILL)

    def postmaster(self) -> int:
        record = self.data / "postgres/cluster/postmaster.pid"
        return int(record.read_text().splitlines()[0])

    def stop_at_once(self) -> None:
        cluster = (self.data / "postgres/cluster").resolve()
        program = find_server().programs / "pg_ctl"
        # PostgreSQL's programs refuse root.
        who = identity(pwd.getpwuid(cluster.stat().st_uid)) if os.geteuid() == 0 else {}
        stop = [program, "stop", "-s", "-D", cluster, "-m", "immediate"]
        subprocess.run(stop, cwd="/", check=True, **who)

    def recover(self, kind: str, begun: Mapping[str, Any]) -> None:
        """Bring the database up again; without a restart, wait for the end of the dead session."""
        if kind in ("postmaster", "immediate stop"):
            self.running.close()
            assert self.running.enter_context(running_cluster(self.data)) == self.address
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                if self.ask(OTHERS, [begun["backend"]]) == [(0,)]:
                    return
            except psycopg.OperationalError:
                pass  # it replays its log
            time.sleep(0.02)
        pytest.fail(f"not over in {PATIENCE_S} s")

    def ask(self, query: str, values: Any = None) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.address) as connection:
            return connection.execute(query, values).fetchall()

    def close(self) -> None:
        self.publisher.kill()
        self.publisher.communicate()
        self.store.close()
        self.running.close()


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """A cluster with the layers that the kills need, on which both kinds of publish were timed."""
    try:
        find_server()
    except PostgresMissing as error:
        pytest.skip(str(error))
    folder = Path(tempfile.mkdtemp(prefix="shikong-"))
    folder.chmod(0o755)
    with closing(Bench(folder)) as made:
        first = {PAIR: Reload(few("0").source, SCHEMA, valid_from=START)}
        made.store.commit(first, WRITER, "0")
        for new, stamp in ((True, "a"), (False, "b")):
            made.begin("base", stamp, new=new)
            started = time.monotonic()
            assert "revision" in made.end()
            made.takes[new] = time.monotonic() - started
        yield made
    shutil.rmtree(folder)


def state(bench: Bench, layer_id: str) -> tuple[int, dict[str, tuple[int, int]]]:
    """A layer's head, and of each stamp how many features bear it and the sum of their numbers.

    Everything that says the same twice is compared: the head, the log, the counts, the rows.
    """
    try:
        found = layer(bench.store, layer_id)
    except UnknownLayer:
        return 0, {}
    head, revisions = found.record.head, found.revisions()
    assert [r.number for r in revisions] == list(range(head, 0, -1))
    assert revisions[0].commit.recorded_at == found.record.recorded_at
    rows = {stamp: (n, int(total)) for stamp, n, total in bench.ask(ROWS.format(layer_id))}
    count = sum(n for n, _ in rows.values())
    assert count == revisions[0].n_live == found.at().count()
    over = bench.ask(f"SELECT count(*) FROM history.{layer_id}")
    assert over == [(sum(r.n_changed + r.n_retired for r in revisions),)]
    assert bench.ask(BEYOND.format(layer_id), {"head": head}) == [(0,)]
    return head, rows


def expected(stamp: str) -> dict[str, tuple[int, int]]:
    """What the rows are after a large publish, reckoned from how they are made."""
    stamped = range(0, FEATURES, SHARE)
    others = (FEATURES - len(stamped), sum(range(FEATURES)) - sum(stamped))
    return {"0": others, stamp: (len(stamped), sum(stamped))}


def no_staging(bench: Bench) -> None:
    """Neither temporary tables, nor their files, nor tables or commits without a layer."""
    assert bench.ask(TEMPORARY) == []
    ids = [record.id for record in bench.store.layers(EVERYTHING)]
    ours = {f"{place}.{i}" for i in ids for place in ("live", "history")}
    assert {name for (name,) in bench.ask(STANDING, [list(tables.LAYER_SCHEMAS)])} == ours
    assert bench.ask(IDLE) == [(0,)]


@pytest.mark.parametrize(("when", "kind", "new"), PLAN, ids=IDS)
def test_a_kill_leaves_the_revision_before_or_the_one_after(
    bench: Bench, when: float, kind: str, new: bool
) -> None:
    stamp = f"k{PLAN.index((when, kind, new))}"
    layer_id = f"first_{stamp}" if new else "base"
    before, pair = state(bench, layer_id), state(bench, PAIR)
    begun = bench.begin(layer_id, stamp, new=new)
    time.sleep(when * bench.takes[new])
    bench.strike(kind, begun)
    said = bench.end()
    bench.recover(kind, begun)
    head, rows = state(bench, layer_id)
    if head == before[0]:
        assert "revision" not in said, "a commit that was answered is lost"
        assert (head, rows) == before
        assert state(bench, PAIR) == pair
    else:
        assert (head, rows) == (before[0] + 1, expected(stamp))
        assert state(bench, PAIR) == (pair[0] + 1, {stamp: (10, sum(range(10)))})
    if "error" in said:
        assert said["error"] == "StoreUnavailable"
    if head == before[0] or "error" in said:
        bench.struck.append(kind)
    no_staging(bench)
    publish_again(bench, layer_id, stamp, head)


def publish_again(bench: Bench, layer_id: str, stamp: str, head: int) -> None:
    """The next publish succeeds, to a layer that is there or not yet there."""
    again = f"{stamp}again"
    reload = Reload(few(again).source, None if head else SCHEMA, Mode.UPSERT, valid_from=None)
    if not head:
        reload = Reload(few(again).source, SCHEMA, valid_from=START)
    done = bench.store.commit({layer_id: reload, PAIR: few(again)}, WRITER, again)
    assert done.reports[layer_id].revision == head + 1
    after = state(bench, layer_id)
    assert (after[0], after[1][again]) == (head + 1, (10, sum(range(10))))


def test_the_kills_hit_publishes_that_were_under_way(bench: Bench) -> None:
    """Else the tests above would show nothing: on a machine whose speed changes, most must hit."""
    if not bench.struck:
        pytest.skip("no kill was among the tests of this run")
    assert set(bench.struck) == set(KINDS)


@pytest.fixture
def cut(store: Store) -> Callable[[], None]:
    """Ends every session of the store's database but the one that asks."""

    def terminate() -> None:
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE " + OURS
        with psycopg.connect(dsn_of(store), autocommit=True) as connection:
            connection.execute(end)

    return terminate


def dsn_of(store: Store) -> str:
    url = store.database.writing.url.set(drivername="postgresql")
    return url.render_as_string(hide_password=False)


def nothing_is_written(store: Store) -> None:
    """All is as the one commit left it, and the next one succeeds."""
    found = layer(store, "t")
    assert (found.record.head, found.at().read()["a"].tolist()) == (1, ["old", "old"])
    later = publish(store, "t", points(no=["1"], a=["new"]), mode=Mode.UPSERT)
    assert (later.revision, later.changed) == (2, 1)


@pytest.mark.parametrize("stage", ["read", "hash", "compare", "write"])
def test_a_connection_that_is_cut_at_a_stage_says_that_nothing_was_written(
    store: Store, cut: Callable[[], None], stage: str
) -> None:
    publish(store, "t", points(no=["1", "2"], a=["old", "old"]), schema_of({"id": "a"}))

    def say(reached: str, done: int, total: int | None) -> None:
        if reached == stage:
            cut()

    edits = {"t": Reload(FrameSource(points(no=["1", "2"], a=["half", "half"])))}
    with pytest.raises(StoreUnavailable, match="nothing was written, try again"):
        store.commit(edits, WRITER, "cut", say=say)
    nothing_is_written(store)


def test_a_connection_that_is_cut_within_the_commit_refers_to_the_log(
    store: Store, cut: Callable[[], None]
) -> None:
    publish(store, "t", points(no=["1", "2"], a=["old", "old"]), schema_of({"id": "a"}))
    with psycopg.connect(dsn_of(store)) as connection:
        for statement in SLOW_COMMIT:
            connection.execute(statement)
    waiter = threading.Thread(target=cut_when, args=(store, "PgSleep", cut))
    waiter.start()
    edits = {"t": Reload(FrameSource(points(no=["1", "2"], a=["half", "half"])))}
    with pytest.raises(StoreUnavailable, match="the log tells whether this was written"):
        store.commit(edits, WRITER, "cut")
    waiter.join()
    with psycopg.connect(dsn_of(store)) as connection:
        connection.execute("DROP TRIGGER slow ON shikong.commit")
    nothing_is_written(store)


def cut_when(store: Store, waits: str, cut: Callable[[], None]) -> None:
    query = f"SELECT count(*) FROM pg_stat_activity WHERE {OURS} AND wait_event = '{waits}'"
    deadline = time.monotonic() + PATIENCE_S
    with psycopg.connect(dsn_of(store), autocommit=True) as connection:
        while connection.execute(query).fetchone() == (0,) and time.monotonic() < deadline:
            time.sleep(0.01)
    cut()


def test_a_database_that_is_gone_is_one_clear_line(bench: Bench) -> None:
    bench.stop_at_once()
    with pytest.raises(StoreUnavailable, match=r"postgresql://.*connection") as caught:
        bench.store.commit({PAIR: few("gone")}, WRITER, "gone")
    assert "\n" not in str(caught.value)
    bench.running.close()
    bench.running.enter_context(running_cluster(bench.data))
    assert bench.store.commit({PAIR: few("back")}, WRITER, "back").commit is not None
