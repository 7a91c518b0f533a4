"""Points as arrays, placed in grid systems: what they meet, what is near, or why neither."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from spatial.cells.looking import BOUNDARY, INSIDE, SEVERAL
from spatial.errors import BadDistance
from spatial.grids import GridIndex
from spatial.systems import Indices, Microseconds, System

Floats = NDArray[np.float64]

_TIE_DECIMALS: Final = 6  # distances that agree to the micrometre are equal
_NEAREST: Final = 4
# What the codes in `Answers` stand for; those of reasons: `reason_texts`.
STATUSES: Final = np.array(["unassigned", "inside", "boundary", "several", "nearest"], dtype=object)
PLACED, NO_POINT, EMPTY, NOT_FINITE, NO_INSTANT, NONE_VALID, AWAY = range(7)


class Points(NamedTuple):
    """Points as arrays; what can't be placed has NaN for coordinates, and says why."""

    x: Floats
    y: Floats
    instants: Microseconds
    reasons: NDArray[np.uint8]


class Answers(NamedTuple):
    """What points were given in one system, an entry each.

    Attributes
    ----------
    place : ndarray of int32, shape (n,)
        Place of the polygon, and of its code, in the system; -1 for none.
    status : ndarray of uint8, shape (n,)
        Place in `STATUSES`.
    candidates : ndarray of int32, shape (n,)
    metres : ndarray of float64, shape (n,)
    reasons : ndarray of uint8, shape (n,)
        Place in what `reason_texts` returns.
    """

    place: NDArray[np.int32]
    status: NDArray[np.uint8]
    candidates: NDArray[np.int32]
    metres: Floats
    reasons: NDArray[np.uint8]


def assign_arrays(
    x: Floats,
    y: Floats,
    instants: Microseconds,
    reasons: NDArray[np.uint8],
    grids: GridIndex,
    *,
    tolerance_m: float = 0.0,
) -> list[Answers]:
    """Do what `assign` does, arrays in and arrays out: answers for each system of the grids.

    Parameters
    ----------
    x, y : ndarray of float64, shape (n,)
        In the reference system of the grids; NaN where there is a reason.
    instants : ndarray of int64, shape (n,)
        In microseconds since 1970 in UTC; of no matter where the grids have no periods.
    reasons : ndarray of uint8, shape (n,)
        `PLACED`, or why a point can't be: `NO_POINT`, `EMPTY`, `NOT_FINITE`, `NO_INSTANT`.

    Raises
    ------
    BadDistance
        If the tolerance is negative or not finite.

    Examples
    --------
    >>> import geopandas as gpd
    >>> grid = gpd.GeoDataFrame({"id": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=4326)
    >>> one, none = np.array([0.5]), np.zeros(1, dtype=np.int64)
    >>> found = assign_arrays(one, one, none, none.astype(np.uint8), GridIndex.build(grid))
    >>> STATUSES[found[0].status].tolist()
    ['inside']
    """
    check_distance(tolerance_m)
    there = Points(x, y, instants, reasons)
    return [place_points(system, there, grids, tolerance_m, 1) for system in grids.systems]


def check_distance(tolerance_m: float) -> None:
    """Refuse a tolerance that is negative or not finite."""
    if not (math.isfinite(tolerance_m) and tolerance_m >= 0):
        raise BadDistance(f"tolerance_m={tolerance_m}; give metres, 0 or more")


def place_points(
    system: System, there: Points, grids: GridIndex, tolerance_m: float, threads: int
) -> Answers:
    """Place points in one system: what they meet, else what is near within the tolerance.

    Parameters
    ----------
    system : System
    there : Points
    grids : GridIndex
        Whose system it is.
    tolerance_m : float
    threads : int
        How many look up at once.
    """
    found = _meet(system, there, threads)
    metres = np.where(found.place >= 0, 0.0, np.nan)
    answers = found._replace(metres=metres)
    lost = np.flatnonzero((found.place < 0) & (there.reasons == PLACED))
    if not len(lost):
        return answers
    if tolerance_m > 0 and grids.metric is not None:
        _place_nearest(answers, system, there, lost, grids, tolerance_m)
        lost = lost[answers.place[lost] < 0]
    answers.reasons[lost] = AWAY
    answers.reasons[lost[~system.any_valid(there.instants[lost])]] = NONE_VALID
    return answers


