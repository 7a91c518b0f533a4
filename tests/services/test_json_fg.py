"""JSON-FG (OGC 21-045r1), requirement by requirement, on every layer of the city."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import geopandas as gpd
import pytest
import shapely
from pyproj import Transformer
from starlette.testclient import TestClient

from layers.publish import Reload
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
from layers.writers import Writer

CORE = "http://www.opengis.net/spec/json-fg-1/1.0/conf/core"
TYPES = "http://www.opengis.net/spec/json-fg-1/1.0/conf/types-schemas"
LAYERS = ("parcels", "grids", "incidents", "pipe_nodes", "pipe_segments")
TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z")
ONLY_ROOTS = ("conformsTo", "coordRefSys")


def get(client: TestClient, layer: str, query: str = "") -> Any:
    answer = client.get(f"/collections/{layer}/items{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def check_feature(feature: dict[str, Any], *, placed: bool) -> None:
    """What the standard asks of a feature wherever it stands."""
    assert {"type", "geometry", "properties", "place", "time"} <= set(feature)
    for instant in feature["time"]["interval"]:
        assert instant == ".." or TIMESTAMP.fullmatch(instant)
    geometry, place = feature["geometry"], feature["place"]
    if geometry is None:
        assert place is None
        return
    shape = shapely.geometry.shape(geometry)
    west, south, east, north = shape.bounds
    assert -180 <= west <= east <= 180
    assert -90 <= south <= north <= 90
    assert not {"coordRefSys", "measures", "conformsTo"} & set(geometry)
    assert (place is not None) == placed
    if place is not None:
        assert place != geometry
        assert place["type"] == geometry["type"]


@pytest.mark.parametrize("layer", LAYERS)
def test_a_collection(client: TestClient, layer: str) -> None:
    found = get(client, layer, "?f=jsonfg&limit=500")
    plain = get(client, layer, "?limit=500")
    assert {CORE, TYPES} <= set(found["conformsTo"])
    assert found["featureType"] == layer
    assert len(found["features"]) == len(plain["features"])
    for feature, same in zip(found["features"], plain["features"], strict=True):
        check_feature(feature, placed="coordRefSys" in found)
        assert not set(ONLY_ROOTS) & set(feature)
        for name in ("id", "geometry", "properties"):
            assert feature[name] == same[name]
    assert any(link["rel"] == "next" and "f=jsonfg" in link["href"] for link in found["links"]) == (
        any(link["rel"] == "next" for link in plain["links"])
    )


@pytest.mark.parametrize("layer", LAYERS)
def test_one_feature(client: TestClient, layer: str) -> None:
    first = get(client, layer, "?limit=1")["features"][0]["id"]
    found = get(client, layer, f"/{first}?f=jsonfg")
    assert {CORE, TYPES} <= set(found["conformsTo"])
    assert found["featureType"] == layer
    check_feature(found, placed="coordRefSys" in found)


def test_a_dimension_is_said_of_like_geometries(client: TestClient) -> None:
    assert get(client, "parcels", "?f=jsonfg&limit=1")["geometryDimension"] == 2
    assert get(client, "incidents", "?f=jsonfg&limit=1")["geometryDimension"] == 0


def test_place_is_in_the_system_of_the_storage(own_doors: Any) -> None:
    schema = parse_schema(
        {
            "title": "Wells",
            "geometry": "Point",
            "crs": "EPSG:4549",
            "visibility": "public",
            "fields": [{"id": "no", "role": "key"}],
        }
    )
    points = [shapely.Point(480_000.25, 3_350_000.5), None]
    frame = gpd.GeoDataFrame({"no": ["1", "2"]}, geometry=points, crs="EPSG:4549")
    reload = Reload(FrameSource(frame), schema=schema, valid_from=date(2020, 1, 1))
    own_doors.store.commit({"wells": reload}, Writer("t"), "")
    found = get(own_doors.client, "wells", "?f=jsonfg")
    assert found["coordRefSys"] == "http://www.opengis.net/def/crs/EPSG/0/4549"
    for feature in found["features"]:
        check_feature(feature, placed=True)
    # The authority has northings first.
    assert found["features"][0]["place"]["coordinates"] == [3_350_000.5, 480_000.25]
    lonlat = Transformer.from_crs("EPSG:4549", "OGC:CRS84", always_xy=True)
    expected = lonlat.transform(480_000.25, 3_350_000.5)
    assert found["features"][0]["geometry"]["coordinates"] == pytest.approx(expected, abs=1e-8)
    one = get(own_doors.client, "wells", "/1?f=jsonfg")
    assert one["place"] == found["features"][0]["place"]
    assert one["coordRefSys"] == found["coordRefSys"]
    version = next(x["href"] for x in one["links"] if x["rel"] == "memento").rpartition("/")[2]
    assert get(own_doors.client, "wells", f"/{version}&f=jsonfg")["place"] == one["place"]


@pytest.mark.parametrize(
    ("crs", "points", "placed"),
    [
        # Where latitude is longitude, both orders of axes say the same.
        ("EPSG:4326", [(45, 45), (44, 45)], [False, True]),
        ("OGC:CRS84", [(45, 45), (44, 45)], [False, False]),
    ],
)
def test_no_place_is_the_geometry_again(
    own_doors: Any, crs: str, points: list[Any], placed: list[bool]
) -> None:
    document = {"title": "Wells", "geometry": "Point", "crs": crs, "visibility": "public"}
    schema = parse_schema(document | {"fields": [{"id": "no", "role": "key"}]})
    frame = gpd.GeoDataFrame(
        {"no": ["1", "2"]}, geometry=gpd.points_from_xy(*zip(*points, strict=True)), crs=crs
    )
    reload = Reload(FrameSource(frame), schema=schema, valid_from=date(2020, 1, 1))
    own_doors.store.commit({"wells": reload}, Writer("t"), "")
    found = get(own_doors.client, "wells", "?f=jsonfg")["features"]
    found += [get(own_doors.client, "wells", f"/{n}?f=jsonfg") for n in (1, 2)]
    for feature, has_place in zip(found, placed * 2, strict=True):
        check_feature(feature, placed=has_place)
    # In the order of the authority: latitude first.
    if placed[1]:
        assert found[1]["place"]["coordinates"] == [45, 44]


def test_its_media_type_is_geojsons(client: TestClient) -> None:
    by_name = client.get("/collections/grids/items?f=jsonfg&limit=1")
    assert by_name.headers["content-type"] == "application/geo+json"
    for kind in ("application/fg+json", "application/vnd.ogc.fg+json"):
        asked = client.get("/collections/grids/items?limit=1", headers={"Accept": kind})
        assert asked.headers["content-type"] == kind
        assert asked.json()["conformsTo"] == by_name.json()["conformsTo"]
