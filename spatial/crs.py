"""Reference systems: read their names, write their URIs, and transform x = east, y = north."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.crs import ProjectedCRS
from pyproj.crs.coordinate_operation import AzimuthalEquidistantConversion
from pyproj.exceptions import CRSError, ProjError

from spatial.datums import datum_name, is_geocentric, is_local
from spatial.errors import BallparkTransformation, TransformationFailed, UnknownCRS

CRS84: Final = "OGC:CRS84"
"""WGS 84 with longitude first, the system of GeoJSON; `parse_crs` and GeoPandas read it."""

Geometries = NDArray[np.object_]
Mover = Callable[[Any, Any], tuple[Any, Any]]

_NAME: Final = re.compile(r"(?P<authority>[A-Za-z][A-Za-z0-9_]*):(?P<code>[A-Za-z0-9_]+)")
_URI: Final = re.compile(
    r"https?://www\.opengis\.net/def/crs/"
    r"(?P<authority>[A-Za-z][A-Za-z0-9_]*)/(?P<version>[0-9.]+)/(?P<code>[A-Za-z0-9_]+)"
)
_URN: Final = re.compile(
    r"urn:(?:x-)?ogc:def:crs:"
    r"(?P<authority>[A-Za-z][A-Za-z0-9_]*):(?P<version>[0-9.]*):(?P<code>[A-Za-z0-9_]+)",
    re.IGNORECASE,
)
_OGC_CODES: Final = {"CRS84": "CRS84", "CRS84H": "CRS84h", "CRS83": "CRS83", "CRS27": "CRS27"}
_OGC_VERSIONS: Final = {"CRS84h": "0"}  # the only one not in OGC 01-009, version 1.3
_SHIFTED: Final = ("gcj02", "gcj-02", "bd09", "bd-09")


def parse_crs(name: str | int | CRS) -> CRS:
    """Find a reference system by any of the names that files and APIs use.

    Parameters
    ----------
    name : str, int or CRS
        ``EPSG:4549``, ``4549``, ``OGC:CRS84``, an OGC URI or URN, or a safe CURIE in square
        brackets. A CRS is returned as it is.

    Raises
    ------
    UnknownCRS
        If there is none of that name.

    Examples
    --------
    >>> parse_crs("http://www.opengis.net/def/crs/EPSG/0/4490").name
    'China Geodetic Coordinate System 2000'
    """
    if isinstance(name, CRS):
        return name
    return _named_crs(str(name).strip())


@lru_cache(maxsize=512)
def _named_crs(text: str) -> CRS:
    if text.lower() in _SHIFTED:
        raise UnknownCRS(
            f"{text!r} is accepted only of a source of features that is published (--crs {text}), "
            "and never stored nor answered; name another, such as CGCS2000 (EPSG:4490)"
        )
    plain = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if re.fullmatch(r"[0-9]+", plain):
        plain = f"EPSG:{plain}"
    match = _NAME.fullmatch(plain) or _URI.fullmatch(plain) or _URN.fullmatch(plain)
    if match is None:
        raise UnknownCRS(f"{text!r} names no reference system; write EPSG:4490 or its OGC URI")
    authority, code = match["authority"].upper(), match["code"]
    code = _OGC_CODES.get(code.upper(), code) if authority == "OGC" else code
    try:
        return CRS.from_authority(authority, code)
    except CRSError:
        raise UnknownCRS(f"{text!r}: {authority} has no system {code}; check the code") from None


def crs_uri(crs: str | int | CRS) -> str:
    """Write a reference system as its OGC URI.

    Raises
    ------
    UnknownCRS
        If no authority has a code for it.

    Examples
    --------
    >>> crs_uri("EPSG:4490"), crs_uri("OGC:CRS84")
    ('http://www.opengis.net/def/crs/EPSG/0/4490', 'http://www.opengis.net/def/crs/OGC/1.3/CRS84')
    """
    found = parse_crs(crs)
    return _uri(found.srs, found)


def _uri(text: str, crs: CRS) -> str:
    """Write a system's URI; by its own text, as PROJ takes long to find its authority."""
    known = _URIS.get(text)
    if known is not None:
        return known
    named = crs.to_authority()
    if named is None:
        raise UnknownCRS(f"{crs.name!r} has no code of an authority; state one such as EPSG:4549")
    authority, code = named
    version = _OGC_VERSIONS.get(code, "1.3") if authority == "OGC" else "0"
    uri = f"http://www.opengis.net/def/crs/{authority}/{version}/{code}"
    if len(_URIS) < 1000:
        _URIS[text] = uri
    return uri


_URIS: dict[str, str] = {}


