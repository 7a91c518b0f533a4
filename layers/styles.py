"""Stored styles of layers: how somebody who publishes a layer wants it drawn, through time.

Each change is a row of its own; of the rows of an id the newest is in force, and one without a
document says that the style was taken away. What a style may say is `tiles.styling`'s to judge.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from layers import catalog
from layers.access import audit
from layers.clock import Clock
from layers.database import Database
from layers.errors import BadStyleName, Forbidden, TooMuchAsked, UnknownLayer, UnknownStyle
from layers.model import Layer, Title
from layers.readers import Reader
from layers.tables import style
from layers.writers import Verb, Writer

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LONGEST_TITLE = 200
# In force for one layer at once: whoever lists them reads them all.
MOST_STYLES = 50


@dataclass(frozen=True, slots=True)
class Style:
    """A style that is in force.

    Attributes
    ----------
    id : str
        ``layer.name``.
    document : mapping
        Of MapLibre's kind, with ``{base}`` where this server's address is to stand.
    chosen : bool
        Whether the layer is drawn by it where nobody says otherwise.
    """

    id: str
    layer: str
    title: Title
    document: Mapping[str, Any]
    chosen: bool
    author: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class NewStyle:
    """What a style is to be; `chosen` None leaves open whether it is the layer's default."""

    id: str
    title: Title
    document: Mapping[str, Any]
    chosen: bool | None = None


# Is given the style that there is, or None, and raises where it is not as the writer thought.
Check = Callable[[Style | None], None]


def layer_of(style_id: str) -> str:
    """Return the layer of a stored style's id.

    Raises
    ------
    BadStyleName
        Where no stored style can be called so.

    Examples
    --------
    >>> layer_of("parcels.by-use")
    'parcels'
    """
    layer_id, _, name = style_id.partition(".")
    if not layer_id or not _NAME.fullmatch(name):
        raise BadStyleName(
            f"{style_id!r} can't be a style's id: write layer.name, with a name of at most 64 "
            "lower-case letters, digits, _ and -, such as parcels.by-use"
        )
    return layer_id


@dataclass(frozen=True, slots=True)
class Styles:
    """The styles of a store."""

    database: Database
    clock: Clock

    def read_all(self, reader: Reader, layer_id: str | None = None) -> list[Style]:
        """Return the styles in force, of one layer or of all that the reader sees, by their ids."""
        with self.database.read() as connection:
            seen = {record.id for record in catalog.list_layers(connection, reader)}
            wanted = seen if layer_id is None else seen & {layer_id}
            return _in_force(connection, wanted)

    def read(self, style_id: str, reader: Reader) -> Style:
        """Return a style in force.

        Raises
        ------
        UnknownStyle
            Where there is none, or none of a layer that the reader sees.
        """
        with self.database.read() as connection:
            found = _find(connection, style_id)
            record = None if found is None else catalog.find_layer(connection, found.layer)
            if found is not None and record is not None and reader.sees(record):
                return found
        raise unknown(style_id)

    def write(self, wanted: NewStyle, writer: Writer, reader: Reader, check: Check) -> Style:
        """Put a style in force, in place of the one of its id where there is one.

        Parameters
        ----------
        check : callable
            Asked within the transaction, before anything is written.

        Raises
        ------
        BadStyleName
            Where the id or the title can't be one.
        TooMuchAsked
            Where the layer has as many styles as it may have.
        UnknownLayer
            Where the reader sees no such layer.
        Forbidden
            Where the writer does not publish it.
        """
        layer_id = layer_of(wanted.id)
        _check_title(wanted.title)
        with self.database.write() as connection:
            found = _begin(connection, layer_id, wanted.id, writer, reader)
            check(found)
            if found is None:
                _check_room(connection, layer_id)
            chosen = wanted.chosen
            if chosen is None:
                chosen = found is not None and found.chosen
            row = {
                "id": wanted.id,
                "layer_id": layer_id,
                "title_zh": wanted.title.zh,
                "title_en": wanted.title.en,
                "document": dict(wanted.document),
                "chosen": chosen,
                "author": writer.name,
                "written_at": self.clock(),
            }
            connection.execute(sa.insert(style).values(row))
            detail = {"style": wanted.id, "new": found is None, "default": chosen}
            entry = audit.by_writer(writer, "style", layer=layer_id, detail=detail)
            written = _find(connection, wanted.id)
            audit.append(connection, entry)
            assert written is not None  # noqa: S101 - it was just written
            return written

    def delete(self, style_id: str, writer: Writer, reader: Reader, check: Check) -> None:
        """Take a style away; what it was stays in the store.

        Raises
        ------
        UnknownStyle, UnknownLayer, Forbidden
        """
        layer_id = layer_of(style_id)
        with self.database.write() as connection:
            found = _begin(connection, layer_id, style_id, writer, reader)
            if found is None:
                raise unknown(style_id)
            check(found)
            row = {
                "id": style_id,
                "layer_id": layer_id,
                "title_zh": found.title.zh,
                "title_en": found.title.en,
                "document": None,
                "chosen": False,
                "author": writer.name,
                "written_at": self.clock(),
            }
            connection.execute(sa.insert(style).values(row))
            detail = {"style": style_id, "gone": True}
            entry = audit.by_writer(writer, "style", layer=layer_id, detail=detail)
            audit.append(connection, entry)


