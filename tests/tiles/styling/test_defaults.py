"""Default styles: each layer of the profile in its colours, and nothing that a reader can't see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from layers.model import Field, FieldType, Role, Schema, Title
from layers.schemas.profiles import profile_schemas
from tiles.styling.checking import check_style
from tiles.styling.colours import parse_colour
from tiles.styling.defaults import default_style, scheme_of
from tiles.styling.legends import legend_of
from tiles.styling.naming import ALWAYS, named_fields
from tiles.styling.sprites import symbols
from tiles.styling.tables import palette

CN = profile_schemas("cn")


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
        found = parse_colour(match[match.index(code) + 1])
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
        circles, number = part(layer, "count"), part(layer, "count-label")
        assert circles["filter"] == ["has", "count"]
        assert "count" in str(circles["paint"]["circle-radius"])
        assert number["layout"]["text-field"] == ["to-string", ["get", "count"]]
        for one in styled(layer)["layers"]:
            said = one["filter"][1:] if one["filter"][0] == "all" else [one["filter"]]
            alone, several = ["!", ["has", "count"]] in said, ["has", "count"] in said
            assert alone != several, one["id"]


def test_labels_are_in_local_fonts() -> None:
    for layer in ("parcels", "grids", "incidents"):
        assert "glyphs" not in styled(layer)
        [label] = [f.id for f in CN[layer].with_role(Role.LABEL)]
        layout = part(layer, "label")["layout"]
        assert layout["text-field"] == ["to-string", ["get", label]]
        assert layout["text-font"][0].startswith("Noto Sans CJK SC")


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


def test_a_city_with_codes_of_its_own() -> None:
    state = CN["incidents"].find("state")
    assert state is not None
    own = replace(state, codes={"closed": Title("Done", "办结"), "lost": Title("Lost", "丢失")})
    scheme = scheme_of((own,))
    assert scheme is not None
    assert [(s.code, s.title.zh) for s in scheme.swatches] == [("closed", "办结"), ("lost", "丢失")]
    assert scheme.swatches[0].colour == palette("incident_states")["closed"].colour


@pytest.mark.parametrize(
    "name", ["pipe_classes", "land_use", "incident_states", "grid_types", "series"]
)
def test_palettes_are_colours_that_differ(name: str) -> None:
    found = palette(name).values()
    assert all(parse_colour(s.colour) for s in found)
    assert all(s.title.zh and s.title.en for s in found)
    # Drainage of all kinds has one colour, by the standard.
    assert len({s.colour for s in found}) == len(found) - (3 if name == "pipe_classes" else 0)


def test_symbols_that_are_drawn_are_in_the_sheet() -> None:
    image = part("pipe_nodes", "symbol")["layout"]["icon-image"]
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
