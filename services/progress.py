"""A progress bar with rows per second on a terminal; nothing where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

STAGES = {
    "read": "read · 读取",
    "hash": "hash · 摘要",
    "compare": "compare · 比较",
    "write": "write · 写入",
}


@contextmanager
def progress_bar(
    title: str, unit: str = "rows"
) -> Iterator[Callable[[str, int, int | None], None]]:
    """Show how a publish, or other long work, goes on standard error; yields what is told of it."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn(f"{{task.completed:,.0f}} {unit}"),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task(title, total=None, speed="")

        def say(stage: str, done: int, total: int | None) -> None:
            speed = bar.tasks[0].speed
            rate = f"{speed:,.0f} {unit}/s" if speed else ""
            description = f"{title}: {STAGES.get(stage, stage)}"
            bar.update(task, description=description, completed=done, total=total, speed=rate)

        yield say
