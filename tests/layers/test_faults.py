"""Kills at random points of a publish of 100,000 features: of the publisher, and of the database.

The database is a private cluster of these tests' own. It runs without fsync, which is fair: a kill
of processes loses nothing that they have given to the kernel. It does wait for its log to be given
to the kernel, so that what a publisher was told is committed must be there after any kill.

There are 50 points, in every part of the time that a publish takes: about four minutes.
"""

from __future__ import annotations

import os
import pwd
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from publishers import CHANGED, FEATURES, NAME, SCHEMA, Order, Publishers, Told
from publishing import WRITER, layer, points, publish
from sqlalchemy.engine import make_url

from layers import catalog
from layers.errors import LayerBusy, StoreUnavailable, TooMuchAsked, UnknownLayer
from layers.keeping.verify import verify
from layers.model import Mode
from layers.publish import Reload
from layers.servers.cluster import identity
from layers.servers.embedded import EmbeddedError, running_cluster
from layers.servers.postgres import find_server
from layers.sourcing.frames import FrameSource
from layers.store import Store, open_store

POINTS = 50
KINDS = ("publisher", "backend", "postmaster", "immediate")
_PATIENCE_S = 60.0


@dataclass
class Scene:
    """A private cluster with two stores, the publishers, and how long a publish takes."""

    folder: Path
    publishers: Publishers
    cluster: ExitStack = field(default_factory=ExitStack)
    dsn: str = ""
    stores: dict[str, Store] = field(default_factory=dict)
    durations: dict[str, float] = field(default_factory=dict)
    layers: int = 0

    @property
    def data(self) -> Path:
        return self.folder / "postgres" / "cluster"

    def start(self) -> None:
        self.dsn = self.cluster.enter_context(running_cluster(self.folder, durable=False))

    def restart(self) -> None:
        """Let whoever ran the database leave, and another come in, as after a crash of both."""
        self.cluster.close()
        self.start()

    def dsn_of(self, name: str) -> str:
        return make_url(self.dsn).set(database=name).render_as_string(hide_password=False)

    def order(self, what: str) -> Order:
        """The next publish: the first of a new layer, or another of the one that is there."""
        self.layers += 1
        layer_id = f"t{self.layers}" if what == "first" else "t"
        return Order(self.dsn_of(what), layer_id, f"value {self.layers}")


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shikong-faults-")))
        folder.chmod(0o755)
        publishers = stack.enter_context(closing(Publishers()))
        scene = Scene(folder, publishers)
        stack.callback(lambda: scene.cluster.close())
        try:
            scene.start()
        except EmbeddedError as error:
            pytest.skip(f"no PostgreSQL of one's own to kill: {error}")
        _prepare(scene, stack)
        yield scene


def _prepare(scene: Scene, stack: ExitStack) -> None:
    with psycopg.connect(scene.dsn, autocommit=True) as server:
        for name in ("first", "later"):
            server.execute(f'CREATE DATABASE "{name}"')
            server.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = on')
    for name in ("first", "later"):
        scene.stores[name] = stack.enter_context(closing(open_store(scene.dsn_of(name))))
    layer_of = Order(scene.dsn_of("later"), "t", "value 0")
    scene.durations["first"] = _measure(scene, layer_of)
    scene.durations["later"] = _measure(scene, scene.order("later"))


def _measure(scene: Scene, order: Order) -> float:
    scene.publishers.begin(order)
    begun = time.monotonic()
    assert scene.publishers.wait("done", "error", "crash").word == "done"
    return time.monotonic() - begun


@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_leaves_the_revision_before_or_after_and_the_next_publish_succeeds(
    scene: Scene, kind: str
) -> None:
    chance = random.Random(f"faults {kind}")
    share = len(range(KINDS.index(kind), POINTS, len(KINDS)))
    # One in each part of the time that a publish takes, so that no stage of it is left out.
    moments = [(n + chance.random()) / share for n in range(share)]
    stages: Counter[str] = Counter()
    for n, moment in enumerate(chance.sample(moments, share)):
        what = ("first", "later")[n % 2]
        stages[_kill_at(scene, kind, what, moment)] += 1
    assert stages["done"] < share, f"the kills came too late: {stages}"
    assert len(stages) > 1, f"all kills came in one stage: {stages}"


