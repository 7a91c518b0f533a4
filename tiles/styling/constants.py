"""Plain values of a style's properties: whether each is of its type, and in its range."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tiles.styling.colours import parse_colour
from tiles.styling.tables import Property


def check_constant(value: Any, found: Property, where: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a plain value of a property."""
    fault = _fault_of(value, found)
    if fault is not None:
        yield f"{found.name} is {fault}", where


def _fault_of(value: Any, found: Property) -> str | None:
    if found.type in ("color", "colorArray"):
        values = value if found.type == "colorArray" and isinstance(value, list) else [value]
        good = values and all(isinstance(v, str) and parse_colour(v) for v in values)
        return None if good else f"a colour such as #1f5fa8, not {str(value)[:40]!r}"
    if found.type in ("number", "numberArray", "padding"):
        return _number_fault(value, found)
    if found.type == "boolean":
        return None if isinstance(value, bool) else "true or false"
    if found.type == "enum":
        told = f"one of {', '.join(found.values)}"
        return None if value in found.values else f"{told}, not {str(value)[:40]!r}"
    if found.type == "array":
        return _array_fault(value, found)
    if found.type == "variableAnchorOffsetCollection":
        return None if isinstance(value, list) and len(value) % 2 == 0 else "a list of pairs"
    return None if isinstance(value, str) else "a text"


def _number_fault(value: Any, found: Property) -> str | None:
    values = value if found.type != "number" and isinstance(value, list) else [value]
    if not values or not all(is_number(v) for v in values):
        return f"a number, not {str(value)[:40]!r}"
    if found.minimum is not None and min(values) < found.minimum:
        return f"at least {found.minimum:g}"
    if found.maximum is not None and max(values) > found.maximum:
        return f"at most {found.maximum:g}"
    return None


def _array_fault(value: Any, found: Property) -> str | None:
    if not isinstance(value, list):
        return "a list"
    if found.length is not None and len(value) != found.length:
        return f"a list of {found.length}"
    if found.item == "number" and not all(is_number(v) for v in value):
        return "a list of numbers"
    if found.item == "string" and not all(isinstance(v, str) for v in value):
        return "a list of texts"
    if found.item == "enum" and not all(v in found.values for v in value):
        return f"a list of {', '.join(found.values)}"
    return None


def is_number(value: Any) -> bool:
    """Return whether a value is a number; what is true or false is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
