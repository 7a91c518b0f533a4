"""SLD read and written: what is kept is the same thing, and what is left out is told."""

from __future__ import annotations

from typing import Any

import pytest

from layers.model import Field, FieldType, Schema, Title
from layers.schemas.profiles import profile_schemas
from tiles.errors import BadStyledLayer, Unsayable
from tiles.styling.checking import check_style
from tiles.styling.defaults import default_style
from tiles.styling.sld.elements import parse_sld
from tiles.styling.sld.reading import Imported, read_sld
from tiles.styling.sld.scales import denominator_of, zoom_of
from tiles.styling.sld.writing import write_sld

CN = profile_schemas("cn")
SINGLE = ["!", ["has", "count"]]
HEAD = '<StyledLayerDescriptor version="1.0.0" xmlns="http://www.opengis.net/sld" '
HEAD += 'xmlns:ogc="http://www.opengis.net/ogc" xmlns:xlink="http://www.w3.org/1999/xlink">'


def sld(*rules: str) -> bytes:
    inner = "".join(f"<Rule>{rule}</Rule>" for rule in rules)
    body = f"<NamedLayer><UserStyle><FeatureTypeStyle>{inner}</FeatureTypeStyle></UserStyle>"
    return f"{HEAD}{body}</NamedLayer></StyledLayerDescriptor>".encode()


def read(layer: str, *rules: str) -> Imported:
    schema = CN[layer]
    found = read_sld(sld(*rules), layer, schema, schema.stored)
    check_style(found.document, layer, [f.id for f in schema.stored])
    return found


def drawn(found: Imported) -> list[dict[str, Any]]:
    """The layers but for those that draw features which stand for several."""
    return [layer for layer in found.document["layers"] if "count" not in layer["id"]]


GREY = '<CssParameter name="fill">#aabbcc</CssParameter>'
FILL = f"<PolygonSymbolizer><Fill>{GREY}</Fill></PolygonSymbolizer>"
AREA = "<ogc:PropertyName>area_m2</ogc:PropertyName>"
PLACE = "<ogc:PropertyName>location</ogc:PropertyName>"
LIKE = '<ogc:PropertyIsLike wildCard="*" singleChar="#" escape="!">'
TEXT = ["to-string", ["get", "location"]]


