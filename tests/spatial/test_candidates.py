"""Systems that would fit coordinates nobody stated one for: found, put in order, never chosen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from spatial.candidates import find_candidates
from spatial.shortlist import told

HANGZHOU = (120.0, 30.1, 120.4, 30.4)
SAN_FRANCISCO = (-122.52, 37.70, -122.35, 37.83)
# Of lake-man-epsg26943-noprj.shp, an extract of addresses.
LAKE_MAN = (1845087.5586664083, 645806.8811265425, 1845310.3140512172, 646212.5047031519)
PLAIN = (512_000.0, 3_344_000.0, 540_000.0, 3_360_000.0)


def projected(code: int, lon: float, lat: float) -> tuple[float, float]:
    """Where a place is in a system, by pyproj alone; x = east."""
    geodetic = Transformer.from_crs(4490, code, always_xy=True)
    return geodetic.transform(lon, lat)


def box_about(x: float, y: float, half: float) -> tuple[float, float, float, float]:
    """Bounds about a point."""
    return x - half, y - half, x + half, y + half


@pytest.mark.parametrize("code", [*range(4513, 4534), *range(4491, 4502)])
def test_a_number_before_the_easting_names_its_zone(code: int) -> None:
    area = CRS.from_epsg(code).area_of_use
    x, y = projected(code, (area.west + area.east) / 2, (area.south + area.north) / 2)
    found = [c.code for c in find_candidates(box_about(x, y, 900))]
    # Zones 13 and 14 of six degrees lie where Web Mercator has the coast of China.
    also = ["EPSG:3857"] if code in (4491, 4492) else []
    assert found == [f"EPSG:{code}", *also]


def test_without_it_every_meridian_is_told_and_where_it_leads() -> None:
    found = find_candidates(PLAIN)
    three = {c.central_meridian: c for c in found if "3-degree" in c.name}
    # At 30 degrees north China reaches from Tibet to the coast.
    assert list(three) == [81.0 + 3 * i for i in range(15)]
    for meridian, c in three.items():
        code = 4534 + round((meridian - 75) / 3)
        assert c.code == f"EPSG:{code}"
        west, south, east, north = c.bounds
        inverse = Transformer.from_crs(code, 4490, always_xy=True)
        corners = inverse.transform(*np.array([(x, y) for x in PLAIN[::2] for y in PLAIN[1::2]]).T)
        assert (west, east) == pytest.approx((corners[0].min(), corners[0].max()), abs=1e-9)
        assert (south, north) == pytest.approx((corners[1].min(), corners[1].max()), abs=1e-9)
    assert {c.name.split(" /")[0] for c in found} == {"CGCS2000", "WGS 84"}


def test_the_layer_says_which_comes_first_and_none_is_hidden() -> None:
    found = find_candidates(PLAIN, near=HANGZHOU)
    assert (found[0].code, found[0].near) == ("EPSG:4549", True)
    near = [c for c in found if c.near]
    # The two local datums look the same, and are told with what they need.
    assert {"EPSG:2385", "EPSG:2437"} <= {c.code for c in near}
    assert all("towgs84" in c.reason for c in near if c.code in ("EPSG:2385", "EPSG:2437"))
    assert near == list(found[: len(near)])
    assert {c.code for c in find_candidates(PLAIN)} <= {c.code for c in found}


def test_a_state_plane_is_found_by_the_layer_only() -> None:
    alone = [(c.code, c.swapped) for c in find_candidates(LAKE_MAN)]
    assert alone == [("EPSG:3857", False), ("EPSG:3857", True)]
    near = find_candidates(LAKE_MAN, near=SAN_FRANCISCO)
    assert "EPSG:26943" in [c.code for c in near]
    # The others are the same zone on other epochs of the datum, a metre or two away.
    assert {c.name.split(" / ")[1] for c in near} == {"California zone 3"}
    inverse = Transformer.from_crs(26943, 4269, always_xy=True)
    corners = np.array([(x, y) for x in LAKE_MAN[::2] for y in LAKE_MAN[1::2]])
    lon, lat = inverse.transform(*corners.T)
    own = next(c for c in near if c.code == "EPSG:26943")
    assert own.bounds == pytest.approx((lon.min(), lat.min(), lon.max(), lat.max()), abs=1e-9)


def test_a_layer_of_the_whole_world_leads_nowhere() -> None:
    found = find_candidates(PLAIN, near=(-180.0, -90.0, 180.0, 90.0))
    # All that were found without it, and what lands anywhere on earth.
    assert {c.code for c in find_candidates(PLAIN)} <= {c.code for c in found}
    assert len(found) < 50


def test_degrees_are_never_taken_silently() -> None:
    found = find_candidates((119.9, 30.0, 120.6, 30.6))
    assert [c.code for c in found] == ["OGC:CRS84", "EPSG:4490", "gcj02", "bd09"]
    assert found[0].bounds == (119.9, 30.0, 120.6, 30.6)
    moved = np.subtract(found[2].bounds, found[0].bounds)
    assert (np.abs(moved) > 0.0005).all()
    assert (np.abs(moved) < 0.01).all()
    assert [c.code for c in find_candidates((-71.2, 42.3, -71.0, 42.4))] == ["OGC:CRS84"]


@pytest.mark.parametrize(
    ("bounds", "code"),
    [
        ((30.0, 119.9, 30.6, 120.6), "OGC:CRS84"),
        ((3_344_000.0, 40_512_000.0, 3_360_000.0, 40_540_000.0), "EPSG:4528"),
        ((3_344_000.0, 20_512_000.0, 3_360_000.0, 20_540_000.0), "EPSG:4498"),
    ],
)
def test_axes_the_wrong_way_round_are_recognised(
    bounds: tuple[float, float, float, float], code: str
) -> None:
    found = find_candidates(bounds)
    assert found[0].code == code
    assert all(c.swapped for c in found)
    assert "--axes north-east" in str(found[0])
    right = find_candidates((bounds[1], bounds[0], bounds[3], bounds[2]))
    assert right[0].bounds == found[0].bounds


def test_web_mercator() -> None:
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(120.0, 30.0)
    (found,) = find_candidates(box_about(x, y, 1000))
    assert found.code == "EPSG:3857"
    assert found.bounds[0] < 120.0 < found.bounds[2]


@pytest.mark.parametrize(
    "bounds",
    [
        (1e12, 3.0, 1e13, 4.0),
        (np.inf, np.inf, -np.inf, -np.inf),
        (np.nan, 0.0, 1.0, 1.0),
        (100.0, 200.0, 300.0, 400.0),
    ],
)
def test_what_fits_nothing(bounds: tuple[float, float, float, float]) -> None:
    assert find_candidates(bounds) == ()
    assert told(()) == []


def test_no_coordinates_fit_nothing() -> None:
    assert find_candidates((120.0, 30.0, 120.0, 30.0), count=0) == ()
    assert find_candidates((120.0, 30.0, 120.0, 30.0), count=1)


def test_text_is_short_and_leaves_no_candidate_uncounted() -> None:
    found = find_candidates(PLAIN)
    lines = told(found)
    assert len(found) > 30
    assert len(lines) == 3
    assert lines[0].startswith("EPSG:4536 to EPSG:4550 (CGCS2000 / 3-degree Gauss-Kruger")
    assert told(found, 1)[-1] == f"and {len(found) - 15} more"


@given(
    x=st.floats(-3e7, 6e7, allow_nan=False),
    y=st.floats(-3e7, 6e7, allow_nan=False),
    half=st.floats(0, 1e6),
)
def test_any_bounds_have_an_answer_and_always_the_same(x: float, y: float, half: float) -> None:
    bounds = box_about(x, y, half)
    found = find_candidates(bounds)
    assert found == find_candidates(bounds)
    assert len({(c.code, c.swapped) for c in found}) == len(found)
    for c in found:
        west, south, east, north = c.bounds
        assert -180 <= west <= east <= 180
        assert -90 <= south <= north <= 90
        assert c.document()["crs"] == c.code
