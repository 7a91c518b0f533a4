"""Values against what they may be, and stated areas against those of the shapes."""

from __future__ import annotations

import math

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS

from spatial.checks.faults import Faults, take_faults
from spatial.checks.measures import areas_m2
from spatial.errors import BadValues

Geometries = NDArray[np.object_]


def out_of_range(
    values: ArrayLike,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    unit: str = "1",
    places: Geometries | None = None,
    rule: str = "range",
) -> Faults:
    """Find values that are less or more than they may be; a missing one is no fault.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        NaN and None are missing.
    least, most : float
        Allowed, both included.
    unit : str
        Of the values, after UCUM.
    places : ndarray of Geometry, shape (n,), optional
        Where each thing is.
    rule : str
        What the faults are called.

    Returns
    -------
    Faults
        One a row; measured is the value.

    Raises
    ------
    BadValues
        If nothing lies between the limits.

    Examples
    --------
    >>> out_of_range([0.4, -1, None], least=0, most=1).rows.tolist()
    [1]
    """
    if not least <= most:
        raise BadValues(f"nothing is at least {least:g} and at most {most:g}; turn them round")
    found = np.asarray(values, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        bad = (found < least) | (found > most)
    return take_faults(rule, bad, found, places, (least, most), unit)


def areas_off(
    stated_m2: ArrayLike,
    polygons: ArrayLike,
    crs: str | int | CRS,
    *,
    share: float,
    m2: float = 0.0,
) -> tuple[Faults, Faults]:
    """Find polygons whose stated area is not that of their shape.

    Parameters
    ----------
    stated_m2 : array_like of float, shape (n,)
        In square metres; NaN and None are missing, and no fault.
    polygons : array_like of Geometry, shape (n,)
        Valid ones; a missing one is no fault.
    crs : str, int or CRS
        Theirs. Areas are those of `spatial.checks.measures.areas_m2`: on the ellipsoid for
        geographic systems, else in the plane.
    share : float
        Of the shape's area: by how much the stated one may differ from it.
    m2 : float
        By how many square metres it may differ whatever its share: what rounding is worth.

    Returns
    -------
    tuple of Faults
        ``area-share`` and ``area``: the same rows, measured as the difference, stated less drawn,
        as a share of the drawn area (infinite where that is 0) and in square metres.

    Examples
    --------
    >>> plots = [shapely.box(0, 0, 10, 10), shapely.box(0, 0, 10, 20)]
    >>> as_share, in_m2 = areas_off([100.4, 150], plots, "EPSG:4549", share=0.01)
    >>> as_share.rows.tolist(), as_share.measured.tolist(), in_m2.measured.tolist()
    ([1], [-0.25], [-50.0])
    """
    if not (share >= 0 and m2 >= 0):
        raise BadValues(f"share = {share:g}, m2 = {m2:g}; neither can be less than 0")
    geoms = np.asarray(polygons, dtype=object)
    stated, drawn = np.asarray(stated_m2, dtype=np.float64), areas_m2(geoms, crs)
    drawn[shapely.is_missing(geoms)] = np.nan
    off = stated - drawn
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(off == 0, 0.0, off / drawn)
        bad = (np.abs(shares) > share) & (np.abs(off) > m2)
    return (
        take_faults("area-share", bad, shares, geoms, (-share, share), "1"),
        take_faults("area", bad, off, geoms, (-m2, m2), "m2"),
    )
