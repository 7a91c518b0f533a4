"""Legends and symbols: an entry for each thing that a style draws, and pictures of them."""

from __future__ import annotations

import io
import json
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from layers.model import Field, FieldType, Title
from layers.schemas.profiles import profile_schemas
from tiles.errors import UnknownSprite
from tiles.styling.defaults import default_style
from tiles.styling.legend_pictures import draw_legend
from tiles.styling.legends import legend_of
from tiles.styling.sprites import _sheet, sprite_file, symbols
from tiles.styling.tables import palette

CN = profile_schemas("cn")
WHOLE = Title("Whole", "全部")
STATE = Field("state", FieldType.TEXT, WHOLE, codes={"a": Title("Open", "开")})


def entries(kind: str, paint: dict[str, Any], **others: Any) -> list[tuple[str, str, str]]:
    layer = {"id": "x", "type": kind, "paint": paint, **others}
    found = legend_of({"layers": [layer]}, WHOLE, [STATE])
    return [(e.title.zh, e.symbol, e.colour) for e in found]


def test_each_layer_of_the_profile_has_its_codes_in_its_legend() -> None:
    for layer, field in (
        ("incidents", "state"),
        ("grids", "grid_type"),
        ("pipe_segments", "pipe_class"),
    ):
        schema = CN[layer]
        found = legend_of(default_style(layer, schema, schema.stored), schema.title, schema.stored)
        known = schema.find(field)
        assert known is not None
        titles = {v: e.title for e in found if e.field == field for v in e.values}
        assert titles == dict(known.codes)


def test_land_use_is_told_by_its_first_level() -> None:
    schema = CN["parcels"]
    found = legend_of(default_style("parcels", schema, schema.stored), schema.title, schema.stored)
    assert [e.values for e in found[:12]] == [(f"{n:02}",) for n in range(1, 13)]
    assert (found[6].title.zh, found[12].title.zh) == ("住宅用地", "其余")


def test_what_has_no_symbol_is_no_entry() -> None:
    schema = CN["pipe_nodes"]
    document = default_style("pipe_nodes", schema, schema.stored)
    icons = [e for e in legend_of(document, schema.title, schema.stored) if e.symbol == "icon"]
    assert [e.icon for e in icons] == list(palette("appurtenances"))
    # What stands for all others in the sheet has no pixel.
    place = json.loads(sprite_file("shikong.json").content)["nothing"]
    box = (place["x"], place["y"], place["x"] + place["width"], place["y"] + place["height"])
    sheet = Image.open(io.BytesIO(sprite_file("shikong.png").content)).convert("RGBA")
    assert sheet.crop(box).getextrema()[3] == (0, 0)


def test_counts_are_told_by_their_numbers() -> None:
    for layer in ("parcels", "incidents"):
        schema = CN[layer]
        document = default_style(layer, schema, schema.stored)
        found = legend_of(document, schema.title, schema.stored)[-4:]
        assert [e.title for e in found] == [
            Title("Counted features: fewer than 10", "聚合要素：少于 10"),
            Title("Counted features: 10 and more", "聚合要素：10 起"),
            Title("Counted features: 100 and more", "聚合要素：100 起"),
            Title("Counted features: 1,000 and more", "聚合要素：1000 起"),
        ]
        assert [e.colour for e in found] == [s.colour for s in palette("counts").values()]
        assert {e.symbol for e in found} == {"circle"}


def test_what_can_be_told_of_any_style() -> None:
    assert entries("fill", {"fill-color": "red"}) == [("全部", "fill", "#ff0000")]
    match = ["match", ["get", "state"], "a", "#010101", ["b", "c"], "#020202", "#030303"]
    told = [("开", "line", "#010101"), ("b；c", "line", "#020202"), ("其余", "line", "#030303")]
    assert entries("line", {"line-color": match}) == told
    step = ["step", ["get", "size"], "#010101", 5, "#020202"]
    assert [e[0] for e in entries("circle", {"circle-color": step})] == ["< 5", "≥ 5"]
    case = ["case", ["==", ["get", "state"], "a"], "#010101", "#020202"]
    assert [e[0] for e in entries("fill", {"fill-color": case})] == ["开", "其余"]
    zoomed = ["interpolate", ["linear"], ["zoom"], 10, "#010101", 20, "#020202"]
    assert len(entries("fill", {"fill-color": zoomed})) == 1
    only = ["==", ["get", "state"], "a"]
    assert entries("fill", {"fill-color": "red"}, filter=only) == [("开", "fill", "#ff0000")]
    named = {"shikong:title": {"zh": "名", "en": "Name"}}
    assert entries("fill", {"fill-color": "red"}, metadata=named)[0][0] == "名"
    assert entries("fill", {"fill-color": "red"}, metadata={"shikong:legend": False}) == []
    assert entries("symbol", {}) == []
    # What can't be told is there all the same, and says no colour that it might not have.
    assert len(entries("fill", {"fill-color": ["rgb", ["get", "r"], 0, 0]})) == 1


