"""How long the demo takes: from nothing, again, and until it answers.

Run it on a machine that does nothing else: ``.venv/bin/python benchmarks/demo.py [runs]``. Prints
medians of wall and CPU seconds, the CPU of the database's processes included.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

SHIKONG = Path(sys.executable).parent / "shikong"
PORT = "8099"


def run(data: Path) -> None:
    """Load the demo city into a data folder, or find it there."""
    command = [SHIKONG, "--data", data, "demo", "--load-only"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def serve(data: Path) -> None:
    """Start the demo, wait until it answers, and stop it."""
    command = [SHIKONG, "--data", data, "demo", "--port", PORT]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:
        address = f"http://127.0.0.1:{PORT}/health"
        while True:
            try:
                urllib.request.urlopen(address, timeout=1).close()
                break
            except OSError:
                time.sleep(0.02)
        answered.append(time.perf_counter())
        process.send_signal(signal.SIGINT)


answered: list[float] = []


def busy() -> float:
    """Return the CPU seconds that the whole machine has spent, in user code and the kernel."""
    words = Path("/proc/stat").read_text().split(maxsplit=4)
    return sum(map(int, words[1:4])) / os.sysconf("SC_CLK_TCK")


def measure(title: str, work: Callable[[], None], runs: int) -> None:
    """Print the medians of some runs."""
    walls, cpus = [], []
    for _ in range(runs):
        answered.clear()
        start, before = time.perf_counter(), busy()
        work()
        walls.append((answered[0] if answered else time.perf_counter()) - start)
        cpus.append(busy() - before)
    wall, cpu = statistics.median(walls), statistics.median(cpus)
    spread = f"{min(walls):.2f} to {max(walls):.2f}"
    print(f"{title:<44} {wall:6.2f} s wall ({spread}) {cpu:6.2f} s CPU, {runs} runs", flush=True)


def main() -> None:
    """Measure the three starts of the demo."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5

    def from_nothing() -> None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            run(Path(folder))

    measure("the city published, from nothing", from_nothing, runs)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        run(Path(folder))
        measure("the city there: found, nothing to write", lambda: run(Path(folder)), runs)
        measure("the city there: until the server answers", lambda: serve(Path(folder)), runs)


if __name__ == "__main__":
    main()
