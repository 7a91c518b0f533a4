"""Whether what belongs to a feature has one: restricted values, lineage, erasures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TSTZMULTIRANGE
from sqlalchemy.engine import Connection

from layers.keeping.checks.versions import both_tables, end_at, named, place, stream
from layers.keeping.faults import Fault
from layers.model import OPEN_REVISION, Layer
from layers.tables import LayerTables, commit, erasure, lineage, revision

_NAMES = ("_fid", "_rev_from", "_rev_to", "_rev_closed", "_valid_from", "_valid_to")
_RESTORE = "restore a backup that verifies"


def check_restricted(connection: Connection, record: Layer, tables: LayerTables) -> Iterator[Fault]:
    """Check that restricted values are believed only of instants at which the feature is there."""
    if tables.restricted is None:
        return
    told = "restricted values of a time at which the feature is not there"
    for row in stream(connection, _outside(tables)):
        where = f"restricted_live.{record.id} {row.fid!r} revision {row.revision}"
        yield Fault(record.id, "orphan", where, f"{told}; {_RESTORE}")


def _outside(tables: LayerTables) -> sa.Select[Any]:
    """The features whose restricted periods are not within the open ones, and since when.

    Most restricted rows lie within one open row; only the features of the others are looked at
    revision by revision.
    """
    assert tables.restricted is not None  # noqa: S101 - the caller has looked
    secret = both_tables(tables.restricted, _NAMES).cte("secret")
    shown = (
        both_tables(tables.open, _NAMES)
        .cte("shown")
        .prefix_with("NOT MATERIALIZED", dialect="postgresql")
    )
    s = secret.c
    suspects = sa.select(s._fid).where(
        *(
            sa.not_(sa.exists().where(*_within(s, t.c)))
            for t in (tables.open.live, tables.open.history)
        )
    )
    suspect = suspects.distinct().cte("suspect")
    parts = [
        sa.select(*t.c, sa.literal(hidden).label("hidden")).join(
            suspect, suspect.c._fid == t.c._fid
        )
        for t, hidden in ((secret, True), (shown, False))
    ]
    rows = sa.union_all(*parts).cte("rows")
    return _first_outside(rows)


def _within(inner: Any, outer: Any) -> tuple[sa.ColumnElement[bool], ...]:
    """The conditions that a row lies within another at each revision that believes it."""
    lasts = sa.or_(
        outer._rev_closed >= inner._rev_to,
        sa.and_(outer._rev_closed >= inner._rev_closed, outer._valid_to >= inner._valid_to),
    )
    return (
        outer._fid == inner._fid,
        outer._rev_from <= inner._rev_from,
        outer._rev_to >= inner._rev_to,
        outer._valid_from <= inner._valid_from,
        lasts,
    )


def _first_outside(rows: sa.CTE) -> sa.Select[Any]:
    r = rows.c
    edges = sa.union(
        *(sa.select(r._fid, n.label("n")) for n in (r._rev_from, r._rev_closed, r._rev_to))
    ).subquery("edges")
    e = edges.c
    believed = sa.and_(r._fid == e._fid, r._rev_from <= e.n, r._rev_to > e.n)
    periods = sa.func.range_agg(sa.func.tstzrange(r._valid_from, end_at(r, e.n)))
    nothing: Any = sa.literal("{}", TSTZMULTIRANGE)
    hidden = sa.func.coalesce(periods.filter(r.hidden), nothing)
    shown = sa.func.coalesce(periods.filter(sa.not_(r.hidden)), nothing)
    outside = (
        sa.select(e._fid.label("fid"), e.n.label("n"))
        .join_from(edges, rows, believed)
        .where(e.n < OPEN_REVISION)
        .group_by(e._fid, e.n)
        .having(sa.not_(hidden.op("<@")(shown)))
        .subquery("outside")
    )
    first = sa.func.min(outside.c.n).label("revision")
    return sa.select(outside.c.fid, first).group_by(outside.c.fid).order_by(outside.c.fid)


def check_lineage(connection: Connection, record: Layer, tables: LayerTables) -> Iterator[Fault]:
    """Check that lineage is of features that were there once, and of revisions that there are."""
    c = lineage.c
    of_layer = c.layer_id == record.id
    links = sa.select(c.ancestor, c.descendant, c.rev_from)
    for side in (c.ancestor, c.descendant):
        for row in stream(connection, links.where(of_layer, _never_was(tables, side))):
            where = f"{row.ancestor!r} to {row.descendant!r} revision {row.rev_from}"
            told = f"there never was a feature {getattr(row, side.name)!r}; {_RESTORE}"
            yield Fault(record.id, "lineage", where, told)
    wrong = sa.or_(
        sa.not_(c.rev_from.between(1, record.head)),
        c.rev_to <= c.rev_from,
        sa.and_(c.rev_to != OPEN_REVISION, c.rev_to > record.head),
    )
    for row in stream(connection, links.where(of_layer, wrong)):
        where = f"{row.ancestor!r} to {row.descendant!r} revision {row.rev_from}"
        told = f"told or taken back by a revision that there is not; {_RESTORE}"
        yield Fault(record.id, "lineage", where, told)


def _never_was(tables: LayerTables, feature: Any) -> sa.ColumnElement[bool]:
    pair = (tables.open.live, tables.open.history)
    return sa.and_(*(sa.not_(sa.exists().where(t.c._fid == feature)) for t in pair))


def check_erasures(connection: Connection, record: Layer, tables: LayerTables) -> Iterator[Fault]:
    """Check that erasures are of features that were there, and that what they name is gone."""
    c = erasure.c
    of_layer = c.layer_id == record.id
    unknown = sa.select(c.feature).where(of_layer, _never_was(tables, c.feature)).distinct()
    for row in stream(connection, unknown):
        told = f"an erasure of a feature that never was; {_RESTORE}"
        yield Fault(record.id, "erasures", repr(row.feature), told)
    if tables.restricted is None:
        return
    for table in (tables.restricted.live, tables.restricted.history):
        t, r = table.c, revision.c
        begun = table.join(revision, sa.and_(r.layer_id == record.id, r.number == t._rev_from))
        erased = sa.exists().where(
            of_layer, c.feature == t._fid, c.erased_at >= commit.c.recorded_at
        )
        rows = sa.select(*named(table)).where(erased)
        for row in stream(connection, rows.select_from(begun.join(commit))):
            told = "was erased, and is still there; run shikong erase again"
            yield Fault(record.id, "erased", place(table, row), told)
