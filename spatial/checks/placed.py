"""Points in their place: within a boundary, and each in a place of its own."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import shapely
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS

from spatial.checks.faults import Faults, take_faults
from spatial.checks.measures import distances_m, in_metres

Geometries = NDArray[np.object_]

CHUNK: Final = 1 << 17


def outside(points: ArrayLike, boundary: shapely.Geometry, crs: str | int | CRS) -> Faults:
    """Find geometries that do not lie within a boundary, such as cases outside the city.

    Parameters
    ----------
    points : array_like of Geometry, shape (n,)
        Points, or others, which must lie within it whole. Missing and empty ones are no fault.
    boundary : Geometry
        A valid polygon or multipolygon; what lies on its edge is inside.
    crs : str, int or CRS
        Of both.

    Returns
    -------
    Faults
        ``outside``: measured is the distance from the boundary in metres, in a plane for
        geographic systems (`spatial.crs.local_metric_crs`): 0 for what lies partly within.

    Examples
    --------
    >>> cases = [shapely.Point(1, 1), shapely.Point(14, 13)]
    >>> found = outside(cases, shapely.box(0, 0, 10, 10), "EPSG:4549")
    >>> found.rows.tolist(), found.measured.tolist()
    ([1], [5.0])
    """
    geoms = np.asarray(points, dtype=object)
    shapely.prepare(boundary)
    there = ~(shapely.is_missing(geoms) | shapely.is_empty(geoms))
    bad = there & ~shapely.covers(boundary, geoms)
    rows = np.flatnonzero(bad)
    measured = np.full(len(geoms), np.nan)
    if rows.size:
        moved = in_metres(np.append(geoms[rows], boundary), crs)
        measured[rows] = shapely.distance(moved[:-1], moved[-1])
    return take_faults("outside", bad, measured, geoms, (0.0, 0.0), "m")


def repeated_places(
    points: ArrayLike,
    crs: str | int | CRS,
    *,
    tolerance_m: float = 0.0,
    groups: ArrayLike | None = None,
    chunk: int = CHUNK,
) -> Faults:
    """Find points that lie where others lie, such as a node that was surveyed twice.

    Parameters
    ----------
    points : array_like of Geometry, shape (n,)
        Heights don't count; missing and empty ones lie nowhere.
    crs : str, int or CRS
        Theirs.
    tolerance_m : float
        How near is the same place, in metres.
    groups : array_like, shape (n,), optional
        Only points of one group are at odds, such as nodes of one class.
    chunk : int
        Points at a time; the result is the same whatever it is.

    Returns
    -------
    Faults
        ``repeated-place``: pairs of rows, the lower first, in their order, at the place of the
        higher; measured is their distance in metres. Any number of points in one place makes a
        pair of each two of them.

    Examples
    --------
    >>> nodes = [shapely.Point(0, 0), shapely.Point(5, 0), shapely.Point(0, 0.003)]
    >>> repeated_places(nodes, "EPSG:4549", tolerance_m=0.01).rows.tolist()
    [[0, 2]]
    """
    geoms = np.asarray(points, dtype=object)
    flat = in_metres(geoms, crs)
    tree = shapely.STRtree(flat)
    found = [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(flat), chunk):
        # A little farther: rounding and the plane must not lose what the ellipsoid is to tell.
        near = tolerance_m * 1.001 + 1e-6
        some = flat[start : start + chunk]
        i, j = tree.query(some, predicate="dwithin", distance=near)
        i += start
        found.append(np.column_stack([i[i < j], j[i < j]]))
    pairs = np.concatenate(found)
    if groups is not None:
        of = pd.factorize(np.asarray(groups, dtype=object), use_na_sentinel=False)[0]
        pairs = pairs[of[pairs[:, 0]] == of[pairs[:, 1]]]
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    xy = np.column_stack([shapely.get_x(geoms), shapely.get_y(geoms)])
    away = distances_m(xy[pairs[:, 0]], xy[pairs[:, 1]], crs)
    kept = away <= tolerance_m
    pairs = pairs[kept]
    return Faults(
        "repeated-place", pairs, geoms[pairs[:, 1]], away[kept], (tolerance_m, np.inf), "m"
    )
