"""The QGIS releases of this machine, each as a client of servers that remember what it asks."""

from __future__ import annotations

import subprocess
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.databases import Databases
from tests.interop import wells
from tests.interop.conftest import (  # noqa: F401 - fixtures are found by their names
    Server,
    asked_city,
    city_server,
    own_server,
    serving,
    wells_server,
)
from tests.interop.drawings import View, read_picture

ROOT = Path(__file__).resolve().parents[2]
VISIT = Path(__file__).with_name("visit.py")
DRAW = Path(__file__).with_name("draw.py")
# Debian 12's own, and Debian 13's in a tree of its own; `make qgis` installs both.
TREE = ROOT / ".cache" / "debian-13"
PROGRAMS = {
    "debian-12": ("/usr/bin/python3",),
    "debian-13": ("chroot", str(TREE), "/usr/bin/python3"),
}


@cache
def version(name: str) -> str | None:
    """Return which QGIS that is; None where it is not installed."""
    words = [*PROGRAMS[name], "-c", "from qgis.core import Qgis; print(Qgis.QGIS_VERSION)"]
    try:
        said = subprocess.run(words, capture_output=True, text=True, timeout=120, env=ENVIRONMENT)
    except OSError:
        return None
    return said.stdout.strip() if said.returncode == 0 else None


ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"}


@dataclass(frozen=True)
class Qgis:
    """One release."""

    name: str
    version: str

    @property
    def number(self) -> tuple[int, int]:
        major, minor, _ = self.version.split(".", 2)
        return int(major), int(minor)

    def visit(self, server: Server, layer: str, **task: Any) -> dict[str, Any]:
        """Let it open a layer, and return what it told of it."""
        return self._run(VISIT, {"url": server.base, "layer": layer} | task)

    def draw(self, kind: str, source: str, view: View, style: str = "") -> dict[str, Any]:
        """Let it draw a layer of tiles, and return what it told, with the picture's pixels."""
        task = {"kind": kind, "source": source, "style": style}
        told = self._run(DRAW, task | {"box": view.box, "size": [view.width, view.height]})
        assert told["valid"], told
        return told | {"picture": read_picture(b64decode(told.pop("png")))}

    def _run(self, script: Path, task: dict[str, Any]) -> dict[str, Any]:
        with script.open() as lines:
            done = subprocess.run(
                [*PROGRAMS[self.name], "-", orjson.dumps(task).decode()],
                stdin=lines,
                capture_output=True,
                text=True,
                timeout=300,
                env=ENVIRONMENT,
            )
        told = [line for line in done.stdout.splitlines() if line.startswith("told:")]
        assert told, done.stderr
        return dict(orjson.loads(told[-1].removeprefix("told:")))


def release(name: str) -> Qgis:
    found = version(name)
    if found is None:
        pytest.skip(f"no QGIS of {name}: make qgis installs it")
    return Qgis(name, found)


@pytest.fixture(scope="session", params=list(PROGRAMS))
def qgis(request: pytest.FixtureRequest) -> Qgis:
    """Each release in turn."""
    return release(request.param)


@pytest.fixture(scope="session")
def editor() -> Qgis:
    """A release that edits: from 3.30 on."""
    return release("debian-13")


@pytest.fixture(scope="module", params=["EPSG:4490", "EPSG:4548"])
def stored(
    request: pytest.FixtureRequest,
    empty_template: str,
    make_database: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, str]]:
    """Wells that are stored in a system, behind a server."""
    dsn = make_database(empty_template)
    wells.publish(dsn, crs=request.param)
    with serving(dsn, tmp_path_factory.mktemp("stored") / "asked") as server:
        yield server, request.param
