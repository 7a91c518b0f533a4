"""Networks of EPANET and SWMM (``.inp``): their nodes and links as layers, heights from elevations.

A reader of our own: wntr and swmm-api bring simulators, scipy and networkx, for what are sections
of words between blanks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from pyproj import CRS

from layers.batches import BATCH_ROWS, Batch
from layers.errors import BadSource
from layers.sourcing.asked import NOTHING, Asked
from layers.sourcing.encodings import text_encoding
from layers.sourcing.network_sections import (
    LINKS,
    NODES,
    SECTIONS,
    Section,
    metres_of,
    section_of,
)
from layers.sourcing.places import Place

_LARGEST_BYTES = 256 << 20
_WORD = re.compile(r'"[^"]*"|[^\s"]+')
_PLACES = ("COORDINATES", "VERTICES", "POLYGONS")
_GROUPS: Mapping[str, Sequence[str]] = {"nodes": NODES, "links": LINKS}
Point = tuple[float, float]


@dataclass
class Network:
    """The sections of a file that are read, and where its things lie."""

    rows: dict[str, list[list[str]]] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, list[str]] = field(default_factory=dict)
    points: dict[str, Point] = field(default_factory=dict)
    vertices: dict[str, list[Point]] = field(default_factory=dict)
    polygons: dict[str, list[Point]] = field(default_factory=dict)
    elevations: dict[str, float] = field(default_factory=dict)

    @property
    def is_drainage(self) -> bool:
        """Whether it is SWMM's: EPANET has no conduits."""
        return "CONDUITS" in self.rows or "FLOW_UNITS" in self.options

    @property
    def metres(self) -> float:
        """How many metres one of the file's units of height has."""
        return metres_of(self.options, self.is_drainage)


@dataclass(frozen=True)
class NetworkSource:
    """One kind of thing in a network, or all nodes, or all links."""

    place: Place
    asked: Asked = NOTHING
    # No such file states one.
    crs: CRS | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.place.name

    @cached_property
    def _network(self) -> Network:
        return read_network(self.place, self.asked.encoding)

    @cached_property
    def _chosen(self) -> list[Section]:
        """The sections that were asked for, and that the file has."""
        net = self._network
        there = [SECTIONS[name] for name in SECTIONS if net.rows.get(name)]
        named = {s.layer: len(net.rows[s.name]) for s in there}
        asked = (self.asked.layer or "").lower()
        found = [s for s in there if asked == s.layer or s.name in _GROUPS.get(asked, ())]
        if not found:
            some = ", ".join(f"{n} ({count})" for n, count in named.items()) or "none"
            what = f"has no layer {self.asked.layer!r}" if asked else "holds several layers"
            raise BadSource(
                f"{self.name} {what}; say by --source-layer nodes, links or one of: {some}"
            )
        return found

    @cached_property
    def types(self) -> Mapping[str, pa.DataType]:
        """The fields of all chosen sections, and which section a row is of."""
        found: dict[str, pa.DataType] = {"id": pa.string(), "kind": pa.string()}
        for section in self._chosen:
            for name in section.fields(self._network.is_drainage):
                found[name] = pa.string() if name in section.texts else pa.float64()
        return found

    @property
    def rows(self) -> int | None:
        """How many things there are."""
        return sum(len(self._network.rows[section.name]) for section in self._chosen)

    @property
    def has_geometry(self) -> bool:
        """Always."""
        return True

    def batches(self) -> Iterator[Batch]:
        """Yield the things, section by section."""
        rows = [(s, row) for s in self._chosen for row in self._network.rows[s.name]]
        for start in range(0, len(rows), BATCH_ROWS):
            part = rows[start : start + BATCH_ROWS]
            told = [self._values(s, row, start + n + 1) for n, (s, row) in enumerate(part)]
            columns = {
                name: pa.array([values.get(name) for values in told], kind)
                for name, kind in self.types.items()
            }
            shapes = np.full(len(part), None, dtype=object)
            shapes[:] = [_shape(self._network, s, row) for s, row in part]
            yield Batch(start + 1, columns, shapes)

    def _values(self, section: Section, row: list[str], number: int) -> dict[str, Any]:
        net = self._network
        words: dict[str, Any] = section.named(row, net.is_drainage)
        words |= section.cross_section(net.shapes.get(row[0], []))
        for name, word in words.items():
            if name not in section.texts and word is not None:
                words[name] = _number(self.name, section, name, word, number)
        return {"id": row[0], "kind": section.layer} | words


