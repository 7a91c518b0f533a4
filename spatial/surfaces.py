"""Shapes that GEOS does not know, by their WKB: curves are named, and surfaces made polygons."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_NAMES = {
    8: "circular string",
    9: "compound curve",
    10: "curve polygon",
    11: "multicurve",
    12: "multisurface",
    13: "curve",
    14: "surface",
    15: "polyhedral surface",
    16: "TIN",
    17: "triangle",
}
_POLYHEDRAL, _TIN, _TRIANGLE = 15, 16, 17
_POLYGON, _MULTIPOLYGON = 3, 6
_DIMENSIONS = {0: 2, 1: 3, 2: 3, 3: 4}
_MEASURED = 2000


def type_codes(wkb: pa.Array) -> NDArray[np.int64]:
    """Return the type of each shape in ISO WKB, the least byte first; -1 for what is missing.

    Parameters
    ----------
    wkb : pyarrow.BinaryArray, shape (n,)

    Examples
    --------
    >>> import shapely
    >>> type_codes(pa.array([shapely.to_wkb(shapely.Point(1, 2, 3), flavor="iso"), None])).tolist()
    [1001, -1]
    """
    present = np.flatnonzero(wkb.is_valid().to_numpy(zero_copy_only=False))
    codes = np.full(len(wkb), -1, dtype=np.int64)
    if present.size:
        _, offsets, data = wkb.buffers()
        starts = np.frombuffer(offsets, np.int32)[wkb.offset : wkb.offset + len(wkb)][present]
        places = starts[:, None].astype(np.int64) + np.arange(1, 5)
        codes[present] = np.frombuffer(data, np.uint8)[places].view("<u4")[:, 0]
    return codes


def is_curved(codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which types of ISO WKB are curves or surfaces.

    >>> is_curved(np.array([1, 1003, 10, 1016, -1])).tolist()
    [False, False, True, True, False]
    """
    curved: NDArray[np.bool_] = np.isin(codes % 1000, list(_NAMES)) & (codes > 0)
    return curved


def is_measured(codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which types of ISO WKB have a measure (M), with Z or without."""
    measured: NDArray[np.bool_] = codes >= _MEASURED
    return measured


def what_became(code: int) -> str:
    """Return what is said of a curve or surface that was made plain.

    >>> what_became(1016), what_became(8)
    ('TIN made polygons', 'circular string made straight lines')
    """
    plain = "polygons" if code % 1000 in (_POLYHEDRAL, _TIN, _TRIANGLE) else "straight lines"
    return f"{curve_name(code)} made {plain}"


def curve_name(code: int) -> str:
    """Return what a type of ISO WKB is called.

    >>> curve_name(1010)
    'curve polygon'
    """
    return _NAMES.get(code % 1000, f"geometry of type {code}")


def as_polygons(wkb: bytes) -> bytes:
    """Return a surface of triangles or polygons as a multipolygon, all others as they are.

    Their bytes are those of polygons but for the types.

    Examples
    --------
    >>> import shapely
    >>> ring = [(0.0, 0.0, 5.0), (1.0, 0.0, 5.0), (0.0, 1.0, 5.0), (0.0, 0.0, 5.0)]
    >>> triangle = struct.pack("<BIII", 1, 1017, 1, 4) + struct.pack("<12d", *sum(ring, ()))
    >>> shapely.from_wkb(as_polygons(struct.pack("<BII", 1, 1016, 1) + triangle)).wkt
    'MULTIPOLYGON Z (((0 0 5, 1 0 5, 0 1 5, 0 0 5)))'
    """
    parts = bytearray(wkb)
    _Surface(parts).convert(0)
    return bytes(parts)


@dataclass
class _Surface:
    data: bytearray

    def convert(self, place: int) -> int:
        """Change the types from a place on; return where its shape ends, if it is a surface."""
        order = "<" if self.data[place] == 1 else ">"
        (code,) = struct.unpack_from(f"{order}I", self.data, place + 1)
        kind, dimensions = code % 1000, code - code % 1000
        (count,) = struct.unpack_from(f"{order}I", self.data, place + 5)
        if kind in (_TIN, _POLYHEDRAL):
            struct.pack_into(f"{order}I", self.data, place + 1, dimensions + _MULTIPOLYGON)
            end = place + 9
            for _ in range(count):
                end = self.convert(end)
            return end
        if kind in (_TRIANGLE, _POLYGON):
            struct.pack_into(f"{order}I", self.data, place + 1, dimensions + _POLYGON)
            return self._end_of_rings(order, place + 9, count, _DIMENSIONS[code // 1000])
        return place

    def _end_of_rings(self, order: str, place: int, rings: int, dimensions: int) -> int:
        for _ in range(rings):
            (points,) = struct.unpack_from(f"{order}I", self.data, place)
            place += 4 + 8 * dimensions * points
        return place
