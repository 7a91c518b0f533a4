from __future__ import annotations

import pickle
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import translate

from spatial import systems
from spatial.assignment import assign, assign_one, summarise
from spatial.cells.index import CellIndex
from spatial.crs import CRS84, local_metric_crs, transform
from spatial.errors import (
    BadDistance,
    BadInstant,
    BadPeriod,
    DuplicateIds,
    EmptyInput,
    MissingColumn,
    MissingCRS,
    MissingIds,
    MixedCRS,
    UnreadableIndex,
    WrongGeometryType,
)
from spatial.grids import GridIndex
from spatial.instants import clean_instants

METRES = 4549
EAST, NORTH = 500000, 3300000
DAY = datetime(2024, 1, 1, tzinfo=UTC)
DATA = Path(__file__).parents[3] / "shared" / "data" / "cambridge"
here = pytest.mark.skipif(not DATA.is_dir(), reason="the real data of shared/data is not here")


def dots(*xy: tuple[float, float], crs: Any = METRES, **columns: Any) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(columns, geometry=[shapely.Point(*pair) for pair in xy], crs=crs)


def grids(*boxes: tuple[float, ...], crs: Any = METRES, **columns: Any) -> gpd.GeoDataFrame:
    columns = {"id": list("abcdefgh")[: len(boxes)]} | columns
    return gpd.GeoDataFrame(columns, geometry=[shapely.box(*box) for box in boxes], crs=crs)


def stamps(*days: int | None) -> pd.Series:
    times = [pd.NaT if day is None else DAY + timedelta(days=day) for day in days]
    return pd.Series(times, dtype="datetime64[us, UTC]")


# The naive model: loops, one Shapely predicate at a time, an edition chosen row by row


def naive(
    points: gpd.GeoDataFrame,
    polygons: gpd.GeoDataFrame,
    *,
    system: str | None,
    at: str | None,
    tolerance_m: float,
) -> list[tuple[Any, ...]]:
    names = sorted(set(polygons[system])) if system else [""]
    metric = None
    if tolerance_m and np.isfinite(polygons.total_bounds).all():
        metric = local_metric_crs(tuple(polygons.total_bounds), polygons.crs)
    rows = []
    for label, point in points.iterrows():
        for name in names:
            own = [
                cell
                for _, cell in polygons.iterrows()
                if (not system or cell[system] == name) and (not at or valid(cell, point[at]))
            ]
            rows.append((label, name, *naive_choice(point.geometry, own, tolerance_m, metric)))
    return rows


def valid(cell: pd.Series, instant: pd.Timestamp) -> bool:
    if instant is pd.NaT:
        return False
    return (cell.valid_from is pd.NaT or cell.valid_from <= instant) and (
        cell.valid_to is pd.NaT or instant < cell.valid_to
    )


def naive_choice(
    point: shapely.Point | None, own: list[pd.Series], tolerance_m: float, metric: Any
) -> tuple[Any, ...]:
    if not isinstance(point, shapely.Point) or point.is_empty or not np.isfinite(point.x + point.y):
        return (None, "unassigned", None, 0)
    met = sorted((c for c in own if c.geometry.intersects(point)), key=lambda c: str(c.id))
    if met:
        inside = [cell.geometry.contains(point) for cell in met]
        if sum(inside) > 1 or (inside[0] and len(met) > 1):
            return (met[0].id, "several", 0.0, len(met))
        return (met[0].id, "inside" if inside[0] else "boundary", 0.0, len(met))
    reach = []
    for cell in own if metric is not None else []:
        pair = transform([point, cell.geometry], METRES, metric)
        if (metres := pair[0].distance(pair[1])) <= tolerance_m:
            reach.append((round(metres, 6), str(cell.id), cell.id))
    if reach:
        return (min(reach)[2], "nearest", min(reach)[0], len(reach))
    return (None, "unassigned", None, 0)


