"""Systems that would fit coordinates whose system nobody stated, and where each would put them.

Nothing is chosen here: coordinates alone can't tell CGCS2000 from Xian 80, nor one meridian from
the next.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.aoi import AreaOfInterest
from pyproj.database import query_crs_info
from pyproj.enums import PJType
from pyproj.exceptions import ProjError

from spatial.crs import CRS84, mover, parse_crs, plane_of
from spatial.datums import is_local
from spatial.errors import SpatialError
from spatial.shifted import Shift, unshift
from spatial.shortlist import Bounds, Candidate

CHINA: Final = (73.0, 3.0, 135.5, 54.0)
"""Within what data of China lies: west, south, east and north, in degrees."""

# How far from a layer data may lie and still be called near it, in degrees.
_NEAR: Final = 0.25
# A layer that is wider, in degrees, leads to systems of half the world.
_WIDEST: Final = 20.0
# By how much surveys go beyond the edge of their zone, in degrees.
_OVERLAP: Final = 0.5
# Half of what a zone of three degrees is wide, and of one of six.
_THREE: Final = 1.5
_SIX: Final = 3.0
_MERCATOR_LEAST: Final = 10_000.0


class _Zones(NamedTuple):
    """A family of zones: codes from `first` on, meridians from 75 degrees east on."""

    first: int
    zones: int
    half_width: float
    prefix: int | None
    # Whose areas of use say where zones of that width lie in China.
    areas: int


_FAMILIES: Final = (
    _Zones(4513, 21, _THREE, 25, 4513),
    _Zones(4491, 11, _SIX, 13, 4491),
    _Zones(4534, 21, _THREE, None, 4534),
    _Zones(4502, 11, _SIX, None, 4502),
    _Zones(32643, 11, _SIX, None, 4502),
)
_ORDER: Final = (
    "geographic",
    "shifted",
    *(str(family.first) for family in _FAMILIES),
    "mercator",
    "other",
)


class _Fit(NamedTuple):
    kind: str
    candidate: Candidate


def find_candidates(
    bounds: Bounds, *, count: int | None = None, near: Bounds | None = None
) -> tuple[Candidate, ...]:
    """Return the systems that would fit coordinates, the likelier first, always in one order.

    Looked at are CGCS2000 (longitude and latitude, zones of 3 and 6 degrees with their number
    before the easting and without), WGS 84 and its UTM zones of China, Web Mercator, GCJ-02 and
    BD-09; where the layer exists, also every projected system of EPSG that is used where it lies.
    Each also with its axes the other way round. Those that land on or near the layer come first,
    then those that land in China; the others only where nothing else fits.

    Parameters
    ----------
    bounds : tuple of float
        Of the coordinates: least x, least y, largest x, largest y.
    count : int, optional
        How many coordinates there are; none fit where there are none.
    near : tuple of float, optional
        Of the layer: west, south, east and north in degrees.

    Examples
    --------
    >>> [c.code for c in find_candidates((40_512_000, 3_344_000, 40_540_000, 3_360_000))]
    ['EPSG:4528']
    """
    if count == 0 or not all(map(math.isfinite, bounds)):
        return ()
    fits = [fit for swapped in (False, True) for fit in _fits(bounds, swapped, near)]
    likely = [f for f in fits if f.candidate.near or _in_china(f.candidate.bounds)]
    plain = [f for f in fits if f.kind == "geographic" and not f.candidate.swapped]
    chosen = likely + [f for f in plain if f not in likely] if likely or plain else fits
    found: dict[tuple[str, bool], Candidate] = {}
    for fit in sorted(chosen, key=lambda f: _rank(f, near)):
        found.setdefault((fit.candidate.code, fit.candidate.swapped), fit.candidate)
    return tuple(found.values())


def _rank(fit: _Fit, near: Bounds | None) -> tuple[Any, ...]:
    found = fit.candidate
    away = 0.0
    if found.near and near is not None:
        away = round(math.dist(_centre(found.bounds), _centre(near)), 2)
    number = int("".join(filter(str.isdigit, found.code)) or 0)
    elsewhere = not _in_china(found.bounds)
    return (not found.near, elsewhere, away, found.swapped, _ORDER.index(fit.kind), number)


def _fits(bounds: Bounds, swapped: bool, near: Bounds | None) -> Iterator[_Fit]:
    outline = _outline(bounds)
    if swapped:
        outline = outline[:, ::-1]
    yield from _geographic(outline, swapped, near)
    for family in _FAMILIES:
        yield from _zones(family, outline, swapped, near)
    yield from _mercator(outline, swapped, near)
    if near is not None and max(near[2] - near[0], near[3] - near[1]) <= _WIDEST:
        yield from _used_near(outline, swapped, near)


def _geographic(outline: NDArray[np.float64], swapped: bool, near: Bounds | None) -> Iterator[_Fit]:
    if not (np.abs(outline) <= (180.0, 90.0)).all():
        return
    landing, reason = _box(outline), "longitudes and latitudes"
    if swapped:
        reason = "latitudes before longitudes"
    yield _Fit("geographic", _candidate(CRS84, landing, None, swapped, reason, near))
    if not _in_china(landing):
        return
    yield _Fit("geographic", _candidate("EPSG:4490", landing, None, swapped, reason, near))
    for kind, where in ((Shift.GCJ02, "AMap or Tencent"), (Shift.BD09, "Baidu")):
        true = _box(np.column_stack(unshift(outline[:, 0], outline[:, 1], kind)))
        if_so = f"{reason}, if they come from a map of {where}: some hundred metres away"
        name = {"gcj02": "GCJ-02", "bd09": "BD-09"}[kind]
        found = Candidate(kind.value, name, true, None, swapped, if_so, _is_near(true, near))
        yield _Fit("shifted", found)


def _zones(
    family: _Zones, outline: NDArray[np.float64], swapped: bool, near: Bounds | None
) -> Iterator[_Fit]:
    for i in range(family.zones):
        meridian = 75.0 + 2 * family.half_width * i
        false = 500_000.0 + (0 if family.prefix is None else (family.prefix + i) * 1e6)
        # No zone is wider than 400 km to either side; what is, needs no looking at.
        if (np.abs(outline[:, 0] - false) > 4e5).any():
            continue
        code = f"EPSG:{family.first + i}"
        landing = _land(parse_crs(code), outline)
        if landing is None or not _in_zone(landing, meridian, family.half_width):
            continue
        if not _is_used(parse_crs(f"EPSG:{family.areas + i}"), landing):
            continue
        if family.prefix is None:
            reason = (
                f"easting within the zone of {meridian:g}°E, {2 * family.half_width:g} degrees "
                "wide; which meridian, the coordinates do not tell"
            )
        else:
            reason = f"the easting begins with {family.prefix + i}, the number of the zone"
        yield _Fit(str(family.first), _candidate(code, landing, meridian, swapped, reason, near))


def _mercator(outline: NDArray[np.float64], swapped: bool, near: Bounds | None) -> Iterator[_Fit]:
    if np.abs(outline).max() < _MERCATOR_LEAST or np.abs(outline).max() > 20_048_966.0:
        return
    landing = _land(parse_crs("EPSG:3857"), outline)
    if landing is not None:
        reason = "metres of the web's maps"
        found = _candidate("EPSG:3857", landing, None, swapped, reason, near)
        yield _Fit("mercator", found)


def _used_near(outline: NDArray[np.float64], swapped: bool, near: Bounds) -> Iterator[_Fit]:
    """Yield the projected systems of EPSG that are used where the layer lies, and land there."""
    area = AreaOfInterest(*near)
    infos = query_crs_info("EPSG", PJType.PROJECTED_CRS, area_of_interest=area)
    for info in infos:
        crs = parse_crs(f"EPSG:{info.code}")
        landing = _land(crs, outline)
        if landing is None or not _is_near(landing, near):
            continue
        reason = f"used there, in units of {crs.axis_info[0].unit_name}"
        if is_local(crs):
            reason += "; needs the survey's parameters (--towgs84)"
        code = f"EPSG:{info.code}"
        yield _Fit("other", _candidate(code, landing, None, swapped, reason, near))


def _candidate(
    code: str,
    landing: Bounds,
    meridian: float | None,
    swapped: bool,
    reason: str,
    near: Bounds | None,
) -> Candidate:
    is_near = _is_near(landing, near)
    if is_near:
        reason = f"lands where the layer lies; {reason}"
    return Candidate(code, parse_crs(code).name, landing, meridian, swapped, reason, is_near)


def _outline(bounds: Bounds) -> NDArray[np.float64]:
    """Return corners and middles of the edges: edges bend between systems."""
    xmin, ymin, xmax, ymax = bounds
    xs, ys = np.linspace(xmin, xmax, 3), np.linspace(ymin, ymax, 3)
    return np.array([(x, y) for x in xs for y in ys])


def _land(crs: CRS, outline: NDArray[np.float64]) -> Bounds | None:
    """Return where coordinates of a system would lie, on its own datum; None for nowhere."""
    plane = plane_of(crs)
    if plane.geodetic_crs is None:
        return None
    try:
        move = mover(plane, plane.geodetic_crs)
    except (SpatialError, ProjError):
        return None
    lon, lat = move(outline[:, 0], outline[:, 1])
    landed = np.column_stack((lon, lat))
    if not np.isfinite(landed).all() or (np.abs(landed) > (180.0, 90.0)).any():
        return None
    return _box(landed)


def _box(points: NDArray[np.float64]) -> Bounds:
    west, south = points.min(axis=0).tolist()
    east, north = points.max(axis=0).tolist()
    return west, south, east, north


def _in_zone(landing: Bounds, meridian: float, half_width: float) -> bool:
    reach = half_width + _OVERLAP
    return meridian - reach <= landing[0] and landing[2] <= meridian + reach


def _is_used(crs: CRS, landing: Bounds) -> bool:
    """Return whether data meets the area in which a system is used, and lies in China."""
    area = crs.area_of_use
    used = area is None or _meet(landing, (area.west, area.south, area.east, area.north))
    return used and _in_china(landing)


def _in_china(landing: Bounds) -> bool:
    lon, lat = _centre(landing)
    west, south, east, north = CHINA
    return west <= lon <= east and south <= lat <= north


def _is_near(landing: Bounds, near: Bounds | None) -> bool:
    if near is None:
        return False
    west, south, east, north = near
    return _meet(landing, (west - _NEAR, south - _NEAR, east + _NEAR, north + _NEAR))


def _meet(one: Bounds, other: Bounds) -> bool:
    across = one[0] <= other[2] and other[0] <= one[2]
    return across and one[1] <= other[3] and other[1] <= one[3]


def _centre(box: Iterable[float]) -> tuple[float, float]:
    west, south, east, north = box
    return (west + east) / 2, (south + north) / 2
