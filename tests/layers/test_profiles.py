"""The profile cn and the code lists of schema files: what ships, and what is said of bad ones."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

import layers
from layers.errors import BadSchema
from layers.model import Field, FieldType, Kind, Role, Schema, Visibility
from layers.profiles import find_schema, profile_schemas
from layers.schema_files import parse_schema, read_schema, schema_document

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


@pytest.mark.parametrize("path", LISTS, ids=lambda p: p.stem)
def test_every_code_says_where_it_is_from_and_is_used(path: Path) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row["source"] for row in rows)
    used = [
        f.codes for s in CN.values() for f in s.fields if list(f.codes) == [r["code"] for r in rows]
    ]
    assert used, f"no field of the profile has the list {path.name}"


def test_land_use_has_all_73_codes_in_their_12_classes() -> None:
    codes = list(field(CN["parcels"], "land_use_code").codes)
    sizes = [3, 4, 7, 4, 7, 4, 2, 10, 6, 9, 10, 7]
    assert codes == [f"{c:02}{n:02}" for c, size in enumerate(sizes, 1) for n in range(1, size + 1)]
    assert field(CN["parcels"], "land_use_code").codes["0702"].zh == "农村宅基地"


def test_a_case_develops() -> None:
    schema = CN["incidents"]
    assert schema.event_start().id == "reported_at"
    (since,) = schema.with_role(Role.VALID_FROM)
    assert (since.id, since.type) == ("changed_at", FieldType.INSTANT)


def test_a_schema_is_found_by_its_profile_or_its_file(tmp_path: Path) -> None:
    assert find_schema("cn:grids") == CN["grids"]
    path = with_list(tmp_path, "code,zh,en\n1,住宅,Housing\n".encode())
    assert find_schema(str(path)) == read_schema(path)


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
        (b"code,en\n1,a\n", "no column 'zh'"),
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
