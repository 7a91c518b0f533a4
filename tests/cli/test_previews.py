"""Previews and reports by the command line: a table, JSON, a layer of the faults, and a page."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyogrio
import pytest
import shapely

from layers.readers import Reader
from layers.store import open_store
from tests.databases import Databases

Run = Callable[..., tuple[int, str, str]]

SCHEMA = """
title = {{ en = "Plots", zh = "地块" }}
geometry = "Polygon"
crs = "EPSG:4549"
{limits}
[[fields]]
id = "no"
role = "key"

[[fields]]
id = "area"
type = "number"
unit = "m2"

[[rules]]
id = "apart"
check = "overlap"

[[rules]]
id = "stated-area"
check = "area"
fields = {{ stated = "area" }}
params = {{ share = 0.01 }}
outcome = "{outcome}"
share = {share}
"""
AT = 500_000.0
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(empty_template: str, make_database: Databases, monkeypatch: pytest.MonkeyPatch) -> str:
    dsn = make_database(empty_template)
    monkeypatch.setenv("DATABASE_URL", dsn)
    return dsn


def box(west: float, east: float) -> shapely.Polygon:
    return shapely.box(AT + west, 3_000_000, AT + east, 3_000_010)


def plots(folder: Path, shapes: dict[str, tuple[Any, float]], name: str) -> Path:
    """Write synthetic plots with the areas that are stated of them."""
    columns = {"no": list(shapes), "area": [area for _, area in shapes.values()]}
    frame = gpd.GeoDataFrame(columns, geometry=[s for s, _ in shapes.values()], crs="EPSG:4549")
    file = folder / name
    frame.to_file(file, layer="plots")
    return file


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """Three plots: a and b share 10 m2, and c states an area that is not its own."""
    shapes = {"a": (box(0, 10), 100.0), "b": (box(9, 19), 100.0), "<c>": (box(30, 40), 55.0)}
    return plots(tmp_path, shapes, "first.gpkg")


def schema(folder: Path, outcome: str = "row", share: float = 1.0, limits: str = "") -> Path:
    file = folder / "plots.toml"
    file.write_text(SCHEMA.format(outcome=outcome, share=share, limits=limits), encoding="utf-8")
    return file


def layers_of(dsn: str) -> list[str]:
    with closing(open_store(dsn)) as store:
        return [record.id for record in store.layers(Reader.everything())]


def test_a_preview_tells_all_and_writes_nothing(
    run: Run, store: str, first: Path, tmp_path: Path
) -> None:
    own = (first, "--layer", "plots", "--schema", schema(tmp_path), "--valid-from", "2020-01-01")
    code, out, err = run("preview", *own)
    assert code == 0, err
    assert out in (ROOT / "docs" / "publishing.md").read_text(encoding="utf-8")
    assert re.search(r"rows read +3 ", out)
    assert re.search(r"rows left out +1 ", out)
    assert re.search(r"apart +overlap +say +1 +2\n", out)
    assert re.search(r"stated-area +area-share +row +1 +3\n", out)
    code, out, _ = run("preview", *own, "--json")
    assert code == 0
    told = json.loads(out)
    assert (told["dry_run"], told["revision"], told["refused"]) == (True, None, [])
    assert (told["rows_read"], told["rows_refused"], told["created"]) == (3, 1, 2)
    assert [(b["rule"], b["count"]) for b in told["rules_broken"]] == [
        ("apart", 1),
        ("stated-area", 1),
    ]
    assert layers_of(store) == []


@pytest.mark.parametrize("ending", ["gpkg", "geojson"])
def test_faults_are_a_layer_in_their_places(
    run: Run, store: str, first: Path, tmp_path: Path, ending: str
) -> None:
    out = tmp_path / f"faults.{ending}"
    own = ("--layer", "plots", "--schema", schema(tmp_path), "--valid-from", "2020-01-01")
    code, _, err = run("publish", first, *own, "--faults", out)
    assert code == 0, err
    found = pyogrio.read_dataframe(out).set_index("rule")
    assert found.crs == "EPSG:4549"
    overlap = found.loc["apart"]
    assert (overlap["row"], overlap["other_row"], overlap["unit"]) == (2, 1, "m2")
    assert overlap["measured"] == pytest.approx(10)
    assert shapely.equals(overlap.geometry, box(9, 10))
    area = found.loc["stated-area"]
    assert area["row"] == 3
    assert shapely.equals(area.geometry, box(30, 40))
    assert "stated-area" not in area["message"]
    assert area["message"].startswith("area-share")


def test_what_a_rule_refuses_still_gives_its_whole_report(
    run: Run, store: str, first: Path, tmp_path: Path
) -> None:
    out = tmp_path / "faults.gpkg"
    own = ("--schema", schema(tmp_path, "refuse", 0.2), "--valid-from", "2020-01-01")
    code, said, err = run("publish", first, "--layer", "plots", *own, "--faults", out)
    assert code == 1
    assert "1 of 3 rows break the rule stated-area" in err
    assert "plots: refused, nothing was written" in said
    assert "1 faults of rule apart" in said
    assert set(pyogrio.read_dataframe(out)["rule"]) == {"apart", "stated-area"}
    assert layers_of(store) == []
    code, said, _ = run("preview", first, "--layer", "plots", *own, "--json")
    assert code == 1
    told = json.loads(said)
    assert told["refused"][0].startswith("1 of 3 rows break the rule stated-area")
    assert told["created"] == 3


def test_limits_refuse_what_rules_leave_out(
    run: Run, store: str, first: Path, tmp_path: Path
) -> None:
    own = (first, "--layer", "plots", "--valid-from", "2020-01-01", "--schema")
    tight = schema(tmp_path, limits="limits = { refused_share = 0.3 }")
    code, _, err = run("publish", *own, tight)
    assert code == 1
    assert "1 of 3 rows are left out by rules, and the layer takes 30% at most" in err
    assert "refused_share" in err
    assert layers_of(store) == []
    wide = schema(tmp_path, limits="limits = { refused_share = 0.34 }")
    assert run("publish", *own, wide)[0] == 0
    wrong = schema(tmp_path, limits="limits = { refused_share = 30 }")
    code, _, err = run("publish", *own, wrong)
    assert (code, "from 0 to 1" in err) == (1, True)


def test_limits_of_repairs_and_of_rows_without_geometry(
    run: Run, store: str, tmp_path: Path
) -> None:
    bow = shapely.Polygon([(AT, 0), (AT + 10, 10), (AT + 10, 0), (AT, 10)])
    shapes = {"a": (box(0, 10), 100.0), "b": (bow, 50.0), "c": (None, 1.0)}
    odd = plots(tmp_path, shapes, "odd.gpkg")
    own = (odd, "--layer", "plots", "--valid-from", "2020-01-01", "--schema")
    for limit, words in (
        ("repaired_share", "1 of 3 rows had to be repaired"),
        ("without_geometry_share", "1 of 3 rows have no geometry"),
    ):
        file = schema(tmp_path, "say", limits=f"limits = {{ {limit} = 0.1 }}")
        text = re.sub(r'outcome = "say"\nshare = .*\n', "", file.read_text(encoding="utf-8"))
        file.write_text(text.replace('"Polygon"', '"MultiPolygon"'), encoding="utf-8")
        code, _, err = run("preview", *own, file, "--faults", tmp_path / "odd.geojson")
        assert (code, words in err) == (1, True), err
    found = pyogrio.read_dataframe(tmp_path / "odd.geojson")
    assert found[found["rule"] == "repaired"]["row"].tolist() == [2]
    repaired = found[found["rule"] == "repaired"].geometry.iloc[0]
    assert shapely.is_valid(repaired)
    assert repaired.area == pytest.approx(50)
    assert found[found["rule"] == "without-geometry"]["row"].tolist() == [3]


def test_the_page_has_a_map_of_what_differs_and_escapes_all_text(
    run: Run, store: str, first: Path, tmp_path: Path
) -> None:
    own = ("--layer", "plots", "--schema", schema(tmp_path, "row"))
    code, _, err = run("publish", first, *own, "--valid-from", "2020-01-01")
    assert code == 0, err
    # a is gone, b is another shape, d is new; the file's name would be a tag.
    shapes = {"b": (box(10, 20), 100.0), "d": (box(50, 60), 100.0)}
    second = plots(tmp_path, shapes, "<b>&.gpkg")
    page = tmp_path / "page.html"
    code, said, err = run(
        "preview", second, *own, "--valid-from", "2021-01-01", "--yes", "--html", page
    )
    assert code == 0, err
    assert "1 created, 1 changed, 1 retired" in said
    text = page.read_text(encoding="utf-8")
    assert "&lt;b&gt;&amp;" in text
    assert "<b>" not in text
    assert not re.search(r"(?:src|href)=|url\(|@import", text)
    svg = re.search(r"<svg viewBox.*?</svg>", text, re.DOTALL)
    assert svg is not None
    paths = {p.get("class"): p.get("d", "") for p in ET.fromstring(svg[0]).iter("path")}
    wests = {
        kind: min(float(x) for x in re.findall(r"[ML]([\d.]+),", d)) for kind, d in paths.items()
    }
    # 60 m across 780 units: a from 0, b from 10 and d from 50 m.
    assert wests == pytest.approx({"retired": 10, "changed": 140, "created": 660}, abs=0.2)


def test_files_that_cannot_be_written_are_refused_first(
    run: Run, store: str, first: Path, tmp_path: Path
) -> None:
    own = (first, "--layer", "plots", "--schema", schema(tmp_path), "--valid-from", "2020-01-01")
    for option, file, words in (
        ("--faults", tmp_path / "faults.csv", ".gpkg or .geojson"),
        ("--html", tmp_path / "page.txt", ".html"),
        ("--faults", tmp_path / "nowhere" / "f.gpkg", "does not exist"),
    ):
        code, _, err = run("publish", *own, option, file)
        assert (code, words in err) == (1, True), err
    assert layers_of(store) == []


def test_a_table_is_joined_by_key(run: Run, store: str, first: Path, tmp_path: Path) -> None:
    """The report says how its text was read, what was summed, and which rows found nothing."""
    since = ("--layer", "plots", "--valid-from", "2024-01-01")
    assert run("publish", first, *since, "--key", "no")[0] == 0
    table = tmp_path / "面积.csv"
    table.write_bytes("no;面积\na;10,5\n".replace(",", ".").encode("gbk") + b"a;4\nb;1\nz;9\n")
    how = ("--mode", "upsert", "--map", "area=面积", "--encoding", "GBK")
    code, _, err = run("publish", table, *since, *how)
    assert (code, "1 of 4 rows are of no feature" in err, "'z'" in err) == (1, True, True)
    code, _, err = run("publish", table, *since, *how, "--leave-unknown")
    assert (code, "--duplicates" in err and "sum" in err) == (1, True)
    how = (*how, "--leave-unknown", "--duplicates", "sum")
    page = tmp_path / "report.html"
    code, out, err = run("preview", table, *since, *how, "--html", page)
    assert code == 0, err
    assert "encoding: GBK, as the publisher says\n  separator: semicolon, as was found" in out
    assert "1 faults of rule unknown-key, left out (row 4: no feature 'z')" in out
    assert "encoding: GBK, as the publisher says" in page.read_text("utf-8")
    code, out, _ = run("publish", table, *since, *how, "--json")
    told = json.loads(out)
    assert told["read_as"]["separator"] == {"value": ";", "stated_by": "found"}
    assert (told["rows_read"], told["rows_refused"], told["changed"]) == (4, 1, 2)
    with closing(open_store(store)) as opened:
        read = opened.layer("plots", Reader.everything()).at().read()
    assert read["area"].to_dict() == {"a": 14.5, "b": 1.0, "<c>": 55.0}
