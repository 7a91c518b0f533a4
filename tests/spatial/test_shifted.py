"""GCJ-02 and BD-09: points that others have computed, the way back, and what is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from spatial.shifted import CHINA, MIDDLE_OFF_M, Shift, parse_shift, shift, unshift

WGS84 = Geod(ellps="WGS84")
# Shanghai, Shenzhen and Beijing as the tests of googollee/eviltransform have them, and a point of
# those of wandergis/coordtransform: WGS 84 and GCJ-02, longitude and latitude.
GCJ02_POINTS = [
    (121.5272106, 31.1774276, 121.531541859215, 31.17530398364597),
    (113.912316, 22.543847, 113.9171764808363, 22.540796131694766),
    (116.377817, 39.911954, 116.38404722455657, 39.91334545536069),
    (116.404, 39.915, 116.41024449916938, 39.91640428150164),
]
# GCJ-02 and BD-09 of five cities, seven decimals, as test/fixtures/china-cities.json of
# hujiulong/gcoord has them, and the point of wandergis/coordtransform.
BD09_POINTS = [
    (116.404, 39.915, 116.41036949371029, 39.92133699351021),
    (114.022306, 33.0115324, 114.0287781, 33.0176697),
    (123.4314787, 41.8057023, 123.438095, 41.8114013),
    (98.4943595, 39.7328234, 98.5008441, 39.7388949),
    (92.0512438, 31.4762063, 92.0576832, 31.4824421),
    (116.6819735, 23.3540964, 116.6885014, 23.3598884),
]
DEGREES = {"allow_nan": False, "allow_infinity": False}
LON = st.floats(CHINA[0] + 0.1, CHINA[2] - 0.1, **DEGREES)
LAT = st.floats(CHINA[1] + 0.1, CHINA[3] - 0.1, **DEGREES)


def metres(lon: object, lat: object, other_lon: object, other_lat: object) -> np.ndarray:
    """The distances of points in longitude and latitude."""
    pairs = [np.atleast_1d(np.asarray(v, float)) for v in (lon, lat, other_lon, other_lat)]
    return np.asarray(WGS84.inv(*pairs)[2])


@pytest.mark.parametrize(("lon", "lat", "gcj_lon", "gcj_lat"), GCJ02_POINTS)
def test_agrees_with_what_others_have_computed(
    lon: float, lat: float, gcj_lon: float, gcj_lat: float
) -> None:
    assert metres(*shift(lon, lat, Shift.GCJ02), gcj_lon, gcj_lat) < 1e-6
    assert metres(*unshift(gcj_lon, gcj_lat, Shift.GCJ02), lon, lat) < 1e-6


@pytest.mark.parametrize(("lon", "lat", "bd_lon", "bd_lat"), BD09_POINTS)
def test_bd09_lies_where_others_have_it(
    lon: float, lat: float, bd_lon: float, bd_lat: float
) -> None:
    true = unshift(lon, lat, Shift.GCJ02)
    # Half of the seventh decimal is 6 mm, on either side.
    assert metres(*shift(*true, Shift.BD09), bd_lon, bd_lat) < 0.012
    assert metres(*unshift(bd_lon, bd_lat, Shift.BD09), *true) < 0.012


@pytest.mark.parametrize("kind", Shift)
@given(lon=LON, lat=LAT)
def test_the_way_back_is_exact(kind: Shift, lon: float, lat: float) -> None:
    assert metres(*unshift(*shift(lon, lat, kind), kind), lon, lat) < 1e-4
    assert metres(*shift(*unshift(lon, lat, kind), kind), lon, lat) < 1e-4


@pytest.mark.parametrize(("kind", "most"), [(Shift.GCJ02, 800), (Shift.BD09, 1600)])
def test_a_shift_is_some_hundred_metres(kind: Shift, most: int) -> None:
    lon, lat = (v.ravel() for v in np.meshgrid(np.arange(74, 135, 0.37), np.arange(18, 53, 0.37)))
    moved = metres(*shift(lon, lat, kind), lon, lat)
    assert moved.min() > 10
    assert 300 < np.median(moved) < moved.max() < most


@pytest.mark.parametrize("kind", Shift)
def test_how_far_off_the_middle_of_an_edge_is(kind: Shift) -> None:
    rng = np.random.default_rng(8)
    lon, lat = rng.uniform(74, 134.9, 100_000), rng.uniform(18, 53.5, 100_000)
    to_lon, to_lat, _ = WGS84.fwd(lon, lat, rng.uniform(0, 360, 100_000), np.full(100_000, 1000.0))
    ends = np.array(unshift(lon, lat, kind)), np.array(unshift(to_lon, to_lat, kind))
    middle = unshift((lon + to_lon) / 2, (lat + to_lat) / 2, kind)
    off = metres(*(ends[0] + ends[1]) / 2, *middle)
    assert MIDDLE_OFF_M[kind] / 2 < off.max() < MIDDLE_OFF_M[kind]


@pytest.mark.parametrize("kind", Shift)
@pytest.mark.parametrize(
    ("lon", "lat"),
    [(-71.1, 42.37), (2.35, 48.85), (139.7, 35.7), (72.0, 30.0), (120.0, 0.8), (120.0, 56.0)],
)
def test_outside_of_china_nothing_moves(kind: Shift, lon: float, lat: float) -> None:
    for moved in (shift(lon, lat, kind), unshift(lon, lat, kind)):
        assert (moved[0][0], moved[1][0]) == (lon, lat)


def test_many_at_once_are_as_each_alone() -> None:
    rng = np.random.default_rng(8)
    lon, lat = rng.uniform(60, 150, 1000), rng.uniform(-10, 60, 1000)
    lon[7], lat[8], lon[9] = np.nan, np.inf, -np.inf
    for kind in Shift:
        whole = np.column_stack(unshift(lon, lat, kind))
        alone = [np.column_stack(unshift(x, y, kind))[0] for x, y in zip(lon, lat, strict=True)]
        np.testing.assert_allclose(whole, np.array(alone), rtol=0, atol=1e-11)
        assert np.isnan(whole[7, 0])
        assert np.isinf(whole[8:10]).any(axis=1).all()


def test_names() -> None:
    assert [parse_shift(n) for n in ("gcj02", " GCJ-02", "bd-09", "wgs84", "")] == [
        *(Shift.GCJ02, Shift.GCJ02, Shift.BD09),
        *(None, None),
    ]
