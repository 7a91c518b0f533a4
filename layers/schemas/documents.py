"""Schema files (TOML) and catalogue documents (JSON) to Schema values and back.

The format is told in docs/schema-files.md.
"""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from layers.errors import BadSchema
from layers.model import (
    Duplicates,
    Field,
    FieldType,
    Kind,
    Limits,
    Outcome,
    Role,
    Rule,
    Schema,
    Theme,
    Title,
    Visibility,
)
from layers.schemas.code_lists import with_code_lists
from layers.schemas.patterns import check_pattern
from layers.schemas.rules import check_rules
from layers.schemas.scenes import check_scenes, value_range
from layers.schemas.terms import codes_document, parse_codes, read_day
from spatial.errors import SpatialError
from spatial.periods import parse_instant

GEOMETRIES = tuple(
    f"{multi}{name}{z}"
    for multi in ("", "Multi")
    for name in ("Point", "LineString", "Polygon")
    for z in ("", "Z")
)
# Names that requests use: a property called so is reached by a filter only, and publishing says it.
RESERVED = frozenset(
    "bbox bbox-crs commit crs datetime exclude-properties f filter filter-crs filter-lang ids "
    "limit offset profile properties q recorded revision skipGeometry sortby token".split()
)
# Names that every table of PostgreSQL has already.
SYSTEM_NAMES = frozenset("ctid cmax cmin tableoid xmax xmin".split())
_LAYER_KEYS = frozenset(
    "kind title description geometry crs time_zone visibility geometry_tolerance placeholder_keys "
    "duplicates synthetic attribution license theme owner scope coordinates division backdating "
    "if_match default_datetime update_cycle paused raster value_range fields rules limits".split()
)
_FIELD_KEYS = frozenset(
    "id source title type role unit required visibility format codes codes_source codes_since "
    "outdated missing pattern indexed zoom".split()
)
_RULE_KEYS = frozenset("id check title fields params outcome share".split())
# The deepest zoom of a tile.
_DEEPEST = 22
_CYCLE = re.compile(
    r"P(?=[\dT])(\d{1,4}Y)?(\d{1,4}M)?(\d{1,4}W)?(\d{1,4}D)?(T(?=\d)(\d{1,4}H)?(\d{1,4}M)?)?"
)
_THEME = re.compile(r"[a-z][a-z0-9-]{0,47}")
E_ = TypeVar("E_", bound=StrEnum)


