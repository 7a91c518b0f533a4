"""verify, backup and restore on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.databases import Databases

Run = Callable[..., tuple[int, str, str]]


def test_verify_says_in_one_line_each_what_is_wrong(run: Run, own_city: str) -> None:
    assert run("verify") == (0, "no faults · 未发现错误\n", "")
    with psycopg.connect(own_city, autocommit=True) as connection:
        connection.execute("UPDATE live.parcels SET _hash = '' WHERE _fid = '169-100'")
    code, out, err = run("verify")
    assert code == 1
    assert out.count("\n") == 1
    assert out.startswith("parcels: hash: live.parcels '169-100' revision ")
    assert "1 faults · 发现 1 处错误" in err
    assert run("verify", "grids", "incidents")[0] == 0
    code, out, err = run("verify", "nowhere")
    assert (code, out) == (1, "")
    assert "no layer 'nowhere'; there are: grids" in err


def test_a_backup_is_restored_into_an_empty_store_alone(
    run: Run,
    own_city: str,
    make_database: Databases,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    file = tmp_path / "city.zip"
    code, out, err = run("backup", file)
    assert code == 0
    assert out.startswith("5 layers, ")
    assert "restricted" in err
    code, _, err = run("backup", file)
    assert (code, "is there already" in err) == (1, True)
    code, _, err = run("restore", file)
    assert (code, "the store has layers" in err) == (1, True)
    listed = run("layers")
    monkeypatch.setenv("DATABASE_URL", make_database())
    code, out, _ = run("restore", file)
    assert (code, "-> 5 layers, " in out) == (0, True)
    assert run("layers") == listed
    assert run("verify")[0] == 0
    file.write_bytes(file.read_bytes()[:-100])
    code, _, err = run("restore", file)
    assert (code, err.count("\n"), "damaged" in err) == (1, 1, True)


def test_a_backup_of_nothing_and_of_nowhere_is_refused_in_one_line(
    run: Run, make_database: Databases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", make_database())
    code, _, err = run("backup", tmp_path / "b.zip")
    assert (code, err.count("\n"), "no store" in err) == (1, 1, True)
    nowhere = "postgresql://nobody:secret@127.0.0.1:1/none"  # pragma: allowlist secret - nobody's
    monkeypatch.setenv("DATABASE_URL", nowhere)
    code, _, err = run("backup", tmp_path / "b.zip")
    assert (code, err.count("\n"), "secret" in err) == (1, 1, False)
    assert list(tmp_path.iterdir()) == []
