"""The way to PostGIS: engines, transactions and the fixed statements of ``layers/sql``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from layers import roles
from layers.errands import working
from layers.errors import LayerBusy, StoreUnavailable, TooMuchAsked
from layers.quick import Quick, Rows

# A generic plan over bound revisions guesses badly, the just-in-time compiler costs more than it
# gives on short statements (both measured), and text must not hang on a client's habits.
_COMMON = {
    "plan_cache_mode": "force_custom_plan",
    "jit": "off",
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "1",
    "client_min_messages": "warning",
}
_READING = _COMMON | {
    "default_transaction_read_only": "on",
    "max_parallel_workers_per_gather": "0",
    "statement_timeout": "30s",
    "client_connection_check_interval": "2s",
}
# There is one writer a layer, and half a million ids and hashes are to be joined in memory: with
# less, whole contents go through temporary files instead. What a commit analyses it has just made,
# and asks for little: a sample of 7,500 rows says it in a fifth of the time.
_WRITING = _COMMON | {
    "lock_timeout": "60s",
    "work_mem": "128MB",
    "maintenance_work_mem": "256MB",
    "default_statistics_target": "25",
    # A publisher that was killed lets go of its layer within this time.
    "client_connection_check_interval": "2s",
}
_KEEPING = _COMMON | {"lock_timeout": "10s", "statement_timeout": "30s"}
_LOCK_NOT_AVAILABLE = "55P03"
_TOO_LONG = frozenset((_LOCK_NOT_AVAILABLE, "57014"))


@dataclass(frozen=True, slots=True)
class Database:
    """Engines on one PostGIS, each with the rights of one of `layers.roles`, or its owner's.

    Attributes
    ----------
    reading, restricted : Engine
        Short reads: of open fields, and of restricted ones too.
    writing : Engine
        Commits.
    keeping : Engine
        People, keys, grants, sessions.
    owning : Engine
        The store itself: made, migrated, checked, backed up, restored.
    quick, single : Quick
        Statements on open fields, one at a time; those that find one feature by its id.
    """

    reading: Engine
    restricted: Engine
    writing: Engine
    keeping: Engine
    owning: Engine
    quick: Quick
    single: Quick

    def ask(self, text: str, parameters: Sequence[Any], *, single: bool = False) -> Rows:
        """Return the rows of one statement on open fields, in a transaction of its own.

        It goes to the driver as it is, with ``$1``, ``$2`` for its parameters, over a connection
        that is kept for nothing else, where it is prepared: what `read` does around a statement
        takes longer than most of them.

        Parameters
        ----------
        single : bool
            Whether it finds one feature by its id: any plan serves all of them, and is kept.

        Raises
        ------
        TooMuchAsked, StoreUnavailable
            As `read` does.
        """
        try:
            return (self.single if single else self.quick).execute(text, parameters)
        except psycopg.OperationalError as error:
            raise _of_reading(error) from error

    async def ask_soon(self, text: str, parameters: Sequence[Any], *, single: bool = False) -> Rows:
        """Return the same to whoever has an event loop, and needs no thread."""
        try:
            return await (self.single if single else self.quick).execute_soon(text, parameters)
        except psycopg.OperationalError as error:
            raise _of_reading(error) from error

    @contextmanager
    def read(self, *, restricted: bool = False) -> Iterator[Connection]:
        """One read-only snapshot: all that is read within it is of one moment.

        Parameters
        ----------
        restricted : bool
            With the role that may read restricted fields; without, the database refuses them.

        Raises
        ------
        TooMuchAsked
            Where a statement takes longer than the database may work on one.
        StoreUnavailable
            Where the database does not answer, or hangs up.
        """
        engine = self.restricted if restricted else self.reading
        with self._reading(engine) as connection:
            yield connection

    @contextmanager
    def inspect(self) -> Iterator[Connection]:
        """One read-only snapshot of all that there is, as the owner: for checks and backups."""
        with self._reading(self.owning) as connection:
            connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            yield connection

    @contextmanager
    def _reading(self, engine: Engine) -> Iterator[Connection]:
        try:
            with (
                engine.connect() as connection,
                _given_up_when_lost(connection),
                working(_driver_of(connection)),
            ):
                yield connection
        except (OperationalError, psycopg.OperationalError) as error:
            raise _of_reading(error) from error
        except PoolTimeout as error:
            raise StoreUnavailable("all connections are busy with others; try again") from error

    def write(self) -> AbstractContextManager[Connection]:
        """One transaction on layers, committed on leaving, rolled back on an error.

        Raises
        ------
        StoreUnavailable
            Where the database does not answer, or hangs up before the transaction has ended.
        LayerBusy
            Where others hold a lock for longer than one waits.
        """
        return self._changing(self.writing)

    def keep(self) -> AbstractContextManager[Connection]:
        """One transaction on people, keys, grants and sessions; else as `write`."""
        return self._changing(self.keeping)

    def own(self) -> AbstractContextManager[Connection]:
        """One transaction on the store as a whole, as its owner; else as `write`."""
        return self._changing(self.owning)

    @contextmanager
    def _changing(self, engine: Engine) -> Iterator[Connection]:
        begun, remedy = False, "nothing was written, try again"
        try:
            with engine.begin() as connection:
                begun = True
                with _given_up_when_lost(connection):
                    yield connection
                # What is lost from here on may have been written before it was lost.
                remedy = "the log tells whether this was written"
        except DBAPIError as error:
            if not begun:
                where = engine.url.set(drivername="postgresql").render_as_string()
                raise _unavailable(error, where) from error
            if waited_too_long(error):
                raise LayerBusy(f"others hold what this needs for too long; {remedy}") from error
            if error.connection_invalidated:
                raise StoreUnavailable(f"{_unavailable(error)}; {remedy}") from error
            raise
        except psycopg.OperationalError as error:
            raise StoreUnavailable(f"{_unavailable(error)}; {remedy}") from error

    def close(self) -> None:
        """Give every connection back."""
        self.quick.close()
        self.single.close()
        for engine in (self.reading, self.restricted, self.writing, self.keeping, self.owning):
            engine.dispose()


def connect(dsn: str, *, pool_size: int = 8) -> Database:
    """Return a Database for a libpq address; nothing is opened until it is used.

    Parameters
    ----------
    dsn : str
        ``postgresql://user@host/database``, as libpq and psql take it.
    pool_size : int
        Connections kept for reading.

    Raises
    ------
    StoreUnavailable
        Where the text is no such address.
    """
    try:
        url = make_url(dsn).set(drivername="postgresql+psycopg")
    except ArgumentError:
        raise StoreUnavailable(
            "DATABASE_URL is no PostgreSQL address; write postgresql://user@host/database"
        ) from None

    def reading(role: str) -> Engine:
        return sa.create_engine(
            url,
            isolation_level="REPEATABLE READ",
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=True,
            connect_args={"options": _options(_READING | {"role": role})},
        )

    # One is kept. Whoever waits for a layer's turn holds one too, and any bound on them would have
    # the writers of other layers wait with them.
    def writing(settings: dict[str, str]) -> Engine:
        return sa.create_engine(
            url,
            pool_size=1,
            max_overflow=-1,
            pool_pre_ping=True,
            connect_args={"options": _options(settings)},
        )

    return Database(
        reading(roles.READER),
        reading(roles.RESTRICTED),
        writing(_WRITING | {"role": roles.WRITER}),
        writing(_KEEPING | {"role": roles.KEEPER}),
        writing(_WRITING),
        Quick(_libpq(url), _options(_READING | {"role": roles.READER})),
        Quick(
            _libpq(url),
            _options(_READING | {"role": roles.READER, "plan_cache_mode": "force_generic_plan"}),
        ),
    )


def _libpq(url: sa.URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def reachable(dsn: str) -> Iterator[None]:
    """Turn a failure to connect into one clear line without the address's password."""
    try:
        yield
    except (OperationalError, ProgrammingError) as error:
        raise _unavailable(error, make_url(dsn).render_as_string(hide_password=True)) from error