def read_schema(path: Path) -> Schema:
    """Read a schema file.

    Raises
    ------
    BadSchema
        Where the file, or a code list that it names, is missing, can't be read, or says something
        impossible; the text says where.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSchema(
            f"{path}: {error.strerror or error}; give --schema a file that exists, "
            "or a layer of a profile, such as cn:parcels"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSchema(f"{path} is no TOML: {error}; see docs/schema-files.md") from None
    try:
        return parse_schema(with_code_lists(document, path.parent))
    except BadSchema as error:
        raise BadSchema(f"{path}: {error}") from None


def parse_schema(document: Mapping[str, Any]) -> Schema:
    """Turn a document into a Schema, checking all that can be checked without data.

    Raises
    ------
    BadSchema
        Naming the key and what it may be.

    Examples
    --------
    >>> schema = parse_schema({"kind": "state", "title": {"en": "Trees", "zh": "树"},
    ...     "geometry": "Point", "fields": [{"id": "no", "type": "text", "role": "key"}]})
    >>> schema.keys[0].id, schema.time_zone
    ('no', 'Asia/Shanghai')
    """
    _known(document, _LAYER_KEYS, "the schema")
    schema = Schema(
        kind=_choice(Kind, document.get("kind", "state"), "kind"),
        title=_title(document.get("title", ""), "title"),
        description=_title(document.get("description", ""), "description"),
        geometry=_geometry(document.get("geometry")),
        crs=str(document.get("crs", "OGC:CRS84")),
        time_zone=_time_zone(document.get("time_zone", "Asia/Shanghai")),
        visibility=_choice(Visibility, document.get("visibility", "internal"), "visibility"),
        geometry_tolerance=_tolerance(document.get("geometry_tolerance")),
        placeholder_keys=_texts(document.get("placeholder_keys", ()), "placeholder_keys"),
        duplicates=_choice(Duplicates, document.get("duplicates", "refuse"), "duplicates"),
        synthetic=bool(document.get("synthetic", False)),
        attribution=str(document.get("attribution", "")),
        license=_license(document.get("license")),
        theme=_theme(document.get("theme")),
        owner=None if document.get("owner") is None else _title(document["owner"], "owner"),
        scope=_texts(document.get("scope", ()), "scope"),
        coordinates=_coordinates(document.get("coordinates")),
        division=_division(document.get("division")),
        backdating=_truth(document.get("backdating", False), "backdating"),
        if_match=_truth(document.get("if_match", False), "if_match"),
        default_datetime=_default_datetime(document),
        update_cycle=_update_cycle(document.get("update_cycle")),
        paused=_truth(document.get("paused", False), "paused"),
        raster=_truth(document.get("raster", False), "raster"),
        value_range=value_range(document.get("value_range")),
        fields=tuple(_field(item, n) for n, item in enumerate(document.get("fields", ()), 1)),
        rules=tuple(_rule(item, n) for n, item in enumerate(document.get("rules", ()), 1)),
        limits=_limits(document.get("limits", {})),
    )
    _check(schema)
    return schema


def schema_document(schema: Schema) -> dict[str, Any]:
    """Return the document from which `parse_schema` makes the same Schema.

    >>> document = {"kind": "event", "title": {"en": "Cases", "zh": "案件"}, "geometry": "Point",
    ...     "fields": [{"id": "at", "type": "instant", "role": "event-start"}]}
    >>> parse_schema(schema_document(parse_schema(document))) == parse_schema(document)
    True
    """
    document: dict[str, Any] = {
        "kind": schema.kind.value,
        "title": _title_document(schema.title),
        "description": _title_document(schema.description),
        "geometry": schema.geometry,
        "crs": schema.crs,
        "time_zone": schema.time_zone,
        "visibility": schema.visibility.value,
        "placeholder_keys": list(schema.placeholder_keys),
        "duplicates": schema.duplicates.value,
        "synthetic": schema.synthetic,
        "attribution": schema.attribution,
        "scope": list(schema.scope),
        "fields": [_field_document(f) for f in schema.fields],
    }
    if schema.geometry_tolerance is not None:
        document["geometry_tolerance"] = schema.geometry_tolerance
    if schema.coordinates:
        document["coordinates"] = list(schema.coordinates)
    if schema.division:
        document["division"] = schema.division
    if schema.theme:
        document["theme"] = {"id": schema.theme.id} | _title_document(schema.theme.title)
    if schema.owner:
        document["owner"] = _title_document(schema.owner)
    if schema.license:
        document["license"] = schema.license
    if schema.default_datetime:
        document["default_datetime"] = schema.default_datetime
    if schema.update_cycle:
        document["update_cycle"] = schema.update_cycle
    if schema.value_range:
        document["value_range"] = list(schema.value_range)
    if schema.rules:
        document["rules"] = [_rule_document(rule) for rule in schema.rules]
    limits = {k: v for k, v in dataclasses.asdict(schema.limits).items() if v is not None}
    if limits:
        document["limits"] = limits
    flags = ("backdating", "if_match", "paused", "raster")
    document |= {name: True for name in flags if getattr(schema, name)}
    return document


def write_schema(schema: Schema) -> str:
    """Return the text of a schema file, for a publisher to keep and mend.

    Examples
    --------
    >>> document = {"kind": "state", "title": {"en": "Trees", "zh": "树"}, "geometry": "Point",
    ...     "fields": [{"id": "no", "type": "text", "role": "key"}]}
    >>> schema = parse_schema(document)
    >>> parse_schema(tomllib.loads(write_schema(schema))) == schema
    True
    """
    document = schema_document(schema)
    fields, rules = document.pop("fields"), document.pop("rules", ())
    lines = [_toml_line(k, v) for k, v in document.items() if v not in ("", [], False)]
    for f in fields:
        lines += ["", "[[fields]]", *(_toml_line(k, v) for k, v in f.items() if v is not False)]
    for rule in rules:
        lines += ["", "[[rules]]", *(_toml_line(k, v) for k, v in rule.items())]
    return "\n".join(lines) + "\n"


def _toml_line(key: str, value: Any) -> str:
    return f"{key} = {_toml(value)}"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items())
        return f"{{ {inside} }}"
    # JSON's texts, numbers, truths and lists of texts are TOML as they stand.
    return json.dumps(value, ensure_ascii=False)


def _field(item: Any, number: int) -> Field:
    if not isinstance(item, Mapping):
        raise BadSchema(f"field {number} is no table; write [[fields]]")
    name = str(item.get("id", ""))
    where = f"field {name or number}"
    _known(item, _FIELD_KEYS, where)
    if not re.fullmatch(r"[^\W\d]\w*", name) or name.startswith("_") or len(name.encode()) > 60:
        raise BadSchema(
            f"{where}: {name!r} can't be a field id; letters, digits and _ (no _ or digit first), "
            "at most 60 bytes"
        )
    if name in SYSTEM_NAMES:
        raise BadSchema(
            f"{where}: the database keeps that name for itself; "
            f'write id = "f_{name}", source = ["{name}"]'
        )
    role = item.get("role")
    codes, terms = parse_codes(item.get("codes", {}), f"{where}: codes", _title)
    return Field(
        id=name,
        type=_choice(FieldType, item.get("type", "text"), f"{where}: type"),
        title=_title(item.get("title", name), where),
        role=None if role is None else _choice(Role, role, f"{where}: role"),
        unit=item.get("unit"),
        required=bool(item.get("required", False)),
        visibility=_choice(Visibility, item.get("visibility", "public"), f"{where}: visibility"),
        codes=codes,
        source=_texts(item.get("source", ()), f"{where}: source"),
        format=item.get("format"),
        missing=_texts(item.get("missing", ()), f"{where}: missing"),
        pattern=_pattern(item.get("pattern"), where),
        indexed=bool(item.get("indexed", False)),
        zoom=_zoom(item.get("zoom"), where),
        terms=terms,
        codes_source=str(item.get("codes_source", "")),
        codes_since=read_day(item.get("codes_since"), f"{where}: codes_since"),
        outdated=_choice(Outcome, item.get("outdated", "refuse"), f"{where}: outdated"),
    )


def _field_document(f: Field) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": f.id,
        "type": f.type.value,
        "title": _title_document(f.title),
        "visibility": f.visibility.value,
        "required": f.required,
    }
    optional = {
        "role": f.role.value if f.role else None,
        "unit": f.unit,
        "format": f.format,
        "pattern": f.pattern,
        "source": list(f.source),
        "missing": list(f.missing),
        "codes": codes_document(f),
        "codes_source": f.codes_source,
        "indexed": f.indexed,
    }
    if f.zoom is not None:
        document["zoom"] = f.zoom
    if f.outdated is not Outcome.REFUSE:
        document["outdated"] = f.outdated.value
    return document | {k: v for k, v in optional.items() if v}


def _rule(item: Any, number: int) -> Rule:
    if not isinstance(item, Mapping):
        raise BadSchema(f"rule {number} is no table; write [[rules]]")
    name = str(item.get("id", ""))
    where = f"rule {name or number}"
    _known(item, _RULE_KEYS, where)
    if not _THEME.fullmatch(name):
        raise BadSchema(f"{where}: id = {name!r}; small letters, digits and -, such as stated-area")
    outcome = _choice(Outcome, item.get("outcome", "say"), f"{where}: outcome")
    fields = _table(item.get("fields", {}), f"{where}: fields")
    params = _table(item.get("params", {}), f"{where}: params")
    return Rule(
        id=name,
        check=str(item.get("check", "")),
        title=_title(item.get("title", name), where),
        fields={k: str(v) for k, v in fields.items()},
        params={k: tuple(v) if isinstance(v, list) else v for k, v in params.items()},
        outcome=outcome,
        share=_share(item.get("share"), outcome, where),
    )


def _rule_document(rule: Rule) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": rule.id,
        "check": rule.check,
        "title": _title_document(rule.title),
        "outcome": rule.outcome.value,
    }
    params = {k: list(v) if isinstance(v, tuple) else v for k, v in rule.params.items()}
    document |= {k: v for k, v in (("fields", dict(rule.fields)), ("params", params)) if v}
    return document if rule.outcome is Outcome.SAY else document | {"share": rule.share}


def _limits(value: Any) -> Limits:
    if not isinstance(value, Mapping):
        raise BadSchema(
            f"limits = {value!r}; write [limits], with lines such as refused_share = 0.01"
        )
    _known(value, frozenset(f.name for f in dataclasses.fields(Limits)), "limits")
    for name, share in value.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise BadSchema(f"limits: {name} = {share!r}; of the rows, from 0 to 1")
    return Limits(**{name: float(share) for name, share in value.items()})


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadSchema(f'{where} = {value!r}; a table, such as {{ stated = "area_m2" }}')
    return value


def _share(value: Any, outcome: Outcome, where: str) -> float:
    """Return the share of rows at fault above which the whole is refused."""
    if value is None:
        return 0.0 if outcome is Outcome.REFUSE else 1.0
    if outcome is Outcome.SAY:
        raise BadSchema(f"{where}: share belongs to outcome row or refuse; leave it out")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise BadSchema(f"{where}: share = {value!r}; of the rows, from 0 to 1")
    return float(value)


def _check(schema: Schema) -> None:
    ids = [f.id for f in schema.fields]
    repeated = sorted({i for i in ids if ids.count(i) > 1})
    if repeated:
        raise BadSchema(f"field {repeated[0]} is defined twice; give each field an id of its own")
    for role in (Role.VALID_FROM, Role.VALID_TO, Role.EVENT_START):
        if len(schema.with_role(role)) > 1:
            raise BadSchema(f"two fields have role {role}; there can be one")
    for f in schema.fields:
        _check_field(f)
    check_scenes(schema)
    check_rules(schema)
    if schema.kind is Kind.EVENT and not schema.with_role(Role.EVENT_START):
        raise BadSchema("an event layer needs a field with role event-start")
    if schema.duplicates is Duplicates.MERGE and not schema.is_multi:
        raise BadSchema(f"duplicates = merge makes multiparts; geometry = Multi{schema.geometry}")
    if schema.duplicates is Duplicates.SUM:
        raise BadSchema(
            "duplicates = sum is of a table without geometry, not of a layer; say it when you "
            "publish the table (--duplicates sum)"
        )
    for name in schema.scope:
        f_scope = schema.find(name)
        if f_scope is None or f_scope not in schema.stored:
            raise BadSchema(f"scope names {name}, which is no stored field of this schema")
    f_division = schema.division_field()
    if schema.division is not None and (
        f_division not in schema.stored or f_division.type is not FieldType.TEXT
    ):
        raise BadSchema(
            f"division names {schema.division}, which is no open field of type text of this schema"
        )


def _check_field(f: Field) -> None:
    if f.visibility is Visibility.PRIVATE:
        raise BadSchema(f"field {f.id}: visibility is public, internal or restricted")
    timed = (Role.VALID_FROM, Role.VALID_TO, Role.EVENT_START)
    if f.role in timed and f.type not in (FieldType.DATE, FieldType.INSTANT):
        raise BadSchema(f"field {f.id}: role {f.role} needs type date or instant, not {f.type}")
    if f.pattern is not None and f.type is not FieldType.TEXT:
        raise BadSchema(f"field {f.id}: a pattern is of type text, not {f.type}; leave it out")
    if f.indexed and (f.is_restricted or f.is_period):
        raise BadSchema(
            f"field {f.id}: only fields that stand in the open tables can be indexed; leave it out"
        )
    if f.is_restricted and f.role in (*timed, Role.KEY):
        raise BadSchema(
            f"field {f.id}: a restricted field can't have role {f.role}: ids are public"
        )


def _known(document: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    unknown = sorted(set(document) - known)
    if unknown:
        raise BadSchema(f"{where} has no key {unknown[0]!r}; it knows {', '.join(sorted(known))}")


def _choice(kind: type[E_], value: Any, where: str) -> E_:
    try:
        return kind(value)
    except ValueError:
        raise BadSchema(f"{where} = {value!r}; one of {', '.join(kind)}") from None


def _title(value: Any, where: str) -> Title:
    if isinstance(value, str):
        return Title(value, value)
    if isinstance(value, Mapping) and value and set(value) <= {"en", "zh"}:
        first = str(next(iter(value.values())))
        return Title(str(value.get("en", first)), str(value.get("zh", first)))
    raise BadSchema(f'{where}: {value!r} is no title; write {{ en = "...", zh = "..." }}')


def _zoom(value: Any, where: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _DEEPEST:
        raise BadSchema(f"{where}: zoom = {value!r}; a whole number from 0 to {_DEEPEST}")
    return value


def _default_datetime(document: Mapping[str, Any]) -> str | None:
    """The instant of a read that names none, checked by the layer's own time zone."""
    value = document.get("default_datetime")
    if value is None:
        return None
    zone = ZoneInfo(_time_zone(document.get("time_zone", "Asia/Shanghai")))
    try:
        parse_instant(str(value), zone)
    except SpatialError as error:
        raise BadSchema(f"default_datetime: {error}") from None
    return str(value)


