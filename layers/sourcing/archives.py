"""What is in an archive, looked at before any of it is read: names, sizes, links, bombs."""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from layers.errors import BadSource
from layers.sourcing.places import Packing, Place

_CHUNK = 1 << 20
_ENTRY = b"PK\x01\x02"
_ENCRYPTED = 1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NESTED = frozenset(".zip .kmz .tar .tgz .gz .bz2 .tbz2 .xz .txz .zst .lzma .7z .rar .cab".split())
_OTHERS = frozenset(".bz2 .tbz2 .xz .txz .zst .7z .rar".split())


@dataclass(frozen=True)
class Bounds:
    """How much an archive may be.

    Attributes
    ----------
    entries : int
        Files and folders.
    unpacked_bytes : int
        All of it, unpacked.
    ratio : int
        Unpacked to packed, from `free_bytes` on.
    free_bytes : int
        So much is no bomb, whatever it was squeezed from.
    """

    entries: int = 10_000
    unpacked_bytes: int = 64 << 30
    ratio: int = 250
    free_bytes: int = 256 << 20

    def check(self, name: str, unpacked: int, packed: int) -> None:
        """Refuse what is larger.

        Raises
        ------
        BadSource
            With the sizes.
        """
        if unpacked > self.unpacked_bytes:
            raise BadSource(
                f"{name} holds more than {self.unpacked_bytes >> 30} GB unpacked; unpack it "
                "yourself, and publish the file"
            )
        if unpacked > self.free_bytes and unpacked > self.ratio * max(packed, 1):
            raise BadSource(
                f"{name} unpacks to more than {self.ratio} times its size ({packed:,} bytes to "
                f"{unpacked:,} and more), as archives that are made to do harm; unpack it "
                "yourself, and publish the file"
            )


BOUNDS = Bounds()


def packing_of(path: Path) -> Packing | None:
    """Return how a file is packed, by its name.

    Raises
    ------
    BadSource
        Where it is an archive of a kind that is not read.

    Examples
    --------
    >>> packing_of(Path("a.tar.gz")), packing_of(Path("a.geojson.gz")), packing_of(Path("a.shp"))
    (<Packing.TAR: 'vsitar'>, <Packing.GZIP: 'vsigzip'>, None)
    """
    name = path.name.lower()
    if name.endswith((".zip", ".kmz")):
        return Packing.ZIP
    if name.endswith((".tar", ".tgz", ".tar.gz")):
        return Packing.TAR
    if name.endswith(".gz"):
        return Packing.GZIP
    if path.suffix.lower() in _OTHERS and path.is_file():
        raise BadSource(f"{path.name}: archives are read as .zip, .tar, .tgz or .gz; pack it so")
    return None


def look_into(path: Path, packing: Packing, bounds: Bounds = BOUNDS) -> Place:
    """Return an archive as a place, with the names of its members.

    Nothing of it is written anywhere. Sizes are those that are found, not those that are stated.

    Raises
    ------
    BadSource
        Where it is damaged, too large, holds links, names that lead out of it, or archives.
    """
    try:
        if packing is Packing.GZIP:
            _weigh_gzip(path, bounds)
            return Place(path, packing)
        names = (_zip_names if packing is Packing.ZIP else _tar_names)(path, bounds)
    except (zipfile.BadZipFile, tarfile.TarError, OSError, EOFError, zlib.error) as error:
        # zipfile's own words name what it missed; a bad .gz is an OSError.
        raise BadSource(f"{path.name} is no archive that can be read ({error})") from None
    except (NotImplementedError, RuntimeError, ValueError) as error:
        raise BadSource(f"{path.name} can't be unpacked ({error}); pack it as plain .zip") from None
    return Place(path, packing, members=frozenset(names))


def _zip_names(path: Path, bounds: Bounds) -> list[str]:
    packed = path.stat().st_size
    # Before Python makes an object of each.
    _check_count(path, _entries(path), bounds)
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        _check_count(path, len(infos), bounds)
        bounds.check(path.name, sum(i.file_size for i in infos), packed)
        for info in infos:
            # Python cuts names at a NUL, and GDAL may not.
            _check_name(path, info.orig_filename)
            if stat.S_ISLNK(info.external_attr >> 16):
                _refuse_link(path, info.filename)
            if info.flag_bits & _ENCRYPTED:
                raise BadSource(f"{path.name} has a password; pack it without one")
            if info.compress_type not in _METHODS:
                raise BadSource(f"{path.name} is squeezed in a way that is not read; use deflate")
        for info in infos:
            _weigh_member(path, archive, info)
    return _without_folders(path, [(i.filename, i.is_dir()) for i in infos])


