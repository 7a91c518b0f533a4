"""Fields as JSON Schema: what features have, what filters and orders can name.

As OGC API - Common - Part 3 (OGC API - Features - Part 5), OGC 23-058r2, has it. It is a logical
schema: it says what there is, whatever the format. What the standard has no word for begins with
``x-shikong-``, as ``x-ogc-`` is the standard's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

from layers.model import Field, FieldType, Kind, Layer, Role, Schema, Title
from layers.schemas.terms import terms_of, title_of
from layers.store import PublishedLayer
from services.languages import told

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TITLES = "x-shikong-titles"
# Its codes stand in the schema itself, each with its title.
CODE_LISTS = "http://www.opengis.net/def/profile/OGC/0/codelist-inline"
TYPES: Mapping[FieldType, Mapping[str, str]] = {
    FieldType.TEXT: {"type": "string"},
    FieldType.INTEGER: {"type": "integer", "format": "int64"},
    FieldType.NUMBER: {"type": "number", "format": "double"},
    FieldType.BOOLEAN: {"type": "boolean"},
    FieldType.DATE: {"type": "string", "format": "date"},
    FieldType.INSTANT: {"type": "string", "format": "date-time"},
}
# What RE2 reads and the regular expressions of JSON Schema do not, or read as something else.
_RE2_ONLY = re.compile(r"\(\?(?!:)|\\[ACQEpPzaZ]|\[\[:|\[:")
_ID = Title("Id", "标识")
_GEOMETRY = Title("Geometry", "几何")
_FROM = Title("Valid from", "有效时间起")
_TO = Title("Valid to", "有效时间止")


class Purpose(StrEnum):
    """What the fields are listed for; the last segment of the resource's path."""

    FEATURES = "schema"
    FILTERS = "queryables"
    ORDERS = "sortables"


def describe(
    purpose: Purpose, schema: Schema, fields: Sequence[Field], uri: str, language: str | None
) -> dict[str, Any]:
    """Return the JSON Schema of a layer's features, or of what filters or orders can name.

    Parameters
    ----------
    fields : sequence of Field
        Those of the schema that the reader sees; required where every feature has them.
    uri : str
        Of the resource, without a query.
    language : str or None
        Of titles; both where None.
    """
    properties: dict[str, Any] = {}
    for number, (name, described) in enumerate(_properties(purpose, schema, fields), 1):
        properties[name] = _titled(described, language) | {"x-ogc-propertySeq": number}
    document: dict[str, Any] = {
        "$schema": DIALECT,
        "$id": uri,
        "type": "object",
        "title": told(schema.title, language),
        "description": told(schema.description, language),
        TITLES: _both(schema.title),
        "properties": properties,
        # What is not listed can't be named: it is refused as unknown.
        "additionalProperties": False,
    }
    required = [f.id for f in fields if f.required]
    if purpose is Purpose.FEATURES and required:
        document["required"] = required
    return document


def seen_fields(purpose: Purpose, layer: PublishedLayer, record: Layer) -> list[Field]:
    """Return the fields that the reader sees; the restricted ones can't be named in a filter.

    None is required that the reader sees of some features only.
    """
    sight = layer.reader.sight(record)
    fields = sight.fields(record.schema)
    if purpose is Purpose.FEATURES:
        fields = (*fields, *sight.restricted(record.schema))
    return [replace(f, required=False) if sight.where(f) else f for f in fields]


def has_codes(document: Mapping[str, Any]) -> bool:
    """Return whether any property of a schema has a list of codes."""
    return any("oneOf" in described for described in document["properties"].values())


def _properties(
    purpose: Purpose, schema: Schema, fields: Sequence[Field]
) -> Iterator[tuple[str, dict[str, Any]]]:
    if purpose is Purpose.ORDERS:
        yield from ((f.id, _field(f)) for f in fields if f.is_sortable)
        return
    identifier = _identifier(schema)
    if purpose is Purpose.FEATURES and identifier is None:
        made = {"title": _ID, "type": "string", "readOnly": True, "x-ogc-role": "id"}
        yield _free("id", fields), made
    for f in fields:
        own = {"x-ogc-role": "id"} if f.id == identifier else _role(f)
        yield f.id, _field(f) | own
    shape = schema.geometry.removesuffix("Z").lower()
    yield (
        _free("geometry", fields),
        {"title": _GEOMETRY, "format": f"geometry-{shape}", "x-ogc-role": "primary-geometry"},
    )
    if purpose is Purpose.FEATURES and schema.kind is Kind.STATE:
        yield from _period(fields)


def _identifier(schema: Schema) -> str | None:
    """The field whose values are the ids of features, where there is one."""
    keys = schema.keys
    if len(keys) != 1 or keys[0].type is not FieldType.TEXT or schema.placeholder_keys:
        return None
    return keys[0].id


def _period(fields: Sequence[Field]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The period of a version, which clients of JSON-FG find in its ``time``."""
    for name, title, role in (("valid_from", _FROM, "start"), ("valid_to", _TO, "end")):
        described = {"title": title, **TYPES[FieldType.INSTANT]}
        yield _free(name, fields), described | {"x-ogc-role": f"primary-interval-{role}"}


def _free(name: str, fields: Sequence[Field]) -> str:
    """A name beside those of the fields, of which none begins with a line."""
    return f"_{name}" if any(f.id == name for f in fields) else name


def _role(f: Field) -> dict[str, Any]:
    return {"x-ogc-role": "primary-instant"} if f.role is Role.EVENT_START else {}


def _field(f: Field) -> dict[str, Any]:
    described: dict[str, Any] = {"title": f.title, **TYPES[f.type]}
    if f.unit and f.type in (FieldType.INTEGER, FieldType.NUMBER):
        described["x-ogc-unit"] = f.unit
    if f.codes:
        described["oneOf"] = [_code_document(f, code) for code in f.codes]
        if f.codes_source:
            described["x-shikong-codes-source"] = f.codes_source
    if f.pattern is not None and not _RE2_ONLY.search(f.pattern):
        described["pattern"] = f"^(?:{f.pattern})$"
    if f.role is not None:
        described["x-shikong-role"] = f.role.value
    return described


def _code_document(f: Field, code: str) -> dict[str, Any]:
    """A code, by its title at all times; from when until when it is valid, where that is said."""
    terms = terms_of(f, code)
    days = {"x-shikong-valid-from": terms[0].valid_from, "x-shikong-valid-to": terms[-1].valid_to}
    said = {name: day.isoformat() for name, day in days.items() if day is not None}
    return {"const": _code(f, code), "title": title_of(f, code)} | said


def _code(f: Field, code: str) -> Any:
    """A code as values of the field are; one that none can be stays the text that it is."""
    try:
        if f.type is FieldType.INTEGER:
            return int(code)
        if f.type is FieldType.NUMBER:
            return float(code)
    except ValueError:
        return code
    if f.type is FieldType.BOOLEAN and code.lower() in ("true", "false"):
        return code.lower() == "true"
    return code


def _titled(described: dict[str, Any], language: str | None) -> dict[str, Any]:
    """Write every title in the language asked for, and in both beside it."""
    title = described["title"]
    found = described | {"title": told(title, language), TITLES: _both(title)}
    if "oneOf" in described:
        found["oneOf"] = [_titled(code, language) for code in described["oneOf"]]
    return found


def _both(title: Title) -> dict[str, str]:
    return {"en": title.en, "zh": title.zh}
