"""Areas, lengths and distances in metres, of whatever system the coordinates are in.

Geographic systems are measured on their own ellipsoid, with geodesics for edges, projected ones in
their plane. Of both x is east and y is north. Heights are taken to be metres.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Geod

from spatial.crs import local_metric_crs, parse_crs, transform
from spatial.overlay.outlines import take_rings

Geometries = NDArray[np.object_]
Floats = NDArray[np.float64]
Below = Callable[[Floats, CRS], tuple[Floats, float]]

_WIDE: Final = 0.05  # degrees: what is wider is left to the exact and slower way
_CORNERS: Final = 1 << 19  # at a time: what bounds the memory
_DEGREE_M: Final = (110_000.0, 112_000.0)  # less and more than one, along every meridian


def areas_m2(polygons: Geometries, crs: str | int | CRS, *, geodesic: bool = True) -> Floats:
    """Measure areas: on the ellipsoid for geographic systems, in the plane for others.

    Parameters
    ----------
    polygons : ndarray of Geometry, shape (n,)
        Polygons and multipolygons, valid; missing and empty ones measure 0.
    crs : str, int or CRS
        Theirs.
    geodesic : bool
        Whether the edges of geographic systems are geodesics, or straight in degrees as what
        shapes share is: a corner upon such an edge lies beside the geodesic, by half a
        millimetre in 150 m, which is more than slivers are wide.

    Returns
    -------
    ndarray of float64, shape (n,)
        In square metres. Between geodesics they agree with `pyproj.Geod` to 1e-7 of the area,
        or 1e-4 m2: of polygons no wider than 0.05 degrees they are sums over the edges of
        ``2 atan(tan(dl/2) (t1 + t2) / (1 + t1 t2)) R^2``, where t is the tangent of half the
        authalic latitude and R the authalic radius: the area of a spherical polygon, after
        Bessel; wider ones are left to `pyproj.Geod`. Between straight edges they are the sums of
        ``dl s R^2``, where s is the mean sine of the authalic latitude along the edge, by Simpson's
        rule.

    Examples
    --------
    >>> square = np.array([shapely.box(0, 0, 0.001, 0.001)])
    >>> areas_m2(square, "EPSG:4490").round(3).tolist(), areas_m2(square, "EPSG:4549").tolist()
    ([12309.072], [1e-06])
    """
    known = parse_crs(crs)
    if not known.is_geographic:
        plane: Floats = np.nan_to_num(shapely.area(polygons)) * unit_m(known) ** 2
        return plane
    below = _below_geodesics if geodesic else _below_straight
    found = [_areas(polygons[some], known, below) for some in pieces(polygons)]
    return np.concatenate([np.empty(0), *found])


def _areas(polygons: Geometries, known: CRS, below: Below) -> Floats:
    if below is _below_straight:
        return _ring_sums(polygons, known, below)
    scale = math.degrees(_radians(known))
    bounds = shapely.bounds(polygons) * scale
    wide = (bounds[:, 2] - bounds[:, 0] > _WIDE) | (bounds[:, 3] - bounds[:, 1] > _WIDE)
    found = np.zeros(len(polygons))
    found[~wide] = _ring_sums(polygons[~wide], known, below)
    geod = _geod(known)
    for k in np.flatnonzero(wide):
        parts = shapely.transform(shapely.orient_polygons(polygons[k]), lambda xy: xy * scale)
        found[k] = abs(geod.geometry_area_perimeter(parts)[0])
    return found


def lengths_m(lines: Geometries, crs: str | int | CRS, *, with_z: bool = False) -> Floats:
    """Measure lengths of lines, or of the boundaries of polygons.

    Parameters
    ----------
    lines : ndarray of Geometry, shape (n,)
        Missing and empty ones measure 0. What several parts have between them is not counted.
    crs : str, int or CRS
        Theirs.
    with_z : bool
        Whether rises count, in metres; NaN then for lines that lack a height.

    Returns
    -------
    ndarray of float64, shape (n,)
        In metres.

    Examples
    --------
    >>> lines = np.array([shapely.LineString([(0, 0, 0), (3, 0, 4)])])
    >>> lengths_m(lines, 4549).tolist(), lengths_m(lines, 4549, with_z=True).tolist()
    ([3.0], [5.0])
    """
    known = parse_crs(crs)
    found = [_lengths(lines[some], known, with_z) for some in pieces(lines)]
    return np.concatenate([np.empty(0), *found])


def _lengths(lines: Geometries, crs: CRS, with_z: bool) -> Floats:
    parts, owner = strings_of(lines)
    xyz, of = shapely.get_coordinates(parts, include_z=with_z, return_index=True)
    steps = of[1:] == of[:-1]
    along = distances_m(xyz[:-1][steps, :2], xyz[1:][steps, :2], crs)
    if with_z:
        along = np.hypot(along, (xyz[1:, 2] - xyz[:-1, 2])[steps])
    return _added(owner[of[1:][steps]], along, len(lines))


def distances_m(first: Floats, second: Floats, crs: str | int | CRS) -> Floats:
    """Measure how far places lie from others, one by one.

    Parameters
    ----------
    first, second : ndarray of float64, shape (n, 2)
        x and y.
    crs : str, int or CRS
        Of both.

    Returns
    -------
    ndarray of float64, shape (n,)
        In metres; NaN where a coordinate is.

    Examples
    --------
    >>> distances_m(np.array([[0.0, 0.0]]), np.array([[0.0, 1.0]]), "EPSG:4490").round(2).tolist()
    [110574.39]
    """
    known = parse_crs(crs)
    if not known.is_geographic:
        step = (second - first) * unit_m(known)
        return np.hypot(step[:, 0], step[:, 1])
    scale = math.degrees(_radians(known))
    a, b = first * scale, second * scale
    found: Floats = np.asarray(_geod(known).inv(a[:, 0], a[:, 1], b[:, 0], b[:, 1])[2])
    return found


def mean_widths_m(polygons: Geometries, areas: Floats, crs: str | int | CRS) -> Floats:
    """Return twice the area by the perimeter: nearly how wide a long and thin polygon is.

    Examples
    --------
    >>> strip = np.array([shapely.box(0, 0, 1000, 0.5)])
    >>> mean_widths_m(strip, areas_m2(strip, 4549), 4549).round(2).tolist()
    [0.5]
    """
    perimeters = lengths_m(polygons, crs)
    return np.divide(2 * areas, perimeters, out=np.zeros(len(areas)), where=perimeters > 0)


def at_most_m(geoms: Geometries, crs: str | int | CRS) -> Floats:
    """Return what lengths of lines, or of boundaries, are surely no more than, at little cost.

    Examples
    --------
    >>> at_most_m(np.array([shapely.LineString([(0, 60), (1, 60)])]), "EPSG:4490").tolist()
    [112000.0]
    """
    known = parse_crs(crs)
    unit = _DEGREE_M[1] * math.degrees(_radians(known)) if known.is_geographic else unit_m(known)
    bound: Floats = np.nan_to_num(shapely.length(geoms)) * unit
    return bound


def surely_m(rises: Floats, crs: str | int | CRS) -> Floats:
    """Return what lies surely between places that far apart to the north, in metres.

    Examples
    --------
    >>> surely_m(np.array([-0.5]), "EPSG:4490").tolist()
    [55000.0]
    """
    known = parse_crs(crs)
    unit = _DEGREE_M[0] * math.degrees(_radians(known)) if known.is_geographic else unit_m(known)
    return np.abs(rises) * unit


def pieces(geoms: Geometries, corners: int = _CORNERS) -> Iterator[slice]:
    """Cut geometries into runs that have about so many corners, to be worked on one by one.

    Examples
    --------
    >>> lines = np.array([shapely.LineString([(0, 0), (1, 1)])] * 5)
    >>> [(some.start, some.stop) for some in pieces(lines, 4)]
    [(0, 2), (2, 4), (4, 5)]
    """
    ends = np.cumsum(shapely.get_num_coordinates(geoms))
    start = 0
    while start < len(geoms):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + corners, side="right")), start + 1)
        yield slice(start, stop)
        start = stop


def in_metres(geoms: Geometries, crs: str | int | CRS) -> Geometries:
    """Move geometries to a plane in metres, without their heights, to look for what is near.

    Geographic ones go to `spatial.crs.local_metric_crs` of their bounds, others keep their plane.

    Raises
    ------
    TransformationFailed
        If degrees can't be moved to the plane.

    Examples
    --------
    >>> in_metres(np.array([shapely.Point(10, 20, 5)]), 2263)[0].x.__round__(4)  # US survey feet
    3.048
    """
    known = parse_crs(crs)
    flat: Geometries = shapely.force_2d(geoms)
    if known.is_geographic:
        bounds = shapely.total_bounds(flat)
        if not np.isfinite(bounds).all():
            return flat
        return transform(flat, known, local_metric_crs(tuple(bounds), known))
    unit = unit_m(known)
    if unit != 1.0:
        flat = shapely.transform(flat, lambda xy: xy * unit)
    return flat


def unit_m(crs: CRS) -> float:
    """Return how many metres the unit of a projected system is.

    Examples
    --------
    >>> unit_m(parse_crs(4549))
    1.0
    """
    return float(crs.axis_info[0].unit_conversion_factor)


def strings_of(geoms: Geometries) -> tuple[Geometries, NDArray[np.int64]]:
    """Return the lines and rings that geometries are made of, in order, and whose they are.

    Examples
    --------
    >>> strings, owners = strings_of(np.array([shapely.Point(1, 1), shapely.box(0, 0, 1, 1)]))
    >>> strings[0].geom_type, owners.tolist()
    ('LinearRing', [1])
    """
    parts, owner = shapely.get_parts(geoms, return_index=True)
    polygons = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    lines = np.flatnonzero(shapely.get_dimensions(parts) == 1)
    if not polygons.any():
        return parts[lines], owner[lines]
    rings, of = shapely.get_rings(parts[polygons], return_index=True)
    owners = np.concatenate([owner[lines], owner[polygons][of]])
    order = np.argsort(owners, kind="stable")
    return np.concatenate([parts[lines], rings])[order], owners[order]


def _ring_sums(polygons: Geometries, crs: CRS, below: Below) -> Floats:
    """Return areas from those below each edge, down to the equator."""
    sizes, owners, holes = take_rings(polygons)
    some = sizes > 0
    sizes, owners, holes = sizes[some], owners[some], holes[some]
    if not len(sizes):
        return np.zeros(len(polygons))
    xy = shapely.get_coordinates(polygons) * _radians(crs)
    under, radius = below(xy, crs)
    ends = np.cumsum(sizes) - 1
    under = np.append(under, 0.0)
    under[ends] = 0.0  # from the end of a ring to the next one's start is no edge
    rings = np.abs(np.add.reduceat(under, ends + 1 - sizes)) * radius**2
    return _added(owners, np.where(holes, -rings, rings), len(polygons))


def _below_geodesics(xy: Floats, crs: CRS) -> tuple[Floats, float]:
    sines, radius = _authalic(xy[:, 1], crs)
    half_tangents = sines / (1 + np.sqrt(1 - sines**2))
    first, second = half_tangents[:-1], half_tangents[1:]
    turn = np.tan((xy[1:, 0] - xy[:-1, 0]) / 2)
    return 2 * np.arctan(turn * (first + second) / (1 + first * second)), radius


def _below_straight(xy: Floats, crs: CRS) -> tuple[Floats, float]:
    sines, radius = _authalic(xy[:, 1], crs)
    middles, _ = _authalic((xy[:-1, 1] + xy[1:, 1]) / 2, crs)
    mean = (sines[:-1] + 4 * middles + sines[1:]) / 6
    return (xy[1:, 0] - xy[:-1, 0]) * mean, radius


def _authalic(latitudes: Floats, crs: CRS) -> tuple[Floats, float]:
    """Return sines of authalic latitudes, and the authalic radius.

    After J. P. Snyder, *Map Projections: A Working Manual* (1987), formulas 3-11 to 3-13.
    """
    geod = _geod(crs)
    e2 = geod.es
    e = math.sqrt(e2)

    def q(sine: Any) -> Any:
        rest = np.arctanh(e * sine) / e if e else sine
        return (1 - e2) * (sine / (1 - e2 * sine**2) + rest)

    at_pole = float(q(1.0))
    sines: Floats = np.clip(q(np.sin(latitudes)) / at_pole, -1.0, 1.0)
    return sines, geod.a * math.sqrt(at_pole / 2)


def _added(owners: NDArray[np.int64], parts: Floats, count: int) -> Floats:
    total: Floats = np.bincount(owners, parts, minlength=count).astype(np.float64)
    return total


@lru_cache(maxsize=64)
def _geod(crs: CRS) -> Geod:
    geod: Geod | None = crs.get_geod()
    assert geod is not None  # noqa: S101 - a geographic system has an ellipsoid
    return geod


def _radians(crs: CRS) -> float:
    return float(crs.axis_info[0].unit_conversion_factor)
