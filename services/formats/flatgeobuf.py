"""FlatGeobuf: for QGIS, GDAL and maps that read a part of a large file.

Its spatial index stands before the features, so the file is whole before its first byte goes out:
GDAL writes it into a folder of its own, which is removed whatever happens. Where a feature is
nowhere there is no index, which would have no place for it. GDAL's instants are to the millisecond.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from pyproj import CRS

from layers.reading.forms import Form
from layers.reading.snapshots import Snapshot
from services.formats.columns import batches_of
from services.negotiation import Format
from spatial.crs import parse_crs

_PIECE = 1 << 18


def write(snapshot: Snapshot, crs: CRS | None) -> Iterator[bytes]:
    """Yield a snapshot's features as a FlatGeobuf file.

    Parameters
    ----------
    crs : CRS, optional
        The storage system where absent; always x, y.
    """
    target = parse_crs(snapshot.schema.crs) if crs is None else crs
    with TemporaryDirectory(prefix="shikong-export-") as folder:
        path = Path(folder) / f"{snapshot.layer.record.id}.fgb"
        try:
            _write_file(snapshot, target, path, indexed=True)
        except _Nowhere:
            # An index has no place for a feature that is nowhere: then there is none.
            path.unlink(missing_ok=True)
            _write_file(snapshot, target, path, indexed=False)
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece


def _write_file(snapshot: Snapshot, crs: CRS, path: Path, *, indexed: bool) -> None:
    # Late: GDAL is 30 MB that a server which writes no such file does without.
    import pyogrio

    with closing(snapshot.parts(Form.WKB, crs)) as parts:
        schema, batches = batches_of(parts, crs)
        watched = _Watched(batches, indexed=indexed)
        try:
            pyogrio.write_arrow(
                pa.RecordBatchReader.from_batches(schema, watched),
                path,
                driver="FlatGeobuf",
                geometry_name="geometry",
                geometry_type=_geometry_type(snapshot.schema.geometry),
                crs=crs.to_wkt(),
                SPATIAL_INDEX="YES" if indexed else "NO",
            )
        except Exception:
            # What broke among the batches comes out of GDAL as something else.
            if watched.failure is not None:
                raise watched.failure from None
            raise


class _Nowhere(Exception):
    """A feature without a geometry, where there is to be an index."""


class _Watched:
    """Batches, and what broke while they were read."""

    def __init__(self, batches: Iterator[pa.RecordBatch], *, indexed: bool) -> None:
        self._batches, self._indexed = batches, indexed
        self.failure: Exception | None = None

    def __iter__(self) -> _Watched:
        return self

    def __next__(self) -> pa.RecordBatch:
        try:
            batch = next(self._batches)
            if self._indexed and batch.column("geometry").null_count:
                raise _Nowhere
            return batch
        except StopIteration:
            raise
        except Exception as error:
            self.failure = error
            raise


def _geometry_type(name: str) -> str:
    """Return a schema's type of geometry as GDAL calls it.

    >>> _geometry_type("MultiPolygonZ"), _geometry_type("Point")
    ('MultiPolygon Z', 'Point')
    """
    return f"{name[:-1]} Z" if name.endswith("Z") else name


FLATGEOBUF = Format(
    "flatgeobuf",
    "application/vnd.flatgeobuf",
    "FlatGeobuf",
    ".fgb",
    write,
    also=("application/flatgeobuf",),
)
