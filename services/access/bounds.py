"""What a request may carry: its address, its headers, its body, and the geometries in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from starlette.types import Scope

from services.errors import AddressTooLong, BadBody, BadParameter, BodyTooLarge, HeadersTooLarge

MOST_VERTICES = 1_000_000
MOST_FEATURES = 100_000
MOST_PROPERTIES = 1_000
DEEPEST = 4
DEEPEST_VALUE = 16
_END = object()
_BRANCHES = frozenset((dict, list))


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of any request, whatever it asks.

    Attributes
    ----------
    parameters : int
        Query parameters.
    query_bytes, header_bytes : int
        Length of the query string; of all headers together.
    body_bytes : int
        Of the largest body that any route takes.
    """

    parameters: int = 100
    query_bytes: int = 16 << 10
    header_bytes: int = 32 << 10
    body_bytes: int = 32 << 20


def check_request(scope: Scope, bounds: Bounds) -> None:
    """Refuse what is too much before anything of it is read.

    Raises
    ------
    AddressTooLong, BadParameter, HeadersTooLarge, BodyTooLarge

    Examples
    --------
    >>> check_request({"query_string": b"a&" * 200, "headers": []}, Bounds())
    Traceback (most recent call last):
    services.errors.BadParameter: the address has 201 parameters; at most 100 are read
    """
    query: bytes = scope["query_string"]
    if len(query) > bounds.query_bytes:
        raise AddressTooLong(
            f"the query string has {len(query)} bytes; at most {bounds.query_bytes} are read"
        )
    parameters = query.count(b"&") + 1
    if parameters > bounds.parameters:
        raise BadParameter(
            f"the address has {parameters} parameters; at most {bounds.parameters} are read"
        )
    size, stated = 0, None
    for name, value in scope["headers"]:
        size += len(name) + len(value)
        if name == b"content-length":
            stated = value
    if size > bounds.header_bytes:
        raise HeadersTooLarge(
            f"the headers have {size} bytes; at most {bounds.header_bytes} are read"
        )
    if stated is not None and stated.isdigit() and _exceeds(stated, bounds.body_bytes):
        raise BodyTooLarge(
            f"a body may have {bounds.body_bytes >> 20} MB; send it in parts, or publish a file"
        )


def check_geojson(
    document: Any,
    most_vertices: int = MOST_VERTICES,
    deepest: int = DEEPEST,
    most_features: int = MOST_FEATURES,
) -> None:
    """Refuse GeoJSON that is too much to make geometries of; never calls itself.

    Parameters
    ----------
    document : Any
        Parsed JSON: a feature, a collection of them, or what claims to be one.
    most_vertices : int
        In all of it; whatever has none counts as one, a collection too.
    deepest : int
        How deep geometry collections, and arrays of coordinates, may stand in each other.
    most_features : int
        In a collection.

    Raises
    ------
    BodyTooLarge
        Where there is too much of something.
    BadBody
        Where something stands too deep, or a coordinate is no finite number. Says where.

    Examples
    --------
    >>> point = {"type": "Point", "coordinates": [1, float("nan")]}
    >>> check_geojson({"type": "Feature", "properties": {}, "geometry": point})
    Traceback (most recent call last):
    services.errors.BadBody: geometry: a position is two or three finite numbers, not [1, nan]
    """
    vertices, names = 0, set[str]()
    for where, feature in _features(document, most_features):
        if not isinstance(feature, Mapping):
            continue
        for part, coordinates in _parts(feature.get("geometry"), f"{where}geometry", deepest):
            vertices += _count_vertices(coordinates, part, most_vertices - vertices, deepest)
            if vertices > most_vertices:
                raise BodyTooLarge(
                    f"{part}: more than {most_vertices} vertices in one body; "
                    "send fewer features at a time, or publish a file"
                )
        _check_properties(feature.get("properties"), f"{where}properties", names)


def _features(document: Any, most: int) -> Iterator[tuple[str, Any]]:
    if not isinstance(document, Mapping):
        return
    features = document.get("features")
    if document.get("type") != "FeatureCollection" or not isinstance(features, list):
        yield "", document
        return
    if len(features) > most:
        raise BodyTooLarge(
            f"features: {len(features)} in one body; at most {most}; "
            "send fewer at a time, or publish a file"
        )
    for number, feature in enumerate(features):
        yield f"features[{number}].", feature


