"""The actions of a transaction (draft OGC API Features Part 11), as its JSON has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from layers.reading.cql2 import JSON, LANGUAGES
from services.errors import BadFeature
from services.writing.bodies import pointer
from services.writing.selections import FILTER, NOTHING, Selection, read_selection
from spatial.crs import CRS84

MOST_ACTIONS = 1_000
MOST_FEATURES = 10_000
_KNOWN = frozenset(
    (*"id title description action collection item items properties datetime".split(), *FILTER)
)


class Kind(StrEnum):
    """What an action does."""

    INSERT = "insert"
    REPLACE = "replace"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True)
class Action:
    """One action.

    Attributes
    ----------
    number : int
        Its place in the transaction, from 0.
    name : str or None
        What its sender calls it.
    selection : Selection
        Features that it is about.
    bodies : tuple of (document, path)
        Features to be inserted or to replace with, or a merge patch, and where they stand.
    datetime : str or None
        From when on, where no body says it.
    places : mapping of str to str
        Of a merge patch the pointers at which its parts really stand.
    """

    number: int
    kind: Kind
    collection: str
    name: str | None = None
    selection: Selection = NOTHING
    bodies: tuple[tuple[Any, tuple[str | int, ...]], ...] = ()
    datetime: str | None = None
    places: Mapping[str, str] = field(default_factory=dict)

    def relocate(self, error: BadFeature) -> BadFeature:
        """Return an error about a merge patch with the pointers of the transaction."""
        return BadFeature(*((what, self.places.get(at, at)) for what, at in error.faults))


def read_actions(document: Any) -> list[Action]:
    """Read the actions of a transaction.

    Raises
    ------
    BadFeature
        Saying what is wrong and where.

    Examples
    --------
    >>> actions = [{"action": "delete", "collection": "land", "filter": {"ids": ["7"]}}]
    >>> [action] = read_actions({"transaction": actions})
    >>> action.kind, action.selection.ids
    (<Kind.DELETE: 'delete'>, ('7',))
    """
    if not isinstance(document, Mapping):
        raise BadFeature(("a transaction is an object", ""))
    if document.get("semantic", "atomic") != "atomic":
        said = "every transaction here is atomic: all of it is done, or nothing"
        raise BadFeature((said, "/semantic"))
    listed = document.get("transaction")
    if not isinstance(listed, list) or not listed:
        raise BadFeature(("a list of actions, one at least", "/transaction"))
    if len(listed) > MOST_ACTIONS:
        raise BadFeature((f"at most {MOST_ACTIONS} actions, not {len(listed)}", "/transaction"))
    actions = [_action(item, n) for n, item in enumerate(listed)]
    features = sum(max(len(a.selection.ids), len(a.bodies)) for a in actions)
    if features > MOST_FEATURES:
        raise BadFeature((f"at most {MOST_FEATURES} features, not {features}", "/transaction"))
    return actions


def _action(item: Any, n: int) -> Action:
    if not isinstance(item, Mapping):
        raise BadFeature(("an action is an object", _at(n)))
    for name in item:
        if name not in _KNOWN:
            raise BadFeature((f"there is no such member; there are {_listed()}", _at(n, name)))
    try:
        kind = Kind(item.get("action", ""))
    except ValueError:
        raise BadFeature((f"one of {', '.join(Kind)}", _at(n, "action"))) from None
    for name in ("id", "datetime"):
        if not isinstance(item.get(name), str | None):
            raise BadFeature(("a text", _at(n, name)))
    collection = item.get("collection")
    if not isinstance(collection, str):
        raise BadFeature(("the id of a collection", _at(n, "collection")))
    if kind is not Kind.DELETE and "datetime" in item and kind is not Kind.UPDATE:
        said = 'a feature says itself from when on it is so: "time": {"interval": [start, ".."]}'
        raise BadFeature((said, _at(n, "datetime")))
    own = (n, kind, collection, item.get("id"))
    if kind is Kind.INSERT:
        return Action(*own, bodies=_inserted(item, n))
    if kind is Kind.REPLACE:
        return _replacing(item, n, Action(*own))
    if kind is Kind.UPDATE:
        patch, places = _patch(item.get("properties"), n)
        bodies = ((patch, ("transaction", n)),)
        return Action(*own, _selection(item, n), bodies, item.get("datetime"), places)
    return Action(*own, _selection(item, n), (), item.get("datetime"))


def _inserted(item: Mapping[str, Any], n: int) -> tuple[tuple[Any, tuple[str | int, ...]], ...]:
    # The draft's text has items, its list of what is required has item.
    if "item" in item and "items" not in item:
        return ((item["item"], ("transaction", n, "item")),)
    items = item.get("items")
    if not isinstance(items, list) or not items:
        raise BadFeature(("a list of features, one at least", _at(n, "items")))
    return tuple((each, ("transaction", n, "items", i)) for i, each in enumerate(items))


def _replacing(item: Mapping[str, Any], n: int, action: Action) -> Action:
    inside = item.get("properties")
    if not isinstance(inside, Mapping) or "feature" not in inside:
        raise BadFeature(('write {"feature": {...}}', _at(n, "properties")))
    feature = inside["feature"]
    named = feature.get("id") if isinstance(feature, Mapping) else None
    if "filter" in item:
        chosen = _selection(item, n)
    elif isinstance(named, str):
        # The feature names the version that it replaces.
        chosen, feature = Selection((named,)), {k: v for k, v in feature.items() if k != "id"}
    else:
        raise BadFeature(("say which: a filter, or the feature's id", _at(n, "filter")))
    if len(chosen.ids) > 1:
        raise BadFeature(("a feature replaces one", _at(n, "filter")))
    path = ("transaction", n, "properties", "feature")
    return Action(n, action.kind, action.collection, action.name, chosen, ((feature, path),))


def _patch(properties: Any, n: int) -> tuple[dict[str, Any], dict[str, str]]:
    """The merge patch that the lists of an update make, and where its parts stand."""
    if not isinstance(properties, Mapping) or set(properties) - {"add", "modify", "delete"}:
        said = "an object with add and modify (lists of name and value) and delete (names)"
        raise BadFeature((said, _at(n, "properties")))
    patch: dict[str, Any] = {"properties": {}}
    places: dict[str, str] = {}
    for how in ("add", "modify", "delete"):
        listed = properties.get(how, [])
        if not isinstance(listed, list):
            raise BadFeature(("a list", _at(n, "properties", how)))
        for i, each in enumerate(listed):
            where = _at(n, "properties", how, i)
            name, value = _pair(each, how, where)
            inside = () if name == "geometry" else ("properties",)
            placed = _at(n, *inside, name)
            if placed in places:
                raise BadFeature((f"{name} is changed twice", where))
            places[placed] = where if how == "delete" else f"{where}/value"
            (patch["properties"] if inside else patch)[name] = value
    return patch, places


def _pair(each: Any, how: str, where: str) -> tuple[str, Any]:
    if how == "delete":
        name, value = each, None
    else:
        whole = isinstance(each, Mapping) and set(each) == {"name", "value"}
        name, value = (each["name"], each["value"]) if whole else (None, None)
    if not isinstance(name, str):
        said = "the name of a property" if how == "delete" else "an object with name and value"
        raise BadFeature((said, where))
    return name, value


def _selection(item: Mapping[str, Any], n: int) -> Selection:
    return read_selection(item, ("transaction", n))


def _at(n: int, *path: str | int) -> str:
    return pointer("transaction", n, *path)


def _listed() -> str:
    return ", ".join(sorted(_KNOWN))


_ACTION = {
    "type": "object",
    "required": ["action", "collection"],
    "properties": {
        "id": {"type": "string"},
        "title": {"type": "string"},
        "description": {"type": "string"},
        "action": {"type": "string", "enum": [kind.value for kind in Kind]},
        "collection": {"type": "string"},
        "items": {"type": "array", "items": {"type": "object"}},
        "properties": {"type": "object"},
        "filter": {"oneOf": [{"type": "string"}, {"type": "boolean"}, {"type": "object"}]},
        "filter-lang": {"type": "string", "enum": [*LANGUAGES], "default": JSON},
        "filter-crs": {"type": "string", "default": CRS84},
        "datetime": {"type": "string"},
    },
}
TRANSACTION = {
    "type": "object",
    "required": ["transaction"],
    "properties": {
        "title": {"type": "string"},
        "description": {"type": "string"},
        "semantic": {"type": "string", "enum": ["atomic"], "default": "atomic"},
        "transaction": {"type": "array", "minItems": 1, "items": _ACTION},
    },
}
