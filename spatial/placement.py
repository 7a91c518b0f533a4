"""From a source's coordinates to a layer's: which steps they take, and what is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from spatial.crs import CRS84, Geometries, height_of, moved_by, mover, parse_crs, plane_of
from spatial.datums import is_geocentric, is_local
from spatial.errors import BadParameters
from spatial.helmert import Helmert
from spatial.operations import Operation, find_operations
from spatial.shifted import MIDDLE_OFF_M, Shift, unshift
from spatial.similarity import Similarity

# Fewer than so many coordinates stand for all.
_NOTED: Final = 64
_SHIFT_NAMES: Final = {Shift.GCJ02: "GCJ-02", Shift.BD09: "BD-09"}


@dataclass
class Points:
    """Coordinates of some rows, as the source has them, taken evenly from the first to the last.

    Examples
    --------
    >>> points = Points()
    >>> for n in range(1000):
    ...     points.add((n, 0))
    >>> len(points.kept), points.kept[1], points.kept[-1]
    (63, (16, 0), (992, 0))
    """

    kept: list[tuple[float, float]] = field(default_factory=list)
    every: int = 1
    seen: int = 0

    def add(self, point: tuple[float, float]) -> None:
        """Keep a point, or pass it by: of many, so many are kept."""
        if self.seen % self.every == 0:
            self.kept.append(point)
        self.seen += 1
        if len(self.kept) == _NOTED:
            self.kept, self.every = self.kept[::2], self.every * 2


@dataclass(frozen=True, slots=True)
class Declared:
    """What a publisher says of a source's coordinates beside their system.

    Parameters
    ----------
    shift : Shift or None
        They are longitudes and latitudes of WGS 84 that were shifted so.
    helmert : Helmert or None
        What leads from their datum to WGS 84.
    north_first : bool
        Each is written with north before east.
    similarity : Similarity or None
        What leads from their own plane to that of the system.
    """

    shift: Shift | None = None
    helmert: Helmert | None = None
    north_first: bool = False
    similarity: Similarity | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """How a source's coordinates came to be a layer's, for a report.

    Attributes
    ----------
    source, target : str
        The systems, by code where they have one.
    operations : tuple of Operation
        What was used, the most used first; none where the coordinates stay as they are.
    by_publisher : bool
        Whether the publisher said it; else the source did.
    heights : str
        The system of the source's heights, where it is not that of the layer's.
    """

    source: str
    source_name: str
    target: str
    declared: Declared
    operations: tuple[Operation, ...]
    by_publisher: bool = False
    heights: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        helmert, similarity = self.declared.helmert, self.declared.similarity
        return {
            "source": self.source,
            "source_name": self.source_name,
            "stated_by": "publisher" if self.by_publisher else "source",
            "storage": self.target,
            "axes": "north, east" if self.declared.north_first else "east, north",
            "shift_undone": self.declared.shift,
            "towgs84": None if helmert is None else list(helmert.values),
            "rotations": None if helmert is None else "position vector",
            "similarity": None if similarity is None else list(similarity.values),
            "operations": [operation.document() for operation in self.operations],
            "notes": self.notes(),
        }

    def notes(self) -> list[str]:
        """Return what has to be known of the steps that PROJ does not take."""
        notes = []
        if self.heights:
            notes.append(f"heights ({self.heights}) stay as they are: Z is not converted")
        if self.declared.north_first:
            notes.append("north stood before east, and was put behind it")
        if self.declared.similarity is not None:
            notes.append(
                f"the publisher's four parameters lead to {self.source_name} "
                f"({self.declared.similarity}: east, north, degrees, factor): as good as they "
                "are, which nothing here can tell"
            )
        if self.declared.shift is not None:
            name = _SHIFT_NAMES[self.declared.shift]
            notes.append(
                f"{name} was undone by formulae that nobody answers for: good to some metres; "
                "shapes are moved by their corners, so that an edge of 1 km is off by up to "
                f"{MIDDLE_OFF_M[self.declared.shift]:g} m in its middle"
            )
        if self.declared.helmert is not None:
            notes.append(
                f"the publisher's parameters lead to WGS 84 ({self.declared.helmert}; rotations "
                "of the position vector): as good as they are, which nothing here can tell"
            )
        return notes

    def lines(self) -> list[str]:
        """Return it as text."""
        name = f" ({self.source_name})" if self.source_name != self.source else ""
        said = "as the publisher says" if self.by_publisher else "as the source says"
        stays = self.source == self.target and not self.notes()
        way = "kept as they are" if stays else f"to {self.target}"
        told = [f"{self.source}{name}, {said}: {way}"]
        return [*told, *self.notes(), *map(str, self.operations)]


@dataclass(frozen=True)
class Placement:
    """What moves a source's coordinates into the system of a layer.

    Parameters
    ----------
    source : CRS
        What the coordinates are in; with a shift, what they were before it.
    target : CRS
        Of the layer.
    declared : Declared
        What the publisher says beside.
    """

    source: CRS
    target: CRS
    declared: Declared = Declared()

    @property
    def stays(self) -> bool:
        """Whether coordinates are the layer's as they come."""
        return self.declared == Declared() and self.source == self.target

    def move(self, shapes: Geometries) -> Geometries:
        """Return shapes in the layer's system, x = east and y = north, Z kept.

        Raises
        ------
        BallparkTransformation, TransformationFailed, UnknownCRS
            As `spatial.crs.transform` does.
        """
        if self.stays:
            return shapes
        names = self.source.name, self.target.name
        return moved_by(shapes, self._move, names)

    def explain(
        self, points: Sequence[tuple[float, float]], *, by_publisher: bool = False
    ) -> Placed:
        """Return what is told of it, of points of the source that stand for all."""
        begun = np.asarray(points, dtype=float).reshape(-1, 2)
        begun = np.column_stack(self._first(begun[:, 0], begun[:, 1]))
        shift, heights = self.declared.shift, height_of(self.source)
        return Placed(
            _code(self.source) if shift is None else shift.value,
            self.source.name if shift is None else _SHIFT_NAMES[shift],
            _code(self.target),
            self.declared,
            find_operations(self._between, self.target, begun),
            by_publisher or shift is not None,
            heights="" if heights == height_of(self.target) else heights,
        )

    @cached_property
    def _between(self) -> CRS:
        """Where the declared steps lead to."""
        undone = self.declared.shift is not None or self.declared.helmert is not None
        return parse_crs(CRS84) if undone else self.source

    def _first(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Take the declared steps."""
        if self.declared.north_first:
            x, y = y, x
        if self.declared.similarity is not None:
            x, y = self.declared.similarity.move(x, y)
        if self.declared.shift is not None:
            x, y = unshift(x, y, self.declared.shift)
        if self.declared.helmert is not None:
            x, y = self._by_parameters(x, y)
        return x, y

    def _move(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        moved: tuple[NDArray[np.float64], NDArray[np.float64]] = self._last(*self._first(x, y))
        return moved

    @cached_property
    def _by_parameters(self) -> Any:
        assert self.declared.helmert is not None  # noqa: S101 - asked before
        return self.declared.helmert.mover(self.source)

    @cached_property
    def _last(self) -> Any:
        return mover(self._between, self.target)


def place(source: CRS, target: CRS, declared: Declared = Declared()) -> Placement:
    """Return how coordinates of a source get into a layer.

    A system that carries parameters to WGS 84 itself (TOWGS84) is taken by them where PROJ would
    leave them out: to CGCS2000, and from the local datums of China.

    Raises
    ------
    BadParameters
        Where parameters are given for a datum that needs none, or beside a shift.

    Examples
    --------
    >>> from spatial.crs import parse_crs
    >>> place(parse_crs("EPSG:4490"), parse_crs("EPSG:4549")).stays
    False
    """
    base, own = source.source_crs, _own_parameters(source, target)
    if base is not None and own is not None:
        if declared.helmert is None and not is_geocentric(base):
            declared = replace(declared, helmert=own)
        source = base
    if declared.helmert is not None:
        _check_parameters(source, declared)
    if declared.similarity is not None and (declared.shift or not plane_of(source).is_projected):
        raise BadParameters(
            "four parameters lead from a plane to a plane, and "
            f"{_SHIFT_NAMES[declared.shift] if declared.shift else repr(source.name)} is none; "
            "name the projected system to which they lead with --crs"
        )
    return Placement(source, target, declared)


def _own_parameters(crs: CRS, target: CRS) -> Helmert | None:
    base, operation = crs.source_crs, crs.coordinate_operation
    if not crs.is_bound or base is None or operation is None or not operation.towgs84:
        return None
    # Programs write zeros for a datum of which they know nothing.
    if is_local(base):
        return Helmert(*operation.towgs84) if any(operation.towgs84) else None
    return Helmert(*operation.towgs84) if is_geocentric(target) else None


def _check_parameters(source: CRS, declared: Declared) -> None:
    if declared.shift is not None:
        raise BadParameters(
            f"parameters lead from a datum, and {_SHIFT_NAMES[declared.shift]} is none; leave "
            "--towgs84 out"
        )
    if is_geocentric(source):
        raise BadParameters(
            f"{source.name!r} is on a datum that agrees with WGS 84 to a few centimetres, and "
            "needs no parameters; leave --towgs84 out, or mend --crs"
        )


def _code(crs: CRS) -> str:
    named = crs.to_authority()
    return crs.name if named is None else ":".join(named)
