"""The README's tour does what it says: every block runs, and prints what stands behind it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import uvicorn

from layers.store import open_store
from services.app import create_app
from services.settings import Settings
from tests.databases import Databases

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"```sh\n(.*?)```(?:\n+```text\n(.*?)```)?", re.S)


def tour() -> list[tuple[str, str | None]]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    start, end = text.index("<!-- tour:"), text.index("<!-- end of the tour -->")
    assert "```sh" not in text[:start] + text[end:], "a block outside the tour would not be run"
    return [(m[1], m[2]) for m in _BLOCK.finditer(text[start:end])]


@pytest.fixture
def demo_dsn(demo_template: str, make_database: Databases) -> str:
    return make_database(demo_template)


@pytest.fixture
def server(demo_dsn: str, tmp_path: Path) -> Iterator[str]:
    with closing(open_store(demo_dsn)) as store:
        app = create_app(store, Settings(tmp_path))
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning")
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, daemon=True)
        thread.start()
        while not running.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.05)
        port = running.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
        running.should_exit = True
        thread.join(10)


def test_every_block_of_the_tour_prints_what_it_says(
    server: str, demo_dsn: str, tmp_path: Path
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("the tour asks with curl, which is not installed: apt-get install curl")
    blocks = tour()
    assert len(blocks) >= 7
    script = ["set -e"]
    for number, (block, _) in enumerate(blocks):
        body = block.replace(". .venv/bin/activate\n", "")
        body = body.replace("http://127.0.0.1:8000", server).replace("/tmp/", f"{tmp_path}/")
        script.append(
            f"{{ {body}\n}} > {tmp_path}/out-{number} 2>&1 || {{ echo block {number}; exit 1; }}"
        )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        env=os.environ | {"DATABASE_URL": demo_dsn, "PATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
    )
    printed = [
        (tmp_path / f"out-{n}").read_text() if (tmp_path / f"out-{n}").exists() else ""
        for n in range(len(blocks))
    ]
    assert done.returncode == 0, f"{done.stdout}{done.stderr}{printed}"
    for (block, expected), output in zip(blocks, printed, strict=True):
        assert output.strip(), f"nothing printed by:\n{block}"
        assert '"status":4' not in output
        if expected is not None:
            assert output.replace(f"{tmp_path}/", "/tmp/").strip() == expected.strip()


def test_pictures_and_pages_that_the_readme_names_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"\]\((?!http)([^)#]+)", text)
    assert named
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing
