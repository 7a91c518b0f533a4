"""The audit on the command line."""

from __future__ import annotations

import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from layers.access.audit import Entry, append
from layers.database import connect
from tests.databases import Databases

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def noted(empty_template: str, make_database: Databases, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with three entries."""
    dsn = make_database(empty_template)
    monkeypatch.setenv("DATABASE_URL", dsn)
    with closing(connect(dsn)) as database, database.keep() as connection:
        append(connection, Entry("key:ab", "read", "192.0.2.1", "t", None, "r-1", {"what": "地块"}))
        append(connection, Entry("person:1", "login", "\x1b[2J\u202e"))
        append(connection, Entry("key:ab", "commit", layer="t", commit=7))
    return dsn


def numbers(answer: tuple[int, str, str]) -> list[int]:
    code, out, err = answer
    assert (code, err) == (0, "")
    return [int(line.split()[0]) for line in out.splitlines()]


def test_entries_are_lines_the_newest_last(run: Run, noted: str) -> None:
    lines = run("audit")[1].splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("1      20")
    told = 'key:ab  read  t  from 192.0.2.1  request r-1  {"what": "地块"}'
    assert lines[0].endswith(f"Z  {told}")
    assert lines[1].endswith("Z  person:1  login  from \\x1b[2J\\u202e")
    assert lines[2].endswith("Z  key:ab  commit  t  commit 7")
    assert numbers(run("audit", "--limit", "2")) == [2, 3]
    assert numbers(run("audit", "--actor", "key:ab", "--layer", "t")) == [1, 3]
    assert numbers(run("audit", "--action", "login")) == [2]
    assert numbers(run("audit", "--since", "2020-01-01", "--until", "9999-12-31")) == [1, 2, 3]
    assert numbers(run("audit", "--until", "2020-01-01T00:00:00Z")) == []
    assert numbers(run("audit", "--since", "9999-01-01")) == []


def test_a_date_is_of_shanghai_and_a_bad_one_is_refused(run: Run, noted: str) -> None:
    with closing(psycopg.connect(noted, autocommit=True)) as server:
        server.execute("ALTER TABLE shikong.audit DISABLE TRIGGER ALL")
        server.execute("UPDATE shikong.audit SET at = '2026-05-31T16:00:00Z' WHERE seq = 1")
    assert numbers(run("audit", "--until", "2026-06-01")) == []
    assert numbers(run("audit", "--until", "2026-06-01T00:00:01+08:00")) == [1]
    code, out, err = run("audit", "--since", "yesterday")
    assert (code, out, err.count("\n")) == (1, "", 1)
    for limit in ("0", "-1", "x"):
        with pytest.raises(SystemExit):
            run("audit", "--limit", limit)


def test_all_of_it_goes_to_a_file_of_its_owner(run: Run, noted: str, tmp_path: Path) -> None:
    head = run("audit", "--head")[1].strip()
    for name in ("a.jsonl", "a.CSV"):
        file = tmp_path / name
        code, out, _ = run("audit", "--out", file)
        assert (code, out.startswith("3 entries"), out.endswith(f"head {head}\n")) == (
            0,
            True,
            True,
        )
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        before = file.read_bytes()
        assert head.split(":")[1] in before.decode()
        code, out, err = run("audit", "--out", file)
        assert (code, out, "File exists" in err) == (1, "", True)
        assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--out", "a.txt"), "name a file .jsonl or .csv"),
        (("--out", "nowhere/a.csv"), "can't be made"),
        (("--out", "a.csv", "--actor", "key:ab"), "a part of a chain"),
        (("--head", "--since", "2026-01-01"), "a part of a chain"),
    ],
)
def test_what_cant_be_exported_leaves_no_file(
    run: Run,
    noted: str,
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("audit", *arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert words in err
    assert list(tmp_path.iterdir()) == []


def test_verify_holds_the_audit_against_a_head_kept_elsewhere(run: Run, noted: str) -> None:
    head = run("audit", "--head")[1].strip()
    assert run("verify", "--audit-head", head)[0] == 0
    with closing(psycopg.connect(noted, autocommit=True)) as server:
        server.execute("ALTER TABLE shikong.audit DISABLE TRIGGER ALL")
        server.execute("DELETE FROM shikong.audit WHERE seq = 3")
        server.execute("ALTER TABLE shikong.audit ENABLE ALWAYS TRIGGER audit_only_added_to")
    assert run("verify")[0] == 0
    code, out, _ = run("verify", "--audit-head", head)
    assert code == 1
    assert out.startswith("audit: entry 3: was there once, and the last one now is 2; ")
    code, out, err = run("verify", "--audit-head", "3")
    assert (code, out, "shikong audit --head prints one" in err) == (1, "", True)
