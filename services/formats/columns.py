"""Parts of a stream as Arrow batches, whose columns have names of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
from pyproj import CRS

from layers.model import Field, FieldType
from layers.reading.streams import Part
from layers.rows.columns import ARROW_TYPES

# The names that the version itself needs; a field of such a name has underscores after it.
PERIOD = ("id", "valid_from", "valid_to")
TAKEN = frozenset((*PERIOD, "geometry", "bbox"))


def names_of(fields: Sequence[Field]) -> list[str]:
    """Return the names of the fields' columns, all different.

    Names that differ by case alone are different here; GDAL's and PostgreSQL's own are too.
    """
    found: list[str] = []
    own = {f.id for f in fields}
    for f in fields:
        name = f.id
        while name in TAKEN or (name != f.id and name in own) or name in found:
            name += "_"
        found.append(name)
    return found


def schema_of(fields: Sequence[Field], geometry: Mapping[bytes, bytes]) -> pa.Schema:
    """Return the schema of the batches.

    Parameters
    ----------
    geometry : mapping
        What is said of the geometry's column.
    """
    instant = ARROW_TYPES[FieldType.INSTANT]
    kinds = [pa.field("id", pa.string(), nullable=False), pa.field("valid_from", instant)]
    kinds.append(pa.field("valid_to", instant))
    names = names_of(fields)
    kinds += [pa.field(n, ARROW_TYPES[f.type]) for n, f in zip(names, fields, strict=True)]
    kinds.append(pa.field("geometry", pa.binary(), metadata=dict(geometry)))
    return pa.schema(kinds)


def batch_of(part: Part, schema: pa.Schema) -> pa.RecordBatch:
    """Return a part as a batch of a schema that `schema_of` made."""
    return pa.RecordBatch.from_arrays(columns_of(part), schema=schema)


def columns_of(part: Part) -> list[pa.Array]:
    """Return the columns of a part as `schema_of` orders them."""
    values = (part.values[f.id] for f in part.fields)
    return [part.ids, part.starts, part.ends, *values, part.geometry]


def geoarrow(crs: CRS) -> dict[bytes, bytes]:
    """Return what marks a column as WKB in a reference system, which others understand."""
    return {
        b"ARROW:extension:name": b"geoarrow.wkb",
        b"ARROW:extension:metadata": b'{"crs": ' + crs.to_json().encode() + b"}",
    }


def batches_of(parts: Iterator[Part], crs: CRS) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return a stream's schema, for which its first part is read, and all of its batches."""
    first = next(parts)
    schema = schema_of(first.fields, geoarrow(crs))

    def every() -> Iterator[pa.RecordBatch]:
        yield batch_of(first, schema)
        for part in parts:
            yield batch_of(part, schema)

    return schema, every()
