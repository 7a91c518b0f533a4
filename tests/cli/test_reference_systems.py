"""What `shikong publish` is told of coordinates at the command line, and what it says of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from layers.readers import Reader
from layers.store import open_store
from tests.databases import Databases

Run = Callable[..., tuple[int, str, str]]
NEW = ("--layer", "t", "--valid-from", "2020-01-01", "--key", "no")


@pytest.fixture
def empty(empty_template: str, make_database: Databases, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty store for this test's commands."""
    dsn = make_database(empty_template)
    monkeypatch.setenv("DATABASE_URL", dsn)
    return dsn


def shapefile(folder: Path, *places: tuple[float, float]) -> Path:
    """A shapefile without a .prj."""
    path = folder / "wells.shp"
    numbers = [f"W-{n}" for n in range(len(places))]
    frame = gpd.GeoDataFrame({"no": numbers}, geometry=list(map(shapely.Point, places)))
    frame.to_file(path, engine="pyogrio")
    path.with_suffix(".prj").unlink(missing_ok=True)
    return path


def place_of(dsn: str) -> tuple[float, float]:
    """Where feature W-0 lies, in the layer's system."""
    with closing(open_store(dsn)) as store:
        read = store.layer("t", Reader.everything()).at().read()
    point = read.geometry[read["no"] == "W-0"].iloc[0]
    return point.x, point.y


def provenance(dsn: str) -> dict[str, object]:
    """Of the last commit."""
    with closing(open_store(dsn)) as store:
        return dict(store.provenances()[-1])


@pytest.mark.filterwarnings("ignore:'crs' was not provided:UserWarning")
def test_a_choice_is_given_below_the_refusal(run: Run, empty: str, tmp_path: Path) -> None:
    path = shapefile(tmp_path, (40_512_000, 3_344_000), (40_540_000, 3_360_000))
    code, out, err = run("publish", path, *NEW)
    first, *others = err.splitlines()
    assert (code, out) == (1, "")
    assert first.startswith("shikong: wells.shp states no reference system; give --crs")
    assert "Xian 80" in first
    (line,) = others
    assert line.strip().startswith("EPSG:4528 (CGCS2000 / 3-degree Gauss-Kruger zone 40): 120.1246")
    code, out, err = run("publish", path, *NEW, "--crs", "EPSG:4528")
    assert (code, "2 created" in out) == (0, True), err
    assert "reference system: EPSG:4528 (CGCS2000" in out
    assert "as the publisher says" in out
    assert provenance(empty)["crs"] == "EPSG:4528"


@pytest.mark.filterwarnings("ignore:'crs' was not provided:UserWarning")
def test_shifted_coordinates(run: Run, empty: str, tmp_path: Path) -> None:
    # Beijing, as the tests of googollee/eviltransform have it.
    path = shapefile(tmp_path, (116.38404722455657, 39.91334545536069))
    code, out, err = run("publish", path, *NEW, "--crs", "gcj02")
    assert code == 0, err
    assert "GCJ-02 was undone" in out
    assert place_of(empty) == pytest.approx((116.377817, 39.911954), abs=1e-8)
    assert provenance(empty)["crs"] == "gcj02"
    _, out, _ = run("publish", path, "--layer", "t", "--crs", "GCJ-02")
    assert "nothing differs" in out


@pytest.mark.filterwarnings("ignore:'crs' was not provided:UserWarning")
def test_parameters_and_axes(run: Run, empty: str, tmp_path: Path) -> None:
    path = shapefile(tmp_path, (3_344_000, 40_512_000))
    options = ("--crs", "EPSG:2364", "--axes", "north-east")
    code, _, err = run("publish", path, *NEW, *options)
    assert (code, "--towgs84" in err) == (1, True), err
    code, _, err = run("publish", path, *NEW, *options, "--towgs84", "1,2")
    assert (code, "write dx,dy,dz" in err) == (1, True), err
    code, out, err = run("publish", path, *NEW, *options, "--towgs84=-10,20,30")
    assert code == 0, err
    assert "-10,20,30,0,0,0,0" in out
    x, y = place_of(empty)
    assert (x, y) == pytest.approx((120.12, 30.21), abs=0.01)
    told = provenance(empty)
    assert told["towgs84"] == [-10, 20, 30, 0, 0, 0, 0]
    assert (told["rotations"], told["axes"]) == ("position vector", "north, east")


@pytest.mark.filterwarnings("ignore:'crs' was not provided:UserWarning")
def test_four_parameters(run: Run, empty: str, tmp_path: Path) -> None:
    path = shapefile(tmp_path, (12_000, 44_000))
    code, _, err = run("publish", path, *NEW, "--crs", "EPSG:4549", "--similarity", "1,2,3,-15.8")
    assert (code, "no factor" in err) == (1, True), err
    four = ("--similarity", "500000,3300000,0,1")
    code, _, err = run("publish", path, *NEW, "--crs", "EPSG:4490", *four)
    assert (code, "from a plane to a plane" in err) == (1, True), err
    code, out, err = run("publish", path, *NEW, "--crs", "EPSG:4549", *four)
    assert code == 0, err
    assert "four parameters" in out
    assert place_of(empty) == pytest.approx((512_000, 3_344_000), abs=1e-6)
    assert provenance(empty)["similarity"] == [500_000, 3_300_000, 0, 1]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--crs", "gcj02"), "never stored"),
        (("--towgs84", "1,2,3"), "gdalwarp"),
        (("--axes", "north-east"), "gdalwarp"),
        (("--similarity", "1,2,3,1"), "gdalwarp"),
    ],
)
def test_rasters_are_not_taken_by_them(
    run: Run, empty: str, tmp_path: Path, options: tuple[str, ...], word: str
) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0")
    code, _, err = run("publish", path, "--layer", "t", "--valid-from", "2020-01-01", *options)
    assert (code, word in err) == (1, True), err
