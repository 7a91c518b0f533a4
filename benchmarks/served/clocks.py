"""CPU and memory of processes that run: servers, and the processes of their PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")
_POLL_S = 0.02


@dataclass(frozen=True)
class Spent:
    """What some work took, in seconds.

    Attributes
    ----------
    server, database : float
        CPU, user and system: of the server's process, of all processes of PostgreSQL.
    wall : float
        By the clock.
    """

    server: float
    database: float
    wall: float

    @property
    def cpu(self) -> float:
        """CPU of both."""
        return self.server + self.database

    def __truediv__(self, times: float) -> Spent:
        return Spent(self.server / times, self.database / times, self.wall / times)

    def __sub__(self, other: Spent) -> Spent:
        wall = self.wall - other.wall
        return Spent(self.server - other.server, self.database - other.database, wall)


@dataclass
class Bill:
    """Where `Meter.metered` writes what was spent."""

    spent: Spent = Spent(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Meter:
    """The clocks of one server and of one PostgreSQL.

    Attributes
    ----------
    server : int or None
        Process of the server; None where there is none.
    postmaster : int
        First process of PostgreSQL.
    """

    server: int | None
    postmaster: int

    @contextmanager
    def metered(self) -> Iterator[Bill]:
        """Measure what is done within."""
        bill = Bill()
        (before, ended), begun = self._database(), time.perf_counter()
        served = self._served()
        yield bill
        wall, serving = time.perf_counter() - begun, self._served() - served
        after, ended_after = self._database()
        # Who ended meanwhile left all of its CPU with its parent, also that of before.
        gone = sum(cpu for pid, cpu in before.items() if pid not in after)
        working = sum(cpu - before.get(pid, 0.0) for pid, cpu in after.items())
        bill.spent = Spent(serving, working + ended_after - ended - gone, wall)

    def backends(self) -> int:
        """Return how many processes PostgreSQL has."""
        return len(self._alive())

    def _served(self) -> float:
        return 0.0 if self.server is None else cpu_seconds(self.server)

    def _database(self) -> tuple[Mapping[int, float], float]:
        """Who is alive and what those took who ended; none ends between the two looks."""
        while True:
            ended = self._ended()
            alive = self._alive()
            if self._ended() == ended:
                return alive, ended

    def _alive(self) -> Mapping[int, float]:
        found: dict[int, float] = {}
        for pid in children(self.postmaster):
            try:
                found[pid] = cpu_seconds(pid)
            except OSError:  # it ended between two looks
                continue
        return found

    def _ended(self) -> float:
        return sum(map(int, _stat(self.postmaster)[13:15])) / _TICKS


@dataclass(frozen=True)
class Ran:
    """A program that ran to its end."""

    spent: Spent
    peak_mb: float
    output: str = field(default="", repr=False)


def run(
    command: Sequence[str | Path], postmaster: int, env: Mapping[str, str] | None = None
) -> Ran:
    """Run a program to its end; a failure ends this one too.

    Notes
    -----
    What the program had of memory is asked while it runs: what the kernel says afterwards begins
    with what this process had.
    """
    before = Meter(None, postmaster)
    peak = 0.0
    with before.metered() as bill:
        backends = before.backends()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
        )
        while (status := _ended(process)) is None:
            peak = max(peak, peak_mb(process.pid))
            time.sleep(_POLL_S)
        output, problems = process.communicate()
        while before.backends() > backends:
            time.sleep(_POLL_S)
    code, usage = status
    if code:
        raise SystemExit(f"{command[0]} ended with {code}: {problems[-2000:]}")
    cpu = usage.ru_utime + usage.ru_stime
    return Ran(Spent(cpu, bill.spent.database, bill.spent.wall), peak, output)


def cpu_seconds(pid: int) -> float:
    """Return the CPU of a process with all its threads, those that ended too.

    >>> import os, time
    >>> abs(cpu_seconds(os.getpid()) - time.process_time()) < 0.5
    True
    """
    return time.clock_gettime(~pid << 3 | 2)  # the kernel's number for the clock of a process


def peak_mb(pid: int) -> float:
    """Return the resident memory of a process at its highest, 0 where it has ended."""
    return _status_mb(pid, "VmHWM:")


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    return _status_mb(pid, "VmRSS:")


def forget_peak(pid: int) -> None:
    """Have the highest memory of a process begin anew at what it has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status_mb(pid: int, name: str) -> float:
    try:
        words = Path(f"/proc/{pid}/status").read_text().partition(name)[2].split()
    except OSError:
        return 0.0
    return int(words[0]) / 1024 if words else 0.0


def _ended(process: subprocess.Popen[str]) -> tuple[int, Any] | None:
    pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    if pid == 0:
        return None
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage


def children(parent: int) -> Iterator[int]:
    """Yield the processes that a process has started."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = _stat(int(folder.name))
            except OSError:
                continue
            if int(words[1]) == parent:
                yield int(folder.name)


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
