"""Tiles on disk, which all server processes of a machine share: one SQLite file, bounded.

What has not been asked for longest goes first. A shelf is a convenience: where it can't be read or
written, tiles are drawn anew, and nothing else happens.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tiles.keeping.kept import FORMAT, KeptTile, State

_FILE = f"kept-{FORMAT}.sqlite"
_TABLE = """
CREATE TABLE IF NOT EXISTS tile (
    key TEXT PRIMARY KEY, body BLOB NOT NULL, etag TEXT NOT NULL, revision INTEGER NOT NULL,
    recorded TEXT NOT NULL, shown TEXT NOT NULL, thinned REAL, size INTEGER NOT NULL,
    used INTEGER NOT NULL, checked INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS tile_used ON tile (used, size);
"""
# One note of use stands for so many seconds: to write it down costs more than to read the tile.
_USED_S = 60
_LOOK_EVERY = 200
_KEPT_SHARE = 0.9
_CLAIMS = 1024
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(eq=False)
class Shelf:
    """Tiles on disk.

    Parameters
    ----------
    folder : Path
        Of this installation; made where it is not there.
    most_bytes : int
        That all tiles together may take.
    clock : callable
        Seconds since the epoch.

    Attributes
    ----------
    lost : int
        How many tiles could not be kept; `cause` says why the last was not.
    """

    folder: Path
    most_bytes: int
    clock: Callable[[], float] = time.time
    lost: int = 0
    cause: str = ""
    _local: threading.local = field(default_factory=threading.local, repr=False)
    _written: int = 0

    def __post_init__(self) -> None:
        """Make the folder, which nobody else can look into."""
        with suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def find(self, key: str) -> KeptTile | None:
        """Return a tile, None where there is none."""
        try:
            row = self._connection().execute(_FIND, (key,)).fetchone()
            tile = None if row is None else _tile(key, row)
        except sqlite3.Error as error:
            self._mend(error)
            return None
        except (ValueError, TypeError, AttributeError, OverflowError):
            # Another's page, or nobody's, after a crash of the machine.
            return None
        if tile is None:
            return None
        used, now = row[6], int(self.clock())
        if now - used >= _USED_S:
            self._write("UPDATE tile SET used = ? WHERE key = ?", (now, key))
        return tile

    def keep(self, key: str, tile: KeptTile) -> None:
        """Keep a tile."""
        state = tile.state
        row = (
            key,
            tile.body,
            tile.etag,
            state.revision,
            state.recorded.isoformat(),
            state.when.isoformat(),
            tile.thinned,
            tile.size,
            int(self.clock()),
            _check(key, tile.body),
        )
        if not self._write(
            "INSERT OR REPLACE INTO tile VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row
        ):
            self.lost += 1
        self._written += 1
        if self._written % _LOOK_EVERY == 1:
            self._make_room()

    def note(self, key: str, tile: KeptTile) -> None:
        """Write down that a tile is known to be so in its state too, where it is here."""
        state = tile.state
        told = (state.revision, state.recorded.isoformat(), state.when.isoformat())
        # Another process may have put another tile here meanwhile, of which nothing is known.
        text = "UPDATE tile SET revision = ?, recorded = ?, shown = ? WHERE key = ? AND etag = ?"
        self._write(text, (*told, key, tile.etag))

    @contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Say that one draws a tile; whether nobody else of this machine does just now."""
        try:
            number = hash_of(key) % _CLAIMS
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            file = os.open(self.folder / f"claim-{number:03x}", flags, 0o600)
        except OSError:
            yield True
            return
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True
        finally:
            os.close(file)

    def bytes_kept(self) -> int:
        """Return what all tiles together take."""
        try:
            return int(self._connection().execute(_TOTAL).fetchone()[0])
        except sqlite3.Error:
            return 0

    def _make_room(self) -> None:
        """Let the least used go, until there is some room again."""
        total = self.bytes_kept()
        if total <= self.most_bytes:
            return
        goal = total - int(self.most_bytes * _KEPT_SHARE)
        self._write(_LEAVE, (goal,))

    def _write(self, text: str, values: tuple[object, ...]) -> bool:
        # A disk that is full, or others who write for too long: the tile is drawn again then.
        try:
            self._connection().execute(text, values)
        except sqlite3.Error as error:
            self.cause = str(error)
            self._mend(error)
            return False
        return True

    def _mend(self, error: sqlite3.Error) -> None:
        """Begin anew where the file is damaged: what it held can be drawn again."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
            return
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is not None:
            found.close()
            self._local.connection = None
        self._throw_away()

    def _throw_away(self) -> None:
        for rest in self.folder.glob(f"{_FILE}*"):
            with suppress(OSError):
                rest.unlink()

    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None or self._local.process != os.getpid():
            found = self._open()
            self._local.connection, self._local.process = found, os.getpid()
        return found

    def _open(self) -> sqlite3.Connection:
        path = self.folder / _FILE
        try:
            return _opened(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            # Not a database any more: what it held can be drawn again.
            self._throw_away()
            return _opened(path)


def hash_of(key: str) -> int:
    """Return a number made of a key, the same in every process."""
    return int(key[:8], 16)


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=2.0, isolation_level=None)
    with suppress(OSError):
        path.chmod(0o600)
    # What is lost in a crash is drawn again.
    for text in ("journal_mode = WAL", "synchronous = OFF", "mmap_size = 268435456"):
        connection.execute(f"PRAGMA {text}")
    connection.executescript(_TABLE)
    return connection


def _check(key: str, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(key.encode()))


def _tile(key: str, row: Sequence[Any]) -> KeptTile:
    """Return a row's tile; a ValueError, or another, where it is not what was written."""
    body, etag, revision, recorded, shown, thinned, _, checked = row
    if _check(key, body) != checked:
        raise ValueError(key)
    instants = (datetime.fromisoformat(text) for text in (recorded, shown))
    return KeptTile(bytes(body), etag, State(revision, *instants), thinned)


_FIND = (
    "SELECT body, etag, revision, recorded, shown, thinned, used, checked FROM tile WHERE key = ?"
)
_TOTAL = "SELECT coalesce(sum(size), 0) FROM tile"
_LEAVE = """
DELETE FROM tile WHERE key IN (
    SELECT key FROM (SELECT key, sum(size) OVER (ORDER BY used, key) - size AS before FROM tile)
    WHERE before < ?
)
"""
