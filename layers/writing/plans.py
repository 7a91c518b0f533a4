"""What a commit would write into one layer, worked out in full; and the writing of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers import catalog, descent, tables
from layers.descent import NO_LINKS, Links
from layers.model import Layer, Schema
from layers.report import Report
from layers.writers import Bounds
from layers.writing.versions import Assertions, count_changes, write_family


@dataclass(frozen=True)
class Planned:
    """One layer's part of a commit, not yet written.

    Attributes
    ----------
    record : Layer
        As it was when the commit locked it.
    families : tuple of Assertions
        What is to be written into the open and the restricted tables; empty where nothing is.
    links : Links
        Of splits and merges: to be told, and to be taken back.
    schema : Schema or None
        Takes effect with the revision.
    bounds : Bounds or None
        What its writer keeps to; None where nothing bounds them.
    """

    record: Layer
    report: Report
    now: datetime
    families: tuple[Assertions, ...] = ()
    links: Links = NO_LINKS
    schema: Schema | None = None
    bounds: Bounds | None = None

    @property
    def nothing_to_do(self) -> bool:
        """Whether the store says all of it already."""
        return self.report.nothing_to_do and not self.links and self.schema is None


def count(connection: Connection, families: tuple[Assertions, ...], report: Report) -> None:
    """Enter in a report what the assertions create, change and retire."""
    counts = count_changes(connection, families[0])
    report.created, report.changed, report.retired = counts.created, counts.changed, counts.retired
    if len(families) > 1:
        report.restricted_only = count_changes(connection, families[1]).total


def write(connection: Connection, planned: Planned) -> int:
    """Write a plan as the layer's next revision and return its number."""
    record, number = planned.record, planned.record.head + 1
    for family in planned.families:
        write_family(connection, family, number, planned.now)
    descent.write(connection, record, planned.links, number)
    if not record.head:
        catalog.index_layer(connection, record)
        # Later commits leave this to autovacuum, which is after the same thing.
        connection.execute(sa.text(f'ANALYZE live."{tables.check_layer_id(record.id)}"'))
    return number
