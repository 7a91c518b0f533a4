"""What is made of a features select: counts, and rows with geometries that others can read."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pyproj import CRS

from layers.model import Layer
from layers.reading.boxes import LONLAT
from layers.reading.forms import Form, written_as
from layers.reading.ordering import Order
from layers.tables import FOREVER, INSTANT


def finite(instant: Any) -> sa.ColumnElement[datetime | None]:
    """Return an instant column with infinity as NULL, which is how Python has it."""
    return sa.func.nullif(instant, FOREVER, type_=INSTANT)


def count_features(select: sa.Select[Any]) -> sa.Select[Any]:
    """Return the select that counts the rows of another."""
    return sa.select(sa.func.count()).select_from(select.subquery("counted"))


def as_geojson(
    select: sa.Select[Any],
    layer: Layer,
    crs: CRS = LONLAT,
    *,
    place: CRS | None = None,
    order: Order | None = None,
    leaving: Collection[str] = (),
    geometry: bool = True,
) -> sa.Select[Any]:
    """Return a features select with the geometry as GeoJSON text.

    Parameters
    ----------
    crs : CRS
        Of the coordinates, in the order of axes that its authority states: longitude first in
        CRS84, latitude first in EPSG:4490, northing first in the zones of CGCS2000.
    place : CRS, optional
        Of a second column, `_place`.
    order : Order, optional
        Of the rows; by id and start where absent.
    leaving : collection of str
        Fields that are left out.
    geometry : bool
        Whether it is wanted; NULL otherwise.
    """
    rows = select.subquery("features")
    columns = _others(rows, leaving)
    named = {"_geom": crs} if place is None else {"_geom": crs, "_place": place}
    for name, system in named.items():
        written: Any = sa.null()
        if geometry:
            written = written_as(Form.GEOJSON, rows.c._geom, layer, system)
        columns.append(sa.type_coerce(written, sa.Text).label(name))
    return _ordered(sa.select(*columns), rows, order)


def as_wkb(select: sa.Select[Any], order: Order | None = None) -> sa.Select[Any]:
    """Return a features select with the geometry as WKB in the storage reference system."""
    rows = select.subquery("features")
    geom = sa.func.ST_AsBinary(rows.c._geom, type_=sa.LargeBinary).label("_geom")
    return _ordered(sa.select(*_others(rows, ()), geom), rows, order)


def _ordered(select: sa.Select[Any], rows: sa.Subquery, order: Order | None) -> sa.Select[Any]:
    if order is None:
        return select.order_by(rows.c._fid, rows.c._valid_from)
    return select.order_by(*order.by(rows.c))


def _others(rows: sa.Subquery, leaving: Collection[str]) -> list[Any]:
    columns: list[Any] = []
    for column in rows.c:
        if column.name == "_valid_to":
            columns.append(finite(column).label("_valid_to"))
        elif column.name not in ("_geom", "_hash", *leaving):
            columns.append(column)
    return columns
