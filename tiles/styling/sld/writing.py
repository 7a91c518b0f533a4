"""A MapLibre style as an SLD, for desktop GIS: what both can say, the rest told in comments.

Features that stand for several are of vector tiles alone: what draws them has no place in an SLD.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from layers.model import Title
from tiles.errors import Unsayable
from tiles.styling.colours import opacity_of
from tiles.styling.evaluating import Branch, at_zoom, branches, named, number_at
from tiles.styling.markup import writable
from tiles.styling.sld.scales import denominator_of
from tiles.styling.sld.words import Words, condition, words_of

_COLOURS = {"fill": "fill-color", "line": "line-color", "circle": "circle-color"}
_COUNTED = ["has", "count"]
_MOST_BRANCHES = 500


@dataclass(frozen=True, slots=True)
class _Part:
    """What of a layer is drawn alike: its condition, its colour and its symbolizer."""

    layer: Mapping[str, Any]
    branch: Branch
    where: str


def write_sld(document: Mapping[str, Any], name: str, title: Title, version: str) -> bytes:
    """Return a style as an SLD.

    Parameters
    ----------
    version : str
        ``1.0.0`` or ``1.1.0``.

    Raises
    ------
    Unsayable
        Where nothing of it can be said; the text tells why.
    """
    words = words_of(version)
    groups: list[str] = []
    left: list[str] = []
    for layer in document["layers"]:
        if _is_of_tiles(layer) or layer.get("layout", {}).get("visibility") == "none":
            continue
        try:
            groups.append(_group(layer, words))
        except Unsayable as error:
            left.append(f"{layer['id']}: {error}")
    if not groups:
        told = "; ".join(left[:5]) or "it draws no areas, lines, points or texts"
        raise Unsayable(f"{name} can't be said in SLD ({told}); ask for f=json")
    comments = "".join(f"<!-- left out: {_comment(text)} -->\n" for text in left)
    body = "\n".join(groups)
    layer_name = name.partition(".")[0]
    written = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{words.root}\n{comments}'
        f"<NamedLayer>{words.name(layer_name)}<UserStyle>{words.name(name)}"
        f"{words.title(title.zh)}\n{body}\n</UserStyle></NamedLayer></StyledLayerDescriptor>\n"
    )
    return writable(written).encode()


def _comment(text: str) -> str:
    return escape(text).replace("--", "- -")


def _is_of_tiles(layer: Mapping[str, Any]) -> bool:
    """Whether a layer draws features that stand for several, and nothing else."""
    found = layer.get("filter")
    return found == _COUNTED or (
        isinstance(found, list) and found[0] == "all" and _COUNTED in found[1:]
    )


def _group(layer: Mapping[str, Any], words: Words) -> str:
    rules = "\n".join(_rule(part, words) for part in _parts(layer, words))
    return f"<{words.se}FeatureTypeStyle>\n{rules}\n</{words.se}FeatureTypeStyle>"


def _parts(layer: Mapping[str, Any], words: Words) -> Iterator[_Part]:
    kind = layer["type"]
    own = _own_condition(layer, words)
    if kind == "symbol":
        yield _Part(layer, Branch(None), own)
        return
    if kind not in _COLOURS:
        raise Unsayable(f"SLD has no words for {kind} layers")
    value = layer.get("paint", {}).get(_COLOURS[kind], "#000000")
    found = branches(value)
    if found is None or len(found) > _MOST_BRANCHES:
        raise Unsayable(f"its {_COLOURS[kind]} hangs on more than one field, or can't be told")
    if any(branch.field is None for branch in found):
        yield from (_Part(layer, branch, own) for branch in found)
        return
    for branch in found:
        yield _Part(layer, branch, _joined(own, _of_branch(branch, found, words)))


def _own_condition(layer: Mapping[str, Any], words: Words) -> str:
    """The filter of a layer, without what is of tiles alone."""
    said = layer.get("filter")
    if said is None or said is True:
        return ""
    every = said[1:] if isinstance(said, list) and said[0] == "all" else [said]
    told = [part for part in every if not _is_of_form(part)]
    if not told:
        return ""
    return condition(["all", *told] if len(told) > 1 else told[0], words)


def _is_of_form(part: Any) -> bool:
    """Whether a condition only tells shapes, or single features from others."""
    if part == ["!", _COUNTED]:
        return True
    return isinstance(part, list) and len(part) == 3 and ["geometry-type"] in part[1:]


def _of_branch(branch: Branch, every: list[Branch], words: Words) -> str:
    field = branch.field or ""
    if branch.low is not None or branch.high is not None:
        asked: list[Any] = []
        if branch.low is not None:
            asked.append([">=", ["get", field], branch.low])
        if branch.high is not None:
            asked.append(["<", ["get", field], branch.high])
        return condition(["all", *asked] if len(asked) > 1 else asked[0], words)
    if branch.values:
        return words.any_of([words.equal(field, v, branch.characters) for v in branch.values])
    others = [v for other in every for v in other.values]
    inner = words.any_of([words.equal(field, v, branch.characters) for v in others])
    return words.wrapped("Not", inner)


def _joined(one: str, other: str) -> str:
    return f"<ogc:And>{one}{other}</ogc:And>" if one and other else one or other


def _rule(part: _Part, words: Words) -> str:
    layer = part.layer
    scales = ""
    # In this order, as the schema has it.
    if "maxzoom" in layer:
        number = denominator_of(layer["maxzoom"])
        scales += f"<{words.se}MinScaleDenominator>{number:.6g}</{words.se}MinScaleDenominator>"
    if "minzoom" in layer:
        number = denominator_of(layer["minzoom"])
        scales += f"<{words.se}MaxScaleDenominator>{number:.6g}</{words.se}MaxScaleDenominator>"
    values = ", ".join(str(v) for v in part.branch.values)
    name = words.name(f"{layer['id']} {values}".strip())
    where = f"<ogc:Filter>{part.where}</ogc:Filter>" if part.where else ""
    drawn = _DRAWN[layer["type"]](layer, part.branch, words)
    return f"<{words.se}Rule>{name}{where}{scales}{drawn}</{words.se}Rule>"


def _opacity(paint: Mapping[str, Any], kind: str, colour: Any) -> float:
    """The opacity of a layer and that of its colour, which SLD has no other place for."""
    return number_at(paint.get(f"{kind}-opacity", 1), 1.0) * opacity_of(colour)


def _area(layer: Mapping[str, Any], branch: Branch, words: Words) -> str:
    paint = layer.get("paint", {})
    said = {"fill": words.colour(branch.output)}
    said["fill-opacity"] = f"{_opacity(paint, 'fill', branch.output):g}"
    return words.symbolizer("Polygon", words.parameters("Fill", said))


def _line(layer: Mapping[str, Any], branch: Branch, words: Words) -> str:
    paint, layout = layer.get("paint", {}), layer.get("layout", {})
    width = number_at(paint.get("line-width", 1), 1.0)
    said = {"stroke": words.colour(branch.output), "stroke-width": f"{width:.4g}"}
    opacity = _opacity(paint, "line", branch.output)
    if opacity != 1:
        said["stroke-opacity"] = f"{opacity:g}"
    dashes = at_zoom(paint.get("line-dasharray"))
    if isinstance(dashes, list) and all(isinstance(n, int | float) for n in dashes):
        said["stroke-dasharray"] = " ".join(f"{n * width:.4g}" for n in dashes)
    for key, name in (("line-cap", "stroke-linecap"), ("line-join", "stroke-linejoin")):
        word = layout.get(key)
        if isinstance(word, str):
            said[name] = "mitre" if word == "miter" else word
    return words.symbolizer("Line", words.parameters("Stroke", said))


def _point(layer: Mapping[str, Any], branch: Branch, words: Words) -> str:
    paint = layer.get("paint", {})
    se = words.se
    radius = number_at(paint.get("circle-radius", 5), 5.0)
    fill = words.parameters("Fill", {"fill": words.colour(branch.output)})
    edge = number_at(paint.get("circle-stroke-width", 0), 0.0)
    stroke = ""
    if edge > 0:
        colour = words.colour(at_zoom(paint.get("circle-stroke-color", "#000000")))
        stroke = words.parameters("Stroke", {"stroke": colour, "stroke-width": f"{edge:.4g}"})
    mark = f"<{se}Mark><{se}WellKnownName>circle</{se}WellKnownName>{fill}{stroke}</{se}Mark>"
    opacity = _opacity(paint, "circle", branch.output)
    shown = "" if opacity == 1 else f"<{se}Opacity>{opacity:g}</{se}Opacity>"
    size = f"<{se}Size>{2 * radius:.4g}</{se}Size>"
    return words.symbolizer("Point", f"<{se}Graphic>{mark}{shown}{size}</{se}Graphic>")


def _text(layer: Mapping[str, Any], branch: Branch, words: Words) -> str:
    layout, paint = layer.get("layout", {}), layer.get("paint", {})
    if "icon-image" in layout:
        raise Unsayable("symbols of a sheet have no address of their own")
    found = named(layout.get("text-field"))
    if found is None or found[1] is not None:
        raise Unsayable("its text is no plain field")
    se = words.se
    fonts = layout.get("text-font", ["sans-serif"])
    family = str(fonts[0]).partition(",")[0] if isinstance(fonts, list) and fonts else "sans-serif"
    size = number_at(layout.get("text-size", 16), 12.0)
    label = f"<{se}Label>{words.property(found[0])}</{se}Label>"
    font = words.parameters("Font", {"font-family": family, "font-size": f"{size:.4g}"})
    placed = ""
    if layout.get("symbol-placement") == "line":
        placed = f"<{se}LabelPlacement><{se}LinePlacement/></{se}LabelPlacement>"
    halo = ""
    if "text-halo-width" in paint:
        radius = number_at(paint["text-halo-width"], 1.0)
        around = words.parameters(
            "Fill", {"fill": words.colour(at_zoom(paint.get("text-halo-color", "#ffffff")))}
        )
        halo = f"<{se}Halo><{se}Radius>{radius:g}</{se}Radius>{around}</{se}Halo>"
    colour = words.colour(at_zoom(paint.get("text-color", "#000000")))
    return words.symbolizer(
        "Text", f"{label}{font}{placed}{halo}" + words.parameters("Fill", {"fill": colour})
    )


_DRAWN = {"fill": _area, "line": _line, "circle": _point, "symbol": _text}
