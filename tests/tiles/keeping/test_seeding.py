"""Seeding: every tile that has anything is kept as the server asks for it, once."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely

from layers.edits import Update
from layers.publish import Reload
from layers.readers import Reader
from layers.reading.features import Query
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
from layers.store import PublishedLayer, Store
from layers.writers import Writer
from services.parameters import Pins
from services.tile_questions import question_of
from tiles.grids import OFFERED, Place, grid, place, to_grid
from tiles.keeping import making
from tiles.keeping.cache import TileCache
from tiles.keeping.making import TileMaker, TileQuestion
from tiles.keeping.seeding import DRAWN, EMPTY, THERE, Plan, Stopped, lies_in, seed
from tiles.keeping.shelf import Shelf
from tiles.lattices import margin_of
from tiles.vector import draw

NAME = "WebMercatorQuad"
NOW = Pins(None, None, None)
THEN = Pins(datetime(2014, 6, 1, 4, tzinfo=UTC), None, None)
WRITER = Writer("test")


def maker_in(folder: Path) -> TileMaker:
    return TileMaker(TileCache(1 << 26, Shelf(folder, 1 << 28)))


def asking(
    layer: PublishedLayer, pins: Pins = NOW, properties: str | None = None
) -> Callable[[Place], TileQuestion]:
    return lambda where: question_of(layer, pins, where, Query(), properties).question


def publish(
    store: Store, geometry: str, shapes: list[Any], crs: str = "OGC:CRS84"
) -> PublishedLayer:
    fields = [{"id": "no", "role": "key"}, {"id": "note"}]
    schema = parse_schema(
        {"title": "t", "geometry": geometry, "time_zone": "UTC", "visibility": "public",
         "fields": fields, "crs": crs}
    )  # fmt: skip
    rows = [{"no": str(n), "note": "as it was"} for n, _ in enumerate(shapes)]
    frame = gpd.GeoDataFrame(rows, geometry=shapes, crs="OGC:CRS84").to_crs(crs)
    valid_from = datetime(2020, 1, 1, tzinfo=UTC).date()
    reload = Reload(FrameSource(frame), schema=schema, valid_from=valid_from)
    store.commit({"things": reload}, WRITER, "begin")
    return store.layer("things", Reader.anonymous())


def every_tile(lon: float, lat: float, zooms: range, around: int = 2) -> list[Place]:
    found = []
    for zoom in zooms:
        n = 2**zoom
        y = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
        row, column = int(y * n), int((lon + 180) / 360 * n)
        found += [
            place(NAME, zoom, r, c)
            for r in range(max(0, row - around), min(n, row + around + 1))
            for c in range(max(0, column - around), min(n, column + around + 1))
        ]
    return found


@pytest.mark.parametrize("pins", [NOW, THEN])
def test_what_is_seeded_is_what_the_server_asks_for(
    demo_store: Store, tmp_path: Path, pins: Pins, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = demo_store.layer("parcels", Reader.anonymous())
    counts = seed(Plan(asking(layer, pins), NAME, 0, 13), maker_in(tmp_path))
    assert (counts[THERE], counts[DRAWN] > 14) == (0, True)
    served = maker_in(tmp_path)
    monkeypatch.setattr(making, "draw", lambda *own: pytest.fail("drawn, though it was seeded"))
    for where in every_tile(-71.1, 42.39, range(14)):
        asked = asking(layer, pins)(where)
        fresh = draw(asked.snapshot, where, None).body
        if fresh:
            assert served.make(asked).body == fresh


def test_a_second_run_draws_nothing(demo_store: Store, tmp_path: Path) -> None:
    layer = demo_store.layer("parcels", Reader.anonymous())
    plan = Plan(asking(layer), NAME, 0, 12)
    first = seed(plan, maker_in(tmp_path))
    second = seed(plan, maker_in(tmp_path))
    assert (second[DRAWN], second[THERE]) == (0, first[DRAWN])
    assert second[EMPTY] == first[EMPTY]


def test_who_is_stopped_goes_on_where_they_were(demo_store: Store, tmp_path: Path) -> None:
    layer = demo_store.layer("parcels", Reader.anonymous())
    whole = seed(Plan(asking(layer), NAME, 0, 12), maker_in(tmp_path / "whole"))

    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "zoom 10":
            raise KeyboardInterrupt

    with pytest.raises(Stopped) as stopped:
        seed(Plan(asking(layer), NAME, 0, 12, say=stop), maker_in(tmp_path / "part"))
    before = stopped.value.counts[DRAWN]
    assert 10 <= before < whole[DRAWN]
    rest = seed(Plan(asking(layer), NAME, 0, 12), maker_in(tmp_path / "part"))
    # Those that were being made when the stop came are kept as well.
    assert rest[THERE] >= before
    assert rest[THERE] + rest[DRAWN] == whole[DRAWN]


def test_after_a_commit_only_what_it_touched_is_drawn(store: Store, tmp_path: Path) -> None:
    boxes = [shapely.box(x, 30, x + 0.01, 30.01) for x in (110.0, 112.0)]
    layer = publish(store, "Polygon", boxes)
    plan = Plan(asking(layer), NAME, 9, 12)
    first = seed(plan, maker_in(tmp_path))
    store.commit({"things": [Update("0", {"note": "another"})]}, WRITER, "change")
    later = Plan(asking(store.layer("things", Reader.anonymous())), NAME, 9, 12)
    second = seed(later, maker_in(tmp_path))
    assert second[DRAWN] + second[THERE] == first[DRAWN]
    assert 0 < second[DRAWN] <= first[DRAWN] / 2


@pytest.mark.parametrize(
    ("geometry", "shape"),
    [
        # In the margin of one tile, and so counted in another; a neighbour's child draws it.
        ("Polygon", shapely.box(112.50005, 30.0, 112.50055, 30.0005)),
        # Too thin to be drawn as an area far down.
        ("Polygon", shapely.box(112.4, 30.0, 112.6, 30.0000004)),
        ("LineString", shapely.LineString([(112.5, 30.0), (112.50001, 30.00001)])),
        ("Point", shapely.Point(112.5, 30.0)),
    ],
)
@pytest.mark.parametrize("properties", [None, "no"])
def test_nothing_is_passed_over(
    store: Store, tmp_path: Path, geometry: str, shape: Any, properties: str | None
) -> None:
    """Each tile that has anything is among those made, whatever the tiles above it show."""
    layer = publish(store, geometry, [shape])
    made: set[tuple[int, int, int]] = set()
    lock, ask = threading.Lock(), asking(layer, NOW, properties)

    def noted(where: Place) -> TileQuestion:
        with lock:
            made.add((where.zoom, where.row, where.column))
        return ask(where)

    seed(Plan(noted, NAME, 0, 17), maker_in(tmp_path))
    some = 0
    for where in every_tile(112.5, 30.0, range(18)):
        asked = ask(where)
        if draw(asked.snapshot, where, asked.names).body:
            assert (where.zoom, where.row, where.column) in made
            some += 1
    assert some >= 4


def test_few_tiles_are_looked_at_where_nothing_lies(store: Store, tmp_path: Path) -> None:
    layer = publish(store, "Point", [shapely.Point(112.3, 30.0)])
    counts = seed(Plan(asking(layer), NAME, 0, 14), maker_in(tmp_path))
    # Of each zoom four, but where the point lies in a margin.
    assert counts[DRAWN] <= 15 * 8


def test_both_hemispheres_have_their_tiles(store: Store) -> None:
    """A margin beyond 180 degrees is no box around the world."""
    layer = publish(store, "Point", [shapely.Point(x, 10.0) for x in (-179.9, -100.0, 100.0)])
    snapshot = layer.at(None)
    west, east = place(NAME, 1, 0, 0), place(NAME, 1, 0, 1)
    assert lies_in(snapshot, west)
    assert lies_in(snapshot, east)
    for where, number in ((west, 2), (east, 1)):
        found = snapshot.where(bbox=margin_of(where), bbox_crs=where.crs).count()
        assert found == number
    assert not lies_in(snapshot, place(NAME, 2, 1, 2))
    assert not lies_in(snapshot, place(NAME, 3, 3, 7))


def test_zooms_below_are_reached_without_those_above(demo_store: Store, tmp_path: Path) -> None:
    layer = demo_store.layer("parcels", Reader.anonymous())
    every = seed(Plan(asking(layer), NAME, 0, 12), maker_in(tmp_path / "a"))
    above = seed(Plan(asking(layer), NAME, 0, 11), maker_in(tmp_path / "b"))
    alone = seed(Plan(asking(layer), NAME, 12, 12), maker_in(tmp_path / "c"))
    filled = every[DRAWN] - every[EMPTY] - (above[DRAWN] - above[EMPTY])
    assert alone[DRAWN] - alone[EMPTY] == filled > 0


@pytest.mark.parametrize("crs", ["EPSG:4490", "EPSG:4549", "EPSG:3857"])
@pytest.mark.parametrize("name", OFFERED)
def test_every_grid_is_gone_down_whatever_the_layer_is_stored_in(
    store: Store, tmp_path: Path, crs: str, name: str
) -> None:
    layer = publish(store, "Point", [shapely.Point(119.3, 30.3)], crs)
    seed(Plan(asking(layer), name, 0, 11), maker_in(tmp_path))
    tiling, served = grid(name), maker_in(tmp_path)
    found = 0
    for zoom in range(tiling.first, 12):
        row, _, column, _ = tiling.covering(zoom, to_grid(name, (119.3, 30.3, 119.3, 30.3)))
        asked = asking(layer)(place(name, zoom, row, column))
        assert asked.key is not None
        kept = served.cache.find(asked.key)
        assert kept is not None, zoom
        found += bool(kept.body)
    assert found >= 8
