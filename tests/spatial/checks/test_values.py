"""Values out of range, and areas that are not those drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import shapely
from city.parcels import parcels
from pyproj import Geod

from spatial.checks.values import areas_off, out_of_range
from spatial.errors import BadValues


def test_values_at_the_limits_are_no_faults() -> None:
    values = [None, np.nan, 0, 0.0500001, 75, 75.1, -np.inf, np.inf]
    places = shapely.points(np.arange(16.0).reshape(8, 2))
    found = out_of_range(values, least=0, most=75, unit="m", places=places)
    assert found.rows.tolist() == [5, 6, 7]
    assert found.measured.tolist() == [75.1, -np.inf, np.inf]
    assert found.places[0] == places[5]
    assert found.unit == "m"
    assert out_of_range(values, least=0).rows.tolist() == [6]
    with pytest.raises(BadValues, match="at least 2 and at most 1"):
        out_of_range([1], least=2, most=1)


@pytest.mark.parametrize("crs", ["EPSG:4490", "EPSG:4547"])
def test_stated_areas_of_a_city_are_those_drawn_but_where_planted(crs: str) -> None:
    city = pd.concat(list(parcels(4, 3000, crs)), ignore_index=True)
    stated = city["area_m2"].to_numpy().copy()
    shapes = city.geometry.to_numpy()
    # Stated in the plane of EPSG:4547, which stretches by what lies within its zone.
    assert [len(f) for f in areas_off(stated, shapes, crs, share=0.01)] == [0, 0]
    stated[7] *= 1.1
    stated[8] = np.nan
    stated[9] /= 666.67  # in mu
    as_share, in_m2 = areas_off(stated, shapes, crs, share=0.01)
    assert as_share.rows.tolist() == in_m2.rows.tolist() == [7, 9]
    assert as_share.measured == pytest.approx([0.1, 1 / 666.67 - 1], abs=2e-3)
    drawn = shapes[7].area
    if crs == "EPSG:4490":
        drawn = abs(Geod(ellps="GRS80").geometry_area_perimeter(shapes[7])[0])
    assert in_m2.measured[0] == pytest.approx(stated[7] - drawn, rel=1e-5)


def test_what_has_no_area_and_what_is_no_more_than_rounding() -> None:
    shapes = [shapely.box(0, 0, 1, 1), None, shapely.Polygon(), shapely.Polygon()]
    as_share, in_m2 = areas_off([1.4, 5, 5, 0], shapes, "EPSG:4549", share=0.1, m2=0.5)
    assert as_share.rows.tolist() == [2]
    assert as_share.measured.tolist() == [np.inf]
    assert in_m2.measured.tolist() == [5]
    with pytest.raises(BadValues, match="share = -1"):
        areas_off([1], shapes[:1], 4549, share=-1)
