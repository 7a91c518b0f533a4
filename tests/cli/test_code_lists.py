"""Code lists of cities, made up here: one replaces another, and old cases keep their codes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely
from starlette.testclient import TestClient

from layers.store import open_store
from services.app import create_app
from services.settings import Settings
from tests.databases import Databases

Run = Callable[..., tuple[int, str, str]]
LIST_A = """\
# source: synthetic city A, document 2015-7
code,title,title_en
A-1,合成井盖,Synthetic cover
A-2,合成路灯,Synthetic lamp
X-9,合成树木,Synthetic tree
"""
LIST_B = """\
# 来源：合成城市乙 2020 年第 3 号文
# 启用日期：2021-01-01
代码,名称,英文名称,上级代码
B-1,合成垃圾,Synthetic litter,C03
B-2,合成噪声,Synthetic noise,C03
X-9,合成花草,Synthetic flower,C04
"""


@pytest.fixture
def empty(empty_template: str, make_database: Databases, monkeypatch: pytest.MonkeyPatch) -> str:
    dsn = make_database(empty_template)
    monkeypatch.setenv("DATABASE_URL", dsn)
    return dsn


def cases(folder: Path, *rows: tuple[str, str, str], **others: str) -> Path:
    """A file of synthetic cases: number, class and day of report."""
    columns: dict[str, list[Any]] = {
        "case_no": [no for no, _, _ in rows],
        "sub_class": [code for _, code, _ in rows],
        "reported_at": [f"{day}T08:00:00+08:00" for _, _, day in rows],
        "changed_at": [f"{day}T08:00:00+08:00" for _, _, day in rows],
    }
    same = {
        "source": "12345",
        "object_kind": "event",
        "main_class": "C03",
        "description": "合成案件",
        "grid_codes": "unit=420106001001001",
        "state": "reported",
    }
    columns |= {name: [value] * len(rows) for name, value in (same | others).items()}
    shapes = [shapely.Point(114.30 + n / 1000, 30.5) for n in range(len(rows))]
    frame = gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4490")
    file = folder / f"cases-{'-'.join(no for no, _, _ in rows)}.gpkg"
    frame.to_file(file, engine="pyogrio")
    return file


def done(answer: tuple[int, str, str]) -> str:
    code, out, err = answer
    assert code == 0, (out, err)
    return out


@pytest.fixture
def city(run: Run, empty: str, tmp_path: Path) -> Path:
    """The profile's cases by list A, of 2019, and then list B in its place."""
    old = cases(tmp_path, ("1", "A-1", "2019-03-04"), ("2", "X-9", "2019-05-06"))
    (tmp_path / "a.csv").write_text(LIST_A, encoding="utf-8-sig")
    (tmp_path / "b.csv").write_bytes(LIST_B.encode("gb18030"))
    first = cases(tmp_path, ("0", "C01-01", "2018-01-01"))
    done(run("publish", first, "--layer", "incidents", "--schema", "cn:incidents"))
    done(
        run("layer", "codes", "incidents", "sub_class", tmp_path / "a.csv", "--from", "2019-01-01")
    )
    done(run("publish", old, "--layer", "incidents"))
    told = done(
        run("layer", "codes", "incidents", "sub_class", tmp_path / "b.csv", "--encoding", "GB18030")
    )
    assert "codes of sub_class added: 2: B-1, B-2" in told
    assert "codes of sub_class ceased, kept for rows of before: 2: A-1, A-2" in told
    assert "codes of sub_class called otherwise: 1: X-9" in told
    return tmp_path


def ask(dsn: str, path: str) -> str:
    settings = Settings(data=Path("nowhere"))
    with closing(open_store(dsn)) as store, TestClient(create_app(store, settings)) as client:
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text


def read(dsn: str, path: str) -> Any:
    return json.loads(ask(dsn, path))


def classes(dsn: str) -> dict[str, str]:
    """The class of each case, as everybody reads it."""
    items = read(dsn, "/collections/incidents/items?f=json&limit=100&datetime=../..")
    return {i["properties"]["case_no"]: i["properties"]["sub_class"] for i in items["features"]}


def test_cases_of_two_lists_stand_beside_each_other(run: Run, empty: str, city: Path) -> None:
    new = cases(city, ("3", "B-1", "2022-02-03"), ("4", "X-9", "2022-02-04"))
    assert "2 created" in done(run("publish", new, "--layer", "incidents"))
    assert classes(empty) == {"0": "C01-01", "1": "A-1", "2": "X-9", "3": "B-1", "4": "X-9"}
    collection = read(empty, "/collections/incidents?f=json")
    (f,) = (f for f in collection["fields"] if f["id"] == "sub_class")
    assert f["codes"]["A-1"] == {
        "en": "Synthetic cover",
        "zh": "合成井盖",
        "valid_from": "2019-01-01",
        "valid_to": "2021-01-01",
    }
    assert f["codes"]["B-1"]["zh"] == "合成垃圾"
    # A code that both lists have, for other things: each at its time.
    now, (before,) = f["codes"]["X-9"], f["codes"]["X-9"]["before"]
    assert (before["zh"], before["valid_to"], now["zh"]) == ("合成树木", "2021-01-01", "合成花草")
    page = ask(empty, "/collections/incidents/items?f=html&datetime=../..")
    titles = re.findall(r'<td class="code">(合成..)', page)
    assert titles == ["合成井盖", "合成树木", "合成垃圾", "合成花草"]
    for case, title in (("1", "合成井盖"), ("2", "合成树木"), ("4", "合成花草")):
        for more in ("", "/versions"):
            shown = ask(empty, f"/collections/incidents/items/{case}{more}?f=html")
            assert set(re.findall("合成(?:井盖|树木|垃圾|花草)", shown)) == {title}


