"""The feed of changes: what its lines say, and where in it a reader has got to."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any

import orjson
import shapely

from layers.model import Change, Layer, Version, VersionChange
from layers.reading.changes import Place
from services.errors import BadParameter
from spatial.crs import CRS84, crs_uri, parse_crs, transform
from spatial.errors import SpatialError
from spatial.periods import format_instant, parse_instant

NDJSON = "application/x-ndjson"
# So many are read and written at once: shapes are moved together in a tenth of the time.
_TOGETHER = 500


def version_lines(
    changes: Iterable[VersionChange], layer: Layer, crs: str
) -> Iterator[dict[str, Any]]:
    """Yield what revisions asserted and retracted, as features; each with the token of its place.

    Parameters
    ----------
    crs : str
        Address of the reference system of the geometries.
    """
    for part in _parts(changes):
        shapes = _geometries([change.version for change in part], layer, crs)
        for change, shape in zip(part, shapes, strict=True):
            said = {"revision": change.revision, "change": change.kind}
            token = write_place(Place.of(change))
            yield said | _feature(change.version, shape) | {"token": token}


def difference_lines(changes: Iterable[Change], layer: Layer, crs: str) -> Iterator[dict[str, Any]]:
    """Yield the features that differ: how, in which fields, and what was and is said of them."""
    for part in _parts(changes):
        versions = [version for change in part for version in (change.old, change.new)]
        shapes = iter(_geometries(versions, layer, crs))
        for change in part:
            told: dict[str, Any] = {"id": change.id, "change": change.kind}
            told["fields"] = list(change.fields)
            for name, version in (("old", change.old), ("new", change.new)):
                shape = next(shapes)
                told[name] = None if version is None else _feature(version, shape)
            yield told | {"token": write_place(change.id)}


def offered_crs(layer: Layer) -> tuple[str, ...]:
    """Return the reference systems that a layer's changes are had in; nothing is lost in its own.

    >>> crs_uri(CRS84)
    'http://www.opengis.net/def/crs/OGC/1.3/CRS84'
    """
    return tuple(dict.fromkeys((crs_uri(CRS84), crs_uri(layer.schema.crs))))


def write_place(place: Place | str) -> str:
    """Return the token of a place: of a change, or of a feature."""
    told: list[Any] = [place]
    if isinstance(place, Place):
        told = [place.revision, place.feature, format_instant(place.start), place.asserted]
    return base64.urlsafe_b64encode(orjson.dumps(told)).decode().rstrip("=")


def read_place(text: str) -> Place | str:
    """Read the token of a place.

    Raises
    ------
    BadParameter
        Where it is none.

    Examples
    --------
    >>> read_place(write_place("169-100"))
    '169-100'
    """
    try:
        told = orjson.loads(base64.urlsafe_b64decode(text.encode() + b"=="))
        feature = told[0] if len(told) == 1 else told[1]
        if not isinstance(feature, str) or "\x00" in feature:
            raise ValueError
        if len(told) == 1:
            return feature
        revision, _, start, asserted = told
        if not isinstance(revision, int) or not 0 < revision < 2**31:
            raise ValueError
        return Place(revision, feature, parse_instant(start, UTC), bool(asserted))
    except (ValueError, TypeError, LookupError, AttributeError, SpatialError):
        raise BadParameter(_NONE_OF_OURS) from None


_NONE_OF_OURS = "token is none of ours; follow a next link, or give that of the last line, as it is"


def written(line: Any) -> bytes:
    """Return a line of the feed."""
    return orjson.dumps(line) + b"\n"


def _parts(changes: Iterable[Any]) -> Iterator[list[Any]]:
    waiting = iter(changes)
    while part := list(islice(waiting, _TOGETHER)):
        yield part


def _feature(version: Version, shape: str | None) -> dict[str, Any]:
    end = version.valid_to
    interval = [format_instant(version.valid_from), ".." if end is None else format_instant(end)]
    return {
        "type": "Feature",
        "id": version.id,
        "time": {"interval": interval},
        "geometry": None if shape is None else orjson.Fragment(shape),
        "properties": {name: _value(v) for name, v in version.properties.items()},
    }


def _geometries(versions: Sequence[Version | None], layer: Layer, crs: str) -> list[str | None]:
    """The shapes of versions as GeoJSON, in the order of axes that the system's authority has."""
    stored = [None if v is None else v.geometry for v in versions]
    shapes = shapely.from_wkb(stored)
    source, target = parse_crs(layer.schema.crs), parse_crs(crs)
    if source != target:
        shapes = transform(shapes, source, target)
    if target.axis_info[0].direction == "north":
        shapes = shapely.transform(shapes, lambda xy: xy[:, ::-1])
    return [None if text is None else str(text) for text in shapely.to_geojson(shapes)]


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_instant(value)
    return value.isoformat() if isinstance(value, date) else value
