"""One grid system made ready: its codes in the order of text, its editions, an index of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from spatial.cells.index import CellIndex
from spatial.crs import transform
from spatial.errors import DuplicateIds

Objects = NDArray[np.object_]
Microseconds = NDArray[np.int64]
Indices = NDArray[np.intp]

ALWAYS: Final = (int(np.iinfo(np.int64).min), int(np.iinfo(np.int64).max))
# Editions are looked up in one index as long as it has few more polygons than one alone would.
_GROWTH, _SPARE = 1.25, 16


class Era(NamedTuple):
    """Editions that follow each other and share an index.

    Attributes
    ----------
    first : int
        The microsecond that it begins with.
    members : ndarray of int32
        Places of the polygons that are valid at some time of it.
    timed : bool
        Whether it has several editions, so that not all of them are valid all of the time.
    """

    first: int
    members: NDArray[np.int32]
    timed: bool


@dataclass(frozen=True, eq=False)
class System:
    """A grid system, whose polygons are ordered by code as text, and then by start.

    Attributes
    ----------
    name : object
        What it is called.
    codes : ndarray of object, shape (n,)
        Of the polygons; several of one code follow each other in time.
    shapes : ndarray of Geometry, shape (n,)
        Without Z.
    starts, ends : ndarray of int64, shape (n,)
        When each is valid, in microseconds since 1970 in UTC: ``[start, end)``.
    """

    name: Any
    codes: Objects
    shapes: Objects
    starts: Microseconds
    ends: Microseconds
    indexes: dict[int, CellIndex] = field(default_factory=dict)
    trees: list[tuple[Objects, shapely.STRtree]] = field(default_factory=list)

    @cached_property
    def eras(self) -> tuple[Era, ...]:
        """Return its eras, in the order of time; the first begins with time itself."""
        return tuple(_eras(self.starts, self.ends))

    @cached_property
    def firsts(self) -> Microseconds:
        """Return when each era begins."""
        return np.array([era.first for era in self.eras], dtype=np.int64)

    def index(self, era: int) -> CellIndex:
        """Return the index of an era, which is built when it is first asked for."""
        if era not in self.indexes:
            self.indexes[era] = CellIndex.build(self.shapes[self.eras[era].members])
        return self.indexes[era]

    def valid(self, places: NDArray[Any], instants: Microseconds) -> NDArray[np.bool_]:
        """Return whether polygons are valid at instants."""
        found: NDArray[np.bool_] = (self.starts[places] <= instants) & (
            instants < self.ends[places]
        )
        return found

    def any_valid(self, instants: Microseconds) -> NDArray[np.bool_]:
        """Return whether there is any valid polygon at each instant."""
        starts, ends = self._sorted
        found: NDArray[np.bool_] = np.searchsorted(starts, instants, side="right") != (
            np.searchsorted(ends, instants, side="right")
        )
        return found

    @cached_property
    def _sorted(self) -> tuple[Microseconds, Microseconds]:
        return np.sort(self.starts), np.sort(self.ends)

    def nearby(self, crs: Any, metric: Any) -> tuple[Objects, shapely.STRtree]:
        """Return its polygons in a metric system, and a tree of them; made once."""
        if not self.trees:
            moved = transform(self.shapes, crs, metric)
            self.trees.append((moved, shapely.STRtree(moved)))
        return self.trees[0]


def order_systems(
    names: Objects,
    codes: Objects,
    shapes: Objects,
    periods: tuple[Microseconds, Microseconds],
) -> tuple[System, ...]:
    """Sort polygons into their systems, which are ordered as text.

    Polygons of one code that follow each other without a gap, and with the same shape, become one.

    Parameters
    ----------
    names, codes, shapes : ndarray, shape (n,)
    periods : tuple of ndarray of int64, shape (n,)
        Starts and ends in microseconds.

    Raises
    ------
    DuplicateIds
        If two polygons of a system have one code at one time.
    """
    _, ranks = np.unique(codes.astype(str), return_inverse=True)
    labels, first, own = np.unique(names.astype(str), return_index=True, return_inverse=True)
    starts, ends = periods
    systems = []
    for place in range(len(labels)):
        mine = np.flatnonzero(own == place)
        mine = mine[np.lexsort((starts[mine], ranks[mine]))]
        name = names[first[place]]
        _refuse_repeated(name, codes[mine], ranks[mine], starts[mine], ends[mine])
        kept, last = _joined(ranks[mine], shapes[mine], starts[mine], ends[mine])
        chosen = mine[kept]
        systems.append(
            System(name, codes[chosen], shapes[chosen], starts[chosen], ends[mine[last]])
        )
    return tuple(systems)


def _refuse_repeated(
    name: Any, codes: Objects, ranks: Indices, starts: Microseconds, ends: Microseconds
) -> None:
    bad = np.flatnonzero((ranks[:-1] == ranks[1:]) & (ends[:-1] > starts[1:]))
    if bad.size:
        raise DuplicateIds(
            f"{codes[bad[0]]!r} is the code of two polygons of system {name!r} at one time; merge "
            "their parts, or give the points' instants with at= where the polygons are of several "
            "editions"
        )


def _joined(
    ranks: Indices, shapes: Objects, starts: Microseconds, ends: Microseconds
) -> tuple[Indices, Indices]:
    """Return the first and the last place of each run of one code with one shape."""
    after = np.flatnonzero((ranks[:-1] == ranks[1:]) & (ends[:-1] == starts[1:]))
    same = shapely.to_wkb(shapes[after]) == shapely.to_wkb(shapes[after + 1])
    begins = np.ones(len(ranks), dtype=bool)
    begins[after[same] + 1] = False
    kept = np.flatnonzero(begins)
    return kept, np.append(kept[1:], len(ranks)) - 1


def _eras(starts: Microseconds, ends: Microseconds) -> Iterable[Era]:
    bounds = np.unique(np.concatenate([[ALWAYS[0]], starts, ends[ends < ALWAYS[1]]]))
    begun, over = np.sort(starts), np.sort(ends)
    alive = np.searchsorted(begun, bounds, "right") - np.searchsorted(over, bounds, "right")
    coming = np.searchsorted(begun, bounds, "right")
    k = 0
    while k < len(bounds):
        most = _GROWTH * alive[k] + _SPARE
        # members of editions k to e: those alive at k, and those that begin after it up to e
        e = int(np.searchsorted(coming, coming[k] + most - alive[k], "right"))
        e = max(min(e, len(bounds)), k + 1)
        end = bounds[e] if e < len(bounds) else ALWAYS[1]
        members = np.flatnonzero((starts < end) & (ends > bounds[k])).astype(np.int32)
        yield Era(int(bounds[k]), members, e - k > 1)
        k = e


def system_arrays(system: System) -> Mapping[str, NDArray[Any]]:
    """Return what a system and all its indexes are made of, but its name and codes."""
    shapes = shapely.to_wkb(system.shapes)
    sizes = np.array([0 if shape is None else len(shape) for shape in shapes], dtype=np.int64)
    found: dict[str, NDArray[Any]] = {
        "starts": system.starts,
        "ends": system.ends,
        "shapes": np.frombuffer(b"".join(s for s in shapes if s is not None), dtype=np.uint8),
        "sizes": sizes,
    }
    for era in range(len(system.eras)):
        for name, array in system.index(era).arrays().items():
            found[f"{era}/{name}"] = array
    return found


def system_of_arrays(name: Any, codes: Objects, arrays: Mapping[str, NDArray[Any]]) -> System:
    """Return the system that `arrays` were taken from."""
    ends = np.cumsum(arrays["sizes"])
    whole = arrays["shapes"].tobytes()
    shapes = shapely.from_wkb(
        [whole[e - n : e] if n else None for e, n in zip(ends, arrays["sizes"], strict=True)]
    )
    system = System(name, codes, np.asarray(shapes, dtype=object), arrays["starts"], arrays["ends"])
    for era in range(len(system.eras)):
        own = {k.partition("/")[2]: v for k, v in arrays.items() if k.startswith(f"{era}/")}
        system.indexes[era] = CellIndex.of_arrays(own)
    return system
