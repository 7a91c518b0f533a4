"""The demo city: its steps, from city.toml, published one by one under a simulated clock."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd

from layers.clock import SimulatedClock
from layers.model import Document, Mode
from layers.publish import Reload
from layers.schemas.documents import read_schema
from layers.sources import Source, open_source
from layers.sourcing.frames import FrameSource
from layers.store import Store
from layers.writers import Writer
from services.demo.cases import make_cases
from spatial.crs import parse_crs

WRITER = Writer("demo")
_PATHS = ("source", "schema", "blocks", "boundary", "edges")


@dataclass(frozen=True, slots=True)
class Step:
    """One publish of the demo's history."""

    id: str
    layer: str
    recorded: datetime
    message: str
    schema: Path
    source: Path | None = None
    generator: str | None = None
    blocks: Path | None = None
    boundary: Path | None = None
    edges: Path | None = None
    mode: Mode | None = None
    scope: Mapping[str, str] | None = None
    valid_from: date | None = None
    crs: str | None = None
    document: str | None = None


@dataclass(frozen=True, slots=True)
class City:
    """The demo city as city.toml describes it."""

    title: Mapping[str, str]
    time_zone: str
    attribution: str
    centre: tuple[float, float]
    zoom: float
    steps: tuple[Step, ...]


def read_city(path: Path) -> City:
    """Read a city file; paths in it are relative to it.

    Raises
    ------
    OSError, tomllib.TOMLDecodeError
        Where the file of this project is missing or broken.
    """
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    steps = tuple(_step(item, path.parent) for item in document["steps"])
    x, y = document["map"]["centre"]
    return City(
        document["title"],
        document["time_zone"],
        document["attribution"],
        (x, y),
        document["map"]["zoom"],
        steps,
    )


def load_city(store: Store, city: City, say: Callable[[str], None]) -> None:
    """Publish the steps that the store does not have yet; killed half way, it goes on from there.

    Parameters
    ----------
    say : callable
        Told one line a step.
    """
    for step in _missing(store, city):
        reload = _reload(step)
        done = store.with_clock(SimulatedClock(step.recorded)).commit(
            {step.layer: reload},
            WRITER,
            step.message,
            document=Document(step.document) if step.document else None,
            provenance={"demo": step.id},
        )
        report = done.reports[step.layer]
        say(
            f"  {step.recorded:%Y-%m-%d}  {step.layer:<14} +{report.created} ~{report.changed} "
            f"-{report.retired}  {step.message}"
        )


def _missing(store: Store, city: City) -> Iterator[Step]:
    done = {str(p.get("demo")) for p in store.provenances()}
    return (step for step in city.steps if step.id not in done)


def _reload(step: Step) -> Reload:
    schema = read_schema(step.schema)
    return Reload(
        source=_source(step),
        schema=schema,
        mode=step.mode,
        scope=step.scope or {},
        valid_from=step.valid_from,
        crs=parse_crs(step.crs) if step.crs else None,
    )


def _source(step: Step) -> Source:
    if step.generator is None:
        assert step.source is not None  # noqa: S101 - the city file is ours
        return open_source(step.source)
    blocks, boundary, edges = (
        gpd.read_file(f"/vsigzip/{path}") for path in (step.blocks, step.boundary, step.edges)
    )
    return FrameSource(make_cases(blocks, boundary=boundary, edges=edges), "synthetic cases")


def _step(item: dict[str, Any], folder: Path) -> Step:
    paths = {k: (folder / item[k]).resolve() for k in _PATHS if k in item}
    mode = Mode(item["mode"]) if "mode" in item else None
    return Step(**(item | paths | {"mode": mode}))
