"""The servers of tiles that are compared, each with how it is started and how it is asked."""

from __future__ import annotations

import json
import shutil
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import psycopg
from served import servers
from served.places import VIEW
from served.places import Place as Ground
from served.questions import FIELDS as WHOLE
from served.questions import Question
from served.servers import Server, Shikong, Tipg

from tiled.places import GRID
from tiles.grids import Place

# What each feature has: some texts, the same of all servers. With codes and names too, dense tiles
# of zoom 12 would be over our goal of 4 MiB, and ours be thinned.
FIELDS = ("land_use_code", "right_type", "right_nature")
_NAMES = ",".join(FIELDS)
# As our own tiles have it; the others' own defaults are 64 (martin) and 256.
_BUFFER = 64
_NO_CAP = 10_000_000
_HERE = Path(__file__).resolve().parent


class TileServer(Server):
    """A server of tiles: features are not asked of it."""

    def path(self, question: Question) -> str | None:
        """Return None: it is asked for tiles alone."""
        del question
        return None

    @abstractmethod
    def tile(self, where: Place) -> str:
        """Return the address of a tile without its host."""


class Ours(TileServer, Shikong):
    """The project's own, as `shikong serve` runs it, with its tiles kept."""

    name, port = "shikong", 8411

    def environment(self) -> Mapping[str, str]:
        """Return its settings, with a data folder of its own."""
        folder = self.place.folder / f"data-{self.port}"
        return {**super().environment(), "SHIKONG_DATA": str(folder)}

    def tile(self, where: Place) -> str:
        """Return the address of a tile by the content rule."""
        address = f"{GRID}/{where.zoom}/{where.row}/{where.column}"
        return f"/collections/parcels/tiles/{address}"


class OursAnew(Ours):
    """The same, which keeps no tile, and gives every feature the fields that all servers give."""

    port = 8412

    def environment(self) -> Mapping[str, str]:
        """Return its settings."""
        nothing = {"SHIKONG_TILE_MEMORY_MB": "0", "SHIKONG_TILE_DISK_MB": "0"}
        return {**super().environment(), **nothing}

    def tile(self, where: Place) -> str:
        """Return the address of a tile."""
        return f"{super().tile(where)}?properties={_NAMES}"


class TipgTiles(TileServer, Tipg):
    """tipg, by uvicorn with all that makes it fast, one worker."""

    port = 8413

    def environment(self) -> Mapping[str, str]:
        """Return its settings."""
        cap = {"TIPG_MAX_FEATURES_PER_TILE": str(_NO_CAP), "TIPG_TILE_BUFFER": str(_BUFFER)}
        return {**super().environment(), **cap}

    def tile(self, where: Place) -> str:
        """Return the address of a tile."""
        address = f"{GRID}/{where.zoom}/{where.column}/{where.row}"
        return f"/collections/{VIEW}/tiles/{address}?properties={_NAMES}"


class Tileserv(TileServer):
    """pg_tileserv, as it is."""

    name, port, items = "pg_tileserv", 8414, "/index.json"

    def command(self) -> Sequence[str | Path]:
        """Return the program and its arguments."""
        return [servers.PEERS / "pg_tileserv"]

    def environment(self) -> Mapping[str, str]:
        """Return its settings."""
        # Not as a URL: Go's have no place for the folder of a socket.
        where = psycopg.conninfo.conninfo_to_dict(self.place.dsn)
        return {
            "DATABASE_URL": " ".join(f"{k}={v}" for k, v in where.items()),
            "TS_HTTPHOST": "127.0.0.1",
            "TS_HTTPPORT": str(self.port),
            "TS_MAXFEATURESPERTILE": str(_NO_CAP),
            "TS_DEFAULTBUFFER": str(_BUFFER),
            "TS_DBTIMEOUT": "120",
        }

    def tile(self, where: Place) -> str:
        """Return the address of a tile."""
        asked = f"properties={_NAMES}&limit={_NO_CAP}&buffer={_BUFFER}"
        return f"/{VIEW}/{where.zoom}/{where.column}/{where.row}.pbf?{asked}"


class TileservWhole(Tileserv):
    """The same, asked for all fields: a tile about as large as ours by the content rule."""

    port = 8420

    def tile(self, where: Place) -> str:
        """Return the address of a tile."""
        return f"/{VIEW}/{where.zoom}/{where.column}/{where.row}.pbf"


