"""schemathesis against our OpenAPI document: thousands of requests over every route, as every role.

Not part of `make test`: `make fuzz-api` runs it. Each run is of a server of its own, on a copy of
the demo city, because those who may write do. EXAMPLES is how many requests are made at most for
an operation in each phase; SEED repeats a run.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import uvicorn

from layers.access.grants import Role, Terms, give
from layers.access.keys import create_key
from layers.clock import system_clock
from layers.store import Store, open_store
from services.app import create_app
from services.settings import Settings
from tests.databases import Databases

pytestmark = pytest.mark.outside
EXAMPLES = os.environ.get("EXAMPLES", "30")
# What is asked of each answer. That bad data is refused and good data taken is not: it takes what
# a schema can't say (an id that nobody has) for good.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
# Values that are there, so that not all is 404: schemathesis takes them as well as its own.
KNOWN = """max-redirects = 0

[parameters]
"path.collectionId" = ["parcels", "grids", "incidents", "pipe_nodes", "pipe_segments"]
"path.featureId" = ["169-100", "169-100.20140514T040000.000000Z", "nobody"]
"path.tileMatrixSetId" = ["WebMercatorQuad", "nowhere"]
"path.processID" = ["assign-cases-to-grids", "nothing"]
"""
BROWSER = {"Accept": "text/html"}
# Who asks: with a key of this role or without one, and with what else.
CALLERS: dict[str, tuple[Role | None, dict[str, str]]] = {
    "anonymous": (None, {}),
    "anonymous in a browser": (None, BROWSER),
    **{role.value: (role, {}) for role in Role},
    "administrator in a browser": (Role.ADMINISTRATOR, BROWSER),
}


@contextmanager
def serving(store: Store, data: Path) -> Iterator[str]:
    """Serve a store; all that schemathesis asks comes from one address."""
    many = "1000000/second"
    app = create_app(store, Settings(data, rate=many, failures=many))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_level="warning", ws="none", lifespan="off")
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            running.should_exit = True
            thread.join()


def headers_of(store: Store, role: Role | None) -> dict[str, str]:
    """Return the headers of a new key with a role."""
    if role is None:
        return {}
    now = system_clock()
    with store.database.keep() as connection:
        made, text = create_key(connection, "a key", now, expires_at=now + timedelta(days=1))
        give(connection, made.caller, Terms(role), "tests", now)
    return {"Authorization": f"Bearer {text}"}


def ask(address: str, headers: dict[str, str], folder: Path) -> dict[str, Any]:
    """Run schemathesis; return its report."""
    pytest.importorskip("schemathesis", reason="make fuzz-api installs schemathesis")
    (folder / "schemathesis.toml").write_text(KNOWN)
    # Not by its own request: with a browser's headers that would be a page.
    with urllib.request.urlopen(f"{address}/api") as answer:
        (folder / "api.json").write_bytes(answer.read())
    command = [str(Path(sys.executable).with_name("st"))]
    command += ["--config-file", "schemathesis.toml", "run", "api.json", "--url", address]
    command += ["--checks", ",".join(CHECKS), "--max-examples", EXAMPLES]
    command += ["--phases", "examples,coverage,fuzzing,stateful", "--continue-on-failure"]
    command += ["--suppress-health-check", "all", "--no-color", "--request-timeout", "60"]
    command += ["--report", "json", "--report-json-path", "report.json"]
    if "SEED" in os.environ:
        command += ["--seed", os.environ["SEED"]]
    for name, value in headers.items():
        command += ["--header", f"{name}: {value}"]
    with (folder / "log").open("w") as log:
        subprocess.run(command, cwd=folder, stdout=log, stderr=log, check=False, timeout=7200)
    report = folder / "report.json"
    assert report.exists(), (folder / "log").read_text()[-3000:]
    return dict(orjson.loads(report.read_bytes()))


@pytest.mark.parametrize("caller", CALLERS)
def test_no_answer_is_off_the_document(
    caller: str, demo_template: str, make_database: Databases, tmp_path: Path
) -> None:
    role, more = CALLERS[caller]
    with make_database.passing(demo_template) as dsn, closing(open_store(dsn)) as store:
        headers = headers_of(store, role) | more
        with serving(store, tmp_path) as address:
            report = ask(address, headers, tmp_path)
    cases, operations = report["test_cases"], report["operations"]
    print(f"\n{caller}: schemathesis {report['schemathesis_version']}, ", end="")
    print(f"{cases['generated']} requests over {operations['tested']} operations, ", end="")
    print(f"{cases['unique_failures']} faults, seed {report['seed']}")
    said = (tmp_path / "log").read_text()
    assert report["complete"], said[-3000:]
    assert not report["failures"] and not report["errors"], said[:20_000]  # noqa: PT018
    assert operations["tested"] == operations["total"] > 30
    assert cases["generated"] > 10 * operations["total"]
