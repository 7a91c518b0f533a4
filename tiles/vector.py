"""A snapshot as vector tiles: the select of its features inside ST_AsMVT.

What is drawn of a version is a function of that version, the tile and the content alone: its
geometry is moved to the tile's own units and cut at its margin by ST_AsMVTGeom. So no commit to
other features changes what a tile says of this one. Tiles of low zooms, which hold the most, are
drawn by kernels (`tiles.dense`), by the same rule. Features stand in the order of their ids: the
same features give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from layers.model import Layer
from layers.reading.boxes import Box
from layers.reading.forms import srid_of_crs
from layers.reading.inputs import given
from layers.reading.kept import Rows
from layers.store import Snapshot
from layers.tables import srid_of
from spatial.crs import parse_crs
from tiles.columns import value_of
from tiles.content import (
    CELL,
    COUNT,
    COUNTED_BELOW,
    EXTENT,
    GOAL_BYTES,
    ID,
    NEVER,
    VALID_FROM,
    VALID_TO,
    Content,
    content_of,
)
from tiles.dense import draw_dense, is_dense
from tiles.errors import NotAnInstant
from tiles.grids import Place
from tiles.lattices import BUFFER, UNIT, size_in_units
from tiles.thinning import LAST_FORESEEN, foreseen

MEDIA_TYPE = "application/vnd.mapbox-vector-tile"
_ENVELOPE = ("in_tilewest", "in_tilesouth", "in_tileeast", "in_tilenorth")
_MERCATOR = 3857
# Metres from the middle of the web's Mercator to its sides.
_MERCATOR_SIDE = 20037508.342789244
_EARTH_M = 6378137.0
# Degrees of latitude that the web's Mercator shows.
_MERCATOR_BOX = (-180.0, -85.06, 180.0, 85.06)
_TYPES = {ID: sa.Text(), VALID_FROM: sa.Text(), VALID_TO: sa.Text()}
# So large must a thing be to be drawn in a tile that was thinned as far as it goes.
_LARGEST_THINNED = 1024.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """A vector tile that was drawn.

    Attributes
    ----------
    body : bytes
        Empty where nothing lies in the tile.
    thinned : float or None
        The size in units under which features were counted because the tile would have been over
        its goal; None where it was not.
    """

    body: bytes
    thinned: float | None = None


def tile(snapshot: Snapshot, where: Place, names: tuple[str, ...] | None = None) -> bytes:
    """Return a vector tile of a snapshot at an instant.

    Parameters
    ----------
    snapshot : Snapshot
        At an instant, never an interval: a tile shows one state of the world.
    where : Place
        The tile.
    names : tuple of str, optional
        The attributes that every feature has; by the content rule where absent.

    Returns
    -------
    bytes
        A Mapbox vector tile with one layer, named after the collection. Empty where nothing lies
        in the tile.

    Raises
    ------
    NotAnInstant
        Where the snapshot is of an interval.
    """
    return draw(snapshot, where, names).body


def draw(snapshot: Snapshot, where: Place, names: tuple[str, ...] | None = None) -> Drawn:
    """Return a vector tile and how it was thinned; see `tile`."""
    whole = content = check(snapshot, where, names)
    looked = where.scale <= LAST_FORESEEN
    if looked:
        content = foreseen(_narrowed(snapshot, where), where, content)
    drawn = draw_as(snapshot, where, content)
    while (thinner := _thinner(drawn, content)) is not None:
        if not looked:
            looked, least = True, thinner.counted_below
            thinner = foreseen(_narrowed(snapshot, where), where, thinner)
            thinner = thinner.thinned(max(least, thinner.counted_below))
        content = thinner
        drawn = draw_as(snapshot, where, content)
    return drawn if content is whole else Drawn(drawn.body, content.counted_below)


async def draw_soon(
    snapshot: Snapshot, where: Place, names: tuple[str, ...] | None = None
) -> Drawn | None:
    """Return what `draw` does to whoever has an event loop; None where a thread must wait."""
    content = check(snapshot, where, names)
    if where.scale <= LAST_FORESEEN or is_dense(snapshot.schema, where, content):
        return None
    asked = _question(snapshot, where, content)
    found = await asked[0].told_soon(*asked[1:])
    if found is None:
        return None
    drawn = Drawn(_body_of(found))
    return drawn if _thinner(drawn, content) is None else None


def check(snapshot: Snapshot, where: Place, names: tuple[str, ...] | None) -> Content:
    """Return what the features of a tile are to be drawn with.

    Raises
    ------
    NotAnInstant
        Where the snapshot is of an interval.
    """
    if not isinstance(snapshot.moment.when, datetime):
        raise NotAnInstant("a tile shows one instant; give datetime=<instant>, not an interval")
    return content_of(snapshot.schema, open_fields(snapshot), where.scale, names)


def open_fields(snapshot: Snapshot) -> tuple[Any, ...]:
    """Return the fields that a tile of a snapshot may show: open ones, that are seen."""
    return snapshot.where(restricted=False).shown.fields


def draw_as(snapshot: Snapshot, where: Place, content: Content) -> Drawn:
    """Return a vector tile with a content that is not thinned any further."""
    narrowed, name, build, values = _question(snapshot, where, content)
    if is_dense(narrowed.schema, where, content):
        return Drawn(draw_dense(narrowed, where, content))
    return Drawn(_body_of(narrowed.told(name, build, values)))


def _question(
    snapshot: Snapshot, where: Place, content: Content
) -> tuple[Snapshot, Any, Callable[[sa.Select[Any], Layer], sa.Select[Any]], dict[str, Any]]:
    """The snapshot of a tile's features; and what is to be made of their select, by name."""
    narrowed = _narrowed(snapshot, where)
    name = ("mvt", where.matrix_set.id, content)
    values: dict[str, Any] = dict(zip(_ENVELOPE, where.bounds, strict=True))
    values[UNIT] = 1.0 / where.unit
    return narrowed, name, lambda select, record: mvt(select, record, where, content), values


