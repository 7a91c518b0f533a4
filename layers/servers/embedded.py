"""The platform's own PostgreSQL: a private cluster in the data folder, without port or service.

The first process to come in starts it, the last to leave stops it. Two files tell who is there:
``lock`` is held while the cluster is made, started or stopped, ``users`` is shared by everyone who
is inside. Both are kernel locks: a killed process lets go of them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from layers.servers.cluster import Cluster, identity, name_of
from layers.servers.postgres import (
    PACKAGES,
    ClusterFailed,
    DataClosed,
    EmbeddedError,
    NotDurable,
    PostgresMissing,
    find_server,
)

__all__ = [
    "ClusterFailed",
    "DataClosed",
    "EmbeddedError",
    "NotDurable",
    "PostgresMissing",
    "running_cluster",
]

_FALLBACK = Path("/var/lib/shikong")


@contextmanager
def running_cluster(
    data: Path, *, durable: bool = True, say: Callable[[str], None] | None = None
) -> Iterator[str]:
    """Make, start or join the private cluster of a data folder; the last to leave stops it.

    Parameters
    ----------
    data : Path
        The platform's data folder; made where it is missing.
    durable : bool
        False trades what a power cut may take for speed; for tests.
    say : callable, optional
        Told, in one line each, what takes time or is out of the ordinary.

    Yields
    ------
    str
        A libpq address of database ``shikong``, in which the extension ``postgis`` exists.

    Raises
    ------
    PostgresMissing, DataClosed, NotDurable, ClusterFailed
        Whatever keeps the cluster from running, with the remedy.
    """
    tell = say or (lambda _: None)
    server = find_server()
    cluster = Cluster(_home(data.absolute(), tell), server, durable, tell)
    with closing(cluster.open("users")) as users, closing(cluster.open("lock")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            alone = _is_alone(users)
            fcntl.flock(users, fcntl.LOCK_SH)
            cluster.bring_up(lock, alone=alone)
            fcntl.flock(lock, fcntl.LOCK_UN)
            yield cluster.address()
        finally:
            fcntl.flock(lock, fcntl.LOCK_EX)
            cluster.leave(last=_is_alone(users))


def _home(data: Path, say: Callable[[str], None]) -> Path:
    """Return the folder of the cluster and its locks, made and given to whoever will run it."""
    home = data / "postgres"
    try:
        data.mkdir(parents=True, exist_ok=True)
        if os.geteuid() != 0:
            home.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise DataClosed(f"{data}: {error.strerror}; choose another data folder") from None
    if os.geteuid() == 0:
        return _home_for_root(data, home, say)
    if home.stat().st_uid != os.geteuid():
        owner = name_of(home.stat().st_uid)
        raise DataClosed(f"{home} belongs to {owner}; run as {owner}, or choose another folder")
    return home.resolve()


def _home_for_root(data: Path, home: Path, say: Callable[[str], None]) -> Path:
    """PostgreSQL refuses root: give the folder to user postgres, elsewhere where it can't enter."""
    try:
        postgres = pwd.getpwnam("postgres")
    except KeyError:
        raise PostgresMissing(
            f"no user postgres to run PostgreSQL as; install {PACKAGES}"
        ) from None
    if not home.exists() and not home.is_symlink() and not _can_enter(data, postgres):
        elsewhere = _FALLBACK / hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:12]
        say(f"user postgres can't enter {data}: the database lives in {elsewhere}")
        with suppress(FileExistsError):
            home.symlink_to(elsewhere)
    home = home.resolve()
    home.parent.mkdir(parents=True, exist_ok=True)
    home.mkdir(mode=0o700, exist_ok=True)
    if home.stat().st_uid == 0:  # ours, or left half made
        os.chown(home, postgres.pw_uid, postgres.pw_gid)
    if not _can_enter(home, pwd.getpwuid(home.stat().st_uid)):
        name = name_of(home.stat().st_uid)
        raise DataClosed(f"user {name} can't enter {home}; open the folders above it to {name}")
    return home


def _can_enter(folder: Path, user: pwd.struct_passwd) -> bool:
    # Asked as that user, in a process of its own: only the kernel knows every rule of access.
    asked = subprocess.run(["/usr/bin/test", "-x", folder], cwd="/", check=False, **identity(user))
    return asked.returncode == 0


def _is_alone(users: Any) -> bool:
    """Whether nobody else is inside; everyone comes and goes under the other lock."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
