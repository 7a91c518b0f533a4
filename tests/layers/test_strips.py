"""Rules asked strip by strip say what they say of all rows at once."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from publishing import publish

from layers.quality import strips
from layers.report import Report
from layers.schemas.documents import parse_schema
from layers.store import Store

CGCS_40 = "EPSG:4549"
OVERLAP = {"id": "apart", "check": "overlap", "fields": {"code": "kind"},
           "params": {"at": 1, "strata": ["X"]}}  # fmt: skip
SIZE = {"id": "size", "check": "range", "fields": {"value": "size"}, "params": {"least": 5}}
PLACES = {"id": "twice", "check": "repeated-place", "params": {"tolerance_m": 40.0}}
FIELDS = [
    {"id": "no", "role": "key"},
    {"id": "kind"},
    {"id": "size", "type": "number"},
    {"id": "since", "type": "date", "role": "valid-from"},
]


def schema(geometry: str, crs: str, *rules: Any) -> Any:
    document = {"title": "t", "geometry": geometry, "crs": crs, "time_zone": "UTC"}
    return parse_schema(document | {"fields": FIELDS, "rules": list(rules)})


def frame(shapes: Any, crs: str, dice: np.random.Generator) -> gpd.GeoDataFrame:
    """Synthetic features, of which every third has an older row as well, in a place of its own."""
    count = len(shapes)
    columns = {
        "no": [str(n) for n in range(count)],
        "kind": dice.choice(["B", "X"], count),
        "size": dice.uniform(4.5, 9, count),
        "since": "2021-01-01",
    }
    new = gpd.GeoDataFrame(columns, geometry=shapes, crs=crs)
    moved = dice.permutation(count)[: count // 3]
    old = new.iloc[moved].assign(since="2020-01-01").set_geometry(shapes[np.sort(moved)], crs=crs)
    return pd.concat([new, old]).sample(frac=1, random_state=3).reset_index(drop=True)


def found(report: Report) -> dict[tuple[str, str], list[tuple[int, str]]]:
    broken = report.findings.broken
    return {(b.rule, b.fault): sorted(b.rows.named) for b in broken if b.rows.count}


def by_strips(
    store: Store, monkeypatch: pytest.MonkeyPatch, rows: gpd.GeoDataFrame, stated: Any
) -> tuple[Report, Report, int]:
    """Return the reports of both ways, and how many strips there were."""
    whole = publish(store, "whole", rows, stated)
    laid: list[strips.Strips] = []

    def lay(*asked: Any) -> strips.Strips:
        laid.append(strips.lay(*asked))
        return laid[-1]

    monkeypatch.setattr(strips, "PART_ROWS", 23)
    monkeypatch.setattr("layers.quality.examining.lay", lay)
    parted = publish(store, "parted", rows, stated)
    return whole, parted, len(laid[0].cuts) + 1


@pytest.mark.parametrize("seed", range(3))
def test_overlaps(store: Store, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    dice = np.random.default_rng(seed)
    west, south = dice.uniform(500_000, 501_000, 200), dice.uniform(3_300_000, 3_300_300, 200)
    # Some reach over many strips.
    wide = dice.choice([4.0, 30.0, 900.0], 200, p=[0.6, 0.37, 0.03])
    shapes = shapely.box(west, south, west + wide, south + dice.uniform(4, 30, 200))
    rows = frame(shapes, CGCS_40, dice)
    stated = schema("Polygon", CGCS_40, OVERLAP, SIZE)
    whole, parted, count = by_strips(store, monkeypatch, rows, stated)
    assert count > 5
    assert found(parted) == found(whole)
    # By other means: pairs of the newest rows of a stratum, as GEOS has them.
    newest = rows[rows["since"] == "2021-01-01"]
    i, j = shapely.STRtree(newest.geometry).query(newest.geometry, predicate="intersects")
    surface = newest["kind"].to_numpy() != "X"
    pairs = {(a, b) for a, b in zip(i, j, strict=True) if a < b and surface[a] == surface[b]}
    told = sum(b.rows.count for b in parted.findings.broken if b.fault.startswith("overlap"))
    assert told == len(pairs) > 30
    low = int((rows["size"] < 5).sum())
    assert len(found(parted)["size", "range"]) == low > 5


@pytest.mark.parametrize(("crs", "unit"), [(CGCS_40, 1.0), ("EPSG:4490", 1 / 105_000)])
def test_places(store: Store, monkeypatch: pytest.MonkeyPatch, crs: str, unit: float) -> None:
    dice = np.random.default_rng(7)
    x, y = dice.uniform(0, 800, 300), dice.uniform(0, 800, 300)
    origin = (120.0, 60.0) if unit < 1 else (500_000.0, 3_300_000.0)
    shapes = shapely.points(origin[0] + x * unit, origin[1] + y * unit)
    rows = frame(shapes, crs, dice)
    stated = schema("Point", crs, PLACES)
    whole, parted, count = by_strips(store, monkeypatch, rows, stated)
    assert count > 5
    assert found(parted) == found(whole)
    assert len(found(parted)["twice", "repeated-place"]) > 100


def test_rows_without_a_place_are_asked_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = np.array([shapely.box(10 * k, 0, 10 * k + 9, 9) for k in range(90)], dtype=object)
    shapes[40] = None
    rows = frame(shapes, CGCS_40, np.random.default_rng(1)).assign(size=9.0)
    rows.loc[rows["no"] == "40", "size"] = 1.0
    stated = schema("Polygon", CGCS_40, OVERLAP, SIZE)
    _, parted, count = by_strips(store, monkeypatch, rows, stated)
    assert count > 3
    rows_told = {row for row, _ in found(parted)["size", "range"]}
    assert rows_told == set(np.flatnonzero(rows["no"] == "40") + 1)
