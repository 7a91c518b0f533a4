"""GDAL as a client: its driver for OGC API Features against a real server."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import date

import geopandas as gpd
import orjson
import pyogrio
import pytest
import shapely

from layers.publish import Reload
from layers.schemas.documents import parse_schema
from layers.sources import FrameSource
from layers.store import open_store
from layers.writers import Writer

BOX = (-71.12, 42.37, -71.11, 42.38)


@contextmanager
def serving(dsn: str) -> Iterator[str]:
    """A server in a process of its own: GDAL keeps the interpreter's lock while it waits."""
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "services.cli", "serve", "--port", str(port)],
        env=os.environ | {"DATABASE_URL": dsn},
    )
    try:
        for _ in range(600):
            assert process.poll() is None, "the server ended"
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health"):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def server(demo_template: str, make_database: Callable[..., str]) -> Iterator[str]:
    """The address of a server of the demo city."""
    with serving(make_database(demo_template)) as address:
        yield address


def matched(server: str, query: str) -> int:
    address = f"{server}/collections/parcels/items?limit=1&count=exact{query}"
    with urllib.request.urlopen(address) as answer:
        return int(orjson.loads(answer.read())["numberMatched"])


def test_gdal_sees_the_layers(server: str) -> None:
    layers = pyogrio.list_layers(f"OAPIF:{server}")
    assert sorted(layers[:, 0]) == ["grids", "incidents", "parcels", "pipe_nodes", "pipe_segments"]


def test_gdal_reads_every_feature(server: str) -> None:
    frame = pyogrio.read_dataframe(f"OAPIF:{server}", layer="parcels", PAGE_SIZE=5000)
    assert len(frame) == matched(server, "")
    assert not frame.assign(shape=frame.geometry.to_wkb()).duplicated(["ml", "shape"]).any()
    assert frame.crs.to_epsg() == 4326 or "CRS84" in str(frame.crs)
    sold = frame[frame["ml"] == "169-100"].iloc[0]
    assert "1315" in sold["title_deed"]
    assert -71.2 < sold.geometry.centroid.x < -71
    assert "right_holder" not in frame


def test_gdal_pages_by_itself(server: str) -> None:
    """Without a page size it follows the next links of the server's own."""
    frame = pyogrio.read_dataframe(f"OAPIF:{server}/collections/grids", PAGE_SIZE=50)
    assert len(frame) == 163
    assert not frame.duplicated(["grid_type", "grid_code"]).any()


def test_gdal_filters_by_a_box(server: str) -> None:
    frame = pyogrio.read_dataframe(f"OAPIF:{server}", layer="parcels", bbox=BOX)
    # The server sends features that are nowhere as well, as the standard has it; GDAL, whose
    # spatial filter has no place for them, drops them.
    nowhere = 1
    assert len(frame) == matched(server, f"&bbox={','.join(map(str, BOX))}") - nowhere
    assert frame.geometry.intersects(shapely.box(*BOX).buffer(1e-8)).all()


def test_ogrinfo(server: str) -> None:
    program = shutil.which("ogrinfo")
    if program is None:
        pytest.skip("gdal-bin is not installed")
    said = subprocess.run(
        [program, "-ro", "-so", "-al", f"OAPIF:{server}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "ERROR" not in said.stderr
    counts = dict(re.findall(r"Layer name: (\w+)\n.*?Feature Count: (\d+)", said.stdout, re.S))
    assert counts["grids"] == "163"
    assert counts["parcels"] == str(matched(server, ""))


def test_odd_ids_pass_a_real_server(empty_template: str, make_database: Callable[..., str]) -> None:
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
    dsn = make_database(empty_template)
    with closing(open_store(dsn)) as store:
        store.commit({"odd": reload}, Writer("t"), "")
    with serving(dsn) as address:
        for i in ids:
            for more in ("", "/versions"):
                there = f"{address}/collections/odd/items/{urllib.parse.quote(i, safe='')}{more}"
                with urllib.request.urlopen(there) as answer:
                    assert orjson.loads(answer.read())["id"] == i
