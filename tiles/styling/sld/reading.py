"""An SLD as a MapLibre style: what both can say, and a list of all that is left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from layers.model import Field, Schema, Title
from tiles.errors import BadStyledLayer, Unsayable
from tiles.styling.counts import counted_layers, single_features
from tiles.styling.defaults import OTHER, style_around
from tiles.styling.sld.conditions import Known, condition_of
from tiles.styling.sld.elements import Element, parse_sld
from tiles.styling.sld.scales import zoom_of
from tiles.styling.sld.symbolizers import Made, layers_of
from tiles.styling.sld.values import Notes, Reading
from tiles.styling.tables import TITLE

_MOST_LAYERS = 190
_LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True)
class Imported:
    """What an SLD was read as.

    Attributes
    ----------
    name : str or None
        What the SLD calls the style.
    warnings : tuple of str
        What it says that a style can't, each with its rule.
    """

    document: dict[str, Any]
    name: str | None
    title: Title | None
    warnings: tuple[str, ...]


def read_sld(content: bytes, layer_id: str, schema: Schema, fields: Sequence[Field]) -> Imported:
    """Return an SLD as a style of a layer.

    Parameters
    ----------
    fields : sequence of Field
        Those that whoever writes it sees; no other is there for it.

    Raises
    ------
    BadStyledLayer
        Where it is no SLD, or nothing of it can be drawn: the text says why.
    """
    notes = Notes()
    style = _style_of(parse_sld(content), notes)
    shape = schema.geometry.removesuffix("Z").removeprefix("Multi")
    reading = Reading(Known({f.id: f for f in fields}), shape, notes)
    made: dict[str, Made] = {}
    for number, group in enumerate(style.every("FeatureTypeStyle"), 1):
        for place, layer in enumerate(_layers_of(group, reading), 1):
            made[f"{number}-{place}"] = layer
    if not made:
        left = "; ".join([*notes.found][:5]) or "it has no rule that draws anything"
        raise BadStyledLayer(f"nothing of the SLD can be drawn: {left}")
    if len(made) > _MOST_LAYERS:
        raise BadStyledLayer(f"the SLD draws {len(made)} layers; {_MOST_LAYERS} are the most here")
    made |= counted_layers()
    title = _title(style)
    document = style_around(layer_id, schema, made)
    if title is not None:
        document["name"] = title.zh
    return Imported(document, _text(style, "Name"), title, tuple(notes.found))


def _style_of(root: Element, notes: Notes) -> Element:
    """The one style of an SLD; others in it are noted."""
    layers = [c for c in root.children if c.name in ("NamedLayer", "UserLayer")]
    styles = [style for layer in layers for style in layer.every("UserStyle")]
    if not styles:
        raise BadStyledLayer("the SLD has no UserStyle in a NamedLayer")
    if len(styles) > 1:
        notes.add(f"the SLD has {len(styles)} styles; the first is taken")
    return styles[0]


def _layers_of(group: Element, reading: Reading) -> Iterator[Made]:
    rules, notes = list(group.every("Rule")), reading.notes
    for child in group.children:
        if child.name in ("Transformation", "VendorOption"):
            notes.add(f"{child.name} is left out")
    conditions = [_condition(rule, number, reading) for number, rule in enumerate(rules, 1)]
    for number, (rule, condition) in enumerate(zip(rules, conditions, strict=True), 1):
        notes.rule = _called(rule, number)
        if condition is _LEFT_OUT:
            continue
        if rule.find("ElseFilter") is not None:
            condition = _otherwise(conditions, notes)
        common = _common(rule, condition)
        for symbolizer in rule.children:
            if symbolizer.name.endswith("Symbolizer"):
                for made in layers_of(symbolizer, reading):
                    yield {**made, **common}
            elif symbolizer.name == "LegendGraphic":
                notes.add("LegendGraphic is left out: legends are made of what is drawn")
    notes.rule = ""


_LEFT_OUT: list[Any] = ["left out"]


def _condition(rule: Element, number: int, reading: Reading) -> list[Any] | None:
    """The expression of a rule's filter, None where it has none; noted where it can't be said."""
    found = rule.find("Filter")
    if found is None:
        return None
    try:
        return condition_of(found, reading.known)
    except Unsayable as error:
        reading.notes.rule = _called(rule, number)
        reading.notes.add(f"the rule is left out: {error}")
        reading.notes.rule = ""
        return _LEFT_OUT


def _otherwise(conditions: Sequence[list[Any] | None], notes: Notes) -> list[Any]:
    """What no other rule of the group is for."""
    others = [c for c in conditions if c is not None and c is not _LEFT_OUT]
    if any(c is _LEFT_OUT for c in conditions):
        notes.add("ElseFilter draws also what rules that are left out were for")
    return ["!", ["any", *others]]


def _common(rule: Element, condition: list[Any] | None) -> dict[str, Any]:
    """What all layers of a rule have: for which features, at which zooms, and its title."""
    single = single_features()
    found: dict[str, Any] = {"filter": single if condition is None else ["all", condition, single]}
    for name, key in (("MaxScaleDenominator", "minzoom"), ("MinScaleDenominator", "maxzoom")):
        text = _text(rule, name)
        if text is not None:
            try:
                found[key] = zoom_of(float(text))
            except ValueError:
                raise BadStyledLayer(f"{name} {text[:40]!r} is no number") from None
    title = _title(rule) or _plain_title(_text(rule, "Name"))
    if title is None and rule.find("ElseFilter") is not None:
        title = OTHER
    if title is not None:
        found["metadata"] = {TITLE: {"zh": title.zh, "en": title.en}}
    return found


def _called(rule: Element, number: int) -> str:
    title = _title(rule)
    name = _text(rule, "Name") or (None if title is None else title.zh)
    return f"rule {number}" if name is None else f"rule {number} ({name[:60]})"


def _title(element: Element) -> Title | None:
    return _plain_title(_text(element, "Title") or _text(element, "Description", "Title"))


def _plain_title(text: str | None) -> Title | None:
    return None if text is None else Title(text[:_LONGEST_TITLE], text[:_LONGEST_TITLE])


def _text(element: Element, *names: str) -> str | None:
    found = element.find(*names)
    return None if found is None or not found.text else " ".join(found.text.split())
