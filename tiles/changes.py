"""Tiles of what differs between two snapshots: created, changed and retired features.

A feature is drawn as it is in the later snapshot, one that was retired as it was in the earlier;
the attribute ``change`` says which. Things too small to be drawn are counted by cell and kind.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from layers.errors import TooMuchAsked
from layers.model import Layer
from layers.reading.boxes import storage_bounds
from layers.store import PublishedLayer, Snapshot
from tiles.cells import ORDER, PLACE, as_tile, counted
from tiles.content import COUNT, COUNTED_BELOW, ID, POINTS_FROM_ZOOM, is_point_layer
from tiles.grids import Place
from tiles.lattices import geometry_in, margin_of, size_in_units
from tiles.vector import Drawn, check

CHANGE, CREATED, CHANGED, RETIRED = "change", "created", "changed", "retired"


def draw_changes(layer: PublishedLayer, old: Snapshot, new: Snapshot, where: Place) -> Drawn:
    """Return a vector tile of what differs between two snapshots of a layer.

    Parameters
    ----------
    old, new : Snapshot
        At instants; of two revisions, of two instants, or both.
    where : Place
        The tile.

    Raises
    ------
    NotAnInstant
        Where a snapshot is of an interval.
    TooMuchAsked
        Where more differs than one can look through for one tile.
    """
    for snapshot in (old, new):
        check(snapshot, where, None)
    found = layer.replaced(old.moment, new.moment)
    if found.everything:
        raise TooMuchAsked("too much differs between these for a tile; give times nearer together")
    ids = found.within(storage_bounds(layer.record, margin_of(where), where.crs))
    if not ids:
        return Drawn(b"")
    before, then = (s.where(ids=ids, restricted=False) for s in (old, new))
    body = then.scalar(
        lambda select, record: _mvt(before.select(record), select, before, then, record, where)
    )
    return Drawn(bytes(body or b""))


def _mvt(
    old: sa.Select[Any],
    new: sa.Select[Any],
    before: Snapshot,
    then: Snapshot,
    record: Layer,
    where: Place,
) -> sa.Select[Any]:
    record = record.as_of(then.moment.revision)
    differing = _differing(old.subquery("before"), new.subquery("after"), before, then)
    rows = differing.offset(sa.literal_column("0")).subquery("rows")
    geom = rows.c._geom
    size = size_in_units(geom, record.schema, where)
    coded = [f.id for f in then.shown.fields if f.codes and f.id in rows.c]
    drawn_as_points = is_point_layer(record.schema) and where.scale >= POINTS_FROM_ZOOM
    large = sa.true() if drawn_as_points else size >= COUNTED_BELOW
    drawn = (
        sa.select(
            rows.c._fid.label(ORDER),
            rows.c._fid.label(ID),
            rows.c[CHANGE],
            *(rows.c[name] for name in coded),
            sa.cast(sa.null(), sa.Integer).label(COUNT),
            geometry_in(geom, record, where).label(PLACE),
        )
        .where(large)
        .offset(sa.literal_column("0"))
        .subquery("drawn")
    )
    shown = sa.select(*drawn.c).where(drawn.c[PLACE].is_not(None))

    def of_cell(cells: sa.Subquery) -> list[Any]:
        nothing = [sa.cast(sa.null(), rows.c[name].type).label(name) for name in coded]
        return [sa.cast(sa.null(), sa.Text).label(ID), cells.c[CHANGE], *nothing, cells.c[COUNT]]

    cells = counted(rows, record, where, sa.not_(large), of_cell, by=(CHANGE,))
    return as_tile((shown, cells), record)


def _differing(
    old: sa.Subquery, new: sa.Subquery, before: Snapshot, then: Snapshot
) -> sa.Select[Any]:
    """The rows of one or the other snapshot that differ, as far as their reader sees them."""
    known = {f.id: f.type for f in before.shown.fields}
    common = [f.id for f in then.shown.fields if known.get(f.id) == f.type]
    geometry = [sa.func.ST_AsBinary(side.c._geom) for side in (old, new)]
    differs = sa.or_(
        geometry[0].is_distinct_from(geometry[1]),
        *(old.c[name].is_distinct_from(new.c[name]) for name in common),
    )
    kind = sa.case((old.c._fid.is_(None), CREATED), (new.c._fid.is_(None), RETIRED), else_=CHANGED)
    names = [f.id for f in then.shown.fields]
    later = new.c._fid.is_not(None)
    columns = [
        sa.case((later, new.c[n]), else_=old.c[n] if n in common else None).label(n) for n in names
    ]
    one_only = sa.or_(old.c._fid.is_(None), new.c._fid.is_(None))
    changed = sa.or_(one_only, sa.and_(old.c._hash.is_distinct_from(new.c._hash), differs))
    return (
        sa.select(
            sa.func.coalesce(new.c._fid, old.c._fid).label("_fid"),
            kind.label(CHANGE),
            sa.type_coerce(sa.case((later, new.c._geom), else_=old.c._geom), sa.LargeBinary).label(
                "_geom"
            ),
            *columns,
        )
        .select_from(old.join(new, old.c._fid == new.c._fid, full=True))
        .where(changed)
    )
