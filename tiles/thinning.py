"""How far a tile has to be thinned, foreseen from how many things of which size lie in it.

To draw a tile of a whole city only to see that it is too large, and to draw it again with less in
it, takes as long each time. To count what lies in it by size takes a fraction of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from layers.model import Layer
from layers.store import Snapshot
from tiles.content import COUNTED_BELOW, GOAL_BYTES, NAMED_FROM, Content
from tiles.grids import Place
from tiles.lattices import UNIT, size_in_units

# Zooms of the web's Mercator up to which a tile may hold more than its goal.
LAST_FORESEEN = 11
# The sizes from which on things are drawn: four for each doubling, as most things of a layer are
# about as large, and a step more leaves out many of them.
STEPS: tuple[float, ...] = tuple(round(COUNTED_BELOW * 2.0 ** (n / 4), 1) for n in range(37))
# Bytes, about: of a small outline; of an attribute whose value others have, and of one of its own.
_OUTLINE, _SHARED, _OWN = 30, 3, 16


def foreseen(snapshot: Snapshot, where: Place, content: Content) -> Content:
    """Return a content with which a tile will not be much larger than its goal.

    Parameters
    ----------
    snapshot : Snapshot
        Of the features that meet the tile with its margin.
    """
    if not content.draws:
        return content
    found = snapshot.told(
        ("sizes", where.matrix_set.id),
        lambda select, record: _sizes(select, record, where),
        {UNIT: 1.0 / where.unit},
    )
    numbers = {int(row[0]): int(row[1]) for row in found.rows if row[0] is not None}
    least = least_drawn([numbers.get(n, 0) for n in range(len(STEPS) + 1)], content)
    return content if least <= max(content.counted_below, COUNTED_BELOW) else content.thinned(least)


def least_drawn(numbers: Sequence[int], content: Content, goal: int = GOAL_BYTES) -> float:
    """Return from which size on things can be drawn, so that a tile keeps to its goal.

    Parameters
    ----------
    numbers : sequence of int
        How many things are smaller than the first of `STEPS`; from it on and smaller than the
        second; and so on, the last from the last step on.

    Examples
    --------
    >>> content = Content((("use", 0.0),), 3.0)
    >>> STEPS[:5]
    (3.0, 3.6, 4.2, 5.0, 6.0)
    >>> least_drawn([10, 100_000, 100_000, 10, *[0] * (len(STEPS) - 3)], content)
    3.6
    """
    total = 0.0
    for n in range(len(STEPS), 0, -1):
        total += numbers[n] * _bytes_of(STEPS[n - 1], content)
        if total > goal:
            return STEPS[min(n, len(STEPS) - 1)]
    return STEPS[0]


def _bytes_of(size: float, content: Content) -> int:
    shared = sum(least < NAMED_FROM for _, least in content.sizes)
    own = sum(NAMED_FROM <= least <= size for _, least in content.sizes)
    if not content.counts:
        # Of attributes that are asked for, nobody knows whether others have the same values.
        shared, own = 0, shared
    return _OUTLINE + _SHARED * shared + _OWN * own


def _sizes(select: sa.Select[Any], record: Layer, where: Place) -> sa.Select[Any]:
    rows = select.subquery("rows")
    size = size_in_units(rows.c._geom, record.schema, where)
    array = f"ARRAY[{', '.join(map(repr, STEPS))}]::float8[]"
    steps: Any = sa.literal_column(array)
    step = sa.func.width_bucket(size, steps).label("step")
    return sa.select(step, sa.func.count().label("number")).group_by(sa.literal_column("1"))
