"""OWSLib and GDAL as clients of the WMTS of a real server."""

from __future__ import annotations

import re
import shutil
import subprocess
import urllib.request
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import rasterio
from owslib.wmts import WebMapTileService
from rasterio.enums import ColorInterp

from layers import catalog
from layers.model import Visibility
from layers.store import open_store
from tests.interop.conftest import Server
from tests.rasters import publish, write

MVT = "application/vnd.mapbox-vector-tile"
SETS = ["WebMercatorQuad", "WorldCRS84Quad", "CGCS2000Quad", "Tianditu_c", "Tianditu_w"]
# OWSLib asks an element whether it is true; what it says of `current` is wrong for that.
pytestmark = pytest.mark.filterwarnings("ignore:Truth-testing of elements:FutureWarning")
PARCELS = (-71.1601447528039, 42.35207051876413, -71.06543651026468, 42.40376072609409)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GDAL keeps tiles, where nobody says otherwise, in a folder of where it is started."""
    monkeypatch.setenv("GDAL_DEFAULT_WMS_CACHE_PATH", str(tmp_path / "gdalwmscache"))


@pytest.fixture
def service(city_server: Server) -> WebMapTileService:
    return WebMapTileService(f"{city_server.base}/wmts")


def test_owslib_reads_the_capabilities(service: WebMapTileService) -> None:
    assert (service.identification.type, service.identification.version) == ("OGC WMTS", "1.0.0")
    assert sorted(service.contents) == [
        "grids", "incidents", "parcels", "pipe_nodes", "pipe_segments",
    ]  # fmt: skip
    assert list(service.tilematrixsets) == SETS
    parcels = service.contents["parcels"]
    assert list(parcels.formats) == [MVT]
    assert parcels.boundingBoxWGS84 == pytest.approx(PARCELS, abs=1e-6)
    assert parcels.dimensions["Time"]["default"] == "current"
    matrix = service.tilematrixsets["Tianditu_c"].tilematrix["1"]
    assert matrix.topleftcorner == (90.0, -180.0)
    assert (matrix.matrixwidth, matrix.matrixheight) == (2, 1)


@pytest.mark.parametrize(
    ("name", "matrix", "row", "column"),
    # Where 42.37 N, 71.11 W is, by the definition of each.
    [
        ("WebMercatorQuad", "14", 6060, 4955),
        ("Tianditu_w", "14", 6060, 4955),
        ("CGCS2000Quad", "13", 2167, 4955),
        ("Tianditu_c", "14", 2167, 4955),
    ],
)
def test_owslib_gets_tiles_by_parameters_and_by_address(
    service: WebMapTileService, name: str, matrix: str, row: int, column: int
) -> None:
    asked = {
        "layer": "grids",
        "style": "default",
        "tilematrixset": name,
        "tilematrix": matrix,
        "row": row,
        "column": column,
        "format": MVT,
    }
    got = service.gettile(**asked).read()
    assert b"grids" in got
    with urllib.request.urlopen(service.buildTileResource(**asked, Time="current")) as answer:
        assert answer.read() == got
    with urllib.request.urlopen(service.buildTileResource(**asked, Time="2005-01-01")) as answer:
        assert (answer.status, answer.read()) == (204, b"")


def _gdalinfo(source: str) -> str:
    program = shutil.which("gdalinfo")
    if program is None:
        pytest.skip("gdal-bin is not installed")
    run = subprocess.run([program, source], capture_output=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.decode()


def test_gdal_lists_every_layer_in_every_set(city_server: Server) -> None:
    told = _gdalinfo(f"WMTS:{city_server.base}/wmts/1.0.0/WMTSCapabilities.xml")
    found = re.findall(r"_NAME=WMTS:.*,layer=(\w+),tilematrixset=(\w+)", told)
    layers = ["grids", "incidents", "parcels", "pipe_nodes", "pipe_segments"]
    assert found == [(layer, name) for layer in layers for name in SETS]


@pytest.mark.parametrize(
    ("name", "code", "pixel"),
    [
        ("WebMercatorQuad", "3857", 156543.03392804097 / 2**22),
        ("WorldCRS84Quad", "CRS84", 0.703125 / 2**21),
        ("CGCS2000Quad", "4490", 0.703125 / 2**21),
        ("Tianditu_c", "4490", 5.364418029785156e-06),
        ("Tianditu_w", "3857", 0.5971642834779395),
    ],
)
def test_gdal_places_a_layer(city_server: Server, name: str, code: str, pixel: float) -> None:
    """GDAL draws no vector tiles; it reads where they are, by corners and scales."""
    source = f"WMTS:{city_server.base}/wmts/1.0.0/WMTSCapabilities.xml"
    told = _gdalinfo(f"{source},layer=parcels,tilematrixset={name}")
    assert code in told
    size = re.search(r"Pixel Size = \((\S+),-(\S+)\)", told)
    assert size is not None
    assert float(size[1]) == pytest.approx(pixel, rel=1e-6)
    corners = re.findall(r"^(Upper Left|Lower Right).*\( *(\d+)d *(\d+)' *([\d.]+)\"W", told, re.M)
    places = [int(d) + int(m) / 60 + float(s) / 3600 for _, d, m, s in corners]
    assert places == pytest.approx([-PARCELS[0], -PARCELS[2]], abs=1e-4)


def test_gdal_draws_a_raster_layer_by_wmts(own_server: Server, tmp_path: Path) -> None:
    """The picture that GDAL puts together of our tiles is the one that was published."""
    program = shutil.which("gdalwarp")
    if program is None:
        pytest.skip("gdal-bin is not installed")
    dice = np.random.default_rng(1)
    # Fields of one colour each, larger than what drawing anew may blur at their edges.
    fields = dice.integers(0, 255, (3, 4, 5), dtype=np.uint8).repeat(40, axis=1).repeat(40, axis=2)
    colors = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    path = write(tmp_path / "picture.tif", fields, colors=colors)
    with closing(open_store(own_server.dsn)) as store:
        publish(store, "picture", path)
        with store.database.write() as connection:
            catalog.set_visibility(connection, "picture", Visibility.PUBLIC)
    source = f"WMTS:{own_server.base}/wmts/1.0.0/WMTSCapabilities.xml,layer=picture,tilematrixset="
    for name in ("WebMercatorQuad", "Tianditu_c"):
        out = tmp_path / f"{name}.tif"
        window = ["-t_srs", "EPSG:32650", "-te", "440000", "4428400", "442000", "4430000"]
        command = [program, *window, "-tr", "10", "10", f"{source}{name}", str(out)]
        # There, as GDAL keeps the tiles that it fetched in a folder beside.
        here = {"cwd": tmp_path, "capture_output": True}
        run = subprocess.run(command, **here, timeout=180, check=False)
        assert run.returncode == 0, run.stderr.decode()
        with rasterio.open(out) as drawn:
            got = drawn.read()
        # The middle of each field has its colour.
        for row in range(4):
            for column in range(5):
                middle = (
                    slice(row * 40 + 12, row * 40 + 28),
                    slice(column * 40 + 12, column * 40 + 28),
                )
                wanted = fields[:, row * 40 + 20, column * 40 + 20]
                assert np.abs(got[:3, *middle].astype(int) - wanted[:, None, None]).max() <= 1
