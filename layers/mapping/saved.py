"""Mappings kept with a layer: found again for a source of the same name and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from layers.errors import BadMapping
from layers.mapping.stated import Stated, check_mapping, parse_mapping
from layers.model import Schema
from layers.report import Mapped
from layers.rows.columns import match_names
from layers.tables import mapping
from layers.writers import Verb, Writer
from layers.writing.plans import Planned


class Columned(Protocol):
    """As much of a source as a mapping looks at."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def types(self) -> Mapping[str, pa.DataType]:
        """Its columns."""


def name_of(source: Columned) -> str:
    """Return the name under which a source's mapping is kept: its own, without a path.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> name_of(SimpleNamespace(name="city.zip/gis/roads.shp", types={}))
    'roads.shp'
    """
    return source.name.replace("\\", "/").rstrip("/").rpartition("/")[2] or source.name


def find(
    connection: Connection, layer_id: str, schema: Schema, source: Columned, stated: Stated
) -> Mapped:
    """Return how a source's columns become fields: as stated, or as kept, or by their names.

    Raises
    ------
    BadMapping
        Where what is stated can't be done, or a name is stated that nothing is kept under.
    """
    name, columns = stated.name or name_of(source), list(source.types)
    if stated.fields:
        return _mapped(name, schema, columns, stated, "stated")
    row = _newest(connection, layer_id, name)
    if row is None:
        if stated.name is not None:
            raise BadMapping(_nothing_kept(connection, layer_id, stated.name))
        return _mapped(name, schema, columns, stated, "names")
    if stated.name is None and set(row.document["columns"]) != set(columns):
        note = (
            f"the mapping kept for {name} was not used, because it is of other columns: "
            f"{', '.join(row.document['columns'])}; use it by --mapping {name}"
        )
        return _mapped(name, schema, columns, stated, "names", note=note)
    kept = parse_mapping({"fields": row.document["fields"]}, f"the mapping kept for {name}")
    told = {"author": row.author, "written_at": row.written_at}
    return _mapped(name, schema, columns, kept, "saved", **told)


def keep(connection: Connection, planned: Planned, writer: Writer, now: datetime) -> None:
    """Keep the mapping that was stated with a publish, where it is not in force already."""
    record, mapped = planned.record, planned.report.mapped
    if mapped is None or mapped.origin != "stated":
        return
    if not writer.may(record.id, record.department, Verb.PUBLISH):
        # Whoever may only edit does not say how others' sources are read.
        return
    document = {"columns": list(mapped.columns), "fields": dict(mapped.stated)}
    newest = _newest(connection, record.id, mapped.name)
    if newest is not None and newest.document == document:
        return
    row = {
        "layer_id": record.id,
        "name": mapped.name,
        "document": document,
        "author": writer.name,
        "written_at": now,
    }
    connection.execute(sa.insert(mapping).values(row))


def _mapped(
    name: str, schema: Schema, columns: Sequence[str], stated: Stated, origin: str, **told: Any
) -> Mapped:
    check_mapping(stated, schema, columns)
    own = {f: o.column for f, o in stated.fields.items() if o.column is not None}
    # A column that is said to be one field is not taken for another of its own name.
    claimed = set(own.values())
    free = [column for column in columns if column not in claimed]
    names = {f: c for f, c in match_names(schema, free).items() if f not in stated.fields}
    return Mapped(
        name,
        names | own,
        origin,
        constants={f: o.constant for f, o in stated.fields.items() if o.constant is not None},
        recoded={f: o.values for f, o in stated.fields.items() if o.values},
        stated={f: o.document() for f, o in stated.fields.items()},
        columns=tuple(columns),
        **told,
    )


def _newest(connection: Connection, layer_id: str, name: str) -> Row[Any] | None:
    c = mapping.c
    query = sa.select(mapping).where(c.layer_id == layer_id, c.name == name)
    return connection.execute(query.order_by(c.seq.desc()).limit(1)).first()


def _nothing_kept(connection: Connection, layer_id: str, name: str) -> str:
    c = mapping.c
    query = sa.select(c.name).where(c.layer_id == layer_id).distinct().order_by(c.name)
    names = ", ".join(connection.scalars(query)) or "none"
    return (
        f"--mapping {name}: no such file, and no mapping of {layer_id} is kept under that name "
        f"({names}); give a file, or say --map FIELD=COLUMN too to keep one under it"
    )