def _kill_at(scene: Scene, kind: str, what: str, moment: float) -> str:
    """Kill one publish, check all that must hold, and return the stage that the kill found."""
    store, order = scene.stores[what], scene.order(what)
    before = _head(store, order.layer_id)
    publisher = scene.publishers.begin(order)
    begun = time.monotonic()
    heard = [told.word for told in scene.publishers.listen(moment * scene.durations[what])]
    if "done" in heard:  # faster than the one that was measured, for whatever the machine does
        scene.durations[what] = time.monotonic() - begun
    _KILLS[kind](scene, publisher)
    heard += _settle(scene, kind, publisher)
    _check_left(scene, store, order, before, done="done" in heard)
    _publish_next(store, order)
    stages = [word for word in heard if word not in {"error", "crash"}]
    return stages[-1] if stages else "begin"


def _kill_publisher(scene: Scene, publisher: Told) -> None:
    with suppress(ProcessLookupError):  # it was done
        os.kill(publisher.pid, signal.SIGKILL)


def _kill_backend(scene: Scene, publisher: Told) -> None:
    with suppress(ProcessLookupError):  # it was done, and its session over
        os.kill(publisher.backend, signal.SIGKILL)
    # Once the postmaster knows that it was killed, it lets nobody in before every process has begun
    # anew, as shared memory may be broken. A session that was ending by itself just ends.
    _wait_until(lambda: not _lives(publisher.backend), "the end of the session's process")


