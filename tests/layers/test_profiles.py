"""The profile cn and the code lists of schema files: what ships, and what is said of bad ones."""

from __future__ import annotations

import csv
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from publishing import WRITER, layer, points, publish, schema_of

import layers
from layers.edits import Update
from layers.errors import BadSchema, BadScope, BadValue, UnknownLayer
from layers.model import Field, FieldType, Kind, Role, Schema, Visibility
from layers.readers import Reader
from layers.schemas.documents import parse_schema, read_schema, schema_document, write_schema
from layers.schemas.profiles import find_schema, profile_schemas
from layers.store import Store

CN = profile_schemas("cn")
LISTS = sorted((Path(layers.__file__).parent / "schemas" / "cn" / "codes").glob("*.csv"))
SCHEMA = """title = "t"
geometry = "Point"
[[fields]]
id = "use"
codes = "codes/use.csv"
"""


def field(schema: Schema, name: str) -> Field:
    """The field of that id."""
    found = schema.find(name)
    assert found is not None
    return found


def table_of(path: Path) -> list[dict[str, str]]:
    """The rows of a code list, without the lines before its table."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def with_list(folder: Path, content: bytes) -> Path:
    """A schema file whose field has this code list."""
    (folder / "codes").mkdir()
    (folder / "codes" / "use.csv").write_bytes(content)
    (folder / "schema.toml").write_text(SCHEMA, encoding="utf-8")
    return folder / "schema.toml"


def test_what_the_profile_is() -> None:
    said = {
        name: (
            s.kind,
            s.geometry,
            s.visibility,
            [f.id for f in s.keys],
            [f.id for f in s.restricted],
        )
        for name, s in CN.items()
    }
    public, internal = Visibility.PUBLIC, Visibility.INTERNAL
    segment = ["pipe_class", "start_no", "end_no"]
    assert said == {
        "parcels": (Kind.STATE, "MultiPolygon", public, ["parcel_code"], ["right_holder"]),
        "grids": (Kind.STATE, "Polygon", public, ["grid_code"], ["staff_ref"]),
        "pipe_nodes": (Kind.STATE, "PointZ", internal, ["exp_no"], []),
        "pipe_segments": (Kind.STATE, "LineStringZ", internal, segment, []),
        "incidents": (
            Kind.EVENT,
            "Point",
            public,
            ["case_no"],
            ["reporter_name", "reporter_phone"],
        ),
    }
    assert {(s.crs, s.time_zone) for s in CN.values()} == {("EPSG:4490", "Asia/Shanghai")}


@pytest.mark.parametrize("name", CN)
def test_every_title_is_in_both_languages(name: str) -> None:
    schema = CN[name]
    codes = [t for f in schema.fields for t in f.codes.values()]
    for title in (schema.title, schema.description, *(f.title for f in schema.fields), *codes):
        assert re.search(r"[一-鿿]", title.zh), title
        assert title.en.isascii(), title


@pytest.mark.parametrize("name", CN)
def test_a_profile_schema_can_be_kept_in_the_catalogue(name: str) -> None:
    assert parse_schema(schema_document(CN[name])) == CN[name]
    assert parse_schema(tomllib.loads(write_schema(CN[name]))) == CN[name]


@pytest.mark.parametrize("path", LISTS, ids=lambda p: p.stem)
def test_every_code_says_where_it_is_from_and_is_used(path: Path) -> None:
    source, _, validity = path.read_text(encoding="utf-8").partition("# valid_from:")
    assert re.match(r"# source: \S.{10,}", source)
    # Nothing is refused for a list that only names an edition: it is valid without limit.
    assert validity.startswith("\n# valid_to:\n")
    codes = [row["code"] for row in table_of(path)]
    used = [f for s in CN.values() for f in s.fields if list(f.codes) == codes]
    assert used, f"no field of the profile has the list {path.name}"
    assert all(source.startswith(f"# source: {f.codes_source[:20]}") for f in used)


def test_land_use_has_all_73_codes_in_their_12_classes() -> None:
    codes = list(field(CN["parcels"], "land_use_code").codes)
    sizes = [3, 4, 7, 4, 7, 4, 2, 10, 6, 9, 10, 7]
    assert codes == [f"{c:02}{n:02}" for c, size in enumerate(sizes, 1) for n in range(1, size + 1)]
    assert field(CN["parcels"], "land_use_code").codes["0702"].zh == "农村宅基地"


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("parcels.right_type", "1 2 3 4 5 6 7 8 9 10"),
        ("parcels.right_nature", "100 101 102 103 104 105 200 201 202 203 204 205"),
        ("grids.grid_type", "unit duty evaluation community exclusive professional"),
        ("pipe_nodes.valve_state", "open closed failed"),
        ("pipe_segments.elev_ref", "crown invert"),
        ("pipe_segments.flow_dir", "+ - 0"),
        ("pipe_segments.status", "0 1 2 3"),
        ("incidents.source", "patrol 12345 sensor video media superior"),
        ("incidents.demand_type", "consult help complaint report suggestion"),
        ("incidents.object_kind", "component event"),
        ("incidents.main_class", "C01 C02 C03 C04 C05 C21 E01 E02 E03 E04 E05 E06"),
        (
            "incidents.state",
            "reported accepted rejected registered not_registered dispatched returned disposing "
            "disposed checking rework extension closed cancelled",
        ),
    ],
)
def test_a_list_is_whole(name: str, codes: str) -> None:
    layer_id, _, field_id = name.partition(".")
    assert list(field(CN[layer_id], field_id).codes) == codes.split()


def test_a_case_develops() -> None:
    schema = CN["incidents"]
    assert schema.event_start().id == "reported_at"
    (since,) = schema.with_role(Role.VALID_FROM)
    assert (since.id, since.type) == ("changed_at", FieldType.INSTANT)


def test_a_schema_is_found_by_its_profile_or_its_file(tmp_path: Path) -> None:
    assert find_schema("cn:grids") == CN["grids"]
    path = with_list(tmp_path, "code,zh,en\n1,住宅,Housing\n".encode())
    assert find_schema(str(path)) == read_schema(path)


def test_a_file_goes_before_a_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = with_list(tmp_path, "code,zh,en\n1,住宅,Housing\n".encode())
    path.rename(tmp_path / "cn:grids")
    monkeypatch.chdir(tmp_path)
    assert [f.id for f in find_schema("cn:grids").fields] == ["use"]


def test_a_profile_that_is_not_there() -> None:
    with pytest.raises(BadSchema, match="no profile 'mars'; there is cn"):
        profile_schemas("mars")


def test_pipe_classes_have_their_colours() -> None:
    (path,) = (p for p in LISTS if p.stem == "pipe_classes")
    rows = {r["code"]: (r["number"], r["colour"]) for r in table_of(path)}
    assert rows == {
        "JS": ("1", "#00FFFF"),
        "PS": ("2", "#4C3926"),
        "YS": ("2", "#4C3926"),
        "WS": ("2", "#4C3926"),
        "HS": ("2", "#4C3926"),
        "RQ": ("3", "#FF00FF"),
        "RL": ("4", "#FF8000"),
        "DL": ("5", "#FF0000"),
        "TX": ("6", "#00FF00"),
        "GY": ("7", "#000000"),
        "QT": ("8", "#6600CC"),
    }


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mars:parcels", "no profile 'mars'; there is cn"),
        ("cn:trees", "no layer 'trees'; it has grids, incidents, parcels"),
        ("cn:", "--schema"),
        ("parcels", "--schema"),
    ],
)
def test_a_schema_that_is_not_there(name: str, said: str) -> None:
    with pytest.raises(BadSchema, match=said):
        find_schema(name)


def test_a_code_list_is_read_from_a_file_beside_the_schema(tmp_path: Path) -> None:
    # As a spreadsheet saves it: a byte-order mark, CRLF, a column of its own, a title left out.
    text = "﻿code,source,zh,en\r\n02,ours,商业,Shops\r\n01,ours,住宅,\r\n"
    (use,) = read_schema(with_list(tmp_path, text.encode())).fields
    assert [(k, t.zh, t.en) for k, t in use.codes.items()] == [
        ("02", "商业", "Shops"),
        ("01", "住宅", "住宅"),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"code,en\n1,a\n", "no column 'title' .or zh"),
        (b"", "no column 'code'"),
        (b"code,zh,en\n1,a,a\n1,b,b\n", "line 3: code '1' is there twice"),
        (b"code,zh,en\n,a,a\n", "line 2: a code and a title"),
        (b"code,zh,en\n1\n", "line 2: a code and a title"),
        (b"code,zh,en\n", "no codes"),
        ("code,zh,en\n1,商业,a\n".encode("gbk"), "no CSV in UTF-8"),
        (b'code,zh,en\n1,"a"b,c\n', "no CSV in UTF-8"),
    ],
)
def test_what_a_code_list_can_not_be(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(BadSchema, match=said):
        read_schema(with_list(tmp_path, content))


def test_a_code_list_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "schema.toml"
    path.write_text(SCHEMA, encoding="utf-8")
    with pytest.raises(BadSchema, match=r"use\.csv: No such file.*beside the schema file"):
        read_schema(path)


def test_codes_of_a_document_are_no_file() -> None:
    document = {"title": "t", "geometry": "Point", "fields": [{"id": "a", "codes": "a.csv"}]}
    with pytest.raises(BadSchema, match=r"codes = .a\.csv."):
        parse_schema(document)


REQUIRED = {
    "parcels": "parcel_code location area_m2 land_use_code right_type right_nature",
    "grids": "grid_code grid_type name parent_code area_m2 responsible_org",
    "pipe_nodes": "exp_no pipe_class feature ground_elev",
    # elev_ref too: the wrong choice breaks sections and clearances, so it must be stated.
    "pipe_segments": "pipe_class start_no end_no subtype start_depth end_depth start_elev end_elev "
    "elev_ref material embedding owner_org status",
    "incidents": "case_no source object_kind main_class sub_class description grid_codes "
    "reported_at changed_at state",
}
PARCEL = "420106001001GB00001"
SECRET = "合成的姓名"
AT = "2024-01-01T00:00:00+08:00"
SHAPE = shapely.box(114.30, 30.50, 114.31, 30.51)
ROWS: dict[str, tuple[dict[str, object], shapely.Geometry]] = {
    "parcels": (
        {
            "parcel_code": PARCEL,
            "real_estate_unit_no": f"{PARCEL}W00000000",
            "location": "合成路1号",
            "area_m2": 1.0,
            "land_use_code": "0701",
            "right_type": "3",
            "right_nature": "102",
            "right_holder": SECRET,
        },
        SHAPE,
    ),
    "grids": (
        {
            "grid_code": "420106001001001",
            "grid_type": "unit",
            "name": "合成网格",
            "parent_code": "420106001001",
            "area_m2": 1.0,
            "responsible_org": "合成街道",
            "staff_ref": SECRET,
        },
        SHAPE,
    ),
    "pipe_nodes": (
        {"exp_no": "JS1", "pipe_class": "JS", "feature": "end", "ground_elev": 21.5},
        shapely.Point(114.3, 30.5, 21.5),
    ),
    "pipe_segments": (
        {
            "pipe_class": "JS",
            "start_no": "JS1",
            "end_no": "JS2",
            "subtype": "JS",
            "start_depth": 1.0,
            "end_depth": 1.0,
            "start_elev": 20.5,
            "end_elev": 20.5,
            "elev_ref": "crown",
            "diameter_mm": 300,
            "material": "铸铁",
            "embedding": "direct",
            "owner_org": "合成公司",
            "status": "0",
        },
        shapely.LineString([(114.3, 30.5, 20.5), (114.3001, 30.5, 20.5)]),
    ),
    "incidents": (
        {
            "case_no": "HC1",
            "source": "12345",
            "object_kind": "event",
            "main_class": "E01",
            "sub_class": "E01-01",
            "description": "合成案件",
            "grid_codes": "unit=420106001001001",
            "reported_at": AT,
            "changed_at": AT,
            "state": "reported",
            "reporter_name": SECRET,
            "reporter_phone": SECRET,
        },
        shapely.Point(114.305, 30.505),
    ),
}
IDS = {
    "parcels": PARCEL,
    "grids": "420106001001001",
    "pipe_nodes": "JS1",
    "pipe_segments": "JS:JS1:JS2",
    "incidents": "HC1",
}


def frame_of(name: str, **changes: object) -> gpd.GeoDataFrame:
    """One synthetic row of a layer, as its source would have it."""
    row, shape = ROWS[name]
    return gpd.GeoDataFrame([row | changes], geometry=[shape], crs="EPSG:4490")


@pytest.mark.parametrize("name", CN)
def test_what_is_required(name: str) -> None:
    assert {f.id for f in CN[name].fields if f.required} == set(REQUIRED[name].split())


@pytest.mark.parametrize("name", CN)
def test_a_layer_of_the_profile_is_published_and_tells_the_public_no_names(
    store: Store, name: str
) -> None:
    report = publish(store, name, frame_of(name), CN[name])
    assert (report.created, report.findings.left_out) == (1, [])
    read = layer(store, name).at().read()
    assert read.index.tolist() == [IDS[name]]
    assert read.geometry.iloc[0].equals(ROWS[name][1])
    public = Reader.anonymous()
    if CN[name].visibility is Visibility.INTERNAL:
        with pytest.raises(UnknownLayer):
            store.layer(name, public)
        return
    seen = store.layer(name, public)
    changes = pd.DataFrame([c.version.properties for c in seen.changes(0)])
    private = {f.id for f in CN[name].restricted}
    assert private
    for told in (seen.at().read(), seen.versions(IDS[name]).read(), changes):
        assert len(told) == 1
        assert SECRET not in told.to_csv()
        assert not private & set(told.columns)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_row_without_a_required_field_is_refused(store: Store, name: str) -> None:
    schema = CN[name]
    wanted = next(f.id for f in schema.stored if f.required and f.role is not Role.KEY)
    with pytest.raises(BadValue, match=f"field {wanted} is required, and absent in rows 1"):
        publish(store, name, frame_of(name, **{wanted: None}), schema)


@pytest.mark.parametrize(
    ("name", "column", "bad"),
    [
        ("parcels", "parcel_code", "42010600100GB00001"),
        ("parcels", "parcel_code", "420106001001GZ00001"),
        ("parcels", "parcel_code", "420106001001HB00001"),
        ("parcels", "parcel_code", "420106001001GB0000１"),
        ("parcels", "parcel_code", f"{PARCEL}\n"),
        ("parcels", "real_estate_unit_no", f"{PARCEL}X00000000"),
        ("parcels", "real_estate_unit_no", PARCEL),
        ("grids", "grid_code", "4201060010010011"),
        ("grids", "grid_code", "42010600100100A"),
    ],
)
def test_a_code_that_is_not_put_together_by_rule_is_refused(
    store: Store, name: str, column: str, bad: str
) -> None:
    frame = pd.concat([frame_of(name), frame_of(name, **{column: bad})], ignore_index=True)
    with pytest.raises(BadValue, match=f"row 2, field {column}: .* does not fit the pattern"):
        publish(store, name, frame, CN[name])


@pytest.mark.parametrize("unit", [None, "", f"{PARCEL}F00010001"])
def test_a_parcel_may_have_no_real_estate_unit(store: Store, unit: str | None) -> None:
    publish(store, "parcels", frame_of("parcels", real_estate_unit_no=unit), CN["parcels"])
    (read,) = layer(store, "parcels").at().read()["real_estate_unit_no"]
    assert (None if pd.isna(read) else read) == (unit or None)


def test_a_professional_grid_has_twenty_digits(store: Store) -> None:
    frame = frame_of("grids", grid_code="42010642010600100101", grid_type="professional")
    assert publish(store, "grids", frame, CN["grids"]).created == 1


def test_an_edit_is_held_to_the_pattern_too(store: Store) -> None:
    publish(store, "parcels", frame_of("parcels"), CN["parcels"])
    edit = Update(PARCEL, {"real_estate_unit_no": "7"}, valid_from=datetime(2024, 1, 1, tzinfo=UTC))
    with pytest.raises(BadValue, match="real_estate_unit_no: '7' does not fit"):
        store.commit({"parcels": [edit]}, WRITER, "m")


def test_the_value_of_a_restricted_field_is_not_told(store: Store) -> None:
    phone = {"id": "phone", "visibility": "restricted", "pattern": "[0-9]{11}"}
    with pytest.raises(BadValue, match="field phone: the value does not fit") as caught:
        publish(store, "t", points(no=["1"], phone=["0138 secret"]), schema_of(phone))
    assert "secret" not in str(caught.value)


def test_a_scope_is_held_to_the_pattern_too(store: Store) -> None:
    zone = schema_of({"id": "zone", "pattern": "[A-Z]"})
    with pytest.raises(BadScope, match=r"'7' is no text that fits \[A-Z\]"):
        publish(store, "t", points(no=["1"]), zone, scope={"zone": "7"})


@pytest.mark.parametrize(
    ("field_of", "said"),
    [
        ({"pattern": "("}, "RE2"),
        ({"pattern": "a)(b"}, "RE2"),
        ({"pattern": "(?=a)"}, "look-around"),
        ({"pattern": 7}, "RE2"),
        ({"pattern": "7", "type": "integer"}, "a pattern is of type text"),
    ],
)
def test_what_a_pattern_can_not_be(field_of: dict[str, Any], said: str) -> None:
    with pytest.raises(BadSchema, match=f"field a.*{said}"):
        schema_of({"id": "a", **field_of})
