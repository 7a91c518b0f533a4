"""Synthetic parcels: coded lots that share their edges, and the next edition of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from city.layout import COUNTY, CRS, LOT_X_M, LOT_Y_M, LOTS, LOTS_X, LOTS_Y, City, bent_mesh

STREETS = ["长江", "人民", "解放", "建设", "和平", "光明", "东湖", "珞珈", "青年", "友谊"]
# (type letters, share, right types, right natures)
KINDS = [
    ("GB", 0.82, ["3", "4"], ["101", "102"]),
    ("JC", 0.10, ["5", "6"], ["200", "203"]),
    ("GX", 0.02, ["3"], ["102"]),
    ("JA", 0.03, ["1"], ["200"]),
    ("GW", 0.03, ["2"], ["100"]),
]
USES = ["0701", "0702", "0501", "0505", "0601", "0604", "0801", "0803", "0805", "0810", "1004"]
WEIGHTS = [0.5, 0.1, 0.08, 0.05, 0.05, 0.02, 0.04, 0.05, 0.03, 0.04, 0.04]


def parcels(seed: int, count: int) -> Iterator[gpd.GeoDataFrame]:
    """Yield the parcels of a city, a frame a sub-district, in EPSG:4547."""
    city = City(seed, count)
    for subdistrict in range(city.subdistricts):
        frame = _subdistrict(city, subdistrict)
        yield frame.iloc[: count - subdistrict * LOTS]


def edited(
    frames: Iterable[gpd.GeoDataFrame], share: float, seed: int
) -> Iterator[gpd.GeoDataFrame]:
    """Yield the next edition: a share of the parcels changed, split or merged."""
    for number, frame in enumerate(frames):
        dice = np.random.default_rng([seed, 77, number])
        count = int(dice.binomial(len(frame), share))
        yield _edit(frame, dice, dice.choice(len(frame), count, replace=False))


def _subdistrict(city: City, number: int) -> gpd.GeoDataFrame:
    dice = city.dice(1, number)
    between = int(dice.integers(1, 5))
    lot = (LOT_X_M, LOT_Y_M)
    mesh = bent_mesh(dice, city.corner(number), lot, (LOTS_Y, LOTS_X), between, 0.03)
    shapes = mesh.cells()
    columns = _columns(dice, number)
    columns["area_m2"] = np.round(shapely.area(shapes), 2)
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=CRS)


def _columns(dice: np.random.Generator, number: int) -> pd.DataFrame:
    district, subdistrict = 1 + number // 999, 1 + number % 999
    place = f"{COUNTY}{district:03d}{subdistrict:03d}"
    kind = dice.choice(len(KINDS), LOTS, p=[share for _, share, *_ in KINDS])
    letters = np.array([k[0] for k in KINDS])[kind]
    serial = np.char.zfill(np.arange(1, LOTS + 1).astype(str), 5)
    codes = np.char.add(np.char.add(place, letters), serial)
    street = STREETS[number % len(STREETS)]
    door = np.arange(1, LOTS + 1).astype(str)
    holder = np.char.zfill((number * LOTS + np.arange(LOTS)).astype(str), 8)
    grid = codes.reshape(LOTS_Y, LOTS_X)
    road = np.full_like(grid, "道路")

    def beside(dy: int, dx: int) -> np.ndarray:
        found = road.copy()
        ys, xs = np.mgrid[0:LOTS_Y, 0:LOTS_X]
        inside = (ys + dy >= 0) & (ys + dy < LOTS_Y) & (xs + dx >= 0) & (xs + dx < LOTS_X)
        found[inside] = grid[ys[inside] + dy, xs[inside] + dx]
        return found.ravel()

    rights = [KINDS[k] for k in kind]
    roll = dice.integers(0, 100, LOTS)
    return pd.DataFrame(
        {
            "parcel_code": codes,
            "real_estate_unit_no": np.char.add(codes, "W00000000"),
            "location": np.char.add(np.char.add(f"{street}{number}路", door), "号"),
            "land_use_code": dice.choice(USES, LOTS, p=WEIGHTS),
            "right_type": [k[2][r % len(k[2])] for k, r in zip(rights, roll, strict=True)],
            "right_nature": [k[3][r % len(k[3])] for k, r in zip(rights, roll, strict=True)],
            "land_grade": dice.integers(1, 9, LOTS),
            "floor_area_ratio": np.round(dice.uniform(0.5, 4.0, LOTS), 2),
            "building_density": np.round(dice.uniform(0.1, 0.6, LOTS), 2),
            "height_limit_m": dice.choice([12.0, 24.0, 50.0, 80.0], LOTS),
            "bound_e": beside(0, 1),
            "bound_s": beside(-1, 0),
            "bound_w": beside(0, -1),
            "bound_n": beside(1, 0),
            "predecessor_codes": np.full(LOTS, None, dtype=object),
            "right_holder": np.char.add("合成权利人", holder),
        }
    )


def _edit(frame: gpd.GeoDataFrame, dice: np.random.Generator, rows: np.ndarray) -> gpd.GeoDataFrame:
    frame = frame.reset_index(drop=True).copy()
    how = dice.choice(["attribute", "shape", "split", "merge"], len(rows), p=[0.6, 0.25, 0.1, 0.05])
    reused, uses = rows[how == "attribute"], dice.choice(USES, len(rows))
    frame.loc[reused, "land_use_code"] = uses[: len(reused)]
    frame.loc[reused, "floor_area_ratio"] = np.round(dice.uniform(4.1, 6.0, len(reused)), 2)
    moved = rows[how == "shape"]
    frame.loc[moved, "geometry"] = [
        shapely.set_precision(_shrunk(g), 0.001) for g in frame.geometry.iloc[moved]
    ]
    gone: set[int] = set()
    news = []
    for row in rows[how == "split"]:
        news += _split(frame.iloc[row])
        gone.add(int(row))
    for row in rows[how == "merge"]:
        other = int(row) + 1
        if {int(row), other} & gone or other % LOTS_X == 0 or other >= len(frame):
            continue
        if other in rows or how[list(rows).index(row)] != "merge":
            continue
        news.append(_merged(frame.iloc[row], frame.iloc[other]))
        gone |= {int(row), other}
    kept = frame.drop(index=sorted(gone))
    if news:
        added = gpd.GeoDataFrame(pd.DataFrame(news), geometry="geometry", crs=frame.crs)
        kept = pd.concat([kept, added[kept.columns]], ignore_index=True)
    kept["area_m2"] = np.round(shapely.area(kept.geometry.to_numpy()), 2)
    return kept


def _shrunk(shape: shapely.Geometry) -> shapely.Geometry:
    """The lot with its boundary measured anew, a few decimetres inwards."""
    x, y = shape.centroid.coords[0]
    return shapely.transform(shape, lambda p: (p - (x, y)) * 0.985 + (x, y))


def _split(lot: pd.Series) -> list[dict]:
    west, south, east, north = lot.geometry.bounds
    middle = (west + east) / 2
    halves = [shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)]
    found = []
    for number, half in enumerate(halves, 1):
        shape = shapely.set_precision(lot.geometry.intersection(half), 0.001)
        serial = 20_000 + 2 * int(lot.parcel_code[-5:]) + number
        found.append(_successor(lot, serial, shape, lot.parcel_code))
    return found


def _merged(lot: pd.Series, other: pd.Series) -> dict:
    shape = shapely.union_all([lot.geometry, other.geometry])
    codes = f"{lot.parcel_code},{other.parcel_code}"
    return _successor(lot, 40_000 + int(lot.parcel_code[-5:]), shape, codes)


def _successor(lot: pd.Series, serial: int, shape: shapely.Geometry, codes: str) -> dict:
    code = f"{lot.parcel_code[:-5]}{serial:05d}"
    named = {"parcel_code": code, "real_estate_unit_no": f"{code}W00000000"}
    return lot.to_dict() | named | {"geometry": shape, "predecessor_codes": codes}
