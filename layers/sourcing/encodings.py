"""Text of which nobody says how it is encoded: UTF-8 where it is, else refused with examples."""

from __future__ import annotations

import codecs
import struct
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO

from layers.errors import BadSource
from layers.sourcing.places import Place

# What city data is found in; the order is that of the message.
CANDIDATES = ("GB18030", "BIG5", "SHIFT_JIS", "EUC-KR", "CP1252", "CP1251")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Of a .dbf: no code page, and the one that any program of Windows writes, whatever it means.
_UNSTATED = (0, 0x57)
_TEXT, _DELETED = (b"C", b"V"), 0x2A
_SHOWN = 40
_CHUNK = 1 << 20
_SAMPLES = 200


def check_dbf(place: Place) -> str | None:
    """Return the encoding of a Shapefile's attributes where nothing states it; None where it does.

    Raises
    ------
    BadSource
        Where the text is no UTF-8: with what it would be in others.
    """
    table = place if place.suffix == ".dbf" else place.beside(".dbf")
    if table is None or place.beside(".cpg") is not None:
        return None
    with table.opened() as file:
        head = file.read(32)
        if len(head) < 32 or head[29] not in _UNSTATED:
            return None
        strangers = _strangers(_dbf_texts(file, head))
        first = list(islice(strangers, _SAMPLES))
    if first:
        raise BadSource(_explain(place.name, first))
    return "UTF-8"


def dbf_encoding(place: Place) -> str:
    """Return what a Shapefile says of its attributes' encoding; nothing where it says none."""
    stated = place.beside(".cpg")
    if stated is not None:
        return stated.head(_SHOWN).decode("ascii", "replace").strip()
    table = place if place.suffix == ".dbf" else place.beside(".dbf")
    head = b"" if table is None else table.head(32)
    return "" if len(head) < 32 or head[29] in _UNSTATED else f"mark 0x{head[29]:02X} of the .dbf"


def text_encoding(place: Place) -> str:
    """Return the encoding of a text file: that of its mark, or UTF-8.

    Raises
    ------
    BadSource
        Where it has no mark and is no UTF-8.
    """
    with place.opened() as file:
        head = file.read(4)
        for mark, name in _MARKS:
            if head.startswith(mark):
                return name
        if b"\0" in head:
            guess = "UTF-16LE" if head[1:2] == b"\0" else "UTF-16BE"
            raise BadSource(f"{place.name} is no UTF-8; state --encoding, probably {guess}")
        first = list(islice(_strangers(_lines(place.name, file, head)), _SAMPLES))
    if first:
        raise BadSource(_explain(place.name, first))
    return "utf-8"


def has_mark(encoding: str) -> bool:
    """Return whether `text_encoding` goes by a file's own mark where it says this."""
    return encoding in {name for _, name in _MARKS}


def _strangers(texts: Iterable[bytes]) -> Iterator[bytes]:
    """The texts that are no UTF-8."""
    for text in texts:
        if not text.isascii():
            try:
                text.decode("utf-8")
            except UnicodeDecodeError:
                yield text


def _explain(name: str, texts: list[bytes]) -> str:
    shown = []
    for encoding in CANDIDATES:
        try:
            read = [text.decode(encoding) for text in texts]
        except UnicodeDecodeError:
            continue
        if all(sign.isprintable() for sign in "".join(read).strip()):
            shown.append(f"{encoding} {read[0].strip()[:_SHOWN]!r}")
    tried = "; in ".join(shown) or "no encoding that is common"
    return f"{name} has text that is no UTF-8; state its --encoding. In {tried}"


def _dbf_texts(file: IO[bytes], head: bytes) -> Iterator[bytes]:
    """The texts of a dBase table, record by record; its field names first."""
    start, width = struct.unpack_from("<HH", head, 8)
    described = file.read(max(start - 32, 0))
    fields, place = [], 1
    for n in range(0, len(described) - 31, 32):
        if described[n] == 0x0D:
            break
        # Of a text, GDAL and others take the decimals as the high byte of its length.
        kind, length = described[n + 11 : n + 12], described[n + 16]
        length += described[n + 17] << 8 if kind in _TEXT else 0
        yield described[n : n + 11].split(b"\0")[0]
        if kind in _TEXT:
            fields.append((place, place + length))
        place += length
    if width < 2 or not fields:
        return
    many = max(_CHUNK // width, 1)
    while part := file.read(many * width):
        # Most tables are plain: looked at as a whole, they cost nothing.
        if not part.isascii():
            for n in range(0, len(part), width):
                if part[n] != _DELETED:
                    yield from (part[n + a : n + b].rstrip(b" \0") for a, b in fields)


def _lines(name: str, file: IO[bytes], head: bytes) -> Iterator[bytes]:
    """Lines, cut where they are long: between characters, as far as they are UTF-8."""
    rest = head
    while part := file.read(_CHUNK):
        if b"\0" in part:
            raise BadSource(f"{name} has NUL characters, as no text has; export it again")
        lines = (rest + part).replace(b"\r", b"\n").split(b"\n")
        rest = lines.pop()
        if len(rest) > _CHUNK:
            cut = _whole(rest)
            lines, rest = [*lines, rest[:cut]], rest[cut:]
        yield from lines
    yield rest


def _whole(text: bytes) -> int:
    """How much of a text ends with a whole character of UTF-8."""
    for back in range(1, 5):
        if text[-back] < 0x80:
            return len(text) - back + 1
        if text[-back] >= 0xC0:
            return len(text) - back
    return len(text)