def test_a_new_case_with_a_code_of_the_old_list_is_refused(
    run: Run, empty: str, city: Path
) -> None:
    new = cases(city, ("3", "B-1", "2022-02-03"), ("4", "A-1", "2022-02-04"))
    code, _, err = run("publish", new, "--layer", "incidents")
    assert code == 1
    for said in ("rows 2", "'A-1' (合成井盖", "until before 2021-01-01", "2022-02-04"):
        assert said in err
    assert "shikong layer codes incidents sub_class FILE.csv" in err
    assert set(classes(empty)) == {"0", "1", "2"}


def test_an_old_case_is_corrected_and_said_again(run: Run, empty: str, city: Path) -> None:
    old = cases(city, ("1", "A-1", "2019-03-04"), ("2", "X-9", "2019-05-06"))
    assert "nothing differs" in done(run("publish", old, "--layer", "incidents"))
    late = cases(city, ("5", "A-2", "2020-12-31"), ("1", "A-2", "2019-03-04"))
    assert "1 created, 1 changed" in done(run("publish", late, "--layer", "incidents"))
    assert classes(empty)["1"] == "A-2"
    # The first day of the new list is no day of the old one.
    late = cases(city, ("6", "A-2", "2021-01-01"))
    assert run("publish", late, "--layer", "incidents")[0] == 1


def test_a_code_is_not_valid_before_its_list(run: Run, empty: str, city: Path) -> None:
    early = cases(city, ("7", "B-1", "2020-12-31"))
    code, _, err = run("publish", early, "--layer", "incidents")
    assert code == 1
    assert "is valid from 2021-01-01 on, not on 2020-12-31" in err


def test_edits_are_held_to_the_lists(run: Run, empty: str, city: Path) -> None:
    def edit(document: dict[str, Any]) -> tuple[int, str, str]:
        file = city / "edits.json"
        file.write_text(json.dumps({"incidents": [document]}), encoding="utf-8")
        return run("apply", file)

    there = {"edit": "update", "id": "1", "valid_from": "2023-01-01"}
    # What the case was of goes on, also in developments after the list has ended.
    done(edit(there | {"properties": {"state": "closed"}}))
    done(edit(there | {"properties": {"sub_class": "A-2"}}))
    code, _, err = edit(there | {"properties": {"sub_class": "B-1"}})
    assert code == 1
    assert "'1': code 'B-1'" in err
    assert "not on 2019-03-04" in err


def test_the_lists_are_kept_with_the_revisions(run: Run, empty: str, city: Path) -> None:
    with closing(open_store(empty)) as store:
        record = store.layer("incidents").record
        lists = [f.codes for _, s in record.schemas for f in s.fields if f.id == "sub_class"]
    assert [("A-1" in codes, "B-1" in codes) for codes in lists] == [
        (False, False),
        (True, False),
        (True, True),
    ]


def test_a_list_taken_over_again_changes_nothing(run: Run, empty: str, city: Path) -> None:
    again = run("layer", "codes", "incidents", "sub_class", city / "b.csv", "--encoding", "GB18030")
    assert "no revision" in done(again)
    printed = done(run("layer", "codes", "incidents", "sub_class"))
    assert printed.splitlines()[0] == "# source: 合成城市乙 2020 年第 3 号文"
    assert "A-1,合成井盖,Synthetic cover,,2019-01-01,2021-01-01" in printed.splitlines()
    # What is printed is a list that says the same.
    (city / "printed.csv").write_text(printed, encoding="utf-8")
    kept = run("layer", "codes", "incidents", "sub_class", city / "printed.csv")
    assert "no revision" in done(kept)


LAMPS = """\
title = { en = "Synthetic street lamps", zh = "合成路灯" }
geometry = "Point"
visibility = "public"
synthetic = true

[[fields]]
id = "lamp_no"
title = { en = "Number", zh = "编号" }
role = "key"
pattern = 'L[0-9]{4}'

[[fields]]
id = "kind"
title = { en = "Kind", zh = "类型" }
role = "code"
codes = "codes/kinds.csv"

[[fields]]
id = "height_m"
title = { en = "Height", zh = "高度" }
type = "number"
unit = "m"

[[rules]]
id = "height"
check = "range"
title = { en = "A lamp's height", zh = "灯杆高度" }
fields = { value = "height_m" }
params = { least = 2, most = 40 }

[[rules]]
id = "apart"
check = "repeated-place"
params = { tolerance_m = 0.5 }
outcome = "row"
"""
KINDS = """\
# source: synthetic
代码,名称,英文名称
HPS,合成钠灯,Synthetic sodium
OIL,合成油灯,Synthetic oil
"""


