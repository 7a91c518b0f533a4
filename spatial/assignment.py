"""Points to grids: each point gets one polygon of each grid system, as of its own time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from spatial.crs import local_metric_crs, transform
from spatial.errors import (
    BadDistance,
    BadInstant,
    BadPeriod,
    DuplicateIds,
    EmptyInput,
    MissingIds,
)
from spatial.frames import POINTS, POLYGONS, check_frame, check_same_crs

Objects = NDArray[np.object_]
Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]
Distances = NDArray[np.float64]
Microseconds = NDArray[np.int64]

_ALWAYS: Final = (np.iinfo(np.int64).min, np.iinfo(np.int64).max)
_TIE_DECIMALS: Final = 6  # distances that agree to the micrometre are equal


@dataclass(frozen=True, slots=True)
class _Points:
    geoms: Objects
    xy: NDArray[np.float64]  # NaN where there is no point
    instants: Microseconds
    reasons: Objects  # why a point can't be placed; None where it can

    @property
    def usable(self) -> Indices:
        return np.flatnonzero(self.reasons == None)  # noqa: E711 - elementwise


@dataclass(frozen=True, slots=True)
class _Cells:
    geoms: Objects
    codes: Objects
    ranks: Indices  # place of the code among all codes, in the order of text
    systems: Indices
    names: list[Any]  # of the systems, in the order of text
    starts: Microseconds
    ends: Microseconds


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Which point meets which cell, and how far apart they are."""

    points: Indices
    cells: Indices
    metres: Distances


def assign(
    points: gpd.GeoDataFrame,
    polygons: gpd.GeoDataFrame,
    *,
    key: str = "id",
    system: str | None = None,
    at: str | None = None,
    valid_from: str = "valid_from",
    valid_to: str = "valid_to",
    tolerance_m: float = 0.0,
) -> pd.DataFrame:
    """Give each point one polygon of each grid system, the one that was valid at its time.

    Parameters
    ----------
    points : GeoDataFrame
        Points; missing, empty and non-finite ones are allowed and stay unassigned.
    polygons : GeoDataFrame
        Polygons or multipolygons in the same reference system; empty ones meet nothing.
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
    MissingColumn, MissingCRS, MixedCRS, WrongGeometryType
        If a frame is not as described; nothing is reprojected on the quiet.
    MissingIds, DuplicateIds
        If a code, or the name of a system, is missing or a code repeated at one instant.
    EmptyInput
        If there are no polygons to name the systems of.
    BadInstant, BadPeriod
        If instants are not aware timestamps, or a period ends before it lasted.
    BadDistance
        If the tolerance is negative or not finite.

    Examples
    --------
    >>> grid = gpd.GeoDataFrame({"id": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=4326)
    >>> calls = gpd.GeoDataFrame(geometry=gpd.points_from_xy([0.5, 1, 2], [0.5, 1, 2]), crs=4326)
    >>> assign(calls, grid)["status"].tolist()
    ['inside', 'boundary', 'unassigned']
    """
    if not (math.isfinite(tolerance_m) and tolerance_m >= 0):
        raise BadDistance(f"tolerance_m={tolerance_m}; give metres, 0 or more")
    check_frame(points, types=POINTS, columns=[at] if at else [])
    periods = (valid_from, valid_to) if at else ()
    check_frame(polygons, types=POLYGONS, columns=[key, *([system] if system else []), *periods])
    check_same_crs(points, polygons)
    cells = _read_cells(polygons, key, system, periods)
    there = _read_points(points, at)
    met = _meetings(there, cells)
    table = _place(there, cells, met)
    if tolerance_m > 0:
        _place_nearest(table, there, cells, tolerance_m, points.crs)
    table["reason"] = pd.Series(_explain(table, there, cells, tolerance_m), dtype=object)
    return _frame(table, points.index, cells)


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


def _pairs(points: Objects, polygons: Objects) -> tuple[Indices, Indices]:
    """Return every (i, j) for which point i intersects polygon j, boundaries included.

    This is the kernel: whatever replaces it must return the same set of pairs, in any order.
    """
    # a tree over the points, as the query then prepares each polygon once for all its points
    j, i = shapely.STRtree(points).query(polygons, predicate="intersects")
    return i, j


def _read_points(points: gpd.GeoDataFrame, at: str | None) -> _Points:
    geoms = points.geometry.to_numpy().astype(object)
    reasons = np.full(len(geoms), None, dtype=object)
    reasons[shapely.is_empty(geoms)] = "empty point"
    reasons[shapely.is_missing(geoms)] = "no point"
    full = np.flatnonzero(reasons == None)  # noqa: E711 - elementwise
    xy = np.full((len(geoms), 2), np.nan)
    xy[full] = shapely.get_coordinates(geoms[full])
    reasons[full[~np.isfinite(xy[full]).all(axis=1)]] = "coordinates not finite"
    instants = np.zeros(len(geoms), dtype=np.int64)
    if at is not None:
        instants, missing = _microseconds(points[at])
        reasons[missing & (reasons == None)] = "no instant"  # noqa: E711 - elementwise
    return _Points(geoms, xy, instants, reasons)


