"""One private PostgreSQL cluster: its files, and its server while it runs."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from layers.servers.postgres import (
    DEBIAN,
    ClusterFailed,
    DataClosed,
    NotDurable,
    PostgresMissing,
    Server,
    has_postgis,
)

DATABASE = "shikong"
_SOCKET = ".s.PGSQL.5432"
_SOCKET_BYTES = 107  # what the kernel's address holds, less the closing zero
_START_S = 300  # replaying the log after a crash is slow on a large store
_STOP_S = 60
_ATTEMPTS = 6
_SMALL_SHM_BYTES = 256 << 20
_LOG_BYTES = 10 << 20
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
# Written once into a new cluster's own file, where whoever runs a large city may change it.
_SETTINGS = """
# Shikong: a city on one machine
shared_buffers = 256MB
work_mem = 16MB
maintenance_work_mem = 128MB
max_wal_size = 2GB
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
"""
_CARELESS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def name_of(uid: int) -> str:
    """Return the name of a user, or the number of one without."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def identity(user: pwd.struct_passwd) -> dict[str, Any]:
    """Return what makes `subprocess` run a program as that user, in none of our groups."""
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class Cluster:
    """One cluster on disk, and its server while it runs."""

    def __init__(
        self, home: Path, server: Server, durable: bool, say: Callable[[str], None]
    ) -> None:
        self.home = home
        self.data = home / "cluster"
        self.server = server
        self.durable = durable
        self.say = say
        self.owner = home.stat()
        self.identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            self.identity = identity(pwd.getpwuid(self.owner.st_uid))
        # Shown in the title of each of its processes, whose folder root may not be allowed to read.
        self.tag = f"shikong-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"
        self.sockets = self._socket_folder()
        self.process: subprocess.Popen[bytes] | None = None

    def address(self, database: str = DATABASE) -> str:
        """Return the libpq address of one of its databases."""
        return f"postgresql://postgres@/{database}?host={quote(str(self.sockets))}&port=5432"

    def open(self, name: str) -> Any:
        """Open, making it where need be, a file in the home that root and owner may both use."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.fdopen(os.open(self.home / name, flags, 0o600), "r+b", buffering=0)
        if os.geteuid() == 0:
            os.fchown(handle.fileno(), self.owner.st_uid, self.owner.st_gid)
        return handle

    def bring_up(self, lock: Any, *, alone: bool) -> None:
        """Make what is missing of cluster, server, database and extension, under the lock."""
        if not self.data.exists():
            self._initialise(lock)
        self._match_version()
        if alone:  # whoever left it running was killed, and may have wanted other settings
            self.leave(last=True)
        self._start()
        self._prepare()

    def leave(self, *, last: bool) -> None:
        """Stop the server where nobody else uses it."""
        process = self.process
        running = process is not None and process.poll() is None
        if not last:
            if process is not None and running:
                # It is meant to outlive us; Popen would warn of a process nobody waited for.
                process.returncode = 0
        elif process is not None and running:
            self._end(process)
        elif self._listening():
            self._run("pg_ctl", "stop", "-s", "-D", self.data, "-m", "fast", "-t", str(_STOP_S))

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Ask for a fast end; where that hangs, for one that replays the log at the next start."""
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(_STOP_S)

    def _socket_folder(self) -> Path:
        """Return a folder only its owner enters, whose name fits an address and a setting."""
        folder = self.home / "run"
        fits = len(os.fsencode(folder / _SOCKET)) <= _SOCKET_BYTES
        if not fits or not re.fullmatch(r"[^\s,'\"\\@%]+", str(folder)):
            # Not XDG_RUNTIME_DIR: all processes must agree, whatever session they are in.
            shared = Path("/tmp")  # nosec B108 # noqa: S108 - checked below
            folder = shared / f"{self.tag}-{self.owner.st_uid}"
        folder.mkdir(mode=0o700, exist_ok=True)
        info = folder.lstat()
        if not stat.S_ISDIR(info.st_mode) or info.st_uid not in {self.owner.st_uid, os.geteuid()}:
            raise DataClosed(f"{folder} is {name_of(info.st_uid)}'s, not ours; remove it")
        if os.geteuid() == 0:
            os.chown(folder, self.owner.st_uid, self.owner.st_gid, follow_symlinks=False)
        folder.chmod(0o700)
        return folder

    def _initialise(self, lock: Any) -> None:
        """Make the cluster beside its place and move it there whole."""
        new = self.home / "cluster.new"
        if new.exists():
            shutil.rmtree(new)
        self.say(f"making a database in {self.home}")
        # Both name one order, that of the code points; sorting by C's takes half the time.
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8"]
        options += ["--locale=C.UTF-8", "--lc-collate=C"]
        if not self.durable:
            options.append("--no-sync")
        # It inherits the lock: should we be killed, nobody comes in before it is done too.
        done = self._run("initdb", "-D", new, *options, pass_fds=(lock.fileno(),))
        if done.returncode != 0:
            raise ClusterFailed(f"initdb: {_last_lines(done.stdout)}")
        with (new / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(_SETTINGS)
        new.rename(self.data)

    def _match_version(self) -> None:
        """Take the programs of the version that made the cluster: no other reads its files."""
        made_by = int((self.data / "PG_VERSION").read_text())
        if made_by == self.server.version:
            return
        older = Server(DEBIAN / str(made_by) / "bin", made_by)
        if not (older.programs / "postgres").exists() or not has_postgis(older):
            raise PostgresMissing(
                f"{self.data} was made by PostgreSQL {made_by}; "
                f"install postgresql-{made_by} postgresql-{made_by}-postgis-3 to open it"
            )
        self.server = older

    def _start(self) -> None:
        """Start the server where none answers, and wait until it does."""
        attempts = 0
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if time.monotonic() > deadline:
                raise ClusterFailed(f"no answer in {_START_S} s: {self._log_tail()}")
            # Whoever listens but doesn't answer is starting or stopping: wait for it.
            idle = self.process is None or self.process.poll() is not None
            if idle and not self._listening():
                if attempts == _ATTEMPTS:
                    raise ClusterFailed(f"PostgreSQL does not start: {self._log_tail()}")
                self._clear_dead()
                time.sleep(0.1 * attempts)
                self.process = self._launch()
                attempts += 1
            time.sleep(0.02)

    def _launch(self) -> subprocess.Popen[bytes]:
        log = self.home / "server.log"
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.rename(self.home / "server.log.1")
        settings = [
            "listen_addresses=",
            "port=5432",
            f"unix_socket_directories={self.sockets}",
            "unix_socket_permissions=0700",
            f"cluster_name={self.tag}",
            f"dynamic_shared_memory_type={_shared_memory()}",
            *(() if self.durable else _CARELESS),
        ]
        arguments = [word for setting in settings for word in ("-c", setting)]
        # A session of its own: the terminal's Ctrl-C is for us, who stop it in good order. Not
        # through `pg_ctl start`, which hands the folder's name to a shell.
        with closing(self.open("server.log")) as output:
            return subprocess.Popen(
                [self.server.programs / "postgres", "-D", self.data, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
                env=_ENVIRONMENT,
                **self.identity,
            )

    def _clear_dead(self) -> None:
        """Remove what a killed server left and a new one stumbles over."""
        records = [self.data / "postmaster.pid", self.sockets / f"{_SOCKET}.lock"]
        if not any(record.exists() for record in records):
            return
        titles = dict(_titles())
        ours = {pid for pid, title in titles.items() if self.tag in title}
        if any(f"cluster_name={self.tag}" in titles[pid] for pid in ours):
            return  # it lives, and has not opened its socket yet
        for pid in ours:  # a backend in a long statement does not notice its parent's death
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        # PostgreSQL itself sees through a number that is free; not through one that a restarted
        # machine or container gave to another process, or that still waits for its parent.
        for record in records:
            with suppress(FileNotFoundError, ValueError, IndexError):
                if int(record.read_text().splitlines()[0]) in titles.keys() - ours:
                    record.unlink()

    def _listening(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            try:
                client.connect(str(self.sockets / _SOCKET))
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            except OSError:
                return True
        return True

    def _answers(self) -> bool:
        if not self._listening():
            return False
        try:
            with psycopg.connect(self.address("postgres"), connect_timeout=5):
                return True
        except psycopg.OperationalError:
            return False

    def _prepare(self) -> None:
        """Make database and extension; a killed predecessor's statement may be running still."""
        for _ in range(100):
            try:
                return self._create()
            except (
                psycopg.errors.UniqueViolation,
                psycopg.errors.DuplicateDatabase,
                psycopg.errors.ObjectInUse,
            ):
                time.sleep(0.1)
        raise ClusterFailed(f"database {DATABASE} can't be made: {self._log_tail()}")

    def _create(self) -> None:
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            careful = connection.execute("SELECT current_setting('fsync')::boolean").fetchone()
            if self.durable and careful == (False,):
                raise NotDurable(
                    f"{self.home} is run without fsync by another process; wait for its end"
                )
            known = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(known, [DATABASE]).fetchone() is None:
                connection.execute("CREATE DATABASE shikong")
        with psycopg.connect(self.address(), autocommit=True) as connection:
            known = "SELECT 1 FROM pg_extension WHERE extname = 'postgis'"
            if connection.execute(known).fetchone() is None:
                connection.execute("CREATE EXTENSION IF NOT EXISTS postgis")

    def _run(self, program: str, *words: object, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.server.programs / program, *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,
            check=False,
            **self.identity,
            **more,
        )

    def _log_tail(self) -> str:
        log = self.home / "server.log"
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        return f"{_last_lines(text)} (all of it in {log})"


def _last_lines(text: str, count: int = 5) -> str:
    return " | ".join(line.strip() for line in text.splitlines()[-count:] if line.strip())


def _shared_memory() -> str:
    """Containers often have 64 MB of it, which one parallel query fills: use files instead."""
    try:
        room = os.statvfs("/dev/shm")  # nosec B108 # noqa: S108 - only asked for its size
    except OSError:
        return "mmap"
    return "posix" if room.f_bavail * room.f_frsize >= _SMALL_SHM_BYTES else "mmap"


def _titles() -> Iterator[tuple[int, str]]:
    """Return the number and command line of every process that is to be seen."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                words = (folder / "cmdline").read_bytes()
                yield int(folder.name), words.replace(b"\0", b" ").decode(errors="replace")
