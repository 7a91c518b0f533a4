"""Several layers in one commit: rules see the others as the commit makes them, or nothing is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import geopandas as gpd
import pytest
import shapely
from publishing import EVERYTHING, START, WRITER, layer, points, schema_of

from layers.commits import Committed
from layers.errors import RuleBroken, UnknownLayer
from layers.model import Schema
from layers.publish import Reload
from layers.report import Report
from layers.sourcing.frames import FrameSource
from layers.store import Store

ENDS = {"start": "a", "end": "b"}
NAMED = {"nodes": "nodes", "number": "no"}
# Its id is before that of the nodes.
EDGES = "edges"


def edge_schema(**said: Any) -> Schema:
    rules = [
        {"id": "missing-node", "check": "missing-node", "fields": ENDS, "params": NAMED} | said,
        {
            "id": "end-apart",
            "check": "end-apart",
            "fields": ENDS,
            "params": NAMED | {"tolerance_m": 0.5},
        },
    ]
    fields = ({"id": "a"}, {"id": "b"})
    return schema_of(*fields, geometry="LineString", crs="EPSG:3857", rules=rules)


def node_schema() -> Schema:
    return schema_of(crs="EPSG:3857")


def nodes(*names: str) -> gpd.GeoDataFrame:
    """Nodes at (0, 1), (1, 1) ..."""
    return points("EPSG:3857", no=names)


def edges(ends: Sequence[tuple[str, str]], at: Mapping[str, tuple[float, float]]) -> Any:
    columns = {"no": [f"{a}{b}" for a, b in ends], "a": [a for a, _ in ends]}
    shapes = [shapely.LineString([at[a], at[b]]) for a, b in ends]
    columns["b"] = [b for _, b in ends]
    return gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:3857")


AT = {"p": (0.0, 1.0), "q": (1.0, 1.0), "r": (2.0, 1.0)}


def commit(store: Store, dry_run: bool = False, **frames: Any) -> Committed:
    there = {record.id for record in store.layers(EVERYTHING)}
    schemas = {"nodes": node_schema(), EDGES: edge_schema()}
    reloads = {
        name: Reload(
            FrameSource(frame),
            schema=None if name in there else schemas[name],
            valid_from=START,
            consent=True,
        )
        for name, frame in frames.items()
    }
    return store.commit(reloads, WRITER, "both", dry_run=dry_run)


def faults(report: Report) -> list[tuple[str, list[int]]]:
    return [(b.rule, [row for row, _ in b.rows.named]) for b in report.findings.broken]


@pytest.mark.parametrize("dry_run", [True, False])
def test_edges_see_the_nodes_of_their_own_commit(store: Store, dry_run: bool) -> None:
    ends = [("p", "q"), ("q", "r")]
    done = commit(store, dry_run, edges=edges(ends, AT), nodes=nodes("p", "q", "r"))
    report = done.reports[EDGES]
    assert not report.findings.unasked
    assert faults(report) == []
    assert done.reports["nodes"].created == 3
    assert report.created == 2
    if not dry_run:
        assert layer(store, EDGES).revision(1).commit.id == done.commit
        assert layer(store, "nodes").revision(1).commit.id == done.commit


def test_a_node_that_the_commit_lacks_is_missed(store: Store) -> None:
    done = commit(store, edges=edges([("p", "q"), ("q", "r")], AT), nodes=nodes("p", "q"))
    assert faults(done.reports[EDGES]) == [("missing-node", [2])]


def test_nodes_are_where_the_commit_moves_them(store: Store) -> None:
    ends = [("p", "q"), ("q", "r")]
    commit(store, edges=edges(ends, AT), nodes=nodes("p", "q", "r"))
    # r lies at (1, 1) now, and q at (2, 1).
    moved = AT | {"q": AT["r"], "r": AT["q"]}
    done = commit(store, edges=edges(ends, moved), nodes=nodes("p", "r", "q"))
    assert faults(done.reports[EDGES]) == []
    done = commit(store, edges=edges(ends, moved), nodes=nodes("p", "q", "r"))
    # Of the second edge both ends.
    assert faults(done.reports[EDGES]) == [("end-apart", [1, 2, 2])]
    assert done.reports[EDGES].nothing_to_do
    assert done.reports["nodes"].changed == 2


def test_what_one_refuses_none_writes(store: Store) -> None:
    refusing = edge_schema(outcome="refuse", share=0.0)
    reloads = {
        "nodes": Reload(FrameSource(nodes("p")), node_schema(), valid_from=START),
        EDGES: Reload(FrameSource(edges([("p", "q")], AT)), refusing, valid_from=START),
    }
    with pytest.raises(RuleBroken, match="missing-node") as refused:
        store.commit(reloads, WRITER, "both")
    assert refused.value.layer == EDGES
    for name in reloads:
        with pytest.raises(UnknownLayer):
            layer(store, name)


def test_layers_that_look_at_each_other(store: Store) -> None:
    """Neither can be first for both: the first finds the other as it was, and says so."""
    look = {"id": "l", "check": "coverage", "params": {"boundary": "second"}}
    squares = gpd.GeoDataFrame({"no": ["1"]}, geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:3857")
    reloads = {
        name: Reload(
            FrameSource(squares),
            schema_of(
                geometry="Polygon",
                crs="EPSG:3857",
                rules=[look | {"params": {"boundary": other}}],
            ),
            valid_from=START,
        )
        for name, other in (("first", "second"), ("second", "first"))
    }
    done = store.commit(reloads, WRITER, "both")
    unasked = {name: report.findings.unasked for name, report in done.reports.items()}
    assert "no layer first yet" in unasked["second"][0]
    assert not unasked["first"]
