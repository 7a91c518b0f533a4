"""Kernels that draw: against PROJ, GEOS and a reader of geometry commands written by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import Transformer

from spatial.drawing.encoding import LINE, POLYGON, encode
from spatial.drawing.lattices import column_of, of_degrees, of_mercator, row_of
from spatial.drawing.lines import draw_lines
from spatial.drawing.mending import mend, shapes_of
from spatial.drawing.polygons import draw_polygons
from spatial.drawing.shapes import Drawn
from spatial.drawing.sphere import RADIUS_M

# One degree is a hundred units, from the corner at 0, 40 downward.
LATTICE = of_degrees(0.0, 40.0, 0.01)
BOUNDS = (-64.0, 4160.0)


def binary(shapes: list[Any], **more: Any) -> Any:
    told = b"".join(shapely.to_wkb(s, byte_order=1, flavor="iso", **more) for s in shapes)
    return np.frombuffer(told, np.uint8)


def polygons(shapes: list[Any], **more: Any) -> Drawn:
    return mend(draw_polygons(binary(shapes, **more), len(shapes), LATTICE, *BOUNDS))


def on_lattice(shape: Any) -> Any:
    """The same shape in units, not rounded."""
    return shapely.transform(shape, lambda xy: np.column_stack([xy[:, 0], 40.0 - xy[:, 1]]) * 100)


@pytest.mark.parametrize("zoom", [0, 3, 6, 7, 9, 12])
@pytest.mark.parametrize("latitude", [0.0, 30.6, -67.0, 84.5])
def test_latitudes_go_where_proj_sends_them(zoom: int, latitude: float) -> None:
    half = math.pi * RADIUS_M
    side = 2 * half / 2**zoom
    move = Transformer.from_crs(4326, 3857, always_xy=True)
    _, y = move.transform(0.0, latitude)
    north = half - math.floor((half - y) / side) * side
    lattice = of_mercator(-half, north - side, north, side / 4096)
    for step in np.linspace(-1.5, 1.5, 31):
        there = max(-85.0, min(85.0, latitude + step * 180 / 2**zoom))
        x, y = move.transform(114.3, there)
        assert abs(row_of(lattice, there) - (north - y) / side * 4096) < 1e-3
        assert abs(column_of(lattice, 114.3) - (x + half) / side * 4096) < 1e-3


def test_holes_parts_and_heights() -> None:
    ring = [(1, 1), (9, 1), (9, 9), (1, 9)]
    holed = shapely.Polygon(ring, [[(2, 2), (2, 4), (4, 4), (4, 2)]])
    two = shapely.MultiPolygon([holed, shapely.box(20, 20, 21, 22)])
    high = shapely.Polygon([(x, y, 7.0) for x, y in ring])
    drawn = polygons([holed, two, high])
    made = shapes_of(drawn, np.arange(3))
    for found, shape in zip(made, (holed, two, shapely.force_2d(high)), strict=True):
        assert found.equals(on_lattice(shape))
    assert drawn.outer.tolist() == [True, False, True, False, True, True]


@pytest.mark.parametrize(
    "shape",
    [
        shapely.box(1, 1, 1.0001, 5),  # no width
        shapely.box(1.001, 1.001, 1.004, 1.004),  # within one place
        shapely.box(50, 1, 60, 9),  # beside the tile
    ],
)
def test_what_has_no_area_there_is_nothing(shape: Any) -> None:
    drawn = polygons([shape, shapely.box(1, 1, 2, 2)])
    assert (drawn.end - drawn.first).tolist() == [0, 1]
    assert len(encode(drawn, POLYGON, np.full((2, 0), -1, np.int32))) > 0


def test_random_polygons_stay_valid_and_where_they_were() -> None:
    dice = np.random.default_rng(1)
    shapes = []
    for _ in range(600):
        size = dice.choice([0.03, 0.1, 0.5, 30.0])
        points = dice.random(2) * 40 + dice.normal(0, size, (int(dice.integers(4, 12)), 2))
        angle = np.arctan2(*(points - points.mean(axis=0)).T)
        shapes.append(shapely.Polygon(points[np.argsort(angle)]))
    drawn = polygons(shapes)
    made = shapes_of(drawn, np.arange(len(shapes)))
    assert shapely.is_valid(made).all()
    assert (drawn.xy == np.rint(drawn.xy)).all()
    assert drawn.xy.min() >= BOUNDS[0]
    assert drawn.xy.max() <= BOUNDS[1]
    box = shapely.box(BOUNDS[0], BOUNDS[0], BOUNDS[1], BOUNDS[1])
    for found, shape in zip(made, shapes, strict=True):
        exact = on_lattice(shape)
        reach = 0.72 if box.contains(exact) else 1.5
        exact = exact.intersection(box)
        assert found.difference(exact.buffer(reach)).area < 0.1
        assert exact.difference(found.buffer(reach)).area < 2.0


def test_rings_turn_as_the_format_wants_and_commands_say_the_same() -> None:
    dice = np.random.default_rng(4)
    shapes = [
        shapely.Point(*(dice.random(2) * 30 + 5)).buffer(size).difference(
            shapely.Point(20, 20).buffer(0.5)
        )
        for size in (0.5, 1.0, 3.0, 12.0)
    ]  # fmt: skip
    drawn = polygons(shapes)
    body = encode(drawn, POLYGON, np.full((len(shapes), 0), -1, np.int32)).tobytes()
    rings = [ring for feature in features_of(body) for ring in rings_of(feature)]
    assert len(rings) == len(drawn.outer)
    for ring, outer, start, end in zip(
        rings, drawn.outer, drawn.starts[:-1], drawn.starts[1:], strict=True
    ):
        assert ring == [tuple(xy) for xy in drawn.xy[start:end]]
        x, y = np.array(ring).T
        area = float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
        assert (area > 0) == outer


def test_lines_are_cut_into_pieces_at_the_margin() -> None:
    line = shapely.LineString([(10, 10), (20, 10), (30, 10), (60, 10), (60, 12), (30, 12)])
    many = shapely.MultiLineString([line, [(1, 1), (1, 1.001)], [(5, 5), (6, 6), (5, 5)]])
    drawn = draw_lines(binary([line, many]), 2, LATTICE, *BOUNDS)
    parts = [
        drawn.xy[a:b].tolist() for a, b in zip(drawn.starts[:-1], drawn.starts[1:], strict=True)
    ]
    pieces = [[[1000, 3000], [4160, 3000]], [[4160, 2800], [3000, 2800]]]
    back = [[500, 3500], [600, 3400], [500, 3500]]
    assert parts == [*pieces, *pieces, back]
    assert drawn.end.tolist() == [2, 5]
    assert len(encode(drawn, LINE, np.full((2, 0), -1, np.int32))) > 0


def test_other_geometries_are_refused() -> None:
    with pytest.raises(ValueError, match="polygons"):
        draw_polygons(binary([shapely.Point(1, 1)]), 1, LATTICE, *BOUNDS)
    with pytest.raises(ValueError, match="lines"):
        draw_lines(binary([shapely.box(1, 1, 2, 2)]), 1, LATTICE, *BOUNDS)


def features_of(body: bytes) -> list[bytes]:
    """Each feature's geometry, read by hand."""
    found, place = [], 0
    while place < len(body):
        assert body[place] == 18
        size, place = varint(body, place + 1)
        feature, place = body[place : place + size], place + size
        assert feature[:3] == bytes([24, POLYGON, 34])
        length, start = varint(feature, 3)
        assert len(feature) == start + length
        found.append(feature[start:])
    return found


def rings_of(geometry: bytes) -> list[list[tuple[float, float]]]:
    numbers, place = [], 0
    while place < len(geometry):
        number, place = varint(geometry, place)
        numbers.append(number)
    rings: list[list[tuple[float, float]]] = []
    x, y, place = 0, 0, 0
    while place < len(numbers):
        command, count = numbers[place] & 7, numbers[place] >> 3
        place += 1
        if command == 1:
            rings.append([])
        for _ in range(0 if command == 7 else count):
            dx, dy = ((n >> 1) ^ -(n & 1) for n in numbers[place : place + 2])
            x, y, place = x + dx, y + dy, place + 2
            rings[-1].append((float(x), float(y)))
    return rings


def varint(body: bytes, place: int) -> tuple[int, int]:
    number, shift = 0, 0
    while True:
        number |= (body[place] & 127) << shift
        shift += 7
        place += 1
        if body[place - 1] < 128:
            return number, place
