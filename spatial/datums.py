"""Datums that PROJ takes for one too easily, and those that may be."""

from __future__ import annotations

from typing import Final

from pyproj import CRS

# PROJ knows no operation from Xian 80, and from Beijing 54 only those of a few oil fields,
# which it would apply, or skip without a word, point by point
_LOCAL_DATUMS: Final = ("Xian 1980", "Beijing 1954")
# these agree to a few centimetres: a no-op between them is right at map accuracy
_GEOCENTRIC_DATUMS: Final = ("China 2000", "World Geodetic System 1984")


def is_local(crs: CRS) -> bool:
    """Return whether a system is on a datum of China whose parameters its surveys keep.

    Examples
    --------
    >>> is_local(CRS("EPSG:4610")), is_local(CRS("EPSG:4490"))
    (True, False)
    """
    return datum_name(crs) in _LOCAL_DATUMS


def is_geocentric(crs: CRS) -> bool:
    """Return whether a system is on WGS 84 or CGCS2000, which are one at map accuracy.

    Examples
    --------
    >>> is_geocentric(CRS("EPSG:4549")), is_geocentric(CRS("EPSG:4269"))
    (True, False)
    """
    return datum_name(crs).startswith(_GEOCENTRIC_DATUMS)


def datum_name(crs: CRS) -> str:
    """Return the name of the datum, or nothing where the source states its own parameters."""
    geodetic = crs.geodetic_crs
    if crs.is_bound or geodetic is None or geodetic.datum is None:
        return ""
    return str(geodetic.datum.name)
