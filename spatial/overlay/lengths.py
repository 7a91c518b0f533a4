"""Lines to grids: the length that each line has in each grid."""

from __future__ import annotations

from typing import Final

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from spatial.cells.index import CellIndex, Lengths
from spatial.errors import NotFinite
from spatial.frames import LINES, POLYGONS, check_frame, check_ids, check_same_crs
from spatial.overlay.planes import in_one_plane

_ROUNDING: Final = 1e-12


def lines_to_grids(
    lines: gpd.GeoDataFrame, grids: gpd.GeoDataFrame, *, key: str = "id"
) -> pd.DataFrame:
    """Measure the length that each line has in each grid, and outside all grids.

    Lengths are those of the plane of the frames' reference system. Frames in degrees are moved to
    `spatial.crs.local_metric_crs` of the grids' bounds first, where lengths are right to 1 part in
    20,000 within 100 km of the centre.

    Parameters
    ----------
    lines : GeoDataFrame
        Lines or multiple lines; missing and empty ones get no row.
    grids : GeoDataFrame
        Polygons or multipolygons in the same reference system. They may overlap, and leave gaps;
        missing and empty ones meet nothing.
    key : str
        Column of `grids` with the grid code, unique.

    Returns
    -------
    DataFrame
        One row per line and grid, in the order of the lines, then of the codes as text:

        - ``line``: index value of the line;
        - ``grid``: the code; None, last, for what lies outside every grid;
        - ``length_m``: in metres, whatever the unit of the reference system.

        What lies inside several grids counts for each. What lies on a shared boundary counts once,
        for the lowest code, so that the lengths of a line add up to its own where grids don't
        overlap (`geopandas.overlay` counts it for each neighbour). Less than 1e-12 of a line is
        rounding, and no row.

    Raises
    ------
    MissingColumn, MissingCRS, MixedCRS, WrongGeometryType
        If a frame is not as described.
    MissingIds, DuplicateIds
        If a code of the grids is missing or repeated.
    NotFinite
        If a coordinate is infinite or NaN, or of a polygon beyond 1e100.
    TransformationFailed
        If degrees can't be moved to the plane.

    Examples
    --------
    >>> halves = [shapely.box(0, 0, 10, 10), shapely.box(10, 0, 20, 10)]
    >>> grids = gpd.GeoDataFrame({"id": ["west", "east"]}, geometry=halves, crs=4549)
    >>> pipes = gpd.GeoDataFrame(geometry=[shapely.LineString([(4, 5), (24, 5)])], crs=4549)
    >>> lines_to_grids(pipes, grids).round(6)[["grid", "length_m"]].values.tolist()
    [['east', 10.0], ['west', 6.0], [None, 4.0]]
    """
    check_frame(lines, types=LINES)
    check_frame(grids, types=POLYGONS, columns=[key])
    check_same_crs(lines, grids)
    check_ids(grids[key], repr(key))
    codes = grids[key].to_numpy(dtype=object)
    order = np.argsort(codes.astype(str), kind="stable")
    _check_finite(lines)
    ours, theirs, metres = in_one_plane(lines, grids)
    parts, owners = _parts(ours)
    starts = np.concatenate([[0], np.cumsum(shapely.get_num_coordinates(parts))])
    index = CellIndex.build(theirs[order])
    found = index.lengths(shapely.get_coordinates(parts), starts, owners)
    kept = found.length > _ROUNDING * shapely.length(ours)[found.line]
    found = Lengths(*(column[kept] for column in found))
    nowhere = np.array([None], dtype=object)
    return pd.DataFrame(
        {
            "line": lines.index.to_flat_index().take(found.line),
            "grid": pd.Series(np.concatenate([codes[order], nowhere])[found.polygon], dtype=object),
            "length_m": found.length * metres,
        }
    )


def _parts(lines: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Return single lines, and whose part each is; none is taken apart where all are single."""
    if not (shapely.get_type_id(lines) == shapely.GeometryType.MULTILINESTRING).any():
        return lines, np.arange(len(lines))
    parts, owners = shapely.get_parts(lines, return_index=True)
    return parts, owners


def _check_finite(lines: gpd.GeoDataFrame) -> None:
    corners, owner = shapely.get_coordinates(lines.geometry.to_numpy(), return_index=True)
    bad = np.flatnonzero(~np.isfinite(corners).all(axis=1))
    if bad.size:
        raise NotFinite(
            f"row {lines.index[owner[bad[0]]]!r} of the lines has coordinates that are infinite or "
            "NaN; leave it out, or repair it"
        )