def _kill_postmaster(scene: Scene, publisher: Told) -> None:
    os.kill(int((scene.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    scene.restart()


def _stop_immediately(scene: Scene, publisher: Told) -> None:
    owner = pwd.getpwuid(scene.data.stat().st_uid)
    subprocess.run(
        [find_server().programs / "pg_ctl", "stop", "-s", "-D", scene.data, "-m", "immediate"],
        check=True,
        cwd="/",
        **(identity(owner) if os.geteuid() == 0 else {}),
    )
    scene.restart()


_KILLS: dict[str, Callable[[Scene, Told], None]] = {
    "publisher": _kill_publisher,
    "backend": _kill_backend,
    "postmaster": _kill_postmaster,
    "immediate": _stop_immediately,
}


def _settle(scene: Scene, kind: str, publisher: Told) -> list[str]:
    """Wait for the end of the publisher and its session; return what it said meanwhile."""
    _wait_until(lambda: not _lives(publisher.pid), "the end of the publisher")
    _wait_until(lambda: _sessions(scene.dsn) == 0, "the end of the publisher's session")
    told = scene.publishers.listen()
    for last in told:
        # A database that goes away is told in one line, of the class that means it.
        if kind == "publisher" or last.word == "crash":
            assert last.word not in {"error", "crash"}, last.text
        if last.word == "error":
            # Killed before its first statement, it can't even connect, and says where to.
            assert re.match("StoreUnavailable: (the database|postgresql://.*?): ", last.text)
            assert "\n" not in last.text
            assert "\n" not in last.text
    return [last.word for last in told]


def _check_left(scene: Scene, store: Store, order: Order, before: int, *, done: bool) -> None:
    """The revision before or the one after, whole; and nothing else left anywhere."""
    head = _head(store, order.layer_id)
    assert head in ((before + 1,) if done else (before, before + 1))
    _check_rows(store, order, head, before)
    assert [str(fault) for fault in verify(store.database)] == []
    with psycopg.connect(scene.dsn_of(_name_of(store))) as connection:
        ask = "SELECT relname FROM pg_class WHERE relpersistence = 't'"
        assert connection.execute(ask).fetchall() == []
    assert _temporary_files(scene.data) == []


def _check_rows(store: Store, order: Order, head: int, before: int) -> None:
    if not head:
        return
    found = layer(store, order.layer_id)
    revisions = found.revisions()
    assert [r.number for r in revisions] == list(range(head, 0, -1))
    written = CHANGED if head > before else 0
    assert found.at().count() == revisions[0].n_live == FEATURES
    assert found.at().where(where={"a": order.value}).count() == written
    if written:
        assert revisions[0].commit.message == order.value
        assert revisions[0].n_created + revisions[0].n_changed >= CHANGED


def _publish_next(store: Store, order: Order) -> None:
    """A publish of a few features into the same layer, of which the next full one finds them."""
    before = _head(store, order.layer_id)
    few = points(no=["1", "2", "3"], a=[f"after {order.value}"] * 3)
    schema = None if before else SCHEMA
    report = publish(store, order.layer_id, few, schema, mode=Mode.UPSERT)
    assert report.revision == before + 1
    assert (report.created, report.changed) == ((0, 3) if before else (3, 0))


def _head(store: Store, layer_id: str) -> int:
    try:
        return layer(store, layer_id).record.head
    except UnknownLayer:
        return 0


def _name_of(store: Store) -> str:
    return str(store.database.reading.url.database)


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _sessions(dsn: str) -> int | None:
    """How many publishers the database knows; None while it does not answer."""
    ask = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    try:
        with psycopg.connect(dsn) as connection:
            row = connection.execute(ask, [NAME]).fetchone()
    except psycopg.OperationalError:
        return None
    return None if row is None else int(row[0])


def _temporary_files(data: Path) -> list[str]:
    """Files of temporary tables, and of sorts; they are named so in every PostgreSQL."""
    tables = (p for p in data.glob("base/*/t*_*") if p.name[1:2].isdigit())
    return sorted(str(p) for p in (*tables, *data.glob("base/pgsql_tmp/*")))


def _wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"waited {_PATIENCE_S:.0f} s for {what}"
        time.sleep(0.02)


@pytest.mark.parametrize("stage", ["read", "hash", "compare", "write"])
def test_a_session_ended_within_a_commit_is_told_in_one_line(store: Store, stage: str) -> None:
    publish(store, "t", points(no=["1"], a=["old"]), SCHEMA)
    publish(store, "u", points(no=["1"], a=["old"]), SCHEMA)

    def end(now: str, done: int, total: int | None) -> None:
        if now == stage:
            _end_writer(store)

    news = Reload(FrameSource(points(no=["1", "2"], a=["new", "new"])))
    with pytest.raises(StoreUnavailable) as caught:
        store.commit({"t": news, "u": news}, WRITER, "m", say=end)
    # Within a COPY the driver does not pass on why.
    why = "connection is lost" if stage == "read" else "terminating connection due to administrator"
    assert why in str(caught.value)
    assert "nothing was written, try again" in str(caught.value)
    assert "\n" not in str(caught.value)
    for name in ("t", "u"):
        assert layer(store, name).record.head == 1
        assert layer(store, name).at().read()["a"].tolist() == ["old"]
    assert verify(store.database) == []
    assert store.commit({"t": news, "u": news}, WRITER, "m").commit == 3


def test_a_connection_whose_loss_the_driver_does_not_know_is_told_in_one_line(
    store: Store,
) -> None:
    publish(store, "t", points(no=["1"], a=["old"]), SCHEMA)
    drivers: list[psycopg.Connection] = []

    @sa.event.listens_for(store.database.writing, "begin")
    def find_driver(connection: sa.Connection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        drivers.append(driver)

    def break_off(now: str, done: int, total: int | None) -> None:
        # As when the socket closes within a COPY: to the driver the command is still under way.
        if now == "compare":
            drivers[-1].pgconn.send_query(b"SELECT 1")
            raise psycopg.OperationalError("connection socket closed")

    news = Reload(FrameSource(points(no=["1"], a=["new"])))
    with pytest.raises(StoreUnavailable, match="socket closed; nothing was written, try again"):
        store.commit({"t": news}, WRITER, "m", say=break_off)
    assert publish(store, "t", points(no=["1"], a=["new"])).revision == 2


def _end_writer(store: Store) -> None:
    """End the session that holds a layer, and wait for its end."""
    ask = sa.text(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks JOIN pg_database AS d"
        " ON d.oid = database WHERE datname = current_database() AND locktype = 'advisory'"
    )
    with store.database.inspect() as connection:
        assert set(connection.scalars(ask)) == {True}


def test_a_layer_that_others_hold_for_too_long_is_busy(store: Store) -> None:
    publish(store, "t", points(no=["1"], a=["old"]), SCHEMA)
    impatient = sa.event.listens_for(store.database.writing, "begin")
    news = Reload(FrameSource(points(no=["1"], a=["new"])))

    with closing(open_store(_address(store))) as other, other.database.write() as holding:
        catalog.lock_layer(holding, "t")

        @impatient
        def set_timeout(connection: sa.Connection) -> None:
            connection.exec_driver_sql("SET LOCAL lock_timeout = 100")

        with pytest.raises(LayerBusy, match=r"layer 't' and has not .* try again") as caught:
            store.commit({"t": news}, WRITER, "m")
        assert "\n" not in str(caught.value)
        # Other layers are not concerned.
        publish(store, "u", points(no=["1"], a=["new"]), SCHEMA)
    assert layer(store, "t").record.head == 1
    assert store.commit({"t": news}, WRITER, "m").reports["t"].revision == 2


def test_a_commit_that_waits_too_long_for_its_recorded_time_is_told_so(store: Store) -> None:
    publish(store, "t", points(no=["1"], a=["old"]), SCHEMA)
    publish(store, "u", points(no=["1"], a=["old"]), SCHEMA)
    reached, leave = threading.Event(), threading.Event()

    @sa.event.listens_for(store.database.writing, "commit")
    def hold(connection: sa.Connection) -> None:
        reached.set()
        assert leave.wait(_PATIENCE_S)

    news = Reload(FrameSource(points(no=["1"], a=["new"])))
    with closing(open_store(_address(store))) as other, ThreadPoolExecutor(1) as pool:

        @sa.event.listens_for(other.database.writing, "begin")
        def set_timeout(connection: sa.Connection) -> None:
            connection.exec_driver_sql("SET LOCAL lock_timeout = 100")

        first = pool.submit(store.commit, {"t": news}, WRITER, "m")
        try:
            assert reached.wait(_PATIENCE_S)
            with pytest.raises(LayerBusy, match="nothing was written, try again"):
                other.commit({"u": news}, WRITER, "m")
        finally:
            leave.set()
        assert first.result(_PATIENCE_S).reports["t"].revision == 2
        assert other.commit({"u": news}, WRITER, "m").reports["u"].revision == 2


def test_a_read_that_takes_too_long_says_to_ask_for_less(store: Store) -> None:
    @sa.event.listens_for(store.database.reading, "begin")
    def set_timeout(connection: sa.Connection) -> None:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 50")

    with pytest.raises(TooMuchAsked, match="ask for less: a bbox"), store.database.read() as c:
        c.exec_driver_sql("SELECT pg_sleep(60)")
    with store.database.read() as c:
        assert c.exec_driver_sql("SELECT 1").scalar() == 1


HOLDER = """
import sys
from layers import catalog
from layers.store import open_store
store = open_store(sys.argv[1])
with store.database.write() as connection:
    catalog.lock_layer(connection, "t")
    print("held", flush=True)
    connection.exec_driver_sql("SELECT pg_sleep(300)")
"""


def test_a_publisher_killed_in_a_long_statement_lets_go_of_its_layer(store: Store) -> None:
    publish(store, "t", points(no=["1"], a=["old"]), SCHEMA)
    command = [sys.executable, "-c", HOLDER, _address(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    news = points(no=["1"], a=["new"])
    # Were its session to go on to the end of its statement, the wait for the lock would end first.
    assert publish(store, "t", news).revision == 2


def _address(store: Store) -> str:
    url = store.database.writing.url.set(drivername="postgresql")
    return url.render_as_string(hide_password=False)
