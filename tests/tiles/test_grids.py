"""The grids of tiles, against the registered definitions and the published tables of 天地图."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from tiles.errors import TileOutside, UnknownMatrixSet
from tiles.grids import OFFERED, grid, matrix_set, place, to_grid

# The tables that 天地图 publishes for its services, in its own capabilities (img_c, img_w and
# others): the denominator of each level's scale, of a screen of 96 dots an inch.
PUBLISHED_SCALES = {
    1: 2.958293554545656e8,
    2: 1.479146777272828e8,
    3: 7.39573388636414e7,
    4: 3.69786694318207e7,
    5: 1.848933471591035e7,
    6: 9244667.357955175,
    7: 4622333.678977588,
    8: 2311166.839488794,
    9: 1155583.419744397,
    10: 577791.7098721985,
    11: 288895.85493609926,
    12: 144447.92746804963,
    13: 72223.96373402482,
    14: 36111.98186701241,
    15: 18055.990933506204,
    16: 9027.995466753102,
    17: 4513.997733376551,
    18: 2256.998866688275,
}
# What a pixel of a level is, as tables of it for clients have it.
PUBLISHED_DEGREES = {
    1: 0.703125, 2: 0.3515625, 3: 0.17578125, 4: 0.087890625, 5: 0.0439453125,
    6: 0.02197265625, 7: 0.010986328125, 8: 0.0054931640625, 9: 0.00274658203125,
    10: 0.001373291015625, 11: 0.0006866455078125, 12: 0.00034332275390625,
    13: 0.000171661376953125, 14: 8.58306884765625e-05, 15: 4.291534423828125e-05,
    16: 2.1457672119140625e-05, 17: 1.0728836059570312e-05, 18: 5.364418029785156e-06,
}  # fmt: skip
PUBLISHED_METRES = {
    1: 78271.51696402048, 2: 39135.75848201024, 3: 19567.87924100512, 4: 9783.93962050256,
    5: 4891.96981025128, 6: 2445.98490512564, 7: 1222.99245256282, 8: 611.49622628141,
    9: 305.748113140705, 10: 152.8740565703525, 11: 76.43702828517625, 12: 38.21851414258813,
    13: 19.109257071294063, 14: 9.554628535647032, 15: 4.777314267823516,
    16: 2.388657133911758, 17: 1.194328566955879, 18: 0.5971642834779395,
}  # fmt: skip
# Of its capabilities as well; of the sphere it writes them the other way round, and with both signs
# wrong for that.
CORNER_DEGREES = (90.0, -180.0)
CORNER_METRES = 20037508.3427892
INCH_M, PIXEL_M = 0.0254, 0.00028


@pytest.mark.parametrize(
    ("name", "published"), [("Tianditu_c", PUBLISHED_DEGREES), ("Tianditu_w", PUBLISHED_METRES)]
)
def test_tianditu_has_its_published_levels(name: str, published: dict[int, float]) -> None:
    matrices = matrix_set(name).tileMatrices
    assert [m.id for m in matrices] == [str(level) for level in published]
    for matrix in matrices:
        level = int(matrix.id)
        assert matrix.cellSize == pytest.approx(published[level], rel=1e-12)
        # The OGC's denominators are of pixels of 0.28 mm, whatever the screen.
        published_scale = matrix.scaleDenominator * PIXEL_M / (INCH_M / 96)
        assert published_scale == pytest.approx(PUBLISHED_SCALES[level], rel=1e-9)
        assert (matrix.tileWidth, matrix.tileHeight) == (256, 256)
        assert matrix.matrixWidth == 2**level
        assert matrix.matrixHeight == 2 ** (level - 1 if name == "Tianditu_c" else level)


def test_tianditu_begins_in_its_published_corner() -> None:
    for matrix in matrix_set("Tianditu_c").tileMatrices:
        assert matrix.pointOfOrigin == CORNER_DEGREES
    for matrix in matrix_set("Tianditu_w").tileMatrices:
        corner = (-CORNER_METRES, CORNER_METRES)
        assert matrix.pointOfOrigin == pytest.approx(corner, abs=1e-7)


def test_a_known_tile_of_tianditu() -> None:
    """天安门, 116.3913 E 39.9075 N, by the arithmetic of 天地图's own addresses."""
    level, lon, lat = 15, 116.3913, 39.9075
    tile = PUBLISHED_DEGREES[level] * 256
    column, row = int((lon + 180) / tile), int((90 - lat) / tile)
    west, south, east, north = place("Tianditu_c", level, row, column).bounds
    assert west <= lon < east
    assert south < lat <= north
    assert (east - west, north - south) == pytest.approx((tile, tile))


def test_cgcs2000_is_the_quad_of_the_world_over_another_system() -> None:
    ours, registered = matrix_set("CGCS2000Quad"), matrix_set("WorldCRS84Quad")
    assert CRS.from_wkt(ours.crs.to_wkt()) == CRS.from_epsg(4490)
    assert ours.orderedAxes == ["Lat", "Lon"]
    for own, other in zip(ours.tileMatrices, registered.tileMatrices, strict=True):
        assert (own.id, own.matrixWidth, own.matrixHeight) == (
            other.id, other.matrixWidth, other.matrixHeight,
        )  # fmt: skip
        assert own.cellSize == pytest.approx(other.cellSize, rel=1e-12)
        assert own.scaleDenominator == pytest.approx(other.scaleDenominator, rel=1e-11)
        assert own.pointOfOrigin == (90, -180)
        assert other.pointOfOrigin == (-180, 90)


