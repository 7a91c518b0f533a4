"""Kept tiles over random commits and passing time, against tiles drawn afresh.

After every step each tile is asked for again, at several zooms. It must be the one that is drawn
afresh (never stale), and no more tiles may be drawn again than 1.1 times those that changed.
"""

from __future__ import annotations

import dataclasses
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely

from layers.edits import Edit, Insert, Retire, Update
from layers.publish import Reload
from layers.readers import Reader
from layers.reading.features import Query
from layers.schemas.documents import parse_schema
from layers.sourcing.frames import FrameSource
from layers.store import PublishedLayer, Store
from layers.writers import Writer
from services.parameters import Pins
from services.tile_questions import question_of
from tiles.grids import Place, place
from tiles.keeping.cache import TileCache
from tiles.keeping.making import TileMaker
from tiles.keeping.shelf import Shelf
from tiles.vector import draw

START = datetime(2020, 1, 1, tzinfo=UTC)
WRITER, READER = Writer("test"), Reader.everything()
WEST, SOUTH, SIDE = 114.30, 30.50, 0.08
ZOOMS = (3, 8, 10, 12, 13, 14, 16)
STEPS = 8
FIELDS: list[dict[str, Any]] = [
    {"id": "no", "role": "key"},
    {"id": "use", "codes": {"a": "A", "b": "B"}},
    {"id": "name", "role": "label"},
    {"id": "note"},
]


@dataclasses.dataclass
class Clock:
    """A clock that somebody sets."""

    now: datetime = datetime(2021, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def tiles_of(zoom: int) -> list[Place]:
    """Every tile that the area of the test has, and those around it; of deep zooms some."""

    def address(lon: float, lat: float) -> tuple[int, int]:
        y = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
        return int(y * 2**zoom), int((lon + 180) / 360 * 2**zoom)

    top, left = address(WEST, SOUTH + SIDE)
    bottom, right = address(WEST + SIDE, SOUTH)
    every = [(r, c) for r in range(top - 1, bottom + 2) for c in range(left - 1, right + 2)]
    if len(every) > 40:
        every = random.Random(zoom).sample(every, 40)
    return [place("WebMercatorQuad", zoom, r, c) for r, c in every]


TILES = [where for zoom in ZOOMS for where in tiles_of(zoom)]


def shape(dice: random.Random, geometry: str) -> Any:
    x, y = WEST + dice.random() * SIDE, SOUTH + dice.random() * SIDE
    if geometry == "Point":
        return shapely.Point(x, y)
    size = dice.choice([0.00001, 0.0001, 0.0005, 0.004])
    if geometry == "LineString":
        return shapely.LineString([(x, y), (x + size, y + size * dice.random())])
    return shapely.Point(x, y).buffer(size, quad_segs=dice.choice([1, 4]))


def properties(dice: random.Random) -> dict[str, str]:
    texts = {n: "".join(dice.choices("abc", k=3)) for n in ("name", "note")}
    return {"use": dice.choice("ab"), **texts}


def edits(dice: random.Random, geometry: str, number: int, now: datetime) -> list[Edit]:
    """A few edits: things made, changed, moved and retired, also back in time and ahead of it."""
    found: list[Edit] = []
    used: set[str] = set()
    for n in range(dice.choice([1, 3, 10])):
        when = now + timedelta(days=dice.choice([0, 0, 0, -40, 2, 5]))
        which = str(dice.randrange(number))
        kind = dice.choice("iuumr")
        if kind == "i":
            own = {"no": f"new-{now.timestamp()}-{n}", **properties(dice)}
            end = dice.choice([None, None, when + timedelta(days=3)])
            found.append(Insert(own, shape(dice, geometry), valid_from=when, valid_to=end))
        elif which not in used:
            used.add(which)
            if kind == "u":
                found.append(Update(which, properties(dice), valid_from=when))
            elif kind == "m":
                found.append(Update(which, {}, shape(dice, geometry), valid_from=when))
            else:
                found.append(Retire(which, valid_from=when))
    return found


class Watched:
    """A layer, the tiles that are kept of it, and how each was found after a step."""

    def __init__(self, store: Store, clock: Clock, folder: Path, pins: Pins) -> None:
        self.store, self.clock, self.pins = store, clock, pins
        self.maker = TileMaker(TileCache(1 << 26, Shelf(folder, 1 << 28)))
        self.bodies: dict[tuple[int, int, int], bytes] = {}
        self.differing = 0

    @property
    def layer(self) -> PublishedLayer:
        return self.store.with_clock(self.clock).layer("things", READER)

    def look(self) -> None:
        """Ask for every tile, and compare it with one that is drawn afresh."""
        layer = self.layer
        for where in TILES:
            asked = question_of(layer, self.pins, where, Query(), None).question
            assert asked.key is not None
            name = (where.zoom, where.row, where.column)
            before = self.maker.cache.find(asked.key)
            tile = self.maker.make(asked)
            fresh = draw(asked.snapshot, where, None).body
            assert tile.body == fresh, name
            if before is not None:
                differs = self.bodies[name] != fresh
                assert (tile.etag != before.etag) == differs
                self.differing += differs
            self.bodies[name] = fresh


def begin(store: Store, dice: random.Random, geometry: str, number: int, clock: Clock) -> None:
    schema = parse_schema(
        {"title": "t", "geometry": geometry, "time_zone": "UTC", "fields": FIELDS}
    )
    rows = [{"no": str(n), **properties(dice)} for n in range(number)]
    shapes = [shape(dice, geometry) for _ in rows]
    frame = gpd.GeoDataFrame(rows, geometry=shapes, crs="OGC:CRS84")
    reload = Reload(FrameSource(frame), schema=schema, valid_from=START.date())
    store.with_clock(clock).commit({"things": reload}, WRITER, "begin")


@pytest.mark.parametrize("geometry", ["Polygon", "LineString", "Point"])
@pytest.mark.parametrize(
    "pins", [Pins(None, None, None), Pins(datetime(2021, 1, 4, tzinfo=UTC), None, None)]
)
def test_a_kept_tile_is_never_stale_and_seldom_drawn_in_vain(
    store: Store, tmp_path: Path, geometry: str, pins: Pins, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = [0]
    real = draw

    def counted(*own: Any) -> Any:
        again[0] += 1
        return real(*own)

    monkeypatch.setattr("tiles.keeping.making.draw", counted)
    drawn = differing = 0
    clock = Clock()
    for seed in range(2):
        dice = random.Random(seed)
        if not store.layers(READER):
            begin(store, dice, geometry, 300, clock)
        watched = Watched(store, clock, tmp_path / str(seed), pins)
        watched.look()
        for _ in range(STEPS):
            if dice.random() < 0.3:
                clock.now += timedelta(days=dice.choice([1, 4]))
            else:
                clock.now += timedelta(seconds=1)
                done = edits(dice, geometry, 300, clock.now)
                apply(watched, done)
            again[0] = 0
            before = watched.differing
            watched.look()
            drawn += again[0]
            differing += watched.differing - before
    assert differing > 20
    assert drawn <= 1.1 * differing


def apply(watched: Watched, every: list[Edit]) -> None:
    """Commit the edits that can be made; those of things that are gone by then can't."""
    from layers.errors import LayersError

    store = watched.store.with_clock(watched.clock)
    for edit in every:
        try:
            store.commit({"things": [edit]}, WRITER, "edit")
        except LayersError:
            continue
