"""Layers as a description has them: schema, settings, limits, indexes and styles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from layers.errors import BadSchema
from layers.model import Layer, Schema
from layers.schemas import replacing
from layers.schemas.documents import parse_schema, schema_document
from layers.schemas.profiles import find_schema
from layers.settings import BELONGING, DESCRIBED, SETTINGS
from services.applying.values import check_keys, mapping_at, number_at, text_at, texts_at
from services.errors import BadParameter
from services.layer_settings import with_indexes

_KEYS = frozenset({"schema", "indexes", "limits", "style", "styles", *SETTINGS})


@dataclass(frozen=True)
class LayerState:
    """A layer as it shall be.

    Attributes
    ----------
    schema : Schema or None
        Where one is named, with all that is said beside it.
    settings : mapping of str to value
        As `layers.settings` has them.
    limits : mapping of str to float, or None
    indexes : tuple of str, or None
        The fields that have one, and no others.
    styles : tuple of Path
        Files; the first is its default where `drawn` is so.
    """

    id: str
    schema: Schema | None
    settings: Mapping[str, Any]
    limits: Mapping[str, float] | None = None
    indexes: tuple[str, ...] | None = None
    styles: tuple[Path, ...] = ()
    drawn: bool = False

    @property
    def place(self) -> str:
        """Where the file says it."""
        return f"layers.{self.id}"

    def wanted_settings(self) -> dict[str, Any]:
        """Return what the file says, and of its schema all but who may see the layer."""
        found: dict[str, Any] = {}
        if self.schema is not None:
            document = schema_document(self.schema)
            found = {k: document.get(k) for k in DESCRIBED if k not in ("backdating", "paused")}
            found["backdating"] = self.schema.backdating
        return found | dict(self.settings)

    def wanted_schema(self, record: Layer) -> Schema | None:
        """Return the schema that a layer is to have, None where it has it.

        Its settings are not compared: they change without a revision.
        """
        schema = self.schema or record.schema
        if self.schema is None:
            schema = _with(schema, {}, self.limits, self.indexes, self.place)
        found = replacing.after(record.schema, schema, datetime.now(UTC))
        return None if _lasting(found) == _lasting(record.schema) else schema


def read_layer(name: str, said: Any, folder: Path) -> LayerState:
    """Return a layer as a file says it; paths in it begin at the folder.

    Raises
    ------
    BadParameter
        Naming the place in the file, and what may stand there.
    """
    where = f"layers.{name}"
    told = dict(mapping_at({} if said is None else said, where))
    check_keys(told, _KEYS, where)
    schema = _schema(told.pop("schema", None), folder, where)
    listed = told.pop("indexes", None)
    indexes = None if listed is None else tuple(texts_at(listed, f"{where}.indexes"))
    limits = _limits(told.pop("limits", None), f"{where}.limits")
    style, others = told.pop("style", None), told.pop("styles", [])
    files = [] if style is None else [_file(style, folder, f"{where}.style")]
    listed_styles = enumerate(texts_at(others, f"{where}.styles"))
    files += [_file(text, folder, f"{where}.styles[{n}]") for n, text in listed_styles]
    settings = {k: _plain(v) for k, v in told.items()}
    _check_settings(settings, where)
    if schema is not None:
        said_of_it = {k: v for k, v in settings.items() if k not in ("department", "pending")}
        schema = _with(schema, said_of_it, limits, indexes, where)
    own = (limits, indexes, tuple(files), style is not None)
    return LayerState(name, schema, settings, *own)


def _schema(name: Any, folder: Path, where: str) -> Schema | None:
    if name is None:
        return None
    text = text_at(name, f"{where}.schema")
    beside = folder / text
    try:
        # cn:parcels is a profile's, unless a file is called so.
        return find_schema(str(beside) if beside.exists() or "." in text else text)
    except BadSchema as error:
        raise BadParameter(f"{where}.schema: {error}") from None


def _limits(said: Any, where: str) -> Mapping[str, float] | None:
    if said is None:
        return None
    found = {k: number_at(v, f"{where}.{k}") for k, v in mapping_at(said, where).items()}
    try:
        parse_schema({"geometry": "Point", "limits": found})
    except BadSchema as error:
        raise BadParameter(f"{where}: {error}") from None
    return found


def _file(said: Any, folder: Path, where: str) -> Path:
    found = (folder / text_at(said, where)).resolve()
    if not found.is_file():
        raise BadParameter(f"{where}: {found} does not exist; paths begin at the file")
    return found


def _check_settings(settings: Mapping[str, Any], where: str) -> None:
    """Refuse what no layer could have, one setting at a time, so that each names its place."""
    bare: dict[str, Any] = {"geometry": "Point"}
    for name, value in settings.items():
        place = f"{where}.{name}"
        if name == "pending" and not isinstance(value, bool):
            raise BadParameter(f"{place} = {value!r}; true or false")
        if name == "department" and not isinstance(value, str | None):
            raise BadParameter(f"{place} = {value!r}; a department's name")
        if name in ("visibility", "pending", "title") and value is None:
            raise BadParameter(f"{place}: say what it is, or leave it out")
        if name in ("department", "pending") or value is None:
            continue
        try:
            parse_schema(bare | {name: value})
        except BadSchema as error:
            raise BadParameter(f"{place}: {error}") from None


def _with(
    schema: Schema,
    settings: Mapping[str, Any],
    limits: Mapping[str, float] | None,
    indexes: tuple[str, ...] | None,
    where: str,
) -> Schema:
    document = schema_document(schema) | dict(settings)
    if limits is not None:
        document["limits"] = dict(limits)
    try:
        described = parse_schema({k: v for k, v in document.items() if v is not None})
        # From when on its lists hold is no part of the document.
        fields = zip(described.fields, schema.fields, strict=True)
        dated = tuple(replace(f, codes_since=said.codes_since) for f, said in fields)
        described = replace(described, fields=dated)
        return described if indexes is None else with_indexes(described, list(indexes))
    except BadSchema as error:
        raise BadParameter(f"{where}: {error}") from None


def _lasting(schema: Schema) -> dict[str, Any]:
    left = {*DESCRIBED, *BELONGING}
    return {k: v for k, v in schema_document(schema).items() if k not in left}


def _plain(value: Any) -> Any:
    """A date that TOML read out of a text, as that text."""
    return value.isoformat() if hasattr(value, "isoformat") else value
