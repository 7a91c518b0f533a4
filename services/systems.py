"""The reference systems in which a collection's features can be had, and asked for."""

from __future__ import annotations

from functools import lru_cache

from pyproj import CRS

from layers.model import Schema
from layers.systems import offered_crs
from services.errors import BadParameter
from spatial.crs import crs_uri, parse_crs
from spatial.errors import SpatialError


@lru_cache(maxsize=1024)
def find_system(name: str, text: str, schema: Schema) -> CRS:
    """Return the reference system that a parameter names, if the collection offers it.

    Parameters
    ----------
    name : str
        Of the parameter, for the message.
    text : str
        A URI of the OGC, or a name such as ``EPSG:4490``.

    Raises
    ------
    BadParameter
        With those that are offered.
    """
    offered = offered_crs(schema)
    try:
        found = parse_crs(text)
        uri = crs_uri(found)
    except SpatialError:
        uri = ""
    if uri not in offered:
        raise BadParameter(f"{name}={text!r} is not offered here; there are: {', '.join(offered)}")
    return found