@lru_cache(maxsize=256)
def is_north_first(crs: CRS) -> bool:
    """Return whether the authority writes the coordinate to the north before that to the east.

    Examples
    --------
    >>> is_north_first(parse_crs("EPSG:4490")), is_north_first(parse_crs("OGC:CRS84"))
    (True, False)
    >>> is_north_first(parse_crs("EPSG:4549")), is_north_first(parse_crs("EPSG:3857"))
    (True, False)
    """
    axes = crs.axis_info
    return bool(axes) and axes[0].direction.lower() in ("north", "south")


def transform(
    geoms: Any, source: str | int | CRS, target: str | int | CRS, *, strict: bool = True
) -> Geometries:
    """Move geometries from one reference system to another, x = east and y = north in both.

    Parameters
    ----------
    geoms : array_like of Geometry
        Any shape; None and empty geometries stay. Z is kept as it is (heights are never
        converted), M is dropped.
    source, target : str, int or CRS
        What `parse_crs` reads.
    strict : bool
        Whether to refuse coordinates that come out infinite; if not, such a geometry becomes
        an empty point.

    Returns
    -------
    ndarray of Geometry
        Of the same shape.

    Raises
    ------
    UnknownCRS
        If one can't be found, or has no horizontal plane.
    BallparkTransformation
        If only a no-op is known between two datums that lie more than centimetres apart.
    TransformationFailed
        If a coordinate comes out infinite, and `strict` is set.

    Examples
    --------
    >>> transform([shapely.Point(120, 30, 7)], "EPSG:4490", "EPSG:4549")[0].z
    7.0
    """
    array = np.asarray(geoms, dtype=object)
    start, end = plane_of(parse_crs(source)), plane_of(parse_crs(target))
    if start == end:
        return array.copy()
    return moved_by(array, _transformer(start, end).transform, (start.name, end.name), strict)


def moved_by(
    geoms: Geometries, move: Mover, names: tuple[str, str], strict: bool = True
) -> Geometries:
    """Move geometries by what moves plain coordinates: corner by corner, Z kept, M dropped.

    Parameters
    ----------
    geoms : ndarray of Geometry
        None and empty geometries stay.
    move : callable
        Of x and y; returns both moved.
    names : pair of str
        From where to where, for messages.
    strict : bool
        Whether to refuse coordinates that come out infinite; if not, such a geometry becomes
        an empty point.

    Raises
    ------
    TransformationFailed
        If a coordinate comes out infinite, and `strict` is set.
    """
    moved = np.empty_like(geoms)
    deep = shapely.has_z(geoms)
    moved[deep] = shapely.transform(
        _without_m(geoms[deep]),
        lambda xyz: np.column_stack((*move(xyz[:, 0], xyz[:, 1]), xyz[:, 2])),
        include_z=True,
    )
    moved[~deep] = shapely.transform(
        geoms[~deep], lambda xy: np.column_stack(move(xy[:, 0], xy[:, 1]))
    )
    lost = _lost(geoms, moved)
    if strict and lost.any():
        raise _failure(geoms[lost], *names)
    moved[lost] = shapely.Point()
    return moved


def mover(source: str | int | CRS, target: str | int | CRS) -> Mover:
    """Return what moves plain coordinates from one system to another, to be kept and used often.

    Parameters
    ----------
    source, target : str, int or CRS
        What `parse_crs` reads.

    Returns
    -------
    callable
        Of x and y, arrays or numbers; returns both moved, infinite where they can't be.

    Raises
    ------
    UnknownCRS, BallparkTransformation
        As `transform` does.

    Examples
    --------
    >>> x, y = mover("EPSG:4490", "EPSG:4549")(120.0, 30.0)
    >>> round(x)
    500000
    """
    start, end = plane_of(parse_crs(source)), plane_of(parse_crs(target))
    if start == end:
        return lambda x, y: (x, y)
    transformer = _transformer(start, end)
    return lambda x, y: transformer.transform(x, y)


def transformer_between(source: str | int | CRS, target: str | int | CRS) -> Transformer | None:
    """Return what `transform` moves coordinates with; None where both are the same plane.

    Raises
    ------
    UnknownCRS, BallparkTransformation
        As `transform` does.

    Examples
    --------
    >>> transformer_between("EPSG:4490", "EPSG:4549").accuracy
    0.0
    """
    start, end = plane_of(parse_crs(source)), plane_of(parse_crs(target))
    return None if start == end else _transformer(start, end)


def _without_m(geoms: Geometries) -> Geometries:
    # Shapely loses the Z of a ZM geometry in transform, so M goes first
    with_m = shapely.has_m(geoms) if hasattr(shapely, "has_m") else np.zeros(geoms.shape, bool)
    plain = geoms.copy()
    plain[with_m] = shapely.from_wkb(shapely.to_wkb(geoms[with_m], output_dimension=3))
    return plain


