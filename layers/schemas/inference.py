"""A schema for a source that came without one, and a schema changed by a publisher's options."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import shapely

from layers.errors import BadSchema, BadSource
from layers.model import Duplicates, Field, FieldType, Kind, Role, Schema, Title
from layers.schemas.documents import SYSTEM_NAMES
from layers.sources import Source
from spatial.crs import plane_of


@dataclass(frozen=True, slots=True)
class Choices:
    """What a publisher states on the command line, where no schema file does.

    Parameters
    ----------
    kind : Kind or None
        State where nothing is said.
    keys : tuple of str
        Columns, or field ids, of which the id is made.
    valid_from, valid_to : str or None
        Columns that hold a row's period; of an event, when it was reported.
    duplicates : Duplicates or None
        What becomes of rows that share a key.
    """

    kind: Kind | None = None
    keys: tuple[str, ...] = ()
    valid_from: str | None = None
    valid_to: str | None = None
    duplicates: Duplicates | None = None


def infer_schema(layer_id: str, source: Source, choices: Choices, crs: str | None = None) -> Schema:
    """Return a schema for a source: every column a field, the geometry as the rows have it.

    Reads the source once. Layers are internal until someone says otherwise.

    Raises
    ------
    BadSchema
        Where a column that the publisher named does not exist.
    BadSource
        Where the rows mix points, lines and polygons, or the reference system is not stated.
    """
    kinds, types = _survey(source)
    fields = tuple(
        Field(_field_id(name), types[name], Title(name, name), source=(name,)) for name in types
    )
    schema = Schema(
        kind=choices.kind or Kind.STATE,
        title=Title(layer_id, layer_id),
        geometry=_geometry(source, kinds, choices),
        fields=fields,
        crs=crs or _storage_crs(source),
    )
    return with_choices(schema, choices)


def with_choices(schema: Schema, choices: Choices) -> Schema:
    """Return a schema with the roles that a publisher's options give to its fields.

    Raises
    ------
    BadSchema
        Where an option names a field that the schema does not have, or contradicts it.

    Examples
    --------
    >>> from layers.schemas.documents import parse_schema
    >>> schema = parse_schema({"title": "t", "geometry": "Point", "fields": [{"id": "no"}]})
    >>> with_choices(schema, Choices(keys=("no",))).keys[0].id
    'no'
    """
    if choices.kind and choices.kind is not schema.kind and schema.fields:
        schema = dataclasses.replace(schema, kind=choices.kind)
    start = Role.EVENT_START if schema.kind is Kind.EVENT else Role.VALID_FROM
    if schema.with_role(Role.EVENT_START):
        start = Role.VALID_FROM
    wanted: list[tuple[str, Role]] = [(name, Role.KEY) for name in choices.keys]
    wanted += [
        (n, r) for n, r in ((choices.valid_from, start), (choices.valid_to, Role.VALID_TO)) if n
    ]
    for name, role in wanted:
        schema = _with_role(schema, name, role)
    if choices.keys:
        named = {_find(schema, name).id for name in choices.keys}
        schema = _map_fields(
            schema,
            lambda f: (
                dataclasses.replace(f, role=None) if f.role is Role.KEY and f.id not in named else f
            ),
        )
    if choices.duplicates:
        schema = dataclasses.replace(schema, duplicates=choices.duplicates)
    if schema.kind is Kind.EVENT and not schema.with_role(Role.EVENT_START):
        raise BadSchema(
            "an event layer needs to know when things were reported: --valid-from-field"
        )
    return schema


def _with_role(schema: Schema, name: str, role: Role) -> Schema:
    found = _find(schema, name)
    timed = (FieldType.DATE, FieldType.INSTANT)
    kind = found.type if role is Role.KEY or found.type in timed else FieldType.INSTANT
    changed = dataclasses.replace(found, role=role, type=kind)
    return _map_fields(schema, lambda f: changed if f is found else f)


def _map_fields(schema: Schema, change: Callable[[Field], Field]) -> Schema:
    return dataclasses.replace(schema, fields=tuple(map(change, schema.fields)))


def _find(schema: Schema, name: str) -> Field:
    for f in schema.fields:
        if name == f.id or name in f.source:
            return f
    known = ", ".join(f.id for f in schema.fields)
    raise BadSchema(f"there is no field {name!r}; there are: {known}")


def _field_id(name: str) -> str:
    """A column's name as a field id: the letters it has, cut to what PostgreSQL can hold."""
    text = re.sub(r"\W+", "_", name).strip("_") or "field"
    text = f"f_{text}" if text[0].isdigit() or text in SYSTEM_NAMES else text
    while len(text.encode()) > 60:
        text = text[:-1]
    return text


def _survey(source: Source) -> tuple[set[str], Mapping[str, FieldType]]:
    kinds: set[str] = set()
    types = {name: _field_type(kind) for name, kind in source.types.items()}
    for batch in source.batches():
        if batch.geometries is not None:
            shapes = batch.geometries[~shapely.is_missing(batch.geometries)]
            suffix = ["Z" if z else "" for z in shapely.has_z(shapes)]
            kinds |= {f"{g.geom_type}{z}" for g, z in zip(shapes, suffix, strict=True)}
        for name, values in batch.columns.items():
            if types.get(name) is FieldType.TEXT:
                continue
            if pa.types.is_floating(values.type) and _has_other_than_numbers(values):
                types[name] = FieldType.TEXT
    ids = [_field_id(name) for name in types]
    repeated = {i for i in ids if ids.count(i) > 1}
    if repeated:
        raise BadSchema(f"two columns would both be field {repeated.pop()!r}; give a --schema")
    return kinds, types


def _has_other_than_numbers(values: pa.Array) -> bool:
    return not bool(pc.all(pc.is_finite(values)).as_py() is not False)


def _field_type(kind: pa.DataType) -> FieldType:
    if pa.types.is_boolean(kind):
        return FieldType.BOOLEAN
    if pa.types.is_integer(kind):
        return FieldType.INTEGER
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return FieldType.NUMBER
    if pa.types.is_date(kind):
        return FieldType.DATE
    return FieldType.INSTANT if pa.types.is_timestamp(kind) else FieldType.TEXT


def _geometry(source: Source, kinds: Iterable[str], choices: Choices) -> str:
    plain = {k.removesuffix("Z").removeprefix("Multi") for k in kinds if "Collection" not in k}
    if not plain:
        raise BadSource(
            f"{source.name} has no geometry; name its coordinate columns (coordinates = "
            "[x, y] in a schema file), or publish it as an upsert to a layer that has"
        )
    if len(plain) > 1:
        raise BadSource(
            f"{source.name} mixes {', '.join(sorted(plain))}; publish each to a layer of its own"
        )
    name = plain.pop()
    many = name != "Point" or any(k.startswith("Multi") for k in kinds)
    many = many or choices.duplicates is Duplicates.MERGE
    z = "Z" if all(k.endswith("Z") for k in kinds) else ""
    return f"{'Multi' if many else ''}{name}{z}"


def _storage_crs(source: Source) -> str:
    if source.crs is None:
        raise BadSource(f"{source.name} states no reference system; give --crs, such as EPSG:4490")
    authority = source.crs.to_authority(min_confidence=70)
    if authority is None and source.crs.is_compound:
        # Heights stay as they are, so that a layer can do without their system.
        authority = plane_of(source.crs).to_authority(min_confidence=70)
    if authority is None:
        raise BadSource(f"{source.name}: its reference system has no code; give --crs EPSG:...")
    return "OGC:CRS84" if authority == ("EPSG", "4326") else ":".join(authority)
