"""A GeoTIFF as a COG: checked, turned north-up, tiled, with overviews; every value as it was."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rasterio
import rasterio.shutil
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT

from layers.batches import first_line
from layers.errors import BadRaster, NoRoom

MOST_BANDS = 32
# Memory for blocks, whatever the size of the file.
_CACHE_MB = 128
# Less is a disk that is full.
_LEAST_FREE = 1 << 20
_KINDS = frozenset(
    ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"),
)
_OPTIONS = {
    "COMPRESS": "DEFLATE",
    "PREDICTOR": "YES",
    "BLOCKSIZE": 512,
    "BIGTIFF": "IF_SAFER",
    # What the source has may be of another resampling, or of older values.
    "OVERVIEWS": "IGNORE_EXISTING",
    # The same file again gives the same bytes, so that nothing differs.
    "NUM_THREADS": 1,
}


@dataclass(frozen=True, slots=True)
class Made:
    """What stands in a COG that was made.

    Attributes
    ----------
    colors : tuple of str
        What each band is: gray, red, green, blue, alpha, palette, undefined ...
    codes : bool
        Whether values are codes, which are never averaged.
    """

    width: int
    height: int
    transform: Affine
    crs: CRS
    dtype: str
    nodata: float | None
    colors: tuple[str, ...]
    codes: bool


@contextmanager
def quiet(name: str, beside: Path) -> Iterator[None]:
    """Read rasters in bounded memory, with nothing of other files; GDAL's errors as ours.

    Parameters
    ----------
    name : str
        Of the file, for messages.
    beside : Path
        A file in the folder that is written to.

    Raises
    ------
    BadRaster
        Where GDAL can't read on.
    NoRoom
        Where the disk that is written to is full, of which GDAL says anything.
    """
    try:
        with rasterio.Env(GDAL_CACHEMAX=_CACHE_MB), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            yield
    except (RasterioError, CPLE_BaseError, OSError, MemoryError) as error:
        if shutil.disk_usage(beside.parent).free < _LEAST_FREE:
            raise NoRoom(
                f"no room for {name} in {beside.parent}: the disk is full; make room there, or "
                "name another folder with TMPDIR"
            ) from None
        raise BadRaster(
            f"{name} can't be read as a GeoTIFF ({_cause(error)}); take another copy of it, or "
            "convert it with gdal_translate"
        ) from None


def make_cog(path: Path, target: Path, *, crs: CRS | None = None, codes: bool = False) -> Made:
    """Write a GeoTIFF as a COG.

    Parameters
    ----------
    path, target : Path
    crs : CRS, optional
        Of the file, where it states none.
    codes : bool
        Whether the values are codes; a palette says so by itself.

    Raises
    ------
    BadRaster
        Where it is damaged, has no place, or holds what can't be shown; nothing is kept of it.
    NoRoom
    """
    name = path.name
    with quiet(name, target), rasterio.open(path, driver="GTiff") as source:
        _check_content(name, source)
        own = _crs_of(name, source, crs)
        made = _describe(source, own, codes)
        with _placed(source, own, target) as placed, _upright(placed, made) as upright:
            _copy(upright, target, made)
            return _describe(upright, own, made.codes)


def _check_content(name: str, source: DatasetReader) -> None:
    kinds = sorted(set(source.dtypes))
    if not source.count or source.count > MOST_BANDS:
        raise BadRaster(
            f"{name} has {source.count} bands; 1 to {MOST_BANDS} are taken, choose some with "
            "gdal_translate -b"
        )
    if len(kinds) > 1 or kinds[0] not in _KINDS:
        raise BadRaster(
            f"{name} has values of type {', '.join(kinds)}; one of {', '.join(sorted(_KINDS))} is "
            "taken, convert it with gdal_translate -ot"
        )
    if source.gcps[0] or source.rpcs:
        raise BadRaster(f"{name} has control points, but no grid; make one with gdalwarp")
    if source.transform == Affine.identity() or source.transform.determinant == 0:
        raise BadRaster(
            f"{name} does not say where it lies (no transform); give it one, for instance by "
            "gdal_translate -a_ullr, or take the .tfw along"
        )


def _crs_of(name: str, source: DatasetReader, given: CRS | None) -> CRS:
    if source.crs is None:
        if given is None:
            raise BadRaster(f"{name} states no reference system; give --crs, such as EPSG:4490")
        return given
    try:
        stated = CRS.from_wkt(source.crs.to_wkt())
    except CRSError as error:
        raise BadRaster(
            f"{name} states a reference system that can't be read ({first_line(error)}); set "
            "another with gdal_edit -a_srs"
        ) from None
    authority = stated.to_authority()
    stated = stated if authority is None else CRS.from_authority(*authority)
    if given is not None and not given.equals(stated, ignore_axis_order=True):
        raise BadRaster(
            f"{name} states {stated.to_string()[:60]}, --crs says {given.to_string()[:60]}; "
            "leave --crs out, or mend the file"
        )
    if not (stated.is_geographic or stated.is_projected):
        raise BadRaster(f"{name}: {stated.name} is no place on the earth; georeference it first")
    return stated


def _describe(source: Any, crs: CRS, codes: bool) -> Made:
    colors = tuple(c.name for c in source.colorinterp)
    return Made(
        width=source.width,
        height=source.height,
        transform=source.transform,
        crs=crs,
        dtype=source.dtypes[0],
        nodata=source.nodata,
        colors=colors,
        codes=codes or "palette" in colors,
    )


@contextmanager
def _placed(source: DatasetReader, crs: CRS, beside: Path) -> Iterator[DatasetReader]:
    """The source itself, or the same with the reference system that it does not state."""
    if source.crs is not None:
        yield source
        return
    described = beside.with_suffix(".vrt")
    rasterio.shutil.copy(source, described, driver="VRT")
    with rasterio.open(described, "r+") as same:
        same.crs = rasterio.crs.CRS.from_wkt(crs.to_wkt())
    with rasterio.open(described) as same:
        yield same


@contextmanager
def _upright(source: DatasetReader, made: Made) -> Iterator[Any]:
    """The source itself, or its values on a grid with north above where it is turned."""
    t = source.transform
    if t.b == t.d == 0 and t.a > 0 > t.e:
        yield source
        return
    masked = source.nodata is not None or ColorInterp.alpha in source.colorinterp
    method = Resampling.nearest if made.codes else Resampling.bilinear
    with WarpedVRT(source, crs=source.crs, resampling=method, add_alpha=not masked) as warped:
        yield warped


def _copy(source: Any, target: Path, made: Made) -> None:
    method = "NEAREST" if made.codes else "AVERAGE"
    options = _OPTIONS | {"OVERVIEW_RESAMPLING": method}
    rasterio.shutil.copy(source, target, driver="COG", **options)


def _cause(error: BaseException) -> str:
    """What GDAL said first, which says more than what rasterio makes of it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error) if isinstance(error, Exception) else type(error).__name__
