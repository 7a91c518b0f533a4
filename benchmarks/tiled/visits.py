"""Asking servers for tiles: so many addresses over so many connections, or one again and again."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection

from served.clocks import Meter, Spent

_TIMEOUT_S = 300
_PLAIN: Mapping[str, str] = {"Accept-Encoding": "identity"}
_ANSWERED = (200, 204)
_REQUESTS = re.compile(r"(\d+) requests in")
_FAILED = re.compile(r"Non-2xx or 3xx responses: \d+|Socket errors: .*")


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header, by its name in small letters."""
        return next((value for n, value in self.headers if n.lower() == name), None)


def read(port: int, path: str, headers: Mapping[str, str] = _PLAIN) -> Answer:
    """Ask once."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path, headers={**_PLAIN, **headers})
        answer = connection.getresponse()
        return Answer(answer.status, answer.getheaders(), answer.read())
    finally:
        connection.close()


def ask_all(
    port: int, paths: Sequence[str], connections: int, headers: Mapping[str, str] = _PLAIN
) -> None:
    """Ask for each address once, over so many connections that are kept."""
    waiting = iter(paths)

    def ask(_: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
        try:
            # An iterator of a list gives each of its items once, whoever asks.
            for path in waiting:
                connection.request("GET", path, headers={**_PLAIN, **headers})
                answer = connection.getresponse()
                answer.read()
                if answer.status not in _ANSWERED:
                    raise SystemExit(f"port {port}: {answer.status} to {path}")
        finally:
            connection.close()

    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(ask, range(connections)))


def asking_all(
    meter: Meter,
    port: int,
    paths: Sequence[str],
    connections: int,
    headers: Mapping[str, str] = _PLAIN,
) -> Callable[[int], Spent]:
    """Return what asks for each address once, and says what one took."""

    def ask(_: int) -> Spent:
        with meter.metered() as bill:
            ask_all(port, paths, connections, headers)
        return bill.spent / len(paths)

    return ask


def loading(
    meter: Meter, url: str, headers: Mapping[str, str], connections: int, seconds: float
) -> Callable[[int], Spent]:
    """Return what has `wrk` ask for one address for some seconds, and says what one answer took."""
    given = [word for pair in headers.items() for word in ("-H", ": ".join(pair))]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "20s"]
    command += [*given, url]

    def ask(_: int) -> Spent:
        with meter.metered() as bill:
            done = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found, failed = _REQUESTS.search(done), _FAILED.search(done)
        if found is None or failed is not None:
            raise SystemExit(f"{url}: {failed[0] if failed else done}")
        return bill.spent / int(found[1])

    return ask
