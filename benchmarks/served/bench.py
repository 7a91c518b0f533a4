"""What is measured with: the cluster, the servers that run on it, and what to ask them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.sql import SQL

from served import floor
from served.clocks import Meter
from served.places import Place
from served.questions import Question, Samples
from served.rows import Row, take_turns
from served.servers import PEER_KINDS, Server, Shikong
from served.visits import Unanswered, prepare, warm

FLOOR = "floor"
OURS = Shikong.name
OTHERS = tuple(kind.name for kind in PEER_KINDS)


@dataclass(frozen=True)
class Bench:
    """The cluster, the servers that run on it, and what to ask them."""

    dsn: str
    postmaster: int
    folder: Path
    servers: Mapping[str, Server]
    samples: Samples
    options: argparse.Namespace

    def row(
        self, question: Question, bar: str = "", *, hand: str | None = None, wanted: str = ""
    ) -> Row:
        """Return the row of a question, of all who can answer it.

        Parameters
        ----------
        hand : str, optional
            What the statement written by hand is called; nobody runs one where absent.
        wanted : str
            The only server that is asked; all where empty.
        """
        row = Row(question.title, {}, bar=bar)
        matching = self._count(question)
        for name, server in self.servers.items():
            if wanted in ("", name):
                try:
                    visit = prepare(server, question, self.samples, matching)
                except Unanswered as why:
                    row.refused[name] = str(why)
                    continue
                meter = Meter(server.pid, self.postmaster)
                row.asks[name] = lambda n, visit=visit, meter=meter: visit.ask(meter, n)
        if hand is not None:
            script = self.folder / f"{question.title.replace(' ', '_').replace('/', '_')}.sql"
            least = floor.write_floor(
                question, self.dsn, self.postmaster, script, self.options.seconds
            )
            row.asks[hand] = least.ask
        return row

    def _count(self, question: Question) -> int:
        with psycopg.connect(self.dsn) as connection:
            (found,) = connection.execute(SQL(floor.count(question))).fetchone() or (0,)
        return int(found)

    def measure(self, rows: Sequence[Row]) -> None:
        """Let all of them answer in turns."""
        take_turns(rows, self.options.rounds, self.options.seconds)


@contextmanager
def serving(place: Place, wanted: Sequence[str]) -> Iterator[dict[str, Server]]:
    """Start this project's server and those of the others that are installed, and end them."""
    running: dict[str, Server] = {}
    try:
        for kind in (Shikong, *PEER_KINDS):
            server = kind(place)
            if kind.name not in wanted:
                continue
            if not server.there():
                print(f"<!-- {kind.name} is not installed; run make peers -->", flush=True)
                continue
            running[kind.name] = server
            server.start()
            warm(server, Question("warm"))
        yield running
    finally:
        for server in running.values():
            server.stop()
