"""Well-known binary as sources have it: what can go to PostGIS as it came, and what can't."""

from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_CODES = {"Point": 1, "LineString": 2, "Polygon": 3}
_MULTI = 3  # more than the single type's code
_Z = 1000
_HEADER_BYTES = 5
_PART_BYTES = 9  # the header of a multiple shape, and the number of its parts


def ready_wkb(wkb: pa.Array, geometry: str, sound: NDArray[np.bool_]) -> pa.Array:
    """Return the shapes that need no decoding to be of a layer's type; NULL for all others.

    That saves writing anew what was read a moment ago, which takes longer than reading it.

    Parameters
    ----------
    wkb : pyarrow.Array of bytes, shape (n,)
        ISO WKB that a reader of it has accepted. What is returned of it is little-endian in all its
        parts, as PostGIS writes it: bytes that are hashed must be those that are read again.
    geometry : str
        The layer's type, such as ``MultiPolygon`` or ``PointZ``; single shapes become multiple.
    sound : ndarray of bool, shape (n,)
        Which are neither empty nor in need of repair.

    Examples
    --------
    >>> import shapely
    >>> plain = pa.array([shapely.Point(1, 2).wkb, shapely.Point(1, 2, 3).wkb])
    >>> found = ready_wkb(plain, "MultiPoint", np.array([True, True])).to_pylist()
    >>> shapely.from_wkb(found[0]).wkt, found[1]
    ('MULTIPOINT ((1 2))', None)
    """
    wkb = wkb.cast(pa.binary())
    single = _CODES[geometry.removesuffix("Z").removeprefix("Multi")]
    single += _Z if geometry.endswith("Z") else 0
    is_multi = geometry.startswith("Multi")
    codes = _type_codes(wkb)
    wrapped = sound & (codes == single) & is_multi
    right = sound & (codes == single + (_MULTI if is_multi else 0))
    if is_multi and right.any():
        # Each part has a byte order of its own. One is looked up where it always stands, more
        # stand wherever they do.
        right &= (_words(wkb, _HEADER_BYTES) == 1) & (_type_codes(wkb, _PART_BYTES) == single)
    ready = wkb
    if wrapped.any():
        # A collection is the header and the number of its parts, then the parts as they are.
        header = struct.pack("<BII", 1, single + _MULTI, 1)
        collected = pc.binary_join_element_wise(pa.scalar(header), wkb, pa.scalar(b""))
        ready = collected if wrapped.all() else pc.if_else(pa.array(wrapped), collected, wkb)
    whole = right | wrapped
    return ready if whole.all() else pc.if_else(pa.array(whole), ready, pa.scalar(None, wkb.type))


def _type_codes(wkb: pa.Array, place: int = 0) -> NDArray[np.int64]:
    """The types that stand at a place; -1 for what is missing, or of the other byte order."""
    return np.where(_bytes(wkb, place, 1)[:, 0] == 1, _words(wkb, place + 1), -1)


def _words(wkb: pa.Array, place: int) -> NDArray[np.int64]:
    """The numbers of four bytes, least first, that stand at a place; -1 for what is shorter."""
    found = _bytes(wkb, place, 4)
    numbers = found.astype(np.uint8).view("<u4")[:, 0].astype(np.int64)
    return np.where(found[:, 0] < 0, -1, numbers)


def _bytes(wkb: pa.Array, place: int, count: int) -> NDArray[np.int16]:
    """The bytes that stand at a place in each shape; -1 for what is shorter."""
    found = np.full((len(wkb), count), -1, dtype=np.int16)
    _, offsets, data = wkb.buffers()
    ends = np.frombuffer(offsets, np.int32)[wkb.offset : wkb.offset + len(wkb) + 1].astype(int)
    long_enough = np.flatnonzero(np.diff(ends) >= place + count)
    if long_enough.size:
        places = ends[long_enough, None] + np.arange(place, place + count)
        found[long_enough] = np.frombuffer(data, np.uint8)[places]
    return found
