"""What a frame must be before an analysis takes it: its columns, geometry types and system."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from spatial.errors import (
    DuplicateIds,
    MissingColumn,
    MissingCRS,
    MissingIds,
    MixedCRS,
    WrongGeometryType,
)

POINTS: Final = ("Point",)
LINES: Final = ("LineString", "MultiLineString")
POLYGONS: Final = ("Polygon", "MultiPolygon")


def check_frame(
    frame: gpd.GeoDataFrame,
    *,
    types: Collection[str] = (),
    crs_required: bool = True,
    columns: Sequence[str] = (),
) -> None:
    """Refuse a frame that lacks what an analysis needs.

    Parameters
    ----------
    frame : GeoDataFrame
        Geometries may be missing or empty; a missing one has no type.
    types : collection of str, optional
        Geometry types that are welcome, as Shapely names them; none means all.
    crs_required : bool
        Whether the frame must state its reference system.
    columns : sequence of str
        Columns that must be there.

    Raises
    ------
    MissingColumn
        If a column, or the geometry, is not there.
    MissingCRS
        If it states no reference system and must.
    WrongGeometryType
        If a geometry is of another type; it names the first row.

    Examples
    --------
    >>> check_frame(gpd.GeoDataFrame(geometry=[shapely.Point(1, 2)], crs=4326), types=POINTS)
    """
    _check_columns(frame, columns)
    if crs_required and frame.crs is None:
        raise MissingCRS("the frame states no reference system; set one, such as EPSG:4549")
    if types:
        _check_types(frame, types)


def check_same_crs(first: gpd.GeoDataFrame, second: gpd.GeoDataFrame) -> None:
    """Refuse two frames in different reference systems; the order of the axes is no difference.

    Raises
    ------
    MixedCRS
        If they differ.

    Examples
    --------
    >>> check_same_crs(gpd.GeoDataFrame(geometry=[], crs=4326), gpd.GeoSeries([], crs="OGC:CRS84"))
    """
    if not first.crs.equals(second.crs, ignore_axis_order=True):
        raise MixedCRS(
            f"{first.crs.name!r} and {second.crs.name!r} differ; transform one of the two first"
        )


def check_ids(ids: pd.Series[Any], name: str) -> None:
    """Refuse codes that are missing, or repeated as text.

    Raises
    ------
    MissingIds, DuplicateIds
        They name the row, or the code, and what `name` calls it.

    Examples
    --------
    >>> check_ids(pd.Series(["a", "b"]), "'id'")
    """
    missing = np.flatnonzero(ids.isna())
    if missing.size:
        raise MissingIds(f"row {ids.index[missing[0]]!r} has no {name}; fill it in")
    # as text, in whose order they are told apart
    repeated = np.flatnonzero(pd.Series(ids.to_numpy(dtype=object).astype(str)).duplicated())
    if repeated.size:
        code = ids.astype(object).iloc[repeated[0]]
        raise DuplicateIds(
            f"{code!r} is the {name} of two polygons; merge their parts, or number them"
        )


def _check_columns(frame: gpd.GeoDataFrame, columns: Sequence[str]) -> None:
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        raise MissingColumn(f"no column {absent[0]!r} among {', '.join(map(str, frame.columns))}")
    if frame.active_geometry_name is None:
        raise MissingColumn("the frame has no geometry; name it with set_geometry")


def _check_types(frame: gpd.GeoDataFrame, types: Collection[str]) -> None:
    welcome = [shapely.GeometryType[name.upper()] for name in types]
    kinds = shapely.get_type_id(frame.geometry.to_numpy())
    bad = np.flatnonzero((kinds != shapely.GeometryType.MISSING) & ~np.isin(kinds, welcome))
    if bad.size:
        found = frame.geometry.iloc[bad[0]].geom_type
        raise WrongGeometryType(
            f"row {frame.index[bad[0]]!r} is a {found}, where {' or '.join(types)} belongs"
        )
