"""The installed PostgreSQL, and what can go wrong with a private cluster of it.

::

    EmbeddedError
    ├── PostgresMissing   the programs, or PostGIS, are not installed
    ├── DataClosed        a folder that belongs to, or is closed to, somebody else
    ├── NotDurable        a cluster that others run without care for a power cut
    └── ClusterFailed     PostgreSQL refused; the text carries its last lines
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from layers.errors import StoreUnavailable

PACKAGES = "postgresql-15 postgresql-15-postgis-3"
DEBIAN = Path("/usr/lib/postgresql")
_OLDEST = 15


class EmbeddedError(StoreUnavailable):
    """The private cluster can't be had; the text says why and what to do."""


class PostgresMissing(EmbeddedError):
    """PostgreSQL or PostGIS is not installed."""


class DataClosed(EmbeddedError):
    """A folder belongs to, or is closed to, somebody else."""


class NotDurable(EmbeddedError):
    """The cluster is running without care for a power cut."""


class ClusterFailed(EmbeddedError):
    """PostgreSQL refused to make or start the cluster."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where PostgreSQL's programs lie, and which major version they are."""

    programs: Path
    version: int


def find_server(debian: Path = DEBIAN, path: str | None = None) -> Server:
    """Return the newest PostgreSQL with PostGIS, Debian's own before one on the search path.

    Raises
    ------
    PostgresMissing
        Where neither place holds one.
    """
    for server in _candidates(debian, path):
        if server.version >= _OLDEST and has_postgis(server):
            return server
    sudo = "" if os.geteuid() == 0 else "sudo "
    raise PostgresMissing(
        f"PostgreSQL {_OLDEST} or newer with PostGIS 3 is not installed; run `make setup`, or "
        f"`{sudo}apt-get install --no-install-recommends {PACKAGES}`, or set DATABASE_URL"
    )


def _candidates(debian: Path, path: str | None) -> Iterator[Server]:
    folders = [folder for folder in debian.glob("*") if folder.name.isdigit()]
    for folder in sorted(folders, key=lambda folder: -int(folder.name)):
        if (folder / "bin/postgres").exists():
            yield Server(folder / "bin", int(folder.name))
    if (program := shutil.which("postgres", path=path)) is not None:
        yield _on_path(Path(program).resolve())


def _on_path(program: Path) -> Server:
    words = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"\) (\d+)", words.stdout)
    return Server(program.parent, int(version[1]) if version else 0)


def has_postgis(server: Server) -> bool:
    """Tell whether the extension lies where this server looks for extensions."""
    prefix = server.programs.parent
    shares = [prefix / "share", prefix / "share/postgresql", prefix / "share/pgsql"]
    if len(server.programs.parents) > 3:  # Debian: lib/postgresql/15/bin
        shares.append(server.programs.parents[3] / f"share/postgresql/{server.version}")
    return any((share / "extension/postgis.control").exists() for share in shares)
