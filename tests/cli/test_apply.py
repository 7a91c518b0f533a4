"""`shikong apply`: a described state, what it takes, and that a second time takes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.cities import CITY, SCHEMA, written

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def city(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "wells.toml").write_text(SCHEMA)
    (tmp_path / "data" / "wells.csv").write_text("no,x,y,depth\n1,120.5,31,10\n2,120.6,31.5,20\n")
    (tmp_path / "data" / "pumps.csv").write_text("no,x,y\nA,120.5,31\n")
    (tmp_path / "city.yaml").write_text(CITY)
    return tmp_path / "city.yaml"


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
