"""From staged assertions to rows of live and history: the one place where versions are written.

The method is told in docs/decisions/0001-store.md. For each family (open fields; restricted
fields) the staged rows become *wanted* assertions ``(feature, [s, e), content or void)``; the
believed versions that overlap them are *touched*: closed where only their end becomes known,
otherwise retracted, with what lies outside the assertions written again. Then the assertions
are inserted, and versions whose end has passed move to history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TSTZMULTIRANGE, aggregate_order_by
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateTable

from layers.beliefs import believed, believed_contents
from layers.model import OPEN_REVISION
from layers.tables import FOREVER, INSTANT, Family, temporary_table
from layers.writing.staging import Stage


@dataclass(frozen=True, slots=True)
class Counts:
    """Features that a revision created, changed and retired."""

    created: int
    changed: int
    retired: int

    @property
    def total(self) -> int:
        """All features that the revision touched."""
        return self.created + self.changed + self.retired


@dataclass(frozen=True, slots=True)
class Assertions:
    """What is to be written into one family: the temporary tables ``wanted`` and ``touched``."""

    stage: Stage
    family: Family
    wanted: sa.Table
    touched: sa.Table


def plan_family(
    connection: Connection,
    stage: Stage,
    family: Family,
    absences: sa.Select[tuple[str, datetime, datetime]] | None = None,
    *,
    stated: bool = True,
) -> Assertions:
    """Work out what a family's tables must become; nothing of the layer is written yet.

    Parameters
    ----------
    stage : Stage
        Whose ``ready`` table says what is asserted.
    absences : Select, optional
        Ids, starts and ends of what is asserted not to be there.
    stated : bool
        Whether the staged rows say anything of this family; what is there stays, where they do not.
    """
    plan = _create_tables(connection, stage, family)
    if stage.fresh:
        return plan
    if stated:
        _fill_wanted(connection, stage, plan)
    if absences is not None:
        _add_voids(connection, plan, absences)
    if stage.record.head:
        _drop_what_holds(connection, plan)
        _fill_touched(connection, plan)
    return plan


def count_changes(connection: Connection, plan: Assertions) -> Counts:
    """Count the features that the plan creates, changes and retires.

    Created is what was never believed at any time, retired what is only taken from its time.
    """
    wanted, count = plan.wanted.c, sa.func.count()
    if plan.stage.fresh:
        rows = sa.select(count).select_from(plan.stage.raw).where(_says(plan.stage, plan.family))
        return Counts(connection.scalar(rows) or 0, 0, 0)
    was = believed(plan.family, ("_fid",)).subquery("was")
    features = (
        sa.select(wanted._fid, sa.func.bool_or(sa.not_(wanted._void)).label("stays"))
        .group_by(wanted._fid)
        .subquery("features")
    )
    # A first load has nothing to ask; and of what is only taken, all was there.
    known: Any = sa.false()
    if plan.stage.record.head:
        known = sa.exists().where(was.c._fid == features.c._fid)
    told = sa.select(features.c.stays, known.label("known")).subquery("told").c
    row = connection.execute(
        sa.select(
            count.filter(told.stays, sa.not_(told.known)),
            count.filter(told.stays, told.known),
            count.filter(sa.not_(told.stays)),
        )
    ).one()
    return Counts(*row)


def write_family(connection: Connection, plan: Assertions, revision: int, now: datetime) -> None:
    """Write a plan as a revision.

    Parameters
    ----------
    revision : int
        The number of the new revision.
    now : datetime
        Versions that ended by then go to history.
    """
    if plan.stage.fresh:
        _insert_staged(connection, plan, revision, now)
        return
    if plan.stage.record.head:
        _give_places(connection, plan, now)
        _leave_live(connection, plan, revision, now)
        _close_in_place(connection, plan, revision, now)
        _replace_in_place(connection, plan, revision)
        _retract_in_history(connection, plan, revision)
        _insert_remnants(connection, plan, revision, now)
        _sweep(connection, plan.family, now)
    _insert_wanted(connection, plan, revision, now)


def _create_tables(connection: Connection, stage: Stage, family: Family) -> Assertions:
    wanted, touched = _plan_tables(family.live.name, family.spatial)
    for table in (wanted, touched):
        connection.execute(CreateTable(table))
    return Assertions(stage, family, wanted, touched)


@lru_cache(maxsize=128)
def _plan_tables(layer_id: str, spatial: bool) -> tuple[sa.Table, sa.Table]:
    # Named for the layer: one commit may plan several.
    name = layer_id if spatial else f"r_{layer_id}"
    wanted = temporary_table(
        f"wanted_{name}",
        sa.Column("_fid", sa.Text),
        sa.Column("_s", INSTANT),
        sa.Column("_e", INSTANT),
        sa.Column("_void", sa.Boolean),
        sa.Column("_hash", sa.LargeBinary),
        sa.Column("_row", sa.BigInteger),
        sa.Column("_takes", INSTANT),
    )
    touched = temporary_table(
        f"touched_{name}",
        sa.Column("_fid", sa.Text),
        sa.Column("_valid_from", INSTANT),
        sa.Column("_closes", INSTANT),
        sa.Column("_rest", TSTZMULTIRANGE),
        sa.Column("_taken", sa.Boolean, server_default=sa.false()),
    )
    return wanted, touched


def _fill_wanted(connection: Connection, stage: Stage, plan: Assertions) -> None:
    """What the staged rows assert, but for what one version of the store holds already."""
    rows = _one_each(stage, plan.family) if stage.single else _runs(stage, plan.family)
    query = sa.select(*rows.c)
    if stage.record.head:
        was = believed_contents(plan.family).subquery("was")
        query = query.where(
            ~sa.exists().where(
                was.c._fid == rows.c._fid,
                was.c._hash == rows.c._hash,
                was.c._valid_from <= rows.c._s,
                was.c._valid_to >= rows.c._e,
            )
        )
    connection.execute(sa.insert(plan.wanted).from_select(rows.c.keys(), query))
    connection.execute(sa.text(f"ANALYZE {plan.wanted.name}"))


def _one_each(stage: Stage, family: Family) -> sa.Subquery:
    """An assertion for each row, where no feature has several."""
    ready, content = stage.ready.c, _content(stage, family)
    void = content.is_(None).label("_void")
    columns = (ready._fid, ready._s, ready._e, void, content.label("_hash"), ready._row)
    return sa.select(*columns).subquery("rows")


def _runs(stage: Stage, family: Family) -> sa.Subquery:
    """An assertion for each run of equal content without a gap between its rows."""
    ready, content = stage.ready.c, _content(stage, family)
    ordered: dict[str, Any] = {"partition_by": ready._fid, "order_by": ready._s}
    continues = sa.and_(
        sa.func.lag(ready._e).over(**ordered) == ready._s,
        sa.func.lag(content).over(**ordered).is_not_distinct_from(content),
    )
    runs = sa.select(
        ready._fid,
        ready._s,
        ready._e,
        ready._row,
        content.label("_hash"),
        sa.case((continues, 0), else_=1).label("_begins"),
    ).subquery("runs")
    run = sa.func.sum(runs.c._begins).over(partition_by=runs.c._fid, order_by=runs.c._s)
    n = sa.select(*runs.c, run.label("_run")).subquery("numbered").c
    first_row: Any = sa.func.array_agg(aggregate_order_by(n._row, n._s))
    merged = sa.select(
        n._fid,
        sa.func.min(n._s).label("_s"),
        sa.func.max(n._e).label("_e"),
        n._hash.is_(None).label("_void"),
        n._hash,
        first_row[1].label("_row"),
    )
    return merged.group_by(n._fid, n._run, n._hash).subquery("rows")


def _content(stage: Stage, family: Family) -> Any:
    """The hash of what a staged row says in a family; NULL where it says nothing."""
    return stage.ready.c._hash if family.spatial else stage.ready.c._hash_restricted


def _add_voids(
    connection: Connection,
    plan: Assertions,
    absences: sa.Select[tuple[str, datetime, datetime]],
) -> None:
    """Assert absence where the publisher says that nothing is."""
    a = absences.subquery("absences")
    voids = sa.select(*a.c, sa.true())
    connection.execute(sa.insert(plan.wanted).from_select(["_fid", "_s", "_e", "_void"], voids))


def _drop_what_holds(connection: Connection, plan: Assertions) -> None:
    """Take out the assertions that the store already believes."""
    wanted = plan.wanted
    was = believed_contents(plan.family).subquery("was")
    overlaps = sa.and_(
        was.c._fid == wanted.c._fid,
        was.c._valid_from < wanted.c._e,
        was.c._valid_to > wanted.c._s,
    )
    # Versions that follow each other may say the same: together they hold what neither does.
    same = sa.func.range_agg(sa.func.tstzrange(was.c._valid_from, was.c._valid_to))
    held = (
        sa.select(wanted.c._fid, wanted.c._s)
        .join(was, sa.and_(overlaps, was.c._hash == wanted.c._hash))
        .where(sa.not_(wanted.c._void))
        .group_by(wanted.c._fid, wanted.c._s, wanted.c._e)
        .having(same.op("@>")(sa.func.tstzrange(wanted.c._s, wanted.c._e)))
        .subquery("held")
    )
    connection.execute(
        sa.delete(wanted).where(wanted.c._fid == held.c._fid, wanted.c._s == held.c._s)
    )
    # A row that says nothing in this family takes away what is said; an absence takes all.
    matters = sa.or_(was.c._says, wanted.c._row.is_(None))
    empty = sa.and_(wanted.c._void, sa.not_(sa.exists().where(overlaps, matters)))
    connection.execute(sa.delete(wanted).where(empty))


def _fill_touched(connection: Connection, plan: Assertions) -> None:
    """The believed versions that overlap an assertion, and what of each lies outside all."""
    wanted = plan.wanted.c
    was = believed(plan.family, ("_fid", "_valid_from", "_valid_to")).subquery("was")
    period = sa.func.tstzrange(was.c._valid_from, was.c._valid_to)
    taken = sa.func.range_agg(sa.func.tstzrange(wanted._s, wanted._e))
    rest = sa.func.tstzmultirange(period).op("-")(taken)
    found = (
        sa.select(was.c._fid, was.c._valid_from, was.c._valid_to, rest.label("_rest"))
        .join_from(was, plan.wanted, was.c._fid == wanted._fid)
        .where(was.c._valid_from < wanted._e, was.c._valid_to > wanted._s)
        .group_by(was.c._fid, was.c._valid_from, was.c._valid_to)
        .subquery("found")
    )
    f = found.c
    only_ends = sa.and_(
        f._valid_to == FOREVER,
        sa.func.lower(f._rest) == f._valid_from,
        sa.func.upper(f._rest) != FOREVER,
        f._rest == sa.func.tstzmultirange(sa.func.range_merge(f._rest)),
    )
    rows = sa.select(f._fid, f._valid_from, sa.case((only_ends, sa.func.upper(f._rest))), f._rest)
    names = ["_fid", "_valid_from", "_closes", "_rest"]
    connection.execute(sa.insert(plan.touched).from_select(names, rows))
    connection.execute(sa.text(f"ANALYZE {plan.touched.name} (_fid, _valid_from, _closes)"))


def _give_places(connection: Connection, plan: Assertions, now: datetime) -> None:
    """Let an assertion take the place of the version that leaves live for it, one for one.

    It stays near its neighbours then: a box reads a fourth of the blocks, after many revisions,
    that it would had the new versions gone to the end of the table.
    """
    wanted, live, touched = plan.wanted.c, plan.family.live, plan.touched
    leaves = sa.select(live.c._fid, live.c._valid_from.label("_leaves"))
    leaves = leaves.join_from(live, touched, _leaves(live, touched, now))
    nothing = sa.cast(sa.null(), INSTANT)
    moves = sa.union_all(leaves, sa.select(wanted._fid, nothing).where(_comes(wanted, now)))
    m = moves.subquery("moves").c
    leaving = sa.func.count(m._leaves)
    one_for_one = sa.and_(leaving == 1, sa.func.count() - leaving == 1)
    # Not by HAVING: taken for a sieve that leaves one row, it leads to comparing all with all.
    place = sa.case((one_for_one, sa.func.min(m._leaves)))
    found = sa.select(m._fid, place.label("place")).group_by(m._fid).subquery("found")
    connection.execute(
        sa.update(plan.wanted)
        .values(_takes=found.c.place)
        .where(wanted._fid == found.c._fid, _comes(wanted, now))
    )
    # As far as the planner knows no assertion takes a place yet.
    connection.execute(sa.text(f"ANALYZE {plan.wanted.name} (_fid, _takes)"))
    t = touched.c
    taken = sa.and_(wanted._fid == t._fid, wanted._takes == t._valid_from)
    connection.execute(sa.update(touched).values(_taken=True).where(taken))


def _comes(wanted: Any, now: datetime) -> sa.ColumnElement[bool]:
    """Which assertions are going to stand in live."""
    return sa.and_(sa.not_(wanted._void), wanted._e > now)


def _leaves(live: sa.Table, touched: Any, now: datetime) -> sa.ColumnElement[bool]:
    """Which live rows are touched so that they leave: retracted, or over by now."""
    t = touched.c
    gone = sa.or_(t._closes.is_(None), t._closes <= now)
    return sa.and_(live.c._fid == t._fid, live.c._valid_from == t._valid_from, gone)


def _leave_live(connection: Connection, plan: Assertions, revision: int, now: datetime) -> None:
    """Move to history the live rows that are retracted, or closed at an instant that has passed."""
    live, touched = plan.family.live, plan.touched
    closes = touched.c._closes
    closed = closes.is_not(None)
    values: dict[str, Any] = {n: live.c[n] for n in plan.family.columns}
    values["_rev_to"] = sa.case((closed, live.c._rev_to), else_=revision)
    values["_rev_closed"] = sa.case((closed, revision), else_=live.c._rev_closed)
    values["_valid_to"] = sa.func.coalesce(closes, live.c._valid_to)
    leaves = _leaves(live, touched, now)
    _insert_select(connection, plan.family.history, values, live.join(touched, leaves))
    connection.execute(sa.delete(live).where(leaves, sa.not_(touched.c._taken)))


def _close_in_place(connection: Connection, plan: Assertions, revision: int, now: datetime) -> None:
    """Note the end of live rows that end in the future."""
    live, touched = plan.family.live, plan.touched.c
    connection.execute(
        sa.update(live)
        .values(_valid_to=touched._closes, _rev_closed=revision)
        .where(live.c._fid == touched._fid, live.c._valid_from == touched._valid_from)
        .where(touched._closes > now)
    )


def _replace_in_place(connection: Connection, plan: Assertions, revision: int) -> None:
    """Write assertions where the versions stood that they come after."""
    live, wanted, raw = plan.family.live, plan.wanted.c, plan.stage.raw.c
    values: dict[str, Any] = {n: raw[n] for n in plan.family.content}
    values |= {key: sa.null() for key, _ in plan.family.former}
    values |= {"_hash": wanted._hash, **_asserted(revision, wanted._s, wanted._e)}
    connection.execute(
        sa.update(live)
        .values({live.c[n]: value for n, value in values.items()})
        .where(live.c._fid == wanted._fid, live.c._valid_from == wanted._takes)
        .where(raw._row == wanted._row)
    )


def _retract_in_history(connection: Connection, plan: Assertions, revision: int) -> None:
    """Retract believed rows that stand in history because they are over."""
    history, touched = plan.family.history, plan.touched.c
    connection.execute(
        sa.update(history)
        .values(_rev_to=revision)
        .where(history.c._fid == touched._fid, history.c._valid_from == touched._valid_from)
        .where(touched._closes.is_(None), history.c._rev_to == OPEN_REVISION)
    )


def _insert_remnants(
    connection: Connection, plan: Assertions, revision: int, now: datetime
) -> None:
    """Write again what of the retracted versions lies outside the assertions."""
    history, touched = plan.family.history, plan.touched
    pieces = (
        sa.select(
            touched.c._fid, touched.c._valid_from, sa.func.unnest(touched.c._rest).label("piece")
        )
        .where(touched.c._closes.is_(None))
        .subquery("pieces")
    )
    joined = history.join(
        pieces,
        sa.and_(
            history.c._fid == pieces.c._fid,
            history.c._valid_from == pieces.c._valid_from,
            history.c._rev_to == revision,
        ),
    )
    values: dict[str, Any] = {n: history.c[n] for n in plan.family.columns}
    start, end = sa.func.lower(pieces.c.piece), sa.func.upper(pieces.c.piece)
    values |= _asserted(revision, start, end)
    for table, where in _by_place(plan.family, end, now):
        _insert_select(connection, table, values, joined, where)


def _insert_staged(connection: Connection, plan: Assertions, revision: int, now: datetime) -> None:
    """Insert a first load's rows as they are staged, in Hilbert order of the shapes."""
    stage, family = plan.stage, plan.family
    raw = stage.raw.c
    end: Any = sa.func.coalesce(raw._e, FOREVER)
    values: dict[str, Any] = {n: raw[n] for n in family.content}
    values |= {"_fid": raw._key, "_hash": raw._hash if family.spatial else raw._hash_restricted}
    values |= _asserted(revision, raw._s, end)
    order = raw._geom if family.spatial else None
    for table, where in _by_place(family, end, now):
        where = sa.and_(_says(stage, family), where)
        _insert_select(connection, table, values, stage.raw, where, order)


