"""What stands in a vector tile: its shapes as GDAL reads them.

GDAL refuses tiles of more than ten megabytes. So features are taken out of the tile without their
attributes, and given to it in parts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyogrio
import shapely

from tiles.grids import Place

_MOST_BYTES = 4 << 20
# Of the vector tile specification 2.1: fields of a layer, and of a feature.
_LAYER, _NAME, _FEATURE, _KEY = 3, 1, 2, 3
_KIND, _GEOMETRY = 3, 4
_POLYGONS = (3, 6)


@dataclass(frozen=True)
class Seen:
    """What is found in a tile.

    Attributes
    ----------
    features, polygons : int
    area : float
        Of its polygons, in square metres of the grid, margins too.
    fields : frozenset of str
    """

    features: int
    polygons: int
    area: float
    fields: frozenset[str]


def decode(body: bytes, where: Place) -> Seen:
    """Read a tile of one layer, with all of its margin."""
    keys: set[str] = set()
    features = polygons = 0
    area = 0.0
    for number, _, content in _fields(memoryview(body)):
        if number != _LAYER:
            continue
        keys |= {bytes(c).decode() for n, _, c in _fields(content) if n == _KEY}
        for part in _bare(content):
            shapes = _read(part, where)
            flat = np.isin(shapely.get_type_id(shapes), _POLYGONS)
            features, polygons = features + len(shapes), polygons + int(flat.sum())
            area += float(shapely.area(shapes[flat]).sum())
    return Seen(features, polygons, area, frozenset(keys))


def _read(tile: bytes, where: Place) -> np.ndarray:
    options = {"X": where.column, "Y": where.row, "Z": where.zoom, "CLIP": "NO"}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{where.zoom}-{where.column}-{where.row}.mvt"
        file.write_bytes(tile)
        [[name, _]] = pyogrio.list_layers(f"MVT:{file}").tolist()
        _, _, shapes, _ = pyogrio.raw.read(f"MVT:{file}", layer=name, columns=[], **options)
    return np.asarray(shapely.from_wkb(shapes))


def _bare(layer: memoryview) -> Iterator[bytes]:
    """Yield tiles with the features of a layer, some in each, without what they say."""
    head, parts, size = b"", list[bytes](), 0
    for number, kind, content in _fields(layer):
        if number == _FEATURE:
            less = ((n, k, c) for n, k, c in _fields(content) if n in (_KIND, _GEOMETRY))
            parts.append(_field(_FEATURE, 2, b"".join(_field(*f) for f in less)))
            size += len(parts[-1])
            if size > _MOST_BYTES:
                yield _field(_LAYER, 2, head + b"".join(parts))
                parts, size = [], 0
        elif number == _NAME:
            # Version 2, extent 4096: as every server here has them.
            head = _field(15, 0, b"\x02") + _field(_NAME, kind, content) + _field(5, 0, b"\x80\x20")
    if parts:
        yield _field(_LAYER, 2, head + b"".join(parts))


def _fields(message: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield number, kind and content of each field of a message."""
    at = 0
    while at < len(message):
        tag, at = _number(message, at)
        kind = tag & 7
        if kind == 2:
            length, at = _number(message, at)
            end = at + length
        elif kind == 0:
            _, end = _number(message, at)
        else:
            end = at + (8 if kind == 1 else 4)
        yield tag >> 3, kind, message[at:end]
        at = end


def _number(message: memoryview, at: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        byte = message[at]
        at += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return found, at
        shift += 7


def _field(number: int, kind: int, content: bytes | memoryview) -> bytes:
    length = _written(len(content)) if kind == 2 else b""
    return b"".join((_written(number << 3 | kind), length, content))


def _written(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)
