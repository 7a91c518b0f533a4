"""A read with restricted fields: open versions split where what is restricted changed.

Both kinds of fields have histories of their own. A version that somebody sees who may see both is
of a period in which neither changed, as far as they see: where a field changed that is not theirs,
or in a row where it is not, nothing is split.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from layers.model import Layer
from layers.reading.moments import Moment, restricted_branches
from layers.reading.sights import Shown
from layers.tables import INSTANT


def joined(
    whole: sa.Select[Any],
    layer: Layer,
    what: Shown,
    moment: Moment,
    keys: Sequence[str] = (),
) -> sa.Select[Any]:
    """Return a select of open versions with the restricted fields that belong to them.

    Parameters
    ----------
    whole : Select
        Of open versions, as `layers.reading.features.select_features` puts it together.
    keys : sequence of str
        Names of columns with the values that the page is ordered by.
    """
    pieces = _pieces(whole.subquery("open_versions"), _closed(layer, what, moment), what)
    found = _together(pieces.subquery("pieces"), what, keys).subquery("split")
    f, select = found.c, sa.select(*found.c)
    instant = moment.instant_of(layer.schema.kind)
    if instant is not None:
        at = sa.literal(instant, INSTANT)
        return select.where(f._valid_from <= at, f._valid_to > at)
    return select


def _closed(layer: Layer, what: Shown, moment: Moment) -> sa.Subquery:
    """All versions of the restricted fields: one of another time may begin within an open one."""
    always = dataclasses.replace(moment, when=None)
    parts = [
        sa.select(
            table.c._fid,
            table.c._valid_from,
            end.label("_valid_to"),
            *(table.c[f.id].label(f.id) for f in what.restricted),
        ).where(*conditions)
        for table, end, conditions in restricted_branches(layer, always)
    ]
    return sa.union_all(*parts).subquery("closed")


def _pieces(versions: sa.Subquery, closed: sa.Subquery, what: Shown) -> sa.Select[Any]:
    """What restricted fields say at the start of each open version, and wherever they change."""
    v, c = versions.c, closed.c

    def cuts(column: Any) -> sa.Select[Any]:
        within = sa.and_(c._fid == v._fid, column > v._valid_from, column < v._valid_to)
        return sa.select(column.label("at")).where(within).correlate(versions)

    at = sa.union(
        sa.select(v._valid_from.label("at")).correlate(versions),
        cuts(c._valid_from),
        cuts(c._valid_to),
    ).lateral("cuts")
    cut = sa.select(*v, at.c.at.label("_at")).select_from(versions.join(at, sa.true()))
    pieces = cut.subquery("cut")
    p = pieces.c
    held = sa.and_(c._fid == p._fid, c._valid_from <= p._at, c._valid_to > p._at)
    hidden = (_masked(p, c, what, f.id).label(f.id) for f in what.restricted)
    return sa.select(*p, *hidden).select_from(pieces.outerjoin(closed, held))


def _together(pieces: sa.Subquery, what: Shown, keys: Sequence[str]) -> sa.Select[Any]:
    """Pieces of one version as one again, as long as they say the same to whoever sees them."""
    p = pieces.c
    ordered: dict[str, Any] = {"partition_by": (p._fid, p._valid_from), "order_by": p._at}
    differs = (
        p[f.id].is_distinct_from(sa.func.lag(p[f.id]).over(**ordered)) for f in what.restricted
    )
    begins = sa.or_(p._at == p._valid_from, *differs).label("_begins")
    n = sa.select(*p, begins).subquery("told").c
    following = sa.func.lead(n._at, 1, n._valid_to).over(
        partition_by=(n._fid, n._valid_from), order_by=n._at
    )
    columns = (
        n._fid,
        n._at.label("_valid_from"),
        following.label("_valid_to"),
        n._hash,
        n._geom,
        *(n[f.id] for f in what.every),
        *(n[name] for name in sorted(set(what.masks.values()))),
        *(n[name] for name in keys),
    )
    return sa.select(*columns).where(n._begins)


def _masked(versions: Any, closed: Any, what: Shown, name: str) -> Any:
    mask = what.masks.get(name)
    return closed[name] if mask is None else sa.case((versions[mask], closed[name]))
