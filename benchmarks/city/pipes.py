"""Synthetic pipes under the streets: a water network with loops, a storm drain to an outfall."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import geopandas as gpd
import numpy as np
import shapely

from city.layout import CRS, ORIGIN, PITCH_X_M, PITCH_Y_M, STREET_M, City

_STEP_M = 60.0
_GROUND_M = 60.0
_FALL = 0.002


def pipes(seed: int, count: int) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Return the nodes and the segments of both networks, in EPSG:4547 with heights in metres."""
    city = City(seed, count)
    nodes: list[dict] = []
    segments: list[dict] = []
    for letters, offset in (("JS", -3.0), ("YS", 3.0)):
        _network(city, letters, offset, nodes, segments)
    points = [n.pop("geometry") for n in nodes]
    lines = [s.pop("geometry") for s in segments]
    return (
        gpd.GeoDataFrame(nodes, geometry=points, crs=CRS),
        gpd.GeoDataFrame(segments, geometry=lines, crs=CRS),
    )


def ground(x: float, y: float) -> float:
    """The height of the ground: a plain that falls to the south-east."""
    return round(_GROUND_M - _FALL * (x - ORIGIN[0]) + _FALL * (y - ORIGIN[1]), 3)


def _network(
    city: City, letters: str, offset: float, nodes: list[dict], segments: list[dict]
) -> None:
    numbers: dict[tuple[float, float], str] = {}
    degree: dict[str, int] = {}
    begun = len(nodes)

    def node(x: float, y: float) -> dict:
        place = (round(x, 3), round(y, 3))
        name = numbers.setdefault(place, f"{letters}{len(numbers) + 1:06d}")
        if len(numbers) > len(nodes) - begun:
            nodes.append(_node(letters, name, *place))
        return nodes[begun + int(name[2:]) - 1]

    for first, last in _runs(city, offset, loops=letters == "JS"):
        steps = max(1, int(np.ceil(np.hypot(last[0] - first[0], last[1] - first[1]) / _STEP_M)))
        places = np.linspace(first, last, steps + 1)
        for one, other in itertools.pairwise(places):
            start, end = node(*one), node(*other)
            segments.append(_segment(letters, start, end))
            for name in (start["exp_no"], end["exp_no"]):
                degree[name] = degree.get(name, 0) + 1
    for n in nodes[begun:]:
        n["feature"] = {1: "end", 2: "straight", 3: "tee", 4: "cross"}[degree[n["exp_no"]]]


def _runs(
    city: City, offset: float, *, loops: bool
) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    """Pipes from crossing to crossing: along every street eastwards, and southwards.

    Southwards along all streets (water), or along the eastern one alone (drains, which must not
    run in circles).
    """
    west, south = ORIGIN
    half = STREET_M / 2 + offset
    xs = [west + half + PITCH_X_M * n for n in range(city.columns + 1)]
    ys = [south + half + PITCH_Y_M * n for n in range(city.rows + 1)]
    for y in ys:
        for one, other in itertools.pairwise(xs):
            yield (one, y), (other, y)
    for x in xs if loops else xs[-1:]:
        for one, other in itertools.pairwise(reversed(ys)):
            yield (x, one), (x, other)


def _node(letters: str, name: str, x: float, y: float) -> dict:
    height = ground(x, y)
    depth = 1.2 if letters == "JS" else 2.5
    return {
        "exp_no": name,
        "pipe_class": letters,
        "feature": "straight",
        "appurtenance": "valve" if letters == "JS" and int(name[2:]) % 9 == 0 else "manhole",
        "ground_elev": height,
        "well_depth": depth,
        "valve_state": "open" if letters == "JS" else None,
        "owner_org": "合成管线单位",
        "survey_date": "2021-06-01",
        "geometry": shapely.Point(x, y, round(height - depth, 3)),
    }


def _segment(letters: str, start: dict, end: dict) -> dict:
    depths = [n["well_depth"] for n in (start, end)]
    elevations = [n["geometry"].z for n in (start, end)]
    return {
        "start_no": start["exp_no"],
        "end_no": end["exp_no"],
        "pipe_class": letters,
        "subtype": "配水" if letters == "JS" else "雨水",
        "start_depth": depths[0],
        "end_depth": depths[1],
        "start_elev": elevations[0],
        "end_elev": elevations[1],
        "elev_ref": "crown" if letters == "JS" else "invert",
        "diameter_mm": 300 if letters == "JS" else 800,
        "material": "铸铁" if letters == "JS" else "混凝土",
        "embedding": "直埋",
        "flow_dir": "0" if letters == "JS" else "+",
        "owner_org": "合成管线单位",
        "status": "0",
        "geometry": shapely.LineString([start["geometry"], end["geometry"]]),
    }
