"""A whole store as one file, and back: `backup` and `restore`.

Archives hold the catalogue's tables as they are, and each layer's versions; indexes are made anew.
An archive of an older release is restored in that release's form, and then migrated like a store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path
from zipfile import ZipFile

import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateTable, DropSchema

from layers import catalog, migrations, roles
from layers.database import Database, statement
from layers.errors import BadArchive, StoreNotEmpty, StoreUnavailable
from layers.keeping.archive_files import (
    Archive,
    Manifest,
    Member,
    member_name,
    new_archive,
    opened_archive,
    write_manifest,
    write_member,
)
from layers.model import Layer
from layers.tables import CATALOGUE, LAYER_SCHEMAS, SYSTEM_COLUMNS, layer, tables_of

Say = Callable[[str], None]


def _silent(name: str) -> None:
    """Progress that nobody watches."""


def backup(database: Database, path: Path, say: Say = _silent) -> Manifest:
    """Write a whole store to a file, as of one moment; its readers and writers go on meanwhile.

    The store is not migrated: an archive is of the release that made the store.

    Parameters
    ----------
    path : Path
        Of a file that is not there yet; only its owner may read it, because restricted fields
        are in it.
    say : callable
        Told the name of each table when its turn comes.

    Raises
    ------
    BadArchive
        Where the file is there, or can't be written.
    StoreUnavailable
        Where the database has no store, one of a newer release, or is lost meanwhile.

    Examples
    --------
    ::

        backup(store.database, Path("shikong-2026-01-01.zip")).rows
    """
    with database.inspect() as connection, new_archive(path) as archive:
        # Rows in the order in which they stand, from the first on: that order is worth keeping.
        for setting in ("statement_timeout = 0", "synchronize_seqscans = off"):
            connection.execute(sa.text(f"SET LOCAL {setting}"))
        catalogue = migrations.current(connection)
        if catalogue is None:
            raise StoreUnavailable("the database has no store of Shikong in it")
        if not migrations.knows(catalogue):
            raise StoreUnavailable(
                f"the store was made by a newer release (catalogue {catalogue}); use that one"
            )
        members = [
            _dump(connection, archive, *source, say)
            for source in (*_catalogue_tables(connection), *_layer_tables(connection))
        ]
        return write_manifest(archive, catalogue, members)


def restore(database: Database, path: Path, say: Say = _silent) -> Manifest:
    """Fill an empty database with what an archive holds, in the form of this release.

    All or nothing: a restore that fails, or is killed, leaves the database as it was.

    Raises
    ------
    BadArchive
        Where it is damaged (all of it is read before anything is written), or of a newer release.
    StoreNotEmpty
        Where the database has a store with anything in it.
    StoreUnavailable
        Where the database has no PostGIS, or is lost meanwhile.
    """
    with opened_archive(path) as archive:
        manifest = archive.manifest
        if not migrations.knows(manifest.catalogue):
            raise BadArchive(
                f"{path} was written by a newer release, {manifest.shikong} (catalogue "
                f"{manifest.catalogue}); restore it with that one"
            )
        archive.check()
        with database.own() as connection:
            _make_way(connection)
            migrations.upgrade(connection, manifest.catalogue)
            _load_all(connection, archive, say)
            migrations.migrate(connection)
            roles.establish(connection)
        return manifest


def _catalogue_tables(connection: Connection) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The catalogue's tables, those that others refer to first."""
    found = connection.execute(statement("archives/catalogue"))
    columns = {row.name: tuple(row.columns) for row in found}
    order: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(columns, ()))
    for row in connection.execute(statement("archives/references")):
        order.add(row.name, row.needs)
    for name in order.static_order():
        yield CATALOGUE, name, columns[name]


def _layer_tables(connection: Connection) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for record in _layers(connection):
        for table in _relations(record):
            yield str(table.schema), table.name, _columns(table)


def _layers(connection: Connection) -> list[Layer]:
    ids = connection.scalars(sa.select(layer.c.id).order_by(layer.c.id)).all()
    found = (catalog.find_layer(connection, layer_id) for layer_id in ids)
    return [record for record in found if record is not None]


def _relations(record: Layer) -> list[sa.Table]:
    return [t for family in tables_of(record).families for t in (family.live, family.history)]


def _columns(table: sa.Table) -> tuple[str, ...]:
    """A layer's columns in an order that tells nothing of how the table came to have them."""
    others = {c.name for c in table.c} - {*SYSTEM_COLUMNS, "_geom"}
    shape = ("_geom",) if "_geom" in table.c else ()
    return (*SYSTEM_COLUMNS, *sorted(others), *shape)


