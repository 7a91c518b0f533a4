"""`shikong apply`: a source says whatever a publish is told, and comes out as there."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import openpyxl
import psycopg
import pyogrio
import pytest
import shapely
from pandas.testing import assert_frame_equal

from layers.readers import Reader
from layers.store import open_store
from services.cli import _publish_keys
from tests.cli.cities import written
from tests.databases import Databases
from tests.rasters import ramp, write

Run = Callable[..., tuple[int, str, str]]
START = ("--valid-from", "2020-01-01")
XY = ("--coordinates", "x", "y")
WELLS = "no,x,y,use\n1,120.5,31,a\n2,120.6,31.5,b\n"


@dataclass(frozen=True)
class Case:
    """A source as the command line has it, and as a description does."""

    name: str
    file: str
    options: Sequence[str]
    said: str


CASES = (
    Case(
        "shifted",
        "wells.csv",
        ("--crs", "gcj02", "--key", "no", *XY, *START),
        "crs: gcj02, key: [no], coordinates: [x, y], valid_from: 2020-01-01",
    ),
    Case(
        "datum",
        "zone.csv",
        ("--crs", "EPSG:2364", "--axes", "north-east", "--towgs84=-10,20,30", *XY, *START),
        'crs: EPSG:2364, axes: north-east, towgs84: "-10,20,30", coordinates: [x, y], '
        "valid_from: 2020-01-01",
    ),
    Case(
        "plane",
        "plane.csv",
        ("--crs", "EPSG:4549", "--similarity", "500000,3300000,0,1", *XY, *START),
        'crs: EPSG:4549, similarity: "500000,3300000,0,1", coordinates: [x, y], '
        "valid_from: 2020-01-01",
    ),
    Case(
        "shapes",
        "shapes.txt",
        ("--crs", "EPSG:4490", "--wkt", "shape", "--separator", ";", "--encoding", "GBK", *START),
        'crs: EPSG:4490, wkt: shape, separator: ";", encoding: GBK, valid_from: 2020-01-01',
    ),
    Case(
        "sheet",
        "book.xlsx",
        ("--crs", "EPSG:4490", "--source-layer", "second", *XY, *START, "--document", "D-1"),
        "crs: EPSG:4490, source_layer: second, coordinates: [x, y], valid_from: 2020-01-01, "
        "document: D-1",
    ),
    Case(
        "repeated",
        "repeated.csv",
        ("--crs", "EPSG:4490", "--key", "no", "--duplicates", "last", *XY, *START),
        "crs: EPSG:4490, key: [no], duplicates: last, coordinates: [x, y], valid_from: 2020-01-01",
    ),
    Case(
        "periods",
        "periods.csv",
        ("--crs", "EPSG:4490", "--key", "no", "--valid-from-field", "since",
         "--valid-to-field", "until", *XY),
        "crs: EPSG:4490, key: [no], valid_from_field: since, valid_to_field: until, "
        "coordinates: [x, y]",
    ),
    Case(
        "cases",
        "periods.csv",
        ("--crs", "EPSG:4490", "--kind", "event", "--key", "no", "--valid-from-field", "since",
         "--mode", "upsert", *XY),
        "crs: EPSG:4490, kind: event, key: [no], valid_from_field: since, mode: upsert, "
        "coordinates: [x, y]",
    ),
    Case(
        "arcs",
        "arcs.gpkg",
        ("--repair", "curves", *START),
        "repair: [curves], valid_from: 2020-01-01",
    ),
)  # fmt: skip


def make_files(folder: Path) -> None:
    (folder / "wells.csv").write_text(WELLS)
    (folder / "zone.csv").write_text("no,x,y\n1,3344000,40512000\n")
    (folder / "plane.csv").write_text("no,x,y\n1,12000,44000\n")
    lines = "no;shape;名称\n1;POINT (120.5 31);水井\n"
    (folder / "shapes.txt").write_text(lines, encoding="gbk")
    (folder / "repeated.csv").write_text(WELLS + "2,120.7,31.5,c\n")
    rows = "no,x,y,since,until\n1,120.5,31,2020-01-01,2021-01-01\n2,120.6,31,2021-05-01,\n"
    (folder / "periods.csv").write_text(rows)
    book = openpyxl.Workbook()
    book.active.append(["no"])
    sheet = book.create_sheet("second")
    for row in (["no", "x", "y"], ["1", 120.5, 31.0]):
        sheet.append(row)
    book.save(folder / "book.xlsx")
    # Synthetic: half a circle, as GeoPackage has it.
    arc = "CURVEPOLYGON (CIRCULARSTRING (120 31, 121 32, 122 31, 121 30, 120 31))"
    _write_curves(folder / "arcs.gpkg", arc)


def _write_curves(path: Path, wkt: str) -> None:
    """A curve in a GeoPackage: its header, and the WKB of the ISO that shapely does not write."""
    assert wkt.startswith("CURVEPOLYGON (CIRCULARSTRING (")
    pairs = wkt[wkt.rindex("(") + 1 : wkt.index(")")].split(",")
    points = [tuple(map(float, pair.split())) for pair in pairs]
    ring = struct.pack("<BII", 1, 8, len(points)) + b"".join(struct.pack("<2d", *p) for p in points)
    blob = b"GP\0\1" + struct.pack("<i", 4490) + struct.pack("<BII", 1, 10, 1) + ring
    frame = gpd.GeoDataFrame({"no": ["1"]}, geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:4490")
    pyogrio.write_dataframe(frame, path, layer="arcs", geometry_type="Unknown")
    with closing(sqlite3.connect(path)) as connection, connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'arcs'"
        ).fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute("UPDATE arcs SET geom = ?", (blob,))


def contents(dsn: str, layer: str) -> Any:
    """What is known of a layer at every time, and what its last commit says of the coordinates."""
    with closing(open_store(dsn)) as store:
        found = store.layer(layer, Reader.everything())
        frames = [found.at(when).read() for when in ("2020-06-01", "2022-01-01")]
        commit = found.revision(found.record.head).commit
        told = ("crs", "towgs84", "similarity", "axes", "rotations", "sha256", "source", "layer")
        kept = commit.provenance
        kept = kept.get("layers", {}).get(layer, kept)
        return frames, {k: kept.get(k) for k in told}, commit.document


def test_every_option_of_a_publish(run: Run, store_dsn: str, tmp_path: Path) -> None:
    make_files(tmp_path)
    lines = [f"  - {{path: {c.file}, layer: {c.name}, {c.said}}}" for c in CASES]
    (tmp_path / "city.yaml").write_text("\n".join(["sources:", *lines]))
    code, _, err = run("apply", tmp_path / "city.yaml")
    assert not code, err
    for case in CASES:
        other = f"{case.name}_2"
        code, _, err = run("publish", tmp_path / case.file, "--layer", other, *case.options)
        assert not code, err
        frames, provenance, document = contents(store_dsn, case.name)
        again, theirs, as_theirs = contents(store_dsn, other)
        for one, two in zip(frames, again, strict=True):
            assert len(one) + len(frames[1]) > 0
            assert_frame_equal(one.drop(columns="geometry"), two.drop(columns="geometry"))
            assert one.geometry.to_wkb().tolist() == two.geometry.to_wkb().tolist(), case.name
        assert (provenance, document) == (theirs, as_theirs), case.name
    (arc,) = contents(store_dsn, "arcs")[0][0].geometry
    assert shapely.get_num_coordinates(arc) > 20
    once = written(store_dsn)
    assert "nothing to do" in run("apply", tmp_path / "city.yaml")[1]
    assert written(store_dsn) == once


def test_options_of_a_publish_are_keys() -> None:
    """Those said above, and those of tests of their own."""
    here = {word for case in CASES for word in case.options if word.startswith("--")}
    said = {word.partition("=")[0].removeprefix("--").replace("-", "_") for word in here}
    own = {
        "leave_unknown",
        "map",
        "mapping",
        "scope",
        "scene",
        "codes",
        "valid_to",
        "query",
        "message",
    }
    assert said | own <= set(_publish_keys().keys)


def test_rasters(run: Run, store_dsn: str, tmp_path: Path) -> None:
    for name, more in (("a.tif", 0), ("b.tif", 1)):
        write(tmp_path / name, ramp(dtype="uint16") + more, crs=None)
    source = (
        "sources:\n- {path: [a.tif, b.tif], layer: cover, scene: [north, south], codes: true, "
        "crs: EPSG:32650, valid_from: 2020-01-01, valid_to: 2021-01-01}\n"
    )
    (tmp_path / "city.yaml").write_text(source)
    code, told, err = run("apply", tmp_path / "city.yaml")
    assert not code, err
    assert "north: 80 x 60 pixels" in told
    assert "2 created" in told
    with closing(open_store(store_dsn)) as store:
        layer = store.layer("cover", Reader.everything())
        assert sorted(layer.at("2020-06-01").read()["scene"]) == ["north", "south"]
        assert len(layer.at("2021-06-01").read()) == 0
    once = written(store_dsn)
    assert "nothing to do" in run("apply", tmp_path / "city.yaml")[1]
    assert written(store_dsn) == once
    write(tmp_path / "b.tif", ramp(dtype="uint16") + 2, crs=None)
    code, told, err = run("apply", tmp_path / "city.yaml")
    assert not code, err
    assert "0 created, 1 changed" in told


def test_a_mapping(run: Run, store_dsn: str, tmp_path: Path) -> None:
    """Of a file, whose change is one of the source; or said in the description itself."""
    (tmp_path / "wells.csv").write_text("编号,x,y,类\n1,120.5,31,a\n")
    (tmp_path / "map.toml").write_text(
        'name = "ours"\n[fields.no]\ncolumn = "编号"\n[fields.use]\ncolumn = "类"\n'
    )
    (tmp_path / "wells.toml").write_text(
        'title = {en = "w", zh = "井"}\ngeometry = "Point"\ncrs = "EPSG:4490"\n'
        '[[fields]]\nid = "no"\nrole = "key"\n[[fields]]\nid = "use"\n'
    )
    said = "crs: EPSG:4490, coordinates: [x, y], valid_from: 2020-01-01"
    (tmp_path / "city.yaml").write_text(
        "layers:\n  filed: {schema: wells.toml}\n  said: {schema: wells.toml}\nsources:\n"
        f"- {{path: wells.csv, layer: filed, mapping: map.toml, {said}}}\n"
        f"- {{path: wells.csv, layer: said, map: {{no: 编号, use: 类}}, {said}}}\n"
    )
    code, told, err = run("apply", tmp_path / "city.yaml")
    assert not code, err
    assert "columns by the mapping ours, as stated" in told
    assert contents(store_dsn, "filed")[0][0]["use"].tolist() == ["a"]
    assert contents(store_dsn, "said")[0][0]["use"].tolist() == ["a"]
    assert "nothing to do" in run("apply", tmp_path / "city.yaml")[1]
    mapping = tmp_path / "map.toml"
    mapping.write_text(mapping.read_text() + 'values = {a = "A"}\n')
    code, told, err = run("apply", tmp_path / "city.yaml")
    assert not code, err
    assert "filed: publish wells.csv" in told
    assert "said: publish" not in told
    assert contents(store_dsn, "filed")[0][0]["use"].tolist() == ["A"]


def test_a_table_joined_by_key(run: Run, store_dsn: str, tmp_path: Path) -> None:
    """Of a layer that the same file makes: its table comes after it, in a commit of its own."""
    (tmp_path / "wells.csv").write_text(WELLS)
    (tmp_path / "uses.csv").write_text("no,use\n1,c\n9,d\n")
    (tmp_path / "city.yaml").write_text(
        "sources:\n"
        "- {path: wells.csv, layer: wells, key: [no], crs: EPSG:4490, coordinates: [x, y], "
        "valid_from: 2020-01-01}\n"
        "- {path: uses.csv, layer: wells, mode: upsert, leave_unknown: true, "
        "valid_from: 2021-01-01}\n"
    )
    code, told, err = run("apply", tmp_path / "city.yaml")
    assert not code, err
    assert "unknown-key" in told
    (was, becomes), *_ = contents(store_dsn, "wells")
    assert was.set_index("no")["use"].to_dict() == {"1": "a", "2": "b"}
    assert becomes.set_index("no")["use"].to_dict() == {"1": "c", "2": "b"}
    once = written(store_dsn)
    assert "nothing to do" in run("apply", tmp_path / "city.yaml")[1]
    assert written(store_dsn) == once


def test_a_query(
    run: Run, store_dsn: str, tmp_path: Path, empty_template: str, make_database: Databases
) -> None:
    with make_database.passing(empty_template) as other:
        with psycopg.connect(other) as connection:
            connection.execute(
                "CREATE TABLE wells (no text, geom geometry(Point, 4490));"
                "INSERT INTO wells SELECT i::text, ST_SetSRID(ST_MakePoint(120, 30 + i), 4490) "
                "FROM generate_series(1, 3) AS i"
            )
        (tmp_path / "city.yaml").write_text(
            f'sources:\n- url: "{other}"\n  layer: wells\n  key: [no]\n  valid_from: 2020-01-01\n'
            "  query: SELECT * FROM wells WHERE no <> '3'\n"
        )
        code, told, err = run("apply", tmp_path / "city.yaml")
        assert not code, err
        assert "2 created" in told
        once = written(store_dsn)
        # What has no digest is asked again, and written only where it differs.
        code, told, err = run("apply", tmp_path / "city.yaml")
        assert not code, err
        assert "nothing differs" in told
        assert written(store_dsn) == once
        # What comes after it would be undone each time.
        (tmp_path / "wells.csv").write_text(WELLS)
        described = (tmp_path / "city.yaml").read_text()
        after = "- {path: wells.csv, layer: wells, coordinates: [x, y], crs: EPSG:4490}\n"
        (tmp_path / "city.yaml").write_text(described + after)
        code, _, err = run("apply", tmp_path / "city.yaml")
        assert code == 1
        assert "sources[1]: sources[0] is read each time" in err
        assert written(store_dsn) == once


def test_later_sources_of_a_layer_come_again(run: Run, store_dsn: str, tmp_path: Path) -> None:
    """What was said from 2021 on would be undone by what is said from 2020 on, were it not."""
    said = "layer: wells, crs: EPSG:4490, coordinates: [x, y]"
    (tmp_path / "2020.csv").write_text("no,x,y,use\n1,120,31,a\n2,120,32,a\n")
    (tmp_path / "2021.csv").write_text("no,x,y,use\n1,120,31,b\n2,120,32,a\n")
    (tmp_path / "city.yaml").write_text(
        f"sources:\n- {{path: 2020.csv, valid_from: 2020-01-01, key: [no], {said}}}\n"
        f"- {{path: 2021.csv, valid_from: 2021-01-01, {said}}}\n"
    )
    assert run("apply", tmp_path / "city.yaml")[0] == 0
    (tmp_path / "2020.csv").write_text("no,x,y,use\n1,120,31,c\n2,120,32,a\n")
    code, _, err = run("apply", tmp_path / "city.yaml")
    assert not code, err
    (was, becomes), *_ = contents(store_dsn, "wells")
    assert was.set_index("no")["use"].to_dict() == {"1": "c", "2": "a"}
    assert becomes.set_index("no")["use"].to_dict() == {"1": "b", "2": "a"}
    assert "nothing to do" in run("apply", tmp_path / "city.yaml")[1]


def test_scopes_stand_beside_one_another(run: Run, store_dsn: str, tmp_path: Path) -> None:
    said = "layer: wells, crs: EPSG:4490, coordinates: [x, y], valid_from: 2020-01-01"
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f"no,x,y,use\n{name},120,31,{name}\n")
    (tmp_path / "wells.toml").write_text(
        'title = {en = "w", zh = "井"}\ngeometry = "Point"\ncrs = "EPSG:4490"\n'
        '[[fields]]\nid = "no"\nrole = "key"\n[[fields]]\nid = "use"\n'
    )
    lines = [f"- {{path: {n}.csv, scope: {{use: {n}}}, {said}}}\n" for n in "ab"]
    text = "layers:\n  wells: {schema: wells.toml}\nsources:\n" + "".join(lines)
    (tmp_path / "city.yaml").write_text(text)
    assert run("apply", tmp_path / "city.yaml")[0] == 0
    (tmp_path / "a.csv").write_text("no,x,y,use\na,120,32,a\n")
    code, told, err = run("apply", tmp_path / "city.yaml")
    assert not code, err
    assert "publish a.csv" in told
    assert "publish b.csv" not in told


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ("colour: red", "city.yaml:5: sources[0].colour: no such key; there are axes, codes, "),
        ("axes: up", "city.yaml:5: sources[0].axes = 'up'; one of east-north, north-east"),
        ("coordinates: [x]", "sources[0].coordinates = ['x']; 2 of them are needed"),
        ("codes: maybe", "sources[0].codes = 'maybe'; true or false"),
        ("repair: [all]", "sources[0].repair = 'all'; one of "),
        ("scope: a=b", "sources[0].scope: names and values are needed"),
        ("mapping: none.toml", "sources[0].mapping: "),
        ("towgs84: a", "sources[0]: "),
        ("similarity: a", "sources[0]: "),
        ('separator: "#"', "--separator '#'"),
        ("query: SELECT 1", "--query is of databases"),
        ("scene: [a]", "--scene is of GeoTIFFs"),
        ("crs: EPSG:1", "sources[0]: "),
        ("valid_from_field: a", "sources[0].valid_from_field: valid_from is said too"),
        ("layer: again", "line 5: layer is said twice"),
        ("key: *a", "line 5: *a: write out"),
        ("key: " + "[" * 9999, "can't be read"),
    ],
)
def test_refused_before_anything_is_opened(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, match: str
) -> None:
    # Nobody listens there: it would be said if it were asked.
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    (tmp_path / "wells.csv").write_text(WELLS)
    text = f"sources:\n- path: wells.csv\n  layer: t\n  valid_from: 2020-01-01\n  {said}\n"
    (tmp_path / "city.yaml").write_text(text)
    code, _, err = run("apply", tmp_path / "city.yaml")
    assert code == 1
    assert str(tmp_path / "city.yaml") in err
    assert match in err
