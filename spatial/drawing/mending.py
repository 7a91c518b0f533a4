"""Polygons whose rings meet after they were rounded to a lattice, made valid on it.

GEOS does it, one feature at a time, so that what becomes of one depends on nothing else: what lies
within an outer ring and in none of its holes stays, on the lattice. A hole that was cut at the
margin has a side in common with the outer ring, so that lines alone do not say what is inside.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from spatial.cells.compiled import compiled
from spatial.drawing.rings import area, reverse
from spatial.drawing.shapes import Drawn

Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]
Objects = NDArray[np.object_]


def mend(drawn: Drawn) -> Drawn:
    """Return the same features with those that are not valid made so.

    Parameters
    ----------
    drawn : Drawn
        Of `spatial.drawing.polygons.draw_polygons`.
    """
    doubtful = np.flatnonzero(drawn.doubtful)
    if not len(doubtful):
        return drawn
    shapes = shapes_of(drawn, doubtful)
    broken = ~shapely.is_valid(shapes)
    if not broken.any():
        return drawn
    return _replaced(drawn, doubtful[broken], _valid(shapes[broken]))


def shapes_of(drawn: Drawn, features: Int64s) -> Objects:
    """Return features as shapely's multipolygons, whether they are valid or not."""
    counts = drawn.end[features] - drawn.first[features]
    parts = np.repeat(drawn.first[features] - np.cumsum(counts) + counts, counts)
    parts += np.arange(len(parts))
    xy, rings = closed(drawn.xy, drawn.starts, parts)
    outer = drawn.outer[parts]
    polygons = np.append(np.flatnonzero(outer), len(parts))
    ends = np.concatenate([[0], np.cumsum(counts)])
    wholes = np.concatenate([[0], np.cumsum(outer)])[ends]
    offsets = (rings, polygons, wholes)
    made: Objects = shapely.from_ragged_array(shapely.GeometryType.MULTIPOLYGON, xy, offsets)
    return made


@compiled
def closed(xy: Floats, starts: Int64s, parts: Int64s) -> tuple[Floats, Int64s]:
    """Return some of the rings, each with its first corner once more at its end."""
    ends = np.zeros(len(parts) + 1, np.int64)
    for n in range(len(parts)):
        ends[n + 1] = ends[n] + starts[parts[n] + 1] - starts[parts[n]] + 1
    found = np.empty((ends[-1], 2))
    for n in range(len(parts)):
        a, count = starts[parts[n]], ends[n + 1] - ends[n] - 1
        for k in range(count + 1):
            corner = a + (k if k < count else 0)
            found[ends[n] + k, 0], found[ends[n] + k, 1] = xy[corner, 0], xy[corner, 1]
    return found, ends


def _valid(shapes: Objects) -> list[Objects]:
    """Return of each shape the valid polygons that it is made of, on the lattice."""
    return [
        _polygons(shapely.set_precision(shapely.multipolygons(_polygons(made)), 1.0))
        for made in shapely.make_valid(shapes, method="structure", keep_collapsed=False)
    ]


def _polygons(shape: Any) -> Objects:
    parts = shapely.get_parts(shapely.get_parts(shape))
    found: Objects = parts[(shapely.get_type_id(parts) == 3) & ~shapely.is_empty(parts)]
    return found


def _replaced(drawn: Drawn, features: Int64s, polygons: list[Objects]) -> Drawn:
    """Return the drawn features with polygons instead of some; the parts come after all others."""
    counts = [shapely.get_num_interior_rings(found) + 1 for found in polygons]
    rings = shapely.get_rings(np.concatenate(polygons))
    xy, owners = shapely.get_coordinates(rings, return_index=True)
    # Without the last corner of each, which is the first.
    last = np.append(owners[1:] != owners[:-1], True)[: len(owners)]
    xy, owners = xy[~last], owners[~last]
    sizes = np.bincount(owners, minlength=len(rings))
    outer = np.zeros(len(rings), dtype=bool)
    each = np.concatenate(counts)
    outer[np.cumsum(each) - each] = True
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    turn_round(xy, starts, outer)
    ends = len(drawn.outer) + np.cumsum([int(own.sum()) for own in counts])
    first, end = drawn.first.copy(), drawn.end.copy()
    first[features], end[features] = np.append(len(drawn.outer), ends[:-1]), ends
    return Drawn(
        np.concatenate([drawn.xy, xy]),
        np.concatenate([drawn.starts[:-1], starts + len(drawn.xy)]),
        np.concatenate([drawn.outer, outer]),
        first,
        end,
        np.zeros(len(first), dtype=bool),
    )


@compiled
def turn_round(xy: Floats, starts: Int64s, outer: NDArray[np.bool_]) -> None:
    """Turn rings, in place, as a vector tile wants them: outer ones clockwise as they are seen."""
    for n in range(len(outer)):
        if (area(xy, starts[n], starts[n + 1]) > 0.0) != outer[n]:
            reverse(xy, starts[n], starts[n + 1])
