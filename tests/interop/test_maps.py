"""Maps of another site: OpenLayers and MapLibre in a real Chromium read features and tiles."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import shapely
from playwright.sync_api import Browser, ConsoleMessage, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from layers.access.grants import Role, Terms
from tests.interop import mosaic, wells
from tests.interop.conftest import Server
from tests.interop.drawings import View, covered, ink, read_features, read_picture
from tests.web.conftest import VENDOR, browser, needed, running  # noqa: F401 - fixtures

HERE = Path(__file__).parent
OPENLAYERS = HERE.parents[1] / ".cache/openlayers"
FOLDERS = (HERE / "pages", OPENLAYERS, VENDOR.parent)
CITY = {"layer": "parcels", "centre": "-71.1150,42.3750", "zoom": "17"}
WELLS = {"layer": "wells", "centre": "118.2095,39.602", "zoom": "15"}
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Another site, on another port, that has the pages and the libraries."""
    if not (OPENLAYERS / "ol.js").exists():
        pytest.skip(".cache/openlayers is empty: sh deploy/openlayers.sh fetches it")

    async def file(request: Request) -> Response:
        for folder in FOLDERS:
            path = folder / str(request.path_params["name"])
            if path.is_file():
                kind = "text/javascript" if path.suffix == ".mjs" else None
                return FileResponse(path, media_type=kind)
        return Response(status_code=404)

    app = Starlette(routes=[Route("/{name}", file)])
    with socket.create_server(("127.0.0.1", 0)) as listener, running(app, listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def open_map(site: str, browser: Browser, tmp_path: Path) -> Iterator[Open]:  # noqa: F811
    """Opens a map, waits until it is drawn, and keeps a picture of it."""
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # One test wants a 412; Chromium calls that an error of the page.
        if message.type == "error" and "412" not in message.text:
            complaints.append(message.text)

    def make(name: str, server: Server, **asked: str) -> Page:
        page = browser.new_page(viewport={"width": 900, "height": 600})
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", hear)
        page.goto(f"{site}/{name}.html?{urlencode({'server': server.base} | asked)}")
        page.wait_for_function("window.settled || window.failed", timeout=60_000)
        assert page.evaluate("window.failed ?? null") is None
        page.screenshot(path=tmp_path / f"{name}-{asked['layer']}-{asked['how']}.png")
        return page

    yield make
    assert complaints == []


def features(page: Page) -> list[dict[str, Any]]:
    return list(page.evaluate("window.features()"))


def here(page: Page, place: tuple[float, float]) -> list[dict[str, Any]]:
    """Return what the map has drawn at a place."""
    return list(page.evaluate("place => window.at(place)", list(place)))


def in_view(page: Page, server: Server, layer: str) -> set[str]:
    """Return the features that the store has in the box that the map asked for."""
    boxes = [
        a.parameters["bbox"] for a in server.asked(f"/{layer}/items") if "bbox" in a.parameters
    ]
    box = shapely.box(*map(float, boxes[0].split(",")))
    kept = wells.read(server.dsn, layer).to_crs("OGC:CRS84")
    return set(kept.index[kept.intersects(box) | kept.geometry.isna()])


@pytest.mark.parametrize("limit", ["25", "5000"])
def test_openlayers_reads_what_is_in_view(asked_city: Server, open_map: Open, limit: str) -> None:
    page = open_map("openlayers", asked_city, how="items", limit=limit, **CITY)
    found = features(page)
    ids = [f["id"] for f in found]
    assert sorted(ids) == sorted(in_view(page, asked_city, "parcels"))
    assert len(ids) > 100
    print(f"\nOpenLayers: {len(ids)} parcels")
    # Another origin reads without a key, and so without asking first.
    assert asked_city.asked()
    assert {a.method for a in asked_city.asked()} == {"GET"}


def test_openlayers_reads_in_its_own_system(wells_server: Server, open_map: Open) -> None:
    wells_server.forget()
    page = open_map("openlayers", wells_server, how="mercator", **WELLS)
    assert {f["id"] for f in features(page)} == {f"W{i:05}" for i in range(100)}
    assert {f["no"] for f in here(page, (118.203, 39.602))} == {"W00043"}


def test_openlayers_reads_our_tiles(asked_city: Server, open_map: Open) -> None:
    page = open_map("openlayers", asked_city, how="tiles", **CITY)
    found = {f["ml"] for f in features(page)}
    kept = wells.read(asked_city.dsn, "parcels")
    assert len(found) > 100
    assert found <= set(kept["ml"])
    inside = kept[kept["ml"] == "169-100"].geometry.iloc[0]
    assert inside is not None
    asked = asked_city.asked()
    assert any(a.path.endswith("/tiles/WebMercatorQuad") for a in asked)
    assert any(a.path.endswith("/tileMatrixSets/WebMercatorQuad") for a in asked)
    assert {a.status for a in asked if "/tiles/WebMercatorQuad/" in a.path} <= {200, 204}


def test_openlayers_draws_our_map_tiles(own_server: Server, open_map: Open, tmp_path: Path) -> None:
    mosaic.publish_mosaic(own_server.dsn, tmp_path)
    view = mosaic.VIEW
    # Its zooms are those of tiles of 256 pixels.
    centre = f"{view.longitude},{view.latitude}"
    page = open_map(
        "openlayers", own_server, how="map", layer="mosaic", centre=centre, zoom=f"{view.zoom}"
    )
    page.evaluate("document.querySelector('.ol-overlaycontainer-stopevent').remove()")
    mosaic.assert_shown(read_picture(page.screenshot()), view)
    tiles = own_server.asked()
    assert any(a.path.endswith("/map/tiles/WebMercatorQuad") for a in tiles)
    pictures = [a for a in tiles if "/map/tiles/WebMercatorQuad/" in a.path]
    assert len(pictures) > 3
    assert {a.status for a in pictures} <= {200, 204}


def test_openlayers_draws_vector_tiles_where_the_features_are(
    asked_city: Server, open_map: Open
) -> None:
    """In its own style: areas in white, 40 % opaque, with blue outlines."""
    view = View(-71.1150, 42.3750, 17, 900, 600)
    page = open_map("openlayers", asked_city, how="tiles", **CITY)
    page.evaluate("document.querySelector('.ol-overlaycontainer-stopevent').remove()")
    picture = read_picture(page.screenshot())
    lines = [shape.boundary for shape, _ in read_features(asked_city, "parcels", view)]
    drawn, there = ink(picture, more_than=40), view.mask(lines, 1.25)
    assert there.sum() > 5000
    assert covered(drawn, there) > 0.99
    assert covered(there, drawn) > 0.99


def test_maplibre_reads_features(wells_server: Server, open_map: Open) -> None:
    page = open_map("maplibre", wells_server, how="items", **WELLS)
    assert {f["no"] for f in features(page)} == {f"W{i:05}" for i in range(100)}
    assert {f["no"] for f in here(page, (118.203, 39.602))} == {"W00043"}


def test_maplibre_reads_our_tiles(wells_server: Server, open_map: Open) -> None:
    page = open_map("maplibre", wells_server, how="tiles", **WELLS)
    assert {f["no"] for f in features(page)} == {f"W{i:05}" for i in range(100)}
    assert {f["no"] for f in here(page, (118.203, 39.602))} == {"W00043"}


@pytest.mark.parametrize(
    ("name", "how"), [("openlayers", "items"), ("maplibre", "items"), ("maplibre", "tiles")]
)
def test_a_key_in_a_header_from_another_site(
    wells_server: Server, open_map: Open, name: str, how: str
) -> None:
    """The browser asks first whether the page may show a key, and is told that it may."""
    wells_server.forget()
    key = wells_server.key(Terms(Role.READER))
    page = open_map(name, wells_server, how=how, key=key, **WELLS)
    assert {f["keeper"] for f in features(page)} == {"Li Si"}
    first = [a for a in wells_server.asked() if a.method == "OPTIONS"]
    assert {a.status for a in first} == {204}
    assert first[0].headers["access-control-request-headers"] == "authorization"


EDIT = """async ({ url, key, method, body, headers }) => {
    const own = { Authorization: `Bearer ${key}`, "Content-Type": "application/geo+json" };
    const all = { ...own, ...headers };
    const answer = await fetch(url, { method, headers: all, body: body && JSON.stringify(body) });
    const shown = ["location", "etag"].map((name) => [name, answer.headers.get(name)]);
    return { status: answer.status, ...Object.fromEntries(shown) };
}"""


def test_a_page_of_another_site_edits(own_server: Server, open_map: Open) -> None:
    """Methods and headers of Part 4 pass a browser; what they answer can be read."""
    wells.publish(own_server.dsn, count=3)
    page = open_map("openlayers", own_server, how="items", **WELLS)
    key = own_server.key(Terms(Role.EDITOR))
    shape = {"type": "Point", "coordinates": [118.5, 39.5]}
    feature = {"type": "Feature", "geometry": shape, "properties": {"no": "W7", "rings": 7}}

    def ask(method: str, url: str, body: Any = None, **headers: str) -> dict[str, Any]:
        given = {"url": url, "key": key, "method": method, "body": body, "headers": headers}
        return dict(page.evaluate(EDIT, given))

    items = f"{own_server.base}/collections/wells/items"
    made = ask("POST", items, feature)
    assert (made["status"], made["location"]) == (201, f"{items}/W7")
    seen = ask("GET", made["location"])
    assert seen["etag"]
    tag = {"If-Match": seen["etag"]}
    tag["Content-Type"] = "application/merge-patch+json"
    changed = ask("PATCH", made["location"], {"properties": {"rings": 8}}, **tag)
    assert changed["status"] in (200, 204)
    assert ask("PATCH", made["location"], {"properties": {"rings": 9}}, **tag)["status"] == 412
    assert ask("PUT", made["location"], feature)["status"] in (200, 204)
    assert ask("DELETE", made["location"])["status"] in (200, 204)
    assert sorted(wells.read(own_server.dsn, "wells").index) == ["W00000", "W00001", "W00002"]