@pytest.mark.parametrize("name", OFFERED)
def test_tiles_lie_where_the_definition_says(name: str) -> None:
    """The definition as a client reads it: origin and cells, in the order of the axes."""
    tiling = matrix_set(name)
    north_first = CRS.from_wkt(tiling.crs.to_wkt()).axis_info[0].direction == "north"
    numbers = grid(name)
    for zoom in range(numbers.first, numbers.last + 1):
        matrix = tiling.matrix(zoom)
        x, y = matrix.pointOfOrigin[::-1] if north_first else matrix.pointOfOrigin
        side = matrix.cellSize * matrix.tileWidth
        for row, column in ((0, 0), (matrix.matrixHeight - 1, matrix.matrixWidth - 1)):
            found = place(name, zoom, row, column)
            expected = (
                x + column * side, y - (row + 1) * side, x + (column + 1) * side, y - row * side,
            )  # fmt: skip
            assert found.bounds == pytest.approx(expected, rel=1e-9, abs=1e-6)
            assert found.unit == pytest.approx(side / 4096)


@pytest.mark.parametrize("name", OFFERED)
@given(data=st.data())
def test_neighbours_share_edges_and_children_fill_their_parent(name: str, data: Any) -> None:
    numbers = grid(name)
    zoom = data.draw(st.integers(numbers.first, numbers.last - 1))
    rows, columns = numbers.size(zoom)
    row, column = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    west, south, east, north = place(name, zoom, row, column).bounds
    # To the last bit: what is drawn in two tiles must meet itself.
    first = place(name, zoom + 1, 2 * row, 2 * column).bounds
    last = place(name, zoom + 1, 2 * row + 1, 2 * column + 1).bounds
    assert (first[0], first[3], last[2], last[1]) == (west, north, east, south)
    if column + 1 < columns:
        assert place(name, zoom, row, column + 1).bounds[0] == east


@pytest.mark.parametrize("name", OFFERED)
def test_a_scale_is_the_zoom_of_web_mercator_that_is_as_large(name: str) -> None:
    numbers = grid(name)
    for zoom in range(numbers.first, numbers.last + 1):
        found = place(name, zoom, 0, 0)
        degrees = CRS.from_user_input(found.crs).is_geographic
        metres = (found.bounds[2] - found.bounds[0]) * (math.pi * 6378137 / 180 if degrees else 1.0)
        assert found.scale == pytest.approx(math.log2(2 * math.pi * 6378137 / metres), abs=1e-6)
    assert place("WebMercatorQuad", 13, 0, 0).scale == 13
    assert place("WorldCRS84Quad", 13, 0, 0).scale == 14
    assert place("Tianditu_c", 13, 0, 0).scale == place("Tianditu_w", 13, 0, 0).scale == 13


@given(
    name=st.sampled_from(OFFERED),
    lon=st.floats(-179.999, 179.999),
    lat=st.floats(-85, 85),
    depth=st.integers(0, 17),
)
def test_a_point_lies_in_the_tile_that_covers_it(
    name: str, lon: float, lat: float, depth: int
) -> None:
    numbers = grid(name)
    zoom = numbers.first + depth
    x, y, _, _ = box = to_grid(name, (lon, lat, lon, lat))
    top, bottom, left, right = numbers.covering(zoom, box)
    assert (top, left) == (bottom, right)
    found = place(name, zoom, top, left)
    west, south, east, north = found.bounds
    # What lies this near an edge lies on it.
    slack = found.unit * 1e-6
    assert west - slack <= x <= east + slack
    assert south - slack <= y <= north + slack


def test_a_box_across_180_degrees_covers_every_column() -> None:
    box = to_grid("CGCS2000Quad", (170.0, 10.0, -170.0, 20.0))
    assert grid("CGCS2000Quad").covering(2, box) == (1, 1, 0, 7)


@pytest.mark.parametrize(
    ("name", "zoom", "row", "column"),
    [
        ("WorldCRS84Quad", 0, 1, 0),
        ("WorldCRS84Quad", 0, 0, 2),
        ("WorldCRS84Quad", 22, 0, 0),
        ("CGCS2000Quad", 3, 8, 0),
        ("Tianditu_c", 0, 0, 0),
        ("Tianditu_c", 1, 1, 0),
        ("Tianditu_c", 19, 0, 0),
        ("Tianditu_w", 0, 0, 0),
        ("Tianditu_w", 19, 0, 0),
        ("Tianditu_w", 1, 0, -1),
    ],
)
def test_what_a_matrix_does_not_have(name: str, zoom: int, row: int, column: int) -> None:
    with pytest.raises(TileOutside, match=r"zoom|row"):
        place(name, zoom, row, column)


def test_a_set_that_is_not_offered() -> None:
    for ask in (matrix_set, grid):
        with pytest.raises(UnknownMatrixSet, match="Tianditu_c"):
            ask("tianditu_c")
