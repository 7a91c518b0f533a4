"""Errands: what somebody waits for, so that the database stops working on it when they leave.

A thread that waits for the database hears nothing else. So whoever waits for an answer sets up an
errand; the connections that work on it put themselves on its list while they do, and are told to
stop where it is given up. The errand goes with the context, also into threads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import psycopg

_RUNNING: ContextVar[Errand | None] = ContextVar("errand", default=None)
_LONGEST_S = 5.0


@dataclass(eq=False)
class Errand:
    """What one client waits for."""

    _working: set[psycopg.Connection[Any]] = field(default_factory=set)
    _is_over: bool = False
    # Held while connections are told to stop: none must be somebody else's by then.
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def give_up(self) -> None:
        """Stop what the database works on; what is begun after this is not done at all."""
        with self._lock:
            self._is_over = True
            for connection in self._working:
                with suppress(psycopg.Error):
                    connection.cancel_safe(timeout=_LONGEST_S)

    def begin(self, connection: psycopg.Connection[Any]) -> None:
        """Note that a connection works for it."""
        with self._lock:
            if self._is_over:
                raise psycopg.errors.QueryCanceled("the client left")
            self._working.add(connection)

    def end(self, connection: psycopg.Connection[Any]) -> None:
        """Note that a connection has done its work."""
        with self._lock:
            self._working.discard(connection)


@contextmanager
def errand() -> Iterator[Errand]:
    """Run an errand: what is asked of the database within is asked for it."""
    made = Errand()
    token = _RUNNING.set(made)
    try:
        yield made
    finally:
        _RUNNING.reset(token)


def leave() -> None:
    """Go on by oneself: what this context asks from now on is nobody's errand."""
    _RUNNING.set(None)


@contextmanager
def working(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Work with a connection on the errand that is run, if any.

    Raises
    ------
    psycopg.errors.QueryCanceled
        Where it is given up; of what runs just then, the database raises the same.
    """
    running = _RUNNING.get()
    if running is None:
        yield
        return
    try:
        running.begin(connection)
        yield
    finally:
        running.end(connection)
