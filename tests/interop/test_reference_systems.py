"""Which way round the coordinates are, and in which system, in what GDAL makes of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyogrio
import pytest
import shapely

from tests.databases import Databases
from tests.interop import wells
from tests.interop.conftest import Server, serving

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
# Geographic CGCS2000 (latitude first), and its three-degree zone of 117 E (northing first).
STORED = ("EPSG:4490", "EPSG:4548")
ASKED = ("storage", "EPSG:4490", "EPSG:4326", "EPSG:3857")


@pytest.fixture(scope="module", params=STORED)
def stored(
    request: pytest.FixtureRequest,
    empty_template: str,
    make_database: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, str]]:
    """Wells that are stored in a system, behind a server."""
    dsn = make_database(empty_template)
    wells.publish(dsn, crs=request.param)
    with serving(dsn, tmp_path_factory.mktemp("stored") / "asked") as server:
        yield server, request.param


def places(frame: object) -> np.ndarray:
    return np.asarray(shapely.get_coordinates(frame.geometry.to_numpy()))  # type: ignore[attr-defined]


def expected(server: Server, crs: str) -> np.ndarray:
    """Return what the store has, in a system, x before y, in the order of ids."""
    return places(wells.read(server.dsn, "wells").to_crs(crs).sort_index())


def test_gdal_takes_the_storage_system_by_itself(stored: tuple[Server, str]) -> None:
    server, crs = stored
    collection = server.json("/collections/wells")
    assert collection["storageCrs"] == EPSG + crs.removeprefix("EPSG:")
    assert CRS84 in collection["crs"]
    frame = pyogrio.read_dataframe(f"OAPIF:{server.base}", layer="wells").sort_values("id")
    assert f"EPSG:{frame.crs.to_epsg()}" == crs
    assert np.abs(places(frame) - expected(server, crs)).max() < (
        1e-3 if crs != "EPSG:4490" else 1e-8
    )


@pytest.mark.parametrize("asked", ASKED)
def test_gdal_has_coordinates_where_they_are(stored: tuple[Server, str], asked: str) -> None:
    server, crs = stored
    asked = crs if asked == "storage" else asked
    frame = pyogrio.read_dataframe(f"OAPIF:{server.base}", layer="wells", CRS=asked, PAGE_SIZE=30)
    # For GDAL the two systems of WGS 84 are the same but for the order: it takes the first offered.
    same = {"EPSG:4326": "OGC:CRS84"}.get(asked, asked)
    assert ":".join(frame.crs.to_authority()) in (asked, same)
    found, there = places(frame.sort_values("id")), expected(server, asked)
    assert len(found) == 100
    metric = frame.crs.is_projected
    assert np.abs(found - there).max() < (1e-3 if metric else 1e-8)
    if not metric:
        assert 118 < found[0][0] < 119


@pytest.mark.parametrize("asked", ASKED)
def test_a_box_is_sent_in_the_system_that_was_chosen(
    stored: tuple[Server, str], asked: str
) -> None:
    server, crs = stored
    asked = crs if asked == "storage" else asked
    kept = wells.read(server.dsn, "wells").to_crs(asked)
    part = kept[kept["no"].between("W00022", "W00025")]
    west, south, east, north = part.total_bounds
    away = (east - west) / 100
    box = (west - away, south - away, east + away, north + away)
    server.forget()
    frame = pyogrio.read_dataframe(f"OAPIF:{server.base}", layer="wells", CRS=asked, bbox=box)
    assert sorted(frame["id"]) == sorted(kept.cx[box[0] : box[2], box[1] : box[3]].index)
    sent = [a.parameters for a in server.asked("/wells/items") if "bbox" in a.parameters]
    assert sent
    for parameters in sent:
        # As the authority has the axes: only Web Mercator, and CRS84, have the easting first.
        used = parameters["bbox-crs"]
        assert used == parameters["crs"]
        assert used == EPSG + asked.removeprefix("EPSG:") or (asked, used) == ("EPSG:4326", CRS84)
        first = float(parameters["bbox"].split(",")[0])
        assert abs(first - box[0 if used in (CRS84, EPSG + "3857") else 1]) < away


def test_the_answer_says_what_it_is_in(stored: tuple[Server, str]) -> None:
    server, crs = stored
    uri = EPSG + crs.removeprefix("EPSG:")
    page = server.json(f"/collections/wells/items?limit=1&crs={uri}")
    x, y = expected(server, crs)[0]
    assert page["features"][0]["geometry"]["coordinates"] == pytest.approx([y, x], abs=1e-3)
    page = server.json("/collections/wells/items?limit=1")
    assert page["features"][0]["geometry"]["coordinates"] == pytest.approx([118.2, 39.6], abs=1e-7)
