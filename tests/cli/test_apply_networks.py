"""`shikong apply` of a network: nodes and links of one file, in one commit, seen by each other."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from layers.readers import Reader
from layers.store import open_store
from tests.cli.cities import written

Run = Callable[..., tuple[int, str, str]]
NODES = """
title = { en = "Nodes", zh = "管线点" }
geometry = "PointZ"
crs = "EPSG:3547"
[[fields]]
id = "id"
role = "key"
[[fields]]
id = "kind"
[[fields]]
id = "elevation"
type = "number"
"""
SEGMENTS = """
title = { en = "Segments", zh = "管线段" }
geometry = "LineStringZ"
crs = "EPSG:3547"
[[fields]]
id = "id"
role = "key"
[[fields]]
id = "node1"
[[fields]]
id = "node2"
[[fields]]
id = "diameter"
type = "number"
[[rules]]
id = "missing-node"
check = "missing-node"
fields = { start = "node1", end = "node2" }
params = { nodes = "pipe_nodes", number = "id" }
outcome = "say"
[[rules]]
id = "orphan-node"
check = "orphan-node"
fields = { start = "node1", end = "node2" }
params = { nodes = "pipe_nodes", number = "id" }
[[rules]]
id = "end-apart"
check = "end-apart"
fields = { start = "node1", end = "node2" }
params = { nodes = "pipe_nodes", number = "id", tolerance_m = 0.01 }
"""
# The segments first: what a rule looks at is written before them all the same.
CITY = """
layers:
  pipe_segments: {schema: segments.toml}
  pipe_nodes: {schema: nodes.toml}
sources:
  - path: net.inp
    source_layer: pipes
    layer: pipe_segments
    crs: EPSG:3547
    valid_from: 2010-01-01
  - path: net.inp
    source_layer: nodes
    layer: pipe_nodes
    crs: EPSG:3547
    valid_from: 2010-01-01
"""
SMALL = """[JUNCTIONS]
 J1  10  5 ;
 J2  20  5 ;
 J3  30  5 ;
[PIPES]
 P1  J1  J2  100 200 130 0 Open ;
 P2  J2  J3  100 200 130 0 Open ;
[OPTIONS]
 Units GPM
[COORDINATES]
 J1 4971350 3905604
 J2 4971450 3905604
 J3 4971550 3905604
[END]
"""


@pytest.fixture
def network(tmp_path: Path) -> Path:
    (tmp_path / "nodes.toml").write_text(NODES)
    (tmp_path / "segments.toml").write_text(SEGMENTS)
    (tmp_path / "net.inp").write_text(SMALL)
    (tmp_path / "city.yaml").write_text(CITY)
    return tmp_path


def commits(dsn: str) -> list[tuple[int, str, int]]:
    """Of each revision the commit, the layer, and how many features are live."""
    query = "SELECT commit_id, layer_id, n_live FROM shikong.revision ORDER BY 1, 2"
    with psycopg.connect(dsn) as connection:
        return connection.execute(query).fetchall()


def without(text: str, section: str, name: str) -> str:
    """A network without one line of a section."""
    head, body, rest = re.split(rf"(?m)(^\[{section}\]\s*$[^\[]*)", text, maxsplit=1)
    kept = [line for line in body.splitlines(True) if line.split()[:1] != [name]]
    assert len(kept) == len(body.splitlines()) - 1
    return head + "".join(kept) + rest


def test_nodes_and_links_are_one_commit(run: Run, store_dsn: str, network: Path) -> None:
    code, told, err = run("apply", network / "city.yaml", "--dry-run")
    assert not code, err
    assert "would make a revision: 3 created" in told
    assert "faults of rule" not in told
    assert commits(store_dsn) == []
    code, told, err = run("apply", network / "city.yaml")
    assert not code, err
    assert "faults of rule" not in told
    assert "was not asked" not in told
    assert commits(store_dsn) == [(1, "pipe_nodes", 3), (1, "pipe_segments", 2)]
    once = written(store_dsn)
    assert "nothing to do" in run("apply", network / "city.yaml")[1]
    assert written(store_dsn) == once


def test_a_node_that_is_gone_is_missed(run: Run, store_dsn: str, network: Path) -> None:
    """Its place is still there: the pipe is drawn, and the rule tells of it."""
    (network / "net.inp").write_text(without(SMALL, "JUNCTIONS", "J3"))
    code, told, err = run("apply", network / "city.yaml")
    assert not code, err
    assert "1 faults of rule missing-node (row 2: missing-node" in told


def test_one_that_refuses_holds_back_both(run: Run, store_dsn: str, network: Path) -> None:
    refusing = SEGMENTS.replace('"say"', '"refuse"\nshare = 0.0')
    (network / "segments.toml").write_text(refusing)
    (network / "net.inp").write_text(without(SMALL, "JUNCTIONS", "J3"))
    before = written(store_dsn)
    code, told, err = run("apply", network / "city.yaml")
    assert code == 1
    assert "city.yaml:6: sources[0]: 1 of 2 rows break the rule missing-node" in err
    assert "nothing was written" in err
    assert "pipe_segments: refused" in told
    assert written(store_dsn) == before
    (network / "net.inp").write_text(SMALL)
    code, _, err = run("apply", network / "city.yaml")
    assert not code, err
    assert commits(store_dsn) == [(1, "pipe_nodes", 3), (1, "pipe_segments", 2)]


def test_the_shared_network(run: Run, store_dsn: str, network: Path, shared: Path) -> None:
    """ky4: 964 nodes and 1,156 pipes (SOURCES.md), in feet; and without J-23."""
    text = (shared / "data" / "net" / "ky4.inp").read_text()
    (network / "net.inp").write_text(text)
    code, told, err = run("apply", network / "city.yaml")
    assert not code, err
    assert commits(store_dsn) == [(1, "pipe_nodes", 964), (1, "pipe_segments", 1156)]
    for rule in ("missing-node", "orphan-node", "end-apart"):
        assert f"of rule {rule}" not in told
    assert "was not asked" not in told
    with closing(open_store(store_dsn)) as store:
        frame = store.layer("pipe_nodes", Reader.everything()).at("2020-01-01").read()
    # US survey feet, as the system has them, near Lexington in Kentucky; heights in metres.
    (node,) = frame[frame["id"] == "J-1"].geometry
    assert (node.x, node.y) == pytest.approx((4971350.0, 3905604.0))
    assert node.z == pytest.approx(611.3897 * 0.3048)
    pipes = re.search(r"(?m)^\[PIPES\]([^\[]*)", text)
    assert pipes is not None
    ends = [line.split()[1:3] for line in pipes[1].splitlines() if line.strip(" \t")[:2] == "P-"]
    assert len(ends) == 1156
    (network / "net.inp").write_text(without(text, "JUNCTIONS", "J-23"))
    code, told, err = run("apply", network / "city.yaml")
    assert not code, err
    at_fault = sum("J-23" in pair for pair in ends)
    assert f"{at_fault} faults of rule missing-node" in told
    # Its pipes are still drawn to where it was, but nothing says how high that is.
    assert f"0 created, {at_fault} changed, 0 retired" in told
    assert commits(store_dsn)[2:] == [(2, "pipe_nodes", 963), (2, "pipe_segments", 1156)]
