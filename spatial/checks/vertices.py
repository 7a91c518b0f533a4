"""Shapes by themselves: corners that are repeated, lines that meet themselves, slivers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS

from spatial.checks.faults import Faults, take_faults
from spatial.checks.measures import (
    areas_m2,
    at_most_m,
    distances_m,
    mean_widths_m,
    pieces,
    strings_of,
    surely_m,
)

Geometries = NDArray[np.object_]
Int64s = NDArray[np.int64]
Floats = NDArray[np.float64]

_NONE = (np.empty(0, np.int64), np.empty(0), np.empty(0, object))


def repeated_corners(geoms: ArrayLike, crs: str | int | CRS, *, tolerance_m: float = 0.0) -> Faults:
    """Find corners of lines and polygons that lie where the corner before them lies.

    Parameters
    ----------
    geoms : array_like of Geometry, shape (n,)
        Lines and polygons, of several parts too; points have no corners. Missing ones are passed
        over, and heights count: a line that goes straight down repeats nothing.
    crs : str, int or CRS
        Theirs.
    tolerance_m : float
        How near is the same place, in plan and in height, in metres.

    Returns
    -------
    Faults
        ``repeated-corner``: one for each corner that could be left out; measured is its distance
        in plan from the one before, in metres.

    Examples
    --------
    >>> found = repeated_corners([shapely.LineString([(0, 0), (1, 1), (1, 1)])], "EPSG:4549")
    >>> found.rows.tolist(), found.places[0].wkt
    ([0], 'POINT (1 1)')
    """
    array = np.asarray(geoms, dtype=object)
    found = [_repeated(array[some], some.start, crs, tolerance_m) for some in pieces(array)]
    rows, away, places = (np.concatenate(column) for column in zip(_NONE, *found, strict=True))
    return Faults("repeated-corner", rows, places, away, (tolerance_m, np.inf), "m")


def _repeated(
    geoms: Geometries, first: int, crs: str | int | CRS, tolerance_m: float
) -> tuple[Int64s, Floats, Geometries]:
    strings, owner = strings_of(geoms)
    xyz, string = shapely.get_coordinates(strings, include_z=True, return_index=True)
    # Most corners are told apart by how far they lie to the north alone.
    near = surely_m(xyz[1:, 1] - xyz[:-1, 1], crs) <= tolerance_m
    steps = np.flatnonzero(near & (string[1:] == string[:-1]))
    away = distances_m(xyz[steps, :2], xyz[steps + 1, :2], crs)
    rise = np.nan_to_num(np.abs(xyz[steps + 1, 2] - xyz[steps, 2]))
    same = (away <= tolerance_m) & (rise <= tolerance_m)
    rows = owner[string[steps[same]]] + first
    return rows, away[same], shapely.points(xyz[steps[same] + 1, :2])


def self_touching(geoms: ArrayLike) -> Faults:
    """Find lines, and rings of polygons, that meet themselves: places where they do.

    Parameters
    ----------
    geoms : array_like of Geometry, shape (n,)
        Lines and polygons, of several parts too; missing ones are passed over. A closed line's
        two ends may be one place. Two parts, or a hole and its shell, that meet are no fault.

    Returns
    -------
    Faults
        ``self-touching``: one for each place, in the plane of the coordinates; measured is how
        many ends of edges meet there, of which 2 are allowed. Where a line runs back along itself
        the fault is where it turns off.

    Examples
    --------
    >>> found = self_touching([shapely.LineString([(0, 0), (2, 2), (2, 0), (0, 2)])])
    >>> found.rows.tolist(), found.places[0].wkt, found.measured.tolist()
    ([0], 'POINT (1 1)', [4.0])
    """
    array = np.asarray(geoms, dtype=object)
    found = [one for some in pieces(array) for one in _self_touching(array[some], some.start)]
    places = np.array([*(place for _, place, _ in found), None], dtype=object)[:-1]
    rows = np.array([row for row, _, _ in found], dtype=np.int64)
    counts = np.array([count for _, _, count in found], dtype=np.float64)
    return Faults("self-touching", rows, places, counts, (0, 2), "1")


def _self_touching(geoms: Geometries, first: int) -> Iterator[tuple[int, shapely.Geometry, int]]:
    strings, owner = strings_of(geoms)
    for k in np.flatnonzero(~shapely.is_simple(strings)):
        for place, count in _crossings(strings[k]):
            yield int(owner[k]) + first, place, count


def thin_polygons(polygons: ArrayLike, crs: str | int | CRS, *, width_m: float) -> Faults:
    """Find polygons, or parts of them, that are too thin to be anything.

    Parameters
    ----------
    polygons : array_like of Geometry, shape (n,)
        Valid polygons and multipolygons, of which each part is looked at.
    crs : str, int or CRS
        Theirs.
    width_m : float
        The least mean width, twice the area by the perimeter, in metres.

    Returns
    -------
    Faults
        ``sliver``: one a part; measured is its mean width in metres.

    Examples
    --------
    >>> plots = [shapely.box(0, 0, 10, 10), shapely.box(0, 0, 500, 0.02)]
    >>> found = thin_polygons(plots, "EPSG:4549", width_m=0.05)
    >>> found.rows.tolist(), found.measured.round(3).tolist()
    ([1], [0.02])
    """
    parts, owner = shapely.get_parts(np.asarray(polygons, dtype=object), return_index=True)
    areas = areas_m2(parts, crs, geodesic=False)
    # Most are told to be wide by a perimeter that is more than theirs.
    thin = (2 * areas < width_m * at_most_m(parts, crs)) & ~shapely.is_empty(parts)
    widths = np.full(len(parts), np.inf)
    widths[thin] = mean_widths_m(parts[thin], areas[thin], crs)
    thin = widths < width_m
    found = take_faults("sliver", thin, widths, parts, (width_m, np.inf), "m")
    return replace(found, rows=owner[found.rows])


def _crossings(string: shapely.Geometry) -> list[tuple[shapely.Geometry, int]]:
    """Return the places of a line where more than two ends of its noded pieces meet."""
    pieces = shapely.get_parts(shapely.node(shapely.force_2d(string)))
    ends = np.concatenate([shapely.get_coordinates(shapely.get_point(pieces, e)) for e in (0, -1)])
    places, counts = np.unique(ends, axis=0, return_counts=True)
    return [(shapely.Point(*xy), int(n)) for xy, n in zip(places, counts, strict=True) if n > 2]
