"""GeoTIFFs at the command line: published, looked at without, refused in one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from services.cli import main
from tests.databases import Databases
from tests.rasters import UTM, ramp, write

Run = Callable[..., tuple[int, str, str]]
SINCE = ("--valid-from", "2020-01-01")


@pytest.fixture
def empty(empty_template: str, make_database: Databases, monkeypatch: pytest.MonkeyPatch) -> str:
    dsn = make_database(empty_template)
    monkeypatch.setenv("DATABASE_URL", dsn)
    return dsn


@pytest.fixture
def dem(tmp_path: Path) -> Path:
    return write(tmp_path / "dem.tif", ramp())


def refused(answer: tuple[int, str, str], *words: str) -> None:
    code, _, err = answer
    assert code == 1, answer
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("shikong: ")
    for word in words:
        assert word in lines[0], err


def test_publish_and_publish_again(run: Run, empty: str, dem: Path) -> None:
    code, out, _ = run("publish", dem, "--layer", "terrain", *SINCE)
    assert (code, "revision 1: 1 created" in out) == (0, True), out
    assert "dem: 80 x 60 pixels, 1 x float32 (gray), EPSG:32650" in out
    assert "band 1: 4800 values, 0 to 4799, mean 2399.5" in out
    assert "nothing differs" in run("publish", dem, "--layer", "terrain", *SINCE)[1]
    write(dem, ramp() + 1)
    code, out, _ = run("publish", dem, "--layer", "terrain", "--valid-from", "2022-01-01")
    assert (code, "revision 2: 0 created, 1 changed" in out) == (0, True), out
    assert re.search(r"^terrain +state +r2", run("layers")[1], re.M)
    assert run("verify")[0] == 0


def test_a_dry_run_shows_what_was_found(run: Run, empty: str, dem: Path) -> None:
    code, out, _ = run("publish", dem, "--layer", "terrain", *SINCE, "--dry-run")
    assert (code, "would make a revision: 1 created" in out) == (0, True), out
    assert "band 1: 4800 values" in out
    assert "raster = true" in out
    assert "value_range = [" in out
    assert run("layers") == (0, "", "")


def test_the_schema_of_a_dry_run_can_be_given(
    run: Run, empty: str, dem: Path, tmp_path: Path
) -> None:
    _, out, _ = run("publish", dem, "--layer", "terrain", *SINCE, "--dry-run")
    schema = tmp_path / "terrain.toml"
    text = out.partition("--schema:\n\n")[2]
    schema.write_text(text.replace('visibility = "internal"', 'visibility = "public"', 1), "utf-8")
    code, out, err = run("publish", dem, "--layer", "terrain", *SINCE, "--schema", schema)
    assert code == 0, err
    assert "public" in run("layers")[1]
    ranged = re.sub(r"value_range = .*", "value_range = [0, 9000]", text)
    schema.write_text(ranged, "utf-8")
    code, out, err = run("layer", "schema", "terrain", "--schema", schema)
    assert code == 0, err


def test_several_at_once(run: Run, empty: str, dem: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.tif", ramp() + 5)
    code, out, _ = run("publish", dem, other, "--layer", "terrain", *SINCE, "--scene", "a", "b")
    assert (code, "2 created" in out) == (0, True), out
    assert run("diff", "terrain", "2019-01-01..2021-01-01")[1].splitlines()[:2] == ["+ a", "+ b"]
    code, out, _ = run("export", "terrain", "--out", tmp_path / "scenes.geojson")
    assert (code, out[:10]) == (0, "2 features")


def test_a_stated_reference_system_and_codes(run: Run, empty: str, tmp_path: Path) -> None:
    cover = write(tmp_path / "cover.tif", np.ones((9, 9), "uint8"), crs=None)
    refused(run("publish", cover, "--layer", "cover", *SINCE), "--crs")
    code, out, err = run(
        "publish", cover, "--layer", "cover", *SINCE, "--crs", UTM, "--codes", "--valid-to",
        "2021-01-01",
    )  # fmt: skip
    assert (code, "EPSG:32650" in out) == (0, True), err
    _, out, _ = run("diff", "cover", "2020-06-01..2022-01-01")
    assert out.startswith("- cover")


def test_what_is_refused(run: Run, empty: str, dem: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.tif"
    notes.write_text("no raster", encoding="utf-8")
    refused(run("publish", notes, "--layer", "t", *SINCE), "notes.tif", "GeoTIFF")
    refused(run("publish", tmp_path / "none.tif", "--layer", "t", *SINCE), "does not exist")
    refused(run("publish", dem, "--layer", "t"), "--valid-from")
    refused(run("publish", dem, "--layer", "t", *SINCE, "--crs", "EPSG:4326"), "--crs says")
    refused(run("publish", dem, "--layer", "t", *SINCE, "--valid-to", "soon"), "--valid-to")
    refused(run("publish", dem, "--layer", "t", *SINCE, "--valid-to", "2019-01-01"))
    wells = tmp_path / "wells.csv"
    wells.write_text("no\n1\n", encoding="utf-8")
    refused(run("publish", dem, wells, "--layer", "t", *SINCE), "wells.csv is no GeoTIFF")
    refused(run("publish", wells, "--layer", "t", *SINCE, "--codes"), "--codes")
    refused(run("publish", dem, "--layer", "t", *SINCE, "--schema", "cn:parcels"), "raster")
    assert run("layers") == (0, "", "")


@pytest.mark.parametrize("name", ["corrupt", "rotated"])
def test_bad_files_of_others(run: Run, empty: str, shared: Path, name: str) -> None:
    path = shared / "data" / "raster" / f"{name}.tif"
    refused(run("publish", path, "--layer", "t", *SINCE), f"{name}.tif")
    assert run("layers") == (0, "", "")


def test_copies_stand_in_the_data_folder(
    empty: str, dem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.opening import opened_store
    from services.settings import read_settings

    monkeypatch.setenv("SHIKONG_DATA", str(tmp_path / "data"))
    assert main(["publish", str(dem), "--layer", "terrain", *SINCE]) == 0
    with opened_store(read_settings()) as store:
        assert store.copies.folder == tmp_path / "data" / "cache" / "rasters"
