"""Map tiles of a raster layer that are made before anybody asks: seeded, and archived."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pmtiles.reader import MmapSource, all_tiles
from pmtiles.reader import Reader as PmtilesReader
from pmtiles.tile import Compression, TileType
from starlette.testclient import TestClient

from layers.store import open_store
from services.app import create_app
from services.settings import Settings
from tests.databases import Databases
from tests.rasters import ramp, write
from tiles.keeping import making

Run = Callable[..., tuple[int, str, str]]
HERE = "/collections/terrain/map/tiles/WebMercatorQuad"
# All of the raster lies in this tile.
FULL = "12/1550/3371"
ZOOMS = ("--zoom", "10..14")


@pytest.fixture
def terrain(
    run: Run,
    empty_template: str,
    make_database: Databases,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> str:
    """A raster layer that everybody sees, of two versions."""
    dsn = make_database(empty_template)
    monkeypatch.setenv("DATABASE_URL", dsn)
    for since, more in (("2020-01-01", 0), ("2023-01-01", 900)):
        file = write(tmp_path / "dem.tif", ramp() + more)
        assert run("publish", file, "--layer", "terrain", "--valid-from", since)[0] == 0
    assert run("layer", "set", "terrain", "--visibility", "public")[0] == 0
    return dsn


def answers(dsn: str, data: Path, *paths: str, **settings: Any) -> list[Any]:
    with closing(open_store(dsn)) as store:
        app = create_app(store, Settings(data, **settings))
        with TestClient(app) as client:
            return [client.get(path) for path in paths]


def refuse(*own: Any) -> Any:
    raise AssertionError("drawn, though it was made before")


def test_a_server_draws_no_picture_that_was_seeded(
    run: Run, terrain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [drawn] = answers(terrain, tmp_path / "other", f"{HERE}/{FULL}")
    seed = ("tiles", "seed", "terrain", "--data", tmp_path)
    code, said, err = run(*seed, *ZOOMS)
    assert (code, err) == (0, "")
    assert said.startswith("terrain r2 of now")
    again = run(*seed, *ZOOMS)[1]
    assert "0 drawn, " in again.splitlines()[1]
    monkeypatch.setattr(making, "map_tile", refuse)
    [answer] = answers(terrain, tmp_path, f"{HERE}/{FULL}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert (answer.content, answer.headers["etag"]) == (drawn.content, drawn.headers["etag"])
    with pytest.raises(AssertionError, match="made before"):
        answers(terrain, tmp_path, f"{HERE}/{FULL}?f=webp")


@pytest.mark.parametrize(("kind", "tile_type"), [("png", TileType.PNG), ("webp", TileType.WEBP)])
def test_an_archive_of_pictures_is_answered_from(
    run: Run,
    terrain: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    tile_type: TileType,
) -> None:
    query = f"?datetime=2021-01-01&f={kind}"
    [drawn] = answers(terrain, tmp_path / "other", f"{HERE}/{FULL}{query}")
    file = tmp_path / "archives" / "terrain.pmtiles"
    file.parent.mkdir()
    own = ("tiles", "archive", "terrain", file, "--at", "2021-01-01", "--data", tmp_path)
    code, said, err = run(*own, *ZOOMS, "--format", kind)
    assert (code, err) == (0, ""), said
    with file.open("rb") as opened:
        reader = PmtilesReader(MmapSource(opened))
        header, told = reader.header(), reader.metadata()
        found = dict(all_tiles(MmapSource(opened)))
    assert (header["tile_type"], header["tile_compression"]) == (tile_type, Compression.NONE)
    assert (told["format"], "vector_layers" in told) == (kind, False)
    # Each is a picture, and that of the server to the byte.
    zoom, row, column = map(int, FULL.split("/"))
    assert found[zoom, column, row] == drawn.content
    for data in found.values():
        picture = Image.open(io.BytesIO(data))
        assert (picture.format, picture.size) == (kind.upper(), (256, 256))
        assert np.asarray(picture.convert("RGBA"))[..., 3].any()
    assert {z for z, _, _ in found} == {10, 11, 12, 13, 14}
    # No shelf: it is the archive that answers, whose state alone it is asked for.
    monkeypatch.setattr(making, "map_tile", refuse)
    alone = {"tile_disk_bytes": 0}
    near, empty, listed = answers(
        terrain,
        tmp_path,
        f"{HERE}/{FULL}{query}",
        f"{HERE}/12/0/0{query}",
        "/collections/terrain/tiles/archives",
        **alone,
    )
    assert (near.status_code, near.headers["content-type"]) == (200, f"image/{kind}")
    assert (near.content, near.headers["etag"]) == (drawn.content, drawn.headers["etag"])
    assert empty.status_code == 204
    [archive] = listed.json()["archives"]
    assert (archive["tileType"], archive["zooms"], archive["tiles"]) == (kind, [10, 14], len(found))
    other = "webp" if kind == "png" else "png"
    for asked in (query.replace(kind, other), f"?f={kind}", f"{query}&revision=1"):
        with pytest.raises(AssertionError, match="made before"):
            answers(terrain, tmp_path, f"{HERE}/{FULL}{asked}", **alone)
    # The outlines of its scenes are vector tiles, which it does not stand for.
    vector = f"/collections/terrain/tiles/WebMercatorQuad/{FULL}?datetime=2021-01-01"
    [outlines] = answers(terrain, tmp_path, vector, **alone)
    assert outlines.headers["content-type"] == "application/vnd.mapbox-vector-tile"


@pytest.mark.parametrize("kind", ["png", "webp"])
@pytest.mark.parametrize("damage", ["zeros", "one"])
def test_a_damaged_picture_is_drawn_anew(
    run: Run, terrain: str, tmp_path: Path, kind: str, damage: str
) -> None:
    query = f"?datetime=2021-01-01&f={kind}"
    [drawn] = answers(terrain, tmp_path / "other", f"{HERE}/{FULL}{query}")
    file = tmp_path / "archives" / "terrain.pmtiles"
    file.parent.mkdir()
    own = ("tiles", "archive", "terrain", file, "--at", "2021-01-01", "--data", tmp_path)
    assert run(*own, "--zoom", "12", "--format", kind)[0] == 0
    whole = bytearray(file.read_bytes())
    start = whole.index(drawn.content)
    # A length of WebP's, or a value of PNG's.
    place = start + (4 if kind == "webp" else len(drawn.content) // 2)
    length = len(drawn.content) if damage == "zeros" else 1
    place = start if damage == "zeros" else place
    whole[place : place + length] = bytes(255 - b if damage == "one" else 0
                                          for b in whole[place : place + length])  # fmt: skip
    file.write_bytes(whole)
    [answer] = answers(terrain, tmp_path, f"{HERE}/{FULL}{query}", tile_disk_bytes=0)
    assert (answer.status_code, answer.content) == (200, drawn.content)


def test_outlines_of_scenes_can_be_archived_too(run: Run, terrain: str, tmp_path: Path) -> None:
    file = tmp_path / "outlines.pmtiles"
    own = ("tiles", "archive", "terrain", file, "--zoom", "12", "--data", tmp_path)
    assert run(*own, "--format", "mvt", "--properties", "scene")[0] == 0
    with file.open("rb") as opened:
        reader = PmtilesReader(MmapSource(opened))
        assert reader.header()["tile_type"] is TileType.MVT
        assert reader.metadata()["vector_layers"][0]["fields"] == {"scene": "String"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--properties", "scene"), "--format mvt"),
        (("--at", "2019-01-01"), "nothing of the layer lies"),
    ],
)
def test_what_can_be_no_archive_of_pictures(
    run: Run, terrain: str, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    file = tmp_path / "terrain.pmtiles"
    code, out, err = run(
        "tiles", "archive", "terrain", file, "--zoom", "12", "--data", tmp_path, *words
    )
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert said in err
    assert not file.exists()


def test_a_layer_of_features_has_no_pictures(run: Run, own_city: str, tmp_path: Path) -> None:
    for words in (("seed", "parcels"), ("archive", "parcels", tmp_path / "p.pmtiles")):
        code, out, err = run("tiles", *words, "--format", "png", "--data", tmp_path)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert "parcels is no raster layer" in err
