"""A snapshot as vector tiles: the select of its features inside ST_AsMVT.

What is drawn of a version is a function of that version, the tile and the content alone: its
geometry is moved to the tile's own units and cut at its margin by ST_AsMVTGeom. So no commit to
other features changes what a tile says of this one. Tiles of lines and areas with few attributes
are drawn by kernels (`tiles.dense`), by the same rule. Features stand in the order of their ids:
the same features give the same bytes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from layers.model import Layer
from layers.reading.kept import Rows
from layers.store import Snapshot
from tiles.cells import ORDER, PLACE, as_tile, counted
from tiles.columns import value_of
from tiles.content import (
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
from tiles.dense import body_of, gather, is_dense, is_soon_drawn
from tiles.errors import NotAnInstant
from tiles.grids import Place
from tiles.lattices import constant, geometry_in, margin_of, size_in_units, values_of
from tiles.thinning import LAST_FORESEEN, foreseen

MEDIA_TYPE = "application/vnd.mapbox-vector-tile"
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
    if content is not whole:
        drawn = Drawn(drawn.body, content.counted_below)
    return _thin(snapshot, where, content, drawn, looked=looked)


def _thin(
    snapshot: Snapshot, where: Place, content: Content, drawn: Drawn, *, looked: bool
) -> Drawn:
    """Draw a tile that is over its goal again, with less in it, until it is not."""
    while (thinner := _thinner(drawn, content)) is not None:
        if not looked:
            looked = True
            least = foreseen(_narrowed(snapshot, where), where, content).counted_below
            thinner = thinner.thinned(max(least, thinner.counted_below))
        content = thinner
        drawn = Drawn(draw_as(snapshot, where, content).body, content.counted_below)
    return drawn


async def draw_soon(
    snapshot: Snapshot, where: Place, names: tuple[str, ...] | None = None
) -> Drawn | None:
    """Return what `draw` does to whoever has an event loop; None where a thread must wait."""
    content = check(snapshot, where, names)
    if where.scale <= LAST_FORESEEN:
        return None
    asked = _question(snapshot, where, content)
    found = await asked.narrowed.told_soon(asked.name, asked.build, asked.values)
    if found is None:
        return None
    if asked.dense and not is_soon_drawn(found):
        drawn = Drawn(await asyncio.to_thread(asked.body, found))
    else:
        drawn = Drawn(asked.body(found))
    if _thinner(drawn, content) is None:
        return drawn
    return await asyncio.to_thread(_thin, snapshot, where, content, drawn, looked=False)


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
    return snapshot.shown_openly.fields


def draw_as(snapshot: Snapshot, where: Place, content: Content) -> Drawn:
    """Return a vector tile with a content that is not thinned any further."""
    asked = _question(snapshot, where, content)
    return Drawn(asked.body(asked.narrowed.told(asked.name, asked.build, asked.values)))


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked of the features of a tile, by a name, and what their answer is drawn with."""

    narrowed: Snapshot
    where: Place
    content: Content
    dense: bool

    @property
    def name(self) -> tuple[Any, ...]:
        return ("dense" if self.dense else "mvt", self.where.matrix_set.id, self.content)

    @property
    def values(self) -> dict[str, Any]:
        return values_of(self.where)

    def build(self, select: sa.Select[Any], record: Layer) -> sa.Select[Any]:
        make = gather if self.dense else mvt
        return make(select, record, self.where, self.content)

    def body(self, found: Rows) -> bytes:
        if self.dense:
            return body_of(self.narrowed, self.where, self.content, found)
        return bytes(found.rows[0][0] or b"")


def _question(snapshot: Snapshot, where: Place, content: Content) -> _Question:
    dense = is_dense(snapshot.schema, where, content)
    return _Question(_narrowed(snapshot, where), where, content, dense)


def _narrowed(snapshot: Snapshot, where: Place) -> Snapshot:
    return snapshot.where(bbox=margin_of(where), bbox_crs=where.crs, restricted=False)


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
    return as_tile(parts, record)


def _drawn(
    rows: sa.Subquery, record: Layer, where: Place, content: Content, sizes: dict[str, float]
) -> sa.Select[Any]:
    sized = any(size > 0 for size in sizes.values()) or content.counts
    source: Any = rows
    size: Any = None
    if sized:
        measured = size_in_units(rows.c._geom, record.schema, where)
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
        source.c._fid.label(ORDER),
        *columns,
        geometry_in(source.c._geom, record, where).label(PLACE),
    )
    if content.counts:
        inner = inner.where(size >= constant(content.counted_below))
    # Fenced, or each geometry would be made once to be looked at and once more to be written.
    drawn = inner.offset(sa.literal_column("0")).subquery("drawn")
    return sa.select(*drawn.c).where(drawn.c[PLACE].is_not(None))


def _counted(
    rows: sa.Subquery, record: Layer, where: Place, content: Content, sizes: dict[str, float]
) -> sa.Select[Any]:
    which: Any = sa.true()
    if content.counted_below < NEVER:
        size = size_in_units(rows.c._geom, record.schema, where)
        which = size < constant(content.counted_below)
    nothing = [sa.cast(sa.null(), _type(rows, name)).label(name) for name in sizes]
    return counted(rows, record, where, which, lambda cells: [*nothing, cells.c[COUNT]])


def _type(rows: sa.Subquery, name: str) -> Any:
    return _TYPES[name] if name in _TYPES else rows.c[name].type


def _of_size(value: Any, size: Any, least: float) -> Any:
    return value if least <= 0 else sa.case((size >= constant(least), value), else_=None)


__all__ = ["EXTENT", "MEDIA_TYPE", "Drawn", "draw", "draw_as", "draw_soon", "mvt", "tile"]
