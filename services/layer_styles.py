"""Styles of layers from files: a MapLibre style or an SLD, put in force where it differs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layers.model import Schema
from layers.readers import Reader
from layers.store import Store
from layers.styles import NewStyle, Style
from layers.writers import Writer
from services.errors import BadParameter
from tiles.errors import TilesError

_LARGEST = 1 << 20
_NOT_OF_A_NAME = re.compile(r"[^a-z0-9_-]+")
_READER = Reader.everything()


@dataclass(frozen=True)
class StyleFile:
    """A style as a file has it, and what of an SLD could not be said."""

    wanted: NewStyle
    warnings: tuple[str, ...] = ()


def read_style(path: Path, layer_id: str, schema: Schema) -> StyleFile:
    """Return the style of a layer in a file; it is called as the file is.

    Raises
    ------
    BadParameter
        Where the file holds none, or none of this layer.
    """
    # What judges styles takes a while to load, and most commands need none of it.
    from services.style_documents import templated, title_of
    from tiles.styling.checking import BASE, check_style
    from tiles.styling.sld.reading import read_sld

    content = _content(path)
    warnings: tuple[str, ...] = ()
    try:
        if path.suffix.lower() in (".sld", ".xml"):
            found = read_sld(content, layer_id, schema, schema.stored)
            document, warnings = found.document, found.warnings
        else:
            document = templated(_parsed(path, content), BASE)
        check_style(document, layer_id, [f.id for f in schema.stored])
    except TilesError as error:
        raise BadParameter(f"{path.name}: {error}") from None
    title = title_of(document, schema.title)
    return StyleFile(NewStyle(f"{layer_id}.{_name(path)}", title, document), warnings)


def differs(store: Store, wanted: NewStyle) -> bool:
    """Return whether a style is not in force as it is wanted."""
    was = _find(store, wanted.id)
    if was is None or (was.title, was.document) != (wanted.title, wanted.document):
        return True
    return wanted.chosen is not None and wanted.chosen != was.chosen


def put(store: Store, wanted: NewStyle, writer: Writer) -> None:
    """Put a style in force."""
    store.styles.write(wanted, writer, _READER, lambda was: None)


def draw_by_own(store: Store, layer_id: str, writer: Writer) -> bool:
    """Have a layer drawn by the platform's own style again; return whether it was not."""
    for style in store.styles.read_all(_READER, layer_id):
        if style.chosen:
            put(store, NewStyle(style.id, style.title, style.document, chosen=False), writer)
            return True
    return False


def _find(store: Store, style_id: str) -> Style | None:
    styles = store.styles.read_all(_READER, style_id.partition(".")[0])
    return next((style for style in styles if style.id == style_id), None)


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise BadParameter(f"{path}: a style may have {_LARGEST >> 20} MB; make it shorter")
        return path.read_bytes()
    except OSError as error:
        raise BadParameter(f"{path}: {error.strerror or error}; name a style's file") from None


def _parsed(path: Path, content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadParameter(f"{path} is no JSON ({error}); an SLD ends in .sld") from None
    if not isinstance(found, Mapping):
        raise BadParameter(f'{path}: a style is an object: {{"version": 8, ...}}')
    return found


def _name(path: Path) -> str:
    name = _NOT_OF_A_NAME.sub("-", path.name.partition(".")[0].lower()).strip("-_")[:64]
    if not name:
        raise BadParameter(f"{path}: a style is called as its file: a-z, 0-9, _ and -")
    return name
