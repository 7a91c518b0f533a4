"""Files as sources: what can be read, and what is said of what can't."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from publishing import START, counts, layer, points, publish

from layers.batches import BATCH_ROWS
from layers.errors import BadRequest, BadSource
from layers.model import Kind
from layers.schemas.documents import parse_schema
from layers.schemas.inference import Choices
from layers.sources import open_source
from layers.sourcing.frames import FrameSource
from layers.store import Store

CRASHES = {
    "kind": "event",
    "title": "Crashes",
    "geometry": "Point",
    "time_zone": "America/New_York",
    "coordinates": ["X", "Y"],
    "fields": [],
}


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadSource, match="does not exist"):
        open_source(tmp_path / "nothing.geojson")


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.geojson"
    path.touch()
    with pytest.raises(BadSource, match="is empty"):
        open_source(path)


@pytest.mark.parametrize("name", ["a.geojson", "a.shp", "a.gpkg", "a.parquet", "a.zip", "a.xyz"])
def test_no_geodata(store: Store, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"this is no geodata")
    with pytest.raises(BadSource, match=name):
        publish(store, "t", open_source(path), valid_from=START)


def test_a_file_without_rows(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    path.write_text("no,x,y\n", encoding="utf-8")
    with pytest.raises(BadRequest):
        publish(store, "t", open_source(path, coordinates=("x", "y")), valid_from=START)


@pytest.mark.parametrize("suffix", [".geojson", ".geojson.gz", ".gpkg", ".shp", ".parquet"])
def test_every_format_says_the_same(store: Store, tmp_path: Path, suffix: str) -> None:
    frame = points(no=["1", "2"], 名=["甲", None], n=[1.5, 2.5])
    path = tmp_path / f"f{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix == ".geojson.gz":
        with gzip.open(path, "wt", encoding="utf-8") as file:
            file.write(frame.to_json(drop_id=True))
    else:
        frame.to_file(path, encoding="utf-8", engine="pyogrio")
    publish(store, "t", open_source(path), valid_from=START, choices=Choices(keys=("no",)))
    read = layer(store, "t").at().read()
    assert [None if pd.isna(v) else v for v in read["名"]] == ["甲", None]
    assert read["n"].tolist() == [1.5, 2.5]
    assert read.geometry.tolist() == frame.geometry.tolist()


def test_a_table_with_coordinates_in_another_encoding(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "gbk.csv"
    path.write_bytes("no,名称,x,y\r\n1,井盖,120.5,31\r\n2,,,\r\n".encode("gbk"))
    source = open_source(path, encoding="GBK", coordinates=("x", "y"))
    document = {"title": "t", "geometry": "Point", "coordinates": ["x", "y"]}
    fields = [{"id": "no", "role": "key"}, {"id": "名称"}]
    report = publish(
        store, "t", source, parse_schema(document | {"fields": fields}), crs=points(no=["1"]).crs
    )
    assert report.findings.without_geometry.count == 1
    frame = layer(store, "t").at().read()
    assert frame["名称"].iloc[0] == "井盖"
    assert frame.geometry.iloc[0] == shapely.Point(120.5, 31)
    wrong = open_source(path, coordinates=("x", "y"))
    with pytest.raises(BadSource, match="encoding"):
        publish(store, "u", wrong, valid_from=START, crs=points(no=["1"]).crs)


def test_more_rows_than_a_batch_keep_their_numbers() -> None:
    count = BATCH_ROWS + 3
    shapes = shapely.points(np.zeros((count, 2)))
    frame = gpd.GeoDataFrame({"no": range(count)}, geometry=shapes, crs=4326)
    first, second = FrameSource(frame).batches()
    assert (first.first_row, len(first), second.first_row, len(second)) == (
        1, BATCH_ROWS, BATCH_ROWS + 1, 3,
    )  # fmt: skip
    assert second.columns["no"].to_pylist() == [BATCH_ROWS, BATCH_ROWS + 1, BATCH_ROWS + 2]


def test_dates_as_milliseconds(store: Store) -> None:
    document = {"title": "t", "geometry": "Point", "time_zone": "Asia/Shanghai"}
    fields = [
        {"id": "no", "role": "key"},
        {"id": "at", "type": "instant"},
        {"id": "on", "type": "date"},
    ]
    day = datetime(2014, 6, 1, tzinfo=UTC)
    number = int(day.timestamp() * 1000)
    frame = points(no=["1"], at=[number], on=[number])
    publish(store, "t", frame, parse_schema(document | {"fields": fields}))
    row = layer(store, "t").at().read().iloc[0]
    assert row["at"] == day
    assert row["on"] == day.date()


def test_the_real_crashes_as_events(store: Store, shared: Path) -> None:
    """10,335 rows with lone CR line ends, of which 9,110 have coordinates."""
    path = shared / "data" / "cambridge" / "incidents" / "police_crash_data.csv"
    text = path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
    header = text.replace("\r", "\n").split("\n")[0].split(",")
    x = next(h for h in header if h.strip('"').lower() in ("x", "longitude", "lon", "long"))
    y = next(h for h in header if h.strip('"').lower() in ("y", "latitude", "lat"))
    when = next(h for h in header if "date" in h.lower())
    at = {"id": "at", "type": "instant", "role": "event-start", "source": [when.strip('"')]}
    fields = [at | {"format": "%m/%d/%y %H:%M"}]
    schema = parse_schema(CRASHES | {"coordinates": [x.strip('"'), y.strip('"')], "fields": fields})
    source = open_source(path, coordinates=schema.coordinates)
    report = publish(store, "crashes", source, schema, valid_from=None, crs=points(no=["1"]).crs)
    assert report.findings.rows_read == 10_335
    assert report.findings.without_geometry.count == 10_335 - 9_110
    assert schema.kind is Kind.EVENT
    twins = sum(len(k.rows) - 1 for k in report.findings.repeated)
    assert report.created == 10_335 - twins
    found = layer(store, "crashes").at()
    assert found.count() == report.created
    june = layer(store, "crashes").at("2014-06-01/2014-06-30").read()
    table = pd.read_csv(path, lineterminator="\r", usecols=[when.strip('"')])
    dates = pd.to_datetime(table.iloc[:, 0], format="%m/%d/%y %H:%M")
    expected = ((dates >= "2014-06-01") & (dates <= "2014-06-30")).sum()
    assert expected - twins <= len(june) <= expected
    assert counts(publish(store, "crashes", source, crs=points(no=["1"]).crs)) == (0, 0, 0)


def test_a_column_of_several_types_is_named() -> None:
    with pytest.raises(BadSource, match=r"column when .*astype"):
        FrameSource(pd.DataFrame({"when": [3, "yesterday"]}), "cases")
