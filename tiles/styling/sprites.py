"""Sheets of symbols (sprites): drawn by us from small shapes, at first use, the same every time."""

from __future__ import annotations

import io
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import orjson
from PIL import Image, ImageDraw

from tiles.errors import UnknownSprite
from tiles.styling.colours import parse_colour
from tiles.styling.tables import palette

SHEET = "shikong"
_UNITS = 24
_ACROSS = 8
# Drawn so many times larger and then made small, so that edges are smooth.
_FINER = 4
_FILE = re.compile(r"([a-z0-9_-]{1,40})(@2x)?\.(json|png)")
Shape = Sequence[Any]


@dataclass(frozen=True, slots=True)
class SpriteFile:
    """One file of a sheet."""

    content: bytes
    media_type: str


def sprite_file(name: str) -> SpriteFile:
    """Return a file of a sheet: its picture or its index, for screens of either density.

    Raises
    ------
    UnknownSprite
        Where there is none of that name.

    Examples
    --------
    >>> sprite_file("shikong@2x.png").media_type
    'image/png'
    """
    match = _FILE.fullmatch(name)
    if match is None or match[1] != SHEET:
        there = ", ".join(f"{SHEET}{d}.{kind}" for d in ("", "@2x") for kind in ("json", "png"))
        raise UnknownSprite(f"there is no sprite {name[:60]!r}; there are: {there}")
    ratio = 2 if match[2] else 1
    if match[3] == "json":
        return SpriteFile(orjson.dumps(_index(ratio)), "application/json")
    return SpriteFile(_sheet(ratio), "image/png")


@cache
def symbols() -> Mapping[str, tuple[Shape, ...]]:
    """Return the symbols of the sheet by their names: their shapes, the first at the bottom."""
    text = files("tiles").joinpath("styling", "symbols.toml").read_text(encoding="utf-8")
    drawn = {name: tuple(found["shapes"]) for name, found in tomllib.loads(text).items()}
    states = {f"incident-{s.code}": _pin(s.colour) for s in palette("incident_states").values()}
    return drawn | states


def _pin(colour: str) -> tuple[Shape, ...]:
    """A place on the map, in the colour of what goes on there."""
    return (
        ("polygon", "#ffffff", 3.5, 12, 20.5, 12, 12, 24),
        ("disc", "#ffffff", 12, 9.5, 9),
        ("polygon", colour, 5.2, 12.5, 18.8, 12.5, 12, 22),
        ("disc", colour, 12, 9.5, 7.5),
        ("disc", "#ffffff", 12, 9.5, 3),
    )


def _index(ratio: int) -> dict[str, dict[str, Any]]:
    side = _UNITS * ratio
    return {
        name: {
            "x": n % _ACROSS * side,
            "y": n // _ACROSS * side,
            "width": side,
            "height": side,
            "pixelRatio": ratio,
        }
        for n, name in enumerate(sorted(symbols()))
    }


@cache
def _sheet(ratio: int) -> bytes:
    index, side = _index(ratio), _UNITS * ratio
    rows = -(-len(index) // _ACROSS)
    sheet = Image.new("RGBA", (_ACROSS * side, rows * side))
    for name, place in index.items():
        sheet.paste(_draw(symbols()[name], side), (place["x"], place["y"]))
    written = io.BytesIO()
    sheet.save(written, "PNG", optimize=True)
    return written.getvalue()


def _draw(shapes: Sequence[Shape], side: int) -> Image.Image:
    scale = side * _FINER / _UNITS
    large = Image.new("RGBA", (side * _FINER, side * _FINER))
    pen = ImageDraw.Draw(large)
    for kind, colour, *numbers in shapes:
        parsed = parse_colour(colour)
        assert parsed is not None  # noqa: S101 - the shapes are ours
        fill = (parsed.red, parsed.green, parsed.blue, round(parsed.opacity * 255))
        _draw_shape(pen, kind, fill, [n * scale for n in numbers])
    return large.resize((side, side), Image.Resampling.BOX)


def _draw_shape(
    pen: ImageDraw.ImageDraw, kind: str, fill: tuple[int, int, int, int], at: list[float]
) -> None:
    if kind == "polygon":
        pen.polygon(at, fill=fill)
    elif kind == "box":
        pen.rectangle(at, fill=fill)
    elif kind == "line":
        pen.line(at[:4], fill=fill, width=round(at[4]))
    else:
        x, y, radius = at[:3]
        box = (x - radius, y - radius, x + radius, y + radius)
        if kind == "ring":
            pen.ellipse(box, outline=fill, width=round(at[3]))
        else:
            pen.ellipse(box, fill=fill)
