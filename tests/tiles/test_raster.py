"""Map tiles of rasters, against the source's own values read at the place of each pixel."""

from __future__ import annotations

import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import morecantile
import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from pyproj import Transformer
from rasterio.enums import ColorInterp
from rio_tiler.colormap import cmap

from layers.errors import DamagedRaster, TooMuchAsked
from layers.readers import Reader
from layers.reading import scenes
from layers.store import Store
from layers.writers import Writer
from spatial.periods import Interval
from tests.rasters import PLACE, publish, ramp, write
from tiles.errors import NotAnInstant, NotARaster
from tiles.grids import Place, place
from tiles.raster import PictureFormat, map_tile

NAME = "WebMercatorQuad"
EVERYTHING = Reader.everything()
RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
Values = np.ndarray[Any, Any]


def snapshot(store: Store, layer: str, when: Any = None, **known: Any) -> Any:
    return store.layer(layer, EVERYTHING).at(when, **known)


def tile_at(lon: float, lat: float, zoom: int) -> Place:
    found = morecantile.tms.get(NAME).tile(lon, lat, zoom)
    return place(NAME, zoom, found.y, found.x)


def picture(content: bytes | None, kind: str = "PNG") -> Values:
    """Rows, columns and the four colours of a tile."""
    assert content is not None
    image = Image.open(io.BytesIO(content))
    assert (image.format, image.size) == (kind, (256, 256))
    return np.asarray(image.convert("RGBA"))


def middles(where: Place) -> tuple[Values, Values]:
    """The coordinates of the middle of each pixel of a tile, each of 256 rows and columns."""
    west, south, east, north = where.bounds
    steps = (np.arange(256) + 0.5) / 256
    x, y = np.meshgrid(west + steps * (east - west), north - steps * (north - south))
    return x, y


def read_at(path: Path, where: Place, band: int = 1) -> tuple[Values, Values]:
    """The source's nearest value at the middle of each pixel of a tile, and where it has one."""
    with rasterio.open(path) as source:
        move = Transformer.from_crs("EPSG:3857", source.crs.to_wkt(), always_xy=True)
        x, y = move.transform(*middles(where))
        columns, rows = ~source.transform @ (x, y)
        columns, rows = np.floor(columns).astype(int), np.floor(rows).astype(int)
        inside = (columns >= 0) & (rows >= 0) & (columns < source.width) & (rows < source.height)
        values = source.read(band, masked=True)
    at = np.where(inside, rows, 0), np.where(inside, columns, 0)
    return values.data[at], inside & ~np.ma.getmaskarray(values)[at]


def inner(seen: Values) -> Values:
    """Pixels that have only seen ones within two of them: at edges resampling may differ."""
    found = seen.copy()
    for shift in (-2, -1, 1, 2):
        found &= np.roll(seen, shift, 0) & np.roll(seen, shift, 1)
    return found


def test_a_picture_in_colours_is_as_it_is(store: Store, tmp_path: Path) -> None:
    """Blocks of one colour, seen larger than they are: the colours of the file, in their places."""
    rng = np.random.default_rng(3)
    values = np.kron(rng.integers(0, 255, (3, 12, 16)), np.ones((1, 5, 5))).astype("uint8")
    path = write(tmp_path / "photo.tif", values, colors=RGB)
    publish(store, "photo", path)
    where = tile_at(116.302, 40.018, 16)
    got = picture(map_tile(snapshot(store, "photo"), where, PictureFormat.PNG))
    for band in (1, 2, 3):
        wanted, seen = read_at(path, where, band)
        assert seen.sum() > 10_000
        np.testing.assert_array_equal(got[..., 3][inner(seen)], 255)
        assert got[..., 3][~seen & inner(~seen)].max(initial=0) == 0
        # Within a block every resampling gives its colour.
        same = inner(seen) & (wanted == np.roll(wanted, 9, 0)) & (wanted == np.roll(wanted, -9, 0))
        same &= (wanted == np.roll(wanted, 9, 1)) & (wanted == np.roll(wanted, -9, 1))
        assert same.sum() > 1000
        np.testing.assert_array_equal(got[..., band - 1][same], wanted[same])


