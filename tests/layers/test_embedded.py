"""The private cluster, on real ones: each test starts PostgreSQL in a folder of its own."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from layers.servers.embedded import DataClosed, NotDurable, PostgresMissing, running_cluster
from layers.servers.postgres import find_server

ROOT = Path(__file__).parents[2]
# Says "in" once inside, and leaves at the end of its input.
VISITOR = """
import sys
from pathlib import Path
from layers.servers.embedded import running_cluster
with running_cluster(Path(sys.argv[1]), durable=False) as address:
    print("in", address, flush=True)
    sys.stdin.read()
print("out", flush=True)
"""


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    try:
        find_server()
    except PostgresMissing as error:
        pytest.skip(str(error))


@pytest.fixture
def data() -> Iterator[Path]:
    """Give a folder user postgres may enter, which pytest's own is not where root runs it."""
    folder = Path(tempfile.mkdtemp(prefix="shikong-"))
    folder.chmod(0o755)
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """Give a cluster that was made, and stopped, before."""
    folder = Path(tempfile.mkdtemp(prefix="shikong-"))
    folder.chmod(0o755)
    with running_cluster(folder, durable=False):
        pass
    yield folder
    shutil.rmtree(folder)


def visit(data: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", VISITOR, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def arrive(visitor: subprocess.Popen[str]) -> str:
    assert visitor.stdout is not None
    word, address = visitor.stdout.readline().split()
    assert word == "in"
    return address


def go(visitor: subprocess.Popen[str]) -> None:
    assert visitor.communicate(timeout=30)[0].endswith("out\n")


def ask(address: str, question: str) -> object:
    with psycopg.connect(address) as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return row[0]


def order(address: str, *statements: str) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def postmaster(data: Path) -> int:
    return int((data / "postgres/cluster/postmaster.pid").read_text().splitlines()[0])


def stopped(data: Path) -> bool:
    return not (data / "postgres/cluster/postmaster.pid").exists()


def test_first_start_and_reuse(data: Path) -> None:
    told: list[str] = []
    with running_cluster(data, durable=True, say=told.append) as address:
        assert "postgis" in str(ask(address, "SELECT string_agg(extname, ' ') FROM pg_extension"))
        assert ask(address, "SHOW server_encoding") == "UTF8"
        assert ask(address, "SHOW timezone") == "UTC"
        assert ask(address, "SHOW fsync") == "on"
        order(address, "CREATE TABLE kept AS SELECT 41 AS n")
    assert stopped(data)
    assert any("making a database" in line for line in told)
    told.clear()
    with running_cluster(data, say=told.append) as address:
        assert ask(address, "UPDATE kept SET n = n + 1 RETURNING n") == 42
    assert told == []


def test_no_port_and_a_closed_folder(made: Path) -> None:
    with running_cluster(made, durable=False) as address:
        assert ask(address, "SHOW listen_addresses") == ""
        folder = Path(str(make_url(address).query["host"]))
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        sockets = {f"socket:[{n}]" for n in _tcp_listeners()}
        assert not sockets & set(_open_files(postmaster(made)))


def _tcp_listeners() -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        source = Path("/proc/net") / table
        for line in source.read_text().splitlines()[1:] if source.exists() else ():
            columns = line.split()
            if columns[3] == "0A":
                yield columns[9]


def _open_files(pid: int) -> Iterator[str]:
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        yield str(handle.readlink())


def test_the_address_reads_the_same_in_sqlalchemy(made: Path) -> None:
    with running_cluster(made, durable=False) as address:
        url = make_url(address)
    assert (url.username, url.database) == ("postgres", "shikong")
    assert url.query["port"] == "5432"


def test_the_last_to_leave_stops_it(made: Path) -> None:
    first, second = visit(made), visit(made)
    address = arrive(first)
    assert arrive(second) == address
    go(first)
    assert ask(address, "SELECT 1") == 1
    go(second)
    assert stopped(made)


def test_two_first_starts_at_once(data: Path) -> None:
    visitors = [visit(data) for _ in range(3)]
    addresses = {arrive(visitor) for visitor in visitors}
    assert len(addresses) == 1
    for visitor in visitors:
        go(visitor)
    assert stopped(data)


def test_one_process_may_enter_twice(made: Path) -> None:
    with running_cluster(made, durable=False) as address:
        with running_cluster(made, durable=False) as again:
            assert again == address
        assert ask(address, "SELECT 1") == 1
    assert stopped(made)


def test_an_error_inside_stops_it_too(made: Path) -> None:
    def fail() -> None:
        with running_cluster(made, durable=False):
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fail()
    assert stopped(made)


def test_ctrl_c_is_for_us_only(made: Path) -> None:
    visitor = subprocess.Popen(
        [sys.executable, "-c", VISITOR, str(made)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    arrive(visitor)
    assert os.getpgid(postmaster(made)) != os.getpgid(visitor.pid)
    os.killpg(visitor.pid, signal.SIGINT)
    visitor.communicate(timeout=30)
    assert stopped(made)
    assert "fast shutdown" in (made / "postgres/server.log").read_text()


def test_a_killed_server_is_started_again(made: Path) -> None:
    with running_cluster(made, durable=False) as address:
        order(address, "CREATE TABLE survivor AS SELECT 7 AS n", "CHECKPOINT")
        os.kill(postmaster(made), signal.SIGKILL)
        time.sleep(0.1)
        with running_cluster(made, durable=False) as again:
            assert ask(again, "SELECT n FROM survivor") == 7
            order(again, "DROP TABLE survivor")
    assert stopped(made)


def test_a_killed_servers_busy_backend_is_no_obstacle(made: Path) -> None:
    with running_cluster(made, durable=False) as address, closing(psycopg.connect(address)) as busy:
        busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 100000000000)")
        os.kill(postmaster(made), signal.SIGKILL)
        started = time.monotonic()
        with running_cluster(made, durable=False) as again:
            assert ask(again, "SELECT 1") == 1
        assert time.monotonic() - started < 20


def test_a_number_that_another_process_has_by_now(made: Path) -> None:
    record = made / "postgres/cluster/postmaster.pid"
    record.write_text(f"{os.getppid()}\n{record.parent}\n1\n5432\n\n\n 0 0\nready\n")
    with running_cluster(made, durable=False) as address:
        assert ask(address, "SELECT 1") == 1


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_killed_while_it_is_made(data: Path, share: float) -> None:
    visitor = visit(data)
    # From the interpreter's start to the extension: about two seconds here, more elsewhere.
    time.sleep(share * 2 + random.uniform(0, 0.2))
    visitor.kill()
    visitor.communicate()
    with running_cluster(data, durable=False) as address:
        assert "POINT" in str(ask(address, "SELECT ST_AsText(ST_MakePoint(1, 2))"))
    assert stopped(data)


def test_a_long_path_gets_a_short_socket(data: Path) -> None:
    deep = data / ("时空" * 10) / ("x" * 60)
    with running_cluster(deep, durable=False) as address:
        folder = Path(str(make_url(address).query["host"]))
        assert len(os.fsencode(folder)) < 60
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert ask(address, "SELECT 1") == 1
    shutil.rmtree(folder)


def test_an_odd_path(data: Path) -> None:
    odd = data / 'it\'s $(odd), "100%" [a b]'
    with running_cluster(odd, durable=False) as address:
        folder = Path(str(make_url(address).query["host"]))
        assert ask(address, "SELECT 1") == 1
    shutil.rmtree(folder)


def test_a_folder_closed_to_postgres(data: Path) -> None:
    data.mkdir(mode=0o700)
    told: list[str] = []
    with running_cluster(data, durable=False, say=told.append) as address:
        assert ask(address, "SELECT 1") == 1
    home = (data / "postgres").resolve()
    if os.geteuid() != 0:  # we are PostgreSQL's user ourselves: nothing is closed
        assert home == data / "postgres"
        return
    assert home.parent == Path("/var/lib/shikong")
    assert re.search(rf"can't enter {data}.*{home}", told[0])
    moved = data.rename(data.with_name("moved"))
    with running_cluster(moved, durable=False) as address:
        assert ask(address, "SELECT 1") == 1
    shutil.rmtree(home)


def test_somebody_elses_data(data: Path) -> None:
    data.mkdir()
    data.chmod(0)
    if os.geteuid() == 0:  # nothing is closed to root: a file in the way, then
        data.rmdir()
        data.touch()
    try:
        with pytest.raises(DataClosed, match="another"), running_cluster(data):
            pass
    finally:
        data.chmod(0o755)


def test_who_wants_care_does_not_join_who_has_none(made: Path) -> None:
    with (
        running_cluster(made, durable=False),
        pytest.raises(NotDurable),
        running_cluster(made, durable=True),
    ):
        pass


def test_a_server_that_a_killed_process_left_is_taken_over(made: Path) -> None:
    visitor = visit(made)
    address = arrive(visitor)
    visitor.kill()
    visitor.communicate()
    assert ask(address, "SHOW fsync") == "off"
    with running_cluster(made, durable=True) as again:
        assert ask(again, "SHOW fsync") == "on"
    assert stopped(made)


def test_missing_programs_give_one_line(tmp_path: Path) -> None:
    with pytest.raises(PostgresMissing) as caught:
        find_server(debian=tmp_path, path=str(tmp_path))
    line = str(caught.value)
    assert "apt-get install" in line
    assert "postgresql-15-postgis-3" in line
    assert "\n" not in line


def test_postgres_without_postgis_is_not_enough(tmp_path: Path) -> None:
    programs = tmp_path / "lib/postgresql/15/bin"
    programs.mkdir(parents=True)
    (programs / "postgres").touch()
    with pytest.raises(PostgresMissing):
        find_server(debian=tmp_path / "lib/postgresql", path=str(tmp_path))
    share = tmp_path / "share/postgresql/15/extension"
    share.mkdir(parents=True)
    (share / "postgis.control").touch()
    assert find_server(debian=tmp_path / "lib/postgresql").version == 15
