"""The audit: what stands in it, that nobody alters it, and that whatever was altered is found."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from publishing import START, WRITER, points, publish, schema_of

from layers import roles
from layers.access.audit import (
    Entry,
    Head,
    Watch,
    append,
    head,
    parse_head,
    read_entries,
)
from layers.access.chain import (
    HASHED,
    broken_links,
    export_lines,
    link_hash,
    read_links,
)
from layers.database import Database, connect
from layers.edits import Update
from layers.errors import BadQuery, StoreNotEmpty, StoreUnavailable, UnknownFeature
from layers.keeping.archives import backup, restore
from layers.keeping.verify import verify
from layers.model import Document
from layers.store import Store, open_store
from layers.writers import Writer
from tests.databases import Databases

STORES = Path(__file__).resolve().parents[1] / "fixtures" / "stores"
COUNT = 12
ODD = ["", "\0", "a\0b", "\ud800", "🗺 地块", 'a"b,c', "\r\n", "\u2028", "\x1b[2J", "NULL", "\\x00"]


def note(database: Database, *entries: Entry) -> None:
    with database.keep() as connection:
        for entry in entries:
            append(connection, entry)


def broken(store: Store, anchor: Head | None = None) -> list[tuple[int, str]]:
    with store.database.inspect() as connection:
        return [(link.seq, link.text) for link in broken_links(connection, anchor)]


def head_of(store: Store) -> Head:
    with store.database.keep() as connection:
        return head(connection)


def entries_of(store: Store, **asked: object) -> list[Entry]:
    with store.database.keep() as connection:
        return [kept.entry for kept in read_entries(connection, **asked)]  # type: ignore[arg-type]


def exported(database: Database, form: str = "jsonl") -> str:
    with database.keep() as connection:
        return "".join(export_lines(read_links(connection), form))


def dsn_of(database: Database) -> str:
    return database.owning.url.set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
def kept(store: Store) -> Store:
    """A store with some entries."""
    note(store.database, *(Entry(f"key:{n}", "read", "::1", layer="t") for n in range(COUNT - 1)))
    note(store.database, Entry("person:1", "login"))
    return store


# --- what stands in it -------------------------------------------------------------------------


def test_entries_are_numbered_from_1_and_chained(kept: Store) -> None:
    with kept.database.keep() as connection:
        found = read_entries(connection, newest_first=False)
    assert [k.seq for k in found] == list(range(1, COUNT + 1))
    assert found[-1].entry == Entry("person:1", "login")
    assert found[0].entry == Entry("key:0", "read", "::1", "t")
    assert all(a.at <= b.at for a, b in itertools.pairwise(found))
    assert head_of(kept) == (COUNT, found[-1].hash)
    assert broken(kept, head_of(kept)) == []
    assert verify(kept.database, audit_head=head_of(kept)) == []


def test_an_empty_audit_has_a_head_and_no_fault(store: Store) -> None:
    assert head_of(store) == (0, "0" * 64)
    assert broken(store, head_of(store)) == []


def test_entries_are_found_by_who_what_and_when(store: Store) -> None:
    for layer in ("a", "b"):
        publish(store, layer, points(no=["1"]), schema_of())
    note(store.database, Entry("key:1", "read", layer="a"), Entry("key:2", "read", layer="b"))
    assert [e.actor for e in entries_of(store, layer="a")] == ["key:1", "test"]
    assert [e.layer for e in entries_of(store, action="commit")] == ["b", "a"]
    assert [e.layer for e in entries_of(store, actor="key:2")] == ["b"]
    assert len(entries_of(store, limit=3)) == 3
    with store.database.keep() as connection:
        first = read_entries(connection, limit=2, newest_first=False)
        rest = read_entries(connection, after=first[-1].seq, newest_first=False)
        assert [k.seq for k in rest] == [3, 4]
        assert [k.seq for k in read_entries(connection, after=3)] == [2, 1]
        third = rest[0].at
        assert [k.seq for k in read_entries(connection, until=third)] == [2, 1]
        later = third + timedelta(microseconds=1)
        assert [k.seq for k in read_entries(connection, since=later)] in ([4], [])
        assert 3 in [k.seq for k in read_entries(connection, since=third)]


def test_a_commit_is_one_entry_without_any_value(store: Store) -> None:
    fields = ({"id": "a"}, {"id": "owner", "visibility": "restricted"})
    writer = Writer("Office", caller="key:ab", origin="192.0.2.7")
    for name in ("t", "u"):
        frame = points(no=["1"], a=["SECRET"], owner=["SECRET"])
        publish(store, name, frame, schema_of(*fields))
    both = {name: [Update("1", {"a": "SECRETER", "owner": "SECRETEST"})] for name in ("t", "u")}
    document = Document("D-1", "deed", "2020-01-04")
    done = store.commit(both, writer, "SECRET message", document=document)
    entry = entries_of(store, limit=1)[0]
    counts = {"revision": 2, "created": 0, "changed": 1, "retired": 0}
    detail = {"layers": {"t": counts, "u": counts}, "document": "D-1"}
    assert entry == Entry("key:ab", "commit", "192.0.2.7", None, done.commit, None, detail)
    assert [e.commit for e in entries_of(store, layer="u")] == [done.commit, 2]
    assert "SECRET" not in exported(store.database)
    assert broken(store) == []


def test_an_erasure_is_an_entry(store: Store) -> None:
    owner = {"id": "owner", "visibility": "restricted"}
    publish(store, "t", points(no=["1"], owner=["SECRET"]), schema_of(owner))
    store.erase("t", "1", Writer("n", caller="person:9"), "SECRET reason")
    detail = {"feature": "1", "versions": 1}
    assert entries_of(store)[0] == Entry("person:9", "erase", "", "t", detail=detail)
    assert "SECRET" not in exported(store.database)


def test_what_is_rolled_back_leaves_no_entry(store: Store) -> None:
    publish(store, "t", points(no=["1"], a=["x"]), schema_of({"id": "a"}))
    before = head_of(store)
    store.commit({"t": [Update("1", {"a": "y"})]}, WRITER, "m", dry_run=True)
    with pytest.raises(UnknownFeature):
        store.commit({"t": [Update("nobody", {"a": "y"})]}, WRITER, "m")
    assert store.commit({"t": [Update("1", {"a": "x"})]}, WRITER, "m").commit is None
    with store.database.keep() as connection:
        assert append(connection, Entry("a", "read")) == before.seq + 1
        connection.rollback()
    assert head_of(store) == before
    note(store.database, Entry("a", "read"))
    assert head_of(store).seq == before.seq + 1
    assert broken(store) == []


def test_writers_at_once_make_one_chain_without_gaps(store: Store) -> None:
    names = [f"t{n}" for n in range(8)]
    for name in names:
        publish(store, name, points(no=["1"], a=["x"]), schema_of({"id": "a"}))
    start = threading.Barrier(len(names))

    def work(name: str) -> None:
        start.wait()
        for n in range(4):
            store.commit({name: [Update("1", {"a": str(n)})]}, WRITER, "m")
            note(store.database, Entry("key:1", "read", layer=name), Entry("key:1", "read"))

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(work, names))
    assert head_of(store).seq == 8 + 8 * 4 * 3
    assert broken(store, head_of(store)) == []
    for name in names:
        assert len(entries_of(store, layer=name)) == 1 + 4 * 2


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_odd_texts_are_kept_and_fit_their_hash(store: Store, odd: str) -> None:
    note(store.database, Entry(odd, odd, odd, odd, 2**62, odd, {odd: [odd, {"x": odd}, 1.5, None]}))
    note(store.database, Entry("a", "b", detail={"n": float("nan"), "big": 10**30, "set": {1}}))
    assert broken(store) == []
    checked_apart(exported(store.database))
    assert list(csv.reader(io.StringIO(exported(store.database, "csv"), newline="")))[2][2] == "a"
    if "\0" not in odd and odd != "\ud800":
        assert entries_of(store)[1].origin == odd


def test_what_is_very_long_is_cut(store: Store) -> None:
    note(store.database, Entry("a", "read", "x" * 10_000, detail={"query": "y" * 100_000}))
    entry = entries_of(store)[0]
    assert len(entry.origin) == 500
    assert len(entry.detail["query"]) == 2000
    assert broken(store) == []


def test_no_two_contents_have_one_encoding() -> None:
    contents = [[None, ""], ["", None], ["", ""], [None, None], ["ab", "c"], ["a", "bc"], ["\x00"]]
    hashes = {link_hash(bytes(32), values) for values in contents}
    assert len(hashes) == len(contents)


def checked_apart(text: str) -> None:
    """The chain, computed from an export as docs/audit.md tells it."""
    previous = bytes(32)
    for number, line in enumerate(text.splitlines(), 1):
        row = json.loads(line)
        said = previous
        for name in HASHED:
            value = row[name]
            written = b"" if value is None else str(value).encode()
            said += b"\0" if value is None else b"\1" + len(written).to_bytes(8, "big") + written
        assert (row["seq"], row["previous"]) == (number, previous.hex())
        previous = hashlib.sha256(said).digest()
        assert row["hash"] == previous.hex()


def test_exports_say_the_same_in_both_forms(kept: Store) -> None:
    note(kept.database, Entry("a", "b", layer="", request=None))
    text = exported(kept.database)
    checked_apart(text)
    with closing(psycopg.connect(dsn_of(kept.database))) as server:
        server.execute("CREATE TEMP TABLE again (LIKE shikong.audit)")
        with server.cursor().copy("COPY again FROM STDIN (FORMAT csv, HEADER true)") as copy:
            # Hashes are hex digits without PostgreSQL's sign of them.
            copy.write(exported(kept.database, "csv").encode())
        same = "SELECT seq, at, layer, request, detail FROM {} ORDER BY seq"
        rows = [server.execute(same.format(t)).fetchall() for t in ("again", "shikong.audit")]
    assert rows[0] == rows[1]
    assert len(rows[0]) == len(text.splitlines()) == COUNT + 1


def test_a_head_is_read_back(kept: Store) -> None:
    found = head_of(kept)
    assert parse_head(f" {found}\n") == found
    for text in ("", "1", "x:" + "0" * 64, "1:" + "0" * 63, "-1:" + "0" * 64, "²:" + "0" * 64):
        with pytest.raises(BadQuery, match="audit --head"):
            parse_head(text)


# --- what was altered is found -----------------------------------------------------------------

SET = "UPDATE shikong.audit SET"
# How it is done by who may do anything, and at which entries it shows.
TAMPERED = {
    "another actor": (f"{SET} actor = 'key:99' WHERE seq = 5", {5}),
    "another detail": (f"{SET} detail = '{{\"a\": 1}}' WHERE seq = 5", {5}),
    "nothing for an empty text": (f"{SET} request = '' WHERE seq = 5", {5}),
    "another moment": (f"{SET} at = at + interval '1 microsecond' WHERE seq = 12", {12}),
    "a moment before Christ": (
        f"{SET} at = CAST(CAST(at AS text) || ' BC' AS timestamptz) WHERE seq = 5",
        {5},
    ),
    "a moment that never comes": (f"{SET} at = 'infinity' WHERE seq = 12", {12}),
    "another previous hash": (
        f"{SET} previous = decode(repeat('11', 32), 'hex') WHERE seq = 5",
        {5},
    ),
    "another hash": (f"{SET} hash = decode(repeat('11', 32), 'hex') WHERE seq = 5", {5, 6}),
    "one is gone": ("DELETE FROM shikong.audit WHERE seq = 5", {6}),
    "the first is gone": ("DELETE FROM shikong.audit WHERE seq = 1", {2}),
    "some are gone": ("DELETE FROM shikong.audit WHERE seq IN (5, 6, 9)", {7, 10}),
    "two have changed places": (
        f"{SET} seq = 99 WHERE seq = 5; {SET} seq = 5 WHERE seq = 8; {SET} seq = 8 WHERE seq = 99",
        {5, 6, 8, 9},
    ),
    "one more that nobody wrote": (
        "INSERT INTO shikong.audit SELECT seq + 1, at, actor, origin, action, layer, commit_id,"
        " request, detail, hash, hash FROM shikong.audit WHERE seq = 12",
        {13},
    ),
    "one is numbered 0": (f"{SET} seq = 0 WHERE seq = 5", {0, 6}),
}


def tamper(store: Store, statements: str) -> None:
    with closing(psycopg.connect(dsn_of(store.database), autocommit=True)) as server:
        server.execute("ALTER TABLE shikong.audit DISABLE TRIGGER ALL")
        for statement in statements.split("; "):
            assert server.execute(statement).rowcount > 0
        server.execute("ALTER TABLE shikong.audit ENABLE ALWAYS TRIGGER audit_only_added_to")


@pytest.mark.parametrize("how", TAMPERED)
def test_what_was_altered_is_found(kept: Store, how: str) -> None:
    statements, at = TAMPERED[how]
    tamper(kept, statements)
    found = {seq for seq, _ in broken(kept)}
    # The first entry after a moment that is too late is of an earlier one.
    assert at <= found <= at | {seq + 1 for seq in at}
    faults = verify(kept.database)
    assert {f.check for f in faults} == {"audit"}
    assert "keep the database as it is" in faults[0].text


@pytest.mark.parametrize("how", ["DELETE FROM shikong.audit WHERE seq > 11", "TRUNCATE"])
def test_an_end_that_was_cut_off_is_found_by_a_head_kept_elsewhere(kept: Store, how: str) -> None:
    whole = head_of(kept)
    tamper(kept, "DELETE FROM shikong.audit" if how == "TRUNCATE" else how)
    assert broken(kept) == []
    assert [seq for seq, _ in broken(kept, whole)] == [COUNT]
    assert [f.where for f in verify(kept.database, audit_head=whole)] == [f"entry {COUNT}"]


def test_a_chain_written_anew_is_found_by_a_head_kept_elsewhere(kept: Store) -> None:
    whole = head_of(kept)
    tamper(kept, "DELETE FROM shikong.audit WHERE seq > 8")
    note(kept.database, *(Entry("key:honest", "read") for _ in range(COUNT)))
    assert broken(kept) == []
    found = broken(kept, whole)
    assert [seq for seq, _ in found] == [COUNT]
    assert "whose hash was kept" in found[0][1]


def test_entries_out_of_time_are_found_though_their_hashes_fit(kept: Store) -> None:
    with kept.database.keep() as connection:
        links = list(read_links(connection))
    values = list(links[-1].values)
    values[1] = "2020-01-01T00:00:00.000000Z"
    forged = link_hash(links[-1].previous, values).hex()
    tamper(kept, f"{SET} at = '2020-01-01Z', hash = decode('{forged}', 'hex') WHERE seq = {COUNT}")
    found = broken(kept)
    assert [seq for seq, _ in found] == [COUNT]
    assert "earlier moment" in found[0][1]


# --- nobody alters it --------------------------------------------------------------------------

SIGNATURE = "text, text, text, text, bigint, text, jsonb"
FORBIDDEN = [
    "INSERT INTO shikong.audit VALUES (99, now(), 'a', 'b', 'c', '', 0, '', '{}', '', '')",
    "UPDATE shikong.audit SET actor = 'nobody'",
    "UPDATE shikong.audit SET actor = 'nobody' WHERE false",
    "DELETE FROM shikong.audit",
    "TRUNCATE shikong.audit",
    "TRUNCATE shikong.audit CASCADE",
    "MERGE INTO shikong.audit AS a USING (SELECT 1) AS o ON true WHEN MATCHED THEN DELETE",
    "SELECT * FROM shikong.audit FOR UPDATE",
    "BEGIN; LOCK TABLE shikong.audit IN SHARE MODE; END",
    "ALTER TABLE shikong.audit ADD COLUMN more int",
    "ALTER TABLE shikong.audit DROP COLUMN hash",
    "ALTER TABLE shikong.audit DISABLE TRIGGER ALL",
    "ALTER TABLE shikong.audit OWNER TO CURRENT_USER",
    "ALTER TABLE shikong.audit RENAME TO other",
    "DROP TABLE shikong.audit",
    "DROP SCHEMA shikong CASCADE",
    "DROP TRIGGER audit_only_added_to ON shikong.audit",
    "CREATE TRIGGER t BEFORE INSERT ON shikong.audit EXECUTE FUNCTION shikong.audit_refuse()",
    "CREATE RULE r AS ON INSERT TO shikong.audit DO INSTEAD NOTHING",
    "CREATE INDEX ON shikong.audit (actor)",
    "CREATE OR REPLACE FUNCTION shikong.audit_refuse() RETURNS trigger LANGUAGE plpgsql"
    " AS 'BEGIN RETURN NULL; END'",
    f"CREATE OR REPLACE FUNCTION shikong.audit_append({SIGNATURE}) RETURNS bigint LANGUAGE sql"
    " AS 'SELECT 1'",
    f"ALTER FUNCTION shikong.audit_append({SIGNATURE}) SECURITY INVOKER",
    f"DROP FUNCTION shikong.audit_append({SIGNATURE})",
]


def as_role(store: Store, role: str) -> psycopg.Connection[tuple[object, ...]]:
    options = f"-c role={role}"
    return psycopg.connect(dsn_of(store.database), autocommit=True, options=options)


@pytest.mark.parametrize("role", roles.ROLES)
def test_no_role_of_the_application_may_alter_it(kept: Store, role: str) -> None:
    before = exported(kept.database)
    with closing(as_role(kept, role)) as server:
        for statement in FORBIDDEN:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                server.execute(statement)
            server.rollback()
    assert exported(kept.database) == before
    assert verify(kept.database, audit_head=head_of(kept)) == []


@pytest.mark.parametrize("role", roles.ROLES)
def test_who_adds_to_it_and_who_reads_it(kept: Store, role: str) -> None:
    calls = {
        "SELECT shikong.audit_append('a', '', 'read', NULL, NULL, NULL, '{}')": (
            roles.WRITER,
            roles.KEEPER,
        ),
        "SELECT count(*) FROM shikong.audit": (roles.KEEPER,),
    }
    with closing(as_role(kept, role)) as server:
        for call, allowed in calls.items():
            if role in allowed:
                assert server.execute(call).fetchone() == (COUNT + 1,)
                continue
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                server.execute(call)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE shikong.audit SET actor = 'nobody'",
        "UPDATE shikong.audit SET actor = 'nobody' WHERE false",
        "DELETE FROM shikong.audit",
        "TRUNCATE shikong.audit",
        "INSERT INTO shikong.audit SELECT * FROM shikong.audit ON CONFLICT (seq) DO UPDATE"
        " SET actor = 'nobody'",
        "MERGE INTO shikong.audit AS a USING (SELECT 1) AS o ON true WHEN MATCHED THEN DELETE",
    ],
)
@pytest.mark.parametrize("triggers", ["origin", "replica"])
def test_its_owner_is_refused_too(kept: Store, statement: str, triggers: str) -> None:
    before = exported(kept.database)
    with closing(psycopg.connect(dsn_of(kept.database), autocommit=True)) as server:
        server.execute(f"SET session_replication_role = {triggers}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only added to"):
            server.execute(statement)
    assert exported(kept.database) == before


def test_settings_and_names_of_a_session_change_nothing(kept: Store) -> None:
    with closing(as_role(kept, roles.WRITER)) as server:
        for setting in (
            "standard_conforming_strings = off",
            "timezone = 'Asia/Kathmandu'",
            "datestyle = 'German'",
            "bytea_output = 'escape'",
            "search_path = pg_temp, pg_catalog",
        ):
            server.execute(f"SET {setting}")
        server.execute("CREATE TEMP TABLE audit (seq bigint)")
        server.execute(
            "CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql AS 'SELECT $1'"
        )
        server.execute("SELECT shikong.audit_append('a', '', 'read', NULL, NULL, NULL, '{}')")
    assert head_of(kept).seq == COUNT + 1
    assert broken(kept) == []


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("GRANT DELETE ON shikong.audit TO shikong_keeper", "shikong_keeper may delete"),
        ("GRANT UPDATE (actor) ON shikong.audit TO shikong_writer", "shikong_writer may update"),
        ("ALTER TABLE shikong.audit DISABLE TRIGGER audit_only_added_to", "trigger"),
        ("ALTER TABLE shikong.audit ENABLE TRIGGER audit_only_added_to", "trigger"),
        ("DROP TRIGGER audit_only_added_to ON shikong.audit", "trigger"),
        (
            "CREATE OR REPLACE TRIGGER audit_only_added_to BEFORE UPDATE ON shikong.audit"
            " EXECUTE FUNCTION shikong.audit_refuse()",
            "trigger",
        ),
    ],
)
def test_verify_tells_who_might_alter_it(kept: Store, statement: str, words: str) -> None:
    with closing(psycopg.connect(dsn_of(kept.database), autocommit=True)) as server:
        server.execute(statement)
    faults = verify(kept.database)
    assert [f.check for f in faults] == ["audit"]
    assert words in faults[0].text


def test_an_audit_that_is_not_there_is_a_table_that_is_not_there(kept: Store) -> None:
    with closing(psycopg.connect(dsn_of(kept.database), autocommit=True)) as server:
        server.execute("DROP TABLE shikong.audit")
    faults = [str(f) for f in verify(kept.database)]
    assert faults == ["tables: shikong.audit: the table is missing; restore a backup"]


# --- other stores ------------------------------------------------------------------------------


@pytest.mark.parametrize("release", ["0.1.0", "0.2.0"])
def test_stores_of_old_releases_get_one(make_database: Databases, release: str) -> None:
    dsn = make_database()
    with closing(connect(dsn)) as database:
        restore(database, STORES / f"{release}.zip")
    with closing(open_store(dsn)) as store:
        assert head_of(store).seq == 0
        publish(store, "t", points(no=["1"]), schema_of())
        assert head_of(store).seq == 1
        assert verify(store.database, audit_head=head_of(store)) == []
        refused = pytest.raises(psycopg.errors.InsufficientPrivilege)
        with closing(as_role(store, roles.WRITER)) as server, refused:
            server.execute("DELETE FROM shikong.audit")


def test_a_restored_store_goes_on_with_the_same_chain(
    kept: Store, make_database: Databases, tmp_path: Path
) -> None:
    note(kept.database, *(Entry("a", "read", odd, request=odd, detail={"x": odd}) for odd in ODD))
    whole = head_of(kept)
    backup(kept.database, tmp_path / "b.zip")
    dsn = make_database()
    with closing(connect(dsn)) as database:
        restore(database, tmp_path / "b.zip")
    with closing(open_store(dsn)) as restored:
        assert exported(restored.database) == exported(kept.database)
        publish(restored, "t", points(no=["1"]), schema_of())
        assert head_of(restored).seq == whole.seq + 1
        assert verify(restored.database, audit_head=whole) == []
        refused = pytest.raises(psycopg.errors.InsufficientPrivilege)
        with closing(psycopg.connect(dsn)) as server, refused:
            server.execute("TRUNCATE shikong.audit")


def test_a_store_with_an_entry_is_in_use(kept: Store, tmp_path: Path) -> None:
    backup(kept.database, tmp_path / "b.zip")
    whole = head_of(kept)
    with pytest.raises(StoreNotEmpty, match="audit has rows"):
        restore(kept.database, tmp_path / "b.zip")
    assert broken(kept, whole) == []


# --- reads -------------------------------------------------------------------------------------


class Seconds:
    """A timer that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