class Martin(TileServer):
    """martin, with its own cache, and all fields: a tile about as large as ours by the rule."""

    name, port, items = "martin", 8415, "/health"
    cache_mb: ClassVar[int] = 128
    fields: ClassVar[Sequence[str]] = tuple(WHOLE)

    def command(self) -> Sequence[str | Path]:
        """Return the program and its arguments."""
        program = servers.PEERS / "martin" / "bin" / "martin"
        return [program, "--config", self._settings]

    def environment(self) -> Mapping[str, str]:
        """Return nothing: its settings are in a file."""
        return {"RUST_LOG": "error"}

    @property
    def _settings(self) -> Path:
        return self.place.folder / f"martin-{self.port}.yaml"

    def start(self) -> None:
        """Write its settings, and start it."""
        schema, table = VIEW.split(".")
        layer = {
            "schema": schema,
            "table": table,
            "srid": 4490,
            "geometry_column": "geom",
            "geometry_type": "MULTIPOLYGON",
            "extent": 4096,
            "buffer": _BUFFER,
            "clip_geom": True,
            "bounds": [-180.0, -90.0, 180.0, 90.0],
            "properties": dict.fromkeys(self.fields, "text"),
        }
        # No `max_feature_count`: nothing is cut.
        settings = {
            "listen_addresses": f"127.0.0.1:{self.port}",
            "cache": {"size_mb": self.cache_mb},
            "postgres": {
                "connection_string": _address(self.place),
                "auto_publish": False,
                "tables": {"parcels": layer},
            },
        }
        self._settings.write_text(json.dumps(settings))  # which is YAML too
        super().start()

    def tile(self, where: Place) -> str:
        """Return the address of a tile."""
        return f"/parcels/{where.zoom}/{where.column}/{where.row}"


class MartinAnew(Martin):
    """The same, which keeps no tile, and has the fields that all servers give."""

    port = 8416
    cache_mb = 0
    fields = FIELDS


class Granian(TileServer):
    """A bare application under granian that sends the bytes and headers of one answer of ours."""

    name, port, items = "granian RSGI", 8417, "/"
    interface: ClassVar[str] = "rsgi"

    def command(self) -> Sequence[str | Path]:
        """Return the program and its arguments."""
        python = servers.PEERS / "granian" / "bin" / "python"
        app = [f"bare:{self.interface}", "--interface", self.interface]
        own = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        return [python, "-m", "granian", *app, *own, "--no-ws", "--log-level", "error"]

    def environment(self) -> Mapping[str, str]:
        """Return where the application is, and what it sends."""
        return {"PYTHONPATH": str(_HERE), "BARE_ANSWER": str(self.place.folder / "answer")}

    def tile(self, where: Place) -> str:
        """Return the address of the one thing that it sends."""
        del where
        return "/"


class GranianAsgi(Granian):
    """The same by the interface that ours speaks too."""

    name, port, interface = "granian ASGI", 8418, "asgi"


class Nginx(TileServer):
    """nginx, which sends the tile as a file."""

    name, port, items = "nginx, a file", 8419, "/tile"

    def command(self) -> Sequence[str | Path]:
        """Return the program and its arguments."""
        found = shutil.which("nginx") or "/usr/sbin/nginx"
        return [found, "-p", self.place.folder, "-c", self._settings]

    def environment(self) -> Mapping[str, str]:
        """Return nothing: its settings are in a file."""
        return {}

    @property
    def _settings(self) -> Path:
        return self.place.folder / "nginx.conf"

    def start(self) -> None:
        """Write its settings, and start it."""
        folder = self.place.folder
        self._settings.write_text(_NGINX.format(folder=folder, port=self.port))
        super().start()

    def tile(self, where: Place) -> str:
        """Return the address of the file."""
        del where
        return "/tile"


_NGINX = """
daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 512; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; open_file_cache max=9;
  client_body_temp_path {folder}/nginx1; proxy_temp_path {folder}/nginx2;
  fastcgi_temp_path {folder}/nginx3; uwsgi_temp_path {folder}/nginx4;
  scgi_temp_path {folder}/nginx5; types {{ }} default_type application/vnd.mapbox-vector-tile;
  server {{
    listen 127.0.0.1:{port};
    location = /tile {{ alias {folder}/answer.body; }}
  }}
}}
"""


def _address(ground: Ground) -> str:
    """Return the address of the database as a URL, which every driver reads."""
    where = psycopg.conninfo.conninfo_to_dict(ground.dsn)
    host = quote(str(where["host"]), safe="")
    return f"postgresql://{where['user']}@{host}:5432/{where['dbname']}"
