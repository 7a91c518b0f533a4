"""The sections of EPANET's and SWMM's files that are things with a place, and their fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NODES = ("JUNCTIONS", "RESERVOIRS", "TANKS", "OUTFALLS", "DIVIDERS", "STORAGE")
LINKS = ("PIPES", "CONDUITS", "PUMPS", "VALVES", "ORIFICES", "WEIRS", "OUTLETS")
_OTHERS = ("SUBCATCHMENTS", "COORDINATES", "VERTICES", "POLYGONS", "OPTIONS", "XSECTIONS")
_TEXTS = frozenset(
    "pattern volume_curve overflow node1 node2 status parameters type curve raingage outlet "
    "diverted_link shape gated section_shape geometry1 geometry2 snowpack setting".split()
)
_SECTION = ("section_shape", "geometry1", "geometry2", "geometry3", "geometry4", "barrels")
# Of flow: those of feet.
_US = frozenset(("CFS", "GPM", "MGD", "IMGD", "AFD"))
_FOOT_M = 0.3048


@dataclass(frozen=True)
class Section:
    """One kind of thing.

    Attributes
    ----------
    water, drainage : str
        The fields in order, of EPANET and of SWMM; the last takes what is left of a line where it
        is called ``parameters``.
    """

    name: str
    water: str = ""
    drainage: str = ""
    texts: frozenset[str] = _TEXTS

    @property
    def layer(self) -> str:
        """What `--source-layer` calls it."""
        return self.name.lower()

    def fields(self, drainage: bool) -> list[str]:
        """Return its fields but the id."""
        names = (self.drainage if drainage else self.water).split()
        return [*names, *(_SECTION if self.name == "CONDUITS" else ())]

    def named(self, row: Sequence[str], drainage: bool) -> dict[str, str | None]:
        """Return the words of a line by the names of its fields.

        >>> SECTIONS["PUMPS"].named(["P", "a", "b", "HEAD", "C1"], drainage=False)["parameters"]
        'HEAD C1'
        """
        names = (self.drainage if drainage else self.water).split()
        words: list[str | None] = [*row[1:]]
        if names and names[-1] == "parameters":
            words = [*words[: len(names) - 1], " ".join(row[len(names) :]) or None]
        return dict(zip(names, [*words, *[None] * len(names)], strict=False))

    def cross_section(self, words: Sequence[str]) -> dict[str, str]:
        """Return what [XSECTIONS] says of a conduit; nothing for other things."""
        return dict(zip(_SECTION, words, strict=False)) if self.name == "CONDUITS" else {}


SECTIONS: Mapping[str, Section] = {
    section.name: section
    for section in (
        Section(
            "JUNCTIONS",
            "elevation demand pattern",
            "elevation maximum_depth initial_depth surcharge_depth ponded_area",
        ),
        Section("RESERVOIRS", "elevation pattern"),
        Section(
            "TANKS",
            "elevation initial_level minimum_level maximum_level diameter minimum_volume "
            "volume_curve overflow",
        ),
        Section("OUTFALLS", "", "elevation type parameters"),
        Section("DIVIDERS", "", "elevation diverted_link type parameters"),
        Section("STORAGE", "", "elevation maximum_depth initial_depth shape parameters"),
        Section("PIPES", "node1 node2 length diameter roughness minor_loss status"),
        Section(
            "CONDUITS",
            "",
            "node1 node2 length roughness in_offset out_offset initial_flow maximum_flow",
        ),
        Section("PUMPS", "node1 node2 parameters", "node1 node2 curve status parameters"),
        Section("VALVES", "node1 node2 diameter type setting minor_loss"),
        Section("ORIFICES", "", "node1 node2 type offset parameters"),
        Section("WEIRS", "", "node1 node2 type offset parameters"),
        Section("OUTLETS", "", "node1 node2 offset type parameters"),
        Section(
            "SUBCATCHMENTS",
            "",
            "raingage outlet area imperviousness width slope curb_length snowpack",
        ),
    )
}


def section_of(line: str) -> str:
    """Return the section that a line begins; both programs know them by their beginnings.

    >>> section_of("[Coordinates]"), section_of("[JUNC]"), section_of("[REPORT]")
    ('COORDINATES', 'JUNCTIONS', 'REPORT')
    """
    name = line.strip("[] \t").upper()
    known = (*SECTIONS, *_OTHERS)
    if name in known or len(name) < 4:
        return name
    return next((one for one in known if one.startswith(name)), name)


def metres_of(options: Mapping[str, str], drainage: bool) -> float:
    """Return how many metres an elevation's unit has, by the unit of flow that the file states.

    >>> metres_of({"UNITS": "LPS"}, False), metres_of({}, True)
    (1.0, 0.3048)
    """
    # What both programs take where a file says nothing.
    stated = options.get("FLOW_UNITS", "CFS") if drainage else options.get("UNITS", "GPM")
    return _FOOT_M if stated in _US else 1.0