def _says(stage: Stage, family: Family) -> sa.ColumnElement[bool]:
    """Whether a staged row says anything in a family: all do of what is open."""
    if family.spatial:
        return sa.true()
    return sa.or_(sa.false(), *(stage.raw.c[f.id].is_not(None) for f in family.fields))


def _insert_wanted(connection: Connection, plan: Assertions, revision: int, now: datetime) -> None:
    """Insert the assertions themselves; a first load in Hilbert order of the shapes."""
    wanted, raw = plan.wanted, plan.stage.raw
    joined = wanted.join(raw, wanted.c._row == raw.c._row)
    values: dict[str, Any] = {n: raw.c[n] for n in plan.family.content}
    values |= {"_fid": wanted.c._fid, "_hash": wanted.c._hash}
    values |= _asserted(revision, wanted.c._s, wanted.c._e)
    first = plan.family.spatial and not plan.stage.record.head
    order = raw.c._geom if first else None
    for table, where in _by_place(plan.family, wanted.c._e, now):
        new = sa.and_(sa.not_(wanted.c._void), wanted.c._takes.is_(None), where)
        _insert_select(connection, table, values, joined, new, order)


def _sweep(connection: Connection, family: Family, now: datetime) -> None:
    """Move to history the live rows whose end has passed since the last commit."""
    live = family.live
    gone = (
        sa.delete(live)
        .where(live.c._valid_to <= now, live.c._valid_to != FOREVER)
        .returning(*_labelled(live, family))
        .cte("gone")
    )
    values = {n: gone.c[n] for n in family.columns}
    _insert_select(connection, family.history, values, gone)


