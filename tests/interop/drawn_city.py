"""What a picture of the demo city in our default styles must show, whoever drew it."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from tests.interop.conftest import Server
from tests.interop.drawings import (
    Colour,
    Pixels,
    View,
    blended,
    colours_of,
    covered,
    ink,
    parsed,
    places_alone,
    read_features,
    share_in,
    tints,
)

WATER: Colour = (0, 255, 255)
VIEWS = {
    "parcels": View(-71.1150, 42.3750, 15),
    "grids": View(-71.1050, 42.3700, 15),
    "pipe_segments": View(-85.5745, 38.0490, 16),
    "pipe_nodes": View(-71.1150, 42.3750, 18),
    "incidents": View(-71.1150, 42.3750, 17),
}
# Of cases it has counts alone.
AFAR = View(-71.1122, 42.3783, 12)


def assert_parcels(picture: Pixels, server: Server) -> None:
    """Areas in their colour, where the parcels are and nowhere else."""
    view = VIEWS["parcels"]
    shapes = [shape for shape, _ in read_features(server, "parcels", view)]
    drawn, there = ink(picture), view.mask(shapes)
    assert 0.3 < there.mean() < 0.8
    assert drawn.sum() == pytest.approx(there.sum(), rel=0.02)
    assert covered(drawn, there) > 0.995
    assert covered(there, drawn) > 0.995
    # Within those that are not all outline.
    large = [shape for shape in shapes if shape.buffer(-5).area > 30]
    points = shapely.get_coordinates(shapely.point_on_surface([s.buffer(-4) for s in large]))
    points = points[view.inside(points)]
    assert len(points) > 60
    colour = blended(parsed("#e8d9b5"), 0.75)
    assert share_in(picture, points, [colour] * len(points), apart=8) > 0.98


def assert_grids(picture: Pixels, server: Server) -> None:
    """Outlines in the colours of their types."""
    view = VIEWS["grids"]
    found = read_features(server, "grids", view)
    drawn, there = ink(picture), view.mask([shape for shape, _ in found])
    # Halos of labels are as white as the paper.
    assert drawn.sum() == pytest.approx(there.sum(), rel=0.05)
    assert covered(drawn, there) > 0.99
    assert covered(there, drawn) > 0.99
    points = list(places_alone(found, view, "grid_type"))
    kinds = [kind for _, kind in points]
    assert min(kinds.count(kind) for kind in ("precinct", "police_response_district")) > 50
    colours = colours_of(server, "grids", "outline", "line-color")
    told = tints(picture, [place for place, _ in points], colours)
    assert np.mean([one == other for one, other in zip(told, kinds, strict=True)]) > 0.95


def assert_pipes(picture: Pixels, server: Server, casing: float) -> None:
    """Lines in the standard's colour of water, with casings so many pixels wide."""
    view = VIEWS["pipe_segments"]
    found = read_features(server, "pipe_segments", view)
    assert {properties["pipe_class"] for _, properties in found} == {"JS"}
    lines = [shape for shape, _ in found]
    drawn, there = ink(picture), view.mask(lines, casing)
    assert drawn.sum() == pytest.approx(there.sum(), rel=0.25)
    assert covered(drawn, there) > 0.99
    assert covered(there, drawn) > 0.99
    points = shapely.get_coordinates(shapely.segmentize(lines, 20))
    points = points[view.inside(points)]
    assert len(points) > 100
    assert share_in(picture, points, [WATER] * len(points), apart=110) > 0.98


def assert_counts(picture: Pixels, server: Server) -> None:
    """Circles in the colours that the legend has for numbers, and no red of a state."""
    layers = {x["id"]: x for x in server.json("/styles/incidents?f=json")["layers"]}
    legend = server.json("/styles/incidents/legend?f=json")["entries"]
    told = {entry["colour"]: entry["title"]["zh"] for entry in legend}
    for least, words in ((1, "聚合要素：少于 10"), (10, "聚合要素：10 起")):
        colour = layers[f"incidents/count-{least}"]["paint"]["circle-color"]
        assert told[colour] == words
        near = np.abs(picture - np.array(blended(parsed(colour), 0.85))).max(axis=2) < 6
        assert near.sum() > 100, colour
    shapes = [shape for shape, _ in read_features(server, "incidents", AFAR)]
    assert covered(ink(picture), AFAR.mask(shapes, 18), 3) > 0.99
    red = np.abs(picture - np.array(parsed("#d7301f"))).max(axis=2) < 60
    assert not red.any()
