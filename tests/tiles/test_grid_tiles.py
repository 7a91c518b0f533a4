"""Tiles of grids other than Mercator's, decoded by GDAL, against the features of the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import pytest

from layers.readers import Reader
from layers.store import Store
from tiles.grids import grid, place, to_grid
from tiles.vector import tile

HALF = 20037508.342789244


def decode(content: bytes, file: Path, bounds: tuple[float, ...]) -> gpd.GeoDataFrame:
    """Read a tile as GDAL does, which knows Mercator alone, and put it where it belongs."""
    file.write_bytes(content)
    options = {"X": 0, "Y": 0, "Z": 0, "CLIP": "NO"}
    frame = pyogrio.read_dataframe(f"MVT:{file}", **options)
    west, south, east, north = bounds
    across, up = (east - west) / (2 * HALF), (north - south) / (2 * HALF)
    moved = frame.geometry.affine_transform(
        [across, 0, 0, up, west + HALF * across, south + HALF * up]
    )
    return gpd.GeoDataFrame(frame.drop(columns="geometry"), geometry=moved)


def middle(frame: gpd.GeoDataFrame, name: str, zoom: int) -> Any:
    """The tile of the middle feature."""
    ordered = frame.iloc[len(frame) // 2].geometry.centroid
    box = to_grid(name, (ordered.x, ordered.y, ordered.x, ordered.y))
    row, _, column, _ = grid(name).covering(zoom, box)
    return place(name, zoom, row, column)


@pytest.mark.parametrize(
    ("name", "zoom"),
    [("WorldCRS84Quad", 12), ("CGCS2000Quad", 12), ("Tianditu_c", 13), ("Tianditu_w", 13)],
)
@pytest.mark.parametrize("layer", ["incidents", "pipe_nodes"])
def test_points_are_where_they_belong(
    demo_store: Store, tmp_path: Path, layer: str, name: str, zoom: int
) -> None:
    snapshot = demo_store.layer(layer, Reader.anonymous()).at()
    lonlat = snapshot.read().to_crs(4326)
    where = middle(lonlat, name, zoom)
    found = decode(tile(snapshot, where), tmp_path / "tile.mvt", where.bounds).set_index("id")
    there = lonlat.to_crs(where.crs)
    west, south, east, north = where.bounds
    inside = there.cx[west:east, south:north]
    assert len(inside) > 5
    assert set(inside.index) <= set(found.index)
    both = there.loc[found.index]
    # Snapped to the tile's own units.
    assert np.abs(found.geometry.x.values - both.geometry.x.values).max() < where.unit
    assert np.abs(found.geometry.y.values - both.geometry.y.values).max() < where.unit


@pytest.mark.parametrize("name", ["CGCS2000Quad", "WorldCRS84Quad"])
def test_areas_keep_their_size_in_degrees(demo_store: Store, tmp_path: Path, name: str) -> None:
    snapshot = demo_store.layer("grids", Reader.anonymous()).at()
    lonlat = snapshot.read().to_crs(4326)
    # One tile that holds the whole city: west of 0, north of the equator.
    where = next(
        found
        for zoom in range(10, 3, -1)
        if (found := middle(lonlat, name, zoom)).bounds[0] < lonlat.total_bounds[0]
        and found.bounds[1] < lonlat.total_bounds[1]
        and found.bounds[2] > lonlat.total_bounds[2]
        and found.bounds[3] > lonlat.total_bounds[3]
    )
    found = decode(tile(snapshot, where), tmp_path / "tile.mvt", where.bounds)
    assert len(found) == len(lonlat)
    assert found.total_bounds == pytest.approx(lonlat.total_bounds, abs=where.unit)


@pytest.mark.parametrize("name", ["WorldCRS84Quad", "CGCS2000Quad", "Tianditu_c"])
def test_the_first_matrix_is_the_world(demo_store: Store, name: str) -> None:
    """A box of half the world has no image in a local system; none of it is an error."""
    for layer in ("grids", "pipe_segments", "incidents"):
        snapshot = demo_store.layer(layer, Reader.anonymous()).at()
        first = grid(name).first
        west, east = (tile(snapshot, place(name, first, 0, column)) for column in (0, 1))
        assert not east
        if layer == "incidents":
            assert west
