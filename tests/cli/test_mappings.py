"""Columns by other names on the command line: suggested by a dry run, given back, kept, told."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import pyogrio
import pytest
import shapely

from layers.readers import Reader
from layers.store import open_store
from tests.databases import Databases

Run = Callable[..., tuple[int, str, str]]
FIRST = ("--layer", "parcels", "--encoding", "GBK")
NEW = ("--schema", "cn:parcels", "--valid-from", "2024-01-01")
CODES = ("330106001001GB00001", "330106001001GB00002")


@pytest.fixture
def empty(empty_template: str, make_database: Databases, monkeypatch: pytest.MonkeyPatch) -> str:
    dsn = make_database(empty_template)
    monkeypatch.setenv("DATABASE_URL", dsn)
    return dsn


def write(path: Path, areas: tuple[float, float] = (1.0, 2.0)) -> Path:
    """Synthetic parcels as a cadastre exports them: GBK, names cut to ten bytes, uses in words."""
    columns = {
        "宗地代码": list(CODES),
        "不动产单元": [f"{code}W00000000" for code in CODES],
        "ZL": ["某路1号", "某路2号"],
        "宗地面积": list(areas),
        "用途": ["水田", "旱地"],
        "权利类型": ["国有建设用地使用权", "3"],
        "QLXZ": ["101", "102"],
        "自编号": ["甲", "乙"],
    }
    shapes = [shapely.box(120 + n / 100, 30, 120.005 + n / 100, 30.005) for n in range(2)]
    frame = gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4490")
    pyogrio.write_dataframe(frame, path, driver="ESRI Shapefile", encoding="GBK")
    assert "用途".encode("gbk") in path.with_suffix(".dbf").read_bytes()
    return path


def suggested(told: str) -> str:
    """What of a dry run's answer is to be given back."""
    return told[: told.index("# ----")]


def test_from_a_suggestion_to_a_mapping_that_is_kept(empty: str, run: Run, tmp_path: Path) -> None:
    source = write(tmp_path / "宗地.shp")
    code, told, said = run("publish", source, *FIRST, *NEW, "--dry-run")
    # What it suggests is there even where the publish can't be.
    assert code
    assert "parcel_code is required" in said
    mapping = suggested(told)
    fields = tomllib.loads(mapping)["fields"]
    assert {name: item["column"] for name, item in fields.items()} == {
        "parcel_code": "宗地代码",
        "real_estate_unit_no": "不动产单元",
        "location": "ZL",
        "area_m2": "宗地面积",
        "land_use_code": "用途",
        "right_type": "权利类型",
        "right_nature": "QLXZ",
    }
    assert fields["land_use_code"]["values"] == {"旱地": "0103", "水田": "0101"}
    assert fields["right_type"]["values"] == {"国有建设用地使用权": "3"}
    (tmp_path / "m.toml").write_text(mapping, encoding="utf-8")
    code, told, said = run("publish", source, *FIRST, *NEW, "--mapping", tmp_path / "m.toml")
    assert not code, said
    assert "2 created" in told
    assert "宗地.shp, as stated" in told
    assert "columns left out: 自编号" in told
    with closing(open_store(empty)) as store:
        read = store.layer("parcels", Reader.everything()).at().read()
    assert read["parcel_code"].tolist() == list(CODES)
    assert read["land_use_code"].tolist() == ["0101", "0103"]
    assert read["right_type"].tolist() == ["3", "3"]
    assert read["location"].tolist() == ["某路1号", "某路2号"]
    # The next delivery, from another folder, is read by it without a word.
    (tmp_path / "next").mkdir()
    code, told, said = run("publish", write(tmp_path / "next" / "宗地.shp", (1.0, 3.0)), *FIRST)
    assert not code, said
    assert "0 created, 1 changed, 0 retired" in told
    assert "宗地.shp, as kept by" in told


def test_columns_on_the_command_line(empty: str, run: Run, tmp_path: Path) -> None:
    source = write(tmp_path / "a.shp")
    code, _, said = run("publish", source, *FIRST, *NEW, "--map", "parcel_code=宗地", "x=y")
    assert code
    assert "no column '宗地'; it has 宗地代码" in said
    others = ("area_m2=宗地面积", "land_use_code=用途", "right_type=权利类型", "right_nature=QLXZ")
    pairs = ("--map", "parcel_code=宗地代码", "location=ZL", *others, "--mapping", "survey")
    code, told, said = run("publish", source, *FIRST, *NEW, *pairs)
    assert not code, said
    assert "by the mapping survey, as stated: parcel_code = 宗地代码, location = ZL" in told
    source = write(tmp_path / "b.shp")
    code, told, said = run("publish", source, *FIRST, "--map", "area_m2=宗地面积")
    assert code
    assert "key parcel_code" in said
    code, _, said = run("publish", source, *FIRST, "--mapping", "other")
    assert code
    assert "(survey)" in said
    code, told, said = run("publish", source, *FIRST, "--mapping", "survey")
    assert not code, said
    assert "nothing differs" in told


def test_rivals_are_comments(empty: str, run: Run, tmp_path: Path) -> None:
    table = "编号,用途,YT,x,y\n1,0101,0103,120,30\n"
    (tmp_path / "t.csv").write_text(table, encoding="utf-8")
    (tmp_path / "s.toml").write_text(
        'title = "t"\ngeometry = "Point"\ncoordinates = ["x", "y"]\n'
        '[[fields]]\nid = "no"\nrole = "key"\ntitle = { en = "No", zh = "编号" }\n'
        '[[fields]]\nid = "use"\ntitle = { en = "Use", zh = "用途" }\n',
        encoding="utf-8",
    )
    asked = (
        "publish", tmp_path / "t.csv", "--layer", "t", "--schema", tmp_path / "s.toml",
        "--valid-from", "2024-01-01", "--crs", "EPSG:4490", "--dry-run",
    )  # fmt: skip
    code, told, said = run(*asked)
    assert not code, said
    assert list(tomllib.loads(suggested(told))["fields"]) == ["no"]
    assert '# column = "用途"' in told
    assert '# column = "YT"' in told
    assert "or 'YT' as use: take the # away" in told
    code, told, said = run(*asked, "--json")
    assert not code, said
    found = json.loads(told)["suggested"]
    pairs = {("no", "编号"), ("use", "用途"), ("use", "YT")}
    assert {(one["field"], one["column"]) for one in found} == pairs
