"""Whether the scenes of raster layers have their files, each as its name says."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from layers.errors import DamagedRaster
from layers.keeping.faults import Fault
from layers.model import Layer
from layers.rasters import pieces
from layers.tables import LayerTables


def check_rasters(connection: Connection, record: Layer, tables: LayerTables) -> Iterator[Fault]:
    """Check every file that a scene names at any revision: that it is there, byte for byte."""
    if not record.schema.raster:
        return
    both = (tables.open.live.c["sha256"], tables.open.history.c["sha256"])
    names = sa.union(*(sa.select(c.label("sha256")).where(c.is_not(None)) for c in both))
    for sha256 in connection.scalars(names.order_by("sha256")).all():
        try:
            for _ in pieces.read(connection, sha256):
                pass
        except DamagedRaster as error:
            yield Fault(record.id, "raster", sha256, str(error))
