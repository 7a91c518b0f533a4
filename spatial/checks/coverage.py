"""Polygons that must cover a city whole and once: gaps and overlaps."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS

from spatial.checks.faults import NOWHERE, Faults
from spatial.checks.overlaps import (
    CHUNK,
    SLIVER_M,
    across,
    apart,
    sound,
    sound_overlaps,
    with_area_only,
)
from spatial.checks.seams import Seams, boundary_edges
from spatial.overlay.overlaps import CONTACT

Geometries = NDArray[np.object_]
Int64s = NDArray[np.int64]
Gaps = tuple[Geometries, Int64s]


def coverage(
    polygons: ArrayLike,
    crs: str | int | CRS,
    *,
    groups: ArrayLike | None = None,
    boundary: shapely.Geometry | None = None,
    sliver_m: float = SLIVER_M,
    chunk: int = CHUNK,
) -> tuple[Faults, Faults, Faults, Faults]:
    """Find where polygons leave gaps between them, and where they lie over one another.

    Parameters
    ----------
    polygons : array_like of Geometry, shape (n,)
        Polygons or multipolygons. An invalid one counts as `spatial.shapes.repair` mends it; a
        missing, an empty or an endless one covers nothing.
    crs : str, int or CRS
        Theirs and the boundary's. Edges are straight in its plane, also in degrees.
    groups : array_like, shape (n,), optional
        Each group is a coverage of its own, such as the grids of one type.
    boundary : Geometry, optional
        A polygon or multipolygon that each group must cover.
    sliver_m : float
        Gaps and overlaps of a lesser mean width (twice the area by the perimeter) are said apart.
    chunk : int
        Polygons at a time; the result is the same whatever it is.

    Returns
    -------
    tuple of Faults
        ``gap``, ``gap-sliver``, ``overlap`` and ``overlap-sliver``, the last two as `overlaps`
        tells them. A gap is what is enclosed by the polygons of a group and covered by none; and
        with a boundary, what it covers and they don't. An enclosed hole that lies wholly outside
        the boundary is no gap. Rows of a gap are the two lowest that it lies along, or -1; measured
        in square metres. What is thinner than a micrometre is rounding, and no fault.

    Examples
    --------
    >>> around = shapely.box(0, 0, 10, 10) - shapely.box(4, 4, 6, 7)
    >>> gaps, *_ = coverage([around, shapely.box(10, 0, 12, 10)], "EPSG:4549")
    >>> gaps.rows.tolist(), gaps.measured.tolist(), gaps.places[0].bounds
    ([[0, -1]], [6.0], (4.0, 4.0, 6.0, 7.0))
    """
    geoms = sound(polygons)
    found = [_gaps(geoms[rows], boundary, chunk) for rows in _groups(groups, len(geoms))]
    pairs = [
        np.where(beside == NOWHERE, NOWHERE, rows[beside])
        for rows, (_, beside) in zip(_groups(groups, len(geoms)), found, strict=True)
    ]
    places = np.concatenate([gaps for gaps, _ in found] or [np.array([], dtype=object)])
    gaps, slivers = apart(
        "gap", np.concatenate([*pairs, np.empty((0, 2), np.int64)]), places, crs, sliver_m
    )
    return gaps, slivers, *sound_overlaps(geoms, crs, groups, sliver_m, chunk)


def _groups(groups: ArrayLike | None, count: int) -> list[Int64s]:
    """Return the rows of each group."""
    if groups is None:
        return [np.arange(count)]
    names = [str(g) for g in np.asarray(groups, dtype=object)]
    labels, of = np.unique(names, return_inverse=True)
    return [np.flatnonzero(of == k) for k in range(len(labels))]


def _gaps(geoms: Geometries, boundary: shapely.Geometry | None, chunk: int) -> Gaps:
    """Return the gaps that polygons leave, and the two lowest rows beside each."""
    seams = Seams()
    for rows in across(geoms, chunk):
        seams.add(geoms[rows])
    gaps = _open(seams, seams.faces())
    if boundary is not None:
        gaps = _against(seams, gaps, boundary)
    gaps = shapely.get_parts(shapely.union_all(gaps)) if len(gaps) else gaps
    gaps = with_area_only(gaps)
    return gaps, _beside(gaps, geoms, chunk)


def _open(seams: Seams, faces: Geometries) -> Geometries:
    found: Geometries = faces[seams.covers(shapely.point_on_surface(faces)) == 0]
    return found


def _against(seams: Seams, enclosed: Geometries, boundary: shapely.Geometry) -> Geometries:
    """Add what of a boundary is not covered, and leave out the holes that lie outside it."""
    city = sound([boundary])
    lines = boundary_edges(city)
    faces = _open(seams, seams.faces(lines))
    shapely.prepare(city)
    inside = shapely.intersects(city[0], shapely.point_on_surface(faces))
    lacking = faces[inside]
    kept = shapely.area(shapely.intersection(enclosed, city[0])) > CONTACT * shapely.area(enclosed)
    return np.concatenate([enclosed[kept], lacking])


def _beside(gaps: Geometries, geoms: Geometries, chunk: int) -> Int64s:
    """Return the two lowest rows of polygons that lie along each gap, or -1."""
    tree = shapely.STRtree(gaps)
    farthest = float(np.abs(shapely.get_coordinates(gaps)).max(initial=0.0))
    near = 64 * np.spacing(farthest)  # corners that noding made are rounded
    found = [np.empty((2, 0), dtype=np.int64)]
    for start in range(0, len(geoms) if len(gaps) else 0, chunk):
        row, gap = tree.query(geoms[start : start + chunk], predicate="dwithin", distance=near)
        found.append(np.stack([gap, row + start]))
    gap, row = np.concatenate(found, axis=1)
    order = np.lexsort((row, gap))
    gap, row = gap[order], row[order]
    rank = np.arange(len(gap)) - np.searchsorted(gap, gap)
    beside = np.full((len(gaps), 2), NOWHERE, dtype=np.int64)
    low = rank < 2
    beside[gap[low], rank[low]] = row[low]
    return beside
