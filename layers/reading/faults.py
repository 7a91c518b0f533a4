"""Faults that are kept with a revision, for whoever sees all that they may tell of."""

from __future__ import annotations

import dataclasses

from sqlalchemy.engine import Connection

from layers import catalog
from layers.database import statement
from layers.kept_faults import KeptFaults, read_faults
from layers.model import Layer, Rule
from layers.readers import Reader
from layers.reading.tallies import sees_all

# What a publish finds of rows by itself, whatever the rules.
_OF_ROWS = ("repaired", "without-geometry", "without-key")


def find_faults(
    connection: Connection, record: Layer, reader: Reader, number: int
) -> KeptFaults | None:
    """Return the faults that are kept with a revision; None where its reader may not know them.

    They have values and places of rows: whoever reads them sees every row and every field, the
    restricted ones too. Those of rules that look at another layer are for who sees all of that.
    """
    if not _knows_all(record, reader, number):
        return None
    bounds = {"layer_id": record.id, "number": number}
    kept = connection.scalar(statement("faults"), bounds)
    if kept is None:
        return None
    found = read_faults(kept)
    told = _open_rules(connection, record, reader, number) | set(_OF_ROWS)
    faults = tuple(fault for fault in found.faults if fault.rule in told)
    hidden = len(found.faults) - len(faults)
    return dataclasses.replace(found, faults=faults, count=found.count - hidden)


def _knows_all(record: Layer, reader: Reader, number: int) -> bool:
    """Whether nothing of a layer is hidden from a reader, neither now nor as it was then."""
    if not (reader.knows_internals(record) and sees_all(record, reader, number)):
        return False
    for then in (record, record.as_of(number)):
        sight, restricted = reader.sight(then), then.schema.restricted
        if len(sight.restricted(then.schema)) < len(restricted):
            return False
        if any(sight.where(f) for f in (*then.schema.stored, *restricted)):
            return False
        if len(sight.fields(then.schema)) < len(then.schema.stored):
            return False
    return True


def _open_rules(connection: Connection, record: Layer, reader: Reader, number: int) -> set[str]:
    """The rules that look at nothing beside the layer, or at what the reader sees all of."""
    rules: dict[str, list[Rule]] = {}
    for schema in (record.schema, record.as_of(number).schema):
        for rule in schema.rules:
            rules.setdefault(rule.id, []).append(rule)
    known: dict[str, bool] = {}
    for name in {rule.beside for same in rules.values() for rule in same} - {None}:
        other = None if name is None else catalog.find_layer(connection, name)
        known[name or ""] = (
            other is not None
            and reader.sees(other)
            and not other.schema.paused
            and _knows_all(other, reader, max(other.head, 1))
        )
    return {i for i, same in rules.items() if all(known.get(r.beside or "", True) for r in same)}
