"""The archives that a server answers from: PMTiles files in a folder, each of one state.

A file that is damaged, or not ours, is passed over.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from layers.readers import Known
from tiles.keeping.archive_reading import DAMAGE, Archive, open_archive
from tiles.keeping.kept import KeptTile, State
from tiles.keeping.making import TileQuestion

log = logging.getLogger("shikong")
ENDING = ".pmtiles"
_LOOK_S = 1.0
_Stamp = tuple[int, int, int]
_Name = tuple[str, str, State, tuple[str, ...] | None, str]


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
        except DAMAGE as error:
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
        kind = asked.packed_as
        if not self._named or kind is None or asked.key is None:
            return None
        name = (asked.layer.record.id, asked.scope, asked.state, asked.names, kind)
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
                named.setdefault((a.layer, a.scope, a.state, a.names, a.kind), []).append(a)
        self._known, self._named = known, named


def _stamps(folder: Path) -> dict[str, _Stamp]:
    """The archives in a folder, each with what differs where the file is another."""
    found: dict[str, _Stamp] = {}
    try:
        with os.scandir(folder) as entries:
            named = [e for e in entries if e.name.endswith(ENDING) and not e.name.startswith(".")]
    except OSError:
        return found
    for entry in named:
        # A name that leads nowhere, or to what never ends, is nothing to the others.
        with suppress(OSError):
            if entry.is_file():
                told = entry.stat()
                found[entry.name] = (told.st_ino, told.st_size, told.st_mtime_ns)
    return found


def _opened(path: Path) -> Archive | None:
    try:
        return open_archive(path)
    except DAMAGE as error:
        _pass_over(path, error)
        return None


def _pass_over(path: Path, error: Exception) -> None:
    log.warning("%s is no archive to answer from: %s", path, str(error) or type(error).__name__)
