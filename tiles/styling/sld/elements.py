"""An SLD as plain elements: parsed with nothing expanded and nothing fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from tiles.errors import BadStyledLayer

_MOST_ELEMENTS = 20_000
_DEEPEST = 60
_VERSIONS = ("1.0.0", "1.1.0")


@dataclass(frozen=True, slots=True)
class Element:
    """An element without its namespace: the two versions differ in little else.

    Attributes
    ----------
    parts : tuple of str or Element
        Texts and elements in it, in their order.
    """

    name: str
    attributes: Mapping[str, str]
    parts: tuple[str | Element, ...]

    @property
    def text(self) -> str:
        """Its own text, without that of elements in it."""
        return "".join(p for p in self.parts if isinstance(p, str)).strip()

    @property
    def children(self) -> tuple[Element, ...]:
        """The elements in it."""
        return tuple(p for p in self.parts if isinstance(p, Element))

    def find(self, *names: str) -> Element | None:
        """Return the first element below, step by step, None where there is none."""
        found: Element | None = self
        for name in names:
            if found is None:
                return None
            found = next((c for c in found.children if c.name == name), None)
        return found

    def every(self, name: str) -> Iterator[Element]:
        """Yield the children of a name."""
        return (c for c in self.children if c.name == name)


def parse_sld(content: bytes) -> Element:
    """Parse an SLD.

    Raises
    ------
    BadStyledLayer
        Where it is no XML, has a document type or entities, or is no SLD of 1.0 or 1.1.
    """
    try:
        root = fromstring(content, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except DefusedXmlException:
        raise BadStyledLayer(
            "the SLD has a document type or entities, which are not taken; write them out"
        ) from None
    except (ParseError, ValueError, LookupError) as error:
        raise BadStyledLayer(f"the SLD is no XML: {error}") from None
    _check_size(root)
    found = _element(root)
    if found.name != "StyledLayerDescriptor":
        raise BadStyledLayer(f"the root is {found.name[:60]!r}; an SLD's is StyledLayerDescriptor")
    version = found.attributes.get("version", "1.0.0")
    if version not in _VERSIONS:
        raise BadStyledLayer(f"SLD {version[:20]!r} is not read; {' and '.join(_VERSIONS)} are")
    return found


def _check_size(root: Any) -> None:
    """Refuse what is too large, before any function calls itself over it."""
    waiting, count = [(root, 1)], 0
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if count > _MOST_ELEMENTS:
            raise BadStyledLayer(
                f"the SLD has more than {_MOST_ELEMENTS} elements; make it shorter"
            )
        if depth > _DEEPEST:
            raise BadStyledLayer(f"elements stand more than {_DEEPEST} deep in each other")
        waiting += [(child, depth + 1) for child in node]


def _element(node: Any) -> Element:
    parts: list[str | Element] = [node.text or ""]
    for child in node:
        if isinstance(child.tag, str):
            parts.append(_element(child))
        parts.append(child.tail or "")
    attributes = {_local(name): value for name, value in node.attrib.items()}
    return Element(_local(node.tag), attributes, tuple(p for p in parts if p))


def _local(name: str) -> str:
    return name.rpartition("}")[2]
