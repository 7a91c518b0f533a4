"""Staged rows whose code is not valid at their time: refused, left out or said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers.beliefs import believed
from layers.model import Field, FieldType, Kind, Outcome
from layers.report import Broken, Findings
from layers.rows.validity import Period, explain, limited_fields, remedy, rule_of
from layers.tables import INSTANT
from layers.writing.staging import Stage, some

FAULT = "outdated-code"
_ROWS = sa.ARRAY(sa.BigInteger)


def check_codes(connection: Connection, stage: Stage, findings: Findings) -> tuple[str, ...]:
    """Find rows whose code is not valid at their time, and do with them what the field says.

    What the layer believes already of the same feature and time is no fault: it may be said again.

    Returns
    -------
    tuple of str
        The features of rows that were left out, so that they are not taken for gone.
    """
    out: set[int] = set()
    for f, periods in limited_fields(stage.schema):
        found = connection.execute(_faults(stage, f, periods)).all()
        if not found:
            continue
        broken = Broken(rule_of(f), FAULT, f.outdated.value)
        for row, code, when in found:
            broken.rows.add(row, explain(f, code, when, stage.schema))
        findings.broken.append(broken)
        rows = [row for row, _, _ in found]
        if f.outdated is Outcome.ROW:
            out.update(rows)
        elif f.outdated is Outcome.REFUSE:
            findings.refusals.append(
                f"{len(rows)} rows have a code that is not valid at their time: rows {some(rows)}; "
                f"the first: {broken.rows.named[0][1]}; {remedy(stage.schema, f, stage.record.id)}"
            )
    if not out:
        return ()
    findings.rows_refused += len(out)
    raw = stage.raw
    gone = sa.delete(raw).where(raw.c._row == sa.func.any(sa.literal(sorted(out), _ROWS)))
    return tuple(connection.scalars(gone.returning(raw.c._key)))


def _faults(
    stage: Stage, f: Field, periods: Mapping[str, Sequence[Period]]
) -> sa.Select[tuple[int, str, Any]]:
    raw = stage.raw.c
    code, when = sa.cast(raw[f.id], sa.Text), _when(stage)
    listed = [(c, start, end) for c, all_of in periods.items() for start, end in all_of]
    codes, starts, ends = (list(column) for column in zip(*listed, strict=True))
    p = (
        sa.func.unnest(
            sa.literal(codes, sa.ARRAY(sa.Text)),
            sa.literal(starts, sa.ARRAY(INSTANT)),
            sa.literal(ends, sa.ARRAY(INSTANT)),
        )
        .table_valued(
            sa.column("code", sa.Text), sa.column("start", INSTANT), sa.column("until", INSTANT)
        )
        .render_derived()
    )
    known = sa.literal(sorted(periods), sa.ARRAY(sa.Text))
    holds = sa.exists().where(
        p.c.code == code,
        sa.or_(p.c.start.is_(None), p.c.start <= when),
        sa.or_(p.c.until.is_(None), p.c.until > when),
    )
    query = sa.select(raw._row, code, when).where(code == sa.func.any(known), sa.not_(holds))
    if stage.record.head:
        query = query.where(sa.not_(_is_known(stage, f)))
    return query.order_by(raw._row)


def _is_known(stage: Stage, f: Field) -> sa.ColumnElement[bool]:
    """Whether the layer believes that the row's feature has its code at its start."""
    raw, tables = stage.raw.c, stage.tables
    family = tables.restricted if f.is_restricted and tables.restricted else tables.open
    was = believed(family, ("_fid", "_valid_from", "_valid_to", f.id)).subquery("was")
    return sa.exists().where(
        was.c._fid == raw._key,
        was.c[f.id] == raw[f.id],
        was.c._valid_from <= raw._s,
        was.c._valid_to > raw._s,
    )


def _when(stage: Stage) -> sa.ColumnElement[Any]:
    raw, schema = stage.raw.c, stage.schema
    if schema.kind is not Kind.EVENT:
        return raw._s
    start = schema.event_start()
    reported: Any = raw[start.id]
    if start.type is FieldType.DATE:
        reported = sa.func.timezone(schema.time_zone, sa.cast(reported, sa.TIMESTAMP))
    return sa.func.coalesce(reported, raw._s)