@pytest.mark.parametrize(
    ("condition", "expression"),
    [
        (
            f"<ogc:PropertyIsEqualTo>{AREA}<ogc:Literal>5</ogc:Literal></ogc:PropertyIsEqualTo>",
            ["==", ["get", "area_m2"], 5],
        ),
        (
            f"<ogc:PropertyIsEqualTo>{PLACE}<ogc:Literal>5</ogc:Literal></ogc:PropertyIsEqualTo>",
            ["==", ["get", "location"], "5"],
        ),
        (
            f"<ogc:PropertyIsLessThan>{AREA}<ogc:Literal>1.5</ogc:Literal></ogc:PropertyIsLessThan>",
            ["<", ["get", "area_m2"], 1.5],
        ),
        (
            f"<ogc:PropertyIsNotEqualTo>{AREA}<ogc:Literal>5</ogc:Literal></ogc:PropertyIsNotEqualTo>",
            ["all", ["!=", ["get", "area_m2"], None], ["!=", ["get", "area_m2"], 5]],
        ),
        (
            f"<ogc:PropertyIsBetween>{AREA}<ogc:LowerBoundary><ogc:Literal>1</ogc:Literal></ogc:LowerBoundary>"
            "<ogc:UpperBoundary><ogc:Literal>2</ogc:Literal></ogc:UpperBoundary></ogc:PropertyIsBetween>",
            ["all", [">=", ["get", "area_m2"], 1], ["<=", ["get", "area_m2"], 2]],
        ),
        (f"<ogc:PropertyIsNull>{AREA}</ogc:PropertyIsNull>", ["==", ["get", "area_m2"], None]),
        (
            f"<ogc:Not><ogc:PropertyIsNull>{AREA}</ogc:PropertyIsNull></ogc:Not>",
            ["!", ["==", ["get", "area_m2"], None]],
        ),
        (
            f"<ogc:Or><ogc:PropertyIsNull>{AREA}</ogc:PropertyIsNull>"
            f"<ogc:PropertyIsNull>{PLACE}</ogc:PropertyIsNull></ogc:Or>",
            ["any", ["==", ["get", "area_m2"], None], ["==", ["get", "location"], None]],
        ),
        (
            f"{LIKE}{PLACE}<ogc:Literal>North*</ogc:Literal></ogc:PropertyIsLike>",
            ["all", ["==", ["slice", TEXT, 0, 5], "North"]],
        ),
        (
            f"{LIKE}{PLACE}<ogc:Literal>*路*</ogc:Literal></ogc:PropertyIsLike>",
            ["all", ["in", "路", TEXT]],
        ),
        (f"{LIKE}{PLACE}<ogc:Literal>a!*b</ogc:Literal></ogc:PropertyIsLike>", ["==", TEXT, "a*b"]),
        (
            "<ogc:PropertyIsGreaterThan><ogc:Div>"
            + AREA
            + "<ogc:Literal>666</ogc:Literal></ogc:Div>"
            "<ogc:Literal>2</ogc:Literal></ogc:PropertyIsGreaterThan>",
            [">", ["/", ["to-number", ["get", "area_m2"]], 666], "2"],
        ),
    ],
)
def test_conditions(condition: str, expression: Any) -> None:
    found = read("parcels", f"<ogc:Filter>{condition}</ogc:Filter>{FILL}")
    assert found.warnings == ()
    [layer] = drawn(found)
    assert layer["filter"] == ["all", expression, SINGLE]


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("<ogc:BBOX/>", "BBOX can't be said in a style"),
        (f"{LIKE}{PLACE}<ogc:Literal>a#b</ogc:Literal></ogc:PropertyIsLike>", "one character"),
        (f"{LIKE}{PLACE}<ogc:Literal>a*b*c</ogc:Literal></ogc:PropertyIsLike>", "two wildcards"),
        (
            f"<ogc:PropertyIsEqualTo>{AREA}<ogc:Literal>x</ogc:Literal></ogc:PropertyIsEqualTo>",
            "'x' is no number",
        ),
        (
            "<ogc:PropertyIsNull><ogc:PropertyName>right_holder</ogc:PropertyName></ogc:PropertyIsNull>",
            "there is no field 'right_holder'",
        ),
        (
            "<ogc:PropertyIsEqualTo><ogc:Function name='area'/><ogc:Literal>1</ogc:Literal>"
            "</ogc:PropertyIsEqualTo>",
            "Function area can't be said",
        ),
    ],
)
def test_a_rule_that_cant_be_said_is_left_out_and_told(condition: str, told: str) -> None:
    """Without its filter it would draw what it is not for."""
    asked = f"<Name>bad</Name><ogc:Filter>{condition}</ogc:Filter>{FILL}"
    found = read("parcels", asked, f"<Name>good</Name>{FILL}")
    assert len(drawn(found)) == 1
    [warning] = found.warnings
    assert warning.startswith("rule 1 (bad): the rule is left out: ")
    assert told in warning
    with pytest.raises(BadStyledLayer, match="nothing of the SLD can be drawn"):
        read("parcels", asked)


def test_else_is_what_no_other_rule_is_for() -> None:
    first = f"<ogc:Filter><ogc:PropertyIsNull>{AREA}</ogc:PropertyIsNull></ogc:Filter>{FILL}"
    found = read("parcels", first, f"<ElseFilter/>{FILL}")
    condition = ["!", ["any", ["==", ["get", "area_m2"], None]]]
    assert drawn(found)[1]["filter"] == ["all", condition, SINGLE]


