"""Rows of a source in batches: Arrow columns beside geometries, and what makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from layers.errors import BadSource
from spatial.datums import is_local
from spatial.nesting import deep_rows

# Each takes some 10 MB of parcels, and a few are in hand at once.
BATCH_ROWS = 4_096
RING_CLOSED = "ring closed"


@dataclass(frozen=True)
class Batch:
    """Some rows of a source.

    Attributes
    ----------
    first_row : int
        Number of the first row in the source, from 1.
    columns : mapping of str to pyarrow.Array
        The attributes.
    shapes : ndarray of shapely geometries, shape (n,), optional
        An element is None where a row has none.
    wkb : pyarrow.Array of bytes, optional
        Instead of shapes, or beside the same ones, where the source has them so. Without either,
        it has no geometry at all.
    repaired : tuple of (int, str)
        Rows whose shapes the source could not be read with as they are, and what was done.
    """

    first_row: int
    columns: Mapping[str, pa.Array]
    shapes: NDArray[np.object_] | None = None
    wkb: pa.Array | None = None
    repaired: tuple[tuple[int, str], ...] = ()

    def __len__(self) -> int:
        geometries = self.wkb if self.shapes is None else self.shapes
        if geometries is not None:
            return len(geometries)
        return len(next(iter(self.columns.values()), ()))

    @cached_property
    def geometries(self) -> NDArray[np.object_] | None:
        """The shapes, read from the WKB where they stand in that.

        Raises
        ------
        BadSource
            Where a shape can't be read.
        """
        if self.shapes is not None or self.wkb is None:
            return self.shapes
        return decode(self.wkb, np.arange(self.first_row, self.first_row + len(self)))


def decode(wkb: pa.Array, rows: NDArray[np.int64]) -> NDArray[np.object_]:
    """Return shapes from their WKB.

    Parameters
    ----------
    wkb : pyarrow.Array of bytes, shape (n,)
    rows : ndarray of int, shape (n,)
        Their numbers in the source.

    Raises
    ------
    BadSource
        Where one can't be read.
    """
    _refuse_deep(wkb, rows)
    plain = wkb.to_numpy(zero_copy_only=False)
    try:
        shapes: NDArray[np.object_] = shapely.from_wkb(plain)
    except (shapely.errors.ShapelyError, TypeError) as error:
        raise BadSource(_unreadable(plain, rows, error)) from None
    return shapes


def close_rings(batch: Batch) -> Batch:
    """Return a batch with its rings closed: those whose last point is not their first.

    Raises
    ------
    BadSource
        Where a shape can't be read for another reason.
    """
    if batch.wkb is None:
        return batch
    plain = batch.wkb.to_numpy(zero_copy_only=False)
    rows = np.arange(batch.first_row, batch.first_row + len(batch))
    _refuse_deep(batch.wkb, rows)
    try:
        return replace(batch, shapes=shapely.from_wkb(plain))
    except TypeError:
        return replace(batch, shapes=decode(batch.wkb, rows))
    except shapely.errors.ShapelyError:
        shapes = shapely.from_wkb(plain, on_invalid="fix")
    ajar = shapely.is_missing(shapely.from_wkb(plain, on_invalid="ignore"))
    ajar &= ~shapely.is_missing(shapes)
    closed = plain.copy()
    closed[ajar] = shapely.to_wkb(shapes[ajar], flavor="iso")
    wkb = pa.array(closed, pa.binary())
    told = tuple((int(row), RING_CLOSED) for row in rows[ajar])
    return replace(batch, shapes=decode(wkb, rows), wkb=wkb, repaired=(*batch.repaired, *told))


def _refuse_deep(wkb: pa.Array, rows: NDArray[np.int64]) -> None:
    deep = deep_rows(wkb)
    if deep.size:
        raise BadSource(
            f"geometry in row {rows[deep[0]]}: its parts are nested too deep; take it apart, or "
            "leave that row out"
        )


def _unreadable(wkb: NDArray[np.object_], rows: NDArray[np.int64], error: Exception) -> str:
    """Say which row it is, and whether its rings alone are what is wrong."""
    if isinstance(error, shapely.errors.ShapelyError):
        there = np.array([one is not None for one in wkb])
        bad = there & shapely.is_missing(shapely.from_wkb(wkb, on_invalid="ignore"))
        first = int(np.flatnonzero(bad)[0])
        remedy = "mend it, or leave that row out"
        if shapely.from_wkb(wkb[first], on_invalid="fix") is not None:
            remedy = f"say --repair rings, and rings are closed; or {remedy}"
        return f"geometry in row {rows[first]}: {first_line(error)}; {remedy}"
    return (
        f"geometry in rows {rows[0]} to {rows[-1]}: {first_line(error)}; mend it, or leave those "
        "rows out"
    )


def stated_crs(source: str, stated: Any) -> CRS:
    """Return the reference system that a file describes, by its code where it has one.

    Files describe it in full (WKT, PROJJSON) more often than they name it.
    """
    try:
        found = CRS.from_user_input(stated)
        if found.is_bound and found.source_crs is not None and is_local(found.source_crs):
            # Its code would name the datum, and lose the parameters that lead away from it.
            return found
        authority = found.to_authority()
        return found if authority is None else CRS.from_authority(*authority)
    except CRSError as error:
        raise BadSource(
            f"{source} states a reference system that can't be read ({first_line(error)}); "
            "mend the file, or take it out and give --crs"
        ) from None


def batch_of(first_row: int, table: pa.Table, geometry: str | None) -> Batch:
    """Return the rows of a table as a batch; `geometry` names its column of WKB, if it has one."""
    if geometry is None:
        return Batch(first_row, columns_of(table, ()))
    wkb = table.column(geometry).combine_chunks()
    return Batch(first_row, columns_of(table, (geometry,)), wkb=wkb)


def columns_of(table: pa.Table, left_out: tuple[str, ...]) -> dict[str, pa.Array]:
    """Return the columns of a table by their names, each in one piece."""
    return {
        name: table.column(name).combine_chunks()
        for name in table.column_names
        if name not in left_out
    }


def geometry_name(meta: Mapping[str, Any], schema: pa.Schema) -> str | None:
    """Return the name of the geometry column, as a reader tells it."""
    name = meta.get("geometry_name") or "wkb_geometry"
    return name if name in schema.names else None


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or else its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