def _entries(path: Path) -> int:
    """How many entries a zip lists, whatever it says of their number."""
    found, rest = 0, b""
    with path.open("rb") as file:
        while part := file.read(_CHUNK):
            found += (rest + part).count(_ENTRY)
            rest = part[-len(_ENTRY) + 1 :]
    return found


def _weigh_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    """Unpack a member to nowhere: what is stated of its size may be a lie."""
    stated = info.file_size
    # Else the reader stops where the member says that it ends.
    info.file_size = stated + _CHUNK
    try:
        with archive.open(info) as member:
            found = sum(len(part) for part in iter(lambda: member.read(_CHUNK), b""))
    finally:
        info.file_size = stated
    if found != stated:
        raise BadSource(
            f"{path.name} says that {info.filename} has {stated:,} bytes, and it has another "
            "number; pack it again"
        )


def _tar_names(path: Path, bounds: Bounds) -> list[str]:
    found: list[tuple[str, bool]] = []
    with _Weighed(path, bounds) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            _check_count(path, len(found) + 1, bounds)
            _check_name(path, member.name)
            if member.issym() or member.islnk():
                _refuse_link(path, member.name)
            if member.issparse() or not (member.isfile() or member.isdir()):
                raise BadSource(f"{path.name} holds {member.name!r}, which is no plain file")
            found.append((member.name, member.isdir()))
    return _without_folders(path, found)


def _weigh_gzip(path: Path, bounds: Bounds) -> None:
    with _Weighed(path, bounds) as stream:
        while stream.read(_CHUNK):
            pass


class _Weighed:
    """A file's content, unpacked where it is packed by gzip, up to the bounds."""

    def __init__(self, path: Path, bounds: Bounds) -> None:
        self._path, self._bounds, self._count = path, bounds, 0
        self._raw = path.open("rb")
        packed = self._raw.read(2) == b"\x1f\x8b"
        self._raw.seek(0)
        self._stream: Any = gzip.GzipFile(fileobj=self._raw) if packed else self._raw

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        part: bytes = self._stream.read(size)
        self._count += len(part)
        # By what was read of it so far: the end of a bomb may be harmless.
        self._bounds.check(self._path.name, self._count, self._raw.tell())
        return part

    def __enter__(self) -> IO[bytes]:
        return cast("IO[bytes]", self)

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._raw.close()


def _check_count(path: Path, count: int, bounds: Bounds) -> None:
    if count > bounds.entries:
        raise BadSource(f"{path.name} holds more than {bounds.entries:,} files; publish fewer")


def _check_name(path: Path, name: str) -> None:
    parts = PurePosixPath(name).parts
    tricks = "\\" in name or any(ord(sign) < 32 for sign in name) or name[1:2] == ":"
    if name.startswith("/") or ".." in parts or tricks or not name:
        raise BadSource(
            f"{path.name} holds a file of the name {name[:80]!r}, which leads out of it; pack it "
            "with plain relative names"
        )


def _refuse_link(path: Path, name: str) -> None:
    raise BadSource(f"{path.name} holds {name!r}, a link; pack the files themselves")


def _without_folders(path: Path, found: Sequence[tuple[str, bool]]) -> list[str]:
    names = [name.removeprefix("./") for name, is_folder in found if not is_folder]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise BadSource(f"{path.name} holds two files of the name {twice!r}; pack it again")
    for name in only_visible(names):
        if PurePosixPath(name).suffix.lower() in _NESTED:
            raise BadSource(
                f"{path.name} holds {name!r}, an archive within an archive; unpack the outer one, "
                "and publish that"
            )
    return names


def only_visible(names: Iterable[str]) -> Iterator[str]:
    """Yield the names that somebody gave: no remarks of file managers.

    >>> list(only_visible(["a.shp", "__MACOSX/._a.shp", "b/.DS_Store"]))
    ['a.shp']
    """
    for name in names:
        parts = PurePosixPath(name).parts
        if "__MACOSX" not in parts and not any(p.startswith(".") for p in parts):
            yield name
