"""One case as it arrives: the grids of its place, as of its report, from an index that is kept."""

from __future__ import annotations

import datetime as dt

from layers.readers import Reader
from layers.store import Store
from services.assignments import check_grids
from services.grid_indexes import kept_grids
from spatial.assignment import Placement, assign_one


def assign_arrival(
    store: Store,
    reader: Reader,
    *,
    grids: str,
    longitude: float,
    latitude: float,
    reported_at: dt.datetime,
    revision: int | None = None,
    tolerance_m: float = 0.0,
) -> list[Placement]:
    """Give a place the grid, of each type, that is valid at an instant.

    The first call for a revision of the grids reads and indexes them; those after it, of any
    instant since the same boundary, look up.

    Parameters
    ----------
    grids : str
        A state layer of polygons.
    longitude, latitude : float
        In WGS 84.
    reported_at : datetime
        Aware.
    revision : int, optional
        What was known of the grids; the newest where absent.
    tolerance_m : float
        How far in metres a place outside all grids may lie from the nearest.

    Returns
    -------
    list of Placement
        One a grid type that the layer has at any time, ordered as text; `grid` is its code.

    Raises
    ------
    UnsuitableLayer
        If the layer is of another kind.
    LayersError, SpatialError
        For layers, revisions, instants and distances that are none.
    """
    layer = store.layer(grids, reader)
    system = check_grids(layer, None)
    number = layer.at(reported_at, revision=revision).moment.revision
    kept = kept_grids(store, layer, number, system)
    x, y = kept.from_degrees(longitude, latitude)
    return assign_one(x, y, kept.index, at=reported_at, tolerance_m=tolerance_m)
