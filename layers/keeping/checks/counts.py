"""Whether the log's counts are what the versions say, revision by revision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TSTZMULTIRANGE
from sqlalchemy.engine import Connection, Row

from layers.keeping.checks.versions import end_at
from layers.keeping.faults import Fault
from layers.model import OPEN_REVISION, Layer
from layers.sameness import content_hash
from layers.tables import FOREVER, INSTANT, Family, tables_of

_WRONG = "restore a backup that verifies"


def check_live(connection: Connection, record: Layer, log: Sequence[Row[Any]]) -> Iterator[Fault]:
    """Check how many features were there at each revision, when it was recorded.

    Each row is there in one run of revisions, because recorded times increase: one pass counts
    for all of them.
    """
    steps = [0] * (len(log) + 2)
    for table in (tables_of(record).open.live, tables_of(record).open.history):
        for edge in connection.execute(_edges(table, [row.recorded_at for row in log])):
            steps[min(edge.first, len(log) + 1)] += edge.count
            steps[min(edge.after, len(log) + 1)] -= edge.count
    for row, n_live in zip(log, list(accumulate(steps))[1:], strict=False):
        if row.n_live != n_live:
            told = f"the log has {row.n_live} features there, the versions {n_live}; {_WRONG}"
            yield Fault(record.id, "counts", f"revision {row.number}", told)


def _edges(table: sa.Table, recorded: list[Any]) -> sa.Select[Any]:
    """The first revision at which rows are there, and the first at which they are not, counted."""
    c = table.c
    times = sa.literal(recorded, sa.ARRAY(INSTANT))

    def reached(instant: Any) -> Any:
        """The first revision that was recorded at an instant or later."""
        before = instant - sa.text("interval '1 microsecond'")
        return sa.func.width_bucket(before, times, type_=sa.Integer) + 1

    first = sa.func.greatest(c._rev_from, reached(c._valid_from))
    over = sa.func.greatest(c._rev_closed, reached(c._valid_to))
    runs = sa.select(first.label("first"), sa.func.least(c._rev_to, over).label("after"))
    r = runs.subquery("runs").c
    count = sa.func.count().label("count")
    return sa.select(r.first, r.after, count).where(r.first < r.after).group_by(r.first, r.after)


def check_counts(connection: Connection, record: Layer, log: Sequence[Row[Any]]) -> Iterator[Fault]:
    """Check how many features each revision created, changed and retired."""
    since = [number for number, _ in record.schemas]
    found: dict[int, Row[Any]] = {}
    # What differs is told in the fields of the schema that was in force.
    for first, last in zip(since, (*(n - 1 for n in since[1:]), OPEN_REVISION - 1), strict=True):
        family = tables_of(record.as_of(first)).open
        rows = connection.execute(_counted(family, first, last))
        found |= {row.revision: row for row in rows}
    for row in log:
        logged = (row.n_created, row.n_changed, row.n_retired)
        possible = _possible(found.get(row.number))
        if logged not in possible:
            told = f"the log has {_told(logged)}, the versions {_told(possible[0])}; {_WRONG}"
            yield Fault(record.id, "counts", f"revision {row.number}", told)


def _possible(row: Row[Any] | None) -> tuple[tuple[int, int, int], ...]:
    """The counts as they are, and as release 0.1 had them: it took what came back for new."""
    if row is None:
        return ((0, 0, 0),)
    return (
        (row.created, row.changed + row.back, row.retired),
        (row.created + row.back, row.changed, row.retired),
    )


def _told(counts: tuple[int, int, int]) -> str:
    return "{} created, {} changed, {} retired".format(*counts)


def _counted(family: Family, first: int, last: int) -> sa.Select[Any]:
    """Features of some revisions, by what those did to them.

    Only rows that a revision began, ended or ceased to believe can tell: what it left alone is
    the same before and after, and nothing else is believed of those periods.
    """
    sides = _sides(family, first, last).subquery("sides").c
    nothing: Any = sa.literal("{}", TSTZMULTIRANGE)
    periods = sa.func.range_agg(sides.period)
    contents = (
        sa.select(
            sides.revision,
            sides.fid,
            sa.func.coalesce(periods.filter(sa.not_(sides.after)), nothing).label("was"),
            sa.func.coalesce(periods.filter(sides.after), nothing).label("becomes"),
        )
        .group_by(sides.revision, sides.fid, sides.content)
        .subquery("contents")
        .c
    )
    was, becomes = sa.func.range_agg(contents.was), sa.func.range_agg(contents.becomes)
    features = (
        sa.select(
            contents.revision,
            contents.fid,
            sa.func.bool_or(_some(contents.becomes, contents.was)).label("stays"),
            _some(was, becomes).label("goes"),
            sa.not_(sa.func.isempty(was)).label("touched"),
        )
        .group_by(contents.revision, contents.fid)
        .subquery("features")
    )
    return _by_revision(family, features)


def _by_revision(family: Family, features: sa.Subquery) -> sa.Select[Any]:
    f = features.c
    known = sa.or_(f.touched, sa.and_(f.revision > 1, _believed_before(family, f)))
    told = sa.select(f.revision, f.stays, f.goes, f.touched, known.label("known")).subquery("told")
    t, count = told.c, sa.func.count()
    return sa.select(
        t.revision,
        count.filter(t.stays, sa.not_(t.known)).label("created"),
        count.filter(t.stays, t.touched).label("changed"),
        count.filter(t.stays, t.known, sa.not_(t.touched)).label("back"),
        count.filter(sa.not_(t.stays), t.goes).label("retired"),
    ).group_by(t.revision)


def _believed_before(family: Family, feature: Any) -> sa.ColumnElement[bool]:
    return sa.or_(
        *(
            sa.exists().where(
                t.c._fid == feature.fid,
                t.c._rev_from < feature.revision,
                t.c._rev_to >= feature.revision,
            )
            for t in (family.live, family.history)
        )
    )


def _some(these: Any, without: Any) -> Any:
    return sa.not_(sa.func.isempty(these.op("-")(without)))


def _sides(family: Family, first: int, last: int) -> sa.CompoundSelect[Any]:
    """The periods of rows before and after each revision that did something to them."""
    parts = []
    for table in (family.live, family.history):
        c = table.c
        begun = (c._rev_from, sa.true(), end_at(c, c._rev_from))
        was_open = (c._rev_closed, sa.false(), FOREVER)
        closed = (c._rev_closed, sa.true(), c._valid_to)
        # A row that ceases was believed until then with the end that was known.
        ceased = (c._rev_to, sa.false(), end_at(c, c._rev_to - 1))
        ends = sa.and_(c._rev_closed > c._rev_from, c._rev_closed < c._rev_to)
        for (revision, after, end), where in (
            (begun, sa.true()),
            (was_open, ends),
            (closed, ends),
            (ceased, c._rev_to < OPEN_REVISION),
        ):
            parts.append(
                sa.select(
                    revision.label("revision"),
                    c._fid.label("fid"),
                    content_hash(family, c).label("content"),
                    sa.func.tstzrange(c._valid_from, end).label("period"),
                    after.label("after"),
                ).where(where, revision.between(first, last))
            )
    return sa.union_all(*parts)