def _update_cycle(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _CYCLE.fullmatch(value):
        raise BadSchema(
            f"update_cycle = {value!r}; a duration of ISO 8601: P1Y a year, P3M a quarter, "
            "P1D a day"
        )
    return value


def _pattern(value: Any, where: str) -> str | None:
    try:
        return None if value is None else check_pattern(value)
    except BadSchema as error:
        raise BadSchema(f"{where}: {error}") from None


def _title_document(title: Title) -> dict[str, str]:
    return {"en": title.en, "zh": title.zh}


def _geometry(value: Any) -> str:
    if value not in GEOMETRIES:
        raise BadSchema(f"geometry = {value!r}; one of {', '.join(GEOMETRIES)}")
    return str(value)


def _time_zone(value: Any) -> str:
    try:
        return ZoneInfo(str(value)).key
    except (KeyError, ValueError, OSError):
        raise BadSchema(f"time_zone = {value!r}; a name such as Asia/Shanghai") from None


def _tolerance(value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e6:
        raise BadSchema(f"geometry_tolerance = {value!r}; a length in units of the crs, 0 or more")
    return float(value)


def _theme(value: Any) -> Theme | None:
    if value is None:
        return None
    named = {"id": value} if isinstance(value, str) else value
    if not isinstance(named, Mapping) or not _THEME.fullmatch(str(named.get("id", ""))):
        raise BadSchema(
            f"theme = {value!r}; an id of small letters, digits and -, such as cadastre, or "
            '{ id = "cadastre", en = "Cadastre", zh = "地籍" }'
        )
    titles = {k: v for k, v in named.items() if k != "id"}
    return Theme(str(named["id"]), _title(titles or str(named["id"]), "theme"))


def _license(value: Any) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.netloc:
        raise BadSchema(f"license = {value!r}; the address of its text, https://...")
    return str(value)


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise BadSchema(f"{where} = {value!r}; a list of texts")
    return tuple(str(v) for v in value)


def _truth(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise BadSchema(f"{where} = {value!r}; true or false")
    return value


def _division(value: Any) -> str | None:
    return None if value is None else str(value)


def _coordinates(value: Any) -> tuple[str, str] | None:
    if value is None:
        return None
    x_y = _texts(value, "coordinates")
    if len(x_y) != 2:
        raise BadSchema(f"coordinates = {value!r}; the names of the x and the y column")
    return x_y[0], x_y[1]
