"""GeoParquet 1.1: columns, compressed by zstd, with the box of each geometry beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from layers.reading.forms import Form
from layers.reading.snapshots import Snapshot
from services.formats.columns import batches_of
from services.formats.pipes import Pipe
from services.negotiation import Format
from spatial.crs import parse_crs

_BOX = ("xmin", "ymin", "xmax", "ymax")
# Rows of a group: what a reader who looks at boxes passes over, and what the writer holds.
_GROUP = 65_536


def write(snapshot: Snapshot, crs: CRS | None) -> Iterator[bytes]:
    """Yield a snapshot's features as a GeoParquet file.

    Parameters
    ----------
    crs : CRS, optional
        The storage system where absent; always x, y.
    """
    target = parse_crs(snapshot.schema.crs) if crs is None else crs
    with closing(snapshot.parts(Form.WKB, target)) as parts:
        schema, batches = batches_of(parts, target)
        pipe, whole = Pipe(), _Extent()
        boxes = pa.struct([(name, pa.float64()) for name in _BOX])
        kind = schema.append(pa.field("bbox", boxes)).remove_metadata()
        # GeoParquet says what the geometry is; readers of Arrow's mark would find it twice.
        kind = kind.set(kind.get_field_index("geometry"), pa.field("geometry", pa.binary()))
        with pq.ParquetWriter(pipe, kind, compression="zstd", store_schema=False) as writer:
            for group in _groups(batches, kind, whole):
                writer.write_table(group, row_group_size=_GROUP)
                yield pipe.take()
            writer.add_key_value_metadata({"geo": _geo(target, snapshot, whole)})
        yield pipe.take()


class _Extent:
    """What there was so far: the box of all, and the kinds of geometries."""

    def __init__(self) -> None:
        self.box: NDArray[np.float64] | None = None
        self.kinds: set[str] = set()

    def add(self, shapes: NDArray[np.object_], boxes: NDArray[np.float64]) -> None:
        """Take note of some more."""
        here = boxes[~np.isnan(boxes[:, 0])]
        if len(here):
            low, high = here[:, :2].min(axis=0), here[:, 2:].max(axis=0)
            if self.box is not None:
                low, high = np.minimum(low, self.box[:2]), np.maximum(high, self.box[2:])
            self.box = np.concatenate((low, high))
        for number in np.unique(shapely.get_type_id(shapes)):
            if number >= 0:
                self.kinds.add(_KINDS[number])


_KINDS = (
    "Point",
    "LineString",
    "LinearRing",
    "Polygon",
    "MultiPoint",
    "MultiLineString",
    "MultiPolygon",
    "GeometryCollection",
)


def _groups(
    batches: Iterator[pa.RecordBatch], kind: pa.Schema, whole: _Extent
) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(_with_boxes(batch, kind, whole))
        if sum(map(len, waiting)) >= _GROUP:
            yield pa.Table.from_batches(waiting, kind)
            waiting = []
    if any(map(len, waiting)):
        yield pa.Table.from_batches(waiting, kind)


def _with_boxes(batch: pa.RecordBatch, kind: pa.Schema, whole: _Extent) -> pa.RecordBatch:
    shapes = shapely.from_wkb(batch.column("geometry").to_numpy(zero_copy_only=False))
    boxes = shapely.bounds(shapes).reshape(-1, 4)
    whole.add(shapes, boxes)
    nowhere = np.isnan(boxes[:, 0])
    sides = [pa.array(np.ascontiguousarray(side)) for side in boxes.T]
    mask = pa.array(nowhere) if nowhere.any() else None
    column = pa.StructArray.from_arrays(sides, names=list(_BOX), mask=mask)
    return pa.RecordBatch.from_arrays([*batch.columns, column], schema=kind)


def _geo(crs: CRS, snapshot: Snapshot, whole: _Extent) -> str:
    deep = " Z" if snapshot.schema.geometry.endswith("Z") else ""
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": sorted(f"{kind}{deep}" for kind in whole.kinds),
        "crs": crs.to_json_dict(),
        "edges": "planar",
        "covering": {"bbox": {name: ["bbox", name] for name in _BOX}},
    }
    if whole.box is not None:
        column["bbox"] = whole.box.tolist()
    document = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    return orjson.dumps(document).decode()


GEOPARQUET = Format(
    "geoparquet",
    "application/vnd.apache.parquet",
    "GeoParquet",
    ".parquet",
    write,
    also=("application/x-parquet",),
    packed=True,
)
