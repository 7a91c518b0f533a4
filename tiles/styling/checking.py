"""Whether a document is a style of MapLibre's that this server can give out: its faults, by place.

Only expressions are taken; the functions and filters of before them are refused. Whatever a style
loads comes from this server: an intranet has no line to any other.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tiles.errors import BadStyle
from tiles.styling.bounds import check_bounds, escaped
from tiles.styling.constants import check_constant, is_number
from tiles.styling.expressions import (
    Fault,
    Place,
    check_expression,
    check_outputs,
    is_expression,
)
from tiles.styling.filters import check_filter
from tiles.styling.naming import ALWAYS, named_fields
from tiles.styling.tables import Property, properties

BASE = "{base}"
MOST_LAYERS = 200
_MOST_FAULTS = 20
_ROOT = frozenset(
    "version name metadata center centerAltitude zoom bearing pitch roll light sky projection "
    "sources sprite glyphs transition layers".split()
)
_LAYER = frozenset(
    "id type metadata source source-layer minzoom maxzoom filter layout paint".split()
)
_SOURCE = frozenset(
    "type url tiles bounds scheme minzoom maxzoom attribution promoteId volatile tileSize".split()
)
_SOURCE_TYPES = {
    "vector": frozenset({"fill", "line", "circle", "symbol", "heatmap", "fill-extrusion"}),
    "raster": frozenset({"raster"}),
    "raster-dem": frozenset({"hillshade", "color-relief"}),
}
_DEEPEST_ZOOM = 24


def check_style(document: Any, layer: str, fields: Collection[str]) -> None:
    """Refuse a document that is no style of a layer.

    Parameters
    ----------
    document : any
        As JSON; ``{base}`` stands where this server's address is.
    layer : str
        The collection that it draws, and no other.
    fields : collection of str
        The fields of the collection that whoever writes it sees.

    Raises
    ------
    BadStyle
        With up to 20 faults, each with its place as a JSON pointer.
    """
    # In this order: each calls itself on what the one before has passed.
    for look in (check_bounds(document), _faults(document, layer, frozenset(fields))):
        found = list(itertools.islice(look, _MOST_FAULTS))
        if found:
            raise BadStyle(*found)
    _check_names(document["layers"], ALWAYS | frozenset(fields))


def _check_names(layers: list[Mapping[str, Any]], known: frozenset[str]) -> None:
    """Refuse fields that there are not, also where they stand in a text or in options of one.

    A layer that names one would be left out for everybody.
    """
    found = (
        (f"there is no field {name[:60]!r}", f"/layers/{number}")
        for number, one in enumerate(layers)
        for name in sorted(named_fields(one) - known)
    )
    missing = list(itertools.islice(found, _MOST_FAULTS))
    if missing:
        raise BadStyle(*missing)


def _faults(document: Any, layer: str, fields: frozenset[str]) -> Iterator[Fault]:
    if not isinstance(document, Mapping):
        yield 'a style is an object: {"version": 8, "sources": {...}, "layers": [...]}', ""
        return
    for name in document:
        if name not in _ROOT:
            yield f"a style has no member {name[:60]!r} here", f"/{escaped(name)}"
    if document.get("version") != 8 or isinstance(document.get("version"), bool):
        yield "the version is 8", "/version"
    if not isinstance(document.get("name", ""), str):
        yield "the name is a text", "/name"
    if not isinstance(document.get("metadata", {}), Mapping):
        yield "metadata is an object", "/metadata"
    yield from _check_view(document)
    yield from _check_addresses(document)
    sources = document.get("sources")
    if not isinstance(sources, Mapping):
        yield "sources is an object of sources by their names", "/sources"
        sources = {}
    for name, source in sources.items():
        yield from _check_source(source, layer, f"/sources/{escaped(name)}")
    yield from _check_layers(document.get("layers"), sources, layer, fields)


def _check_view(document: Mapping[str, Any]) -> Iterator[Fault]:
    for name in ("zoom", "bearing", "pitch", "roll", "centerAltitude"):
        if not is_number(document.get(name, 0)):
            yield f"{name} is a number", f"/{name}"
    centre = document.get("center", [0, 0])
    if not isinstance(centre, list) or len(centre) != 2 or not all(map(is_number, centre)):
        yield "center is a longitude and a latitude", "/center"
    for name in ("light", "sky", "projection", "transition"):
        if not isinstance(document.get(name, {}), Mapping):
            yield f"{name} is an object", f"/{name}"


def _check_addresses(document: Mapping[str, Any]) -> Iterator[Fault]:
    sprite = document.get("sprite", [])
    several = sprite if isinstance(sprite, list) else [{"id": "default", "url": sprite}]
    for number, one in enumerate(several):
        where = f"/sprite/{number}" if isinstance(sprite, list) else "/sprite"
        if not isinstance(one, Mapping) or not isinstance(one.get("id"), str):
            yield "a sprite is an address, or a list of objects with id and url", where
        else:
            yield from _check_address(one.get("url"), f"{BASE}/sprites/", where)
    if "glyphs" in document:
        yield "labels are drawn with local fonts; leave glyphs out", "/glyphs"


def _check_address(value: Any, begin: str, where: str) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield "an address is a text", where
    elif not value.startswith(begin) or any(s in ("..", "") for s in _segments(value, begin)):
        yield f"{value[:80]!r} is not of this server's {begin.removeprefix(BASE)}", where


def _segments(value: str, begin: str) -> list[str]:
    return value.removeprefix(begin).partition("?")[0].split("/")


def _check_source(source: Any, layer: str, where: str) -> Iterator[Fault]:
    kind = source.get("type") if isinstance(source, Mapping) else None
    if not isinstance(kind, str) or kind not in _SOURCE_TYPES:
        yield f"a source's type is one of {', '.join(_SOURCE_TYPES)}", f"{where}/type"
        return
    for name in source:
        if name not in _SOURCE:
            yield f"a source has no member {name[:60]!r} here", f"{where}/{escaped(name)}"
    begin = f"{BASE}/collections/{layer}/"
    if "url" in source:
        yield from _check_address(source["url"], begin, f"{where}/url")
    elif not isinstance(source.get("tiles"), list) or not source["tiles"]:
        yield "a source has a url, or a list of tiles", where
    for number, template in enumerate(_listed(source.get("tiles"))):
        yield from _check_address(template, begin, f"{where}/tiles/{number}")
    for name in ("minzoom", "maxzoom", "tileSize"):
        if not is_number(source.get(name, 0)):
            yield f"{name} is a number", f"{where}/{name}"


def _check_layers(
    layers: Any, sources: Mapping[str, Any], layer: str, fields: frozenset[str]
) -> Iterator[Fault]:
    if not isinstance(layers, list) or not layers:
        yield "layers is a list of at least one layer", "/layers"
        return
    if len(layers) > MOST_LAYERS:
        yield f"a style has at most {MOST_LAYERS} layers here", "/layers"
        return
    seen: set[str] = set()
    for number, one in enumerate(layers):
        where = f"/layers/{number}"
        if not isinstance(one, Mapping):
            yield "a layer is an object", where
            continue
        name = one.get("id")
        if not isinstance(name, str) or not name:
            yield "a layer has an id", f"{where}/id"
        elif name in seen:
            yield f"id {name[:60]!r} is another layer's, too", f"{where}/id"
        else:
            seen.add(name)
        yield from _check_layer(one, sources, layer, fields, where)


def _check_layer(
    one: Mapping[str, Any],
    sources: Mapping[str, Any],
    layer: str,
    fields: frozenset[str],
    where: str,
) -> Iterator[Fault]:
    kind = one.get("type")
    if not isinstance(kind, str) or kind not in properties():
        yield f"a layer's type is one of {', '.join(sorted(properties()))}", f"{where}/type"
        return
    for name in one:
        if name not in _LAYER:
            yield f"a layer has no member {name[:60]!r}", f"{where}/{escaped(name)}"
    if kind != "background":
        yield from _check_drawn(one, kind, sources, layer, where)
    yield from _check_zooms(one, where)
    if not isinstance(one.get("metadata", {}), Mapping):
        yield "metadata is an object", f"{where}/metadata"
    if "filter" in one:
        yield from check_filter(one["filter"], fields, f"{where}/filter")
    for group in ("layout", "paint"):
        yield from _check_group(one.get(group, {}), kind, group, fields, f"{where}/{group}")


def _check_drawn(
    one: Mapping[str, Any], kind: str, sources: Mapping[str, Any], layer: str, where: str
) -> Iterator[Fault]:
    source = sources.get(one["source"]) if isinstance(one.get("source"), str) else None
    if not isinstance(source, Mapping):
        yield f"there is no source {str(one.get('source'))[:60]!r}", f"{where}/source"
        return
    of = str(source.get("type"))
    if kind not in _SOURCE_TYPES.get(of, frozenset()):
        yield f"a {kind} layer can't be drawn from a {of} source", f"{where}/source"
    if of == "vector" and one.get("source-layer") != layer:
        yield f"the tiles have one layer: source-layer is {layer!r}", f"{where}/source-layer"


def _check_zooms(one: Mapping[str, Any], where: str) -> Iterator[Fault]:
    for name in ("minzoom", "maxzoom"):
        value = one.get(name, 0)
        if not is_number(value) or not 0 <= value <= _DEEPEST_ZOOM:
            yield f"{name} is a number from 0 to {_DEEPEST_ZOOM}", f"{where}/{name}"


def _check_group(
    values: Any, kind: str, group: str, fields: frozenset[str], where: str
) -> Iterator[Fault]:
    if not isinstance(values, Mapping):
        yield f"{group} is an object", where
        return
    known = {n: p for n, p in properties()[kind].items() if p.group == group}
    for name, value in values.items():
        place = f"{where}/{escaped(name)}"
        found = known.get(name)
        if found is not None:
            yield from _check_value(value, found, fields, place)
        elif not (group == "paint" and name.removesuffix("-transition") in known):
            yield f"{kind} layers have no {group} property {name[:60]!r}", place


def _check_value(
    value: Any, found: Property, fields: frozenset[str], where: str
) -> Iterator[Fault]:
    if isinstance(value, Mapping):
        yield f"{found.name}: functions are those of before expressions; write interpolate", where
    elif is_expression(value) and not _is_list_of_texts(value, found):
        if not found.uses:
            yield f"{found.name} takes no expression", where
            return
        yield from check_expression(value, Place(found.uses, fields), where)
        yield from check_outputs(value, found, where)
    else:
        yield from check_constant(value, found, where)


def _is_list_of_texts(value: list[Any], found: Property) -> bool:
    """Whether a list is one of names, though the first may be called like an operator."""
    return found.item == "string" and all(isinstance(v, str) for v in value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
