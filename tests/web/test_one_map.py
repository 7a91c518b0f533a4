"""One Map and the pages in a real Chromium, on the demo city behind a real server."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs, quote, urlsplit
from urllib.request import urlopen

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import expect
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

if TYPE_CHECKING:
    from tests.web.conftest import Tab

OpenTab: TypeAlias = "Callable[..., Tab]"
ONLY_PARCELS = "off=grids,incidents,pipe_nodes,pipe_segments"
PARCEL = np.array([0xF6, 0xEF, 0xDF])
BEFORE_SALE, AFTER_SALE = "Book 1200, page 34", "Book 1315, page 208"


def fetch(address: str) -> Any:
    with urlopen(address) as answer:
        return json.load(answer)


def parcels(server: str, datetime: str) -> dict[str, BaseGeometry]:
    """The parcels of the city's west on a day."""
    box = "-71.16,42.385,-71.14,42.4"
    found = fetch(f"{server}/collections/parcels/items?bbox={box}&limit=5000&datetime={datetime}")
    return {f["id"]: shape(f["geometry"]) for f in found["features"] if f["geometry"]}


def picture(tab: Tab) -> NDArray[np.int64]:
    """The pixels of the map, red, green and blue."""
    png = tab.page.locator("#map canvas").screenshot()
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(np.int64)


def around(tab: Tab, pixels: NDArray[np.int64], bounds: Any) -> NDArray[np.int64]:
    """The part of a picture that shows a box of longitudes and latitudes."""
    corners = tab.page.evaluate(
        "([w, s, e, n]) => [shikong.map.project([w, n]), shikong.map.project([e, s])]"
        ".map(({x, y}) => [x, y])",
        list(bounds),
    )
    (left, top), (right, bottom) = [[round(v) for v in corner] for corner in corners]
    return pixels[top - 3 : bottom + 4, left - 3 : right + 4]


def differing(a: NDArray[np.int64], b: NDArray[np.int64]) -> int:
    """How many pixels differ so that one can see it."""
    return int((np.abs(a - b).max(axis=2) > 12).sum())


def is_coloured(pixels: NDArray[np.int64], colour: NDArray[np.int64]) -> float:
    """The share of pixels of a colour."""
    return float((np.abs(pixels - colour).max(axis=2) <= 2).mean())


def asked_of(url: str, name: str) -> str | None:
    return parse_qs(urlsplit(url).query).get(name, [None])[0]


def layer_of(url: str) -> str:
    return urlsplit(url).path.split("/collections/")[1].split("/")[0]


def hash_at(point: BaseGeometry, zoom: float, more: str = "") -> str:
    return f"#map={zoom}/{point.y:.5f}/{point.x:.5f}{more and '&' + more}"


def test_the_map_shows_the_parcels_of_its_day(server: str, open_tab: OpenTab) -> None:
    then, now = parcels(server, "2013-06-01"), parcels(server, "2026-01-01")
    both = then.keys() & now.keys()
    shrunk = {i: now[i].area / then[i].area for i in both}
    split = min(shrunk, key=lambda i: shrunk[i])
    assert shrunk[split] < 0.7
    spot = then[split].centroid
    kept = [now[i] for i in both if now[i].equals(then[i]) and now[i].distance(spot) < 0.001]
    inside = (g.representative_point().buffer(2e-5).envelope for g in kept)
    same = next(b for b in inside if any(g.contains(b.buffer(3e-5)) for g in kept))

    tab = open_tab(server)
    tab.open("/?datetime=2013-06-01" + hash_at(spot, 16.9, ONLY_PARCELS))
    first = picture(tab)
    assert is_coloured(first, PARCEL) > 0.3
    tab.page.get_by_role("button", name="现在 Now").click()
    tab.settle()
    second = picture(tab)
    assert is_coloured(second, PARCEL) > 0.3
    for geometry, least, most in ((then[split], 20, 10**6), (same, 0, 0)):
        seen = differing(*(around(tab, p, geometry.bounds) for p in (first, second)))
        assert least <= seen <= most


