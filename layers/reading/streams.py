"""All that a snapshot has, read in one go: by COPY, in parts of some thousand rows, as Arrow.

A stream may take longer than a read, and is over when whoever reads it has gone.
"""

from __future__ import annotations

import select as waiting
import threading
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from queue import Empty, Full, Queue
from typing import Any

import psycopg
import pyarrow as pa
import sqlalchemy as sa
from psycopg.pq import ExecStatus
from pyproj import CRS
from sqlalchemy.engine import Connection

from layers.errors import StreamStopped
from layers.model import Field, FieldType, Layer
from layers.reading.forms import Form, moved_to, written_as
from layers.reading.ordering import Order
from layers.reading.outputs import finite
from layers.reading.sights import Shown
from layers.rows.columns import ARROW_TYPES
from layers.rows.copied import decode, without_frame

_INSTANT = ARROW_TYPES[FieldType.INSTANT]
# Between two looks at whether anybody still reads.
_LOOK_S = 0.25
_FIRST_ROWS = 500
# Parts that are read while the one before is written.
_AHEAD = 2
SIDES = ("XMin", "YMin", "XMax", "YMax")


@dataclass(frozen=True)
class Patience:
    """How long a stream may take, and whether it is still read.

    Parameters
    ----------
    seconds : float
        The database ends the stream after these: it holds a moment of the past until then.
    gone : Event
        Set by whoever reads no more, from any thread: the query ends within a second.
    """

    seconds: float = 600.0
    gone: threading.Event = field(default_factory=threading.Event, compare=False)
    outer: Patience | None = field(default=None, compare=False)

    def stop(self) -> None:
        """Tell the stream that nobody reads it any more."""
        self.gone.set()

    @property
    def is_over(self) -> bool:
        """Whether nobody reads any more: not this stream, or none of them."""
        return self.gone.is_set() or (self.outer is not None and self.outer.is_over)

    def of_one(self) -> Patience:
        """Return the patience of one stream, which may end while others go on."""
        return Patience(self.seconds, outer=self)


