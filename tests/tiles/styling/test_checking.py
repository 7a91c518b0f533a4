"""What is no style is told, each fault at its place; what MapLibre takes is taken."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tiles.errors import BadStyle
from tiles.styling.checking import check_style
from tiles.styling.colours import parse_colour
from tiles.styling.naming import named_fields

FIELDS = ("name", "size", "state")
URL = "{base}/collections/wells/tiles/WebMercatorQuad?f=tilejson"


def layer(kind: str = "circle", **others: Any) -> dict[str, Any]:
    common = {"id": "a", "type": kind, "source": "s", "source-layer": "wells"}
    return common | {n.replace("_", "-"): v for n, v in others.items()}


def style(*layers: Any, **others: Any) -> dict[str, Any]:
    sources = {"s": {"type": "vector", "url": URL}}
    return {"version": 8, "sources": sources, "layers": list(layers) or [layer()]} | others


def faults(document: Any) -> list[tuple[str, str]]:
    try:
        check_style(document, "wells", FIELDS)
    except BadStyle as error:
        return [(where, what) for what, where in error.faults]
    return []


def painted(name: str, value: Any, kind: str = "circle") -> dict[str, Any]:
    return style(layer(kind, paint={name: value}))


def laid(name: str, value: Any, kind: str = "symbol") -> dict[str, Any]:
    return style(layer(kind, layout={name: value}))


GOOD: list[dict[str, Any]] = [
    style(),
    style(center=[120.1, 30.2], zoom=10, bearing=0, pitch=0, name="n", metadata={"a": 1}),
    style(sprite="{base}/sprites/shikong"),
    style(sprite=[{"id": "a", "url": "{base}/sprites/shikong"}]),
    style({"id": "b", "type": "background", "paint": {"background-color": "hsl(200, 50%, 50%)"}}),
    painted("circle-color", "rgba(1,2,3,.5)"),
    painted("circle-color", ["match", ["get", "state"], ["a", "b"], "red", "c", "#fff", "#000"]),
    painted("circle-color", ["case", [">", ["get", "size"], 3], "red", "blue"]),
    painted("circle-color", ["step", ["get", "size"], "red", 1, "blue", 2, "green"]),
    painted("circle-color", ["interpolate", ["linear"], ["get", "size"], 0, "red", 9, "blue"]),
    painted(
        "circle-radius", ["interpolate", ["exponential", 1.5], ["zoom"], 5, 1, 9, ["get", "size"]]
    ),
    painted("circle-radius", ["let", "r", ["get", "size"], ["*", ["var", "r"], 2]]),
    painted("circle-color-transition", {"duration": 0}),
    painted("line-dasharray", [2, 1], "line"),
    painted("line-dasharray", ["literal", [2, 1]], "line"),
    laid("text-field", "{name}"),
    laid("text-field", ["format", ["get", "name"], {"font-scale": 1.2}, "\n", {}]),
    laid("text-font", ["Noto Sans CJK SC", "sans-serif"]),
    laid("text-font", ["case", ["has", "name"], ["literal", ["A"]], ["literal", ["B"]]]),
    laid("icon-image", ["concat", "incident-", ["get", "state"]]),
    laid("text-variable-anchor", ["top", "bottom"]),
    laid("icon-padding", [1, 2, 3, 4]),
    laid("visibility", "none"),
    style(layer(filter=["all", ["==", ["geometry-type"], "Point"], ["!", ["has", "count"]]])),
    style(layer(filter=["in", ["get", "state"], ["literal", ["a", "b"]]])),
    style(layer(filter=[">", ["zoom"], 5])),
    style(
        layer(
            "heatmap",
            paint={
                "heatmap-color": [
                    "interpolate",
                    ["linear"],
                    ["heatmap-density"],
                    0,
                    "rgba(0,0,0,0)",
                    1,
                    "red",
                ]
            },
        )
    ),
]
BAD: list[tuple[Any, str]] = [
    (None, ""),
    ({}, "/version"),
    (style(version=True), "/version"),
    (style(owner=1), "/owner"),
    (style(sources=[]), "/sources"),
    (style(layers=[1]), "/layers/0"),
    (style(layer(), layer()), "/layers/1/id"),
    (style(layer("blob")), "/layers/0/type"),
    (style(layer(source="t")), "/layers/0/source"),
    (style(layer(source_layer="other")), "/layers/0/source-layer"),
    (style(layer("raster")), "/layers/0/source"),
    (style(layer(minzoom=30)), "/layers/0/minzoom"),
    (style(layer(ref="a")), "/layers/0/ref"),
    (style(layer(paint=[])), "/layers/0/paint"),
    (style(center=[1]), "/center"),
    (style(sprite="{base}/sprites/../x"), "/sprite"),
    (style(sprite="{base}/static/x"), "/sprite"),
    (painted("circle-colour", "red"), "P/circle-colour"),
    (painted("visibility", "none"), "P/visibility"),
    (painted("circle-color", "reddish"), "P/circle-color"),
    (painted("circle-color", 5), "P/circle-color"),
    (painted("circle-color", ["+", 1, 2]), "P/circle-color"),
    (
        painted("circle-color", ["match", ["get", "state"], "a", "reddish", "#000"]),
        "P/circle-color/3",
    ),
    (
        painted("circle-color", ["match", ["get", "state"], "a", "red", "a", "red", "red"]),
        "P/circle-color/4",
    ),
    (painted("circle-color", ["match", ["get", "state"], "a", "red"]), "P/circle-color"),
    (painted("circle-color", ["case", True, "red", False, "blue"]), "P/circle-color"),
    (painted("circle-color", ["get", "owner"]), "P/circle-color/1"),
    (painted("circle-color", ["get", ["get", "name"]]), "P/circle-color/1"),
    (painted("circle-color", ["blend", "red"]), "P/circle-color"),
    (painted("circle-radius", -1), "P/circle-radius"),
    (painted("circle-radius", "5"), "P/circle-radius"),
    (painted("circle-radius", True), "P/circle-radius"),
    (painted("circle-opacity", 2), "P/circle-opacity"),
    (painted("circle-radius", {"stops": [[1, 2]]}), "P/circle-radius"),
    (painted("circle-radius", ["*", ["zoom"], 2]), "P/circle-radius/1"),
    (
        painted("circle-radius", ["+", 1, ["interpolate", ["linear"], ["zoom"], 1, 2]]),
        "P/circle-radius/2",
    ),
    (
        painted("circle-radius", ["interpolate", ["linear"], ["zoom"], 9, 1, 5, 2]),
        "P/circle-radius",
    ),
    (painted("circle-radius", ["interpolate", "linear", ["zoom"], 5, 1]), "P/circle-radius/1"),
    (painted("circle-radius", ["sqrt", 1, 2]), "P/circle-radius"),
    (painted("circle-translate", [1, 2, 3]), "P/circle-translate"),
    (painted("circle-pitch-scale", "up"), "P/circle-pitch-scale"),
    (painted("fill-antialias", ["get", "name"], "fill"), "P/fill-antialias/0"),
    (laid("visibility", "gone"), "L/visibility"),
    (laid("symbol-placement", ["get", "name"]), "L/symbol-placement"),
    (
        laid("icon-anchor", ["interpolate", ["linear"], ["get", "size"], 0, "top", 1, "left"]),
        "L/icon-anchor",
    ),
    (style(layer(filter=["==", "state", "a"])), "/layers/0/filter"),
    (style(layer(filter=["in", "state", "a", "b"])), "/layers/0/filter"),
    (style(layer(filter=["none", ["has", "name"]])), "/layers/0/filter"),
    (style(layer(filter=["get", "owner"])), "/layers/0/filter/1"),
    (style(layer(filter=["+", 1, 2])), "/layers/0/filter"),
]


@pytest.mark.parametrize("document", GOOD)
def test_what_is_a_style_is_taken(document: dict[str, Any]) -> None:
    assert faults(document) == []


@pytest.mark.parametrize(("document", "where"), BAD)
def test_what_is_none_is_told_where(document: Any, where: str) -> None:
    where = where.replace("P/", "/layers/0/paint/").replace("L/", "/layers/0/layout/")
    found = faults(document)
    if where.endswith("/0") and where not in dict(found):
        where = where.rpartition("/")[0]
    assert where in [place for place, _ in found], found
    assert all(what for _, what in found)


def test_depth_and_number_are_bounded() -> None:
    deep: Any = ["get", "size"]
    for _ in range(40):
        deep = ["+", deep, 1]
    [(_, what)] = faults(painted("circle-radius", deep))
    assert "30 deep" in what
    many = [layer(id=str(n)) for n in range(201)]
    assert faults(style(*many)) == [("/layers", "a style has at most 200 layers here")]
    assert len(faults(style(*(layer("blob", id=str(n)) for n in range(100))))) == 20


def within(opening: str, closing: str, levels: int) -> Any:
    return json.loads(opening * levels + "1" + closing * levels)


@pytest.mark.parametrize(
    ("document", "where"),
    [
        (style(layer(filter=within('["any",', "]", 900))), "/layers/0/filter/1/1"),
        (style(layer(filter=["==", ["literal", within("[", "]", 300)], 1])), "/layers/0/filter/1"),
        (style(metadata=within('{"a":', "}", 600)), "/metadata/a/a"),
    ],
)
def test_nothing_is_so_deep_that_it_can_be_stored_and_not_answered(
    document: Any, where: str
) -> None:
    [(place, what)] = faults(document)
    assert place.startswith(where)
    assert "60 deep" in what


@pytest.mark.parametrize("number", [1e300, -(10**40), math.inf, math.nan])
def test_a_number_that_json_could_not_write_again_is_refused(number: float) -> None:
    """The store gives 1e300 back as a whole number of 301 digits."""
    for document in (style(zoom=number), painted("line-dasharray", [number], "line")):
        [(place, what)] = faults(document)
        assert place in ("/zoom", "/layers/0/paint/line-dasharray/0")
        assert "too large" in what or "no number" in what


@pytest.mark.parametrize(
    "one",
    [
        layer("symbol", layout={"text-field": "{owner}"}),
        layer("symbol", layout={"text-field": ["format", "a", {"font-scale": ["get", "owner"]}]}),
        layer(paint={"circle-color": ["to-color", ["get", "owner", ["properties"]]]}),
        layer(paint={"circle-color": ["to-color", ["get", ["concat", "own", "er"]]]}),
        layer(
            paint={"circle-color": ["to-color", ["get", ["concat", "own", "er"], ["properties"]]]}
        ),
        layer(paint={"circle-color": ["let", "p", ["properties"], ["get", "owner", ["var", "p"]]]}),
    ],
)
def test_a_field_that_there_is_not_is_refused_however_it_is_named(one: dict[str, Any]) -> None:
    """Its layer would be left out for everybody, and nobody could take the style away."""
    [(place, what)] = faults(style(one))
    assert place.startswith("/layers/0")
    assert "field" in what or "looks into" in what


def test_names_within_a_written_object_are_no_fields() -> None:
    table = ["literal", {"a": "red", "b": "blue"}]
    coloured = painted("circle-color", ["to-color", ["get", ["get", "state"], table]])
    assert faults(coloured) == []
    assert named_fields(coloured["layers"][0]) == {"state"}
    fixed = painted("circle-color", ["to-color", ["get", "a", table]])
    assert faults(fixed) == []
    assert named_fields(fixed["layers"][0]) == frozenset()


@pytest.mark.parametrize(
    "kind", [["exponential", 0], ["exponential", -2], ["cubic-bezier", 2, 0, 1, 1]]
)
def test_curves_that_are_none_are_refused(kind: list[Any]) -> None:
    [(place, _)] = faults(painted("circle-radius", ["interpolate", kind, ["zoom"], 5, 1, 9, 2]))
    assert place == "/layers/0/paint/circle-radius/1"


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("#F80", (255, 136, 0, 1)),
        ("#ff800080", (255, 128, 0, 0.502)),
        ("rgb(1 2 3 / 50%)", (1, 2, 3, 0.5)),
        ("rgb(100%,0%,0%)", (255, 0, 0, 1)),
        ("hsl(120,100%,50%)", (0, 255, 0, 1)),
        ("RebeccaPurple", (102, 51, 153, 1)),
        ("transparent", (0, 0, 0, 0)),
        ("rgb(300,0,0)", (255, 0, 0, 1)),
        ("#12345", None),
        ("rgb(1,2)", None),
        ("rgb(a,b,c)", None),
        ("hsl(1,2,3)", None),
        ("", None),
    ],
)
def test_colours_of_css(text: str, colour: tuple[float, ...] | None) -> None:
    assert parse_colour(text) == colour