def test_one_band_goes_from_the_first_colour_to_the_last(store: Store, tmp_path: Path) -> None:
    values = np.tile(np.linspace(0, 100, 80, dtype="float32"), (60, 1))
    path = write(tmp_path / "dem.tif", values)
    publish(store, "dem", path)
    low, high = store.layer("dem", EVERYTHING).record.schema.value_range or (0, 0)
    assert (low, high) == pytest.approx((np.percentile(values, 2), np.percentile(values, 98)))
    where = tile_at(116.302, 40.018, 16)
    got = picture(map_tile(snapshot(store, "dem"), where, PictureFormat.PNG)).astype(int)
    wanted, seen = read_at(path, where)
    colors = np.array([cmap.get("viridis")[i][:3] for i in range(256)], dtype=int)
    share = np.clip((wanted - low) / (high - low), 0, 1)
    expected = colors[(share * 255).astype(int)]
    # A pixel of the source is 2.6 of its steps of 1.27, and bilinear: within two of 255 steps.
    near = np.abs(got[..., :3] - expected).max(axis=-1)[inner(seen)]
    assert near.max() <= 12
    assert np.median(near) <= 3


def test_ky4_lies_where_it_lies(store: Store, shared: Path) -> None:
    """A DEM of others, in feet of a state plane: heights as colours, zoom by zoom."""
    path = shared / "data" / "raster" / "ky4_elevation.tif"
    publish(store, "dem", path)
    low, high = store.layer("dem", EVERYTHING).record.schema.value_range or (0, 0)
    colors = np.array([cmap.get("viridis")[i][:3] for i in range(256)], dtype=int)
    for zoom in (12, 13, 14):
        where = tile_at(-85.59, 38.06, zoom)
        got = picture(map_tile(snapshot(store, "dem"), where, PictureFormat.PNG)).astype(int)
        wanted, seen = read_at(path, where)
        assert seen.sum() > 20_000
        share = np.clip((wanted - low) / (high - low), 0, 1)
        off = np.abs(got[..., :3] - colors[(share * 255).astype(int)]).mean(axis=-1)
        assert np.median(off[inner(seen)]) < 8
        # Anywhere else it fits much worse.
        moved = np.roll(got, 6, axis=1)
        apart = np.abs(moved[..., :3] - colors[(share * 255).astype(int)]).mean(axis=-1)
        assert np.median(apart[inner(seen)]) > 1.3 * np.median(off[inner(seen)])


def test_no_value_is_transparent(store: Store, tmp_path: Path) -> None:
    values = ramp(60, 80)
    values[20:40, 30:50] = -9999
    values[0:10, 0:10] = np.nan
    path = write(tmp_path / "dem.tif", values, nodata=-9999)
    publish(store, "dem", path)
    where = tile_at(116.302, 40.018, 16)
    got = picture(map_tile(snapshot(store, "dem"), where, PictureFormat.PNG))
    wanted, seen = read_at(path, where)
    seen &= np.isfinite(wanted)
    assert 0 < seen.sum() < 256 * 256
    np.testing.assert_array_equal(got[..., 3][inner(seen)], 255)
    np.testing.assert_array_equal(got[..., 3][inner(~seen)], 0)


def test_where_nothing_is_there_is_no_tile(store: Store, tmp_path: Path) -> None:
    values = np.full((600, 600), -1.0, "float32")
    values[:100] = 5.0
    values[0, 0] = 6.0
    publish(store, "dem", write(tmp_path / "dem.tif", values, nodata=-1))
    found = snapshot(store, "dem")
    assert map_tile(found, tile_at(0, 0, 5), PictureFormat.PNG) is None
    # Within the outline, where all is nodata.
    hollow = tile_at(116.33, 39.985, 17)
    assert scenes.find_scenes(found, hollow.bounds, hollow.crs)
    assert map_tile(found, hollow, PictureFormat.PNG) is None
    before = snapshot(store, "dem", "2019-01-01")
    assert map_tile(before, tile_at(116.302, 40.018, 16), PictureFormat.PNG) is None


