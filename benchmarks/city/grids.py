"""Synthetic governance grids: unit grids in community grids in one street's evaluation grids."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely

from city.layout import COUNTY, CRS, City, bent_mesh

# Units of a community, from west to east and from south to north; communities of a street alike.
UNITS = 5
COMMUNITIES = 4
UNIT_M = 100.0
# Points of an edge between its ends: about 100 vertices a unit grid.
BETWEEN = 24


def grids(seed: int, count: int) -> gpd.GeoDataFrame:
    """Return every grid of a city of so many parcels, in EPSG:4547; each system a coverage."""
    city = City(seed, count)
    west, south, east, north = city.bounds
    side = UNITS * UNIT_M
    across, along = (int(np.ceil(m / side)) for m in (east - west, north - south))
    size = (along * UNITS, across * UNITS)
    mesh = bent_mesh(city.dice(2), (west, south), (UNIT_M, UNIT_M), size, BETWEEN, 0.01)
    units = mesh.cells().reshape(size)
    rows: list[dict] = []
    shapes: list[shapely.Geometry] = []
    for row in range(along):
        for column in range(across):
            block = units[row * UNITS : (row + 1) * UNITS, column * UNITS : (column + 1) * UNITS]
            division = _division(row, column, across)
            # Numbered west to east and north to south.
            for serial, unit in enumerate(block[::-1].ravel(), 1):
                rows.append(_grid(f"{division}{serial:03d}", "unit", f"{division}000", unit))
                shapes.append(unit)
            whole = mesh.block(row * UNITS, column * UNITS, UNITS, UNITS)
            rows.append(_grid(f"{division}000", "community", None, whole))
            shapes.append(whole)
    frame = gpd.GeoDataFrame(rows, geometry=shapes, crs=CRS)
    dice = city.dice(3)
    frame["households"] = dice.integers(5, 30, len(frame))
    frame["population"] = frame["households"] * 3
    frame["staff_ref"] = [f"合成网格员{n:06d}" for n in range(len(frame))]
    return frame


def _division(row: int, column: int, across: int) -> str:
    """The 12 digits of a community: county, street, community."""
    streets_across = -(-across // COMMUNITIES)
    street = 1 + (row // COMMUNITIES) * streets_across + column // COMMUNITIES
    community = 1 + (row % COMMUNITIES) * COMMUNITIES + column % COMMUNITIES
    return f"{COUNTY}{street:03d}{community:03d}"


def _grid(code: str, kind: str, parent: str | None, shape: shapely.Geometry) -> dict:
    return {
        "grid_code": code,
        "grid_type": kind,
        "name": f"合成{'单元' if kind == 'unit' else '社区'}网格{code[-9:]}",
        "parent_code": parent or code[:9],
        "area_m2": round(shapely.area(shape), 2),
        "responsible_org": f"合成街道办事处{code[6:9]}",
    }
