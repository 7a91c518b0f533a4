"""Which feature a staged row is: ids for rows without a key, and rows that share one."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.engine import Connection

from layers.beliefs import Scope, believed
from layers.errors import BadKey
from layers.model import Duplicates, FieldType, Outcome, Role
from layers.report import Broken, Findings, RepeatedKey
from layers.sameness import same_shape
from layers.writing.staging import NAMED, Stage, hashes, some

# Begins the keys of rows that have none yet; a key of the source can't begin so.
_UNNAMED = "~~"
# What rows are said to break that are of no feature which the layer knows.
UNKNOWN_KEY = "unknown-key"


def give_ids(connection: Connection, stage: Stage, scope: Scope, findings: Findings) -> None:
    """Give each row without a key the id of the keyless feature it is, or a new one."""
    raw = stage.raw
    rows = connection.scalars(
        sa.select(raw.c._row).where(raw.c._key.is_(None)).order_by(raw.c._row)
    )
    for row in rows:
        findings.without_key.add(row, "no key: matched by geometry and content")
    if not findings.without_key.count:
        return
    # Until it has an id, a row goes by the hash of its content: what is drawn twice is one thing.
    digest: Any = sa.func.encode(hashes(stage)["_hash"], "hex")
    by_hash = sa.literal(_UNNAMED).op("||")(digest)
    connection.execute(sa.update(raw).values(_key=by_hash).where(raw.c._key.is_(None)))
    if stage.record.head:
        # Where several are alike each round pairs what is left, until nothing more pairs.
        while connection.execute(_match_keyless(stage, scope)).rowcount:
            pass
    for salt in itertools.count():
        connection.execute(_name_keyless(stage, salt))
        if not connection.scalar(sa.select(sa.exists().where(raw.c._key.startswith(_UNNAMED)))):
            break


def settle_strangers(
    connection: Connection, stage: Stage, findings: Findings, *, leave: bool
) -> None:
    """Refuse rows of a table without geometry that are of no feature which the layer knows.

    Parameters
    ----------
    leave : bool
        Whether to leave them out instead, and name them.

    Raises
    ------
    BadKey
        With the keys: a slip of the pen would make a feature that is nowhere. Where all rows are
        such, whatever is to be left out.
    """
    known = believed(stage.tables.open, ("_fid",)).subquery("known")
    strange = ~sa.exists().where(known.c._fid == stage.raw.c._key)
    raw = stage.raw.c
    found = connection.execute(sa.select(raw._row, raw._key).where(strange).order_by(raw._row))
    rows = found.all()
    if not rows:
        return
    if not leave or len(rows) == findings.rows_read:
        keys = list(dict.fromkeys(row._key for row in rows))
        named = ", ".join(map(repr, keys[:NAMED])) + (" ..." if len(keys) > NAMED else "")
        raise BadKey(
            f"{len(rows)} of {findings.rows_read} rows are of no feature of {stage.record.id}: "
            f"{named}; mend the keys, give the rows a geometry, or leave such rows out "
            "(--leave-unknown)"
        )
    broken = Broken(UNKNOWN_KEY, UNKNOWN_KEY, Outcome.ROW.value)
    for row, key in rows:
        broken.rows.add(row, "no key" if key.startswith("~") else f"no feature {key!r}")
    findings.broken.append(broken)
    findings.rows_refused += len(rows)
    connection.execute(sa.delete(stage.raw).where(strange))


def settle_repeats(
    connection: Connection,
    stage: Stage,
    policy: Duplicates,
    findings: Findings,
    columns: Collection[str] = (),
) -> None:
    """Find rows that share a key and a start, and do with them what the publisher chose.

    Parameters
    ----------
    columns : collection of str
        Fields that the source has a column for: of the others there is nothing to sum.

    Raises
    ------
    BadKey
        Where the choice is to refuse them: the keys, with their rows.
    """
    raw = stage.raw
    repeats = connection.execute(_repeats(stage)).all()
    if not repeats:
        return
    if policy is Duplicates.MERGE and not stage.schema.is_multi:
        raise BadKey(
            f"{len(repeats)} keys are repeated, and a {stage.schema.geometry} holds no "
            "pieces; choose --duplicates first or last"
        )
    names = [f.id for f in stage.schema.stored]
    refused = [r for r in repeats if policy is Duplicates.REFUSE and not r.key.startswith("~")]
    if refused:
        first = "; ".join(f"{r.key!r} in rows {some(r.rows)}" for r in refused[:NAMED])
        raise BadKey(
            f"{len(refused)} keys are repeated: {first}; choose --duplicates merge, first, last "
            "or, of a table without geometry, sum"
        )
    for r in repeats:
        # Keyless rows repeat only where shape and content do: one thing, drawn twice.
        outcome = "first" if policy is Duplicates.REFUSE else policy.value
        differing = [n for n in names if getattr(r, f"n_{n}") > 1]
        findings.repeated.append(RepeatedKey(r.key, list(r.rows), outcome, differing))
    findings.repeated.sort(key=lambda k: k.id)
    if policy is Duplicates.MERGE:
        connection.execute(_merge_geometry(stage))
    if policy is Duplicates.SUM:
        _sum_fields(connection, stage, columns)
    keep_last = policy is Duplicates.LAST
    other = raw.alias("other")
    later = other.c._row > raw.c._row if keep_last else other.c._row < raw.c._row
    connection.execute(
        sa.delete(raw).where(
            sa.exists().where(
                other.c._key == raw.c._key, other.c._s.is_not_distinct_from(raw.c._s), later
            )
        )
    )


def _repeats(stage: Stage) -> sa.Select[Any]:
    raw = stage.raw.c
    different = [
        sa.func.count(sa.distinct(sa.func.coalesce(sa.cast(raw[f.id], sa.Text), "\x01"))).label(
            f"n_{f.id}"
        )
        for f in stage.schema.stored
    ]
    repeated = (
        sa.select(raw._key, raw._s).group_by(raw._key, raw._s).having(sa.func.count() > 1)
    ).subquery("repeated")
    same = sa.and_(repeated.c._key == raw._key, repeated.c._s.is_not_distinct_from(raw._s))
    rows = sa.func.array_agg(aggregate_order_by(raw._row, raw._row)).label("rows")
    return (
        sa.select(raw._key.label("key"), rows, *different)
        .join_from(stage.raw, repeated, same)
        .group_by(raw._key, raw._s)
    )


def _merge_geometry(stage: Stage) -> sa.Update:
    raw, schema = stage.raw, stage.schema
    dimension = {"Point": 1, "LineString": 2, "Polygon": 3}[
        schema.geometry.removesuffix("Z").removeprefix("Multi")
    ]
    union = sa.func.ST_UnaryUnion(sa.func.ST_Collect(raw.c._geom))
    whole = sa.func.ST_Multi(sa.func.ST_CollectionExtract(union, dimension))
    pieces = (
        sa.select(raw.c._key, raw.c._s, whole.label("_geom"))
        .group_by(raw.c._key, raw.c._s)
        .having(sa.func.count() > 1)
        .subquery("pieces")
    )
    return (
        sa.update(raw)
        .values(_geom=pieces.c._geom, _hash=sa.null())
        .where(raw.c._key == pieces.c._key, raw.c._s.is_not_distinct_from(pieces.c._s))
    )


def _sum_fields(connection: Connection, stage: Stage, columns: Collection[str]) -> None:
    """Give rows that share a key and a start the sums of their numbers."""
    raw = stage.raw.c
    numbers = (FieldType.INTEGER, FieldType.NUMBER)
    fields = (*stage.schema.stored, *stage.schema.restricted)
    names = [
        f.id for f in fields if f.type in numbers and f.id in columns and f.role is not Role.KEY
    ]
    if not names:
        return
    # In the order of the rows: sums of fractions depend on it, and publishing again is no change.
    sums = [sa.func.sum(aggregate_order_by(raw[n], raw._row)).label(n) for n in names]
    totals = (
        sa.select(raw._key, raw._s, *sums)
        .group_by(raw._key, raw._s)
        .having(sa.func.count() > 1)
        .subquery("totals")
    )
    connection.execute(
        sa.update(stage.raw)
        .values({n: totals.c[n] for n in names} | {"_hash": sa.null()})
        .where(raw._key == totals.c._key, raw._s.is_not_distinct_from(totals.c._s))
    )


def _name_keyless(stage: Stage, salt: int) -> sa.Update:
    """Rows that are no feature yet get a name from their content, unless it is taken.

    It can be, by the feature that had this content first and has another now.
    """
    raw, other = stage.raw, stage.raw.alias("other").c
    text: Any = sa.func.substr(raw.c._key, len(_UNNAMED) + 1)
    if salt:
        salted = sa.func.convert_to(text.op("||")(f"#{salt}"), "UTF8")
        text = sa.func.encode(sa.func.sha256(salted), "hex")
    name = sa.literal("~").op("||")(sa.func.left(text, 16))
    taken = sa.select(other._key).where(sa.not_(other._key.startswith(_UNNAMED)))
    unnamed = raw.c._key.startswith(_UNNAMED)
    return sa.update(raw).values(_key=name).where(unnamed, name.not_in(taken))


def _match_keyless(stage: Stage, scope: Scope) -> sa.Update:
    """Rows without a key take the id of a keyless feature of the same shape, if one is free.

    An event is the same only where it was reported at the same time: many happen in one place.
    """
    raw, tolerance = stage.raw, stage.schema.geometry_tolerance or 0.0
    live = stage.tables.open.live
    same_fields = sa.and_(
        sa.true(),
        *(raw.c[f.id].is_not_distinct_from(live.c[f.id]) for f in stage.schema.stored),
    )
    near = sa.and_(
        live.c._geom.op("&&")(sa.func.ST_Expand(raw.c._geom, tolerance)),
        same_shape(raw.c._geom, live.c._geom, tolerance),
    )
    taken = raw.alias("taken")
    free = sa.not_(sa.exists().where(taken.c._key == live.c._fid))
    inside = scope.condition(live.c, stage.record)
    together = sa.and_(
        sa.true(),
        *(
            raw.c[f.id].is_not_distinct_from(live.c[f.id])
            for f in stage.schema.with_role(Role.EVENT_START)
        ),
    )
    candidates = (
        sa.select(raw.c._row, raw.c._key, live.c._fid, same_fields.label("same"))
        .where(raw.c._key.startswith(_UNNAMED), live.c._fid.like("~%"), free, inside, together)
        .where(sa.or_(near, sa.and_(raw.c._geom.is_(None), live.c._geom.is_(None), same_fields)))
        .subquery("candidates")
    )
    c = candidates.c
    best = _first_of(candidates, c._key, (c.same.desc(), c._fid, c._row))
    once = _first_of(best, best.c._fid, (best.c.same.desc(), best.c._row))
    return sa.update(raw).values(_key=once.c._fid).where(raw.c._key == once.c._key)


def _first_of(rows: sa.Subquery, group: Any, order: tuple[Any, ...]) -> sa.Subquery:
    """The first row of each group."""
    place = sa.func.row_number().over(partition_by=group, order_by=order).label("_place")
    placed = sa.select(*(c for c in rows.c if c.name != "_place"), place).subquery()
    return sa.select(*placed.c).where(placed.c._place == 1).subquery()
