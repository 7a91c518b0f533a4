"""The security checks of `make check` turn red for what they are there for."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Of what it takes to be a key of Amazon's, and so that this file does not hold one.
PLANTED = "AKIA" + "Q3EGWRLZ5T7YVXKM"
Holes = Mapping[tuple[str, str], str]
KNOWN_BAD: Holes = {("jinja2", "2.4.1"): "PYSEC-2014-8"}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Make a clone with the scripts and a harmless module, and this environment as its own."""
    for program in ("bandit", "detect_secrets", "pip_audit"):
        pytest.importorskip(program, reason="not in this environment: make setup-test")
    folder = tmp_path / "clone"
    (folder / "deploy").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "deploy/audit.sh", "deploy/secrets.sh"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "deploy/constraints.txt").write_text("orjson==3.13.0\n")
    for package in ("spatial", "layers", "tiles", "services"):
        (folder / package).mkdir()
        (folder / package / "module.py").write_text('"""Nothing."""\n')
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / ".gitignore").write_text(".venv\n.cache\n")
    run(folder, "git", "init", "--quiet")
    return folder


def run(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder, with nothing of the caller's that would lead it elsewhere."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "MAKE", "MFLAGS"))}
    return subprocess.run(
        words, cwd=folder, env=kept | more, capture_output=True, text=True, check=False
    )


def step(clone: Path, word: str) -> list[str]:
    """Return the line of `make check` that has a word in it."""
    shown = run(clone, "make", "--dry-run", "check").stdout
    return next(line for line in shown.splitlines() if word in line).split()


def test_a_secret_in_a_tracked_file_is_found(clone: Path) -> None:
    command = step(clone, "secrets.sh")
    run(clone, "git", "add", ".")
    clean = run(clone, *command)
    assert (clean.returncode, clean.stdout) == (0, "")
    (clone / "services/module.py").write_text(f'KEY = "{PLANTED}"\n')
    red = run(clone, *command)
    assert red.returncode != 0
    assert "services/module.py:1" in red.stdout
    assert PLANTED not in red.stdout + red.stderr
    # What was found stays found; what was clean once may have become another.
    assert run(clone, *command).returncode != 0
    (clone / "services/module.py").write_text("KEY = None\n")
    assert run(clone, *command).returncode == 0
    (clone / "tiles/module.py").write_text(f'KEY = "{PLANTED}"\n')
    assert "tiles/module.py:1" in run(clone, *command).stdout


def test_what_is_no_secret_is_said_on_its_line(clone: Path) -> None:
    line = f'KEY = "{PLANTED}"  # pragma: allowlist secret - of an example\n'
    (clone / "services/module.py").write_text(line)
    run(clone, "git", "add", ".")
    assert run(clone, *step(clone, "secrets.sh")).returncode == 0


def test_an_unpacked_bundle_says_that_nothing_is_tracked(clone: Path) -> None:
    shutil.rmtree(clone / ".git")
    done = run(clone, *step(clone, "secrets.sh"))
    assert done.returncode == 0
    assert "no git clone" in done.stderr


def test_a_shell_in_a_package_is_found(clone: Path) -> None:
    command = step(clone, "bandit")
    assert run(clone, *command).returncode == 0
    text = "import subprocess\n\n\ndef go(word):\n    subprocess.run(word, shell=True)\n"
    (clone / "tiles/module.py").write_text(text)
    red = run(clone, *command)
    assert red.returncode != 0
    assert "B602" in red.stdout


@contextmanager
def service(holes: Holes) -> Iterator[str]:
    """A server that answers as osv.dev does, and knows these holes."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            package = asked["package"]
            found = holes.get((package["name"], asked["version"]))
            affected = {"package": package, "versions": [asked["version"]]}
            vulns = [{"id": found, "summary": "a hole", "affected": [affected]}] if found else []
            body = json.dumps({"vulns": vulns} if vulns else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            thread.join()


def test_a_pinned_package_with_a_hole_is_found(clone: Path) -> None:
    command = step(clone, "audit.sh")
    with service(KNOWN_BAD) as address:
        good = run(clone, *command, OSV_URL=address)
        assert (good.returncode, "NOT AUDITED" in good.stderr) == (0, False), good.stderr
        assert "No known vulnerability" in good.stdout
    with service({**KNOWN_BAD, ("orjson", "3.13.0"): "PYSEC-2099-1"}) as address:
        bad = run(clone, *command, OSV_URL=address)
    assert bad.returncode == 1
    assert "PYSEC-2099-1" in bad.stdout


def test_who_knows_no_holes_is_not_believed(clone: Path) -> None:
    """Of packages that a service can't find, pip-audit says that they have none."""
    with service({}) as address:
        done = run(clone, *step(clone, "audit.sh"), OSV_URL=address)
        must = run(clone, *step(clone, "audit.sh"), "--must", OSV_URL=address)
    assert (done.returncode, must.returncode) == (0, 1)
    assert done.stderr.startswith("NOT AUDITED")
    assert "No known vulnerability" not in done.stdout


def test_without_a_line_the_audit_says_so_and_what_to_run(clone: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    done = run(clone, *step(clone, "audit.sh"), OSV_URL=address, STRICT="1")
    must = run(clone, "sh", "deploy/audit.sh", "--must", OSV_URL=address)
    assert (done.returncode, must.returncode) == (0, 1)
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("NOT AUDITED")
    assert "run: make audit" in done.stderr
