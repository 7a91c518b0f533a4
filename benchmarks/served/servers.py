"""The servers that are compared, each with how it is started and how it is asked."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

import psycopg

from served.places import VIEW, Place, pygeoapi_settings
from served.questions import Question

ROOT = Path(__file__).resolve().parents[2]
# Where `make peers` installs them; another folder of the same form where PEERS names one.
PEERS = Path(os.environ.get("PEERS") or ROOT / ".cache" / "peers").absolute()
_START_S = 120


class Server(ABC):
    """One server: how it is started, and how it is asked."""

    name: ClassVar[str]
    port: ClassVar[int]
    items: ClassVar[str]
    counts: ClassVar[bool] = True
    ordered: ClassVar[bool] = True

    def __init__(self, place: Place) -> None:
        self.place = place
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """Return the program and its arguments."""

    @abstractmethod
    def environment(self) -> Mapping[str, str]:
        """Return what its environment has more than ours."""

    @abstractmethod
    def path(self, question: Question) -> str | None:
        """Return the address of a question without its host, None where it can't be asked."""

    def there(self) -> bool:
        """Whether it is installed."""
        return Path(self.command()[0]).exists()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = (self.place.folder / f"{self.name}.log").open("wb")
        self.process = subprocess.Popen(
            self.command(),
            env=os.environ | dict(self.environment()),
            stdout=log,
            stderr=log,
            cwd=self.place.folder,
        )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit(f"{self.name} does not start; see {log.name}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process is not None
        return self.process.pid

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1):
                pass
            with urlopen(Request(f"http://127.0.0.1:{self.port}{self.items}?limit=1"), timeout=60):
                return True
        except OSError:
            return False


class Shikong(Server):
    """The project's own, as `shikong serve` runs it."""

    name, port, items = "shikong", 8401, "/collections/parcels/items"

    def command(self) -> Sequence[str | Path]:
        """Return the program and its arguments."""
        serve = "import sys; from services.cli import main; sys.exit(main())"
        return [sys.executable, "-P", "-c", serve, "serve", "--port", str(self.port)]

    def environment(self) -> Mapping[str, str]:
        """Return its settings: one caller asks all of it, so the rate of a caller has no bound."""
        return {
            "DATABASE_URL": self.place.dsn,
            "SHIKONG_DATA": str(self.place.folder / "shikong"),
            "SHIKONG_RATE": "1000000/second",
            "SHIKONG_EACH": "16",
            "PYTHONPATH": str(ROOT),
        }

    def path(self, question: Question) -> str | None:
        """Return the address of a question without its host."""
        if question.feature is not None:
            return f"{self.items}/{quote(question.feature)}"
        query: dict[str, Any] = {"limit": question.limit}
        if question.bbox is not None:
            query["bbox"] = _bbox(question)
        if question.when is not None:
            query["datetime"] = question.when.isoformat().replace("+00:00", "Z")
        if question.count:
            query["count"] = "exact"
        if question.filtered:
            query |= {"filter": question.cql2("geometry"), "filter-lang": "cql2-text"}
        return f"{self.items}?{urlencode(query)}"


class Tipg(Server):
    """tipg, by uvicorn with all that makes it fast, one worker."""

    name, port = "tipg", 8402
    items = f"/collections/{VIEW}/items"

    def command(self) -> Sequence[str | Path]:
        """Return the program and its arguments."""
        return _uvicorn(PEERS / "tipg", "tipg.main:app", self.port)

    def environment(self) -> Mapping[str, str]:
        """Return its settings: the catalogue is read once, else each 300 s, extents included."""
        where = psycopg.conninfo.conninfo_to_dict(self.place.dsn)
        host = quote(str(where["host"]), safe="")
        return {
            "DATABASE_URL": f"postgresql://{where['user']}@{host}:5432/{where['dbname']}",
            "TIPG_DB_SCHEMAS": '["peers"]',
            "TIPG_TABLE_CONFIG__peers_parcels__pk": "fid",
            "TIPG_MAX_FEATURES_PER_QUERY": str(max(10_000, self.place.features)),
            "TIPG_CATALOG_TTL": "0",
        }

    def path(self, question: Question) -> str | None:
        """Return the address of a question without its host."""
        if question.when is not None or question.unchanged:
            return None
        if question.feature is not None:
            return f"{self.items}/{quote(question.feature)}"
        query: dict[str, Any] = {"limit": question.limit}
        if question.bbox is not None:
            query["bbox"] = _bbox(question)
        if question.filtered:
            query |= {"filter": question.cql2("geom"), "filter-lang": "cql2-text"}
        return f"{self.items}?{urlencode(query)}"


