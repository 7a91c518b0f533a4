"""Every invariant of a store, checked in one pass over one consistent moment of it.

What is checked, and what is not, is told in docs/decisions/0006-archives-and-verify.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from layers.access.audit import Head
from layers.database import Database, statement
from layers.errors import UnknownLayer
from layers.keeping.checks import (
    audit,
    belongings,
    catalogue,
    counts,
    rasters,
    relations,
    versions,
)
from layers.keeping.faults import Fault, abridged
from layers.model import Layer
from layers.tables import tables_of

Say = Callable[[str], None]
# Of a layer whose log or tables are broken, rows can't be judged.
_FUNDAMENTAL = ("revisions", "head", "recorded", "schemas", "tables", "columns")


def _silent(layer_id: str) -> None:
    """Progress that nobody watches."""


def verify(
    database: Database,
    say: Say = _silent,
    *,
    layers: Collection[str] = (),
    audit_head: Head | None = None,
) -> list[Fault]:
    """Return what is wrong with a store; nothing where all its invariants hold.

    Parameters
    ----------
    database : Database
        Of a store of this release; it is only read, and its writers are not held up.
    say : callable
        Told the id of each layer when its turn comes.
    layers : collection of str
        Only these, and nothing of the store as a whole; everything where empty.
    audit_head : Head, optional
        What the audit's head was once: nothing up to it may be gone.

    Returns
    -------
    list of Fault
        Of each check of each layer the first twenty, and how many more there are.

    Raises
    ------
    UnknownLayer
        Where one of `layers` is not there.

    Examples
    --------
    ::

        assert verify(store.database) == []
    """
    with database.inspect() as connection:
        # No page waits for this, and a whole layer takes longer than one may.
        connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        found = find_faults(connection, say, layers=layers, audit_head=audit_head)
        return list(abridged(found))


def find_faults(
    connection: Connection,
    say: Say = _silent,
    *,
    layers: Collection[str] = (),
    audit_head: Head | None = None,
) -> Iterator[Fault]:
    """Yield all that is wrong with a store, as a transaction sees it; see `verify`."""
    rows = connection.execute(statement("checks/layers")).all()
    _refuse_unknown(layers, [row.id for row in rows])
    found = {row.id: catalogue.check_readable(connection, row) for row in rows}
    records = [record for record, _ in found.values() if record is not None]
    unreadable = [layer_id for layer_id, (record, _) in found.items() if record is None]
    misplaced = list(relations.check_tables(connection, records, unreadable))
    if not layers:
        yield from catalogue.check_store(connection)
        yield from (f for f in misplaced if not f.layer)
    if not layers or audit_head is not None:
        yield from audit.check_audit(connection, audit_head)
    for row in rows:
        if not layers or row.id in layers:
            say(row.id)
            record, faults = found[row.id]
            own = [*faults, *(f for f in misplaced if f.layer == row.id)]
            yield from _layer_faults(connection, row, record, own)


def _layer_faults(
    connection: Connection, row: Row[Any], record: Layer | None, own: list[Fault]
) -> Iterator[Fault]:
    log = catalogue.read_log(connection, row.id)
    found = [*own, *catalogue.check_log(row, log), *catalogue.check_schemas(connection, row)]
    if record is not None:
        found += relations.check_layer(connection, record)
    yield from found
    broken = sorted({f.check for f in found if f.check in _FUNDAMENTAL})
    if broken:
        told = f"its versions were not checked, because of its {' and '.join(broken)}; mend those"
        yield Fault(row.id, "unchecked", "", told)
    elif record is not None:
        yield from _content_faults(connection, record, log)


def _content_faults(
    connection: Connection, record: Layer, log: Sequence[Row[Any]]
) -> Iterator[Fault]:
    tables = tables_of(record)
    assert record.recorded_at is not None  # noqa: S101 - its head is the newest revision's
    for family in tables.families:
        yield from versions.check_bounds(connection, record, family, record.recorded_at)
        yield from versions.check_overlaps(connection, record, family)
        yield from versions.check_hashes(connection, record, family)
    yield from counts.check_live(connection, record, log)
    yield from counts.check_counts(connection, record, log)
    yield from belongings.check_restricted(connection, record, tables)
    yield from belongings.check_lineage(connection, record, tables)
    yield from belongings.check_erasures(connection, record, tables)
    yield from rasters.check_rasters(connection, record, tables)


def _refuse_unknown(chosen: Collection[str], known: Sequence[str]) -> None:
    for layer_id in chosen:
        if layer_id not in known:
            raise UnknownLayer(
                f"no layer {layer_id!r}; there are: {', '.join(known) or 'none yet'}"
            )
