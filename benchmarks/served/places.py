"""Where the servers find the layer: one view of the live table, and pygeoapi's settings for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from served.questions import FIELDS, TABLE

VIEW = "peers.parcels"


@dataclass(frozen=True)
class Place:
    """Where a server is to find its data, and may write its own settings and log."""

    dsn: str
    folder: Path
    features: int


def make_view(connection: psycopg.Connection) -> None:
    """Give the peers the layer's own table under plain names, without what the store adds."""
    columns = ", ".join(f'"{name}"' for name in FIELDS)
    # As the store's own reads are. Left to PostgreSQL, each page of a hundred of pg_featureserv
    # starts two workers, of which each loads PROJ anew: 0.2 s.
    database = sql.Identifier(connection.info.dbname)
    for setting in ("jit = off", "max_parallel_workers_per_gather = 0"):
        connection.execute(sql.SQL("ALTER DATABASE {} SET ").format(database) + sql.SQL(setting))
    connection.execute("CREATE SCHEMA IF NOT EXISTS peers")
    connection.execute(f"DROP VIEW IF EXISTS {VIEW}")
    connection.execute(
        f"CREATE VIEW {VIEW} AS SELECT _fid AS fid, {columns}, _geom AS geom FROM {TABLE}"
    )


def pygeoapi_settings(place: Place, port: int) -> dict[str, Any]:
    """Return pygeoapi's configuration."""
    where = psycopg.conninfo.conninfo_to_dict(place.dsn)
    address = f"http://127.0.0.1:{port}"
    someone = {"name": "benchmark", "url": address}
    crs84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
    # CGCS2000 passes for CRS84: told what it is, pygeoapi gives latitude first, transforms each
    # shape in Python, and finds nothing in a box; not told, it refuses boxes and does the rest.
    provider = {
        "type": "feature",
        "name": "PostgreSQL",
        "data": {
            "host": where["host"],
            "port": 5432,
            "dbname": where["dbname"],
            "user": where["user"],
            "password": "",
            "search_path": ["peers"],
        },
        "id_field": "fid",
        "table": "parcels",
        "geom_field": "geom",
    }
    return {
        "server": {
            "bind": {"host": "127.0.0.1", "port": port},
            "url": address,
            "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8",
            "languages": ["en-US"],
            "limits": {"default_items": 10, "max_items": 10000},
            "map": {"url": "https://tile.example/{z}/{x}/{y}.png", "attribution": "none"},
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": {
                "title": "benchmark",
                "description": "benchmark",
                "keywords": ["benchmark"],
                "terms_of_service": address,
                "url": address,
            },
            "license": someone,
            "provider": someone,
            "contact": someone,
        },
        "resources": {
            "parcels": {
                "type": "collection",
                "title": "parcels",
                "description": "parcels",
                "keywords": ["parcels"],
                "links": [],
                "extents": {"spatial": {"bbox": [-180, -90, 180, 90], "crs": crs84}},
                "providers": [provider],
            }
        },
    }
