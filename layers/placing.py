"""Where a source's coordinates are: as it says, as its publisher says, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from sqlalchemy.engine import Connection

from layers.errors import BadSource, UnstatedSystem
from layers.model import Layer
from layers.readers import Reader
from layers.reading.extents import read_extent
from spatial.candidates import find_candidates
from spatial.crs import CRS84, is_same_plane, mover, parse_crs
from spatial.datums import is_geocentric, is_local
from spatial.errors import SpatialError
from spatial.placement import Declared, Placement, place
from spatial.shortlist import Bounds, told

if TYPE_CHECKING:
    from layers.sources import Source

# So many batches tell where the coordinates of a source are.
_LOOKED_AT = 100
# CGCS2000: of layers that are made of coordinates which may not be stored as they come.
_STORED = "EPSG:4490"


def system_of(
    connection: Connection,
    record: Layer | None,
    source: Source,
    said: CRS | None,
    declared: Declared,
) -> CRS | None:
    """Return the system of a source's coordinates; None where it has none.

    Raises
    ------
    UnstatedSystem
        Where nobody says it, with the systems that would fit.
    BadSource
        Where source and publisher contradict each other.
    """
    if not source.has_geometry:
        return None
    if declared.shift is not None:
        _check_shifted(source, declared)
        return parse_crs(CRS84)
    if said is not None and source.crs is not None and not is_same_plane(said, source.crs):
        stated = source.crs.to_string()
        raise BadSource(
            f"{source.name} states {stated[:60]}, --crs says {said.to_string()}; "
            "leave --crs out, or mend the file"
        )
    # What the source says has its heights in it.
    crs = source.crs or said
    if crs is None:
        _refuse(connection, record, source)
    return crs


def placement_of(crs: CRS, target: str, declared: Declared) -> Placement:
    """Return how coordinates get into a layer's system.

    Raises
    ------
    BadSource
        Where nothing that can be trusted leads there.
    """
    try:
        placement = place(crs, parse_crs(target), declared)
        # Asks for the operation before a row is read.
        placement.move(np.array([], dtype=object))
    except SpatialError as error:
        raise BadSource(str(error)) from None
    return placement


def storage_of(said: CRS | None, crs: CRS | None, declared: Declared) -> str | None:
    """Return the system in which a layer is stored that a source makes; None for the source's.

    Parameters
    ----------
    said : CRS or None
        By the publisher.
    crs : CRS or None
        Of the source, as said or stated.

    Raises
    ------
    BadSource
        Where the coordinates are on a datum that nothing leads away from.
    """
    if crs is None:
        return None
    placement = placement_of(crs, _STORED, declared) if is_local(_base(crs)) else None
    if placement is not None or declared.shift is not None or declared.helmert is not None:
        return _STORED
    named = None if said is None else said.to_authority()
    return None if named is None else ":".join(named)


def check_storage(crs: str) -> None:
    """Refuse to store a layer in a system from which nothing leads to longitude and latitude.

    Raises
    ------
    BadSource
        With what is wrong with it.
    """
    try:
        mover(parse_crs(crs), CRS84)
    except SpatialError as error:
        raise BadSource(
            f"a layer can't be stored in {crs}, for nobody could see it: {error}"
        ) from None


def _base(crs: CRS) -> CRS:
    return crs.source_crs if crs.is_bound and crs.source_crs is not None else crs


def _check_shifted(source: Source, declared: Declared) -> None:
    stated = source.crs
    assert declared.shift is not None  # noqa: S101 - asked before
    # A GeoJSON states WGS 84 whatever its coordinates are.
    if stated is not None and not (stated.is_geographic and is_geocentric(stated)):
        raise BadSource(
            f"{source.name} states {stated.to_string()[:60]}, and {declared.shift} are longitudes "
            "and latitudes; leave --crs out, or mend the file"
        )


def _refuse(connection: Connection, record: Layer | None, source: Source) -> NoReturn:
    bounds, count = _bounds(source)
    near = None
    if record is not None and record.head:
        near = read_extent(connection, record, Reader.everything()).bounds
    found = find_candidates(bounds, count=count, near=near)
    asked = f"{source.name} states no reference system; give --crs, such as EPSG:4490 or OGC:CRS84"
    if not found:
        raise UnstatedSystem(
            f"{asked}. Nothing that is looked for fits x {bounds[0]:.10g} to {bounds[2]:.10g}, "
            f"y {bounds[1]:.10g} to {bounds[3]:.10g}: ask whoever made it"
        )
    lines = "".join(f"\n  {line}" for line in told(found))
    raise UnstatedSystem(
        f"{asked}. These would fit, and where the data would lie (Xian 80 and Beijing 54 look "
        f"like CGCS2000: ask whoever made it):{lines}",
        found,
    )


def _bounds(source: Source) -> tuple[Bounds, int]:
    """Return the bounds of the first coordinates and their number, rows at (0, 0) left out."""
    low, high, count = np.full(2, np.inf), np.full(2, -np.inf), 0
    for i, batch in enumerate(source.batches()):
        if i == _LOOKED_AT:
            break
        if batch.geometries is None:
            continue
        points: NDArray[np.float64] = shapely.get_coordinates(batch.geometries)
        points = points[np.isfinite(points).all(axis=1) & points.any(axis=1)]
        if len(points):
            low, high = np.minimum(low, points.min(axis=0)), np.maximum(high, points.max(axis=0))
            count += len(points)
    return (float(low[0]), float(low[1]), float(high[0]), float(high[1])), count
