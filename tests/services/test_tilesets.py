"""What describes tiles: tilesets, their limits, TileJSON, and the pins that they pass on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyogrio
import pytest
from pyproj import Transformer
from starlette.testclient import TestClient

SETS = ["WebMercatorQuad", "WorldCRS84Quad", "CGCS2000Quad", "Tianditu_c", "Tianditu_w"]
MERCATOR = ["WebMercatorQuad", "Tianditu_w"]
CRS = {
    "WebMercatorQuad": "http://www.opengis.net/def/crs/EPSG/0/3857",
    "WorldCRS84Quad": "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
    "CGCS2000Quad": "http://www.opengis.net/def/crs/EPSG/0/4490",
    "Tianditu_c": "http://www.opengis.net/def/crs/EPSG/0/4490",
    "Tianditu_w": "http://www.opengis.net/def/crs/EPSG/0/3857",
}
REGISTER = "http://www.opengis.net/def/tilematrixset/OGC/1.0/"
SCHEME = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme"
MVT = "application/vnd.mapbox-vector-tile"
TILEJSON = "application/vnd.mapbox.tilejson+json"
PARCELS = "/collections/parcels/tiles"


def links(document: dict[str, Any], rel: str) -> list[dict[str, Any]]:
    return [x for x in document["links"] if x["rel"] == rel]


def template(document: dict[str, Any]) -> str:
    [item] = links(document, "item")
    assert (item["templated"], item["type"]) == (True, MVT)
    return str(item["href"])


def fill(address: str, *numbers: int, names: str = "tileMatrix tileRow tileCol") -> str:
    for name, number in zip(names.split(), numbers, strict=True):
        assert f"{{{name}}}" in address
        address = address.replace(f"{{{name}}}", str(number))
    return address


def attributes(content: bytes, folder: Path) -> set[str]:
    """The names of the attributes of a tile's only layer, as GDAL reads them."""
    file = folder / "tile.mvt"
    file.write_bytes(content)
    return set(pyogrio.read_info(f"MVT:{file}", X=0, Y=0, Z=0)["fields"]) - {"mvt_id"}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("layer", ["parcels", "incidents", "pipe_segments"])
def test_what_a_tileset_says(client: TestClient, layer: str, name: str) -> None:
    found = client.get(f"/collections/{layer}/tiles/{name}").json()
    assert (found["dataType"], found["crs"]) == ("vector", CRS[name])
    [scheme] = links(found, SCHEME)
    definition = client.get(scheme["href"]).json()
    assert definition["id"] == name
    assert definition["crs"] == CRS[name]
    assert found["tileMatrixSetURI"] == definition["uri"]
    registered = name in ("WebMercatorQuad", "WorldCRS84Quad")
    assert (definition["uri"] == f"{REGISTER}{name}") is registered
    assert template(found)
    levels = [m["id"] for m in definition["tileMatrices"]]
    [part] = found["layers"]
    assert part["id"] == layer
    assert part["minTileMatrix"] == levels[0]
    assert part["maxTileMatrix"] in levels
    assert part["geometryDimension"] == {"parcels": 2, "incidents": 0, "pipe_segments": 1}[layer]
    extent = client.get(f"/collections/{layer}").json()["extent"]["spatial"]["bbox"][0]
    west, south, east, north = extent
    box = found["boundingBox"]
    assert [*box["lowerLeft"], *box["upperRight"]] == extent
    lon, lat = found["centerPoint"]["coordinates"]
    assert west < lon < east
    assert south < lat < north
    center = next(
        m for m in definition["tileMatrices"] if m["id"] == found["centerPoint"]["tileMatrix"]
    )
    assert found["centerPoint"]["scaleDenominator"] == center["scaleDenominator"]


