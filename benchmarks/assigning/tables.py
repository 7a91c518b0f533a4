"""Rows of what was measured, as markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Runs = Sequence[Mapping[str, Any]]

HEADER = (
    "| | CPU s: build | query | whole | times ours: whole | query | wall s: build | query | "
    "peak MB (data before) | answer |\n|---|---|---|---|---|---|---|---|---|---|"
)


def row(runs: Runs, ours: Runs) -> str:
    """Return one peer's row: medians of its rounds, beside those of the kernel."""
    missing = [run["left_out"] for run in runs if "left_out" in run]
    if missing:
        title = runs[0].get("title", runs[0]["peer"])
        return f"| {title} | | | | | | | | | left out: {missing[0]} |"
    base = {part: cpu(ours, part) for part in ("whole", "query")} if ours else {}
    cells = [
        runs[0]["title"],
        *(shown(cpu(runs, part)) for part in ("build", "query", "whole")),
        *(times(cpu(runs, part), base.get(part)) for part in ("whole", "query")),
        *(shown(middle(runs, part, "wall")) for part in ("build", "query")),
        f"{memory(runs, 'peak_mb'):,.0f} ({memory(runs, 'held_mb'):,.0f})",
        agreement(runs, ours),
    ]
    return f"| {' | '.join(cells)} |"


def cpu(runs: Runs, part: str) -> float | None:
    """Return the median CPU seconds of a part; what isn't apart is whole."""
    if part != "whole":
        return middle(runs, part, "cpu") if "build" in runs[0] else None
    return statistics.median(
        run["query"]["cpu"] + run.get("build", {}).get("cpu", 0.0) for run in runs
    )


def middle(runs: Runs, part: str, clock: str) -> float | None:
    """Return the median of a part by one clock, none where it isn't apart."""
    values = [run[part][clock] for run in runs if part in run]
    return statistics.median(values) if values else None


def memory(runs: Runs, name: str) -> float:
    """Return the median of a size."""
    return float(statistics.median(run[name] for run in runs))


def agreement(runs: Runs, ours: Runs) -> str:
    """Say whether the answers are the kernel's."""
    if not ours:
        return f"{runs[0]['pairs']:,} pairs"
    wanted = ours[0]
    if any(run["pairs"] != wanted["pairs"] for run in (*runs, *ours)):
        return f"OTHER: {runs[0]['pairs']:,} pairs, ours {wanted['pairs']:,}"
    known = [run["lowest"] for run in (*runs, *ours) if run["lowest"]]
    if any(lowest != wanted["lowest"] for lowest in known):
        return "OTHER: as many pairs, other lowest polygons"
    return "equal" if runs[0]["lowest"] else "as many pairs"


def times(value: float | None, base: float | None) -> str:
    """Return how often the one goes into the other."""
    return f"{value / base:.1f}" if value is not None and base else ""


def shown(value: float | None) -> str:
    """Return seconds, empty where there are none."""
    if value is None:
        return ""
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"
