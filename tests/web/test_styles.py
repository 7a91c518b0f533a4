"""Styles in a real Chromium: MapLibre takes ours without a word, and judges others as we do."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from layers.schemas.profiles import profile_schemas
from services.style_documents import addressed
from tiles.errors import BadStyle
from tiles.styling.checking import check_style
from tiles.styling.defaults import default_style

CITY = ("grids", "incidents", "parcels", "pipe_nodes", "pipe_segments")
CN = profile_schemas("cn")
# What MapLibre says of a style by itself, before it asks for anything.
JUDGE = """async (style) => {
    const maplibre = await import("/static/vendor/maplibre-gl/maplibre-gl.mjs");
    const box = document.body.appendChild(document.createElement("div"));
    const empty = { version: 8, sources: {}, layers: [] };
    const map = new maplibre.Map({ container: box, style: empty });
    await map.once("styledata");
    const found = [];
    map.on("error", ({ error }) => found.push(String(error.message)));
    map.setStyle(style, { diff: false });
    await new Promise((done) => setTimeout(done, 250));
    map.remove();
    box.remove();
    return found.filter((text) => !/AJAXError|Failed to fetch/.test(text));
}"""
Judge = Callable[[Any], list[str]]


@pytest.fixture
def page(server: str, browser: Browser) -> Iterator[Page]:
    """A page of the server, on which nothing may go wrong."""
    complaints: list[str] = []
    opened = browser.new_page(viewport={"width": 1000, "height": 700}, locale="zh-CN")
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "console",
        lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None,
    )
    opened.goto(f"{server}/conformance?f=html")
    yield opened
    opened.close()
    assert [text for text in complaints if "WebGL" not in text and "GPU" not in text] == []


@pytest.mark.parametrize("layer", CITY)
def test_the_page_of_a_default_style_draws_it(server: str, page: Page, layer: str) -> None:
    # From afar small things are counted; the pipes are looked at from near.
    near = "#14/38.0490/-85.5745" if layer.startswith("pipe") else ""
    page.goto(f"{server}/styles/{layer}?f=html{near}")
    page.wait_for_selector("#style-map[data-drawn]", timeout=60_000)
    # The buttons and the scale lie over the map, and are no part of what it draws.
    page.evaluate("document.querySelector('.maplibregl-control-container').remove()")
    png = page.locator("#style-map canvas").screenshot()
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))[6:-6, 6:-6].reshape(-1, 3)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    background = colours[counts.argmax()]
    drawn = pixels[np.abs(pixels.astype(int) - background).max(axis=1) > 12]
    assert len(drawn) > (200 if layer.startswith("pipe") else 2000)
    if layer == "pipe_segments":
        # Water, by the standard.
        assert (np.abs(drawn.astype(int) - [0, 255, 255]).max(axis=1) < 60).any()
    legend = page.locator("img[alt^=图例]")
    assert legend.evaluate("image => image.complete && image.naturalWidth") > 100


@pytest.mark.parametrize("layer", sorted(CN))
def test_maplibre_finds_no_fault_with_the_profiles_styles(
    server: str, page: Page, layer: str
) -> None:
    document = default_style(layer, CN[layer], CN[layer].stored)
    assert page.evaluate(JUDGE, addressed(document, server)) == []


COLOURED = ["match", ["get", "name"], "a", "red", "blue"]
CASES: list[tuple[str, Any, bool]] = [
    ("circle-color", COLOURED, True),
    ("circle-color", "hsl(20, 50%, 50%)", True),
    ("circle-radius", ["interpolate", ["linear"], ["zoom"], 1, 2, 3, ["get", "size"]], True),
    ("circle-color", "reddish", False),
    ("circle-color", COLOURED[:-1], False),
    ("circle-color", ["+", 1, 2], False),
    ("circle-colour", "red", False),
    ("circle-radius", "5", False),
    ("circle-radius", -1, False),
    ("circle-radius", ["*", ["zoom"], 2], False),
    ("circle-radius", ["sqrt", 1, 2], False),
    ("circle-radius", ["interpolate", ["linear"], ["zoom"], 3, 2, 1, 2], False),
    ("circle-pitch-scale", "up", False),
    ("circle-translate", [1, 2, 3], False),
]


@pytest.mark.parametrize(("name", "value", "good"), CASES)
def test_maplibre_judges_as_we_do(
    server: str, browser: Browser, name: str, value: Any, good: bool
) -> None:
    layer = {"id": "a", "type": "circle", "source": "s", "source-layer": "grids"}
    url = "{base}/collections/grids/tiles/WebMercatorQuad?f=tilejson"
    sources = {"s": {"type": "vector", "url": url}}
    document = {"version": 8, "sources": sources, "layers": [layer | {"paint": {name: value}}]}
    taken = True
    try:
        check_style(document, "grids", ("name", "size"))
    except BadStyle:
        taken = False
    page = browser.new_page()
    page.goto(f"{server}/conformance?f=html")
    said = page.evaluate(JUDGE, addressed(document, server))
    page.close()
    assert (taken, said == []) == (good, good), said
