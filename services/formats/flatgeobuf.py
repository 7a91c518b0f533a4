"""FlatGeobuf, with its spatial index: for QGIS, GDAL and maps that read a part of a large file.

The index stands before the features, so the file is whole before its first byte goes out: GDAL
writes it into a folder of its own, which is removed whatever happens. GDAL's instants are to the
millisecond.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyogrio
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
        _write_file(snapshot, target, path)
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece


def _write_file(snapshot: Snapshot, crs: CRS, path: Path) -> None:
    with closing(snapshot.parts(Form.WKB, crs)) as parts:
        schema, batches = batches_of(parts, crs)
        watched = _Watched(batches)
        try:
            pyogrio.write_arrow(
                pa.RecordBatchReader.from_batches(schema, watched),
                path,
                driver="FlatGeobuf",
                geometry_name="geometry",
                geometry_type=_geometry_type(snapshot.schema.geometry),
                crs=crs.to_wkt(),
            )
        except Exception:
            # What broke among the batches comes out of GDAL as something else.
            if watched.failure is not None:
                raise watched.failure from None
            raise


class _Watched:
    """Batches, and what broke while they were read."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self.failure: Exception | None = None

    def __iter__(self) -> _Watched:
        return self

    def __next__(self) -> pa.RecordBatch:
        try:
            return next(self._batches)
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
