"""Tiles on disk: bounded, shared by processes, and never more than a convenience."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tiles.keeping.cache import TileCache
from tiles.keeping.kept import KeptTile, State
from tiles.keeping.shelf import Shelf, hash_of

STATE = State(3, datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 5, 6, 7, 8, 9, 10, tzinfo=UTC))
ROOT = Path(__file__).parents[3]


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def a_tile(size: int = 1000, thinned: float | None = None) -> KeptTile:
    return KeptTile(b"x" * size, '"tag"', STATE, thinned)


@dataclass
class Clock:
    now: float = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shelf(tmp_path: Path, clock: Clock) -> Shelf:
    return Shelf(tmp_path / "tiles", 1 << 20, clock)


def test_a_tile_comes_back_as_it_was(shelf: Shelf) -> None:
    for number, tile in enumerate((a_tile(), a_tile(0), a_tile(thinned=12.5))):
        shelf.keep(key(number), tile)
        assert shelf.find(key(number)) == tile
    assert shelf.find(key(9)) is None


def test_a_later_state_is_written_down(shelf: Shelf) -> None:
    shelf.keep(key(1), a_tile())
    later = replace(STATE, revision=4, when=STATE.when + timedelta(days=1))
    shelf.note(key(1), a_tile().of(later))
    assert shelf.find(key(1)) == a_tile().of(later)
    shelf.note(key(2), a_tile().of(later))
    assert shelf.find(key(2)) is None


def test_of_another_processes_tile_nothing_is_written_down(tmp_path: Path) -> None:
    """One that drew the state before a commit may be done with it after it."""
    mine, theirs = (TileCache(1 << 20, Shelf(tmp_path, 1 << 20)) for _ in range(2))
    fresh, stale = KeptTile(b"fresh", '"fresh"', STATE), KeptTile(b"stale", '"stale"', STATE)
    mine.keep(key(1), fresh)
    theirs.keep(key(1), stale.of(replace(STATE, revision=2)))
    mine.note(key(1), fresh.of(replace(STATE, revision=4)))
    found = TileCache(1 << 20, Shelf(tmp_path, 1 << 20)).find(key(1))
    assert found == stale.of(replace(STATE, revision=2))


def test_the_bound_holds_and_the_least_used_leave_first(shelf: Shelf, clock: Clock) -> None:
    size = a_tile(10_000).size
    fitting = shelf.most_bytes // size
    for number in range(fitting):
        clock.now += 100
        shelf.keep(key(number), a_tile(10_000))
    # The first is asked for again and again; those after it never.
    used = (0, 5)
    for number in range(fitting, 6 * fitting):
        clock.now += 100
        for often in used:
            assert shelf.find(key(often)) is not None
        shelf.keep(key(number), a_tile(10_000))
        # It is looked at every so many tiles.
        assert shelf.bytes_kept() <= shelf.most_bytes + 200 * size
    left = [n for n in range(6 * fitting) if shelf.find(key(n)) is not None]
    others = [n for n in left if n not in used]
    assert set(used) < set(left)
    assert others == list(range(others[0], 6 * fitting)), "what was kept first must leave first"


def test_room_is_made_below_the_bound(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 100_000)
    for number in range(401):
        shelf.keep(key(number), a_tile(600))
    assert shelf.bytes_kept() <= shelf.most_bytes


FILLER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from tiles.keeping.kept import KeptTile, State
from tiles.keeping.shelf import Shelf

folder, first, last = sys.argv[1:]
state = State(3, datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC))
shelf = Shelf(Path(folder), 1 << 26)
for number in range(int(first), int(last)):
    shelf.keep(f"{number:032x}", KeptTile(str(number).encode(), "tag", state))
"""


def in_a_process(script: str, *arguments: object) -> list[str]:
    """The command of a process that runs a script as this one would."""
    return [sys.executable, "-c", script, *map(str, arguments)]


def test_processes_share_a_shelf(tmp_path: Path) -> None:
    ranges = [(0, 150), (100, 250), (200, 350)]
    run = [subprocess.Popen(in_a_process(FILLER, tmp_path, *r), cwd=ROOT) for r in ranges]
    assert [process.wait(60) for process in run] == [0, 0, 0]
    shelf = Shelf(tmp_path, 1 << 26)
    found = [shelf.find(f"{n:032x}") for n in range(350)]
    assert [f.body for f in found if f is not None] == [str(n).encode() for n in range(350)]


HOLDER = """
import sys
from pathlib import Path
from tiles.keeping.shelf import Shelf
with Shelf(Path(sys.argv[1]), 1 << 20).claim(sys.argv[2]) as alone:
    print(alone, flush=True)
    sys.stdin.read()
"""


