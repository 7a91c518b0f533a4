"""Synthetic parcels without the rest of a city: seeded, of any number, written in bounded memory."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pyogrio
import shapely

CRS = "EPSG:4490"
SPACING = 0.0004  # degrees from one parcel to the next, about 40 m
ORIGIN = (114.0, 30.5)
_CHUNK = 100_000
_STREETS = np.array(["东风路", "解放大道", "人民路", "中山路", "建设街"])
_USES = np.array(["0101", "0501", "0601", "0701", "0801", "1001"])
SCHEMA = {
    "title": {"en": "Parcels (synthetic)", "zh": "宗地（合成）"},
    "geometry": "MultiPolygon",
    "crs": CRS,
    "synthetic": True,
    "fields": [
        {"id": "parcel_code", "role": "key", "required": True},
        {"id": "real_estate_unit_no"},
        {"id": "location", "required": True},
        {"id": "area_m2", "type": "number", "required": True},
        {"id": "land_use_code", "required": True},
        {"id": "right_type", "required": True},
        {"id": "right_nature", "required": True},
        {"id": "land_grade", "type": "integer"},
        {"id": "floor_area_ratio", "type": "number"},
        {"id": "building_density", "type": "number"},
        {"id": "height_limit_m", "type": "number"},
        *({"id": f"bound_{side}"} for side in "eswn"),
    ],
}


def make_parcels(
    count: int, first: int = 0, changed: float = 0.0, edition: int = 0
) -> gpd.GeoDataFrame:
    """Return `count` parcels from number `first` on; an edition changes that share of them."""
    rng = np.random.default_rng([7, first])
    numbers = np.arange(first, first + count)
    frame = gpd.GeoDataFrame(_fields(numbers, rng), geometry=_shapes(numbers, rng), crs=CRS)
    if changed:
        rows = np.random.default_rng([edition, first]).random(count) < changed
        frame.loc[rows, "floor_area_ratio"] = 10.0 + edition
        shapes = frame.geometry.to_numpy().copy()
        shapes[rows] = shapely.transform(shapes[rows], lambda xy: xy + 1e-8 * edition)
        frame = frame.set_geometry(gpd.GeoSeries(shapes, index=frame.index, crs=CRS))
    return frame


def write_parcels(count: int, path: Path, changed: float = 0.0, edition: int = 0) -> Path:
    """Write parcels to a GeoPackage or GeoParquet file, by its name, some at a time."""
    writer = None
    for first in range(0, count, _CHUNK):
        frame = make_parcels(min(_CHUNK, count - first), first, changed, edition)
        if path.suffix == ".gpkg":
            pyogrio.write_dataframe(
                frame, path, layer="parcels", geometry_type="Polygon", append=first > 0
            )
            continue
        table = pa.table(frame.to_arrow(index=False, geometry_encoding="WKB"))
        if writer is None:
            writer = _parquet_writer(path, table)
        writer.write_table(table.cast(writer.schema))
    if writer is not None:
        writer.close()
    return path


def _parquet_writer(path: Path, table: pa.Table) -> pa.parquet.ParquetWriter:
    geo = (
        '{"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": '
        '{"encoding": "WKB", "geometry_types": ["Polygon"], "crs": %s}}}'
    )
    crs = gpd.GeoSeries([], crs=CRS).crs.to_json()
    plain = pa.schema([pa.field(f.name, f.type) for f in table.schema])
    return pa.parquet.ParquetWriter(path, plain.with_metadata({"geo": geo % crs}))


def _shapes(numbers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Irregular polygons of 5 to 20 vertices, each within its own cell of a square grid."""
    side = 2_000
    x, y = ORIGIN[0] + numbers % side * SPACING, ORIGIN[1] + numbers // side * SPACING
    corners = rng.integers(5, 21, len(numbers))
    owner = np.repeat(np.arange(len(numbers)), corners)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(corners) - corners, corners)
    angle = 2 * np.pi * (place + rng.uniform(0, 0.8, len(owner))) / corners[owner]
    radius = rng.uniform(0.2, 0.48, len(owner)) * SPACING
    points = np.column_stack([x[owner] + radius * np.cos(angle), y[owner] + radius * np.sin(angle)])
    return shapely.polygons(shapely.linearrings(points, indices=owner))


def _fields(numbers: np.ndarray, rng: np.random.Generator) -> dict[str, object]:
    count = len(numbers)
    codes = [f"420106{n // 100_000:06d}GB{n % 100_000:05d}" for n in numbers.tolist()]
    streets = _STREETS[rng.integers(0, len(_STREETS), count)]
    houses = rng.integers(1, 999, count).tolist()
    heights = np.round(rng.uniform(10, 100, count))
    return {
        "parcel_code": codes,
        "real_estate_unit_no": [f"{c}W00000000" for c in codes],
        "location": [f"武汉市武昌区{s}{n}号" for s, n in zip(streets, houses, strict=True)],
        "area_m2": np.round(rng.uniform(200, 1500, count), 2),
        "land_use_code": _USES[rng.integers(0, len(_USES), count)],
        "right_type": rng.integers(1, 9, count).astype(str),
        "right_nature": rng.choice(["100", "101", "102", "200"], count),
        "land_grade": rng.integers(1, 9, count),
        "floor_area_ratio": np.round(rng.uniform(0.5, 6, count), 2),
        "building_density": np.round(rng.uniform(5, 60, count), 1),
        "height_limit_m": np.where(rng.random(count) < 0.2, np.nan, heights),
        **{f"bound_{s}": _STREETS[rng.integers(0, len(_STREETS), count)] for s in "eswn"},
    }