def database_identity(connection: Connection) -> str:
    """Return what tells a database from all others, by whatever address it is reached."""
    query = (
        "SELECT (SELECT system_identifier FROM pg_control_system()) || ' ' || oid "
        "FROM pg_database WHERE datname = current_database()"
    )
    return str(connection.scalar(sa.text(query)))


def waited_too_long(error: DBAPIError) -> bool:
    """Tell whether a statement gave up because somebody else held a lock for too long."""
    return _sqlstate(error) == _LOCK_NOT_AVAILABLE


@cache
def statement(name: str) -> sa.TextClause:
    """Return the fixed statement in ``layers/sql/<name>.sql``."""
    return sa.text(files("layers").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8"))


def _driver_of(connection: Connection) -> psycopg.Connection[Any]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - the engines have no other
    return driver


@contextmanager
def _given_up_when_lost(connection: Connection) -> Iterator[None]:
    """Drop a connection that broke within a COPY, which speaks to the driver itself."""
    try:
        yield
    except psycopg.OperationalError as error:
        # The driver may not know yet that it is lost, and a rollback would fail in its place.
        connection.invalidate(error)
        raise


def _of_reading(error: Exception) -> TooMuchAsked | StoreUnavailable:
    if _sqlstate(error) in _TOO_LONG:
        return TooMuchAsked(
            f"this takes longer than {_READING['statement_timeout']}; "
            "ask for less: a bbox, a filter or a limit"
        )
    return _unavailable(error)


def _sqlstate(error: Exception) -> str | None:
    return getattr(getattr(error, "orig", error), "sqlstate", None)


def _options(settings: dict[str, str]) -> str:
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def _unavailable(error: Exception, where: str = "the database") -> StoreUnavailable:
    first = str(getattr(error, "orig", error)).strip().splitlines()
    return StoreUnavailable(f"{where}: {first[0] if first else 'no answer'}")
