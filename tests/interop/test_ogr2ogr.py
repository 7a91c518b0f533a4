"""GDAL's command line as a client: what it copies, and what it leaves to the server."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import pyogrio
import pytest
import shapely
from pyogrio import __gdal_version__ as bundled

from layers.access.grants import Role, Terms
from layers.edits import Insert, Retire, Update
from layers.store import open_store
from tests.interop import wells
from tests.interop.conftest import Server

LAYERS = ("grids", "incidents", "parcels", "pipe_nodes", "pipe_segments")
BOX = (-71.12, 42.37, -71.11, 42.38)
# What GDAL's filters become; 3.12 still speaks CQL by its old name.
CQL = "filter"


def run(*words: str, **options: str) -> str:
    """Run one of GDAL's programs, with its configuration options; it must have no complaint."""
    if shutil.which(words[0]) is None:
        pytest.skip("gdal-bin is not installed")
    given = [word for k, v in options.items() for word in ("--config", k, v)]
    done = subprocess.run([*words, *given], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr, done.stderr
    return done.stdout


def copy(server: Server, layer: str, to: Path, *words: str, **options: str) -> gpd.GeoDataFrame:
    """Copy a layer by ogr2ogr, and read the copy; GDAL calls the ids ``id``."""
    page = [] if "PAGE_SIZE" in " ".join(words) else ["-oo", "PAGE_SIZE=5000"]
    target = to / f"{layer}.gpkg"
    run("ogr2ogr", str(target), f"OAPIF:{server.base}", layer, *page, *words, **options)
    return pyogrio.read_dataframe(target).set_index("id", drop=True).sort_index()


def test_versions_are_said(record_property: pytest.RecordProperty) -> None:
    version = run("ogrinfo", "--version").strip()
    record_property("gdal", version)
    print(f"\n{version}; pyogrio {pyogrio.__version__} with GDAL {bundled}")
    assert version.startswith("GDAL ")


@pytest.mark.parametrize("layer", LAYERS)
def test_ogr2ogr_copies_a_layer_whole(city_server: Server, tmp_path: Path, layer: str) -> None:
    copied = copy(city_server, layer, tmp_path)
    kept = wells.read(city_server.dsn, layer).to_crs("OGC:CRS84").sort_index()
    assert copied.index.tolist() == sorted(kept.index)
    kept = kept.loc[copied.index]
    apart = shapely.distance(copied.geometry.to_numpy(), kept.geometry.to_numpy())
    assert not (apart > 1e-8).any()
    assert (copied.geometry.isna() == kept.geometry.isna()).all()
    shown = city_server.json(f"/collections/{layer}/items?limit=1")["features"][0]["properties"]
    assert set(copied.columns) - {"geometry"} == set(shown)


def test_ogrinfo_counts_each_layer_with_one_request(asked_city: Server) -> None:
    said = run("ogrinfo", "-ro", "-so", f"OAPIF:{asked_city.base}", "incidents")
    assert f"Feature Count: {len(wells.read(asked_city.dsn, 'incidents'))}" in said
    pages = asked_city.asked("/collections/incidents/items")
    assert sum(int(a.parameters.get("limit", "0")) for a in pages) <= 1000


def test_a_box_is_the_servers_to_find(asked_city: Server, tmp_path: Path) -> None:
    copied = copy(asked_city, "parcels", tmp_path, "-spat", *map(str, BOX))
    kept = wells.read(asked_city.dsn, "parcels")
    assert copied.index.tolist() == sorted(kept.index[kept.intersects(shapely.box(*BOX))])
    pages = [a for a in asked_city.asked("/parcels/items") if "bbox" in a.parameters]
    assert pages
    assert all([float(n) for n in a.parameters["bbox"].split(",")] == list(BOX) for a in pages)
    # All else that was asked is the sample that shows the fields.
    assert len([a for a in asked_city.asked("/parcels/items") if "bbox" not in a.parameters]) <= 1


def test_one_id_is_one_request(asked_city: Server, tmp_path: Path) -> None:
    copied = copy(asked_city, "parcels", tmp_path, "-where", "id = '169-100'")
    assert copied.index.tolist() == ["169-100"]
    assert [a.status for a in asked_city.asked("/parcels/items/169-100")] == [200]


@pytest.mark.parametrize(
    ("where", "field"),
    [
        ("grid_type = 'precinct'", "grid_type"),
        ("grid_type = 'precinct' AND grid_code = '1-1'", "grid_code"),
        ("name = 'West Cambridge'", "name"),
    ],
)
def test_equality_is_the_servers_to_find(
    asked_city: Server, tmp_path: Path, where: str, field: str
) -> None:
    copied = copy(asked_city, "grids", tmp_path, "-where", where)
    kept = wells.read(asked_city.dsn, "grids")
    for term in where.split(" AND "):
        name, _, value = term.partition(" = ")
        kept = kept[kept[name] == value.strip("'")]
    assert copied.index.tolist() == sorted(kept.index)
    assert len(copied) > 0
    asked = [a.parameters for a in asked_city.asked("/grids/items")]
    assert any(field in p or field in p.get(CQL, "") for p in asked), asked


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("depth > 20", lambda w: w[w.depth > 20]),
        ("depth >= 5 AND depth < 6.5", lambda w: w[(w.depth >= 5) & (w.depth < 6.5)]),
        ("rings IN (3, 4)", lambda w: w[w.rings.isin([3, 4])]),
        ("no LIKE 'W0001%'", lambda w: w[w.no.str.startswith("W0001")]),
        ("street = '长安街'", lambda w: w[w.street == "长安街"]),
        (
            "street = 'O''Brien''s Lane' OR rings = 1",
            lambda w: w[(w.street == "O'Brien's Lane") | (w.rings == 1)],
        ),
        ("NOT (rings > 4)", lambda w: w[w.rings <= 4]),
        ("street IS NULL", lambda w: w[w.street.isna()]),
    ],
)
def test_what_is_compared_is_right_whoever_finds_it(
    wells_server: Server, tmp_path: Path, where: str, expected: object
) -> None:
    copied = copy(wells_server, "wells", tmp_path, "-where", where)
    kept = wells.read(wells_server.dsn, "wells")
    assert callable(expected)
    assert copied.index.tolist() == sorted(expected(kept).index)