class Pygeoapi(Server):
    """pygeoapi, its Starlette application by uvicorn, one worker."""

    name, port, items = "pygeoapi", 8403, "/collections/parcels/items"

    def command(self) -> Sequence[str | Path]:
        """Return the program and its arguments."""
        return _uvicorn(PEERS / "pygeoapi", "pygeoapi.starlette_app:APP", self.port)

    def environment(self) -> Mapping[str, str]:
        """Return where its settings are."""
        files = {"PYGEOAPI_CONFIG": "pygeoapi.json", "PYGEOAPI_OPENAPI": "pygeoapi.openapi.json"}
        return {name: str(self.place.folder / file) for name, file in files.items()}

    def start(self) -> None:
        """Write its settings, have it write its description, and start it."""
        settings = self.place.folder / "pygeoapi.json"
        settings.write_text(json.dumps(pygeoapi_settings(self.place, self.port)))
        subprocess.run(
            [
                PEERS / "pygeoapi/bin/pygeoapi",
                *("openapi", "generate", settings, "--format", "json"),
                *("--output-file", self.place.folder / "pygeoapi.openapi.json"),
            ],
            env=os.environ | dict(self.environment()),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        super().start()

    def path(self, question: Question) -> str | None:
        """Return the address of a question without its host."""
        if question.when is not None or question.unchanged or question.within is not None:
            return None
        if question.feature is not None:
            return f"{self.items}/{quote(question.feature)}?f=json"
        query: dict[str, Any] = {"limit": question.limit, "f": "json"}
        if question.bbox is not None:
            query["bbox"] = _bbox(question)
        if question.filtered:
            query |= {"filter": question.cql2("geom"), "filter-lang": "cql-text"}
        return f"{self.items}?{urlencode(query)}"


class Featureserv(Server):
    """pg_featureserv, as it is."""

    name, port = "pg_featureserv", 8404
    items = f"/collections/{VIEW}/items"
    counts = False
    ordered = False

    def command(self) -> Sequence[str | Path]:
        """Return the program and its arguments."""
        return [PEERS / "pg_featureserv"]

    def environment(self) -> Mapping[str, str]:
        """Return its settings."""
        where = psycopg.conninfo.conninfo_to_dict(self.place.dsn)
        return {
            "DATABASE_URL": " ".join(f"{k}={v}" for k, v in where.items()),
            "PGFS_SERVER_HTTPHOST": "127.0.0.1",
            "PGFS_SERVER_HTTPPORT": str(self.port),
            "PGFS_PAGING_LIMITMAX": "10000",
            "PGFS_DATABASE_TABLEINCLUDES": "peers",
        }

    def path(self, question: Question) -> str | None:
        """Return the address of a question; of a view it knows no ids, and it counts nothing."""
        if question.when is not None or question.feature is not None or question.count:
            return None
        query: dict[str, Any] = {"limit": question.limit}
        if question.bbox is not None:
            query["bbox"] = _bbox(question)
        if question.filtered:
            query["filter"] = question.cql2("geom").replace("S_INTERSECTS", "INTERSECTS")
        return f"{self.items}.json?{urlencode(query)}"


PEER_KINDS: tuple[type[Server], ...] = (Tipg, Pygeoapi, Featureserv)


def _uvicorn(environment: Path, app: str, port: int) -> list[str | Path]:
    serve = ["-m", "uvicorn", app, "--port", str(port), "--workers", "1"]
    quiet = ["--log-level", "warning", "--no-access-log"]
    return [environment / "bin" / "python", *serve, *quiet]


def _bbox(question: Question) -> str:
    assert question.bbox is not None
    return ",".join(map(str, question.bbox))
