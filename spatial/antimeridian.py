"""Shapes in degrees cut where longitudes end, at 180 degrees east and west."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import GeometryType

from spatial.errors import AroundPole
from spatial.repairs import Mended
from spatial.shapes import Geometries, Mask, repair

Numbers = NDArray[np.float64]

_EDGE: Final = 180.0
_TURN: Final = 360.0
_POLE: Final = 90.0
# Degrees, a tenth of a millimetre: what is nearer to the edge lies on it.
_HAIR: Final = 1e-9
# Beyond one more turn, it is no longitude that was written on.
_FARTHEST: Final = 540.0
_SPLIT: Final = "split at 180 degrees"
_MOVED: Final = "moved within 180 degrees"
_COLLECTORS: Final = {1: shapely.multilinestrings, 2: shapely.multipolygons}


def split_at_antimeridian(geoms: Any) -> Mended:
    """Bring shapes in degrees within 180 degrees east and west, cut where they cross that line.

    A shape crosses it that has longitudes beyond 180 degrees, which count as they stand; or lines
    or rings with steps of more than 180 degrees from point to point, which are taken the shorter
    way round. Steps from edge to edge (-180 to 180) alone are none: so ends what was cut already.
    Edges are straight in longitude and latitude, as RFC 7946, 3.1.1 has them. A ring around a pole
    is closed along it, where all of it lies on that side of the equator.

    Parameters
    ----------
    geoms : array_like of Geometry, shape (n,)
        In degrees, x = east. None is allowed. Z is kept, and interpolated on the cut.

    Returns
    -------
    Mended
        Arrays of shape (n,). What does not cross stays, and so do collections of several kinds
        and what can be no longitude and latitude.

    Raises
    ------
    AroundPole
        For a ring around the earth on both sides of the equator; with its position.

    Examples
    --------
    >>> mended = split_at_antimeridian([shapely.LineString([(170, 0), (-170, 20)])])
    >>> mended.geoms[0].wkt, mended.done[0]
    ('MULTILINESTRING ((170 0, 180 10), (-180 10, -170 20))', 'split at 180 degrees')
    """
    array = np.asarray(geoms, dtype=object)
    whole, done = array.copy(), np.full(array.shape, None, dtype=object)
    for n in np.flatnonzero(_crosses(array)):
        try:
            whole[n], done[n] = _within(array[n])
        except _Around as around:
            raise AroundPole(
                "has a ring around the earth on both sides of the equator, of which 180 degrees "
                f"leaves open what is inside (it begins at {around}); cut it there, with its "
                "pole, before it is given",
                int(n),
            ) from None
    return Mended(whole, done)


class _Around(Exception):
    """A ring that ends a turn away from where it began."""


def _crosses(array: Geometries) -> Mask:
    west, south, east, north = shapely.bounds(array).T
    beyond = (west < -_EDGE - _HAIR) | (east > _EDGE + _HAIR)
    found: Mask = beyond & (west >= -_FARTHEST) & (east <= _FARTHEST)
    # Only what is wide can have wide steps.
    for n in np.flatnonzero((east - west > _EDGE) & ~beyond):
        found[n] = any(_jumps(shapely.get_coordinates(run)[:, 0]) for run in _runs(array[n]))
    found &= (south >= -_POLE - _HAIR) & (north <= _POLE + _HAIR)
    found &= shapely.get_type_id(array) != GeometryType.GEOMETRYCOLLECTION
    # Bounds pass over points that are not finite.
    for n in np.flatnonzero(found):
        found[n] = np.isfinite(shapely.get_coordinates(array[n])).all()
    return found


def _runs(geom: Any) -> Geometries:
    """Return the lines or rings of a shape; points have none."""
    parts: Geometries = shapely.get_parts(geom)
    dimension = int(shapely.get_dimensions(geom))
    if dimension == 2:
        parts = shapely.get_rings(parts)
    return parts if dimension else parts[:0]


def _jumps(x: Numbers) -> bool:
    steps = np.abs(np.diff(x))
    return bool(((steps > _EDGE) & (steps < _TURN - _HAIR)).any())


def _within(geom: Any) -> tuple[Any, str]:
    dimension = int(shapely.get_dimensions(geom))
    if dimension == 0:
        return shapely.transform(geom, _wrapped, include_z=bool(geom.has_z)), _MOVED
    pieces: list[Any] = []
    causes: list[str] = []
    for part in shapely.get_parts(geom):
        if not _crosses(np.array([part], dtype=object))[0]:
            pieces.append(part)
        elif dimension == 1:
            pieces += _cut_line(part)
        else:
            pieces += _cut_polygon(part, causes)
    before = shapely.get_num_geometries(geom)
    said = "; ".join(dict.fromkeys([_SPLIT if len(pieces) > before else _MOVED, *causes]))
    if len(pieces) == 1 and not geom.geom_type.startswith("Multi"):
        return pieces[0], said
    return _COLLECTORS[dimension](pieces), said


def _wrapped(points: Numbers) -> Numbers:
    moved = points.copy()
    moved[:, 0] -= _TURN * np.round(points[:, 0] / _TURN)
    return moved


def _points_of(run: Any) -> Numbers:
    """Return the points of a line or ring, on from turn to turn instead of from edge to edge."""
    points: Numbers = shapely.get_coordinates(run, include_z=bool(shapely.has_z(run)))
    x = points[:, 0]
    edge = _EDGE + _TURN * np.round((x - _EDGE) / _TURN)
    x = np.where(np.abs(x - edge) <= _HAIR, edge, x)
    if not (np.abs(x) > _EDGE).any():
        x[1:] -= _TURN * np.cumsum(np.round(np.diff(x) / _TURN))
    points[:, 0] = x
    return points


def _worlds(x: Numbers) -> range:
    """Return the turns that longitudes lie in; 0 is that from -180 to 180."""
    first = int(np.floor((x.min() + _EDGE) / _TURN))
    return range(first, max(int(np.ceil((x.max() - _EDGE) / _TURN)), first) + 1)


def _cut_line(line: Any) -> list[Any]:
    points = _points_of(line)
    for world in _worlds(points[:, 0])[1:]:
        points = _with_points_at(points, world * _TURN - _EDGE)
    middles = (points[1:, 0] + points[:-1, 0]) / 2
    worlds = np.floor((middles + _EDGE) / _TURN)
    starts = np.flatnonzero(np.diff(worlds, prepend=np.nan))
    ends = [*starts[1:], len(worlds)]
    pieces = []
    for start, end in zip(starts, ends, strict=True):
        piece = points[start : end + 1].copy()
        piece[:, 0] -= _TURN * worlds[start]
        pieces.append(shapely.linestrings(piece))
    return pieces


def _with_points_at(points: Numbers, edge: float) -> Numbers:
    """Return a line with a point wherever it crosses a longitude."""
    away = points[:, 0] - edge
    at = np.flatnonzero(away[:-1] * away[1:] < 0)
    share = (away[at] / (away[at] - away[at + 1]))[:, None]
    made = points[at] + share * (points[at + 1] - points[at])
    made[:, 0] = edge
    return np.insert(points, at + 1, made, axis=0)


def _cut_polygon(polygon: Any, causes: list[str]) -> list[Any]:
    shell, *holes = shapely.get_rings(polygon)
    pieces = _cut_ring(shell, causes)
    if holes:
        cut = shapely.union_all([piece for hole in holes for piece in _cut_ring(hole, causes)])
        if not shapely.covers(shapely.union_all(pieces), cut):
            causes.append("a hole outside its shell")
        pieces = _areas(shapely.difference(pieces, cut))
    return pieces


def _cut_ring(ring: Any, causes: list[str]) -> list[Any]:
    """Return what a ring goes around, as polygons within 180 degrees."""
    points = _points_of(ring)
    turns = round((points[-1, 0] - points[0, 0]) / _TURN)
    if turns:
        points = _closed_at_pole(points, turns)
        causes.append("closed along the pole")
    area = repair([shapely.Polygon(points)])
    causes += [reason for reason in area.reasons if reason is not None]
    west, south, east, north = shapely.bounds(area.geoms[0])
    if np.isnan(west):
        return []
    pieces = []
    for world in _worlds(np.array([west, east])):
        middle = _TURN * world
        strip = shapely.box(middle - _EDGE, south - 1, middle + _EDGE, north + 1)
        for piece in _areas(shapely.intersection(area.geoms, strip)):
            moved = shapely.transform(
                piece, lambda points, by=middle: _shifted(points, by), include_z=piece.has_z
            )
            pieces.append(moved)
    # What goes around may lie on itself.
    return _areas(shapely.union_all(pieces)) if east - west >= _TURN else pieces


def _closed_at_pole(points: Numbers, turns: int) -> Numbers:
    """Return a ring that goes around a pole with a way to it and back, where longitudes end."""
    y = points[:, 1]
    if abs(turns) > 1 or (y.min() <= 0 <= y.max()):
        raise _Around(f"{points[0, 0]:.6g} {points[0, 1]:.6g}")
    for world in (*_worlds(points[:, 0]), _worlds(points[:, 0])[-1] + 1):
        points = _with_points_at(points, world * _TURN - _EDGE)
    body = points[:-1]
    # Between the pole and the nearest to it, the ring does not cross the edge once more.
    at_edge = np.flatnonzero(np.mod(body[:, 0], _TURN) == _EDGE)
    begin = at_edge[np.argmax(np.abs(body[at_edge, 1]))]
    turn = np.zeros(points.shape[1])
    turn[0] = turns * _TURN
    open_ring = np.concatenate([body[begin:], body[: begin + 1] + turn])
    ends = open_ring[[-1, 0]].copy()
    ends[:, 1] = _POLE if y.max() > 0 else -_POLE
    return np.concatenate([open_ring, ends, open_ring[:1]])


def _shifted(points: Numbers, by: float) -> Numbers:
    moved = points.copy()
    moved[:, 0] = np.clip(points[:, 0] - by, -_EDGE, _EDGE)
    return moved


def _areas(geoms: Any) -> list[Any]:
    """Return the polygons among shapes and their parts: cuts leave points and lines as well."""
    parts = shapely.get_parts(shapely.get_parts(geoms))
    found = parts[(shapely.get_dimensions(parts) == 2) & ~shapely.is_empty(parts)]
    return list(found)
