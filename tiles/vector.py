"""A snapshot as vector tiles: the select of its features inside ST_AsMVT."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from layers.model import Layer
from layers.reading.forms import srid_of_crs
from layers.reading.outputs import finite
from layers.reading.sights import FLAG
from layers.store import Snapshot
from tiles.errors import NotAnInstant
from tiles.grids import Place

EXTENT = 4096
# Drawn beyond the tile's edge, in its units, so that outlines and symbols join.
BUFFER = 64
MEDIA_TYPE = "application/vnd.mapbox-vector-tile"


def tile(snapshot: Snapshot, where: Place) -> bytes:
    """Return a vector tile of a snapshot at an instant.

    Parameters
    ----------
    snapshot : Snapshot
        At an instant, never an interval: a tile shows one state of the world.
    where : Place
        The tile.

    Returns
    -------
    bytes
        A Mapbox vector tile with one layer, named after the collection; its features carry
        ``id``, ``valid_from``, ``valid_to`` and the fields that the reader may see. Empty where
        nothing lies in the tile.

    Raises
    ------
    NotAnInstant
        Where the snapshot is of an interval.
    """
    if not isinstance(snapshot.moment.when, datetime):
        raise NotAnInstant("a tile shows one instant; give datetime=<instant>, not an interval")
    west, south, east, north = where.bounds
    margin = (east - west) * BUFFER / EXTENT
    box = (west - margin, south - margin, east + margin, north + margin)
    if where.crs.is_geographic:
        # Nothing lies beyond, and no other system has an image of it.
        box = (max(box[0], -180.0), max(box[1], -90.0), min(box[2], 180.0), min(box[3], 90.0))
    content = snapshot.where(bbox=box, bbox_crs=where.crs, restricted=False).scalar(
        lambda select, record: _as_mvt(select, record, where)
    )
    return bytes(content or b"")


def _as_mvt(select: sa.Select[Any], record: Layer, where: Place) -> sa.Select[Any]:
    rows = select.subquery("rows")
    srid = srid_of_crs(where.crs)
    envelope = sa.func.ST_MakeEnvelope(*where.bounds, srid)
    geom = sa.func.ST_AsMVTGeom(
        sa.func.ST_Transform(rows.c._geom, srid), envelope, EXTENT, BUFFER, True
    )
    own = ("_fid", "_valid_from", "_valid_to", "_hash", "_geom")
    shaped = sa.select(
        rows.c._fid.label("id"),
        _text(rows.c._valid_from).label("valid_from"),
        _text(finite(rows.c._valid_to)).label("valid_to"),
        *(c for c in rows.c if c.name not in own and not c.name.startswith(FLAG)),
        geom.label("_geom"),
    ).subquery("shaped")
    # The whole row goes in; ST_AsMVT takes every other column as an attribute.
    whole: Any = sa.literal_column("shaped")
    mvt = sa.func.ST_AsMVT(whole, record.id, EXTENT, "_geom", type_=sa.LargeBinary)
    return sa.select(mvt).select_from(shaped).where(shaped.c._geom.is_not(None))


def _text(instant: Any) -> sa.ColumnElement[str]:
    """An instant as RFC 3339 text, which a vector tile can hold."""
    utc = sa.func.timezone("UTC", instant)
    return sa.func.to_char(utc, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
