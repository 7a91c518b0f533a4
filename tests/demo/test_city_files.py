"""The demo's files: all there, untouched, small enough, and in the documented format."""

import csv
import gzip
import hashlib
import re
import tomllib
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "deploy" / "demo"
ORIGINALS = ROOT.parent / "shared" / "data"
CITY = tomllib.loads((DEMO / "city.toml").read_text(encoding="utf-8"))
SCHEMAS = {
    p.stem: tomllib.loads(p.read_text(encoding="utf-8"))
    for p in sorted((DEMO / "schemas").glob("*.toml"))
}
STEP_KEYS = set(
    "id layer source generator blocks boundary edges schema mode scope valid_from crs recorded "
    "message document".split()
)
ATTRIBUTION = (DEMO / "data" / "ATTRIBUTION.md").read_text(encoding="utf-8")
SUMS = dict(re.findall(r"^\| `(\S+\.gz)` \|.*\| `([0-9a-f]{64})` \|$", ATTRIBUTION, re.MULTILINE))


def documented_keys() -> tuple[set[str], set[str]]:
    """Return the keys of a layer and of a field that the example of docs/schema-files.md shows."""
    text = (ROOT / "docs" / "schema-files.md").read_text(encoding="utf-8")
    example = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert example
    layer, fields = example[1].split("[[fields]]")
    return tuple(set(re.findall(r"^(\w+) = ", part, re.MULTILINE)) for part in (layer, fields))


@pytest.mark.parametrize("step", CITY["steps"], ids=lambda s: s["id"])
def test_a_step_names_what_is_there(step):
    assert set(step) <= STEP_KEYS
    assert step["mode"] in {"reload", "upsert"}
    assert ("source" in step) != ("generator" in step)
    for name in ("source", "schema", "blocks", "boundary", "edges"):
        if name in step:
            assert (DEMO / step[name]).is_file()
    assert step["schema"] == f"schemas/{step['layer']}.toml"
    schema = SCHEMAS[step["layer"]]
    assert isinstance(step["recorded"], datetime)
    assert step["recorded"].tzinfo is not None
    if schema["kind"] == "state":
        assert type(step["valid_from"]) is date
        assert step["valid_from"] <= step["recorded"].date()
    else:
        assert "valid_from" not in step
    assert ("crs" in step) == (".topojson" in step.get("source", ""))
    fields = {f["id"]: f for f in schema["fields"]}
    assert set(step.get("scope", {})) == set(schema.get("scope", ()))
    for name, value in step.get("scope", {}).items():
        assert value in fields[name]["codes"]


def test_recorded_rises_and_ids_differ():
    steps = CITY["steps"]
    assert all(a["recorded"] < b["recorded"] for a, b in pairwise(steps))
    assert len({s["id"] for s in steps}) == len(steps)
    assert {s["layer"] for s in steps} == set(SCHEMAS)


def test_every_original_is_named_with_its_sum():
    there = {p.name for p in (DEMO / "data").glob("*.gz")}
    assert there == set(SUMS)
    used = {
        Path(s[k]).name for s in CITY["steps"] for k in ("source", "blocks", "boundary") if k in s
    }
    assert there <= used


@pytest.mark.parametrize("name", sorted(SUMS))
def test_bytes_are_those_of_the_source(name):
    packed = (DEMO / "data" / name).read_bytes()
    # No name and no time in the header, so that packing again gives the same file.
    assert packed[3] == 0
    assert packed[4:8] == b"\0\0\0\0"
    content = gzip.decompress(packed)
    assert hashlib.sha256(content).hexdigest() == SUMS[name]


@pytest.mark.parametrize("name", sorted(SUMS))
def test_bytes_are_those_of_the_copy_for_development(name):
    found = list(ORIGINALS.rglob(name.removesuffix(".gz"))) if ORIGINALS.is_dir() else []
    if not found:
        pytest.skip("the data for development is not here")
    assert gzip.decompress((DEMO / "data" / name).read_bytes()) == found[0].read_bytes()


def test_the_demo_is_small():
    assert sum(p.stat().st_size for p in DEMO.rglob("*") if p.is_file()) <= 8_000_000


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_schema_keeps_to_the_format(name):
    schema = SCHEMAS[name]
    layer_keys, field_keys = documented_keys()
    assert set(schema) - {"fields"} <= layer_keys
    assert schema["time_zone"] == "America/New_York"
    assert schema["visibility"] == "public"
    assert set(schema["title"]) == set(schema["description"]) == {"en", "zh"}
    ids = [f["id"] for f in schema["fields"]]
    assert len(set(ids)) == len(ids)
    assert "key" in {f.get("role") for f in schema["fields"]}
    for f in schema["fields"]:
        assert set(f) <= field_keys, f["id"]
        assert set(f["title"]) == {"en", "zh"}
        assert f["type"] in {"text", "integer", "number", "boolean", "date", "instant"}
        assert all(set(title) == {"en", "zh"} for title in f.get("codes", {}).values())


def test_names_of_people_are_restricted():
    restricted = {
        (name, f["id"])
        for name, schema in SCHEMAS.items()
        for f in schema["fields"]
        if f.get("visibility") == "restricted"
    }
    assert restricted == {
        ("parcels", "right_holder"),
        ("pipe_nodes", "last_editor"),
        ("pipe_nodes", "last_edited_user"),
        ("pipe_nodes", "created_user"),
        ("incidents", "reporter_name"),
        ("incidents", "reporter_phone"),
    }


def test_pipes_say_why_they_are_open():
    for name in ("pipe_nodes", "pipe_segments"):
        assert "internal by default" in SCHEMAS[name]["description"]["en"]
        assert "默认为内部" in SCHEMAS[name]["description"]["zh"]


def test_the_sale_is_of_a_parcel_with_a_deed():
    def rows(name):
        with (DEMO / "data" / name).open(encoding="utf-8", newline="") as file:
            return {r["ml"]: r for r in csv.DictReader(file)}

    deeds, sale = rows("title_deeds.csv"), rows("sale.csv")
    assert list(sale) == ["169-100"]
    assert deeds["169-100"]["title_deed"] == "Book 1200, page 34 (synthetic)"
    assert sale["169-100"]["title_deed"] != deeds["169-100"]["title_deed"]
    assert sale["169-100"]["right_holder"] != deeds["169-100"]["right_holder"]
    step = next(s for s in CITY["steps"] if s["id"] == "sale")
    assert step["document"] == sale["169-100"]["title_deed"]
    assert (step["valid_from"], step["recorded"].date()) == (date(2014, 5, 14), date(2014, 6, 5))
    for row in (*deeds.values(), *sale.values()):
        assert "synthetic" in row["title_deed"]
        assert "合成" in row["right_holder"]
