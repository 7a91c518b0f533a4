"""What tells one version of a feature from another, beside what it says: its shape, and since when.

Two columns more for a read of one feature: ``_mark``, which differs where the stored shape does, in
whatever reference system it is shown; and ``_recorded``, when the platform came to know it so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from layers.model import Layer
from layers.reading.inputs import REVISION, given
from layers.reading.moments import Moment
from layers.reading.sights import Shown
from layers.tables import INSTANT, commit, revision, tables_of


def marked(select: sa.Select[Any], layer: Layer, moment: Moment, what: Shown) -> sa.Select[Any]:
    """Return a features select with the two columns, for few rows.

    Parameters
    ----------
    select : Select
        As `layers.reading.features.select_features` puts it together.
    what : Shown
        What its reader sees: of restricted fields nothing is told to who sees none.
    """
    rows = select.subquery("unmarked")
    mark = sa.func.md5(sa.func.ST_AsBinary(rows.c._geom)).label("_mark")
    last = sa.func.greatest(*_numbers(rows, layer, moment, what))
    known = revision.join(commit, commit.c.id == revision.c.commit_id)
    recorded = (
        sa.select(sa.type_coerce(commit.c.recorded_at, INSTANT))
        .select_from(known)
        .where(revision.c.layer_id == layer.id, revision.c.number == last)
        .correlate(rows)
        .scalar_subquery()
    )
    return sa.select(*rows.c, mark, recorded.label("_recorded"))


def _numbers(
    rows: sa.Subquery, layer: Layer, moment: Moment, what: Shown
) -> Iterator[sa.ScalarSelect[Any]]:
    """The last revisions that wrote what is, or was, believed of the period of a version."""
    tables, r = tables_of(layer), rows.c
    families = [tables.open]
    if tables.restricted is not None and what.restricted:
        families.append(tables.restricted)
    known = given(REVISION, moment.revision, sa.Integer)
    for table in (t for family in families for t in (family.live, family.history)):
        c = table.c
        touched = (
            sa.case((number <= known, number)) for number in (c._rev_from, c._rev_closed, c._rev_to)
        )
        goes_on = sa.or_(c._valid_to > r._valid_from, c._rev_closed > known)
        there = (c._fid == r._fid, c._valid_from < r._valid_to, goes_on)
        query = sa.select(sa.func.max(sa.func.greatest(*touched))).where(*there)
        yield query.correlate(rows).scalar_subquery()
