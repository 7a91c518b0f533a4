"""Rasters in the store: kept value by value, versioned as features are, refused where they must."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections import namedtuple
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
import sqlalchemy as sa
from affine import Affine
from publishing import EVERYTHING, WRITER, layer, points, schema_of
from publishing import publish as publish_features
from pyproj import CRS, Transformer
from rasterio.enums import ColorInterp

from layers.edits import Insert, Put, Retire, Update
from layers.errors import (
    BadPeriod,
    BadRaster,
    BadRequest,
    BadSchema,
    BadSource,
    DamagedRaster,
    NoRoom,
    SchemaConflict,
)
from layers.keeping.archives import backup, restore
from layers.keeping.verify import verify
from layers.rasters.copies import Copies
from layers.rasters.sources import opened_rasters
from layers.reading.boxes import LONLAT
from layers.reading.scenes import copy_of, find_scenes
from layers.schema_changes import SchemaChange
from layers.schemas.documents import parse_schema, schema_document
from layers.schemas.profiles import profile_schemas
from layers.store import Store, open_store
from layers.tables import raster, raster_piece
from tests.databases import Databases
from tests.rasters import PLACE, UTM, publish, ramp, write

Usage = namedtuple("Usage", "total used free")
WORLD = (-180.0, -90.0, 180.0, 90.0)
Values = np.ndarray[Any, Any]


def stored(store: Store) -> tuple[int, int]:
    """Files and pieces in the store."""
    with store.database.inspect() as connection:
        counted = [sa.select(sa.func.count()).select_from(t) for t in (raster, raster_piece)]
        files, pieces = (connection.scalar(c) for c in counted)
    return files, pieces


def opened(store: Store, layer_id: str, when: Any = None, scene: str | None = None) -> Path:
    """The file of a scene, out of the store."""
    snapshot = layer(store, layer_id).at(when)
    found = find_scenes(snapshot, WORLD, LONLAT)
    return copy_of(snapshot, next(s for s in found if scene in (None, s.id)))


def test_every_value_is_kept(store: Store, tmp_path: Path) -> None:
    values = ramp(700, 600)
    values[100:200, 50:60] = -9999
    path = write(tmp_path / "dem.tif", values, nodata=-9999)
    done = publish(store, "terrain", path)
    assert (done.reports["terrain"].created, done.commit) == (1, 1)
    row = layer(store, "terrain").at().read().iloc[0]
    kept = opened(store, "terrain")
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == row["sha256"]
    assert kept.stat().st_size == row["size_bytes"]
    with rasterio.open(path) as source, rasterio.open(kept) as cog:
        np.testing.assert_array_equal(cog.read(), source.read())
        np.testing.assert_array_equal(cog.read_masks(), source.read_masks())
        assert (cog.crs, cog.transform, cog.nodata) == (source.crs, source.transform, -9999)
        assert cog.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert cog.overviews(1) == [2]


def test_what_a_scene_says(store: Store, tmp_path: Path) -> None:
    values = ramp()
    values[0, 0], values[0, 1], values[0, 2] = np.nan, np.inf, -9999
    publish(store, "terrain", write(tmp_path / "dem.2020.tif", values, nodata=-9999))
    row = layer(store, "terrain").at().read().loc["dem"]
    sound = values[np.isfinite(values) & (values != -9999)].astype(np.float64)
    (band,) = json.loads(row["statistics"])
    assert (band["valid"], band["minimum"], band["maximum"]) == (4797, 3.0, 4799.0)
    assert band["mean"] == pytest.approx(sound.mean(), rel=1e-12)
    assert band["deviation"] == pytest.approx(sound.std(), rel=1e-12)
    assert [band["low"], band["high"]] == pytest.approx(np.percentile(sound, [2, 98]))
    told = row[["bands", "dtype", "width", "height", "pixel_width", "grid_crs", "codes"]]
    assert told.tolist() == [1, "float32", 80, 60, 10.0, UTM, False]
    schema = layer(store, "terrain").record.schema
    assert schema.raster
    assert schema.value_range == pytest.approx(tuple(np.percentile(sound, [2, 98])))


def test_it_lies_where_its_corners_lie(store: Store, tmp_path: Path) -> None:
    publish(store, "terrain", write(tmp_path / "dem.tif", ramp()))
    outline = layer(store, "terrain").at().read().geometry.iloc[0]
    to_degrees = Transformer.from_crs(UTM, "OGC:CRS84", always_xy=True)
    x, y = 440_000.0, 4_430_000.0
    corners = [(x, y), (x + 800, y), (x + 800, y - 600), (x, y - 600)]
    wanted = shapely.Polygon([to_degrees.transform(*corner) for corner in corners])
    assert outline.symmetric_difference(wanted).area < 1e-4 * wanted.area


def test_the_same_file_again_is_no_revision(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "dem.tif", ramp())
    publish(store, "terrain", path)
    assert publish(store, "terrain", path).commit is None
    assert stored(store) == (1, 1)


def test_versions_of_a_scene_and_a_revert(store: Store, tmp_path: Path) -> None:
    old, new = ramp(), ramp() + 1000
    publish(store, "terrain", write(tmp_path / "dem.tif", old))
    later = datetime(2023, 1, 1, tzinfo=UTC)
    second = publish(store, "terrain", write(tmp_path / "dem.tif", new), valid_from=later)
    assert second.reports["terrain"].changed == 1

    def values(when: datetime) -> Values:
        with rasterio.open(opened(store, "terrain", when)) as source:
            return np.asarray(source.read(1))

    then, since = datetime(2022, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
    np.testing.assert_array_equal(values(then), old)
    np.testing.assert_array_equal(values(since), new)
    assert second.commit is not None
    store.revert(second.commit, WRITER)
    np.testing.assert_array_equal(values(since), old)
    assert layer(store, "terrain").record.head == 3
    assert len(layer(store, "terrain").at(since, revision=2).read()) == 1


def test_several_scenes_are_one_layer(store: Store, tmp_path: Path) -> None:
    east = Affine(10.0, 0.0, 440_800.0, 0.0, -10.0, 4_430_000.0)
    west = write(tmp_path / "west.tif", ramp())
    publish(store, "terrain", west, write(tmp_path / "east.tif", ramp(), transform=east))
    third = publish(store, "terrain", west, names=["north"])
    # One scene is no reload: the others stay.
    assert (third.reports["terrain"].created, third.reports["terrain"].retired) == (1, 0)
    assert set(layer(store, "terrain").at().read().index) == {"west", "east", "north"}
    assert stored(store)[0] == 2


def test_a_scene_that_ends(store: Store, tmp_path: Path) -> None:
    ends = datetime(2021, 1, 1, tzinfo=UTC)
    publish(store, "flood", write(tmp_path / "flood.tif", ramp()), until=ends)
    assert len(layer(store, "flood").at("2020-12-31").read()) == 1
    assert len(layer(store, "flood").at("2021-01-02").read()) == 0


def test_a_large_file_comes_in_pieces(store: Store, tmp_path: Path) -> None:
    noise = np.random.default_rng(7).integers(0, 2**16, (1500, 1500), dtype=np.uint16)
    publish(store, "noise", write(tmp_path / "noise.tif", noise))
    files, pieces = stored(store)
    assert files == 1
    assert pieces > 4
    with rasterio.open(opened(store, "noise")) as source:
        np.testing.assert_array_equal(source.read(1), noise)


def test_codes_are_never_averaged(store: Store, tmp_path: Path) -> None:
    codes = np.random.default_rng(7).choice([10, 20, 90], (1200, 1200)).astype(np.uint8)
    publish(store, "cover", write(tmp_path / "cover.tif", codes), codes=True)
    table = {10: (0, 100, 0, 255), 20: (200, 200, 0, 255), 90: (0, 0, 255, 255)}
    publish(store, "palette", write(tmp_path / "palette.tif", codes, colormap=table))
    for name in ("cover", "palette"):
        with rasterio.open(opened(store, name)) as source:
            assert source.overviews(1)
            small = source.read(1, out_shape=(600, 600))
            assert set(np.unique(small)) == {10, 20, 90}
            assert layer(store, name).at().read()["codes"].tolist() == [True]
    with rasterio.open(opened(store, "palette")) as source:
        assert source.colormap(1)[20] == (200, 200, 0, 255)
    assert layer(store, "palette").record.schema.value_range is None


def test_a_turned_grid_is_set_upright(store: Store, tmp_path: Path) -> None:
    """The middle of each pixel of the source still has the source's value."""
    turned = PLACE @ Affine.rotation(30.0)
    values = np.kron(ramp(6, 8), np.ones((10, 10), "float32"))
    path = write(tmp_path / "turned.tif", values, transform=turned)
    with pytest.raises(BadRaster, match="--crs"):
        publish(store, "terrain", write(tmp_path / "lost.tif", values, crs=None, transform=turned))
    publish(store, "terrain", path)
    with rasterio.open(opened(store, "terrain")) as source:
        assert source.transform.b == source.transform.d == 0
        for row, column in ((5, 5), (25, 45), (55, 75)):
            place = turned @ (column, row)
            (value, alpha) = next(source.sample([place]))
            assert (value, alpha > 0) == (values[row, column], True)
        # Outside the turned grid, and within the upright one.
        assert next(source.sample([source.transform @ (1, 1)]))[1] == 0


