"""Whether the versions of a layer can be so: bounds, periods that do not overlap, hashes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers.keeping.faults import Fault
from layers.model import OPEN_REVISION, Layer
from layers.sameness import row_hash
from layers.tables import FOREVER, INSTANT, Family

STREAMED = 1000
_CLOSE = "restore a backup that verifies"


def check_bounds(
    connection: Connection, record: Layer, family: Family, recorded: datetime
) -> Iterator[Fault]:
    """Check each row's revisions and period, and that it stands where reads look for it."""
    for table in (family.live, family.history):
        wrong = _wrong(table, record.head, recorded)
        cause = sa.case(*((condition, sa.literal(text)) for text, condition in wrong.items()))
        rows = sa.select(*named(table), cause.label("cause")).where(sa.or_(*wrong.values()))
        for row in stream(connection, rows):
            yield Fault(record.id, "bounds", place(table, row), f"{row.cause}; {_CLOSE}")


def _wrong(table: sa.Table, head: int, recorded: datetime) -> dict[str, sa.ColumnElement[bool]]:
    c = table.c
    open_end = c._valid_to == FOREVER
    found: dict[str, sa.ColumnElement[bool]] = {
        "begins in a revision that there is not": sa.not_(c._rev_from.between(1, head)),
        "ceases in a revision that there is not": sa.and_(
            c._rev_to != OPEN_REVISION, sa.or_(c._rev_to <= c._rev_from, c._rev_to > head)
        ),
        "ends by a revision that there is not": sa.and_(
            c._rev_closed != OPEN_REVISION,
            sa.or_(c._rev_closed < c._rev_from, c._rev_closed > head),
        ),
        "its end became known when it was believed no more": sa.and_(
            c._rev_closed != OPEN_REVISION, c._rev_closed >= c._rev_to
        ),
        "is over before it begins": c._valid_from >= c._valid_to,
        "has an end without the revision that told it, or the other way round": open_end
        != (c._rev_closed == OPEN_REVISION),
    }
    believed = c._rev_to == OPEN_REVISION
    if table.schema in ("live", "restricted_live"):
        found["stands in live, and is believed no more"] = sa.not_(believed)
    else:
        # Reads of the present look at live alone.
        last = sa.and_(believed, c._valid_to > sa.literal(recorded, INSTANT))
        found["stands in history, and is not over"] = last
    return found


def check_overlaps(connection: Connection, record: Layer, family: Family) -> Iterator[Fault]:
    """Check that at no revision two versions of one feature are believed of the same instant.

    Ends only become known: two versions that meet at any revision meet already at the first one
    that believes both.
    """
    rows = _numbered(family)
    a, b = rows.alias("a"), rows.alias("b")
    since = sa.func.greatest(a.c._rev_from, b.c._rev_from)
    meet = sa.and_(
        since < sa.func.least(a.c._rev_to, b.c._rev_to),
        end_at(a.c, since) > b.c._valid_from,
        end_at(b.c, since) > a.c._valid_from,
    )
    both = sa.select(
        a.c._fid,
        since.label("since"),
        sa.cast(a.c._valid_from, sa.Text).label("one"),
        sa.cast(b.c._valid_from, sa.Text).label("other"),
    ).join_from(a, b, sa.and_(a.c._fid == b.c._fid, a.c._n < b.c._n, meet))
    for row in stream(connection, both):
        told = f"versions from {row.one} and from {row.other} overlap; {_CLOSE}"
        where = f"{family.live.schema}.{record.id} {row._fid!r} revision {row.since}"
        yield Fault(record.id, "overlap", where, told)


def _numbered(family: Family) -> sa.CTE:
    """The rows of features that have more than one, numbered."""
    names = ("_fid", "_rev_from", "_rev_to", "_rev_closed", "_valid_from", "_valid_to")
    rows = both_tables(family, names).cte("rows")
    several = sa.select(rows.c._fid).group_by(rows.c._fid).having(sa.func.count() > 1)
    number = sa.func.row_number().over().label("_n")
    return sa.select(*rows.c, number).where(rows.c._fid.in_(several)).cte("numbered")


def check_hashes(connection: Connection, record: Layer, family: Family) -> Iterator[Fault]:
    """Check that each row's hash is that of what stands in it."""
    for table in (family.live, family.history):
        whole = row_hash(family.typed, table.c, spatial=family.spatial, names=table.c)
        rows = sa.select(*named(table)).where(table.c._hash != whole)
        for row in stream(connection, rows):
            told = f"its content is not what was written, by its hash; {_CLOSE}"
            yield Fault(record.id, "hash", place(table, row), told)


def end_at(columns: Any, revision: Any) -> sa.ColumnElement[datetime]:
    """Return the end of a version as known at a revision."""
    return sa.case((columns._rev_closed <= revision, columns._valid_to), else_=FOREVER)


def both_tables(family: Family, names: tuple[str, ...]) -> sa.CompoundSelect[Any]:
    """Select columns of every row of a family, believed or not."""
    return sa.union_all(
        *(sa.select(*(t.c[n].label(n) for n in names)) for t in (family.live, family.history))
    )


def named(table: sa.Table) -> tuple[sa.ColumnElement[Any], ...]:
    """Return the columns by which a fault names a row."""
    start = sa.cast(table.c._valid_from, sa.Text).label("start")
    return table.c._fid, table.c._rev_from, start


def place(table: sa.Table, row: sa.Row[Any]) -> str:
    """Return the name of a row: its table, feature, revision and start."""
    return f"{table.schema}.{table.name} {row._fid!r} revision {row._rev_from} from {row.start}"


def stream(connection: Connection, select: sa.Select[Any]) -> Iterator[sa.Row[Any]]:
    """Yield rows a few at a time: there may be as many as the layer has."""
    yield from connection.execution_options(yield_per=STREAMED).execute(select)