def told(result: pd.DataFrame) -> list[tuple[Any, ...]]:
    return [
        (
            row.point,
            row.system,
            row.grid,
            row.status,
            None if np.isnan(row.distance_m) else round(row.distance_m, 6),
            row.candidates,
        )
        for row in result.itertuples()
    ]


# Whole and half numbers on purpose: points fall on edges and vertices all the time
halves = st.integers(-2, 14).map(lambda n: n / 2)
point = st.one_of(
    st.builds(lambda x, y: shapely.Point(EAST + x, NORTH + y), halves, halves),
    st.sampled_from([None, shapely.Point(), shapely.Point(np.nan, 1), shapely.Point(np.inf, 1)]),
)
ring = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=6)
hole = shapely.box(0, 0, 6, 6).difference(shapely.box(2, 2, 4, 4))
area = st.one_of(
    ring.map(lambda corners: shapely.Polygon(corners).buffer(0)),
    st.tuples(st.integers(0, 5), st.integers(0, 5)).map(
        lambda c: shapely.box(*c, c[0] + 1, c[1] + 1)
    ),
    st.sampled_from(
        [hole, shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(3, 0, 4, 1)])]
    ),
)
day = st.none() | st.integers(0, 4)
cell = st.fixed_dictionaries(
    {"geometry": area, "system": st.sampled_from(["duty", "unit"]), "from": day, "days": day}
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    placed = draw(st.lists(st.tuples(point, day), max_size=8))
    cells = draw(st.lists(cell, min_size=1, max_size=7))
    ends = [None if c["days"] is None else (c["from"] or 0) + c["days"] + 1 for c in cells]
    polygons = gpd.GeoDataFrame(
        # 10 before 9: codes are ordered as text
        {
            "id": draw(st.permutations(range(8, 8 + len(cells)))),
            "system": [c["system"] for c in cells],
            "valid_from": stamps(*(c["from"] for c in cells)),
            "valid_to": stamps(*ends),
        },
        geometry=[translate(c["geometry"], EAST, NORTH) for c in cells],
        crs=METRES,
    )
    points = gpd.GeoDataFrame(
        {"at": stamps(*(when for _, when in placed))}, geometry=[p for p, _ in placed], crs=METRES
    )
    return points.set_index(points.index + 100), polygons


@settings(max_examples=200, deadline=None)
@given(
    cases(),
    st.sampled_from([None, "system"]),
    st.sampled_from([None, "at"]),
    st.sampled_from([0, 0.5, 2]),
    st.sampled_from([0, 16]),
)
def test_equals_the_naive_model(
    case: tuple[gpd.GeoDataFrame, gpd.GeoDataFrame],
    system: str | None,
    at: str | None,
    tolerance_m: float,
    spare: int,
) -> None:
    points, polygons = case
    # without spare polygons each edition has an index of its own, with them all share one
    with mock.patch.object(systems, "_SPARE", spare):
        result = assign(points, polygons, system=system, at=at, tolerance_m=tolerance_m)
    expected = naive(points, polygons, system=system, at=at, tolerance_m=tolerance_m)
    assert told(result) == expected
    count = polygons["system"].nunique() if system else 1
    assert len(result) == len(points) * count
    assert summarise(result)["count"].sum() == len(result)
    assert ((result["reason"].notna()) == (result["status"] == "unassigned")).all()


@settings(deadline=None)
@given(cases())
def test_neither_the_order_of_polygons_nor_z_matters(
    case: tuple[gpd.GeoDataFrame, gpd.GeoDataFrame],
) -> None:
    points, polygons = case
    first = assign(points, polygons, system="system", at="at")
    turned = polygons.iloc[::-1].set_geometry(shapely.force_3d(polygons.geometry[::-1], 9.0))
    pd.testing.assert_frame_equal(first, assign(points, turned, system="system", at="at"))


@settings(max_examples=30)
@given(cases(), st.sampled_from([0, 0.5]), st.sampled_from([0, 16]))
def test_grids_made_ready_once_answer_the_same(
    case: tuple[gpd.GeoDataFrame, gpd.GeoDataFrame], tolerance_m: float, spare: int
) -> None:
    points, polygons = case
    whole = assign(points, polygons, system="system", at="at", tolerance_m=tolerance_m)
    with mock.patch.object(systems, "_SPARE", spare), TemporaryDirectory() as folder:
        ready = GridIndex.build(polygons, system="system", periods=("valid_from", "valid_to"))
        ready.save(Path(folder) / "grids")
        mapped = GridIndex.open(Path(folder) / "grids")
        for grids_ in (ready, pickle.loads(pickle.dumps(ready)), mapped):
            again = assign(points, grids_, at="at", tolerance_m=tolerance_m)
            pd.testing.assert_frame_equal(again, whole)
        for label, row in points.iterrows():
            if row["at"] is pd.NaT or not isinstance(row.geometry, shapely.Point):
                continue
            if row.geometry.is_empty:
                continue
            where = row.geometry.x, row.geometry.y
            placed = assign_one(*where, mapped, at=row["at"], tolerance_m=tolerance_m)
            rows = whole[whole["point"] == label].drop(columns="point")
            alone = pd.DataFrame([asdict(one) for one in placed]).astype(rows.dtypes)
            pd.testing.assert_frame_equal(alone, rows.reset_index(drop=True))


def test_many_editions_share_indexes() -> None:
    # a hundred cells, one of which changes its shape each day for a year
    days = 365
    plots = [shapely.box(k % 10, k // 10, k % 10 + 1, k // 10 + 1) for k in range(100)]
    rows = [(f"{k:03}", plot, None if k else 0, None if k else 1) for k, plot in enumerate(plots)]
    rows += [("000", shapely.box(0, 0, 1 - day / 1000, 1), day, day + 1) for day in range(1, days)]
    cells = gpd.GeoDataFrame(
        {
            "id": [row[0] for row in rows],
            "valid_from": stamps(*(row[2] for row in rows)),
            "valid_to": stamps(*(row[3] for row in rows)),
        },
        geometry=[row[1] for row in rows],
        crs=METRES,
    )
    ready = GridIndex.build(cells, periods=("valid_from", "valid_to"))
    assert 2 < len(ready.systems[0].eras) < 20
    at = [*range(days), days + 1]
    points = dots(*[(0.9, 0.5)] * len(at), at=stamps(*at))
    result = assign(points, ready, at="at")
    assert result["status"].tolist() == [
        "unassigned" if day > days else "inside" if day < 100 else "boundary" if day == 100
        else "unassigned" for day in at
    ]  # fmt: skip
    assert assign(dots((9.5, 9.5), at=stamps(-9999)), ready, at="at")["grid"].tolist() == ["099"]


def test_versions_of_one_shape_are_one_polygon() -> None:
    cells = grids(*[(0, 0, 1, 1)] * 3, (1, 0, 2, 1), id=["a", "a", "a", "b"])
    cells["valid_from"], cells["valid_to"] = stamps(0, 1, 3, 0), stamps(1, 2, 4, None)
    ready = GridIndex.build(cells, periods=("valid_from", "valid_to"))
    assert len(ready.systems[0].codes) == 3  # the gap on day 2 stays
    at = stamps(0, 1, 2, 3, 4)
    result = assign(dots(*[(0.5, 0.5)] * 5, at=at), ready, at="at")
    assert result["grid"].tolist() == ["a", "a", None, "a", None]


def test_grids_made_ready_still_refuse_what_does_not_fit(tmp_path: Path) -> None:
    cells = grids((0, 0, 1, 1), valid_from=stamps(0), valid_to=stamps(None))
    ready = GridIndex.build(cells, periods=("valid_from", "valid_to"))
    with pytest.raises(BadInstant, match="at="):
        assign(dots((0, 0)), ready)
    with pytest.raises(BadInstant, match="aware"):
        assign_one(0, 0, ready, at=pd.Timestamp("2024-01-01"))
    with pytest.raises(BadInstant, match="aware"):
        assign_one(0, 0, ready)
    with pytest.raises(MixedCRS):
        assign(dots((0, 0), crs=4490, at=stamps(0)), ready, at="at")
    with pytest.raises(BadDistance):
        assign_one(0, 0, ready, at=DAY, tolerance_m=-1)
    with pytest.raises(MissingIds, match="no code that a file can hold"):
        GridIndex.build(cells.assign(id=[1.5])).save(tmp_path / "grids")
    CellIndex.build(cells.geometry.to_numpy()).save(tmp_path / "cells")
    with pytest.raises(UnreadableIndex, match="something else"):
        GridIndex.open(tmp_path / "cells")


@pytest.mark.parametrize("year", ["0000-01-01", "-0044-03-15", "10000-01-01"])
def test_a_year_that_is_none_is_refused(year: str) -> None:
    far = pd.Series(np.array([year], dtype="datetime64[us]")).dt.tz_localize("UTC")
    cells = grids((0, 0, 1, 1), valid_from=stamps(None), valid_to=stamps(None))
    with pytest.raises(BadInstant, match=r"row 0 of at: .* lies outside the years 1 to 9999"):
        assign(dots((0, 0), at=far), cells, at="at")
    with pytest.raises(BadInstant, match="row 0 of valid_to"):
        assign(dots((0, 0), at=stamps(0)), cells.assign(valid_to=far), at="at")
    with pytest.raises(BadInstant, match="can't be read"):
        clean_instants(pd.Series([year]), UTC)


def test_a_shared_edge_or_vertex_goes_to_the_lowest_code_and_is_flagged() -> None:
    four = grids((0, 0, 1, 1), (1, 0, 2, 1), (0, 1, 1, 2), (1, 1, 2, 2), id=["9", "10", "a", "A"])
    result = assign(dots((1, 0.5), (1, 1), (0, 0), (0.5, 1), (1, 1.5)), four)
    assert result["grid"].tolist() == ["10", "10", "9", "9", "A"]
    assert result["status"].tolist() == ["boundary"] * 5
    assert result["candidates"].tolist() == [2, 4, 1, 2, 2]
    assert (result["distance_m"] == 0).all()


def test_one_ulp_decides_beside_an_edge() -> None:
    edge = 0.1 + 0.2
    two = grids((0, 0, edge, 1), (edge, 0, 1, 1))
    beside = [np.nextafter(edge, 0), edge, np.nextafter(edge, 1)]
    result = assign(dots(*((x, 0.7) for x in beside)), two)
    assert result["grid"].tolist() == ["a", "a", "b"]
    assert result["status"].tolist() == ["inside", "boundary", "inside"]


def test_one_ulp_decides_beside_a_slanted_edge() -> None:
    triangle = shapely.Polygon([(0, 0), (3, 1), (0, 1)])
    cells = gpd.GeoDataFrame({"id": ["a"]}, geometry=[triangle], crs=METRES)
    y = 0.5  # (1.5, 0.5) lies exactly on the edge
    heights = [np.nextafter(y, 1), y, np.nextafter(y, 0)]
    result = assign(dots(*((1.5, height) for height in heights)), cells)
    assert result["status"].tolist() == ["inside", "boundary", "unassigned"]


def test_holes_overlaps_and_gaps() -> None:
    ringed = shapely.box(0, 0, 6, 6).difference(shapely.box(2, 2, 4, 4))
    cells = gpd.GeoDataFrame(
        {"id": ["a", "b", "c"]},
        geometry=[ringed, shapely.box(5, 0, 8, 6), shapely.box(9, 0, 10, 6)],
        crs=METRES,
    )
    places = dots((3, 3), (2, 3), (5.5, 1), (5, 1), (6, 1), (8.5, 1), (9.5, 1))
    result = assign(places, cells)
    assert result["grid"].tolist() == [None, "a", "a", "a", "a", None, "c"]
    assert result["status"].tolist() == [
        *("unassigned", "boundary", "several", "several", "boundary", "unassigned", "inside")
    ]
    assert result["reason"].dropna().unique().tolist() == ["outside every polygon"]


def test_an_edition_begins_at_its_instant() -> None:
    editions = grids((0, 0, 2, 1), (0, 0, 1, 1), (1, 0, 2, 1), id=["old", "new1", "new2"])
    editions["valid_from"], editions["valid_to"] = stamps(0, 1, 1), stamps(1, None, None)
    change, tick = DAY + timedelta(days=1), timedelta(microseconds=1)
    times = [DAY - tick, DAY, change - tick, change, change + timedelta(days=9999), pd.NaT]
    at = pd.Series(times, dtype="datetime64[us, UTC]")
    result = assign(dots(*[(1.5, 0.5)] * 6, at=at), editions, at="at")
    assert result["grid"].tolist() == [None, "old", "old", "new2", "new2", None]
    assert result["reason"].tolist() == [
        *("no polygon is valid then", None, None, None, None, "no instant")
    ]


def test_an_edition_begins_at_midnight_of_the_city_not_of_utc() -> None:
    editions = grids((0, 0, 1, 1), (0, 0, 1, 1), id=["old", "new"])
    changes = clean_instants(pd.Series(["1986-05-05", "1986-05-05"]), ZoneInfo("Asia/Shanghai"))
    editions["valid_from"] = changes.where([False, True])
    editions["valid_to"] = changes.where([True, False])
    # in summer time, which began the day before, midnight is 15:00Z and not 16:00Z
    local = pd.Series(["1986-05-04 23:59:59", "1986-05-05 00:00:00"])
    at = clean_instants(local, ZoneInfo("Asia/Shanghai"))
    assert at[1].hour == 15
    at = at.dt.tz_convert("America/New_York").dt.as_unit("ns")
    result = assign(dots((0.5, 0.5), (0.5, 0.5), at=at), editions, at="at")
    assert result["grid"].tolist() == ["old", "new"]


def test_a_code_may_come_back_in_a_later_edition() -> None:
    editions = grids((0, 0, 1, 1), (1, 0, 2, 1), id=["a", "a"])
    editions["valid_from"], editions["valid_to"] = stamps(None, 1), stamps(1, None)
    result = assign(dots((0.5, 0.5), (0.5, 0.5), at=stamps(0, 1)), editions, at="at")
    assert result["grid"].tolist() == ["a", None]
    with pytest.raises(DuplicateIds, match="'a' is the code of two polygons of system ''"):
        assign(dots((0.5, 0.5)), editions)


def test_each_system_has_its_own_row_for_each_point() -> None:
    cells = grids(
        (0, 0, 2, 2), (0, 0, 1, 1), (1, 0, 2, 1), system=["b", "a", "a"], id=["x", "x", "y"]
    )
    points = dots((1.5, 0.5), (0.5, 1.5)).set_index(pd.Index(["p", "q"]))
    result = assign(points, cells, system="system")
    assert list(zip(result["point"], result["system"], result["grid"], strict=True)) == [
        *(("p", "a", "y"), ("p", "b", "x"), ("q", "a", None), ("q", "b", "x"))
    ]


def test_the_nearest_within_the_tolerance() -> None:
    cells = grids((0, 0, 10, 10), (20, 0, 30, 10), (10, 30, 20, 40), id=["9", "10", "c"])
    base = cells.set_geometry(cells.translate(EAST, NORTH))
    xy = [(15, 5), (14, 5), (-4, 5), (-6, 5), (15, 25.5)]
    points = dots(*((EAST + x, NORTH + y) for x, y in xy))
    result = assign(points, base, tolerance_m=5.01)
    assert result["grid"].tolist() == ["10", "9", "9", None, "c"]
    assert result["status"].tolist() == ["nearest"] * 3 + ["unassigned", "nearest"]
    assert result["distance_m"].tolist()[:3] == pytest.approx([5, 4, 4], abs=1e-3)
    assert result["candidates"].tolist() == [2, 1, 1, 0, 1]
    assert result["reason"][3] == "more than 5.01 m from every polygon"


def test_metres_are_metres_in_degrees_and_stray_points_spoil_nothing() -> None:
    cells = grids((120.0, 60.0, 120.1, 60.1), crs=CRS84)
    degree_m = 55800.0  # of longitude at 60 degrees north
    east = [120.1 + metres / degree_m for metres in (90, 110)]
    xy = [*((x, 60.05) for x in east), (0, 0), (-60, -60), (120, 95), (1e6, -1e6)]
    result = assign(dots(*xy, crs=4326), cells, tolerance_m=100)
    assert result["status"].tolist() == ["nearest"] + ["unassigned"] * 5
    assert result["distance_m"][0] == pytest.approx(90, rel=0.01)


def test_points_that_are_nowhere_are_kept_with_the_reason() -> None:
    points = gpd.GeoDataFrame(
        geometry=[None, shapely.Point(), shapely.Point(np.nan, 1), shapely.Point(-np.inf, 1)],
        crs=METRES,
    )
    result = assign(points, grids((0, 0, 1, 1)), tolerance_m=1e6)
    assert result["status"].tolist() == ["unassigned"] * 4
    assert result["grid"].tolist() == [None] * 4
    assert result["reason"].tolist() == ["no point", "empty point", *["coordinates not finite"] * 2]


def test_nothing_to_assign_or_nowhere_to() -> None:
    none = assign(dots(), grids((0, 0, 1, 1)))
    assert len(none) == 0
    assert list(none) == list(assign(dots((0, 0)), grids((0, 0, 1, 1))))
    assert len(summarise(none)) == 0
    nowhere = assign(dots((0, 0)), grids(), tolerance_m=5)
    assert nowhere["reason"].tolist() == ["no polygon is valid then"]
    with pytest.raises(EmptyInput):
        assign(dots((0, 0)), grids(system=[]), system="system")
    hollow = gpd.GeoDataFrame({"id": ["a", "b"]}, geometry=[None, shapely.Polygon()], crs=METRES)
    assert assign(dots((0, 0)), hollow, tolerance_m=5)["status"].tolist() == ["unassigned"]


def test_the_frames_that_come_in_stay_as_they_were() -> None:
    points, cells = dots((0.5, 0.5)), grids((0, 0, 1, 1))
    assign(points, cells)
    assert not shapely.is_prepared(cells.geometry.to_numpy()).any()
    assert list(points) == ["geometry"]


def test_summarises_with_the_unassigned_last() -> None:
    cells = grids((0, 0, 1, 1), (1, 0, 2, 1), id=[9, 10])
    result = assign(dots((0.5, 0.5), (0.2, 0.5), (1.5, 0.5), (1, 0.5), (7, 7)), cells)
    counts = summarise(result)
    assert list(counts.itertuples(index=False, name=None)) == [
        ("", 10, "boundary", 1),
        ("", 10, "inside", 1),
        ("", 9, "inside", 2),
        ("", None, "unassigned", 1),
    ]


def test_refuses_frames_that_do_not_fit() -> None:
    points, cells = dots((0.5, 0.5), at=stamps(0)), grids((0, 0, 1, 1), (1, 0, 2, 1))
    with pytest.raises(MissingCRS):
        assign(points.set_crs(None, allow_override=True), cells)
    with pytest.raises(MissingCRS):
        assign(points, cells.set_crs(None, allow_override=True))
    with pytest.raises(MixedCRS):
        assign(points, cells.set_crs(4490, allow_override=True))
    with pytest.raises(WrongGeometryType):
        assign(cells, cells)
    with pytest.raises(WrongGeometryType):
        assign(points, points.assign(id="a"))
    with pytest.raises(MissingColumn):
        assign(points, cells, key="code")
    with pytest.raises(MissingColumn):
        assign(points, cells, system="kind")
    with pytest.raises(MissingColumn):
        assign(points, cells, at="when")
    with pytest.raises(MissingColumn):
        assign(points, cells, at="at")
    with pytest.raises(DuplicateIds):
        assign(points, cells.assign(id="a"))
    with pytest.raises(MissingIds, match="row 1 has no 'id'"):
        assign(points, cells.assign(id=["a", None]))
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(BadDistance):
            assign(points, cells, tolerance_m=bad)


def test_refuses_periods_that_are_none() -> None:
    points, cells = dots((0.5, 0.5), at=stamps(0)), grids((0, 0, 1, 1))
    with pytest.raises(BadPeriod, match="row 0 is valid from"):
        assign(points, cells.assign(valid_from=stamps(1), valid_to=stamps(1)), at="at")
    naive_time = pd.Series([datetime(2024, 1, 1)])
    with pytest.raises(BadInstant, match="clean_instants"):
        assign(points, cells.assign(valid_from=naive_time, valid_to=stamps(None)), at="at")
    whole = cells.assign(valid_from=None, valid_to=None)
    assert assign(points, whole, at="at")["grid"].tolist() == ["a"]


def crashes() -> gpd.GeoDataFrame:
    # its lines end in CR alone
    table = pd.read_csv(DATA / "incidents" / "police_crash_data.csv", lineterminator="\r")
    zone = ZoneInfo("America/New_York")
    at = clean_instants(table["Date Time"], zone, format="%m/%d/%y %H:%M")
    places = gpd.points_from_xy(table["Longitude"], table["Latitude"])
    return gpd.GeoDataFrame({"at": at}, geometry=places, crs=CRS84)


def precincts(name: str) -> gpd.GeoDataFrame:
    # 3-2A of 2010 is two pieces
    frame = gpd.read_file(DATA / "grids" / f"{name}.geojson")
    return frame[["WardPrecinct", "geometry"]].dissolve("WardPrecinct", as_index=False)


@here
@pytest.mark.parametrize(
    ("name", "count", "percent"),
    [("ELECTIONS_WardsPrecincts", 33, 99.1), ("ELECTIONS_WardsPrecincts2010", 34, 99.2)],
)
def test_real_crashes_in_real_precincts(name: str, count: int, percent: float) -> None:
    points, cells = crashes(), precincts(name)
    assert (len(points), len(cells)) == (10335, count)
    placed = points[np.isfinite(points.geometry.x).to_numpy()]
    assert len(placed) == 9110
    result = assign(points, cells, key="WardPrecinct")
    assert len(result) == 10335
    assert round(100 * result["grid"].notna().sum() / len(placed), 1) == percent
    joined = placed.sjoin(cells.to_crs(CRS84), predicate="intersects")
    lowest = joined.groupby(level=0)["WardPrecinct"].min()
    got = result.set_index("point")["grid"].dropna()
    assert got.to_dict() == lowest.to_dict()


@here
def test_real_crashes_meet_the_edition_of_their_day() -> None:
    midnight = clean_instants(pd.Series(["2013-01-01"]), ZoneInfo("America/New_York"))[0]
    old = precincts("ELECTIONS_WardsPrecincts2010").assign(valid_from=pd.NaT, valid_to=midnight)
    new = precincts("ELECTIONS_WardsPrecincts").assign(valid_from=midnight, valid_to=pd.NaT)
    for frame in (old, new):
        for column in ("valid_from", "valid_to"):
            frame[column] = clean_instants(frame[column], UTC)
    both = pd.concat([old, new], ignore_index=True)
    points = crashes()
    result = assign(points, both, key="WardPrecinct", at="at", tolerance_m=50)
    for edition, mine in ((old, points["at"] < midnight), (new, points["at"] >= midnight)):
        assert 2000 < mine.sum() < 8000
        alone = assign(points[mine], edition, key="WardPrecinct", tolerance_m=50)
        same = result[mine.to_numpy()].reset_index(drop=True)
        pd.testing.assert_frame_equal(same, alone, atol=1e-3)
