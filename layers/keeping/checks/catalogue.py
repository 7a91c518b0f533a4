"""Whether the catalogue agrees with itself: commits, revisions, recorded times, schemas."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy.engine import Connection, Row

from layers import catalog
from layers.database import statement
from layers.errors import BadSchema
from layers.keeping.faults import Fault
from layers.model import Layer
from layers.tables import STORE_FORMAT

_RESTORE = "restore a backup that verifies"


def check_store(connection: Connection) -> Iterator[Fault]:
    """Check what is no layer's own: commits in order, each with a revision; tags of commits."""
    for row in connection.execute(statement("checks/recorded_times")):
        told = f"recorded at {row.recorded_at}, no later than the commit before ({row.before})"
        yield Fault("", "recorded", f"commit {row.id}", f"{told}; {_RESTORE}")
    for row in connection.execute(statement("checks/idle_commits")):
        yield Fault("", "commits", f"commit {row.id}", f"made no revision; {_RESTORE}")
    for row in connection.execute(statement("checks/lost_tags")):
        told = f"names commit {row.commit_id}, which is not there; delete the tag"
        yield Fault("", "tags", f"tag {row.name!r}", told)
    for row in connection.execute(statement("checks/lost_rows")):
        told = f"{row.rows} rows about a layer that the catalogue lacks; {_RESTORE}"
        yield Fault(row.layer_id, "lost", f"shikong.{row.what}", told)


def read_log(connection: Connection, layer_id: str) -> Sequence[Row[Any]]:
    """Return a layer's revisions with what their commits say, the oldest first."""
    return connection.execute(statement("checks/log"), {"layer_id": layer_id}).all()


def check_log(layer: Row[Any], log: Sequence[Row[Any]]) -> Iterator[Fault]:
    """Check that the revisions are 1 to the head, in the order of time, and the head the newest."""
    numbers = {row.number for row in log}
    for number in range(1, layer.head + 1):
        if number not in numbers:
            yield Fault(layer.id, "revisions", f"revision {number}", f"is missing; {_RESTORE}")
    for row in log:
        where = f"revision {row.number}"
        if not 1 <= row.number <= layer.head:
            told = f"outside 1 to the head, {layer.head}; {_RESTORE}"
            yield Fault(layer.id, "revisions", where, told)
        if row.recorded_at is None:
            told = f"its commit {row.commit_id} is not there; {_RESTORE}"
            yield Fault(layer.id, "revisions", where, told)
    yield from _check_order(layer.id, log)
    newest = log[-1] if log else None
    if newest is None or (newest.number, newest.recorded_at) != (layer.head, layer.recorded_at):
        told = "the catalogue's head is not the newest revision and its commit"
        yield Fault(layer.id, "head", f"revision {layer.head}", f"{told}; {_RESTORE}")


def _check_order(layer_id: str, log: Sequence[Row[Any]]) -> Iterator[Fault]:
    told = "not recorded later than the revision before"
    for old, new in itertools.pairwise(row for row in log if row.recorded_at is not None):
        if new.recorded_at <= old.recorded_at or new.commit_id <= old.commit_id:
            yield Fault(layer_id, "recorded", f"revision {new.number}", f"{told}; {_RESTORE}")


def check_schemas(connection: Connection, layer: Row[Any]) -> Iterator[Fault]:
    """Check that the schemas begin at revision 1 and that none is of a revision to come."""
    bounds = {"layer_id": layer.id}
    since = connection.scalars(statement("checks/schemas"), bounds).all()
    if not since or since[0] != 1:
        told = f"the first schema holds since {since[0] if since else 'never'}, not 1; {_RESTORE}"
        yield Fault(layer.id, "schemas", "revision 1", told)
    for number in since:
        if number > layer.head:
            told = f"a schema since a revision after the head, {layer.head}; {_RESTORE}"
            yield Fault(layer.id, "schemas", f"revision {number}", told)
    if layer.store_format != STORE_FORMAT:
        told = f"store format {layer.store_format}, not {STORE_FORMAT}; run shikong again"
        yield Fault(layer.id, "format", "shikong.layer", told)


def check_readable(connection: Connection, layer: Row[Any]) -> tuple[Layer | None, list[Fault]]:
    """Return the layer's record, None with a fault where its schemas can't be read."""
    try:
        record = catalog.find_layer(connection, layer.id)
    except (BadSchema, TypeError, LookupError) as error:
        told = f"a schema can't be read ({error}); {_RESTORE}"
        return None, [Fault(layer.id, "schemas", "shikong.layer_schema", told)]
    if record is not None and layer.kind != record.schema.kind:
        told = f"kind {layer.kind}, which its schema contradicts; {_RESTORE}"
        return record, [Fault(layer.id, "schemas", "shikong.layer", told)]
    return record, []
