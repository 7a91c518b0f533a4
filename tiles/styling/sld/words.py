"""The words of SLD 1.0 and 1.1, and MapLibre's conditions in those of filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from tiles.errors import Unsayable
from tiles.styling.colours import parse_colour
from tiles.styling.evaluating import named

_COMPARISONS = {
    "==": "PropertyIsEqualTo",
    "!=": "PropertyIsNotEqualTo",
    "<": "PropertyIsLessThan",
    "<=": "PropertyIsLessThanOrEqualTo",
    ">": "PropertyIsGreaterThan",
    ">=": "PropertyIsGreaterThanOrEqualTo",
}
_OPEN = (
    'xmlns="http://www.opengis.net/sld" xmlns:ogc="http://www.opengis.net/ogc" '
    'xmlns:xlink="http://www.w3.org/1999/xlink"'
)


@dataclass(frozen=True, slots=True)
class Words:
    """How a version of SLD says things.

    Attributes
    ----------
    se : str
        The prefix of symbology's elements.
    parameter : str
        What a parameter of a stroke or a fill is called.
    """

    version: str
    se: str
    parameter: str
    escape: str

    @property
    def root(self) -> str:
        """The root's first tag."""
        more = ' xmlns:se="http://www.opengis.net/se"' if self.se else ""
        return f'<StyledLayerDescriptor version="{self.version}" {_OPEN}{more}>'

    def name(self, text: str) -> str:
        """Return a Name."""
        return f"<{self.se}Name>{escape(text)}</{self.se}Name>"

    def title(self, text: str) -> str:
        """Return a Title, where the version has it."""
        if not self.se:
            return f"<Title>{escape(text)}</Title>"
        return f"<se:Description><se:Title>{escape(text)}</se:Title></se:Description>"

    def parameters(self, element: str, said: Mapping[str, str]) -> str:
        """Return a Fill, Stroke or Font with its parameters."""
        tag = f"{self.se}{self.parameter}"
        inner = "".join(f'<{tag} name="{n}">{escape(v)}</{tag}>' for n, v in said.items())
        return f"<{self.se}{element}>{inner}</{self.se}{element}>"

    def symbolizer(self, kind: str, inner: str) -> str:
        """Return a symbolizer."""
        return f"<{self.se}{kind}Symbolizer>{inner}</{self.se}{kind}Symbolizer>"

    def property(self, name: str) -> str:
        """Return a field's name."""
        return f"<ogc:PropertyName>{escape(name)}</ogc:PropertyName>"

    def colour(self, value: Any) -> str:
        """Return a plain colour as SLD writes it.

        Raises
        ------
        Unsayable
        """
        parsed = parse_colour(value) if isinstance(value, str) else None
        if parsed is None:
            raise Unsayable("a colour of it is no plain one")
        return parsed.hex

    def equal(self, field: str, value: str | float, characters: int | None = None) -> str:
        """Return that a field has a value, or begins with it."""
        if characters is not None:
            said = f'wildCard="*" singleChar="?" {self.escape}="!"'
            pattern = "".join(f"!{c}" if c in "*?!" else c for c in str(value))
            literal = f"<ogc:Literal>{escape(pattern)}*</ogc:Literal>"
            return (
                f"<ogc:PropertyIsLike {said}>{self.property(field)}{literal}</ogc:PropertyIsLike>"
            )
        return self.compared("==", field, value)

    def compared(self, operator: str, field: str, value: Any) -> str:
        """Return a comparison of a field with a value."""
        tag = f"ogc:{_COMPARISONS[operator]}"
        literal = f"<ogc:Literal>{escape(_written(value))}</ogc:Literal>"
        return f"<{tag}>{self.property(field)}{literal}</{tag}>"

    def any_of(self, conditions: Sequence[str]) -> str:
        """Return that one of some conditions holds."""
        return conditions[0] if len(conditions) == 1 else self.wrapped("Or", "".join(conditions))

    def wrapped(self, name: str, inner: str) -> str:
        """Return a condition of conditions."""
        return f"<ogc:{name}>{inner}</ogc:{name}>"


def words_of(version: str) -> Words:
    """Return the words of ``1.0.0`` or ``1.1.0``."""
    if version == "1.1.0":
        return Words(version, "se:", "SvgParameter", "escapeChar")
    return Words(version, "", "CssParameter", "escape")


def condition(value: Any, words: Words) -> str:
    """Return an expression that holds or does not as what stands in a Filter.

    Raises
    ------
    Unsayable
        Where filters have no words for it.
    """
    if not isinstance(value, list) or not value:
        raise Unsayable("a condition of it is always so, or never")
    name, arguments = value[0], value[1:]
    if name in ("all", "any") and arguments:
        inner = [condition(a, words) for a in arguments]
        return (
            inner[0]
            if len(inner) == 1
            else words.wrapped("And" if name == "all" else "Or", "".join(inner))
        )
    if name == "!" and len(arguments) == 1:
        return words.wrapped("Not", condition(arguments[0], words))
    if name in _COMPARISONS and len(arguments) == 2:
        return _comparison(name, arguments, words)
    if name == "in" and len(arguments) == 2:
        return _membership(arguments, words)
    raise Unsayable(f"filters have no words for {str(name)[:40]!r}")


def _comparison(name: str, arguments: list[Any], words: Words) -> str:
    found, value = named(arguments[0]), arguments[1]
    if found is None or isinstance(value, list | dict):
        raise Unsayable("a comparison of it is not of a field with a value")
    field, characters = found
    if characters is not None:
        if name not in ("==", "!="):
            raise Unsayable("the beginning of a text is only compared for being equal")
        said = words.equal(field, value, characters)
        return said if name == "==" else words.wrapped("Not", said)
    if value is None:
        said = words.wrapped("PropertyIsNull", words.property(field))
        return said if name == "==" else words.wrapped("Not", said)
    return words.compared(name, field, value)


def _membership(arguments: list[Any], words: Words) -> str:
    found, listed = named(arguments[0]), arguments[1]
    literal = isinstance(listed, list) and listed[:1] == ["literal"] and isinstance(listed[1], list)
    if found is None or not literal or not listed[1]:
        raise Unsayable("a list of it is not of a field's values")
    return words.any_of([words.equal(found[0], v, found[1]) for v in listed[1]])


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