def check_may_style(record: Layer, writer: Writer) -> None:
    """Refuse whoever does not publish a layer.

    Raises
    ------
    Forbidden
    """
    if not writer.may(record.id, record.department, Verb.PUBLISH):
        raise Forbidden(
            f"{writer.name} does not publish {record.id}, and so may not say how it is drawn; "
            "apply for it, or ask an administrator"
        )


def unknown(style_id: str) -> UnknownStyle:
    """Return the error of a style that is not there, or not for whoever asks."""
    return UnknownStyle(f"there is no style {style_id!r}; /styles lists those that there are")


def _begin(
    connection: Connection, layer_id: str, style_id: str, writer: Writer, reader: Reader
) -> Style | None:
    """Lock the layer, and return the style in force."""
    record = catalog.lock_layer(connection, layer_id)
    if record is None or not record.head or not reader.sees(record):
        raise UnknownLayer(f"no layer {layer_id!r}; a style's id is layer.name")
    check_may_style(record, writer)
    return _find(connection, style_id)


def _check_room(connection: Connection, layer_id: str) -> None:
    newest = sa.select(sa.func.max(style.c.seq)).where(style.c.layer_id == layer_id)
    of_each = style.c.seq.in_(newest.group_by(style.c.id))
    count = sa.select(sa.func.count()).where(of_each, style.c.document.is_not(None))
    if connection.execute(count).scalar_one() >= MOST_STYLES:
        raise TooMuchAsked(
            f"{layer_id} has {MOST_STYLES} styles, and may have no more; delete one that nobody "
            "draws it by"
        )


def _check_title(title: Title) -> None:
    for text in (title.zh, title.en):
        if not 0 < len(text) <= _LONGEST_TITLE or not text.isprintable():
            raise BadStyleName(
                f"{text[:20]!r} can't be a style's title; it has 1 to {_LONGEST_TITLE} signs, "
                "in one line"
            )


def _in_force(
    connection: Connection, layer_ids: Iterable[str], style_id: str | None = None
) -> list[Style]:
    """The styles of some layers; a layer's default is the last that was chosen, while it is so.

    Where an id is given, the document of no other style is read.
    """
    newest = sa.select(sa.func.max(style.c.seq)).group_by(style.c.id)
    of_layers = style.c.layer_id.in_(sorted(layer_ids))
    wanted = of_layers if style_id is None else sa.and_(of_layers, style.c.id == style_id)
    query = sa.select(style).where(style.c.seq.in_(newest.where(wanted))).order_by(style.c.id)
    last = sa.select(sa.func.max(style.c.seq)).group_by(style.c.layer_id)
    chosen = set(connection.scalars(last.where(of_layers, style.c.chosen)))
    rows = connection.execute(query)
    return [_style(row, row.seq in chosen) for row in rows if row.document is not None]


def _find(connection: Connection, style_id: str) -> Style | None:
    """The style in force under an id, None where there is none."""
    return next(iter(_in_force(connection, [style_id.partition(".")[0]], style_id)), None)


def _style(row: Row[Any], chosen: bool) -> Style:
    title = Title(row.title_en, row.title_zh)
    own = (row.document, chosen, row.author, row.written_at)
    return Style(row.id, row.layer_id, title, *own)


__all__ = ["Check", "NewStyle", "Style", "Styles", "check_may_style", "layer_of", "unknown"]
