"""Two frames in one plane, whose unit of length is known: where lengths and areas are measured."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from spatial.crs import local_metric_crs, transform

Objects = NDArray[np.object_]


def in_one_plane(
    things: gpd.GeoDataFrame, grids: gpd.GeoDataFrame
) -> tuple[Objects, Objects, float]:
    """Return the geometries of both frames in one plane, and how many metres its unit has.

    Frames in degrees are moved to `spatial.crs.local_metric_crs` of the grids' bounds, others stay
    as they are. Both must be in one reference system.

    Raises
    ------
    TransformationFailed
        If degrees can't be moved to the plane.
    """
    ours, theirs = (frame.geometry.to_numpy().astype(object) for frame in (things, grids))
    crs: Any = grids.crs
    if not crs.is_geographic:
        return ours, theirs, float(crs.axis_info[0].unit_conversion_factor)
    bounds = [frame.total_bounds for frame in (grids, things)]
    known = [found for found in bounds if np.isfinite(found).all()]
    if not known:
        return ours, theirs, 1.0
    metric = local_metric_crs(tuple(known[0]), crs)
    # without Z, which would only be carried along
    ours, theirs = (transform(shapely.force_2d(geoms), crs, metric) for geoms in (ours, theirs))
    return ours, theirs, 1.0