def _parts(geometry: Any, where: str, deepest: int) -> Iterator[tuple[str, Any]]:
    """Yield the coordinates in a geometry and in those that it collects, each with its place."""
    if geometry is None:
        return
    levels = [iter([(where, geometry)])]
    while levels:
        place, part = next(levels[-1], ("", _END))
        if part is _END:
            levels.pop()
            continue
        if not isinstance(part, Mapping):
            raise BadBody(f"{place}: {_shown(part)} is no GeoJSON geometry")
        yield place, part.get("coordinates")
        if isinstance(part.get("geometries"), list):
            if len(levels) > deepest:
                raise BadBody(
                    f"{place}: geometry collections stand more than {deepest} deep in each other; "
                    "send their parts as features"
                )
            levels.append(_collected(place, part["geometries"]))


def _collected(place: str, geometries: list[Any]) -> Iterator[tuple[str, Any]]:
    return ((f"{place}.geometries[{n}]", inner) for n, inner in enumerate(geometries))


def _count_vertices(coordinates: Any, where: str, most: int, deepest: int) -> int:
    """Return how many positions there are; more than `most` aren't all counted."""
    if coordinates is None:
        return 1
    count, levels = 0, [iter([coordinates])]
    while levels and count <= most:
        value = next(levels[-1], _END)
        if value is _END:
            levels.pop()
        elif not isinstance(value, list):
            raise BadBody(f"{where}: coordinates are arrays of numbers, not {_shown(value)}")
        elif not value:
            count += 1
        elif not isinstance(value[0], list):
            _check_position(value, where)
            count += 1
        elif len(levels) >= deepest:
            raise BadBody(
                f"{where}: coordinates stand more than {deepest} deep; "
                "no geometry of GeoJSON needs more"
            )
        elif count + len(value) > most or _are_positions(value):
            count += len(value)
        else:
            levels.append(iter(value))
    return count


def _are_positions(line: list[Any]) -> bool:
    """Return whether all are sound positions: a million are looked at without a step of Python."""
    if set(map(type, line)) != {list} or not set(map(len, line)) <= {2, 3}:
        return False
    if not set(map(type, chain.from_iterable(line))) <= {int, float}:
        return False
    return all(map(_is_finite, chain.from_iterable(line)))


def _check_position(position: list[Any], where: str) -> None:
    numbers = all(type(n) in (int, float) and _is_finite(n) for n in position[:4])
    if not numbers or len(position) not in (2, 3):
        raise BadBody(f"{where}: a position is two or three finite numbers, not {_shown(position)}")


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _check_properties(properties: Any, where: str, names: set[str]) -> None:
    """Refuse values that stand too deep, and names without end: each becomes a column."""
    if not isinstance(properties, Mapping):
        return
    names.update(properties)
    if len(names) > MOST_PROPERTIES:
        raise BodyTooLarge(
            f"{where}: more than {MOST_PROPERTIES} names of properties in one body; "
            "a layer has fewer fields"
        )
    if _BRANCHES.isdisjoint(map(type, properties.values())):
        return
    levels: list[Iterator[Any]] = [iter(properties.values())]
    while levels:
        value: Any = next(levels[-1], _END)
        if value is _END:
            levels.pop()
        elif type(value) in _BRANCHES:
            if len(levels) >= DEEPEST_VALUE:
                raise BadBody(f"{where}: values stand more than {DEEPEST_VALUE} deep in each other")
            levels.append(iter(value.values() if isinstance(value, dict) else value))


def _exceeds(digits: bytes, most: int) -> bool:
    # Thousands of digits would be no number to Python.
    return len(digits.lstrip(b"0")) > 18 or int(digits) > most


def _shown(value: Any) -> str:
    """Return a value so that a message stays short; one that is deep isn't written out."""
    if isinstance(value, list):
        inner = ", ".join(_shown(v) if not isinstance(v, list) else "[...]" for v in value[:4])
        return f"[{inner}{', ...' if len(value) > 4 else ''}]"
    if isinstance(value, Mapping):
        return "an object"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
