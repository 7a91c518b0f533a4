"""Polygons to grids: the area that each polygon has in each grid, and the grid with the most."""

from __future__ import annotations

from typing import Any, Final

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from spatial.errors import InvalidPolygon, MissingColumn, NotFinite
from spatial.frames import POLYGONS, check_frame, check_ids, check_same_crs
from spatial.overlay.outlines import take_outlines
from spatial.overlay.overlaps import Coverage, measure_cover, meet
from spatial.overlay.planes import in_one_plane

Objects = NDArray[np.object_]
Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]

_CHUNK: Final = 1 << 13  # polygons at a time: what bounds the memory
_OUTSIDE: Final = 5e-10  # of a polygon's area: less is rounding
_TIE: Final = 1e-9
_FARTHEST: Final = 1e100  # beyond it products of coordinates overflow


def polygons_to_grids(
    polygons: gpd.GeoDataFrame, grids: gpd.GeoDataFrame, *, key: str = "id"
) -> pd.DataFrame:
    """Measure the area that each polygon has in each grid, and outside all grids.

    Areas are those of the plane of the frames' reference system. Frames in degrees are moved to
    `spatial.crs.local_metric_crs` of the grids' bounds first, whose areas are right to 1 part in
    20,000 within 100 km of the centre. There corners are moved and edges drawn straight between
    them: where a corner of one grid lies within another's edge, a sliver opens or overlaps.

    Parameters
    ----------
    polygons : GeoDataFrame
        Polygons or multipolygons, valid, each with an index value of its own; missing and empty
        ones are allowed and get no row.
    grids : GeoDataFrame
        Polygons or multipolygons in the same reference system, valid. They may overlap, and leave
        gaps; missing and empty ones meet nothing.
    key : str
        Column of `grids` with the grid code, unique.

    Returns
    -------
    DataFrame
        One row per polygon and grid that share area, in the order of the polygons, then of the
        codes as text:

        - ``polygon``: index value of the polygon;
        - ``grid``: the code; None, last, for what lies outside every grid, where anything does;
        - ``area_m2``: in square metres, whatever the unit of the reference system;
        - ``share``: of the polygon's own area.

        An area agrees with `geopandas.overlay` to 1e-9 of the smaller polygon's area, but for what
        the last bit of the coordinates is worth along its boundary, to which `overlay` rounds the
        corners that it makes. Where two share less than 1e-10 of the smaller one's area, they are
        neighbours and get no row. The areas of a polygon add up to its own to 1e-9 of it where
        its grids don't overlap; where they do, each counts.

    Raises
    ------
    MissingColumn, MissingCRS, MixedCRS, WrongGeometryType
        If a frame is not as described.
    MissingIds, DuplicateIds
        If a code of the grids or an index value of the polygons is missing or repeated.
    NotFinite, InvalidPolygon
        If a polygon has coordinates that are infinite or NaN, or rings that cross.
    TransformationFailed
        If degrees can't be moved to the plane.

    Examples
    --------
    >>> halves = [shapely.box(0, 0, 10, 10), shapely.box(10, 0, 20, 10)]
    >>> grids = gpd.GeoDataFrame({"id": ["west", "east"]}, geometry=halves, crs=4549)
    >>> parcels = gpd.GeoDataFrame(geometry=[shapely.box(6, 0, 16, 12)], crs=4549)
    >>> polygons_to_grids(parcels, grids)[["grid", "area_m2", "share"]].values.tolist()
    [['east', 60.0, 0.5], ['west', 40.0, 0.3333333333333333], [None, 20.0, 0.16666666666666666]]
    """
    check_frame(polygons, types=POLYGONS)
    check_frame(grids, types=POLYGONS, columns=[key])
    check_same_crs(polygons, grids)
    labels = polygons.index.to_flat_index()
    check_ids(pd.Series(labels, index=polygons.index), "index value")
    check_ids(grids[key], repr(key))
    codes = grids[key].to_numpy(dtype=object)
    order = np.argsort(codes.astype(str), kind="stable")
    for frame, name in ((polygons, "polygons"), (grids, "grids")):
        _check_shapes(frame.geometry.to_numpy(), frame.index, name)
    ours, theirs, unit_m = in_one_plane(polygons, grids)
    i, j, areas, shares = _measure(ours, Coverage(theirs[order]))
    return pd.DataFrame(
        {
            "polygon": labels.take(i),
            "grid": pd.Series(_and_none(codes[order])[j], dtype=object),  # else NaN for None
            "area_m2": areas * unit_m**2,
            "share": shares,
        }
    )


