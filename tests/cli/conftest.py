"""The command line as a test runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.cli import main
from tests.databases import Databases

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command and returns its code and what it said."""

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


@pytest.fixture
def own_city(demo_template: str, make_database: Databases, monkeypatch: pytest.MonkeyPatch) -> str:
    """The demo city, in a store of this test's own."""
    dsn = make_database(demo_template)
    monkeypatch.setenv("DATABASE_URL", dsn)
    return dsn


@pytest.fixture
def store_dsn(
    empty_template: str, make_database: Databases, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """An empty store of this test's own."""
    with make_database.passing(empty_template) as dsn:
        monkeypatch.setenv("DATABASE_URL", dsn)
        yield dsn