def test_comparisons_are_the_servers_to_find(wells_server: Server, tmp_path: Path) -> None:
    """GDAL 3.12 sends CQL where the API's document offers it under the name that GDAL knows."""
    wells_server.forget()
    copied = copy(wells_server, "wells", tmp_path, "-where", "depth > 20")
    assert len(copied) == (wells.read(wells_server.dsn, "wells").depth > 20).sum()
    asked = [a.parameters for a in wells_server.asked("/wells/items")]
    assert any("depth" in p.get(CQL, "") for p in asked), asked


def test_field_types(wells_server: Server, tmp_path: Path) -> None:
    said = run("ogrinfo", "-ro", "-so", f"OAPIF:{wells_server.base}", "wells")
    types = dict(re.findall(r"^(\w+): (\w+)", said, re.M))
    assert types["depth"] == "Real"
    assert types["rings"] == "Integer"
    assert types["dug"] == "Date"
    assert types["measured"] == "DateTime"
    assert types["dry"] == "Integer"
    assert types["street"] == "String"
    assert "keeper" not in types
    copied = copy(wells_server, "wells", tmp_path)
    kept = wells.read(wells_server.dsn, "wells").loc[copied.index]
    assert copied["dug"].dt.date.tolist() == kept["dug"].tolist()
    assert (copied["measured"] == kept["measured"]).all()
    assert (copied["depth"] == kept["depth"]).all()


def test_a_key_in_a_header_shows_what_it_may_see(wells_server: Server, tmp_path: Path) -> None:
    key = wells_server.key(Terms(Role.READER))
    (tmp_path / "a").mkdir()
    for number, header in enumerate((f"Authorization: Bearer {key}", f"X-API-Key: {key}")):
        folder = tmp_path / str(number)
        folder.mkdir()
        copied = copy(wells_server, "wells", folder, GDAL_HTTP_HEADERS=header)
        assert set(copied["keeper"]) == {"Li Si"}
    assert "keeper" not in copy(wells_server, "wells", tmp_path / "a")


def test_nothing_is_lost_or_doubled_while_others_edit(own_server: Server, tmp_path: Path) -> None:
    wells.publish(own_server.dsn, count=1000)
    done = threading.Event()
    made = 0

    def work() -> None:
        """Retire the first, move one in the middle past its neighbours, add before the last."""
        nonlocal made
        with closing(open_store(own_server.dsn)) as store:
            while not done.is_set() and made < 400:
                shape = shapely.Point(118, 39)
                wells.edit(
                    store,
                    Retire(f"W{made:05}"),
                    Update(f"W{999 - made:05}", {"street": "moved"}, geometry=shape),
                    Insert({"no": f"W00500-{made:05}", "street": "new"}, geometry=shape),
                )
                made += 1

    editor = threading.Thread(target=work)
    editor.start()
    while made == 0 and editor.is_alive():
        time.sleep(0.01)
    try:
        copied = copy(own_server, "wells", tmp_path, "-oo", "PAGE_SIZE=10")
    finally:
        done.set()
        editor.join()
    pages = [
        a.parameters for a in own_server.asked("/wells/items") if a.parameters["limit"] == "10"
    ]
    pinned = {p["revision"] for p in pages if "revision" in p}
    assert len(pages) >= 100
    assert made > 2, "nobody edited meanwhile"
    assert len(pinned) == 1
    kept = wells.read(own_server.dsn, "wells", revision=int(pinned.pop()))
    assert copied.index.is_unique
    assert copied.index.tolist() == sorted(kept.index)
    kept = kept.loc[copied.index]
    assert (copied["street"] == kept["street"]).all()
    apart = shapely.distance(copied.geometry.to_numpy(), kept.geometry.to_numpy())
    assert apart.max() < 1e-8
    print(f"\n{len(pages)} pages of 10 while {made} commits were made")