def _read_cells(
    polygons: gpd.GeoDataFrame, key: str, system: str | None, periods: tuple[str, ...]
) -> _Cells:
    codes = _texts(polygons, key)
    labels = _texts(polygons, system) if system else np.full(len(polygons), "", dtype=object)
    if system and not len(polygons):
        raise EmptyInput("no polygons, so no systems to assign to; give at least one")
    _, ranks = np.unique(codes.astype(str), return_inverse=True)
    names, first, systems = np.unique(labels.astype(str), return_index=True, return_inverse=True)
    starts, ends = _periods(polygons, periods)
    # a copy without Z: a prepared geometry must not be shared with the caller's threads
    geoms = shapely.force_2d(polygons.geometry.to_numpy().astype(object))
    shapely.prepare(geoms)
    systems_named = list(labels[first]) if len(names) else [""]
    cells = _Cells(geoms, codes, ranks, systems, systems_named, starts, ends)
    _refuse_repeated(cells)
    return cells


def _texts(polygons: gpd.GeoDataFrame, column: str) -> Objects:
    missing = np.flatnonzero(polygons[column].isna())
    if missing.size:
        raise MissingIds(f"row {polygons.index[missing[0]]!r} has no {column!r}; fill it in")
    texts: Objects = polygons[column].to_numpy(dtype=object)
    return texts


def _periods(
    polygons: gpd.GeoDataFrame, columns: tuple[str, ...]
) -> tuple[Microseconds, Microseconds]:
    if not columns:
        return tuple(np.full(len(polygons), end, dtype=np.int64) for end in _ALWAYS)  # type: ignore[return-value]
    bounds = []
    for name, open_end in zip(columns, _ALWAYS, strict=True):
        instants, missing = _microseconds(polygons[name])
        bounds.append(np.where(missing, open_end, instants))
    bad = np.flatnonzero(bounds[0] >= bounds[1])
    if bad.size:
        row = polygons.iloc[int(bad[0])]
        raise BadPeriod(
            f"row {polygons.index[bad[0]]!r} is valid from {row[columns[0]]} to "
            f"{row[columns[1]]}; a period must end after it starts"
        )
    return bounds[0], bounds[1]


def _microseconds(instants: pd.Series[Any]) -> tuple[Microseconds, Mask]:
    """Return microseconds since 1970 in UTC, and which are missing."""
    missing = instants.isna().to_numpy(dtype=bool)
    if missing.all():
        return np.zeros(len(instants), dtype=np.int64), missing
    if not isinstance(instants.dtype, pd.DatetimeTZDtype):
        raise BadInstant(
            f"column {instants.name!r} holds {instants.dtype}, not aware timestamps; "
            "clean it with spatial.instants.clean_instants"
        )
    utc = instants.dt.tz_convert("UTC").dt.tz_localize(None)
    return utc.to_numpy(dtype="datetime64[us]").view(np.int64), missing


def _refuse_repeated(cells: _Cells) -> None:
    """Refuse a code that two polygons of one system carry at the same time."""
    order = np.lexsort((cells.starts, cells.ranks, cells.systems))
    before, after = order[:-1], order[1:]
    same = (cells.ranks[before] == cells.ranks[after]) & (
        cells.systems[before] == cells.systems[after]
    )
    bad = np.flatnonzero(same & (cells.ends[before] > cells.starts[after]))
    if bad.size:
        cell = after[bad[0]]
        raise DuplicateIds(
            f"{cells.codes[cell]!r} is the code of two polygons of system "
            f"{cells.names[cells.systems[cell]]!r} at one time; merge their parts, or give the "
            "points' instants with at= where the polygons are of several editions"
        )


def _valid(there: _Points, cells: _Cells, i: Indices, j: Indices) -> Mask:
    valid: Mask = (cells.starts[j] <= there.instants[i]) & (there.instants[i] < cells.ends[j])
    return valid


def _meetings(there: _Points, cells: _Cells) -> _Pairs:
    # Space first, time after: one pass over all editions, however many there are
    usable = there.usable
    i, j = _pairs(there.geoms[usable], cells.geoms)
    i = usable[i]
    now = _valid(there, cells, i, j)
    return _Pairs(i[now], j[now], np.zeros(int(now.sum())))


def _interior(there: _Points, cells: _Cells, met: _Pairs) -> Mask:
    """Return for each meeting whether the point lies inside, not on the boundary."""
    inside: Mask = shapely.contains_xy(cells.geoms[met.cells], there.xy[met.points])
    return inside


def _slots(cells: _Cells, pairs: _Pairs) -> Indices:
    return pairs.points * len(cells.names) + cells.systems[pairs.cells]


