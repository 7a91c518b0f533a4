"""Features of vector tiles that stand for several: circles that grow with their number."""

from __future__ import annotations

from typing import Any

from tiles.styling.tables import FONTS, HALO, LEGEND

# Of features that stand for themselves alone.
SINGLE = ["!", ["has", "count"]]
_COLOUR = "#3b6fb6"


def single_features() -> list[Any]:
    """Return the condition of features that stand for themselves alone."""
    return list(SINGLE)


def counted_layers(colour: str = _COLOUR) -> dict[str, dict[str, Any]]:
    """Return the parts that draw features which stand for several: circles, with the number."""
    number = ["to-number", ["get", "count"], 1]
    radius = ["interpolate", ["linear"], ["log10", ["max", 1, number]], 0, 5, 1, 9, 3, 18, 5, 32]
    only = ["has", "count"]
    return {
        "count": {
            "type": "circle",
            "filter": only,
            "paint": {
                "circle-color": colour,
                "circle-opacity": 0.7,
                "circle-radius": radius,
                "circle-stroke-color": "#ffffff",
                "circle-stroke-width": 1,
            },
            "metadata": {LEGEND: False},
        },
        "count-label": {
            "type": "symbol",
            "filter": ["all", only, [">", number, 1]],
            "layout": {
                "text-field": ["to-string", ["get", "count"]],
                "text-font": list(FONTS),
                "text-size": 11,
            },
            "paint": {"text-color": "#1b232b", "text-halo-color": HALO, "text-halo-width": 1.2},
            "metadata": {LEGEND: False},
        },
    }
