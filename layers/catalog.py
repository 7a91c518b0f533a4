"""The catalogue: which layers there are, what they look like, and the log of their revisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable

from layers import tables
from layers.database import statement, waited_too_long
from layers.errors import LayerBusy, UnknownLayer, UnknownRevision
from layers.model import OPEN_REVISION, Commit, Layer, Revision, Schema, Visibility
from layers.readers import Reader
from layers.schemas.documents import parse_schema, schema_document


def find_layer(connection: Connection, layer_id: str) -> Layer | None:
    """Return the catalogue's record of a layer, None where there is none."""
    row = connection.execute(statement("layer_record"), {"id": layer_id}).one_or_none()
    return None if row is None else _layer(row)


def read_layer(connection: Connection, layer_id: str, reader: Reader) -> Layer:
    """Return a layer that the reader may see.

    Raises
    ------
    UnknownLayer
        Where there is none, none with a revision, or none for this reader.
    """
    found = find_layer(connection, layer_id)
    if found is None or found.head == 0 or not reader.sees(found):
        names = ", ".join(known.id for known in list_layers(connection, reader)) or "none yet"
        raise UnknownLayer(f"no layer {layer_id!r}; there are: {names}")
    return found


def list_layers(connection: Connection, reader: Reader) -> list[Layer]:
    """Return the layers that the reader may see, in the order of their ids."""
    rows = connection.execute(statement("layer_records"))
    return [found for found in map(_layer, rows) if reader.sees(found)]


def create_layer(connection: Connection, layer_id: str, schema: Schema) -> Layer:
    """Enter a layer in the catalogue and create its tables, within the caller's transaction.

    The indexes come later, by `index_layer`, because the first load is faster without.
    """
    tables.check_layer_id(layer_id)
    family_tables = tables.layer_tables(layer_id, schema)
    row = {
        "id": layer_id,
        "kind": schema.kind.value,
        "visibility": schema.visibility.value,
        "store_format": tables.STORE_FORMAT,
    }
    connection.execute(insert(tables.layer).values(row))
    document = {"layer_id": layer_id, "since_revision": 1, "document": schema_document(schema)}
    connection.execute(insert(tables.layer_schema).values(document))
    for family in family_tables.families:
        connection.execute(CreateTable(family.live))
        connection.execute(CreateTable(family.history))
    return Layer(layer_id, schema, 0, None, schema.visibility, ((1, schema),))


def index_layer(connection: Connection, record: Layer) -> None:
    """Create the indexes that a layer's tables lack: all of them after its first load."""
    there = _indexes(connection, record.id)
    for family in tables.tables_of(record).families:
        for table in (family.live, family.history):
            for index in sorted(table.indexes, key=lambda i: str(i.name)):
                if (table.schema, index.name) not in there:
                    connection.execute(CreateIndex(index))


def find_idle_indexes(connection: Connection, record: Layer) -> list[str]:
    """Return the names of indexes of the live table that serve an order no longer offered."""
    live = tables.tables_of(record).open.live
    wanted = {index.name for index in live.indexes}
    begins = tables.sort_index_prefix(live)
    there = (name for schema, name in _indexes(connection, record.id) if schema == live.schema)
    return sorted(name for name in there if name.startswith(begins) and name not in wanted)


def _indexes(connection: Connection, layer_id: str) -> set[tuple[str, str]]:
    bounds = {"schemas": list(tables.LAYER_SCHEMAS), "layer_id": layer_id}
    rows = connection.execute(statement("checks/indexes"), bounds)
    return {(row.schema, row.name) for row in rows}


def lock_layer(connection: Connection, layer_id: str) -> Layer | None:
    """Lock a layer against other commits until the transaction ends; readers are not held up.

    Raises
    ------
    LayerBusy
        Where others hold it for longer than the connection's ``lock_timeout``.
    """
    # The advisory lock also covers a layer that is not there yet: two first publishes take turns.
    key = sa.func.hashtextextended(layer_id, 0)
    try:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
    except OperationalError as error:
        if not waited_too_long(error):
            raise
        raise LayerBusy(
            f"somebody else is publishing to layer {layer_id!r} and has not finished; nothing was "
            "written, try again when they have"
        ) from error
    return find_layer(connection, layer_id)