def test_a_tileset_lists_the_attributes_that_tiles_have(client: TestClient, tmp_path: Path) -> None:
    found = client.get(f"{PARCELS}/WebMercatorQuad").json()
    described = found["layers"][0]["propertiesSchema"]["properties"]
    # The whole city, in a time that is over; and one that was sold, with its deed.
    shape = client.get("/collections/parcels/items/169-100").json()["geometry"]
    lon, lat = str(shape["coordinates"]).replace("[", "").replace("]", "").split(",")[:2]
    row = (1 - math.asinh(math.tan(math.radians(float(lat)))) / math.pi) / 2
    column = (float(lon) + 180) / 360
    sold = fill(template(found), 17, int(row * 2**17), int(column * 2**17))
    then = f"{fill(template(found), 12, 1515, 1239)}?datetime=2013-06-01&properties=all"
    small = fill(template(found), 5, 11, 9)
    asked = (sold, then, small)
    carried = [attributes(client.get(address).content, tmp_path) for address in asked]
    assert set.union(*carried) == set(described)
    assert carried[2] == {"count"}
    assert described["valid_from"]["type"] == "string"
    assert described["valid_from"]["format"] == "date-time"
    assert {d["type"] for d in described.values()} <= {"string", "integer", "number", "boolean"}
    json = client.get(f"{PARCELS}/WebMercatorQuad?f=tilejson").json()
    assert set(json["vector_layers"][0]["fields"]) == set(described)


@pytest.mark.parametrize("name", SETS)
def test_limits_hold_every_tile_that_has_anything(client: TestClient, name: str) -> None:
    """By the formulas of the standards, from where the features of a layer of points are."""
    tileset = client.get(f"/collections/pipe_nodes/tiles/{name}").json()
    definition = client.get(f"/tileMatrixSets/{name}").json()
    matrices = {m["id"]: m for m in definition["tileMatrices"]}
    page = client.get("/collections/pipe_nodes/items?limit=10000&datetime=../..").json()
    places = [f["geometry"]["coordinates"][:2] for f in page["features"] if f["geometry"]]
    assert len(places) > 100
    north_first = definition["orderedAxes"] == ["Lat", "Lon"]
    if "3857" in definition["crs"]:
        move = Transformer.from_crs("OGC:CRS84", "EPSG:3857", always_xy=True).transform
        places = [move(*place) for place in places]
    limits = {x["tileMatrix"]: x for x in tileset["tileMatrixSetLimits"]}
    assert list(limits) == list(matrices)[: len(limits)]
    assert int(list(limits)[-1]) == tileset["maxZoom"]
    for level, limit in limits.items():
        matrix = matrices[level]
        x, y = matrix["pointOfOrigin"][::-1] if north_first else matrix["pointOfOrigin"]
        side = matrix["cellSize"] * matrix["tileWidth"]
        columns = {math.floor((place[0] - x) / side) for place in places}
        rows = {math.floor((y - place[1]) / side) for place in places}
        assert limit["minTileCol"] <= min(columns)
        assert max(columns) <= limit["maxTileCol"]
        assert limit["minTileRow"] <= min(rows)
        assert max(rows) <= limit["maxTileRow"]
        # The first is whole; the others not much beyond, as the extent is of all versions.
        if level == next(iter(limits)):
            assert limit["maxTileRow"] == matrix["matrixHeight"] - 1
            assert limit["maxTileCol"] == matrix["matrixWidth"] - 1
        elif int(level) < 12:
            assert limit["minTileCol"] == min(columns)
            assert limit["maxTileRow"] == max(rows)


@pytest.mark.parametrize("name", MERCATOR)
def test_tilejson_leads_to_the_same_tiles(client: TestClient, name: str) -> None:
    tileset = client.get(f"{PARCELS}/{name}").json()
    [there] = [x for x in links(tileset, "alternate") if x["type"] == "application/json"]
    answer = client.get(there["href"])
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert found["tilejson"] == "3.0.0"
    assert found["scheme"] == "xyz"
    assert found["minzoom"] == (0 if name == "WebMercatorQuad" else 1)
    assert found["minzoom"] < found["maxzoom"] <= 22
    assert [x["id"] for x in found["vector_layers"]] == ["parcels"]
    assert found["bounds"] == [
        *tileset["boundingBox"]["lowerLeft"], *tileset["boundingBox"]["upperRight"],
    ]  # fmt: skip
    assert found["center"][:2] == tileset["centerPoint"]["coordinates"]
    assert found["minzoom"] <= found["center"][2] <= found["maxzoom"]
    [tiles] = found["tiles"]
    # The address that Mercator's formulas give: what every client of TileJSON works out.
    lon, lat, zoom = *found["center"][:2], 14
    column = int((lon + 180) / 360 * 2**zoom)
    row = int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**zoom)
    tile = client.get(fill(tiles, zoom, column, row, names="z x y"))
    assert tile.status_code == 200
    assert tile.content == client.get(fill(template(tileset), zoom, row, column)).content


