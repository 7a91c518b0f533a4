"""Tiles in memory before those on disk; and each is made once, whoever asks for it."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from layers.readers import Reader
from layers.reading.features import Query
from layers.store import Store
from services.parameters import Pins
from services.tile_questions import question_of
from tests.databases import Databases
from tests.tiles.keeping.test_shelf import ROOT, STATE, a_tile, in_a_process, key
from tiles.grids import Place, place
from tiles.keeping import making
from tiles.keeping.cache import TileCache
from tiles.keeping.kept import State
from tiles.keeping.making import TileMaker, TileQuestion
from tiles.keeping.shelf import Shelf
from tiles.vector import draw

WHERE = place("WebMercatorQuad", 12, 1515, 1239)
OTHER = place("WebMercatorQuad", 13, 3030, 2478)
PINS = Pins(datetime(2014, 6, 1, 4, tzinfo=UTC), 4, None)


def question(store: Store, where: Place = WHERE) -> TileQuestion:
    layer = store.layer("parcels", Reader.anonymous())
    return question_of(layer, PINS, where, Query(), None).question


# --- what is kept --------------------------------------------------------------------------------


def test_the_bound_of_memory_holds_and_the_least_used_leave_first() -> None:
    tile = a_tile(1000)
    cache = TileCache(10 * tile.size)
    for number in range(10):
        cache.keep(key(number), tile)
    assert cache.find(key(0)) is not None
    cache.keep(key(10), tile)
    assert cache.find(key(1)) is None
    assert cache.find(key(0)) is not None
    for number in range(100):
        cache.keep(key(number % 30), a_tile(100 * (number % 40)))
        assert sum(t.size for t in cache._tiles.values()) == cache._size <= cache.most_bytes


def test_a_tile_larger_than_all_memory_is_kept_on_disk_alone(tmp_path: Path) -> None:
    cache = TileCache(1000, Shelf(tmp_path, 1 << 20))
    cache.keep(key(1), a_tile(5000))
    assert cache.near(key(1)) is None
    assert cache.find(key(1)) == a_tile(5000)
    assert TileCache(1000).find(key(1)) is None


def test_what_left_memory_is_on_disk_and_comes_back(tmp_path: Path) -> None:
    cache = TileCache(2 * a_tile().size, Shelf(tmp_path, 1 << 20))
    for number in range(5):
        cache.keep(key(number), a_tile())
    assert cache.near(key(0)) is None
    assert cache.find(key(0)) == a_tile()
    assert cache.near(key(0)) == a_tile()
    assert (cache.found, cache.missed) == (1, 0)
    assert cache.find(key(7)) is None
    assert cache.missed == 1


def test_another_process_has_its_tile_found_in_just_the_state_asked(tmp_path: Path) -> None:
    mine, theirs = (TileCache(1 << 20, Shelf(tmp_path, 1 << 20)) for _ in range(2))
    theirs.keep(key(1), a_tile())
    assert mine.shelved(key(1), State(4, STATE.recorded, STATE.when)) is None
    assert mine.shelved(key(1), STATE) == a_tile()
    assert mine.near(key(1)) == a_tile()
    assert TileCache().shelved(key(1), STATE) is None


def test_threads_keep_the_bound_together() -> None:
    cache = TileCache(50 * a_tile().size)

    def work(first: int) -> None:
        for number in range(500):
            cache.keep(key((first + number) % 80), a_tile(number % 2000))
            cache.find(key(number % 80))

    threads = [threading.Thread(target=work, args=(n * 20,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(t.size for t in cache._tiles.values()) == cache._size <= cache.most_bytes


# --- each tile is made once ----------------------------------------------------------------------


def slow(monkeypatch: pytest.MonkeyPatch, wait_s: float = 0.2) -> list[Place]:
    """Draws slowly, and notes each tile that is drawn."""
    drawn: list[Place] = []

    def watched(snapshot: Any, where: Place, names: Any = None) -> Any:
        drawn.append(where)
        time.sleep(wait_s)
        return draw(snapshot, where, names)

    async def never(snapshot: Any, where: Place, names: Any = None) -> None:
        return None

    monkeypatch.setattr(making, "draw", watched)
    monkeypatch.setattr(making, "draw_soon", never)
    return drawn


async def together(maker: TileMaker, *asked: TileQuestion) -> list[Any]:
    return await asyncio.gather(*(maker.answer(a) for a in asked), return_exceptions=True)


@pytest.mark.parametrize("shelved", [True, False])
def test_concurrent_misses_of_a_tile_make_it_once(
    demo_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shelved: bool
) -> None:
    drawn = slow(monkeypatch)
    shelf = Shelf(tmp_path, 1 << 20) if shelved else None
    maker = TileMaker(TileCache(1 << 20, shelf))
    asked = question(demo_store)
    answers = asyncio.run(together(maker, *[asked] * 20, question(demo_store, OTHER)))
    assert sorted(drawn, key=lambda where: where.zoom) == [WHERE, OTHER]
    assert {answer.body for answer in answers[:-1]} == {draw(asked.snapshot, WHERE, None).body}
    assert answers[-1].body != answers[0].body
    assert maker._flights == {}


def test_two_makers_of_one_shelf_make_a_tile_once(
    demo_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As two processes do: claims are of open files, so they hold within one as well."""
    drawn = slow(monkeypatch)
    makers = [TileMaker(TileCache(1 << 20, Shelf(tmp_path, 1 << 20))) for _ in range(2)]
    asked = question(demo_store)

    async def both() -> list[Any]:
        return await asyncio.gather(*(maker.answer(asked) for maker in makers))

    one, other = asyncio.run(both())
    assert one == other
    assert drawn == [WHERE]


