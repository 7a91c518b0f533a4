"""Map tiles over HTTP: status codes, pins and formats; what they show is held in tests/tiles."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image
from starlette.testclient import TestClient

from layers import catalog
from layers.access.grants import Role, Terms
from layers.model import Visibility
from layers.store import open_store
from layers.territories import Territory
from services.app import create_app
from services.settings import Settings
from tests.databases import Databases
from tests.rasters import publish, ramp, write
from tests.services.conftest import PLAIN, Doors

HERE = "/collections/terrain/map/tiles/WebMercatorQuad"
# All of the raster lies in this tile.
FULL = f"{HERE}/12/1550/3371"


@pytest.fixture(scope="module")
def doors(
    demo_template: str,
    make_database: Databases,
    settings: Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Doors]:
    """The demo city and a raster layer of two versions, the second higher than the first."""
    folder = tmp_path_factory.mktemp("rasters")
    with closing(open_store(make_database(demo_template), copies=folder / "copies")) as store:
        publish(store, "terrain", write(folder / "dem.tif", ramp()))
        later = datetime(2023, 1, 1, tzinfo=UTC)
        publish(store, "terrain", write(folder / "dem.tif", ramp() + 900), valid_from=later)
        publish(store, "secret", write(folder / "secret.tif", ramp()))
        with store.database.write() as connection:
            catalog.set_visibility(connection, "terrain", Visibility.PUBLIC)
        store.follow()
        app = create_app(store, settings)
        with TestClient(app, raise_server_exceptions=False, headers=PLAIN) as client:
            yield Doors(store, client)


@pytest.fixture
def client(doors: Doors) -> TestClient:
    return doors.client


def test_a_tile_is_a_png_that_others_read(client: TestClient) -> None:
    answer = client.get(FULL)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-revision"] == "2"
    image = Image.open(io.BytesIO(answer.content))
    assert (image.format, image.size, image.mode) == ("PNG", (256, 256), "RGBA")
    assert 0 < np.asarray(image)[..., 3].mean() < 255
    assert client.get(f"{FULL}?f=png").content == answer.content
    assert client.head(FULL).status_code == 200


def test_the_other_format(client: TestClient) -> None:
    for address, headers in (
        (f"{FULL}?f=webp", {}),
        (FULL, {"Accept": "image/webp"}),
        (FULL, {"Accept": "image/avif,image/webp,image/apng,*/*;q=0.8"}),
    ):
        answer = client.get(address, headers=headers)
        assert answer.headers["content-type"] == "image/webp"
        assert Image.open(io.BytesIO(answer.content)).format == "WEBP"
        assert "Accept" in answer.headers["vary"]


def test_pins(client: TestClient) -> None:
    now = client.get(FULL).content
    then = client.get(f"{FULL}?datetime=2022-06-01")
    assert then.content != now
    assert then.headers["cache-control"] == "no-cache"
    pinned = client.get(f"{FULL}?datetime=2022-06-01&revision=2")
    assert pinned.content == then.content
    assert "immutable" in pinned.headers["cache-control"]
    first = client.get(f"{FULL}?revision=1")
    assert first.headers["content-revision"] == "1"
    assert first.content == then.content


def test_a_client_that_has_it_gets_304(client: TestClient) -> None:
    tag = client.get(FULL).headers["etag"]
    answer = client.get(FULL, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content) == (304, b"")
    assert client.get(f"{FULL}?f=webp", headers={"If-None-Match": tag}).status_code == 200


def test_an_empty_tile_is_204(client: TestClient) -> None:
    for address in (f"{HERE}/5/0/0", f"{HERE}/22/0/0", f"{FULL}?datetime=2001-01-01"):
        answer = client.get(address)
        assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    ("address", "status"),
    [
        (f"{HERE}/0/0/1", 404),
        (f"{HERE}/0/1/0", 404),
        (f"{HERE}/23/0/0", 404),
        (f"{HERE}/a/0/0", 400),
        (f"{HERE}/1/-1/0", 400),
        (f"{HERE}/1/٣/0", 400),
        ("/collections/terrain/map/tiles/NoSuchQuad/0/0/0", 404),
        ("/collections/terrain/map/tiles/NoSuchQuad", 404),
        ("/collections/nope/map/tiles/WebMercatorQuad/0/0/0", 404),
        ("/collections/nope/map/tiles/WebMercatorQuad", 404),
        ("/collections/nope/map/tiles", 404),
        ("/collections/secret/map/tiles/WebMercatorQuad/0/0/0", 404),
        ("/collections/secret/map/tiles", 404),
        (f"{FULL}?datetime=2022-01-01/2024-01-01", 400),
        (f"{FULL}?datetime=../..", 400),
        (f"{FULL}?datetime=yesterday", 400),
        (f"{FULL}?revision=9", 404),
        (f"{FULL}?revision=1&commit=1", 400),
        (f"{FULL}?bbox=1,2,3,4", 400),
        (f"{FULL}?f=mvt", 406),
        (f"{FULL}?f=jpeg", 406),
    ],
)
def test_what_is_refused(client: TestClient, address: str, status: int) -> None:
    answer = client.get(address, headers={"Accept": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("end", ["", "/WebMercatorQuad", "/WebMercatorQuad/0/0/0"])
def test_features_have_vector_tiles(client: TestClient, end: str) -> None:
    answer = client.get(f"/collections/parcels/map/tiles{end}")
    assert answer.status_code == 404
    assert "/collections/parcels/tiles" in answer.json()["detail"]


def test_tilesets_lead_to_tiles(doors: Doors) -> None:
    collection = doors.json("/collections/terrain")
    rel = "http://www.opengis.net/def/rel/ogc/1.0/tilesets-map"
    (leading,) = [link for link in collection["links"] if link["rel"] == rel]
    assert leading["href"].endswith("/collections/terrain/map/tiles")
    listed = doors.json(leading["href"])
    assert [t["dataType"] for t in listed["tilesets"]] == ["map"] * len(listed["tilesets"])
    whole = doors.json(HERE)
    assert {n: whole[n] for n in listed["tilesets"][0] if n != "links"} == {
        n: told for n, told in listed["tilesets"][0].items() if n != "links"
    }
    assert whole["layers"][0]["dataType"] == "map"
    items = [link for link in doors.json(HERE)["links"] if link["rel"] == "item"]
    assert [link["type"] for link in items] == ["image/png", "image/webp"]
    for link in items:
        href = link["href"].format(tileMatrix=12, tileRow=1550, tileCol=3371)
        assert doors.client.get(href).headers["content-type"] == link["type"]
    parcels = doors.json("/collections/parcels")
    assert rel not in {link["rel"] for link in parcels["links"]}


@pytest.mark.parametrize(
    ("end", "address"),
    [("", "/collections/terrain/map/tiles"), ("/{tileMatrixSetId}", HERE)],
)
def test_openapi_states_what_the_doors_take(doors: Doors, end: str, address: str) -> None:
    paths = doors.json("/api")["paths"]
    template = f"/collections/{{collectionId}}/map/tiles{end}"
    own = "f-tileset" if end else "f"
    last = {"$ref": f"#/components/parameters/{own}"}
    assert paths[template]["get"]["parameters"][-1] == last
    tile = paths[
        "/collections/{collectionId}/map/tiles/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}"
    ]
    (formats,) = [p for p in tile["get"]["parameters"] if p.get("name") == "f"]
    assert formats["schema"]["enum"] == ["png", "webp"]
    assert set(tile["get"]["responses"]["200"]["content"]) == {"image/png", "image/webp"}
    for name, value in (("datetime", "2022-01-01"), ("revision", "1"), ("recorded", "2022-01-01")):
        assert {"$ref": f"#/components/parameters/{name}"} in tile["get"]["parameters"]
        assert {"$ref": f"#/components/parameters/{name}"} in paths[template]["get"]["parameters"]
        told = doors.client.get(f"{address}?{name}={value}").status_code
        assert told == (404 if name == "recorded" else 200)
        answered = doors.client.get(f"{FULL}?{name}={value}").status_code
        # In 2022 nothing was known of it yet.
        assert answered == (404 if name == "recorded" else 200)


def test_its_box_is_that_of_the_scenes(doors: Doors) -> None:
    box = doors.json(HERE)["boundingBox"]
    assert box["lowerLeft"] == pytest.approx([116.2970, 40.0126], abs=1e-3)
    assert box["upperRight"] == pytest.approx([116.3064, 40.0181], abs=1e-3)


def test_scenes_are_its_features(doors: Doors) -> None:
    (scene,) = doors.json("/collections/terrain/items")["features"]
    assert scene["id"] == "dem"
    assert scene["geometry"]["type"] == "MultiPolygon"
    told = scene["properties"]
    assert (told["width"], told["height"], told["dtype"]) == (80, 60, "float32")
    assert len(doors.json("/collections/terrain/items/dem/versions")["features"]) == 2
    vector = doors.client.get("/collections/terrain/tiles/WebMercatorQuad/12/1550/3371")
    assert vector.status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        "/collections/terrain/map/tiles",
        HERE,
        "/collections/terrain",
        "/collections/terrain/items",
        "/collections/terrain/items/dem",
        "/collections/terrain/schema",
        "/",
    ],
)
def test_pages(client: TestClient, browser: dict[str, str], address: str) -> None:
    answer = client.get(address, headers=browser)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


def test_scenes_are_not_edited_over_http(doors: Doors) -> None:
    key = doors.key("publisher")
    properties = {"scene": "a", "sha256": "0" * 64}
    feature = {"type": "Feature", "geometry": None, "properties": properties}
    whole, merge = "application/geo+json", "application/merge-patch+json"
    for method, address, body, kind in (
        ("POST", "/collections/terrain/items", feature, whole),
        ("PUT", "/collections/terrain/items/dem", feature, whole),
        ("PATCH", "/collections/terrain/items/dem", {"properties": properties}, merge),
    ):
        headers = key | {"Content-Type": kind}
        answer = doors.client.request(method, address, json=body, headers=headers)
        assert answer.status_code == 400, answer.text
    made = {"scene": "a", "sha256": "0" * 64, "bands": 1, "dtype": "a", "width": 1, "height": 1}
    feature["properties"] = made | {"grid_crs": "EPSG:4326"}
    feature["geometry"] = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    answer = doors.client.post("/collections/terrain/items", json=feature, headers=key)
    assert "published as GeoTIFFs" in answer.json()["detail"]
    collection = {"type": "FeatureCollection", "features": [feature]}
    upload = doors.client.post("/collections/terrain/revisions", json=collection, headers=key)
    assert upload.status_code == 400
    assert doors.json("/collections/terrain")["revision"] == 2


def test_a_grant_for_another_place_shows_nothing(doors: Doors) -> None:
    """Of an internal layer: a scene is a feature, and is seen where features are."""
    address = "/collections/secret/map/tiles/WebMercatorQuad/12/1550/3371"
    for box, status in (((116.0, 40.0, 117.0, 41.0), 200), ((100.0, 30.0, 101.0, 31.0), 204)):
        terms = Terms(Role.READER, territory=Territory(area=shapely.box(*box).wkb))
        answer = doors.client.get(address, headers=doors.granted(terms))
        assert answer.status_code == status


def test_a_key_opens_what_is_internal(doors: Doors) -> None:
    address = "/collections/secret/map/tiles/WebMercatorQuad/12/1550/3371"
    assert doors.client.get(address).status_code == 404
    answer = doors.client.get(address, headers=doors.key())
    assert answer.status_code == 200
    assert "private" in answer.headers["cache-control"]


def test_a_damaged_store_shows_nothing_of_itself(
    empty_template: str, make_database: Databases, settings: Settings, tmp_path: Path
) -> None:
    with make_database.passing(empty_template) as dsn, closing(open_store(dsn)) as store:
        publish(store, "terrain", write(tmp_path / "dem.tif", ramp()))
        with store.database.own() as connection:
            connection.exec_driver_sql("DELETE FROM shikong.raster_piece")
            connection.exec_driver_sql("UPDATE shikong.layer SET visibility = 'public'")
        app = create_app(store, settings)
        with TestClient(app, raise_server_exceptions=False, headers=PLAIN) as client:
            answer = client.get(FULL)
            assert answer.status_code == 503
            assert "piece" not in answer.text
            assert client.get("/collections/terrain/items").status_code == 200


def test_its_own_style_draws_its_map_tiles(doors: Doors) -> None:
    document = doors.json("/styles/terrain")
    [source] = document["sources"].values()
    assert (source["type"], [x["type"] for x in document["layers"]]) == ("raster", ["raster"])
    [template] = doors.json(source["url"].removeprefix("http://testserver"))["tiles"]
    zoom, row, column = FULL.removeprefix(f"{HERE}/").split("/")
    for name, value in (("{z}", zoom), ("{y}", row), ("{x}", column)):
        template = template.replace(name, value)
    answer = doors.client.get(template)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    # No SLD says it, and nobody is led to one.
    about = doors.json("/styles/terrain/metadata")
    assert about["layers"][0]["type"] == "raster"
    for sheet in about["stylesheets"]:
        assert doors.client.get(sheet["link"]["href"]).status_code == 200
    assert doors.client.get("/styles/terrain?f=sld11").status_code == 406
    assert "f=sld11" not in doors.client.get("/styles/terrain?f=html").text
    assert "f=sld11" in doors.client.get("/styles/parcels?f=html").text
