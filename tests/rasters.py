"""Small synthetic GeoTIFFs for the tests of rasters, and a short way to publish them."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

from layers.commits import Committed
from layers.publish import Reload
from layers.rasters.sources import opened_rasters
from layers.store import Store
from layers.writers import Writer

# Ten metres a pixel in Beijing's zone of UTM, north-up.
PLACE = Affine(10.0, 0.0, 440_000.0, 0.0, -10.0, 4_430_000.0)
UTM = "EPSG:32650"


def write(
    path: Path,
    values: np.ndarray[Any, Any],
    *,
    crs: str | None = UTM,
    transform: Affine | None = PLACE,
    nodata: float | None = None,
    colors: tuple[Any, ...] | None = None,
    colormap: dict[int, tuple[int, ...]] | None = None,
    **options: Any,
) -> Path:
    """Write bands (bands, rows, columns), or one band (rows, columns), as a GeoTIFF."""
    bands = values[None] if values.ndim == 2 else values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=bands.shape[0],
            height=bands.shape[1],
            width=bands.shape[2],
            dtype=bands.dtype,
            crs=crs,
            nodata=nodata,
            **({} if transform is None else {"transform": transform}),
            **options,
        ) as file:
            file.write(bands)
            if colors is not None:
                file.colorinterp = colors
            if colormap is not None:
                file.write_colormap(1, colormap)
    return path


def ramp(rows: int = 60, columns: int = 80, *, dtype: str = "float32") -> np.ndarray[Any, Any]:
    """A plane of which each pixel has a value of its own."""
    return np.arange(rows * columns, dtype=dtype).reshape(rows, columns)


def publish(
    store: Store, layer_id: str, *paths: Path, dry_run: bool = False, **how: Any
) -> Committed:
    """Publish rasters, valid from 2020 unless stated; what `opened_rasters` knows goes there."""
    reading = {k: how.pop(k) for k in ("names", "crs", "codes", "until") if k in how}
    how = {"valid_from": datetime(2020, 1, 1, tzinfo=UTC)} | how
    with opened_rasters(paths, **reading) as source:
        edits = {layer_id: Reload(source, **how)}
        return store.commit(edits, Writer("test"), "test", dry_run=dry_run)