def test_two_instants_two_pictures(store: Store, tmp_path: Path) -> None:
    """Higher by a hundred: other colours, as a value has one colour at all times."""
    old = np.tile(np.linspace(0, 200, 80, dtype="float32"), (60, 1))
    publish(store, "dem", write(tmp_path / "dem.tif", old))
    later = datetime(2023, 1, 1, tzinfo=UTC)
    done = publish(store, "dem", write(tmp_path / "dem.tif", old + 100), valid_from=later)
    where = tile_at(116.302, 40.018, 16)

    def drawn(when: str, **known: Any) -> bytes | None:
        return map_tile(snapshot(store, "dem", when, **known), where, PictureFormat.PNG)

    then, since = drawn("2022-01-01"), drawn("2024-01-01")
    assert picture(since)[..., :2].mean() > picture(then)[..., :2].mean() + 10
    assert drawn("2024-01-01", revision=1) == then
    assert done.commit is not None
    store.revert(done.commit, Writer("test"))
    assert drawn("2024-01-01") == then
    assert drawn("2024-01-01", revision=2) == since


def test_the_newest_scene_lies_on_top(store: Store, tmp_path: Path) -> None:
    red, blue = (np.zeros((3, 60, 80), "uint8") for _ in range(2))
    red[0], blue[2] = 200, 200
    half = Affine(10.0, 0.0, 440_400.0, 0.0, -10.0, 4_430_000.0)
    publish(store, "photo", write(tmp_path / "red.tif", red, colors=RGB))
    over = write(tmp_path / "blue.tif", blue, colors=RGB, transform=half)
    publish(store, "photo", over, valid_from=datetime(2022, 1, 1, tzinfo=UTC))
    where = tile_at(116.302, 40.018, 14)
    got = picture(map_tile(snapshot(store, "photo"), where, PictureFormat.PNG))
    colors = {tuple(int(v) for v in c) for c in got.reshape(-1, 4) if c[3] == 255}
    assert {(200, 0, 0, 255), (0, 0, 200, 255)} <= colors
    _, below = read_at(tmp_path / "red.tif", where)
    _, above = read_at(over, where)
    np.testing.assert_array_equal(got[inner(above)][:, 2], 200)
    np.testing.assert_array_equal(got[inner(below & ~above)][:, 0], 200)
    early = picture(map_tile(snapshot(store, "photo", "2021-01-01"), where, PictureFormat.PNG))
    assert early[..., 2].max() == 0


def test_codes_keep_their_colours(store: Store, tmp_path: Path) -> None:
    """Seen from far as well: no colour that the palette does not have."""
    codes = np.random.default_rng(7).choice([1, 2, 9], (1200, 1200)).astype("uint8")
    table = {1: (0, 100, 0, 255), 2: (200, 200, 0, 255), 9: (0, 0, 255, 255)}
    publish(store, "cover", write(tmp_path / "cover.tif", codes, colormap=table))
    for zoom in (11, 13, 15, 17):
        where = tile_at(116.36, 39.97, zoom)
        got = picture(map_tile(snapshot(store, "cover"), where, PictureFormat.PNG))
        seen = {tuple(int(v) for v in c) for c in got.reshape(-1, 4) if c[3]}
        assert len(seen) == 3
        assert seen == set(table.values())


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]
)
def test_values_of_every_type_are_drawn(store: Store, tmp_path: Path, dtype: str) -> None:
    """What lies outside the grid is transparent, and all of the inside is seen."""
    values = (ramp(60, 80) / 60).astype(dtype)
    path = write(tmp_path / "dem.tif", values)
    publish(store, "dem", path)
    where = tile_at(116.302, 40.018, 15)
    got = picture(map_tile(snapshot(store, "dem"), where, PictureFormat.PNG))
    _, seen = read_at(path, where)
    np.testing.assert_array_equal(got[..., 3][inner(seen)], 255)
    np.testing.assert_array_equal(got[..., 3][inner(~seen)], 0)
    assert len(np.unique(got[seen][:, 1])) > 40