def _dump(
    connection: Connection,
    archive: ZipFile,
    schema: str,
    table: str,
    columns: tuple[str, ...],
    say: Say,
) -> Member:
    name = member_name(schema, table)
    say(name)
    with _cursor(connection, name) as cursor:
        with cursor.copy(_copy("TO STDOUT", schema, table, columns)) as copy:
            digest = write_member(archive, name, copy)
        return Member(schema, table, columns, cursor.rowcount, digest)


def _copy(direction: str, schema: str, table: str, columns: Iterable[str]) -> sql.Composed:
    return sql.SQL("COPY {} ({}) {} (FORMAT csv, HEADER true)").format(
        sql.Identifier(schema, table),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL("TO STDOUT" if direction == "TO STDOUT" else "FROM STDIN"),
    )


@contextmanager
def _cursor(connection: Connection, name: str) -> Iterator[psycopg.Cursor[tuple[object, ...]]]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - the engine's own driver
    try:
        with driver.cursor() as cursor:
            yield cursor
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"{name}: {str(error).splitlines()[0]}") from None
    except psycopg.Error as error:
        raise BadArchive(f"{name} does not fit the store: {str(error).splitlines()[0]}") from None


def _make_way(connection: Connection) -> None:
    """Take an empty store away, so that one of the archive's release can be made in its place."""
    migrations.lock(connection)
    relations = statement("checks/relations")
    if connection.execute(relations, {"schemas": list(LAYER_SCHEMAS)}).first() is not None:
        raise StoreNotEmpty("the store has layers; restore into an empty data folder or database")
    for row in connection.execute(statement("archives/catalogue")).all():
        table = sa.table(row.name, schema=CATALOGUE)
        quoted = connection.dialect.identifier_preparer.format_table(table)
        # Nobody may commit between the look and the taking away.
        connection.execute(sa.text(f"LOCK TABLE {quoted} IN ACCESS EXCLUSIVE MODE"))
        if connection.scalar(sa.select(sa.exists().select_from(table))):
            raise StoreNotEmpty(
                f"the store is in use ({row.name} has rows); "
                "restore into an empty data folder or database"
            )
    connection.execute(DropSchema(CATALOGUE, cascade=True, if_exists=True))


def _load_all(connection: Connection, archive: Archive, say: Say) -> None:
    members = {(m.schema, m.table): m for m in archive.manifest.members}
    for key in [key for key in members if key[0] == CATALOGUE]:
        _load(connection, archive, members.pop(key), say)
    _number_on(connection)
    for record in _layers(connection):
        for table in _relations(record):
            connection.execute(CreateTable(table))
            member = members.pop((str(table.schema), table.name), None)
            if member is None:
                raise BadArchive(f"{archive.path} lacks {table.schema}.{table.name} of its layers")
            _load(connection, archive, member, say)
        catalog.index_layer(connection, record)
    if members:
        names = ", ".join(member.name for member in members.values())
        raise BadArchive(f"{archive.path} has {names}, which no layer of it has")


def _load(connection: Connection, archive: Archive, member: Member, say: Say) -> None:
    say(member.name)
    with _cursor(connection, member.name) as cursor:
        target = _copy("FROM STDIN", member.schema, member.table, member.columns)
        with cursor.copy(target) as copy:
            for piece in archive.pieces(member):
                copy.write(piece)
        if cursor.rowcount != member.rows:
            raise BadArchive(
                f"{archive.path}: {member.name} has {cursor.rowcount} rows, "
                f"and its manifest says {member.rows}; take another copy of it"
            )
        # Without statistics the first reads would be planned blindly.
        cursor.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(member.schema, member.table)))


def _number_on(connection: Connection) -> None:
    """Let the catalogue number its rows on from those that were loaded."""
    for row in connection.execute(statement("archives/identities")).all():
        column: sa.ColumnClause[int] = sa.column(row.column, sa.BigInteger)
        numbered = sa.table(row.name, column, schema=CATALOGUE)
        last = sa.func.max(numbered.c[row.column])
        sequence = sa.func.pg_get_serial_sequence(f"{CATALOGUE}.{row.name}", row.column)
        whole = sa.func.setval(sequence, sa.func.coalesce(last, 1), last.is_not(None))
        connection.execute(sa.select(whole).select_from(numbered))