def test_a_stated_reference_system_places_a_file_without(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "dem.tif", ramp(), crs=None)
    publish(store, "terrain", path, crs=CRS.from_user_input(UTM))
    with rasterio.open(opened(store, "terrain")) as source:
        assert source.crs == UTM
        assert source.transform == PLACE
        np.testing.assert_array_equal(source.read(1), ramp())


def test_across_180_degrees(store: Store, tmp_path: Path) -> None:
    """A grid that goes on from 179 to 181 degrees lies in two parts, on both edges of the map."""
    place = Affine(0.1, 0.0, 179.0, 0.0, -0.1, 1.0)
    publish(
        store, "isle", write(tmp_path / "isle.tif", ramp(20, 20), crs="EPSG:4326", transform=place)
    )
    outline = layer(store, "isle").at().read().geometry.iloc[0]
    parts = sorted(part.bounds for part in outline.geoms)
    assert np.asarray(parts) == pytest.approx(
        np.asarray([(-180.0, -1.0, -179.0, 1.0), (179.0, -1.0, 180.0, 1.0)])
    )


def test_a_grid_around_the_pole(store: Store, tmp_path: Path) -> None:
    place = Affine(100_000.0, 0.0, -2_000_000.0, 0.0, -100_000.0, 2_000_000.0)
    path = write(tmp_path / "pole.tif", ramp(40, 40), crs="EPSG:3995", transform=place)
    publish(store, "pole", path)
    west, south, east, north = layer(store, "pole").at().read().total_bounds
    assert (west, east, north) == (-180.0, 180.0, 90.0)
    assert 60 < south < 70


