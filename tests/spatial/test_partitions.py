from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial.assignment import assign
from spatial.errors import (
    BadDistance,
    BadInstant,
    BadTarget,
    DuplicateIds,
    EmptyInput,
    IncompleteRun,
    MissingColumn,
    MissingCRS,
    MissingEngine,
    MissingIds,
    MixedCRS,
    UnreadableIndex,
    UnreadablePoints,
    WrongGeometryType,
)
from spatial.grids import GridIndex
from spatial.partitions.coordinates import read_wkb
from spatial.partitions.partition import assign_partition
from spatial.partitions.runs import assign_partitions
from spatial.partitions.sources import open_source

METRES = 4549
EAST, NORTH = 500000, 3300000
DAY = datetime(2024, 1, 1, tzinfo=UTC)
STATUSES = ["inside", "boundary", "several", "nearest", "unassigned"]


def squares(side: int) -> gpd.GeoDataFrame:
    """Return two systems of squares side by side, one of them of two editions."""
    boxes = [
        shapely.box(EAST + x, NORTH + y, EAST + x + 1, NORTH + y + 1)
        for x in range(side)
        for y in range(side)
    ]
    coarse = [shapely.buffer(shapely.Point(EAST + k, NORTH + k), 2) for k in range(side)]
    halfway = DAY + timedelta(days=5)
    old = {"id": [f"o{k}" for k in range(len(boxes))], "from": pd.NaT, "to": halfway}
    new = {"id": [f"n{k}" for k in range(len(boxes))], "from": halfway, "to": pd.NaT}
    round_ = {"id": [f"r{k}" for k in range(side)], "from": pd.NaT, "to": pd.NaT}
    parts = [
        gpd.GeoDataFrame({**columns, "system": name}, geometry=shapes, crs=METRES)
        for columns, name, shapes in (
            (old, "squares", boxes),
            (new, "squares", [shapely.affinity.translate(box, 0.5) for box in boxes]),
            (round_, "circles", coarse),
        )
    ]
    for part in parts:
        for name in ("from", "to"):
            part[name] = pd.to_datetime(part[name], utc=True).dt.as_unit("us")
    return pd.concat(parts, ignore_index=True)


def build(polygons: gpd.GeoDataFrame) -> GridIndex:
    return GridIndex.build(polygons, system="system", periods=("from", "to"))


def cases(count: int, side: int, seed: int = 1) -> gpd.GeoDataFrame:
    """Return synthetic cases about the squares: on edges, missing, empty, without an instant."""
    random = np.random.default_rng(seed)
    # whole and half numbers on purpose: they lie on edges
    xy = np.round(random.uniform(-1, side + 2, (count, 2)) * 2) / 2
    xy[::3] += random.uniform(0, 0.5, (len(xy[::3]), 2))
    points = shapely.points(xy + np.array([EAST, NORTH]))
    points[5::50] = None
    points[7::50] = shapely.Point()
    points[9::50] = shapely.Point(np.nan, 1)
    points[11::50] = shapely.Point(1, np.inf)
    days = pd.Series(DAY + pd.to_timedelta(random.uniform(0, 10, count), "D")).astype(
        "datetime64[us, UTC]"
    )
    days[13::50] = pd.NaT
    ids = [f"case {seed}/{k}" for k in range(count)]
    return gpd.GeoDataFrame({"no": ids, "at": days}, geometry=points, crs=METRES)


