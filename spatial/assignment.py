"""Points to grids: each point gets one polygon of each grid system, as of its own time."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from spatial.errors import BadInstant
from spatial.frames import POINTS, check_frame, check_same_crs
from spatial.grids import GridIndex
from spatial.instants import as_microsecond, as_microseconds
from spatial.placing import (
    EMPTY,
    NO_INSTANT,
    NO_POINT,
    NOT_FINITE,
    PLACED,
    STATUSES,
    Answers,
    Points,
    check_distance,
    place_points,
    reason_texts,
)
from spatial.systems import System


@dataclass(frozen=True, slots=True)
class Placement:
    """What `assign_one` gave a point in one system; each member as a column of `assign`."""

    system: Any
    grid: Any
    status: str
    distance_m: float
    candidates: int
    reason: str | None


def assign(
    points: gpd.GeoDataFrame,
    polygons: gpd.GeoDataFrame | GridIndex,
    *,
    key: str = "id",
    system: str | None = None,
    at: str | None = None,
    valid_from: str = "valid_from",
    valid_to: str = "valid_to",
    tolerance_m: float = 0.0,
    threads: int = 1,
) -> pd.DataFrame:
    """Give each point one polygon of each grid system, the one that was valid at its time.

    Parameters
    ----------
    points : GeoDataFrame
        Points; missing, empty and non-finite ones are allowed and stay unassigned.
    polygons : GeoDataFrame or GridIndex
        Polygons or multipolygons in the same reference system; empty ones meet nothing. Grids
        made ready once serve many assignments; `key`, `system` and periods are theirs then.
    key : str
        Column of `polygons` with the grid code, unique within a system at any one instant.
    system : str, optional
        Column of `polygons` that names the grid system; without it, all are one, called "".
    at : str, optional
        Column of `points` with the instant, aware. Given, `polygons` must carry the period
        ``[valid_from, valid_to)`` in which each is valid, aware, NaT being open; without it
        every polygon counts and periods are not looked at.
    valid_from, valid_to : str
        Those columns of `polygons`.
    tolerance_m : float
        How far in metres a point outside all polygons may lie from the nearest. It is measured
        in a plane centred on the polygons, right to 1 part in 20,000 within 100 km of the centre.
    threads : int
        How many work at once; the answer is the same.

    Returns
    -------
    DataFrame
        One row per point and system, in the order of the points, then of the systems as text,
        ``len(points) * number of systems`` in all:

        - ``point``: index value of the point; ``system``: its name;
        - ``grid``: the code, None where unassigned. Of several the lowest, in the order of text;
        - ``status``: ``inside``; ``boundary`` where the point lies on the boundary of what it was
          given, alone or shared; ``several`` where it lies inside that polygon and meets others
          too, or inside several; ``nearest``; ``unassigned``;
        - ``distance_m``: 0 where it meets the polygon, NaN where unassigned;
        - ``candidates``: how many polygons it meets; for ``nearest``, how many are within reach;
        - ``reason``: why it is unassigned, else None.

    Raises
    ------
    MissingColumn, MissingCRS, MixedCRS, WrongGeometryType, NotFinite
        If a frame is not as described; nothing is reprojected on the quiet.
    MissingIds, DuplicateIds
        If a code, or the name of a system, is missing or a code repeated at one instant.
    EmptyInput
        If there are no polygons to name the systems of.
    BadInstant, BadPeriod
        If instants are not aware timestamps of the years 1 to 9999, or a period ends before it
        lasted; or if grids that have periods are asked without `at`.
    BadDistance
        If the tolerance is negative or not finite.

    Examples
    --------
    >>> grid = gpd.GeoDataFrame({"id": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=4326)
    >>> calls = gpd.GeoDataFrame(geometry=gpd.points_from_xy([0.5, 1, 2], [0.5, 1, 2]), crs=4326)
    >>> assign(calls, grid)["status"].tolist()
    ['inside', 'boundary', 'unassigned']
    """
    check_distance(tolerance_m)
    check_frame(points, types=POINTS, columns=[at] if at else [])
    if isinstance(polygons, GridIndex):
        grids = polygons
    else:
        periods = (valid_from, valid_to) if at else None
        grids = GridIndex.build(polygons, key=key, system=system, periods=periods)
    check_same_crs(points, grids)
    if grids.timed and not at:
        raise BadInstant("the grids are of several editions; name the points' instants with at=")
    there = _read_points(points, at)
    answers = [place_points(system, there, grids, tolerance_m, threads) for system in grids.systems]
    return _frame(points.index, grids.systems, answers, tolerance_m)


def assign_one(
    x: float,
    y: float,
    grids: GridIndex,
    *,
    at: dt.datetime | None = None,
    tolerance_m: float = 0.0,
) -> list[Placement]:
    """Give one point a polygon of each system, as `assign` would, without a frame.

    Parameters
    ----------
    x, y : float
        In the reference system of the grids.
    grids : GridIndex
    at : datetime, optional
        Its instant, aware; needed where the grids have periods.
    tolerance_m : float
        As in `assign`.

    Raises
    ------
    BadInstant
        If the grids have periods and there is no instant, or one without a zone.
    BadDistance
        If the tolerance is negative or not finite.

    Examples
    --------
    >>> grid = gpd.GeoDataFrame({"id": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=4326)
    >>> assign_one(0.5, 0.5, GridIndex.build(grid))[0].grid
    'a'
    """
    check_distance(tolerance_m)
    if grids.timed and (at is None or at.tzinfo is None):
        raise BadInstant(f"the grids are of several editions, and at={at}; give an aware instant")
    instant = 0 if at is None else as_microsecond(at)
    finite = math.isfinite(x) and math.isfinite(y)
    there = Points(
        np.array([x if finite else np.nan]),
        np.array([y if finite else np.nan]),
        np.array([instant], dtype=np.int64),
        np.array([PLACED if finite else NOT_FINITE], dtype=np.uint8),
    )
    reasons = reason_texts(tolerance_m)
    placed = []
    for system in grids.systems:
        answer = place_points(system, there, grids, tolerance_m, 1)
        place = int(answer.place[0])
        placed.append(
            Placement(
                system.name,
                system.codes[place] if place >= 0 else None,
                STATUSES[answer.status[0]],
                float(answer.metres[0]),
                int(answer.candidates[0]),
                reasons[answer.reasons[0]],
            )
        )
    return placed


def summarise(assignment: pd.DataFrame) -> pd.DataFrame:
    """Count an assignment by system, grid and status.

    Parameters
    ----------
    assignment : DataFrame
        What `assign` returns.

    Returns
    -------
    DataFrame
        ``system``, ``grid`` (None for what is unassigned, last in its system), ``status`` and
        ``count``, ordered as text. The counts add up to ``len(assignment)``.

    Examples
    --------
    >>> rows = pd.DataFrame({"system": ["", ""], "grid": ["a", "a"], "status": ["inside"] * 2})
    >>> summarise(rows)["count"].tolist()
    [2]
    """
    names = ["system", "grid", "status"]
    groups = assignment.groupby(names, dropna=False, sort=False, observed=True)
    counts = groups.size().reset_index(name="count")
    counts = counts.sort_values(names, key=lambda column: column.map(str, na_action="ignore"))
    grid = counts["grid"].astype(object)
    return counts.assign(grid=grid.where(grid.notna(), None)).reset_index(drop=True)


def _read_points(points: gpd.GeoDataFrame, at: str | None) -> Points:
    geoms = points.geometry.to_numpy()
    xy = shapely.get_coordinates(geoms)
    if len(xy) < len(geoms):  # those without a point have none
        full = np.flatnonzero(~(shapely.is_missing(geoms) | shapely.is_empty(geoms)))
        found, xy = xy, np.full((len(geoms), 2), np.nan)
        xy[full] = found
    x, y = np.ascontiguousarray(xy.T)
    reasons = np.zeros(len(geoms), dtype=np.uint8)
    lost = np.flatnonzero(~(np.isfinite(x) & np.isfinite(y)))
    reasons[lost] = NOT_FINITE
    reasons[lost[shapely.is_empty(geoms[lost])]] = EMPTY
    reasons[lost[shapely.is_missing(geoms[lost])]] = NO_POINT
    instants = np.zeros(len(geoms), dtype=np.int64)
    if at is not None:
        instants, missing = as_microseconds(points[at])
        reasons[missing & (reasons == PLACED)] = NO_INSTANT
        lost = np.flatnonzero(reasons)
    x[lost] = np.nan
    return Points(x, y, instants, reasons)


def _frame(
    index: pd.Index[Any],
    systems: tuple[System, ...],
    answers: list[Answers],
    tolerance_m: float,
) -> pd.DataFrame:
    """Make the table, in which a point's rows of all systems follow each other."""
    nothing = np.array([None], dtype=object)
    codes = [
        np.concatenate([system.codes, nothing])[answer.place]
        for system, answer in zip(systems, answers, strict=True)
    ]
    reasons = np.array(reason_texts(tolerance_m), dtype=object)
    names = np.array([None, *(system.name for system in systems)], dtype=object)[1:]

    def woven(columns: list[NDArray[Any]]) -> NDArray[Any]:
        return columns[0] if len(columns) == 1 else np.column_stack(columns).ravel()

    def objects(values: NDArray[np.object_]) -> pd.Series[Any]:
        return pd.Series(values, dtype=object)  # else pandas makes NaN of None

    return pd.DataFrame(
        {
            "point": index.to_flat_index().repeat(len(systems)),
            "system": objects(np.tile(names, len(index))),
            "grid": objects(woven(codes)),
            "status": objects(STATUSES[woven([a.status for a in answers])]),
            "distance_m": woven([a.metres for a in answers]),
            "candidates": woven([a.candidates for a in answers]),
            "reason": objects(reasons[woven([a.reasons for a in answers])]),
        }
    )
