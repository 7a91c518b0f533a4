"""One archive of tiles, read piece by piece, whoever wrote it and whatever befell it since.

It is never mapped into memory: under a mapping, a file that somebody cuts short would end the
process.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import struct
import weakref
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from pmtiles.tile import (
    Compression,
    Entry,
    HeaderDict,
    MagicNumberNotFound,
    SpecVersionUnsupported,
    deserialize_directory,
    deserialize_header,
    find_tile,
    zxy_to_tileid,
)

from tiles.keeping.archive_files import OURS, PACKINGS
from tiles.keeping.kept import FORMAT, KeptTile, State, etag_of
from tiles.keeping.making import TileQuestion

# What an archive says of its tiles to whoever asks for a list.
SAID = ("revision", "recorded", "instant", "matrixSet", "zooms", "properties", "tiles")
# What a file that is damaged, or none of ours, can make of reading it.
DAMAGE = (
    OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError,
    MemoryError, RecursionError, zlib.error, struct.error, MagicNumberNotFound,
    SpecVersionUnsupported,
)  # fmt: skip
_HEADER = 127
_PNG = b"\x89PNG\r\n\x1a\n"
_LEAVES = 16
# Of what is read at once: a header that is damaged may name the whole of a large file.
_MOST_BYTES = 64 << 20
# Of directories below each other, as the format has it.
_DEEPEST = 4
_KINDS = {packing: kind for kind, packing in PACKINGS.items()}


class _File:
    """A file that is open as long as anybody has it, whatever happens to its name."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self.number)
        self.size = os.fstat(self.number).st_size

    def read(self, offset: int, length: int) -> bytes:
        if length > _MOST_BYTES:
            raise ValueError(f"a part of {length} bytes is longer than any of ours")
        if not 0 <= offset <= offset + length <= self.size:
            raise EOFError(f"bytes {offset} to {offset + length} of {self.size}")
        data = os.pread(self.number, length, offset)
        if len(data) != length:
            raise EOFError("the file was cut short")
        return data


@dataclass(frozen=True, eq=False)
class Archive:
    """One archive.

    Attributes
    ----------
    state : State
        Of which all its tiles are.
    scope : str
        Fingerprint of what its reader sees.
    told : dict
        What it says of itself.
    tag : str
        Made of all that is in it.
    kind : str
        Of its tiles: ``mvt``, ``png`` or ``webp``.
    """

    path: Path
    size: int
    layer: str
    state: State
    scope: str
    form: str
    matrix_set: str
    names: tuple[str, ...] | None
    zooms: tuple[int, int]
    told: dict[str, Any] = field(repr=False)
    tag: str
    kind: str
    _thinned: dict[int, float] = field(repr=False)
    _file: _File = field(repr=False)
    _header: HeaderDict = field(repr=False)
    _directory: Callable[[int, int], list[Entry]] = field(repr=False)

    def tile(self, asked: TileQuestion) -> KeptTile:
        """Return one of its tiles; an empty one where nothing lies.

        Raises
        ------
        OSError, EOFError, ValueError, zlib.error
            Where the file is damaged.
        """
        where = asked.where
        number = zxy_to_tileid(where.zoom, where.column, where.row)
        found = self._entry(number)
        body = b""
        if found is not None:
            start = self._header["tile_data_offset"] + found.offset
            body = self._file.read(start, found.length)
            if self._header["tile_compression"] == Compression.GZIP:
                body = gzip.decompress(body)
            else:
                _check_picture(body)
        thinned = self._thinned.get(number)
        return KeptTile(body, etag_of(body, asked.scope), asked.state, thinned)

    def stat(self) -> os.stat_result:
        """Return what is known of the file, as long as its name is that of no other.

        Raises
        ------
        OSError
            Where somebody has moved another file there, or taken it away.
        """
        told = self.path.stat()
        if not os.path.samestat(told, os.fstat(self._file.number)) or told.st_size != self.size:
            raise FileNotFoundError(f"{self.path} is another file by now")
        return told

    def _entry(self, number: int) -> Entry | None:
        header = self._header
        offset, length = header["root_offset"], header["root_length"]
        for _ in range(_DEEPEST):
            found = find_tile(self._directory(offset, length), number)
            if found is None or found.run_length:
                return found
            offset, length = header["leaf_directory_offset"] + found.offset, found.length
        raise ValueError("directories without end")


def open_archive(path: Path) -> Archive:
    """Open an archive.

    Raises
    ------
    OSError, EOFError, ValueError, KeyError, zlib.error ...
        Where it is damaged, or none of ours.
    """
    file = _File(path)
    head = file.read(0, _HEADER)
    header = deserialize_header(head)
    kind = _KINDS.get((header["tile_type"], header["tile_compression"]))
    if kind is None:
        raise ValueError("its tiles are no vector tiles of ours, and no pictures")
    packed = file.read(header["metadata_offset"], header["metadata_length"])
    whole = json.loads(gzip.decompress(packed))
    ours = _own_of(whole)
    # What lies at the end tells whether all of it is there.
    file.read(header["tile_data_offset"] + header["tile_data_length"] - 1, 1)
    first, last = ours["zooms"]

    @lru_cache(maxsize=_LEAVES)
    def directory(offset: int, length: int) -> list[Entry]:
        return deserialize_directory(file.read(offset, length))

    directory(header["root_offset"], header["root_length"])
    told = (ours["revision"], _instant(ours["recorded"]), _instant(ours["instant"]))
    return Archive(
        path,
        file.size,
        str(ours["layer"]),
        State(*told),
        str(ours["scope"]),
        str(ours["form"]),
        str(ours["matrixSet"]),
        None if ours["properties"] is None else tuple(ours["properties"]),
        (int(first), int(last)),
        whole,
        hashlib.sha256(head + packed).hexdigest()[:32],
        kind,
        {int(n): float(size) for n, size in ours["thinned"].items()},
        file,
        header,
        directory,
    )


def _check_picture(body: bytes) -> None:
    """Refuse a picture that is not as it was written, as far as it can tell; gzip can."""
    view = memoryview(body)
    if body.startswith(_PNG):
        at = len(_PNG)
        while at < len(view):
            (length,) = struct.unpack_from(">I", view, at)
            (stated,) = struct.unpack_from(">I", view, at + 8 + length)
            if zlib.crc32(view[at + 4 : at + 8 + length]) != stated:
                raise ValueError("a picture of it is damaged")
            at += 12 + length
    elif not body.startswith(b"RIFF") or struct.unpack_from("<I", view, 4)[0] + 8 != len(view):
        raise ValueError("a picture of it is damaged")


def _own_of(whole: dict[str, Any]) -> dict[str, Any]:
    """What an archive of ours says beside what PMTiles has words for; all of it is there."""
    ours: dict[str, Any] | None = whole.get(OURS)
    if ours is None:
        raise ValueError("shikong tiles archive did not write it")
    if ours["format"] != FORMAT:
        raise ValueError(f"its tiles are of format {ours['format']}, those of now of {FORMAT}")
    # Or it could not be listed.
    lacking = [name for name in SAID if name not in ours]
    if lacking or not isinstance(whole.get("name"), str):
        raise ValueError(f"it does not say its {', '.join(lacking) or 'name'}")
    return ours


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
