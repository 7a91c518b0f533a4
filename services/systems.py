"""The reference systems in which a collection's features can be had, and asked for."""

from __future__ import annotations

from functools import lru_cache

from pyproj import CRS

from layers.model import Schema
from services.errors import BadParameter
from spatial.crs import CRS84, crs_uri, parse_crs
from spatial.errors import SpatialError

# What any map asks for: both orders of degrees, China's own, and that of web maps.
_EVERYWHERE = (CRS84, "EPSG:4326", "EPSG:4490", "EPSG:3857")


def offered_systems(schema: Schema) -> tuple[str, ...]:
    """Return the URIs of the systems that a collection offers, CRS84 first.

    >>> from layers.schemas.documents import parse_schema
    >>> pipes = parse_schema({"title": "t", "geometry": "LineString", "crs": "EPSG:4549"})
    >>> [uri.rpartition("/")[2] for uri in offered_systems(pipes)]
    ['CRS84', '4549', '4326', '4490', '3857']
    """
    first, *rest = _EVERYWHERE
    return tuple(dict.fromkeys(crs_uri(crs) for crs in (first, schema.crs, *rest)))


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
    offered = offered_systems(schema)
    try:
        found = parse_crs(text)
        uri = crs_uri(found)
    except SpatialError:
        uri = ""
    if uri not in offered:
        raise BadParameter(f"{name}={text!r} is not offered here; there are: {', '.join(offered)}")
    return found
