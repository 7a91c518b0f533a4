"""What a tile says of things of each size: drawn, named, counted; and no gap between neighbours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely

from layers.publish import Reload
from layers.readers import Reader
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
from layers.store import Snapshot, Store
from layers.writers import Writer
from tiles import vector
from tiles.content import COUNTED_BELOW, GOAL_BYTES, content_of
from tiles.grids import Place, place
from tiles.vector import draw, tile

READER, WRITER = Reader.everything(), Writer("test")
START = datetime(2020, 1, 1, tzinfo=UTC)
LON, LAT = 114.3, 30.6
FIELDS: list[dict[str, Any]] = [
    {"id": "no", "role": "key"},
    {"id": "use", "codes": {"a": "A"}},
    {"id": "name", "role": "label"},
    {"id": "note"},
]
TileAt = Callable[[float, float, int], Place]
Decode = Callable[[bytes, Place], gpd.GeoDataFrame]


def publish(store: Store, shapes: list[Any], *, crs: str = "OGC:CRS84", **more: Any) -> Snapshot:
    """A layer of these shapes, and its snapshot of now."""
    name = shapely.get_type_id(shapes[0])
    geometry = {0: "Point", 1: "LineString", 3: "Polygon"}[int(name)]
    document = {"title": "t", "geometry": geometry, "crs": crs, "fields": FIELDS} | more
    rows = [
        {"no": str(n), "use": "a", "name": f"n{n}", "note": f"x{n}"} for n in range(len(shapes))
    ]
    frame = gpd.GeoDataFrame(rows, geometry=shapes, crs=crs)
    reload = Reload(FrameSource(frame), schema=parse_schema(document), valid_from=START.date())
    store.commit({"things": reload}, WRITER, "publish")
    return store.layer("things", READER).at()


def squares(unit: float, sides: list[float], where: Place) -> list[Any]:
    """Squares of so many units a side, apart from each other in a tile, in degrees."""
    west, _, _, north = where.bounds
    made = []
    for n, side in enumerate(sides):
        x, y = west + (300.2 + 600 * n) * unit, north - 1000.2 * unit
        made.append(shapely.box(x, y - side * unit, x + side * unit, y))
    return list(gpd.GeoSeries(made, crs=3857).to_crs(4326))


def test_size_decides_what_is_said(store: Store, tile_at: TileAt, decode: Decode) -> None:
    where = tile_at(LON, LAT, 13)
    sides = [1.0, 2.9, 3.1, 23.5, 24.5, 95.5, 97.0]
    found = publish(store, squares(where.unit, sides, where))
    frame = decode(tile(found, where), where)
    assert frame["count"].dropna().tolist() == [1, 1]
    drawn = frame[frame["count"].isna()].assign(side=lambda f: np.sqrt(f.area) / where.unit)
    drawn = drawn.sort_values("side")
    assert len(drawn) == 5
    assert set(drawn["use"]) == {"a"}
    assert drawn["name"].tolist()[:2] == [None, None] or drawn["name"].isna().tolist()[:2] == [
        True,
        True,
    ]
    assert drawn["name"].tolist()[2:] == ["n4", "n5", "n6"]
    assert drawn["id"].tolist()[2:] == ["4", "5", "6"]
    assert drawn["note"].isna().tolist() == [True, True, True, True, False]
    assert drawn["valid_from"].tolist()[-1] == "2019-12-31T16:00:00.000000Z"


def test_names_that_are_asked_for_are_said_of_everything(
    store: Store, tile_at: TileAt, decode: Decode
) -> None:
    where = tile_at(LON, LAT, 13)
    found = publish(store, squares(where.unit, [2.0, 30.0, 200.0], where))
    frame = decode(tile(found, where, ("note",)), where)
    assert sorted(frame["note"]) == ["x0", "x1", "x2"]
    assert set(frame.columns) - {"mvt_id", "geometry"} == {"note"}


def test_counts_lie_in_one_tile_each_and_add_up(
    store: Store, tile_at: TileAt, decode: Decode
) -> None:
    """Every point is counted once, whichever tiles its cell and their margins meet."""
    dice = np.random.default_rng(7)
    lon, lat = LON + dice.random(2000) * 0.3, LAT + dice.random(2000) * 0.3
    found = publish(store, list(shapely.points(lon, lat)))
    for zoom in (5, 9, 11):
        corners = [tile_at(x, y, zoom) for x in (LON, LON + 0.3) for y in (LAT, LAT + 0.3)]
        rows = range(min(c.row for c in corners), max(c.row for c in corners) + 1)
        columns = range(min(c.column for c in corners), max(c.column for c in corners) + 1)
        total = 0
        for row in rows:
            for column in columns:
                where = place("WebMercatorQuad", zoom, row, column)
                body = tile(found, where)
                if body:
                    frame = decode(body, where)
                    inside = frame.cx[where.bounds[0] : where.bounds[2], :]
                    assert len(inside) == len(frame)
                    total += int(frame["count"].sum())
        assert total == 2000, zoom
    where = tile_at(LON + 0.15, LAT + 0.15, 12)
    frame = decode(tile(found, where), where)
    assert "count" not in frame
    assert set(frame.columns) >= {"no", "use"}
    assert "note" not in frame
    assert "note" in decode(tile(found, tile_at(lon[0], lat[0], 14)), tile_at(lon[0], lat[0], 14))


@pytest.mark.parametrize("crs", ["OGC:CRS84", "EPSG:4547"])
@pytest.mark.parametrize("zoom", [11, 13, 15])
def test_neighbours_leave_no_gap_of_more_than_a_unit(
    store: Store, tile_at: TileAt, decode: Decode, crs: str, zoom: int
) -> None:
    """A coverage of crooked cells, with corners of one amid sides of the other, stays one."""
    dice = np.random.default_rng(zoom)
    at = tile_at(LON, LAT, zoom)
    step = 40 * at.unit / 111319.5
    points = [(x, y) for x in range(12) for y in range(12)]
    shaken = np.array(points) * step + dice.normal(0, step / 5, (len(points), 2))
    cells = shapely.voronoi_polygons(shapely.MultiPoint(shaken + np.array([LON, LAT])))
    middle = shapely.box(LON + step, LAT + step, LON + 10 * step, LAT + 10 * step)
    shapes = [c for c in shapely.get_parts(cells) if middle.contains(c)]
    found = publish(store, list(gpd.GeoSeries(shapes, crs=4326).to_crs(crs)), crs=crs)
    whole = shapely.union_all(shapes)
    box = gpd.GeoSeries([whole], crs=4326).to_crs(3857)
    body = tile(found, at)
    frame = decode(body, at)
    drawn = shapely.union_all(shapely.make_valid(frame.geometry.to_numpy()))
    inside = box.iloc[0].buffer(-2 * at.unit).intersection(shapely.box(*at.bounds))
    gaps = inside.difference(drawn)
    # A gap is nowhere wider than a unit: nothing is left of it when half a unit is taken off.
    assert gaps.buffer(-0.5 * at.unit * 1.01).is_empty
    overlap = float(frame.geometry.make_valid().area.sum()) - drawn.area
    assert overlap <= 0.02 * drawn.area


def test_a_tile_over_its_goal_is_thinned_and_says_so(
    store: Store, tile_at: TileAt, decode: Decode, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tile_at(LON, LAT, 13)
    dice = np.random.default_rng(3)
    west, _, _, north = where.bounds
    x, y = (dice.random((2, 3000)) * 3900 + 100) * where.unit
    side = (3.2 + dice.random(3000) * 80) * where.unit
    made = shapely.box(west + x, north - y - side, west + x + side, north - y)
    found = publish(store, list(gpd.GeoSeries(made, crs=3857).to_crs(4326)))
    whole = draw(found, where)
    assert whole.thinned is None
    assert len(whole.body) < GOAL_BYTES
    monkeypatch.setattr(vector, "GOAL_BYTES", len(whole.body) * 9 // 10)
    thinned = draw(found, where)
    assert thinned.thinned is not None
    assert thinned.thinned > COUNTED_BELOW
    assert len(thinned.body) <= len(whole.body) * 9 // 10
    frame = decode(thinned.body, where)
    drawn = frame[frame["count"].isna()]
    sides = drawn.bounds.eval("maxx - minx") / where.unit
    assert sides.min() >= thinned.thinned - 1.5
    assert int(frame["count"].fillna(0).sum()) + len(drawn) == len(decode(whole.body, where))


def test_fields_from_a_zoom_on() -> None:
    fields = [FIELDS[0], {"id": "deep", "zoom": 15}, {"id": "early", "zoom": 3}]
    schema = parse_schema({"title": "t", "geometry": "Polygon", "fields": fields})
    low, high = (dict(content_of(schema, schema.fields, z).sizes) for z in (14, 15))
    assert "deep" not in low
    assert high["deep"] == 0.0
    assert low["early"] == 0.0


@pytest.mark.parametrize("geometry", ["pole", "world", "date line"])
def test_what_reaches_beyond_the_grid_is_cut(store: Store, decode: Decode, geometry: str) -> None:
    shape = {
        "pole": shapely.box(100, 60, 130, 90),
        "world": shapely.box(-180, -90, 180, 90),
        "date line": shapely.box(170, -20, 180, 20),
    }[geometry]
    found = publish(store, [shape])
    for where in (place("WebMercatorQuad", 0, 0, 0), place("WebMercatorQuad", 2, 0, 3)):
        body = tile(found, where)
        if geometry == "date line" and where.zoom == 2:
            continue
        frame = decode(body, where)
        assert len(frame) == 1
        assert frame.is_valid.all()
