"""Points to polygons beside GeoPandas, Shapely, DuckDB, SedonaDB and PostGIS.

``make bench-assign``, or ``.venv/bin/python benchmarks/assignment.py [--jobs ...] [--peers ...]
[--rounds N]``, has each peer do each job in a process of its own, all in turns, and prints tables
of docs/benchmarks.md: medians. All of it is synthetic. CPU is user and system of all threads and of
the processes that work for a peer. The data lie in memory in the form that a peer wants before its
clock starts; what is counted is said below a table. Peak memory is the process', from then on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assigning.jobs import JOBS, make_files
from assigning.running import PEERS
from assigning.tables import HEADER, agreement, row, shown

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
OURS = "kernel"
CACHE = ROOT / ".cache" / "assignment"
# What of the peers runs in an environment of its own; all others run in this one.
ENGINES = ("duckdb", "sedonadb")
PYTHON = ROOT / ".cache" / "peers" / "assignment" / "bin" / "python"


def main() -> None:
    """Measure the jobs asked for."""
    options = read_options()
    CACHE.mkdir(parents=True, exist_ok=True)
    if options.compile:
        show_compiling()
    good = True
    for name in options.jobs:
        folder = make_files(name, CACHE)
        found = take_turns(name, folder, options)
        show_table(name, found)
        good &= all(agrees(runs, found.get(OURS, [])) for runs in found.values())
    if not good:
        raise SystemExit("not all answers are equal")


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--jobs", nargs="+", choices=JOBS, default=[name for name in JOBS if name != "small"])
    add("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    add("--rounds", type=int, default=3, help="in which all take turns")
    add("--limit", type=float, default=1500, help="seconds for a process, loading included")
    add("--python", type=Path, default=PYTHON, help="that has DuckDB and SedonaDB; of make peers")
    add("--compile", action=argparse.BooleanOptionalAction, default=True, help="that row too")
    add("--out", type=Path, default=CACHE / "runs.jsonl", help="added to: a line of JSON a run")
    return parser.parse_args()


def take_turns(job: str, folder: Path, options: argparse.Namespace) -> dict[str, list[Any]]:
    """Have each peer do the job in each round."""
    found: dict[str, list[Any]] = {peer: [] for peer in options.peers}
    for turn in range(options.rounds):
        for peer, runs in found.items():
            if any("left_out" in run for run in runs):
                continue
            python = options.python if peer in ENGINES else sys.executable
            words = [python, "-P", "-m", "assigning.running", peer, folder]
            run = {"job": job, "peer": peer, "round": turn} | run_process(words, options.limit)
            runs.append(run)
            line = json.dumps(run)
            print(line, file=sys.stderr, flush=True)
            with options.out.open("a") as out:
                out.write(json.dumps(run | {"at": time.time(), "load": os.getloadavg()}) + "\n")
    return found


def run_process(
    words: Sequence[str | Path], limit: float | None = None, source: Path = ROOT
) -> dict[str, Any]:
    """Run a program of `assigning`; return what it prints, or why there is nothing."""
    # Before the repository, a copy of `spatial` may come.
    paths = os.pathsep.join(map(str, dict.fromkeys((source, HERE, ROOT))))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    environment["PYTHONPATH"] = paths
    if not Path(words[0]).exists():
        return {"left_out": "not installed; run make peers"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            end(process)
            return {"left_out": f"more than {limit:.0f} s"}
        except BaseException:
            end(process)
            raise
    if process.returncode:
        return {"left_out": f"ended with {process.returncode}"}
    result: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return result


def end(process: subprocess.Popen[str]) -> None:
    """End a process, asked first, so that it may end its own."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


def show_compiling() -> None:
    """Print what the machine code takes: made in a copy of the source without it, then loaded."""
    words = [sys.executable, "-P", "-m", "assigning.compiling"]
    print("\n| machine code, CPU s | import | first build | first locate |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        bare = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "spatial", Path(name) / "spatial", ignore=bare)
        for title in ("compiled, none kept", "loaded, kept"):
            took = run_process(words, source=Path(name))
            steps = (took[step]["cpu"] for step in ("import", "build", "locate"))
            print(f"| {title} | {' | '.join(map(shown, steps))} |", flush=True)


def show_table(job: str, found: dict[str, list[Any]]) -> None:
    """Print the table of a job."""
    print(f"\n{JOBS[job].title} (synthetic), medians of {max(map(len, found.values()))}:\n")
    print(HEADER)
    for runs in found.values():
        print(row(runs, found.get(OURS, [])))
    print()
    for runs in found.values():
        if "counted" in runs[0]:
            print(f"- {runs[0]['title']}: {runs[0]['counted']}")
    sys.stdout.flush()


def agrees(runs: Sequence[Any], ours: Sequence[Any]) -> bool:
    """Whether a peer's answers are the kernel's, as far as it gave any."""
    if any("left_out" in run for run in (*runs, *ours)):
        return True
    return not agreement(runs, ours).startswith("OTHER")


if __name__ == "__main__":
    main()