def rows(answers: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Return answers as plain values, which compare to the last bit, None for what is missing."""
    objects = answers.astype(object)
    return list(objects.where(objects.notna(), None).itertuples(index=False, name=None))


# One file


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(-2, 8), st.integers(-2, 8), st.integers(0, 9)), max_size=12),
    st.sampled_from([0.0, 0.75]),
    st.sampled_from(["WKB", "geoarrow"]),
    st.sampled_from([1, 3, 100]),
)
def test_a_file_is_answered_as_the_frame_in_it(
    places: list[tuple[int, int, int]], tolerance_m: float, encoding: Any, batch: int
) -> None:
    points = [shapely.Point(EAST + x / 2, NORTH + y / 2) for x, y, _ in places]
    points = [
        None if day == 9 else point for point, (_, _, day) in zip(points, places, strict=True)
    ]
    days = pd.Series(
        [DAY + timedelta(days=day) for _, _, day in places], dtype="datetime64[us, UTC]"
    )
    frame = gpd.GeoDataFrame({"at": days}, geometry=points, crs=METRES)
    grids = build(squares(3))
    with TemporaryDirectory() as name:
        source, target = Path(name) / "cases.parquet", Path(name) / "answers.parquet"
        # GeoPandas writes no column without a single point natively
        native = encoding if frame.geometry.notna().any() else "WKB"
        frame.to_parquet(source, geometry_encoding=native)
        made = assign_partition(
            source, grids, target, at="at", tolerance_m=tolerance_m, batch=batch
        )
        found = pd.read_parquet(target)
    expected = assign(frame, grids, at="at", tolerance_m=tolerance_m)
    assert list(found.columns) == list(expected.columns)
    assert rows(found) == rows(expected)
    assert made.rows == len(frame)
    counts = expected["status"].value_counts()
    assert [getattr(made, status) for status in STATUSES] == [counts.get(s, 0) for s in STATUSES]


@pytest.mark.parametrize("encoding", ["WKB", "geoarrow"])
def test_points_that_are_nowhere_keep_their_reason(tmp_path: Path, encoding: Any) -> None:
    frame, grids = cases(500, 4), build(squares(4))
    frame.to_parquet(tmp_path / "cases", geometry_encoding=encoding, row_group_size=64)
    assign_partition(
        tmp_path / "cases", grids, tmp_path / "answers", at="at", key="no", tolerance_m=1, batch=100
    )
    found = pd.read_parquet(tmp_path / "answers")
    assert rows(found) == rows(assign(frame.set_index("no"), grids, at="at", tolerance_m=1))
    assert set(found["reason"].dropna()) == {
        "no point", "empty point", "coordinates not finite", "no instant",
        "more than 1 m from every polygon",
    }  # fmt: skip
    assert set(found["status"]) == set(STATUSES)


def test_points_with_z_are_read_as_what_they_are_on_the_map(tmp_path: Path) -> None:
    frame, grids = cases(200, 4), build(squares(4))
    flat = frame.copy()
    high = ~(shapely.is_missing(frame.geometry) | shapely.is_empty(frame.geometry))
    frame.loc[high, "geometry"] = shapely.force_3d(frame.geometry[high], 30)
    frame.to_parquet(tmp_path / "cases")
    assign_partition(tmp_path / "cases", grids, tmp_path / "answers", at="at")
    assert rows(pd.read_parquet(tmp_path / "answers")) == rows(assign(flat, grids, at="at"))


def test_codes_that_are_whole_numbers_stay_so(tmp_path: Path) -> None:
    boxes = [shapely.box(EAST + k, NORTH, EAST + k + 1, NORTH + 1) for k in range(12)]
    polygons = gpd.GeoDataFrame({"id": range(12)}, geometry=boxes, crs=METRES)
    places = gpd.points_from_xy([EAST + 2.5, EAST + 3, EAST + 10, EAST], [NORTH + 0.5] * 3 + [0])
    frame = gpd.GeoDataFrame({"no": [7, 8, 9, 10]}, geometry=places, crs=METRES)
    frame.to_parquet(tmp_path / "cases")
    made = assign_partition(tmp_path / "cases", GridIndex.build(polygons), tmp_path / "a", key="no")
    table = pq.read_table(tmp_path / "a")
    assert table["grid"].to_pylist() == [2, 2, 10, None]
    assert table["point"].to_pylist() == [7, 8, 9, 10]
    # 10 comes before 9 in the order of text, which decides whose the shared edge is
    assert table["status"].to_pylist() == ["inside", "boundary", "boundary", "unassigned"]
    assert (made.inside, made.boundary, made.unassigned) == (1, 2, 1)


def test_a_file_that_states_no_system_is_in_degrees_as_the_standard_says(tmp_path: Path) -> None:
    frame = gpd.GeoDataFrame(geometry=[shapely.Point(120, 30)], crs="OGC:CRS84")
    frame.to_parquet(tmp_path / "cases")
    table = pq.read_table(tmp_path / "cases")
    said = table.schema.metadata[b"geo"].decode()
    bare = pd.io.json.ujson_loads(said)
    del bare["columns"]["geometry"]["crs"]
    text = pd.io.json.ujson_dumps(bare).encode()
    pq.write_table(table.replace_schema_metadata({b"geo": text}), tmp_path / "cases")
    polygon = gpd.GeoDataFrame({"id": ["a"]}, geometry=[shapely.box(119, 29, 121, 31)], crs=4326)
    made = assign_partition(tmp_path / "cases", GridIndex.build(polygon), tmp_path / "answers")
    assert made.inside == 1


def test_a_file_is_not_in_memory_as_a_whole(tmp_path: Path) -> None:
    frame = cases(200_000, 6)
    frame.to_parquet(tmp_path / "cases", row_group_size=10_000)
    before, most, read = pa.total_allocated_bytes(), 0, 0
    with open_source(tmp_path / "cases", key="no", at="at") as source:
        for part in source.batches(10_000):
            read += len(part.x)
            most = max(most, pa.total_allocated_bytes() - before)
    assert read == len(frame)
    assert most < (tmp_path / "cases").stat().st_size / 2


# Coordinates out of WKB: Shapely is the model


def encode(point: shapely.Point, form: int) -> bytes:
    flavor = "iso" if form & 1 else "extended"
    kind = {"byte_order": 0 if form & 2 else 1, "flavor": flavor}
    return shapely.to_wkb(
        shapely.set_srid(point, 4549), include_srid=bool(form & 4 and not form & 1), **kind
    )


numbers = st.floats(allow_nan=True, allow_infinity=True)
dots = st.one_of(
    st.just(shapely.Point()),
    st.builds(shapely.Point, numbers, numbers),
    st.builds(shapely.Point, numbers, numbers, st.floats(-9, 9)),
    st.tuples(*[st.floats(-9, 9)] * 3).map(
        lambda c: shapely.from_wkt("POINT M ({} {} {})".format(*c))
    ),
    st.tuples(*[st.floats(-9, 9)] * 4).map(
        lambda c: shapely.from_wkt("POINT ZM ({} {} {} {})".format(*c))
    ),
)
values = st.one_of(st.none(), st.builds(encode, dots, st.integers(0, 7)))


@settings(max_examples=300)
@given(
    st.one_of(st.lists(values, max_size=8), st.lists(st.builds(encode, dots, st.just(1)))),
    st.sampled_from([pa.binary(), pa.large_binary()]),
    st.integers(0, 3),
)
def test_coordinates_are_those_that_shapely_reads(
    texts: list[bytes | None], kind: pa.DataType, start: int
) -> None:
    found = read_wkb(pa.array(texts, kind)[start:])
    expected = shapely.from_wkb(np.array(texts[start:], dtype=object))
    full = ~(shapely.is_missing(expected) | shapely.is_empty(expected))
    xy = np.column_stack([found.x, found.y])
    np.testing.assert_array_equal(xy[full], shapely.get_coordinates(expected[full]))
    assert np.isnan(xy[~full]).all()
    np.testing.assert_array_equal(found.missing, shapely.is_missing(expected))


@pytest.mark.parametrize("text", [b"", b"\x01\x01\x00", struct.pack("<BIdd", 1, 1001, 1, 2)])
def test_what_is_no_wkb_is_refused(text: bytes) -> None:
    good = shapely.to_wkb(shapely.Point(1, 2))
    with pytest.raises(UnreadablePoints, match="between rows 40 and 43"):
        read_wkb(pa.array([good, text, good]), first=40)


# What is wrong with a file is said, and nothing is left behind


def wrong_files(folder: Path) -> dict[str, tuple[type[Exception], str]]:
    """Make files of many faults; return what each is refused with, and a word of the reason."""
    good = cases(2000, 4)
    good.drop(columns="geometry").to_parquet(folder / "plain")
    (folder / "text").write_text("id,x,y\n1,2,3\n" * 10)
    lines = [shapely.LineString([(0, 0), (1, 1)])] * len(good)
    gpd.GeoDataFrame(good[["no", "at"]], geometry=lines, crs=METRES).to_parquet(folder / "lines")
    mixed = good.copy()
    mixed.loc[1234, "geometry"] = lines[0]
    mixed.to_parquet(folder / "mixed")
    good.set_geometry(lines).set_crs(METRES).to_parquet(
        folder / "native-lines", geometry_encoding="geoarrow"
    )
    good.to_crs(4490).to_parquet(folder / "degrees")
    good.set_crs(None, allow_override=True).to_parquet(folder / "nowhere")
    good.drop(columns="at").to_parquet(folder / "timeless")
    good.drop(columns="no").to_parquet(folder / "nameless")
    good.assign(at=good["at"].dt.tz_localize(None)).to_parquet(folder / "naive")
    good.assign(at=good["at"].astype(str)).to_parquet(folder / "texts")
    good.assign(no=good["no"].where(good.index != 77)).to_parquet(folder / "unnamed")
    good.to_parquet(folder / "whole")
    content = (folder / "whole").read_bytes()
    (folder / "half").write_bytes(content[: len(content) // 2])
    column = pq.read_metadata(folder / "whole").row_group(0).column(2)
    begin = column.dictionary_page_offset or column.data_page_offset
    spoilt = content[:begin] + bytes(200) + content[begin + 200 :]
    (folder / "spoilt").write_bytes(spoilt)
    return {
        "absent": (UnreadablePoints, "no such file"),
        "plain": (UnreadablePoints, "no metadata of GeoParquet"),
        "text": (UnreadablePoints, "can't be read"),
        "lines": (WrongGeometryType, "row 0 is a LineString"),
        "mixed": (WrongGeometryType, "row 1234 is a LineString"),
        "native-lines": (WrongGeometryType, "linestring"),
        "degrees": (MixedCRS, "transform one of the two"),
        "nowhere": (MissingCRS, "set one"),
        "timeless": (MissingColumn, "'at'"),
        "nameless": (MissingColumn, "'no'"),
        "naive": (BadInstant, "not aware timestamps"),
        "texts": (BadInstant, "not aware timestamps"),
        "unnamed": (MissingIds, "row 77 has no 'no'"),
        "half": (UnreadablePoints, "can't be read"),
        "spoilt": (UnreadablePoints, "can't be read"),
    }


def test_a_file_with_a_fault_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    grids = build(squares(4))
    (tmp_path / "out").mkdir()
    for name, (error, said) in wrong_files(tmp_path).items():
        target = tmp_path / "out" / "answers"
        with pytest.raises(error, match=said) as found:
            assign_partition(tmp_path / name, grids, target, at="at", key="no", batch=500)
        assert str(found.value).startswith(str(tmp_path / name))
        assert list((tmp_path / "out").iterdir()) == []
    made = assign_partition(tmp_path / "whole", grids, tmp_path / "out/a", at="at", key="no")
    assert made.rows == 2000


def test_what_is_asked_for_must_make_sense(tmp_path: Path) -> None:
    cases(10, 4).to_parquet(tmp_path / "cases")
    before = (tmp_path / "cases").read_bytes()
    grids = build(squares(4))
    with pytest.raises(BadInstant, match="several editions"):
        assign_partition(tmp_path / "cases", grids, tmp_path / "a")
    with pytest.raises(BadDistance):
        assign_partition(tmp_path / "cases", grids, tmp_path / "a", at="at", tolerance_m=-1)
    with pytest.raises(BadTarget, match="another file"):
        assign_partition(tmp_path / "cases", grids, tmp_path / "cases", at="at")
    with pytest.raises(UnreadableIndex):
        assign_partition(tmp_path / "cases", tmp_path / "none", tmp_path / "a", at="at")
    assert (tmp_path / "cases").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["cases"]


# Many files, on real processes


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=180)
        yield client


@pytest.fixture
def index(tmp_path: Path) -> Path:
    build(squares(6)).save(tmp_path / "grids.cells")
    return tmp_path / "grids.cells"


def write(folder: Path, *frames: gpd.GeoDataFrame) -> list[Path]:
    folder.mkdir()
    for place, frame in enumerate(frames):
        frame.to_parquet(folder / f"{place}.parquet")
    return sorted(folder.iterdir())


def test_many_files_are_answered_as_one_frame(tmp_path: Path, client: Client, index: Path) -> None:
    parts = [cases(count, 6, seed) for seed, count in enumerate([700, 0, 1, 1500, 300])]
    sources = write(tmp_path / "cases", *parts)
    told: list[tuple[str, int, int | None]] = []
    table = assign_partitions(
        sources, index, tmp_path / "answers", at="at", key="no", tolerance_m=1, client=client,
        say=lambda *words: told.append(words),
    )  # fmt: skip
    found = pd.concat([pd.read_parquet(path).astype(object) for path in table["target"]])
    whole = pd.concat(parts, ignore_index=True)
    expected = assign(whole.set_index("no"), GridIndex.open(index), at="at", tolerance_m=1)
    assert rows(found) == rows(expected)
    assert table["file"].tolist() == [str(path) for path in sources]
    assert table["rows"].tolist() == [700, 0, 1, 1500, 300]
    assert table[STATUSES].sum().to_dict() == expected["status"].value_counts().to_dict()
    assert table[STATUSES].sum(axis=1).tolist() == [1400, 0, 2, 3000, 600]
    assert told[-1] == ("assign", 5, 5)
    assert [done for stage, done, _ in told if stage == "assign"] == list(range(6))
    names = sorted(path.name for path in (tmp_path / "answers").iterdir())
    assert names == [path.name for path in sources]


def test_files_of_one_name_keep_their_folders(tmp_path: Path, client: Client, index: Path) -> None:
    days = [tmp_path / "cases" / f"day={day}" for day in (1, 2)]
    for seed, day in enumerate(days):
        day.mkdir(parents=True)
        cases(20, 6, seed).to_parquet(day / "part.parquet")
    sources = [day / "part.parquet" for day in days]
    assign_partitions(sources, index, tmp_path / "answers", at="at", key="no", client=client)
    for seed, day in enumerate(days):
        found = pd.read_parquet(tmp_path / "answers" / day.name / "part.parquet")
        assert set(found["point"]) == set(cases(20, 6, seed)["no"])


def test_workers_map_the_index_and_do_not_copy_it(
    tmp_path: Path, client: Client, index: Path
) -> None:
    sources = write(tmp_path / "cases", *[cases(300, 6, seed) for seed in range(6)])
    assign_partitions(sources, index, tmp_path / "answers", at="at", client=client)
    inode, pids = index.stat().st_ino, client.run(os.getpid).values()
    mapped = {pid: mapping(pid, inode) for pid in pids}
    assert os.getpid() not in mapped
    used = [sizes for sizes in mapped.values() if sizes]
    assert used  # a worker that was too late for any of the six files has nothing mapped
    for sizes in used:
        assert sizes["Size"] * 1024 >= index.stat().st_size
        assert sizes["Private_Dirty"] == 0
    # what a task would carry, were it given the grids instead of the name of their file
    assert len(pickle.dumps(GridIndex.open(index))) < 1000


def mapping(pid: int, inode: int) -> dict[str, int]:
    """Return the kilobytes of a process's mapping of a file, by kind."""
    sizes: dict[str, int] = {}
    ours = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            ours = words[4] == str(inode)
        elif ours and words[-1] == "kB":
            name = words[0].rstrip(":")
            sizes[name] = sizes.get(name, 0) + int(words[1])
    return sizes


def kill_once(cluster: LocalCluster, folder: Path, killed: list[int]) -> Any:
    """Return what kills the workers, when told of the first file, while they write others."""

    def say(stage: str, done: int, _total: int | None) -> None:
        if stage != "assign" or killed:
            return
        limit = time.monotonic() + 60
        while not list(folder.glob(".partial-*/.partial-*")):
            assert time.monotonic() < limit, "no worker began to write"
            time.sleep(0.001)
        for nanny in cluster.workers.values():
            os.kill(nanny.pid, signal.SIGKILL)
            killed.append(nanny.pid)

    return say


def test_files_whose_workers_were_killed_are_done_anew(
    tmp_path: Path, cluster: LocalCluster, client: Client, index: Path
) -> None:
    parts = [cases(20_000, 6, seed) for seed in range(4)]
    sources = write(tmp_path / "cases", *parts)
    killed: list[int] = []
    table = assign_partitions(
        sources, index, tmp_path / "answers", at="at", key="no", batch=500, client=client,
        say=kill_once(cluster, tmp_path, killed),
    )  # fmt: skip
    assert len(killed) == 2
    assert not set(killed) & set(client.run(os.getpid).values())
    whole = pd.concat(parts, ignore_index=True).set_index("no")
    found = pd.concat([pd.read_parquet(path).astype(object) for path in table["target"]])
    assert rows(found) == rows(assign(whole, GridIndex.open(index), at="at"))
    names = sorted(path.name for path in (tmp_path / "answers").iterdir())
    assert names == [path.name for path in sources]
    assert not list(tmp_path.glob(".partial-*"))


def test_a_file_that_kills_too_many_workers_ends_all_and_leaves_nothing(
    tmp_path: Path, cluster: LocalCluster, client: Client, index: Path
) -> None:
    sources = write(tmp_path / "cases", *[cases(20_000, 6, seed) for seed in range(4)])
    scheduler = cluster.scheduler
    usual, scheduler.allowed_failures = scheduler.allowed_failures, 0
    try:
        with pytest.raises(IncompleteRun, match="no answers are kept"):
            assign_partitions(
                sources, index, tmp_path / "answers", at="at", batch=500, client=client,
                say=kill_once(cluster, tmp_path, []),
            )  # fmt: skip
    finally:
        scheduler.allowed_failures = usual
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cases", "grids.cells"]


def test_a_fault_that_only_reading_finds_ends_all_and_leaves_nothing(
    tmp_path: Path, client: Client, index: Path
) -> None:
    bad = cases(100, 6)
    bad.loc[50, "geometry"] = shapely.box(0, 0, 1, 1)
    sources = write(tmp_path / "cases", cases(100, 6), bad, cases(100, 6))
    with pytest.raises(WrongGeometryType, match=r"1\.parquet: row 50 is a Polygon"):
        assign_partitions(sources, index, tmp_path / "answers", at="at", client=client)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cases", "grids.cells"]


def test_files_that_change_meanwhile_are_noticed(
    tmp_path: Path, client: Client, index: Path
) -> None:
    sources = write(tmp_path / "cases", cases(100, 6), cases(50, 6))
    build(squares(5)).save(tmp_path / "other.cells")

    def change(source: Path, target: Path, stage: str, done: int) -> None:
        if (stage, done) == ("check", 2):
            shutil.copy(source, target)

    with pytest.raises(IncompleteRun, match=r"0\.parquet has 100 points .* 100 answers"):
        assign_partitions(
            sources, index, tmp_path / "answers", at="at", client=client,
            say=lambda stage, done, _: change(sources[1], sources[0], stage, done),
        )  # fmt: skip
    workers = client.run(os.getpid)
    with pytest.raises(UnreadableIndex, match="not the file that the work began with"):
        assign_partitions(
            sources, index, tmp_path / "answers", at="at", client=client,
            say=lambda stage, done, _: change(tmp_path / "other.cells", index, stage, done),
        )  # fmt: skip
    assert client.run(os.getpid) == workers  # none died of what it had mapped
    assert not (tmp_path / "answers").exists()
    assert not list(tmp_path.glob(".partial-*"))


def test_faults_are_found_before_any_work(tmp_path: Path, client: Client, index: Path) -> None:
    sources = write(tmp_path / "cases", cases(10, 6), cases(10, 6).to_crs(4490))
    told: list[str] = []

    def run(*named: Path, target: str = "answers", **options: Any) -> None:
        assign_partitions(
            named, index, tmp_path / target, client=client,
            say=lambda stage, *_: told.append(stage), **options,
        )  # fmt: skip

    with pytest.raises(MixedCRS, match=r"1\.parquet"):
        run(*sources, at="at")
    with pytest.raises(BadInstant, match=r"0\.parquet: the grids are of several editions"):
        run(*sources)
    with pytest.raises(EmptyInput):
        run(at="at")
    with pytest.raises(DuplicateIds, match="named twice"):
        run(sources[0], sources[0], at="at")
    with pytest.raises(BadDistance):
        run(sources[0], at="at", tolerance_m=float("nan"))
    with pytest.raises(BadTarget, match="holds something"):
        run(sources[0], target="cases", at="at")
    assert "assign" not in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cases", "grids.cells"]


def test_without_a_client_processes_are_started_and_ended(tmp_path: Path, index: Path) -> None:
    frame = cases(100, 6)
    sources = write(tmp_path / "cases", frame)
    before = set(multiprocessing.active_children())
    (tmp_path / "answers").mkdir()  # an empty one is as good as none
    started: set[Any] = set()
    table = assign_partitions(
        sources, index, tmp_path / "answers", at="at", workers=1,
        say=lambda *_: started.update(set(multiprocessing.active_children()) - before),
    )  # fmt: skip
    assert len(started) == 1
    found = pd.read_parquet(table["target"][0])
    assert rows(found) == rows(assign(frame, GridIndex.open(index), at="at"))
    assert not set(multiprocessing.active_children()) - before


def test_dask_is_asked_for_when_it_is_needed_and_not_before() -> None:
    program = (
        "import sys; from spatial.partitions.runs import assign_partitions as run\n"
        "assert not {'dask', 'distributed'} & set(sys.modules)\n"
        "sys.modules['distributed'] = None  # as if it were not installed\n"
        "run([], 'grids', 'answers')"
    )
    ended = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert ended.returncode == 1
    assert MissingEngine.__name__ in ended.stderr
    assert "pip install 'shikong[dask]'" in ended.stderr
