"""Arrow's own stream (IPC), the geometry as ``geoarrow.wkb``: for notebooks and DuckDB.

Its buffers are not compressed: many readers can't, and HTTP does it where the client can.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pyarrow as pa
from pyproj import CRS

from layers.reading.forms import Form
from layers.reading.snapshots import Snapshot
from services.formats.columns import batches_of
from services.formats.pipes import Pipe
from services.negotiation import Format
from spatial.crs import parse_crs


def write(snapshot: Snapshot, crs: CRS | None) -> Iterator[bytes]:
    """Yield a snapshot's features as an Arrow stream.

    Parameters
    ----------
    crs : CRS, optional
        The storage system where absent; always x, y.
    """
    target = parse_crs(snapshot.schema.crs) if crs is None else crs
    with closing(snapshot.parts(Form.WKB, target)) as parts:
        schema, batches = batches_of(parts, target)
        pipe = Pipe()
        with pa.ipc.new_stream(pipe, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
                yield pipe.take()
        yield pipe.take()


ARROW = Format("arrow", "application/vnd.apache.arrow.stream", "Arrow stream", ".arrows", write)