def test_one_date_moves_every_layer(server: str, open_tab: OpenTab) -> None:
    tab = open_tab(server)
    tab.open("/?datetime=2021-06-01#map=14.6/42.3741/-71.1197")
    everything = {c["id"] for c in fetch(f"{server}/collections")["collections"]}
    expect(tab.page.locator("#datetime")).to_have_value("2021-06-01")
    assert {layer_of(url) for url in tab.tiles} == everything
    assert {asked_of(url, "datetime") for url in tab.tiles} == {"2021-06-01"}
    assert max(Counter(tab.tiles).values()) == 1

    asked = len(tab.tiles)
    tab.page.locator("#datetime").fill("2013-06-01")
    tab.page.keyboard.press("Enter")
    tab.settle()
    assert tab.page.url.startswith(f"{server}/?datetime=2013-06-01#")
    moved = tab.tiles[asked:]
    assert {layer_of(url) for url in moved} == everything
    assert {asked_of(url, "datetime") for url in moved} == {"2013-06-01"}
    assert max(Counter(moved).values()) == 1

    asked = len(tab.tiles)
    tab.page.go_back()
    tab.settle()
    expect(tab.page.locator("#datetime")).to_have_value("2021-06-01")
    assert {asked_of(url, "datetime") for url in tab.tiles[asked:]} == {"2021-06-01"}

    tab.page.locator("#slider").focus()
    tab.page.keyboard.press("ArrowLeft")
    expect(tab.page.locator("#datetime")).to_have_value("2021-05-31")
    tab.page.wait_for_url(re.compile("datetime=2021-05-31"))
    tab.settle()


def test_a_click_shows_the_versions_of_a_parcel(server: str, open_tab: OpenTab) -> None:
    parcel = fetch(f"{server}/collections/parcels/items/169-100")
    spot = shape(parcel["geometry"]).representative_point()
    tab = open_tab(server)
    tab.open("/?datetime=2014-06-10" + hash_at(spot, 17.5))
    tab.page.locator("#map canvas").click()
    panel = tab.page.locator("#feature")
    expect(panel.get_by_role("heading", level=2)).to_contain_text("169-100")
    versions = panel.locator(".versions > li")
    expect(versions).to_have_count(3)
    expect(versions.nth(0)).to_contain_text(AFTER_SALE)
    expect(versions.nth(1)).to_contain_text(BEFORE_SALE)
    expect(versions.nth(0).locator("a")).to_have_attribute("aria-current", "true")
    expect(panel.locator(".properties")).to_contain_text(AFTER_SALE)
    expect(panel.locator(".hits")).to_contain_text("选区 8-2")

    versions.nth(1).locator("a").click()
    expect(versions.nth(1).locator("a")).to_have_attribute("aria-current", "true")
    expect(tab.page.locator("#datetime")).to_have_value("2014-01-01")
    expect(panel.locator(".properties")).to_contain_text(BEFORE_SALE)
    panel.get_by_role("button", name="关闭").click()
    expect(panel).to_be_hidden()
    tab.settle()


def test_what_was_known_is_an_axis_of_its_own(server: str, open_tab: OpenTab) -> None:
    tab = open_tab(server)
    tab.open("/?datetime=2014-05-20#recorded=2014-06-01&feature=parcels/169-100&off=incidents")
    assert {asked_of(url, "recorded") for url in tab.tiles} == {"2014-06-01"}
    properties = tab.page.locator("#feature .properties")
    expect(properties).to_contain_text(BEFORE_SALE)
    tab.page.get_by_role("button", name="最新 Newest").click()
    expect(properties).to_contain_text(AFTER_SALE)
    tab.settle()
    # Of what was recorded in 2014, the precincts of 2022 and the cases were not yet.
    tab.page.locator("#recorded").fill("2013-02-15")
    tab.page.keyboard.press("Enter")
    tab.settle()
    pipes = tab.page.locator('[data-layer="pipe_segments"]')
    expect(pipes).to_contain_text("该入库时间尚无此图层")


def test_layers_can_be_switched_and_say_what_is_made_up(server: str, open_tab: OpenTab) -> None:
    tab = open_tab(server)
    tab.open("/#map=17/42.3741/-71.1197")
    for collection in fetch(f"{server}/collections")["collections"]:
        entry = tab.page.locator(f'[data-layer="{collection["id"]}"]')
        expect(entry).to_contain_text(collection["titles"]["zh"])
        expect(entry).to_contain_text(collection["titles"]["en"])
        expect(entry.locator(".badge")).to_have_count(1 if collection["synthetic"] else 0)
        expect(tab.page.locator("#attribution")).to_contain_text(collection["attribution"])
    visibility = "id => shikong.map.getLayoutProperty(id, 'visibility')"
    assert tab.page.evaluate(visibility, "grids/precinct/line") == "visible"
    tab.page.get_by_label("选区 Voting precinct").uncheck()
    assert tab.page.evaluate(visibility, "grids/precinct/line") == "none"
    assert tab.page.evaluate(visibility, "grids/neighborhood/line") == "visible"
    assert "off=grids/precinct" in tab.page.url
    tab.settle()


