"""What the tests of `shikong apply` begin with: a small city, and all that a write would change."""

from __future__ import annotations

from typing import Any

import psycopg

SCHEMA = """
kind = "state"
title = { en = "Wells", zh = "井" }
geometry = "Point"
crs = "EPSG:4490"
coordinates = ["x", "y"]
[[fields]]
id = "no"
type = "text"
role = "key"
[[fields]]
id = "depth"
type = "number"
"""
CITY = """
layers:
  wells:
    schema: wells.toml
    title: {zh: 水井, en: Water wells}
    update_cycle: P1Y
    visibility: public
    department: water
    indexes: [depth]
  pumps:
    title: {zh: 泵站, en: Pumps}
sources:
  - path: data/wells.csv
    layer: wells
    crs: EPSG:4490
    valid_from: 2020-01-01
  - path: data/pumps.csv
    layer: pumps
    crs: EPSG:4490
    key: [no]
    coordinates: [x, y]
    valid_from: 2021-01-01
    message: first pumps
"""


def written(dsn: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table of the store, and how far each of its counters is."""
    with psycopg.connect(dsn) as connection:
        tables = connection.execute(
            "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables "
            "WHERE schemaname !~ '^pg_|^information_schema$' AND tablename <> 'spatial_ref_sys' "
            "ORDER BY 1"
        ).fetchall()
        found = {
            name: connection.execute(f"SELECT t::text FROM {name} t ORDER BY 1").fetchall()
            for (name,) in tables
        }
        counters = "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2"
        return found | {"counters": connection.execute(counters).fetchall()}
