"""The commands in one process, on a database of the test server."""

from __future__ import annotations

import csv
import json
import re
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio
import pytest
import shapely
from starlette.testclient import TestClient

from layers.schemas.documents import write_schema
from layers.schemas.profiles import profile_schemas
from layers.store import open_store
from services.app import create_app
from services.cli import main
from services.settings import Settings
from tests.databases import Databases

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def empty(empty_template: str, make_database: Databases, monkeypatch: pytest.MonkeyPatch) -> str:
    dsn = make_database(empty_template)
    monkeypatch.setenv("DATABASE_URL", dsn)
    return dsn


@pytest.fixture(scope="module")
def reading(demo_template: str, make_database: Databases) -> str:
    return make_database(demo_template)


@pytest.fixture
def demo(reading: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo city, for commands that only read."""
    monkeypatch.setenv("DATABASE_URL", reading)


@pytest.fixture
def wells(tmp_path: Path) -> Path:
    """Five wells in two districts."""
    frame = gpd.GeoDataFrame(
        {
            "no": [f"W-{i}" for i in range(5)],
            "district": ["north", "north", "north", "south", "south"],
            "depth": [1.5, 2.5, 3.5, 4.5, 5.5],
            "since": ["2020-01-01"] * 5,
            "until": [None, None, None, None, "2024-01-01"],
        },
        geometry=[shapely.Point(-71.1 + i / 100, 42.37) for i in range(5)],
        crs="OGC:CRS84",
    )
    file = tmp_path / "wells.geojson"
    frame.to_file(file)
    return file


def publish_wells(run: Run, wells: Path, *more: str) -> tuple[int, str, str]:
    return run("publish", wells, "--layer", "wells", "--key", "no", *more)


def refused(answer: tuple[int, str, str], *words: str) -> None:
    code, out, err = answer
    assert code == 1, answer
    assert out == "" or "\n" not in out.strip()
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("shikong: ")
    assert "Traceback" not in err
    for word in words:
        assert word in lines[0], err


# --- publish -----------------------------------------------------------------------------------


def test_publish_and_publish_again(run: Run, empty: str, wells: Path) -> None:
    code, out, _ = publish_wells(run, wells, "--valid-from", "2020-01-01", "--message", "first")
    assert (code, "revision 1: 5 created" in out) == (0, True), out
    code, out, _ = publish_wells(run, wells)
    assert (code, "nothing differs" in out) == (0, True), out
    code, out, _ = run("log", "wells")
    assert code == 0
    assert re.search(r"^r1 .*\+5 ~0 -0  \S+: first$", out, re.M), out


def test_a_dry_run_writes_nothing(run: Run, empty: str, wells: Path) -> None:
    code, out, _ = publish_wells(run, wells, "--valid-from", "2020-01-01", "--dry-run")
    assert (code, "would make a revision: 5 created" in out) == (0, True), out
    assert run("layers") == (0, "", "")


def test_upsert_document_and_message(run: Run, empty: str, wells: Path, tmp_path: Path) -> None:
    publish_wells(run, wells, "--valid-from", "2020-01-01")
    more = tmp_path / "more.csv"
    more.write_text("no,depth\nW-1,9.5\n", encoding="utf-8")
    code, out, _ = run(
        "publish", more, "--layer", "wells", "--mode", "upsert", "--valid-from", "2022-05-01",
        "--document", "Deed 7", "--message", "measured again",
    )  # fmt: skip
    assert (code, "revision 2: 0 created, 1 changed, 0 retired" in out) == (0, True), out
    _, out, _ = run("log", "wells")
    assert "measured again  [Deed 7]" in out
    _, out, _ = run("diff", "wells", "1..2")
    assert out == "~ W-1  depth\nwells 1..2: 0 created, 1 changed, 0 retired\n"


def test_a_scope_is_all_that_a_reload_touches(
    run: Run, empty: str, wells: Path, tmp_path: Path
) -> None:
    publish_wells(run, wells, "--valid-from", "2020-01-01")
    north = tmp_path / "north.geojson"
    frame = gpd.read_file(wells)
    frame[frame["district"] == "north"].iloc[:2].to_file(north)
    code, out, err = run("publish", north, "--layer", "wells")
    refused((code, "", err), "--yes")
    # What it would do is said as well.
    assert "wells: refused, nothing was written; it would be: 0 created" in out
    code, _, err = run("publish", north, "--layer", "wells", "--scope", "district=north")
    refused((code, "", err), "1 of the 3")
    code, out, _ = run("publish", north, "--layer", "wells", "--scope", "district=north", "--yes")
    assert (code, "1 retired" in out) == (0, True), out
    outside = run("publish", wells, "--layer", "wells", "--scope", "district=south", "--yes")
    refused(outside, "district")


def test_periods_in_the_file(run: Run, empty: str, wells: Path) -> None:
    code, out, _ = publish_wells(
        run, wells, "--valid-from-field", "since", "--valid-to-field", "until"
    )
    assert code == 0, out
    _, out, _ = run("diff", "wells", "2019-01-01..2021-01-01", "--summary")
    assert out == "wells 2019-01-01..2021-01-01: 5 created, 0 changed, 0 retired\n"
    _, out, _ = run("diff", "wells", "2021-01-01..2025-01-01")
    assert out.startswith("- W-4")


def test_events(run: Run, empty: str, tmp_path: Path) -> None:
    schema = tmp_path / "calls.toml"
    schema.write_text(
        'kind = "event"\ntitle = "Calls"\ngeometry = "Point"\nvisibility = "public"\n'
        'coordinates = ["x", "y"]\ncrs = "OGC:CRS84"\n'
        '[[fields]]\nid = "no"\nrole = "key"\n'
        '[[fields]]\nid = "at"\ntype = "instant"\nrole = "event-start"\nrequired = true\n',
        encoding="utf-8",
    )
    source = tmp_path / "calls.csv"
    source.write_text(
        "no,at,x,y\n1,2020-01-01T00:00:00Z,-71,42\n2,2020-01-02T00:00:00Z,-71,42\n", "utf-8"
    )
    arguments = ("publish", source, "--layer", "calls", "--schema", schema)
    code, out, err = run(*arguments, "--crs", "OGC:CRS84", "--kind", "event")
    assert (code, "2 created" in out) == (0, True), out + err
    assert "event" in run("layers")[1]


def test_duplicates_and_encoding(run: Run, empty: str, tmp_path: Path) -> None:
    source = tmp_path / "twice.csv"
    rows = "no,name,x,y\n1,井盖,-71,42\n1,路灯,-71,42\n"
    source.write_bytes(rows.encode("gbk"))
    schema = tmp_path / "twice.toml"
    schema.write_text(
        'title = "Twice"\ngeometry = "Point"\ncoordinates = ["x", "y"]\ncrs = "OGC:CRS84"\n'
        '[[fields]]\nid = "no"\nrole = "key"\n[[fields]]\nid = "name"\n',
        encoding="utf-8",
    )
    arguments = (
        "publish", source, "--layer", "twice", "--schema", schema, "--valid-from", "2020-01-01",
        "--encoding", "GBK", "--crs", "OGC:CRS84",
    )  # fmt: skip
    refused(run(*arguments), "'1'")
    code, out, err = run(*arguments, "--duplicates", "last")
    assert (code, "1 keys repeated (last)" in out) == (0, True), out + err
    out_file = tmp_path / "twice-out.csv"
    assert run("export", "twice", "--out", out_file)[0] == 0
    assert pd.read_csv(out_file)["name"].tolist() == ["路灯"]


def test_several_keys(run: Run, empty: str, wells: Path, tmp_path: Path) -> None:
    # The key has the order of the fields, however they are named here.
    for n, keys in enumerate((["district", "no"], ["district,no"])):
        arguments = ("--layer", f"wells{n}", "--key", *keys, "--valid-from", "2020-01-01")
        assert run("publish", wells, *arguments)[0] == 0
        out = tmp_path / f"{n}.geojson"
        run("export", f"wells{n}", "--out", out)
        assert set(gpd.read_file(out)["id"]) >= {"W-0:north", "W-4:south"}


def test_the_schema_of_a_profile(run: Run, empty: str, tmp_path: Path) -> None:
    row = {
        "parcel_code": "420106001001GB00001",
        "location": "合成路1号",
        "area_m2": 1.0,
        "land_use_code": "0701",
        "right_type": "3",
        "right_nature": "102",
    }
    box = shapely.box(114.30, 30.50, 114.31, 30.51)
    source = tmp_path / "parcels.gpkg"
    gpd.GeoDataFrame([row], geometry=[box], crs="EPSG:4490").to_file(source)
    arguments = ("publish", source, "--layer", "lots", "--valid-from", "2020-01-01", "--schema")
    refused(run(*arguments, "cn:trees"), "cn", "parcels")
    refused(run(*arguments, "mars:parcels"), "mars", "cn")
    refused(run(*arguments, "cn"), "cn:parcels")
    whole = profile_schemas("cn")["parcels"]
    fewer = replace(whole, fields=tuple(f for f in whole.fields if f.id != "bound_n"))
    file = tmp_path / "fewer.toml"
    file.write_text(write_schema(fewer), encoding="utf-8")
    code, out, err = run(*arguments, file)
    assert (code, "1 created" in out) == (0, True), out + err
    code, out, err = run("layer", "schema", "lots", "--schema", "cn:parcels")
    assert (code, "field added: bound_n" in out) == (0, True), out + err
    code, out, err = run(*arguments, "cn:parcels")
    assert (code, "nothing differs" in out) == (0, True), out + err


def test_what_publish_refuses(run: Run, empty: str, wells: Path, tmp_path: Path) -> None:
    from_2020 = ("--valid-from", "2020-01-01")
    nothing = tmp_path / "empty.geojson"
    nothing.write_text("", encoding="utf-8")
    bare = tmp_path / "bare.geojson"
    bare.write_text('{"type": "FeatureCollection", "features": []}', encoding="utf-8")
    text = tmp_path / "notes.txt"
    text.write_text("hello", encoding="utf-8")
    schema = tmp_path / "bad.toml"
    schema.write_text("title = ", encoding="utf-8")
    for source, more, word in (
        (tmp_path / "missing.gpkg", from_2020, "missing.gpkg"),
        (tmp_path, from_2020, ""),
        (nothing, from_2020, "empty.geojson"),
        (bare, from_2020, "bare.geojson"),
        (text, from_2020, "notes.txt"),
        (wells, (), "--valid-from"),
        (wells, ("--valid-from", "last year"), "last year"),
        (wells, (*from_2020, "--key", "number"), "number"),
        (wells, (*from_2020, "--crs", "EPSG:0"), "EPSG:0"),
        (wells, (*from_2020, "--crs", "EPSG:3857"), "--crs"),
        (wells, (*from_2020, "--scope", "district"), "FIELD=VALUE"),
        (wells, (*from_2020, "--scope", "nothing=1"), "nothing"),
        (wells, (*from_2020, "--schema", str(tmp_path / "none.toml")), "none.toml"),
        (wells, (*from_2020, "--schema", str(schema)), "bad.toml"),
        (wells, ("--valid-from-field", "begun"), "begun"),
    ):
        refused(run("publish", source, "--layer", "wells", *more), word)
    refused(run("publish", wells, "--layer", "No Layer!", *from_2020), "No Layer!")
    assert run("layers") == (0, "", "")


# --- reading -----------------------------------------------------------------------------------


def test_layers(run: Run, demo: None) -> None:
    code, out, _ = run("layers")
    assert code == 0
    rows = out.splitlines()
    assert [row.split()[:4] for row in rows] == [
        ["grids", "state", "r4", "public"],
        ["incidents", "event", "r1", "public"],
        ["parcels", "state", "r4", "public"],
        ["pipe_nodes", "state", "r3", "public"],
        ["pipe_segments", "state", "r2", "public"],
    ]


def test_log(run: Run, demo: None) -> None:
    code, out, _ = run("log", "parcels")
    assert code == 0
    rows = out.splitlines()
    assert [row.split()[0] for row in rows] == ["r4", "r3", "r2", "r1"]
    assert "2014-06-05T13:00:00Z  +0 ~1 -0  demo (simulated)" in rows[0]
    assert rows[0].endswith("[Book 1315, page 208 (synthetic)]")


def test_diff(run: Run, demo: None) -> None:
    code, out, _ = run("diff", "parcels", "3..4")
    assert (code, out) == (
        0, "~ 169-100  title_deed\nparcels 3..4: 0 created, 1 changed, 0 retired\n",
    )  # fmt: skip
    _, out, _ = run("diff", "parcels", "1..2", "--summary")
    assert out == "parcels 1..2: 59 created, 71 changed, 102 retired\n"
    _, by_date, _ = run("diff", "parcels", "2013-06-01..2014-01-02")
    marks = [line[0] for line in by_date.splitlines()[:-1]]
    assert (marks.count("+"), marks.count("-")) == (59, 102)
    assert marks.count("~") >= 71
    _, back, _ = run("diff", "parcels", "2..1", "--summary")
    assert back == "parcels 2..1: 102 created, 71 changed, 59 retired\n"
    _, same, _ = run("diff", "parcels", "2..2")
    assert same == "parcels 2..2: 0 created, 0 changed, 0 retired\n"


@pytest.mark.parametrize("ending", ["geojson", "gpkg", "parquet", "csv", "fgb"])
def test_export(run: Run, demo: None, tmp_path: Path, ending: str) -> None:
    for layer, more, count in (
        ("grids", ("--datetime", "2013-06-01"), 164),
        ("grids", (), 163),
        ("pipe_segments", ("--revision", "1", "--datetime", "2015-01-01"), 56),
    ):
        out = tmp_path / f"{layer}.{ending}"
        code, said, err = run("export", layer, "--out", out, *more)
        assert code == 0, err
        assert said.startswith(f"{count} features of {layer} r")
        if ending == "csv":
            with out.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            assert len(rows) == count
            assert shapely.from_wkt(rows[0]["geometry"]).is_valid
        elif ending == "parquet":
            frame = gpd.read_parquet(out)
            assert len(frame) == count
            assert frame["id"].is_unique
        else:
            assert pyogrio.read_info(out, force_feature_count=True)["features"] == count
            assert pyogrio.read_dataframe(out)["id"].is_unique
        assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []
        out.unlink()


def test_an_export_has_no_restricted_field(run: Run, demo: None, tmp_path: Path) -> None:
    out = tmp_path / "cases.geojson"
    code, _, err = run("export", "incidents", "--out", out, "--datetime", "2020-02-01/2020-02-02")
    assert code == 0, err
    assert "reporter" not in out.read_text("utf-8")
    assert len(json.loads(out.read_text("utf-8"))["features"]) > 0


def test_assign(run: Run, demo: None, tmp_path: Path) -> None:
    out = tmp_path / "assigned.csv"
    code, said, err = run(
        "assign", "incidents", "--grids", "grids", "--datetime", "2020-01-01/2020-03-01",
        "--out", out,
    )  # fmt: skip
    assert code == 0, err
    assert "precinct" in said
    assert "neighborhood" in said
    frame = pd.read_csv(out)
    cases = int(re.search(r"cases: (\d+)", said)[1])  # type: ignore[index]
    assert (frame.groupby("grid_type").size() == cases).all()


def test_assign_writes_the_codes_back(run: Run, own_city: str, tmp_path: Path) -> None:
    with closing(open_store(own_city)) as store:
        schema = store.layer("incidents").record.schema
    wider = tmp_path / "incidents.toml"
    added = '[[fields]]\nid = "grid_codes"\ntype = "text"\ntitle = { en = "Grids", zh = "网格" }\n'
    wider.write_text(f"{write_schema(schema)}\n{added}", "utf-8")
    asked = ("assign", "incidents", "--grids", "grids", "--datetime", "2020-01-01/2020-02-01")
    code, _, err = run(*asked, "--write")
    assert (code, "no field 'grid_codes'" in err) == (1, True)
    code, _, err = run("layer", "schema", "incidents", "--schema", wider)
    assert code == 0, err
    code, said, err = run(*asked, "--write", "--dry-run")
    assert code == 0, err
    assert "would make a revision" in said
    code, said, err = run(*asked, "--write", "--message", "frozen")
    assert code == 0, err
    changed = int(re.search(r"revision \d+: 0 created, (\d+) changed", said)[1])  # type: ignore[index]
    assert changed > 50
    assert "frozen" in run("log", "incidents", "--limit", "1")[1]
    assert "every case has its grids" in run(*asked, "--write")[1]
    code, _, err = run(*asked, "--write", "--revision", "1")
    assert (code, "--revision" in err) == (1, True)


def test_what_reading_refuses(run: Run, demo: None, tmp_path: Path) -> None:
    out = tmp_path / "x.geojson"
    for arguments, word in (
        (("log", "nope"), "nope"),
        (("diff", "nope", "1..2"), "nope"),
        (("diff", "parcels", "1"), "1..2"),
        (("diff", "parcels", "1.."), "1..2"),
        (("diff", "parcels", "1..9"), "1 to 4"),
        (("diff", "parcels", "0..1"), "1 to 4"),
        (("diff", "parcels", "yesterday..today"), "yesterday"),
        (("diff", "parcels", "1..2014-01-01"), ""),
        (("export", "nope", "--out", str(out)), "nope"),
        (("export", "parcels", "--out", str(out), "--datetime", "x"), "x"),
        (("export", "parcels", "--out", str(out), "--revision", "99"), "1 to 4"),
        (("export", "parcels", "--out", str(out), "--revision", "-1"), "1 to 4"),
        (("export", "grids", "--out", str(tmp_path / "no" / "x.geojson")), ".gpkg"),
        (("export", "grids", "--out", str(tmp_path / "x.docx")), ".gpkg"),
        (("export", "grids", "--out", str(tmp_path / "x")), ".gpkg"),
        (("export", "grids", "--out", str(tmp_path)), ""),
        (("assign", "nope", "--grids", "grids"), "nope"),
        (("assign", "incidents", "--grids", "nope"), "nope"),
        (("assign", "incidents", "--grids", "grids", "--datetime", "x"), "x"),
        (("layer", "set", "nope", "--visibility", "public"), "nope"),
        (("layer", "set", "parcels"), "--title"),
    ):
        refused(run(*arguments), word)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["publish"],
        ["publish", "x"],
        ["publish", "x", "--layer", "a", "--mode", "replace"],
        ["publish", "x", "--layer", "a", "--kind", "both"],
        ["publish", "x", "--layer", "a", "--duplicates", "all"],
        ["publish", "x", "--layer", "a", "--valid-from", "a", "--valid-from-field", "b"],
        ["export", "parcels"],
        ["export", "parcels", "--out", "x.csv", "--revision", "two"],
        ["serve", "--port", "0"],
        ["serve", "--port", "65536"],
        ["serve", "--port", "http"],
        ["keys"],
        ["keys", "create", "--role", "admin"],
        ["keys", "create", "--days", "x"],
        ["keys", "create", "--days", "0"],
        ["keys", "create", "--days", "-1"],
        ["keys", "create", "--days", "99999999999"],
        ["layer", "set", "parcels", "--visibility", "secret"],
        ["assign", "incidents"],
        ["assign", "incidents", "--grids", "grids", "--tolerance", "wide"],
    ],
)
def test_usage(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage: shikong" in capsys.readouterr().err


# --- keeping -----------------------------------------------------------------------------------


def test_layer_set(run: Run, own_city: str) -> None:
    code, out, _ = run(
        "layer", "set", "grids", "--title", "Cells", "格子", "--visibility", "internal"
    )
    assert (code, out) == (0, "grids: title, visibility\n")
    code, _, _ = run("layer", "set", "grids", "--description", "Of the city", "本市")
    assert code == 0
    assert re.search(r"^grids +state +r4 +internal +格子 · Cells$", run("layers")[1], re.M)
    assert run("log", "grids")[1].count("\n") == 4


def test_a_key_works_over_http(run: Run, own_city: str, tmp_path: Path) -> None:
    keys = {}
    for role in ("reader", "publisher"):
        code, out, err = run("keys", "create", "--name", "me", "--role", role, "--days", "2")
        assert code == 0
        assert "not shown again" in err
        keys[role] = out.strip()
        assert keys[role] not in err
    run("layer", "set", "grids", "--visibility", "internal")
    with closing(open_store(own_city)) as store:
        client = TestClient(create_app(store, Settings(tmp_path)))
        asked = "/collections/grids"
        assert client.get(asked).status_code == 404
        for text in keys.values():
            header = {"Authorization": f"Bearer {text}"}
            assert client.get(asked, headers=header).status_code == 200


def test_the_demo_a_second_time(run: Run, own_city: str) -> None:
    before = {layer: run("log", layer)[1] for layer in ("parcels", "grids", "incidents")}
    code, out, _ = run("demo", "--load-only")
    assert (code, out.count("\n")) == (0, 1), out
    assert {layer: run("log", layer)[1] for layer in before} == before


def test_a_demo_that_is_not_there(run: Run, empty: str, tmp_path: Path) -> None:
    refused(run("demo", "--load-only", "--city", tmp_path / "city.toml"), "city.toml")


def test_a_taken_port(run: Run, demo: None) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = run("serve", "--port", str(port))
    assert code == 1
    assert f"port {port} of 127.0.0.1 is taken" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "address",
    ["nonsense", "postgresql://nobody@127.0.0.1:1/none", "mysql://localhost/x", "postgresql://"],
)
def test_a_database_that_is_not_there(
    run: Run, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", address)
    code, _, err = run("layers")
    assert (code, "Traceback" in err) == (1, False)
    assert len(err.strip().splitlines()) == 1
