from __future__ import annotations

import numpy as np
import pytest
import shapely
from pyproj import CRS, Geod, Transformer

from spatial.crs import CRS84, crs_uri, local_metric_crs, parse_crs, transform
from spatial.errors import BallparkTransformation, TransformationFailed, UnknownCRS

OGC = "http://www.opengis.net/def/crs"


@pytest.mark.parametrize(
    ("name", "authority"),
    [
        *((name, ("EPSG", "4490")) for name in ("EPSG:4490", "epsg:4490", "4490", 4490, " 4490 ")),
        *((f"{OGC}/EPSG/{version}/4490", ("EPSG", "4490")) for version in ("0", "9.9.1")),
        ("https://www.opengis.net/def/crs/EPSG/0/4490", ("EPSG", "4490")),
        ("urn:ogc:def:crs:EPSG::4490", ("EPSG", "4490")),
        ("urn:x-ogc:def:crs:EPSG:6.9:4490", ("EPSG", "4490")),
        ("[EPSG:4490]", ("EPSG", "4490")),
        ("[OGC:CRS84]", ("OGC", "CRS84")),
        ("OGC:CRS84", ("OGC", "CRS84")),
        ("ogc:crs84", ("OGC", "CRS84")),
        (f"{OGC}/OGC/1.3/CRS84", ("OGC", "CRS84")),
        (f"{OGC}/OGC/0/CRS84h", ("OGC", "CRS84h")),
        ("urn:ogc:def:crs:OGC:1.3:CRS84", ("OGC", "CRS84")),
        (CRS.from_epsg(4549), ("EPSG", "4549")),
    ],
)
def test_reads_every_name(name: object, authority: tuple[str, str]) -> None:
    assert parse_crs(name).to_authority() == authority


@pytest.mark.parametrize(
    "name",
    [
        *("", "EPSG", "EPSG:", "EPSG:0", "EPSG:999999", "EPSG:1671", "NOPE:1", "WGS84", "[4490"),
        *("+proj=longlat", "EPSG:4490+5737", f"{OGC}/EPSG/0/", f"{OGC}/EPSG/4490", -4490, True),
        *("EPSG:4490; DROP TABLE", "http://example.org/def/crs/EPSG/0/4490", "４４９０"),
    ],
)
def test_refuses_what_names_none(name: object) -> None:
    with pytest.raises(UnknownCRS):
        parse_crs(name)


@pytest.mark.parametrize("name", ["gcj02", "GCJ-02", "bd09", "BD-09"])
def test_shifted_coordinates_are_no_system(name: str) -> None:
    with pytest.raises(UnknownCRS, match="never stored"):
        parse_crs(name)


@pytest.mark.parametrize("name", ["EPSG:4490", "EPSG:4549", "OGC:CRS84", "OGC:CRS84h", "EPSG:5737"])
def test_a_uri_reads_back(name: str) -> None:
    assert parse_crs(crs_uri(name)) == parse_crs(name)


def test_a_system_without_a_code_has_no_uri() -> None:
    with pytest.raises(UnknownCRS, match="no code"):
        crs_uri(CRS.from_proj4("+proj=aeqd +lat_0=30.1 +lon_0=120.1 +datum=WGS84"))


def test_x_is_east_and_y_is_north() -> None:
    # on the central meridian: the false easting of 500 km, and the meridian's arc to 30 N
    moved = transform([shapely.Point(120, 30)], "EPSG:4490", "EPSG:4549")[0]
    assert (moved.x, moved.y) == pytest.approx((500000, 3320113.398), abs=1e-3)
    prefixed = transform([shapely.Point(120, 30)], "EPSG:4490", "EPSG:4528")[0]
    assert prefixed.x == pytest.approx(40500000, abs=1e-3)


@pytest.mark.parametrize(
    ("source", "target", "x", "y"),
    [
        (4490, 4549, 120.37, 31.2),
        (4326, 4549, 120.37, 31.2),
        ("OGC:CRS84", 4490, 120.37, 31.2),
        (4549, 3857, 512345.6, 3412345.6),
        ("OGC:CRS84", 26986, -71.1, 42.37),
        (26986, "OGC:CRS84", 232000.0, 902000.0),
        (2349, 4610, 25500000.0, 3500000.0),
        (4214, 2401, 75.2, 40.0),
        (27700, 4326, 530000.0, 180000.0),
    ],
)
def test_agrees_with_pyproj(source: object, target: object, x: float, y: float) -> None:
    moved = transform([shapely.Point(x, y)], source, target)[0]
    direct = Transformer.from_crs(parse_crs(source), parse_crs(target), always_xy=True)
    assert (moved.x, moved.y) == pytest.approx(direct.transform(x, y), abs=1e-9)


