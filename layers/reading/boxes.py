"""Boxes: bounds of a read, in whatever reference system, as those of a layer's storage."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import sqlalchemy as sa
from pyproj import CRS, Transformer

from layers.errors import BadQuery
from layers.model import Layer
from layers.reading.inputs import BOX, given
from layers.tables import srid_of
from spatial.crs import CRS84, parse_crs

Box = tuple[float, float, float, float]
LONLAT = parse_crs(CRS84)


def meets_box(geom: Any, layer: Layer, box: Box, crs: CRS) -> sa.ColumnElement[bool]:
    """Return the condition that a geometry meets a box, which may cross 180 degrees."""
    return sa.or_(*(_meets_envelope(geom, layer, part, crs) for part in split_box(box, crs)))


def storage_bounds(layer: Layer, box: Box, crs: CRS) -> Box:
    """Return a box in the layer's storage reference system, large enough to hold the box asked.

    Raises
    ------
    BadQuery
        Where the box has no place in that system.
    """
    target = parse_crs(layer.schema.crs)
    transformer = _way(crs, target)
    if transformer is None:
        return box
    bounds = transformer.transform_bounds(*box, densify_pts=21)
    if not np.isfinite(bounds).all():
        # A world-wide box has no image in a local projection: everything there is, then.
        area = target.area_of_use
        if area is None:
            raise BadQuery(f"bbox {box} can't be expressed in {layer.schema.crs}")
        clipped = (
            max(box[0], area.west),
            max(box[1], area.south),
            min(box[2], area.east),
            min(box[3], area.north),
        )
        if clipped[0] > clipped[2] or clipped[1] > clipped[3]:
            return (0.0, 0.0, 0.0, 0.0)
        bounds = transformer.transform_bounds(*clipped, densify_pts=21)
    west, south, east, north = (float(b) for b in bounds)
    return west, south, east, north


def storage_box(layer: Layer, box: Box, crs: CRS) -> Box | None:
    """Return the box that `meets_box` compares with; None where it falls into two."""
    parts = split_box(box, crs)
    return storage_bounds(layer, parts[0], crs) if len(parts) == 1 else None


def lonlat_to(crs: str) -> Callable[..., Any]:
    """Return the transformation of longitudes and latitudes into a storage reference system."""
    return _transformer(LONLAT, parse_crs(crs)).transform


# By the objects themselves, which stand beside it: to compare systems, or to hash them, takes
# longer than a small read.
_WAYS: dict[tuple[int, int], tuple[CRS, CRS, Transformer | None]] = {}
_MOST = 64


def _way(source: CRS, target: CRS) -> Transformer | None:
    """The transformation from one system to another; None where they are the same."""
    key = (id(source), id(target))
    found = _WAYS.get(key)
    if found is None:
        if len(_WAYS) >= _MOST:
            _WAYS.clear()
        made = None if source == target else _transformer(source, target)
        found = _WAYS[key] = (source, target, made)
    return found[2]


# Kept: to make one takes PROJ 0.4 s for CGCS2000, a hundred times what the read itself does.
@lru_cache(maxsize=_MOST)
def _transformer(source: CRS, target: CRS) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def _meets_envelope(geom: Any, layer: Layer, box: Box, crs: CRS) -> sa.ColumnElement[bool]:
    bounds = storage_bounds(layer, box, crs)
    corners = (given(name, value, sa.Double) for name, value in zip(BOX, bounds, strict=True))
    envelope = sa.func.ST_MakeEnvelope(*corners, sa.literal_column(str(srid_of(layer.schema))))
    # A shape within the box needs no exact test: half the filter's cost on large pages.
    exact = sa.or_(geom.op("@")(envelope), sa.func.ST_Intersects(geom, envelope))
    return sa.and_(geom.op("&&")(envelope), exact)


def split_box(box: Box, crs: CRS = LONLAT) -> list[Box]:
    """Return a box, or the two that it is where it crosses 180 degrees."""
    west, south, east, north = box
    if west <= east or not crs.is_geographic:
        return [box]
    return [(west, south, 180.0, north), (-180.0, south, east, north)]
