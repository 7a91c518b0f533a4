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


def ready_wkb(wkb: pa.Array, geometry: str, sound: NDArray[np.bool_]) -> pa.Array:
    """Return the shapes that need no decoding to be of a layer's type; NULL for all others.

    That saves writing anew what was read a moment ago, which takes longer than reading it.

    Parameters
    ----------
    wkb : pyarrow.Array of bytes, shape (n,)
        ISO WKB that a reader of it has accepted.
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
    right = sound & (codes == single + (_MULTI if is_multi else 0))
    wrapped = sound & (codes == single) & is_multi
    ready = wkb
    if wrapped.any():
        # A collection is the header and the number of its parts, then the parts as they are.
        header = struct.pack("<BII", 1, single + _MULTI, 1)
        collected = pc.binary_join_element_wise(pa.scalar(header), wkb, pa.scalar(b""))
        ready = collected if wrapped.all() else pc.if_else(pa.array(wrapped), collected, wkb)
    whole = right | wrapped
    return ready if whole.all() else pc.if_else(pa.array(whole), ready, pa.scalar(None, wkb.type))


def _type_codes(wkb: pa.Array) -> NDArray[np.int64]:
    """The type of each little-endian shape; -1 for what is missing, or of the other order."""
    codes = np.full(len(wkb), -1, dtype=np.int64)
    _, offsets, data = wkb.buffers()
    ends = np.frombuffer(offsets, np.int32)[wkb.offset : wkb.offset + len(wkb) + 1].astype(int)
    long_enough = np.flatnonzero(np.diff(ends) > _HEADER_BYTES)
    if not long_enough.size:
        return codes
    places = ends[long_enough, None] + np.arange(_HEADER_BYTES)
    heads = np.frombuffer(data, np.uint8)[places]
    numbers = np.ascontiguousarray(heads[:, 1:]).view("<u4")[:, 0].astype(np.int64)
    codes[long_enough] = np.where(heads[:, 0] == 1, numbers, -1)
    return codes
