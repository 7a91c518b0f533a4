"""The next edition of the parcels: some are edited, cut back, split or merged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from city.layout import METRIC
from city.noise import uniform

# Of the parcels that change; a merge takes two.
_EDITED, _CUT, _SPLIT, _MERGED = 0.55, 0.20, 0.15, 0.10
_CORNER = 0.15
_PREFIX = 12  # serial numbers run within these digits


def edited(
    frames: Iterable[gpd.GeoDataFrame], share: float, seed: int
) -> Iterator[gpd.GeoDataFrame]:
    """Yield the parcels with a share of them changed, frame by frame.

    Edited parcels have another ``floor_area_ratio``, half of them also another holder; those that
    are cut back lost a corner to the street; split and merged ones are gone, and their successors
    name them in ``predecessor_codes``, joined by commas, and have numbers never used before.

    Parameters
    ----------
    frames : iterable of GeoDataFrame
        What `city.parcels.parcels` yields, or what this function did.
    share : float
        Of the parcels, 0 to 1.
    seed : int
        Of the edition: another one changes others.
    """
    for frame in frames:
        yield _edited(frame.reset_index(drop=True), share, seed)


def _edited(frame: gpd.GeoDataFrame, share: float, seed: int) -> gpd.GeoDataFrame:
    ids = pd.util.hash_array(frame["parcel_code"].to_numpy(dtype=object), categorize=False)
    kind = _kinds(uniform(seed, "edit", ids), share)
    left, right = _pairs(frame, kind)
    kind[np.concatenate([left, right])] = "merged"
    kind = np.where((kind == "merge") & ~np.isin(np.arange(len(frame)), left), "edit", kind)
    frame = _with_attributes(frame, np.flatnonzero(kind == "edit"), seed, ids)
    frame = _with_corners_cut(frame, np.flatnonzero(kind == "cut"))
    parents, halves = _halves(frame, np.flatnonzero(kind == "split"))
    merged = _successors(
        frame,
        left,
        shapely.union(frame.geometry.array[left], frame.geometry.array[right]),
        [f"{a},{b}" for a, b in zip(_codes(frame, left), _codes(frame, right), strict=True)],
    )
    split = _successors(frame, parents, halves, _codes(frame, parents))
    new = _numbered(pd.concat([merged, split], ignore_index=True), frame)
    gone = np.concatenate([left, right, parents])
    kept = frame.drop(index=gone)
    return gpd.GeoDataFrame(pd.concat([kept, new], ignore_index=True), crs=frame.crs)


def _kinds(draw: NDArray[np.float64], share: float) -> NDArray[Any]:
    # A merge that begins at one parcel changes two.
    parts = np.array([_EDITED, _CUT, _SPLIT, _MERGED / 2])
    bounds = share * np.cumsum(parts)
    return np.array(["edit", "cut", "split", "merge", "none"])[
        np.searchsorted(bounds, draw, side="right")
    ].astype(object)


def _pairs(
    frame: gpd.GeoDataFrame, kind: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Parcels to be merged and their neighbours in the east, each parcel once."""
    codes, east = frame["parcel_code"].to_numpy(), frame["bound_e"].to_numpy()
    left = np.flatnonzero(kind == "merge")
    left = left[left < len(frame) - 1]
    left = left[(east[left] == codes[left + 1]) & (kind[left + 1] == "none")]
    return left, left + 1


def _with_attributes(
    frame: gpd.GeoDataFrame, rows: NDArray[np.int64], seed: int, ids: NDArray[np.uint64]
) -> gpd.GeoDataFrame:
    frame = frame.copy()
    ratio = frame["floor_area_ratio"].to_numpy().copy()
    ratio[rows] = np.round(ratio[rows] + 0.1 + uniform(seed, "new ratio", ids[rows]), 2)
    frame["floor_area_ratio"] = ratio
    draw = uniform(seed, "new holder", ids[rows])
    sold = rows[draw < 0.5]
    holders = frame["right_holder"].to_numpy(dtype=object, copy=True)
    holders[sold] = [f"合成权利人{int(d * 2e8):08}" for d in draw[draw < 0.5].tolist()]
    frame["right_holder"] = holders
    return frame


