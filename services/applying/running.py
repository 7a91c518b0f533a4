"""``shikong apply`` with a description: the plan is shown, then done batch by batch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from layers.commits import Change
from layers.errors import LayersError
from layers.model import Document
from layers.report import Report
from layers.schema_changes import SchemaChange
from layers.settings import change_settings
from layers.store import Store
from services import commands
from services.applying.descriptions import Description, read_description
from services.applying.placing import Placed, placed
from services.applying.planning import (
    Batch,
    SchemaStep,
    SettingsStep,
    SourceStep,
    StyleStep,
    plan,
    plan_layers,
)
from services.commands import READER, Prepared, writer
from services.errors import BadParameter
from services.layer_styles import put
from services.opening import opened_store
from services.progress import progress_bar
from spatial.errors import SpatialError

Options = argparse.Namespace


def apply(options: Options) -> None:
    """Bring the store to the state that a file describes; say first what that takes."""
    description = read_description(Path(options.edits), options.known)
    with opened_store(commands.settings_of(options)) as store:
        batches = plan(store, description, options)
        print(f"{description.name}: {len(batches) or 'nothing'} to do · 计划")
        for number, batch in enumerate(batches, 1):
            for step in batch.steps:
                print(f"  [{number}] {step.told()}")
        if options.dry_run:
            _preview(store, description, batches, options)
            return
        _do_all(store, description, batches, options)
        _settle_new(store, description, batches, options)


def _do_all(
    store: Store, description: Description, batches: Sequence[Batch], options: Options
) -> None:
    for number, batch in enumerate(batches, 1):
        named = ", ".join(step.layer for step in batch.steps)
        print(f"[{number}/{len(batches)}] {named}", flush=True)
        with _said_what_stands(number - 1, len(batches)):
            _do(store, description, batch, options)


def _settle_new(
    store: Store, description: Description, batches: Sequence[Batch], options: Options
) -> None:
    """Settle what of a new layer is said beside its schema, once it is there."""
    steps = [step for batch in batches for step in batch.steps]
    new = {s.layer for s in steps if isinstance(s, SourceStep) and s.is_first}
    there = {record.id for record in store.layers(READER)}
    states = [s for s in description.layers if s.id in new & there]
    rest = plan_layers(store, description, states, (), options)
    for batch in rest:
        for step in batch.steps:
            print(f"      {step.told()[2:]}")
        with _said_what_stands(len(batches), len(batches)):
            _do(store, description, batch, options)


def _do(store: Store, description: Description, batch: Batch, options: Options) -> None:
    if batch.is_commit:
        _commit(store, description, batch, options)
        return
    for step in batch.steps:
        if isinstance(step, StyleStep):
            with placed(description, step.place):
                put(store, step.wanted, writer())
            for warning in step.warnings:
                print(f"  {warning}")
    settings = [step for step in batch.steps if isinstance(step, SettingsStep)]
    if not settings:
        return
    with placed(description, settings[0].place), store.database.write() as connection:
        for one in sorted(settings, key=lambda s: s.layer):
            wanted = {k: new for k, (_, new) in one.differing.items()}
            change_settings(connection, one.layer, wanted, writer())


def _commit(
    store: Store,
    description: Description,
    batch: Batch,
    options: Options,
    *,
    dry_run: bool = False,
) -> None:
    """Make one commit of a batch, or say what it would do."""
    with ExitStack() as stack:
        edits: dict[str, Change] = {}
        opened: dict[str, Prepared] = {}
        places = {step.layer: step.place for step in batch.steps}
        for step in batch.steps:
            with placed(description, step.place):
                if isinstance(step, SchemaStep):
                    edits |= _schema_change(store, step)
                elif isinstance(step, SourceStep):
                    told = _publish_options(step, options, dry_run=dry_run)
                    ready = stack.enter_context(commands.prepared(store, told, step.creates))
                    opened[step.layer], edits[step.layer] = ready, ready.reload
        document = Document(batch.document) if batch.document else None
        title = ", ".join(ready.source.name for ready in opened.values()) or description.name
        try:
            with progress_bar(title) as say:
                done = store.commit(
                    edits,
                    writer(),
                    batch.message,
                    document=document,
                    provenance=_provenance(description, batch, opened),
                    dry_run=dry_run,
                    say=say,
                )
        except (LayersError, SpatialError, SQLAlchemyError) as error:
            where = getattr(error, "layer", None) or ""
            report = getattr(error, "report", None)
            if report is not None and where in opened:
                _tell(report, opened[where], options, dry_run=dry_run)
            with placed(description, places.get(where) or " and ".join(places.values())):
                raise
        for layer_id, ready in opened.items():
            _tell(done.reports[layer_id], ready, options, dry_run=dry_run)


def _schema_change(store: Store, step: SchemaStep) -> dict[str, Change]:
    # Of the layer as it is by now: its settings may have been changed since the plan.
    record = store.layer(step.layer, READER).record
    return {step.layer: SchemaChange(step.state.wanted_schema(record) or record.schema)}


def _provenance(
    description: Description, batch: Batch, opened: Mapping[str, Prepared]
) -> dict[str, Any]:
    marks = {s.layer: dict(s.mark) for s in batch.steps if isinstance(s, SourceStep)}
    told: dict[str, Any] = {"source": description.name}
    if len(batch.steps) == 1:
        told |= {k: v for ready in opened.values() for k, v in ready.provenance.items()}
    elif opened:
        told["layers"] = {layer_id: dict(r.provenance) for layer_id, r in opened.items()}
    return told | ({"applied": marks} if marks else {})


def _preview(
    store: Store, description: Description, batches: Sequence[Batch], options: Options
) -> None:
    """Say what each commit would do, where that does not hang on one before it."""
    before: set[str] = set()
    for number, batch in enumerate(batches, 1):
        if not batch.is_commit:
            continue
        looked_at = {n for s in batch.steps if isinstance(s, SourceStep) for n in s.looks_at}
        waits = before & (batch.layers | (looked_at - batch.layers))
        print(f"[{number}/{len(batches)}]", flush=True)
        if waits:
            print(f"  hangs on what is written to {', '.join(sorted(waits))} before it")
        else:
            _commit(store, description, batch, options, dry_run=True)
        before |= batch.layers


def _publish_options(step: SourceStep, options: Options, *, dry_run: bool) -> Options:
    run = {"yes": options.yes, "dry_run": dry_run, "data": getattr(options, "data", None)}
    return Options(**vars(step.source.options) | run)


def _tell(report: Report, ready: Prepared, options: Options, *, dry_run: bool) -> None:
    told = Options(**dict(options.known.unsaid) | {"dry_run": dry_run})
    commands.tell(report, told, ready.source)


@contextmanager
def _said_what_stands(done: int, number: int) -> Iterator[None]:
    """Say of what goes wrong half way what is written, and stays so."""
    stands = f"[1] to [{done}] of {number} are written and stand; " if done else ""
    try:
        yield
    except Placed as error:
        again = "mend it and apply again: what stands is not written twice"
        raise BadParameter(f"{error} ({stands or 'nothing was written; '}{again})") from None
    except KeyboardInterrupt:
        print(f"{stands or 'nothing was written; '}apply again to go on", file=sys.stderr)
        raise
