"""One change to the platform, all or nothing: locks, the recorded time, the revision rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers import catalog, permits, publish, schema_changes, tables
from layers.access import audit
from layers.clock import Clock, SimulatedClock
from layers.database import Database
from layers.editing import effects, reverting
from layers.editing.scenes import check_edits
from layers.edits import Edit, Edits, Revert
from layers.errors import ClockRefused, LayerPaused, LayersError, UnknownCommit, UnknownLayer
from layers.kept_faults import keep_faults
from layers.mapping import saved
from layers.model import Document, Kind, Layer, Mode
from layers.publish import Reload
from layers.rasters.sources import RasterSource
from layers.report import Report
from layers.schema_changes import SchemaChange
from layers.writers import Bounds, Verb, Writer
from layers.writing import plans
from layers.writing.plans import Planned
from layers.writing.staging import Progress

# Held from the stamping of the recorded time through COMMIT, by every writer of every layer.
_STAMP_LOCK = 0x5354414D
CHANNEL = "shikong_commits"
Change = Reload | Edits | Sequence[Edit] | SchemaChange | Revert


@dataclass(frozen=True)
class Committed:
    """What a commit did.

    Attributes
    ----------
    commit : int or None
        Its number; None where there was nothing to write, or in a dry run.
    recorded_at : datetime or None
        When the platform came to know.
    reports : mapping of str to Report
        By layer.
    """

    commit: int | None
    recorded_at: datetime | None
    reports: Mapping[str, Report]


@dataclass(frozen=True)
class Statement:
    """Who commits, what they say of it, and the document behind it."""

    writer: Writer
    message: str
    document: Document | None = None
    provenance: Mapping[str, Any] | None = None


class _DryRunError(Exception):
    """Leaves the transaction of a dry run, which undoes it."""


def commit(
    database: Database,
    clock: Clock,
    edits: Mapping[str, Change],
    statement: Statement,
    *,
    dry_run: bool = False,
    say: Progress,
) -> Committed:
    """Change layers as one commit.

    Raises
    ------
    LayersError
        Whatever is wrong; nothing was written then.
    """
    reports: dict[str, Report] = {}
    number: int | None = None
    recorded: datetime | None = None
    try:
        with database.write() as connection:
            _check_clock(connection, clock)
            todo: dict[str, Planned] = {}
            revisions: dict[str, int] = {}
            for layer_id, planned in _plan_each(connection, clock, edits, statement.writer, say):
                reports[layer_id] = planned.report
                if not planned.nothing_to_do:
                    todo[layer_id] = planned
                    revisions[layer_id] = _write(connection, planned, say)
            if not todo or dry_run:
                raise _DryRunError
            _keep_rasters(connection, [edits[layer_id] for layer_id in todo])
            # Last, because readers of these layers wait from here to the end of the transaction.
            schema_changes.take_effect(connection, todo.values())
            for planned in todo.values():
                saved.keep(connection, planned, statement.writer, planned.now)
            number, recorded = _record(connection, clock, statement, todo, revisions)
    except _DryRunError:
        for report in reports.values():
            report.dry_run = dry_run
    return Committed(number, recorded, reports)


def _keep_rasters(connection: Connection, changes: Iterable[Change]) -> None:
    for change in changes:
        if isinstance(change, Reload) and isinstance(change.source, RasterSource):
            change.source.keep(connection)


def _check_clock(connection: Connection, clock: Clock) -> None:
    if not isinstance(clock, SimulatedClock):
        return
    real = sa.select(sa.func.count()).where(sa.not_(tables.commit.c.simulated))
    if connection.scalar(real):
        raise ClockRefused("this store is in real use: a simulated clock needs an empty one")


def find_revisions(database: Database, commit_id: int) -> dict[str, int]:
    """Return the revision that a commit made in each layer it touched.

    Raises
    ------
    UnknownCommit
        Where there is none of that number.
    """
    c = tables.revision.c
    query = sa.select(c.layer_id, c.number).where(c.commit_id == commit_id)
    with database.read() as connection:
        found = {row.layer_id: row.number for row in connection.execute(query)}
    if not found:
        raise UnknownCommit(f"there is no commit {commit_id}; shikong log lists them")
    return found


def _plan_each(
    connection: Connection,
    clock: Clock,
    edits: Mapping[str, Change],
    writer: Writer,
    say: Progress,
) -> Iterator[tuple[str, Planned]]:
    """Plan layer by layer; each is to be written before the next, whose rules may look at it."""
    # In the order of their ids, so that two commits over the same layers can't wait in a ring.
    paused = set[str]()
    for layer_id in sorted(edits):
        record = catalog.lock_layer(connection, tables.check_layer_id(layer_id))
        if record is not None and record.schema.paused:
            _check_may_mend(record, writer)
            paused.add(layer_id)
    now = clock()
    for layer_id in _in_order(connection, edits):
        try:
            planned = _plan(connection, layer_id, edits[layer_id], writer, now, say)
            if layer_id in paused:
                planned.report.notes.append(
                    f"{layer_id} is paused: nobody is served this until: shikong layer set "
                    f"{layer_id} --start · 图层已暂停，恢复后才对外提供"
                )
            yield layer_id, planned
        except LayersError as error:
            error.layer = layer_id
            raise


def _check_may_mend(record: Layer, writer: Writer) -> None:
    """Refuse to write to a paused layer, but for whoever runs the store: paused, it is mended.

    Asked with the layer locked: it may have been paused since its writer looked at it.
    """
    if writer.permits is not None:
        raise LayerPaused(record.id)


def _in_order(connection: Connection, edits: Mapping[str, Change]) -> list[str]:
    """Those that rules of others look at before these; by their ids where none does, or both do."""
    ordered: dict[str, None] = {}
    entered: set[str] = set()

    def enter(layer_id: str) -> None:
        if layer_id in entered:
            return
        entered.add(layer_id)
        change = edits[layer_id]
        if isinstance(change, Reload):
            record = catalog.find_layer(connection, layer_id)
            for other in sorted(_looked_at(record, change) & edits.keys()):
                enter(other)
        ordered[layer_id] = None

    for layer_id in sorted(edits):
        enter(layer_id)
    return list(ordered)


def _looked_at(record: Layer | None, reload: Reload) -> set[str]:
    """The layers that rules of this one look at."""
    schema = reload.schema if record is None else record.schema
    return {rule.beside for rule in (schema.rules if schema else ()) if rule.beside is not None}


def _write(connection: Connection, planned: Planned, say: Progress) -> int:
    say("write", planned.report.findings.rows_read, None)
    number = plans.write(connection, planned)
    if planned.bounds is not None:
        own = (planned.bounds, planned.record, number, planned.links)
        permits.check_effect(connection, *own)
    return number


def _plan(
    connection: Connection,
    layer_id: str,
    change: Change,
    writer: Writer,
    now: datetime,
    say: Progress,
) -> Planned:
    bounds = _bounds(connection, layer_id, change, writer)
    if isinstance(change, Reload):
        planned = _plan_reload(connection, layer_id, change, writer, bounds, now, say)
    else:
        record = _existing(connection, layer_id)
        planned = _plan_change(connection, record, change, bounds, now)
    return dataclasses.replace(planned, bounds=bounds)


def _bounds(connection: Connection, layer_id: str, change: Change, writer: Writer) -> Bounds | None:
    record = catalog.find_layer(connection, layer_id)
    whole, verb = isinstance(change, SchemaChange), Verb.EDIT
    if isinstance(change, Reload):
        whole = record is None or change.schema is not None
        kind = record.schema.kind if record is not None else Kind.STATE
        verb = Verb.EDIT if publish.mode_of(change, kind) is Mode.UPSERT else Verb.PUBLISH
    if isinstance(change, Revert) and record is not None:
        whole = reverting.is_of_schema(record, change.revision)
    department = None if record is None else record.department
    verb = Verb.PUBLISH if whole else verb
    return permits.bounds_of(writer, layer_id, department, verb, whole=whole)


def _plan_reload(
    connection: Connection,
    layer_id: str,
    reload: Reload,
    writer: Writer,
    bounds: Bounds | None,
    now: datetime,
    say: Progress,
) -> Planned:
    record = catalog.find_layer(connection, layer_id)
    if bounds is not None and record is not None:
        kept = permits.fields_kept(bounds, record)
        reload = dataclasses.replace(reload, territories=bounds.territories, kept=kept)
    reload = dataclasses.replace(reload, around=_around(connection, record, reload, writer))
    return publish.plan(connection, layer_id, reload, now, say)


def _around(
    connection: Connection, record: Layer | None, reload: Reload, writer: Writer
) -> frozenset[str]:
    """Return those layers beside it, which rules look at, that are the writer's to publish too.

    What a rule finds tells of them: who may read them is not asked by who may write here.
    """
    theirs = set[str]()
    for name in _looked_at(record, reload):
        found = catalog.find_layer(connection, name)
        department = None if found is None else found.department
        permits_there = writer.permits_for(name, department, Verb.PUBLISH)
        if permits_there is None or any(p.is_unbounded for p in permits_there):
            theirs.add(name)
    return frozenset(theirs)


def _plan_change(
    connection: Connection,
    record: Layer,
    change: Edits | Sequence[Edit] | SchemaChange | Revert,
    bounds: Bounds | None,
    now: datetime,
) -> Planned:
    def check(ids: Collection[str]) -> None:
        if bounds is not None:
            permits.check_features(connection, bounds, record, ids)

    if isinstance(change, SchemaChange):
        return schema_changes.plan(record, change, now)
    if isinstance(change, Revert):
        check(reverting.touched(connection, record, change.revision))
        return reverting.plan(connection, record, change, now)
    edits = change if isinstance(change, Edits) else Edits(change)
    check_edits(record, edits.edits)
    if bounds is not None:
        permits.check_fields(bounds, record, effects.fields_stated(edits))
    kept = permits.fields_kept(bounds, record)
    return effects.plan(connection, record, edits, now, check, kept)


def _existing(connection: Connection, layer_id: str) -> Layer:
    record = catalog.find_layer(connection, layer_id)
    if record is None or not record.head:
        raise UnknownLayer(f"no layer {layer_id!r} to change; publish a source to make it")
    return record


def _record(
    connection: Connection,
    clock: Clock,
    statement: Statement,
    todo: Mapping[str, Planned],
    revisions: Mapping[str, int],
) -> tuple[int, datetime]:
    recorded = stamp(connection, clock, min(p.now for p in todo.values()))
    document = statement.document or Document("")
    row = {
        "recorded_at": recorded,
        "author": statement.writer.name,
        "message": statement.message,
        "document_id": document.id or None,
        "document_kind": document.kind,
        "document_date": document.date,
        "simulated": isinstance(clock, SimulatedClock),
        "provenance": dict(statement.provenance or {}),
    }
    inserted = sa.insert(tables.commit).values(row).returning(tables.commit.c.id)
    number = connection.execute(inserted).scalar_one()
    for layer_id, planned in todo.items():
        planned.report.revision, planned.report.commit = revisions[layer_id], number
        own = (revisions[layer_id], number, recorded)
        _record_revision(connection, planned, statement.writer, *own)
    payload = ",".join(f"{i}:{n}" for i, n in revisions.items())
    connection.execute(sa.select(sa.func.pg_notify(CHANNEL, payload)))
    # The last of all: others who add to the audit wait from here to the end of the transaction.
    audit.append(connection, _entry(statement, number, todo))
    return number, recorded


def _entry(statement: Statement, number: int, todo: Mapping[str, Planned]) -> audit.Entry:
    """What the audit keeps of a commit: numbers, and no values of features."""
    layers = {
        layer_id: {
            "revision": planned.report.revision,
            "created": planned.report.created,
            "changed": planned.report.changed,
            "retired": planned.report.retired,
        }
        for layer_id, planned in todo.items()
    }
    detail: dict[str, Any] = {"layers": layers}
    if statement.document is not None and statement.document.id:
        detail["document"] = statement.document.id
    only = next(iter(layers)) if len(layers) == 1 else None
    return audit.by_writer(statement.writer, "commit", layer=only, commit=number, detail=detail)


def _record_revision(
    connection: Connection,
    planned: Planned,
    writer: Writer,
    number: int,
    commit_id: int,
    recorded: datetime,
) -> None:
    record, report = planned.record, planned.report
    live = tables.tables_of(record).open.live.c
    valid = sa.and_(live._valid_from <= recorded, live._valid_to > recorded)
    n_live = connection.scalar(sa.select(sa.func.count()).where(valid))
    row = {
        "layer_id": record.id,
        "number": number,
        "commit_id": commit_id,
        "n_live": n_live,
        "n_created": report.created,
        "n_changed": report.changed,
        "n_retired": report.retired,
        "report": report.document() | keep_faults(report),
    }
    connection.execute(sa.insert(tables.revision).values(row))
    where = tables.layer.c.id == record.id
    head: dict[str, Any] = {"head": number, "recorded_at": recorded}
    if not record.head and not writer.may(record.id, record.department, Verb.REVIEW):
        head["pending"] = True
    connection.execute(sa.update(tables.layer).where(where).values(head))


def stamp(connection: Connection, clock: Clock, begun: datetime) -> datetime:
    """Return the recorded time: now, but later than every commit and erasure before.

    Whoever has been given one holds up the next until the end of the transaction.

    Should the clock have been set back meanwhile, it is when the commit began: versions that were
    over by then have left the live tables.
    """
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_STAMP_LOCK)))
    commits, erasures = (
        sa.select(sa.func.max(column)).scalar_subquery()
        for column in (tables.commit.c.recorded_at, tables.erasure.c.erased_at)
    )
    last = connection.scalar(sa.select(sa.func.greatest(commits, erasures)))
    now = max(clock(), begun).astimezone(UTC)
    return now if last is None or now > last else last + timedelta(microseconds=1)
