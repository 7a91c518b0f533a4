"""Symbolizers of an SLD as layers of a MapLibre style: what both can say, and what is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tiles.styling.sld.elements import Element
from tiles.styling.sld.values import (
    Notes,
    Reading,
    read_colour,
    read_number,
    read_opacity,
    read_parameters,
    read_plain_number,
    read_stated,
    read_value,
)
from tiles.styling.sprites import symbols
from tiles.styling.tables import FONTS

_GREY, _BLACK = "#808080", "#000000"
_POINT_SIZE, _FONT_SIZE = 6.0, 10.0
_CAPS = {"butt": "butt", "round": "round", "square": "square"}
_JOINS = {"mitre": "miter", "miter": "miter", "round": "round", "bevel": "bevel"}
_ANCHORS = {0.0: ("left", "bottom"), 0.5: ("", ""), 1.0: ("right", "top")}


Made = dict[str, Any]


def layers_of(symbolizer: Element, reading: Reading) -> Iterator[Made]:
    """Yield the layers that draw what a symbolizer says: their types, layouts and paints."""
    make = _MAKERS.get(symbolizer.name)
    if make is None:
        reading.notes.add(f"{symbolizer.name} is left out")
        return
    _note_options(symbolizer, reading.notes)
    yield from make(symbolizer, reading)


def _note_options(symbolizer: Element, notes: Notes) -> None:
    for option in symbolizer.every("VendorOption"):
        notes.add(f"VendorOption {option.attributes.get('name', '')[:60]} is left out")
    if symbolizer.find("Geometry") is not None:
        notes.add("Geometry is left out: a feature is drawn as it is")
    unit = symbolizer.attributes.get("uom", "")
    if unit and not unit.endswith("pixel"):
        notes.add(f"sizes are taken as pixels, not as {unit[:80]}")


def _polygon(symbolizer: Element, reading: Reading) -> Iterator[Made]:
    fill = symbolizer.find("Fill")
    if fill is not None:
        said = read_parameters(fill, reading)
        paint = {"fill-color": read_colour(said, "fill", _GREY, reading.notes)}
        yield {"type": "fill", "paint": paint | read_opacity(said, "fill", reading.notes)}
        if fill.find("GraphicFill") is not None:
            reading.notes.add("GraphicFill is left out: areas are filled with their colour")
    for name in ("Displacement", "PerpendicularOffset"):
        if symbolizer.find(name) is not None:
            reading.notes.add(f"{name} of an area is left out")
    if symbolizer.find("Stroke") is not None:
        yield _stroke(symbolizer, reading)


def _line(symbolizer: Element, reading: Reading) -> Iterator[Made]:
    made = _stroke(symbolizer, reading)
    offset = symbolizer.find("PerpendicularOffset")
    if offset is not None:
        number = read_number(read_value(offset, reading), reading.notes, "PerpendicularOffset")
        # To the left in one, to the right in the other.
        made["paint"] |= {} if number is None else {"line-offset": -number}
    yield made


def _stroke(symbolizer: Element, reading: Reading) -> Made:
    stroke, notes = symbolizer.find("Stroke"), reading.notes
    said = {} if stroke is None else read_parameters(stroke, reading)
    if stroke is not None and (stroke.find("GraphicStroke") or stroke.find("GraphicFill")):
        notes.add("pictures along a line are left out: it is drawn with its colour")
    width = read_number(said.pop("stroke-width", 1), notes, "stroke-width")
    paint: dict[str, Any] = {
        "line-color": read_colour(said, "stroke", _BLACK, notes),
        "line-width": 1 if width is None else width,
    }
    paint |= read_opacity(said, "stroke", notes, "line")
    layout: dict[str, Any] = {}
    for name, key, words in (
        ("stroke-linecap", "line-cap", _CAPS),
        ("stroke-linejoin", "line-join", _JOINS),
    ):
        word = said.pop(name, None)
        if isinstance(word, str) and word in words:
            layout[key] = words[word]
        elif word is not None:
            notes.add(f"{name} {str(word)[:40]!r} is left out")
    dashes = said.pop("stroke-dasharray", None)
    if dashes is not None:
        paint |= _dashes(dashes, paint["line-width"], notes)
    for name in said:
        notes.add(f"{name[:60]} is left out")
    return {"type": "line", "paint": paint} | ({"layout": layout} if layout else {})


def _dashes(text: Any, width: Any, notes: Notes) -> dict[str, Any]:
    """Dashes: in pixels in one, in widths of the line in the other."""
    try:
        numbers = [float(part) for part in str(text).replace(",", " ").split()]
    except ValueError:
        numbers = []
    sound = numbers and all(0 <= number < 1e6 for number in numbers)
    if not sound or not isinstance(width, int | float) or width <= 0:
        notes.add("stroke-dasharray is left out: it takes numbers, and a width that is one")
        return {}
    return {"line-dasharray": [round(n / width, 4) for n in numbers]}


def _point(symbolizer: Element, reading: Reading) -> Iterator[Made]:
    notes = reading.notes
    if reading.shape != "Point":
        notes.add("PointSymbolizer is left out: only points are drawn as points")
        return
    graphic = symbolizer.find("Graphic")
    if graphic is None:
        notes.add("PointSymbolizer has no Graphic, and draws nothing")
        return
    for name in ("Rotation", "Displacement", "AnchorPoint"):
        if graphic.find(name) is not None:
            notes.add(f"{name} of a Graphic is left out")
    size = read_number(read_stated(graphic, "Size", _POINT_SIZE, reading), notes, "Size")
    size = _POINT_SIZE if size is None else size
    shown = graphic.find("Opacity")
    opacity = None if shown is None else read_number(read_value(shown, reading), notes, "Opacity")
    icon = _icon(graphic, notes)
    if icon is not None:
        made: Made = {"type": "symbol", "layout": {"icon-image": icon, "icon-allow-overlap": True}}
        if isinstance(size, int | float):
            made["layout"]["icon-size"] = round(size / 24, 4)
        yield made | ({} if opacity is None else {"paint": {"icon-opacity": opacity}})
    elif graphic.find("Mark") is not None or graphic.find("ExternalGraphic") is None:
        yield _circle(graphic, size, opacity, reading)


def _icon(graphic: Element, notes: Notes) -> str | None:
    """The symbol of ours that a picture is called like; no picture of another server is shown."""
    for picture in graphic.every("ExternalGraphic"):
        resource = picture.find("OnlineResource")
        href = "" if resource is None else resource.attributes.get("href", "")
        name = href.rpartition("/")[2].partition(".")[0]
        if name in symbols():
            return name
        notes.add(f"ExternalGraphic {href[:80]} is left out: only symbols of ours are shown")
    return None


def _circle(graphic: Element, size: Any, opacity: Any, reading: Reading) -> Made:
    notes, mark = reading.notes, graphic.find("Mark") or Element("Mark", {}, ())
    name = mark.find("WellKnownName")
    if name is not None and name.text not in ("circle", ""):
        notes.add(f"{name.text[:60]} is drawn as a circle")
    fill, stroke = mark.find("Fill"), mark.find("Stroke")
    radius = size / 2 if isinstance(size, int | float) else ["/", ["to-number", size], 2]
    paint: dict[str, Any] = {"circle-radius": radius}
    said = {} if fill is None else read_parameters(fill, reading)
    paint["circle-color"] = read_colour(said, "fill", _GREY, notes)
    paint |= read_opacity(said, "fill", notes, "circle")
    if fill is None and stroke is not None:
        paint["circle-opacity"] = 0
    elif opacity is not None:
        paint["circle-opacity"] = opacity
    if stroke is not None:
        edge = read_parameters(stroke, reading)
        paint["circle-stroke-color"] = read_colour(edge, "stroke", _BLACK, notes)
        width = read_number(edge.pop("stroke-width", 1), notes, "stroke-width")
        paint["circle-stroke-width"] = 1 if width is None else width
        paint |= read_opacity(edge, "stroke", notes, "circle-stroke")
        for left in edge:
            notes.add(f"{left[:60]} of a Mark is left out")
    return {"type": "circle", "paint": paint}


def _text(symbolizer: Element, reading: Reading) -> Iterator[Made]:
    notes, label = reading.notes, symbolizer.find("Label")
    if label is None:
        notes.add("TextSymbolizer has no Label, and writes nothing")
        return
    said = read_value(label, reading)
    if said is None:
        return
    font = symbolizer.find("Font")
    words = {} if font is None else read_parameters(font, reading)
    size = read_number(words.pop("font-size", _FONT_SIZE), notes, "font-size")
    size = _FONT_SIZE if size is None else size
    family = words.pop("font-family", None)
    for name, value in words.items():
        if value != "normal":
            notes.add(f"{name[:60]} is left out")
    fonts = [f"{family}, {FONTS[0]}"] if isinstance(family, str) else list(FONTS)
    text = ["to-string", said] if isinstance(said, list) and said[0] == "get" else said
    layout: dict[str, Any] = {"text-field": text, "text-font": fonts, "text-size": size}
    layout |= _placement(symbolizer.find("LabelPlacement"), size, reading)
    fill = symbolizer.find("Fill")
    colours = {} if fill is None else read_parameters(fill, reading)
    paint: dict[str, Any] = {"text-color": read_colour(colours, "fill", _BLACK, notes)}
    paint |= read_opacity(colours, "fill", notes, "text") | _halo(symbolizer.find("Halo"), reading)
    yield {"type": "symbol", "layout": layout, "paint": paint}


def _halo(halo: Element | None, reading: Reading) -> dict[str, Any]:
    if halo is None:
        return {}
    fill = halo.find("Fill")
    said = {} if fill is None else read_parameters(fill, reading)
    width = read_number(read_stated(halo, "Radius", 1, reading), reading.notes, "Radius")
    colour = read_colour(said, "fill", "#ffffff", reading.notes)
    for name in said:
        reading.notes.add(f"{name[:60]} of a Halo is left out")
    return {"text-halo-color": colour, "text-halo-width": 1 if width is None else width}


def _placement(placement: Element | None, size: Any, reading: Reading) -> dict[str, Any]:
    if placement is None:
        return {}
    if placement.find("LinePlacement") is not None:
        return {"symbol-placement": "line"}
    found: dict[str, Any] = {}
    anchor = placement.find("PointPlacement", "AnchorPoint")
    if anchor is not None:
        found |= _anchor(anchor, reading)
    moved = placement.find("PointPlacement", "Displacement")
    if moved is not None:
        x, y = (read_plain_number(moved, f"Displacement{n}", 0.0, reading) for n in "XY")
        ems = size if isinstance(size, int | float) and size > 0 else _FONT_SIZE
        found["text-offset"] = [round(x / ems, 4), round(-y / ems, 4)]
    turned = placement.find("PointPlacement", "Rotation")
    if turned is not None:
        number = read_number(read_value(turned, reading), reading.notes, "Rotation")
        found |= {} if number is None else {"text-rotate": number}
    return found


def _anchor(anchor: Element, reading: Reading) -> dict[str, Any]:
    x, y = (read_plain_number(anchor, f"AnchorPoint{n}", 0.5, reading) for n in "XY")
    near = [min(_ANCHORS, key=lambda known: abs(known - n)) for n in (x, y)]
    if near != [x, y]:
        reading.notes.add("AnchorPoint is taken to the nearest side or corner")
    words = [w for w in (_ANCHORS[near[1]][1], _ANCHORS[near[0]][0]) if w]
    return {"text-anchor": "-".join(words) or "center"}


_MAKERS: Mapping[str, Callable[[Element, Reading], Iterator[Made]]] = {
    "PolygonSymbolizer": _polygon,
    "LineSymbolizer": _line,
    "PointSymbolizer": _point,
    "TextSymbolizer": _text,
}
