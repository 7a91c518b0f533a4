"""Expressions of MapLibre's: whether one is well made, and what it can come to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tiles.styling.constants import check_constant, is_number
from tiles.styling.naming import ALWAYS
from tiles.styling.tables import Property, operators

# What is wrong, and where, as a JSON pointer.
Fault = tuple[str, str]
DEEPEST = 30
_SCALARS = (str, int, float, bool, type(None))
_FEATURE = frozenset({"get", "has", "id", "properties", "geometry-type", "within", "distance"})
_ALONE = {
    "feature-state": "state",
    "heatmap-density": "heatmap-density",
    "line-progress": "line-progress",
    "elevation": "elevation",
}
_FITTING = {
    "color": ("color", "string", "any"),
    "number": ("number", "any"),
    "boolean": ("boolean", "any"),
    "enum": ("string", "any"),
    "string": ("string", "any"),
    "formatted": ("formatted", "string", "image", "any"),
    "resolvedImage": ("image", "string", "any"),
    "filter": ("boolean", "any"),
}
_INTERPOLATED = ("color", "number", "array", "padding", "numberArray", "colorArray")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an expression stands, and what may be said there.

    Attributes
    ----------
    uses : frozenset of str
        What it may hang on: ``feature``, ``zoom``, ``state`` ...
    fields : frozenset of str or None
        The fields that there are; anything goes where None.
    anywhere : bool
        Whether the zoom may stand anywhere in it, as in filters.
    """

    uses: frozenset[str]
    fields: frozenset[str] | None = None
    anywhere: bool = False


def is_expression(value: Any) -> bool:
    """Return whether a value is written as an expression: a list that begins with an operator.

    >>> is_expression(["get", "a"]), is_expression([1, 2]), is_expression(["Noto Sans"])
    (True, False, False)
    """
    return (
        isinstance(value, list)
        and bool(value)
        and isinstance(value[0], str)
        and value[0] in operators()
    )


def check_expression(value: Any, place: Place, where: str) -> Iterator[Fault]:
    """Yield what is wrong with an expression."""
    yield from _check(value, place, where, 0, top=True)


def _check(
    value: Any, place: Place, where: str, depth: int, *, top: bool = False
) -> Iterator[Fault]:
    if isinstance(value, _SCALARS):
        return
    if depth > DEEPEST:
        yield f"expressions stand more than {DEEPEST} deep in each other", where
        return
    if isinstance(value, Mapping):
        yield 'an object is no expression; write ["literal", {...}]', where
        return
    if not isinstance(value, list) or not value or not isinstance(value[0], str):
        yield 'an expression is a list that begins with an operator, such as ["get", "name"]', where
        return
    name, arguments = value[0], value[1:]
    found = operators().get(name)
    if found is None:
        yield f"there is no operator {name[:40]!r}", f"{where}/0"
        return
    if len(arguments) < found.least or (found.most is not None and len(arguments) > found.most):
        most = "or more" if found.most is None else f"to {found.most}"
        yield f"{name} takes {found.least} {most} arguments, and has {len(arguments)}", where
        return
    yield from _check_uses(name, arguments, place, where, top=top)
    yield from _check_form(name, arguments, where)
    for number, inner in _inner(name, arguments, top=top):
        again = top and _carries_on(name, number)
        yield from _check(inner, place, f"{where}/{number + 1}", depth + 1, top=again)


def _carries_on(name: str, number: int) -> bool:
    """Whether an argument may hang on the zoom as the whole does."""
    return name == "coalesce" or (name == "let" and number % 2 == 0)


def _check_uses(
    name: str, arguments: list[Any], place: Place, where: str, *, top: bool
) -> Iterator[Fault]:
    needed = "feature" if name in _FEATURE else _ALONE.get(name)
    if needed is not None and needed not in place.uses:
        yield f"{name} can't be used here", where
    if name == "zoom" and not place.anywhere:
        yield "zoom is only taken as the input of an outermost step or interpolate", where
    if name in ("step", "interpolate", "interpolate-hcl", "interpolate-lab"):
        given = arguments[0] if name == "step" else arguments[1]
        if given == ["zoom"] and not place.anywhere and (not top or "zoom" not in place.uses):
            yield "zoom is only taken as the input of an outermost step or interpolate", where
    if name in ("get", "has"):
        yield from _check_named(name, arguments, place, where)


def _check_named(name: str, arguments: list[Any], place: Place, where: str) -> Iterator[Fault]:
    """Check a field's name; of an object that is written out, any name may be asked for."""
    if len(arguments) == 2 and arguments[1] != ["properties"]:
        if not (isinstance(arguments[1], list) and arguments[1][:1] == ["literal"]):
            yield f'{name} looks into a feature, or into ["literal", {{...}}]', f"{where}/2"
    else:
        asked = arguments[0]
        if not isinstance(asked, str):
            yield f"{name} takes the name of a field as text", f"{where}/1"
        elif place.fields is not None and asked not in place.fields | ALWAYS:
            yield f"there is no field {asked[:60]!r}", f"{where}/1"


