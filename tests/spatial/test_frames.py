from __future__ import annotations

import geopandas as gpd
import pytest
import shapely

from spatial.errors import MissingColumn, MissingCRS, MixedCRS, WrongGeometryType
from spatial.frames import LINES, POINTS, check_frame, check_same_crs


def frame(*texts: str | None, crs: object = 4326) -> gpd.GeoDataFrame:
    geoms = [None if text is None else shapely.from_wkt(text) for text in texts]
    return gpd.GeoDataFrame({"id": range(len(geoms))}, geometry=geoms, crs=crs)


def test_checks_a_frame() -> None:
    check_frame(frame("POINT (1 2)", None, "POINT EMPTY"), types=POINTS, columns=["id"])
    check_frame(frame("POINT (1 2)", crs=None), crs_required=False)
    with pytest.raises(MissingCRS):
        check_frame(frame("POINT (1 2)", crs=None))
    with pytest.raises(MissingColumn, match="'code' among id, geometry"):
        check_frame(frame("POINT (1 2)"), columns=["id", "code"])
    with pytest.raises(WrongGeometryType, match="row 1 is a LineString, where Point belongs"):
        check_frame(frame("POINT (1 2)", "LINESTRING (0 0, 1 1)"), types=POINTS)
    with pytest.raises(WrongGeometryType, match="LineString or MultiLineString"):
        check_frame(frame("POINT (1 2)"), types=LINES)
    with pytest.raises(MissingColumn, match="no geometry"):
        check_frame(gpd.GeoDataFrame({"id": [1]}))


def test_checks_that_systems_agree() -> None:
    check_same_crs(frame(crs=4326), frame(crs="OGC:CRS84"))
    with pytest.raises(MixedCRS, match="differ"):
        check_same_crs(frame(crs=4326), frame(crs=4490))