def largest_shares(table: pd.DataFrame) -> pd.DataFrame:
    """Give each polygon the one grid in which it has the largest area.

    Parameters
    ----------
    table : DataFrame
        What `polygons_to_grids` returns, or some of its rows.

    Returns
    -------
    DataFrame
        One row of the table per polygon that it has, in its order. Of grids whose areas agree to
        1e-9 of the largest it is the lowest code, as text; None only where there is no grid.

    Raises
    ------
    MissingColumn
        If it is no such table.

    Examples
    --------
    >>> table = pd.DataFrame({"polygon": [7, 7, 7], "grid": ["b", "c", None]})
    >>> largest_shares(table.assign(area_m2=[2.0, 2.0, 9.0], share=0.1))["grid"].tolist()
    ['b']
    """
    absent = [name for name in ("polygon", "grid", "area_m2") if name not in table.columns]
    if absent:
        raise MissingColumn(f"no column {absent[0]!r}; give what polygons_to_grids returns")
    owner, _ = pd.factorize(table["polygon"], use_na_sentinel=False)
    areas = table["area_m2"].to_numpy(dtype=np.float64)
    outside = table["grid"].isna().to_numpy(dtype=bool)
    largest = np.full(owner.max(initial=-1) + 1, -np.inf)
    np.maximum.at(largest, owner[~outside], areas[~outside])
    beaten = ~outside & (areas < largest[owner] * (1 - _TIE))
    _, ranks = np.unique(table["grid"].to_numpy(dtype=object).astype(str), return_inverse=True)
    order = np.lexsort((ranks, beaten, outside, owner))
    _, first = np.unique(owner[order], return_index=True)
    return table.iloc[order[first]].reset_index(drop=True)


def _and_none(codes: Objects) -> Objects:
    made = np.full(len(codes) + 1, None, dtype=object)
    made[:-1] = codes
    return made


def _check_shapes(geoms: Objects, index: pd.Index[Any], name: str) -> None:
    far = np.flatnonzero((np.abs(shapely.bounds(geoms)) > _FARTHEST).any(axis=1))
    bad = np.flatnonzero(~shapely.is_valid(geoms) & ~shapely.is_missing(geoms))
    endless = [k for k in bad if not np.isfinite(shapely.get_coordinates(geoms[k])).all()]
    for k in (*endless[:1], *far[:1]):
        raise NotFinite(
            f"row {index[k]!r} of the {name} has coordinates that are infinite, NaN or beyond use; "
            "leave it out"
        )
    if bad.size:
        raise InvalidPolygon(
            f"{bad.size} of the {name} are invalid, the first in row {index[bad[0]]!r}: "
            f"{shapely.is_valid_reason(geoms[bad[0]])}; repair them with spatial.shapes.repair"
        )


def _measure(geoms: Objects, coverage: Coverage) -> tuple[Int64s, Int64s, Floats, Floats]:
    """Return rows of polygon, grid or how many there are for outside, area and share."""
    found: list[tuple[Int64s, Int64s, Floats, Floats]] = []
    for start in range(0, max(len(geoms), 1), _CHUNK):
        chunk = geoms[start : start + _CHUNK]
        outlines = take_outlines(chunk)
        i, j, areas = meet(chunk, outlines, coverage)
        rest = outlines.areas - measure_cover(outlines, coverage, i, j, areas)
        outside = np.flatnonzero(rest > _OUTSIDE * outlines.areas)
        i = np.concatenate([i, outside])
        j = np.concatenate([j, np.full(len(outside), len(coverage.geoms))])
        areas = np.concatenate([areas, rest[outside]])
        order = np.lexsort((j, i))
        i, j, areas = i[order], j[order], areas[order]
        found.append((start + i, j, areas, areas / outlines.areas[i]))
    i, j, areas, shares = (np.concatenate(column) for column in zip(*found, strict=True))
    return i, j, areas, shares
