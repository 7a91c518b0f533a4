"""What differs between a description and the store: steps, in batches that go together."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layers.model import Kind, Layer, Mode, Schema
from layers.rasters.sources import is_raster
from layers.settings import find_differences
from layers.store import Store
from layers.styles import NewStyle
from services.applying.descriptions import Description
from services.applying.layer_states import LayerState
from services.applying.marks import Mark, is_newest, mark_of
from services.applying.placing import placed
from services.applying.source_states import SourceState
from services.commands import READER
from services.errors import BadParameter
from services.layer_styles import differs, read_style


@dataclass(frozen=True)
class SettingsStep:
    """Settings of a layer that is there."""

    place: str
    layer: str
    differing: Mapping[str, tuple[Any, Any]]

    def told(self) -> str:
        """Return the line of the plan."""
        changes = "; ".join(
            f"{k}: {_text(a)} -> {_text(b)}" for k, (a, b) in self.differing.items()
        )
        return f"~ {self.layer}: {changes}"


@dataclass(frozen=True)
class SchemaStep:
    """Another schema for a layer that is there."""

    place: str
    layer: str
    state: LayerState

    def told(self) -> str:
        """Return the line of the plan."""
        return f"~ {self.layer}: another schema (a revision)"


@dataclass(frozen=True)
class SourceStep:
    """A source to be published, and what the commit keeps so that it is known again."""

    source: SourceState
    creates: Schema | None
    is_first: bool
    mark: Mark
    looks_at: frozenset[str]

    @property
    def place(self) -> str:
        """Where the file says it."""
        return self.source.place

    @property
    def layer(self) -> str:
        """The layer that it is published to."""
        return self.source.layer

    def told(self) -> str:
        """Return the line of the plan."""
        part = self.source.options.source_layer
        named = f"{self.source.name} ({part})" if part else self.source.name
        return f"+ {self.layer}: publish {named}{' (a new layer)' if self.is_first else ''}"


@dataclass(frozen=True)
class StyleStep:
    """A style of a layer, to be put in force."""

    place: str
    layer: str
    wanted: NewStyle
    warnings: tuple[str, ...]

    def told(self) -> str:
        """Return the line of the plan."""
        drawn = ", and the layer is drawn by it" if self.wanted.chosen else ""
        return f"~ {self.layer}: style {self.wanted.id}{drawn}"


Step = SettingsStep | SchemaStep | SourceStep | StyleStep


@dataclass(frozen=True)
class Batch:
    """Steps that are one transaction: settings, a style, or a commit of one or several layers."""

    steps: Sequence[Step]
    message: str = ""
    document: str = ""

    @property
    def layers(self) -> set[str]:
        """The layers that it changes."""
        return {step.layer for step in self.steps}

    @property
    def is_commit(self) -> bool:
        """Whether it makes revisions."""
        return isinstance(self.steps[0], SchemaStep | SourceStep)


def plan(store: Store, description: Description, options: argparse.Namespace) -> list[Batch]:
    """Work out what differs; nothing is written.

    Raises
    ------
    BadParameter
        Naming the place in the file of what can't be.
    """
    there = {record.id: record for record in store.layers(READER)}
    _refuse_impossible(description, there)
    _refuse_endless(description, there)
    states = [state for state in description.layers if state.id in there]
    return plan_layers(
        store, description, states, _source_steps(store, description, there), options
    )


def plan_layers(
    store: Store,
    description: Description,
    states: Iterable[LayerState],
    sources: Iterable[SourceStep],
    options: argparse.Namespace,
) -> list[Batch]:
    """Work out what differs of layers that are there: settings first, then commits, then styles."""
    there = {record.id: record for record in store.layers(READER)}
    settings: list[SettingsStep] = []
    schemas: list[SchemaStep] = []
    styles: list[StyleStep] = []
    for state in states:
        record = there[state.id]
        with placed(description, state.place):
            differing = find_differences(record, state.wanted_settings())
            schema = state.wanted_schema(record)
            styles += _style_steps(store, record, state, schema)
        if differing:
            settings.append(SettingsStep(state.place, record.id, differing))
        if schema is not None:
            schemas.append(SchemaStep(state.place, record.id, state))
    found = [Batch(settings)] if settings else []
    found += _commits([*schemas, *sources], description, options)
    return found + [Batch((style,)) for style in styles]


def _refuse_impossible(description: Description, there: Mapping[str, Layer]) -> None:
    for state in description.layers:
        if state.schema is None:
            continue
        with placed(description, state.place):
            # Also of a layer that is new: before anything is published.
            for path in state.styles:
                read_style(path, state.id, state.schema)
    fed = {source.layer for source in description.sources}
    for state in description.layers:
        if state.id in there:
            continue
        if state.id not in fed:
            raise BadParameter(
                description.document.located(
                    f"{state.place}: there is no such layer, and no source of this file is "
                    "published to it; add one under sources"
                )
            )
        if state.limits is not None and state.schema is None:
            raise BadParameter(
                description.document.located(
                    f"{state.place}.limits: the first publish would not be asked: its schema is "
                    "inferred by it; name a schema (shikong preview prints one to begin with)"
                )
            )


def _refuse_endless(description: Description, there: Mapping[str, Layer]) -> None:
    """Refuse what would be undone and done again by each apply: it must be told apart."""
    for number, later in enumerate(description.sources):
        for earlier in description.sources[:number]:
            if earlier.is_digested or earlier.is_apart(later):
                continue
            if _mode(earlier, description.find(later.layer), there.get(later.layer)) is Mode.RELOAD:
                told = (
                    f"{later.place}: {earlier.place} is read each time, being no file, and would "
                    f"undo this; give them scopes that differ, or put {earlier.place} after it"
                )
                raise BadParameter(description.document.located(told))


def _mode(source: SourceState, state: LayerState | None, record: Layer | None) -> Mode:
    """The mode in which features come of a source."""
    said = source.options
    schema = record.schema if record is not None else state.schema if state is not None else None
    kind = schema.kind if schema is not None else Kind(said.kind or Kind.STATE)
    return Mode(said.mode) if said.mode else Mode.UPSERT if kind is Kind.EVENT else Mode.RELOAD


def _source_steps(
    store: Store, description: Description, there: Mapping[str, Layer]
) -> Iterator[SourceStep]:
    made: list[SourceState] = []
    for source in description.sources:
        with placed(description, source.place):
            mark = mark_of(source)
            known = source.layer in there and is_newest(store, source, mark)
        # What was published after another had it in view: where that changes, it comes again.
        if known and not any(_undoes(earlier, source) for earlier in made):
            continue
        is_first = source.layer not in there and all(s.layer != source.layer for s in made)
        state = description.find(source.layer)
        said = None if state is None else state.schema
        record = there.get(source.layer)
        schema = said if record is None else record.schema
        looks_at = frozenset(
            rule.beside for rule in (schema.rules if schema else ()) if rule.beside
        )
        yield SourceStep(source, said if is_first else None, is_first, mark, looks_at)
        made.append(source)


def _undoes(earlier: SourceState, later: SourceState) -> bool:
    if earlier.is_apart(later):
        return False
    # Scenes of a raster layer stand beside one another.
    return not all(is_raster(Path(address)) for address in earlier.addresses)


def _style_steps(
    store: Store, record: Layer, state: LayerState, schema: Schema | None
) -> Iterator[StyleStep]:
    for number, path in enumerate(state.styles):
        drawn = state.drawn and not number
        found = read_style(path, record.id, schema or record.schema)
        wanted = NewStyle(
            found.wanted.id, found.wanted.title, found.wanted.document, chosen=drawn or None
        )
        if differs(store, wanted):
            yield StyleStep(state.place, record.id, wanted, found.warnings)


def _commits(
    steps: Iterable[SchemaStep | SourceStep],
    description: Description,
    options: argparse.Namespace,
) -> list[Batch]:
    """Steps that follow one another, say the same, and are of different layers, as one commit."""
    found: list[Batch] = []
    for step in steps:
        message = options.message or f"as in {description.name}"
        document = options.document or ""
        if isinstance(step, SourceStep):
            message = step.source.options.message or message
            document = step.source.options.document or document
        last = found[-1] if found else None
        if (
            last is not None
            and (last.message, last.document) == (message, document)
            and step.layer not in last.layers
        ):
            found[-1] = Batch((*last.steps, step), message, document)
        else:
            found.append(Batch((step,), message, document))
    return found


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{value.get('zh', '')} · {value.get('en', '')}"
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
