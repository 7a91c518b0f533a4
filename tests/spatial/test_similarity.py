"""Four parameters of a plane: as EPSG has them, and as they are written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from spatial.errors import BadParameters
from spatial.similarity import Similarity, parse_similarity

# EPSG::1452, ::1453 and ::1636, D48 / GK to D96 / TM in Slovenia: parameters of the data set.
SLOVENIA = {
    1452: "-378.752,493.395,0.000984675,1.0000126775",
    1453: "-380.322,494.216,0.0012011048,1.000015768",
    1636: "-383.677,493.408,0.0011916674,1.000023822",
}
METRES = st.floats(-1e6, 1e6, allow_nan=False)


@pytest.mark.parametrize("code", SLOVENIA)
def test_it_is_what_proj_does_by_the_data_set(code: int) -> None:
    # D48 / GK has north before east, and so has D96 / TM: EPSG's first ordinate is the east here.
    places = np.array([(460_000.0, 100_000.0), (400_000.5, 60_000.25), (600_000.0, 180_000.0)])
    operation = Transformer.from_pipeline(f"EPSG:{code}")
    true = np.column_stack(operation.transform(*places.T))
    moved = np.column_stack(parse_similarity(SLOVENIA[code]).move(*places.T))
    assert np.abs(moved - true).max() < 1e-3
    assert np.abs(moved - places).min() > 100


@given(x=METRES, y=METRES, angle=st.floats(-360, 360), scale=st.floats(0.5, 2))
def test_shapes_stay_similar(x: float, y: float, angle: float, scale: float) -> None:
    corners = np.array([(x, y), (x + 3, y), (x, y + 4)])
    moved = np.column_stack(Similarity(7, -9, angle, scale).move(*corners.T))
    sides = np.linalg.norm(moved - np.roll(moved, 1, axis=0), axis=1)
    assert np.sort(sides) == pytest.approx(scale * np.array([3, 4, 5]), abs=1e-6)
    (ax, ay), (bx, by) = moved[1] - moved[0], moved[2] - moved[0]
    assert ax * by - ay * bx > 0, "never mirrored"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        *((text, "write dx,dy") for text in ("", "1,2,3", "1,2,3,4,5", "a,b,c,d", "nan,0,0,1")),
        ("1,2,3600,1", "degrees"),
        *((f"1,2,3,{scale}", "factor") for scale in (0, -15.8, 12.7, 0.0001)),
    ],
)
def test_what_is_no_similarity(text: str, word: str) -> None:
    with pytest.raises(BadParameters, match=word):
        parse_similarity(text)