def test_accept_asks_for_tilejson(client: TestClient) -> None:
    answer = client.get(f"{PARCELS}/WebMercatorQuad", headers={"Accept": TILEJSON})
    assert answer.headers["content-type"] == TILEJSON
    assert answer.json()["tilejson"] == "3.0.0"
    both = client.get(
        f"{PARCELS}/WebMercatorQuad", headers={"Accept": f"{TILEJSON};q=0.5, application/json"}
    )
    assert "tilejson" not in both.json()


@pytest.mark.parametrize("name", ["WorldCRS84Quad", "CGCS2000Quad", "Tianditu_c"])
def test_tilejson_is_of_mercator_alone(client: TestClient, name: str) -> None:
    answer = client.get(f"{PARCELS}/{name}?f=tilejson")
    assert answer.status_code == 406
    assert "Mercator" in answer.json()["detail"]
    assert client.get(f"{PARCELS}/{name}", headers={"Accept": TILEJSON}).status_code == 406
    tileset = client.get(f"{PARCELS}/{name}").json()
    assert [x["type"] for x in links(tileset, "alternate")] == ["text/html"]


@pytest.mark.parametrize("name", MERCATOR)
def test_pins_are_passed_on(client: TestClient, name: str) -> None:
    """Who is given a pinned description draws the pinned snapshot."""
    pins = "datetime=2013-06-01&revision=4"
    tileset = client.get(f"{PARCELS}/{name}?{pins}").json()
    json = client.get(f"{PARCELS}/{name}?{pins}&f=tilejson").json()
    asked = client.get(f"{PARCELS}/{name}/14/6060/4956?{pins}").content
    assert asked != client.get(f"{PARCELS}/{name}/14/6060/4956").content
    for address in (
        fill(template(tileset), 14, 6060, 4956),
        fill(json["tiles"][0], 14, 6060, 4956, names="z y x"),
    ):
        assert parse_qs(urlsplit(address).query) == {"datetime": ["2013-06-01"], "revision": ["4"]}
        answer = client.get(address)
        assert answer.content == asked
        assert "immutable" in answer.headers["cache-control"]
    [json_link] = [x for x in links(tileset, "alternate") if x.get("title") == "TileJSON"]
    assert client.get(json_link["href"]).json() == json
    listed = client.get(f"{PARCELS}?{pins}").json()["tilesets"]
    for one in listed:
        [own] = links(one, "self")
        assert template(client.get(own["href"]).json()) == template(one)
        assert template(one).endswith(pins)


def test_filters_and_properties_are_passed_on(client: TestClient, tmp_path: Path) -> None:
    said = {"filter": "map = '169'", "filter-lang": "cql2-text", "properties": "ml,map"}
    found = client.get(f"{PARCELS}/WebMercatorQuad", params=said).json()
    assert parse_qs(urlsplit(template(found)).query) == {k: [v] for k, v in said.items()}
    assert set(found["layers"][0]["propertiesSchema"]["properties"]) == {"ml", "map"}
    shown = client.get(fill(template(found), 16, 24236, 19821))
    assert attributes(shown.content, tmp_path) == {"ml", "map"}


def test_operations_are_named_as_the_standard_has_it(client: TestClient) -> None:
    """By the suffixes a client of OGC API - Tiles knows a path (its table 11)."""
    paths = client.get("/api").json()["paths"]
    numbers = "{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}"
    for start, origin in (("/collections/{collectionId}", "collection"), ("", "dataset")):
        for end, resource in (
            ("", "getTileSetsList"),
            ("/{tileMatrixSetId}", "getTileSet"),
            (f"/{numbers}", "getTile"),
        ):
            name = paths[f"{start}/tiles{end}"]["get"]["operationId"]
            assert name.endswith(f".{origin}.vector.{resource}")


