"""The bytes of rasters in the database: written and read in pieces, known by their SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from layers.errors import DamagedRaster
from layers.tables import raster, raster_piece

PIECE_BYTES = 1 << 20


def write(connection: Connection, sha256: str, path: Path) -> bool:
    """Write a file, within the caller's transaction; return whether it was not there yet.

    Somebody who writes the same file at the same time waits for the other to end.
    """
    row = {"sha256": sha256, "size_bytes": path.stat().st_size}
    entered = insert(raster).values(row).on_conflict_do_nothing().returning(raster.c.sha256)
    if connection.scalar(entered) is None:
        return False
    with path.open("rb") as file:
        for number, content in enumerate(iter(lambda: file.read(PIECE_BYTES), b"")):
            piece = {"sha256": sha256, "number": number, "content": content}
            connection.execute(sa.insert(raster_piece).values(piece))
    return True


def read(connection: Connection, sha256: str) -> Iterator[bytes]:
    """Yield a file piece by piece.

    Raises
    ------
    DamagedRaster
        Where it is not there, or is not, at its end, what its name says.
    """
    size = connection.scalar(sa.select(raster.c.size_bytes).where(raster.c.sha256 == sha256))
    if size is None:
        raise DamagedRaster(f"the store has no raster {sha256}; restore a backup that has")
    digest, done, number = hashlib.sha256(), 0, 0
    while done < size:
        content = connection.scalar(
            sa.select(raster_piece.c.content).where(
                raster_piece.c.sha256 == sha256, raster_piece.c.number == number
            )
        )
        if content is None:
            raise DamagedRaster(f"raster {sha256} lacks piece {number}; restore a backup")
        yield bytes(content)
        digest.update(content)
        done, number = done + len(content), number + 1
    if done != size or digest.hexdigest() != sha256:
        raise DamagedRaster(f"raster {sha256} is not what it was; restore a backup")
