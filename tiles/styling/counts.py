"""Features of vector tiles that stand for several: circles that grow and darken by their number."""

from __future__ import annotations

from typing import Any

from tiles.styling.tables import FONTS, HALO, LEGEND, TITLE, Swatch, palette

COUNTED = ["has", "count"]
# Of features that stand for themselves alone.
SINGLE = ["!", COUNTED]
_EDGE = "#3a4687"
# Of each colour of the palette `counts`. Cells are 8 to 16 pixels wide.
_RADII = (4.5, 6.5, 9.0, 12.0)
_NUMBER = ["to-number", ["get", "count"], 1]


def single_features() -> list[Any]:
    """Return the condition of features that stand for themselves alone."""
    return list(SINGLE)


def counted_layers() -> dict[str, dict[str, Any]]:
    """Return the parts that draw features which stand for several: circles, with the number.

    A part for each size, as not every client can work a size or a colour out of a number.
    """
    found = list(palette("counts").values())
    least = [int(swatch.code) for swatch in found]
    parts = {
        f"count-{low}": _circle_of(swatch, low, high, radius)
        for swatch, low, high, radius in zip(found, least, [*least[1:], None], _RADII, strict=True)
    }
    label = {
        "type": "symbol",
        "filter": ["all", COUNTED, [">", _NUMBER, 1]],
        "layout": {
            "text-field": ["to-string", ["get", "count"]],
            "text-font": list(FONTS),
            "text-size": 11,
        },
        "paint": {"text-color": "#1b232b", "text-halo-color": HALO, "text-halo-width": 1.2},
        "metadata": {LEGEND: False},
    }
    return {**parts, "count-label": label}


def _circle_of(swatch: Swatch, low: int, high: int | None, radius: float) -> dict[str, Any]:
    until = [] if high is None else [["<", _NUMBER, high]]
    zh, en = swatch.title.zh, swatch.title.en
    return {
        "type": "circle",
        "filter": ["all", COUNTED, [">=", _NUMBER, low], *until],
        "paint": {
            "circle-color": swatch.colour,
            "circle-opacity": 0.85,
            "circle-radius": radius,
            "circle-stroke-color": _EDGE,
            "circle-stroke-width": 0.8,
        },
        "metadata": {TITLE: {"zh": f"聚合要素：{zh}", "en": f"Counted features: {en}"}},
    }
