"""Backups: what is restored answers as before, byte by byte; and what is damaged is refused."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from publishing import EVERYTHING, START, WRITER, layer
from starlette.testclient import TestClient

from layers import tables
from layers.database import Database, connect
from layers.edits import Update
from layers.errors import BadArchive, StoreNotEmpty, StoreUnavailable
from layers.keeping.archive_files import Manifest
from layers.keeping.archives import backup, restore
from layers.keeping.verify import verify
from layers.store import Store, open_store
from services.app import create_app
from services.settings import Settings
from tests.databases import Databases

LAYERS = ("cases", "pipes", "plots")
INSTANTS = [START + timedelta(days=n) for n in (-400, 1.5, 9, 12, 400)]
# Restores, and says when it is half way.
RESTORER = """
import sys
from pathlib import Path
from layers.keeping.archives import restore
from layers.database import connect
def say(name):
    print(name, flush=True)
    if name == sys.argv[3]:
        sys.stdin.read()
restore(connect(sys.argv[1]), Path(sys.argv[2]), say)
"""


@pytest.fixture(scope="module")
def rich(rich_template: str, make_database: Databases) -> Iterator[Store]:
    with make_database.passing(rich_template) as dsn, closing(open_store(dsn)) as store:
        yield store


@pytest.fixture(scope="module")
def archive(rich: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archives") / "rich.zip"
    backup(rich.database, path)
    return path


@pytest.fixture
def empty(make_database: Databases) -> Iterator[Database]:
    """A database without anything, not even PostGIS."""
    with closing(connect(make_database())) as database:
        yield database


@pytest.fixture(scope="module")
def restored(archive: Path, make_database: Databases) -> Iterator[Store]:
    dsn = make_database()
    with closing(connect(dsn)) as database:
        restore(database, archive)
    with closing(open_store(dsn)) as store:
        yield store


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def rewritten(path: Path, to: Path, changed: dict[str, bytes | None]) -> Path:
    """A copy of an archive with some members replaced, or left out."""
    with zipfile.ZipFile(to, "w") as file:
        for name, content in (members(path) | changed).items():
            if content is not None:
                file.writestr(name, content)
    return to


def with_manifest(path: Path, to: Path, **changes: Any) -> Path:
    document = json.loads(members(path)["manifest.json"]) | changes
    return rewritten(path, to, {"manifest.json": json.dumps(document).encode()})


def relations(database: Database) -> list[str]:
    """What stands in the platform's schemas."""
    with database.inspect() as connection:
        query = sa.text(
            "SELECT n.nspname || '.' || c.relname FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname IN ('shikong', 'live', 'history', 'restricted_live')"
        )
        return list(connection.scalars(query))


# --- what is restored --------------------------------------------------------------------------


def test_a_restored_store_has_no_fault(restored: Store) -> None:
    assert [str(f) for f in verify(restored.database)] == []


def test_every_table_has_the_same_rows_to_the_letter(rich: Store, restored: Store) -> None:
    with rich.database.inspect() as before, restored.database.inspect() as after:
        # The texts of rows, in any order: columns that were added stand elsewhere.
        for schema in (tables.CATALOGUE, *tables.LAYER_SCHEMAS):
            names = sorted(sa.inspect(before).get_table_names(schema))
            assert names == sorted(sa.inspect(after).get_table_names(schema))
            for name in names:
                rows = sa.text(
                    f"SELECT to_jsonb(t) || jsonb_build_object('at', t.ctid::text)"
                    f' FROM {schema}."{name}" AS t'
                )
                told = [
                    sorted(json.dumps(row | {"at": ""}) for row in connection.scalars(rows))
                    for connection in (before, after)
                ]
                assert told[0] == told[1]


def test_pinned_reads_are_the_same_revision_by_revision(rich: Store, restored: Store) -> None:
    read = 0
    for name in LAYERS:
        for revision in range(1, layer(rich, name).record.head + 1):
            for instant in INSTANTS:
                one, other = (
                    layer(s, name).at(instant, revision=revision) for s in (rich, restored)
                )
                rows = one.rows()
                assert rows == other.rows()
                assert one.read().to_wkb().equals(other.read().to_wkb())
                read += len(rows)
    assert read > 500


def test_answers_over_http_have_the_same_bytes(
    rich: Store, restored: Store, tmp_path: Path
) -> None:
    clients = [TestClient(create_app(s, Settings(tmp_path))) for s in (rich, restored)]
    addresses = ["/collections?f=json"]
    for name in ("pipes", "plots"):
        addresses.append(f"/collections/{name}/revisions")
        for revision in range(1, layer(rich, name).record.head + 1):
            for instant in INSTANTS:
                when = instant.isoformat().replace("+00:00", "Z")
                pinned = f"f=json&datetime={when}&revision={revision}"
                addresses.append(f"/collections/{name}/items?{pinned}")
    assert len(addresses) > 100
    for address in addresses:
        one, other = (client.get(address) for client in clients)
        assert one.status_code == other.status_code == 200, (address, one.text)
        assert one.content == other.content
        assert one.headers.get("ETag") == other.headers.get("ETag")


