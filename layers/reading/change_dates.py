"""When anything changed: in the world (versions begin and end), and in what was known of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from layers.model import OPEN_REVISION, Layer
from layers.readers import Reader
from layers.reading.boxes import meets_box
from layers.reading.features import Query
from layers.reading.sights import Eye
from layers.tables import FOREVER, INSTANT, commit, revision, tables_of
from spatial.periods import Interval


def select_instants(
    features: sa.Select[Any], within: Interval, after: datetime | None, limit: int
) -> sa.Select[Any]:
    """Return the select of the instants at which some versions begin or end, each once, in order.

    Parameters
    ----------
    features : Select
        Every version of every time, as `layers.reading.features.select_features` puts it together.
    within : Interval
        Closed.
    after : datetime, optional
        Only those after it.
    """
    c = features.subquery("features").c
    both = sa.union(*(_bounded(at, within, after) for at in (c._valid_from, c._valid_to)))
    instants = both.subquery("instants").c
    return sa.select(instants.at).order_by(instants.at).limit(limit)


def select_revisions(
    record: Layer, reader: Reader, last: int, query: Query
) -> sa.CompoundSelect[Any]:
    """Return the select of the revisions, up to the last, that wrote anything in a box.

    As far as the reader sees it; of fields that are restricted nothing is said.
    """
    parts: list[sa.Select[Any]] = []
    then = record.as_of(last)
    family = tables_of(then).open
    eye = Eye(then, reader.sight(then))
    for table in (family.live, family.history):
        c = table.c
        seen = eye.rows(c, c._valid_to)
        if query.bbox is not None:
            seen.append(meets_box(c._geom, then, query.bbox, query.bbox_crs))
        # An end that lies outside the time that is seen is no news in it.
        ended = eye.end(c._valid_to) < eye.end(FOREVER)
        for number, known in ((c._rev_from, sa.true()), (c._rev_closed, ended), (c._rev_to, None)):
            told = [number <= last, number < OPEN_REVISION, *seen]
            if known is not None:
                told.append(known)
            parts.append(sa.select(number.label("number")).where(*told))
    return sa.union(*parts)


def select_recordings(
    record: Layer, numbers: sa.CompoundSelect[Any], within: Interval, after: int, limit: int
) -> sa.Select[Any]:
    """Return the select of some revisions with their recorded times, in order, after one."""
    wanted = sa.select(numbers.subquery("numbers").c.number)
    conditions: list[sa.ColumnElement[bool]] = [
        revision.c.layer_id == record.id,
        revision.c.number > after,
        revision.c.number.in_(wanted),
    ]
    at = commit.c.recorded_at
    if within.start is not None:
        conditions.append(at >= within.start)
    if within.end is not None:
        conditions.append(at <= within.end)
    joined = sa.select(revision.c.number, at).join(commit, commit.c.id == revision.c.commit_id)
    return joined.where(*conditions).order_by(revision.c.number).limit(limit)


def _bounded(at: Any, within: Interval, after: datetime | None) -> sa.Select[Any]:
    conditions = [at < FOREVER]
    if within.start is not None:
        conditions.append(at >= sa.literal(within.start, INSTANT))
    if within.end is not None:
        conditions.append(at <= sa.literal(within.end, INSTANT))
    if after is not None:
        conditions.append(at > sa.literal(after, INSTANT))
    return sa.select(at.label("at")).where(*conditions)
