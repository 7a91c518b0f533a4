"""QGIS draws our tiles by our styles: its pictures beside what the features' own API tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import shapely

from tests.databases import Databases
from tests.interop import mosaic
from tests.interop.conftest import Server, serving
from tests.interop.drawings import View, covered, ink, parsed, read_features
from tests.interop.drawn_city import (
    AFAR,
    VIEWS,
    assert_counts,
    assert_grids,
    assert_parcels,
    assert_pipes,
)
from tests.qgis.conftest import Qgis


def draw(qgis: Qgis, server: Server, layer: str, view: View) -> dict[str, Any]:
    """Let it open a layer's tiles with their style as its users do."""
    tiles = f"{server.base}/collections/{layer}/tiles/WebMercatorQuad/{{z}}/{{y}}/{{x}}"
    style = f"{server.base}/styles/{layer}"
    source = f"type=xyz&zmin=0&zmax=22&url={tiles}&styleUrl={style}"
    told = qgis.draw("tiles", source, view, style)
    assert told["crs"] == "EPSG:3857"
    return told


@pytest.fixture(scope="module")
def mosaic_server(
    empty_template: str,
    make_database: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """A raster layer behind a server."""
    dsn, folder = make_database(empty_template), tmp_path_factory.mktemp("mosaic")
    mosaic.publish_mosaic(dsn, folder)
    with serving(dsn, folder / "asked") as server:
        yield server


WMTS = "crs={crs}&dpiMode=7&format=image/png&layers=mosaic&styles=default&tileMatrixSet={name}"


@pytest.mark.parametrize(
    ("name", "crs"),
    [("WebMercatorQuad", "EPSG:3857"), ("Tianditu_w", "EPSG:3857"), ("Tianditu_c", "EPSG:4490")],
)
def test_a_raster_layer_by_wmts(qgis: Qgis, mosaic_server: Server, name: str, crs: str) -> None:
    asked = WMTS.format(name=name, crs=crs) + "&tileDimensions=Time%3Dcurrent"
    url = f"{mosaic_server.base}/wmts/1.0.0/WMTSCapabilities.xml"
    told = qgis.draw("wms", f"{asked}&url={url}", mosaic.VIEW)
    assert told["crs"] == crs
    mosaic.assert_shown(told["picture"], mosaic.VIEW)


def test_a_raster_layer_by_its_map_tiles(qgis: Qgis, mosaic_server: Server) -> None:
    tiles = f"{mosaic_server.base}/collections/mosaic/map/tiles/WebMercatorQuad/{{z}}/{{y}}/{{x}}"
    told = qgis.draw("wms", f"type=xyz&zmin=0&zmax=22&url={tiles}", mosaic.VIEW)
    mosaic.assert_shown(told["picture"], mosaic.VIEW)


@pytest.mark.parametrize("layer", VIEWS)
def test_the_converter_of_styles_leaves_nothing_out(
    qgis: Qgis, city_server: Server, layer: str
) -> None:
    told = draw(qgis, city_server, layer, VIEWS[layer])
    warnings = []
    if layer == "pipe_nodes" and qgis.number < (3, 40):
        # They are as large from everywhere, then.
        warnings.append("pipe_nodes/symbol: Skipping non-implemented icon-size type (QVariantList)")
    # Fonts that are not on the machine are the machine's.
    said = [w for w in told["warnings"] if "Referenced font" not in w]
    assert said == warnings
    parts = [x["id"] for x in city_server.json(f"/styles/{layer}?f=json")["layers"]]
    assert sorted([*told["drawn"], *told["written"]]) == sorted(parts)
    assert ink(told["picture"]).any()


def test_parcels_are_areas_in_their_colour(qgis: Qgis, city_server: Server) -> None:
    told = draw(qgis, city_server, "parcels", VIEWS["parcels"])
    assert_parcels(told["picture"], city_server)


def test_grids_are_outlines_in_the_colours_of_their_types(qgis: Qgis, city_server: Server) -> None:
    told = draw(qgis, city_server, "grids", VIEWS["grids"])
    assert_grids(told["picture"], city_server)


def test_pipes_are_lines_in_their_standard_colour(qgis: Qgis, city_server: Server) -> None:
    told = draw(qgis, city_server, "pipe_segments", VIEWS["pipe_segments"])
    assert_pipes(told["picture"], city_server, casing=3.6)


def test_nodes_are_symbols_with_their_numbers(qgis: Qgis, city_server: Server) -> None:
    view = VIEWS["pipe_nodes"]
    picture = draw(qgis, city_server, "pipe_nodes", view)["picture"]
    found = read_features(city_server, "pipe_nodes", view)
    points = shapely.get_coordinates([shape for shape, _ in found])
    shown = view.inside(points)
    assert shown.sum() >= 5
    assert {p["appurtenance"] for _, p in found} == {"hydrant"}
    assert ink(picture)[tuple(points[shown].astype(int).T[::-1])].all()
    # The ring of the symbol of hydrants, around each; 3.22 draws none that hangs on a field.
    red = np.abs(picture - np.array(parsed("#d7301f"))).max(axis=2) < 90
    for column, row in points[shown].astype(int):
        near = red[row - 14 : row + 15, column - 14 : column + 15]
        assert (near.sum() > 30) == (qgis.number >= (3, 40))
    # Symbols and numbers are near what they are of, and nothing else is drawn.
    assert covered(ink(picture), view.mask([s for s, _ in found], 70)) == 1


def test_cases_are_where_they_are(qgis: Qgis, city_server: Server) -> None:
    """In one colour: QGIS takes what hangs on a field for no circle (its converter, to 3.44)."""
    view = VIEWS["incidents"]
    picture = draw(qgis, city_server, "incidents", view)["picture"]
    shapes = [shape for shape, _ in read_features(city_server, "incidents", view)]
    drawn, there = ink(picture), view.mask(shapes, 6)
    assert len(shapes) > 150
    assert drawn.sum() == pytest.approx(there.sum(), rel=0.25)
    assert covered(drawn, there) > 0.98
    points = shapely.get_coordinates(shapes)
    assert ink(picture)[tuple(points[view.inside(points)].astype(int).T[::-1])].mean() > 0.99


def test_counts_are_circles_of_their_own_colours(qgis: Qgis, city_server: Server) -> None:
    assert_counts(draw(qgis, city_server, "incidents", AFAR)["picture"], city_server)
