"""Grids made ready for assignment: every system, every edition, indexed once and kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from spatial.cells.files import map_arrays, write_arrays
from spatial.crs import Mover, local_metric_crs, mover, parse_crs
from spatial.errors import BadPeriod, EmptyInput, MissingIds, UnreadableIndex
from spatial.frames import POLYGONS, check_frame
from spatial.instants import as_microseconds
from spatial.systems import (
    ALWAYS,
    Microseconds,
    Objects,
    System,
    order_systems,
    system_arrays,
    system_of_arrays,
)


@dataclass(frozen=True, eq=False)
class GridIndex:
    """Grid systems, indexed: what `spatial.assignment.assign` takes instead of polygons.

    It can be pickled, and written to a file that processes share by mapping it into memory.

    Attributes
    ----------
    crs : CRS
        What coordinates must be in.
    systems : tuple of System
        Ordered as text.
    timed : bool
        Whether polygons have periods, so that points need instants.
    path : str, optional
        The file that it is mapped from.
    """

    crs: Any
    systems: tuple[System, ...]
    timed: bool = False
    path: str | None = None

    @classmethod
    def build(
        cls,
        polygons: gpd.GeoDataFrame,
        *,
        key: str = "id",
        system: str | None = None,
        periods: tuple[str, str] | None = None,
    ) -> GridIndex:
        """Make grids ready. An edition is indexed when a point of its time is first looked up.

        Parameters
        ----------
        polygons : GeoDataFrame
            Polygons or multipolygons; empty ones meet nothing.
        key : str
            Column with the grid code, unique within a system at any one instant.
        system : str, optional
            Column that names the grid system; without it, all are one, called "".
        periods : tuple of str, optional
            Columns with the start and the end of each polygon's validity, aware, NaT being open.

        Raises
        ------
        MissingColumn, MissingCRS, WrongGeometryType, MissingIds, DuplicateIds, EmptyInput
            If the frame is not as described.
        BadInstant, BadPeriod
            If instants are not aware timestamps, or a period ends before it lasted.

        Examples
        --------
        >>> grid = gpd.GeoDataFrame({"id": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=4549)
        >>> GridIndex.build(grid).systems[0].codes.tolist()
        ['a']
        """
        columns = [key, *([system] if system else []), *(periods or ())]
        check_frame(polygons, types=POLYGONS, columns=columns)
        codes = _texts(polygons, key)
        names = _texts(polygons, system) if system else np.full(len(polygons), "", dtype=object)
        if system and not len(polygons):
            raise EmptyInput("no polygons, so no systems to assign to; give at least one")
        # a copy without Z: what is kept must not be shared with the caller's threads
        shapes = shapely.force_2d(polygons.geometry.to_numpy().astype(object))
        systems = order_systems(names, codes, shapes, _periods(polygons, periods))
        if not systems:
            nothing = np.array([], dtype=object)
            never = np.array([], dtype=np.int64)
            systems = (System("", nothing, nothing, never, never),)
        return cls(polygons.crs, systems, periods is not None)

    @cached_property
    def metric(self) -> Any:
        """Return the metric system in which distances are measured; None where nothing is."""
        # centred on the grids, so that a stray point at (0, 0) moves nothing
        every = np.concatenate([system.shapes for system in self.systems])
        if not (~shapely.is_missing(every) & ~shapely.is_empty(every)).any():
            return None
        return local_metric_crs(tuple(shapely.total_bounds(every)), self.crs)

    @cached_property
    def to_metric(self) -> Mover:
        """Return what moves coordinates into the metric system."""
        return mover(self.crs, self.metric)

    def during(self, first: int, last: int, names: Collection[Any] | None = None) -> GridIndex:
        """Return the systems that have a polygon valid between two instants, of these names.

        Parameters
        ----------
        first, last : int
            In microseconds since 1970 in UTC, both included.
        names : collection, optional
            All where absent. The indexes stay shared.

        Raises
        ------
        EmptyInput
            If there is none.
        """
        kept = [
            system
            for system in self.systems
            if (names is None or system.name in names)
            and ((system.starts <= last) & (system.ends > first)).any()
        ]
        if not kept:
            raise EmptyInput("no grid is valid then; choose another time, or other systems")
        found = GridIndex(self.crs, tuple(kept), self.timed)
        found.__dict__["metric"] = self.metric
        if self.metric is not None:
            found.__dict__["to_metric"] = self.to_metric
        return found

    def build_all(self) -> GridIndex:
        """Index every edition now, and return the same grids."""
        for system in self.systems:
            for era in range(len(system.eras)):
                system.index(era)
        return self

    @property
    def nbytes(self) -> int:
        """Return the size of the indexes that are built, and about that of the shapes."""
        indexes = sum(i.nbytes for system in self.systems for i in system.indexes.values())
        return indexes + self._shape_bytes

    @cached_property
    def _shape_bytes(self) -> int:
        corners = sum(shapely.get_num_coordinates(system.shapes).sum() for system in self.systems)
        return int(corners) * 16

    def save(self, path: str | Path) -> None:
        """Write it to a file, with the index of every edition.

        Raises
        ------
        MissingIds
            If a code or the name of a system is neither text nor a whole number.
        """
        told = {
            "kind": "GridIndex",
            "crs": parse_crs(self.crs).to_wkt(),
            "timed": self.timed,
            "names": [_plain(system.name) for system in self.systems],
            "codes": [[_plain(code) for code in system.codes] for system in self.systems],
        }
        arrays = {
            f"{place}/{name}": array
            for place, system in enumerate(self.systems)
            for name, array in system_arrays(system).items()
        }
        write_arrays(path, arrays, told)

    @classmethod
    def open(cls, path: str | Path) -> GridIndex:
        """Map grids that `save` wrote into memory.

        Raises
        ------
        UnreadableIndex
            If there are none.
        """
        arrays, told = map_arrays(path)
        if told.get("kind") != "GridIndex":
            raise UnreadableIndex(f"{path} holds something else; build the index anew")
        systems = []
        for place, name in enumerate(told["names"]):
            own = {k.partition("/")[2]: v for k, v in arrays.items() if k.startswith(f"{place}/")}
            codes = np.array([None, *told["codes"][place]], dtype=object)[1:]
            systems.append(system_of_arrays(name, codes, own))
        return cls(CRS.from_wkt(told["crs"]), tuple(systems), told["timed"], str(path))

    def __reduce__(self) -> Any:
        if self.path is not None:
            return GridIndex.open, (self.path,)
        return GridIndex, (self.crs, self.systems, self.timed)


def _texts(polygons: gpd.GeoDataFrame, column: str) -> Objects:
    missing = np.flatnonzero(polygons[column].isna())
    if missing.size:
        raise MissingIds(f"row {polygons.index[missing[0]]!r} has no {column!r}; fill it in")
    texts: Objects = polygons[column].to_numpy(dtype=object)
    return texts


def _periods(
    polygons: gpd.GeoDataFrame, columns: tuple[str, str] | None
) -> tuple[Microseconds, Microseconds]:
    if columns is None:
        first, last = (np.full(len(polygons), end, dtype=np.int64) for end in ALWAYS)
        return first, last
    bounds: list[NDArray[np.int64]] = []
    for name, open_end in zip(columns, ALWAYS, strict=True):
        instants, missing = as_microseconds(polygons[name])
        bounds.append(np.where(missing, open_end, instants))
    bad = np.flatnonzero(bounds[0] >= bounds[1])
    if bad.size:
        row: pd.Series[Any] = polygons.iloc[int(bad[0])]
        raise BadPeriod(
            f"row {polygons.index[bad[0]]!r} is valid from {row[columns[0]]} to "
            f"{row[columns[1]]}; a period must end after it starts"
        )
    return bounds[0], bounds[1]


def _plain(code: Any) -> str | int:
    if isinstance(code, str):
        return code
    if isinstance(code, int | np.integer):
        return int(code)
    raise MissingIds(f"{code!r} is no code that a file can hold; make it text or a whole number")