@pytest.mark.parametrize(
    "case",
    [
        "complex",
        "bands",
        "lost",
        "unplaced",
        "text",
        "empty",
        "absent",
        "nodata",
        "nan",
        "cut",
        "far",
    ],
)
def test_bad_files_leave_nothing(store: Store, tmp_path: Path, case: str) -> None:
    path, said = bad(tmp_path, case)
    with pytest.raises(BadRaster, match=said):
        publish(store, "terrain", path)
    assert stored(store) == (0, 0)
    assert store.layers(EVERYTHING) == []


def bad(folder: Path, case: str) -> tuple[Path, str]:
    """A file that can't be published, and a word of what is said of it."""
    path = folder / "bad.tif"
    if case == "complex":
        return write(path, ramp().astype("complex64")), "complex64"
    if case == "bands":
        return write(path, np.zeros((33, 4, 4), "uint8")), "33 bands"
    if case == "lost":
        return write(path, ramp(), crs=None), "--crs"
    if case == "unplaced":
        return write(path, ramp(), transform=None), "where it lies"
    if case in ("text", "empty"):
        path.write_text("no raster" if case == "text" else "", encoding="utf-8")
        return path, "GeoTIFF" if case == "text" else "is empty"
    if case == "absent":
        return path, "does not exist"
    if case == "nodata":
        return write(path, np.full((8, 8), 7, "int16"), nodata=7), "no pixel with a value"
    if case == "nan":
        return write(path, np.full((8, 8), np.nan, "float64")), "no pixel with a value"
    if case == "far":
        return write(path, ramp(), crs="EPSG:4326"), "outside"
    whole = write(path, np.random.default_rng(1).integers(0, 255, (600, 600), "uint8"))
    path.write_bytes(whole.read_bytes()[:100_000])
    return path, "can't be read"


