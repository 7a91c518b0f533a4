"""The pages of our styles, drawn by MapLibre in Chromium, beside what the features' API tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import shapely
from playwright.sync_api import Browser

from tests.interop.conftest import Server
from tests.interop.drawings import (
    Pixels,
    View,
    colours_of,
    covered,
    ink,
    parsed,
    read_features,
    read_picture,
    share_in,
)
from tests.interop.drawn_city import (
    AFAR,
    VIEWS,
    assert_counts,
    assert_grids,
    assert_parcels,
    assert_pipes,
)
from tests.web.conftest import browser, needed  # noqa: F401 - fixtures

Shoot = Callable[[str, View], Pixels]


@pytest.fixture
def shoot(browser: Browser, city_server: Server, tmp_path: Path) -> Iterator[Shoot]:  # noqa: F811
    """Takes the picture of a style's map at a place, on which nothing may go wrong."""
    complaints: list[str] = []
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)

    def make(layer: str, view: View) -> Pixels:
        # Its tiles are 512 pixels wide, and its zooms one less for it.
        place = f"#{view.zoom - 1:g}/{view.latitude}/{view.longitude}"
        page.goto(f"{city_server.base}/styles/{layer}?f=html{place}")
        page.evaluate(
            """([width, height]) => {
                const box = document.getElementById("style-map");
                const size = { width: `${width}px`, height: `${height}px`, maxWidth: "none" };
                const place = { position: "fixed", left: 0, top: 0, zIndex: 9 };
                const plain = { background: "white", border: 0, borderRadius: 0 };
                Object.assign(box.style, { ...size, ...place, ...plain });
            }""",
            [view.width, view.height],
        )
        page.wait_for_selector("#style-map[data-drawn]", timeout=60_000)
        page.evaluate("document.querySelector('.maplibregl-control-container').remove()")
        # The new size has been seen, and labels have faded in.
        page.wait_for_timeout(1500)
        size = {"x": 0, "y": 0, "width": view.width, "height": view.height}
        taken = page.screenshot(path=tmp_path / f"{layer}.png", clip=size)
        picture = read_picture(taken)
        assert picture.shape == (view.height, view.width, 3)
        return picture

    yield make
    page.close()
    assert complaints == []


def test_parcels_are_areas_in_their_colour(shoot: Shoot, city_server: Server) -> None:
    assert_parcels(shoot("parcels", VIEWS["parcels"]), city_server)


def test_grids_are_outlines_in_the_colours_of_their_types(
    shoot: Shoot, city_server: Server
) -> None:
    assert_grids(shoot("grids", VIEWS["grids"]), city_server)


def test_pipes_are_lines_in_their_standard_colour(shoot: Shoot, city_server: Server) -> None:
    # For MapLibre it is zoom 15, between 1.8 pixels at 14 and 3.6 at 16.
    assert_pipes(shoot("pipe_segments", VIEWS["pipe_segments"]), city_server, casing=2.6)


def test_nodes_are_symbols_with_their_numbers_below(shoot: Shoot, city_server: Server) -> None:
    view = VIEWS["pipe_nodes"]
    picture = shoot("pipe_nodes", view)
    found = read_features(city_server, "pipe_nodes", view)
    assert {p["appurtenance"] for _, p in found} == {"hydrant"}
    points = shapely.get_coordinates([shape for shape, _ in found])
    points = points[view.inside(points, 30)]
    assert len(points) > 5
    red = np.abs(picture - np.array(parsed("#d7301f"))).max(axis=2) < 90
    for column, row in points.astype(int):
        assert red[row - 12 : row + 13, column - 12 : column + 13].sum() > 60
        # The number, in a dark grey.
        below = picture[row + 10 : row + 28, column - 25 : column + 26]
        assert (below.max(axis=2) < 130).sum() > 8


def test_cases_are_in_the_colours_of_their_states(shoot: Shoot, city_server: Server) -> None:
    view = VIEWS["incidents"]
    picture = shoot("incidents", view)
    found = read_features(city_server, "incidents", view)
    shapes = np.array([shape for shape, _ in found])
    # At zoom 16 of the map 5.3 pixels around; white edges cut into those below.
    drawn, there = ink(picture), view.mask(shapes, 10.7)
    assert drawn.sum() == pytest.approx(there.sum(), rel=0.25)
    assert covered(drawn, there) > 0.99
    colours = colours_of(city_server, "incidents", "point", "circle-color")
    points = shapely.get_coordinates(shapes)
    # Those that no other lies on.
    near = shapely.STRtree(shapes).query(shapely.buffer(shapes, 14))[0]
    alone = (np.bincount(near, minlength=len(shapes)) == 1) & view.inside(points)
    states = [found[n][1]["state"] for n in np.flatnonzero(alone)]
    assert len(states) > 80
    assert len(set(states)) >= 4
    assert share_in(picture, points[alone], [colours[s] for s in states], apart=6) > 0.98
    # Each has the share of the pixels that it has of the cases.
    cases = Counter(properties["state"] for _, properties in found)
    often = [state for state, _ in cases.most_common(4)]
    pixels = {s: (np.abs(picture - np.array(colours[s])).max(axis=2) < 3).sum() for s in often}
    for state in often:
        share = cases[state] / sum(cases[s] for s in often)
        assert pixels[state] / sum(pixels.values()) == pytest.approx(share, abs=0.06), state


def test_counts_are_in_colours_of_their_own(shoot: Shoot, city_server: Server) -> None:
    assert_counts(shoot("incidents", AFAR), city_server)
