"""What is said of a layer beside its data: read, compared and changed; no row is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from layers import catalog
from layers.access import audit
from layers.errors import UnknownLayer
from layers.model import Layer, Visibility
from layers.schemas.documents import parse_schema, schema_document
from layers.writers import Writer

# What stands in the newest schema, and what in the catalogue beside it.
DESCRIBED = (
    "title description owner update_cycle default_datetime backdating paused".split()
)  # fmt: skip
BELONGING = ("visibility", "department", "pending")
SETTINGS = (*DESCRIBED, *BELONGING)
Settings = Mapping[str, Any]


def settings_of(record: Layer) -> dict[str, Any]:
    """Return a layer's settings as they are, None where nothing is said."""
    own = {
        "visibility": record.visibility.value,
        "department": record.department,
        "pending": record.pending,
    }
    return _described(schema_document(record.schema)) | own


def find_differences(record: Layer, wanted: Settings) -> dict[str, tuple[Any, Any]]:
    """Return which settings are not as they are wanted: what each is, and what it would become.

    Raises
    ------
    BadSchema
        Where a setting says something impossible.
    """
    was = settings_of(record)
    becomes = was | _checked(record, wanted)
    return {k: (was[k], becomes[k]) for k in SETTINGS if k in wanted and was[k] != becomes[k]}


def change_settings(
    connection: Connection, layer_id: str, wanted: Settings, writer: Writer
) -> dict[str, tuple[Any, Any]]:
    """Make a layer's settings what is wanted, and say in the audit who did that, and what it was.

    Returns
    -------
    dict
        What was changed, as `find_differences` tells it; empty where all was so already.

    Raises
    ------
    UnknownLayer, BadSchema, LayerBusy
        Where there is none, a setting is impossible, or others write to it for too long.
    """
    record = catalog.lock_layer(connection, layer_id)
    if record is None:
        raise UnknownLayer(f"no layer {layer_id!r}; see: shikong layers")
    found = find_differences(record, wanted)
    becomes = {name: new for name, (_, new) in found.items()}
    described = {k: v for k, v in becomes.items() if k in DESCRIBED}
    if described:
        catalog.set_titles(connection, record, described)
    if "visibility" in becomes:
        catalog.set_visibility(connection, layer_id, Visibility(becomes["visibility"]))
    belonging: dict[str, str | bool | None] = {
        k: becomes[k] for k in ("department", "pending") if k in becomes
    }
    if belonging:
        catalog.set_belongings(connection, layer_id, belonging)
    if found:
        was = {name: old for name, (old, _) in found.items()}
        detail = {"set": list(found), "was": was, "is": becomes}
        done = audit.by_writer(writer, "layer", layer=layer_id, detail=detail)
        audit.append(connection, done)
    return found


def _checked(record: Layer, wanted: Settings) -> dict[str, Any]:
    """What is wanted, as the catalogue would write it."""
    named = {k: v for k, v in wanted.items() if k in (*DESCRIBED, "visibility")}
    document = schema_document(record.schema) | {"visibility": record.visibility.value} | named
    schema = parse_schema({k: v for k, v in document.items() if v is not None})
    own = {k: wanted[k] for k in ("department", "pending") if k in wanted}
    return _described(schema_document(schema)) | {"visibility": schema.visibility.value} | own


def _described(document: Mapping[str, Any]) -> dict[str, Any]:
    flags = {name: document.get(name, False) for name in ("backdating", "paused")}
    return {name: document.get(name) for name in DESCRIBED} | flags
