"""A description of layers and sources (YAML or TOML), read and checked before anything is done."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import yaml

from layers.errors import BadSchema
from layers.model import Duplicates, Kind, Mode, Schema
from layers.schemas.documents import parse_schema, schema_document
from layers.schemas.profiles import find_schema
from layers.settings import SETTINGS
from services.errors import BadParameter
from services.layer_settings import with_indexes
from services.remote_sources import is_remote
from services.repairs import REPAIRS, check_repairs

ENDINGS = (".yaml", ".yml", ".toml")
_LARGEST = 1_000_000
_KEYS = frozenset({"layers", "sources"})
_LAYER_KEYS = frozenset({"schema", "indexes", *SETTINGS})
_LISTS = frozenset({"key", "coordinates", "repair"})
_TEXTS = frozenset(
    "kind mode duplicates valid_from valid_from_field valid_to_field crs towgs84 similarity axes "
    "encoding source_layer query wkt separator message document mapping".split()
)
_SOURCE_KEYS = frozenset({"path", "url", "layer", "scope", *_LISTS, *_TEXTS})
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "mode": tuple(Mode),
    "kind": tuple(Kind),
    "duplicates": tuple(Duplicates),
    "axes": ("east-north", "north-east"),
    "repair": REPAIRS,
}
# They are the schema's, where there is one.
_ROLES = ("kind", "key", "valid_from_field", "valid_to_field")


@dataclass(frozen=True)
class LayerState:
    """A layer as it shall be: its schema where one is named, and what else is said of it."""

    id: str
    schema: Schema | None
    settings: Mapping[str, Any]
    indexes: tuple[str, ...] | None


@dataclass(frozen=True)
class SourceState:
    """A source that shall be published: its address, its layer, and options of a publish."""

    place: str
    name: str
    address: str
    layer: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Description:
    """All that a file describes."""

    path: Path
    layers: tuple[LayerState, ...]
    sources: tuple[SourceState, ...]


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Takes plain words as texts: 010 is a code, and a field may be called no.

    A key said twice, of which others take the last, is refused.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping of which each key is said once."""
        seen: set[str] = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise BadParameter(f"line {line}: a key is one word")
            if key.value in seen:
                raise BadParameter(f"line {line}: {key.value} is said twice; leave one out")
            seen.add(key.value)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|false"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("~|null|$"), ["~", "n", ""])


def read_description(path: Path) -> Description:
    """Read a description; paths in it are relative to it.

    Raises
    ------
    BadParameter
        Naming the place in the file, and what may stand there.
    """
    try:
        document = _load(path)
        _known(document, _KEYS, "the file")
        every = _mapping(document.get("layers") or {}, "layers")
        layers = tuple(_layer(str(name), said, path.parent) for name, said in every.items())
        listed = document.get("sources") or []
        if not isinstance(listed, list):
            raise BadParameter("sources: a list is needed, each with path (or url) and layer")
        schemas = {layer.id for layer in layers if layer.schema is not None}
        sources = tuple(_source(n, said, path.parent, schemas) for n, said in enumerate(listed))
        _refuse_twins(sources)
    except BadParameter as error:
        raise BadParameter(f"{path}: {error}") from None
    return Description(path, layers, sources)


