"""Edit files (JSON) to edits: what `shikong apply` reads; told in docs/edits.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from layers.edits import UNSTATED, Edit, Edits, Insert, Put, Retire, Supersede, Update
from layers.errors import BadSource
from spatial.crs import CRS84, parse_crs

_PERIOD = frozenset(("valid_from", "valid_to"))
_CONTENT = frozenset(("id", "properties", "geometry"))
_KEYS = {
    "insert": _CONTENT | _PERIOD,
    "put": _CONTENT | _PERIOD,
    "update": _CONTENT | _PERIOD,
    "retire": frozenset(("id",)) | _PERIOD,
    "supersede": frozenset(("ids", "into", "valid_from")),
}
_SUCCESSOR = _CONTENT | {"valid_to"}


def read_edits(path: Path) -> dict[str, Edits]:
    """Read a file of edits: for each layer a list, in the order in which they take effect.

    Raises
    ------
    BadSource
        Where the file is missing or no JSON, or an edit is not one; the text says which.
    """
    try:
        document = orjson.loads(path.read_bytes())
    except OSError as error:
        raise BadSource(f"{path}: {error.strerror}; give a file of edits") from None
    except orjson.JSONDecodeError as error:
        raise BadSource(f"{path} is no JSON: {error}; see docs/edits.md") from None
    return parse_edits(document)


def parse_edits(document: Any) -> dict[str, Edits]:
    """Turn a document into edits; shapes are GeoJSON, in longitude and latitude.

    Raises
    ------
    BadSource
        Naming the layer and the edit that is none.

    Examples
    --------
    >>> edits = parse_edits({"parcels": [{"edit": "retire", "id": "G-17"}]})
    >>> edits["parcels"].edits[0].id
    'G-17'
    """
    if not isinstance(document, Mapping) or not document:
        raise BadSource('write {"layer": [edit, ...]}; see docs/edits.md')
    found = {}
    for layer_id, items in document.items():
        if not isinstance(items, list) or not items:
            raise BadSource(f"{layer_id}: write a list of edits; see docs/edits.md")
        edits = [_edit(item, f"{layer_id}, edit {n}") for n, item in enumerate(items, 1)]
        found[layer_id] = Edits(edits, parse_crs(CRS84))
    return found


def _edit(item: Any, where: str) -> Edit:
    if not isinstance(item, Mapping) or item.get("edit") not in _KEYS:
        raise BadSource(f'{where}: "edit" is one of {", ".join(_KEYS)}')
    what = item["edit"]
    _check(item, _KEYS[what] | {"edit"}, where)
    start, end = (_text(item, name, where) for name in ("valid_from", "valid_to"))
    if what == "supersede":
        ids = item.get("ids")
        if not isinstance(ids, list) or not ids or not all(isinstance(i, str) for i in ids):
            raise BadSource(f'{where}: "ids" is the list of the features that cease')
        into = item.get("into") or []
        named = [Insert(*_whole(i, f"{where}, successor {n}")) for n, i in enumerate(into, 1)]
        return Supersede(tuple(ids), tuple(named), start)
    if what == "insert":
        return Insert(*_whole(item, where))
    if what == "put":
        return Put(*_whole(item, where))
    if not isinstance(item.get("id"), str):
        raise BadSource(f'{where}: "id" names the feature')
    if what == "retire":
        return Retire(item["id"], start, end)
    geometry = item.get("geometry", UNSTATED)
    return Update(item["id"], _properties(item, where), geometry, start, end)


def _whole(
    item: Any, where: str
) -> tuple[Mapping[str, Any], Any, str | None, str | None, str | None]:
    """All of a feature: properties, geometry, start, end, id."""
    if not isinstance(item, Mapping):
        raise BadSource(f"{where}: write its properties and its geometry")
    _check(item, _SUCCESSOR | {"edit", "valid_from"}, where)
    start, end = (_text(item, name, where) for name in ("valid_from", "valid_to"))
    return _properties(item, where), item.get("geometry"), start, end, _text(item, "id", where)


def _properties(item: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    properties = item.get("properties", {})
    if not isinstance(properties, Mapping):
        raise BadSource(f'{where}: "properties" are names and values')
    return properties


def _text(item: Mapping[str, Any], name: str, where: str) -> str | None:
    value = item.get(name)
    if value is not None and not isinstance(value, str):
        raise BadSource(f'{where}: "{name}" is a text, such as "2024-05-14"')
    return value


def _check(item: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    unknown = sorted(set(item) - known)
    if unknown:
        raise BadSource(f"{where} has no key {unknown[0]!r}; it knows {', '.join(sorted(known))}")