def test_webp_and_png_are_the_same_picture(store: Store, tmp_path: Path) -> None:
    publish(store, "dem", write(tmp_path / "dem.tif", ramp(), nodata=7))
    found, where = snapshot(store, "dem"), tile_at(116.302, 40.018, 15)
    png = picture(map_tile(found, where, PictureFormat.PNG))
    webp = picture(map_tile(found, where, PictureFormat.WEBP), "WEBP")
    np.testing.assert_array_equal(png[..., 3], webp[..., 3])
    shown = png[..., 3] > 0
    np.testing.assert_array_equal(png[shown], webp[shown])
    assert map_tile(found, where, PictureFormat.PNG) == map_tile(found, where, PictureFormat.PNG)


def test_across_180_degrees(store: Store, shared: Path) -> None:
    """On both edges of the map the values of the file, and nothing in between."""
    path = shared / "data" / "raster" / "cog_dateline.tif"
    publish(store, "isle", path)
    found = snapshot(store, "isle")
    low, high = store.layer("isle", EVERYTHING).record.schema.value_range or (0, 0)
    colors = np.array([cmap.get("viridis")[i][:3] for i in range(256)], dtype=int)
    for lon in (179.6, -179.6):
        where = tile_at(lon, 52.0, 8)
        got = picture(map_tile(found, where, PictureFormat.PNG)).astype(int)
        wanted, seen = read_at(path, where)
        assert seen.sum() > 10_000
        np.testing.assert_array_equal(got[..., 3][inner(seen)], 255)
        np.testing.assert_array_equal(got[..., 3][inner(~seen)], 0)
        share = np.clip((wanted.astype(float) - low) / (high - low), 0, 1)
        off = np.abs(got[..., :3] - colors[(share * 255).astype(int)]).mean(axis=-1)
        assert np.median(off[inner(seen)]) < 10
    assert map_tile(found, tile_at(0.0, 52.0, 8), PictureFormat.PNG) is None
    world = picture(map_tile(found, place(NAME, 0, 0, 0), PictureFormat.PNG))
    shown = np.flatnonzero(world[..., 3].any(axis=0))
    assert set(shown) <= {0, 1, 2, 253, 254, 255}
    assert {0, 255} <= set(shown)


