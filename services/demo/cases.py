"""Synthetic hotline and city-management cases for the demo city.

No public source of real cases may be redistributed, so these are made up, and say so: every case
number begins with ``SYN-``, every description with 合成 (synthetic), the reporters are no people
and their telephone numbers are of the range kept for fiction (555-01xx). What is real is the
geography: the cases lie in the city's address blocks.

The same seed gives the same cases. Only uniform draws, comparisons and the four operations are
used, so that the result does not hang on a mathematical library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

Array: TypeAlias = npt.NDArray[Any]

TRANSITIONS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "reported": frozenset({"accepted", "rejected", "cancelled"}),
        "accepted": frozenset({"registered", "not_registered", "cancelled"}),
        "registered": frozenset({"dispatched", "cancelled"}),
        "dispatched": frozenset({"disposing", "returned", "cancelled"}),
        "returned": frozenset({"dispatched"}),
        "disposing": frozenset({"disposed"}),
        "disposed": frozenset({"checking"}),
        "checking": frozenset({"closed", "rework"}),
        "rework": frozenset({"disposing"}),
        "closed": frozenset(),
        "rejected": frozenset(),
        "not_registered": frozenset(),
        "cancelled": frozenset(),
    }
)
"""Which state may follow which; a state that nothing follows ends the case."""

URGENCY_FACTOR: Final[Mapping[str, float]] = MappingProxyType(
    {"normal": 1.0, "urgent": 0.5, "critical": 0.25}
)
"""What the time limit of a class is multiplied by."""


class CaseClass(NamedTuple):
    """A sub-class of cases: how often, when, how fast, by whom, and in which words."""

    sub_class: str
    weight: float
    season: str
    limit_hours: int
    urgent: float
    critical: float
    organisation: str
    zh: str
    en: str

    @property
    def object_kind(self) -> str:
        """Component (C, a thing) or event (E, an occurrence)."""
        return "component" if self.sub_class.startswith("C") else "event"

    @property
    def main_class(self) -> str:
        """The class above, which the code begins with."""
        return self.sub_class.split("-")[0]


# fmt: off
_TABLE: Final = (
    ("C01-01", 2, "flat", 24, 0.4, 0.4, "DPW", "井盖缺失", "Manhole cover missing"),
    ("C01-02", 7, "winter", 48, 0.1, 0.0, "ELEC", "路灯不亮", "Street light out"),
    ("C01-03", 3, "winter", 24, 0.5, 0.2, "WATER", "供水管漏水", "Water main leaking"),
    ("C01-04", 1, "flat", 72, 0.2, 0.0, "WATER", "消火栓损坏", "Hydrant damaged"),
    ("C02-01", 4, "flat", 24, 0.4, 0.2, "TRAFFIC", "信号灯故障", "Traffic signal fault"),
    ("C02-02", 4, "flat", 120, 0.1, 0.0, "TRAFFIC", "交通标志损坏", "Traffic sign damaged"),
    ("C03-01", 4, "summer", 48, 0.1, 0.0, "DPW", "垃圾箱破损", "Litter bin broken"),
    ("C04-01", 5, "summer", 120, 0.1, 0.0, "PARKS", "绿化破损", "Greenery damaged"),
    ("C04-02", 2, "autumn", 24, 0.4, 0.2, "PARKS", "树木倒伏", "Tree fallen"),
    ("E01-01", 15, "summer", 24, 0.1, 0.0, "DPW", "暴露垃圾", "Rubbish left in the open"),
    ("E01-02", 9, "autumn", 24, 0.1, 0.0, "DPW", "道路不洁", "Road not clean"),
    ("E01-03", 6, "snow", 24, 0.3, 0.1, "DPW", "积雪未清", "Snow not cleared"),
    ("E02-01", 3, "flat", 72, 0.0, 0.0, "INSPECT", "非法小广告", "Illegal posters"),
    ("E03-01", 5, "summer", 48, 0.2, 0.0, "INSPECT", "施工噪声", "Building site noise"),
    ("E03-02", 8, "spring", 120, 0.2, 0.05, "DPW", "道路破损", "Road surface broken"),
    ("E04-01", 12, "flat", 24, 0.1, 0.0, "TRAFFIC", "机动车乱停放", "Illegal parking"),
    ("E04-02", 3, "summer", 72, 0.0, 0.0, "POLICE", "街头噪声扰民", "Street noise"),
    ("E05-01", 2, "summer", 8, 0.4, 0.4, "DPW", "路面积水", "Street flooded"),
    ("E05-02", 1, "winter", 8, 0.3, 0.6, "FIRE", "疑似燃气泄漏", "Smell of gas"),
    ("E06-01", 9, "flat", 168, 0.0, 0.0, "CITY", "政策咨询", "Question about a rule"),
)
# fmt: on
CLASSES: Final = tuple(CaseClass(*row) for row in _TABLE)
"""The classes in order of code. Limits are plain hours: the demo knows no working days."""

_DETAILS: Final = (
    ("请尽快处理", "Please see to it soon"),
    ("已存在数日", "It has been so for some days"),
    ("附近居民反映", "Neighbours mentioned it"),
    ("巡查时发现", "Noticed on the round"),
)
_MONTHS: Final[Mapping[str, Sequence[float]]] = MappingProxyType(
    {
        "flat": (1.0,) * 12,
        "winter": (1.7, 1.5, 1.2, 0.9, 0.7, 0.6, 0.6, 0.7, 0.8, 1.0, 1.3, 1.6),
        "snow": (4.0, 4.0, 2.0, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.4, 2.5),
        "spring": (1.0, 1.3, 2.0, 2.0, 1.4, 0.8, 0.6, 0.6, 0.6, 0.6, 0.6, 0.7),
        "summer": (0.5, 0.5, 0.7, 0.9, 1.2, 1.6, 1.7, 1.6, 1.2, 0.9, 0.7, 0.5),
        "autumn": (0.6, 0.6, 0.8, 0.8, 0.8, 0.8, 0.9, 1.0, 1.3, 2.0, 1.8, 0.8),
    }
)
_CITY_MONTHS: Final = (1.05, 1.0, 1.05, 0.95, 1.0, 1.05, 1.1, 1.1, 1.05, 1.0, 0.9, 0.85)
_WEEKDAYS: Final = (1.25, 1.15, 1.1, 1.1, 1.05, 0.7, 0.6)
_HOURS: Final = (
    0.3, 0.2, 0.2, 0.2, 0.3, 0.6, 1.4, 3.0, 5.5, 7.0, 7.0, 6.5,
    5.5, 6.0, 6.5, 6.0, 5.5, 5.0, 3.5, 2.5, 2.0, 1.5, 1.0, 0.6,
)  # fmt: skip

_STATES: Final = tuple(TRANSITIONS)
_START: Final = ("reported", "accepted", "registered", "dispatched")
_WORK: Final = ("disposing", "disposed", "checking")
# Ways through the machine: weight for a question, weight for anything else, the states.
_PATHS: Final[tuple[tuple[float, float, tuple[str, ...]], ...]] = (
    (0.08, 0.40, (*_START, *_WORK, "closed")),
    (0.00, 0.05, (*_START, "returned", "dispatched", *_WORK, "closed")),
    (0.00, 0.05, (*_START, *_WORK, "rework", *_WORK, "closed")),
    (0.00, 0.01, (*_START, *_WORK, "rework", *_WORK, "rework", *_WORK, "closed")),
    (0.00, 0.01, (*_START, "returned", "dispatched", *_WORK, "rework", *_WORK, "closed")),
    (0.05, 0.15, ("reported", "rejected")),
    (0.85, 0.25, ("reported", "accepted", "not_registered")),
    (0.02, 0.02, ("reported", "cancelled")),
    (0.00, 0.03, ("reported", "accepted", "cancelled")),
    (0.00, 0.02, ("reported", "accepted", "registered", "cancelled")),
    (0.00, 0.01, (*_START, "cancelled")),
)
# How long a case takes to reach a state: a share of its time limit, and hours besides.
_PACE: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "reported": (0.0, 0.0),
        "accepted": (0.02, 0.02),
        "registered": (0.03, 0.02),
        "dispatched": (0.03, 0.02),
        "returned": (0.08, 0.0),
        "disposing": (0.10, 0.0),
        "disposed": (0.42, 0.0),
        "checking": (0.0, 5.0),
        "rework": (0.0, 4.0),
        "closed": (0.0, 16.0),
        "rejected": (0.0, 3.0),
        "not_registered": (0.0, 8.0),
        "cancelled": (0.05, 2.0),
    }
)
_SOURCES: Final = ("12345", "patrol", "video", "sensor", "media", "superior")
_SOURCE_WEIGHTS: Final[Mapping[str, Sequence[float]]] = MappingProxyType(
    {
        "component": (0.45, 0.35, 0.05, 0.10, 0.03, 0.02),
        "event": (0.58, 0.24, 0.10, 0.01, 0.05, 0.02),
    }
)
_DEMANDS: Final = ("complaint", "report", "help", "suggestion", "consult")
_DEMAND_WEIGHTS: Final = (0.45, 0.33, 0.15, 0.07)
_ORGANISATIONS: Final = tuple(sorted({c.organisation for c in CLASSES}))
_GIVEN: Final = ("Alex", "Blake", "Casey", "Devon", "Ellis", "Finley", "Harper", "Jordan", "Quinn")
_FAMILY: Final = ("Example", "Sample", "Specimen", "Fictive", "Testcase", "样例", "示范", "虚构")


def make_cases(
    blocks: gpd.GeoDataFrame,
    count: int = 10_000,
    seed: int = 12345,
    *,
    boundary: gpd.GeoDataFrame | None = None,
    edges: gpd.GeoDataFrame | None = None,
    outside: int = 40,
    on_edges: int = 12,
    start: date = date(2020, 1, 1),
    end: date = date(2025, 1, 1),
    time_zone: str = "America/New_York",
    block_id: str = "UNQ_ID2",
) -> gpd.GeoDataFrame:
    """Make cases that were never reported, in blocks that exist.

    Parameters
    ----------
    blocks : GeoDataFrame
        Polygons in which the cases lie; a larger block has more, some have many times as many as
        others.
    count : int
        How many cases (not rows).
    seed : int
        The same seed and blocks give the same cases.
    boundary : GeoDataFrame, optional
        The city, in the reference system of the blocks; with it, some cases lie in the city and
        outside every block.
    edges : GeoDataFrame, optional
        A coverage such as neighbourhoods; with it, some cases lie exactly on corners that two of
        its polygons share. Without it they lie on shared corners of the blocks.
    outside, on_edges : int
        How many such cases; at most one case in fifty and one in a hundred.
    start, end : date
        The first day on which cases are reported, and the day after the last; what would have
        happened later has not happened yet, so that such cases are still open.
    time_zone : str
        The city's clock.
    block_id : str
        The column that names a block.

    Returns
    -------
    GeoDataFrame
        One row for each case and development, by case number and time, in the reference system of
        the blocks.

    Examples
    --------
    >>> from shapely import box
    >>> squares = gpd.GeoDataFrame(
    ...     {"UNQ_ID2": ["A", "B"]}, geometry=[box(0, 0, 1, 1), box(1, 0, 2, 1)], crs="OGC:CRS84"
    ... )
    >>> cases = make_cases(squares, count=100, seed=1)
    >>> cases["case_no"].nunique(), cases["case_no"].iloc[0]
    (100, 'SYN-2020-000001')
    >>> cases["state"].iloc[0], bool(cases.within(squares.union_all().buffer(1e-9)).all())
    ('reported', True)
    >>> cases.equals(make_cases(squares, count=100, seed=1))
    True
    """
    if count < 1 or blocks.empty:
        raise ValueError("make_cases needs at least one block, and makes at least one case")
    rng = np.random.default_rng(seed)
    reported, local_day = _report_times(rng, count, start, end, time_zone)
    month = local_day.astype("datetime64[M]").astype(np.int64) % 12
    kinds = _classes(rng, month)
    shapes = np.asarray(blocks.geometry.values, dtype=object)
    names = np.asarray(blocks.get(block_id, blocks.index), dtype=object)
    xy, block = _places(rng, shapes, count)

    # Some cases are reported again a little later: same place, same class.
    again = np.flatnonzero((rng.random(count) < 0.04) & (np.arange(count) >= 30))
    earlier = again - 1 - (rng.random(again.size) * 30).astype(np.int64)
    kinds[again], xy[again], block[again] = kinds[earlier], xy[earlier], block[earlier]
    _odd_places(
        rng,
        xy,
        block,
        shapes,
        None if boundary is None else boundary.geometry.union_all(),
        shapes if edges is None else np.asarray(edges.geometry.values, dtype=object),
        min(outside, count // 50),
        min(on_edges, count // 100),
    )

    urgency = _urgency(rng, kinds)
    limit = (
        np.array([c.limit_hours * 3600 for c in CLASSES])[kinds]
        * np.array(list(URGENCY_FACTOR.values()))[urgency]
    ).astype(np.int64)
    case, step, state = _paths(rng, kinds)
    changed = _change_times(rng, case, step, state, reported, limit)

    # What lies after the end has not happened; a few cases have been left lying besides.
    finish = pd.Timestamp(end).tz_localize(time_zone).tz_convert("UTC")
    stuck = np.where(rng.random(count) < 0.015, 1 + (rng.random(count) * 5).astype(np.int64), 99)
    keep = ((changed < int(finish.timestamp())) & (step < stuck[case])) | (step == 0)

    per_case = _case_columns(rng, kinds, urgency, local_day, names, block)
    columns = {name: values[case][keep] for name, values in per_case.items()}
    columns |= {
        name: values[keep]
        for name, values in _row_columns(
            rng, case, step, state, changed, (reported + limit)[case], kinds, per_case["source"]
        ).items()
    }
    for name, seconds in (
        ("reported_at", reported[case][keep]),
        ("due_at", (reported + limit)[case][keep]),
        ("changed_at", changed[keep]),
    ):
        columns[name] = _instants(seconds, time_zone)
    points = shapely.points(xy)[case][keep]
    cases = gpd.GeoDataFrame(
        {name: columns[name] for name in _ORDER}, geometry=points, crs=blocks.crs
    )
    cases["satisfaction"] = cases["satisfaction"].astype("Int64")
    return cases


_ORDER: Final = (
    "case_no", "source", "demand_type", "object_kind", "main_class", "sub_class", "description",
    "address_block", "urgency", "state", "responsible_org", "reported_at", "due_at", "changed_at",
    "rework_count", "satisfaction", "reporter_name", "reporter_phone",
)  # fmt: skip


def _draw(rng: np.random.Generator, weights: Sequence[float] | Array, count: int) -> Array:
    """Return `count` indices, each as often as its weight says."""
    heaped = np.cumsum(np.asarray(weights, dtype=float))
    drawn: Array = np.searchsorted(heaped, rng.random(count) * heaped[-1], side="right")
    return drawn


def _report_times(
    rng: np.random.Generator, count: int, start: date, end: date, time_zone: str
) -> tuple[Array, Array]:
    """Return when cases are reported, in order: seconds since 1970 in UTC, and the local day."""
    days = np.arange(np.datetime64(start, "D"), np.datetime64(end, "D"))
    if not days.size:
        raise ValueError(f"no day lies from {start} to before {end}; give an end after the start")
    since = days.astype(np.int64)
    months = days.astype("datetime64[M]").astype(np.int64)
    weights = np.array(_WEEKDAYS)[(since + 3) % 7] * np.array(_CITY_MONTHS)[months % 12]
    weights = weights * (1.0 + 0.06 * ((months - months[0]) // 12))
    # A spring in which the city stayed at home.
    weights = np.where((months >= 602) & (months <= 605), weights * 0.6, weights)
    day = since[_draw(rng, weights, count)]
    second = _draw(rng, _HOURS, count) * 3600 + (rng.random(count) * 3600).astype(np.int64)
    local = np.sort(day * 86_400 + second)
    clock = pd.DatetimeIndex(local.astype("datetime64[s]")).tz_localize(
        time_zone, ambiguous=np.ones(count, dtype=bool), nonexistent="shift_forward"
    )
    utc = np.asarray(clock.tz_convert("UTC").tz_localize(None), dtype="datetime64[s]")
    return np.sort(utc.astype(np.int64)), local.astype("datetime64[s]").astype("datetime64[D]")


def _classes(rng: np.random.Generator, month: Array) -> Array:
    """Return a class for each case, by the season."""
    table = np.array([[c.weight * _MONTHS[c.season][m] for c in CLASSES] for m in range(12)])
    heaped = np.cumsum(table, axis=1)
    drawn = rng.random(month.size) * heaped[month, -1]
    kinds: Array = (heaped[month] <= drawn[:, None]).sum(axis=1)
    return kinds


def _places(rng: np.random.Generator, shapes: Array, count: int) -> tuple[Array, Array]:
    """Return points inside blocks, and the block of each."""
    area = shapely.area(shapes)
    draw = rng.random(shapes.size)
    # Large yards and ponds have not as many cases as their size; some blocks are hot spots.
    weights = np.minimum(area, 3 * np.median(area)) * (0.3 + 4 * draw * draw * draw * draw)
    block = _draw(rng, weights, count)
    shapely.prepare(shapes)
    bounds = shapely.bounds(shapes)[block]
    xy = shapely.get_coordinates(shapely.point_on_surface(shapes))[block]
    todo = np.arange(count)
    for _ in range(200):
        low, high = bounds[todo, :2], bounds[todo, 2:]
        tried = low + rng.random((todo.size, 2)) * (high - low)
        hit = shapely.contains_xy(shapes[block[todo]], tried[:, 0], tried[:, 1])
        xy[todo[hit]] = tried[hit]
        todo = todo[~hit]
        if not todo.size:
            break
    return xy, block


def _odd_places(
    rng: np.random.Generator,
    xy: Array,
    block: Array,
    shapes: Array,
    city: Any,
    coverage: Array,
    outside: int,
    on_edges: int,
) -> None:
    """Move some cases, in place, out of the blocks and onto shared corners of the coverage."""
    moved = _draw_distinct(rng, len(xy), outside + on_edges)
    gaps = None if city is None else shapely.difference(city, shapely.union_all(shapes))
    if gaps is not None and not gaps.is_empty:
        shapely.prepare(gaps)
        low, high = np.array(gaps.bounds[:2]), np.array(gaps.bounds[2:])
        found = np.empty((0, 2))
        for _ in range(200):
            tried = low + rng.random((2000, 2)) * (high - low)
            inside = shapely.contains_xy(gaps, tried[:, 0], tried[:, 1])
            found = np.concatenate([found, tried[inside]])[:outside]
            if len(found) == outside:
                break
        xy[moved[: len(found)]] = found
        block[moved[: len(found)]] = -1
    corners = _shared_corners(coverage)
    if not len(corners):
        return
    onto = moved[outside:]
    xy[onto] = corners[_draw(rng, np.ones(len(corners)), onto.size)]
    block[onto] = -1
    index, hit = shapely.STRtree(shapes).query(shapely.points(xy[onto]), predicate="intersects")
    # Where several blocks meet, the first of them.
    order = np.lexsort((hit, index))[::-1]
    block[onto[index[order]]] = hit[order]


def _draw_distinct(rng: np.random.Generator, size: int, count: int) -> Array:
    return np.argsort(rng.random(size), kind="stable")[:count]


def _shared_corners(shapes: Array) -> Array:
    """Return the vertices that two or more of the polygons have."""
    xy, owner = shapely.get_coordinates(shapes, return_index=True)
    pairs = pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "owner": owner}).drop_duplicates()
    pairs = pairs.sort_values(["x", "y"], kind="stable")
    twice = pairs.duplicated(["x", "y"])
    corners: Array = pairs.loc[twice, ["x", "y"]].drop_duplicates().to_numpy()
    return corners


def _urgency(rng: np.random.Generator, kinds: Array) -> Array:
    drawn = rng.random(kinds.size)
    critical = np.array([c.critical for c in CLASSES])[kinds]
    urgent = np.array([c.urgent for c in CLASSES])[kinds]
    return np.where(drawn < critical, 2, np.where(drawn < critical + urgent, 1, 0))


def _paths(rng: np.random.Generator, kinds: Array) -> tuple[Array, Array, Array]:
    """Return case, step and state of every row."""
    question = np.array([c.sub_class == "E06-01" for c in CLASSES])[kinds]
    path = np.where(
        question,
        _draw(rng, [p[0] for p in _PATHS], kinds.size),
        _draw(rng, [p[1] for p in _PATHS], kinds.size),
    )
    lengths = np.array([len(p[2]) for p in _PATHS])
    offsets = np.cumsum(lengths) - lengths
    flat = np.array([_STATES.index(s) for p in _PATHS for s in p[2]])
    length = lengths[path]
    case = np.repeat(np.arange(kinds.size), length)
    step = np.arange(case.size) - (np.cumsum(length) - length)[case]
    return case, step, flat[offsets[path][case] + step]


def _change_times(
    rng: np.random.Generator, case: Array, step: Array, state: Array, reported: Array, limit: Array
) -> Array:
    """Return when each state began, strictly later than the one before it."""
    share = np.array([_PACE[s][0] for s in _STATES])[state]
    hours = np.array([_PACE[s][1] for s in _STATES])[state]
    draw = rng.random(case.size)
    cube = draw * draw * draw
    # About 1 on average, seldom more than 3.
    spread = 0.25 + 0.9 * draw + 2.1 * cube * cube
    wait = ((share * limit[case] + hours * 3600) * spread).astype(np.int64)
    wait = np.where(step == 0, 0, np.maximum(wait, 60))
    total = np.cumsum(wait)
    first = np.flatnonzero(step == 0)
    changed: Array = reported[case] + total - total[first][case]
    return changed


def _case_columns(
    rng: np.random.Generator,
    kinds: Array,
    urgency: Array,
    local_day: Array,
    names: Array,
    block: Array,
) -> dict[str, Array]:
    """Return the columns that stay the same over the life of a case."""
    count = kinds.size
    year = local_day.astype("datetime64[Y]").astype(np.int64) + 1970
    number = np.arange(count) - np.searchsorted(year, year) + 1
    component = np.array([c.object_kind == "component" for c in CLASSES])[kinds]
    source = np.where(
        component,
        _draw(rng, _SOURCE_WEIGHTS["component"], count),
        _draw(rng, _SOURCE_WEIGHTS["event"], count),
    )
    question = np.array([c.sub_class == "E06-01" for c in CLASSES])[kinds]
    # Nobody asks a question of a camera.
    source = np.where(question, 0, source)
    sources = np.array(_SOURCES, dtype=object)[source]
    hotline = sources == "12345"
    demand = np.array(_DEMANDS, dtype=object)[
        np.where(question, _DEMANDS.index("consult"), _draw(rng, _DEMAND_WEIGHTS, count))
    ]
    texts = np.array(
        [f"合成 synthetic · {c.zh}，{d[0]} / {c.en}. {d[1]}." for c in CLASSES for d in _DETAILS],
        dtype=object,
    )
    # The round is for patrols; the others choose among the other details.
    detail = np.where(sources == "patrol", 3, _draw(rng, np.ones(3), count))
    people = np.array([f"{given} {family}" for given in _GIVEN for family in _FAMILY], dtype=object)
    phones = np.array([f"617-555-{n:04d}" for n in range(100, 200)], dtype=object)
    person = _draw(rng, np.ones(people.size), count)
    phone = _draw(rng, np.ones(phones.size), count)
    return {
        "case_no": np.array(
            [f"SYN-{y}-{n:06d}" for y, n in zip(year.tolist(), number.tolist(), strict=True)],
            dtype=object,
        ),
        "source": sources,
        "demand_type": _only(hotline | (sources == "media"), demand),
        "object_kind": np.array([c.object_kind for c in CLASSES], dtype=object)[kinds],
        "main_class": np.array([c.main_class for c in CLASSES], dtype=object)[kinds],
        "sub_class": np.array([c.sub_class for c in CLASSES], dtype=object)[kinds],
        "description": texts[kinds * len(_DETAILS) + detail],
        "address_block": _only(block >= 0, names[block]),
        "urgency": np.array(tuple(URGENCY_FACTOR), dtype=object)[urgency],
        "reporter_name": _only(hotline, people[person]),
        "reporter_phone": _only(hotline, phones[phone]),
    }


def _row_columns(
    rng: np.random.Generator,
    case: Array,
    step: Array,
    state: Array,
    changed: Array,
    due: Array,
    kinds: Array,
    sources: Array,
) -> dict[str, Array]:
    """Return the columns that change as a case develops."""
    first = np.flatnonzero(step == 0)

    def so_far(name: str) -> Array:
        here = (state == _STATES.index(name)).astype(np.int64)
        total = np.cumsum(here)
        within: Array = total - (total - here)[first][case]
        return within

    reworks, dispatches = so_far("rework"), so_far("dispatched")
    returned = np.zeros(kinds.size, dtype=bool)
    returned[case[state == _STATES.index("returned")]] = True
    right = np.array([_ORGANISATIONS.index(c.organisation) for c in CLASSES])[kinds]
    # A case that is returned was sent to the wrong organisation first.
    wrong = (right + 1 + (rng.random(kinds.size) * (len(_ORGANISATIONS) - 1)).astype(np.int64)) % (
        len(_ORGANISATIONS)
    )
    sent = np.where(returned[case] & (dispatches == 1), wrong[case], right[case])
    late = (reworks > 0) | (changed > due + 86_400)
    score = _draw(rng, (0.04, 0.06, 0.15, 0.35, 0.40), case.size) + 1
    asked = (state == _STATES.index("closed")) & (sources == "12345")[case]
    answered = asked & (rng.random(case.size) < 0.7)
    return {
        "state": np.array(_STATES, dtype=object)[state],
        "responsible_org": _only(dispatches > 0, np.array(_ORGANISATIONS, dtype=object)[sent]),
        "rework_count": reworks,
        "satisfaction": np.where(answered, np.maximum(score - late, 1), np.nan),
    }


def _only(where: Array, values: Array) -> Array:
    """Return the values where they hold, None elsewhere."""
    found = np.full(values.shape, None, dtype=object)
    found[where] = values[where]
    return found


def _instants(seconds: Array, time_zone: str) -> pd.DatetimeIndex:
    utc = pd.DatetimeIndex(seconds.astype("datetime64[s]").astype("datetime64[us]"))
    return utc.tz_localize("UTC").tz_convert(time_zone)
