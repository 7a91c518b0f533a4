"""Where the bytes of a source are: a file, or a member of an archive, which is read in place."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import IO, Any, cast

from layers.errors import BadSource


class Packing(StrEnum):
    """How a file is packed; each is the name that GDAL's virtual files have for it."""

    ZIP = "vsizip"
    TAR = "vsitar"
    GZIP = "vsigzip"


@dataclass(frozen=True)
class Place:
    """A file or folder, on disk or within an archive.

    Attributes
    ----------
    path : Path
        Of the file on disk.
    packing : Packing or None
        How that is packed.
    inner : str or None
        The member of the archive.
    members : frozenset of str
        All members of the archive, which were checked.
    """

    path: Path
    packing: Packing | None = None
    inner: str | None = None
    members: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """What messages and the provenance call it."""
        return self.path.name if self.inner is None else f"{self.path.name}/{self.inner}"

    @property
    def own_name(self) -> str:
        """Its name without folders, and as it is called unpacked.

        >>> Place(Path("/data/a.GeoJSON.gz"), Packing.GZIP).own_name
        'a.GeoJSON'
        """
        if self.inner is not None:
            return PurePosixPath(self.inner).name
        return self.path.stem if self.packing is Packing.GZIP else self.path.name

    @property
    def stem(self) -> str:
        """Its own name without the ending."""
        return PurePosixPath(self.own_name).stem

    @property
    def suffix(self) -> str:
        """The ending of its own name, in small letters."""
        return PurePosixPath(self.own_name).suffix.lower()

    @property
    def address(self) -> str:
        """What GDAL opens.

        >>> Place(Path("/data/a.zip"), Packing.ZIP, "b/c.shp").address
        '/vsizip/{/data/a.zip}/b/c.shp'
        """
        path = self.path.absolute()
        if self.packing is None:
            return str(path)
        if self.inner is None:
            return f"/{self.packing}/{path}"
        return f"/{self.packing}/{{{path}}}/{self.inner}"

    def beside(self, suffix: str) -> Place | None:
        """Return the file of the same name with another ending, if there is one."""
        if self.inner is None:
            found = [
                p
                for p in self.path.parent.glob(f"{glob_free(self.path.stem)}.*")
                if p.suffix.lower() == suffix and p.is_file()
            ]
            return replace(self, path=found[0]) if found else None
        wanted = str(PurePosixPath(self.inner).with_suffix(suffix)).lower()
        inner = next((m for m in sorted(self.members) if m.lower() == wanted), None)
        return None if inner is None else replace(self, inner=inner)

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Open it to be read from the first byte on.

        Raises
        ------
        BadSource
            Where the archive is damaged.
        """
        try:
            with ExitStack() as stack:
                yield self._open(stack)
        except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, EOFError) as error:
            raise BadSource(f"{self.name} is damaged ({error}); pack it again") from None

    def _open(self, stack: ExitStack) -> IO[bytes]:
        if self.packing is None:
            return stack.enter_context(self.path.open("rb"))
        if self.packing is Packing.GZIP:
            packed: Any = gzip.open(self.path, "rb")  # noqa: SIM115 - the stack closes it
            return cast("IO[bytes]", stack.enter_context(packed))
        if self.inner is None:
            raise BadSource(f"{self.name} is an archive; name a file within it")
        if self.packing is Packing.ZIP:
            archive = stack.enter_context(zipfile.ZipFile(self.path))
            return stack.enter_context(archive.open(self.inner))
        tar = stack.enter_context(tarfile.TarFile.open(self.path))
        # Many are packed as "./a.shp"; GDAL passes over the beginning.
        names = (name for name in tar.getnames() if name.removeprefix("./") == self.inner)
        found = tar.extractfile(next(names, self.inner))
        if found is None:
            raise BadSource(f"{self.name} is no file")
        return stack.enter_context(found)

    @contextmanager
    def seekable(self) -> Iterator[IO[bytes]]:
        """Open it so that one can go to and fro; what is packed stands in a file without a name."""
        with self.opened() as file:
            if self.packing is None:
                yield file
                return
            with TemporaryFile() as plain:
                shutil.copyfileobj(file, plain, 1 << 20)
                plain.seek(0)
                yield plain

    def head(self, count: int) -> bytes:
        """Return its first bytes."""
        with self.opened() as file:
            return file.read(count)


def glob_free(text: str) -> str:
    """Return a name whose stars, question marks and brackets stand for themselves.

    >>> glob_free("roads[1]")
    'roads[[]1]'
    """
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in text)