def _lowest(cells: _Cells, pairs: _Pairs) -> tuple[Indices, Indices]:
    """Return the slots that have pairs, and of each the pair nearest first, then lowest code."""
    slots = _slots(cells, pairs)
    metres = np.round(pairs.metres, _TIE_DECIMALS)
    order = np.lexsort((cells.ranks[pairs.cells], metres, slots))
    taken, first = np.unique(slots[order], return_index=True)
    return taken, order[first]


def _place(there: _Points, cells: _Cells, met: _Pairs) -> pd.DataFrame:
    """Make the table of all slots, with those filled in whose point meets a polygon."""
    size = len(there.geoms) * len(cells.names)
    slots, interior = _slots(cells, met), _interior(there, cells, met)
    candidates = np.bincount(slots, minlength=size)
    taken, chosen = _lowest(cells, met)
    within = np.bincount(slots[interior], minlength=size)[taken]
    status = np.where(interior[chosen], "inside", "boundary").astype(object)
    status[interior[chosen] & (candidates[taken] > 1)] = "several"
    status[within > 1] = "several"
    table = pd.DataFrame({"cell": np.full(size, -1), "status": "unassigned", "distance_m": np.nan})
    table["status"] = table["status"].astype(object)
    table["candidates"] = candidates
    table.loc[taken, "cell"] = met.cells[chosen]
    table.loc[taken, "status"] = status
    table.loc[taken, "distance_m"] = 0.0
    return table


def _place_nearest(
    table: pd.DataFrame, there: _Points, cells: _Cells, tolerance_m: float, crs: Any
) -> None:
    usable = np.zeros(len(there.geoms), dtype=bool)
    usable[there.usable] = True
    vacant = (table["cell"].to_numpy() < 0) & np.repeat(usable, len(cells.names))
    lost = np.unique(np.flatnonzero(vacant) // len(cells.names))
    if not lost.size or np.isnan(shapely.bounds(cells.geoms)).all():
        return
    near = _within_reach(there, cells, lost, tolerance_m, crs)
    open_ = vacant[_slots(cells, near)]
    near = _Pairs(near.points[open_], near.cells[open_], near.metres[open_])
    taken, chosen = _lowest(cells, near)
    table.loc[taken, "cell"] = near.cells[chosen]
    table.loc[taken, "status"] = "nearest"
    table.loc[taken, "distance_m"] = near.metres[chosen]
    table["candidates"] += np.bincount(_slots(cells, near), minlength=len(table))


def _within_reach(
    there: _Points, cells: _Cells, lost: Indices, tolerance_m: float, crs: Any
) -> _Pairs:
    """Return the pairs of lost points and valid cells that are at most the tolerance apart."""
    # centred on the grids, so that a stray point at (0, 0) moves nothing
    metric = local_metric_crs(tuple(shapely.total_bounds(cells.geoms)), crs)
    points = transform(shapely.force_2d(there.geoms[lost]), crs, metric, strict=False)
    polygons = transform(cells.geoms, crs, metric)
    i, j = shapely.STRtree(polygons).query(points, predicate="dwithin", distance=tolerance_m)
    metres = shapely.distance(points[i], polygons[j])
    i = lost[i]
    now = _valid(there, cells, i, j)
    return _Pairs(i[now], j[now], metres[now])


def _explain(table: pd.DataFrame, there: _Points, cells: _Cells, tolerance_m: float) -> Objects:
    """Say of each unassigned slot why it is so."""
    count = len(cells.names)
    away = f"more than {tolerance_m:g} m from" if tolerance_m else "outside"
    reasons = np.full(len(table), f"{away} every polygon", dtype=object)
    for place in range(count):
        mine = cells.systems == place
        started = np.searchsorted(np.sort(cells.starts[mine]), there.instants, side="right")
        ended = np.searchsorted(np.sort(cells.ends[mine]), there.instants, side="right")
        reasons[place::count][started == ended] = "no polygon is valid then"
    lost = np.repeat(there.reasons, count)
    reasons = np.where(lost == None, reasons, lost)  # noqa: E711 - elementwise
    reasons[table["cell"].to_numpy() >= 0] = None
    return reasons


def _frame(table: pd.DataFrame, index: pd.Index[Any], cells: _Cells) -> pd.DataFrame:
    cell = table["cell"].to_numpy()
    grid = np.full(len(table), None, dtype=object)
    grid[cell >= 0] = cells.codes[cell[cell >= 0]]
    times = len(table) // max(len(index), 1)
    return pd.DataFrame(
        {
            "point": index.to_flat_index().repeat(times),
            "system": pd.Series(cells.names * len(index), dtype=object),
            "grid": pd.Series(grid, dtype=object),  # else pandas makes NaN of None
            "status": table["status"],
            "distance_m": table["distance_m"],
            "candidates": table["candidates"],
            "reason": table["reason"],
        }
    )
