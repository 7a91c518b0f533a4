"""Cases of the hotline and of city management, a row for each of their developments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from city.grids import BENDS, TYPES, edge_points, serials_of_blocks
from city.layout import (
    BLOCK_HEIGHT_M,
    BLOCK_WIDTH_M,
    BLOCKS,
    City,
    Integers,
    Numbers,
    bent,
    blocks_of_cells,
    cell_of_blocks,
    division_codes,
    projected,
    ragged,
)
from city.noise import chosen, uniform, whole

STATES = ("reported", "accepted", "dispatched", "disposed", "closed")
_TIMES = [f"{state}_at" for state in STATES]
PARCELS_A_CASE = 10
_CHUNK = 5_000
_DAY_S = 86_400
_START_S = 1_672_502_400  # midnight in Beijing in which 2023 began, in seconds of 1970
_DAYS = 730
_MIDNIGHT, _EDGE, _OUTSIDE = 0.02, 0.02, 0.01
_CLASSES = {
    "C01-01": "井盖缺失",
    "C01-02": "路灯不亮",
    "C04-01": "绿化破损",
    "E01-01": "暴露垃圾",
    "E01-02": "道路不洁",
    "E03-01": "施工噪声",
    "E04-01": "占道经营",
    "E04-02": "机动车乱停放",
}


def incidents(seed: int, n: int, crs: str = "EPSG:4490") -> Iterator[gpd.GeoDataFrame]:
    """Yield the cases of the city of n parcels, one for ten parcels, in 2023 and 2024.

    One row is one development; ``changed_at`` says from when on the case was so, and is later in
    each of its rows. Of the cases some are reported at midnight in Beijing to the second, some lie
    on an edge that two unit grids share (at a bend of it, so exactly), some outside all grids.
    """
    city = City(seed, n)
    cases = max(n // PARCELS_A_CASE, 1)
    for first in range(0, cases, _CHUNK):
        yield _frame(city, np.arange(first, min(first + _CHUNK, cases)), crs)


def _frame(city: City, case: Integers, crs: str) -> gpd.GeoDataFrame:
    seed = city.seed
    block = whole(seed, "case block", 0, city.n_blocks - 1, case)
    place = uniform(seed, "case place", case)
    on_edge, outside = place < _EDGE, (place >= _EDGE) & (place < _EDGE + _OUTSIDE)
    points = projected(_positions(seed, case, block, on_edge, outside), crs)
    times = _times(seed, case)
    steps = whole(seed, "steps", 1, 2 * len(STATES), case).clip(max=len(STATES))
    of = np.repeat(np.arange(len(case)), steps)
    step = ragged(np.zeros_like(steps), steps)
    cases = _cases(city, case, block, on_edge, outside, times[:, 0])
    frame = cases.iloc[of].reset_index(drop=True)
    for number, name in enumerate(_TIMES):
        known = np.where(step >= number, times[of, number], -1)
        frame[name] = _instants(known)
    frame["changed_at"] = _instants(times[of, step])
    frame["state"] = np.array(STATES, dtype=object)[step]
    answers = chosen(
        seed, "satisfaction", ("satisfied", "neutral", "dissatisfied"), (7, 2, 1), case
    )
    closed = (step == len(STATES) - 1).tolist()
    said = [a if c else None for a, c in zip(answers[of].tolist(), closed, strict=True)]
    frame["satisfaction"] = pd.Series(said, dtype=object)
    return gpd.GeoDataFrame(frame, geometry=shapely.points(points[of]), crs=crs)


def _cases(
    city: City,
    case: Integers,
    block: Integers,
    on_edge: NDArray[np.bool_],
    outside: NDArray[np.bool_],
    reported: Integers,
) -> pd.DataFrame:
    """What stays the same from the report on."""
    seed = city.seed
    grids, division = _grid_codes(city, block, on_edge, outside)
    kinds = chosen(seed, "class", list(_CLASSES), (1, 3, 2, 8, 6, 4, 6, 8), case).tolist()
    phones = whole(seed, "phone", 0, 99_999_999, case).tolist()
    return pd.DataFrame(
        {
            "case_no": [f"HC{i:09}" for i in case.tolist()],
            "source": chosen(
                seed, "source", ("12345", "patrol", "sensor", "video"), (5, 4, 1, 1), case
            ),
            "demand_type": chosen(seed, "demand", ("complaint", "help", "report"), (5, 3, 2), case),
            "object_kind": ["component" if k.startswith("C") else "event" for k in kinds],
            "main_class": [k[:3] for k in kinds],
            "sub_class": kinds,
            "description": [f"合成案件：{_CLASSES[k]}" for k in kinds],
            "address_text": [f"合成市{d[6:9]}街道{d[9:12]}社区" for d in division],
            "match_level": "block",
            "match_score": np.round(0.7 + 0.3 * uniform(seed, "score", case), 2),
            "grid_codes": grids,
            "responsible_org": [f"合成市{d[6:9]}街道办事处" for d in division],
            "urgency": chosen(seed, "urgency", ("normal", "urgent", "critical"), (90, 8, 2), case),
            "due_at": _instants(reported + 7 * _DAY_S),
            "rework_count": 0,
            "extension_count": 0,
            "reporter_name": [f"合成反映人{p:08}" for p in phones],
            "reporter_phone": [f"000-{p:08}" for p in phones],
        }
    )


def _positions(
    seed: int,
    case: Integers,
    block: Integers,
    on_edge: NDArray[np.bool_],
    outside: NDArray[np.bool_],
) -> Numbers:
    """Eastings and northings: within the block, at a bend of its western edge, or west of all."""
    column, row = cell_of_blocks(block)
    across = 0.1 + 0.8 * uniform(seed, "across", case)
    up = 0.1 + 0.8 * uniform(seed, "up", case)
    x = np.where(outside, -100 - 900 * across, (column + across) * BLOCK_WIDTH_M)
    points = bent(x, (row + up) * BLOCK_HEIGHT_M)
    bends = edge_points(seed, column[on_edge], row[on_edge], True)
    bend = whole(seed, "bend", 0, BENDS - 1, case[on_edge])
    points[on_edge] = bends[np.arange(len(bends)), bend]
    return points


def _grid_codes(
    city: City, block: Integers, on_edge: NDArray[np.bool_], outside: NDArray[np.bool_]
) -> tuple[list[str], list[str]]:
    """The grid of each type, the lowest code where there are two; and the community's code."""
    here, division = _codes(city.seed, block)
    beside, _ = _codes(city.seed, _western(city, block))
    texts = []
    for i, (edge, out) in enumerate(zip(on_edge.tolist(), outside.tolist(), strict=True)):
        parts = []
        for grid_type in TYPES:
            code = here[grid_type][i]
            if edge:
                code = min(code, beside[grid_type][i])
            parts.append(f"{grid_type}={'unassigned' if out else code}")
        texts.append(";".join(parts))
    return texts, division


