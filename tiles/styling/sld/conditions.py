"""Filters of an SLD as expressions of MapLibre's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from layers.model import Field, FieldType
from tiles.errors import Unsayable
from tiles.styling.sld.elements import Element

_COMPARISONS = {
    "PropertyIsEqualTo": "==",
    "PropertyIsNotEqualTo": "!=",
    "PropertyIsLessThan": "<",
    "PropertyIsLessThanOrEqualTo": "<=",
    "PropertyIsGreaterThan": ">",
    "PropertyIsGreaterThanOrEqualTo": ">=",
}
_SUMS = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/"}
_NUMBERS = (FieldType.INTEGER, FieldType.NUMBER)


@dataclass(frozen=True, slots=True)
class Known:
    """The fields of the layer that an SLD is read for."""

    fields: Mapping[str, Field]

    def find(self, name: str) -> Field:
        """Return the field that a name means, whatever prefix it has.

        Raises
        ------
        Unsayable
            Where there is none.
        """
        plain = name.strip().rpartition("/")[2].rpartition(":")[2]
        found = self.fields.get(plain)
        if found is None:
            raise Unsayable(f"there is no field {plain[:60]!r}")
        return found


def condition_of(element: Element, known: Known) -> list[Any]:
    """Return the expression of what stands in a Filter.

    Raises
    ------
    Unsayable
        Where MapLibre has no words for it, or it names a field that there is not.
    """
    name, children = element.name, element.children
    if name == "Filter":
        if len(children) != 1:
            raise Unsayable("a Filter holds one condition")
        return condition_of(children[0], known)
    if name in ("And", "Or"):
        return ["all" if name == "And" else "any", *(condition_of(c, known) for c in children)]
    if name == "Not" and len(children) == 1:
        return ["!", condition_of(children[0], known)]
    if name in _COMPARISONS and len(children) == 2:
        return _comparison(element, known)
    if name == "PropertyIsBetween":
        return _between(element, known)
    if name == "PropertyIsNull" and len(children) == 1:
        return ["==", value_of(children[0], known), None]
    if name == "PropertyIsLike":
        return _like(element, known)
    raise Unsayable(f"{name} can't be said in a style")


def value_of(element: Element, known: Known, like: Field | None = None) -> Any:
    """Return the expression of a value: a field, a literal, or a sum of such.

    Parameters
    ----------
    like : Field, optional
        The field that a literal is compared with: it is of its type.

    Raises
    ------
    Unsayable
    """
    if element.name in ("PropertyName", "ValueReference"):
        return ["get", known.find(element.text).id]
    if element.name == "Literal":
        return _literal(element.text, like)
    if element.name in _SUMS and len(element.children) == 2:
        return [_SUMS[element.name], *(_number(c, known) for c in element.children)]
    what = element.attributes.get("name", "")
    raise Unsayable(f"{element.name} {what[:60]}".strip() + " can't be said in a style")


def _number(element: Element, known: Known) -> Any:
    if element.name == "Literal":
        return _as_number(element.text)
    found = value_of(element, known)
    return ["to-number", found] if found[0] == "get" else found


def _literal(text: str, like: Field | None) -> str | float | int | bool:
    if like is None:
        return text
    if like.type in _NUMBERS:
        return _as_number(text)
    if like.type is FieldType.BOOLEAN:
        return text.lower() in ("true", "1")
    return text


def _as_number(text: str) -> float | int:
    try:
        found = float(text)
    except ValueError:
        raise Unsayable(f"{text[:40]!r} is no number") from None
    if found != found or abs(found) == float("inf"):
        raise Unsayable(f"{text[:40]!r} is no number")
    return int(found) if found.is_integer() else found


def _field_of(elements: tuple[Element, ...], known: Known) -> Field | None:
    names = (e for e in elements if e.name in ("PropertyName", "ValueReference"))
    first = next(names, None)
    return None if first is None else known.find(first.text)


def _comparison(element: Element, known: Known) -> list[Any]:
    like = _field_of(element.children, known)
    one, other = (value_of(c, known, like) for c in element.children)
    operator = _COMPARISONS[element.name]
    text = like is not None and like.type not in (*_NUMBERS, FieldType.BOOLEAN)
    if element.attributes.get("matchCase", "true").lower() == "false" and text:
        one, other = (["downcase", ["to-string", v]] for v in (one, other))
    if operator != "!=":
        return [operator, one, other]
    # What is not known is not unequal to anything in a Filter.
    there = [["!=", ["get", like.id], None]] if like is not None else []
    return ["all", *there, [operator, one, other]]


def _between(element: Element, known: Known) -> list[Any]:
    value = next((c for c in element.children if not c.name.endswith("Boundary")), None)
    low, high = (element.find(f"{n}Boundary") for n in ("Lower", "Upper"))
    if value is None or low is None or high is None or not (low.children and high.children):
        raise Unsayable("PropertyIsBetween has a value, a LowerBoundary and an UpperBoundary")
    like = _field_of((value,), known)
    asked = value_of(value, known)
    bounds = [value_of(b.children[0], known, like) for b in (low, high)]
    return ["all", [">=", asked, bounds[0]], ["<=", asked, bounds[1]]]


def _like(element: Element, known: Known) -> list[Any]:
    field, literal = _field_of(element.children, known), element.find("Literal")
    if field is None or literal is None:
        raise Unsayable("PropertyIsLike has a field and a Literal")
    said = element.attributes
    escape = said.get("escapeChar", said.get("escape", "\\"))
    single, many = said.get("singleChar", "?"), said.get("wildCard", "*")
    pieces = _pieces(literal.text, many, single, escape)
    value: list[Any] = ["to-string", ["get", field.id]]
    if said.get("matchCase", "true").lower() == "false":
        value, pieces = ["downcase", value], [p.lower() for p in pieces]
    return _matching(value, pieces)


def _pieces(pattern: str, many: str, single: str, escape: str) -> list[str]:
    """The texts between the wildcards of a pattern."""
    pieces: list[list[str]] = [[]]
    place = 0
    while place < len(pattern):
        after = place + len(escape)
        if escape and pattern.startswith(escape, place) and after < len(pattern):
            pieces[-1].append(pattern[after])
            place = after + 1
        elif many and pattern.startswith(many, place):
            pieces.append([])
            place += len(many)
        elif single and pattern.startswith(single, place):
            raise Unsayable(f"a pattern with {single!r} for one character can't be said in a style")
        else:
            pieces[-1].append(pattern[place])
            place += 1
    return ["".join(piece) for piece in pieces]


def _matching(value: list[Any], pieces: list[str]) -> list[Any]:
    """That a text has some pieces: at its beginning, somewhere, at its end."""
    if len(pieces) == 1:
        return ["==", value, pieces[0]]
    begin, *middle, end = pieces
    middle = [piece for piece in middle if piece]
    if len(middle) > 1 or (middle and (begin or end)):
        raise Unsayable("a pattern with text between two wildcards can't be said in a style")
    found: list[Any] = [["in", piece, value] for piece in middle]
    if begin:
        found.append(["==", ["slice", value, 0, len(begin)], begin])
    if end:
        long = [">=", ["length", value], len(begin) + len(end)]
        found += [long, ["==", ["slice", value, ["-", ["length", value], len(end)]], end]]
    # What is not there is not like anything.
    there = ["!=", value, ""]
    return ["all", *(found or [there])]
