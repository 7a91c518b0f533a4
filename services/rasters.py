"""What `shikong publish` has of its own where GeoTIFFs are published."""

from __future__ import annotations

import argparse
import json
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

from layers.errors import BadPeriod
from layers.model import Schema
from layers.rasters.sources import RasterSource, is_raster
from services.errors import BadParameter

_ZONE = "Asia/Shanghai"


def end_of(text: str | None, schema: Schema | None) -> datetime | None:
    """Return the instant at which scenes cease to be so: the midnight in which a date begins.

    Raises
    ------
    BadPeriod
        Where the text is no date.

    Examples
    --------
    >>> end_of("2024-01-01", None).isoformat()
    '2024-01-01T00:00:00+08:00'
    """
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise BadPeriod(f"--valid-to {text!r}: a date such as 2024-01-01") from None
    return datetime.combine(day, time(), schema.zone if schema else ZoneInfo(_ZONE))


def refuse_raster_options(paths: list[Path], options: argparse.Namespace) -> None:
    """Refuse several sources that are not all rasters, and what is said of rasters alone.

    Raises
    ------
    BadParameter
        With what to do instead.
    """
    if len(paths) > 1:
        other = next(path for path in paths if not is_raster(path))
        raise BadParameter(f"{other} is no GeoTIFF; only GeoTIFFs are published several at once")
    for name in ("scene", "codes", "valid_to"):
        if getattr(options, name):
            raise BadParameter(f"--{name.replace('_', '-')} is of GeoTIFFs; leave it out")


def print_scenes(source: RasterSource) -> None:
    """Print what was found in each raster."""
    for scene in source.scenes:
        told = scene.values
        west, south, east, north = scene.outline.bounds
        print(
            f"  {told['scene']}: {told['width']} x {told['height']} pixels, {told['bands']} x "
            f"{told['dtype']} ({told['colors']}), {told['grid_crs']}, "
            f"{west:.5f} {south:.5f} to {east:.5f} {north:.5f}, {told['size_bytes']} bytes"
        )
        for band in json.loads(told["statistics"]):
            if band["valid"]:
                print(
                    f"    band {band['band']}: {band['valid']} values, {band['minimum']:.6g} to "
                    f"{band['maximum']:.6g}, mean {band['mean']:.6g}"
                )
