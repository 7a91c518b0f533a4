"""Parameters between a local datum and WGS 84, as surveys state them: three, or seven."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import Final

from pyproj import CRS, Transformer

from spatial.crs import Mover, mover, plane_of
from spatial.errors import BadParameters, UnknownCRS

# Beyond these, something else is meant: radians for seconds, a factor for parts per million.
_MOST: Final = (5_000.0, 5_000.0, 5_000.0, 60.0, 60.0, 60.0, 500.0)
_UNITS: Final = ("m", "m", "m", '"', '"', '"', "ppm")


@dataclass(frozen=True, slots=True)
class Helmert:
    """Shifts, rotations and a scale, from geocentric coordinates of a datum to those of WGS 84.

    Rotations are of the position vector, as in TOWGS84 of WKT 1 (EPSG method 9606):
    ``X' = X (1 + s) - rz Y + ry Z + dx`` and so on. A report that rotates the coordinate frame
    (EPSG method 9607) gives them with the other sign.

    Parameters
    ----------
    dx, dy, dz : float
        In metres.
    rx, ry, rz : float
        In seconds of arc.
    s : float
        In parts per million.
    """

    dx: float
    dy: float
    dz: float
    rx: float = 0.0
    ry: float = 0.0
    rz: float = 0.0
    s: float = 0.0

    @property
    def values(self) -> tuple[float, ...]:
        """The seven, in the order in which they are written."""
        return astuple(self)

    def mover(self, source: CRS) -> Mover:
        """Return what moves coordinates of a system on the local datum to CRS84.

        Heights are not asked for: a point is moved as it stands on the ellipsoid.

        Raises
        ------
        UnknownCRS
            If the system is not on a datum in degrees from Greenwich.
        """
        plane = plane_of(source)
        geodetic = plane.geodetic_crs
        if geodetic is None or geodetic.ellipsoid is None or not _is_plain(geodetic):
            raise UnknownCRS(
                f"{source.name!r} is not in degrees from Greenwich, for which parameters are; "
                "convert it with the survey's own program first"
            )
        unproject = mover(plane, geodetic)
        transformer = Transformer.from_pipeline(self._pipeline(geodetic))
        return lambda x, y: transformer.transform(*unproject(x, y))

    def _pipeline(self, geodetic: CRS) -> str:
        ellipsoid = geodetic.ellipsoid
        assert ellipsoid is not None  # noqa: S101 - asked by mover
        named = zip(("x", "y", "z", "rx", "ry", "rz", "s"), self.values, strict=True)
        parameters = " ".join(f"+{name}={value!r}" for name, value in named)
        return (
            "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad "
            "+step +proj=push +v_3 "
            f"+step +proj=cart +a={ellipsoid.semi_major_metre!r} +b={ellipsoid.semi_minor_metre!r} "
            f"+step +proj=helmert {parameters} +convention=position_vector "
            "+step +inv +proj=cart +ellps=WGS84 +step +proj=pop +v_3 "
            "+step +proj=unitconvert +xy_in=rad +xy_out=deg"
        )

    def __str__(self) -> str:
        return ",".join(f"{value:.10g}" for value in self.values)


def parse_helmert(text: str) -> Helmert:
    """Read parameters: ``dx,dy,dz`` in metres, then ``rx,ry,rz`` in seconds and ``s`` in ppm.

    Raises
    ------
    BadParameters
        Where they are not three or seven numbers, or one is larger than any datum needs.

    Examples
    --------
    >>> str(parse_helmert("15.8,-154.4,-82.3"))
    '15.8,-154.4,-82.3,0,0,0,0'
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (3, 7) or not all(map(math.isfinite, values)):
        raise BadParameters(
            f"{text!r}: write dx,dy,dz in metres, or dx,dy,dz,rx,ry,rz,s with rotations of the "
            "position vector in seconds of arc and the scale in parts per million"
        )
    for value, most, unit in zip(values, _MOST, _UNITS, strict=False):
        if abs(value) > most:
            raise BadParameters(
                f"{text!r}: {value:g} {unit} is more than any datum needs ({most:g} {unit}); "
                "shifts are in metres, rotations in seconds of arc, the scale in parts per million"
            )
    return Helmert(*values)


def _is_plain(geodetic: CRS) -> bool:
    meridian = geodetic.prime_meridian
    degrees = math.isclose(geodetic.axis_info[0].unit_conversion_factor, math.pi / 180)
    return degrees and meridian is not None and meridian.longitude == 0
