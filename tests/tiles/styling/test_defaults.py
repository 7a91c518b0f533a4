"""Default styles: each layer of the profile in its colours, and nothing that a reader can't see."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from layers.model import Field, FieldType, Role, Schema, Term, Title
from layers.schemas.profiles import profile_schemas
from tiles.styling.checking import check_style
from tiles.styling.colours import parse_colour
from tiles.styling.defaults import default_style, scheme_of
from tiles.styling.legends import legend_of
from tiles.styling.naming import ALWAYS, named_fields
from tiles.styling.sprites import symbols
from tiles.styling.tables import palette

CN = profile_schemas("cn")
LEAST = (1, 10, 100, 1000)
CODED = ["pipe_classes", "land_use", "incident_states", "grid_types", "series"]


def styled(layer: str) -> dict[str, Any]:
    return default_style(layer, CN[layer], CN[layer].stored)


def part(layer: str, name: str) -> dict[str, Any]:
    [found] = [x for x in styled(layer)["layers"] if x["id"] == f"{layer}/{name}"]
    return dict(found)


@pytest.mark.parametrize("layer", sorted(CN))
def test_each_is_a_style(layer: str) -> None:
    check_style(styled(layer), layer, [f.id for f in CN[layer].stored])


@pytest.mark.parametrize(
    ("code", "colour"),
    [
        ("JS", (0, 255, 255)),
        ("PS", (76, 57, 38)),
        ("RQ", (255, 0, 255)),
        ("RL", (255, 128, 0)),
        ("DL", (255, 0, 0)),
        ("TX", (0, 255, 0)),
        ("GY", (0, 0, 0)),
        ("QT", (102, 0, 204)),
    ],
)
def test_pipes_are_drawn_in_their_standard_colours(code: str, colour: tuple[int, ...]) -> None:
    for layer, name, key in (
        ("pipe_segments", "line", "line-color"),
        ("pipe_nodes", "point", "circle-color"),
    ):
        match = part(layer, name)["paint"][key]
        assert match[:2] == ["match", ["get", "pipe_class"]]
        found = parse_colour(match[match.index([code]) + 1])
        assert found is not None
        assert found[:3] == colour


def test_every_code_of_the_profile_has_a_colour_of_its_own_palette() -> None:
    for layer, field, characters in (
        ("parcels", "land_use_code", 2),
        ("grids", "grid_type", None),
        ("incidents", "state", None),
        ("pipe_nodes", "pipe_class", None),
    ):
        scheme = scheme_of(CN[layer].stored)
        assert scheme is not None
        assert scheme.field.id == field
        codes = {code[:characters] for code in scheme.field.codes}
        assert codes == {s.code for s in scheme.swatches}


def test_what_stands_for_several_is_drawn_by_its_number() -> None:
    for layer in CN:
        parts = [x for x in styled(layer)["layers"] if "count" in x["id"]]
        assert [x["id"] for x in parts] == [f"{layer}/count-{n}" for n in (*LEAST, "label")]
        assert parts[-1]["layout"]["text-field"] == ["to-string", ["get", "count"]]
        for one in styled(layer)["layers"]:
            said = one["filter"][1:] if one["filter"][0] == "all" else [one["filter"]]
            alone, several = ["!", ["has", "count"]] in said, ["has", "count"] in said
            assert alone != several, one["id"]


@pytest.mark.parametrize(
    ("count", "least"), [(1, 1), (9, 1), (10, 10), (99, 10), (100, 100), (999, 100), (10**6, 1000)]
)
def test_each_number_has_one_circle(count: int, least: int) -> None:
    tests = {">=": int.__ge__, "<": int.__lt__}
    drawn = []
    for one in LEAST:
        _, counted, *bounds = part("incidents", f"count-{one}")["filter"]
        assert counted == ["has", "count"]
        assert {str(b[1]) for b in bounds} == {"['to-number', ['get', 'count'], 1]"}
        if all(tests[operator](count, bound) for operator, _, bound in bounds):
            drawn.append(one)
    assert drawn == [least]


def test_counts_have_colours_of_their_own_that_darken() -> None:
    """A circle that stands for features of all codes is in the colour of none of them."""
    paints = [part("incidents", f"count-{n}")["paint"] for n in LEAST]
    counts = [_parsed(paint["circle-color"]) for paint in paints]
    for found in ([_luminance(c) for c in counts], [-p["circle-radius"] for p in paints]):
        assert found == sorted(set(found), reverse=True)
    # Numbers are in a dark text: WCAG asks for 4.5 of contrast.
    dark = _parsed(part("incidents", "count-label")["paint"]["text-color"])
    assert all((_luminance(c) + 0.05) / (_luminance(dark) + 0.05) > 4.5 for c in counts)
    for name in CODED:
        for swatch in palette(name).values():
            for colour in counts:
                apart = zip(colour, _parsed(swatch.colour), strict=True)
                assert max(abs(a - b) for a, b in apart) > 20, swatch


def _parsed(colour: str) -> tuple[int, int, int]:
    found = parse_colour(colour)
    assert found is not None
    return found[:3]


def _luminance(colour: tuple[int, int, int]) -> float:
    """The relative luminance of WCAG 2."""
    parts = [c / 255 for c in colour]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_labels_are_in_local_fonts() -> None:
    for layer in ("parcels", "grids", "incidents"):
        assert "glyphs" not in styled(layer)
        [label] = [f.id for f in CN[layer].with_role(Role.LABEL)]
        layout = part(layer, "label")["layout"]
        assert layout["text-field"] == ["to-string", ["get", label]]
        # One name each: QGIS looks for the first as it stands there.
        assert layout["text-font"][0] == "Noto Sans CJK SC"


def test_only_fields_that_are_seen_are_named() -> None:
    for layer, schema in CN.items():
        for hidden in schema.stored:
            seen = [f for f in schema.stored if f is not hidden]
            document = default_style(layer, schema, seen)
            named = frozenset[str]().union(*map(named_fields, document["layers"]))
            assert named <= {f.id for f in seen} | ALWAYS
            check_style(document, layer, [f.id for f in seen])
        check_style(default_style(layer, schema, ()), layer, ())


def test_codes_without_a_palette_have_the_series() -> None:
    codes = {str(n): Title(f"code {n}", f"代码{n}") for n in range(3)}
    fields = (
        Field(
            "many",
            FieldType.TEXT,
            Title("m", "m"),
            codes={str(n): Title("a", "a") for n in range(40)},
        ),
        Field("zone", FieldType.INTEGER, Title("z", "z"), codes=codes),
    )
    scheme = scheme_of(fields)
    assert scheme is not None
    # Codes are texts, and the field's values are numbers.
    assert scheme.code == ["to-string", ["get", "zone"]]
    assert [s.title for s in scheme.swatches] == list(codes.values())
    assert len({s.colour for s in scheme.swatches}) == 3


def test_codes_that_have_ceased_have_what_colours_are_left() -> None:
    today = [f"n{n:02}" for n in range(10)]
    codes = {code: Title(code, code) for code in (*(f"a{n:02}" for n in range(10)), *today)}
    ended = {
        code: (Term(title, None, date(2021, 1, 1)),)
        for code, title in codes.items()
        if code not in today
    }
    f = Field("kind", FieldType.TEXT, Title("k", "k"), codes=codes, terms=ended)
    scheme = scheme_of((f,))
    assert scheme is not None
    assert [s.code for s in scheme.swatches] == [*today, "a00", "a01"]
    # An end that all codes have is that of the list.
    later = {code: (Term(codes[code], None, date(2031, 1, 1)),) for code in today}
    assert scheme_of((replace(f, terms=ended | later),)) == replace(
        scheme, field=replace(f, terms=ended | later)
    )


def test_a_city_with_codes_of_its_own() -> None:
    state = CN["incidents"].find("state")
    assert state is not None
    own = replace(state, codes={"closed": Title("Done", "办结"), "lost": Title("Lost", "丢失")})
    scheme = scheme_of((own,))
    assert scheme is not None
    assert [(s.code, s.title.zh) for s in scheme.swatches] == [("closed", "办结"), ("lost", "丢失")]
    assert scheme.swatches[0].colour == palette("incident_states")["closed"].colour


@pytest.mark.parametrize("name", [*CODED, "counts"])
def test_palettes_are_colours_that_differ(name: str) -> None:
    found = palette(name).values()
    assert all(parse_colour(s.colour) for s in found)
    assert all(s.title.zh and s.title.en for s in found)
    # Drainage of all kinds has one colour, by the standard.
    assert len({s.colour for s in found}) == len(found) - (3 if name == "pipe_classes" else 0)


def test_symbols_that_are_drawn_are_in_the_sheet() -> None:
    image = part("pipe_nodes", "symbol")["layout"]["icon-image"]
    assert {codes[0] for codes in image[2:-1:2]} <= set(symbols())
    assert set(image[3:-1:2]) <= set(symbols())


def test_layers_of_any_shape_have_a_style() -> None:
    for geometry in (
        "Point",
        "MultiPoint",
        "LineStringZ",
        "MultiLineString",
        "PolygonZ",
        "MultiPolygonZ",
    ):
        schema = Schema(CN["parcels"].kind, Title("t", "t"), geometry, ())
        check_style(default_style("x", schema, ()), "x", ())


def test_a_field_that_is_called_count_is_a_field() -> None:
    fields = (Field("count", FieldType.INTEGER, Title("Vehicles", "车辆数")),)
    for geometry in ("Point", "LineString", "MultiPolygon"):
        schema = Schema(CN["incidents"].kind, Title("t", "t"), geometry, fields)
        document = default_style("x", schema, fields)
        check_style(document, "x", ["count"])
        assert document["layers"]
        assert "count" not in str(document["layers"])


def test_a_raster_layer_is_drawn_by_its_pictures() -> None:
    """Its features are the outlines of scenes, with which nobody would see the ground."""
    schema = profile_schemas("raster")["scenes"]
    document = default_style("terrain", schema, schema.stored)
    check_style(document, "terrain", [f.id for f in schema.stored])
    [layer] = document["layers"]
    [source] = document["sources"].values()
    assert (layer["type"], source["type"]) == ("raster", "raster")
    assert "/map/tiles/" in source["url"]
    assert legend_of(document, schema.title, ()) == []
