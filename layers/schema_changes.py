"""A layer's schema changed, as a revision: fields added, retired, or replaced by another type.

Columns are only ever added, without a default: PostgreSQL notes it in its catalogue and rewrites
nothing. A field that is retired keeps its column, for the revisions that had it.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable

from layers import catalog, tables
from layers.database import waited_too_long
from layers.errors import LayerBusy, SchemaConflict
from layers.model import Layer, Role, Schema
from layers.report import Findings, Report
from layers.schemas import replacing
from layers.schemas.documents import schema_document
from layers.tables import Family
from layers.writing.plans import Planned

# What a layer is: another kind of thing, or the same things under other ids, is another layer.
_LASTING = ("kind", "geometry", "crs", "time_zone", "raster")
_LASTING_ROLES = (Role.KEY, Role.EVENT_START, Role.VALID_FROM, Role.VALID_TO)
# A lock that waits holds up every reader behind it: it waits this long, and lets them pass.
_WAIT_S = 0.5
_PAUSE_S = 1.0
_TRIES = 120
_Addition = tuple[sa.Table, str, sa.types.TypeEngine[Any]]


@dataclass(frozen=True)
class _Change:
    """What of a layer's tables changes for which they must be locked against readers."""

    additions: tuple[_Addition, ...]
    idle: tuple[str, ...]

    @property
    def is_any(self) -> bool:
        return bool(self.additions or self.idle)


@dataclass(frozen=True)
class SchemaChange:
    """Another schema for a layer, from its next revision on."""

    schema: Schema


def plan(record: Layer, change: SchemaChange, now: datetime) -> Planned:
    """Work out what a schema change does.

    Raises
    ------
    SchemaConflict
        Where it would make another layer of it: kind, geometry, reference system, time zone, or
        the fields of which ids and periods are made.
    """
    # Whether a layer is paused is said of the layer: another schema does not start it.
    old = record.schema
    new = dataclasses.replace(change.schema, paused=old.paused)
    new = replacing.after(old, new, now)
    _refuse_another_layer(record, new)
    report = Report(record.id, "schema", Findings())
    report.notes = list(_differences(old, new))
    same = _document(old) == _document(new)
    return Planned(record, report, now, schema=None if same else new)


def take_effect(connection: Connection, planned_all: Iterable[Planned]) -> None:
    """Add the columns that the plans' schemas lack, and enter these in the catalogue.

    All layers' columns at once: a layer that had its own would be locked while others wait.

    Raises
    ------
    LayerBusy
        Where long reads leave no moment for it, try after try.
    """
    changing = [(p.record, p.schema) for p in planned_all if p.schema is not None]
    changes: dict[str, _Change] = {}
    for record, schema in changing:
        after = _changed(record, schema)
        # Before any column is added: until then readers go on while it is made.
        _index_known(connection, record, after)
        additions = tuple(_additions(connection, record, tables.tables_of(after)))
        idle = tuple(catalog.find_idle_indexes(connection, after))
        changes[record.id] = _Change(additions, idle)
    changes = {layer_id: found for layer_id, found in changes.items() if found.is_any}
    if changes:
        _patiently(connection, changes)
    for record, schema in changing:
        catalog.index_layer(connection, _changed(record, schema))
        document = schema_document(schema)
        row = {"layer_id": record.id, "since_revision": record.head + 1, "document": document}
        connection.execute(sa.insert(tables.layer_schema).values(row))


def _refuse_another_layer(record: Layer, new: Schema) -> None:
    old = record.schema
    for name in _LASTING:
        if getattr(old, name) != getattr(new, name):
            raise SchemaConflict(
                f"{name} of {record.id} is {getattr(old, name)}, and stays so; publish what is "
                f"{getattr(new, name)} as another layer"
            )
    if old.division is not None and new.division != old.division:
        raise SchemaConflict(
            f"division of {record.id} is {old.division}, and stays so: grants rely on it"
        )
    for role in _LASTING_ROLES:
        was, is_now = ([(f.id, f.type) for f in s.with_role(role)] for s in (old, new))
        if was != is_now:
            raise SchemaConflict(
                f"the fields of {record.id} in role {role} are "
                f"{', '.join(i for i, _ in was) or 'none'}, and stay so; publish another layer"
            )
    for f in new.fields:
        for _, schema in record.schemas:
            before = schema.find(f.id)
            if before and before.type is f.type and before.is_restricted is not f.is_restricted:
                raise SchemaConflict(
                    f"field {f.id} can't become {f.visibility} in place: restricted values stand "
                    "in tables of their own; retire it, and add one of another name"
                )


