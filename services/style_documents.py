"""Styles as they are answered: found for a reader, with this server's address in them, or out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request

from layers.errors import UnknownLayer
from layers.model import Title
from layers.store import PublishedLayer
from layers.styles import Style, unknown
from services.access.admission import Admitted
from services.links import base_url
from tiles.errors import Unsayable
from tiles.styling.checking import BASE
from tiles.styling.defaults import default_style
from tiles.styling.legends import Entry, legend_of
from tiles.styling.naming import named_fields, without_fields
from tiles.styling.sld.writing import write_sld
from tiles.styling.tables import TITLE

_LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True)
class Found:
    """A style as its reader sees it.

    Attributes
    ----------
    document : mapping
        With ``{base}`` in it, and without the parts that name what the reader does not see.
    stored : Style or None
        None where it is the platform's own.
    whole : bool
        Whether it names no field that is there, and that this reader does not see.
    """

    id: str
    layer: PublishedLayer
    title: Title
    document: Mapping[str, Any]
    stored: Style | None = None
    whole: bool = True

    @property
    def author(self) -> str | None:
        """Who wrote it, for who may know that: those who see who wrote the layer's revisions."""
        if self.stored is None or not self.layer.reader.knows_internals(self.layer.record):
            return None
        return self.stored.author

    def can_be_sld(self) -> bool:
        """Return whether an SLD can say anything of it."""
        try:
            write_sld(self.document, self.id, self.title, "1.1.0")
        except Unsayable:
            return False
        return True

    @property
    def legend(self) -> list[Entry]:
        """Its legend, of what the reader sees."""
        record = self.layer.record
        return legend_of(self.document, self.title, self.layer.reader.fields(record))


def own_style(layer: PublishedLayer) -> Found:
    """Return the style that the platform has for a layer."""
    record = layer.record
    document = default_style(record.id, record.schema, layer.reader.fields(record))
    return Found(record.id, layer, record.schema.title, document)


def stored_style(layer: PublishedLayer, style: Style) -> Found:
    """Return a stored style, as the layer's reader sees it."""
    fields = {f.id for f in layer.reader.fields(layer.record)}
    document = without_fields(style.document, fields)
    # Of fields that are gone from the schema there is nothing to hide: somebody has to mend it.
    schema = layer.record.schema
    restricted = {f.id for f in layer.reader.restricted(layer.record)}
    hidden = {f.id for f in (*schema.stored, *schema.restricted)} - fields - restricted
    whole = not any(named_fields(one) & hidden for one in style.document["layers"])
    return Found(style.id, layer, style.title, document, style, whole)


def find_style(admitted: Admitted, style_id: str) -> Found:
    """Return a style that the caller sees.

    Raises
    ------
    UnknownStyle
        Where there is none, or none of a layer that they see.
    """
    try:
        if "." not in style_id:
            return own_style(admitted.layer(style_id))
        stored = admitted.style(style_id)
        return stored_style(admitted.layer(stored.layer), stored)
    except UnknownLayer:
        raise unknown(style_id) from None


def style_tag(request: Request, found: Found, form: str = "json") -> str:
    """Return the strong tag of a style as its reader sees it, in a format.

    What stands before the dash is the same in every format: If-Match names the style by it.
    """
    chosen = found.stored is not None and found.stored.chosen
    told = (found.id, found.title.zh, found.title.en, chosen, base_url(request), found.document)
    scope = found.layer.sight.fingerprint.encode()
    written = orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
    return f'"{hashlib.sha256(written + scope).hexdigest()[:32]}-{form}"'


def addressed(document: Mapping[str, Any], base: str) -> dict[str, Any]:
    """Return a style with the server's address where ``{base}`` stands."""
    return _with_addresses(document, lambda text: text.replace(BASE, base, 1))


def templated(document: Any, base: str) -> Any:
    """Return a style with ``{base}`` where it has the server's address, or a path of it."""
    if not isinstance(document, Mapping):
        return document

    def replaced(text: str) -> str:
        if text.startswith(f"{base}/"):
            return BASE + text.removeprefix(base)
        own = text.startswith("/") and not text.startswith("//")
        return BASE + text if own else text

    return _with_addresses(document, replaced)


def _with_addresses(document: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    found = dict(document)
    sources = document.get("sources")
    if isinstance(sources, Mapping):
        found["sources"] = {name: _source(source, change) for name, source in sources.items()}
    sprite = document.get("sprite")
    if isinstance(sprite, str):
        found["sprite"] = change(sprite)
    elif isinstance(sprite, list):
        found["sprite"] = [
            {**one, "url": change(one["url"])} if _has_text(one, "url") else one for one in sprite
        ]
    return found


def _source(source: Any, change: Callable[[str], str]) -> Any:
    if not isinstance(source, Mapping):
        return source
    found = dict(source)
    if _has_text(source, "url"):
        found["url"] = change(source["url"])
    if isinstance(source.get("tiles"), list):
        found["tiles"] = [change(t) if isinstance(t, str) else t for t in source["tiles"]]
    return found


def _has_text(value: Any, name: str) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get(name), str)


def title_of(document: Mapping[str, Any], otherwise: Title) -> Title:
    """Return what a style is called: in its metadata, or by its name (``中文 · English``).

    >>> title_of({"name": "按用途 · By use"}, Title("t", "t"))
    Title(en='By use', zh='按用途')
    """
    metadata = document.get("metadata")
    stated = metadata.get(TITLE) if isinstance(metadata, Mapping) else None
    if isinstance(stated, Mapping) and _has_text(stated, "zh") and _has_text(stated, "en"):
        return Title(_short(stated["en"]), _short(stated["zh"]))
    name = document.get("name")
    if not isinstance(name, str) or not name.strip():
        return otherwise
    zh, _, en = name.partition(" · ")
    return Title(_short(en or zh), _short(zh))


def _short(text: str) -> str:
    kept = "".join(letter for letter in text if letter.isprintable()).strip()
    return kept[:_LONGEST_TITLE] or "—"
