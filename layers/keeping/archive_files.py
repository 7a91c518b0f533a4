"""The file of an archive: a zip of one CSV a table, and a manifest that says what is in it.

The format is told in docs/backup.md. Everything is read and written in pieces: memory does not
grow with the layers.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

from layers.errors import BadArchive
from layers.tables import CATALOGUE, LAYER_SCHEMAS

FORMAT = 1
MANIFEST = "manifest.json"
_PIECE = 1 << 18
# Of deflate: level 6 takes more than twice the time for an archive smaller by a twelfth.
_LEVEL = 2
_NOTE = "Holds restricted fields and the digests of API keys: keep it as the store is kept."
_DAMAGE = (
    BadZipFile,
    zlib.error,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    RuntimeError,
    OSError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class Member:
    """One table in an archive.

    Attributes
    ----------
    schema, table : str
        Of PostgreSQL.
    columns : tuple of str
        As the CSV has them, its first line.
    rows : int
        Without that line.
    sha256 : str
        Of the CSV.
    """

    schema: str
    table: str
    columns: tuple[str, ...]
    rows: int
    sha256: str

    @property
    def name(self) -> str:
        """The name within the zip."""
        return member_name(self.schema, self.table)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive says of itself.

    Attributes
    ----------
    shikong : str
        The release that wrote it.
    catalogue : str
        Version of the catalogue, as its migrations number them.
    members : tuple of Member
        In the order in which they can be loaded.
    """

    shikong: str
    catalogue: str
    members: tuple[Member, ...]

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(member.rows for member in self.members)

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"format": FORMAT, "note": _NOTE, **asdict(self)}


def member_name(schema: str, table: str) -> str:
    """Return the name of a table within the zip.

    >>> member_name("live", "parcels")
    'live/parcels.csv'
    """
    return f"{schema}/{table}.csv"


@contextmanager
def new_archive(path: Path) -> Iterator[ZipFile]:
    """Make a zip that only its owner reads, and that has its name only when it is whole.

    Raises
    ------
    BadArchive
        Where there is such a file already, or it can't be written.
    """
    if path.exists():
        raise BadArchive(f"{path} is there already; choose another name, or move it away")
    partial = None
    try:
        handle, name = tempfile.mkstemp(".partial", f".{path.name}.", path.parent)
        partial = Path(name)
        with os.fdopen(handle, "wb") as file:
            with ZipFile(file, "w", ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
                yield archive
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise BadArchive(f"{path} can't be written: {error.strerror or error}") from None
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def write_member(
    archive: ZipFile, name: str, pieces: Iterable[bytes | bytearray | memoryview]
) -> str:
    """Write a member and return its SHA-256."""
    digest, held = hashlib.sha256(), bytearray()
    with archive.open(name, "w", force_zip64=True) as member:
        for piece in pieces:
            held += piece
            if len(held) >= _PIECE:
                digest.update(held)
                member.write(held)
                held.clear()
        digest.update(held)
        member.write(held)
    return digest.hexdigest()


def write_manifest(archive: ZipFile, catalogue: str, members: Iterable[Member]) -> Manifest:
    """Write the manifest, the last of all, and return it."""
    manifest = Manifest(_release(), catalogue, tuple(members))
    text = json.dumps(manifest.document(), ensure_ascii=False, indent=1)
    write_member(archive, MANIFEST, [text.encode()])
    return manifest


@dataclass(frozen=True)
class Archive:
    """An archive that is being read."""

    path: Path
    file: ZipFile
    manifest: Manifest

    def check(self) -> None:
        """Read all of it once, against its checksums.

        Raises
        ------
        BadArchive
            Naming what is damaged.
        """
        names = {member.name for member in self.manifest.members}
        if names | {MANIFEST} != set(self.file.namelist()):
            raise _damaged(self.path, "what is in it is not what its manifest says")
        for member in self.manifest.members:
            digest = hashlib.sha256()
            for piece in self.pieces(member):
                digest.update(piece)
            if digest.hexdigest() != member.sha256:
                raise _damaged(self.path, f"{member.name} differs from its checksum")

    def pieces(self, member: Member) -> Iterator[bytes]:
        """Yield a member's CSV, piece by piece."""
        with _reading(self.path, member.name), self.file.open(member.name) as file:
            while piece := file.read(_PIECE):
                yield piece


@contextmanager
def opened_archive(path: Path) -> Iterator[Archive]:
    """Open an archive to read; only its manifest is looked at.

    Raises
    ------
    BadArchive
        Where it is none, is damaged, or was written in a format that this release does not know.
    """
    with _reading(path, "the file"):
        file = ZipFile(path)
    with file:
        with _reading(path, MANIFEST):
            document = json.loads(file.read(MANIFEST))
            written = document["format"]
        if written != FORMAT:
            raise BadArchive(
                f"{path} is of archive format {written!r}, and this release reads {FORMAT}; "
                "restore it with the release that wrote it, or a newer one"
            )
        with _reading(path, MANIFEST):
            manifest = _manifest(document)
        yield Archive(path, file, manifest)


def _manifest(document: dict[str, Any]) -> Manifest:
    members = [Member(**{**m, "columns": tuple(m["columns"])}) for m in document["members"]]
    schemas = {member.schema for member in members}
    if not schemas <= {CATALOGUE, *LAYER_SCHEMAS}:
        raise ValueError("tables of other schemas")
    return Manifest(str(document["shikong"]), str(document["catalogue"]), tuple(members))


@contextmanager
def _reading(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise BadArchive(f"{path} does not exist") from None
    except _DAMAGE as error:
        raise _damaged(path, f"{what} can't be read ({error})") from None


def _damaged(path: Path, what: str) -> BadArchive:
    return BadArchive(f"{path} is damaged, or no archive: {what}; take another copy of it")


def _release() -> str:
    try:
        return version("shikong")
    except PackageNotFoundError:
        return "0"
