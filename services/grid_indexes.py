"""Grid layers made ready for assignment: one index a revision and reader, kept by the store.

An index has all editions of a layer, each looked up in what was indexed for the time since the
last boundary before a case (`spatial.systems`): cases of any time share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layers.published import PublishedLayer
from layers.reading.snapshots import Snapshot
from layers.store import Store
from spatial.crs import CRS84, Mover, mover
from spatial.grids import GridIndex


@dataclass(frozen=True, eq=False)
class KeptGrids:
    """A layer's grids of every time, as one reader sees a revision of it.

    Attributes
    ----------
    index : GridIndex
        By the codes that name grids within their system.
    ids : mapping
        Of each system, the feature's id of each code.
    """

    index: GridIndex
    ids: Mapping[str, Mapping[str, str]]

    @cached_property
    def from_degrees(self) -> Mover:
        """Return what moves longitude and latitude into the system of the grids."""
        return mover(CRS84, self.index.crs)

    @property
    def nbytes(self) -> int:
        """Return the size of its indexes, in bytes."""
        return self.index.nbytes


def kept_grids(store: Store, layer: PublishedLayer, revision: int, system: str | None) -> KeptGrids:
    """Return a layer's grids, made ready; without any where the reader sees none.

    Parameters
    ----------
    system : str, optional
        The field that tells grid types apart; without it they are one.
    """
    key = ("grids", layer.record.id, revision, system, layer.sight.fingerprint)
    return store.derived.get(key, lambda: _read(layer, revision, system))


def _read(layer: PublishedLayer, revision: int, system: str | None) -> KeptGrids:
    snapshot = layer.history(revision=revision)
    frame = snapshot.read(restricted=False)
    if system is not None and system in snapshot.shown.masks:
        # To whom a grid's type is not open, it is a grid of no system.
        frame = frame[frame[system].notna()]
    names = frame[system].astype(str) if system else pd.Series("", index=frame.index)
    columns = {
        "grid": frame.index.to_numpy(dtype=object),
        "code": _codes(snapshot, frame, names, system),
        "system": names.to_numpy(dtype=object),
        "valid_from": frame["valid_from"].array,
        "valid_to": frame["valid_to"].array,
    }
    cells = gpd.GeoDataFrame(columns, geometry=frame.geometry.to_numpy(), crs=frame.crs)
    by = "system" if len(cells) else None
    index = GridIndex.build(cells, key="code", system=by, periods=("valid_from", "valid_to"))
    ids = {
        name: dict(zip(own["code"], own["grid"], strict=True))
        for name, own in cells.groupby("system", sort=False)
    }
    return KeptGrids(index, ids)


def _codes(
    snapshot: Snapshot, frame: gpd.GeoDataFrame, names: pd.Series[Any], system: str | None
) -> NDArray[np.object_]:
    """Return what names a grid within its type: the key's other field, or else the id."""
    ids: NDArray[np.object_] = frame.index.to_numpy(dtype=object)
    keys = [f.id for f in snapshot.layer.record.schema.keys if f.id != system]
    if len(keys) != 1 or keys[0] not in snapshot.fields:
        return ids
    keyed = frame[keys[0]].astype(object)
    codes: NDArray[np.object_] = (
        keyed.where(keyed.notna(), frame.index).astype(str).to_numpy(object)
    )
    # Where the key is a placeholder several features share a code, and only the id will do
    pairs = pd.DataFrame({"system": names.to_numpy(), "code": codes, "grid": ids})
    shared = pairs.drop_duplicates().duplicated(["system", "code"]).any()
    return ids if shared else codes
