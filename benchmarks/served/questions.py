"""What the servers are asked, said once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import psycopg
import shapely

TABLE = "live.parcels"
FIELDS = (
    "parcel_code real_estate_unit_no location area_m2 land_use_code right_type right_nature "
    "land_grade floor_area_ratio building_density height_limit_m bound_e bound_s bound_w bound_n "
    "predecessor_codes"
).split()
# Whether an index begins with the property that is filtered by.
_INDEXED = """
SELECT count(*) FROM pg_indexes WHERE schemaname = 'live' AND tablename = 'parcels'
  AND indexdef LIKE '%%("left"(parcel_code, 255)%%'
"""
_VERTICES = 500
_WANTED = 1_000

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Question:
    """One thing to ask for.

    Attributes
    ----------
    title : str
        In the table.
    limit : int
        Features on the page.
    feature : str, optional
        The id of the one feature wanted.
    bbox : Box, optional
        Longitudes and latitudes.
    count : bool
        Whether an exact count is asked for.
    when : datetime, optional
        The instant in the past that is asked about.
    edition : int, optional
        The layer's own then; its number stands in each feature.
    between : tuple of two str, optional
        Parcel codes of which all in between are wanted.
    within : str, optional
        A polygon as WKT; what meets it is wanted.
    unchanged : bool
        Whether the client says that it has the answer already.
    """

    title: str
    limit: int = 10
    feature: str | None = None
    bbox: Box | None = None
    count: bool = False
    when: datetime | None = None
    edition: int | None = None
    between: tuple[str, str] | None = None
    within: str | None = None
    unchanged: bool = False

    @property
    def filtered(self) -> bool:
        """Whether a CQL2 filter is asked for."""
        return self.between is not None or self.within is not None

    def cql2(self, geometry: str) -> str:
        """Return the filter as CQL2 text."""
        if self.between is not None:
            low, high = self.between
            return f"parcel_code >= '{low}' AND parcel_code <= '{high}'"
        return f"S_INTERSECTS({geometry},{self.within})"


@dataclass(frozen=True)
class Samples:
    """What questions are made of: taken from the layer itself."""

    features: int
    first: str
    some: tuple[str, ...]
    extent: Box
    codes: tuple[str, str]
    polygon: str
    boxes: tuple[Box, ...]
    indexed: bool


def take_samples(connection: psycopg.Connection) -> Samples:
    """Look at the layer, and choose what to ask about."""
    count = _one(connection, f"SELECT count(*) FROM {TABLE}")[0]
    first = _one(connection, f"SELECT min(_fid) FROM {TABLE}")[0]
    box = _one(
        connection,
        "SELECT ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e) "
        f"FROM (SELECT ST_Extent(_geom) AS e FROM {TABLE}) AS extent",
    )
    half = f"SELECT parcel_code FROM {TABLE} ORDER BY parcel_code OFFSET %s LIMIT 1"
    codes = tuple(_one(connection, half, (n,))[0] for n in (count // 2, count // 2 + _WANTED - 1))
    some = connection.execute(
        f"SELECT _fid FROM {TABLE} ORDER BY md5(_fid) LIMIT 1000"  # the same ones each time
    ).fetchall()
    centres = connection.execute(
        f"SELECT ST_X(ST_Centroid(_geom)), ST_Y(ST_Centroid(_geom)) FROM {TABLE}"
    ).fetchall()
    boxes = _boxes(np.array(centres))
    return Samples(
        count,
        first,
        tuple(row[0] for row in some),
        box,
        (codes[0], codes[1]),
        _star(boxes[0]),
        boxes,
        _one(connection, _INDEXED)[0] > 0,
    )


def _one(connection: psycopg.Connection, text: str, values: Sequence[Any] = ()) -> Any:
    return connection.execute(text, values).fetchone()


def _boxes(centres: Any, wanted: int = _WANTED, number: int = 50) -> tuple[Box, ...]:
    """Boxes around some parcels, each with about so many in it."""
    rng = np.random.default_rng(11)
    found: list[Box] = []
    wanted = min(wanted, len(centres) - 1)
    for middle in centres[rng.integers(len(centres), size=number)]:
        reach = float(np.partition(np.abs(centres - middle).max(axis=1), wanted)[wanted])
        x, y = map(float, middle)
        found.append(tuple(round(v, 6) for v in (x - reach, y - reach, x + reach, y + reach)))
    return tuple(found)


def _star(box: Box) -> str:
    """A polygon of five hundred vertices in a box, bent inwards and outwards."""
    west, south, east, north = box
    angles = np.linspace(0, 2 * np.pi, _VERTICES, endpoint=False)
    reach = 0.4 + 0.1 * np.cos(25 * angles)
    x = (west + east) / 2 + (east - west) * reach * np.cos(angles)
    y = (south + north) / 2 + (north - south) * reach * np.sin(angles)
    points = np.round(np.column_stack([x, y]), 7)
    polygon = shapely.Polygon(np.vstack([points, points[:1]]))
    return str(shapely.to_wkt(polygon, rounding_precision=7)).replace(", ", ",")