def _meet(system: System, there: Points, threads: int) -> Answers:
    size = len(there.x)
    answers = Answers(
        np.full(size, -1, dtype=np.int32),
        np.zeros(size, dtype=np.uint8),
        np.zeros(size, dtype=np.int32),
        np.empty(0),
        there.reasons.copy(),
    )
    eras = np.searchsorted(system.firsts, there.instants, side="right") - 1
    for k in np.unique(eras[there.reasons == PLACED]):
        alone = len(system.eras) == 1
        rows = slice(None) if alone else np.flatnonzero(eras == k)
        own = Points(there.x[rows], there.y[rows], there.instants[rows], there.reasons[rows])
        look_up = _meet_timed if system.eras[k].timed else _meet_edition
        answers.place[rows], answers.status[rows], answers.candidates[rows] = look_up(
            system, k, own, threads
        )
    return answers


def _meet_edition(
    system: System, era: int, there: Points, threads: int
) -> tuple[NDArray[Any], ...]:
    """Look points up in an era of one edition, whose polygons are all valid."""
    found = system.index(era).locate(there.x, there.y, threads=threads)
    members = system.eras[era].members
    place = found.polygon
    if len(members) != len(system.codes):
        place = np.append(members, np.int32(-1))[place]
    return place, found.status, found.candidates


def _meet_timed(system: System, era: int, there: Points, _threads: int) -> tuple[NDArray[Any], ...]:
    """Look points up in an era of several editions, and leave out what is not valid then."""
    pairs = system.index(era).pairs(there.x, there.y)
    places = system.eras[era].members[pairs.polygon]
    now = system.valid(places, there.instants[pairs.point])
    points, places, interior = pairs.point[now], places[now], pairs.interior[now]
    size = len(there.x)
    candidates = np.bincount(points, minlength=size).astype(np.int32)
    within = np.bincount(points[interior], minlength=size)
    # pairs are ordered by point, then by place, which is by code
    taken, first = np.unique(points, return_index=True)
    place = np.full(size, -1, dtype=np.int32)
    place[taken] = places[first]
    inside = np.zeros(size, dtype=bool)
    inside[taken] = interior[first]
    status = np.where(inside, INSIDE, BOUNDARY).astype(np.uint8)
    status[(within > 1) | (inside & (candidates > 1))] = SEVERAL
    status[candidates == 0] = 0
    return place, status, candidates


def _place_nearest(
    answers: Answers,
    system: System,
    there: Points,
    lost: Indices,
    grids: GridIndex,
    tolerance_m: float,
) -> None:
    """Give lost points the nearest valid polygon within reach; of several the lowest code."""
    polygons, tree = system.nearby(grids.crs, grids.metric)
    x, y = grids.to_metric(there.x[lost], there.y[lost])
    known = np.isfinite(x) & np.isfinite(y)
    lost, points = lost[known], shapely.points(x[known], y[known])
    i, j = tree.query(points, predicate="dwithin", distance=tolerance_m)
    now = system.valid(j, there.instants[lost[i]])
    i, j = i[now], j[now]
    metres = shapely.distance(points[i], polygons[j])
    order = np.lexsort((j, np.round(metres, _TIE_DECIMALS), i))
    taken, first = np.unique(i[order], return_index=True)
    chosen = order[first]
    rows = lost[taken]
    answers.place[rows] = j[chosen]
    answers.status[rows] = _NEAREST
    answers.metres[rows] = metres[chosen]
    answers.candidates[rows] = np.bincount(i, minlength=len(lost))[taken]


def reason_texts(tolerance_m: float) -> list[str | None]:
    """Return why points are unassigned, in the order of codes; None for those that are not."""
    away = f"more than {tolerance_m:g} m from" if tolerance_m else "outside"
    return [
        None,
        "no point",
        "empty point",
        "coordinates not finite",
        "no instant",
        "no polygon is valid then",
        f"{away} every polygon",
    ]
