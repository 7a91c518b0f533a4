"""`shikong apply`: a described state, what it takes, and that a second time takes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.databases import Databases

Run = Callable[..., tuple[int, str, str]]
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


@pytest.fixture
def store_dsn(
    empty_template: str, make_database: Databases, monkeypatch: pytest.MonkeyPatch
) -> str:
    dsn = make_database(empty_template)
    monkeypatch.setenv("DATABASE_URL", dsn)
    return dsn


@pytest.fixture
def city(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "wells.toml").write_text(SCHEMA)
    (tmp_path / "data" / "wells.csv").write_text("no,x,y,depth\n1,120.5,31,10\n2,120.6,31.5,20\n")
    (tmp_path / "data" / "pumps.csv").write_text("no,x,y\nA,120.5,31\n")
    (tmp_path / "city.yaml").write_text(CITY)
    return tmp_path / "city.yaml"


def written(dsn: str) -> list[list[tuple[Any, ...]]]:
    """All that a write to the catalogue would change."""
    asked = (
        "SELECT id, head, visibility, department, pending FROM shikong.layer ORDER BY id",
        "SELECT layer_id, since_revision, document::text FROM shikong.layer_schema ORDER BY 1, 2",
        "SELECT id, message FROM shikong.commit ORDER BY id",
        "SELECT seq FROM shikong.audit ORDER BY seq",
    )
    with psycopg.connect(dsn) as connection:
        return [connection.execute(query).fetchall() for query in asked]


def test_a_city_twice(run: Run, store_dsn: str, city: Path) -> None:
    empty = written(store_dsn)
    code, plan, err = run("apply", city, "--dry-run")
    assert not code, err
    assert "+ wells: publish data/wells.csv (a new layer)" in plan
    assert written(store_dsn) == empty
    code, _, err = run("apply", city)
    assert not code, err
    told = run("layers")[1]
    assert "水井 · Water wells" in told
    assert "泵站 · Pumps" in told
    shown = run("layer", "show", "wells")[1]
    for words in (
        "P1Y",
        "department        water",
        "visibility        public",
        "indexes           depth",
    ):
        assert words in shown
    once = written(store_dsn)
    code, told, err = run("apply", city)
    assert not code, err
    assert "nothing to do" in told
    assert written(store_dsn) == once


def test_what_differs_is_done_and_no_more(run: Run, store_dsn: str, city: Path) -> None:
    assert run("apply", city)[0] == 0
    city.write_text(CITY.replace("P1Y", "P3M").replace("Pumps}", "Pumping stations}"))
    wells = city.parent / "data" / "wells.csv"
    wells.write_text(wells.read_text() + "3,120.7,31,30\n")
    code, told, err = run("apply", city)
    assert not code, err
    assert "wells: update_cycle: P1Y -> P3M" in told
    assert "1 created, 0 changed, 0 retired" in told
    assert "pumps.csv" not in told
    assert run("log", "pumps")[1].count("\n") == 1
    schema = city.parent / "wells.toml"
    schema.write_text(SCHEMA + '[[fields]]\nid = "owner"\ntype = "text"\n')
    code, told, err = run("apply", city)
    assert not code, err
    assert "wells: another schema" in told
    once = written(store_dsn)
    assert run("apply", city)[0] == 0
    assert written(store_dsn) == once


def test_toml_and_relative_paths(run: Run, store_dsn: str, city: Path) -> None:
    path = city.with_suffix(".toml")
    path.write_text(
        '[layers.wells]\nschema = "wells.toml"\n[[sources]]\npath = "data/wells.csv"\n'
        'layer = "wells"\nvalid_from = 2020-01-01\ncrs = "EPSG:4490"\n'
    )
    code, told, err = run("apply", path)
    assert not code, err
    assert "2 created" in told


@pytest.mark.parametrize(
    ("was", "becomes", "match"),
    [
        ("    title: {zh: 水井, en: Water wells}", "    titel: x", "layers.wells.titel"),
        ("P1Y", "yearly", "layers.wells.update_cycle: update_cycle = 'yearly'"),
        ("visibility: public", "visibility: all", "layers.wells.visibility"),
        ("indexes: [depth]", "indexes: [deep]", "no field 'deep'"),
        ("data/pumps.csv", "data/none.csv", "sources[1].path"),
        ("    key: [no]", "    key: no", "sources[1].key"),
        ("    message: first pumps", "    mode: replace", "sources[1].mode = 'replace'"),
        ("path: data/pumps.csv", "url: postgresql://a:b@host/x", "sources[1].url: a password"),
        ("    layer: pumps\n", "    layer: wells\n", "sources[1].key: the schema of layers.wells"),
        ("  pumps:\n", "  wells:\n", "wells is said twice"),
        ("schema: wells.toml", "schema: nothing.toml", "layers.wells.schema"),
        ("    valid_from: 2021-01-01\n", "    valid_from: soon\n", "sources[1]: --valid-from"),
        ("layers:\n", "layers: !!python/object:os.system\n", "can't be read"),
    ],
)
def test_refused_with_the_place(
    run: Run, store_dsn: str, city: Path, was: str, becomes: str, match: str
) -> None:
    assert was in CITY
    city.write_text(CITY.replace(was, becomes))
    code, _, err = run("apply", city)
    assert code == 1
    assert str(city) in err
    assert match in err
