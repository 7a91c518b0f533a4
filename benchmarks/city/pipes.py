"""Two pipe networks under the streets: water, meshed, and storm drains, a tree that runs downhill.

A main of water lies beside the middle of every street, with valves and hydrants, fed by one works.
The drains of the streets that run east and west fall to those that run south, these to the trunk
along the south, and the trunk to the outfall in the south-west.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from city.layout import (
    BLOCK_HEIGHT_M,
    BLOCK_WIDTH_M,
    City,
    Integers,
    Numbers,
    bent,
    cell_of_blocks,
    projected,
)
from city.noise import chosen, uniform, whole

CLASSES = ("JS", "PS")
_PARTS = (3, 2)  # stretches of a street eastward, northward: none longer than 75 m
_ASIDE_M = {"JS": -1.5, "PS": 1.5}
_DRAIN_DEPTH_M = 2.0
_WIDE = 1 << 20  # more columns than any city has

Flags = NDArray[np.bool_]


def pipe_nodes(seed: int, n: int, crs: str = "EPSG:4490") -> Iterator[gpd.GeoDataFrame]:
    """Yield the survey points of both networks, a district at a time."""
    city = City(seed, n)
    for pipe_class in CLASSES:
        for blocks in city.chunks():
            yield _node_frame(city, pipe_class, _nodes(city, pipe_class, blocks), crs)


def pipe_segments(seed: int, n: int, crs: str = "EPSG:4490") -> Iterator[gpd.GeoDataFrame]:
    """Yield the stretches between survey points of both networks, a district at a time."""
    city = City(seed, n)
    for pipe_class in CLASSES:
        for blocks in city.chunks():
            yield _segment_frame(city, pipe_class, blocks, crs)


@dataclass(frozen=True)
class _Nodes:
    """Points of a network: a crossing, or the place on the street that begins there, from 1."""

    column: Integers
    row: Integers
    upright: Integers
    place: Integers

    def numbers(self, pipe_class: str) -> list[str]:
        """Their survey numbers."""
        number = ((self.row * _WIDE + self.column) * 2 + self.upright) * 4 + self.place
        return [f"{pipe_class}{i:011}" for i in number.tolist()]

    def ids(self) -> tuple[Integers, ...]:
        """What noise is drawn by."""
        return self.column, self.row, self.upright, self.place


def _edges(city: City, blocks: Integers) -> tuple[Integers, Integers, Integers]:
    """Crossing and direction of the streets that these blocks own, so that each has one owner."""
    column, row = cell_of_blocks(blocks)
    nothing = np.zeros_like(column)
    north, east = ~city.has_cell(column, row + 1), ~city.has_cell(column + 1, row)
    columns = [column, column, column[north], column[east] + 1]
    rows = [row, row, row[north] + 1, row[east]]
    upright = [nothing, nothing + 1, nothing[north], nothing[east] + 1]
    return np.concatenate(columns), np.concatenate(rows), np.concatenate(upright)


def _has_edge(city: City, column: Integers, row: Integers, upright: Any) -> Flags:
    beside = np.where(upright, city.has_cell(column - 1, row), city.has_cell(column, row - 1))
    return city.has_cell(column, row) | beside


def _corners(city: City, blocks: Integers) -> tuple[Integers, Integers]:
    """The crossings that these blocks own: each goes to the first block around it that is there."""
    column, row = cell_of_blocks(blocks)
    found: list[tuple[Integers, Integers]] = []
    around = ((0, 0), (1, 0), (0, 1), (1, 1))
    for i, (right, up) in enumerate(around):
        owned = np.ones(len(column), bool)
        for other_right, other_up in around[:i]:
            owned &= ~city.has_cell(column + right - other_right, row + up - other_up)
        found.append((column[owned] + right, row[owned] + up))
    return np.concatenate([c for c, _ in found]), np.concatenate([r for _, r in found])


def _nodes(city: City, pipe_class: str, blocks: Integers) -> _Nodes:
    column, row = _corners(city, blocks)
    zero = np.zeros_like(column)
    parts = [_Nodes(column, row, zero, zero)]
    for upright, stretches in enumerate(_PARTS):
        edges = _edges(city, blocks)
        chosen_edges = edges[2] == upright
        for place in range(1, stretches):
            at = [i[chosen_edges] for i in edges]
            parts.append(_Nodes(at[0], at[1], at[2], np.full_like(at[0], place)))
    return _joined(parts)


def _segments(city: City, pipe_class: str, blocks: Integers) -> tuple[_Nodes, _Nodes]:
    """Both ends of the stretches, drains from the upper to the lower."""
    column, row, upright = _edges(city, blocks)
    lower: list[_Nodes] = []
    upper: list[_Nodes] = []
    for direction, stretches in enumerate(_PARTS):
        for place in range(stretches):
            here = upright == direction
            if pipe_class == "PS" and direction == 0 and place == stretches - 1:
                # A drain of the street begins within it; the trunk goes through.
                here &= row == 0
            c, r = column[here], row[here]
            lower.append(_place(c, r, direction, place))
            last = place == stretches - 1
            ahead = (c + (1 - direction), r + direction) if last else (c, r)
            upper.append(_place(*ahead, direction, 0 if last else place + 1))
    return _joined(upper), _joined(lower)


def _place(column: Integers, row: Integers, upright: int, place: int) -> _Nodes:
    # A crossing belongs to no direction.
    direction = np.full_like(column, upright if place else 0)
    return _Nodes(column, row, direction, np.full_like(column, place))


def _joined(parts: list[_Nodes]) -> _Nodes:
    return _Nodes(
        *(np.concatenate(arrays) for arrays in zip(*(p.ids() for p in parts), strict=True))
    )


def _lattice(pipe_class: str, nodes: _Nodes) -> tuple[Numbers, Numbers]:
    """Metres before the city is bent."""
    aside = _ASIDE_M[pipe_class]
    x = nodes.column + np.where(nodes.upright == 0, nodes.place / _PARTS[0], 0.0)
    y = nodes.row + np.where(nodes.upright == 1, nodes.place / _PARTS[1], 0.0)
    return x * BLOCK_WIDTH_M + aside, y * BLOCK_HEIGHT_M + aside


def _heights(seed: int, pipe_class: str, nodes: _Nodes) -> tuple[Numbers, Numbers]:
    """Ground and depth at nodes, to the millimetre.

    The ground rises to the north and the east everywhere, so that drains of one depth fall.
    """
    x, y = _lattice(pipe_class, nodes)
    ground = 20 + 0.0010 * x + 0.0012 * y + 0.15 * np.sin(x / 400) + 0.15 * np.sin(y / 350)
    depth = np.full_like(ground, _DRAIN_DEPTH_M)
    if pipe_class == "JS":
        depth = 1.2 + 0.3 * uniform(seed, "depth", *nodes.ids())
    return np.round(ground, 3), np.round(depth, 3)


def _degrees(city: City, pipe_class: str, nodes: _Nodes) -> Integers:
    """How many stretches meet at each node."""
    c, r = nodes.column, nodes.row
    east, north = _has_edge(city, c, r, False), _has_edge(city, c, r, True)
    west, south = _has_edge(city, c - 1, r, False), _has_edge(city, c, r - 1, True)
    if pipe_class == "PS":
        west &= r == 0
    crossing = east.astype(int) + north + west + south
    head = (pipe_class == "PS") & (nodes.upright == 0) & (nodes.place == _PARTS[0] - 1) & (r > 0)
    return np.where(nodes.place == 0, crossing, np.where(head, 1, 2))


def _node_frame(city: City, pipe_class: str, nodes: _Nodes, crs: str) -> gpd.GeoDataFrame:
    ground, depth = _heights(city.seed, pipe_class, nodes)
    degree = _degrees(city, pipe_class, nodes)
    origin = (nodes.column == 0) & (nodes.row == 0) & (nodes.place == 0)
    names = np.array(["straight", "end", "straight", "tee", "cross"], dtype=object)
    draw = uniform(city.seed, "appurtenance", *nodes.ids())
    within = nodes.place > 0
    if pipe_class == "JS":
        feature = np.where(origin, "source", names[degree])
        thing = np.select(
            [origin, within & (draw < 0.5), within & (draw < 0.7)],
            ["water_works", "valve", "hydrant"],
            default="",
        )
        states = chosen(city.seed, "valve", ("open", "closed", "failed"), (95, 3, 2), *nodes.ids())
    else:
        feature = np.where(origin, "outfall", names[degree])
        thing = np.select([origin, within & (draw < 0.2)], ["outfall", "gully"], default="manhole")
        states = np.full(len(thing), "")
    numbers = nodes.numbers(pipe_class)
    frame = pd.DataFrame(
        {
            "exp_no": numbers,
            "map_no": [n[-5:] for n in numbers],
            "pipe_class": pipe_class,
            "feature": feature,
            "appurtenance": _texts(thing),
            "ground_elev": ground,
            "well_depth": np.where(thing == "manhole", depth + 0.3, np.nan),
            "valve_state": _texts(np.where(thing == "valve", states, "")),
            "owner_org": _owner(pipe_class),
            "survey_date": "2023-06-01",
        }
    )
    return gpd.GeoDataFrame(
        frame, geometry=shapely.points(_points(pipe_class, nodes, ground, crs)), crs=crs
    )


def _segment_frame(city: City, pipe_class: str, blocks: Integers, crs: str) -> gpd.GeoDataFrame:
    start, end = _segments(city, pipe_class, blocks)
    ends: list[tuple[Numbers, Numbers, Numbers]] = []
    for nodes in (start, end):
        ground, depth = _heights(city.seed, pipe_class, nodes)
        elevation = np.round(ground - depth, 3)
        ends.append((depth, elevation, _points(pipe_class, nodes, elevation, crs)))
    (start_depth, start_elev, a), (end_depth, end_elev, b) = ends
    size, material = _SIZES[pipe_class](start, end)
    years = whole(city.seed, "built", 1985, 2022, start.column // 6, start.row // 5)
    frame = pd.DataFrame(
        {
            "pipe_class": pipe_class,
            "start_no": start.numbers(pipe_class),
            "end_no": end.numbers(pipe_class),
            "subtype": "JS" if pipe_class == "JS" else "YS",
            "start_depth": start_depth,
            "end_depth": end_depth,
            "start_elev": start_elev,
            "end_elev": end_elev,
            "elev_ref": "crown" if pipe_class == "JS" else "invert",
            "diameter_mm": size,
            "material": material,
            "embedding": "direct",
            "pressure": _texts(np.full(len(a), "0.4 MPa" if pipe_class == "JS" else "")),
            "flow_dir": "0" if pipe_class == "JS" else "+",
            "owner_org": _owner(pipe_class),
            "build_date": [f"{y}-05-01" for y in years.tolist()],
            "status": "0",
        }
    )
    return gpd.GeoDataFrame(frame, geometry=shapely.linestrings(np.stack([a, b], axis=1)), crs=crs)


def _points(pipe_class: str, nodes: _Nodes, heights: Numbers, crs: str) -> Numbers:
    flat = bent(*_lattice(pipe_class, nodes))
    return projected(np.column_stack([flat, heights]), crs)


def _water_sizes(start: _Nodes, end: _Nodes) -> tuple[Integers, NDArray[Any]]:
    main = np.where(start.upright | end.upright, start.column % 6 == 0, start.row % 5 == 0)
    return np.where(main, 600, 200), np.where(main, "球墨铸铁", "PE")


def _drain_sizes(start: _Nodes, end: _Nodes) -> tuple[Integers, NDArray[Any]]:
    north = (start.upright | end.upright) == 1
    size = np.select([north, end.row == 0], [800, 1500], default=400)
    return size, np.where(size > 400, "钢筋混凝土", "HDPE")


_SIZES: dict[str, Callable[[_Nodes, _Nodes], tuple[Integers, NDArray[Any]]]] = {
    "JS": _water_sizes,
    "PS": _drain_sizes,
}


def _owner(pipe_class: str) -> str:
    return "合成市供水公司" if pipe_class == "JS" else "合成市排水公司"


def _texts(values: Any) -> pd.Series[Any]:
    """Texts, missing where empty."""
    return pd.Series([v or None for v in values.tolist()], dtype=object)