def _differences(old: Schema, new: Schema) -> Iterator[str]:
    for f in new.fields:
        before = old.find(f.id)
        if before is None:
            yield f"field added: {f.id}"
        elif before.type is not f.type:
            yield f"field replaced: {f.id}, {before.type} by {f.type}"
        elif before != f:
            yield f"field described anew: {f.id}"
            yield from replacing.differences(before, f)
    for f in old.fields:
        if new.find(f.id) is None:
            yield f"field retired: {f.id}"
    before_rules, after_rules = ({r.id: r for r in s.rules} for s in (old, new))
    for name, rule in after_rules.items():
        if rule != before_rules.get(name):
            yield f"rule {'changed' if name in before_rules else 'added'}: {name}"
    for name in before_rules:
        if name not in after_rules:
            yield f"rule dropped: {name}"
    if old.limits != new.limits:
        yield "limits changed"


def _document(schema: Schema) -> dict[str, object]:
    # Who may see a layer is a setting of the catalogue, and no part of its schema's history.
    return {k: v for k, v in schema_document(schema).items() if k != "visibility"}


def _additions(
    connection: Connection, record: Layer, after: tables.LayerTables
) -> Iterator[_Addition]:
    before = tables.tables_of(record)
    yield from _columns(before.open, after.open)
    if before.restricted is not None and after.restricted is not None:
        yield from _columns(before.restricted, after.restricted)
    elif after.restricted is not None:
        _create(connection, after.restricted)


def _columns(before: Family, after: Family) -> Iterator[_Addition]:
    for old, new in ((before.live, after.live), (before.history, after.history)):
        known = {c.name for c in old.c}
        for column in new.c:
            if column.name not in known:
                yield new, column.name, column.type


def _changed(record: Layer, schema: Schema) -> Layer:
    schemas = (*record.schemas, (record.head + 1, schema))
    return dataclasses.replace(record, schema=schema, schemas=schemas)


def _index_known(connection: Connection, record: Layer, after: Layer) -> None:
    """Make the indexes that are new, of columns that are not."""
    known = {c.name for c in tables.tables_of(record).open.live.c}
    have = {index.name for index in tables.tables_of(record).open.live.indexes}
    for index in sorted(tables.tables_of(after).open.live.indexes, key=lambda i: str(i.name)):
        if index.name not in have and {c.name for c in index.columns} <= known:
            connection.execute(CreateIndex(index))


def _create(connection: Connection, family: Family) -> None:
    for table in (family.live, family.history):
        connection.execute(CreateTable(table))
        for index in sorted(table.indexes, key=lambda i: str(i.name)):
            connection.execute(CreateIndex(index))


def _patiently(connection: Connection, changes: Mapping[str, _Change]) -> None:
    for _ in range(_TRIES):
        try:
            with connection.begin_nested():
                _add(connection, changes.values())
            return
        except OperationalError as error:
            if not waited_too_long(error):
                raise
            time.sleep(_PAUSE_S * random.uniform(0.5, 1.5))  # nosec B311 # noqa: S311 - no secret
    raise LayerBusy(
        f"{', '.join(changes)}: being read without a pause; the schema can't be changed "
        "meanwhile, try again when exports have ended"
    )


def _add(connection: Connection, changes: Iterable[_Change]) -> None:
    alembic = Operations(MigrationContext.configure(connection))
    until = time.monotonic() + _WAIT_S
    for change in changes:
        for table, name, kind in change.additions:
            _wait_at_most(connection, until)
            alembic.add_column(table.name, sa.Column(name, kind), schema=table.schema)
        for name in change.idle:
            _wait_at_most(connection, until)
            alembic.drop_index(name, schema="live")
    connection.execute(sa.text("SET LOCAL lock_timeout TO DEFAULT"))


def _wait_at_most(connection: Connection, until: float) -> None:
    # What is left of the one wait: readers of the tables before are held up by now.
    left_ms = max(int((until - time.monotonic()) * 1000), 1)
    connection.execute(sa.text(f"SET LOCAL lock_timeout = {left_ms}"))
