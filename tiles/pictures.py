"""Scenes drawn on the grid of a tile: read from overviews, coloured, the newest over the others."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.warp
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rio_tiler.colormap import cmap
from rio_tiler.models import ImageData

from layers.errors import DamagedRaster
from layers.reading.scenes import ShownScene, copy_of
from layers.store import Snapshot
from tiles.grids import Place

Picture = ImageData
_Array = np.ndarray[Any, Any]
# Red, green and blue (3, rows, columns), and how much of them is seen (rows, columns): 0 to 255.
_Drawn = tuple[_Array, _Array]
RAMP = "viridis"
_RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
_CACHE_MB = 128
_SOME_PLACE = Affine.translation(0.0, 1.0)


def draw(snapshot: Snapshot, scenes: Sequence[ShownScene], where: Place) -> Picture | None:
    """Return the picture of a tile in red, green and blue, None where nothing is in it.

    Parameters
    ----------
    scenes : sequence of ShownScene
        The first lies on top.

    Raises
    ------
    DamagedRaster
        Where the store does not have a scene's file as it was.
    """
    whole, seen = _draw_one(snapshot, scenes[0], where)
    for scene in scenes[1:]:
        if seen.all():
            break
        _lay_below(whole, seen, *_draw_one(snapshot, scene, where))
    if not seen.any():
        return None
    # What is transparent has one value, so that the same picture has the same bytes.
    whole[:, seen == 0] = 0
    return ImageData(_masked(whole, seen), alpha_mask=seen)


def encode(drawn: Picture, driver: str) -> bytes:
    """Return a picture as a file, without loss."""
    options: dict[str, Any] = {"LOSSLESS": "YES"} if driver == "WEBP" else {}
    # Where a file has no place, GDAL warns of it, and Python's list of the warnings to be silent
    # about is one for all threads. The place is of no use in a picture: nothing of it is written.
    with rasterio.Env(GDAL_PAM_ENABLED=False):
        return drawn.render(img_format=driver, transform=_SOME_PLACE, **options)


def _draw_one(snapshot: Snapshot, scene: ShownScene, where: Place) -> _Drawn:
    path = copy_of(snapshot, scene)
    try:
        return _read(path, snapshot, scene, where)
    except RasterioError:
        # The copy was damaged, or taken away meanwhile; the store has it still.
        snapshot.layer.copies.forget(scene.sha256)
        path = copy_of(snapshot, scene)
    try:
        return _read(path, snapshot, scene, where)
    except RasterioError as error:
        raise DamagedRaster(f"raster {scene.sha256} of {scene.id} can't be read: {error}") from None


def _read(path: Path, snapshot: Snapshot, scene: ShownScene, where: Place) -> _Drawn:
    with rasterio.Env(GDAL_CACHEMAX=_CACHE_MB, GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        turns = _turns(path)
        values, seen, table = _read_turned(path, scene, where, turns[0])
        for turn in turns[1:]:
            others, shown, _ = _read_turned(path, scene, where, turn)
            _lay_below(values, seen, others, shown)
    plain = ImageData(_masked(values, seen))
    coloured = _coloured(plain, table, snapshot.schema.value_range or scene.span)
    return coloured.array.data.astype(np.uint8), np.minimum(seen, coloured.mask)


def _lay_below(values: _Array, seen: _Array, others: _Array, shown: _Array) -> None:
    free = seen == 0
    values[:, free], seen[free] = others[:, free], shown[free]


def _turns(path: Path) -> list[float]:
    """By how many degrees a grid must be moved to be seen whole, as its longitudes may go on."""
    with rasterio.open(path) as source:
        west, _, east, _ = source.bounds
        if not source.crs.is_geographic:
            return [0.0]
    return [0.0, *([-360.0] if east > 180.0 else []), *([360.0] if west < -180.0 else [])]


def _read_turned(
    path: Path, scene: ShownScene, where: Place, turn: float
) -> tuple[_Array, _Array, Any]:
    """The bands that are shown, how much of each pixel is seen, and its palette."""
    with _on_grid(path, scene, where, turn) as source:
        colors = source.colorinterp
        indexes = [colors.index(c) + 1 for c in _RGB] if set(_RGB) <= set(colors) else [1]
        table = source.colormap(1) if ColorInterp.palette in colors else None
        values = source.read(indexes, masked=True)
        return values.data, _seen(source, values), table


@contextlib.contextmanager
def _on_grid(path: Path, scene: ShownScene, where: Place, turn: float) -> Iterator[WarpedVRT]:
    """A scene as it falls on the pixels of the tile, from the overview that is just fine enough."""
    matrix = where.matrix_set.matrix(where.zoom)
    width, height = matrix.tileWidth, matrix.tileHeight
    crs = CRS.from_wkt(where.crs.to_wkt())
    west, south, east, north = where.bounds
    step_x, step_y = (east - west) / width, (north - south) / height
    grid = Affine(step_x, 0.0, west, 0.0, -step_y, north)
    level, shrinks = _level(path, crs, grid, (width, height))
    options = {} if level is None else {"overview_level": level}
    method = Resampling.average if shrinks else Resampling.bilinear
    with rasterio.open(path, **options) as source:
        t = source.transform
        with WarpedVRT(
            source,
            crs=crs,
            src_transform=Affine(t.a, t.b, t.c + turn, t.d, t.e, t.f),
            transform=grid,
            width=width,
            height=height,
            resampling=Resampling.nearest if scene.codes else method,
            add_alpha=source.nodata is None and ColorInterp.alpha not in source.colorinterp,
        ) as warped:
            yield warped


def _level(path: Path, crs: CRS, grid: Affine, size: tuple[int, int]) -> tuple[int | None, bool]:
    """The overview to read, None for the raster itself; and whether its pixels are the smaller."""
    with rasterio.open(path) as source:
        factor = _pixels_in_one(source, crs, grid, size)
        fitting = [n for n in source.overviews(1) if n <= factor]
    level = len(fitting) - 1 if fitting else None
    return level, factor > (fitting[-1] if fitting else 1)


def _pixels_in_one(source: Any, crs: CRS, grid: Affine, size: tuple[int, int]) -> float:
    """How many pixels of a raster one of the tile has across, where they are next to each other."""
    middle = grid.c + grid.a * size[0] / 2, grid.f + grid.e * size[1] / 2
    (x,), (y,) = rasterio.warp.transform(crs, source.crs, *([m] for m in middle))
    west, south, east, north = source.bounds
    if not (math.isfinite(x) and math.isfinite(y)):
        x, y = (west + east) / 2, (south + north) / 2
    x, y = min(max(x, west), east), min(max(y, south), north)
    step_x, step_y = source.transform.a, source.transform.e
    xs, ys = [x, x + step_x, x], [y, y, y + step_y]
    there = np.column_stack(rasterio.warp.transform(source.crs, crs, xs, ys))
    one = float(np.hypot(*(there[1:] - there[0]).T).max())
    return abs(grid.a) / one if math.isfinite(one) and one > 0 else 1.0


def _seen(source: WarpedVRT, values: np.ma.MaskedArray[Any, Any]) -> _Array:
    """How much of each pixel is seen, of 255."""
    if ColorInterp.alpha in source.colorinterp:
        alpha = source.read(source.colorinterp.index(ColorInterp.alpha) + 1).astype(np.float64)
        # Of whole numbers, opaque is the largest of their type or that of bytes: files have both.
        kind = np.dtype(source.dtypes[0])
        largest = float(np.iinfo(kind).max) if kind.kind in "iu" else 255.0
        top = largest if largest < 255.0 or alpha.max() > 255.0 else 255.0
        seen: _Array = np.clip(np.rint(alpha * 255.0 / top), 0, 255).astype(np.uint8)
    else:
        hidden = np.ma.getmaskarray(values).all(axis=0)
        seen = np.where(hidden, 0, 255).astype(np.uint8)
    if values.dtype.kind == "f":
        seen[~np.isfinite(values.data).all(axis=0)] = 0
    return seen


def _masked(values: _Array, seen: _Array) -> np.ma.MaskedArray[Any, Any]:
    return np.ma.MaskedArray(values, mask=np.broadcast_to(seen == 0, values.shape))


def _coloured(image: ImageData, table: Any, span: tuple[float, float] | None) -> ImageData:
    if table is not None:
        return image.apply_colormap(table)
    if image.array.dtype != np.uint8 or image.count == 1:
        low, high = span or _extremes(image)
        image.rescale([(low, high)])
    return image.apply_colormap(cmap.get(RAMP)) if image.count == 1 else image


def _extremes(image: ImageData) -> tuple[float, float]:
    """Of a raster that has one value all over."""
    value = float(image.array.min()) if image.array.count() else 0.0
    return value - 1.0, value + 1.0
