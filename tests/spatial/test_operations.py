"""What PROJ does is told as it is, and does what others published that it should."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from pyproj import CRS, Transformer
from pyproj.crs import ProjectedCRS
from pyproj.crs.coordinate_operation import TransverseMercatorConversion

from spatial.crs import transform
from spatial.errors import BadParameters, BallparkTransformation, UnknownCRS
from spatial.helmert import Helmert, parse_helmert
from spatial.operations import find_operations

# GIGS test data set 2.1 (IOGP, github.com/IOGP-GIGS/GIGSTestDataset), procedure 5203, part 1, the
# points that are computed forward: latitude and longitude on OSGB36, and on WGS 84 by EPSG method
# 9606 with EPSG::1314.
GIGS_5203 = [
    (60, 120, 60.00569306, 119.9943589),
    (0, 0, 0.00483333, -0.00089056),
    (-60, -120, -59.99907361, -119.9918525),
    (70, -180, 70.005945, -179.9963736),
    (25, -90, 25.00445833, -89.99531139),
    (-37.6532236, 143.9279419, -37.65235306, 143.9263481),
    (-70, 180, -70.002485, -179.9966014),
]
OSGB36_TO_WGS84 = "446.448,-125.157,542.06,0.15,0.247,0.842,-20.489"
# The same, procedure 5103, part 2: NAD83(HARN), and Utah North in feet (EPSG:2921).
GIGS_5103 = [
    (49, -110, 2003937.274, 6452491.702),
    (45, -110, 2029255.572, 4985920.564),
    (41, -110, 2054436.569, 3527302.727),
    (41, -106, 3157542.857, 3571757.391),
    (41, -102, 4257435.056, 3666924.889),
]
# The same, procedure 5101, part 1 (formulae of JHS): Transverse Mercator on WGS 84.
GIGS_5101 = [
    (80, 3, 496813.178, 3358297.326),
    (60, 3, 678711.584, 1134498.83),
    (49, 3, 765648.501, -87944.74),
    (20, 3, 923539.353, -3308151.625),
    (0, -5, 66021.018, -5527462.686),
    (60, 1, 567295.034, 1127751.264),
]


def at(*places: tuple[float, float]) -> np.ndarray:
    """Points as an array."""
    return np.array(places, dtype=float)


def xy(moved: np.ndarray) -> tuple[float, float]:
    """The coordinates of the one point."""
    return moved[0].x, moved[0].y


# Points that others have published


@pytest.mark.parametrize(("lat", "lon", "wgs_lat", "wgs_lon"), GIGS_5203)
def test_parameters_rotate_the_position_vector(
    lat: float, lon: float, wgs_lat: float, wgs_lon: float
) -> None:
    move = parse_helmert(OSGB36_TO_WGS84).mover(CRS.from_epsg(4277))
    # The tolerance of the data set, whose seconds have three decimals.
    assert move(lon, lat) == pytest.approx((wgs_lon, wgs_lat), abs=3e-7)
    # The other convention is told apart by these.
    turned = Helmert(446.448, -125.157, 542.06, -0.15, -0.247, -0.842, -20.489)
    assert turned.mover(CRS.from_epsg(4277))(lon, lat) != pytest.approx(
        (wgs_lon, wgs_lat), abs=3e-6
    )


@pytest.mark.parametrize(("lat", "lon", "east", "north"), GIGS_5103)
def test_feet_of_utah(lat: float, lon: float, east: float, north: float) -> None:
    assert xy(transform([shapely.Point(lon, lat)], 4152, 2921)) == pytest.approx(
        (east, north), abs=2e-3
    )
    back = transform([shapely.Point(east, north)], 2921, 4152)
    assert xy(back) == pytest.approx((lon, lat), abs=1e-8)


@pytest.mark.parametrize(("lat", "lon", "east", "north"), GIGS_5101)
def test_transverse_mercator(lat: float, lon: float, east: float, north: float) -> None:
    conversion = TransverseMercatorConversion(49, -2, 400_000, -100_000, 0.9996012717)
    grid = ProjectedCRS(conversion, geodetic_crs=CRS.from_epsg(4326))
    moved = transform([shapely.Point(lon, lat)], 4326, grid)
    assert xy(moved) == pytest.approx((east, north), abs=1e-3)


def test_survey_feet_of_texas() -> None:
    # IOGP Guidance Note 7-2, 3.1.1.1: 28 30 N, 96 W of NAD27 in zone South Central, to 0.01 ft.
    moved = transform([shapely.Point(-96, 28.5)], 4267, 32040)
    assert xy(moved) == pytest.approx((2963503.91, 254759.80), abs=0.01)


def test_the_british_grid() -> None:
    # IOGP Guidance Note 7-2, 3.2.3: 50 30 N, 0 30 E of OSGB36, to 0.01 m.
    moved = transform([shapely.Point(0.5, 50.5)], 4277, 27700)
    assert xy(moved) == pytest.approx((577274.99, 69740.50), abs=0.01)


def test_the_rotation_of_wgs72() -> None:
    # IOGP Guidance Note 7-2, method 9606: geocentric coordinates, to 0.01 m.
    start = (3657660.66, 255768.55, 5201382.11)
    end = (3657660.78, 255778.43, 5201387.75)
    geocentric = "+proj=pipeline +step +inv +proj=cart +ellps={} +step +proj=unitconvert "
    geocentric += "+xy_in=rad +xy_out=deg"
    lon, lat, _ = Transformer.from_pipeline(geocentric.format("WGS72")).transform(*start)
    true = Transformer.from_pipeline(geocentric.format("WGS84")).transform(*end)[:2]
    move = Helmert(0, 0, 4.5, 0, 0, 0.554, 0.219).mover(CRS.from_epsg(4322))
    # The example stands some way above the ellipsoid; across it that is a few millimetres.
    assert move(lon, lat) == pytest.approx(true, abs=2e-7)


# By pyproj's own pipelines


@pytest.mark.parametrize("meridian", range(75, 136, 3))
def test_zones_of_cgcs2000_are_what_they_are_called(meridian: int) -> None:
    pipeline = (
        "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad "
        f"+step +proj=tmerc +lat_0=0 +lon_0={meridian} +k=1 +x_0={{}} +y_0=0 +ellps=GRS80"
    )
    zone = meridian // 3
    lon, lat = meridian + 1.234567, 33.333333
    for code, false in ((4534 + zone - 25, 500_000), (4513 + zone - 25, zone * 1e6 + 500_000)):
        true = Transformer.from_pipeline(pipeline.format(false)).transform(lon, lat)
        moved = transform([shapely.Point(lon, lat)], 4490, code)
        assert xy(moved) == pytest.approx(true, abs=1e-3)
        assert xy(transform(moved, code, 4490)) == pytest.approx((lon, lat), abs=1e-9)


def test_parameters_are_those_of_pyprojs_own_pipeline() -> None:
    move = parse_helmert("-12.5,101.25,83.75,0.5,-1.25,2.0,-3.5").mover(CRS.from_epsg(2364))
    pipeline = Transformer.from_pipeline(
        "+proj=pipeline +step +inv +proj=tmerc +lon_0=120 +x_0=40500000 +a=6378140 +rf=298.257 "
        "+step +proj=push +v_3 +step +proj=cart +a=6378140 +rf=298.257 "
        "+step +proj=helmert +x=-12.5 +y=101.25 +z=83.75 +rx=0.5 +ry=-1.25 +rz=2.0 +s=-3.5 "
        "+convention=position_vector +step +inv +proj=cart +ellps=WGS84 +step +proj=pop +v_3 "
        "+step +proj=unitconvert +xy_in=rad +xy_out=deg"
    )
    for x, y in ((40_512_000, 3_344_000), (40_400_000, 4_500_000)):
        assert move(x, y) == pytest.approx(pipeline.transform(x, y), abs=1e-9)


# What is told


def test_a_projection_is_exact() -> None:
    (told,) = find_operations(4490, 4549, at((120, 30)))
    assert (told.accuracy_m, told.ballpark, told.area, told.better) == (0.0, False, "", None)
    assert str(told) == "3-degree Gauss-Kruger CM 120E, exact (a projection)"


def test_the_same_plane_needs_none() -> None:
    assert find_operations(4490, 4490, at((120, 30))) == ()
    assert find_operations("EPSG:4979", "EPSG:4326", at((120, 30))) == ()


def test_points_in_several_areas_are_moved_by_several() -> None:
    texas, florida = (-96.0, 30.0), (-81.5, 28.0)
    found = find_operations(4267, 4326, at(texas, texas, florida))
    # EPSG::1175 is made for the west of the Mississippi, EPSG::1173 for the whole country.
    told = [(o.name, o.accuracy_m) for o in found]
    assert told == [("NAD27 to WGS 84 (6)", 7.0), ("NAD27 to WGS 84 (4)", 10.0)]
    for operation, place in zip(found, (texas, florida), strict=True):
        moved = transform([shapely.Point(place)], 4267, 4326)
        by_name = Transformer.from_pipeline(operation.definition).transform(*place)
        assert xy(moved) == pytest.approx(by_name, abs=1e-9)


def test_grids_that_are_lacking_are_told_with_what_they_are_worth() -> None:
    (told,) = find_operations(27700, 4326, at((530_000, 180_000)))
    assert told.accuracy_m == 2.0
    assert told.better is not None
    assert told.better.accuracy_m == 1.0
    assert told.better.grids == ("uk_os_OSTN15_NTv2_OSGBtoETRS.tif",)
    assert "OSTN15" in str(told)
    assert told.document()["better"]["missing_grids"] == list(told.better.grids)


def test_an_area_across_180_degrees() -> None:
    (told,) = find_operations(4167, 4326, at((179.5, -40), (-176.5, -44)))
    assert told.outside == 0
    (told,) = find_operations(4167, 4326, at((120.0, 30.0), (-176.5, -44)))
    assert told.outside == 1


def test_unknown_accuracy_is_said_to_be_so() -> None:
    bound = CRS.from_user_input("+proj=longlat +a=6378140 +rf=298.257 +towgs84=10,20,30 +type=crs")
    (told,) = find_operations(bound, 4326, at((120, 30)))
    assert told.accuracy_m is None
    assert "unknown accuracy" in str(told)


def test_no_points_and_no_finite_ones() -> None:
    assert find_operations(4267, 4326, at()) == ()
    assert find_operations(4267, 4326, at((math.nan, 1), (math.inf, 1))) == ()


@pytest.mark.parametrize(("source", "target"), [(4610, 4490), (2364, 4549), (4214, 4326)])
def test_what_is_refused_is_not_told_of(source: int, target: int) -> None:
    with pytest.raises(BallparkTransformation, match="--towgs84"):
        find_operations(source, target, at((120, 30)))


# Parameters


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "1,2", "1,2,3,4", "1,2,3,4,5,6", "1,2,3,4,5,6,7,8", "a,b,c", "1;2;3"),
        *("nan,0,0", "inf,0,0", "6000,0,0", "0,0,0,61,0,0,0", "0,0,0,0,0,0,1000"),
    ],
)
def test_parameters_that_can_not_be(text: str) -> None:
    with pytest.raises(BadParameters, match="metres"):
        parse_helmert(text)


def test_parameters_are_read_in_their_order() -> None:
    assert parse_helmert(" 1, -2 ,3e0") == Helmert(1, -2, 3)
    assert parse_helmert("1,2,3,4,5,6,7") == Helmert(1, 2, 3, 4, 5, 6, 7)
    assert parse_helmert(str(Helmert(0.1, 0.25, -3, s=1.5))) == Helmert(0.1, 0.25, -3, s=1.5)


@pytest.mark.parametrize("crs", ["EPSG:4807", "EPSG:4978"])
def test_parameters_need_degrees_from_greenwich(crs: str) -> None:
    with pytest.raises(UnknownCRS):
        Helmert(1, 2, 3).mover(CRS.from_user_input(crs))
