"""By which field a layer is coloured, and what each of its codes is drawn in and called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from layers.model import Field, Role
from layers.schemas.terms import lasting, title_of
from tiles.styling.tables import TITLES, Swatch, palette, uses

OTHER_COLOUR = "#a8adb3"
_MOST_CODES = 12


@dataclass(frozen=True, slots=True)
class Scheme:
    """By which field features are coloured: the expression of its code, and the swatches."""

    field: Field
    code: list[Any]
    swatches: tuple[Swatch, ...]

    def match(self, other: str = OTHER_COLOUR) -> list[Any]:
        """Return the expression of a feature's colour."""
        # Each code in a list of its own: QGIS before 3.40 reads no others.
        pairs = [part for s in self.swatches for part in ([s.code], s.colour)]
        return ["match", self.code, *pairs, other]

    @property
    def metadata(self) -> dict[str, Any]:
        """What a legend calls the codes."""
        titles = {s.code: {"zh": s.title.zh, "en": s.title.en} for s in self.swatches}
        return {TITLES: titles}


def scheme_of(fields: Sequence[Field]) -> Scheme | None:
    """Return how features are coloured: by a field with a palette, or else by a coded one."""
    for f in fields:
        use = uses().get(f.id)
        if use is not None:
            code: list[Any] = ["get", f.id]
            if use.characters is not None:
                code = ["slice", ["to-string", code], 0, use.characters]
            return Scheme(f, code, _known(palette(use.palette), f, use.characters))
    coded = [f for f in fields if 0 < len(lasting(f)) <= _MOST_CODES and f.role is not Role.KEY]
    for f in sorted(coded, key=lambda f: f.role is not Role.CODE):
        colours = [s.colour for s in palette("series").values()]
        # Codes that have ceased have what colours are left.
        last = lasting(f)
        ceased = [code for code in f.codes if code not in last][: _MOST_CODES - len(last)]
        pairs = zip((*last, *ceased), colours, strict=False)
        swatches = tuple(Swatch(code, title_of(f, code), colour) for code, colour in pairs)
        return Scheme(f, ["to-string", ["get", f.id]], swatches)
    return None


def _known(swatches: Mapping[str, Swatch], f: Field, characters: int | None) -> tuple[Swatch, ...]:
    """The swatches of the codes that a field has, called as its schema calls them."""
    if not f.codes:
        return tuple(swatches.values())
    if characters is not None:
        begins = {code[:characters] for code in f.codes}
        return tuple(s for s in swatches.values() if s.code in begins)
    known = [
        Swatch(s.code, title_of(f, s.code), s.colour)
        for s in swatches.values()
        if s.code in f.codes
    ]
    more = [code for code in f.codes if code not in swatches]
    colours = [s.colour for s in palette("series").values()]
    rest = (
        Swatch(code, title_of(f, code), colours[n % len(colours)]) for n, code in enumerate(more)
    )
    return (*known, *rest)
