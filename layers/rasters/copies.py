"""Local copies of rasters, from which tiles are read: each written once, whole, and then kept."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from weakref import finalize

from layers.database import Database
from layers.errors import NoRoom
from layers.rasters import pieces

# Of all copies in a folder; what was used longest ago goes first.
MOST_BYTES = 20 << 30
_PARTIAL = ".partial"
# Nobody writes one copy for so long between two pieces of it.
_LEFT_S = 3600


@dataclass
class Copies:
    """The copies of one folder, which the processes of a machine share.

    Parameters
    ----------
    folder : Path, optional
        Of its owner alone. Where it is absent, or can't be written, one of this process's own,
        gone when that ends.
    most_bytes : int
        As much as copies may take; the one that was just made stays in any case.
    """

    folder: Path | None = None
    most_bytes: int = MOST_BYTES
    _lock: Lock = field(default_factory=Lock, repr=False)
    _chosen: Path | None = field(default=None, repr=False)

    def path_of(self, database: Database, sha256: str) -> Path:
        """Return the path of a copy, made now where there is none.

        Raises
        ------
        DamagedRaster
            Where the store does not have the raster as it was.
        NoRoom
            Where the disk is full.
        """
        path = self._place() / f"{sha256}.tif"
        if _is_used(path):
            return path
        # One at a time in this process; others write the same bytes, and the last name wins.
        with self._lock:
            if not path.exists():
                self._make(database, sha256, path)
                self._trim(path)
        return path

    def forget(self, sha256: str) -> None:
        """Take a copy away that turned out not to be whole."""
        (self._place() / f"{sha256}.tif").unlink(missing_ok=True)

    def _place(self) -> Path:
        if self._chosen is None:
            with self._lock:
                self._chosen = self._chosen or self._shared() or self._own()
        return self._chosen

    def _shared(self) -> Path | None:
        """The folder that was named, None where this user can't write there."""
        if self.folder is None:
            return None
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            return None
        return self.folder if os.access(self.folder, os.W_OK | os.X_OK) else None

    def _own(self) -> Path:
        folder = tempfile.TemporaryDirectory(prefix="shikong-rasters-")
        finalize(self, folder.cleanup)
        return Path(folder.name)

    def _make(self, database: Database, sha256: str, path: Path) -> None:
        handle, name = tempfile.mkstemp(_PARTIAL, f".{sha256[:12]}.", path.parent)
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as file, database.read() as connection:
                for content in pieces.read(connection, sha256):
                    file.write(content)
            partial.replace(path)
        except OSError as error:
            raise NoRoom(
                f"raster {sha256} can't be copied to {path.parent} ({error.strerror}); make room"
            ) from error
        finally:
            partial.unlink(missing_ok=True)

    def _trim(self, newest: Path) -> None:
        _sweep(newest.parent)
        found = []
        for path in newest.parent.glob("*.tif"):
            try:
                found.append((path.stat().st_mtime, path.stat().st_size, path))
            except FileNotFoundError:
                continue  # another process was faster
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self.most_bytes:
                return
            if path != newest:
                path.unlink(missing_ok=True)
                total -= size


def _is_used(path: Path) -> bool:
    """Note that a copy is used, where it is there: another process may be about to trim it."""
    try:
        os.utime(path)
    except PermissionError:
        return True  # another user's, who lets this one read it
    except OSError:
        return False
    return True


def _sweep(folder: Path) -> None:
    """Take away what processes that were killed left half written."""
    for path in folder.glob(f".*{_PARTIAL}"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFT_S:
                path.unlink()
