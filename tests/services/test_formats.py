"""Every format, read back by others' readers, says what the store itself says."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
from pyproj import CRS

from layers.model import Schema
from layers.publish import Reload
from layers.readers import INTERNAL, Reader, View
from layers.reading.streams import Patience
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
from layers.store import Snapshot, Store
from layers.territories import Territory
from layers.writers import Writer
from services.formats import STREAMS, Format
from spatial.crs import transform

EVERYTHING = Reader("key:all", (View(fields=frozenset({INTERNAL, "restricted"})),))
ZONE = "EPSG:4549"
STREAM = {found.name: found for found in STREAMS}
# Chinese, quotes, separators, line ends, formulas, emptiness, and what looks like something else.
ODD = [
    "宗地 1/2",
    'a "b", c',
    "two\r\nlines",
    "=1+1",
    "",
    " blank ",
    "007",
    "\\N",
    "𠮷\u2028",
    "null",
]
csv.field_size_limit(1 << 24)
IDS = [f"{n}:{text.strip() or 'x'}" for n, text in enumerate(ODD)]
SINCE = datetime(2020, 1, 1, 12, 30, 15, 250_000, tzinfo=UTC)


def written(snapshot: Snapshot, name: str, crs: CRS | None = None) -> bytes:
    """All of a snapshot in a format."""
    write = STREAM[name].write
    assert write is not None
    return b"".join(write(snapshot, crs))


def lines(body: bytes) -> list[Any]:
    """The features of newline-delimited GeoJSON."""
    return [json.loads(line) for line in body.decode().split("\n")[:-1]]


def from_geojson(body: bytes) -> gpd.GeoDataFrame:
    """Features as `read` has them, but that values are as JSON has them."""
    found = lines(body)
    frame = pd.DataFrame([f["properties"] for f in found])
    frame.index = pd.Index([f["id"] for f in found], name="id")
    shapes = [f["geometry"] and shapely.geometry.shape(f["geometry"]) for f in found]
    return gpd.GeoDataFrame(frame, geometry=shapes, crs="OGC:CRS84")


def read_file(body: bytes, tmp_path: Path, ending: str) -> gpd.GeoDataFrame:
    """A file as GDAL reads it."""
    path = tmp_path / f"read{ending}"
    path.write_bytes(body)
    return pyogrio.read_dataframe(path).set_index("id")


def check_geometry(found: gpd.GeoSeries, stored: gpd.GeoSeries, tolerance: float) -> None:
    """The same shapes at the same rows, and nothing where there is nothing."""
    assert list(found.isna()) == list(stored.isna())
    here = ~stored.isna().to_numpy()
    a, b = found.to_numpy()[here], stored.to_numpy()[here]
    assert shapely.equals_exact(a, b, tolerance).all()


def check_values(found: pd.DataFrame, stored: pd.DataFrame) -> None:
    """The same values, whatever types a reader has for them."""
    for name in stored.columns.drop(["geometry", "valid_from", "valid_to"]):
        a, b = found[name], stored[name]
        assert list(a.isna()) == list(b.isna()), name
        here = ~b.isna().to_numpy()
        if isinstance(b.dtype, pd.DatetimeTZDtype):
            both = pd.to_datetime(a[here], utc=True, format="ISO8601"), b[here]
            assert (abs(both[0].to_numpy() - both[1].to_numpy()) < np.timedelta64(1, "ms")).all()
        elif pd.api.types.is_numeric_dtype(b.dtype):
            assert np.array_equal(a[here].astype(float), b[here].astype(float)), name
        else:
            # FlatGeobuf has no days, only instants.
            texts = a[here].map(lambda value: str(value).removesuffix(" 00:00:00"))
            assert list(texts) == list(b[here].map(str)), name


def pipes_schema() -> Schema:
    return parse_schema(
        {
            "title": {"en": "Pipes", "zh": "管线"},
            "geometry": "LineStringZ",
            "crs": ZONE,
            "visibility": "public",
            "fields": [
                {"id": "no", "role": "key"},
                {"id": "material"},
                {"id": "count", "type": "integer"},
                {"id": "width", "type": "number"},
                {"id": "in_use", "type": "boolean"},
                {"id": "laid", "type": "date"},
                {"id": "seen", "type": "instant"},
                {"id": "geometry_note"},
                {"id": "owner", "visibility": "restricted"},
            ],
        }
    )


@pytest.fixture
def pipes(store: Store) -> Store:
    """Pipes in a zone of CGCS2000, with every type of field and every odd text."""
    count = len(ODD)
    shapes: list[Any] = [
        shapely.LineString([(480_000 + i, 3_350_000, 1.5), (480_010 + i, 3_350_020, -2)])
        for i in range(count)
    ]
    shapes[3] = None
    frame = gpd.GeoDataFrame(
        {
            "no": IDS,
            "material": ODD,
            "count": pd.array([2**53 + 1, None, *range(count - 2)], "Int64"),
            "width": [0.1, 1e-7, 1e21, None, *np.arange(count - 4) / 3],
            "in_use": pd.array([True, False, None] * 3 + [True], "boolean"),
            "laid": ["1949-10-01", None, *["2020-02-29"] * (count - 2)],
            "seen": ["2021-01-01T00:00:00.123456Z", None, *["2021-06-01T08:00:00+08:00"] * 8],
            "geometry_note": ["备注"] * count,
            "owner": ["张三"] * count,
        },
        geometry=shapes,
        crs=ZONE,
    )
    reload = Reload(FrameSource(frame), schema=pipes_schema(), valid_from=SINCE)
    store.commit({"pipes": reload}, Writer("t"), "")
    return store


def snapshot_of(store: Store, layer: str, when: str | None = None) -> Snapshot:
    return store.layer(layer, EVERYTHING).at(when)


# --- the same as the store ---------------------------------------------------------------------


def test_the_pipes_are_what_they_were(pipes: Store) -> None:
    """The fixture itself holds what it is made of; or nothing below would be looked at."""
    stored = snapshot_of(pipes, "pipes").read()
    assert stored.loc[IDS, "material"].fillna("").map(str.strip).tolist() == [
        text.strip() for text in ODD
    ]
    assert list(stored.index) == sorted(IDS, key=lambda i: i.encode())
    assert stored.geometry.isna().sum() == 1


def test_geojson_lines(pipes: Store) -> None:
    snapshot = snapshot_of(pipes, "pipes")
    body, stored = written(snapshot, "geojsonl"), snapshot.read()
    found = from_geojson(body)
    assert list(found.index) == list(stored.index)
    assert list(found.columns.drop("geometry")) == list(snapshot.fields)
    check_values(found, stored)
    moved = gpd.GeoSeries(
        transform(stored.geometry.to_numpy(), ZONE, "OGC:CRS84"), index=stored.index
    )
    check_geometry(found.geometry, moved, 1e-8)
    for feature in lines(body):
        assert feature["time"] == {"interval": ["2020-01-01T12:30:15.250000Z", ".."]}


def test_large_numbers_survive_as_text(pipes: Store) -> None:
    first = [
        f for f in lines(written(snapshot_of(pipes, "pipes"), "geojsonl")) if f["id"] == IDS[0]
    ]
    assert first[0]["properties"]["count"] == 2**53 + 1
    assert first[0]["properties"]["seen"] == "2021-01-01T00:00:00.123456Z"
    assert first[0]["properties"]["laid"] == "1949-10-01"


def test_the_sequence_has_its_separators(pipes: Store) -> None:
    snapshot = snapshot_of(pipes, "pipes")
    plain, marked = written(snapshot, "geojsonl"), written(snapshot, "geojsonseq")
    texts = marked.decode().split("\x1e")
    assert texts[0] == ""
    assert "".join(texts[1:]).encode() == plain
    assert [json.loads(text) for text in texts[1:]] == lines(plain)


def test_gdal_reads_both_sequences(pipes: Store, tmp_path: Path) -> None:
    snapshot = snapshot_of(pipes, "pipes")
    for name in ("geojsonl", "geojsonseq"):
        found = read_file(written(snapshot, name), tmp_path, f"-{name}.geojsonl")
        assert list(found.index) == list(snapshot.read().index)
        assert set(found["material"].dropna()) >= {"宗地 1/2", 'a "b", c', "two\r\nlines"}


def test_csv(pipes: Store) -> None:
    snapshot = snapshot_of(pipes, "pipes")
    text, stored = written(snapshot, "csv").decode(), snapshot.read()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["id"] for row in rows] == list(stored.index)
    assert list(rows[0]) == ["id", "valid_from", "valid_to", *snapshot.fields, "geometry"]
    for row, (_, values) in zip(rows, stored.iterrows(), strict=True):
        for name in ("material", "geometry_note", "owner"):
            assert row[name] == ("" if pd.isna(values[name]) else values[name])
        assert row["valid_from"] == "2020-01-01T12:30:15.250000Z"
        assert row["valid_to"] == ""
        assert row["in_use"] == {True: "true", False: "false"}.get(values["in_use"], "")
    assert all(
        line.endswith("\r") for line in text.split("\n") if line and not line.endswith("two")
    )
    assert text.endswith("\r\n")


def test_csv_tells_nothing_from_no_text() -> None:
    from services.formats.texts import as_csv

    assert as_csv(pa.array([None, ""], pa.string())).to_pylist() == ["", '""']


def test_csv_for_a_spreadsheet(pipes: Store) -> None:
    snapshot = snapshot_of(pipes, "pipes")
    plain, excel = written(snapshot, "csv"), written(snapshot, "csv-excel")
    assert excel.startswith(b"\xef\xbb\xbf")
    assert not plain.startswith(b"\xef\xbb\xbf")
    rows = [
        list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline="")))
        for body in (plain, excel)
    ]
    formulas = {row["material"] for row in rows[0]} - {row["material"] for row in rows[1]}
    assert formulas == {"=1+1"}
    assert "'=1+1" in {row["material"] for row in rows[1]}
    # A negative number is no formula.
    assert [row["width"] for row in rows[0]] == [row["width"] for row in rows[1]]


def test_text_has_the_order_of_the_authority(pipes: Store) -> None:
    snapshot = snapshot_of(pipes, "pipes").where(ids=[IDS[0]])
    zone = CRS.from_user_input(ZONE)
    (row,) = csv.DictReader(io.StringIO(written(snapshot, "csv", zone).decode()))
    assert shapely.from_wkt(row["geometry"]).coords[0] == (3_350_000, 480_000, 1.5)
    (feature,) = lines(written(snapshot, "geojsonl", zone))
    assert feature["geometry"]["coordinates"][0] == [3_350_000, 480_000, 1.5]


@pytest.mark.parametrize("name", ["geoparquet", "flatgeobuf", "arrow"])
@pytest.mark.parametrize("asked", [None, "EPSG:4326", "OGC:CRS84", "EPSG:4547"])
def test_columns(pipes: Store, tmp_path: Path, name: str, asked: str | None) -> None:
    snapshot, crs = snapshot_of(pipes, "pipes"), asked and CRS.from_user_input(asked)
    body, stored = written(snapshot, name, crs or None), snapshot.read()
    found = READERS[name](body, tmp_path)
    if name == "flatgeobuf":
        # The index stands for another order; ids tell which is which.
        found = found.loc[stored.index]
    assert list(found.index) == list(stored.index)
    assert found.crs.equals(CRS.from_user_input(asked or ZONE), ignore_axis_order=True)
    check_values(found, stored)
    for when in ("valid_from", "valid_to"):
        both = pd.to_datetime(found[when], utc=True), stored[when]
        assert list(both[0].isna()) == list(both[1].isna())
        assert both[0].dropna().tolist() == both[1].dropna().tolist()
    moved = stored.geometry
    if asked is not None:
        shapes = transform(stored.geometry.to_numpy(), ZONE, asked)
        moved = gpd.GeoSeries(shapes, index=stored.index)
    check_geometry(found.geometry, moved, 1e-9 if asked in ("EPSG:4326", "OGC:CRS84") else 1e-3)


def _read_parquet(body: bytes, tmp_path: Path) -> gpd.GeoDataFrame:
    return gpd.read_parquet(io.BytesIO(body)).set_index("id")


def _read_flatgeobuf(body: bytes, tmp_path: Path) -> gpd.GeoDataFrame:
    return read_file(body, tmp_path, ".fgb")


def _read_arrow(body: bytes, tmp_path: Path) -> gpd.GeoDataFrame:
    table = pa.ipc.open_stream(body).read_all()
    table.validate(full=True)
    return gpd.GeoDataFrame.from_arrow(table).set_index("id")


READERS: dict[str, Callable[[bytes, Path], gpd.GeoDataFrame]] = {
    "geoparquet": _read_parquet,
    "flatgeobuf": _read_flatgeobuf,
    "arrow": _read_arrow,
}


def test_geoparquet_says_where_its_features_are(pipes: Store) -> None:
    body, stored = written(snapshot_of(pipes, "pipes"), "geoparquet"), snapshot_of(pipes, "pipes")
    file = pq.ParquetFile(io.BytesIO(body))
    said = json.loads(file.metadata.metadata[b"geo"])
    column = said["columns"]["geometry"]
    assert said["version"] == "1.1.0"
    assert column["geometry_types"] == ["LineString Z"]
    assert CRS.from_json_dict(column["crs"]) == CRS.from_user_input(ZONE)
    assert column["bbox"][:2] == list(stored.read().total_bounds[:2])
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    # Others use the covering: a box that holds some of them finds just these.
    west = gpd.read_parquet(io.BytesIO(body), bbox=(480_000, 0, 480_000.5, 1e7))
    assert list(west["id"]) == [IDS[0]]


@pytest.mark.parametrize("name", STREAM)
@pytest.mark.parametrize("when", [None, "2013-06-01", "2013-06-01/2014-06-01"])
def test_the_city_in_every_format(
    demo_store: Store, tmp_path: Path, name: str, when: str | None
) -> None:
    """Parcels have several versions, cases are events of which some are nowhere."""
    for layer in ("parcels", "incidents"):
        if layer == "incidents" and when is not None:
            when = when.replace("2014", "2021").replace("2013", "2020")
        snapshot = demo_store.layer(layer, EVERYTHING).at(when)
        stored = snapshot.read()
        assert len(stored) > 100
        body = written(snapshot, name)
        if name in READERS:
            found = READERS[name](body, tmp_path)
            keys = list(zip(found.index, found["valid_from"], strict=True))
        elif name.startswith("csv"):
            rows = list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline="")))
            # An id that looks like a formula is guarded as any text.
            keys = [(row["id"].lstrip("'"), pd.Timestamp(row["valid_from"])) for row in rows]
        else:
            features = [json.loads(x.lstrip("\x1e")) for x in body.decode().split("\n")[:-1]]
            assert len({f["id"] for f in features}) == len(features)
            starts = [pd.Timestamp(f["time"]["interval"][0]) for f in features]
            ids = [f["id"] for f in features]
            if snapshot.has_several:
                ids = [i.rpartition(".")[0].rpartition(".")[0] for i in ids]
            keys = list(zip(ids, starts, strict=True))
            assert sum(f["geometry"] is None for f in features) == stored.geometry.isna().sum()
        expected = list(zip(stored.index, stored["valid_from"], strict=True))
        assert sorted(keys) == sorted(expected)
        if name != "flatgeobuf":
            assert keys == expected


@pytest.mark.parametrize("name", STREAM)
def test_nothing_is_a_whole_file_too(pipes: Store, tmp_path: Path, name: str) -> None:
    body = written(snapshot_of(pipes, "pipes").where(ids=[]), name)
    if name in READERS:
        found = READERS[name](body, tmp_path)
        assert len(found) == 0
        assert {"valid_from", "valid_to", "material", "owner"} <= set(found.columns)
    elif name.startswith("csv"):
        assert body.decode("utf-8-sig").count("\r\n") == 1
    else:
        assert body == b""


# --- what a reader may not see -----------------------------------------------------------------

COUNTY = Reader(
    "key:county",
    (
        View(territory=Territory(division="330106"), fields=frozenset({INTERNAL, "restricted"})),
        View(territory=Territory(), fields=frozenset({"public"})),
    ),
)


@pytest.fixture
def counties(store: Store) -> Store:
    """Two parcels in two counties, with what only their own officers see."""
    fields = [
        {"id": "no", "role": "key"},
        {"id": "code"},
        {"id": "note", "visibility": "internal"},
        {"id": "owner", "visibility": "restricted"},
    ]
    schema = parse_schema(
        {
            "title": "t",
            "geometry": "Point",
            "division": "code",
            "visibility": "public",
            "fields": fields,
        }
    )
    frame = gpd.GeoDataFrame(
        {
            "no": ["1", "2", "3"],
            "code": ["330106", "330108", "330106"],
            "note": ["mine", "theirs", None],
            "owner": ["李", "王", "赵"],
        },
        geometry=[shapely.Point(i, i) for i in range(3)],
        crs="OGC:CRS84",
    )
    reload = Reload(FrameSource(frame), schema=schema, valid_from=SINCE)
    store.commit({"parcels": reload}, Writer("t"), "")
    return store


def test_a_masked_field_is_left_out_of_json_where_it_is_not_seen(counties: Store) -> None:
    snapshot = counties.layer("parcels", COUNTY).at()
    found = {f["id"]: f["properties"] for f in lines(written(snapshot, "geojsonl"))}
    assert found == {
        "1": {"no": "1", "code": "330106", "note": "mine", "owner": "李"},
        "2": {"no": "2", "code": "330108"},
        "3": {"no": "3", "code": "330106", "note": None, "owner": "赵"},
    }
    shown = snapshot.shown
    assert found == {row._fid: shown.properties(row) for row in snapshot.rows()}


@pytest.mark.parametrize("name", STREAM)
def test_what_is_not_seen_is_in_no_format(counties: Store, tmp_path: Path, name: str) -> None:
    snapshot = counties.layer("parcels", COUNTY).at()
    body = written(snapshot, name)
    if name in READERS:
        found = READERS[name](body, tmp_path).sort_index()
        assert [None if pd.isna(v) else v for v in found["note"]] == ["mine", None, None]
        assert [None if pd.isna(v) else v for v in found["owner"]] == ["李", None, "赵"]
        body = str(found.to_dict()).encode()
    assert "李".encode() in body
    assert b"theirs" not in body
    assert "王".encode() not in body


@pytest.mark.parametrize("name", STREAM)
def test_a_field_that_nobody_granted_has_no_column(
    counties: Store, tmp_path: Path, name: str
) -> None:
    body = written(counties.layer("parcels").at(), name)
    if name in READERS:
        found = READERS[name](body, tmp_path)
        assert set(found.columns) == {"valid_from", "valid_to", "no", "code", "geometry"} | (
            {"bbox"} & set(found.columns)
        )
    for text in (b"owner", b"note", b"_sees_", "李".encode(), b"mine"):
        assert text not in body


# --- streams -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STREAM)
def test_who_stops_reading_leaves_nothing_behind(
    demo_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stream = STREAM[name].write(snapshot_of(demo_store, "parcels"), None)  # type: ignore[misc]
    assert next(stream)
    assert list(tmp_path.iterdir()) != [] or name != "flatgeobuf"
    stream.close()  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []
    assert demo_store.database.reading.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert demo_store.database.restricted.pool.checkedout() == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", STREAM)
def test_a_stream_that_nobody_reads_stops(demo_store: Store, name: str) -> None:
    from dataclasses import replace

    from layers.errors import StreamStopped

    patience = Patience()
    snapshot = replace(snapshot_of(demo_store, "parcels"), patience=patience)
    patience.stop()
    with pytest.raises(StreamStopped):
        written(snapshot, name)


def test_a_stream_that_takes_too_long_is_ended(demo_store: Store) -> None:
    from dataclasses import replace

    from layers.errors import TooMuchAsked

    for found in STREAM.values():
        snapshot = replace(snapshot_of(demo_store, "parcels"), patience=Patience(0.005))
        with pytest.raises(TooMuchAsked):
            written(snapshot, found.name)


def test_pages_and_streams_order_alike(demo_store: Store) -> None:
    snapshot = snapshot_of(demo_store, "grids")
    ids = [row._fid for row in snapshot.rows()]
    assert [f["id"] for f in lines(written(snapshot, "geojsonl"))] == ids
    assert [f["id"] for f in lines(written(snapshot.where(limit=5), "geojsonl"))] == ids[:5]


def test_names_of_formats_are_one_each() -> None:
    names = [found.name for found in STREAMS]
    assert len(names) == len(set(names))
    kinds = [kind for found in STREAMS for kind in found.media_types]
    assert len(kinds) == len(set(kinds))
    assert isinstance(STREAMS[0], Format)
