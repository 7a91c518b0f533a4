"""A revision undone: what it changed is again as it was before, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers import descent
from layers.descent import Links
from layers.editing import restating
from layers.edits import Revert
from layers.errors import RevertConflict
from layers.model import Layer, Schema
from layers.reading.moments import touched_between
from layers.reading.timelines import Span, Timeline, Values, side_by_side
from layers.report import Findings, Report
from layers.tables import tables_of
from layers.writing.plans import Planned, count

_CHUNK = 5000
_NAMED = 10


def plan(connection: Connection, record: Layer, revert: Revert, now: datetime) -> Planned:
    """Work out what undoes a revision; the layer must be locked.

    Raises
    ------
    RevertConflict
        Where later revisions touched the same features, unless that is told to be well.
    """
    revision = revert.revision
    if not revert.force:
        _refuse_later(connection, record, revision)
    restatement = restating.begin(connection, record)
    for ids in _chunks(connection, record, revision):
        restating.restate(connection, restatement, _undone(connection, record, revision, ids))
    families = restating.plan(connection, restatement)
    report = Report(record.id, f"revert of revision {revision}", Findings())
    report.findings.rows_read = restatement.features
    count(connection, families, report)
    links = descent.changed_at(connection, record, revision)
    back = Links(descent.unknown(connection, record, links.taken_back), links.told)
    return Planned(record, report, now, families, back, _schema_before(record, revision))


def touched(connection: Connection, record: Layer, revision: int) -> list[str]:
    """Return the features of which a revision wrote anything."""
    return [key for ids in _chunks(connection, record, revision) for key in ids]


def _refuse_later(connection: Connection, record: Layer, revision: int) -> None:
    families = tables_of(record).families
    then = touched_between(families, revision - 1, revision).subquery("then")
    since = touched_between(families, revision, record.head).subquery("since")
    both = sa.select(then.c._fid).join(since, since.c._fid == then.c._fid).order_by(then.c._fid)
    ids = connection.scalars(both.limit(_NAMED + 1)).all()
    if ids:
        more = " and others" if len(ids) > _NAMED else ""
        raise RevertConflict(
            f"later revisions of {record.id} touched what revision {revision} changed: "
            f"{', '.join(map(repr, ids[:_NAMED]))}{more}; revert those first, or force it"
        )


def _chunks(connection: Connection, record: Layer, revision: int) -> Iterator[list[str]]:
    found = touched_between(tables_of(record).families, revision - 1, revision).subquery("found")
    # The ids alone are kept: what the features were is read chunk by chunk.
    ids = list(connection.scalars(sa.select(found.c._fid).order_by(found.c._fid)))
    for first in range(0, len(ids), _CHUNK):
        yield ids[first : first + _CHUNK]


def _undone(
    connection: Connection, record: Layer, revision: int, ids: list[str]
) -> Iterator[tuple[str, Timeline, Timeline]]:
    before, after, now = (
        restating.read_timelines(connection, record, ids, r) for r in (revision - 1, revision, None)
    )
    for key in ids:
        lines = [t.get(key, ()) for t in (before, after, now)]
        spans = (
            Span(start, end, values)
            for start, end, (b, a, n) in side_by_side(*lines)
            if (values := _without_change(b, a, n)) is not None
        )
        yield key, lines[2], tuple(spans)


def _without_change(before: Values | None, after: Values | None, now: Values | None) -> Any:
    """What is so now, less the step from before to after."""
    if before == after:
        return now
    if before is None or after is None or now is None:
        # Its coming or going is undone; what is gone since is not called back for a field.
        return before if before is None or after is None else now
    undone: Mapping[str, Any] = {n: v for n, v in before.items() if v != after[n]}
    return {**now, **undone}


def is_of_schema(record: Layer, revision: int) -> bool:
    """Return whether a revision gave the layer another schema, which its revert takes back."""
    return revision > 1 and revision in (since for since, _ in record.schemas)


def _schema_before(record: Layer, revision: int) -> Schema | None:
    since = [s for s, _ in record.schemas]
    if not is_of_schema(record, revision):
        return None
    if since[-1] != revision:
        raise RevertConflict(
            f"the schema of {record.id} has changed again since revision {revision}; "
            f"revert revision {since[-1]} first"
        )
    return record.schemas[-2][1]
