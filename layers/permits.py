"""Whether a commit keeps to what its writer may change: by what was stated, and by its effect.

The effect is looked at in the transaction that made it, just before it would be committed: however
a change was put together, what it did to rows is what counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers.descent import NO_LINKS, Links
from layers.editing.restating import read_timelines
from layers.errors import Forbidden
from layers.model import OPEN_REVISION, Field, Kind, Layer, Role, Visibility
from layers.reading.moments import touched_between
from layers.reading.sights import columns_for, lies_in
from layers.reading.timelines import FOREVER as FOREVER_SEEN
from layers.reading.timelines import Values, side_by_side
from layers.tables import FOREVER, INSTANT, Family, LayerTables, tables_of
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
    """Return the fields that a writer may not state, and so leaves as they are.

    Whoever could state a field that they do not see would learn from a dry run what is in it.
    """
    if bounds is None:
        return frozenset()
    stated = (*record.schema.stored, *record.schema.restricted)
    return frozenset(f.id for f in stated if not any(_may_state(p, f) for p in bounds.permits))


def check_fields(bounds: Bounds, record: Layer, stated: Iterable[str]) -> None:
    """Refuse a statement about fields that nobody granted.

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


def check_effect(
    connection: Connection,
    bounds: Bounds,
    record: Layer,
    revision: int,
    links: Links = NO_LINKS,
) -> None:
    """Refuse a revision that has touched what its writer may not change.

    Parameters
    ----------
    record : Layer
        As it was before; under its schema the revision was written.
    links : Links
        Of descent, that the revision told or took back.

    Raises
    ------
    Forbidden
        Naming some of the features.
    """
    families, permits = tables_of(record), bounds.permits
    if not record.head or any(p.is_unbounded and p.restricted for p in permits):
        return
    left = set()
    if all(p.fields is not None for p in permits):
        left = {
            i for ancestor, other, _ in (*links.told, *links.taken_back) for i in (ancestor, other)
        }
    looked_at = _touched(connection, _guarded(record, families, permits), revision)
    if not any(p.is_unbounded for p in permits):
        every = _touched(connection, families.families, revision)
        left |= every - _inside(connection, record, revision, every, [p.territory for p in permits])
        if any(p.fields is not None or _is_timed(p, record) for p in permits):
            looked_at = every
    for part in _chunks(looked_at - left):
        left |= _overstepping(connection, record, revision, part, permits)
    _refuse(record, sorted(left)[:_NAMED])


def _guarded(record: Layer, families: LayerTables, permits: Sequence[Permit]) -> tuple[Family, ...]:
    """The families in which fields may stand that are not those permits' to change."""
    internal = any(f.visibility is Visibility.INTERNAL for f in record.schema.stored)
    granted = all(p.internal for p in permits) or any(
        p.is_unbounded and p.internal for p in permits
    )
    if internal and not granted:
        return families.families
    return () if families.restricted is None else (families.restricted,)


def _touched(connection: Connection, families: Sequence[Family], revision: int) -> set[str]:
    if not families:
        return set()
    found = touched_between(families, revision - 1, revision).subquery("t")
    return set(connection.scalars(sa.select(found.c._fid)))


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
    own = ("_fid", "_rev_from", "_rev_to", "_rev_closed", "_valid_from", "_valid_to")
    names = (*own, *columns_for(record, (EVERYWHERE,)))
    family = tables_of(record).open
    parts = [
        sa.select(*(t.c[n].label(n) for n in names), sa.literal(t is family.live).label("_is_live"))
        for t in (family.live, family.history)
    ]
    return sa.union_all(*parts).subquery("rows")


def _overstepping(
    connection: Connection,
    record: Layer,
    revision: int,
    ids: list[str],
    permits: Sequence[Permit],
) -> set[str]:
    """Those of some features of which something changed that no permit there and then is of."""
    placed = _placed(connection, record, revision, ids, permits)
    before, after = (read_timelines(connection, record, ids, r) for r in (revision - 1, revision))
    found = set()
    for key in ids:
        for start, end, (was, now) in side_by_side(before.get(key, ()), after.get(key, ())):
            there = [p for p in placed.get(key, ()) if p.start < end and p.end > start]
            if was != now and not all(
                _allows(_holding(permits, p, record, start, end), record, was, now) for p in there
            ):
                found.add(key)
    return found


@dataclass(frozen=True, slots=True)
class _Placed:
    """A row with its period, as it was before a revision or is after, and in whose territory."""

    start: datetime
    end: datetime
    inside: tuple[bool, ...]


def _placed(
    connection: Connection,
    record: Layer,
    revision: int,
    ids: list[str],
    permits: Sequence[Permit],
) -> dict[str, list[_Placed]]:
    rows = _rows(record)
    c = rows.c
    # A row that the revision closed went on before; that it did not end is what was changed.
    closed = sa.and_(c._rev_closed == revision, c._rev_from < revision)
    end = sa.case((closed, FOREVER), else_=c._valid_to)
    inside = (sa.func.coalesce(lies_in(record, c, [p.territory]), sa.false()) for p in permits)
    query = sa.select(
        c._fid, c._valid_from, sa.func.nullif(end, FOREVER, type_=INSTANT).label("_end"), *inside
    ).where(c._fid.in_(ids), c._rev_to >= revision)
    found: dict[str, list[_Placed]] = {}
    for row in connection.execute(query):
        start, last = row._valid_from, row._end or FOREVER_SEEN
        found.setdefault(row._fid, []).append(_Placed(start, last, tuple(row[3:])))
    return found


def _holding(
    permits: Sequence[Permit], placed: _Placed, record: Layer, start: datetime, end: datetime
) -> list[Permit]:
    return [
        permit
        for permit, inside in zip(permits, placed.inside, strict=True)
        if inside and (not _is_timed(permit, record) or _holds(permit.territory, start, end))
    ]


def _allows(
    permits: Sequence[Permit], record: Layer, was: Values | None, now: Values | None
) -> bool:
    """Whether some permits, taken together, are of the step from one content to another."""
    if was is None or now is None:
        return any(p.fields is None for p in permits)
    changed = {n for n in {*was, *now} if was.get(n) != now.get(n)}
    return all(any(_may_change(p, n, record.schema.find(n)) for p in permits) for n in changed)


def _may_change(permit: Permit, name: str, f: Field | None) -> bool:
    """Whether a permit is of a field, or of the geometry, which is none."""
    if name in permit.named:
        return True
    if permit.fields is not None and name not in permit.fields:
        return False
    if f is None or f.visibility is Visibility.PUBLIC:
        return True
    return permit.restricted if f.is_restricted else permit.internal


def _is_timed(permit: Permit, record: Layer) -> bool:
    """Whether a permit is of a time only: of events, it is their report that lies in it."""
    territory = permit.territory
    timed = territory.start is not None or territory.end is not None
    return timed and record.schema.kind is Kind.STATE


def _holds(territory: Territory, start: datetime, end: datetime) -> bool:
    early = territory.start is not None and start < territory.start
    return not early and (territory.end is None or end <= territory.end)


def _may_state(permit: Permit, f: Field) -> bool:
    # Ids are made of keys, and of an event its time is told: whoever sees it knows them.
    if f.visibility is Visibility.PUBLIC or f.role in (Role.KEY, Role.EVENT_START):
        return True
    return _may_change(permit, f.id, f)


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
