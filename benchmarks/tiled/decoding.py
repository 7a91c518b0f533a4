"""What stands in a vector tile, as GDAL reads it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyogrio
import shapely

from tiles.grids import Place


@dataclass(frozen=True)
class Seen:
    """What GDAL finds in a tile.

    Attributes
    ----------
    features, polygons : int
    area : float
        Of its polygons, in square metres of the grid.
    fields : frozenset of str
    """

    features: int
    polygons: int
    area: float
    fields: frozenset[str]


def decode(body: bytes, where: Place) -> Seen:
    """Read a tile of one layer, with all of its margin."""
    if not body:
        return Seen(0, 0, 0.0, frozenset())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{where.zoom}-{where.column}-{where.row}.mvt"
        file.write_bytes(body)
        [[name, _]] = pyogrio.list_layers(f"MVT:{file}").tolist()
        options = {"X": where.column, "Y": where.row, "Z": where.zoom, "CLIP": "NO"}
        about, _, shapes, _ = pyogrio.raw.read(f"MVT:{file}", layer=name, **options)
        names = frozenset(map(str, about["fields"]))
    geometries = shapely.from_wkb(shapes)
    kinds = shapely.get_type_id(geometries)
    polygons = np.isin(kinds, (3, 6))
    area = float(shapely.area(geometries[polygons]).sum())
    return Seen(len(geometries), int(polygons.sum()), area, names)
