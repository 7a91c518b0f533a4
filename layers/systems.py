"""The reference systems in which a layer's features can be had."""

from __future__ import annotations

from functools import lru_cache

from layers.model import Schema
from spatial.crs import CRS84, crs_uri, transform
from spatial.errors import BallparkTransformation
from spatial.zones import zone_twin

# What clients ask for, whatever the layer is stored in.
_COMMON = ("EPSG:4326", "EPSG:4490", "EPSG:3857")


def offered_crs(schema: Schema) -> tuple[str, ...]:
    """Return the systems of a layer as OGC URIs, CRS84 first and the storage system second.

    CRS84, the storage system, a CGCS2000 zone both with its number before the easting and without
    it, EPSG:4326, 4490 and 3857; but none to which only an untrusted operation leads.

    Examples
    --------
    >>> from layers.schemas.documents import parse_schema
    >>> schema = parse_schema({"title": "t", "geometry": "Point", "crs": "EPSG:4547"})
    >>> [uri.rpartition("/")[2] for uri in offered_crs(schema)]
    ['CRS84', '4547', '4526', '4326', '4490', '3857']
    """
    return _offered(schema.crs)


# Kept: operations between systems are looked up in PROJ's database.
@lru_cache(maxsize=256)
def _offered(storage: str) -> tuple[str, ...]:
    twin = zone_twin(storage)
    others = (*((twin,) if twin else ()), *_COMMON)
    names = (CRS84, storage, *(name for name in others if _leads(storage, name)))
    return tuple(dict.fromkeys(map(crs_uri, names)))


def _leads(storage: str, target: str) -> bool:
    try:
        transform([], storage, target)
    except BallparkTransformation:
        return False
    return True
