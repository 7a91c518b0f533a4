"""What `shikong publish` is told of a source, and what the log keeps of it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import openpyxl
import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from layers.store import open_store
from tests.databases import Databases

Run = Callable[..., tuple[int, str, str]]
WELLS = "no;x;y\n1;120.5;31\n2;120.6;31.5\n"
FIRST = ("--layer", "t", "--valid-from", "2020-01-01", "--crs", "EPSG:4490", "--key", "no")


@pytest.fixture
def empty(empty_template: str, make_database: Databases, monkeypatch: pytest.MonkeyPatch) -> str:
    dsn = make_database(empty_template)
    monkeypatch.setenv("DATABASE_URL", dsn)
    return dsn


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Wells as text and as a workbook, and another workbook, in one archive."""
    book = openpyxl.Workbook()
    for row in (["no", "shape"], ["1", "POINT (120.5 31)"], ["2", "POINT (120.6 31.5)"]):
        book.active.append(row)
    book.save(tmp_path / "wells.xlsx")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/wells.csv", WELLS)
        archive.write(tmp_path / "wells.xlsx", "in/book.xlsx")
    return tmp_path / "a.zip"


def provenance(dsn: str) -> str:
    with closing(open_store(dsn)) as store, store.database.read() as connection:
        found = connection.execute(sa.text("SELECT * FROM shikong.commit")).mappings()
        return json.dumps([dict(row) for row in found], default=str, ensure_ascii=False)


def test_tables_in_an_archive(empty: str, run: Run, packed: Path) -> None:
    code, _, said = run("publish", packed, *FIRST)
    assert code
    assert "in/book.xlsx, in/wells.csv" in said
    code, told, said = run(
        "publish", packed, *FIRST, "--source-layer", "wells", "--coordinates", "x", "y"
    )
    assert not code, said
    assert "2 created" in told
    code, _, said = run(
        "publish", packed, "--layer", "t", "--crs", "EPSG:4490", "--source-layer", "book.xlsx",
        "--wkt", "shape",
    )  # fmt: skip
    assert not code, said
    assert "a.zip/in/wells.csv" in provenance(empty)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--separator", "#"), "--separator '#'"),
        (("--query", "SELECT 1"), "--query is of databases"),
        (("--coordinates", "x", "y", "--wkt", "x"), "not both"),
    ],
)
def test_options_that_say_nothing(
    empty: str, run: Run, tmp_path: Path, options: tuple[str, ...], match: str
) -> None:
    path = tmp_path / "wells.csv"
    path.write_text(WELLS)
    code, _, said = run("publish", path, *FIRST, *options)
    assert code
    assert match in said


@pytest.fixture
def other(empty_template: str, make_database: Databases, server_dsn: str) -> str:
    """Another database; its address has a password, for which nobody asks."""
    dsn = make_database(empty_template)
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "CREATE TABLE wells (no text, geom geometry(Point, 4490));"
            "INSERT INTO wells SELECT i::text, ST_SetSRID(ST_MakePoint(120, 30 + i), 4490) "
            "FROM generate_series(1, 3) AS i"
        )
    url = make_url(dsn)
    # pragma: allowlist nextline secret - of nobody
    return url.set(password="s3cret").render_as_string(hide_password=False)


def test_a_database(empty: str, run: Run, other: str) -> None:
    start = ("--layer", "t", "--valid-from", "2020-01-01", "--key", "no")
    code, _, said = run("publish", other, *start)
    assert code
    assert "public.wells" in said
    code, told, err = run("publish", other, *start, "--source-layer", "public.wells")
    assert not code, err
    assert "3 created" in told
    only = "SELECT * FROM wells WHERE no <> '3'"
    both = ("--query", only, "--source-layer", "public.wells")
    code, _, refused = run("publish", other, "--layer", "t", *both)
    assert "not both" in refused
    code, log, err = run("publish", other, "--layer", "t", "--yes", "--query", only)
    assert not code, err
    assert "1 retired" in log
    code, history, _ = run("log")
    kept = provenance(empty)
    assert "public.wells" in kept
    assert "s3cret" not in "".join((said, told, refused, log, err, history, kept))


def test_a_server_that_nobody_listed(empty: str, run: Run) -> None:
    code, _, said = run("publish", "https://gis.city.example/collections/wells", *FIRST)
    assert code
    assert "SHIKONG_SOURCES" in said