def _lost(before: Geometries, after: Geometries) -> NDArray[np.bool_]:
    """Return which geometries were finite and are so no more."""
    came = np.isinf(shapely.bounds(before)).any(axis=-1)
    went = np.isinf(shapely.bounds(after)).any(axis=-1)
    lost: NDArray[np.bool_] = went & ~came
    return lost


def _failure(lost: Geometries, source: str, target: str) -> TransformationFailed:
    x, y = shapely.get_coordinates(lost[0])[0]
    return TransformationFailed(
        f"{len(lost)} geometries, the first at ({x:g}, {y:g}), lie outside what {target!r} "
        f"can show of {source!r}; check the source's reference system"
    )


@lru_cache(maxsize=256)
def plane_of(crs: CRS) -> CRS:
    """Leave the height out: a compound system's horizontal part, a 3D system's plane."""
    flat = crs.sub_crs_list[0] if crs.is_compound else crs
    if flat.is_geographic or flat.is_projected:
        return flat.to_2d() if len(flat.axis_info) > 2 else flat
    raise UnknownCRS(f"{crs.name!r} is a {crs.type_name}; a layer needs a horizontal system")


def is_same_plane(one: CRS, other: CRS) -> bool:
    """Return whether x = east and y = north mean the same in both, whatever is said of heights.

    Examples
    --------
    >>> is_same_plane(parse_crs("EPSG:4326"), parse_crs("OGC:CRS84"))
    True
    >>> is_same_plane(parse_crs("EPSG:4979"), parse_crs("EPSG:4490"))
    False
    """
    if one == other:
        return True
    try:
        return bool(plane_of(one).equals(plane_of(other), ignore_axis_order=True))
    except UnknownCRS:
        return False


def height_of(crs: CRS) -> str:
    """Return the name of a compound system's vertical part; nothing where there is none.

    Examples
    --------
    >>> height_of(parse_crs("EPSG:9707"))
    'EGM96 height'
    """
    return crs.sub_crs_list[1].name if crs.is_compound else ""


@lru_cache(maxsize=256)
def _transformer(source: CRS, target: CRS) -> Transformer:
    if datum_name(source) != datum_name(target) and (is_local(source) or is_local(target)):
        raise _ballpark(source, target)
    if is_geocentric(source) and is_geocentric(target):
        return Transformer.from_crs(source, target, always_xy=True)
    try:
        return Transformer.from_crs(source, target, always_xy=True, allow_ballpark=False)
    except ProjError:
        raise _ballpark(source, target) from None


def _ballpark(source: CRS, target: CRS) -> BallparkTransformation:
    return BallparkTransformation(
        f"no operation between {source.name!r} and {target.name!r} can be trusted: the "
        "coordinates would stay as they are, wrong by up to about 100 m; publish with the "
        "survey's own parameters (--towgs84 dx,dy,dz[,rx,ry,rz,s]), or convert with them first"
    )


def local_metric_crs(
    bounds: tuple[float, float, float, float], crs: str | int | CRS = CRS84
) -> CRS:
    """Make a system in metres, centred on some bounds, on the same datum as theirs.

    It is azimuthal equidistant: distances from the centre are exact, all others within
    100 km of it are right to 1 part in 20,000.

    Parameters
    ----------
    bounds : tuple of float
        ``(min x, min y, max x, max y)`` in `crs`; min x > max x crosses the antimeridian.
    crs : str, int or CRS
        What the bounds are in; WGS 84 longitude and latitude if not said.

    Raises
    ------
    TransformationFailed
        If the bounds are not finite, or lie outside what `crs` can show.

    Examples
    --------
    >>> local_metric_crs((120, 30, 121, 31)).axis_info[0].unit_name
    'metre'
    """
    plane = plane_of(parse_crs(crs))
    xmin, ymin, xmax, ymax = (float(bound) for bound in bounds)
    if not all(map(math.isfinite, (xmin, ymin, xmax, ymax))):
        raise TransformationFailed(
            f"the bounds {bounds} are not finite; leave out empty geometries"
        )
    if xmin > xmax and plane.is_geographic:
        xmax += math.tau / _radians(plane)
    geodetic = plane.geodetic_crs
    if geodetic is None:
        raise UnknownCRS(f"{plane.name!r} is on no datum")
    centre = transform([shapely.Point((xmin + xmax) / 2, (ymin + ymax) / 2)], plane, geodetic)[0]
    to_degrees = math.degrees(_radians(geodetic))
    conversion = AzimuthalEquidistantConversion(centre.y * to_degrees, centre.x * to_degrees)
    return ProjectedCRS(conversion=conversion, name="local metres", geodetic_crs=geodetic)


def _radians(geographic: CRS) -> float:
    """Return how many radians the unit of a geographic system is."""
    return float(geographic.axis_info[0].unit_conversion_factor)
