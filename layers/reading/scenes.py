"""Scenes of a raster layer: which of a snapshot meet a box, and their files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pyproj import CRS

from layers.errors import Forbidden, TooMuchAsked
from layers.model import Layer
from layers.reading.boxes import Box
from layers.reading.snapshots import Snapshot
from layers.schemas.scenes import NEEDED

# More are not drawn into one picture: to open each takes longer than anybody waits.
MOST_SCENES = 200


@dataclass(frozen=True, slots=True)
class ShownScene:
    """One scene of a snapshot, as far as its picture needs.

    Attributes
    ----------
    codes : bool
        Whether values are codes, which are never averaged.
    span : tuple of two floats or None
        Of most values of the first band.
    """

    id: str
    valid_from: datetime
    sha256: str
    codes: bool
    span: tuple[float, float] | None


def find_scenes(snapshot: Snapshot, box: Box, crs: CRS) -> list[ShownScene]:
    """Return the scenes that meet a box, the newest first.

    Raises
    ------
    Forbidden
        Where the reader may not see the fields that name their files.
    TooMuchAsked
        Where there are more than can be drawn at once.
    """
    rows = snapshot.where(bbox=box, bbox_crs=crs, restricted=False).fetch(_select)
    if len(rows) > MOST_SCENES:
        raise TooMuchAsked(
            f"more than {MOST_SCENES} scenes of {snapshot.layer.record.id} meet here; zoom in, or "
            "publish an overview of them as a layer of its own"
        )
    return [
        ShownScene(row._fid, row._valid_from, row.sha256, bool(row.codes), _span(row.statistics))
        for row in rows
        if row.sha256 is not None
    ]


def copy_of(snapshot: Snapshot, scene: ShownScene) -> Path:
    """Return the file of a scene on this machine.

    Raises
    ------
    DamagedRaster
        Where the store does not have it as it was.
    """
    return snapshot.layer.copies.path_of(snapshot.layer.database, scene.sha256)


def _select(select: sa.Select[Any], record: Layer) -> sa.Select[Any]:
    rows = select.subquery("rows")
    if any(name not in rows.c for name in NEEDED):
        raise Forbidden(f"the fields that name the files of {record.id} are not yours to see")
    wanted = (rows.c._fid, rows.c._valid_from, *(rows.c[name] for name in NEEDED))
    newest = (rows.c._valid_from.desc(), rows.c._fid)
    return sa.select(*wanted).order_by(*newest).limit(MOST_SCENES + 1)


def _span(statistics: str | None) -> tuple[float, float] | None:
    for band in json.loads(statistics or "[]"):
        if band.get("low") is not None and band["low"] < band["high"]:
            return float(band["low"]), float(band["high"])
    return None
