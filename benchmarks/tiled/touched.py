"""Which kept tiles a commit leaves true, beside those that it does not change."""

from __future__ import annotations

import random
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
import shapely
from served.parcels import LAYER
from served.questions import TABLE
from served.rows import print_table

from layers.edits import Update
from tiled.bench import WRITER, Bench
from tiled.places import GRID
from tiles.grids import Place, place
from tiles.keeping.cache import TileCache
from tiles.keeping.kept import KeptTile
from tiles.keeping.making import TileMaker

CHANGES = 1_000
# Tiles of each zoom that are looked at: all, or so many of them.
MOST = {10: 2, 11: 3, 12: 8, 13: 20, 14: 80, 15: 200, 16: 300}
_CACHE_BYTES = 1 << 30
# Degrees, about two metres; and a digit for a digit.
_SHIFT = 2e-5
_CHOSEN = {
    "clustered": "ORDER BY _geom <-> ST_Transform(ST_SetSRID(ST_Point(%(x)s, %(y)s), 3857), 4490)",
    "scattered": "ORDER BY md5(_fid || 'tiles')",
}
_SELECT = (
    f"SELECT _fid, _valid_from, land_use_code, ST_AsBinary(_geom) FROM {TABLE} "
    f"{{order}} LIMIT {CHANGES}"
)


@dataclass
class Found:
    """What became of the tiles of one zoom."""

    tiles: int = 0
    valid: int = 0
    same: int = 0
    stale: int = 0
    looks: list[float] = field(default_factory=list)


def measure_touched(bench: Bench) -> None:
    """A commit of a thousand changes, close together and far apart."""
    maker = TileMaker(TileCache(_CACHE_BYTES))
    places = sampled(bench)
    for how in _CHOSEN:
        begun = time.perf_counter()
        before = [(where, maker.make(bench.asked(where))) for where in places]
        warm = time.perf_counter() - begun
        with changed(bench, how) as seconds:
            first = _first(bench, maker, places[-1])
            found = _look(bench, before)
        _print(how, found)
        print(
            f"\n{how}: warming {len(places)} tiles took {warm:.1f} s, the commit {seconds:.1f} s; "
            f"the first tile after it, of z{places[-1].zoom}, came in {first[0]:.0f} ms, "
            f"the same again in {first[1]:.1f} ms"
        )


def sampled(bench: Bench) -> list[Place]:
    """Tiles of each zoom that parcels lie in: all of them, or some by lot."""
    found = []
    for zoom, most in MOST.items():
        cells = sorted(bench.map.at(zoom))
        chosen = random.Random(zoom).sample(cells, min(most, len(cells)))
        found += [place(GRID, zoom, row, column) for column, row in chosen]
    return found


def _first(bench: Bench, maker: TileMaker, where: Place) -> tuple[float, float]:
    """Milliseconds of the first tile that is asked for, and of the same one then."""
    spent = []
    for _ in range(2):
        begun = time.perf_counter()
        maker.make(bench.asked(where))
        spent.append((time.perf_counter() - begun) * 1000)
    return spent[0], spent[1]


def _look(bench: Bench, before: Sequence[tuple[Place, KeptTile]]) -> dict[int, Found]:
    """Ask of each tile whether it still holds, and draw it afresh."""
    found: dict[int, Found] = defaultdict(Found)
    for where, tile in before:
        asked, zoom = bench.asked(where), found[where.zoom]
        begun = time.perf_counter()
        valid = not asked.touches(tile)
        zoom.looks.append((time.perf_counter() - begun) * 1000)
        same = asked.kept(asked.draw()).etag == tile.etag
        zoom.tiles += 1
        zoom.valid += valid
        zoom.same += same
        zoom.stale += valid and not same
    return found


def _print(how: str, found: dict[int, Found]) -> None:
    lines = []
    for zoom, of in found.items():
        drawn, differ = of.tiles - of.valid, of.tiles - of.same
        lines.append(
            [
                *(f"z{zoom}", f"{of.tiles:,}", f"{of.valid / of.tiles:.1%}"),
                *(f"{of.same / of.tiles:.1%}", str(drawn), str(differ)),
                f"{drawn / differ:.2f} x" if differ else "-" if not drawn else "none differs",
                *(str(of.stale), f"{statistics.median(of.looks):.2f}", f"{max(of.looks):.0f}"),
            ]
        )
    titles = [f"{CHANGES:,} changes, {how}", "tiles", "still valid", "same bytes", "drawn again"]
    more = ["differ", "of those (bar 1.1 x)", "stale (bar 0)", "ms to know, median", "most"]
    print_table([*titles, *more], lines)


@contextmanager
def changed(bench: Bench, how: str) -> Iterator[float]:
    """The layer with a thousand changes, which are undone afterwards; seconds of the commit."""
    edits = _edits(bench, how)
    begun = time.perf_counter()
    done = bench.store.commit({LAYER: edits}, WRITER, f"benchmark of tiles: {how}")
    seconds = time.perf_counter() - begun
    assert done.commit is not None
    try:
        yield seconds
    finally:
        bench.store.revert(done.commit, WRITER)


def _edits(bench: Bench, how: str) -> Sequence[Update]:
    """Half of them another land use, half another shape."""
    west, south, east, north = bench.map.densest(16).bounds
    middle = {"x": (west + east) / 2, "y": (south + north) / 2}
    with psycopg.connect(bench.dsn) as connection:
        rows = connection.execute(_SELECT.format(order=_CHOSEN[how]), middle).fetchall()
    edits = []
    # For the whole of their periods: else what is undone leaves periods that end and begin there.
    for number, (feature, since, code, wkb) in enumerate(rows):
        if number % 2:
            shape = shapely.transform(shapely.from_wkb(bytes(wkb)), lambda xy: xy + _SHIFT)
            edits.append(Update(feature, geometry=shape, valid_from=since))
        else:
            edits.append(Update(feature, {"land_use_code": _other(code)}, valid_from=since))
    return edits


def _other(code: str) -> str:
    return f"{code[:-1]}{(int(code[-1]) + 1) % 10}" if code[-1:].isdigit() else f"{code}1"
