"""Tiles of lines and areas in degrees: PostgreSQL selects the features, kernels draw them.

The select's features go into a few large values: their geometries as one run of well-known binary,
each attribute as one array of those that are large enough to have it.
What is drawn of a version is a function of that version, the tile and the content alone, as it is
in `tiles.vector`, whose rule it is: the same features with the same attributes, each corner on the
same lattice.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from layers.model import Layer, Schema
from layers.reading.kept import Rows
from layers.store import Snapshot
from spatial.drawing.sphere import DEGREE_M
from tiles.columns import value_of
from tiles.content import CELL, COUNT, EXTENT, OWN, Content, is_point_layer
from tiles.grids import Place
from tiles.lattices import BUFFER, constant, size_in_units, units

if TYPE_CHECKING:
    from spatial.drawing.lattices import Lattice
    from spatial.drawing.shapes import Drawn

# From there on a tile by the rule has so many attributes that PostgreSQL writes it as soon.
BELOW_ZOOM = 15
# Of a few attributes that every feature has kernels are sooner at all zooms; but further down what
# is as large as the world would have more units than a tile's whole numbers.
_FEW, _FEW_BELOW_ZOOM = 6, 19
# Of so many bytes of geometry a tile is drawn in a few milliseconds: nobody's thread is needed.
_SMALL_BYTES = 1 << 17
# Of what is stored larger than this, corners nearer than a tenth of a unit are passed over: where
# the grid is in metres, a degree of them.
_LARGE_BYTES = 1 << 16
_NEAR_UNITS = 0.1
_DEGREES = ("OGC:CRS84", "EPSG:4326", "EPSG:4490")
_SHAPES, _SIZES, _IDS, _COUNTED = "_shapes", "_sizes", "_ids", "_counted"

Floats = NDArray[np.float64]
Int32s = NDArray[np.int32]


def is_dense(schema: Schema, where: Place, content: Content) -> bool:
    """Return whether kernels draw a tile: of lines or areas stored in degrees, with few attributes.

    Where each feature has many, PostgreSQL writes them as soon.
    """
    if not content.draws or is_point_layer(schema):
        return False
    if not content.counts and len(content.sizes) > _FEW:
        return False
    if where.scale >= (BELOW_ZOOM if content.counts else _FEW_BELOW_ZOOM):
        return False
    shape = schema.geometry.removeprefix("Multi")
    return schema.crs in _DEGREES and shape in ("Polygon", "LineString")


def body_of(narrowed: Snapshot, where: Place, content: Content, found: Rows) -> bytes:
    """Return a vector tile of what `gather` selected; empty where nothing lies in it.

    Parameters
    ----------
    narrowed : Snapshot
        Of the features that meet the tile with its margin.
    where : Place
        For which `is_dense` holds.
    """
    return _Tile(narrowed.schema, narrowed.layer.record.id, where, content, found).body()


def is_soon_drawn(found: Rows) -> bool:
    """Return whether a tile takes so little that others can wait for it meanwhile."""
    # Loading the kernels takes long, once.
    if "spatial.drawing.encoding" not in sys.modules:
        return False
    shapes = found.rows[0][list(found.columns).index(_SHAPES)]
    return len(shapes or b"") <= _SMALL_BYTES


def gather(select: sa.Select[Any], record: Layer, where: Place, content: Content) -> sa.Select[Any]:
    """Return the select that puts a tile's features into one row, in whatever order they come.

    All values have the same order. To sort whole rows takes the database longer than all else.

    Returns
    -------
    Select
        ``_shapes``, the geometries of what is drawn; ``_sizes``, its sizes as doubles of the
        highest byte first; ``_ids``; ``_counted``, longitude and latitude of the middle of what is
        counted, as such; and of each attribute an array, of those that are large enough to have it.
    """
    rows = select.subquery("rows")
    names = attributes(content)
    own = ("_fid", "_geom", "_valid_from", "_valid_to")
    columns = [rows.c[name] for name in (*own, *(n for n in names if n not in OWN))]
    # Fenced, or box and size would be worked out wherever they are used.
    box = sa.func.box3d(rows.c._geom).label("_box")
    boxed = sa.select(*columns, box).offset(sa.literal_column("0")).subquery()
    measured = size_in_units(boxed.c._box, record.schema, where).label("_size")
    ready = sa.select(*boxed.c, measured).offset(sa.literal_column("0")).subquery("ready")
    least = constant(content.counted_below)
    size = ready.c._size
    parts = [
        _of_size(_joined(_binary(ready.c._geom, where)), size, content, 0.0, _SHAPES),
        _of_size(_joined(sa.func.float8send(size)), size, content, 0.0, _SIZES),
        _of_size(_array(ready.c._fid), size, content, 0.0, _IDS),
    ]
    if content.counts:
        parts.append(_joined(_middle(ready.c._box)).filter(size < least).label(_COUNTED))
    for name, from_size in names.items():
        # Here, and not before: what is left out by its size is not put into words either.
        plain = _plain(value_of(ready.c, name))
        parts.append(_of_size(_array(plain), size, content, from_size, f"_of_{name}"))
    return sa.select(*parts).select_from(ready)


def attributes(content: Content) -> dict[str, float]:
    """Return the attributes of what is drawn, each with the size from which on it is there."""
    sizes = dict(content.sizes)
    if content.counts:
        sizes.pop(COUNT, None)
    return sizes


def _plain(value: Any) -> Any:
    """A value as a tile can hold it: dates are text."""
    if isinstance(value.type, sa.Text | sa.Boolean | sa.Integer | sa.Double):
        return value
    return sa.cast(value, sa.Double if isinstance(value.type, sa.Numeric) else sa.Text)


def _binary(geom: Any, where: Place) -> Any:
    """A geometry as bytes; of one with very many corners, without those that are too near."""
    unit = _NEAR_UNITS if where.crs.is_geographic else _NEAR_UNITS / DEGREE_M
    near = constant(unit) / units(where)
    large = sa.func.pg_column_size(geom) > sa.literal_column(str(_LARGE_BYTES))
    fewer = sa.case((large, sa.func.ST_RemoveRepeatedPoints(geom, near)), else_=geom)
    return sa.func.ST_AsBinary(fewer, sa.literal_column("'NDR'"))


def _joined(value: Any) -> Any:
    return sa.func.string_agg(value, sa.literal_column("''::bytea"), type_=sa.LargeBinary)


def _array(value: Any) -> Any:
    return sa.func.array_agg(value, type_=sa.ARRAY(value.type))


def _of_size(made: Any, size: Any, content: Content, from_size: float, name: str) -> Any:
    least = max(from_size, content.counted_below)
    return (made.filter(size >= constant(least)) if least > 0 else made).label(name)


def _middle(box: Any) -> Any:
    x = (sa.func.ST_XMin(box) + sa.func.ST_XMax(box)) / 2.0
    y = (sa.func.ST_YMin(box) + sa.func.ST_YMax(box)) / 2.0
    return sa.func.float8send(x).op("||")(sa.func.float8send(y))


class _Tile:
    """What was gathered of a tile, and what it is drawn with."""

    def __init__(
        self, schema: Schema, name: str, where: Place, content: Content, found: Rows
    ) -> None:
        self.schema, self.name, self.where, self.content = schema, name, where, content
        self.row = dict(zip(found.columns, found.rows[0], strict=False))
        ids = self.row[_IDS] or []
        # By code points, which is by bytes.
        self.order = np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64)

    def body(self) -> bytes:
        """The bytes of the tile."""
        from spatial.drawing import encoding

        drawn = self._drawn()
        drawn = drawn._replace(first=drawn.first[self.order], end=drawn.end[self.order])
        cells, counts = self._cells() if self.content.counts else (None, ())
        if not len(counts) and not (drawn.end > drawn.first).any():
            return b""
        names = list(attributes(self.content))
        table = _Table()
        tags = self._tags(drawn, table)
        kind = encoding.POLYGON if self._is_area else encoding.LINE
        features = [encoding.encode(drawn, kind, tags).tobytes()]
        if cells is not None:
            names.append(COUNT)
            tags = np.full((len(counts), len(names)), -1, np.int32)
            tags[:, -1] = table.places(counts)
            features.append(encoding.encode(cells, encoding.POINT, tags).tobytes())
        return encoding.layer(self.name, EXTENT, names, table.values, features)

    @property
    def _is_area(self) -> bool:
        return self.schema.geometry.endswith("Polygon")

    def _drawn(self) -> Drawn:
        from spatial.drawing.lines import draw_lines
        from spatial.drawing.mending import mend
        from spatial.drawing.polygons import draw_polygons

        shapes = np.frombuffer(self.row[_SHAPES] or b"", np.uint8)
        within = (float(-BUFFER), float(EXTENT + BUFFER))
        lattice = lattice_of(self.where)
        if self._is_area:
            return mend(draw_polygons(shapes, len(self._sizes), lattice, *within))
        return draw_lines(shapes, len(self._sizes), lattice, *within)

    @cached_property
    def _sizes(self) -> Floats:
        return np.frombuffer(self.row[_SIZES] or b"", ">f8").astype(np.float64)

    def _tags(self, drawn: Drawn, table: _Table) -> Int32s:
        names = attributes(self.content)
        tags = np.full((len(drawn.first), len(names)), -1, np.int32)
        seen = drawn.end > drawn.first
        for key, (name, from_size) in enumerate(names.items()):
            told = self.row[f"_of_{name}"]
            if told is None:
                continue
            large = self._sizes >= from_size if from_size > 0 else np.ones(len(seen), dtype=bool)
            places = (np.cumsum(large) - 1)[self.order]
            large = large[self.order] & seen
            tags[large, key] = table.places(list(map(told.__getitem__, places[large].tolist())))
        return tags

    def _cells(self) -> tuple[Drawn, Sequence[int]]:
        """Points in the middle of cells, in their order, and how many things are in each."""
        from spatial.drawing.cells import counted

        middles = np.frombuffer(self.row.get(_COUNTED) or b"", ">f8").reshape(-1, 2)
        west, _, _, north = self.where.bounds
        return counted(
            middles.astype(np.float64),
            bool(self.where.crs.is_geographic),
            (west, north),
            self.where.unit * CELL,
            EXTENT // CELL,
            CELL,
        )


class _Table:
    """The values of a tile, each once."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}

    @property
    def values(self) -> list[bytes]:
        """All of them, in their order."""
        return list(self._places)

    def places(self, told: Sequence[Any]) -> Int32s:
        """Return the places of values; -1 where there is none."""
        from spatial.drawing.encoding import value

        own: dict[Any, int] = {None: -1}
        for found in dict.fromkeys(told):
            if found is not None:
                own[found] = self._places.setdefault(value(found), len(self._places))
        return np.fromiter(map(own.__getitem__, told), np.int32, len(told))


def lattice_of(where: Place) -> Lattice:
    """Return the lattice of a tile over degrees."""
    from spatial.drawing.lattices import of_degrees, of_mercator

    west, south, _, north = where.bounds
    if where.crs.is_geographic:
        return of_degrees(west, north, where.unit)
    return of_mercator(west, south, north, where.unit)