def set_visibility(connection: Connection, layer_id: str, visibility: Visibility) -> None:
    """Set who may see a layer at all."""
    where = tables.layer.c.id == layer_id
    connection.execute(sa.update(tables.layer).where(where).values(visibility=visibility.value))


def set_belongings(
    connection: Connection, layer_id: str, changes: Mapping[str, str | bool | None]
) -> None:
    """Set whose a layer is (``department``), and whether it waits for a reviewer (``pending``)."""
    where = tables.layer.c.id == layer_id
    connection.execute(sa.update(tables.layer).where(where).values(changes))


def set_titles(connection: Connection, record: Layer, changes: Mapping[str, Any]) -> None:
    """Replace what a layer's newest schema says beside its data; None takes it away."""
    changed = schema_document(record.schema) | dict(changes)
    document = {k: v for k, v in changed.items() if v is not None}
    parse_schema(document)
    newest = sa.select(sa.func.max(tables.layer_schema.c.since_revision)).where(
        tables.layer_schema.c.layer_id == record.id
    )
    connection.execute(
        sa.update(tables.layer_schema)
        .where(
            tables.layer_schema.c.layer_id == record.id,
            tables.layer_schema.c.since_revision == newest.scalar_subquery(),
        )
        .values(document=document)
    )


def read_revisions(
    connection: Connection, record: Layer, first: int = 1, last: int = OPEN_REVISION
) -> list[Revision]:
    """Return the revisions of a layer between two numbers, newest first."""
    bounds = {"layer_id": record.id, "first": first, "last": last}
    return [_revision(row) for row in connection.execute(statement("revisions"), bounds)]


def read_log(
    connection: Connection,
    layer_ids: Sequence[str],
    document: str | None,
    limit: int | None,
    *,
    commit: int | None = None,
    before: int | None = None,
) -> list[Revision]:
    """Return the revisions of some layers, newest first.

    Parameters
    ----------
    document : str, optional
        Only of commits behind which it stands.
    commit, before : int, optional
        Only of one commit, or of those before one.
    """
    bounds = {"layer_ids": list(layer_ids), "document": document, "limit": limit}
    bounds |= {"commit": commit, "before": before}
    return [_revision(row) for row in connection.execute(statement("log"), bounds)]


def read_revision(connection: Connection, record: Layer, number: int) -> Revision:
    """Return one revision.

    Raises
    ------
    UnknownRevision
        Where the layer has no such revision.
    """
    found = read_revisions(connection, record, number, number)
    if not found:
        raise UnknownRevision(f"{record.id} has revisions 1 to {record.head}, not {number}")
    return found[0]


def revision_recorded_by(connection: Connection, record: Layer, recorded: datetime) -> int:
    """Return the newest revision recorded by an instant; 0 where none was."""
    bounds = {"layer_id": record.id, "recorded": recorded}
    number: int | None = connection.scalar(statement("revision_recorded_by"), bounds)
    return number or 0


def _layer(row: Row[Any]) -> Layer:
    schemas = _schemas(orjson.dumps(row.schemas, option=orjson.OPT_SORT_KEYS))
    newest = schemas[-1][1]
    visibility = Visibility(row.visibility)
    own = (row.department, row.pending)
    return Layer(row.id, newest, row.head, row.recorded_at, visibility, schemas, *own)


# Kept: the same Schema objects again let the tables made of them be found again.
@lru_cache(maxsize=1024)
def _schemas(documents: bytes) -> tuple[tuple[int, Schema], ...]:
    return tuple((since, parse_schema(document)) for since, document in orjson.loads(documents))


def _revision(row: Row[Any]) -> Revision:
    commit = Commit(
        id=row.id,
        recorded_at=row.recorded_at,
        author=row.author,
        message=row.message,
        document=row.document_id,
        simulated=row.simulated,
        provenance=row.provenance,
    )
    counts = (row.n_live, row.n_created, row.n_changed, row.n_retired)
    return Revision(row.layer_id, row.number, commit, *counts, row.report)
