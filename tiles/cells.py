"""A tile put together from its rows; and of what is too small to be drawn, one point a cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from layers.model import Layer
from tiles.content import CELL, COUNT, EXTENT
from tiles.grids import Place
from tiles.lattices import cell_of, constant

# What a row is ordered by in its tile, and where it lies there.
ORDER, PLACE = "_order", "_geom"
_ACROSS = EXTENT // CELL


def counted(
    rows: sa.Subquery,
    record: Layer,
    where: Place,
    which: Any,
    attributes: Callable[[sa.Subquery], Sequence[Any]],
    by: Sequence[str] = (),
) -> sa.Select[Any]:
    """Return the select of points that say how many things lie in a cell of a tile.

    Parameters
    ----------
    rows : Subquery
        Of features.
    which : condition
        Holds for the rows that are counted.
    attributes : callable
        Returns the columns of a point from those of the cells, each with the name it has in the
        tile: of `by`, of the number, which is ``count``, and of whatever else the tile has.
    by : sequence of str
        Columns whose values are counted each by itself.
    """
    geom = rows.c._geom
    i, j = cell_of(geom, record, where)
    points = (
        sa.select(*(rows.c[name] for name in by), i.label("i"), j.label("j"))
        .where(geom.is_not(None), which)
        .offset(sa.literal_column("0"))
        .subquery("points")
    )
    own = [points.c[name] for name in (*by, "i", "j")]
    number = sa.cast(sa.func.count(), sa.Integer).label(COUNT)
    cells = sa.select(*own, number).group_by(*own).subquery("cells")
    i, j = cells.c.i, cells.c.j
    half = constant(CELL / 2)
    at = sa.func.ST_Point(i * constant(float(CELL)) + half, j * constant(float(CELL)) + half)
    # Behind the ids, in an order of their own.
    place = sa.func.to_char(j * _ACROSS + i, "FM0000000")
    order = sa.func.concat("\x7f", place, *(cells.c[name] for name in by))
    return sa.select(order.label(ORDER), *attributes(cells), at.label(PLACE)).where(
        i.between(0, _ACROSS - 1), j.between(0, _ACROSS - 1)
    )


def as_tile(parts: Sequence[sa.Select[Any]], record: Layer) -> sa.Select[Any]:
    """Return the select of a tile's bytes: one layer with the rows of all parts, in their order.

    Parameters
    ----------
    parts : sequence of Select
        With the same columns; all but `ORDER` and `PLACE` are attributes.
    """
    shaped = (parts[0] if len(parts) == 1 else sa.union_all(*parts)).subquery("shaped")
    # By bytes: the order of letters is the database's, and takes longer.
    order = sa.collate(shaped.c[ORDER], "C")
    shown = [column for column in shaped.c if column.name != ORDER]
    ready = sa.select(*shown).order_by(order).subquery("ready")
    # The whole row goes in; ST_AsMVT takes every other column as an attribute.
    made: Any = sa.func.ST_AsMVT(
        sa.literal_column("ready"), record.id, EXTENT, PLACE, type_=sa.LargeBinary
    )
    return sa.select(made.label("tile")).select_from(ready)