@pytest.mark.parametrize(
    ("name", "said"),
    [("corrupt", "IReadBlock failed"), ("rotated", "--crs"), ("none", "does not exist")],
)
def test_bad_files_of_others(store: Store, shared: Path, name: str, said: str) -> None:
    with pytest.raises(BadRaster, match=said):
        publish(store, "terrain", shared / "data" / "raster" / f"{name}.tif")
    assert stored(store) == (0, 0)


def test_files_of_others(store: Store, shared: Path) -> None:
    """Striped, of a JPEG with a mask, with an alpha, across 180 degrees: each value as it was."""
    for name in ("ky4_elevation", "cogeo", "pix4d_alpha_nodata", "cog_dateline"):
        path = shared / "data" / "raster" / f"{name}.tif"
        publish(store, name, path)
        with rasterio.open(path) as source, rasterio.open(opened(store, name)) as kept:
            np.testing.assert_array_equal(kept.read(), source.read())
            np.testing.assert_array_equal(kept.dataset_mask(), source.dataset_mask())
    outline = layer(store, "cog_dateline").at().read().geometry.iloc[0]
    assert {part.bounds[0] == -180 or part.bounds[2] == 180 for part in outline.geoms} == {True}
    assert len(outline.geoms) == 2
    to_degrees = Transformer.from_crs("EPSG:32660", "OGC:CRS84", always_xy=True)
    for x, y in ((570_600, 5_847_600), (803_100, 5_612_100), (600_000, 5_700_000)):
        assert outline.intersects(shapely.Point(to_degrees.transform(x, y)))


def test_a_turned_file_of_others_with_its_system_stated(store: Store, shared: Path) -> None:
    path = shared / "data" / "raster" / "rotated.tif"
    publish(store, "turned", path, crs=CRS.from_user_input(UTM))
    with rasterio.open(path) as source, rasterio.open(opened(store, "turned")) as kept:
        assert (kept.crs, kept.transform.b, kept.transform.d) == (UTM, 0, 0)
        turned, values = source.transform, source.read(1)
        place = turned @ (5.5, 7.5)
        (value, alpha) = next(kept.sample([place]))
        assert alpha == 255
        assert values[6:9, 4:7].min() <= value <= values[6:9, 4:7].max()


def test_a_datum_without_a_known_way_is_refused(store: Store, tmp_path: Path) -> None:
    """As features are: GDAL would put it somewhere within a hundred metres, and say nothing."""
    place = Affine(10.0, 0.0, 440_000.0, 0.0, -10.0, 4_430_000.0)
    path = write(tmp_path / "xian.tif", ramp(), crs="EPSG:2382", transform=place)
    with pytest.raises(BadRaster, match="Xian 1980"):
        publish(store, "terrain", path)
    assert stored(store) == (0, 0)


def test_a_dry_run_leaves_nothing(store: Store, tmp_path: Path) -> None:
    done = publish(store, "terrain", write(tmp_path / "dem.tif", ramp()), dry_run=True)
    assert done.reports["terrain"].created == 1
    assert stored(store) == (0, 0)
    assert store.layers(EVERYTHING) == []


