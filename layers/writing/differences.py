"""What a plan creates, changes and retires, as outlines for a picture, and where its rows lie."""

from __future__ import annotations

from typing import Any

import shapely
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.engine import Connection

from layers.beliefs import believed
from layers.report import Fault, Findings, Report
from layers.writing.staging import Stage
from layers.writing.versions import Assertions

# Of each kind so many features; those of more corners are drawn by their boxes.
DRAWN = 2000
_CORNERS = 200


def draw(connection: Connection, stage: Stage, plan: Assertions, report: Report) -> None:
    """Enter in a report the outlines of what differs."""
    drawn: list[tuple[str, shapely.Geometry]] = []
    for kind, query in _queries(stage, plan).items():
        drawn += [(kind, shapely.from_wkb(wkb)) for wkb in connection.scalars(query) if wkb]
    report.difference = tuple(drawn)


def _queries(stage: Stage, plan: Assertions) -> dict[str, sa.Select[Any]]:
    raw = stage.raw.c
    if stage.fresh:
        return {"created": sa.select(_outline(raw._geom)).order_by(raw._row).limit(DRAWN)}
    wanted = plan.wanted.c
    was = believed(plan.family, ("_fid",)).subquery("was")
    known: Any = sa.false()
    if stage.record.head:
        known = sa.exists().where(was.c._fid == wanted._fid)
    stated = sa.select(_outline(raw._geom)).join(plan.wanted, wanted._row == raw._row)
    stated = stated.where(sa.not_(wanted._void)).order_by(raw._row).limit(DRAWN)
    found = {"created": stated.where(sa.not_(known)), "changed": stated.where(known)}
    if not stage.record.head:
        return {"created": stated}
    had = believed(plan.family, ("_fid", "_geom", "_valid_from", "_valid_to")).subquery("had")
    void = sa.select(wanted._fid).group_by(wanted._fid).having(sa.func.bool_and(wanted._void))
    # A feature is drawn once, as it was last.
    last = (
        sa.select(_outline(had.c._geom))
        .where(had.c._fid.in_(void))
        .ext(distinct_on(had.c._fid))
        .order_by(had.c._fid, had.c._valid_from.desc())
        .limit(DRAWN)
    )
    return found | {"retired": last}


def _outline(column: Any) -> sa.ColumnElement[bytes]:
    small = sa.func.ST_NPoints(column) <= _CORNERS
    drawn = sa.case((small, sa.func.ST_Force2D(column)), else_=sa.func.ST_Envelope(column))
    outline: sa.ColumnElement[bytes] = sa.func.ST_AsBinary(drawn)
    return outline


def place_rows(connection: Connection, stage: Stage, found: Findings) -> None:
    """Enter the rows named as repaired, or without geometry or key, among the faults."""
    told = {
        "repaired": found.repaired,
        "without-geometry": found.without_geometry,
        "without-key": found.without_key,
    }
    numbers = sorted({row for rows in told.values() for row, _ in rows.named})
    if not numbers:
        return
    raw = stage.raw.c
    asked = sa.func.any(sa.literal(numbers, sa.ARRAY(sa.BigInteger)))
    query = sa.select(raw._row, sa.func.ST_AsBinary(raw._geom)).where(raw._row == asked)
    shapes = {row: shapely.from_wkb(wkb) for row, wkb in connection.execute(query) if wkb}
    for name, rows in told.items():
        found.faults += [
            Fault(name, row, cause, place=shapes.get(row)) for row, cause in rows.named
        ]