@pytest.mark.parametrize(
    ("base", "stops", "width"),
    [
        # By hand: (2^1 - 1) / (2^2 - 1) of the way from 3 to 9 at zoom 16, between 15 and 17.
        (2, (15, 3, 17, 9), 5.0),
        # So steep that nothing has grown yet; so flat that it is a line.
        (1e15, (0, 1, 24, 2), 1.0),
        (9e15, (0, 1, 24, 2), 1.0),
        (1.0000000000000002, (15.9, 1, 16.1, 2), 1.5),
        (1e-15, (0, 1, 24, 2), 2.0),
    ],
)
def test_widths_of_any_curve_can_be_told(
    base: float, stops: tuple[float, ...], width: float
) -> None:
    growing = ["interpolate", ["exponential", base], ["zoom"], *stops]
    layer = {"id": "x", "type": "line", "paint": {"line-width": growing}}
    [entry] = legend_of({"layers": [layer]}, WHOLE, [])
    assert entry.width == pytest.approx(width)


def test_a_list_that_is_none_is_no_list_of_values() -> None:
    for listed in (5, "ab", {"a": 1}, [["a"]]):
        odd = ["in", ["get", "state"], ["literal", listed]]
        assert entries("fill", {"fill-color": "red"}, filter=odd) == [("全部", "fill", "#ff0000")]


def test_what_is_not_drawn_is_in_no_legend() -> None:
    assert entries("fill", {"fill-color": "red"}, layout={"visibility": "none"}) == []


def test_a_legend_is_as_pale_as_what_it_tells_of() -> None:
    paint = {"fill-color": "rgba(255,0,0,0.5)", "fill-opacity": 0.5}
    [entry] = legend_of({"layers": [{"id": "x", "type": "fill", "paint": paint}]}, WHOLE, [])
    assert (entry.colour, entry.opacity) == ("#ff0000", 0.25)
    through = {"id": "x", "type": "fill", "paint": {"fill-color": "transparent"}}
    assert legend_of({"layers": [through]}, WHOLE, [])[0].opacity == 0


def test_large_bounds_are_told_to_the_last_digit() -> None:
    step = ["step", ["get", "area"], "#010101", 1234567, "#020202"]
    assert [e[0] for e in entries("fill", {"fill-color": step})] == ["< 1234567", "≥ 1234567"]


def test_any_title_can_stand_in_a_picture() -> None:
    title = Title("a\x01\ufffe\ud800b" + "x" * 5000, "长" * 5000)
    layer = {"id": "x", "type": "fill", "paint": {}}
    content = draw_legend(title, legend_of({"layers": [layer]}, title, []))
    root = ElementTree.fromstring(content)
    assert float(root.get("width", 0)) < 2000
    assert len(content) < 5000


def test_a_picture_needs_nothing_else() -> None:
    title = Title('<"&>', "图例")
    schema = CN["pipe_nodes"]
    found = legend_of(default_style("pipe_nodes", schema, schema.stored), title, schema.stored)
    content = draw_legend(title, found)
    root = ElementTree.fromstring(content)
    svg = "{http://www.w3.org/2000/svg}"
    assert len(list(root.iter(f"{svg}text"))) == len(found) + 1
    assert '图例 <"&>' in [t.text for t in root.iter(f"{svg}text")]
    # Styles and other files are forbidden by the policy that our pages have.
    for node in root.iter():
        assert node.tag.removeprefix(svg) not in ("style", "image", "script", "a")
        assert not any("href" in name or name in ("style", "class") for name in node.attrib)
    height, last = float(root.get("height", 0)), list(root.iter(f"{svg}text"))[-1]
    assert float(last.get("y", 0)) < height


def test_a_sheet_is_the_same_every_time() -> None:
    first = sprite_file("shikong.png").content
    _sheet.cache_clear()
    assert sprite_file("shikong.png").content == first


def test_fine_screens_have_the_same_symbols_in_twice_the_size() -> None:
    small, large = (
        Image.open(io.BytesIO(sprite_file(f"shikong{d}.png").content)) for d in ("", "@2x")
    )
    assert (small.width * 2, small.height * 2) == large.size
    halved = large.resize(small.size, Image.Resampling.BOX)
    one, other = (np.asarray(p.convert("RGBA")).astype(np.int64) for p in (small, halved))
    assert (np.abs(one - other) > 64).mean() < 0.02


@pytest.mark.parametrize(
    "name", ["shikong", "shikong.gif", "other.png", "shikong@3x.png", "../shikong.png", ""]
)
def test_what_is_no_sheet(name: str) -> None:
    with pytest.raises(UnknownSprite, match="shikong@2x"):
        sprite_file(name)


def test_every_state_and_appurtenance_has_a_symbol() -> None:
    states, kinds = (
        CN[n].find(f) for n, f in (("incidents", "state"), ("pipe_nodes", "appurtenance"))
    )
    assert states is not None
    assert kinds is not None
    assert {f"incident-{code}" for code in states.codes} | set(kinds.codes) <= set(symbols())
