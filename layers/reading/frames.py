"""Rows of a snapshot as frames and Arrow tables, typed as the schema says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import shapely
import sqlalchemy as sa

from layers.model import Field, FieldType, Schema
from layers.rows.columns import ARROW_TYPES
from spatial.crs import parse_crs

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

Rows = Sequence[sa.Row[Any]]


def as_frame(rows: Rows, schema: Schema, fields: Sequence[Field]) -> gpd.GeoDataFrame:
    """Return rows (id, start, end, fields, maybe others, WKB) as a GeoDataFrame.

    Returns
    -------
    GeoDataFrame
        Index ``id``; ``valid_from`` and ``valid_to`` (UTC, NaT while open); the fields;
        ``geometry`` in the schema's reference system.
    """
    # Late: pandas is 45 MB that a server which only answers does without.
    import geopandas as gpd
    import pandas as pd

    kinds = {column_name(f.id): f.type for f in fields}
    index = pd.Index([row[0] for row in rows], dtype=object, name="id")
    names = ["valid_from", "valid_to", *kinds, "geometry"]
    # As objects: integers beside a NULL would become floats, which can't hold the large ones.
    last = 3 + len(fields)
    values = [(*row[1:last], row[-1]) for row in rows]
    frame = pd.DataFrame(values, index=index, columns=names, dtype=object)
    for name, kind in kinds.items():
        frame[name] = _typed(frame[name], kind)
    for name in ("valid_from", "valid_to"):
        frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
    shapes = shapely.from_wkb(frame.pop("geometry").to_numpy(dtype=object))
    return gpd.GeoDataFrame(frame, geometry=shapes, crs=parse_crs(schema.crs))


def as_table(rows: Rows, schema: Schema, fields: Sequence[Field]) -> pa.Table:
    """Return rows (id, start, end, fields, maybe others, WKB) as an Arrow table.

    Returns
    -------
    pyarrow.Table
        ``id``, ``valid_from``, ``valid_to``, the fields, and ``geometry``: WKB, marked as
        ``geoarrow.wkb`` with its reference system, which geopandas, DuckDB and GDAL understand.
    """
    instant = ARROW_TYPES[FieldType.INSTANT]
    columns = [pa.field("id", pa.string()), pa.field("valid_from", instant)]
    columns += [pa.field("valid_to", instant)]
    columns += [pa.field(column_name(f.id), ARROW_TYPES[f.type]) for f in fields]
    crs = parse_crs(schema.crs).to_json().encode()
    marks = {
        b"ARROW:extension:name": b"geoarrow.wkb",
        b"ARROW:extension:metadata": b'{"crs": ' + crs + b', "crs_type": "projjson"}',
    }
    columns.append(pa.field("geometry", pa.binary(), metadata=marks))
    places = [*range(len(columns) - 1), -1]
    arrays = [
        pa.array([row[n] for row in rows], column.type)
        for n, column in zip(places, columns, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=pa.schema(columns))


def column_name(field_id: str) -> str:
    """Return a field's column: its id, but for the names that the version itself needs.

    >>> column_name("owner"), column_name("geometry")
    ('owner', 'geometry_')
    """
    return f"{field_id}_" if field_id in ("valid_from", "valid_to", "geometry") else field_id


def _typed(values: pd.Series[Any], kind: FieldType) -> pd.Series[Any]:
    if kind is FieldType.INTEGER:
        return values.astype("Int64")
    if kind is FieldType.NUMBER:
        return values.astype("float64")
    if kind is FieldType.BOOLEAN:
        return values.astype("boolean")
    if kind is FieldType.INSTANT:
        import pandas as pd

        return pd.to_datetime(values, utc=True).astype("datetime64[us, UTC]")
    return values.infer_objects()
