"""Columns of points as Arrow holds them, read as arrays of coordinates."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from spatial.errors import UnreadablePoints, WrongGeometryType

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# How WKB begins that has the bytes of this machine's kind, and how long a point is by its type:
# as ISO numbers those with Z, M or both, and as PostGIS does.
_HEAD: Final = np.dtype([("order", "u1"), ("type", "<u4"), ("x", "<f8"), ("y", "<f8")])
_LITTLE: Final = 1
_POINT: Final = 1
_SIZES: Final = {
    1001: 29, 2001: 29, 3001: 37, 0x8000_0001: 29, 0x4000_0001: 29, 0xC000_0001: 37,
}  # fmt: skip


class Coordinates(NamedTuple):
    """Points as arrays.

    Attributes
    ----------
    x, y : ndarray of float64, shape (n,)
        Both NaN of a point that is missing or empty.
    missing : ndarray of bool, shape (n,)
    """

    x: Floats
    y: Floats
    missing: Bools


def read_pairs(column: pa.StructArray) -> Coordinates:
    """Read points of GeoParquet's own encoding, a struct of x and y.

    >>> read_pairs(pa.array([{"x": 1.0, "y": 2.0}, None])).x.tolist()
    [1.0, nan]
    """
    missing = _missing(column)
    # flatten, unlike field, makes null the members of what is null
    x, y = (column.flatten()[column.type.get_field_index(name)] for name in ("x", "y"))
    return Coordinates(_floats(x), _floats(y), missing)


def read_wkb(column: pa.Array, first: int = 0) -> Coordinates:
    """Read points of WKB: plain ones by arithmetic over the bytes, all others by Shapely.

    Parameters
    ----------
    column : Array of binary or large_binary
    first : int
        The number of its first row, for messages.

    Raises
    ------
    WrongGeometryType
        If there is anything but points.
    UnreadablePoints
        If a value is no WKB.

    Examples
    --------
    >>> column = pa.array([shapely.to_wkb(shapely.Point(1, 2)), None])
    >>> read_wkb(column).y.tolist(), read_wkb(column).missing.tolist()
    ([2.0, nan], [False, True])
    """
    missing = _missing(column)
    x, y = np.full((2, len(column)), np.nan)
    offsets, data = _buffers(column)
    sizes = np.diff(offsets)
    long = np.flatnonzero(~missing & (sizes >= _HEAD.itemsize))
    heads = _heads(offsets, data, sizes, long)
    plain = (heads["order"] == _LITTLE) & (_sizes(heads["type"]) == sizes[long])
    if len(long) == len(column) and plain.all():
        return Coordinates(heads["x"].copy(), heads["y"].copy(), missing)
    x[long[plain]], y[long[plain]] = heads["x"][plain], heads["y"][plain]
    rest = ~missing
    rest[long[plain]] = False
    others = np.flatnonzero(rest)
    if others.size:
        x[others], y[others] = _read_slowly(column, others, first).T
    return Coordinates(x, y, missing)


def _missing(column: pa.Array) -> Bools:
    if not column.null_count:
        return np.zeros(len(column), dtype=bool)
    found: Bools = column.is_null().to_numpy(zero_copy_only=False)
    return found


def _floats(column: pa.Array) -> Floats:
    floats: Floats = column.to_numpy(zero_copy_only=False).astype(np.float64)
    return floats


def _buffers(column: pa.Array) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Return where each value begins and ends, and the bytes of all."""
    _, offsets, data = column.buffers()
    kind = np.int64 if pa.types.is_large_binary(column.type) else np.int32
    if offsets is None or data is None:
        return np.zeros(len(column) + 1, dtype=kind), np.empty(0, dtype=np.uint8)
    bounds = np.frombuffer(offsets, dtype=kind, count=column.offset + len(column) + 1)
    return bounds[column.offset :], np.frombuffer(data, dtype=np.uint8)


def _heads(
    offsets: NDArray[Any], data: NDArray[np.uint8], sizes: NDArray[Any], rows: NDArray[np.intp]
) -> NDArray[Any]:
    """Return the beginnings of values that are long enough."""
    if len(sizes) and (sizes == _HEAD.itemsize).all():  # as most files are: no bytes are moved
        return data[offsets[0] : offsets[-1]].view(_HEAD)[rows]
    if not len(rows):
        return np.empty(0, dtype=_HEAD)
    windows = np.lib.stride_tricks.sliding_window_view(data, _HEAD.itemsize)
    found: NDArray[Any] = windows[offsets[rows]].view(_HEAD)[:, 0]
    return found


def _sizes(types: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return how many bytes a point of each type has; 0 for what is no plain point."""
    sizes = np.where(types == _POINT, _HEAD.itemsize, 0)
    if not sizes.all():
        for kind, size in _SIZES.items():
            sizes[types == kind] = size
    return sizes


def _read_slowly(column: pa.Array, rows: NDArray[np.intp], first: int) -> Floats:
    texts = column.take(pa.array(rows)).to_pylist()
    try:
        points = shapely.from_wkb(texts)
    except shapely.errors.GEOSException as error:
        raise UnreadablePoints(f"between rows {first} and {first + len(column)}: {error}") from None
    bad = np.flatnonzero(shapely.get_type_id(points) != shapely.GeometryType.POINT)
    if bad.size:
        found = points[bad[0]].geom_type
        raise WrongGeometryType(f"row {first + rows[bad[0]]} is a {found}, where Point belongs")
    xy = np.full((len(points), 2), np.nan)
    full = ~shapely.is_empty(points)
    xy[full] = shapely.get_coordinates(points[full])
    return xy
