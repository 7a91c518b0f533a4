"""The archives that a server answers from: PMTiles files in a folder, each of one state.

They are read piece by piece, never mapped into memory: under a mapping, a file that somebody cuts
short would end the process. A file that is damaged, or not ours, is passed over.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import os
import threading
import time
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
    TileType,
    deserialize_directory,
    deserialize_header,
    find_tile,
    zxy_to_tileid,
)

from layers.readers import Known
from tiles.keeping.archive_files import OURS
from tiles.keeping.kept import FORMAT, KeptTile, State, etag_of
from tiles.keeping.making import TileQuestion

log = logging.getLogger("shikong")
ENDING = ".pmtiles"
_LOOK_S = 1.0
_HEADER = 127
_LEAVES = 16
# Of directories below each other, as the format has it.
_DEEPEST = 4
_DAMAGE = (
    OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError,
    MemoryError, RecursionError, zlib.error, MagicNumberNotFound, SpecVersionUnsupported,
)  # fmt: skip
_Stamp = tuple[int, int, int]
_Name = tuple[str, str, State, tuple[str, ...] | None]


class _File:
    """A file that is open as long as anybody has it, whatever happens to its name."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self.number)
        self.size = os.fstat(self.number).st_size

    def read(self, offset: int, length: int) -> bytes:
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
            body = gzip.decompress(self._file.read(start, found.length))
        thinned = self._thinned.get(number)
        return KeptTile(body, etag_of(body, asked.scope), asked.state, thinned)

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
    if header["tile_compression"] != Compression.GZIP or header["tile_type"] != TileType.MVT:
        raise ValueError("its tiles are no vector tiles of ours")
    packed = file.read(header["metadata_offset"], header["metadata_length"])
    whole = json.loads(gzip.decompress(packed))
    ours = whole.get(OURS)
    if ours is None:
        raise ValueError("shikong tiles archive did not write it")
    if ours["format"] != FORMAT:
        raise ValueError(f"its tiles are of format {ours['format']}, those of now of {FORMAT}")
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
        {int(n): float(size) for n, size in ours["thinned"].items()},
        file,
        header,
        directory,
    )


@dataclass(eq=False)
class Archives:
    """The archives in a folder, which are looked for at most once a second.

    Parameters
    ----------
    folder : Path
        Need not be there.
    form_of : callable
        Returns the form of a schema's content: an archive of another is not asked.
    clock : callable
        Seconds.
    """

    folder: Path
    form_of: Callable[[Known], str]
    clock: Callable[[], float] = time.monotonic
    _known: dict[str, tuple[_Stamp, Archive | None]] = field(default_factory=dict, repr=False)
    _named: dict[_Name, list[Archive]] = field(default_factory=dict, repr=False)
    _looked: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def has(self, asked: TileQuestion) -> bool:
        """Return whether an archive answers a question, without reading its tile."""
        return self._archive_of(asked) is not None

    def find(self, asked: TileQuestion) -> KeptTile | None:
        """Return a tile of just this state, for who sees just this; None where there is none."""
        archive = self._archive_of(asked)
        if archive is None:
            return None
        try:
            return archive.tile(asked)
        except _DAMAGE as error:
            self._drop(archive, error)
            return None

    def of(self, layer: str, scope: str) -> list[Archive]:
        """Return the archives of a layer that are for those who see just this, by name."""
        self._look(again=True)
        found = [archive for _, archive in self._known.values() if archive is not None]
        mine = [a for a in found if a.layer == layer and a.scope == scope]
        return sorted(mine, key=lambda a: a.path.name)

    def _archive_of(self, asked: TileQuestion) -> Archive | None:
        self._look()
        # Of changes, or of a filter, it has none.
        if not self._named or type(asked) is not TileQuestion or asked.key is None:
            return None
        if asked.snapshot.query.filter is not None:
            return None
        name = (asked.layer.record.id, asked.scope, asked.state, asked.names)
        where = asked.where
        for archive in self._named.get(name, ()):
            first, last = archive.zooms
            if (
                archive.matrix_set == where.matrix_set.id
                and first <= where.zoom <= last
                and archive.form == self.form_of(Known(asked.snapshot.schema))
            ):
                return archive
        return None

    def _look(self, *, again: bool = False) -> None:
        if not again and self.clock() - self._looked < _LOOK_S:
            return
        with self._lock:
            stamps = _stamps(self.folder)
            self._looked = self.clock()
            if stamps == {name: stamp for name, (stamp, _) in self._known.items()}:
                return
            known = {}
            for name, stamp in stamps.items():
                before = self._known.get(name)
                same = before is not None and before[0] == stamp
                known[name] = before if same and before else (stamp, _opened(self.folder / name))
            self._settle(known)

    def _drop(self, archive: Archive, error: Exception) -> None:
        _pass_over(archive.path, error)
        with self._lock:
            self._settle({n: (s, None if a is archive else a) for n, (s, a) in self._known.items()})

    def _settle(self, known: dict[str, tuple[_Stamp, Archive | None]]) -> None:
        named: dict[_Name, list[Archive]] = {}
        for _, (_, a) in sorted(known.items()):
            if a is not None:
                named.setdefault((a.layer, a.scope, a.state, a.names), []).append(a)
        self._known, self._named = known, named


def _stamps(folder: Path) -> dict[str, _Stamp]:
    """The archives in a folder, each with what differs where the file is another."""
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(ENDING) and not entry.name.startswith("."):
                    told = entry.stat()
                    found[entry.name] = (told.st_ino, told.st_size, told.st_mtime_ns)
    except OSError:
        return found
    return found


def _opened(path: Path) -> Archive | None:
    try:
        return open_archive(path)
    except _DAMAGE as error:
        _pass_over(path, error)
        return None


def _pass_over(path: Path, error: Exception) -> None:
    log.warning("%s is no archive to answer from: %s", path, str(error) or type(error).__name__)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