def _labelled(table: sa.Table, family: Family) -> Sequence[sa.Label[Any]]:
    return [table.c[n].label(n) for n in family.columns]


def _asserted(revision: int, start: Any, end: Any) -> dict[str, Any]:
    """The versioning columns of a row that this revision asserts for a period."""
    closed = sa.case((end == FOREVER, OPEN_REVISION), else_=revision)
    return {
        "_rev_from": sa.literal(revision),
        "_rev_to": sa.literal(OPEN_REVISION),
        "_rev_closed": closed,
        "_valid_from": start,
        "_valid_to": end,
    }


def _by_place(
    family: Family, end: Any, now: datetime
) -> tuple[tuple[sa.Table, sa.ColumnElement[bool]], ...]:
    """Where a row goes by its end: live while it lasts, history once it is over."""
    return (family.live, end > now), (family.history, end <= now)


def _insert_select(
    connection: Connection,
    table: sa.Table,
    values: Mapping[str, Any],
    source: sa.FromClause,
    where: sa.ColumnElement[bool] | None = None,
    order: Any = None,
) -> None:
    query = sa.select(*(v.label(str(n)) for n, v in values.items())).select_from(source)
    if where is not None:
        query = query.where(where)
    if order is not None:
        query = query.order_by(order)
    connection.execute(sa.insert(table).from_select([table.c[n] for n in values], query))
