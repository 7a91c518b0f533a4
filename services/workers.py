"""Server processes: one that serves by itself, or several on one port that share the work.

Several share the port, the tiles on disk and a counter of commits (`layers.counters`), so that what
one has committed all of them answer with. What is counted against callers each counts by itself.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Any

from layers.store import Store, open_store
from services.errors import BadParameter
from services.opening import copies_in
from services.settings import Settings

if TYPE_CHECKING:
    import uvicorn

_SPAWN = multiprocessing.get_context("spawn")
# One that ends sooner than this has not served; after so many in a row, no more are started.
_SOON_S, _MOST_SOON = 5.0, 3
_PATIENCE_S = 15.0


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a server listens."""

    host: str
    port: int

    @property
    def taken(self) -> BadParameter:
        """What to say where somebody else listens there."""
        return BadParameter(f"port {self.port} of {self.host} is taken; choose another with --port")


def serve_alone(store: Store, settings: Settings, where: Listening) -> None:
    """Serve in this process until interrupted.

    Raises
    ------
    BadParameter
        Where the port is taken.
    """
    server = _server(store, settings, where)
    try:
        server.run()
    except SystemExit:
        if server.started:
            raise
        raise where.taken from None


def serve_together(store: Store, settings: Settings, where: Listening, workers: int) -> None:
    """Serve in several processes until interrupted; one that dies is followed by another.

    Raises
    ------
    BadParameter
        Where the port is taken, or no process comes up.
    """
    with _listening(where) as own, _interrupted() as stop:
        dsn = store.database.quick.dsn

        def start() -> tuple[SpawnProcess, float]:
            made = _SPAWN.Process(target=_work, args=(dsn, settings, where, own), daemon=True)
            made.start()
            return made, time.monotonic()

        running = [start() for _ in range(workers)]
        soon = 0
        try:
            while not stop.is_set():
                connection.wait([p.sentinel for p, _ in running], timeout=0.5)
                for n, (process, begun) in enumerate(running):
                    if process.is_alive() or stop.is_set():
                        continue
                    soon = soon + 1 if time.monotonic() - begun < _SOON_S else 0
                    if soon >= _MOST_SOON:
                        raise BadParameter("server processes end as soon as they begin; see above")
                    running[n] = start()
        finally:
            _end(process for process, _ in running)


def _server(store: Store, settings: Settings, where: Listening) -> uvicorn.Server:
    import uvicorn

    from services.app import create_app
    from services.wire import wire_with

    store.follow()
    app = create_app(store, settings)
    config = uvicorn.Config(
        app,
        host=where.host,
        port=where.port,
        http=wire_with(app.state.gate),
        log_level="warning",
        access_log=False,
        server_header=False,
    )
    # What is here now stays; to look through it again and again is 4 % of a page of 1,000 features.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    return uvicorn.Server(config)


def _work(dsn: str, settings: Settings, where: Listening, own: socket.socket) -> None:
    """What each of several processes does."""
    with closing(open_store(dsn, copies=copies_in(settings))) as store:
        _server(store, settings, where).run(sockets=[own])


@contextmanager
def _listening(where: Listening) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    own = socket.socket(family, socket.SOCK_STREAM)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with own:
        try:
            own.bind((where.host, where.port))
        except OSError:
            raise where.taken from None
        own.listen(2048)
        own.set_inheritable(True)
        yield own


@contextmanager
def _interrupted() -> Iterator[threading.Event]:
    """An event that is set when somebody wants the server to end."""
    stop = threading.Event()
    before = {s: signal.signal(s, lambda *_: stop.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(processes: Any) -> None:
    every = list(processes)
    for process in every:
        process.terminate()
    ends = time.monotonic() + _PATIENCE_S
    for process in every:
        process.join(max(0.1, ends - time.monotonic()))
        if process.is_alive():
            process.kill()
