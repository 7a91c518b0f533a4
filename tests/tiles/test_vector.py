"""Vector tiles, decoded by GDAL, against the features that a box has."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyogrio
import pytest
import shapely

from layers.readers import Reader
from layers.store import Store
from spatial.periods import Interval
from tiles.errors import NotAnInstant, TileOutside, UnknownMatrixSet
from tiles.grids import DEEPEST, place
from tiles.vector import EXTENT, tile

NAME = "WebMercatorQuad"
HALF = 20037508.342789244
NOW, THEN = None, datetime(2013, 6, 1, 4, tzinfo=UTC)
HIDDEN = {"right_holder", "reporter_name", "reporter_phone", "last_editor", "created_user"}


def address(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    """Row and column of the tile that has a point."""
    n = 2**zoom
    x = (lon + 180) / 360
    y = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
    return int(y * n), int(x * n)


def decode(content: bytes, folder: Path, zoom: int, row: int, column: int) -> gpd.GeoDataFrame:
    """Read a tile as GDAL does, in metres of EPSG:3857."""
    file = folder / f"{zoom}-{column}-{row}.mvt"
    file.write_bytes(content)
    layers = pyogrio.list_layers(
        f"MVT:{file}",
    )
    assert len(layers) == 1
    options = {"X": column, "Y": row, "Z": zoom, "CLIP": "NO"}
    return gpd.GeoDataFrame(
        pyogrio.read_dataframe(f"MVT:{file}", layer=layers[0][0], **options)
    ).set_crs(3857, allow_override=True)


def snapshot(store: Store, layer: str, when: Any = None) -> Any:
    return store.layer(layer, Reader.anonymous()).at(when)


def expected(found: Any, zoom: int, row: int, column: int) -> gpd.GeoDataFrame:
    """The features that meet the tile with its margin, in metres."""
    west, south, east, north = place(NAME, zoom, row, column).bounds
    margin = (east - west) * 64 / EXTENT
    box = shapely.box(west - margin, south - margin, east + margin, north + margin)
    # A unit more, for what is moved into the margin when it is snapped.
    unit = (east - west) / EXTENT
    box = box.buffer(unit, join_style="mitre")
    lonlat = gpd.GeoSeries([box], crs=3857).to_crs(4326).total_bounds
    frame = found.read(bbox=tuple(lonlat)).to_crs(3857)
    return frame[frame.geometry.intersects(box)]


@pytest.mark.parametrize(
    ("layer", "when", "zoom"),
    [
        ("parcels", NOW, 16),
        ("parcels", THEN, 16),
        ("parcels", NOW, 14),
        ("parcels", THEN, 14),
        ("grids", THEN, 13),
        ("incidents", NOW, 14),
        ("pipe_nodes", NOW, 14),
    ],
)
def test_a_tile_has_the_features_that_meet_it(
    demo_store: Store, tmp_path: Path, layer: str, when: Any, zoom: int
) -> None:
    row, column = address(-71.1106, 42.3735, zoom)
    found = snapshot(demo_store, layer, when)
    where = place(NAME, zoom, row, column)
    got = decode(tile(found, where, ("id",)), tmp_path, zoom, row, column)
    wanted = expected(found, zoom, row, column)
    assert len(wanted) > 10
    assert got["id"].is_unique
    unit = 2 * HALF / 2**zoom / EXTENT
    ids = set(got["id"])
    # What only grazes the margin, or is smaller than a unit, may be dropped when it is snapped.
    sure = wanted[
        wanted.geometry.intersects(shapely.box(*place(NAME, zoom, row, column).bounds))
        & ((wanted.geometry.area > 9 * unit * unit) | (wanted.geom_type == "Point"))
    ]
    assert set(sure.index) <= ids <= set(wanted.index)
    if layer in ("parcels", "grids"):
        box = shapely.box(*place(NAME, zoom, row, column).bounds)
        ours = got.set_index("id").geometry.make_valid().intersection(box).area
        theirs = wanted.geometry.intersection(box).area
        outline = wanted.geometry.intersection(box).length
        for i in sure.index:
            assert abs(ours[i] - theirs[i]) <= 2 * unit * outline[i] + 4 * unit * unit, i


def test_a_tile_of_then_is_not_that_of_now(demo_store: Store, tmp_path: Path) -> None:
    row, column = address(-71.1195, 42.3741, 16)
    deeds = {}
    for name, when in (("then", THEN), ("now", NOW)):
        content = tile(snapshot(demo_store, "parcels", when), place(NAME, 16, row, column))
        frame = decode(content, tmp_path, 16, row, column).set_index("id")
        if "title_deed" not in frame:
            frame["title_deed"] = None  # an attribute that no feature has is not in a tile
        deeds[name] = frame.loc["169-100", ["title_deed", "valid_from"]].tolist()
    assert deeds["then"][1] == "2013-01-01T05:00:00.000000Z"
    assert deeds["now"] == ["Book 1315, page 208 (synthetic)", "2014-05-14T04:00:00.000000Z"]
    assert deeds["then"][0] is None or deeds["then"][0] != deeds["then"][0]


def test_what_a_feature_carries(demo_store: Store, tmp_path: Path) -> None:
    for layer in ("parcels", "incidents", "pipe_nodes"):
        row, column = address(-71.1106, 42.3735, 14)
        content = tile(snapshot(demo_store, layer), place(NAME, 14, row, column))
        frame = decode(content, tmp_path, 14, row, column)
        file = tmp_path / f"14-{column}-{row}.mvt"
        assert pyogrio.list_layers(f"MVT:{file}")[0][0] == layer
        assert {"id", "valid_from"} <= set(frame)
        frame = frame[frame["valid_from"].notna()]  # small ones are drawn without, or counted
        assert len(frame)
        fields = {f.id for f in Reader.anonymous().fields(demo_store.layer(layer).record)}
        assert set(frame) - {"mvt_id"} <= fields | {
            "id",
            "valid_from",
            "valid_to",
            "count",
            "geometry",
        }
        assert not HIDDEN & set(frame)
        assert frame["valid_from"].str.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z").all()
        assert not any(name.encode() in content for name in HIDDEN)


def test_every_feature_is_in_some_tile(demo_store: Store, tmp_path: Path) -> None:
    """Together the tiles of a zoom have every case, and each one in the tile where it lies."""
    found, zoom = snapshot(demo_store, "incidents"), 13
    whole = found.read()
    seen: set[str] = set()
    rows = sorted({address(p.x, p.y, zoom) for p in whole.geometry})
    for row, column in rows:
        where = place(NAME, zoom, row, column)
        got = decode(tile(found, where, ("id",)), tmp_path, zoom, row, column)
        seen |= set(got["id"])
    assert seen == set(whole.index)


def test_a_point_lies_where_it_lies(demo_store: Store, tmp_path: Path) -> None:
    found, zoom = snapshot(demo_store, "incidents"), 16
    row, column = address(-71.1106, 42.3735, zoom)
    where = place(NAME, zoom, row, column)
    got = decode(tile(found, where, ("id",)), tmp_path, zoom, row, column)
    points = found.read().to_crs(3857).geometry
    unit = 2 * HALF / 2**zoom / EXTENT
    for i, where in got.set_index("id").geometry.items():
        assert where.distance(points[i]) <= unit


def test_no_tile_of_an_interval(demo_store: Store) -> None:
    period = Interval(THEN, None)
    with pytest.raises(NotAnInstant, match="instant"):
        tile(snapshot(demo_store, "parcels", period), place(NAME, 0, 0, 0))


@pytest.mark.parametrize(
    ("zoom", "row", "column"),
    [(0, 0, 1), (0, 1, 0), (-1, 0, 0), (DEEPEST + 1, 0, 0), (5, 32, 0), (5, 0, 32), (5, -1, 0)],
)
def test_tiles_that_there_are_none_of(zoom: int, row: int, column: int) -> None:
    with pytest.raises(TileOutside):
        place(NAME, zoom, row, column)


def test_matrix_sets_that_are_not_offered() -> None:
    with pytest.raises(UnknownMatrixSet, match="WebMercatorQuad"):
        place("UTM31WGS84Quad", 1, 0, 0)


def test_bounds_are_those_of_the_pyramid() -> None:
    for zoom, row, column in ((0, 0, 0), (1, 1, 0), (12, 1515, 1239), (22, 0, 2**22 - 1)):
        size = 2 * HALF / 2**zoom
        west, north = -HALF + column * size, HALF - row * size
        assert place(NAME, zoom, row, column).bounds == pytest.approx(
            (west, north - size, west + size, north), abs=1e-6
        )


def test_empty_where_nothing_lies(demo_store: Store) -> None:
    assert tile(snapshot(demo_store, "parcels"), place(NAME, 5, 0, 0)) == b""
    before = datetime(2000, 1, 1, tzinfo=UTC)
    row, column = address(-71.1106, 42.3735, 14)
    assert tile(snapshot(demo_store, "parcels", before), place(NAME, 14, row, column)) == b""
    for zoom in (DEEPEST, 0):
        for row, column in ((0, 0), (2**zoom - 1, 2**zoom - 1)):
            assert isinstance(
                tile(snapshot(demo_store, "grids"), place(NAME, zoom, row, column)), bytes
            )