@pytest.mark.parametrize(
    ("west", "step", "lon", "zoom"),
    [
        (179.0, 0.1, 179.5, 9),
        (179.0, 0.1, -179.5, 9),
        (0.0, 2.0, -100.0, 3),
        (0.0, 2.0, 100.0, 3),
        (-181.0, 0.1, 179.5, 9),
        (-181.0, 0.1, -179.5, 9),
    ],
)
def test_longitudes_that_go_on(
    store: Store, tmp_path: Path, west: float, step: float, lon: float, zoom: int
) -> None:
    """Grids of 179 to 181, of 0 to 360 and of -181 to -179 degrees are seen on both sides."""
    count = 180 if step == 2.0 else 20
    values = np.tile(np.repeat(np.arange(count // 5, dtype="uint8") * 6, 5), (90, 1))
    at = Affine(step, 0.0, west, 0.0, -step, 45 * step)
    table = {int(v): (int(v), 255 - int(v), 7, 255) for v in np.unique(values)}
    path = write(tmp_path / "w.tif", values, crs="EPSG:4326", transform=at, colormap=table)
    publish(store, "world", path)
    where = tile_at(lon, 1.0, zoom)
    got = picture(map_tile(snapshot(store, "world"), where, PictureFormat.PNG))
    degrees, _ = Transformer.from_crs(3857, 4326, always_xy=True).transform(*middles(where))
    column = np.floor(np.mod(degrees - west, 360.0) / step).astype(int)
    inside = column < count
    assert inside.all()
    np.testing.assert_array_equal(got[..., 0], values[0][column])
    assert len(np.unique(got[..., 0])) > 1


def test_far_away_a_raster_is_its_mean(store: Store, tmp_path: Path) -> None:
    """Black and white pixels by turns are grey from afar, not noise."""
    board = (np.indices((1024, 1024)).sum(axis=0) % 2 * 200).astype("uint8")
    publish(store, "board", write(tmp_path / "b.tif", np.stack([board] * 3), colors=RGB))
    for zoom in (9, 10, 11):
        got = picture(
            map_tile(snapshot(store, "board"), tile_at(116.35, 39.97, zoom), PictureFormat.PNG)
        )
        shown = got[got[..., 3] == 255][:, 0]
        assert len(shown) > 50
        assert abs(float(np.median(shown)) - 100) <= 3


def test_what_map_tiles_are_not_of(demo_store: Store, store: Store, tmp_path: Path) -> None:
    where = place(NAME, 0, 0, 0)
    with pytest.raises(NotARaster, match="/collections/parcels/tiles"):
        map_tile(demo_store.layer("parcels").at(), where, PictureFormat.PNG)
    publish(store, "dem", write(tmp_path / "dem.tif", ramp()))
    period = Interval(datetime(2020, 1, 1, tzinfo=UTC), None)
    with pytest.raises(NotAnInstant, match="instant"):
        map_tile(snapshot(store, "dem", period), where, PictureFormat.PNG)


def test_more_scenes_than_are_drawn_at_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = []
    for number in range(4):
        at = PLACE @ Affine.translation(number * 20, 0)
        paths.append(write(tmp_path / f"s{number}.tif", ramp(20, 20), transform=at))
    publish(store, "dem", *paths)
    monkeypatch.setattr(scenes, "MOST_SCENES", 3)
    with pytest.raises(TooMuchAsked, match="zoom in"):
        map_tile(snapshot(store, "dem"), tile_at(116.302, 40.018, 12), PictureFormat.PNG)
    near = tile_at(116.2972, 40.0179, 19)
    assert map_tile(snapshot(store, "dem"), near, PictureFormat.PNG) is not None


def test_many_at_once_are_as_one_by_one(store: Store, tmp_path: Path) -> None:
    """Also the first ones, for which the copy is not there yet."""
    values = np.random.default_rng(5).integers(0, 255, (3, 700, 700), "uint8")
    publish(store, "photo", write(tmp_path / "p.tif", values, colors=RGB))
    found = snapshot(store, "photo")
    places = [tile_at(116.30 + 0.004 * i, 40.01, zoom) for i in range(6) for zoom in (14, 16)]

    def drawn(where: Place) -> bytes | None:
        return map_tile(found, where, PictureFormat.PNG)

    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(drawn, places))
    assert together == [drawn(where) for where in places]
    assert len({content for content in together if content}) > 6


def test_pictures_are_made_without_the_warnings_of_other_threads(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is to be ignored is one list for all threads: one that ends brings the old one back."""
    publish(store, "dem", write(tmp_path / "p.tif", ramp(400, 400)))
    monkeypatch.setattr(warnings, "filterwarnings", lambda *_, **__: None)
    for picture in PictureFormat:
        assert map_tile(snapshot(store, "dem"), tile_at(116.31, 40.01, 15), picture) is not None


def test_a_copy_that_was_damaged_is_made_again(store: Store, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (3, 400, 400), "uint8")
    publish(store, "photo", write(tmp_path / "p.tif", noise, colors=RGB))
    found, where = snapshot(store, "photo"), tile_at(116.31, 40.01, 15)
    wanted = map_tile(found, where, PictureFormat.PNG)
    (scene,) = scenes.find_scenes(found, where.bounds, where.crs)
    copy = scenes.copy_of(found, scene)
    whole = copy.read_bytes()
    copy.write_bytes(whole[: len(whole) // 2])
    assert map_tile(found, where, PictureFormat.PNG) == wanted
    assert copy.read_bytes() == whole
    copy.unlink()
    assert map_tile(found, where, PictureFormat.PNG) == wanted
    # What the store itself has lost can't be made again.
    store.copies.forget(scene.sha256)
    with store.database.own() as connection:
        connection.exec_driver_sql("DELETE FROM shikong.raster_piece")
    with pytest.raises(DamagedRaster):
        map_tile(found, where, PictureFormat.PNG)