def test_scales_are_zooms() -> None:
    """By the published scale denominators of the web's own grid, which has tiles of 256."""
    for zoom, denominator in (
        (0, 279541132.0143589),
        (13, 34123.67334159654),
        (17, 2132.729583849784),
    ):
        assert zoom_of(denominator) == pytest.approx(zoom, abs=1e-4)
        assert denominator_of(zoom) == pytest.approx(denominator)
    found = read(
        "parcels",
        "<MinScaleDenominator>2132.7295838</MinScaleDenominator>"
        f"<MaxScaleDenominator>34123.6733415</MaxScaleDenominator>{FILL}",
    )
    [layer] = drawn(found)
    assert (layer["minzoom"], layer["maxzoom"]) == (13.0, 17.0)


def test_symbolizers_of_areas_and_lines() -> None:
    stroke = "".join(
        f'<CssParameter name="{n}">{v}</CssParameter>'
        for n, v in {
            "stroke": "#112233",
            "stroke-width": "2",
            "stroke-opacity": "0.5",
            "stroke-dasharray": "6 2",
            "stroke-linejoin": "mitre",
            "stroke-linecap": "round",
        }.items()
    )
    found = read(
        "parcels", f"<PolygonSymbolizer><Fill/><Stroke>{stroke}</Stroke></PolygonSymbolizer>"
    )
    fill, line = drawn(found)
    assert fill["paint"] == {"fill-color": "#808080"}
    assert line["paint"] == {
        "line-color": "#112233",
        "line-width": 2,
        "line-opacity": 0.5,
        "line-dasharray": [3.0, 1.0],
    }
    assert line["layout"] == {"line-cap": "round", "line-join": "miter"}
    assert found.warnings == ()


def test_parameters_that_hang_on_fields() -> None:
    """A colour and a width may; how a line ends may not."""
    kind = "<ogc:PropertyName>material</ogc:PropertyName>"
    wide = "<ogc:PropertyName>diameter_mm</ogc:PropertyName>"
    stroke = "".join(
        f'<CssParameter name="{n}">{v}</CssParameter>'
        for n, v in {"stroke": kind, "stroke-width": wide, "stroke-linecap": kind}.items()
    )
    found = read("pipe_segments", f"<LineSymbolizer><Stroke>{stroke}</Stroke></LineSymbolizer>")
    [line] = drawn(found)
    assert line["paint"]["line-color"] == ["to-color", ["get", "material"], "#000000"]
    assert line["paint"]["line-width"] == ["to-number", ["get", "diameter_mm"], 0]
    [told] = found.warnings
    assert told.startswith("rule 1: stroke-linecap")


def test_symbolizers_of_points() -> None:
    mark = "<Mark><WellKnownName>{}</WellKnownName><Fill/></Mark><Size>9</Size>"
    found = read(
        "incidents",
        f"<PointSymbolizer><Graphic>{mark.format('circle')}</Graphic></PointSymbolizer>",
    )
    [layer] = drawn(found)
    assert (layer["type"], layer["paint"]["circle-radius"]) == ("circle", 4.5)
    assert found.warnings == ()
    square = f"<PointSymbolizer><Graphic>{mark.format('square')}</Graphic></PointSymbolizer>"
    assert read("incidents", square).warnings == ("rule 1: square is drawn as a circle",)
    picture = '<ExternalGraphic><OnlineResource xlink:href="{}"/></ExternalGraphic><Size>24</Size>'
    ours = f"<PointSymbolizer><Graphic>{picture.format('valve.svg')}</Graphic></PointSymbolizer>"
    [layer] = drawn(read("pipe_nodes", ours))
    assert (layer["type"], layer["layout"]["icon-image"]) == ("symbol", "valve")
    other = picture.format("https://cdn.example/x.png")
    with pytest.raises(BadStyledLayer, match=r"ExternalGraphic https://cdn\.example/x\.png"):
        read("pipe_nodes", f"<PointSymbolizer><Graphic>{other}</Graphic></PointSymbolizer>")
    # A circle at each corner of an area would be another thing than a point in it.
    told = read("parcels", FILL + square).warnings
    assert told == ("rule 1: PointSymbolizer is left out: only points are drawn as points",)


