"""What a check found: of each fault its rows, its place, what was measured and what is allowed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Geometries = NDArray[np.object_]
Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]

NOWHERE: Final = -1
"""The row number that stands for none: a gap beside one polygon only, an end without a node."""
ANYTHING: Final = (-math.inf, math.inf)
COLUMNS: Final = ("rule", "row", "other_row", "measured", "allowed", "unit", "geometry")


@dataclass(frozen=True, slots=True)
class Faults:
    """All faults that one check found, in the order of their rows.

    Attributes
    ----------
    rule : str
        What is not kept, such as ``overlap``.
    rows : ndarray of int64, shape (n,) or (n, 2)
        Places in the arrays that were checked, from 0. A pair is of two things that are at odds;
        the check says of which arrays. -1 is none.
    places : ndarray of Geometry, shape (n,)
        Where the fault is, in the reference system of what was checked: the gap, the overlap, the
        end that dangles. None where the check was given no geometries.
    measured : ndarray of float64, shape (n,)
        NaN where there is nothing to measure.
    allowed : tuple of float
        The least and the most that is no fault; infinite where there is no limit.
    unit : str
        Of both, after UCUM: ``m``, ``m2``, ``1`` for counts and shares.
    """

    rule: str
    rows: Int64s
    places: Geometries
    measured: Floats
    allowed: tuple[float, float] = ANYTHING
    unit: str = "1"

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def firsts(self) -> Int64s:
        """The rows, or the first of each pair."""
        return self.rows if self.rows.ndim == 1 else self.rows[:, 0]

    @property
    def limits(self) -> str:
        """What is allowed, as text.

        >>> none = np.array([], dtype=np.int64)
        >>> [Faults("r", none, none, none, limits).limits for limits in ((0.05, 75), (0, np.inf))]
        ['0.05 to 75', 'at least 0']
        """
        least, most = self.allowed
        if least == most:
            return f"{least:g}"
        if math.isinf(most):
            return "" if math.isinf(least) else f"at least {least:g}"
        return f"at most {most:g}" if math.isinf(least) else f"{least:g} to {most:g}"

    def only(self, kept: NDArray[np.bool_]) -> Faults:
        """Return those of a mask."""
        return replace(
            self, rows=self.rows[kept], places=self.places[kept], measured=self.measured[kept]
        )

    def frame(self, crs: Any = None) -> gpd.GeoDataFrame:
        """Return the faults as a table with a row each, to be counted or downloaded as a layer.

        Parameters
        ----------
        crs : CRS, optional
            Of what was checked.

        Returns
        -------
        GeoDataFrame
            With the columns ``rule``, ``row``, ``other_row`` (both missing where there is none),
            ``measured``, ``allowed`` as text, ``unit`` and ``geometry``.

        Examples
        --------
        >>> place = np.array([None], dtype=object)
        >>> found = Faults("range", np.array([7]), place, np.array([-3.0]), (0, np.inf), "m")
        >>> [str(v) for v in found.frame().iloc[0, :6]]
        ['range', '7', '<NA>', '-3.0', 'at least 0', 'm']
        """
        pairs = self.rows.reshape(len(self), -1) if len(self) else np.empty((0, 2), np.int64)
        other = pairs[:, 1] if pairs.shape[1] > 1 else np.full(len(pairs), NOWHERE)
        columns = {
            "rule": pd.Series([self.rule] * len(self), dtype=object),
            "row": _numbers(pairs[:, 0]),
            "other_row": _numbers(other),
            "measured": self.measured.astype(np.float64),
            "allowed": pd.Series([self.limits] * len(self), dtype=object),
            "unit": pd.Series([self.unit] * len(self), dtype=object),
        }
        return gpd.GeoDataFrame(columns, geometry=gpd.GeoSeries(list(self.places), crs=crs))


def take_faults(
    rule: str,
    mask: ArrayLike,
    measured: ArrayLike,
    places: Geometries | None,
    allowed: tuple[float, float] = ANYTHING,
    unit: str = "1",
) -> Faults:
    """Return the faults of those rows that a mask names.

    Parameters
    ----------
    rule : str
    mask : array_like of bool, shape (n,)
    measured : array_like of float, shape (n,)
    places : ndarray of Geometry, shape (n,), or None
        Of all rows.
    allowed : tuple of float
    unit : str

    Examples
    --------
    >>> take_faults("range", [False, True], [1.0, 9.0], None, (0, 5)).rows.tolist()
    [1]
    """
    rows = np.flatnonzero(np.asarray(mask, dtype=bool))
    where = np.full(len(rows), None, dtype=object) if places is None else places[rows]
    return Faults(rule, rows, where, np.asarray(measured, dtype=np.float64)[rows], allowed, unit)


def _numbers(rows: Int64s) -> pd.Series[Any]:
    return pd.Series(rows, dtype="Int64").mask(rows == NOWHERE)
