"""Frames into files, frame by frame: GeoPackage and GeoParquet in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
from pyproj import CRS

ROWS = 20_000


def gathered(frames: Iterable[gpd.GeoDataFrame], rows: int = ROWS) -> Iterator[gpd.GeoDataFrame]:
    """Yield the same rows in frames of about so many."""
    waiting: list[gpd.GeoDataFrame] = []
    for frame in frames:
        waiting.append(frame)
        if sum(map(len, waiting)) >= rows:
            yield pd.concat(waiting, ignore_index=True)
            waiting = []
    if waiting:
        yield pd.concat(waiting, ignore_index=True)


def write(frames: Iterable[gpd.GeoDataFrame], path: Path, crs: str, say: object = None) -> int:
    """Write frames into a file, by the ending of its name; return how many rows there were."""
    rows = 0
    writer: pq.ParquetWriter | None = None
    path.unlink(missing_ok=True)
    for frame in gathered(frames):
        placed = frame if frame.crs == CRS(crs) else frame.to_crs(crs)
        if path.suffix == ".parquet":
            table = _table(placed, crs)
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
        else:
            pyogrio.write_dataframe(
                placed, path, layer=path.stem, driver="GPKG", append=rows > 0, promote_to_multi=None
            )
        rows += len(frame)
        if callable(say):
            say(rows)
    if writer is not None:
        writer.close()
    return rows


def _table(frame: gpd.GeoDataFrame, crs: str) -> pa.Table:
    plain = pd.DataFrame(frame.drop(columns="geometry"))
    if "predecessor_codes" in plain:
        plain["predecessor_codes"] = plain["predecessor_codes"].astype("string")
    table = pa.Table.from_pandas(plain, preserve_index=False)
    table = table.append_column("geometry", pa.array(frame.geometry.to_wkb(), pa.binary()))
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": [],
                "crs": json.loads(CRS(crs).to_json()),
            }
        },
    }
    return table.replace_schema_metadata({b"geo": json.dumps(geo).encode()})