def _load(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            raise BadParameter("more than 1 MB is no description; divide it")
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            return tomllib.loads(text)
        # A safe loader: plain values, and no objects.
        found = yaml.load(text, Loader=_Loader)  # noqa: S506  # nosec B506
    except OSError as error:
        raise BadParameter(f"{error.strerror or error}; name a file that exists") from None
    except (yaml.YAMLError, tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        told = " ".join(str(error).split()) or "nested too deep"
        raise BadParameter(f"can't be read: {told}; see docs/apply.md") from None
    return _mapping(found if found is not None else {}, "the file")


def _layer(name: str, said: Any, folder: Path) -> LayerState:
    where = f"layers.{name}"
    told = dict(_mapping(said or {}, where))
    _known(told, _LAYER_KEYS, where)
    schema = _schema(told.pop("schema", None), folder, where)
    listed = told.pop("indexes", None)
    indexes = None if listed is None else tuple(_texts(listed, f"{where}.indexes"))
    settings = {k: _plain(v) for k, v in told.items()}
    _check_settings(settings, where)
    if schema is not None:
        schema = _with(schema, settings, indexes, where)
    return LayerState(name, schema, settings, indexes)


def _check_settings(settings: Mapping[str, Any], where: str) -> None:
    """Refuse what no layer could have, one setting at a time, so that each names its place."""
    bare: dict[str, Any] = {"geometry": "Point"}
    for name, value in settings.items():
        place = f"{where}.{name}"
        if name == "pending" and not isinstance(value, bool):
            raise BadParameter(f"{place} = {value!r}; true or false")
        if name == "department" and not isinstance(value, str | None):
            raise BadParameter(f"{place} = {value!r}; a department's name")
        if name in ("department", "pending") or value is None:
            continue
        try:
            parse_schema(bare | {name: value})
        except BadSchema as error:
            raise BadParameter(f"{place}: {error}") from None


def _with(
    schema: Schema, settings: Mapping[str, Any], indexes: tuple[str, ...] | None, where: str
) -> Schema:
    said = {k: v for k, v in settings.items() if k not in ("department", "pending")}
    document = schema_document(schema) | said
    try:
        described = parse_schema({k: v for k, v in document.items() if v is not None})
        # From when on its lists hold is no part of the document.
        fields = zip(described.fields, schema.fields, strict=True)
        dated = tuple(replace(f, codes_since=said.codes_since) for f, said in fields)
        described = replace(described, fields=dated)
        return described if indexes is None else with_indexes(described, list(indexes))
    except BadSchema as error:
        raise BadParameter(f"{where}: {error}") from None


def _schema(name: Any, folder: Path, where: str) -> Schema | None:
    if name is None:
        return None
    beside = folder / str(name)
    try:
        # cn:parcels is a profile's, unless a file is called so.
        return find_schema(str(beside) if beside.exists() or "." in str(name) else str(name))
    except BadSchema as error:
        raise BadParameter(f"{where}.schema: {error}") from None


def _source(number: int, said: Any, folder: Path, with_schema: set[str]) -> SourceState:
    where = f"sources[{number}]"
    told = dict(_mapping(said, where))
    _known(told, _SOURCE_KEYS, where)
    layer = told.pop("layer", None)
    if not isinstance(layer, str) or not layer:
        raise BadParameter(f"{where}.layer: name the layer that it is published to")
    name, address = _address(told, folder, where)
    options: dict[str, Any] = {}
    for key, value in told.items():
        place = f"{where}.{key}"
        if key in _ROLES and layer in with_schema:
            raise BadParameter(f"{place}: the schema of layers.{layer} says it; leave it out")
        if key == "scope":
            pairs = _mapping(value, place)
            options[key] = [f"{k}={_word(v, f'{place}.{k}')}" for k, v in pairs.items()]
        elif key in _LISTS:
            options[key] = _texts(value, place)
        else:
            options[key] = _word(value, place)
        if key == "mapping" and options[key].endswith(".toml"):
            options[key] = str((folder / options[key]).resolve())
        _check_choice(key, options[key], place)
    return SourceState(where, name, address, layer, options)


def _check_choice(key: str, value: str | list[str], place: str) -> None:
    for word in [value] if isinstance(value, str) else value:
        if word not in _CHOICES.get(key, (word,)):
            raise BadParameter(f"{place} = {word!r}; one of {', '.join(_CHOICES[key])}")
    if key == "repair":
        try:
            check_repairs(value)
        except BadParameter as error:
            raise BadParameter(f"{place}: {error}") from None


def _address(told: dict[str, Any], folder: Path, where: str) -> tuple[str, str]:
    path, url = told.pop("path", None), told.pop("url", None)
    if (path is None) == (url is None):
        raise BadParameter(f"{where}: state path or url, one of them")
    if path is not None:
        if not isinstance(path, str) or is_remote(path):
            raise BadParameter(f"{where}.path = {path!r}; a file's path, or state url")
        found = (folder / path).resolve()
        if not found.exists():
            raise BadParameter(f"{where}.path: {found} does not exist; paths begin at the file")
        return path, str(found)
    if not isinstance(url, str) or not is_remote(url):
        raise BadParameter(f"{where}.url: https://... or postgresql://... is needed")
    if urlsplit(url).password or "password=" in url:
        raise BadParameter(
            f"{where}.url: a password stands in it; keep it in a password file (PGPASSFILE)"
        )
    return url, url


def _refuse_twins(sources: tuple[SourceState, ...]) -> None:
    seen: dict[tuple[str, str, str], str] = {}
    for source in sources:
        key = (source.layer, source.name, repr(sorted(source.options.items())))
        if key in seen:
            raise BadParameter(f"{source.place} is {seen[key]} again; leave one out")
        seen[key] = source.place


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadParameter(f"{where}: names and values are needed, not {value!r}")
    return value


def _texts(value: Any, where: str) -> list[str]:
    if not isinstance(value, list):
        raise BadParameter(f"{where} = {value!r}; a list of names, such as [a, b]")
    return [_word(item, where) for item in value]


def _word(value: Any, where: str) -> str:
    if value is None or isinstance(value, bool | list | dict):
        raise BadParameter(f"{where} = {value!r}; a text is needed; quote it where it is one")
    return str(value)


def _known(told: Mapping[Any, Any], known: frozenset[str], where: str) -> None:
    for key in told:
        if key not in known:
            place = str(key) if where == "the file" else f"{where}.{key}"
            raise BadParameter(f"{place}: no such key; there are {', '.join(sorted(known))}")


def _plain(value: Any) -> Any:
    """A date that YAML read out of a text, as that text."""
    return value.isoformat() if hasattr(value, "isoformat") else value
