"""Geometries made fit to use: repaired, brought to one type, and told apart by type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import GeometryType

from spatial.errors import WrongGeometryType

Geometries = NDArray[np.object_]
Mask = NDArray[np.bool_]

_MULTI: Final = {
    GeometryType.POINT: GeometryType.MULTIPOINT,
    GeometryType.LINESTRING: GeometryType.MULTILINESTRING,
    GeometryType.LINEARRING: GeometryType.MULTILINESTRING,
    GeometryType.POLYGON: GeometryType.MULTIPOLYGON,
}
_NAMES: Final = {
    GeometryType.POINT: "Point",
    GeometryType.LINESTRING: "LineString",
    GeometryType.POLYGON: "Polygon",
    GeometryType.MULTIPOINT: "MultiPoint",
    GeometryType.MULTILINESTRING: "MultiLineString",
    GeometryType.MULTIPOLYGON: "MultiPolygon",
}
_COLLECTORS: Final = {
    GeometryType.MULTIPOINT: shapely.multipoints,
    GeometryType.MULTILINESTRING: shapely.multilinestrings,
    GeometryType.MULTIPOLYGON: shapely.multipolygons,
}


@dataclass(frozen=True, slots=True)
class Repair:
    """What `repair` did, one entry a geometry.

    Attributes
    ----------
    geoms : ndarray of Geometry
        Valid ones, but for those that are not finite, which stay as they were.
    repaired : ndarray of bool
        Which were changed.
    reasons : ndarray of object
        Why, and what was left out, as text; None where nothing was done.
    empty : ndarray of bool
        Which are missing or empty, after the repair.
    non_finite : ndarray of bool
        Which have an x or y that is NaN or infinite.
    """

    geoms: Geometries
    repaired: Mask
    reasons: Geometries
    empty: Mask
    non_finite: Mask


def repair(geoms: Any) -> Repair:
    """Make invalid geometries valid without changing their dimension.

    A polygon stays a polygon: rings are made valid, shells merged and holes cut out; what
    is left over as a line or a point is dropped, and the reason says so.

    Parameters
    ----------
    geoms : array_like of Geometry, shape (n,)
        None is allowed. Z is kept, and interpolated where edges cross.

    Returns
    -------
    Repair
        Arrays of shape (n,).

    Examples
    --------
    >>> bow_tie = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    >>> done = repair([bow_tie])
    >>> done.geoms[0].geom_type, done.reasons[0]
    ('MultiPolygon', 'Self-intersection[1 1]')
    """
    array = np.asarray(geoms, dtype=object)
    whole = array.copy()
    reasons = np.full(array.shape, None, dtype=object)
    # Nothing that is not finite is valid, so only what is invalid is looked at again.
    unsound = np.flatnonzero(~shapely.is_valid(array) & ~shapely.is_missing(array))
    non_finite = np.zeros(array.shape, dtype=bool)
    non_finite[unsound] = _non_finite(array[unsound])
    broken = unsound[~non_finite[unsound]]
    for position in broken:
        whole[position], reasons[position] = _mend(array[position])
    repaired = np.zeros(array.shape, dtype=bool)
    repaired[broken] = True
    empty = shapely.is_missing(whole) | shapely.is_empty(whole)
    return Repair(whole, repaired, reasons, empty, non_finite)


def _non_finite(geoms: Geometries) -> Mask:
    coordinates, owner = shapely.get_coordinates(geoms, return_index=True)
    mask = np.zeros(len(geoms), dtype=bool)
    mask[owner[~np.isfinite(coordinates).all(axis=1)]] = True
    return mask


def _mend(geom: Any) -> tuple[Any, str]:
    """Return a valid geometry of the same dimension, and what was wrong with the old one."""
    reason = str(shapely.is_valid_reason(geom))
    dimension = shapely.get_dimensions(geom)
    if geom.geom_type == "GeometryCollection":
        return shapely.make_valid(geom), reason
    # linework shows what has no area; but it makes a hole of every overlap, structure does not
    debris = _parts(shapely.make_valid(geom))
    dropped = int((shapely.get_dimensions(debris) < dimension).sum())
    mended = _of_dimension(shapely.make_valid(geom, method="structure"), dimension)
    if not shapely.is_valid(mended):
        # GEOS 3.14 may leave two parts that share an edge side by side
        mended = _of_dimension(shapely.union_all(_parts(mended)), dimension)
    if mended.is_empty:
        return shapely.from_wkt(f"{geom.geom_type} EMPTY"), f"{reason}; nothing of it is left"
    parts = "part" if dropped == 1 else "parts"
    return mended, f"{reason}; {dropped} {parts} without area dropped" if dropped else reason


def _parts(geom: Any) -> Geometries:
    """Return the single geometries that one is made of, however deeply it nests them."""
    parts: Geometries = shapely.get_parts(shapely.get_parts(geom))
    return parts


def _of_dimension(geom: Any, dimension: int) -> Any:
    parts = _parts(geom)
    kept = parts[shapely.get_dimensions(parts) == dimension]
    if len(kept) == len(parts) and geom.geom_type != "GeometryCollection":
        return geom
    single = (GeometryType.POINT, GeometryType.LINESTRING, GeometryType.POLYGON)[dimension]
    return kept[0] if len(kept) == 1 else _COLLECTORS[_MULTI[single]](kept)


def geometry_type_name(geoms: Any) -> str:
    """Name the one type that holds all the geometries.

    Parameters
    ----------
    geoms : array_like of Geometry
        None is passed over.

    Returns
    -------
    str
        ``Point`` ... ``MultiPolygon``; the multiple type where both occur; ``Geometry`` where
        they are of several families, or there are none. ``Z`` is added where any has it.

    Examples
    --------
    >>> geometry_type_name([shapely.Point(1, 2, 3), shapely.MultiPoint([(1, 2)])])
    'MultiPointZ'
    """
    array = np.asarray(geoms, dtype=object)
    kinds = {GeometryType(kind) for kind in np.unique(shapely.get_type_id(array))}
    kinds = {_single_ring(kind) for kind in kinds - {GeometryType.MISSING}}
    if len(kinds) > 1:
        kinds = {_MULTI.get(kind, kind) for kind in kinds}
    name = _NAMES.get(kinds.pop(), "Geometry") if len(kinds) == 1 else "Geometry"
    return f"{name}Z" if shapely.has_z(array).any() else name


def _single_ring(kind: GeometryType) -> GeometryType:
    return GeometryType.LINESTRING if kind == GeometryType.LINEARRING else kind


def as_multi(geoms: Any, type_name: str) -> Geometries:
    """Bring geometries to one type: wrap single ones, or unwrap multiple ones of one part.

    Parameters
    ----------
    geoms : array_like of Geometry, shape (n,)
        None stays None. Z is kept.
    type_name : str
        What `geometry_type_name` returns; ``Geometry`` leaves all as they are.

    Returns
    -------
    ndarray of Geometry, shape (n,)

    Raises
    ------
    WrongGeometryType
        If one is of another family, or has several parts where one belongs; it names the
        first position.

    Examples
    --------
    >>> as_multi([shapely.Point(1, 2)], "MultiPoint")[0].wkt
    'MULTIPOINT ((1 2))'
    """
    array = np.asarray(geoms, dtype=object).copy()
    name = type_name.removesuffix("Z")
    if name == "Geometry":
        return array
    wanted = {label: kind for kind, label in _NAMES.items()}.get(name)
    if wanted is None:
        raise WrongGeometryType(
            f"{type_name!r} is no type; use one of {', '.join(_NAMES.values())}"
        )
    if wanted in _COLLECTORS:
        _wrap(array, wanted)
    else:
        _unwrap(array, wanted)
    _refuse_others(array, wanted, type_name)
    return array


def _wrap(array: Geometries, wanted: GeometryType) -> None:
    singles = [single for single, multi in _MULTI.items() if multi == wanted]
    mask = np.isin(shapely.get_type_id(array), singles)
    full = mask & ~shapely.is_empty(array)
    array[full] = _COLLECTORS[wanted](array[full], indices=np.arange(full.sum()))
    array[mask & ~full] = _COLLECTORS[wanted](np.array([], dtype=object))


def _unwrap(array: Geometries, wanted: GeometryType) -> None:
    mask = shapely.get_type_id(array) == _MULTI[wanted]
    mask &= shapely.get_num_geometries(array) == 1
    array[mask] = shapely.get_geometry(array[mask], 0)
    rings = shapely.get_type_id(array) == GeometryType.LINEARRING
    if wanted == GeometryType.LINESTRING and rings.any():
        array[rings] = [shapely.LineString(ring) for ring in array[rings]]


def _refuse_others(array: Geometries, wanted: GeometryType, type_name: str) -> None:
    kinds = shapely.get_type_id(array)
    bad = np.flatnonzero((kinds != wanted) & (kinds != GeometryType.MISSING))
    if bad.size:
        found = array[bad[0]]
        parts = (
            f" of {shapely.get_num_geometries(found)} parts" if found.geom_type[0] == "M" else ""
        )
        raise WrongGeometryType(
            f"geometry {bad[0]} is a {found.geom_type}{parts}, where {type_name} belongs; "
            "publish it apart, or choose a type that holds it"
        )
