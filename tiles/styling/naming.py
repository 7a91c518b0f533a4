"""Which fields a style names; and a style without the parts that name some."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

# What every feature of a vector tile has beside its fields; `count` where it stands for several.
ALWAYS = frozenset({"id", "valid_from", "valid_to", "count", "change"})
_TOKEN = re.compile(r"\{([^{}]+)\}")
_WITH_TOKENS = ("text-field", "icon-image")


def named_fields(layer: Mapping[str, Any]) -> frozenset[str]:
    """Return the names that a layer of a style asks features for.

    >>> sorted(named_fields({"filter": ["has", "a"], "layout": {"text-field": "{b}"}}))
    ['a', 'b']
    """
    found = set(_asked(layer.get("filter")))
    for group in ("layout", "paint"):
        values = layer.get(group)
        if isinstance(values, Mapping):
            for name, value in values.items():
                found |= set(_asked(value))
                if name in _WITH_TOKENS and isinstance(value, str):
                    found |= set(_TOKEN.findall(value))
    return frozenset(found)


def without_fields(document: Mapping[str, Any], seen: Collection[str]) -> dict[str, Any]:
    """Return a style without the layers that name fields which are not seen.

    What such a layer says of values would tell of them, too.
    """
    known = ALWAYS | frozenset(seen)
    kept = [layer for layer in document["layers"] if named_fields(layer) <= known]
    return {**document, "layers": kept}


def _asked(value: Any) -> Iterator[str]:
    if not isinstance(value, list) or not value:
        return
    if value[0] == "literal":
        return
    # With an object of its own to look into, a name is none of a feature's.
    of_feature = len(value) == 2 or (len(value) > 2 and value[2] == ["properties"])
    if value[0] in ("get", "has") and of_feature and isinstance(value[1], str):
        yield value[1]
    for inner in value[1:]:
        if isinstance(inner, dict):
            for part in inner.values():
                yield from _asked(part)
        else:
            yield from _asked(inner)
