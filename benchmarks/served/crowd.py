"""Many readers at once while a publish runs: errors, how long they waited, and memory."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from served.clocks import resident_mb
from served.questions import Question, Samples
from served.servers import Server

CONNECTIONS = 32
_LUA = """
local paths = {}
for line in io.lines(%s) do paths[#paths + 1] = line end
math.randomseed(7)
request = function() return wrk.format("GET", paths[math.random(#paths)]) end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("bad=%%d requests=%%d p50=%%f p99=%%f\\n",
    e.connect + e.read + e.write + e.status + e.timeout, summary.requests,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


@dataclass(frozen=True)
class Crowd:
    """What became of many readers.

    Attributes
    ----------
    errors : int
        Connections that broke, answers other than 200, and those that never came.
    p50_ms, p99_ms : float
        How long an answer took.
    memory_mb : tuple of float
        Of the server: after a tenth of the time, at its highest, at the end.
    publishes : tuple of float
        Seconds that each publish took meanwhile.
    """

    seconds: int
    requests: int
    errors: int
    p50_ms: float
    p99_ms: float
    memory_mb: tuple[float, float, float]
    publishes: tuple[float, ...]


def mixed(samples: Samples, when: Sequence[Question], seed: int = 3) -> list[Question]:
    """Return what the readers ask: features, pages, boxes, the past, in random order."""
    asked: list[Question] = []
    for feature in samples.some[:200]:
        asked.append(Question("one", feature=feature))
    for box in samples.boxes:
        asked.append(Question("box", 100, bbox=box))
        asked.append(Question("box", 10, bbox=box))
    asked += [Question("page", 10), Question("page", 100)] * 25
    asked += list(when) * 25
    Random(seed).shuffle(asked)
    return asked


def gather(
    server: Server,
    questions: Sequence[Question],
    seconds: int,
    folder: Path,
    publish: Callable[[], float],
) -> Crowd:
    """Let readers ask for so long, while publishes run one after another."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    paths = folder / "paths.txt"
    found = [server.path(question) for question in questions]
    paths.write_text("\n".join(path for path in found if path is not None) + "\n")
    script = folder / "crowd.lua"
    script.write_text(_LUA % _quoted(paths))
    published: list[float] = []
    with _watched(server.pid) as memory, _beside(publish, published):
        done = subprocess.run(
            [
                "wrk",
                *("-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "60s"),
                *("-s", str(script), "-H", "Accept: application/geo+json"),
                f"http://127.0.0.1:{server.port}",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
    told = dict(re.findall(r"(\w+)=([\d.]+)", done.stdout))
    settled = memory[len(memory) // 10]
    return Crowd(
        seconds,
        int(told["requests"]),
        int(told["bad"]),
        float(told["p50"]),
        float(told["p99"]),
        (settled, max(memory), memory[-1]),
        tuple(published),
    )


def publish_file(dsn: str, layer: str, source: Path, schema: Path) -> float:
    """Publish a file by a process of its own, and return the seconds that it took."""
    program = Path(__file__).resolve().parents[1] / "one_publish.py"
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, program, dsn, layer, source, schema],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - begun


@contextmanager
def _beside(work: Callable[[], float], done: list[float]) -> Iterator[None]:
    """Do something again and again while something else is done."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(2):
            done.append(work())

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _watched(pid: int) -> Iterator[list[float]]:
    """Note the memory of a process each second."""
    over = threading.Event()
    found = [resident_mb(pid)]

    def look() -> None:
        while not over.wait(1):
            found.append(resident_mb(pid))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
