"""What an expression comes to where one looks at it from a fixed zoom: for legends and for SLD."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tiles.styling.colours import parse_colour
from tiles.styling.expressions import is_expression

# Where streets are read one by one: sizes of legends and of styles that know no zooms.
TYPICAL_ZOOM = 16.0
# From where a curve is a line to the last digit, and from where its powers are no numbers any more.
_STRAIGHT, _STEEP = 1e-12, 700.0


@dataclass(frozen=True, slots=True)
class Branch:
    """One thing that an expression can come to, and for which features.

    Attributes
    ----------
    field : str or None
        The field that decides; None where all features are alike.
    values : tuple of str or int
        Of that field; empty for all the others.
    low, high : float or None
        From where and before what numbers of it, where it is no list of values.
    characters : int or None
        How many of the first characters of the field are compared.
    """

    output: Any
    field: str | None = None
    values: tuple[str | int, ...] = ()
    low: float | None = None
    high: float | None = None
    characters: int | None = None


def at_zoom(value: Any, zoom: float = TYPICAL_ZOOM) -> Any:
    """Return what of a value is left where the zoom is known.

    >>> at_zoom(["interpolate", ["linear"], ["zoom"], 10, 1, 20, 2], 15)
    1.5
    """
    if not is_expression(value):
        return value
    if value[0] == "step" and value[1] == ["zoom"]:
        found = value[2]
        for stop, output in zip(value[3::2], value[4::2], strict=False):
            found = output if zoom >= stop else found
        return at_zoom(found, zoom)
    if value[0] == "interpolate" and value[2] == ["zoom"]:
        return _between(value[1], value[3::2], value[4::2], zoom)
    return value


def _between(kind: list[Any], stops: list[float], outputs: list[Any], zoom: float) -> Any:
    if zoom <= stops[0]:
        return outputs[0]
    for n in range(1, len(stops)):
        if zoom < stops[n]:
            low, high = outputs[n - 1], outputs[n]
            numbers = all(isinstance(o, int | float) for o in (low, high))
            share = _share(kind, stops[n - 1], stops[n], zoom)
            return low + (high - low) * share if numbers else low
    return outputs[-1]


def _share(kind: list[Any], low: float, high: float, zoom: float) -> float:
    """How far it is from one stop to the next, of 1; as a curve of its own is none here."""
    along, whole = zoom - low, high - low
    rate = math.log(kind[1]) if kind[0] == "exponential" else 0.0
    if abs(rate * whole) < _STRAIGHT:
        return along / whole
    # Beside powers as large, the ones are nothing.
    if rate * whole > _STEEP:
        return math.exp(rate * (along - whole))
    return math.expm1(rate * along) / math.expm1(rate * whole)


def branches(value: Any) -> list[Branch] | None:
    """Return what a value can come to by the features' fields, None where that can't be told."""
    value = at_zoom(value)
    if not is_expression(value):
        return [Branch(value)]
    if value[0] == "match":
        return _of_match(value)
    if value[0] == "step":
        return _of_step(value)
    if value[0] == "case":
        return _of_case(value)
    if value[0].startswith("interpolate"):
        return _of_interpolation(value)
    return None


def named(value: Any) -> tuple[str, int | None] | None:
    """Return the field that an expression reads, and how many of its first characters.

    >>> named(["slice", ["to-string", ["get", "use"]], 0, 2])
    ('use', 2)
    """
    while (
        isinstance(value, list)
        and len(value) == 2
        and value[0] in ("to-string", "to-number", "string", "number")
    ):
        value = value[1]
    if (
        isinstance(value, list)
        and len(value) == 2
        and value[0] == "get"
        and isinstance(value[1], str)
    ):
        return value[1], None
    if isinstance(value, list) and len(value) == 4 and value[0] == "slice" and value[2] == 0:
        inner = named(value[1])
        if inner is not None and isinstance(value[3], int):
            return inner[0], value[3]
    return None


def _of_match(value: list[Any]) -> list[Branch] | None:
    found = named(value[1])
    if found is None:
        return None
    made = [
        Branch(output, found[0], tuple(_listed(label)), characters=found[1])
        for label, output in zip(value[2:-1:2], value[3:-1:2], strict=True)
    ]
    made.append(Branch(value[-1], found[0], characters=found[1]))
    return _plain(made)


def _of_step(value: list[Any]) -> list[Branch] | None:
    found = named(value[1])
    if found is None:
        return None
    stops = [None, *value[3::2], None]
    outputs = value[2::2]
    return _plain(
        [
            Branch(output, found[0], low=low, high=high)
            for output, low, high in zip(outputs, stops[:-1], stops[1:], strict=True)
        ]
    )


def _of_case(value: list[Any]) -> list[Branch] | None:
    made: list[Branch] = []
    for condition, output in zip(value[1:-1:2], value[2:-1:2], strict=True):
        found = compared(condition)
        if found is None:
            return None
        made.append(Branch(output, found[0], found[1]))
    names = {branch.field for branch in made}
    made.append(Branch(value[-1], made[0].field))
    return _plain(made) if len(names) == 1 else None


def compared(condition: Any) -> tuple[str, tuple[str | int, ...]] | None:
    """Return the field and the values to which a condition holds it, None where it says more."""
    if not isinstance(condition, list) or len(condition) != 3:
        return None
    found = named(condition[1])
    if found is None or found[1] is not None:
        return None
    if condition[0] == "==" and isinstance(condition[2], str | int):
        return found[0], (condition[2],)
    listed = condition[2][1] if _is_literal(condition[2]) else None
    if condition[0] != "in" or not isinstance(listed, list):
        return None
    return (found[0], tuple(listed)) if all(isinstance(v, str | int) for v in listed) else None


def _is_literal(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and value[0] == "literal"


def _of_interpolation(value: list[Any]) -> list[Branch] | None:
    found = named(value[2])
    if found is None:
        return None
    stops = value[3::2]
    return _plain(
        [
            Branch(output, found[0], low=low, high=high)
            for output, low, high in zip(value[4::2], stops, [*stops[1:], None], strict=True)
        ]
    )


def _plain(made: list[Branch]) -> list[Branch] | None:
    """Branches as they are, where each comes to a plain value."""
    settled = [
        Branch(at_zoom(b.output), b.field, b.values, b.low, b.high, b.characters) for b in made
    ]
    return None if any(is_expression(b.output) for b in settled) else settled


def _listed(label: Any) -> Iterator[str | int]:
    yield from label if isinstance(label, list) else [label]


def number_at(value: Any, otherwise: float) -> float:
    """Return a size at the typical zoom, or what it is taken for where features decide it."""
    found = at_zoom(value)
    return float(found) if isinstance(found, int | float) else otherwise


def colour_of(value: Any, otherwise: str) -> str:
    """Return a plain colour as ``#rrggbb``."""
    parsed = parse_colour(value) if isinstance(value, str) else None
    return otherwise if parsed is None else parsed.hex
