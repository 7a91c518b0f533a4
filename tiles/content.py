"""What a tile shows at a zoom: which features are drawn, which are counted, what each says.

The rule goes by the size of a thing in the tile's own units (4096 a side), so that it is a function
of one version and the zoom, and of nothing beside it:

==================  ===============================================================
below 3 units       counted: one point a cell says how many there are
from 3 units        drawn, with the fields that have a code list: what styles colour by
from 24 units       its id, key and label as well
from 96 units       every field, and the period of the version
==================  ===============================================================

Points have no size: below zoom 12 they are counted, from there on they have their coded fields, and
from zoom 14 on all. A field may state the zoom from which on it is there (``zoom`` in its schema);
a request that names ``properties`` gets every feature with just those.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from layers.model import Field, Role, Schema

EXTENT = 4096
# Units of a cell in which small things are counted: 64 cells a side.
CELL = 64
COUNTED_BELOW = 3.0
NAMED_FROM = 24.0
DETAILED_FROM = 96.0
POINTS_FROM_ZOOM = 12
POINTS_WHOLE_FROM_ZOOM = 14
# What a tile should not be larger than: of more, MapLibre keeps a phone waiting.
GOAL_BYTES = 4 << 20
ID, VALID_FROM, VALID_TO, COUNT = "id", "valid_from", "valid_to", "count"
OWN = (ID, VALID_FROM, VALID_TO)
NEVER = math.inf


@dataclass(frozen=True)
class Content:
    """What the features of a tile are drawn with.

    Attributes
    ----------
    sizes : tuple of (str, float)
        Each attribute with the size, in units of the tile, from which on a feature has it.
    counted_below : float
        Size under which features are counted; 0 where none is, infinity where all are.
    """

    sizes: tuple[tuple[str, float], ...]
    counted_below: float = 0.0

    @property
    def counts(self) -> bool:
        """Whether some features may be counted."""
        return self.counted_below > 0

    @property
    def draws(self) -> bool:
        """Whether some features may be drawn."""
        return self.counted_below < NEVER

    def thinned(self, counted_below: float) -> Content:
        """Return the same with more of the small features counted."""
        return Content(self.sizes, counted_below)


def content_of(
    schema: Schema, fields: Iterable[Field], zoom: int, names: tuple[str, ...] | None = None
) -> Content:
    """Return what the features of a tile are drawn with.

    Parameters
    ----------
    schema : Schema
        Of the layer.
    fields : iterable of Field
        Those that the reader sees.
    zoom : int
        Of the web's Mercator grid, or what comes nearest to it.
    names : tuple of str, optional
        The attributes wanted: every feature is drawn then, and has just those.

    Examples
    --------
    >>> from layers.schemas.documents import parse_schema
    >>> schema = parse_schema({"title": "t", "geometry": "Polygon", "fields": [
    ...     {"id": "no", "role": "key"}, {"id": "use", "codes": {"1": "one"}}, {"id": "note"}]})
    >>> content_of(schema, schema.fields, 12).sizes
    (('id', 24.0), ('valid_from', 96.0), ('valid_to', 96.0), ('no', 24.0), ('use', 0.0), \
('note', 96.0))
    """
    if names is not None:
        return Content(tuple((name, 0.0) for name in names))
    is_point = is_point_layer(schema)
    least = _of_point if is_point else _of_size
    own = ((ID, Role.KEY), (VALID_FROM, None), (VALID_TO, None))
    sizes = [(name, least(role, False, zoom)) for name, role in own]
    for f in fields:
        size = least(f.role, bool(f.codes), zoom)
        if f.zoom is not None:
            size = 0.0 if zoom >= f.zoom else NEVER
        sizes.append((f.id, size))
    shown = tuple((name, size) for name, size in sizes if size < NEVER)
    if is_point:
        return Content(shown, NEVER if zoom < POINTS_FROM_ZOOM else 0.0)
    return Content(shown, COUNTED_BELOW)


def is_point_layer(schema: Schema) -> bool:
    """Return whether the layer's things are points, which have no size."""
    return schema.geometry.removeprefix("Multi").startswith("Point")


def _of_size(role: Role | None, coded: bool, zoom: int) -> float:
    if coded:
        return 0.0
    return NAMED_FROM if role in (Role.KEY, Role.LABEL, Role.CODE) else DETAILED_FROM


def _of_point(role: Role | None, coded: bool, zoom: int) -> float:
    if zoom < POINTS_FROM_ZOOM:
        return NEVER
    return 0.0 if coded or role is Role.KEY or zoom >= POINTS_WHOLE_FROM_ZOOM else NEVER


def stated(schema: Schema, fields: Iterable[Field]) -> dict[str, Any]:
    """Return the rule as a tileset's metadata states it."""
    told: dict[str, Any] = {
        "goalBytes": GOAL_BYTES,
        "cellUnits": CELL,
        "extent": EXTENT,
        "thinning": "A tile over its goal counts larger features too, and says so in the header "
        "Shikong-Thinned · 超过目标大小的瓦片会合并更大的要素，并在响应头 Shikong-Thinned 中说明",
    }
    if is_point_layer(schema):
        told["rule"] = (
            f"Below zoom {POINTS_FROM_ZOOM} features are counted by cell (attribute count); below "
            f"{POINTS_WHOLE_FROM_ZOOM} they have id, key and coded fields, then all · "
            f"{POINTS_FROM_ZOOM} 级以下按格网计数（count），{POINTS_WHOLE_FROM_ZOOM} 级以下只含"
            "标识和编码字段，以上含全部字段"
        )
    else:
        told["rule"] = (
            f"By size in tile units: below {COUNTED_BELOW:g} counted by cell (attribute count), "
            f"coded fields always, id, key, code and label from {NAMED_FROM:g}, everything from "
            f"{DETAILED_FROM:g} · 按要素在瓦片中的大小：小于 {COUNTED_BELOW:g} 个单位按格网计数"
            f"（count），编码字段始终包含，{NAMED_FROM:g} 起含标识与名称，"
            f"{DETAILED_FROM:g} 起含全部"
        )
    zooms = {f.id: f.zoom for f in fields if f.zoom is not None}
    if zooms:
        told["fieldsFromZoom"] = zooms
    return told