def test_what_the_server_says_of_a_date_is_shown(server: str, open_tab: OpenTab) -> None:
    with pytest.raises(OSError, match="400") as refused:
        fetch(f"{server}/collections/parcels/items?datetime=yesterday")
    detail = json.load(refused.value)["detail"]  # type: ignore[arg-type]
    tab = open_tab(server)
    tab.page.goto(f"{server}/?datetime=yesterday")
    expect(tab.page.get_by_role("alert")).to_have_text(f"{detail}×")
    tab.page.locator("#datetime").fill("2014-06-01")
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_role("alert")).to_have_count(0)
    tab.settle()
    tab.complaints = [c for c in tab.complaints if "400" not in c]


def test_it_works_below_a_path(server_below: str, open_tab: OpenTab) -> None:
    tab = open_tab(server_below, 390, 700)
    tab.open("/?datetime=2014-06-01#map=17/42.3741/-71.1197")
    assert tab.tiles
    assert {urlsplit(url).path.split("/")[1] for url in tab.asked} == {"city"}
    tab.page.locator("#show-layers").click()
    expect(tab.page.locator("#layers")).to_be_visible()
    tab.open("/collections/parcels/items/169-100/versions?f=html")
    tab.page.get_by_role("link", name="那时的地图").first.click()
    expect(tab.page).to_have_url(
        re.compile(r"/city/\?datetime=2014-05-14#.*feature=parcels/169-100")
    )
    expect(tab.page.locator("#feature .versions > li")).to_have_count(3)
    tab.settle()


def every_page(server: str) -> list[str]:
    """A page of every document that the API lists and that nobody must sign in for."""
    values = {"collectionId": "parcels", "featureId": "169-100", "number": "4"}
    values["tileMatrixSetId"] = "WebMercatorQuad"
    values["processID"] = values["processId"] = fetch(f"{server}/processes")["processes"][0]["id"]
    pages = []
    for path, methods in fetch(f"{server}/api")["paths"].items():
        answers = methods.get("get", {}).get("responses", {}).get("200", {})
        formats = answers.get("content", {}).keys()
        named = re.findall(r"{(\w+)}", path)
        documented = {"text/html"} < formats or "/revisions" in path
        documented = documented and not path.endswith("/faults")  # a download, and for staff
        open_to_all = path != "/" and not path.startswith(("/account", "/admin"))
        # The demo city has no rasters; tests/services/test_map_tiles.py looks at their pages.
        open_to_all = open_to_all and "/map/tiles" not in path
        if open_to_all and documented and all(name in values for name in named):
            pages.append(re.sub(r"{(\w+)}", lambda m: quote(values[m[1]]), path))
    return pages


def test_every_document_has_a_page(server: str, open_tab: OpenTab) -> None:
    tab = open_tab(server)
    pages = every_page(server)
    assert len(pages) >= 14
    events = fetch(f"{server}/collections/incidents/items?limit=1")["features"][0]["id"]
    more = [
        "/collections/pipe_nodes/items?datetime=2019-01-01/2021-01-01&limit=5",
        "/collections/parcels/items/169-100.20140514T040000.000000Z",
        f"/collections/incidents/items/{events}/versions",
        "/collections/grids/items/precinct%3A3-2?datetime=2014-06-01",
    ]
    for path in pages + more:
        tab.open(path)
        assert tab.page.get_by_role("heading", level=1).inner_text().strip(), path
        assert tab.page.locator("html").get_attribute("lang") == "zh-CN"
        href = tab.page.get_by_role("link", name="JSON", exact=True).get_attribute("href")
        assert href is not None
        with urlopen(f"{server}{urlsplit(path).path}{href}") as answer:
            assert "json" in answer.headers["Content-Type"], path


def test_the_versions_page_says_what_changed(server: str, open_tab: OpenTab) -> None:
    tab = open_tab(server)
    tab.open("/collections/parcels/items/169-100/versions")
    newest, middle, first = tab.page.locator(".timeline > li").all()
    expect(newest).to_contain_text("2014-05-14 — 至今")
    expect(newest.locator("del")).to_contain_text(BEFORE_SALE)
    expect(newest.locator("ins")).to_contain_text(AFTER_SALE)
    expect(middle).to_contain_text("2014-01-01 — 2014-05-14")
    expect(first).to_contain_text("首个版本")
