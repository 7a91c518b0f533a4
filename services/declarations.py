"""What `shikong publish` is told of a source's coordinates, and what it tells of them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from layers.report import Report
from services.errors import BadParameter
from spatial.crs import parse_crs
from spatial.helmert import parse_helmert
from spatial.placement import Declared
from spatial.shifted import parse_shift
from spatial.similarity import parse_similarity

if TYPE_CHECKING:
    from pyproj import CRS

Options = argparse.Namespace


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options by which a publisher says where coordinates are."""
    add = parser.add_argument
    add(
        "--crs",
        metavar="CRS",
        help="of the source, where it states none: EPSG:4549; gcj02 and bd09 are undone",
    )
    add(
        "--towgs84",
        metavar="DX,DY,DZ[,RX,RY,RZ,S]",
        help="from a local datum to WGS 84: metres, seconds of arc (position vector), ppm; with "
        "a minus at first written --towgs84=-12.5,...",
    )
    add(
        "--similarity",
        metavar="DX,DY,ROTATION,SCALE",
        help="from a plane of its own to --crs: east, north, degrees, factor",
    )
    add("--axes", choices=("east-north", "north-east"), help="what stands first in the source")


def crs_of(options: Options) -> CRS | None:
    """Return the system that is said, None where none is or a shift is said instead."""
    if not options.crs or parse_shift(options.crs):
        return None
    return parse_crs(options.crs)


def declared_of(options: Options) -> Declared:
    """Return what else is said of the coordinates."""
    return Declared(
        shift=parse_shift(options.crs) if options.crs else None,
        helmert=parse_helmert(options.towgs84) if options.towgs84 else None,
        north_first=options.axes == "north-east",
        similarity=parse_similarity(options.similarity) if options.similarity else None,
    )


def crs_of_rasters(options: Options) -> CRS | None:
    """Return the system of GeoTIFFs that state none.

    Raises
    ------
    BadParameter, UnknownCRS
        Where something is said that GeoTIFFs are not taken by.
    """
    for name in ("towgs84", "similarity", "axes"):
        if getattr(options, name):
            raise BadParameter(f"--{name} is of features; warp the GeoTIFF with gdalwarp first")
    return parse_crs(options.crs) if options.crs else None


def provenance_of(options: Options) -> dict[str, Any]:
    """Return what a commit keeps of what was said."""
    declared = declared_of(options)
    told: dict[str, Any] = {}
    if options.crs:
        told["crs"] = options.crs
    if declared.helmert is not None:
        told |= {"towgs84": list(declared.helmert.values), "rotations": "position vector"}
    if declared.similarity is not None:
        told["similarity"] = list(declared.similarity.values)
    if declared.north_first:
        told["axes"] = "north, east"
    return told


def print_placed(report: Report) -> None:
    """Print how text was read, and how coordinates came into the layer's system."""
    for one in report.read_as:
        print(f"  {one}")
    if report.placed is None:
        return
    for i, line in enumerate(report.placed.lines()):
        print(f"    {line}" if i else f"  reference system: {line}")
