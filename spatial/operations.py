"""What PROJ does between two systems: its name, its accuracy, where it holds, what it lacks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.aoi import AreaOfInterest
from pyproj.exceptions import ProjError
from pyproj.transformer import TransformerGroup

from spatial.crs import mover, parse_crs, plane_of, transformer_between
from spatial.errors import SpatialError

# What pyproj warns of, and `Operation.better` tells.
GRIDS_WARNING: Final = "Best transformation is not available"
_AXES: Final = re.compile(r"axis order change \(2D\)|Null geographic offset.*")


@dataclass(frozen=True, slots=True)
class Better:
    """An operation that would be more accurate, and lacks grids that are not installed."""

    name: str
    accuracy_m: float
    grids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One way from system to system, as it is used.

    Attributes
    ----------
    accuracy_m : float or None
        As EPSG states it; 0 of a mere projection; None where it is not known.
    ballpark : bool
        Whether two datums are taken for one: only such as agree to a few centimetres are.
    area : str
        For where it is made, in words; nothing where that is everywhere.
    outside : int
        How many of the points that were looked at lie outside of that.
    better : Better or None
        What would be used if its grids were installed.
    """

    name: str
    accuracy_m: float | None
    ballpark: bool
    area: str
    outside: int
    definition: str
    better: Better | None = None

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        better = self.better
        return {
            "name": self.name,
            "accuracy_m": self.accuracy_m,
            "ballpark": self.ballpark,
            "area": self.area or None,
            "points_outside_area": self.outside,
            "definition": self.definition,
            "better": None
            if better is None
            else {
                "name": better.name,
                "accuracy_m": better.accuracy_m,
                "missing_grids": list(better.grids),
            },
        }

    def __str__(self) -> str:
        told = f"{self.name}, {_accuracy_text(self)}"
        if self.outside:
            told += (
                f"; {self.outside} of the points looked at lie outside its area "
                f"({shorten(self.area, 80)})"
            )
        if self.better is not None:
            told += (
                f"; {self.better.name} would be good to {self.better.accuracy_m:g} m, but lacks "
                f"the grids {', '.join(self.better.grids)}"
            )
        return told


def find_operations(
    source: str | int | CRS, target: str | int | CRS, points: NDArray[np.float64]
) -> tuple[Operation, ...]:
    """Return what `spatial.crs.transform` uses for some points, the most used first.

    PROJ chooses point by point where several operations are known.

    Parameters
    ----------
    source, target : str, int or CRS
    points : ndarray of float, shape (n, 2)
        In the source's system, x = east and y = north; some that stand for all.

    Returns
    -------
    tuple of Operation
        None where both systems are the same plane.

    Raises
    ------
    UnknownCRS, BallparkTransformation
        As `spatial.crs.transform` does.

    Examples
    --------
    >>> import numpy as np
    >>> str(find_operations("EPSG:4490", "EPSG:4549", np.array([[120.0, 30.0]]))[0])
    '3-degree Gauss-Kruger CM 120E, exact (a projection)'
    """
    transformer = transformer_between(source, target)
    points = points[np.isfinite(points).all(axis=1)] if len(points) else points.reshape(0, 2)
    if transformer is None:
        return ()
    lonlat = _lonlat(parse_crs(source), points)
    used: dict[str, list[int]] = {}
    made: dict[str, Transformer] = {}
    for i, point in enumerate(points):
        found = _used(transformer, point)
        made.setdefault(found.description, found)
        used.setdefault(found.description, []).append(i)
    # Looking for better ones is dear, and idle where a projection is all there is.
    inexact = any(transformer.accuracy > 0 for transformer in made.values())
    better = _find_better(parse_crs(source), parse_crs(target), lonlat) if inexact else ()
    often = sorted(used, key=lambda name: (-len(used[name]), name))
    return tuple(_operation(made[name], lonlat[used[name]], better) for name in often)


def _used(transformer: Transformer, point: NDArray[np.float64]) -> Transformer:
    try:
        transformer.transform(*point)
        return transformer.get_last_used_operation()
    except ProjError:
        # There is but one, and so there was no choice to keep.
        return transformer


def _operation(
    made: Transformer, lonlat: NDArray[np.float64], better: Sequence[Better]
) -> Operation:
    accuracy = made.accuracy if made.accuracy is not None and made.accuracy >= 0 else None
    area = made.area_of_use
    ballpark = "ballpark" in made.description.lower()
    told = next((b for b in better if accuracy is not None and b.accuracy_m < accuracy), None)
    return Operation(
        _name(made.description),
        accuracy,
        ballpark,
        "" if area is None or area.name == "World" else area.name,
        0 if area is None else int((~_within(area, lonlat)).sum()),
        made.definition,
        told,
    )


def _name(description: str) -> str:
    parts = [part for part in description.split(" + ") if not _AXES.fullmatch(part)]
    return " + ".join(parts) or "axes in another order"


def _accuracy_text(operation: Operation) -> str:
    if operation.ballpark:
        return "the datums taken for one, which agree to a few centimetres"
    if operation.accuracy_m is None:
        return "of unknown accuracy"
    return f"good to {operation.accuracy_m:g} m" if operation.accuracy_m else "exact (a projection)"


def _find_better(source: CRS, target: CRS, lonlat: NDArray[np.float64]) -> tuple[Better, ...]:
    """Return the operations over some points whose grids are lacking, the best first."""
    found = lonlat[np.isfinite(lonlat).all(axis=1)]
    if not len(found):
        return ()
    west, south = np.clip(found.min(axis=0), (-180, -90), (180, 90)).tolist()
    east, north = np.clip(found.max(axis=0), (-180, -90), (180, 90)).tolist()
    # pyproj's stub names another class than its documentation does.
    area: Any = AreaOfInterest(west, south, east, north)
    group = TransformerGroup(
        plane_of(source), plane_of(target), always_xy=True, area_of_interest=area
    )
    lacking = [
        Better(
            _name(o.name),
            float(o.accuracy),
            tuple(g.short_name for g in o.grids if not g.available),
        )
        for o in group.unavailable_operations
        if o.accuracy >= 0 and (o.area_of_use is None or _within(o.area_of_use, found).all())
    ]
    return tuple(sorted(lacking, key=lambda b: (b.accuracy_m, b.name)))


def _within(area: Any, lonlat: NDArray[np.float64]) -> NDArray[np.bool_]:
    lon, lat = lonlat[:, 0], lonlat[:, 1]
    # An area that crosses 180 degrees has its west in the east.
    across = (lon >= area.west) | (lon <= area.east)
    between = (lon >= area.west) & (lon <= area.east)
    inside: NDArray[np.bool_] = (across if area.west > area.east else between) & (
        (lat >= area.south) & (lat <= area.north)
    )
    return inside


def _lonlat(source: CRS, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return about where points lie, in degrees of the source's own datum."""
    plane = plane_of(source)
    geodetic = plane.geodetic_crs
    try:
        move = None if geodetic is None else mover(plane, geodetic)
    except SpatialError:
        move = None
    if move is None or not len(points):
        return np.full_like(points, np.nan)
    lon, lat = move(points[:, 0], points[:, 1])
    return np.column_stack((lon, lat))