def test_an_older_state_has_no_limits(client: TestClient) -> None:
    """The extent is of what is known now: what was believed then may have lain elsewhere."""
    now = client.get(f"{PARCELS}/WebMercatorQuad?revision=4").json()
    then = client.get(f"{PARCELS}/WebMercatorQuad?revision=1").json()
    for name in ("boundingBox", "tileMatrixSetLimits", "centerPoint"):
        assert name in now
        assert name not in then
    json = client.get(f"{PARCELS}/WebMercatorQuad?revision=1&f=tilejson").json()
    assert "bounds" not in json
    assert "center" not in json


def test_tilesets_of_the_dataset(client: TestClient) -> None:
    rel = "http://www.opengis.net/def/rel/ogc/1.0/tilesets-vector"
    [there] = links(client.get("/").json(), rel)
    listed = client.get(there["href"]).json()["tilesets"]
    assert [t["tileMatrixSetId"] for t in listed] == SETS
    every = [c["id"] for c in client.get("/collections").json()["collections"]]
    for one in listed:
        [own] = links(one, "self")
        found = client.get(own["href"]).json()
        assert [part["id"] for part in found["layers"]] == every
        assert template(found) == template(one)
    some = client.get("/tiles/WebMercatorQuad?collections=grids,parcels").json()
    assert [part["id"] for part in some["layers"]] == ["grids", "parcels"]
    assert template(some).endswith("?collections=grids,parcels")
    json = client.get("/tiles/WebMercatorQuad?collections=grids,parcels&f=tilejson").json()
    assert [x["id"] for x in json["vector_layers"]] == ["grids", "parcels"]
    assert json["tiles"][0].endswith("/{z}/{y}/{x}?collections=grids,parcels")


def test_a_pinned_dataset_names_its_layers(client: TestClient) -> None:
    """Its tiles can be kept for ever only where nothing decides which layers there are."""
    found = client.get("/tiles/WebMercatorQuad?datetime=2023-06-01&commit=5").json()
    answer = client.get(fill(template(found), 12, 1515, 1239))
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    names = parse_qs(urlsplit(template(found)).query)["collections"][0].split(",")
    assert names == [part["id"] for part in found["layers"]]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        (f"{PARCELS}/nowhere", 404),
        (f"{PARCELS}/WebMercatorQuad?revision=9", 404),
        (f"{PARCELS}/WebMercatorQuad?commit=nothing", 404),
        (f"{PARCELS}/WebMercatorQuad?datetime=2013-01-01/2014-01-01", 400),
        (f"{PARCELS}?datetime=../..", 400),
        (f"{PARCELS}/WebMercatorQuad?datetime=soon", 400),
        (f"{PARCELS}/WebMercatorQuad?filter=map%20%3D", 400),
        (f"{PARCELS}/WebMercatorQuad?bbox=1,2,3,4", 400),
        (f"{PARCELS}/WebMercatorQuad?f=xml", 406),
        (f"{PARCELS}?f=tilejson", 406),
        ("/tiles/nowhere", 404),
        ("/tiles?revision=1", 400),
        ("/tiles?collections=nowhere", 404),
        ("/tiles?collections=", 400),
        ("/tiles/WebMercatorQuad?collections=parcels,,grids", 400),
        ("/tiles/WebMercatorQuad?datetime=../..", 400),
        ("/tiles/CGCS2000Quad?f=tilejson", 406),
        ("/tileMatrixSets/nowhere", 404),
    ],
)
def test_what_is_refused(client: TestClient, address: str, status: int) -> None:
    answer = client.get(address)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert len(answer.json()["detail"]) > 20


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/tiles", ["多图层", "Tianditu_c", "CGCS2000Quad"]),
        ("/tiles/Tianditu_c?collections=grids", ["Tianditu_c", "管理网格", "grid_code"]),
        (f"{PARCELS}", ["宗地", "Tianditu_w"]),
        (f"{PARCELS}/WebMercatorQuad?datetime=2014-06-01", ["宗地", "TileJSON", "2014-06-01"]),
        ("/tileMatrixSets", ["天地图经纬度"]),
        ("/tileMatrixSets/Tianditu_c", ["EPSG/0/4490", "0.703125"]),
    ],
)
def test_pages(client: TestClient, browser: dict[str, str], address: str, words: list[str]) -> None:
    answer = client.get(address, headers=browser)
    assert answer.headers["content-type"].startswith("text/html")
    for word in words:
        assert word in answer.text, word
