"""An index of polygons by cells: built once, looked up at memory's speed, kept and shared."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial.cells.building import fill, frozen
from spatial.cells.edges import edges_of
from spatial.cells.files import map_arrays, write_arrays
from spatial.cells.looking import Cells, locate, pair
from spatial.cells.splitting import Fineness
from spatial.cells.walking import walk
from spatial.errors import UnreadableIndex

Floats = NDArray[np.float64]

CELLS_PER_EDGE: Final = 2.0
CROWD: Final = 24
_CHUNK: Final = 1 << 16


class Located(NamedTuple):
    """What points were given.

    Attributes
    ----------
    polygon : ndarray of int32, shape (n,)
        The least place among those that the point meets, -1 for none.
    status : ndarray of uint8, shape (n,)
        `spatial.cells.looking.NOWHERE`, `INSIDE`, `BOUNDARY` or `SEVERAL`.
    candidates : ndarray of int32, shape (n,)
        How many it meets.
    """

    polygon: NDArray[np.int32]
    status: NDArray[np.uint8]
    candidates: NDArray[np.int32]


class Pairs(NamedTuple):
    """Which points meet which polygons.

    Attributes
    ----------
    point : ndarray of int64, shape (m,)
        Places of points.
    polygon : ndarray of int32, shape (m,)
        Places of polygons.
    interior : ndarray of bool, shape (m,)
        Whether the point lies inside, and not on the boundary.
    """

    point: NDArray[np.int64]
    polygon: NDArray[np.int32]
    interior: NDArray[np.bool_]


class Lengths(NamedTuple):
    """How much of lines lies in polygons.

    Attributes
    ----------
    line : ndarray of int64, shape (m,)
        The line.
    polygon : ndarray of int32, shape (m,)
        Place of the polygon; -1 for what lies outside all.
    length : ndarray of float64, shape (m,)
        In the unit of the coordinates.
    """

    line: NDArray[np.int64]
    polygon: NDArray[np.int32]
    length: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class CellIndex:
    """Which polygons points meet, for one array of polygons.

    It can be pickled, and written to a file that processes share; an index of a file is pickled
    as its name.

    Attributes
    ----------
    cells : Cells
        Its arrays, read-only.
    path : str, optional
        The file that they are mapped from.
    """

    cells: Cells
    path: str | None = None

    @classmethod
    def build(
        cls,
        polygons: NDArray[np.object_],
        *,
        cells_per_edge: float = CELLS_PER_EDGE,
        crowd: int = CROWD,
    ) -> CellIndex:
        """Index polygons.

        The plane is cut into cells. One that no edge passes has one answer for all its points;
        any other holds its few edges, and in which polygons its upper right corner lies, from
        where the sides of a point are counted. A point is compared with an edge exactly, so that
        neither the size of cells nor their borders change an answer.

        Parameters
        ----------
        polygons : ndarray of Polygon or MultiPolygon, shape (n,)
            Missing and empty ones meet nothing. What lies inside of one that is not valid is
            said by the even-odd rule.
        cells_per_edge : float
            How fine the cells are. More of them take longer to build, and less to look up.
        crowd : int
            A cell with more edges is cut into cells once more.

        Raises
        ------
        NotFinite
            If a coordinate is not finite, or beyond 1e100.

        Examples
        --------
        >>> import shapely
        >>> index = CellIndex.build(np.array([shapely.box(0, 0, 2, 2), shapely.box(1, 1, 3, 3)]))
        >>> index.locate([0.5, 1.5, 2.5, 9], [0.5, 1.5, 2.5, 9]).polygon.tolist()
        [0, 0, 1, -1]
        """
        edges = edges_of(np.asarray(polygons, dtype=object))
        room = 1024
        while True:
            found = fill(edges, len(polygons), Fineness(cells_per_edge, crowd), room)
            if found is not None:
                return cls(found)
            room *= 8

    def locate(self, x: Any, y: Any, *, threads: int = 1) -> Located:
        """Look points up: the polygon with the least place of those that each meets.

        Parameters
        ----------
        x, y : array_like of float64, shape (n,)
            NaN and infinite ones meet nothing.
        threads : int
            How many work at once; the answer is the same.

        Returns
        -------
        Located
        """
        x, y = _points(x, y)
        found = Located(
            np.empty(len(x), dtype=np.int32),
            np.empty(len(x), dtype=np.uint8),
            np.empty(len(x), dtype=np.int32),
        )

        def some(start: int) -> None:
            part = slice(start, start + _CHUNK)
            locate(
                self.cells, x[part], y[part],
                found.polygon[part], found.status[part], found.candidates[part],
            )  # fmt: skip

        starts = range(0, len(x), _CHUNK)
        if threads == 1 or len(starts) < 2:
            locate(self.cells, x, y, *found)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(some, starts))
        return found

    def pairs(self, x: Any, y: Any) -> Pairs:
        """Find every polygon that each point meets: all that ``intersects`` is true of.

        Parameters
        ----------
        x, y : array_like of float64, shape (n,)

        Returns
        -------
        Pairs
            Ordered by point, then by polygon.

        Examples
        --------
        >>> import shapely
        >>> index = CellIndex.build(np.array([shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)]))
        >>> pairs = index.pairs([1.0, 0.5], [0.5, 0.5])
        >>> pairs.point.tolist(), pairs.polygon.tolist(), pairs.interior.tolist()
        ([0, 0, 1], [0, 1, 0], [False, False, True])
        """
        x, y = _points(x, y)
        located = self.locate(x, y)
        counts = located.candidates
        starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        polygon = np.empty(starts[-1], dtype=np.int32)
        interior = np.empty(starts[-1], dtype=np.bool_)
        pair(self.cells, x, y, located.polygon, located.status, starts, polygon, interior)
        return Pairs(np.repeat(np.arange(len(x)), counts), polygon, interior)

    def lengths(self, xy: Any, starts: Any, owners: Any) -> Lengths:
        """Measure how much of lines lies in each polygon.

        Parameters
        ----------
        xy : array_like of float64, shape (n, 2)
            Corners, finite.
        starts : array_like of int64, shape (parts + 1,)
            Part k of the lines has the corners ``xy[starts[k]:starts[k + 1]]``.
        owners : array_like of int64, shape (parts,)
            Which line each part is of, ascending.

        Returns
        -------
        Lengths
            Ordered by line, then by polygon, with what lies outside last.

        Examples
        --------
        >>> import shapely
        >>> index = CellIndex.build(np.array([shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)]))
        >>> found = index.lengths([[0.5, 0.5], [4, 0.5]], [0, 2], [7])
        >>> found.polygon.tolist(), found.length.tolist()
        ([0, 1, -1], [0.5, 1.0, 2.0])
        """
        xy = np.ascontiguousarray(xy, dtype=np.float64)
        starts, owners = np.asarray(starts, dtype=np.int64), np.asarray(owners, dtype=np.int64)
        room = 2 * len(xy) + 16
        while True:
            line, polygon = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int32)
            length = np.empty(room)
            count = walk(self.cells, xy, starts, owners, line, polygon, length)
            if count <= room:
                break
            room = count
        line, polygon, length = line[:count], polygon[:count], length[:count]
        # -1, which is outside, becomes the largest
        order = np.lexsort((polygon.view(np.uint32), line))
        line, polygon, length = line[order], polygon[order], length[order]
        new = np.ones(count, dtype=bool)
        new[1:] = (line[1:] != line[:-1]) | (polygon[1:] != polygon[:-1])
        first = np.flatnonzero(new)
        return Lengths(
            line[first], polygon[first], np.add.reduceat(length, first) if count else length
        )

    @property
    def nbytes(self) -> int:
        """Return the size of its arrays in bytes."""
        return sum(array.nbytes for array in _kept(self.cells).values())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that it is made of, to be written with `spatial.cells.files`."""
        return {**_kept(self.cells), "polygons": np.array([self.cells.polygons])}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], path: str | None = None) -> CellIndex:
        """Return the index that `arrays` were taken from."""
        return cls(_cells({**arrays, "polygons": int(arrays["polygons"][0])}), path)

    def save(self, path: str | Path) -> None:
        """Write it to a file."""
        write_arrays(path, self.arrays(), {"kind": "CellIndex"})

    @classmethod
    def open(cls, path: str | Path) -> CellIndex:
        """Map an index that `save` wrote into memory.

        Raises
        ------
        UnreadableIndex
            If there is none.
        """
        arrays, told = map_arrays(path)
        if told.get("kind") != "CellIndex":
            raise UnreadableIndex(f"{path} holds something else; build the index anew")
        return cls.of_arrays(arrays, str(path))

    def __reduce__(self) -> Any:
        if self.path is not None:
            return CellIndex.open, (self.path,)
        return CellIndex.of_arrays, (self.arrays(),)


def _points(x: Any, y: Any) -> tuple[Floats, Floats]:
    return np.ascontiguousarray(x, dtype=np.float64), np.ascontiguousarray(y, dtype=np.float64)


def _kept(cells: Cells) -> dict[str, NDArray[Any]]:
    """Return the arrays, each once: two of them are other readings of a third."""
    left_out = ("bits", "ints", "polygons")
    return {k: v for k, v in cells._asdict().items() if k not in left_out}


def _cells(arrays: Mapping[str, Any]) -> Cells:
    floats = arrays["floats"]
    return frozen(Cells(**arrays, bits=floats.view(np.uint64), ints=floats.view(np.int32)))
