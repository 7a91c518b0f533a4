"""The synthetic city by the rules of its profile: sound, and with one fault of every kind."""

from __future__ import annotations

from datetime import UTC, datetime

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from city.grids import grids
from city.incidents import incidents
from city.parcels import parcels
from city.pipes import pipe_nodes, pipe_segments
from city.schemas import synthetic_schemas

from layers.errors import LayersError, UnknownLayer
from layers.publish import Reload
from layers.readers import Reader
from layers.report import Report
from layers.sourcing.frames import FrameSource
from layers.store import Store
from layers.writers import Permit, Verb, Writer

SCHEMAS = synthetic_schemas()
START = datetime(2020, 1, 1, tzinfo=UTC)
MAKERS = {"parcels": parcels, "grids": grids, "pipe_nodes": pipe_nodes,
          "pipe_segments": pipe_segments}  # fmt: skip


def made(name: str) -> gpd.GeoDataFrame:
    return pd.concat(list(MAKERS[name](11, 400)), ignore_index=True)


def publish(
    store: Store, name: str, frame: gpd.GeoDataFrame, writer: Writer | None = None
) -> Report:
    reload = Reload(FrameSource(frame), schema=SCHEMAS[name], valid_from=START, consent=True)
    done = store.commit({name: reload}, writer or Writer("test"), "synthetic")
    return done.reports[name]


def rows_of(report: Report) -> dict[tuple[str, str], list[int]]:
    return {(b.rule, b.fault): [r for r, _ in b.rows.named] for b in report.findings.broken}


def test_a_sound_city_breaks_no_rule(store: Store) -> None:
    for name in MAKERS:
        report = publish(store, name, made(name))
        assert rows_of(report) == {}
        assert report.findings.unasked == []
        assert report.findings.rows_read > 70


def test_parcels_that_overlap_and_areas_that_are_not_theirs(store: Store) -> None:
    frame = made("parcels")
    twice = frame.iloc[[7]].assign(parcel_code=frame["parcel_code"][7][:-5] + "99999")
    below = frame.iloc[[9]].assign(parcel_code=frame["parcel_code"][9][:13] + "X99998")
    frame.loc[3, "area_m2"] *= 1.5
    report = publish(store, "parcels", pd.concat([frame, twice, below], ignore_index=True))
    last = len(frame) + 1
    assert rows_of(report) == {
        ("stated-area", "area-share"): [4],
        ("strata", "overlap"): [last],
    }
    assert {rule for rule, _ in rows_of(report)} == {r.id for r in SCHEMAS["parcels"].rules}
    placed = {f.rule: f.place for f in report.findings.faults}
    assert placed["strata"].symmetric_difference(frame.geometry[7]).area < 1e-14
    assert placed["stated-area"].equals(frame.geometry[3])
    (cause,) = [c for b in report.findings.broken if b.rule == "strata" for _, c in b.rows.named]
    assert cause.startswith("overlap with row 8: ")


def test_grids_that_leave_a_gap_and_overlap(store: Store) -> None:
    frame = made("grids")
    units = np.flatnonzero(frame["grid_type"] == "unit")
    rim = shapely.coverage_union_all(frame.geometry.iloc[units]).boundary
    inside = units[shapely.distance(frame.geometry.iloc[units], rim) > 1e-6]
    lost, wide = int(inside[0]), int(inside[-1])
    frame.loc[wide, "geometry"] = frame.geometry[wide].buffer(2e-5)
    gone = frame.geometry[lost]
    frame = frame.drop(index=lost).reset_index(drop=True)
    wide = wide - 1 if wide > lost else wide
    report = publish(store, "grids", frame)
    found = rows_of(report)
    assert len(found["coverage", "gap"]) == 1
    (hole,) = [f.place for f in report.findings.faults if f.message.startswith("gap")]
    assert hole.symmetric_difference(gone).area < 0.01 * gone.area
    assert set(found) <= {
        ("coverage", "gap"), ("coverage", "overlap"), ("coverage", "overlap-sliver"),
        ("stated-area", "area-share"),
    }  # fmt: skip
    over = [b.rows.named for b in report.findings.broken if "overlap" in b.fault]
    causes = [pair for named in over for pair in named]
    assert causes
    assert all(r == wide + 1 or f"row {wide + 1}:" in c for r, c in causes)


@pytest.fixture
def piped(store: Store) -> Store:
    """A store with the nodes of a network."""
    nodes = made("pipe_nodes")
    lone = nodes.iloc[[0]].assign(exp_no="lone", feature="end")
    lone = lone.set_geometry(lone.translate(0.001), crs=nodes.crs)
    report = publish(store, "pipe_nodes", pd.concat([nodes, lone], ignore_index=True))
    assert rows_of(report) == {}
    return store


