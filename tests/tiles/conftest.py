"""Tiles as GDAL decodes them, and where a tile lies."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import pyogrio
import pytest

from tiles.grids import Place, place

Decode = Callable[[bytes, Place], gpd.GeoDataFrame]


@pytest.fixture
def decode(tmp_path: Path) -> Decode:
    """Read a tile of one layer as GDAL does, in metres of EPSG:3857, with all of its margin."""

    def read(content: bytes, where: Place) -> gpd.GeoDataFrame:
        file = tmp_path / f"{where.zoom}-{where.column}-{where.row}.mvt"
        file.write_bytes(content)
        [[name, _]] = pyogrio.list_layers(f"MVT:{file}").tolist()
        options = {"X": where.column, "Y": where.row, "Z": where.zoom, "CLIP": "NO"}
        found = pyogrio.read_dataframe(f"MVT:{file}", layer=name, **options)
        return gpd.GeoDataFrame(found).set_crs(3857, allow_override=True)

    return read


@pytest.fixture
def tile_at() -> Callable[[float, float, int], Place]:
    """Return the tile of the web's Mercator grid in which a point lies."""

    def find(lon: float, lat: float, zoom: int) -> Place:
        y = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
        row, column = int(y * 2**zoom), int((lon + 180) / 360 * 2**zoom)
        return place("WebMercatorQuad", zoom, row, column)

    return find
