"""Networks: planted faults, the real network whose ends don't meet, and a naive model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from city.pipes import pipe_nodes, pipe_segments
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial.checks.faults import Faults
from spatial.checks.networks import (
    Network,
    degrees_off,
    differing,
    duplicates,
    ends_apart,
    loops,
    missing_nodes,
    orphan_nodes,
    stray_ends,
    take_network,
)
from spatial.errors import BadValues

DATA = Path(__file__).parents[4] / "shared" / "data" / "net"
here = pytest.mark.skipif(not DATA.is_dir(), reason="the real data of shared/data is not here")
FOOT_M = 1200 / 3937


def city() -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    return pd.concat(list(pipe_segments(5, 2000)), ignore_index=True), pd.concat(
        list(pipe_nodes(5, 2000)), ignore_index=True
    )


def network_of(segments: gpd.GeoDataFrame, nodes: gpd.GeoDataFrame) -> Network:
    return take_network(
        segments.geometry, segments["start_no"], segments["end_no"],
        nodes.geometry, nodes["exp_no"], "EPSG:4490",
    )  # fmt: skip


def every_check(segments: gpd.GeoDataFrame, nodes: gpd.GeoDataFrame) -> dict[str, Faults]:
    net = network_of(segments, nodes)
    once, reverse = duplicates(net, groups=segments["pipe_class"])
    found = [
        missing_nodes(net), orphan_nodes(net), ends_apart(net, tolerance_m=0.05), loops(net), once,
        reverse, degrees_off(net, nodes["feature"], feature="tee", degree=3),
        differing(net, segments["pipe_class"], nodes["pipe_class"]),
        stray_ends(segments.geometry, "EPSG:4490", tolerance_m=0.05, nodes=nodes.geometry),
    ]  # fmt: skip
    return {f.rule: f for f in found}


def test_a_sound_city_has_no_faults() -> None:
    assert {rule: len(f) for rule, f in every_check(*city()).items() if len(f)} == {}


def test_each_planted_fault_is_found_and_placed() -> None:
    segments, nodes = city()
    n, m = len(segments), len(nodes)
    # One end goes 3 m to the north of its node.
    moved = segments.geometry[10]
    xyz = shapely.get_coordinates(moved, include_z=True)
    xyz[-1, 1] += 3 / 110_850
    segments.loc[10, "geometry"] = shapely.LineString(xyz)
    # One names a node that is not there; one both its ends by one name; two are there again.
    segments.loc[20, "start_no"] = "nowhere"
    segments.loc[30, "end_no"] = segments["start_no"][30]
    back = segments.iloc[[50]].rename(columns={"start_no": "end_no", "end_no": "start_no"})
    back = back.set_geometry(shapely.reverse(back.geometry.to_numpy()), crs=back.crs)
    segments = pd.concat([segments, segments.iloc[[40]], back], ignore_index=True)
    # One is of another class than its nodes, and a node that nobody names lies aside.
    segments.loc[60, "pipe_class"] = "RQ"
    lone = nodes.iloc[[0]].assign(exp_no="lone", feature="end")
    nodes = pd.concat([nodes, lone], ignore_index=True)
    found = every_check(segments, nodes)
    assert found["end-apart"].rows[:, 0].tolist()[0] == 10
    assert found["end-apart"].measured[0] == pytest.approx(3, rel=1e-3)
    assert shapely.get_coordinates(found["end-apart"].places[0])[0].tolist() == xyz[-1, :2].tolist()
    assert found["missing-node"].rows.tolist() == [20]
    assert found["missing-node"].places[0] == shapely.get_point(segments.geometry[20], 0)
    assert found["loop"].rows.tolist() == [30]
    assert found["duplicate"].rows.tolist() == [[n, 40]]
    assert found["reversed-duplicate"].rows.tolist() == [[n + 1, 50]]
    assert found["differing"].rows[:, 0].tolist() == [60, 60]
    assert m in found["orphan-node"].rows
    assert found["stray-end"].rows.tolist() == [10]
    # The renamed, the looped and the doubled ends change how many meet; only tees are looked at.
    changed = {*segments.loc[[20, 30, 40, 50], ["start_no", "end_no"]].stack()}
    changed |= {*city()[0].loc[[20, 30], ["start_no", "end_no"]].stack()}
    tees = [k for k in range(m) if nodes["exp_no"][k] in changed and nodes["feature"][k] == "tee"]
    assert set(found["degree"].rows.tolist()) <= set(tees)


numbers = st.one_of(st.none(), st.sampled_from("ABCDE"))


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.tuples(numbers, numbers, st.sampled_from(["JS", "PS"])), max_size=9),
    st.lists(st.tuples(st.sampled_from("ABCD"), st.sampled_from(["tee", "end"])), max_size=6),
)
def test_the_network_is_that_of_a_naive_reading(
    pipes: list[tuple[str | None, str | None, str]], points: list[tuple[str, str]]
) -> None:
    line = shapely.LineString([(0, 0), (1, 0)])
    net = take_network(
        [line] * len(pipes),
        [p[0] for p in pipes],
        [p[1] for p in pipes],
        [shapely.Point(0, 0)] * len(points),
        [p[0] for p in points],
        4549,
    )
    known = [name for name, _ in points]
    missing = [(k, e) for k, p in enumerate(pipes) for e in (0, 1) if p[e] not in known]
    assert [*zip(missing_nodes(net).rows, missing_nodes(net).measured, strict=True)] == missing
    uses = [sum((p[0] == name) + (p[1] == name) for p in pipes) * (known.index(name) == k)
            for k, name in enumerate(known)]  # fmt: skip
    assert orphan_nodes(net).rows.tolist() == [k for k, n in enumerate(uses) if n == 0]
    tees = [k for k, (_, what) in enumerate(points) if what == "tee" and uses[k] != 3]
    found = degrees_off(net, [what for _, what in points], feature="tee", degree=3)
    assert found.rows.tolist() == tees
    assert found.measured.tolist() == [uses[k] for k in tees]
    assert loops(net).rows.tolist() == [k for k, p in enumerate(pipes) if p[0] == p[1] is not None]
    once, back = naive_duplicates(pipes)
    told = duplicates(net, groups=[p[2] for p in pipes])
    assert [f.rows.tolist() for f in told] == [once, back]


def naive_duplicates(pipes: list[Any]) -> tuple[list[list[int]], list[list[int]]]:
    once: list[list[int]] = []
    back: list[list[int]] = []
    for k, (a, b, kind) in enumerate(pipes):
        if a is None or b is None:
            continue
        for j, other in enumerate(pipes[:k]):
            if other == (a, b, kind) or other == (b, a, kind):
                (once if other == (a, b, kind) else back).append([k, j])
                break
    return once, back


places = st.tuples(st.integers(0, 6), st.integers(0, 6))


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(places, places), max_size=9), st.lists(places, max_size=5),
       st.sampled_from([0.0, 1.0, 1.5]))  # fmt: skip
def test_stray_ends_are_those_of_every_distance(
    pipes: list[Any], nodes: list[Any], tolerance: float
) -> None:
    lines = [shapely.LineString(p) for p in pipes]
    ends = [(k, np.array(p[e], float)) for k, p in enumerate(pipes) for e in (0, 1)]
    for points in (None, nodes):
        expected = []
        for n, (k, xy) in enumerate(ends):
            others = [o for m, (_, o) in enumerate(ends) if m != n] if points is None else points
            away = min((np.hypot(*(xy - o)) for o in others), default=np.inf)
            if away > tolerance:
                expected.append((k, away))
        shapes = None if points is None else [shapely.Point(p) for p in points]
        found = stray_ends(lines, "EPSG:4549", tolerance_m=tolerance, nodes=shapes)
        assert found.rows.tolist() == [k for k, _ in expected]
        assert found.measured == pytest.approx([away for _, away in expected])


@here
@pytest.mark.parametrize("tolerance_m", [0.1, 1, 5])
def test_the_ends_of_a_real_network_that_do_not_meet(tolerance_m: float) -> None:
    pipes = gpd.read_file(DATA / "ky4_disconnected_pipes.geojson")
    nodes = [gpd.read_file(DATA / f"ky4_{name}.geojson") for name in ("junctions", "tanks")]
    points = pd.concat(nodes, ignore_index=True)
    assert pipes.crs.to_epsg() == 3547  # US survey feet
    xy = np.array([[line.coords[0], line.coords[-1]] for line in pipes.geometry]) * FOOT_M
    where = np.array([p.coords[0] for p in points.geometry]) * FOOT_M
    flat = xy.reshape(-1, 2)
    apart = np.hypot(*(flat[:, None] - where[None]).transpose(2, 0, 1)).min(axis=1)
    found = stray_ends(pipes.geometry, pipes.crs, tolerance_m=tolerance_m, nodes=points.geometry)
    assert len(found) == (apart > tolerance_m).sum() > 0
    assert found.measured == pytest.approx(apart[apart > tolerance_m], abs=1e-8)
    among = np.hypot(*(flat[:, None] - flat[None]).transpose(2, 0, 1))
    np.fill_diagonal(among, np.inf)
    alone = stray_ends(pipes.geometry, pipes.crs, tolerance_m=tolerance_m)
    assert len(alone) == (among.min(axis=1) > tolerance_m).sum() > 0
    # By number: the node that an end names, not the nearest.
    row = {name: k for k, name in enumerate(points["name"])}
    named = pipes[["start_node_name", "end_node_name"]].map(row.get).to_numpy(dtype=float)
    there = ~np.isnan(named)
    away = np.hypot(*(xy[there] - where[named[there].astype(int)]).T)
    net = take_network(
        pipes.geometry, pipes["start_node_name"], pipes["end_node_name"], points.geometry,
        points["name"], pipes.crs,
    )  # fmt: skip
    told = ends_apart(net, tolerance_m=tolerance_m)
    assert len(told) == (away > tolerance_m).sum()
    assert told.measured == pytest.approx(away[away > tolerance_m], abs=1e-8)
    assert len(missing_nodes(net)) == (~there).sum()


def test_arrays_that_do_not_belong_together() -> None:
    line, node = shapely.LineString([(0, 0), (1, 0)]), shapely.Point(0, 0)
    with pytest.raises(BadValues, match="1 segments with 2 and 1 ends"):
        take_network([line], ["A", "B"], ["B"], [node], ["A"], 4549)
    with pytest.raises(BadValues, match="1 nodes with 0 numbers"):
        take_network([line], ["A"], ["B"], [node], [], 4549)


def test_missing_lines_have_no_ends() -> None:
    lines = [
        None,
        shapely.LineString(),
        shapely.MultiLineString([[(0, 0), (1, 0)], [(3, 0), (4, 0)]]),
    ]
    node = shapely.Point(0, 0)
    net = take_network(lines, ["A", "A", "A"], ["A", "A", "A"], [node], ["A"], "EPSG:4549")
    assert ends_apart(net, tolerance_m=1).rows.tolist() == [[2, 0]]
    assert ends_apart(net, tolerance_m=1).measured.tolist() == [4]
    assert stray_ends(lines, "EPSG:4549", tolerance_m=1, nodes=[node]).rows.tolist() == [2]
