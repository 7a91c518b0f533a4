"""Crosswalks between two grid systems: how much of each grid of the one is each of the other."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatial.assignment import assign
from spatial.errors import BadValues, DuplicateIds, MissingColumn, UnknownIds
from spatial.frames import POLYGONS, check_frame, check_ids
from spatial.overlay.areas import polygons_to_grids

Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]
Objects = NDArray[np.object_]

_COLUMNS: Final = ["source", "target", "weight", "by"]
_EXACT: Final = 2.0**53  # up to it every whole number is a float


def crosswalk(
    source: gpd.GeoDataFrame,
    target: gpd.GeoDataFrame,
    *,
    key: str = "id",
    target_key: str | None = None,
    points: gpd.GeoDataFrame | None = None,
) -> pd.DataFrame:
    """Say how much of each source grid goes to each target grid, so that no total changes.

    Parameters
    ----------
    source, target : GeoDataFrame
        Polygons or multipolygons of two grid systems, in one reference system, valid.
    key, target_key : str
        Columns with their codes, unique in each; that of the target is called as the source's
        where it is not said.
    points : GeoDataFrame, optional
        What to weigh by, such as addresses: each counts in one source grid and one target grid,
        which `spatial.assignment.assign` gives it. Without them grids are weighed by area, as
        measured by `polygons_to_grids`.

    Returns
    -------
    DataFrame
        In the order of source codes as text, then of target codes as text:

        - ``source``: its code; every one is there;
        - ``target``: the code; None, last, for what no target covers;
        - ``weight``: more than 0 and at most 1. The weights of a source add up to 1, exactly by
          `math.fsum`. What overlapping targets cover is shared among all the source's targets, in
          proportion to their areas in it;
        - ``by``: ``count``, or ``area`` where there are no points in the source. A source without
          area and without points is outside every target, by area.

    Raises
    ------
    SpatialError
        If a frame is not as described; see `polygons_to_grids`, and `spatial.assignment.assign`
        for points.

    Examples
    --------
    >>> import shapely
    >>> old = gpd.GeoDataFrame({"id": ["a"]}, geometry=[shapely.box(0, 0, 4, 1)], crs=4549)
    >>> halves = [shapely.box(0, 0, 1, 1), shapely.box(1, 0, 4, 1)]
    >>> new = gpd.GeoDataFrame({"id": ["b", "c"]}, geometry=halves, crs=4549)
    >>> crosswalk(old, new)[["source", "target", "weight"]].values.tolist()
    [['a', 'b', 0.25], ['a', 'c', 0.75]]
    """
    target_key = key if target_key is None else target_key
    for frame, column in ((source, key), (target, target_key)):
        check_frame(frame, types=POLYGONS, columns=[column])
        check_ids(frame[column], repr(column))
    order = np.argsort(source[key].to_numpy(dtype=object).astype(str), kind="stable")
    source = source.iloc[order]
    walk = _by_area(source, target, key, target_key)
    if points is not None:
        counted = _by_count(source, target, key, target_key, points)
        walk = _join(counted, walk[~walk["source"].isin(counted["source"])])
    return _ordered(walk)


def carry(values: pd.Series[Any], walk: pd.DataFrame, *, whole: bool = False) -> pd.Series[Any]:
    """Carry values of source grids over to target grids; their total stays what it was.

    Parameters
    ----------
    values : Series
        Numbers that add up, such as people or metres, by source code; not rates or means. Sources
        that it leaves out give nothing.
    walk : DataFrame
        What `crosswalk` returns.
    whole : bool
        Keep whole numbers whole. Each target gets its amount rounded down, and what is left goes,
        one by one, to the targets with the largest remainders, the lowest code first. So each is
        less than 1 from its amount, and the total is kept exactly.

    Returns
    -------
    Series
        By target code in the order of text, all that the crosswalk has. What no target covers is
        under None, last, where the crosswalk has such: it is kept for the total's sake. The total
        agrees to 1e-12 of the sum of the values' magnitudes. float64; int64 where whole.

    Raises
    ------
    MissingColumn
        If it is no crosswalk.
    UnknownIds
        If the crosswalk has no such source.
    DuplicateIds
        If a source has two values.
    BadValues
        If a value is missing, not finite or no number; or not whole, or beyond 2**53 in sum, where
        whole numbers are wanted.

    Examples
    --------
    >>> walk = pd.DataFrame({"source": ["a"] * 3, "target": ["b", "c", None]})
    >>> walk = walk.assign(weight=[0.5, 0.3, 0.2], by="area")
    >>> carry(pd.Series({"a": 7}), walk, whole=True).tolist()
    [4, 2, 1]
    """
    absent = [name for name in _COLUMNS[:3] if name not in walk.columns]
    if absent:
        raise MissingColumn(f"no column {absent[0]!r}; give what crosswalk returns")
    numbers = _numbers(values, whole)
    sources = pd.Index(values.index, dtype=object)
    _check_sources(sources, walk)
    place = sources.get_indexer(pd.Index(walk["source"], dtype=object))
    weights = walk["weight"].to_numpy(dtype=np.float64)
    parts = np.where(place >= 0, np.append(numbers, 0.0)[place] * weights, 0.0)
    codes, slots = _targets(walk)
    order = np.argsort(slots, kind="stable")
    ends = np.searchsorted(slots[order], np.arange(len(codes) + 1))
    sums = [math.fsum(parts[order[a:b]]) for a, b in pairwise(ends)]
    found = np.array(sums, dtype=np.float64)
    return pd.Series(
        _make_whole(found, round(math.fsum(numbers))) if whole else found,
        index=pd.Index(codes, dtype=object, name="target"),
        name=values.name,
    )


def _by_area(
    source: gpd.GeoDataFrame, target: gpd.GeoDataFrame, key: str, target_key: str
) -> pd.DataFrame:
    table = polygons_to_grids(source.set_index(key), target, key=target_key)
    outside = table["grid"].isna().to_numpy(dtype=bool)
    owner, codes = pd.factorize(table["polygon"])
    shares = table["share"].to_numpy(dtype=np.float64)
    inside = np.where(outside, 0.0, shares)
    # what overlaps is shared out: as much as is not outside, in proportion
    covered = 1.0 - np.bincount(owner, np.where(outside, shares, 0.0), minlength=len(codes))
    among = np.bincount(owner, inside, minlength=len(codes))
    factor = np.divide(covered, among, out=np.zeros(len(codes)), where=among > 0)
    weights = np.where(outside, shares, inside * factor[owner])
    walk = pd.DataFrame(
        {"source": table["polygon"], "target": table["grid"], "weight": weights, "by": "area"}
    )
    hollow = source.loc[~source[key].isin(table["polygon"]), key]
    nowhere = {"source": hollow, "target": None, "weight": 1.0, "by": "area"}
    return _join(walk, pd.DataFrame(nowhere))


def _by_count(
    source: gpd.GeoDataFrame,
    target: gpd.GeoDataFrame,
    key: str,
    target_key: str,
    points: gpd.GeoDataFrame,
) -> pd.DataFrame:
    """Count the points of each pair of grids; sources without any are not there."""
    pairs = pd.DataFrame(
        {
            "source": assign(points, source, key=key)["grid"],
            "target": assign(points, target, key=target_key)["grid"],
        }
    )
    pairs = pairs[pairs["source"].notna()]
    counts = pairs.groupby(["source", "target"], dropna=False, sort=False).size()
    walk = counts.reset_index(name="weight")
    total = walk.groupby("source", sort=False)["weight"].transform("sum")
    return walk.assign(weight=walk["weight"] / total, by="count")


def _join(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    # of objects, as an empty column of another type would change what codes are
    both = [walk.astype(object) for walk in (first, second) if len(walk)]
    return pd.concat(both, ignore_index=True) if both else first


def _ordered(walk: pd.DataFrame) -> pd.DataFrame:
    """Put rows in the order of codes as text, with plain types, and weights that add up to 1."""
    outside = walk["target"].isna().to_numpy(dtype=bool)
    source = walk["source"].to_numpy(dtype=object)
    target: Objects = walk["target"].to_numpy(dtype=object, copy=True)
    target[outside] = None
    order = np.lexsort((target.astype(str), outside, source.astype(str)))
    owner, _ = pd.factorize(source[order].astype(str))
    weights = walk["weight"].to_numpy(dtype=np.float64)[order]
    return pd.DataFrame(
        {
            "source": pd.Series(source[order], dtype=object),
            "target": pd.Series(target[order], dtype=object),
            "weight": _normalise(weights, owner),
            "by": pd.Series(walk["by"].to_numpy(dtype=object)[order], dtype=object),
        }
    )


def _normalise(weights: Floats, owner: Int64s) -> Floats:
    """Return weights of which those of each owner add up to 1, to the last bit.

    What rounding leaves goes to the largest, whose last bit is worth at most half of that of 1.
    """
    made = weights.copy()
    ends = np.searchsorted(owner, np.arange(owner.max(initial=-1) + 2))
    for start, end in pairwise(ends):
        own = weights[start:end] / math.fsum(weights[start:end])
        own[np.argmax(own)] += math.fsum((1.0, *-own))
        made[start:end] = own
    return made


def _numbers(values: pd.Series[Any], whole: bool) -> Floats:
    if not pd.api.types.is_numeric_dtype(values.dtype) and len(values):
        raise BadValues(f"values of type {values.dtype} can't be shared out; give numbers")
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        raise BadValues(
            f"the value of {values.index[bad[0]]!r} is {values.iloc[bad[0]]}; give 0, or leave "
            "the code out, which is the same to the total"
        )
    if whole:
        broken = np.flatnonzero(numbers != np.rint(numbers))
        if broken.size:
            raise BadValues(
                f"the value of {values.index[broken[0]]!r} is {numbers[broken[0]]}, which is not "
                "whole; round it, or carry without whole=True"
            )
        if math.fsum(np.abs(numbers)) > _EXACT:
            raise BadValues("the values' sum is beyond 2**53; carry without whole=True")
    return numbers


def _check_sources(sources: pd.Index[Any], walk: pd.DataFrame) -> None:
    repeated = np.flatnonzero(sources.duplicated())
    if repeated.size:
        raise DuplicateIds(f"{sources[repeated[0]]!r} has several values; add them up first")
    unknown = np.flatnonzero(~sources.isin(walk["source"]))
    if unknown.size:
        raise UnknownIds(
            f"the crosswalk has no source {sources[unknown[0]]!r}, one of {unknown.size}; make it "
            "from the grids that the values are of"
        )


def _targets(walk: pd.DataFrame) -> tuple[Objects, Int64s]:
    """Return the target codes in the order of text, None last, and of each row which it is."""
    target = walk["target"].to_numpy(dtype=object)
    outside = walk["target"].isna().to_numpy(dtype=bool)
    texts, first, places = np.unique(
        target[~outside].astype(str), return_index=True, return_inverse=True
    )
    slots = np.full(len(target), len(texts))
    slots[~outside] = places
    codes = list(target[~outside][first]) + ([None] if outside.any() else [])
    made = np.empty(len(codes), dtype=object)
    made[:] = codes
    return made, slots


def _make_whole(amounts: Floats, total: int) -> Int64s:
    """Return whole numbers less than 1 from the amounts, of a given sum: largest remainders."""
    made = np.floor(amounts).astype(np.int64)
    left = total - int(made.sum())
    # remainders that differ by rounding only are equal
    order = np.argsort(-np.round(amounts - made, 9), kind="stable")
    made[order[:left]] += 1
    return made
