"""Repairs that a publisher chooses, and what was done by them; repeated points dropped."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import GeometryType

from spatial.shapes import Geometries, Mask

Numbers = NDArray[np.float64]

_MULTIPLE: Final = {
    GeometryType.MULTILINESTRING: shapely.multilinestrings,
    GeometryType.MULTIPOLYGON: shapely.multipolygons,
}


class Remedy(StrEnum):
    """What may be done to shapes that were read."""

    VALID = "valid"
    POINTS = "points"
    ANTIMERIDIAN = "antimeridian"


class Mended(NamedTuple):
    """Shapes, and what was done to each.

    Attributes
    ----------
    geoms : ndarray of Geometry
        Those that nothing was done to are the same objects as before.
    done : ndarray of object
        Text; None where nothing was done.
    """

    geoms: Geometries
    done: Geometries

    @property
    def changed(self) -> Mask:
        """Which are others than before."""
        found: Mask = self.done != np.array(None, dtype=object)
        return found

    def then(self, remedy: Callable[[Geometries], Mended]) -> Mended:
        """Return what another remedy makes of the shapes, with what both did."""
        made = remedy(self.geoms)
        both = self.changed & made.changed
        done = np.where(made.changed, made.done, self.done)
        done[both] = self.done[both] + "; " + made.done[both]
        return Mended(made.geoms, done)


def drop_repeated(geoms: Any) -> Mended:
    """Drop points of lines and rings that lie where the one before them does, height and all.

    Parameters
    ----------
    geoms : array_like of Geometry, shape (n,)
        None is allowed. Points stay; a line keeps two points and a ring four, even if equal.

    Returns
    -------
    Mended
        Arrays of shape (n,).

    Examples
    --------
    >>> mended = drop_repeated([shapely.LineString([(0, 0), (0, 0), (1, 0)])])
    >>> mended.geoms[0].wkt, mended.done[0]
    ('LINESTRING (0 0, 1 0)', '1 repeated point dropped')
    """
    array = np.asarray(geoms, dtype=object)
    whole, done = array.copy(), np.full(array.shape, None, dtype=object)
    points, owner = shapely.get_coordinates(array, return_index=True)
    same = (points[1:] == points[:-1]).all(axis=1) & (owner[1:] == owner[:-1])
    # Rings that meet end to end are among these, and heights were not looked at yet.
    for n in np.unique(owner[1:][same]):
        thinned = _thinned(array[n])
        dropped = int(shapely.get_num_coordinates(array[n]) - shapely.get_num_coordinates(thinned))
        if dropped:
            whole[n] = thinned
            done[n] = f"{dropped} repeated point{'s' if dropped > 1 else ''} dropped"
    return Mended(whole, done)


def _thinned(geom: Any) -> Any:
    # GEOS has the like, but goes by x and y alone: of a riser it leaves nothing.
    kind = GeometryType(int(shapely.get_type_id(geom)))
    if kind is GeometryType.LINESTRING:
        return shapely.linestrings(_without_repeated(geom, 2))
    if kind is GeometryType.POLYGON and not geom.is_empty:
        shell, *holes = (_without_repeated(ring, 4) for ring in shapely.get_rings(geom))
        return shapely.Polygon(shell, holes)
    if kind in _MULTIPLE:
        return _MULTIPLE[kind]([_thinned(part) for part in shapely.get_parts(geom)])
    return geom


def _without_repeated(run: Any, least: int) -> Numbers:
    points: Numbers = shapely.get_coordinates(run, include_z=bool(shapely.has_z(run)))
    kept = np.ones(len(points), dtype=bool)
    kept[1:] = (points[1:] != points[:-1]).any(axis=1)
    return points[kept] if kept.sum() >= least else points