@pytest.fixture
def lamps(tmp_path: Path) -> Path:
    """A kind of layer that the platform has never heard of: a schema file, and a list beside it."""
    folder = tmp_path / "our city"
    (folder / "codes").mkdir(parents=True)
    (folder / "codes" / "kinds.csv").write_text(KINDS, encoding="utf-8")
    (folder / "lamps.toml").write_text(LAMPS, encoding="utf-8")
    return folder


def lamp_file(folder: Path, kinds: dict[str, str], height: float = 8.0) -> Path:
    shapes = [shapely.Point(114.3 + n / 1000, 30.5) for n in range(len(kinds))]
    columns = {"lamp_no": list(kinds), "kind": list(kinds.values()), "height_m": height}
    file = folder / "lamps.geojson"
    gpd.GeoDataFrame(columns, geometry=shapes, crs="OGC:CRS84").to_file(file, engine="pyogrio")
    return file


def test_a_new_kind_is_a_file(run: Run, empty: str, lamps: Path) -> None:
    source = lamp_file(lamps, {"L0001": "HPS", "L0002": "OIL"}, height=400)
    how = ("--layer", "lamps", "--schema", lamps / "lamps.toml", "--valid-from", "2019-01-01")
    assert "2 faults of rule height" in done(run("publish", source, *how))
    code, _, err = run("publish", lamp_file(lamps, {"L1": "HPS"}), "--layer", "lamps", "--yes")
    assert code == 1
    assert "does not fit the pattern" in err
    described = read(empty, "/collections/lamps/schema")["properties"]["kind"]
    assert described["x-shikong-codes-source"] == "synthetic"
    assert [one["const"] for one in described["oneOf"]] == ["HPS", "OIL"]


def test_another_list_beside_the_file_is_taken_over(run: Run, empty: str, lamps: Path) -> None:
    source = lamp_file(lamps, {"L0001": "HPS", "L0002": "OIL"})
    how = ("--layer", "lamps", "--schema", lamps / "lamps.toml")
    done(run("publish", source, *how, "--valid-from", "2019-01-01"))
    text = "# source: synthetic\n# valid_from: 2021-01-01\ncode,title,title_en\n"
    text += "HPS,合成气灯,Synthetic gas\nLED,合成光灯,Synthetic diode\n"
    (lamps / "codes" / "kinds.csv").write_text(text, encoding="utf-8")
    told = done(run("layer", "schema", "lamps", "--schema", lamps / "lamps.toml"))
    assert "codes of kind ceased, kept for rows of before: 1: OIL" in told
    new = lamp_file(lamps, {"L0001": "HPS", "L0002": "OIL", "L0003": "LED"})
    assert "1 created, 0 changed" in done(run("publish", new, *how, "--valid-from", "2022-01-01"))
    entries = read(empty, "/styles/lamps/legend?f=json")["entries"]
    titles = {v: e["title"]["en"] for e in entries for v in e.get("values", ())}
    assert titles == {
        "HPS": "Synthetic gas (before 2021-01-01: Synthetic sodium)",
        "LED": "Synthetic diode",
        "OIL": "Synthetic oil",
    }
    codes = read(empty, "/collections/lamps/schema")["properties"]["kind"]["oneOf"]
    assert {c["const"]: c.get("x-shikong-valid-to") for c in codes} == {
        "HPS": None,
        "LED": None,
        "OIL": "2021-01-01",
    }


def test_a_described_city_with_another_list_is_applied_once(
    run: Run, empty: str, lamps: Path
) -> None:
    lamp_file(lamps, {"L0001": "HPS", "L0002": "OIL"})
    source = "{path: lamps.geojson, layer: lamps, valid_from: 2019-01-01}"
    city = lamps / "city.yaml"
    city.write_text(
        f"layers: {{lamps: {{schema: lamps.toml, update_cycle: P1Y}}}}\nsources: [{source}]\n"
    )
    done(run("apply", city))
    schema = (lamps / "lamps.toml").read_text(encoding="utf-8")
    dated = schema.replace('kinds.csv"', 'kinds.csv"\ncodes_since = "2021-01-01"')
    (lamps / "lamps.toml").write_text(dated, encoding="utf-8")
    (lamps / "codes" / "kinds.csv").write_text("code,title\nLED,合成光灯\n", encoding="utf-8")
    done(run("apply", city))
    printed = done(run("layer", "codes", "lamps", "kind")).splitlines()
    assert "OIL,合成油灯,Synthetic oil,,,2021-01-01" in printed
    assert "LED,合成光灯,合成光灯,,2021-01-01," in printed
    revisions = done(run("log", "lamps"))
    done(run("apply", city))
    assert done(run("log", "lamps")) == revisions
