"""What a raster's bands hold: extremes, mean, spread and the span of most values, band by band."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, Resampling

from layers.errors import BadRaster
from layers.rasters.cogs import quiet

# Of most values, leaving out what a few pixels have.
_LOW, _HIGH = 2.0, 98.0
# The span is told from so many pixels along the longer side at most.
_SAMPLED = 1024


@dataclass(frozen=True, slots=True)
class BandStatistics:
    """One band's values, but those that stand for none and those that are not finite.

    Attributes
    ----------
    band : int
        From 1.
    valid : int
        How many there are.
    minimum, maximum, mean, deviation : float or None
        Over all of them; None where there are none.
    low, high : float or None
        The span of most values: the 2nd and the 98th percentile of an even sample; of codes, the
        extremes.
    """

    band: int
    valid: int
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    deviation: float | None = None
    low: float | None = None
    high: float | None = None


def measure(path: Path, name: str, *, codes: bool) -> tuple[BandStatistics, ...]:
    """Return the statistics of each band but the alpha, reading block by block.

    Raises
    ------
    BadRaster
        Where no band has any value, or the file can't be read.
    """
    with quiet(name, path), rasterio.open(path) as source:
        colors = source.colorinterp
        bands = [b for b in source.indexes if colors[b - 1] is not ColorInterp.alpha]
        found = tuple(_measure(source, band, codes) for band in bands)
    if not any(band.valid for band in found):
        raise BadRaster(
            f"{name} has no pixel with a value: all are nodata, masked or not finite; nothing "
            "could be shown of it, export it again"
        )
    return found


def as_text(found: Sequence[BandStatistics]) -> str:
    """Return statistics as JSON."""
    return json.dumps([asdict(band) for band in found])


def _measure(source: Any, band: int, codes: bool) -> BandStatistics:
    count, mean, squares = 0, 0.0, 0.0
    least, most = math.inf, -math.inf
    for values in _blocks(source, band):
        least, most = min(least, float(values.min())), max(most, float(values.max()))
        # Chan's way to join the moments of parts: sums of squares would lose what differs.
        part, shift = float(values.mean()), float(values.mean()) - mean
        total = count + len(values)
        squares += float(((values - part) ** 2).sum()) + shift**2 * count * len(values) / total
        mean, count = mean + shift * len(values) / total, total
    if not count:
        return BandStatistics(band, 0)
    low, high = (least, most) if codes else _span(source, band, least, most)
    return BandStatistics(band, count, least, most, mean, math.sqrt(squares / count), low, high)


def _blocks(source: Any, band: int) -> Iterator[np.ndarray[Any, np.dtype[np.float64]]]:
    for _, window in source.block_windows(band):
        values = _valid(source.read(band, window=window, masked=True))
        if values.size:
            yield values


def _span(source: Any, band: int, least: float, most: float) -> tuple[float, float]:
    scale = max(source.width, source.height, _SAMPLED) / _SAMPLED
    shape = (max(1, int(source.height / scale)), max(1, int(source.width / scale)))
    nearest = Resampling.nearest
    values = _valid(source.read(band, out_shape=shape, masked=True, resampling=nearest))
    if not values.size:
        return least, most
    low, high = np.percentile(values, [_LOW, _HIGH])
    return (float(low), float(high)) if low < high else (least, most)


def _valid(values: np.ma.MaskedArray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    plain = values.compressed().astype(np.float64)
    return plain[np.isfinite(plain)]
