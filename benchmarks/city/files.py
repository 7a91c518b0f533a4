"""Frames to files as they come, in bounded memory: GeoPackage and GeoParquet."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import geopandas as gpd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely

# GeoPackage notes when a table was changed last; the same city shall be the same bytes.
_NO_DATE = {"OGR_CURRENT_DATE": "2024-01-01T00:00:00.000Z"}

Said = Callable[[int], None]


def _silent(rows: int) -> None:
    """Progress that nobody watches."""


def write_gpkg(
    frames: Iterable[gpd.GeoDataFrame], path: Path, title: str, say: Said = _silent
) -> None:
    """Write frames as the one layer of a new GeoPackage.

    Parameters
    ----------
    title : str
        What the file calls its layer; the layer's name is the file's.
    say : callable
        Told how many rows were written so far.
    """
    frames, first = _peeked(frames)
    path.unlink(missing_ok=True)
    kind = _geometry_type(first)
    schema = _table(first).schema
    reader = pa.RecordBatchReader.from_batches(schema, _batches(frames, schema, say))
    pyogrio.set_gdal_config_options(_NO_DATE)
    try:
        pyogrio.write_arrow(
            reader,
            path,
            layer=path.stem,
            driver="GPKG",
            geometry_name="geometry",
            geometry_type=kind,
            crs=first.crs.to_string(),
            IDENTIFIER=title,
        )
    finally:
        pyogrio.set_gdal_config_options(dict.fromkeys(_NO_DATE))


def write_parquet(
    frames: Iterable[gpd.GeoDataFrame], path: Path, title: str, say: Said = _silent
) -> None:
    """Write frames as GeoParquet, a row group a frame."""
    frames, first = _peeked(frames)
    kind = _geometry_type(first)
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": [kind],
                "crs": first.crs.to_json_dict(),
            }
        },
    }
    schema = _table(first).schema.with_metadata({"geo": json.dumps(geo), "title": title})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(frames, schema, say):
            writer.write_batch(batch)


WRITERS = {"gpkg": write_gpkg, "parquet": write_parquet}


def _peeked(
    frames: Iterable[gpd.GeoDataFrame],
) -> tuple[Iterator[gpd.GeoDataFrame], gpd.GeoDataFrame]:
    frames = iter(frames)
    first = next(frames)
    return itertools.chain([first], frames), first


def _batches(
    frames: Iterable[gpd.GeoDataFrame], schema: pa.Schema, say: Said
) -> Iterator[pa.RecordBatch]:
    rows = 0
    for frame in frames:
        yield from _table(frame).cast(schema).to_batches()
        rows += len(frame)
        say(rows)


def _table(frame: gpd.GeoDataFrame) -> pa.Table:
    plain = frame.drop(columns="geometry")
    table = pa.Table.from_pandas(plain, preserve_index=False).replace_schema_metadata(None)
    # A column that is empty in this frame may hold text in the next.
    texts = (pa.null(), pa.large_string())
    fields = [f.with_type(pa.string()) if f.type in texts else f for f in table.schema]
    table = table.cast(pa.schema(fields))
    shapes = pa.array(shapely.to_wkb(frame.geometry.array), pa.binary())
    return table.append_column("geometry", shapes)


def _geometry_type(frame: gpd.GeoDataFrame) -> str:
    shape = frame.geometry.iloc[0]
    return f"{shape.geom_type} Z" if shape.has_z else str(shape.geom_type)
