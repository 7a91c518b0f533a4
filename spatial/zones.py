"""The zones of CGCS2000: each is written in two ways, with its number before the easting or not."""

from __future__ import annotations

from typing import Final

from pyproj import CRS

from spatial.crs import parse_crs

# The first code with the zone's number in the easting, the first without, how many there are.
_PAIRS: Final = ((4513, 4534, 21), (4491, 4502, 11))


def zone_twin(crs: str | int | CRS) -> str | None:
    """Return the same zone of CGCS2000 written the other way; None where it is no such zone.

    3-degree zones 25 to 45 and 6-degree zones 13 to 23: 4513 is zone 25 with 25 before the easting
    (false easting 25,500,000 m), 4534 the same without (500,000 m).

    Examples
    --------
    >>> zone_twin("EPSG:4526"), zone_twin("EPSG:4547"), zone_twin("EPSG:4490")
    ('EPSG:4547', 'EPSG:4526', None)
    """
    named = parse_crs(crs).to_authority()
    if named is None or named[0] != "EPSG":
        return None
    code = int(named[1])
    for prefixed, plain, count in _PAIRS:
        if prefixed <= code < prefixed + count:
            return f"EPSG:{code - prefixed + plain}"
        if plain <= code < plain + count:
            return f"EPSG:{code - plain + prefixed}"
    return None
