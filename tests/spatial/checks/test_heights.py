"""Depths, lengths and slopes: planted faults, and the sound city."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from city.pipes import pipe_nodes, pipe_segments
from pyproj import Geod

from spatial.checks.heights import ground_off, lengths_off, slopes_off
from spatial.checks.networks import Network, take_network
from spatial.errors import BadValues


def city() -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame, Network]:
    segments = pd.concat(list(pipe_segments(7, 2000)), ignore_index=True)
    nodes = pd.concat(list(pipe_nodes(7, 2000)), ignore_index=True)
    net = take_network(segments.geometry, segments["start_no"], segments["end_no"],
                       nodes.geometry, nodes["exp_no"], "EPSG:4490")  # fmt: skip
    return segments, nodes, net


def test_ground_is_depth_and_elevation_but_where_it_was_planted() -> None:
    segments, nodes, net = city()
    depths = segments[["start_depth", "end_depth"]].to_numpy(copy=True)
    elevations = segments[["start_elev", "end_elev"]].to_numpy(copy=True)
    heights, ground = segments["diameter_mm"].to_numpy() / 1000, nodes["ground_elev"]
    refs = segments["elev_ref"]

    def check() -> list[tuple[list[list[int]], list[float]]]:
        found = ground_off(net, ground, depths, elevations, tolerance_m=0.02, heights_m=heights,
                           depth_refs=refs, elevation_refs=refs)  # fmt: skip
        return [(f.rows.tolist(), f.measured.round(6).tolist()) for f in found]

    assert check() == [([], []), ([], [])]
    depths[5, 1] += 0.3
    elevations[9, 0] -= heights[9]  # the other part of the pipe was measured
    depths[11, 0] = np.nan
    depths[12] += 0.02  # no more than allowed
    (off, by), (mixed, by_size) = check()
    assert off == [[5, int(net.ends[5, 1])]]
    assert by == [0.3]
    assert mixed == [[9, int(net.ends[9, 0])]]
    assert by_size == [-heights[9]]


def test_the_height_of_the_pipe_comes_between_depth_and_elevation() -> None:
    line, nodes = shapely.LineString([(0, 0), (9, 0)]), shapely.points([(0, 0), (9, 0)])
    net = take_network([line] * 2, ["A"] * 2, ["B"] * 2, nodes, ["A", "B"], "EPSG:4549")
    # Ground 20; the crown lies 1 m below it, the invert 0.6 m deeper.
    crown, invert = 19.0, 18.4
    told = {"heights_m": [0.6, 0.6], "tolerance_m": 0.01}
    to_crown, to_invert = [[1.0, 1.0]] * 2, [[1.6, 1.6]] * 2
    for depths, elevations, depth_ref, elevation_ref in (
        (to_crown, crown, "crown", "crown"),
        (to_crown, invert, "crown", "invert"),
        (to_invert, crown, "invert", "crown"),
        (to_invert, invert, "invert", "invert"),
        (to_invert, invert, None, "invert"),
        (to_invert, invert, None, None),
    ):
        found = ground_off(
            net,
            [20, 20],
            depths,
            [[elevations] * 2] * 2,
            **told,
            depth_refs=[depth_ref] * 2,
            elevation_refs=[elevation_ref] * 2,
        )
        assert [len(f) for f in found] == [0, 0]
    _, mixed = ground_off(net, [20, 20], to_crown, [[invert] * 2] * 2, **told)
    assert len(mixed) == 4
    with pytest.raises(BadValues, match="row 1 is of 'middle'"):
        ground_off(net, [20, 20], to_crown, to_crown, **told, depth_refs=["crown", "middle"])
    with pytest.raises(BadValues, match="2 starts and ends"):
        ground_off(net, [20, 20], [1.0, 1.0], to_crown, **told)


def test_lengths_in_three_dimensions() -> None:
    segments, *_ = city()
    shapes = segments.geometry.to_numpy().copy()
    assert len(lengths_off(shapes, "EPSG:4490")) == 0
    shapes[3] = shapely.LineString([(114.0, 30.0, 10), (114.0, 30.0, 9.96)])
    shapes[4] = shapely.LineString([(114.0, 30.0, 10), (114.0005, 30.0, 80)])
    shapes[5] = None
    found = lengths_off(shapes, "EPSG:4490")
    along = Geod(ellps="GRS80").inv(114, 30, 114.0005, 30)[2]
    assert along < 75
    assert found.rows.tolist() == [3, 4]
    assert found.measured == pytest.approx([0.04, np.hypot(along, 70)], rel=1e-6)
    assert found.limits == "0.05 to 75"


def test_drains_fall_the_way_they_flow() -> None:
    segments, *_ = city()
    elevations = segments[["start_elev", "end_elev"]].to_numpy(copy=True)
    drains = segments["elev_ref"] == "invert"
    args = segments.geometry, "EPSG:4490"
    assert len(slopes_off(*args, elevations, segments["flow_dir"], applies=drains)) == 0
    turned = int(np.flatnonzero(drains)[7])
    flows = segments["flow_dir"].copy()
    flows[turned] = "-"
    found = slopes_off(*args, elevations, flows, applies=drains)
    assert found.rows.tolist() == [turned]
    assert found.measured[0] < 0
    steep = slopes_off(*args, elevations, flows, least=-1, most=0.0005, applies=drains)
    fall = np.abs(elevations[:, 0] - elevations[:, 1])
    assert len(steep) > 0
    assert (fall[steep.rows] / steep.measured < 75).all()


def test_what_goes_straight_down_and_what_is_missing() -> None:
    down = shapely.LineString([(0, 0, 5), (0, 0, 1)])
    lines, flows = [down, None, down], ["+", "+", None]
    found = slopes_off(lines, "EPSG:4549", [[5, 1]] * 3, flows, most=1)
    assert found.rows.tolist() == [0]
    assert np.isinf(found.measured[0])
