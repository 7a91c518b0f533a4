"""Whether a commit keeps to what its writer may change: by what was stated, and by its effect.

The effect is looked at in the transaction that made it, just before it would be committed: however
a change was put together, what it did to rows is what counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers.beliefs import touched_between
from layers.editing.restating import read_timelines
from layers.editing.timelines import side_by_side
from layers.errors import Forbidden
from layers.model import OPEN_REVISION, Kind, Layer
from layers.sights import columns_for, lies_in
from layers.tables import tables_of
from layers.territories import EVERYWHERE, Territory
from layers.writers import Bounds, Permit, Verb, Writer

_CHUNK = 5000
_NAMED = 5


def bounds_of(
    writer: Writer,
    layer_id: str,
    department: str | None,
    verb: Verb,
    *,
    whole: bool = False,
) -> Bounds | None:
    """Return what bounds a writer's change of a layer; None where nothing does.

    Parameters
    ----------
    whole : bool
        Whether the change is of the layer as a whole, such as of its schema.

    Raises
    ------
    Forbidden
        Where the writer may not do that to the layer at all.
    """
    permits = writer.permits_for(layer_id, department, verb)
    if permits is None:
        return None
    if whole:
        permits = tuple(p for p in permits if p.is_unbounded)
    if not permits:
        told = "the whole of " if whole else ""
        raise Forbidden(
            f"{writer.name} may not {verb} {told}{layer_id}; apply for it, or ask an administrator"
        )
    return Bounds(permits)


def fields_kept(bounds: Bounds | None, record: Layer) -> frozenset[str]:
    """Return the restricted fields that a writer may not state, and so leaves as they are."""
    if bounds is None:
        return frozenset()
    restricted = (f.id for f in record.schema.restricted)
    return frozenset(n for n in restricted if not any(_may_state(p, n) for p in bounds.permits))


def check_fields(bounds: Bounds, record: Layer, stated: Iterable[str]) -> None:
    """Refuse a statement about restricted fields that nobody granted.

    Raises
    ------
    Forbidden
        Naming the field.
    """
    kept = fields_kept(bounds, record)
    for name in stated:
        if name in kept:
            raise Forbidden(f"field {name} of {record.id} is not yours to write; leave it out")


def check_features(
    connection: Connection, bounds: Bounds, record: Layer, ids: Collection[str]
) -> None:
    """Refuse features that live outside the bounds, before anything is said of what they are.

    Raises
    ------
    Forbidden
        Naming some.
    """
    if not bounds.territories or not record.head or not ids:
        return
    rows = _rows(record)
    c, other = rows.c, rows.alias("other").c
    alive = sa.exists().where(other._fid == c._fid, other._is_live)
    now = sa.or_(c._is_live, sa.and_(c._rev_to == OPEN_REVISION, sa.not_(alive)))
    chosen = sa.and_(c._fid.in_(list(ids)), now)
    _refuse(record, _outside(connection, rows, chosen, record, bounds.territories))


def check_effect(connection: Connection, bounds: Bounds, record: Layer, revision: int) -> None:
    """Refuse a revision that has touched what its writer may not change.

    Parameters
    ----------
    record : Layer
        As it was before; under its schema the revision was written.

    Raises
    ------
    Forbidden
        Naming some of the features.
    """
    if any(p.is_unbounded for p in bounds.permits):
        return
    touched = touched_between(tables_of(record).families, revision - 1, revision).subquery("t")
    every = set(connection.scalars(sa.select(touched.c._fid)))
    left = every - _within(connection, bounds.permits, record, revision, every)
    _refuse(record, sorted(left)[:_NAMED])


def _within(
    connection: Connection,
    permits: Sequence[Permit],
    record: Layer,
    revision: int,
    every: set[str],
) -> set[str]:
    """Those of some features of which every row that was touched is within one kind of permit."""
    free = [p for p in permits if p.fields is None]
    found = set()
    if free:
        inside = _inside(connection, record, revision, every, [p.territory for p in free])
        found = _in_time(connection, record, revision, inside, free)
    for permit in (p for p in permits if p.fields is not None):
        inside = _inside(connection, record, revision, every - found, [permit.territory])
        inside = _in_time(connection, record, revision, inside, [permit])
        found |= _keeping_to_fields(connection, record, revision, inside, permit)
    return found


def _inside(
    connection: Connection,
    record: Layer,
    revision: int,
    ids: set[str],
    territories: Sequence[Territory],
) -> set[str]:
    """Those of some features of which no row that was touched, or is live, lies outside."""
    rows = _rows(record)
    c = rows.c
    then = sa.or_(c._rev_from == revision, c._rev_to == revision, c._rev_closed == revision)
    outside: set[str] = set()
    for part in _chunks(ids):
        chosen = sa.and_(c._fid.in_(part), sa.or_(c._is_live, then))
        outside |= set(_outside(connection, rows, chosen, record, territories, limit=None))
    return ids - outside


def _outside(
    connection: Connection,
    rows: sa.Subquery,
    chosen: sa.ColumnElement[bool],
    record: Layer,
    territories: Sequence[Territory],
    limit: int | None = _NAMED,
) -> list[str]:
    condition = lies_in(record, rows.c, territories)
    query = sa.select(rows.c._fid).where(chosen, sa.not_(sa.func.coalesce(condition, sa.false())))
    return list(connection.scalars(query.distinct().order_by(rows.c._fid).limit(limit)))


def _rows(record: Layer) -> sa.Subquery:
    names = ("_fid", "_rev_from", "_rev_to", "_rev_closed", *columns_for(record, (EVERYWHERE,)))
    family = tables_of(record).open
    parts = [
        sa.select(*(t.c[n].label(n) for n in names), sa.literal(t is family.live).label("_is_live"))
        for t in (family.live, family.history)
    ]
    return sa.union_all(*parts).subquery("rows")


def _in_time(
    connection: Connection,
    record: Layer,
    revision: int,
    ids: set[str],
    permits: Sequence[Permit],
) -> set[str]:
    """Those of some features that are as they were at all times that no permit is of."""
    territories = [p.territory for p in permits]
    unbounded = any(t.start is None and t.end is None for t in territories)
    if unbounded or record.schema.kind is Kind.EVENT:
        return ids
    kept = set()
    for key, news in _news(connection, record, revision, ids):
        if all(any(_holds(t, start, end) for t in territories) for start, end, *_ in news):
            kept.add(key)
    return kept


def _holds(territory: Territory, start: Any, end: Any) -> bool:
    early = territory.start is not None and start < territory.start
    return not early and (territory.end is None or end <= territory.end)


def _keeping_to_fields(
    connection: Connection, record: Layer, revision: int, ids: set[str], permit: Permit
) -> set[str]:
    """Those of some features that are there when they were, with other fields as they were."""
    allowed = permit.fields or frozenset()
    kept = set()
    for key, news in _news(connection, record, revision, ids):
        pairs = [(was, now) for *_, was, now in news]
        if all(was is not None and now is not None for was, now in pairs) and all(
            {n for n in was | now if was.get(n) != now.get(n)} <= allowed for was, now in pairs
        ):
            kept.add(key)
    return kept


def _news(
    connection: Connection, record: Layer, revision: int, ids: set[str]
) -> Iterable[tuple[str, list[tuple[Any, Any, Any, Any]]]]:
    """Each feature with the periods in which a revision made another thing of it: was, and is."""
    for part in _chunks(ids):
        before, after = (
            read_timelines(connection, record, part, r) for r in (revision - 1, revision)
        )
        for key in part:
            lines = (before.get(key, ()), after.get(key, ()))
            yield key, [(s, e, w, n) for s, e, (w, n) in side_by_side(*lines) if w != n]


def _may_state(permit: Permit, name: str) -> bool:
    return permit.restricted and (permit.fields is None or name in permit.fields)


def _chunks(ids: set[str]) -> Iterable[list[str]]:
    ordered = sorted(ids)
    for first in range(0, len(ordered), _CHUNK):
        yield ordered[first : first + _CHUNK]


def _refuse(record: Layer, ids: Sequence[str]) -> None:
    if ids:
        raise Forbidden(
            f"{', '.join(map(repr, ids))} of {record.id} {'is' if len(ids) == 1 else 'are'} not "
            "yours to write; nothing was written. Leave them out, or apply for their area"
        )
