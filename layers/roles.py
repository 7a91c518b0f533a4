"""The database's roles: what a connection of the platform may do, whatever the code asks.

=====================  ==========================================================================
role                   may
=====================  ==========================================================================
shikong_reader         read the catalogue and the open fields of layers; nothing of people
shikong_restricted     read restricted fields as well
shikong_writer         write layers and the catalogue of them; nothing of people
shikong_keeper         read and write people, keys, grants and sessions; nothing of layers
=====================  ==========================================================================

None of them owns the audit; two may add to it, by a function. The owner, whom the address of the
database names, makes and migrates the store, backs it up, and serves no request.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ProgrammingError

from layers.errors import StoreUnavailable

READER = "shikong_reader"
RESTRICTED = "shikong_restricted"
WRITER = "shikong_writer"
KEEPER = "shikong_keeper"
ROLES = (READER, RESTRICTED, WRITER, KEEPER)

_OPEN = ("live", "history")
_CLOSED = ("restricted_live", "restricted_history")
_OF_LAYERS = (
    *("setting", "layer", "layer_schema", "commit", "revision", "tag", "lineage", "erasure"),
    *("raster", "raster_piece", "style", "mapping"),
)
_OF_PEOPLE = ("person", "api_key", "session", "permission", "application")
_INSUFFICIENT = "42501"


def established(connection: Connection) -> bool:
    """Return whether the server has the roles; a database moved to another server has not."""
    known = sa.text("SELECT count(*) FROM pg_roles WHERE rolname = ANY(:names)")
    return bool(connection.scalar(known, {"names": list(ROLES)}) == len(ROLES))


def establish(connection: Connection) -> None:
    """Make the roles where they are lacking, and give each what it may do; harmless to repeat.

    Raises
    ------
    StoreUnavailable
        Where the database's user may not make roles: with the statements for who may.
    """
    try:
        with connection.begin_nested():
            for text in _making():
                connection.execute(sa.text(text))
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != _INSUFFICIENT:
            raise
        user = connection.scalar(sa.text("SELECT quote_ident(current_user)"))
        told = " ".join(f"CREATE ROLE {r} NOLOGIN; GRANT {r} TO {user};" for r in ROLES)
        raise StoreUnavailable(
            f"{user} may not make the roles that the store works with; as the database's "
            f"administrator, run: {told}"
        ) from None
    for text in (*_privileges(), *_belongings(connection)):
        connection.execute(sa.text(text))


def _making() -> Iterator[str]:
    for role in ROLES:
        # Two databases of one server may be made at once; roles are the server's.
        yield (
            f"DO $$ BEGIN IF to_regrole('{role}') IS NULL THEN CREATE ROLE {role} NOLOGIN; END IF; "
            "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        )
    for role in ROLES:
        yield (
            f"DO $$ BEGIN IF NOT pg_has_role(current_user, '{role}', 'MEMBER') THEN "
            f"GRANT {role} TO CURRENT_USER; END IF; END $$"
        )


def _privileges() -> Iterator[str]:
    yield f"GRANT USAGE ON SCHEMA shikong TO {', '.join(ROLES)}"
    yield f"GRANT USAGE ON SCHEMA {_list(_OPEN)} TO {READER}, {RESTRICTED}"
    yield f"GRANT USAGE ON SCHEMA {_list(_CLOSED)} TO {RESTRICTED}"
    yield f"GRANT USAGE, CREATE ON SCHEMA {_list(_OPEN + _CLOSED)} TO {WRITER}"
    layers = _list(f"shikong.{name}" for name in _OF_LAYERS)
    people = _list(f"shikong.{name}" for name in _OF_PEOPLE)
    yield f"GRANT SELECT ON {layers} TO {READER}, {RESTRICTED}"
    yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON {layers} TO {WRITER}"
    # What a grant may name: layers and their departments.
    yield f"GRANT SELECT ON shikong.layer, shikong.layer_schema TO {KEEPER}"
    yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON {people} TO {KEEPER}"
    yield f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA shikong TO {WRITER}, {KEEPER}"
    # The audit is added to by its function, and read by who keeps people; nobody alters it.
    every = f"PUBLIC, {', '.join(ROLES)}"
    yield f"REVOKE ALL ON shikong.audit FROM {every}"
    yield f"REVOKE ALL ON FUNCTION shikong.audit_append, shikong.audit_refuse FROM {every}"
    yield f"GRANT SELECT ON shikong.audit TO {KEEPER}"
    yield f"GRANT EXECUTE ON FUNCTION shikong.audit_append TO {WRITER}, {KEEPER}"
    for schemas, readers in ((_OPEN, f"{READER}, {RESTRICTED}"), (_CLOSED, RESTRICTED)):
        yield f"GRANT SELECT ON ALL TABLES IN SCHEMA {_list(schemas)} TO {readers}"
        yield (
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {WRITER} IN SCHEMA {_list(schemas)} "
            f"GRANT SELECT ON TABLES TO {readers}"
        )


def _belongings(connection: Connection) -> list[str]:
    """Layers' tables are the writer's: it indexes, widens and vacuums them."""
    others = sa.text(
        "SELECT format('ALTER TABLE %I.%I OWNER TO ' || :writer, n.nspname, c.relname) "
        "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE n.nspname = ANY(:schemas) AND c.relkind = 'r' "
        "AND pg_get_userbyid(c.relowner) <> :writer ORDER BY 1"
    )
    bounds = {"writer": WRITER, "schemas": list(_OPEN + _CLOSED)}
    return list(connection.scalars(others, bounds))


def _list(names: object) -> str:
    return ", ".join(names)  # type: ignore[arg-type]