def _codes(seed: int, block: Integers) -> tuple[dict[str, list[str]], list[str]]:
    division = division_codes(block // BLOCKS)
    codes = {
        grid_type: [f"{d}{s:03}" for d, s in zip(division, serials.tolist(), strict=True)]
        for grid_type, serials in serials_of_blocks(seed, block).items()
    }
    return codes, division


def _western(city: City, block: Integers) -> Integers:
    """The block in the west, or the block itself where the city ends."""
    column, row = cell_of_blocks(block)
    found = blocks_of_cells(column - 1, row)
    return np.where(city.has_cell(column - 1, row), found, block)


def _times(seed: int, case: Integers) -> Integers:
    """When each state was reached, in seconds of 1970, shape (n, states), ever later."""
    reported = _START_S + whole(seed, "reported", 0, _DAYS * _DAY_S - 1, case)
    midnight = uniform(seed, "midnight", case) < _MIDNIGHT
    # Beijing's days begin 8 hours before those of UTC.
    reported -= np.where(midnight, (reported + 8 * 3600) % _DAY_S, 0)
    longest = (0, 2 * 3600, 8 * 3600, 5 * _DAY_S, 2 * _DAY_S)
    waits = [whole(seed, "wait", min(1, most), most, case, i) for i, most in enumerate(longest)]
    return reported[:, None] + np.cumsum(np.stack(waits, 1), axis=1)


def _instants(seconds: Integers) -> Any:
    """Instants in UTC, missing where negative."""
    values = np.where(
        seconds < 0, np.datetime64("NaT", "us"), (seconds * 1_000_000).astype("M8[us]")
    )
    return pd.Series(values).dt.tz_localize("UTC")