def test_symbolizers_of_texts() -> None:
    found = read(
        "parcels",
        "<TextSymbolizer><Label>No. <ogc:PropertyName>location</ogc:PropertyName></Label>"
        '<Font><CssParameter name="font-family">SimSun</CssParameter>'
        '<CssParameter name="font-size">12</CssParameter></Font>'
        "<LabelPlacement><PointPlacement><AnchorPoint><AnchorPointX>0</AnchorPointX>"
        "<AnchorPointY>1</AnchorPointY></AnchorPoint><Displacement><DisplacementX>6</DisplacementX>"
        "<DisplacementY>12</DisplacementY></Displacement></PointPlacement></LabelPlacement>"
        "<Halo><Radius>2</Radius></Halo></TextSymbolizer>",
    )
    [layer] = drawn(found)
    layout = layer["layout"]
    assert layout["text-field"] == ["concat", "No. ", ["to-string", ["get", "location"]]]
    assert layout["text-font"][0].startswith("SimSun, Noto Sans CJK SC")
    # Up is positive in one and negative in the other; pixels in one, ems in the other.
    assert (layout["text-anchor"], layout["text-offset"]) == ("top-left", [0.5, -1.0])
    assert layer["paint"]["text-halo-width"] == 2
    assert found.warnings == ()


def test_nothing_is_dropped_silently() -> None:
    found = read(
        "parcels",
        f"{FILL}<RasterSymbolizer/><LegendGraphic/><PolygonSymbolizer uom='http://x/metre'><Geometry/>"
        "<Fill><GraphicFill/></Fill><VendorOption name='labelObstacle'>true</VendorOption>"
        "</PolygonSymbolizer>",
    )
    text = "\n".join(found.warnings)
    for word in (
        "RasterSymbolizer",
        "LegendGraphic",
        "metre",
        "Geometry",
        "GraphicFill",
        "labelObstacle",
    ):
        assert word in text, word


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is no XML"),
        (b"<a/>", "StyledLayerDescriptor"),
        (b"<StyledLayerDescriptor version='2.0'/>", "'2.0' is not read"),
        (b"<StyledLayerDescriptor/>", "no UserStyle"),
        (b"<!DOCTYPE a><StyledLayerDescriptor/>", "document type"),
        (
            b'<!DOCTYPE a [<!ENTITY b "c">]><StyledLayerDescriptor>&b;</StyledLayerDescriptor>',
            "document type",
        ),
        (b"<a>" * 5000 + b"</a>" * 5000, "deep"),
        (b"<a>" + b"<b/>" * 30_000 + b"</a>", "more than 20000 elements"),
        (sld("<MinScaleDenominator>far</MinScaleDenominator>" + FILL), "'far' is no number"),
    ],
    ids=range(9),
)
def test_what_is_no_sld_is_refused(content: bytes, told: str) -> None:
    with pytest.raises(BadStyledLayer, match=told):
        read_sld(content, "parcels", CN["parcels"], CN["parcels"].stored)


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
@pytest.mark.parametrize("layer", sorted(CN))
def test_both_versions_are_read_alike(layer: str, version: str) -> None:
    """What we write of our own style is read as what draws the same, in either version."""
    schema = CN[layer]
    own = default_style(layer, schema, schema.stored)
    written = write_sld(own, layer, schema.title, version)
    assert parse_sld(written).attributes["version"] == version
    found = read_sld(written, layer, schema, schema.stored)
    check_style(found.document, layer, [f.id for f in schema.stored])
    assert found.warnings == ()
    # Symbols of a sheet have no address that an SLD could name; the file says so.
    assert (b"left out: pipe_nodes/symbol" in written) == (layer == "pipe_nodes")
    told = [x for x in own["layers"] if not x["id"].endswith("/symbol") and "count" not in x["id"]]
    assert {x["type"] for x in drawn(found)} == {x["type"] for x in told}


