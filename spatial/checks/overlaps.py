"""Polygons that lie over one another where they must not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS

from spatial.checks.faults import Faults
from spatial.checks.measures import areas_m2, mean_widths_m, pieces
from spatial.overlay.outlines import take_outlines
from spatial.overlay.overlaps import CONTACT
from spatial.overlay.trapezoids import share_areas
from spatial.shapes import repair

Geometries = NDArray[np.object_]
Int64s = NDArray[np.int64]

CHUNK: Final = 1 << 15
"""Polygons at a time: what bounds the memory, and changes nothing of the result."""
SLIVER_M: Final = 0.01
ROUNDING_M: Final = 1e-6
"""What is thinner than a micrometre is rounding, and no fault."""


def overlaps(
    polygons: ArrayLike,
    crs: str | int | CRS,
    *,
    groups: ArrayLike | None = None,
    sliver_m: float = SLIVER_M,
    chunk: int = CHUNK,
) -> tuple[Faults, Faults]:
    """Find pairs of polygons that share area.

    Parameters
    ----------
    polygons : array_like of Geometry, shape (n,)
        Polygons or multipolygons. An invalid one counts as `spatial.shapes.repair` mends it; a
        missing, an empty or an endless one shares nothing.
    crs : str, int or CRS
        Theirs. Edges are straight in its plane, also in degrees.
    groups : array_like, shape (n,), optional
        Only pairs of one group are at odds, such as parcels of one stratum; see `strata`.
    sliver_m : float
        Overlaps of a lesser mean width (twice the area by the perimeter) are said apart.
    chunk : int
        Polygons at a time; the result is the same whatever it is.

    Returns
    -------
    tuple of Faults
        ``overlap`` and ``overlap-sliver``: pairs of rows, the lower first, in their order; places
        are what both share; measured in square metres. Neighbours whose corners were rounded
        apart, by less than a micrometre or 1e-10 of the smaller one's area, are no fault.

    Examples
    --------
    >>> parcels = [shapely.box(0, 0, 10, 10), shapely.box(9, 0, 20, 10), shapely.box(0, 0, 5, 5)]
    >>> found, slivers = overlaps(parcels, "EPSG:4549", groups=["B", "B", "X"])
    >>> found.rows.tolist(), found.measured.tolist(), len(slivers)
    ([[0, 1]], [10.0], 0)
    """
    return sound_overlaps(sound(polygons), crs, groups, sliver_m, chunk)


def sound_overlaps(
    geoms: Geometries,
    crs: str | int | CRS,
    groups: ArrayLike | None,
    sliver_m: float,
    chunk: int,
) -> tuple[Faults, Faults]:
    """Do what `overlaps` does of polygons that are `sound`."""
    pairs = _meeting(geoms, _numbered(groups, len(geoms)), chunk)
    first, second = geoms[pairs[:, 0]], geoms[pairs[:, 1]]
    shared = with_area_only(shapely.intersection(shapely.force_2d(first), shapely.force_2d(second)))
    return apart("overlap", pairs, shared, crs, sliver_m)


def strata(codes: ArrayLike, *, at: int, others: str = "SX") -> NDArray[np.object_]:
    """Tell the stratum of parcels from their codes: what lies in different ones may overlap.

    Parameters
    ----------
    codes : array_like of str, shape (n,)
        None is a stratum of its own.
    at : int
        Which character of the code tells it, from 1: 14 for the 19 characters of a parcel code.
    others : str
        The letters that are strata of their own: S above the surface and X below. All others
        lie on the surface, with B.

    Returns
    -------
    ndarray of object, shape (n,)
        The letter, ``surface``, or None.

    Examples
    --------
    >>> strata(["420106001001GB00001", "420106001001GX00001", "420106001001JC00001"], at=14)
    array(['surface', 'X', 'surface'], dtype=object)
    """
    letters = [None if c is None else str(c)[at - 1 : at] for c in np.asarray(codes, dtype=object)]
    told = [k if k is None or (k and k in others) else "surface" for k in letters]
    return np.array(told, dtype=object)


def sound(polygons: ArrayLike) -> Geometries:
    """Return polygons fit to be measured: mended where invalid, None where not finite."""
    done = repair(polygons)
    geoms = done.geoms.copy() if done.non_finite.any() else done.geoms
    geoms[done.non_finite] = None
    return geoms


def with_area_only(geoms: Geometries) -> Geometries:
    """Return the polygons of geometries that may be collections, without lines and points."""
    mixed = np.flatnonzero(shapely.get_type_id(geoms) == shapely.GeometryType.GEOMETRYCOLLECTION)
    kept = geoms.copy()
    for k in mixed:
        parts = shapely.get_parts(shapely.get_parts(geoms[k]))
        kept[k] = shapely.union_all(parts[shapely.get_dimensions(parts) == 2])
    kept[shapely.get_dimensions(kept) < 2] = shapely.Polygon()
    return kept


def apart(
    rule: str, rows: Int64s, places: Geometries, crs: str | int | CRS, sliver_m: float
) -> tuple[Faults, Faults]:
    """Return faults of area, and apart from them those thinner than slivers; rounding is none."""
    areas = areas_m2(places, crs, geodesic=False)
    widths = mean_widths_m(places, areas, crs)
    order = np.lexsort((rows[:, 1], rows[:, 0]))
    wide, thin = (
        order[kept[order]]
        for kept in (widths >= sliver_m, (widths < sliver_m) & (widths > ROUNDING_M))
    )
    wide = wide[widths[wide] > ROUNDING_M]
    return (
        Faults(rule, rows[wide], places[wide], areas[wide], (0.0, 0.0), "m2"),
        Faults(f"{rule}-sliver", rows[thin], places[thin], areas[thin], (0.0, 0.0), "m2"),
    )


def across(polygons: Geometries, chunk: int) -> Iterator[Int64s]:
    """Yield rows of polygons that are near one another, so many at most, and not many corners."""
    order = _by_strips(polygons)
    for start in range(0, len(order), chunk):
        rows = order[start : start + chunk]
        for some in pieces(polygons[rows]):
            yield rows[some]


def _by_strips(polygons: Geometries) -> Int64s:
    bounds = np.nan_to_num(shapely.bounds(polygons))
    x, y = bounds[:, 0], bounds[:, 1]
    height = np.ptp(y) / max(np.sqrt(len(y) / 64), 1) if len(y) else 0.0
    strip = np.floor((y - y.min()) / height) if height > 0 else np.zeros(len(y))
    order: Int64s = np.lexsort((x, strip))
    return order


def _numbered(groups: ArrayLike | None, count: int) -> Int64s:
    if groups is None:
        return np.zeros(count, dtype=np.int64)
    names = [str(g) for g in np.asarray(groups, dtype=object)]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def _meeting(geoms: Geometries, groups: Int64s, chunk: int) -> Int64s:
    """Return the pairs of one group that share area, the lower row first."""
    tree = shapely.STRtree(geoms)
    found = [np.empty((0, 2), dtype=np.int64)]
    for rows in across(geoms, chunk):
        i, j = tree.query(geoms[rows])
        i = rows[i]
        kept = (i < j) & (groups[i] == groups[j])
        found.append(_sharing(geoms, i[kept], j[kept]))
    return np.concatenate(found)


def _sharing(geoms: Geometries, i: Int64s, j: Int64s) -> Int64s:
    rows, places = np.unique(np.concatenate([i, j]), return_inverse=True)
    outlines = take_outlines(geoms[rows])
    a, b = places[: len(i)].astype(np.int64), places[len(i) :].astype(np.int64)
    areas = np.empty(len(i))
    share_areas(outlines, outlines, a, b, areas)
    over = areas > CONTACT * np.minimum(outlines.areas[a], outlines.areas[b])
    return np.column_stack([i[over], j[over]])
