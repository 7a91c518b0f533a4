"""Shapes that are nested too deep are found before GEOS reads them, in whatever dialect."""

from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa
import pytest
import shapely

from spatial.nesting import MOST, deep_rows, text_depth

POINT = struct.pack("<BIdd", 1, 1, 1.0, 2.0)


def chain(header: bytes, levels: int, last: bytes = POINT) -> bytes:
    return header * levels + last


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<BII", 1, 7, 1),
        struct.pack(">BII", 0, 7, 1),
        struct.pack("<BII", 1, 1007, 1),
        struct.pack("<BII", 1, 3007, 1),
        struct.pack("<BII", 1, 0x80000007, 1),
        struct.pack("<BIII", 1, 0xA0000007, 4326, 1),
        struct.pack("<BII", 1, 6, 1),
        struct.pack("<BII", 1, 11, 1),
        struct.pack("<BII", 1, 0x00010007, 1),
        struct.pack("<BII", 2, 7, 1),
    ],
)
def test_every_dialect(header: bytes) -> None:
    assert deep_rows(pa.array([POINT, None, chain(header, 9000)])).tolist() == [2]
    behind = struct.pack("<BII", 1, 7, 3) + POINT + shapely.box(0, 0, 1, 1).wkb
    assert deep_rows(pa.array([behind + chain(header, 9000)])).tolist() == [0]


def test_large_shapes_that_are_flat() -> None:
    boxes = [shapely.box(n, 0, n + 1, 1) for n in range(2000)]
    line = shapely.LineString(np.random.default_rng(1).random((5000, 3)))
    many = [
        shapely.MultiPolygon(boxes),
        shapely.GeometryCollection([shapely.MultiPolygon(boxes), line, shapely.Point(1, 2, 3)]),
        shapely.Polygon(shapely.Point(0, 0).buffer(2, 500).exterior, [boxes[0].exterior]),
        line,
    ]
    for flavor in ("iso", "extended"):
        for order in (0, 1):
            blobs = shapely.to_wkb(many, flavor=flavor, byte_order=order)
            assert deep_rows(pa.array(blobs.tolist())).size == 0
    assert max(text_depth(shape.wkt) for shape in many) <= 5


def test_what_is_no_shape_is_left_to_who_reads_it() -> None:
    whole = chain(struct.pack("<BII", 1, 7, 1), 9000)
    odd = struct.pack("<BII", 1, 99, 1)
    for blob in (b"\1" * 5000, odd + whole, bytes(5000)):
        assert deep_rows(pa.array([blob])).size == 0
        with pytest.raises(shapely.errors.GEOSException):
            shapely.from_wkb(blob)


def test_text() -> None:
    deep = "GEOMETRYCOLLECTION (" * (MOST + 1) + "POINT (1 2)" + ")" * (MOST + 1)
    assert text_depth(deep) == MOST + 2
    assert text_depth('{"a": [' * 40) == 80
    assert text_depth("POINT (1 2), " * 1000) == 1
