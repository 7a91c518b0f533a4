"""Schema files: what they may say, and what is said of what they may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from layers.errors import BadSchema
from layers.model import Role
from layers.schemas.documents import SYSTEM_NAMES, parse_schema, read_schema, schema_document
from layers.schemas.inference import Choices, with_choices

ROOT = Path(__file__).parents[2]
SCHEMAS = sorted((ROOT / "deploy" / "demo" / "schemas").glob("*.toml"))
GOOD: dict[str, Any] = {
    "title": "t",
    "geometry": "Point",
    "fields": [{"id": "no", "role": "key"}, {"id": "at", "type": "instant"}],
}


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda p: p.stem)
def test_a_schema_and_its_document_are_the_same(path: Path) -> None:
    schema = read_schema(path)
    assert parse_schema(schema_document(schema)) == schema


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "thing"}, "kind"),
        ({"geometry": "Curve"}, "geometry"),
        ({"geometry": None}, "geometry"),
        ({"title": 7}, "title"),
        ({"nonsense": 1}, "nonsense"),
        ({"time_zone": "Mars/Olympus"}, "time_zone|Asia/Shanghai"),
        ({"geometry_tolerance": -1}, "geometry_tolerance"),
        ({"geometry_tolerance": True}, "geometry_tolerance"),
        ({"placeholder_keys": "---"}, "placeholder_keys"),
        ({"duplicates": "merge"}, "MultiPoint"),
        ({"coordinates": ["x"]}, "coordinates"),
        ({"scope": ["nope"]}, "nope"),
        ({"kind": "event"}, "event-start"),
        ({"visibility": "everyone"}, "visibility"),
    ],
)
def test_what_a_layer_can_not_be(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadSchema, match=said):
        parse_schema(GOOD | changes)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"id": "no"}, "twice"),
        ({"id": "_fid"}, "_fid"),
        ({"id": 'a"b'}, "field id"),
        ({"id": "a b"}, "field id"),
        ({"id": "1a"}, "field id"),
        ({"id": "x" * 61}, "60 bytes"),
        ({"id": "字" * 21}, "60 bytes"),
        ({"id": ""}, "field id"),
        ({"id": "a", "type": "float"}, "type"),
        ({"id": "a", "role": "boss"}, "role"),
        ({"id": "a", "role": "valid-from"}, "date or instant"),
        ({"id": "a", "role": "key", "visibility": "restricted"}, "restricted"),
        ({"id": "a", "visibility": "private"}, "visibility"),
        ({"id": "a", "sauce": ["A"]}, "sauce"),
    ],
)
def test_what_a_field_can_not_be(field: dict[str, Any], said: str) -> None:
    with pytest.raises(BadSchema, match=said):
        parse_schema(GOOD | {"fields": [*GOOD["fields"], field]})


@pytest.mark.parametrize("name", sorted(SYSTEM_NAMES))
def test_names_that_the_database_keeps(name: str) -> None:
    with pytest.raises(BadSchema, match=f'id = "f_{name}"'):
        parse_schema(GOOD | {"fields": [{"id": name}]})


def test_a_file_that_is_not_there_or_no_toml(tmp_path: Path) -> None:
    with pytest.raises(BadSchema, match="--schema"):
        read_schema(tmp_path / "none.toml")
    path = tmp_path / "bad.toml"
    path.write_text("kind = ", encoding="utf-8")
    with pytest.raises(BadSchema, match="no TOML"):
        read_schema(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadSchema, match="no TOML"):
        read_schema(path)


def test_options_give_roles() -> None:
    schema = with_choices(parse_schema(GOOD), Choices(keys=("at",), valid_from="at"))
    assert [f.id for f in schema.keys] == []
    assert schema.with_role(Role.VALID_FROM)[0].id == "at"
