"""JSON-FG 1.0 (OGC 21-045r1): GeoJSON that also says when, of what type, and where in which system.

``geometry`` is what every reader of GeoJSON understands, longitude and latitude. ``place`` is the
same in the system asked for, or that of the storage, in its authority's order of axes; where that
is longitude and latitude too there is none, as the standard demands. Its media type is GeoJSON's;
two that drafts had are known as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import sqlalchemy as sa
from pyproj import CRS

from layers.reading.snapshots import Snapshot
from services.negotiation import GEOJSON, Format
from spatial.crs import CRS84, crs_uri, parse_crs

PROFILE = "http://www.opengis.net/def/profile/OGC/0/jsonfg"
_CLASSES = "http://www.opengis.net/spec/json-fg-1/1.0/conf/"
CONFORMS_TO = tuple(f"{_CLASSES}{name}" for name in ("core", "types-schemas"))
_LONLAT = (parse_crs(CRS84), parse_crs("OGC:CRS84h"))
_DIMENSIONS = {"Point": 0, "LineString": 1, "Polygon": 2}


def place_crs(snapshot: Snapshot, crs: CRS | None) -> CRS | None:
    """Return the system of ``place``: the one asked for, or the storage's; None for CRS84."""
    found = parse_crs(snapshot.schema.crs) if crs is None else crs
    # Neither with heights: the standard has no place in longitude and latitude.
    return None if found in _LONLAT else found


def read_rows(snapshot: Snapshot, crs: CRS | None) -> list[sa.Row[Any]]:
    """Return a snapshot's rows with what a feature needs: `_place` where there is one."""
    place = place_crs(snapshot, crs)
    return snapshot.rows(place=place)


def feature(document: Mapping[str, Any], row: sa.Row[Any]) -> dict[str, Any]:
    """Return a feature of a collection, made of its GeoJSON and of its row of `read_rows`."""
    place = getattr(row, "_place", None)
    if place == row._geom:
        # Where latitude is longitude, both orders of axes are one; the standard wants it once.
        place = None
    return dict(document) | {
        "place": None if place is None else orjson.Fragment(place),
        "time": time_of(document["time"]),
    }


def time_of(time: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``time`` as JSON-FG has it.

    >>> time_of({"interval": ["2014-01-01T00:00:00Z", ".."]})
    {'interval': ['2014-01-01T00:00:00Z', '..']}
    """
    return {"interval": list(time["interval"])}


def root(document: Mapping[str, Any], snapshot: Snapshot, crs: CRS | None) -> dict[str, Any]:
    """Return a document, a feature or a collection of such, with what only a root says."""
    found: dict[str, Any] = {"conformsTo": CONFORMS_TO, **document}
    found["featureType"] = snapshot.layer.record.id
    place = place_crs(snapshot, crs)
    if place is not None:
        found["coordRefSys"] = crs_uri(place)
    if document["type"] == "FeatureCollection":
        kind = snapshot.schema.geometry.removesuffix("Z").removeprefix("Multi")
        if kind in _DIMENSIONS:
            found["geometryDimension"] = _DIMENSIONS[kind]
    return found


JSON_FG = Format(
    "jsonfg",
    GEOJSON,
    "JSON-FG",
    ".fg.json",
    also=("application/fg+json", "application/vnd.ogc.fg+json"),
)
