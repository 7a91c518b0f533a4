"""What differs between a description and the store: told as a plan, then done step by step."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from layers.errors import LayersError
from layers.model import Layer, Schema
from layers.schema_changes import SchemaChange
from layers.schemas import replacing
from layers.schemas.documents import schema_document
from layers.settings import DESCRIBED, change_settings, find_differences
from layers.store import Store
from services import commands
from services.applying.descriptions import (
    Description,
    LayerState,
    SourceState,
    read_description,
)
from services.commands import READER, writer
from services.errors import BadParameter, ServicesError
from services.layer_settings import with_indexes
from services.opening import opened_store
from spatial.errors import SpatialError

Options = argparse.Namespace
# What a publish is told where the file says nothing.
_UNSAID: Mapping[str, Any] = dict.fromkeys(
    "kind mode duplicates valid_from valid_from_field valid_to_field valid_to crs towgs84 "
    "similarity axes encoding source_layer query wkt separator coordinates document schema mapping "
    "faults html".split()
) | {
    **dict.fromkeys(("key", "scope", "repair", "scene", "map"), ()),
    **dict.fromkeys(("codes", "json", "table", "leave_unknown"), False),
    "message": "",
}
# They say why, and not what.
_TOLD_ONLY = ("message", "document")


@dataclass(frozen=True)
class SchemaStep:
    """Another schema for a layer that is there."""

    place: str
    layer: str
    schema: Schema

    def told(self) -> str:
        """Return the line of the plan."""
        return f"~ {self.layer}: another schema (a revision)"


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
class SourceStep:
    """A source to be published, and what the commit keeps so that it is known again."""

    source: SourceState
    creates: Schema | None
    is_first: bool
    mark: Mapping[str, str | None]

    @property
    def place(self) -> str:
        """Where the file says it."""
        return self.source.place

    def told(self) -> str:
        """Return the line of the plan."""
        made = " (a new layer)" if self.is_first else ""
        return f"+ {self.source.layer}: publish {self.source.name}{made}"


Step = SchemaStep | SettingsStep | SourceStep


def apply(options: Options) -> None:
    """Bring the store to the state that a file describes; say first what that takes."""
    description = read_description(Path(options.edits))
    with opened_store(commands.settings_of(options)) as store:
        steps = plan(store, description)
        print(f"{description.path.name}: {len(steps) or 'nothing'} to do · 计划")
        for step in steps:
            print(f"  {step.told()}")
        if options.dry_run:
            return
        for number, step in enumerate(steps, 1):
            print(f"[{number}/{len(steps)}] {step.told()[2:]}", flush=True)
            with _placed(description, step.place):
                _do(store, step, options, description)
        _settle_new(store, description, steps)


def plan(store: Store, description: Description) -> list[Step]:
    """Work out what differs; nothing is written.

    Raises
    ------
    BadParameter
        Naming the place in the file of what can't be.
    """
    there = {record.id: record for record in store.layers(READER)}
    fed = {source.layer for source in description.sources}
    steps: list[Step] = []
    for state in description.layers:
        place = f"layers.{state.id}"
        record = there.get(state.id)
        if record is None and state.id not in fed:
            raise BadParameter(
                f"{description.path}: {place}: there is no such layer, and no source of this file "
                "is published to it; add one under sources"
            )
        if record is not None:
            with _placed(description, place):
                steps += _changes(record, state, place)
    described = {state.id: state for state in description.layers}
    made: set[str] = set()
    for source in description.sources:
        mark = _mark(source)
        if source.layer in there and _is_newest(store, source, mark):
            continue
        is_first = source.layer not in there and source.layer not in made
        found = described.get(source.layer)
        steps.append(
            SourceStep(source, found.schema if found and is_first else None, is_first, mark)
        )
        made.add(source.layer)
    return steps


def _changes(record: Layer, state: LayerState, place: str) -> Iterator[Step]:
    schema = _wanted_schema(record, state)
    if schema is not None:
        yield SchemaStep(place, record.id, schema)
    differing = find_differences(record, _wanted_settings(state))
    # Another schema brings with it what it says of these.
    brought = [k for k in DESCRIBED if k != "paused"] if schema is not None and state.schema else []
    left = {k: v for k, v in differing.items() if k not in brought}
    if left:
        yield SettingsStep(place, record.id, left)


def _wanted_settings(state: LayerState) -> dict[str, Any]:
    """What the file says; and of its schema what is said of the layer, but for who may see it."""
    found: dict[str, Any] = {}
    if state.schema is not None:
        document = schema_document(state.schema)
        found = {k: document.get(k) for k in DESCRIBED if k not in ("backdating", "paused")}
        found["backdating"] = state.schema.backdating
    return found | dict(state.settings)


def _wanted_schema(record: Layer, state: LayerState) -> Schema | None:
    schema = state.schema or record.schema
    if state.schema is None and state.indexes is not None:
        schema = with_indexes(record.schema, list(state.indexes))
    found = replacing.after(record.schema, schema, datetime.now(UTC))
    same = _lasting(found) == _lasting(record.schema)
    return None if same else schema


def _lasting(schema: Schema) -> dict[str, Any]:
    left = (*DESCRIBED, "visibility")
    return {k: v for k, v in schema_document(schema).items() if k not in left}


def _mark(source: SourceState) -> dict[str, str | None]:
    said = {k: v for k, v in source.options.items() if k not in _TOLD_ONLY}
    item = json.dumps([source.layer, source.name, said], ensure_ascii=False, sort_keys=True)
    return {"item": hashlib.sha256(item.encode()).hexdigest(), "content": _content(source)}


def _content(source: SourceState) -> str | None:
    """The digest of a file and of those that belong to it; None of what must be asked."""
    path = Path(source.address)
    if not path.is_file():
        return None
    beside = [path]
    if path.suffix.lower() == ".shp":
        beside = sorted(p for p in path.parent.glob(f"{path.stem}.*") if p.is_file())
    digest = hashlib.sha256()
    for one in beside:
        with one.open("rb") as file:
            digest.update(one.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _is_newest(store: Store, source: SourceState, mark: Mapping[str, str | None]) -> bool:
    """Whether the newest content of this source that was published is what it has now."""
    if mark["content"] is None:
        return False
    for revision in store.log(READER, layer_id=source.layer):
        kept = (revision.commit.provenance or {}).get("applied") or {}
        if kept.get("item") == mark["item"]:
            return bool(kept.get("content") == mark["content"])
    return False


def _do(store: Store, step: Step, options: Options, description: Description) -> None:
    if isinstance(step, SourceStep):
        commands.publish_into(
            store,
            _publish_options(step.source, options),
            step.creates,
            {"applied": dict(step.mark)},
        )
    elif isinstance(step, SchemaStep):
        message = options.message or f"schema as in {description.path.name}"
        provenance = {"source": description.path.name}
        store.commit(
            {step.layer: SchemaChange(step.schema)}, writer(), message, provenance=provenance
        )
    else:
        _set(store, step.layer, {k: new for k, (_, new) in step.differing.items()})


def _settle_new(store: Store, description: Description, steps: list[Step]) -> None:
    """Settle what of a new layer is said beside its schema, once it is there."""
    new = {s.source.layer for s in steps if isinstance(s, SourceStep) and s.is_first}
    there = {record.id: record for record in store.layers(READER)}
    for state in description.layers:
        if state.id in new and state.id in there:
            place = f"layers.{state.id}"
            with _placed(description, place):
                for step in _changes(there[state.id], state, place):
                    print(f"      {step.told()[2:]}")
                    _do(store, step, Options(message=""), description)


def _set(store: Store, layer_id: str, wanted: Mapping[str, Any]) -> None:
    with store.database.write() as connection:
        change_settings(connection, layer_id, wanted, writer())


def _publish_options(source: SourceState, options: Options) -> Options:
    said = dict(_UNSAID) | dict(source.options)
    said["message"] = said["message"] or options.message
    said["document"] = said["document"] or options.document
    own = {"source": [source.address], "layer": source.layer, "dry_run": False}
    return Options(**said, **own, yes=options.yes, data=getattr(options, "data", None))


@contextmanager
def _placed(description: Description, place: str) -> Iterator[None]:
    """Have errors begin with the place in the file."""
    try:
        yield
    except (LayersError, ServicesError, SpatialError) as error:
        raise BadParameter(f"{description.path}: {place}: {error}") from error


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{value.get('zh', '')} · {value.get('en', '')}"
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