def test_who_leaves_first_lets_the_others_have_it(
    demo_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = slow(monkeypatch)
    maker, asked = TileMaker(), question(demo_store)

    async def leaving() -> Any:
        first, second = (asyncio.create_task(maker.answer(asked)) for _ in range(2))
        await asyncio.sleep(0.05)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert asyncio.run(leaving()).body
    assert drawn == [WHERE]


def test_a_failure_is_everybodys_and_the_next_one_tries_again(
    demo_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch)
    good = making.draw

    def broken(*own: Any) -> Any:
        time.sleep(0.05)
        raise RuntimeError("the database went away")

    monkeypatch.setattr(making, "draw", broken)
    maker = TileMaker(TileCache(1 << 20, Shelf(tmp_path, 1 << 20)))
    asked = question(demo_store)
    answers = asyncio.run(together(maker, *[asked] * 3))
    assert [str(answer) for answer in answers] == ["the database went away"] * 3
    monkeypatch.setattr(making, "draw", good)
    assert asyncio.run(maker.answer(asked)).body


# Waits for the other, and asks for the tile as it does; says how often it drew, and what it got.
ASKER = """
import asyncio, hashlib, sys, time
from datetime import UTC, datetime
from pathlib import Path
from layers.reading.features import Query
from layers.store import open_store
from services.parameters import Pins
from services.tile_questions import question_of
from tiles.grids import place
from tiles.keeping import making
from tiles.keeping.cache import TileCache
from tiles.keeping.shelf import Shelf

drawn, real = [], making.draw

def watched(*own):
    drawn.append(own)
    time.sleep(0.5)
    return real(*own)

async def never(*own):
    return None

making.draw, making.draw_soon = watched, never
store = open_store(sys.argv[1])
pins = Pins(datetime(2014, 6, 1, 4, tzinfo=UTC), 4, None)
where = place("WebMercatorQuad", 12, 1515, 1239)
asked = question_of(store.layer("parcels"), pins, where, Query(), None).question
maker = making.TileMaker(TileCache(1 << 20, Shelf(Path(sys.argv[2]), 1 << 24)))
print("ready", flush=True)
sys.stdin.readline()
body = asyncio.run(maker.answer(asked)).body
print(len(drawn), len(body), hashlib.sha256(body).hexdigest(), flush=True)
store.close()
"""


def test_two_processes_make_a_tile_once(
    demo_template: str, make_database: Databases, tmp_path: Path
) -> None:
    command = in_a_process(ASKER, make_database(demo_template), tmp_path)
    with ExitStack() as stack:
        run = [
            stack.enter_context(
                subprocess.Popen(
                    command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            )
            for _ in range(2)
        ]
        for process in run:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in run:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [process.communicate(timeout=60)[0].split() for process in run]
    assert [process.returncode for process in run] == [0, 0]
    assert sorted(drawn for drawn, _, _ in told) == ["0", "1"]
    assert told[0][1:] == told[1][1:]
    assert int(told[0][1]) > 0