def test_a_claim_keeps_other_processes_out(shelf: Shelf) -> None:
    command = in_a_process(HOLDER, shelf.folder, key(1))
    other = next(key(n) for n in range(2, 99) if hash_of(key(n)) % 1024 != hash_of(key(1)) % 1024)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        with shelf.claim(key(1)) as alone:
            assert not alone
        with shelf.claim(other) as alone:
            assert alone
        # Who dies holds nothing.
        holder.kill()
        holder.wait(10)
        with shelf.claim(key(1)) as alone:
            assert alone


@pytest.mark.parametrize(
    "garbage", [b"no database" * 1000, b"", b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_file_that_is_garbage_is_replaced(tmp_path: Path, garbage: bytes) -> None:
    first = Shelf(tmp_path, 1 << 20)
    first.keep(key(1), a_tile())
    [file] = tmp_path.glob("*.sqlite")
    first._connection().close()
    for rest in tmp_path.iterdir():
        rest.unlink()
    file.write_bytes(garbage)
    shelf = Shelf(tmp_path, 1 << 20)
    assert shelf.find(key(1)) is None
    shelf.keep(key(1), a_tile())
    assert shelf.find(key(1)) == a_tile()


def test_damage_under_a_shelf_that_is_open_is_no_error(shelf: Shelf) -> None:
    for number in range(50):
        shelf.keep(key(number), a_tile(5000))
    shelf._connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    [file] = shelf.folder.glob("*.sqlite")
    content = bytearray(file.read_bytes())
    content[4096:] = b"\x5a" * (len(content) - 4096)
    with file.open("r+b") as opened:
        opened.write(content)
    for number in range(60):
        found = shelf.find(key(number))
        assert found is None or found == a_tile(5000)
        shelf.keep(key(number), a_tile(5000))
    # And it goes on, for this process and the next.
    shelf.keep(key(99), a_tile())
    assert shelf.find(key(99)) == a_tile()
    assert Shelf(shelf.folder, 1 << 20).find(key(99)) == a_tile()


def test_a_body_that_is_not_what_was_kept_is_drawn_anew(shelf: Shelf) -> None:
    """After a crash of the machine a page may be that of another tile."""
    shelf.keep(key(1), a_tile())
    shelf.keep(key(2), a_tile(2000))
    shelf._connection().execute(
        "UPDATE tile SET body = (SELECT body FROM tile WHERE key = ?), checked = (SELECT checked "
        "FROM tile WHERE key = ?) WHERE key = ?", (key(2), key(2), key(1)),
    )  # fmt: skip
    assert shelf.find(key(1)) is None
    assert shelf.find(key(2)) == a_tile(2000)
    shelf.keep(key(1), a_tile())
    assert shelf.find(key(1)) == a_tile()


def test_where_no_folder_can_be_nothing_is_kept_and_nothing_breaks(tmp_path: Path) -> None:
    (tmp_path / "a file").write_bytes(b"")
    shelf = Shelf(tmp_path / "a file" / "tiles", 1 << 20)
    shelf.keep(key(1), a_tile())
    shelf.note(key(1), a_tile())
    assert shelf.find(key(1)) is None
    assert shelf.bytes_kept() == 0
    with shelf.claim(key(1)) as alone:
        assert alone


def test_a_full_disk_keeps_nothing_more_and_breaks_nothing(shelf: Shelf) -> None:
    shelf.keep(key(1), a_tile())
    connection = shelf._connection()
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    # What SQLite says of a disk that is full.
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        connection.execute("CREATE TABLE more AS SELECT zeroblob(100000)")
    shelf.keep(key(2), a_tile(100_000))
    assert shelf.find(key(2)) is None
    assert shelf.find(key(1)) == a_tile()


def test_a_folder_that_may_only_be_read_answers_what_it_has(tmp_path: Path) -> None:
    Shelf(tmp_path, 1 << 20).keep(key(1), a_tile())
    shelf = Shelf(tmp_path, 1 << 20)
    shelf._connection().execute("PRAGMA query_only = ON")
    shelf.keep(key(2), a_tile())
    shelf.note(key(1), a_tile().of(replace(STATE, revision=9)))
    assert shelf.find(key(2)) is None
    assert shelf.find(key(1)) == a_tile()


def test_nobody_else_looks_into_the_folder(shelf: Shelf) -> None:
    shelf.keep(key(1), a_tile())
    assert shelf.folder.stat().st_mode & 0o777 == 0o700
    [file] = shelf.folder.glob("*.sqlite")
    assert file.stat().st_mode & 0o777 == 0o600