def _check_form(name: str, arguments: list[Any], where: str) -> Iterator[Fault]:
    if name == "match":
        yield from _check_match(arguments, where)
    elif name == "case" and len(arguments) % 2 == 0:
        yield "case takes pairs of condition and output, and one output more", where
    elif name == "step":
        yield from _check_stops(arguments[2:], where, 3)
    elif name.startswith("interpolate"):
        yield from _check_interpolation(arguments[0], f"{where}/1")
        yield from _check_stops(arguments[2:], where, 3)
    elif name == "let" and not all(isinstance(n, str) for n in arguments[:-1:2]):
        yield "let takes pairs of a name and a value, and an expression", where
    elif name == "var" and not isinstance(arguments[0], str):
        yield "var takes a name", where


def _check_match(arguments: list[Any], where: str) -> Iterator[Fault]:
    if len(arguments) % 2:
        yield "match takes an input, pairs of label and output, and one output more", where
        return
    seen: set[str | int] = set()
    for number in range(1, len(arguments) - 1, 2):
        labels = arguments[number] if isinstance(arguments[number], list) else [arguments[number]]
        if not labels:
            yield "a list of labels is empty", f"{where}/{number + 1}"
        for label in labels:
            if isinstance(label, bool) or not isinstance(label, str | int):
                yield "a label of match is a text or a whole number", f"{where}/{number + 1}"
            elif label in seen:
                yield f"label {str(label)[:40]!r} is there twice", f"{where}/{number + 1}"
            else:
                seen.add(label)
    if len({type(label) for label in seen}) > 1:
        yield "labels of one match are all texts, or all numbers", where


def _check_interpolation(value: Any, where: str) -> Iterator[Fault]:
    kind = value[0] if isinstance(value, list) and value else None
    numbers = value[1:] if isinstance(value, list) else []
    wanted = {"linear": 0, "exponential": 1, "cubic-bezier": 4}.get(str(kind))
    if wanted != len(numbers) or not all(is_number(n) for n in numbers):
        yield 'write ["linear"], ["exponential", base] or ["cubic-bezier", x1, y1, x2, y2]', where
    elif kind == "exponential" and numbers[0] <= 0:
        yield "the base is above 0", where
    elif kind == "cubic-bezier" and not all(0 <= n <= 1 for n in numbers):
        yield "the numbers of cubic-bezier are from 0 to 1", where


def _check_stops(stops: list[Any], where: str, first: int) -> Iterator[Fault]:
    if len(stops) % 2:
        yield "stops are pairs of a number and an output", where
        return
    numbers = stops[::2]
    for place, number in enumerate(numbers):
        if not is_number(number):
            yield "the place of a stop is a number", f"{where}/{first + 2 * place}"
            return
    if any(b <= a for a, b in itertools.pairwise(numbers)):
        yield "stops rise from one to the next", where


def _inner(name: str, arguments: list[Any], *, top: bool) -> Iterator[tuple[int, Any]]:
    """The arguments that are expressions themselves, with their places."""
    every = list(enumerate(arguments))
    if name in ("literal", "semiliteral", "var", "within", "distance", "collator", "number-format"):
        return
    if name == "match":
        yield every[0]
        yield from (pair for pair in every[1:] if pair[0] % 2 == 0 or pair is every[-1])
    elif name == "step":
        yield from (p for p in every if not (p[1] == ["zoom"] and p[0] == 0))
    elif name.startswith("interpolate"):
        yield from (p for p in every[1:] if not (p[1] == ["zoom"] and p[0] == 1))
    elif name == "let":
        yield from (pair for pair in every if pair[0] % 2 or pair is every[-1])
    elif name == "format":
        yield from (pair for pair in every if not isinstance(pair[1], dict))
    elif name == "array":
        yield every[-1]
    elif name in ("get", "has", "feature-state"):
        yield from every[1:]
    else:
        yield from every


def outputs(value: Any, where: str) -> Iterator[tuple[Any, str]]:
    """Yield what an expression can come to, as far as it is written out, and where that stands."""
    name = value[0] if is_expression(value) else None
    if name == "match":
        places = [*range(3, len(value) - 1, 2), len(value) - 1]
    elif name == "case":
        places = [*range(2, len(value) - 1, 2), len(value) - 1]
    elif name == "step":
        places = list(range(2, len(value), 2))
    elif name is not None and name.startswith("interpolate"):
        places = list(range(4, len(value), 2))
    elif name == "coalesce":
        places = list(range(1, len(value)))
    elif name == "let":
        places = [len(value) - 1]
    else:
        yield value, where
        return
    for place in places:
        yield from outputs(value[place], f"{where}/{place}")


def check_outputs(value: Any, found: Property, where: str) -> Iterator[Fault]:
    """Yield what of an expression's outputs can't be a value of a property."""
    if str(value[0]).startswith("interpolate") and found.type not in _INTERPOLATED:
        yield f"{found.name} can't be interpolated; write step", where
    for output, place in outputs(value, where):
        if not is_expression(output):
            yield from check_constant(output, found, place)
        elif output[0] == "literal":
            yield from check_constant(output[1], found, place)
        else:
            result = operators()[output[0]].result
            if result not in _FITTING.get(found.type, (result,)):
                yield f"{found.name} is a {found.type}, and {output[0]} gives a {result}", place
