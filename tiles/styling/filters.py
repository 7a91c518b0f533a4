"""The filters of a style's layers: expressions that hold or do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tiles.styling.expressions import (
    Fault,
    Place,
    check_expression,
    check_outputs,
    is_expression,
)
from tiles.styling.tables import Property

_USES = frozenset({"feature", "zoom"})
_FILTERED = Property("filter", "layout", "filter", "", None, (), None, None, _USES)


def check_filter(value: Any, fields: frozenset[str], where: str) -> Iterator[Fault]:
    """Yield what is wrong with a filter."""
    if isinstance(value, bool):
        return
    if not is_expression(value):
        yield 'a filter is an expression, such as ["==", ["get", "state"], "closed"]', where
        return
    if _is_old(value):
        yield (
            "this is a filter of before expressions; name a field as "
            '["get", "state"], and write "in" as ["in", ["get", "state"], ["literal", [...]]]',
            where,
        )
        return
    place = Place(_USES, fields, anywhere=True)
    yield from check_expression(value, place, where)
    yield from check_outputs(value, _FILTERED, where)


def _is_old(value: list[Any]) -> bool:
    """Whether a filter names its field in the second place, as filters did once."""
    if value[0] in ("==", "!=", "<", ">", "<=", ">=") and len(value) == 3:
        return not any(isinstance(v, list) for v in value[1:])
    if value[0] == "in":
        return len(value) != 3 or not isinstance(value[2], list | str)
    return value[0] in ("all", "any") and any(
        isinstance(v, list) and v and _is_old(v) for v in value[1:]
    )