def test_the_first_publish_says_from_when(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BadPeriod, match="--valid-from"):
        publish(store, "terrain", write(tmp_path / "dem.tif", ramp()), valid_from=None)


def test_rasters_and_features_keep_apart(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "dem.tif", ramp())
    publish(store, "terrain", path)
    publish_features(store, "wells", points(no=["1"]), schema_of())
    with pytest.raises(BadSource, match="layer of Point"):
        publish(store, "wells", path)
    with pytest.raises(BadSource, match="raster layer"):
        publish_features(store, "terrain", points(no=["1"]))
    for edit in (
        Insert({"scene": "a", "sha256": "0" * 64}),
        Update("dem", {"sha256": "0" * 64}),
        Put({"scene": "dem", "sha256": "0" * 64}),
    ):
        with pytest.raises(BadRequest, match="published as GeoTIFFs"):
            store.commit({"terrain": [edit]}, WRITER, "")
    plain = parse_schema(
        schema_document(layer(store, "terrain").record.schema)
        | {"raster": False, "value_range": None}
    )
    with pytest.raises(SchemaConflict, match="raster"):
        store.commit({"terrain": SchemaChange(plain)}, WRITER, "")
    store.commit({"terrain": [Retire("dem", valid_from="2024-01-01")]}, WRITER, "")
    assert len(layer(store, "terrain").at().read()) == 0


def test_names_of_scenes(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path / "dem.tif", ramp())
    for names, said in ((["a", "b"], "2 names"), ([" a"], "can't be"), (["x" * 101], "can't be")):
        with pytest.raises(BadRaster, match=said):
            publish(store, "terrain", path, names=names)
    with pytest.raises(BadRaster, match="two files"):
        publish(store, "terrain", path, path)


def test_schemas_of_rasters() -> None:
    schema = profile_schemas("raster")["scenes"]
    assert parse_schema(schema_document(schema)) == schema
    document = schema_document(schema)
    assert parse_schema(document | {"value_range": [0, 5]}).value_range == (0.0, 5.0)
    for wrong, said in (
        ({"geometry": "Point"}, "MultiPolygon"),
        ({"fields": document["fields"][:3]}, "sha256"),
        ({"value_range": [5, 0]}, "below"),
        ({"value_range": [5]}, "two numbers"),
        ({"value_range": [0, float("nan")]}, "two numbers"),
        ({"raster": False, "value_range": [0, 5]}, "raster = true"),
        ({"raster": "yes"}, "true or false"),
    ):
        with pytest.raises(BadSchema, match=said):
            parse_schema(document | wrong)


def test_backups_hold_rasters(store: Store, tmp_path: Path, make_database: Databases) -> None:
    publish(store, "terrain", write(tmp_path / "dem.tif", ramp()))
    wanted = opened(store, "terrain").read_bytes()
    backup(store.database, tmp_path / "all.zip")
    with make_database.passing() as dsn, closing(open_store(dsn)) as other:
        restore(other.database, tmp_path / "all.zip")
        assert opened(other, "terrain").read_bytes() == wanted