def _narrowed(snapshot: Snapshot, where: Place) -> Snapshot:
    return snapshot.where(bbox=margin_of(where), bbox_crs=where.crs, restricted=False)


def margin_of(where: Place) -> Box:
    """Return the bounds of a tile with its margin, in its reference system; never past the world.

    Past 180 degrees is the other end of it, and what lies there is not beside the tile.
    """
    west, south, east, north = where.bounds
    margin = where.unit * BUFFER
    x, y = (180.0, 90.0) if where.crs.is_geographic else (_MERCATOR_SIDE, _MERCATOR_SIDE)
    return (
        max(west - margin, -x),
        max(south - margin, -y),
        min(east + margin, x),
        min(north + margin, y),
    )


def _body_of(found: Rows) -> bytes:
    return bytes(found.rows[0][0] or b"")


def _thinner(drawn: Drawn, content: Content) -> Content | None:
    """What to draw a tile with that is over its goal; None where it is not, or nothing helps."""
    over = len(drawn.body) / GOAL_BYTES
    if over <= 1 or not content.draws or content.counted_below >= _LARGEST_THINNED:
        return None
    # The number of things falls about with the square of the size from which on they are drawn.
    factor = 2.0 if over < 4 else 4.0
    return content.thinned(max(content.counted_below, COUNTED_BELOW / 2) * factor)


def mvt(select: sa.Select[Any], record: Layer, where: Place, content: Content) -> sa.Select[Any]:
    """Return the select of a tile's bytes around that of its features.

    Parameters
    ----------
    select : Select
        Of the features that meet the tile with its margin.
    record : Layer
        With the schema that it had at the revision.
    """
    rows = select.subquery("rows")
    sizes = {n: size for n, size in content.sizes if n in _TYPES or n in rows.c}
    if content.counts:
        sizes.pop(COUNT, None)
    parts = []
    if content.draws:
        parts.append(_drawn(rows, record, where, content, sizes))
    if content.counts:
        parts.append(_counted(rows, record, where, content, sizes))
    # By bytes: the order of letters is the database's, and takes longer.
    shaped = (parts[0] if len(parts) == 1 else sa.union_all(*parts)).subquery("shaped")
    order = sa.collate(shaped.c._order, "C")
    whole = sa.select(*(c for c in shaped.c if c.name != "_order")).order_by(order)
    ready = whole.subquery("ready")
    # The whole row goes in; ST_AsMVT takes every other column as an attribute.
    made: Any = sa.func.ST_AsMVT(
        sa.literal_column("ready"), record.id, EXTENT, "_geom", type_=sa.LargeBinary
    )
    return sa.select(made.label("tile")).select_from(ready)


def _drawn(
    rows: sa.Subquery, record: Layer, where: Place, content: Content, sizes: dict[str, float]
) -> sa.Select[Any]:
    sized = any(size > 0 for size in sizes.values()) or content.counts
    source: Any = rows
    size: Any = None
    if sized:
        measured = size_in_units(rows.c._geom, record.schema, where, where.unit)
        # Worked out once a row: without the fence each use of it would work it out again.
        source = (
            sa.select(*rows.c, measured.label("_size"))
            .offset(sa.literal_column("0"))
            .subquery("sized")
        )
        size = source.c._size
    columns = [
        _of_size(value_of(source.c, name), size, least).label(name) for name, least in sizes.items()
    ]
    if content.counts:
        columns.append(sa.cast(sa.null(), sa.Integer).label(COUNT))
    inner = sa.select(
        source.c._fid.label("_order"),
        *columns,
        geometry_in(source.c._geom, record, where).label("_geom"),
    )
    if content.counts:
        inner = inner.where(size >= _number(content.counted_below))
    # Fenced, or each geometry would be made once to be looked at and once more to be written.
    drawn = inner.offset(sa.literal_column("0")).subquery("drawn")
    return sa.select(*drawn.c).where(drawn.c._geom.is_not(None))


