"""CPU and wall seconds of a piece of work, its clients and its database counted together."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """What one run of something took.

    Attributes
    ----------
    wall, client, server : float
        Seconds: by the clock, CPU of the process, CPU of the database's processes.
    peak_mb : float
        Resident memory of the process at its highest.
    """

    wall: float
    client: float
    server: float
    peak_mb: float = 0.0
    result: Any = None

    @property
    def cpu(self) -> float:
        """CPU of the process and of the database."""
        return self.client + self.server


@dataclass(frozen=True)
class Server:
    """The processes of one PostgreSQL, known by its first one."""

    pid: int

    @classmethod
    def of(cls, data: Path) -> Server:
        """Return the server of a data folder of `layers.servers.embedded`."""
        text = (data / "postgres" / "cluster" / "postmaster.pid").read_text()
        return cls(int(text.split()[0]))

    def busy(self) -> float:
        """Return the CPU seconds of its processes, those that have ended included."""
        # Anew where one ended meanwhile: it would be counted twice, or not at all.
        while True:
            ended = self._times(self.pid)[2:]
            alive = sum(sum(self._times(child)[:2]) for child in self._children())
            first = self._times(self.pid)
            if first[2:] == ended:
                return (alive + sum(first)) / _TICKS

    def _children(self) -> list[int]:
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(child) for child in path.read_text().split()]

    @staticmethod
    def _times(pid: int) -> list[int]:
        """Ticks of a process, and of its children that have ended: user and kernel."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return [0, 0, 0, 0]
        return [int(word) for word in text.rpartition(")")[2].split()[11:15]]


def backend_seconds(pid: int) -> float:
    """Return the CPU seconds of one process of the database, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def peak_mb() -> float:
    """Return the resident memory of this very process at its highest."""
    # Not getrusage: a child begins there with what its parent had.
    words = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()
    return int(words[0]) / 1024


def run_process(server: Server, command: Sequence[str | Path]) -> Cost:
    """Run a program to its end; its last line of output, where it is JSON, is its result."""
    served, start = server.busy(), time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        output = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    lines = output.strip().splitlines()
    result = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None
    client = usage.ru_utime + usage.ru_stime
    peak = (result or {}).get("peak_mb", 0.0)
    return Cost(wall, client, server.busy() - served, peak, result=result)


def median(costs: Sequence[Cost], name: str) -> float:
    """Return the median of one attribute of some costs."""
    return statistics.median(getattr(c, name) for c in costs)


def spread(costs: Sequence[Cost], name: str) -> str:
    """Return the median of one attribute, with the smallest and the largest."""
    values = [getattr(c, name) for c in costs]
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
