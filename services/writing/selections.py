"""Which features an action of a transaction is about: their ids, or what must hold of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pyproj import CRS

from layers.errors import BadQuery
from layers.reading.boxes import LONLAT
from layers.reading.cql2 import JSON, LANGUAGES, Filter, read_filter
from services.errors import BadFeature, BadParameter
from services.parameters import read_filter_crs
from services.writing.bodies import pointer

FILTER = ("filter", "filter-lang", "filter-crs")


@dataclass(frozen=True)
class Selection:
    """Which features an action is about.

    Attributes
    ----------
    ids : tuple of str
        Features that are named; a version's own id says that it is to be the one of now.
    filter : Filter or None
        What must hold of them, in CQL2, where they are not named.
    crs : CRS
        Of the geometries in the filter.
    """

    ids: tuple[str, ...] = ()
    filter: Filter | None = None
    crs: CRS = LONLAT


NOTHING = Selection()


def read_selection(item: Mapping[str, Any], path: tuple[str | int, ...]) -> Selection:
    """Read the filter of an action: ids as the draft's example has them, or CQL2.

    Parameters
    ----------
    item : mapping
        The action.
    path : tuple of str or int
        Where it stands.

    Raises
    ------
    BadFeature
        Saying what is wrong and where.

    Examples
    --------
    >>> read_selection({"filter": {"ids": ["7", "8"]}}, ()).ids
    ('7', '8')
    >>> text = {"filter": "id = '7'", "filter-lang": "cql2-text"}
    >>> read_selection(text, ()).ids
    ('7',)
    >>> read_selection({"filter": {"op": "isNull", "args": [{"property": "use"}]}}, ()).filter.text
    '{"args":[{"property":"use"}],"op":"isNull"}'
    """
    stated, where = item.get("filter"), pointer(*path, "filter")
    if stated is None:
        said = 'say which features: {"ids": ["...", ...]}, or CQL2; the filter true is all of them'
        raise BadFeature((said, where))
    if isinstance(stated, Mapping) and "ids" in stated:
        return Selection(_read_ids(stated["ids"], where))
    found = _read_filter(stated, item, path)
    ids = _ids_of(found.tree)
    if ids is not None:
        return Selection(_read_ids(ids, where))
    return Selection((), found, _read_crs(item, path))


def _read_filter(stated: Any, item: Mapping[str, Any], path: tuple[str | int, ...]) -> Filter:
    language = item.get("filter-lang", JSON)
    if language not in LANGUAGES:
        said = f"one of {', '.join(LANGUAGES)}"
        raise BadFeature((said, pointer(*path, "filter-lang")))
    where, is_text = pointer(*path, "filter"), isinstance(stated, str)
    if language != JSON and not is_text:
        raise BadFeature((f"{language} is a text", where))
    try:
        return read_filter(stated if is_text else orjson.dumps(stated).decode(), language)
    except BadQuery as error:
        hint = (
            '; CQL2 text needs "filter-lang": "cql2-text"' if is_text and language == JSON else ""
        )
        raise BadFeature((f"{error}{hint}", where)) from None


def _read_crs(item: Mapping[str, Any], path: tuple[str | int, ...]) -> CRS:
    if item.get("filter-crs") is None:
        return LONLAT
    try:
        return read_filter_crs(str(item["filter-crs"]))
    except BadParameter as error:
        raise BadFeature((str(error), pointer(*path, "filter-crs"))) from None


def _read_ids(ids: Any, where: str) -> tuple[str, ...]:
    if not isinstance(ids, list) or not ids or not all(isinstance(i, str) for i in ids):
        raise BadFeature(('name the features: {"ids": ["...", ...]}', where))
    if len(set(ids)) < len(ids):
        raise BadFeature(("an id is there twice", where))
    return tuple(ids)


def _ids_of(tree: Any) -> Any:
    """The ids that a condition on the id alone names."""
    match tree:
        case {"op": "=", "args": [{"property": "id"}, value]}:
            return [value]
        case {"op": "in", "args": [{"property": "id"}, [*values]]}:
            return values
    return None
