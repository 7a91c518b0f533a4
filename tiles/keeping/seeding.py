"""Every tile of a layer, made before anybody asks: down the zooms, only where something lies.

A tile that shows nothing may have something below it (what lies in its margin, what is too thin to
be drawn), so what is passed over is found by asking for features, never by looking at bytes. The
margin of a tile holds the margins of all tiles below: where nothing lies in it, nothing does there.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import sqlalchemy as sa

from layers.store import Snapshot
from spatial.crs import parse_crs
from tiles.grids import Place, grid, place
from tiles.keeping.kept import KeptTile
from tiles.keeping.making import TileMaker, TileQuestion
from tiles.lattices import margin_of

Ask = Callable[[Place], TileQuestion]
Make = Callable[[TileQuestion], tuple[str, KeptTile]]
Say = Callable[[str, int, int | None], None]
THERE, DRAWN, EMPTY = "there", "drawn", "empty"
# Tiles that are asked for while the first of them is waited for: of each worker so many.
_AHEAD = 8
_SHIFT = 32
# Below this zoom the bounds of a tile have no sure image in a projection made for a country.
_SURE_FROM = 3


@dataclass(frozen=True, slots=True)
class Made:
    """A tile that was looked at.

    Attributes
    ----------
    how : str
        ``there`` where it was kept already, else ``drawn``.
    """

    where: Place
    how: str
    tile: KeptTile


@dataclass(frozen=True)
class Plan:
    """Which tiles are to be made.

    Attributes
    ----------
    ask : callable
        Returns the question for a tile, as a server would ask it.
    matrix_set : str
    first, last : int
        Zooms, both of them too.
    workers : int
        Tiles that are made at once.
    say : callable
        Told of progress: what is done, tiles, and how many there are to be looked at.
    """

    ask: Ask
    matrix_set: str
    first: int
    last: int
    workers: int = 2
    say: Say = field(default=lambda stage, done, total: None)


def seed(plan: Plan, maker: TileMaker) -> Counter[str]:
    """Make every tile in which something lies, and keep it; what is kept and true is passed over.

    Whatever ends it early, each tile that was made is kept.

    Returns
    -------
    Counter
        How many tiles were ``there``, were ``drawn``, and how many of them are ``empty``.
    """
    counts: Counter[str] = Counter()
    try:
        for made in descend(plan, lambda asked: _kept(maker, asked)):
            counts[made.how] += 1
            counts[EMPTY] += not made.tile.body
    except KeyboardInterrupt as stop:
        raise Stopped(counts) from stop
    return counts


class Stopped(KeyboardInterrupt):
    """Somebody who seeds has been stopped.

    Attributes
    ----------
    counts : Counter
        What was done until then.
    """

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts
        super().__init__()


def descend(
    plan: Plan, make: Make, order: Callable[[int, int, int], int] | None = None
) -> Iterator[Made]:
    """Yield the tiles of a plan, zoom by zoom, each as soon as those before it.

    Parameters
    ----------
    make : callable
        Makes a tile, in whichever thread; says how it came.
    order : callable, optional
        Number of a tile by zoom, row and column, in the order of which tiles of one parent come;
        by rows where absent.
    """
    tiling = grid(plan.matrix_set)
    rows, columns = tiling.size(tiling.first)
    level = [(r, c) for r in range(rows) for c in range(columns)]
    parents: array[int] | None = None
    with _pool(plan.workers) as pool:
        for zoom in range(tiling.first, plan.last + 1):
            waiting: Iterable[tuple[int, int]] = level
            total = len(level)
            if parents is not None:
                waiting, total = _below(parents, zoom, order), 4 * len(parents)
            parents = array("Q")
            stage, made_here = f"zoom {zoom}", zoom >= plan.first
            places = (place(plan.matrix_set, zoom, row, column) for row, column in waiting)
            looks = _in_order(pool, lambda w: _look(plan, make, w), places, plan.workers * _AHEAD)
            for done, (where, found, below) in enumerate(looks, 1):
                if below:
                    parents.append(where.row << _SHIFT | where.column)
                if made_here and found is not None:
                    yield Made(where, *found)
                plan.say(stage, done, total)


def lies_in(snapshot: Snapshot, where: Place) -> bool:
    """Return whether any feature of a snapshot meets a tile with its margin, or may do so."""
    if where.scale < _SURE_FROM and not parse_crs(snapshot.schema.crs).is_geographic:
        return True
    narrowed = snapshot.where(bbox=margin_of(where), bbox_crs=where.crs, restricted=False)
    name = ("lies in", where.matrix_set.id)
    found = narrowed.told(name, lambda select, _: sa.select(sa.exists(select).label("any")), {})
    return bool(found.rows[0][0])


_Look = tuple[Place, tuple[str, KeptTile] | None, bool]


def _look(plan: Plan, make: Make, where: Place) -> _Look:
    """A tile, where it is wanted and has anything; and whether anything may lie below it."""
    asked = plan.ask(where)
    if where.zoom < plan.first:
        return where, None, lies_in(asked.snapshot, where)
    found = make(asked)
    if found[1].body:
        return where, found, True
    return where, found, where.zoom < plan.last and lies_in(asked.snapshot, where)


def _kept(maker: TileMaker, asked: TileQuestion) -> tuple[str, KeptTile]:
    before = None if asked.key is None else maker.cache.find(asked.key)
    tile = maker.make(asked)
    # Of the same bytes, not of equal ones: those were drawn again.
    same = before is not None and before.body is tile.body
    return (THERE if same else DRAWN), tile


def _below(
    parents: array[int], zoom: int, order: Callable[[int, int, int], int] | None
) -> Iterator[tuple[int, int]]:
    for packed in parents:
        row, column = 2 * (packed >> _SHIFT), 2 * (packed & (1 << _SHIFT) - 1)
        four = [(row + r, column + c) for r in (0, 1) for c in (0, 1)]
        if order is not None:
            four.sort(key=lambda at: order(zoom, *at))
        yield from four


def _in_order(
    pool: ThreadPoolExecutor,
    look: Callable[[Place], _Look],
    places: Iterable[Place],
    ahead: int,
) -> Iterator[_Look]:
    waiting: deque[Future[_Look]] = deque()
    for where in places:
        waiting.append(pool.submit(look, where))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads, as the work is the database's; what is not begun when somebody stops never is."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="tiles")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
