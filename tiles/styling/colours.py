"""Colours as CSS writes them, as numbers, and back."""

from __future__ import annotations

import colorsys
import re
from typing import NamedTuple

from PIL import ImageColor

_HEX = re.compile(r"#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})")
_CALL = re.compile(r"(rgb|hsl)a?\(([^()]*)\)")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?")


class Colour(NamedTuple):
    """Red, green and blue of 0 to 255, and opacity of 0 to 1."""

    red: int
    green: int
    blue: int
    opacity: float = 1.0

    @property
    def hex(self) -> str:
        """As ``#rrggbb``, without its opacity.

        >>> Colour(255, 128, 0).hex
        '#ff8000'
        """
        return f"#{self.red:02x}{self.green:02x}{self.blue:02x}"


def parse_colour(text: str) -> Colour | None:
    """Return the colour that a text of CSS is, None where it is none.

    >>> parse_colour("rgba(20, 30, 40, .5)"), parse_colour("#0f0"), parse_colour("bluish")
    (Colour(red=20, green=30, blue=40, opacity=0.5), Colour(red=0, green=255, blue=0, opacity=1.0), None)
    """  # noqa: E501
    text = text.strip().lower()
    if _HEX.fullmatch(text):
        return _of_hex(text[1:])
    if text == "transparent":
        return Colour(0, 0, 0, 0.0)
    called = _CALL.fullmatch(text)
    if called is not None:
        return _of_call(called[1], called[2])
    known = ImageColor.colormap.get(text)
    return _of_hex(known[1:].lower()) if isinstance(known, str) else None


def opacity_of(value: object) -> float:
    """Return the opacity that a colour has in itself; 1 of what is no plain colour.

    >>> opacity_of("rgba(0, 0, 0, 0.25)"), opacity_of(["get", "colour"])
    (0.25, 1.0)
    """
    parsed = parse_colour(value) if isinstance(value, str) else None
    return 1.0 if parsed is None else parsed.opacity


def _of_hex(digits: str) -> Colour:
    if len(digits) < 6:
        digits = "".join(d * 2 for d in digits)
    red, green, blue, *more = (int(digits[n : n + 2], 16) for n in range(0, len(digits), 2))
    return Colour(red, green, blue, round(more[0] / 255, 3) if more else 1.0)


def _of_call(name: str, inner: str) -> Colour | None:
    parts = [p for p in re.split(r"[\s,/]+", inner.strip()) if p]
    if len(parts) not in (3, 4):
        return None
    opacity = _part(parts[3], 1.0) if len(parts) == 4 else 1.0
    if name == "hsl":
        hue = _part(parts[0].removesuffix("deg"), 1.0)
        rest = [_part(p, 1.0) if p.endswith("%") else None for p in parts[1:3]]
        if hue is None or opacity is None or rest[0] is None or rest[1] is None:
            return None
        made = colorsys.hls_to_rgb(hue / 360 % 1, _bound(rest[1], 1.0), _bound(rest[0], 1.0))
        red, green, blue = (round(c * 255) for c in made)
        return Colour(red, green, blue, _bound(opacity, 1.0))
    found = [_part(p, 255.0) for p in parts[:3]]
    if opacity is None or any(c is None for c in found):
        return None
    red, green, blue = (round(_bound(c or 0.0, 255.0)) for c in found)
    return Colour(red, green, blue, _bound(opacity, 1.0))


def _part(text: str, whole: float) -> float | None:
    """A number, or a share of a whole."""
    number = text.removesuffix("%")
    if not _NUMBER.fullmatch(number):
        return None
    return float(number) / 100 * whole if text.endswith("%") else float(number)


def _bound(value: float, largest: float) -> float:
    return min(max(value, 0.0), largest)