def read_network(place: Place, encoding: str | None = None) -> Network:
    """Read a file's sections.

    Raises
    ------
    BadSource
        Where it is no such file, too large, or has a coordinate that is no number.
    """
    net = Network()
    for section, words in _lines(place, encoding or text_encoding(place)):
        if section in _PLACES and len(words) > 2:
            point = (_coordinate(place, words, 1), _coordinate(place, words, 2))
            if section == "COORDINATES":
                net.points[words[0]] = point
            else:
                into = net.vertices if section == "VERTICES" else net.polygons
                into.setdefault(words[0], []).append(point)
        elif section == "OPTIONS" and len(words) > 1:
            net.options[words[0].upper()] = words[1].upper()
        elif section == "XSECTIONS":
            net.shapes[words[0]] = words[1:]
        elif section in SECTIONS:
            net.rows.setdefault(section, []).append(words)
    if not net.points or not net.rows:
        raise BadSource(
            f"{place.name} has no [COORDINATES] of things that it describes; save the network "
            "with its map"
        )
    for name in NODES:
        for row in net.rows.get(name, ()):
            if len(row) > 1:
                number = _number(place.name, SECTIONS[name], "elevation", row[1], 0)
                net.elevations[row[0]] = number * net.metres
    return net


def _lines(place: Place, encoding: str) -> Iterator[tuple[str, list[str]]]:
    """The words of each line that says something, and the section that it stands in."""
    section = ""
    with place.opened() as file:
        data = file.read(_LARGEST_BYTES + 1)
    if len(data) > _LARGEST_BYTES:
        raise BadSource(f"{place.name} has more than {_LARGEST_BYTES >> 20} MB; split the network")
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise BadSource(f"{place.name}: {error}; state another --encoding") from None
    for line in re.split(r"[\r\n]+", text):
        told = line.partition(";")[0].strip()
        if told.startswith("["):
            section = section_of(told)
        elif told:
            yield section, [word.strip('"') for word in _WORD.findall(told)]


def _coordinate(place: Place, words: Sequence[str], at: int) -> float:
    try:
        return float(words[at])
    except ValueError:
        raise BadSource(
            f"{place.name}: {words[0]!r} has the coordinate {words[at][:40]!r}, which is no number"
        ) from None


def _number(name: str, section: Section, what: str, word: str, row: int) -> float:
    try:
        return float(word)
    except ValueError:
        where = f"row {row}, " if row else ""
        raise BadSource(
            f"{name}, [{section.name}] {where}{what}: {word[:40]!r} is no number; mend it"
        ) from None


def _shape(net: Network, section: Section, row: Sequence[str]) -> Any:
    if section.name == "SUBCATCHMENTS":
        ring = net.polygons.get(row[0], [])
        return shapely.Polygon(ring) if len(ring) > 2 else None
    if section.name in NODES:
        if row[0] not in net.points:
            return None
        return shapely.Point(*net.points[row[0]], net.elevations.get(row[0], np.nan))
    ends = row[1:3]
    if len(ends) < 2 or any(end not in net.points for end in ends):
        return None
    path = [net.points[ends[0]], *net.vertices.get(row[0], []), net.points[ends[1]]]
    return _sloped(np.array(path), *(net.elevations.get(end, np.nan) for end in ends))


def _sloped(path: Any, first: float, last: float) -> Any:
    """A line whose height goes evenly from one end to the other, by its length in plan."""
    steps = np.hypot(*np.diff(path, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    share = along / along[-1] if along[-1] else np.linspace(0, 1, len(path))
    return shapely.LineString(np.column_stack([path, first + share * (last - first)]))