def test_copies_are_made_once_and_trimmed(store: Store, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        noise = np.random.default_rng(ord(name)).integers(0, 255, (300, 300), "uint8")
        publish(store, name, write(tmp_path / f"{name}.tif", noise))
    shas = [layer(store, n).at().read()["sha256"].iloc[0] for n in ("a", "b", "c")]
    copies = Copies(tmp_path / "copies", most_bytes=200_000)
    first = copies.path_of(store.database, shas[0])
    inode = first.stat().st_ino
    assert copies.path_of(store.database, shas[0]).stat().st_ino == inode
    assert first.parent.stat().st_mode & 0o077 == 0
    for sha in shas[1:]:
        assert copies.path_of(store.database, sha).exists()
    # 90 kB each: two of them fit, and the one used longest ago is gone.
    assert not first.exists()
    assert len(list((tmp_path / "copies").iterdir())) == 2


def test_a_copy_that_another_process_trims_is_made_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the use of it."""
    publish(store, "terrain", write(tmp_path / "dem.tif", ramp()))
    path = opened(store, "terrain")
    real = os.utime

    def trimmed(used: Path) -> None:
        used.unlink()
        real(used)

    monkeypatch.setattr("layers.rasters.copies.os.utime", trimmed)
    assert opened(store, "terrain") == path
    assert path.exists()


def test_what_a_killed_process_left_half_written_goes(store: Store, tmp_path: Path) -> None:
    publish(store, "terrain", write(tmp_path / "dem.tif", ramp()))
    folder = store.copies._place()
    old, new = folder / ".0123.a.partial", folder / ".0123.b.partial"
    for left in (old, new):
        left.write_bytes(b"half")
    os.utime(old, (0, 0))
    opened(store, "terrain")
    assert (old.exists(), new.exists()) == (False, True)


def test_a_full_disk_is_said_to_be_full(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "dem.tif", ramp())

    def full(*own: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    publish(store, "terrain", path)
    monkeypatch.setattr("layers.rasters.copies.Path.replace", full)
    with pytest.raises(NoRoom, match=r"No space left on device.*make room"):
        opened(store, "terrain")
    assert list(store.copies._place().iterdir()) == []
    # GDAL says anything but that of a COG that it can't write.
    monkeypatch.setattr("layers.rasters.cogs.rasterio.shutil.copy", full)
    monkeypatch.setattr("layers.rasters.cogs.shutil.disk_usage", lambda _: Usage(9, 9, 0))
    with pytest.raises(NoRoom, match=r"no room for dem\.tif in .*TMPDIR"):
        publish(store, "other", path)


def test_what_the_store_lacks_is_said(store: Store, tmp_path: Path) -> None:
    publish(store, "terrain", write(tmp_path / "dem.tif", ramp()))
    with pytest.raises(DamagedRaster, match="no raster"):
        store.copies.path_of(store.database, "0" * 64)
    with store.database.own() as connection:
        connection.execute(sa.update(raster_piece).values(content=b"x" * 10))
    with pytest.raises(DamagedRaster):
        opened(store, "terrain")
    assert list(store.copies._place().iterdir()) == []


def test_verify_reads_every_file(store: Store, tmp_path: Path) -> None:
    publish(store, "terrain", write(tmp_path / "dem.tif", ramp()))
    later = datetime(2023, 1, 1, tzinfo=UTC)
    publish(store, "terrain", write(tmp_path / "dem.tif", ramp() + 1), valid_from=later)
    store.commit({"terrain": [Retire("dem", valid_from="2020-01-01")]}, WRITER, "")
    assert verify(store.database) == []
    with store.database.own() as connection:
        first = sa.select(sa.func.min(raster.c.sha256)).scalar_subquery()
        other = sa.func.set_byte(raster_piece.c.content, 500, 7)
        changed = sa.update(raster_piece).where(raster_piece.c.sha256 == first)
        connection.execute(changed.values(content=other))
    (fault,) = verify(store.database)
    assert (fault.layer, fault.check) == ("terrain", "raster")


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    path = write(tmp_path / "dem.tif", ramp(), crs=None)
    work = tmp_path / "work"
    work.mkdir()
    with opened_rasters([path], crs=CRS.from_user_input(UTM), folder=work) as source:
        assert source.scenes[0].path.exists()
    assert list(work.iterdir()) == []
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["dem.tif"]


def test_colours_of_bands(store: Store, tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 255, (4, 50, 50), "uint8")
    colors = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    publish(store, "photo", write(tmp_path / "photo.tif", values, colors=colors))
    row = layer(store, "photo").at().read().iloc[0]
    assert row["colors"] == "red,green,blue,alpha"
    assert [band["band"] for band in json.loads(row["statistics"])] == [1, 2, 3]