def test_a_backup_of_what_was_restored_has_equal_members(
    archive: Path, restored: Store, tmp_path: Path
) -> None:
    backup(restored.database, tmp_path / "again.zip")
    assert members(tmp_path / "again.zip") == members(archive)


def test_a_restored_store_goes_on(archive: Path, empty: Database) -> None:
    restore(empty, archive)
    dsn = empty.writing.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with closing(open_store(dsn)) as store:
        last = max(r.commit.id for name in LAYERS for r in layer(store, name).revisions())
        head = layer(store, "pipes").record.head
        done = store.commit({"pipes": [Update("a", {"n": 9})]}, WRITER, "goes on")
        assert (done.commit, done.reports["pipes"].revision) == (last + 1, head + 1)
        again = store.revert(done.commit or 0, WRITER)
        assert again.reports["pipes"].changed == 1
        assert verify(store.database) == []


def test_a_store_that_was_opened_and_never_used_is_empty(store: Store, archive: Path) -> None:
    restore(store.database, archive)
    assert [found.id for found in store.layers(EVERYTHING)] == list(LAYERS)
    assert verify(store.database) == []


def test_the_demo_city_comes_back(demo_store: Store, empty: Database, tmp_path: Path) -> None:
    written = backup(demo_store.database, tmp_path / "demo.zip")
    restore(empty, tmp_path / "demo.zip")
    assert verify(empty) == []
    assert backup(empty, tmp_path / "again.zip") == written


# --- the file ----------------------------------------------------------------------------------


def test_an_archive_says_what_it_is_and_only_its_owner_reads_it(archive: Path) -> None:
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    manifest = json.loads(members(archive)["manifest.json"])
    assert manifest["format"] == 1
    assert "restricted" in manifest["note"]
    plots = next(m for m in manifest["members"] if m["table"] == "plots")
    lines = members(archive)["live/plots.csv"].decode().splitlines()
    assert lines[0] == ",".join(plots["columns"])
    assert list(archive.parent.iterdir()) == [archive]


def test_a_backup_replaces_no_file(rich: Store, archive: Path) -> None:
    before = archive.read_bytes()
    with pytest.raises(BadArchive, match="is there already"):
        backup(rich.database, archive)
    assert archive.read_bytes() == before


def test_a_backup_that_fails_leaves_no_file(rich: Store, tmp_path: Path) -> None:
    def fail(name: str) -> None:
        if name == "live/plots.csv":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup(rich.database, tmp_path / "b.zip", fail)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BadArchive, match="can't be written"):
        backup(rich.database, tmp_path / "nowhere" / "b.zip")


