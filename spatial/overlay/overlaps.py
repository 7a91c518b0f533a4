"""Grids that may overlap: which do, and what area several of them cover together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from spatial.overlay.outlines import Outlines, take_outlines
from spatial.overlay.trapezoids import share_areas

Geometries = NDArray[np.object_]
Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]

CONTACT: Final = 1e-10
"""Of the smaller of two polygons: they touch where they share no more, as neighbours whose
corners were rounded apart from each other do."""
_EQUAL: Final = 1e-12
_CHUNK: Final = 1 << 13


@dataclass(slots=True)
class Coverage:
    """Polygons in one plane, valid, with all that is made of them once."""

    geoms: Geometries
    outlines: Outlines = field(init=False)
    tree: shapely.STRtree = field(init=False)
    heaps: Int64s = field(init=False)
    """Of each polygon the least place of those that it overlaps, on and on; alone its own."""
    _unions: tuple[Int64s, Outlines] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.outlines, self.tree = take_outlines(self.geoms), shapely.STRtree(self.geoms)
        self.heaps = _heap(self)

    def unions(self) -> tuple[Int64s, Outlines]:
        """Return the heaps that have several polygons, ascending, and what each covers."""
        if self._unions is None:
            labels, counts = np.unique(self.heaps, return_counts=True)
            labels = labels[counts > 1]
            merged = [shapely.union_all(self.geoms[self.heaps == label]) for label in labels]
            self._unions = labels, take_outlines(np.array(merged, dtype=object))
        return self._unions


def meet(
    geoms: Geometries, outlines: Outlines, coverage: Coverage
) -> tuple[Int64s, Int64s, Floats]:
    """Return every polygon and polygon of the coverage that share area, by place, and how much.

    Contacts are left out. What is a whole polygon, but for rounding, is that polygon's area.
    """
    i, j = coverage.tree.query(geoms)
    areas = np.empty(len(i))
    share_areas(outlines, coverage.outlines, i, j, areas)
    smaller = np.minimum(outlines.areas[i], coverage.outlines.areas[j])
    areas = np.where(areas > (1 - _EQUAL) * smaller, smaller, areas)
    kept = areas > CONTACT * smaller
    return i[kept], j[kept], areas[kept]


def measure_cover(
    outlines: Outlines, coverage: Coverage, i: Int64s, j: Int64s, areas: Floats
) -> Floats:
    """Return the area of each polygon that lies in any polygon of the coverage, counted once.

    `i`, `j` and `areas` are what `meet` returned.
    """
    wide = max(len(coverage.geoms), 1)
    slots, group, counts = np.unique(
        i * wide + coverage.heaps[j], return_inverse=True, return_counts=True
    )
    owners, heaps = slots // wide, slots % wide
    covered, largest = np.bincount(group, areas, minlength=len(slots)), np.zeros(len(slots))
    np.maximum.at(largest, group, areas)
    # several of one heap may cover the same ground twice, unless one of them covers it all
    whole = largest >= outlines.areas[owners]
    covered[whole] = largest[whole]
    doubled = np.flatnonzero((counts > 1) & ~whole)
    if doubled.size:
        labels, unions = coverage.unions()
        together = np.empty(len(doubled))
        places = np.searchsorted(labels, heaps[doubled])
        share_areas(outlines, unions, owners[doubled], places, together)
        covered[doubled] = together
    total: Floats = np.bincount(owners, covered, minlength=len(outlines.areas)).astype(np.float64)
    return total


def _heap(coverage: Coverage) -> Int64s:
    """Return of each polygon the least place of those that it overlaps, on and on."""
    heaps = np.arange(len(coverage.geoms))
    for start in range(0, len(heaps), _CHUNK):
        first = np.arange(start, min(start + _CHUNK, len(heaps)))
        i, j = coverage.tree.query(coverage.geoms[first])
        i = first[i]
        i, j = i[i < j], j[i < j]
        areas = np.empty(len(i))
        share_areas(coverage.outlines, coverage.outlines, i, j, areas)
        smaller = np.minimum(coverage.outlines.areas[i], coverage.outlines.areas[j])
        over = areas > CONTACT * smaller
        for a, b in zip(i[over].tolist(), j[over].tolist(), strict=True):
            low, high = sorted((_root(heaps, a), _root(heaps, b)))
            heaps[high] = low
    for k in range(len(heaps)):  # ascending: what a polygon names is done before it
        heaps[k] = heaps[heaps[k]]
    return heaps


def _root(heaps: Int64s, place: int) -> int:
    while heaps[place] != place:
        heaps[place] = heaps[heaps[place]]
        place = int(heaps[place])
    return place
