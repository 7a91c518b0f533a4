"""tiles seed and tiles archive on the command line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pmtiles.reader import MmapSource
from pmtiles.reader import Reader as PmtilesReader
from starlette.testclient import TestClient

from layers.store import open_store
from services.app import create_app
from services.cli import main
from services.settings import Settings
from tests.databases import Databases
from tiles.keeping import making
from tiles.keeping.shelf import Shelf

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]
FOUND = re.compile(r"^([\d,]+) drawn, ([\d,]+) there already, ([\d,]+) of them empty · ", re.M)


@pytest.fixture(scope="module")
def reading(demo_template: str, make_database: Databases) -> str:
    return make_database(demo_template)


@pytest.fixture
def seed(
    run: Run, reading: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setenv("DATABASE_URL", reading)
    return lambda *more: run("tiles", "seed", "parcels", "--data", tmp_path, *more)


def counts(out: str) -> tuple[int, ...]:
    found = FOUND.search(out)
    assert found is not None, out
    return tuple(int(n.replace(",", "")) for n in found.groups())


def test_seed_says_what_it_did_and_for_whom(seed: Run) -> None:
    code, out, err = seed("--zoom", "0..11", "--at", "2014-06-01")
    assert (code, err) == (0, "")
    assert out.startswith("parcels r4 as of 2014-06-01T00:00:00-04:00, for everybody · ")
    drawn, there, empty = counts(out)
    assert (drawn > 12, there) == (True, 0)
    assert " of 2,048 MB" in out
    _, out, _ = seed("--zoom", "0..11", "--at", "2014-06-01")
    assert counts(out) == (0, drawn, empty)
    _, out, _ = seed("--zoom", "0..11", "--at", "2014-06-01", "--as", "everything")
    assert counts(out)[:2] == (drawn, 0)
    assert "for readers of every internal field" in out
    _, out, _ = seed("--zoom", "3", "--properties", "ml", "--workers", "1", "--revision", "4")
    assert counts(out)[0] >= 1


def test_a_server_draws_nothing_that_was_seeded(
    seed: Run, reading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out, _ = seed("--zoom", "0..12")
    assert out.startswith("parcels r4 of now, the same since 2014-06-05T09:00:00-04:00, ")

    def refuse(*own: Any) -> Any:
        raise AssertionError("drawn, though it was seeded")

    monkeypatch.setattr(making, "draw", refuse)
    monkeypatch.setattr(making, "draw_soon", refuse)
    with closing(open_store(reading)) as store:
        app = create_app(store, Settings(tmp_path))
        with TestClient(app) as client:
            here = "/collections/parcels/tiles/WebMercatorQuad"
            for address in ("0/0/0", "1/0/0", "9/189/154", "12/1515/1239"):
                answer = client.get(f"{here}/{address}")
                assert answer.status_code == 200
                assert len(answer.content) > 50
            with pytest.raises(AssertionError, match="though it was seeded"):
                client.get(f"{here}/13/3030/2478")


def test_seed_says_where_there_is_no_more_room(seed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIKONG_TILE_DISK_MB", "1")
    code, out, _ = seed("--zoom", "0..14", "--properties", "all")
    assert code == 0
    assert "raise SHIKONG_TILE_DISK_MB" in out
    monkeypatch.setenv("SHIKONG_TILE_DISK_MB", "0")
    code, out, err = seed()
    assert (code, out) == (1, "")
    assert "SHIKONG_TILE_DISK_MB is 0" in err


def test_archive_writes_a_file_that_says_what_it_is(run: Run, seed: Run, tmp_path: Path) -> None:
    out = tmp_path / "parcels.pmtiles"
    own = ("tiles", "archive", "parcels", out, "--at", "2014-06-01", "--data", tmp_path)
    code, said, err = run(*own, "--zoom", "0..11")
    assert (code, err) == (0, "")
    assert "parcels r4 as of 2014-06-01T00:00:00-04:00, for everybody" in said
    assert f"{out.stat().st_size:,} bytes -> {out}" in said
    assert f"served from {tmp_path / 'archives'}: move it there" in said
    with out.open("rb") as opened:
        reader = PmtilesReader(MmapSource(opened))
        assert (reader.header()["min_zoom"], reader.header()["max_zoom"]) == (0, 11)
        assert reader.metadata()["shikong"]["instant"] == "2014-06-01T04:00:00Z"
    # Seeded in the same state, nothing is drawn for it again; and the bytes are the same.
    before = out.read_bytes()
    seed("--zoom", "0..11", "--at", "2014-06-01", "--revision", "4")
    (tmp_path / "archives").mkdir()
    own = (*own[:3], tmp_path / "archives" / "parcels.pmtiles", *own[4:])
    code, said, _ = run(*own, "--zoom", "0..11")
    assert "(0 drawn)" in said
    assert "move it there" not in said
    assert (tmp_path / "archives" / "parcels.pmtiles").read_bytes() == before


def test_tiles_that_no_disk_keeps_are_not_said_to_be_kept(
    run: Run, reading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file where the folder is to be: nothing can be written, whoever runs it."""
    monkeypatch.setenv("DATABASE_URL", reading)
    (tmp_path / "tiles").write_text("no folder")
    code, out, err = run("tiles", "seed", "parcels", "--zoom", "10", "--data", tmp_path)
    assert (code, err.count("\n")) == (1, 1)
    drawn, _, _ = counts(out)
    assert f"{drawn:,} tiles could not be kept in {tmp_path / 'tiles'} (unable to open" in err
    assert "make room" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("seed", "nope"), "no layer 'nope'"),
        (("seed", "parcels", "--at", "2014-01-01/2015-01-01"), "not an interval"),
        (("seed", "parcels", "--at", "soon"), "--at: "),
        (("seed", "parcels", "--revision", "1"), "say --at which instant"),
        (("seed", "parcels", "--revision", "99", "--at", "2014-01-01"), "99"),
        (("seed", "parcels", "--properties", "height"), "no property 'height'"),
        (("archive", "parcels", "parcels.mbtiles"), ".pmtiles"),
        (("archive", "parcels", "/nowhere/at/all/parcels.pmtiles"), "folder that exists"),
        (("archive", "parcels", "{tmp}/p.pmtiles", "--at", "1900-01-01"), "nothing of the layer"),
    ],
)
def test_what_is_refused(
    run: Run, seed: Run, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    given = [word.replace("{tmp}", str(tmp_path)) for word in words]
    code, out, err = run("tiles", *given, "--data", tmp_path)
    assert (code, out) == (1, "")
    assert err.startswith("shikong: ")
    assert err.count("\n") == 1
    assert said in err
    assert not list(tmp_path.glob("*.pmtiles"))


@pytest.mark.parametrize(
    "words", [("--zoom", "5..3"), ("--zoom", "0..40"), ("--zoom", "a"), ("--workers", "0"),
              ("--revision", "0"), ("--as", "me"), ("--matrix-set", "Mars")],
)  # fmt: skip
def test_words_that_say_nothing(words: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["tiles", "seed", "parcels", *words])
    assert left.value.code == 2


def test_a_layer_that_is_not_everybodys_says_how(run: Run, own_city: str, tmp_path: Path) -> None:
    run("layer", "set", "parcels", "--visibility", "internal")
    own = ("parcels", "--zoom", "0..3", "--data", tmp_path)
    code, out, err = run("tiles", "seed", *own)
    assert (code, out) == (1, "")
    assert "--as everything" in err
    assert run("tiles", "seed", *own, "--as", "everything")[0] == 0
    file = tmp_path / "p.pmtiles"
    assert run("tiles", "archive", own[0], file, *own[1:], "--as", "everything")[0] == 0
    # It left the store in a file: the audit says so.
    _, out, _ = run("audit", "--layer", "parcels", "--action", "read")
    assert "tile-archive" in out


def test_ctrl_c_leaves_what_is_done(reading: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "services.cli", "tiles", "seed", "parcels",
               "--zoom", "0..19", "--data", str(tmp_path)]  # fmt: skip
    environment = os.environ | {"DATABASE_URL": reading, "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # A shell that runs the tests in the background has what it starts know of no Ctrl-C.
    known = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes)
    signal.signal(signal.SIGINT, known)
    with process:
        shelf, end = Shelf(tmp_path / "tiles", 1 << 30), time.monotonic() + 60
        while shelf.bytes_kept() < 50_000 and time.monotonic() < end:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "run it again to go on" in out
    stopped = re.search(r"([\d,]+) drawn", out)
    assert stopped is not None
    assert int(stopped[1].replace(",", "")) > 0
    assert shelf.bytes_kept() >= 50_000