def test_a_database_without_a_store_has_no_backup(empty: Database, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no store"):
        backup(empty, tmp_path / "b.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_a_newer_release_is_not_backed_up(
    empty_template: str, make_database: Databases, tmp_path: Path
) -> None:
    with closing(connect(make_database(empty_template))) as database:
        with database.own() as connection:
            connection.execute(sa.text("UPDATE shikong.alembic_version SET version_num = '9999'"))
        with pytest.raises(StoreUnavailable, match="newer release"):
            backup(database, tmp_path / "b.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_backup_is_of_one_moment(
    rich_template: str, make_database: Databases, empty: Database, tmp_path: Path
) -> None:
    with make_database.passing(rich_template) as dsn, closing(open_store(dsn)) as store:
        head = layer(store, "pipes").record.head

        def commit_meanwhile(name: str) -> None:
            if name == "live/cases.csv":
                store.commit({"pipes": [Update("a", {"n": 9})]}, WRITER, "meanwhile")

        backup(store.database, tmp_path / "b.zip", commit_meanwhile)
        assert layer(store, "pipes").record.head == head + 1
    restore(empty, tmp_path / "b.zip")
    assert verify(empty) == []
    with empty.read() as connection:
        query = sa.select(tables.layer.c.head).where(tables.layer.c.id == "pipes")
        assert connection.scalar(query) == head


# --- what is refused ---------------------------------------------------------------------------


def refused(database: Database, path: Path, error: type[Exception], words: str) -> None:
    before = relations(database)
    with pytest.raises(error, match=words):
        restore(database, path)
    assert relations(database) == before


def test_what_is_no_archive_is_refused(archive: Path, empty: Database, tmp_path: Path) -> None:
    refused(empty, tmp_path / "absent.zip", BadArchive, "does not exist")
    text = tmp_path / "text.zip"
    text.write_text("no zip")
    refused(empty, text, BadArchive, "damaged, or no archive")
    bare = rewritten(archive, tmp_path / "bare.zip", {"manifest.json": None})
    refused(empty, bare, BadArchive, "damaged, or no archive: manifest.json")


def test_a_truncated_archive_is_refused(archive: Path, empty: Database, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    for kept in (0, 100, len(whole) // 2, len(whole) - 1):
        short = tmp_path / f"{kept}.zip"
        short.write_bytes(whole[:kept])
        refused(empty, short, BadArchive, "damaged")


def test_a_flipped_byte_in_any_member_is_refused(
    archive: Path, empty: Database, tmp_path: Path
) -> None:
    whole, flipped = archive.read_bytes(), tmp_path / "flipped.zip"
    with zipfile.ZipFile(archive) as file:
        infos = file.infolist()
    for info in infos:
        # Past the header of the member: 30 bytes, its name, and what zip64 adds.
        middle = info.header_offset + 30 + len(info.filename) + 20 + info.compress_size // 2
        flipped.write_bytes(whole[:middle] + bytes([whole[middle] ^ 0x10]) + whole[middle + 1 :])
        refused(empty, flipped, BadArchive, "damaged")


def test_members_that_differ_from_the_manifest_are_refused(
    archive: Path, empty: Database, tmp_path: Path
) -> None:
    text = members(archive)["live/plots.csv"]
    forged = rewritten(
        archive, tmp_path / "1.zip", {"live/plots.csv": text.replace(b"all", b"ALL")}
    )
    refused(empty, forged, BadArchive, "live/plots.csv differs from its checksum")
    fewer = rewritten(archive, tmp_path / "2.zip", {"live/plots.csv": None})
    refused(empty, fewer, BadArchive, "not what its manifest says")
    more = rewritten(archive, tmp_path / "3.zip", {"live/other.csv": b""})
    refused(empty, more, BadArchive, "not what its manifest says")


def test_a_manifest_that_its_layers_contradict_is_refused(
    archive: Path, empty: Database, tmp_path: Path
) -> None:
    told = json.loads(members(archive)["manifest.json"])["members"]
    plots = next(m for m in told if (m["schema"], m["table"]) == ("live", "plots"))
    rows = [{**m, "rows": 1 + m["rows"]} if m is plots else m for m in told]
    path = with_manifest(archive, tmp_path / "1.zip", members=rows)
    refused(empty, path, BadArchive, "and its manifest says")
    elsewhere = [{**m, "schema": "public"} if m is plots else m for m in told]
    path = with_manifest(archive, tmp_path / "2.zip", members=elsewhere)
    refused(empty, path, BadArchive, "other schemas")


def test_archives_of_what_is_newer_are_refused(
    archive: Path, empty: Database, tmp_path: Path
) -> None:
    path = with_manifest(archive, tmp_path / "1.zip", format=2)
    refused(empty, path, BadArchive, "archive format 2, and this release reads 1")
    path = with_manifest(archive, tmp_path / "2.zip", catalogue="9999", shikong="9.0")
    refused(empty, path, BadArchive, "newer release, 9.0 .catalogue 9999")


def test_a_store_that_is_not_empty_is_refused(archive: Path, rich: Store, store: Store) -> None:
    refused(rich.database, archive, StoreNotEmpty, "has layers")
    with store.database.write() as connection:
        connection.execute(sa.insert(tables.setting).values(name="a", value=1))
    refused(store.database, archive, StoreNotEmpty, "setting has rows")
    assert verify(store.database) == []


@pytest.mark.parametrize("where", ["shikong/revision.csv", "live/plots.csv"])
def test_a_restore_that_is_killed_half_way_leaves_nothing(
    archive: Path, make_database: Databases, where: str
) -> None:
    dsn = make_database()
    command = [sys.executable, "-c", RESTORER, dsn, str(archive), where]
    pipes = {"stdout": subprocess.PIPE, "stdin": subprocess.PIPE, "encoding": "utf-8"}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == where:
                break
        os.kill(process.pid, signal.SIGKILL)
    with closing(connect(dsn)) as database:
        assert relations(database) == []
        restore(database, archive)
        assert verify(database) == []


def test_restoring_needs_no_superuser_but_the_database(
    archive: Path, make_database: Databases
) -> None:
    dsn = make_database()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION postgis")
    with closing(connect(dsn)) as database:
        found: Manifest = restore(database, archive)
        assert found.rows > 100
