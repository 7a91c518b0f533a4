"""Legends: what a style draws, entry by entry, worked out of its document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from layers.model import Field, Title
from layers.schemas.terms import title_of
from tiles.styling.colours import opacity_of
from tiles.styling.defaults import NOTHING, OTHER
from tiles.styling.evaluating import (
    Branch,
    at_zoom,
    branches,
    colour_of,
    compared,
    number_at,
)
from tiles.styling.tables import LEGEND, TITLE, TITLES

_MOST_ENTRIES = 200
_COLOURS = {
    "fill": "fill-color",
    "line": "line-color",
    "circle": "circle-color",
    "fill-extrusion": "fill-extrusion-color",
    "symbol": "icon-image",
}
_SYMBOLS = {"fill-extrusion": "fill", "symbol": "icon"}
_NONE = "#000000"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a legend.

    Attributes
    ----------
    symbol : str
        ``fill``, ``line``, ``circle`` or ``icon``.
    colour : str
        As ``#rrggbb``.
    field : str or None
        The field by which it is told, and `values` of it; none for all others.
    width : float
        In pixels, of a line; the radius of a circle.
    icon : str or None
        Of a symbol of ours, its name.
    """

    title: Title
    symbol: str
    colour: str
    field: str | None = None
    values: tuple[str | int, ...] = ()
    opacity: float = 1.0
    width: float = 2.0
    icon: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the entry as JSON."""
        found: dict[str, Any] = {
            "title": {"zh": self.title.zh, "en": self.title.en},
            "symbol": self.symbol,
            "colour": self.colour,
            "opacity": self.opacity,
            "width": round(self.width, 2),
        }
        if self.field is not None:
            found |= {"field": self.field, "values": list(self.values)}
        return found | ({"icon": self.icon} if self.icon else {})


def legend_of(document: Mapping[str, Any], title: Title, fields: Sequence[Field]) -> list[Entry]:
    """Return the legend of a style, of at most 200 entries.

    Parameters
    ----------
    title : Title
        What is called so that has no name of its own.
    fields : sequence of Field
        Those that the reader sees: their codes have titles.
    """
    known = {f.id: f for f in fields}
    found: list[Entry] = []
    for layer in document["layers"]:
        if _is_shown(layer):
            for entry in _entries(layer, title, known):
                if len(found) == _MOST_ENTRIES:
                    return found
                if entry not in found:
                    found.append(entry)
    return found


def _is_shown(layer: Mapping[str, Any]) -> bool:
    """Whether a layer is drawn, and has a place in a legend."""
    drawn = layer.get("layout", {}).get("visibility") != "none"
    wanted = layer.get("metadata", {}).get(LEGEND) is not False
    return drawn and wanted and layer["type"] in _COLOURS


def _entries(layer: Mapping[str, Any], title: Title, known: Mapping[str, Field]) -> Iterator[Entry]:
    kind = layer["type"]
    name = _COLOURS[kind]
    value = {**layer.get("layout", {}), **layer.get("paint", {})}.get(name)
    if value is None and kind == "symbol":
        return
    made = branches(value if value is not None else _NONE)
    own = _titled(layer.get("metadata", {}).get(TITLE)) or _of_filter(layer, known) or title
    if made is None:
        yield _entry(layer, own, Branch(_NONE))
        return
    for branch in made:
        if kind == "symbol" and branch.output in ("", NOTHING):
            continue
        said = own if branch.field is None else _called(branch, layer, known)
        yield _entry(layer, said, branch)


def _entry(layer: Mapping[str, Any], title: Title, branch: Branch) -> Entry:
    kind, paint = layer["type"], layer.get("paint", {})
    icon = str(branch.output) if kind == "symbol" else None
    return Entry(
        title,
        _SYMBOLS.get(kind, kind),
        colour_of(branch.output, _NONE),
        branch.field,
        branch.values,
        number_at(paint.get(f"{kind}-opacity", 1.0), 1.0) * opacity_of(branch.output),
        _size(kind, paint),
        icon,
    )


def _size(kind: str, paint: Mapping[str, Any]) -> float:
    if kind == "line":
        return number_at(paint.get("line-width", 1.0), 2.0)
    if kind == "circle":
        return number_at(paint.get("circle-radius", 5.0), 5.0)
    return 1.0


def _called(branch: Branch, layer: Mapping[str, Any], known: Mapping[str, Field]) -> Title:
    """What the features of a branch are called."""
    if branch.low is not None or branch.high is not None:
        return _between(branch.low, branch.high)
    if not branch.values:
        return OTHER
    titles = layer.get("metadata", {}).get(TITLES)
    field = known.get(branch.field or "")
    codes = {} if field is None else {code: title_of(field, code) for code in field.codes}
    said = [_title_of(value, titles, codes) for value in branch.values]
    return Title("; ".join(t.en for t in said), "；".join(t.zh for t in said))


def _title_of(value: str | int, titles: Any, codes: Mapping[str, Title]) -> Title:
    own = _titled(titles.get(str(value))) if isinstance(titles, Mapping) else None
    return own or codes.get(str(value)) or Title(str(value), str(value))


def _titled(value: Any) -> Title | None:
    """A title as metadata write it, where they do."""
    if not isinstance(value, Mapping):
        return None
    zh, en = value.get("zh"), value.get("en")
    if not isinstance(zh, str) or not isinstance(en, str):
        return None
    return Title(en, zh)


def _of_filter(layer: Mapping[str, Any], known: Mapping[str, Field]) -> Title | None:
    """What a layer is called whose filter leaves one value of a field."""
    found = compared(at_zoom(layer.get("filter")))
    if found is None:
        return None
    return _called(Branch(None, found[0], found[1]), layer, known)


def _between(low: float | None, high: float | None) -> Title:
    if low is None:
        text = f"< {high:.12g}"
    elif high is None:
        text = f"≥ {low:.12g}"
    else:
        text = f"{low:.12g} – {high:.12g}"
    return Title(text, text)
