"""Four parameters from a plane of a survey's own to that of a system: shift, rotation, scale."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spatial.errors import BadParameters

Floats = NDArray[np.float64]

# Feet are 0.3 metres: whatever lies beyond is parts per million, or another thing.
_SCALES: Final = (0.1, 10.0)


@dataclass(frozen=True, slots=True)
class Similarity:
    """A similarity of the plane (EPSG method 9621).

    ``E' = dx + k (E cos r + N sin r)`` and ``N' = dy + k (N cos r - E sin r)``: the rotation is of
    the source's axes, positive counterclockwise. A report that rotates the points the same way
    around gives it with the other sign.

    Parameters
    ----------
    dx, dy : float
        Where the source's origin lies: east and north, in the units of the target.
    rotation : float
        In degrees.
    scale : float
        The factor k.
    """

    dx: float
    dy: float
    rotation: float
    scale: float

    @property
    def values(self) -> tuple[float, ...]:
        """The four, in the order in which they are written."""
        return astuple(self)

    def move(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return coordinates of the source, x = east and y = north, in the target.

        Examples
        --------
        >>> import numpy as np
        >>> x, y = Similarity(100, 200, 90, 2).move(np.array([1.0]), np.array([3.0]))
        >>> x.round(9), y.round(9)
        (array([106.]), array([198.]))
        """
        angle = math.radians(self.rotation)
        east, north = self.scale * math.cos(angle), self.scale * math.sin(angle)
        return self.dx + east * x + north * y, self.dy + east * y - north * x

    def __str__(self) -> str:
        return ",".join(f"{value:.12g}" for value in self.values)


def parse_similarity(text: str) -> Similarity:
    """Read four parameters: ``dx,dy`` east and north, the rotation in degrees, the factor.

    Raises
    ------
    BadParameters
        Where they are not four numbers, or none that a similarity has.

    Examples
    --------
    >>> parse_similarity("-378.752,493.395,0.000984675,1.0000126775").scale
    1.0000126775
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 4 or not all(map(math.isfinite, values)):
        raise BadParameters(
            f"{text!r}: write dx,dy,rotation,scale: east and north in the units of --crs, degrees "
            "by which the source's axes are turned counterclockwise, and the factor"
        )
    _, _, rotation, scale = values
    if abs(rotation) > 360:
        raise BadParameters(f"{text!r}: {rotation:g} is no angle in degrees; seconds are 1/3600")
    if not _SCALES[0] <= scale <= _SCALES[1]:
        raise BadParameters(
            f"{text!r}: {scale:g} is no factor near 1; of s parts per million it is 1 + s / 1000000"
        )
    return Similarity(*values)