def test_dimensions_missing_and_empty_geometries_stay() -> None:
    texts = ["POINT Z (120 30 5)", "POINT ZM (120 30 5 9)", "POINT (120 30)", "POINT EMPTY"]
    texts += ["LINESTRING Z (120 30 1, 121 31 NaN)", "POINT M (120 30 9)", "POINT (NaN 1)"]
    geoms = np.array([*(shapely.from_wkt(text) for text in texts), None], dtype=object)
    moved = transform(geoms.reshape(2, 4), 4490, 4549)
    assert moved.shape == (2, 4)
    moved = moved.ravel()
    assert [moved[0].z, moved[1].z] == [5, 5]
    assert shapely.has_z(moved).tolist() == [True, True, False, False, True, False, False, False]
    assert moved[3].is_empty
    assert moved[7] is None
    assert geoms[0].x == 120, "the caller's are left alone"
    same = transform(geoms, 4490, "EPSG:4490")
    assert shapely.equals_identical(same[:4], geoms[:4]).all()


def test_heights_are_never_converted() -> None:
    for source in ("EPSG:4979", CRS("EPSG:4490+5737"), "OGC:CRS84h"):
        assert transform([shapely.Point(120, 30, 7)], source, "EPSG:4549")[0].z == 7


@pytest.mark.parametrize("local", [4610, 2349, 2362, 2390, 4214, 2401, 2442])
@pytest.mark.parametrize("other", [4490, 4549, 4326, CRS84, 3857, 4555])
def test_refuses_a_ballpark_operation(local: int, other: object) -> None:
    for source, target in ((local, other), (other, local)):
        with pytest.raises(BallparkTransformation, match="parameters"):
            transform([shapely.Point(120, 30)], source, target)


@pytest.mark.parametrize(("source", "target"), [(4610, 4214), (4258, 4490), (4269, 4490)])
def test_refuses_other_ballpark_operations(source: int, target: int) -> None:
    with pytest.raises(BallparkTransformation):
        transform([shapely.Point(120, 30)], source, target)


def test_knows_the_datum_of_a_shapefile() -> None:
    text = (
        'GEOGCS["GCS_Xian_1980",DATUM["D_Xian_1980",SPHEROID["Xian_1980",6378140.0,298.257]],'
        'PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]]'
    )
    with pytest.raises(BallparkTransformation):
        transform([shapely.Point(120, 30)], CRS.from_wkt(text), 4490)


def test_takes_a_system_that_carries_its_own_parameters() -> None:
    xian = "+proj=longlat +a=6378140 +rf=298.257 +towgs84=10,20,30 +type=crs"
    moved = transform([shapely.Point(120, 30)], CRS.from_user_input(xian), 4326)[0]
    assert 5 < Geod(ellps="WGS84").inv(120, 30, moved.x, moved.y)[2] < 40


@pytest.mark.parametrize("datums", [(4490, 4326), (4326, 4490), (4480, 4979), (4490, 9057)])
def test_the_geocentric_datums_agree(datums: tuple[int, int]) -> None:
    moved = transform([shapely.Point(120, 30)], *datums)[0]
    assert (moved.x, moved.y) == pytest.approx((120, 30), abs=1e-9)


def test_refuses_what_comes_out_infinite() -> None:
    geoms = [shapely.Point(120, 30), shapely.LineString([(120, 30), (120, 95)])]
    with pytest.raises(TransformationFailed, match="1 geometries"):
        transform(geoms, 4490, 3857)
    assert transform(geoms, 4490, 3857, strict=False)[1].is_empty


@pytest.mark.parametrize("crs", ["EPSG:5737", "EPSG:4978"])
def test_refuses_a_system_without_a_plane(crs: str) -> None:
    with pytest.raises(UnknownCRS, match="horizontal"):
        transform([shapely.Point(1, 2)], crs, 4490)


@pytest.mark.parametrize(
    ("bounds", "crs"),
    [
        ((120.0, 31.0, 121.0, 32.0), CRS84),
        ((479000.0, 3400000.0, 540000.0, 3480000.0), 4549),
        ((25479000.0, 3400000.0, 25540000.0, 3480000.0), 2349),
        ((228000.0, 898000.0, 236000.0, 906000.0), 26986),
        ((750000.0, 2950000.0, 780000.0, 2980000.0), 2249),
    ],
)
def test_local_metres_are_metres(bounds: tuple[float, ...], crs: object) -> None:
    local, own = local_metric_crs(bounds, crs), parse_crs(crs)
    corners = [shapely.Point(bounds[0], bounds[1]), shapely.Point(bounds[2], bounds[3])]
    geodetic = transform(corners, own, own.geodetic_crs)
    true = own.get_geod().inv(geodetic[0].x, geodetic[0].y, geodetic[1].x, geodetic[1].y)[2]
    assert shapely.distance(*transform(corners, own, local)) == pytest.approx(true, rel=1e-4)


def test_local_metres_across_the_antimeridian() -> None:
    local = local_metric_crs((179.0, -20.0, -179.0, -18.0))
    pair = transform([shapely.Point(179.99, -19), shapely.Point(-179.99, -19)], CRS84, local)
    assert shapely.distance(*pair) == pytest.approx(2105, abs=5)


def test_refuses_bounds_of_nothing() -> None:
    with pytest.raises(TransformationFailed):
        local_metric_crs((np.nan,) * 4)