def test_colours_come_back_by_their_codes() -> None:
    schema = CN["pipe_segments"]
    own = default_style("pipe_segments", schema, schema.stored)
    written = write_sld(own, "pipe_segments", schema.title, "1.1.0")
    found = read_sld(written, "pipe_segments", schema, schema.stored)
    by_code = {
        layer["filter"][1][2]: layer["paint"]["line-color"]
        for layer in drawn(found)
        if layer["filter"][1][:2] == ["==", ["get", "pipe_class"]]
    }
    assert by_code["JS"] == "#00ffff"
    assert by_code["RQ"] == "#ff00ff"
    assert len(by_code) == 11


def test_what_sld_has_no_words_for_is_told() -> None:
    field = Field("a", FieldType.NUMBER, Title("a", "a"))
    schema = Schema(CN["parcels"].kind, Title("t", "t"), "Polygon", (field,))
    document = default_style("x", schema, ())
    common = {"source": "x", "source-layer": "x"}
    extruded = {"id": "e", "type": "fill-extrusion", **common}
    mixed = ["match", ["concat", ["get", "a"], "b"], "c", "#ffffff", "#000000"]
    several = {"id": "m", "type": "fill", **common, "paint": {"fill-color": mixed}}
    told = write_sld(
        {**document, "layers": [*document["layers"], several]}, "x", schema.title, "1.0.0"
    )
    assert b"<!-- left out: m: its fill-color hangs on more than one field" in told
    with pytest.raises(Unsayable, match="no words for fill-extrusion"):
        write_sld({**document, "layers": [extruded]}, "x", schema.title, "1.0.0")


def written(paint: dict[str, Any], kind: str = "fill", **others: Any) -> str:
    layer = {"id": "a", "type": kind, "paint": paint, **others}
    return write_sld({"layers": [layer]}, "x", Title("t", "t"), "1.0.0").decode()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("fill", '<CssParameter name="fill-opacity">0.25</CssParameter>'),
        ("line", '<CssParameter name="stroke-opacity">0.25</CssParameter>'),
        ("circle", "<Opacity>0.25</Opacity>"),
    ],
)
def test_an_sld_is_as_pale_as_the_style(kind: str, said: str) -> None:
    assert said in written({f"{kind}-color": "rgba(0,0,0,0.5)", f"{kind}-opacity": 0.5}, kind)


def test_numbers_of_conditions_are_written_to_the_last_digit() -> None:
    told = written({}, filter=["==", ["get", "a"], 1234567.5])
    assert "<ogc:Literal>1234567.5</ogc:Literal>" in told


def test_what_is_not_drawn_is_not_in_the_sld() -> None:
    hidden = {"id": "h", "type": "fill", "layout": {"visibility": "none"}}
    shown = {"id": "s", "type": "fill"}
    told = write_sld({"layers": [hidden, shown]}, "x", Title("t", "t"), "1.0.0")
    assert (b"<Name>s</Name>" in told, b"<Name>h</Name>" in told) == (True, False)


def test_an_sld_of_any_texts_is_xml() -> None:
    told = written({}, filter=["==", ["get", "a"], "x\x01y"])
    assert "<ogc:Literal>xy</ogc:Literal>" in told
    parse_sld(told.encode())


def test_a_long_pattern_is_read_in_one_go() -> None:
    """Each character once: a copy of the rest at each would be half a terabyte."""
    text = "路" * 300_000
    found = read("parcels", f"<ogc:Filter>{LIKE}{PLACE}<ogc:Literal>{text}*</ogc:Literal>"
                 f"</ogc:PropertyIsLike></ogc:Filter>{FILL}")  # fmt: skip
    assert drawn(found)[0]["filter"][1][1] == ["==", ["slice", TEXT, 0, len(text)], text]


def test_dashes_that_are_no_numbers_are_refused() -> None:
    dashes = '<CssParameter name="stroke-dasharray">inf 1</CssParameter>'
    line = f"<LineSymbolizer><Stroke>{dashes}</Stroke></LineSymbolizer>"
    found = read("pipe_segments", line)
    assert "line-dasharray" not in drawn(found)[0]["paint"]
    assert any("stroke-dasharray is left out" in warning for warning in found.warnings)
