"""GeoParquet 1.1: columns, compressed by zstd, with the box of each geometry beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyproj import CRS

from layers.reading.forms import Form
from layers.reading.snapshots import Snapshot
from layers.reading.streams import Part
from services.formats.columns import columns_of, schema_of
from services.formats.pipes import Pipe
from services.negotiation import Format
from spatial.crs import parse_crs

_BOX = ("xmin", "ymin", "xmax", "ymax")
# Rows of a group: what a reader who looks at boxes passes over, and what the writer holds.
_GROUP = 32_768


def write(snapshot: Snapshot, crs: CRS | None) -> Iterator[bytes]:
    """Yield a snapshot's features as a GeoParquet file.

    Parameters
    ----------
    crs : CRS, optional
        The storage system where absent; always x, y.
    """
    target = parse_crs(snapshot.schema.crs) if crs is None else crs
    with closing(snapshot.parts(Form.WKB, target, boxed=True)) as parts:
        first = next(parts)
        # GeoParquet says what the geometry is; readers of Arrow's mark would find it twice.
        boxes = pa.field("bbox", pa.struct([(name, pa.float32()) for name in _BOX]))
        kind = schema_of(first.fields, {}).append(boxes)
        pipe, whole = Pipe(), _Extent()
        with pq.ParquetWriter(pipe, kind, **_options(kind)) as writer:
            for group in _groups(chain((first,), parts), kind, whole):
                writer.write_table(group, row_group_size=_GROUP)
                yield pipe.take()
            writer.add_key_value_metadata({"geo": _geo(target, snapshot, whole)})
        yield pipe.take()


class _Extent:
    """The box of all that there was so far; None where nothing was anywhere."""

    def __init__(self) -> None:
        self.box: list[float] | None = None

    def add(self, box: Sequence[pa.Array]) -> None:
        """Take note of some more."""
        west, south, east, north = (pc.min_max(side) for side in box)
        here = [west["min"], south["min"], east["max"], north["max"]]
        found = [side.as_py() for side in here]
        if None in found:
            return
        if self.box is not None:
            found = [*map(min, found[:2], self.box[:2]), *map(max, found[2:], self.box[2:])]
        self.box = found


def _groups(parts: Iterable[Part], kind: pa.Schema, whole: _Extent) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    for part in parts:
        waiting.append(_with_box(part, kind, whole))
        if sum(map(len, waiting)) >= _GROUP:
            yield pa.Table.from_batches(waiting, kind)
            waiting = []
    if any(map(len, waiting)):
        yield pa.Table.from_batches(waiting, kind)


def _with_box(part: Part, kind: pa.Schema, whole: _Extent) -> pa.RecordBatch:
    whole.add(part.box)
    sides = [_outward(side, up=n > 1) for n, side in enumerate(part.box)]
    box = pa.StructArray.from_arrays(sides, names=list(_BOX), mask=part.box[0].is_null())
    return pa.RecordBatch.from_arrays([*columns_of(part), box], schema=kind)


def _outward(side: pa.Array, *, up: bool) -> pa.Array:
    """A side of boxes in half the bytes, never inside of where it was."""
    exact = pc.fill_null(side, 0.0).to_numpy(zero_copy_only=False)
    rough = exact.astype(np.float32)
    inside = rough < exact if up else rough > exact
    beyond = np.nextafter(rough, np.float32(np.inf if up else -np.inf))
    return pa.array(np.where(inside, beyond, rough))


def _options(kind: pa.Schema) -> dict[str, Any]:
    """How it is written: nothing is looked up in a dictionary that is different in every row."""
    texts = [f.name for f in kind if pa.types.is_string(f.type) and f.name != "id"]
    told = [name for name in kind.names if name not in ("geometry", "bbox")]
    return {
        "compression": "zstd",
        "store_schema": False,
        "use_dictionary": [*texts, "valid_from", "valid_to"],
        "write_statistics": [*told, *(f"bbox.{side}" for side in _BOX)],
    }


def _geo(crs: CRS, snapshot: Snapshot, whole: _Extent) -> str:
    # A layer has one kind of geometry; of none there is nothing to say.
    kind = snapshot.schema.geometry
    kinds = [f"{kind[:-1]} Z" if kind.endswith("Z") else kind]
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": [] if whole.box is None else kinds,
        "crs": crs.to_json_dict(),
        "edges": "planar",
        "covering": {"bbox": {name: ["bbox", name] for name in _BOX}},
    }
    if whole.box is not None:
        column["bbox"] = whole.box
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
