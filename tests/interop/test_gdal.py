"""GDAL as a client: its driver for OGC API Features against a real server."""

from __future__ import annotations

import re
import shutil
import subprocess
import urllib.parse
from contextlib import closing
from datetime import date

import geopandas as gpd
import pyogrio
import pytest
import shapely

from layers.publish import Reload
from layers.readers import Reader
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
from layers.store import open_store
from layers.writers import Writer
from tests.interop import wells
from tests.interop.conftest import Server

BOX = (-71.12, 42.37, -71.11, 42.38)


def found(server: Server, query: str = "") -> int:
    document = server.json(f"/collections/parcels/items?limit=1&count=exact{query}")
    return int(document["numberMatched"])


def test_gdal_sees_the_layers(city_server: Server) -> None:
    layers = pyogrio.list_layers(f"OAPIF:{city_server.base}")
    assert sorted(layers[:, 0]) == ["grids", "incidents", "parcels", "pipe_nodes", "pipe_segments"]


def test_gdal_reads_every_feature(city_server: Server) -> None:
    frame = pyogrio.read_dataframe(f"OAPIF:{city_server.base}", layer="parcels", PAGE_SIZE=5000)
    assert len(frame) == found(city_server)
    assert not frame.assign(shape=frame.geometry.to_wkb()).duplicated(["ml", "shape"]).any()
    assert frame.crs.to_epsg() == 4326 or "CRS84" in str(frame.crs)
    sold = frame[frame["ml"] == "169-100"].iloc[0]
    assert "1315" in sold["title_deed"]
    assert -71.2 < sold.geometry.centroid.x < -71
    assert "right_holder" not in frame


def test_gdal_pages_by_itself(city_server: Server) -> None:
    """Without a page size it follows the next links of the server's own."""
    frame = pyogrio.read_dataframe(f"OAPIF:{city_server.base}/collections/grids", PAGE_SIZE=50)
    assert len(frame) == 163
    assert not frame.duplicated(["grid_type", "grid_code"]).any()


def test_gdal_filters_by_a_box(city_server: Server) -> None:
    frame = pyogrio.read_dataframe(f"OAPIF:{city_server.base}", layer="parcels", bbox=BOX)
    # The server sends features that are nowhere as well, as the standard has it; GDAL, whose
    # spatial filter has no place for them, drops them.
    nowhere = 1
    assert len(frame) == found(city_server, f"&bbox={','.join(map(str, BOX))}") - nowhere
    assert frame.geometry.intersects(shapely.box(*BOX).buffer(1e-8)).all()


@pytest.mark.parametrize("day", ["2013-06-01", "2013-12-31T12:00:00Z"])
def test_gdal_reads_another_day(city_server: Server, day: str) -> None:
    frame = pyogrio.read_dataframe(
        f"OAPIF:{city_server.base}", layer="parcels", DATETIME=day, PAGE_SIZE=2000
    )
    with closing(open_store(city_server.dsn)) as store:
        kept = store.layer("parcels", Reader.everything()).at(day).read()
    assert sorted(frame["id"]) == sorted(kept.index)
    assert sorted(frame["id"]) != sorted(wells.read(city_server.dsn, "parcels").index)


def test_ogrinfo(city_server: Server) -> None:
    program = shutil.which("ogrinfo")
    if program is None:
        pytest.skip("gdal-bin is not installed")
    said = subprocess.run(
        [program, "-ro", "-so", "-al", f"OAPIF:{city_server.base}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "ERROR" not in said.stderr
    counts = dict(re.findall(r"Layer name: (\w+)\n.*?Feature Count: (\d+)", said.stdout, re.S))
    assert counts["grids"] == "163"
    assert counts["parcels"] == str(found(city_server))


def test_odd_ids_pass_a_real_server(own_server: Server) -> None:
    ids = ["a/b", "50%2Foff", "宗地 1/2"]
    schema = parse_schema(
        {
            "title": "Odd",
            "geometry": "Point",
            "visibility": "public",
            "fields": [{"id": "no", "role": "key"}],
        }
    )
    points = [shapely.Point(i, i) for i in range(3)]
    frame = gpd.GeoDataFrame({"no": ids}, geometry=points, crs="OGC:CRS84")
    reload = Reload(FrameSource(frame), schema=schema, valid_from=date(2020, 1, 1))
    with closing(open_store(own_server.dsn)) as store:
        store.commit({"odd": reload}, Writer("t"), "")
    for i in ids:
        for more in ("", "/versions"):
            there = f"/collections/odd/items/{urllib.parse.quote(i, safe='')}{more}"
            assert own_server.json(there)["id"] == i