def _counted(
    rows: sa.Subquery, record: Layer, where: Place, content: Content, sizes: dict[str, float]
) -> sa.Select[Any]:
    geom = rows.c._geom
    placed = sa.select(*middle_in(geom, record, where)).where(geom.is_not(None))
    if content.counted_below < NEVER:
        measured = size_in_units(geom, record.schema, where, where.unit)
        placed = placed.where(measured < _number(content.counted_below))
    points = placed.offset(sa.literal_column("0")).subquery("points")
    column, row = cell_of(points.c._x, points.c._y, where)
    cells = (
        sa.select(
            column.label("i"), row.label("j"), sa.cast(sa.func.count(), sa.Integer).label(COUNT)
        )
        .group_by(sa.literal_column("1"), sa.literal_column("2"))
        .subquery("cells")
    )
    last = EXTENT // CELL
    i, j = cells.c.i, cells.c.j
    at = sa.func.ST_Point((i + 0.5) * _number(float(CELL)), (j + 0.5) * _number(float(CELL)))
    # Beside the ids, in an order of their own.
    order = sa.func.concat("\x7f", sa.func.to_char(j * last + i, "FM0000000"))
    nothing = [sa.cast(sa.null(), _type(rows, name)).label(name) for name in sizes]
    return sa.select(order.label("_order"), *nothing, cells.c[COUNT], at.label("_geom")).where(
        i.between(0, last - 1), j.between(0, last - 1)
    )


def middle_in(geom: Any, record: Layer, where: Place) -> tuple[Any, Any]:
    """Return where the middle of a stored geometry's box is, in a tile's reference system.

    From degrees to the web's Mercator it is worked out here: PostGIS takes longer to make a point,
    to move it and to read it again.
    """
    x = (sa.func.ST_XMin(geom) + sa.func.ST_XMax(geom)) / 2.0
    y = (sa.func.ST_YMin(geom) + sa.func.ST_YMax(geom)) / 2.0
    if _srid(where) == _MERCATOR and parse_crs(record.schema.crs).is_geographic:
        end = _number(_MERCATOR_BOX[3])
        bounded = sa.func.greatest(-end, sa.func.least(end, y))
        tangent = sa.func.tan(sa.func.radians(_number(45.0) + bounded / 2.0))
        x, y = x * _number(_MERCATOR_SIDE / 180.0), sa.func.ln(tangent) * _number(_EARTH_M)
        return x.label("_x"), y.label("_y")
    point = sa.func.ST_SetSRID(sa.func.ST_Point(x, y), _srid_number(srid_of(record.schema)))
    moved = moved_to(point, record, where)
    return sa.func.ST_X(moved).label("_x"), sa.func.ST_Y(moved).label("_y")


def cell_of(x: Any, y: Any, where: Place) -> tuple[Any, Any]:
    """Return column and row of the cell of a tile in which a point lies."""
    west, _, _, north = _envelope(where)
    per_cell = given(UNIT, 1.0 / where.unit, sa.Double) / _number(float(CELL))
    return sa.func.floor((x - west) * per_cell), sa.func.floor((north - y) * per_cell)


def geometry_in(geom: Any, record: Layer, where: Place) -> sa.ColumnElement[Any]:
    """Return a stored geometry in the units of a tile, cut at its margin."""
    envelope = sa.func.ST_MakeEnvelope(*_envelope(where), _srid_number(_srid(where)))
    moved = moved_to(_within_mercator(geom, record, where), record, where)
    margin: tuple[Any, ...] = (EXTENT, BUFFER, True)
    made: sa.ColumnElement[Any] = sa.func.ST_AsMVTGeom(moved, envelope, *margin)
    return made


def moved_to(geom: Any, record: Layer, where: Place) -> Any:
    """Return a stored geometry in the reference system of a tile."""
    srid = _srid(where)
    return geom if srid == srid_of(record.schema) else sa.func.ST_Transform(geom, srid)


def _within_mercator(geom: Any, record: Layer, where: Place) -> Any:
    """Cut off what the web's Mercator has no place for; a pole would be at infinity."""
    if _srid(where) != _MERCATOR or not parse_crs(record.schema.crs).is_geographic:
        return geom
    corners = (_number(c) for c in _MERCATOR_BOX)
    box = sa.func.ST_MakeEnvelope(*corners, _srid_number(srid_of(record.schema)))
    return sa.case((geom.op("@")(box), geom), else_=sa.func.ST_ClipByBox2D(geom, box))


def _envelope(where: Place) -> list[sa.BindParameter[Any]]:
    return [given(n, v, sa.Double) for n, v in zip(_ENVELOPE, where.bounds, strict=True)]


def _type(rows: sa.Subquery, name: str) -> Any:
    return _TYPES[name] if name in _TYPES else rows.c[name].type


def _of_size(value: Any, size: Any, least: float) -> Any:
    return value if least <= 0 else sa.case((size >= _number(least), value), else_=None)


def _number(number: float) -> sa.ColumnElement[float]:
    return sa.literal_column(repr(number), sa.Double)


def _srid_number(srid: int) -> sa.ColumnElement[int]:
    return sa.literal_column(str(srid), sa.Integer)


def _srid(where: Place) -> int:
    return srid_of_crs(where.crs)


__all__ = ["BUFFER", "MEDIA_TYPE", "Drawn", "draw", "draw_as", "draw_soon", "mvt", "tile"]
