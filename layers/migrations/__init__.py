"""Alembic's migrations of the catalogue, run by `layers.migrations.migrate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from layers import roles
from layers.catalog import find_layer, index_layer
from layers.errors import StoreUnavailable
from layers.model import Layer
from layers.sameness import row_hash
from layers.tables import CATALOGUE, LAYER_SCHEMAS, STORE_FORMAT, layer, tables_of

HEAD = "0008"
# Since which form of the layers' tables rows are hashed as they are today.
_HASHED = 2
# One number for the whole platform: two first starts on one database take turns.
_LOCK = 0x5348494B


def migrate(connection: Connection) -> None:
    """Bring the catalogue of a database to this release's form; does nothing where it has it.

    Raises
    ------
    StoreUnavailable
        Where the database has no PostGIS, or was made by a newer release.
    """
    if current(connection) == HEAD and roles.established(connection) and not _old(connection):
        return
    upgrade(connection, "head")
    _rewrite_layers(connection)
    roles.establish(connection)


def upgrade(connection: Connection, revision: str) -> None:
    """Bring the catalogue alone to a version; the layers' tables stay as they are.

    Raises
    ------
    StoreUnavailable
        Where the database has no PostGIS, or was made by a newer release.
    """
    lock(connection)
    _require_postgis(connection)
    for name in (CATALOGUE, *LAYER_SCHEMAS):
        connection.execute(sa.schema.CreateSchema(name, if_not_exists=True))
    with _configuration() as config:
        _refuse_newer(connection, ScriptDirectory.from_config(config))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def lock(connection: Connection) -> None:
    """Keep others from making or migrating the store until the transaction ends."""
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def knows(revision: str) -> bool:
    """Return whether this release has a version of the catalogue, or can bring it on.

    >>> knows(HEAD), knows("9999")
    (True, False)
    """
    with _configuration() as config:
        scripts = ScriptDirectory.from_config(config).walk_revisions()
        return revision in {script.revision for script in scripts}


@contextmanager
def _configuration() -> Iterator[Config]:
    with as_file(files("layers.migrations")) as folder:
        config = Config()
        config.set_main_option("script_location", str(folder))
        yield config


def _rewrite_layers(connection: Connection) -> None:
    """Bring the layers' tables to this release's form: hashed alike, and with all indexes."""
    for layer_id, form in _old(connection):
        record = find_layer(connection, layer_id)
        assert record is not None  # noqa: S101 - it was just read
        if form < _HASHED:
            _hash_again(connection, record)
        index_layer(connection, record)
        where = layer.c.id == layer_id
        connection.execute(sa.update(layer).where(where).values(store_format=STORE_FORMAT))


def _old(connection: Connection) -> list[tuple[str, int]]:
    """The layers whose tables have an older form, and which."""
    older = layer.c.store_format < STORE_FORMAT
    rows = connection.execute(sa.select(layer.c.id, layer.c.store_format).where(older))
    return [(row.id, row.store_format) for row in rows]


def _hash_again(connection: Connection, record: Layer) -> None:
    for family in tables_of(record).families:
        for table in (family.live, family.history):
            whole = row_hash(family.typed, table.c, spatial=family.spatial, names=family.live.c)
            connection.execute(sa.update(table).values(_hash=whole))


def current(connection: Connection) -> str | None:
    """Return the catalogue's version in a database, None where there is no catalogue."""
    exists = sa.text("SELECT to_regclass('shikong.alembic_version') IS NOT NULL")
    if not connection.scalar(exists):
        return None
    found = connection.scalar(sa.text("SELECT version_num FROM shikong.alembic_version"))
    return None if found is None else str(found)


def _refuse_newer(connection: Connection, scripts: ScriptDirectory) -> None:
    found = MigrationContext.configure(
        connection, opts={"version_table_schema": CATALOGUE}
    ).get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise StoreUnavailable(
            f"the store was made by a newer release (catalogue {found}); install that release"
        )


def _require_postgis(connection: Connection) -> None:
    installed = sa.text("SELECT count(*) FROM pg_extension WHERE extname = 'postgis'")
    if connection.scalar(installed):
        return
    available = sa.text("SELECT count(*) FROM pg_available_extensions WHERE name = 'postgis'")
    if not connection.scalar(available):
        raise StoreUnavailable("this PostgreSQL has no PostGIS; install postgresql-15-postgis-3")
    connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS postgis"))
