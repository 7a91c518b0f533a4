"""A read with restricted fields: open versions split where what is restricted changed.

Both kinds of fields have histories of their own. A version that somebody sees who may see both is
of a period in which neither changed.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from layers.model import Layer
from layers.moments import Moment, restricted_branches
from layers.sights import Shown
from layers.tables import INSTANT


def joined(
    whole: sa.Select[Any],
    layer: Layer,
    what: Shown,
    moment: Moment,
    after: tuple[str, datetime] | None,
) -> sa.Select[Any]:
    """Return a select of open versions with the restricted fields that belong to them.

    Parameters
    ----------
    whole : Select
        Of open versions, as `layers.features.select_features` puts it together.
    after : tuple of str and datetime, optional
        The key (id, start) after which the page begins.
    """
    pieces = _pieces(whole.subquery("open_versions"), _closed(layer, what, moment), what)
    found = pieces.subquery("split")
    f, select = found.c, sa.select(*found.c)
    instant = moment.instant_of(layer.schema.kind)
    if instant is not None:
        at = sa.literal(instant, INSTANT)
        return select.where(f._valid_from <= at, f._valid_to > at)
    if after is not None:
        key = sa.tuple_(sa.literal(after[0], sa.Text), sa.literal(after[1], INSTANT))
        select = select.where(sa.tuple_(f._fid, f._valid_from) > key)
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
    v, c = versions.c, closed.c

    def cuts(column: Any) -> sa.Select[Any]:
        within = sa.and_(c._fid == v._fid, column > v._valid_from, column < v._valid_to)
        return sa.select(column.label("at")).where(within).correlate(versions)

    at = sa.union(
        sa.select(v._valid_from.label("at")).correlate(versions),
        cuts(c._valid_from),
        cuts(c._valid_to),
    ).lateral("cuts")
    following = sa.func.lead(at.c.at, 1, v._valid_to).over(
        partition_by=(v._fid, v._valid_from), order_by=at.c.at
    )
    own = [column for column in v if column.name not in ("_valid_from", "_valid_to")]
    cut = (
        sa.select(*own, at.c.at.label("_valid_from"), following.label("_valid_to"))
        .select_from(versions.join(at, sa.true()))
        .subquery("pieces")
    )
    p = cut.c
    held = sa.and_(c._fid == p._fid, c._valid_from <= p._valid_from, c._valid_to > p._valid_from)
    return sa.select(*_columns(cut, closed, what)).select_from(cut.outerjoin(closed, held))


def _columns(versions: sa.Subquery, closed: sa.Subquery, what: Shown) -> list[Any]:
    v = versions.c
    flags = sorted(set(what.masks.values()))
    hidden = [_masked(v, closed.c, what, f.id) for f in what.restricted]
    fields = [v[f.id] for f in what.fields]
    own = (v._fid, v._valid_from, v._valid_to, v._hash, v._geom)
    return [*own, *fields, *hidden, *(v[n] for n in flags)]


def _masked(versions: Any, closed: Any, what: Shown, name: str) -> Any:
    mask = what.masks.get(name)
    value = closed[name] if mask is None else sa.case((versions[mask], closed[name]))
    return value.label(name)
