"""What an edit states, in the types of the schema: fields and shape, checked as a source's are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from pyproj import CRS
from shapely.geometry import shape

from layers.batches import Batch
from layers.edits import UNSTATED, Insert, Put, Update
from layers.errors import BadKey, BadValue
from layers.model import Field, Layer, Schema
from layers.report import Findings
from layers.rows.columns import Conversion
from layers.tables import srid_of
from spatial.crs import parse_crs


@dataclass(frozen=True)
class Statement:
    """The typed values that one edit states, and the id that its key fields make."""

    values: Mapping[str, Any]
    key: str | None


def read_statements(
    record: Layer, edits: Sequence[Insert | Update | Put], crs: CRS | None, findings: Findings
) -> list[Statement]:
    """Return what edits state, in their order.

    Raises
    ------
    BadValue
        For a field that there is not, a value that it can't hold, or a shape of another kind.
    """
    if not edits:
        return []
    schema = record.schema
    fields = {f.id: f for f in (*schema.stored, *schema.restricted)}
    for edit in edits:
        for name in edit.properties:
            if name not in fields:
                raise BadValue(_unknown(schema, name))
    stated = {f for edit in edits for f in edit.properties}
    columns = {n: _column([e.properties.get(n) for e in edits]) for n in fields if n in stated}
    shapes = np.array([_shape(e.geometry, n) for n, e in enumerate(edits, 1)], dtype=object)
    conversion = Conversion(
        schema, {n: n for n in columns}, {}, crs or parse_crs(schema.crs), findings
    )
    batch = Batch(1, columns, shapes)
    table = conversion.table(batch).to_pylist()
    srid = srid_of(schema)
    return [_statement(edit, row, srid) for edit, row in zip(edits, table, strict=True)]


def blank(schema: Schema) -> dict[str, Any]:
    """Return a content in which nothing is stated."""
    return {f.id: None for f in (*schema.stored, *schema.restricted)} | {"_geom": None}


def feature_id(record: Layer, edit: Insert | Put, stated: Statement) -> str | None:
    """Return the id that an edit states, or its key fields make; None where neither does.

    Raises
    ------
    BadKey
        Where the two differ, or an id is given to a feature that has no key.
    """
    given, made = edit.id, stated.key
    if given is None or given == made:
        return made
    if made is not None:
        raise BadKey(f"id {given!r} differs from {made!r}, which the key fields make; leave it out")
    if not given.startswith("~"):
        raise BadKey(
            f"id {given!r}: features of {record.id} without a key are named by the store; leave "
            "the id out, or state the key fields"
        )
    return given


def unkeyed_id(values: Mapping[str, Any], salt: int) -> str:
    """Return a name made of a content, for a feature without a key; salted where it is taken."""
    text = repr(sorted(values.items())) + (f"#{salt}" if salt else "")
    return f"~{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def check_required(schema: Schema, feature: str, values: Mapping[str, Any]) -> None:
    """Raise where a field that the schema requires has no value.

    Raises
    ------
    BadValue
        Naming the field and the feature.
    """
    for f in (*schema.stored, *schema.restricted):
        if f.required and values[f.id] is None:
            raise BadValue(f"field {f.id} is required, and absent in {feature!r}; state it")


def _statement(edit: Insert | Update | Put, row: Mapping[str, Any], srid: int) -> Statement:
    values = {name: row[name] for name in edit.properties}
    if edit.geometry is not UNSTATED:
        values["_geom"] = row["_geom"] and _as_stored(row["_geom"], srid)
    return Statement(values, row["_key"])


def _as_stored(wkb: bytes, srid: int) -> str:
    """Return a shape as the database writes it, with which it is going to be compared."""
    shape = shapely.set_srid(shapely.from_wkb(wkb), srid)
    return str(shapely.to_wkb(shape, hex=True, include_srid=True))


def _column(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        # Numbers among texts: the schema says what they all are.
        texts = [v if v is None or isinstance(v, str) else _text(v) for v in values]
        return pa.array(texts, pa.string())


def _text(value: Any) -> str:
    if isinstance(value, Mapping | Sequence):
        raise BadValue(f"{value!r} is no single value; state a text, a number or a date")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _shape(geometry: Any, number: int) -> Any:
    if geometry is UNSTATED or geometry is None:
        return None
    if isinstance(geometry, Mapping):
        try:
            geometry = shape(geometry)
        except (shapely.errors.ShapelyError, ValueError, TypeError, AttributeError, KeyError):
            raise BadValue(f"edit {number}: its geometry is no GeoJSON geometry") from None
    if not isinstance(geometry, shapely.Geometry):
        raise BadValue(f"edit {number}: {type(geometry).__name__} is no geometry")
    return geometry


def _unknown(schema: Schema, name: str) -> str:
    known: tuple[Field, ...] = (*schema.stored, *schema.restricted)
    period = schema.find(name)
    if period is not None and period.is_period:
        return f"{name} is the version's period; state it as valid_from or valid_to of the edit"
    return f"there is no field {name!r}; there are: {', '.join(f.id for f in known)}"
