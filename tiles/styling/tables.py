"""The data that styling stands on: palettes, and what MapLibre's style specification knows."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from layers.model import Title

# Fonts of the reader's own machine, the first that it has; no server sends any.
FONTS = ("Noto Sans CJK SC", "Noto Sans SC", "PingFang SC", "Microsoft YaHei", "sans-serif")
# What stands around letters, so that they are read on any ground.
HALO = "rgba(255,255,255,0.9)"
# In the metadata of a style's layers: what a legend calls the layer and its codes, and whether it
# has the layer.
TITLE, TITLES, LEGEND = "shikong:title", "shikong:titles", "shikong:legend"


@dataclass(frozen=True, slots=True)
class Swatch:
    """The colour of a code, and what the code is called."""

    code: str
    title: Title
    colour: str


@dataclass(frozen=True, slots=True)
class Use:
    """That a field is drawn in a palette, perhaps by so many of its first characters."""

    palette: str
    characters: int | None


@dataclass(frozen=True, slots=True)
class Property:
    """A property of MapLibre's, as the specification (version 8) has it.

    Attributes
    ----------
    group : str
        ``layout`` or ``paint``.
    type : str
        Such as ``color``, ``number``, ``enum``, ``array``; of an array `item` and `length`.
    uses : frozenset of str
        What an expression may hang on: ``feature``, ``state``, ``zoom`` ...; empty where the
        property takes no expression.
    """

    name: str
    group: str
    type: str
    item: str
    length: int | None
    values: tuple[str, ...]
    minimum: float | None
    maximum: float | None
    uses: frozenset[str]


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator of expressions: how many arguments it takes, and what it gives."""

    least: int
    most: int | None
    result: str


@cache
def palette(name: str) -> Mapping[str, Swatch]:
    """Return a palette by its codes, in its order.

    >>> palette("pipe_classes")["JS"].colour
    '#00ffff'
    """
    return {
        row["code"]: Swatch(row["code"], Title(row["en"], row["zh"]), row["colour"])
        for row in _rows(f"palettes/{name}.csv")
    }


@cache
def uses() -> Mapping[str, Use]:
    """Return which fields are drawn in which palette."""
    return {
        row["field"]: Use(row["palette"], int(row["characters"]) if row["characters"] else None)
        for row in _rows("palettes/uses.csv")
    }


@cache
def properties() -> Mapping[str, Mapping[str, Property]]:
    """Return the properties of each type of layers.

    >>> sorted(properties()["background"])[0], properties()["line"]["line-cap"].values
    ('background-color', ('butt', 'round', 'square'))
    """
    found: dict[str, dict[str, Property]] = {}
    for row in _rows("properties.csv"):
        found.setdefault(row["layer"], {})[row["property"]] = _property(row)
    return found


@cache
def operators() -> Mapping[str, Operator]:
    """Return the operators of expressions by their names."""
    return {
        row["operator"]: Operator(
            int(row["least"]), int(row["most"]) if row["most"] else None, row["result"]
        )
        for row in _rows("operators.csv")
    }


def _property(row: Mapping[str, str]) -> Property:
    return Property(
        row["property"],
        row["group"],
        row["type"],
        row["item"],
        int(row["length"]) if row["length"] else None,
        tuple(row["values"].split()),
        float(row["minimum"]) if row["minimum"] else None,
        float(row["maximum"]) if row["maximum"] else None,
        frozenset(row["uses"].split()),
    )


def _rows(name: str) -> Iterator[Mapping[str, str]]:
    text = files("tiles").joinpath("styling", name).read_text(encoding="utf-8")
    yield from csv.DictReader(text.splitlines(), strict=True)
