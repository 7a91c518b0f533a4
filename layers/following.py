"""Following the catalogue: what is known of layers is kept until somebody changes it.

A server asks the catalogue before each answer, which takes longer than many an answer. The database
tells whoever listens of every change (migration 0005); as long as it is heard, what was read last
is so still. What this process changes is forgotten at once, what another does as soon as it is
heard, some milliseconds later. While nobody listens, nothing is kept.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg

from layers.counters import Counter
from layers.model import Layer

CHANNEL = "shikong_catalogue"
_LOOK_S = 0.5
_AGAIN_S = 1.0
# A server that went away without a word is missed after some seconds.
_ALIVE: dict[str, Any] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8000,
}


@dataclass(eq=False)
class Follower:
    """What is known of layers, as long as changes are heard.

    Parameters
    ----------
    dsn : str
        libpq address of the database.
    counter : Counter
        Of all processes of this machine that change the same database.
    """

    dsn: str = field(repr=False)
    counter: Counter = field(default_factory=lambda: Counter(None), repr=False)
    _counted: int = 0
    _records: dict[str, Layer] = field(default_factory=dict, repr=False)
    _generation: int = 0
    _hears: bool = False
    _ended: threading.Event = field(default_factory=threading.Event, repr=False)
    _thread: threading.Thread | None = field(default=None, repr=False)

    @property
    def hears(self) -> bool:
        """Whether changes are heard just now."""
        return self._hears

    @property
    def generation(self) -> int:
        """A number that is another after each change."""
        self._look()
        return self._generation

    def find(self, layer_id: str) -> Layer | None:
        """Return what is known of a layer, None where that must be asked for."""
        self._look()
        return self._records.get(layer_id)

    def keep(self, record: Layer, generation: int) -> None:
        """Keep what was read, unless something changed since.

        Parameters
        ----------
        generation : int
            From before it was read.
        """
        if self._hears and generation == self.generation:
            self._records[record.id] = record
            if generation != self.generation:
                # It changed in between, and who forgets may have come too early.
                self._records.pop(record.id, None)

    def forget(self) -> None:
        """Forget all that is known: something changed."""
        self._generation += 1
        self._records.clear()

    def changed(self) -> None:
        """Forget all that is known, and have the other processes of this machine forget it."""
        self.counter.raise_()
        self.forget()

    def _look(self) -> None:
        """See whether another process of this machine changed something."""
        counted = self.counter.value
        if counted != self._counted:
            # In this order: another thread that looks in between must not take it for done.
            self.forget()
            self._counted = counted

    def start(self) -> None:
        """Begin to listen, in a thread of its own."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="catalogue", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Listen no more, and know nothing."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._deafen()

    def _follow(self) -> None:
        while not self._ended.is_set():
            with suppress(psycopg.Error):
                self._listen()
            self._deafen()
            self._ended.wait(_AGAIN_S)

    def _listen(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True, **_ALIVE) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            self.forget()
            self._hears = True
            while not self._ended.is_set():
                for _ in connection.notifies(timeout=_LOOK_S, stop_after=1):
                    self.forget()

    def _deafen(self) -> None:
        self._hears = False
        self.forget()
