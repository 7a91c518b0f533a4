"""Values in an SLD: texts, numbers and colours, or expressions where fields stand in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tiles.errors import Unsayable
from tiles.styling.colours import parse_colour
from tiles.styling.sld import conditions
from tiles.styling.sld.conditions import Known
from tiles.styling.sld.elements import Element


@dataclass
class Notes:
    """What could not be said, each thing once, with the rule that it is of."""

    rule: str = ""
    # In their order; a name has nothing to say.
    found: dict[str, None] = field(default_factory=dict)

    def add(self, text: str) -> None:
        """Note something of the present rule."""
        said = f"{self.rule}: {text}" if self.rule else text
        self.found[said] = None


@dataclass(frozen=True, slots=True)
class Reading:
    """With what symbolizers are read: the layer's fields and shape, and what is noted."""

    known: Known
    shape: str
    notes: Notes


def read_plain_number(element: Element, name: str, otherwise: float, reading: Reading) -> float:
    """Return the number that a child of an element states, where it is a plain one."""
    found = read_number(read_stated(element, name, otherwise, reading), reading.notes, name)
    return float(found) if isinstance(found, int | float) else otherwise


def read_stated(element: Element, name: str, otherwise: Any, reading: Reading) -> Any:
    """Return what a child of an element states."""
    found = element.find(name)
    value = None if found is None else read_value(found, reading)
    return otherwise if value is None else value


def read_parameters(element: Element, reading: Reading) -> dict[str, Any]:
    """The parameters of a Fill, a Stroke or a Font by their names."""
    found = {}
    for parameter in element.children:
        if parameter.name in ("CssParameter", "SvgParameter"):
            value = read_value(parameter, reading)
            if value is not None:
                found[parameter.attributes.get("name", "")] = value
    return found


def read_value(element: Element, reading: Reading) -> Any:
    """A text, or an expression where fields are in it; None, noted, where it can't be said."""
    try:
        parts = [
            part if isinstance(part, str) else conditions.value_of(part, reading.known)
            for part in element.parts
            if not isinstance(part, str) or part.strip()
        ]
    except Unsayable as error:
        what = element.attributes.get("name", element.name)
        reading.notes.add(f"{what} is left out: {error}")
        return None
    if all(isinstance(part, str) for part in parts):
        return "".join(parts).strip() if len(parts) == 1 else " ".join(p.strip() for p in parts)
    if len(parts) == 1:
        return parts[0]
    return ["concat", *(p if isinstance(p, str) else ["to-string", p] for p in parts)]


def read_colour(said: dict[str, Any], name: str, otherwise: str, notes: Notes) -> Any:
    """Take a colour out of parameters; another, noted, where it is none."""
    value = said.pop(name, otherwise)
    if isinstance(value, str) and parse_colour(value) is None:
        notes.add(f"{name} {value[:40]!r} is no colour; {otherwise} is taken")
        return otherwise
    return ["to-color", value, otherwise] if isinstance(value, list) else value


def read_opacity(
    said: dict[str, Any], name: str, notes: Notes, target: str | None = None
) -> dict[str, Any]:
    """Take an opacity out of parameters, as the property of a layer's paint."""
    value = said.pop(f"{name}-opacity", None)
    number = None if value is None else read_number(value, notes, f"{name}-opacity")
    if number is None:
        return {}
    if isinstance(number, int | float):
        number = min(max(number, 0), 1)
    return {f"{target or name}-opacity": number}


def read_number(value: Any, notes: Notes, name: str) -> Any:
    """A number, or an expression of one; None, noted, where it is neither."""
    if isinstance(value, list):
        return ["to-number", value, 0] if value[0] in ("get", "concat") else value
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = float("nan")
    if not abs(found) < 1e6:
        notes.add(f"{name} {str(value)[:40]!r} is no number, and is left out")
        return None
    return int(found) if found.is_integer() else found
