"""The command as users start it: a process, its signals, and the database that it brings along."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from layers.servers.embedded import PostgresMissing
from layers.servers.postgres import find_server
from tests.databases import Databases

SHIKONG = [sys.executable, "-m", "services.cli"]


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    kept = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}
    return subprocess.Popen(
        [*SHIKONG, *arguments],
        env=kept | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(port: int, process: subprocess.Popen[str], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise AssertionError(f"it ended: {process.communicate()}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("it does not answer")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder that user postgres may enter."""
    made = Path(tempfile.mkdtemp(prefix="shikong-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_serve_until_told_to_stop(
    empty_template: str, make_database: Databases, stop: signal.Signals
) -> None:
    port = free_port()
    process = start("serve", "--port", str(port), DATABASE_URL=make_database(empty_template))
    try:
        wait_for(port, process)
        process.send_signal(stop)
        out, err = process.communicate(timeout=10)
    finally:
        process.kill()
    assert "Traceback" not in err, err
    assert out == ""
    assert process.returncode in (0, 130, 143)


def test_the_embedded_cluster_leaves_with_the_server(folder: Path) -> None:
    try:
        find_server()
    except PostgresMissing as error:
        pytest.skip(str(error))
    port = free_port()
    process = start("--data", str(folder), "serve", "--port", str(port))
    try:
        wait_for(port, process)
        pid_file = next(folder.rglob("postmaster.pid"))
        server = int(pid_file.read_text().splitlines()[0])
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert "Traceback" not in err, err
    assert not pid_file.exists()
    assert not Path(f"/proc/{server}/cmdline").exists()
    with closing(socket.socket()) as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_errors_are_one_line(empty_template: str, make_database: Databases) -> None:
    process = start("log", "nope", DATABASE_URL=make_database(empty_template))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err == "shikong: no layer 'nope'; there are: none yet\n"


def test_a_pipe_that_closes_early_is_no_error(demo_template: str, make_database: Databases) -> None:
    process = start(
        "diff", "parcels", "2012-01-01..2014-01-01", DATABASE_URL=make_database(demo_template)
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("+ ")
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        err = process.stderr.read()
    assert process.wait(60) in (0, 141)
    assert "Traceback" not in err, err
    assert "Exception" not in err, err
