"""Whether the tables stand as the catalogue says: each of a layer's, and no others."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection

from layers.database import statement
from layers.keeping.faults import Fault
from layers.model import Layer
from layers.tables import CATALOGUE, LAYER_SCHEMAS, metadata, tables_of

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_OWN = {"alembic_version", *(table.name for table in metadata.tables.values())}
_STRAY = "no layer has it; look what is in it, and drop it"


def check_tables(
    connection: Connection, layers: Iterable[Layer], unreadable: Collection[str]
) -> Iterator[Fault]:
    """Check that every table is there, and nothing beside them in the platform's schemas.

    Of a layer whose schemas can't be read nobody knows which tables it has.
    """
    schemas = {"schemas": [CATALOGUE, *LAYER_SCHEMAS]}
    rows = connection.execute(statement("checks/relations"), schemas)
    found = {(row.schema, row.name) for row in rows}
    wanted = {(CATALOGUE, name): "" for name in _OWN}
    wanted |= {(t.schema or "", t.name): r.id for r in layers for t in layer_relations(r)}
    for schema, name in sorted(wanted.keys() - found):
        told = "the table is missing; restore a backup"
        yield Fault(wanted[schema, name], "tables", f"{schema}.{name}", told)
    for schema, name in sorted(found - wanted.keys()):
        if name not in unreadable:
            yield Fault("", "strays", f"{schema}.{name}", _STRAY)
    for name in connection.scalars(statement("checks/stages")):
        told = "a publish left it behind; end the session that holds it"
        yield Fault("", "strays", f"pg_temp.{name}", told)


def layer_relations(record: Layer) -> list[sa.Table]:
    """Return the tables of a layer, the open ones first."""
    return [t for family in tables_of(record).families for t in (family.live, family.history)]


def check_layer(connection: Connection, record: Layer) -> Iterator[Fault]:
    """Check a layer's columns, constraints and indexes, as far as its tables are there."""
    bounds = {"schemas": list(LAYER_SCHEMAS), "layer_id": record.id}
    columns, constraints, indexes = (
        connection.execute(statement(f"checks/{name}"), bounds).all()
        for name in ("columns", "constraints", "indexes")
    )
    for table in layer_relations(record):
        where = f"{table.schema}.{table.name}"
        here = {r.name: (r.type.lower(), r.required) for r in columns if r.schema == table.schema}
        if not here:
            continue
        yield from _check_columns(record.id, where, table, here)
        held = {_plain(r.definition) for r in constraints if r.schema == table.schema}
        for text in sorted(_conditions(table)):
            if _plain(f"CHECK ({text})") not in held:
                told = f"nothing holds the rows to {text}; add the CHECK constraint again"
                yield Fault(record.id, "constraints", where, told)
        usable = {(r.name, r.is_unique) for r in indexes if r.schema == table.schema}
        for index in sorted(table.indexes, key=lambda i: str(i.name)):
            if (index.name, index.unique) not in usable:
                told = f"index {index.name} is missing or broken; restore a backup, or make it anew"
                yield Fault(record.id, "indexes", where, told)


def _check_columns(
    layer_id: str, where: str, table: sa.Table, here: dict[str, tuple[str, bool]]
) -> Iterator[Fault]:
    wanted = {c.name: (_type_name(c), not c.nullable) for c in table.c}
    for name in sorted(wanted.keys() - here.keys()):
        told = f"column {name} is missing; restore a backup"
        yield Fault(layer_id, "columns", where, told)
    for name in sorted(here.keys() - wanted.keys()):
        told = f"column {name} is in no schema of the layer; look what is in it, and drop it"
        yield Fault(layer_id, "columns", where, told)
    for name in sorted(wanted.keys() & here.keys()):
        if wanted[name] != here[name]:
            told = f"column {name} is {_told(here[name])}, not {_told(wanted[name])}"
            yield Fault(layer_id, "columns", where, f"{told}; restore a backup")


def _told(column: tuple[str, bool]) -> str:
    return f"{column[0]} not null" if column[1] else column[0]


def _type_name(column: sa.Column[Any]) -> str:
    return str(column.type.compile(_DIALECT)).lower()


def _conditions(table: sa.Table) -> set[str]:
    return {str(c.sqltext) for c in table.constraints if isinstance(c, sa.CheckConstraint)}


def _plain(definition: str) -> str:
    """A condition without what PostgreSQL adds in writing it: casts, brackets, spaces."""
    return re.sub(r"::[a-z ]+|[()\s]", "", definition).lower()