@dataclass(frozen=True)
class Part:
    """Some rows of a stream, column by column.

    Attributes
    ----------
    ids, starts, ends : pyarrow.Array
        Of text and of instants; the end is NULL while a version lasts.
    values : mapping of str to pyarrow.Array
        By the ids of the fields; NULL also where a masked field is not seen.
    seen : mapping of str to pyarrow.Array
        Of each masked field, in which rows it is seen.
    geometry : pyarrow.Array
        WKB or text; NULL where there is none.
    box : tuple of pyarrow.Array
        Its western, southern, eastern and northern bounds, where they are wanted.
    """

    fields: tuple[Field, ...]
    ids: pa.Array
    starts: pa.Array
    ends: pa.Array
    values: Mapping[str, pa.Array]
    seen: Mapping[str, pa.Array]
    geometry: pa.Array
    box: tuple[pa.Array, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


def read_parts(
    connection: Connection,
    select: sa.Select[Any],
    layer: Layer,
    what: Shown,
    form: Form,
    crs: CRS,
    patience: Patience,
    size: int,
    order: Order,
    *,
    geometry: bool = True,
    boxed: bool = False,
) -> Iterator[Part]:
    """Yield what a features select gives, in parts of `size` rows; one part at least.

    Parameters
    ----------
    select : Select
        As `layers.reading.features.select_features` puts it together.
    what : Shown
        The fields wanted.
    form, crs
        Of the geometries.
    order : Order
        Of the rows.
    geometry : bool
        Whether geometries are wanted; NULL otherwise.
    boxed : bool
        Whether the boxes of the geometries are wanted; the database has them at hand.

    Raises
    ------
    StreamStopped
        Where nobody reads any more.
    """
    connection.execute(
        sa.select(sa.func.set_config("statement_timeout", f"{patience.seconds * 1000:.0f}", True))
    )
    rows = select.subquery("features")
    flags = tuple(dict.fromkeys(what.masks.values()))
    columns = {
        "id": (rows.c._fid, pa.string()),
        "start": (rows.c._valid_from, _INSTANT),
        "end": (finite(rows.c._valid_to), _INSTANT),
    }
    columns |= {f"field {f.id}": (rows.c[f.id], ARROW_TYPES[f.type]) for f in what.every}
    columns |= {f"flag {name}": (rows.c[name], pa.bool_()) for name in flags}
    if boxed:
        moved = moved_to(rows.c._geom, layer, crs)
        columns |= {side: (getattr(sa.func, f"ST_{side}")(moved), pa.float64()) for side in SIDES}
    kind = pa.binary() if form is Form.WKB else pa.string()
    shape: Any = written_as(form, rows.c._geom, layer, crs)
    columns["geometry"] = (shape if geometry else sa.cast(sa.null(), shape.type), kind)
    labelled = (column.label(f"c{n}") for n, (column, _) in enumerate(columns.values()))
    ordered = sa.select(*labelled).order_by(*order.by(rows.c))
    kinds = [kind for _, kind in columns.values()]
    for messages in receive(connection, ordered, patience, size):
        found = dict(zip(columns, decode(messages, kinds), strict=True))
        yield Part(
            what.every,
            found["id"],
            found["start"],
            found["end"],
            {f.id: found[f"field {f.id}"] for f in what.every},
            {name: found[f"flag {flag}"] for name, flag in what.masks.items()},
            found["geometry"],
            tuple(found[side] for side in SIDES) if boxed else (),
        )


def ahead(parts: Generator[Part, None, None], patience: Patience) -> Generator[Part, None, None]:
    """Yield parts of which the next ones are read in a thread of their own meanwhile.

    To read is Python's work and to write mostly is not, so that both go on at once. Closed, the
    thread has ended too, and with it the transaction.
    """
    read: Queue[Part | BaseException | None] = Queue(_AHEAD)

    def offer(found: Part | BaseException | None) -> None:
        while not patience.is_over:
            try:
                read.put(found, timeout=_LOOK_S)
            except Full:
                continue
            return

    def work() -> None:
        end: BaseException | None = None
        try:
            for part in parts:
                offer(part)
        except BaseException as error:
            end = error
        finally:
            parts.close()
        offer(end)

    thread = threading.Thread(target=work, name="stream", daemon=True)
    thread.start()
    try:
        yield from _offered(read, patience)
    finally:
        patience.stop()
        thread.join()


def _offered(read: Queue[Part | BaseException | None], patience: Patience) -> Iterator[Part]:
    while True:
        try:
            found = read.get(timeout=_LOOK_S)
        except Empty:
            _check(patience)
            continue
        if found is None:
            return
        if isinstance(found, BaseException):
            raise found
        yield found


def receive(
    connection: Connection, select: sa.Select[Any], patience: Patience, size: int
) -> Iterator[list[Any]]:
    """Yield the rows of a select as COPY sends them, some at a time; once at least.

    Each row is one message; `layers.rows.copied.decode` takes them.
    """
    text, parameters = _composed(connection, select)
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(text, parameters):
        yield from without_frame(_received(driver.pgconn, patience, size))


def _received(pgconn: Any, patience: Patience, size: int) -> Iterator[list[Any]]:
    """Yield the messages of a COPY that has begun, some at a time.

    The driver's own way waits for each row anew, which takes twice as long as to receive it, and
    can't be told to stop while it waits.
    """
    # The first part is small: who waits for the first byte waits for it.
    found: list[Any] = []
    wanted = min(size, _FIRST_ROWS)
    while True:
        length, message = pgconn.get_copy_data(1)
        if length > 0:
            found.append(message)
            if len(found) == wanted:
                yield found
                found, wanted = [], size
                _check(patience)
        elif length < 0:
            break
        else:
            _check(patience)
            waiting.select([pgconn.socket], [], [], _LOOK_S)
            pgconn.consume_input()
    _finish(pgconn)
    yield found


def _finish(pgconn: Any) -> None:
    """Raise what the database says, where it ended the COPY because something was wrong."""
    while result := pgconn.get_result():
        if result.status != ExecStatus.COMMAND_OK:
            state = (result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b"").decode()
            raise psycopg.errors.lookup(state)(result.get_error_message())


def _check(patience: Patience) -> None:
    if patience.is_over:
        raise StreamStopped("nobody reads this any more")


def _composed(connection: Connection, select: sa.Select[Any]) -> tuple[str, dict[str, Any]]:
    """The COPY of a select, whose values the driver writes into it: COPY takes none beside it."""
    dialect = connection.dialect
    compiled = select.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    values = dict(compiled.construct_params())
    for name, bound in compiled.binds.items():
        process = bound.type.dialect_impl(dialect).bind_processor(dialect)
        if process is not None and name in values:
            values[name] = process(values[name])
    return f"COPY ({compiled}) TO STDOUT (FORMAT BINARY)", values
