"""Pipes in the third dimension: ground, depth and elevation, lengths and slopes."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS

from spatial.checks.faults import Faults, take_faults
from spatial.checks.measures import lengths_m
from spatial.checks.networks import Network
from spatial.errors import BadValues

Geometries = NDArray[np.object_]
Floats = NDArray[np.float64]

CROWN, INVERT = "crown", "invert"


def ground_off(
    network: Network,
    ground_m: ArrayLike,
    depths_m: ArrayLike,
    elevations_m: ArrayLike,
    *,
    tolerance_m: float,
    heights_m: ArrayLike | None = None,
    depth_refs: ArrayLike | None = None,
    elevation_refs: ArrayLike | None = None,
) -> tuple[Faults, Faults]:
    """Find ends of segments whose depth and elevation are not, together, the ground of their node.

    Where depth and elevation are of one part of the pipe, ground = depth + elevation, whatever
    the pipe's size. Where the depth is of its crown and the elevation of its invert, or the other
    way, the height of the pipe comes between: ground = depth to the crown + height + invert.

    Parameters
    ----------
    network : Network
        Ends that name no node have no ground, and are no fault.
    ground_m : array_like of float, shape (m,)
        Elevation of the ground at each node.
    depths_m, elevations_m : array_like of float, shape (n, 2)
        At the start and at the end of each segment; missing values are no fault.
    tolerance_m : float
        By how much the sum may be off.
    heights_m : array_like of float, shape (n,), optional
        Of the pipes, from invert to crown: the diameter.
    depth_refs, elevation_refs : array_like of str, shape (n,), optional
        ``crown`` or ``invert``; both of one part where not given, or missing.

    Returns
    -------
    tuple of Faults
        ``ground`` and ``reference``: pairs of the segment's row and the node's, at the end's
        place; measured is depth + elevation - ground in metres, put on one part. ``reference``
        has those that the pipe's height explains, to within the tolerance: depth and elevation
        are of different parts, other than stated; ``ground`` has all others.

    Raises
    ------
    BadValues
        If a reference is something else.

    Examples
    --------
    >>> from spatial.checks.networks import take_network
    >>> pipe, nodes = shapely.LineString([(0, 0), (9, 0)]), shapely.points([(0, 0), (9, 0)])
    >>> net = take_network([pipe], ["A"], ["B"], nodes, ["A", "B"], "EPSG:4549")
    >>> sums = {"depths_m": [[1.0, 1.5]], "elevations_m": [[19.0, 18.1]], "heights_m": [0.4]}
    >>> off, mixed = ground_off(net, [20.0, 20.0], **sums, tolerance_m=0.02)
    >>> off.rows.tolist(), mixed.rows.tolist(), mixed.measured.round(2).tolist()
    ([], [[0, 1]], [-0.4])
    """
    count = len(network.lines)
    height = np.full(count, np.nan) if heights_m is None else np.asarray(heights_m, np.float64)
    between = np.nan_to_num(height) * (
        _crowns(elevation_refs, count, depth_refs) - _crowns(depth_refs, count, elevation_refs)
    )
    row, end = np.nonzero(network.ends >= 0)
    node = network.ends[row, end]
    depth, elevation = (_both(v, count)[row, end] for v in (depths_m, elevations_m))
    off = depth + elevation - between[row] - np.asarray(ground_m, dtype=np.float64)[node]
    # In binary 20.3 - 18.1 - 2.2 is not nothing.
    bad = np.abs(off) > tolerance_m + 1e-9
    mixed = bad & (np.abs(np.abs(off) - height[row]) <= tolerance_m + 1e-9)
    pairs, places = np.column_stack([row, node]), network.points[row, end]
    limits = (-tolerance_m, tolerance_m)
    return (
        Faults("ground", pairs[bad & ~mixed], places[bad & ~mixed], off[bad & ~mixed], limits, "m"),
        Faults("reference", pairs[mixed], places[mixed], off[mixed], limits, "m"),
    )


def lengths_off(
    lines: ArrayLike, crs: str | int | CRS, *, least_m: float = 0.05, most_m: float = 75.0
) -> Faults:
    """Find segments that are shorter or longer, in three dimensions, than a survey makes them.

    Parameters
    ----------
    lines : array_like of Geometry, shape (n,)
        With heights in metres; without them their length in plan is taken. Missing and empty ones
        are no fault.
    crs : str, int or CRS
        Theirs: lengths in plan are on the ellipsoid for geographic systems.
    least_m, most_m : float
        Allowed, both included; those of CJJ 61-2017's import checks where not said.

    Returns
    -------
    Faults
        ``length``: measured in metres.

    Examples
    --------
    >>> deep = shapely.LineString([(0, 0, 0), (60, 0, -80)])
    >>> flat = shapely.LineString([(0, 0), (9, 0)])
    >>> found = lengths_off([deep, flat], "EPSG:4549")
    >>> found.rows.tolist(), found.measured.tolist()
    ([0], [100.0])
    """
    geoms = np.asarray(lines, dtype=object)
    lengths = _lengths(geoms, crs)
    bad = (lengths < least_m) | (lengths > most_m)
    return take_faults("length", bad, lengths, geoms, (least_m, most_m), "m")


def slopes_off(
    lines: ArrayLike,
    crs: str | int | CRS,
    elevations_m: ArrayLike,
    flows: ArrayLike,
    *,
    least: float = 0.0,
    most: float = np.inf,
    applies: ArrayLike | None = None,
) -> Faults:
    """Find drains that do not fall the way that they flow, or fall too steeply.

    Parameters
    ----------
    lines : array_like of Geometry, shape (n,)
    crs : str, int or CRS
        Theirs.
    elevations_m : array_like of float, shape (n, 2)
        At the start and at the end; missing ones are no fault.
    flows : array_like of str, shape (n,)
        ``+`` from start to end, ``-`` from end to start; anything else is not known, and no fault.
    least, most : float
        The fall by the length in plan that is allowed, both included.
    applies : array_like of bool, shape (n,), optional
        Which segments are gravity drains; all where not given.

    Returns
    -------
    Faults
        ``slope``: measured is the fall by the length in plan, in the direction of flow: negative
        where it rises, infinite for what goes straight down.

    Examples
    --------
    >>> drains = [shapely.LineString([(0, 0), (50, 0)])] * 2
    >>> found = slopes_off(drains, "EPSG:4549", [[10, 9.5], [10, 9.5]], ["+", "-"])
    >>> found.rows.tolist(), found.measured.tolist()
    ([1], [-0.01])
    """
    geoms = np.asarray(lines, dtype=object)
    way = np.asarray(flows, dtype=object)
    ahead = np.where(way == "+", 1.0, np.where(way == "-", -1.0, np.nan))
    elevations = _both(elevations_m, len(geoms))
    lengths = np.where(_lacking(geoms), np.nan, lengths_m(geoms, crs))
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = ahead * (elevations[:, 0] - elevations[:, 1]) / lengths
        bad = (slopes < least) | (slopes > most)
    if applies is not None:
        bad &= np.asarray(applies, dtype=bool)
    return take_faults("slope", bad, slopes, geoms, (least, most), "1")


def _lengths(geoms: Geometries, crs: str | int | CRS) -> Floats:
    flat = lengths_m(geoms, crs)
    deep = lengths_m(geoms, crs, with_z=True)
    lengths = np.where(np.isnan(deep), flat, deep)
    lengths[_lacking(geoms)] = np.nan
    return lengths


def _lacking(geoms: Geometries) -> NDArray[np.bool_]:
    lacking: NDArray[np.bool_] = shapely.is_missing(geoms) | shapely.is_empty(geoms)
    return lacking


def _both(values: ArrayLike, count: int) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.shape != (count, 2):
        raise BadValues(f"values of shape {found.shape}, where {count} starts and ends belong")
    return found


def _crowns(refs: ArrayLike | None, count: int, others: ArrayLike | None) -> Floats:
    """Return 1 for what is of the crown and 0 for the invert; of the other's part if not said."""
    told = _parts(refs, count)
    return np.where(np.isnan(told), np.nan_to_num(_parts(others, count)), told)


def _parts(refs: ArrayLike | None, count: int) -> Floats:
    if refs is None:
        return np.full(count, np.nan)
    names = np.asarray(refs, dtype=object)
    missing = np.array([n is None or n != n for n in names], dtype=bool)
    unknown = np.flatnonzero(~missing & (names != CROWN) & (names != INVERT))
    if unknown.size:
        raise BadValues(f"row {unknown[0]} is of {names[unknown[0]]!r}; {CROWN} or {INVERT}")
    return np.where(missing, np.nan, (names == CROWN).astype(np.float64))