def _with_corners_cut(frame: gpd.GeoDataFrame, rows: NDArray[np.int64]) -> gpd.GeoDataFrame:
    shapes = np.array(frame.geometry.array, dtype=object)
    for row in rows.tolist():
        shapes[row] = _corner_cut(shapes[row])
    areas = frame["area_m2"].to_numpy().copy()
    areas[rows] = _areas(shapes[rows], frame.crs)
    return gpd.GeoDataFrame(
        frame.drop(columns="geometry").assign(area_m2=areas), geometry=shapes, crs=frame.crs
    )


def _corner_cut(shape: Any) -> Any:
    """The polygon without the first of its corners that can go without touching a neighbour."""
    ring = shapely.get_coordinates(shape)[:-1]
    before, after = np.roll(ring, 1, axis=0) - ring, np.roll(ring, -1, axis=0) - ring
    bend = after[:, 0] * before[:, 1] - after[:, 1] * before[:, 0]
    corner = int(np.argmax(bend > 0.5 * bend.max()))
    cut = np.array(
        [ring[corner] + _CORNER * before[corner], ring[corner] + _CORNER * after[corner]]
    )
    return shapely.Polygon(np.concatenate([ring[:corner], cut, ring[corner + 1 :]]))


def _halves(
    frame: gpd.GeoDataFrame, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Parcels cut in two between two of their points, each parent twice, and the halves."""
    parents: list[int] = []
    halves: list[Any] = []
    for row in rows.tolist():
        found = _cut_in_two(frame.geometry.iloc[row])
        parents += [row] * len(found)
        halves += found
    return np.array(parents, np.int64), np.array(halves, dtype=object)


def _cut_in_two(shape: Any) -> list[Any]:
    """The most even halves of those that a line from the last point of the ring makes."""
    ring = np.roll(shapely.get_coordinates(shape)[:-1], 1, axis=0)
    cuts = range(2, len(ring) - 1)
    pairs = [(shapely.Polygon(ring[: k + 1]), shapely.Polygon([*ring[k:], ring[0]])) for k in cuts]
    pairs.sort(key=lambda pair: abs(pair[0].area - pair[1].area))
    for k, pair in enumerate(pairs):
        whole = pair[0].area + pair[1].area
        if all(p.is_valid for p in pair) and np.isclose(whole, shape.area, rtol=1e-9, atol=0):
            return list(pairs[k])
    return []


def _successors(
    frame: gpd.GeoDataFrame, parents: NDArray[np.int64], shapes: Any, codes: list[str]
) -> gpd.GeoDataFrame:
    new = frame.drop(columns="geometry").iloc[parents].reset_index(drop=True)
    new["predecessor_codes"] = pd.Series(codes, dtype=object)
    new["area_m2"] = _areas(np.asarray(shapes, dtype=object), frame.crs)
    return gpd.GeoDataFrame(new, geometry=np.asarray(shapes, dtype=object), crs=frame.crs)


def _numbered(new: gpd.GeoDataFrame, frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Give parcels the numbers after the largest of their sub-district, so that none is reused."""
    codes = frame["parcel_code"]
    largest = codes.str[-5:].astype(int).groupby(codes.str[:_PREFIX]).max()
    prefix = new["parcel_code"].str[:_PREFIX]
    serial = largest.reindex(prefix).to_numpy() + new.groupby(prefix).cumcount().to_numpy() + 1
    stem, unit = new["parcel_code"].str[:-5], new["real_estate_unit_no"].str[19:]
    new["parcel_code"] = [f"{s}{n:05}" for s, n in zip(stem, serial.astype(int), strict=True)]
    new["real_estate_unit_no"] = new["parcel_code"] + unit
    return new


def _codes(frame: gpd.GeoDataFrame, rows: NDArray[np.int64]) -> list[str]:
    codes: list[str] = frame["parcel_code"].iloc[rows].tolist()
    return codes


def _areas(shapes: NDArray[np.object_], crs: Any) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = gpd.GeoSeries(shapes, crs=crs).to_crs(METRIC).area.round(2)
    return np.asarray(areas)