def test_each_fault_of_pipes_is_found_at_its_row(piped: Store) -> None:
    frame, nodes = made("pipe_segments"), made("pipe_nodes")
    tees = set(nodes["exp_no"][nodes["feature"] == "tee"])
    at_tee = frame["start_no"].isin(tees) | frame["end_no"].isin(tees)
    quiet, drains = np.flatnonzero(~at_tee), np.flatnonzero(~at_tee & (frame["pipe_class"] == "PS"))
    deep, nowhere, moved, back, long, other = (int(k) for k in quiet[:6])
    uphill, loop = int(drains[-1]), int(drains[-2])
    frame.loc[deep, "end_depth"] += 0.3
    frame.loc[nowhere, "start_no"] = "nowhere"
    for k, shift in ((moved, [1e-5, 0, 0]), (long, [0, 0, -100])):
        xyz = shapely.get_coordinates(frame.geometry[k], include_z=True)
        xyz[0] += shift
        frame.loc[k, "geometry"] = shapely.LineString(xyz)
    frame.loc[other, "pipe_class"] = "RQ"
    frame.loc[uphill, "flow_dir"] = "-"
    frame.loc[loop, "end_no"] = frame["start_no"][loop]
    turned = frame.iloc[[back]].rename(columns={"start_no": "end_no", "end_no": "start_no"})
    cut = int(np.flatnonzero(at_tee)[0])
    frame = pd.concat([frame.drop(index=cut), turned]).reset_index(drop=True)
    row = {k: k + 1 - (k > cut) for k in range(len(frame) + 1)}
    report = publish(piped, "pipe_segments", frame)
    assert report.findings.unasked == []
    found = rows_of(report)
    assert found["missing-node", "missing-node"] == [row[nowhere]]
    assert found["loop", "loop"] == [row[loop]]
    assert found["length", "length"] == [row[long]]
    assert found["slope", "slope"] == [row[uphill]]
    assert found["one-class", "differing"] == [row[other], row[other]]
    assert found["duplicate", "reversed-duplicate"] == [len(frame)]
    assert row[deep] in found["ground", "ground"]
    # The turned one has its numbers turned, and its shape not; the loop's end is at its start.
    assert set(found["end-apart", "end-apart"]) == {row[moved], len(frame), row[loop]}
    nodes_told = {b.rule: [c for _, c in b.rows.named] for b in report.findings.broken}
    assert "orphan-node lone: 0" in nodes_told["orphan-node"]
    cut_tees = {*made("pipe_segments").loc[cut, ["start_no", "end_no"]]} & tees
    assert set(nodes_told["tee"]) == {f"degree {name}: 2" for name in cut_tees}
    # No rule of the profile was left without a fault, and each fault lies where it was planted.
    assert {rule for rule, _ in found} == {r.id for r in SCHEMAS["pipe_segments"].rules}
    lines = frame.geometry.to_numpy()
    for fault in report.findings.faults:
        if fault.row is not None:
            assert shapely.distance(fault.place, lines[fault.row - 1]) < 1e-9, fault
    at = nodes.set_index("exp_no").geometry
    placed = {f.message: f.place for f in report.findings.faults if f.row is None}
    for name in cut_tees:
        assert shapely.force_2d(placed[f"degree {name}: 2"]).equals(shapely.force_2d(at[name]))


def test_nodes_that_were_surveyed_twice(store: Store) -> None:
    nodes = made("pipe_nodes")
    twice = nodes.iloc[[5]].assign(exp_no="twice")
    beside = nodes.iloc[[6]].assign(exp_no="beside")
    beside = beside.set_geometry(beside.translate(1e-6), crs=nodes.crs)  # 10 cm: another one
    frame = pd.concat([nodes, twice, beside], ignore_index=True)
    report = publish(store, "pipe_nodes", frame)
    last = len(nodes) + 1
    assert rows_of(report) == {("repeated-place", "repeated-place"): [last]}
    (fault,) = report.findings.faults
    assert (fault.row, fault.other_row) == (6, last) or (fault.other_row, fault.row) == (6, last)
    assert shapely.force_2d(fault.place).equals(shapely.force_2d(nodes.geometry[5]))


def _broken_cases() -> list[tuple[str, dict[str, object], str]]:
    """Of each kind of value that a case may not have: field, value, and what is said of it."""
    return [
        ("case_no", {"case_no": None}, "case_no"),
        ("reported_at", {"reported_at": "yesterday"}, "yesterday"),
    ]


@pytest.mark.parametrize(("field", "values", "said"), _broken_cases())
def test_a_case_that_no_schema_allows_refuses_the_publish(
    store: Store, field: str, values: dict[str, object], said: str
) -> None:
    frame = pd.concat(list(incidents(11, 400)), ignore_index=True)
    frame = frame.astype(dict.fromkeys(values, str))
    for name, value in values.items():
        frame.loc[3, name] = value
    with pytest.raises(LayersError, match=said) as error:
        publish(store, "incidents", frame)
    assert field in str(error.value)
    assert "4" in str(error.value)
    with pytest.raises(UnknownLayer):
        store.layer("incidents", Reader.everything())


def test_codes_of_no_list_are_said_and_stay(store: Store) -> None:
    frame = pd.concat(list(incidents(11, 400)), ignore_index=True)
    frame.loc[3, "source"] = "pigeon"
    frame.loc[8, "urgency"] = None
    report = publish(store, "incidents", frame)
    assert rows_of(report) == {("codes source", "unlisted-code"): [4]}
    (broken,) = report.findings.broken
    assert broken.rows.named == [(4, "'pigeon' is in no list of source")]
    reported = pd.Timestamp(frame["reported_at"][3]).tz_convert("UTC").to_pydatetime()
    cases = store.layer("incidents", Reader.everything()).at(reported).read()
    assert (cases["source"] == "pigeon").sum() == 1


def test_who_publishes_pipes_alone_is_told_nothing_of_the_nodes(piped: Store) -> None:
    publish(piped, "pipe_segments", made("pipe_segments"))
    frame = made("pipe_segments")
    frame.loc[0, "start_no"] = "nowhere"
    permits = (Permit(frozenset({Verb.PUBLISH}), layers="layer:pipe_segments", internal=True),)
    reload = Reload(FrameSource(frame), valid_from=datetime(2021, 1, 1, tzinfo=UTC), consent=True)
    done = piped.commit({"pipe_segments": reload}, Writer("pipes", permits), "pipes alone")
    report = done.reports["pipe_segments"]
    assert rows_of(report) == {}
    told = [r for r in report.findings.unasked if "pipe_nodes, which is another's" in r]
    assert len(told) == len(report.findings.unasked) == 6
