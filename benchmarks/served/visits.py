"""Asking a server: over one kept connection, and whether what it answers was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from served.clocks import Meter, Spent
from served.questions import Question, Samples
from served.servers import Server

_TIMEOUT_S = 300
_MANY = 16


@dataclass(frozen=True)
class Visit:
    """One question to one server, ready to be asked many times."""

    server: Server
    question: Question
    path: str
    headers: Mapping[str, str]
    status: int

    def ask(self, meter: Meter, times: int) -> Spent:
        """Ask so many times, and return what one took."""
        with _connected(self.server) as connection:
            self._once(connection)
            with meter.metered() as bill:
                for _ in range(times):
                    self._once(connection)
        return bill.spent / times

    def _once(self, connection: HTTPConnection) -> None:
        connection.request("GET", self.path, headers=dict(self.headers))
        answer = connection.getresponse()
        answer.read()
        if answer.status != self.status:
            raise SystemExit(f"{self.server.name}: {answer.status} to {self.path[:200]}")


def warm(server: Server, question: Question) -> None:
    """Ask by many at once, so that all connections that a server keeps have been used."""
    path = server.path(question)
    if path is None:
        return

    def read(_: int) -> None:
        with _connected(server) as connection:
            connection.request("GET", path)
            connection.getresponse().read()

    with ThreadPoolExecutor(_MANY) as pool:
        list(pool.map(read, range(_MANY * _MANY)))


class Unanswered(Exception):
    """A server that can't answer a question, with why."""


def prepare(server: Server, question: Question, samples: Samples, matching: int) -> Visit:
    """Ask once, look whether the answer is what was asked for, and return how to ask again.

    Raises
    ------
    Unanswered
        Where the server can't be asked this, refuses, or answers something else.
    """
    path = server.path(question)
    if path is None:
        raise Unanswered("not offered")
    headers = {"Accept": "application/geo+json", "Accept-Encoding": "identity"}
    with _connected(server) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise Unanswered(f"{answer.status}: {body[:200]!r}")
        check_answer(server, question, samples, matching, json.loads(body))
        if not question.unchanged:
            return Visit(server, question, path, headers, 200)
        headers["If-None-Match"] = answer.headers["ETag"]
        connection.request("GET", path, headers=headers)
        again = connection.getresponse()
        again.read()
        if again.status != 304:
            raise Unanswered(f"{again.status} to what has not changed")
    return Visit(server, question, path, headers, 304)


def check_answer(
    server: Server, question: Question, samples: Samples, matching: int, document: dict[str, Any]
) -> None:
    """Compare an answer with what the database says.

    Parameters
    ----------
    matching : int
        How many features the question is about.

    Raises
    ------
    Unanswered
        Where it is something else.
    """
    if question.feature is not None:
        _expect("id", _code(document), question.feature)
        return
    found = document["features"]
    _expect("features", len(found), min(question.limit, matching))
    if question.count and server.counts:
        _expect("numberMatched", document["numberMatched"], matching)
    whole = not (question.filtered or question.bbox)
    if whole and server.ordered:
        _expect("first feature", _code(found[0]), samples.first)
    geometry, properties = found[0]["geometry"], found[0]["properties"]
    _expect("geometry", geometry["type"], "MultiPolygon")
    _expect("within the city", _inside(geometry["coordinates"][0][0][0], samples), True)
    if question.edition is not None:
        _expect("edition", properties["floor_area_ratio"], float(question.edition))
    missing = {"parcel_code", "location", "bound_n"} - set(properties)
    _expect("missing fields", sorted(missing), [])


def _code(feature: dict[str, Any]) -> str:
    return str(feature["properties"]["parcel_code"])


def _inside(point: list[float], samples: Samples) -> bool:
    west, south, east, north = samples.extent
    return west - 1e-6 <= point[0] <= east + 1e-6 and south - 1e-6 <= point[1] <= north + 1e-6


def _expect(what: str, found: Any, wanted: Any) -> None:
    if found != wanted:
        raise Unanswered(f"{what}: {found!r}, not {wanted!r}")


@contextmanager
def _connected(server: Server) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=_TIMEOUT_S)
    try:
        yield connection
    finally:
        connection.close()
