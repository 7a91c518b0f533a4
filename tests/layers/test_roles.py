"""The database's roles: what each may do, and that there is no way round them."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest
from publishing import points, publish, schema_of
from sqlalchemy.engine import make_url

from layers import roles
from layers.store import Store, open_store
from layers.tables import metadata

SCHEMA = schema_of({"id": "a"}, {"id": "r", "visibility": "restricted"}, visibility="public")
PEOPLE = ("person", "api_key", "session", "permission", "application")


@pytest.fixture
def filled(store: Store) -> Store:
    publish(store, "t", points(no=["1"], a=["x"], r=["secret"]), SCHEMA)
    return store


def attempt(store: Store, role: str, statement: str) -> str:
    """``done``, or the SQLSTATE with which the database refuses."""
    url = make_url(str(store.database.owning.url)).set(drivername="postgresql")
    with psycopg.connect(
        url.render_as_string(hide_password=False), options=f"-c role={role}"
    ) as connection:
        try:
            connection.execute(statement)
        except psycopg.Error as error:
            return error.sqlstate or "?"
        finally:
            connection.rollback()
    return "done"


DENIED = "42501"
READS = {
    "live.t": {roles.READER, roles.RESTRICTED, roles.WRITER},
    "history.t": {roles.READER, roles.RESTRICTED, roles.WRITER},
    "restricted_live.t": {roles.RESTRICTED, roles.WRITER},
    "restricted_history.t": {roles.RESTRICTED, roles.WRITER},
    "shikong.layer": set(roles.ROLES),
    "shikong.commit": {roles.READER, roles.RESTRICTED, roles.WRITER},
    "shikong.raster": {roles.READER, roles.RESTRICTED, roles.WRITER},
    "shikong.raster_piece": {roles.READER, roles.RESTRICTED, roles.WRITER},
    **{f"shikong.{name}": {roles.KEEPER} for name in PEOPLE},
}


@pytest.mark.parametrize("role", roles.ROLES)
def test_which_tables_a_role_reads(filled: Store, role: str) -> None:
    for table, readers in READS.items():
        expected = "done" if role in readers else DENIED
        assert attempt(filled, role, f"SELECT * FROM {table}") == expected, table


@pytest.mark.parametrize("role", roles.ROLES)
def test_which_tables_a_role_changes(filled: Store, role: str) -> None:
    for table in READS:
        expected = DENIED
        if role == roles.WRITER and table.removeprefix("shikong.") not in PEOPLE:
            expected = "done"
        if role == roles.KEEPER and table.removeprefix("shikong.") in PEOPLE:
            expected = "done"
        assert attempt(filled, role, f"DELETE FROM {table} WHERE false") == expected, table


@pytest.mark.parametrize("role", roles.ROLES)
def test_no_role_makes_itself_another(filled: Store, role: str) -> None:
    for statement in (
        "ALTER TABLE shikong.person OWNER TO CURRENT_USER",
        "CREATE TABLE shikong.mine (a int)",
        "CREATE ROLE somebody",
        f"GRANT {roles.RESTRICTED} TO {roles.READER}",
        "ALTER ROLE shikong_reader SUPERUSER",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ):
        assert attempt(filled, role, statement) == DENIED, statement


def test_every_table_of_the_catalogue_is_some_role_s(store: Store) -> None:
    """A new table without privileges would fail in use; one open to all would leak."""
    for table in metadata.sorted_tables:
        name = f"shikong.{table.name}"
        readers = [r for r in roles.ROLES if attempt(store, r, f"SELECT * FROM {name}") == "done"]
        assert readers, name
        if table.name in (*PEOPLE, "audit"):
            assert roles.READER not in readers, name
            assert roles.RESTRICTED not in readers, name


def test_layers_made_later_have_the_same_rights(filled: Store) -> None:
    publish(filled, "later", points(no=["1"], a=["x"], r=["y"]), SCHEMA)
    assert attempt(filled, roles.READER, "SELECT * FROM live.later") == "done"
    assert attempt(filled, roles.READER, "SELECT * FROM restricted_live.later") == DENIED
    assert attempt(filled, roles.RESTRICTED, "SELECT * FROM restricted_live.later") == "done"


def test_a_store_that_has_moved_to_another_server_gets_its_roles_again(filled: Store) -> None:
    url = filled.database.owning.url.set(drivername="postgresql")
    dsn = url.render_as_string(hide_password=False)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("REVOKE ALL ON ALL TABLES IN SCHEMA live FROM shikong_reader")
        connection.execute("ALTER TABLE live.t OWNER TO CURRENT_USER")
        connection.execute("UPDATE shikong.alembic_version SET version_num = '0003'")
        tables = "audit, shikong.raster, shikong.raster_piece, shikong.style, shikong.mapping"
        connection.execute(f"DROP TABLE shikong.{tables} CASCADE")
        connection.execute("DROP FUNCTION shikong.audit_append, shikong.audit_refuse CASCADE")
    with closing(open_store(dsn)) as again:
        assert again.layer("t").at("2021-01-01").read()["a"].tolist() == ["x"]
