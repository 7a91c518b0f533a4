"""Synthetic hotline and city-management cases, each with its developments over time."""

from __future__ import annotations

from datetime import UTC, datetime

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from city.layout import CRS, City

BEGINS = datetime(2023, 12, 31, 16, tzinfo=UTC)  # midnight of 1 January 2024 in Shanghai
DAYS = 730
STATES = ["reported", "accepted", "dispatched", "disposed", "closed"]
CLASSES = [("component", "01", "0101"), ("component", "03", "0302"), ("event", "01", "0105")]
CLASSES += [("event", "04", "0402"), ("event", "02", "0201")]


def incidents(seed: int, count: int, grids: gpd.GeoDataFrame, parcels: int) -> gpd.GeoDataFrame:
    """Return cases in EPSG:4547, a row a development, the first of a case its report.

    One in a hundred lies on the edge of a grid, one in a hundred outside all grids, and one in
    fifty was reported at midnight.
    """
    city = City(seed, parcels)
    dice = city.dice(4)
    points = _places(dice, count, city, grids)
    reported = _reports(dice, count)
    last = dice.choice(len(STATES), count, p=[0.05, 0.05, 0.1, 0.1, 0.7])
    hours = np.cumsum(dice.exponential([0.01, 2, 6, 48, 24], (count, len(STATES))), axis=1)
    hours[:, 0] = 0
    case = np.repeat(np.arange(count), last + 1)
    step = np.concatenate([np.arange(n + 1) for n in last]) if count else np.array([], int)
    instants = pd.DatetimeIndex(reported[case] + pd.to_timedelta(hours[case, step], "h"))
    kind = dice.integers(0, len(CLASSES), count)[case]
    frame = pd.DataFrame(
        {
            "case_no": [f"HC2024{n:08d}" for n in case],
            "source": dice.choice(["12345", "patrol", "video"], count, p=[0.6, 0.3, 0.1])[case],
            "demand_type": dice.choice(["help", "complaint", "report"], count)[case],
            "object_kind": [CLASSES[k][0] for k in kind],
            "main_class": [CLASSES[k][1] for k in kind],
            "sub_class": [CLASSES[k][2] for k in kind],
            "description": [f"合成案件{n}" for n in case],
            "address_text": [f"合成地址{n % 997}号" for n in case],
            "responsible_org": [f"合成街道办事处{n % 16 + 1:03d}" for n in case],
            "state": [STATES[s] for s in step],
            "reported_at": reported[case],
            "since": instants.floor("s"),
            "reporter_name": [f"合成来电人{n}" for n in case],
            "reporter_phone": [f"000{n:08d}" for n in case],
        }
    )
    for n, name in enumerate(STATES[1:], 1):
        at = pd.DatetimeIndex(reported[case] + pd.to_timedelta(hours[case, n], "h")).floor("s")
        frame[f"{name}_at"] = at.where(step >= n)
    return gpd.GeoDataFrame(frame, geometry=points[case], crs=CRS)


def _reports(dice: np.random.Generator, count: int) -> pd.DatetimeIndex:
    seconds = dice.integers(0, DAYS * 86_400, count)
    midnight = np.arange(count) % 50 == 0
    seconds[midnight] -= seconds[midnight] % 86_400
    return pd.DatetimeIndex(pd.Timestamp(BEGINS) + pd.to_timedelta(np.sort(seconds), "s"))


def _places(
    dice: np.random.Generator, count: int, city: City, grids: gpd.GeoDataFrame
) -> np.ndarray:
    west, south, east, north = city.bounds
    xy = dice.uniform((west, south), (east, north), (count, 2))
    outside = np.arange(count) % 100 == 1
    xy[outside] += (0, 50_000.0)
    vertices = shapely.get_coordinates(grids.geometry.iloc[:50].to_numpy())
    on_edge = np.arange(count) % 100 == 2
    xy[on_edge] = vertices[dice.integers(0, len(vertices), int(on_edge.sum()))]
    return shapely.points(np.round(xy, 3))