def test_every_read_is_an_entry_and_many_tiles_are_one(store: Store, seconds: Seconds) -> None:
    watch = Watch(timer=seconds)

    def tile(actor: str = "key:1", origin: str = "::1", layer: str = "t") -> int:
        watch.note_read(store.database, actor, origin, layer, "tile", detail={"z": 3})
        return head_of(store).seq

    for n in (1, 2):
        watch.note_read(store.database, "key:1", "::1", "t", "items", "r-1", {"limit": 10})
        assert head_of(store).seq == n
    said = {"what": "items", "limit": 10}
    assert entries_of(store)[0] == Entry("key:1", "read", "::1", "t", None, "r-1", said)
    assert [tile(), tile(), tile()] == [3, 3, 3]
    assert [tile("key:2"), tile(origin="::2"), tile(layer="u"), tile()] == [4, 5, 6, 6]
    seconds.now = 59.9
    assert tile() == 6
    seconds.now = 60.0
    assert [tile(), tile()] == [7, 7]
    assert broken(store) == []


def test_tiles_that_are_asked_for_at_once_are_one_entry(store: Store) -> None:
    start = threading.Barrier(16)

    def tile(n: int) -> int:
        start.wait()
        store.watch.note_read(store.database, "key:1", "::1", "t", "tile", detail={"n": n})
        return head_of(store).seq

    with ThreadPoolExecutor(16) as pool:
        # Whoever returns finds the entry that stands for it.
        assert list(pool.map(tile, range(16))) == [1] * 16


def test_a_read_that_cant_be_noted_is_refused_and_not_taken_as_noted(store: Store) -> None:
    watch = Watch()
    with closing(connect("postgresql://nobody@127.0.0.1:1/none")) as lost:
        for what in ("tile", "items"):
            with pytest.raises(StoreUnavailable):
                watch.note_read(lost, "key:1", "::1", "t", what)
    watch.note_read(store.database, "key:1", "::1", "t", "tile")
    assert head_of(store).seq == 1


def test_the_watch_is_the_same_under_another_clock(store: Store) -> None:
    store.watch.note_read(store.database, "key:1", "::1", "t", "tile")
    other = store.with_clock(lambda: START)
    other.watch.note_read(other.database, "key:1", "::1", "t", "tile")
    assert head_of(store).seq == 1


def test_reading_connections_cant_add(store: Store) -> None:
    with store.database.read() as connection, pytest.raises(sa.exc.DBAPIError):
        append(connection, Entry("a", "read"))
    assert head_of(store).seq == 0
