"""The tiles that a server keeps: in memory what is asked most, on disk what was asked at all.

A tile is found by what it shows and who may see it. Whether it is still true is another question:
each says in which state of its layer it was so, and whoever asks in a later state looks whether
anything since has touched it (`tiles.keeping.touches`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tiles.keeping.kept import KeptTile, State
from tiles.keeping.shelf import Shelf

_DEFAULT_BYTES = 128 << 20


@dataclass(eq=False)
class TileCache:
    """Tiles in memory before a shelf on disk; both bounded, the least used leave first.

    Parameters
    ----------
    most_bytes : int
        That the tiles in memory may take.
    shelf : Shelf, optional
        None, and what leaves memory is drawn again.

    Attributes
    ----------
    found, missed : int
        How often a tile was there, and was not.
    """

    most_bytes: int = _DEFAULT_BYTES
    shelf: Shelf | None = None
    found: int = 0
    missed: int = 0
    _tiles: OrderedDict[str, KeptTile] = field(default_factory=OrderedDict, repr=False)
    _size: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def near(self, key: str) -> KeptTile | None:
        """Return a tile that is in memory, None where it is not."""
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
        return tile

    def find(self, key: str) -> KeptTile | None:
        """Return a tile, also from the shelf; None where there is none."""
        tile = self.near(key)
        if tile is None and self.shelf is not None:
            tile = self.shelf.find(key)
            if tile is not None:
                self._put(key, tile)
        if tile is None:
            self.missed += 1
        else:
            self.found += 1
        return tile

    def shelved(self, key: str, state: State) -> KeptTile | None:
        """Return a tile that another process drew meanwhile in just this state, if one did."""
        tile = None if self.shelf is None else self.shelf.find(key)
        if tile is None or tile.state != state:
            return None
        self._put(key, tile)
        return tile

    def keep(self, key: str, tile: KeptTile) -> None:
        """Keep a tile that was drawn."""
        self._put(key, tile)
        if self.shelf is not None:
            self.shelf.keep(key, tile)

    def hold(self, key: str, tile: KeptTile) -> None:
        """Keep a tile in memory alone: on disk it lies already, in an archive."""
        self._put(key, tile)

    def note(self, key: str, tile: KeptTile) -> None:
        """Keep a tile that was found to be true in a later state."""
        self._put(key, tile)
        if self.shelf is not None:
            self.shelf.note(key, tile)

    @contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Say that one draws a tile; whether no other process does just now."""
        if self.shelf is None:
            yield True
        else:
            with self.shelf.claim(key) as alone:
                yield alone

    def _put(self, key: str, tile: KeptTile) -> None:
        if tile.size > self.most_bytes:
            return
        with self._lock:
            old = self._tiles.pop(key, None)
            self._size += tile.size - (0 if old is None else old.size)
            self._tiles[key] = tile
            while self._size > self.most_bytes:
                _, gone = self._tiles.popitem(last=False)
                self._size -= gone.size
