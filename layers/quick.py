"""Single statements on connections of their own: prepared there, and sent as they are.

What a cursor does around a statement takes longer than many a statement, and so does a thread that
waits for one. So these speak to libpq through psycopg's `pq`, and whoever has an event loop waits
in it. Parameters go out as text, of which the casts in the statement say the types; rows come back
in binary, and become Python's values as psycopg's own cursors make them.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus, Format

from layers.errands import working

Rows = list[tuple[Any, ...]]
_DONE = frozenset((ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK))
# Statements of a connection; beyond, it makes place for another.
_MOST = 500


class Line:
    """A connection to the database that speaks one statement after another."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self._pgconn = connection.pgconn
        self._names: dict[str, bytes] = {}

    @property
    def is_lost(self) -> bool:
        """Whether it leads nowhere any more."""
        return self._pgconn.status != psycopg.pq.ConnStatus.OK

    @property
    def is_full(self) -> bool:
        """Whether it has prepared as much as it may."""
        return len(self._names) >= _MOST

    def close(self) -> None:
        """Hang up; what the database works on for it ends soon after."""
        self.connection.close()

    def ask(self, text: str, parameters: Sequence[Any]) -> Rows:
        """Return the rows of a statement, and wait for them in this thread."""
        name = self._names.get(text)
        if name is None:
            name = self._new_name()
            self._check(self._pgconn.prepare(name, text.encode()))
            self._names[text] = name
        values = self._written(parameters)
        return self._read(self._pgconn.exec_prepared(name, values, None, Format.BINARY))

    async def ask_soon(self, text: str, parameters: Sequence[Any]) -> Rows:
        """Return the same, and let the event loop do other things meanwhile."""
        pgconn = self._pgconn
        pgconn.nonblocking = 1
        name = self._names.get(text)
        if name is None:
            name = self._new_name()
            pgconn.send_prepare(name, text.encode())
            self._check(await self._result())
            self._names[text] = name
        pgconn.send_query_prepared(name, self._written(parameters), None, Format.BINARY)
        return self._read(await self._result())

    def _new_name(self) -> bytes:
        return f"quick_{len(self._names)}".encode()

    def _written(self, parameters: Sequence[Any]) -> Sequence[Any]:
        written = Transformer(self.connection)
        return written.dump_sequence(parameters, [PyFormat.TEXT] * len(parameters))

    async def _result(self) -> Any:
        """What the database answers to what was sent."""
        loop, pgconn = asyncio.get_running_loop(), self._pgconn
        heard = loop.create_future()

        def hear() -> None:
            try:
                if waits and pgconn.flush() == 0:
                    loop.remove_writer(socket)
                pgconn.consume_input()
                if not pgconn.is_busy() and not heard.done():
                    heard.set_result(None)
            except psycopg.Error as error:
                if not heard.done():
                    heard.set_exception(error)

        socket, waits = pgconn.socket, pgconn.flush() != 0
        loop.add_reader(socket, hear)
        if waits:
            loop.add_writer(socket, hear)
        try:
            await heard
        finally:
            loop.remove_reader(socket)
            if waits:
                loop.remove_writer(socket)
        result = pgconn.get_result()
        # Each answer ends with none, which is there already.
        while pgconn.get_result() is not None:
            pass
        return result

    def _check(self, result: Any) -> None:
        if result is None or self.is_lost:
            raise psycopg.OperationalError(self._pgconn.get_error_message())
        if result.status not in _DONE:
            raise psycopg.errors.error_from_result(result)

    def _read(self, result: Any) -> Rows:
        self._check(result)
        reading = Transformer(self.connection)
        reading.set_pgresult(result, format=Format.BINARY)
        return reading.load_rows(0, result.ntuples, tuple)


@dataclass(frozen=True)
class Quick:
    """Lines for single statements, as many as ask at once; the last used is used first.

    Parameters
    ----------
    dsn : str
        libpq address of the database.
    options : str
        Of each connection.
    """

    dsn: str = field(repr=False)
    options: str
    _idle: deque[Line] = field(default_factory=deque, repr=False)

    def __post_init__(self) -> None:
        """Let go of the lines of whoever forgets to."""
        weakref.finalize(self, _close_all, self._idle)

    def execute(self, text: str, parameters: Sequence[Any]) -> Rows:
        """Return the rows of a statement.

        Raises
        ------
        psycopg.OperationalError
            Where there is no answer, also from a new connection; or it takes too long.
        """
        line = self._take()
        if line is not None:
            try:
                return self._ask(line, text, parameters)
            except psycopg.OperationalError:
                if not line.is_lost:
                    raise
                # The server was away since the last use, and may be there again.
        return self._ask(self._open(), text, parameters)

    async def execute_soon(self, text: str, parameters: Sequence[Any]) -> Rows:
        """Return the same to whoever has an event loop; who is cancelled hangs up."""
        line = self._take()
        if line is not None:
            try:
                return await self._ask_soon(line, text, parameters)
            except psycopg.OperationalError:
                if not line.is_lost:
                    raise
        line = await asyncio.to_thread(self._open)
        return await self._ask_soon(line, text, parameters)

    def close(self) -> None:
        """Close those that nobody uses."""
        _close_all(self._idle)

    def _take(self) -> Line | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _open(self) -> Line:
        return Line(psycopg.connect(self.dsn, autocommit=True, options=self.options))

    def _ask(self, line: Line, text: str, parameters: Sequence[Any]) -> Rows:
        with self._used(line):
            return line.ask(text, parameters)

    async def _ask_soon(self, line: Line, text: str, parameters: Sequence[Any]) -> Rows:
        with self._used(line):
            return await line.ask_soon(text, parameters)

    @contextmanager
    def _used(self, line: Line) -> Iterator[None]:
        """Give a line back after its use; hang up where nobody knows what it is in the midst of."""
        try:
            with working(line.connection):
                yield
        except psycopg.OperationalError:
            self._give_back(line)
            raise
        except BaseException:
            line.close()
            raise
        self._give_back(line)

    def _give_back(self, line: Line) -> None:
        if line.is_lost or line.is_full:
            line.close()
        else:
            self._idle.append(line)


def _close_all(idle: deque[Line]) -> None:
    while idle:
        idle.pop().close()
