"""Rules of schema files: what they may say, what is said of bad ones, and that they are no data."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from publishing import WRITER, layer, points, publish, schema_of

import spatial.checks
from layers.errors import BadSchema
from layers.model import Outcome
from layers.schema_changes import SchemaChange
from layers.schemas.documents import parse_schema, schema_document, write_schema
from layers.schemas.profiles import profile_schemas
from layers.schemas.rules import CHECKS
from layers.store import Store

CN = profile_schemas("cn")
AREA = {
    "id": "stated-area",
    "check": "area",
    "fields": {"stated": "area"},
    "params": {"share": 0.1},
}
STRATA = {"id": "strata", "check": "overlap", "fields": {"code": "no"}}
PARCELS: dict[str, Any] = {
    "title": "t",
    "geometry": "MultiPolygon",
    "fields": [
        {"id": "no", "role": "key"},
        {"id": "area", "type": "number"},
        {"id": "since", "type": "date", "role": "valid-from"},
    ],
}
RANGE = {"id": "r", "check": "range", "fields": {"value": "area"}}
LENGTH = {"id": "r", "check": "length", "params": {"least_m": 1, "most_m": 2}}


def parsed(*rules: dict[str, Any], **changes: Any) -> Any:
    return parse_schema(PARCELS | {"rules": list(rules)} | changes)


def test_a_rule_says_nothing_more_than_it_must() -> None:
    (rule,) = parsed(AREA).rules
    assert (rule.id, rule.check, rule.outcome) == ("stated-area", "area", Outcome.SAY)
    assert (rule.fields, rule.params) == ({"stated": "area"}, {"share": 0.1})
    assert rule.title.en == "stated-area"
    assert rule.share == 1


@pytest.mark.parametrize(
    ("said", "share"), [({"outcome": "refuse"}, 0), ({"outcome": "row"}, 1),
                        ({"outcome": "refuse", "share": 0.02}, 0.02),
                        ({"outcome": "row", "share": 0}, 0)]
)  # fmt: skip
def test_from_which_share_the_whole_is_refused(said: dict[str, Any], share: float) -> None:
    schema = parsed(AREA | said)
    assert schema.rules[0].share == share
    assert parse_schema(tomllib.loads(write_schema(schema))) == schema


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("area", "rule 1 is no table"),
        (AREA | {"id": ""}, "rule 1: id"),
        (AREA | {"id": "Stated Area"}, "small letters"),
        (AREA | {"limits": {}}, "no key 'limits'"),
        (AREA | {"check": "volume"}, "check = 'volume'; one of area, coverage"),
        (AREA | {"outcome": "warn"}, "say, row, refuse"),
        (AREA | {"share": 0.1}, "share belongs to outcome row or refuse"),
        (AREA | {"outcome": "refuse", "share": 2}, "from 0 to 1"),
        (AREA | {"fields": "area"}, "a table"),
        (AREA | {"fields": {}}, "needs fields.stated"),
        (AREA | {"fields": {"stated": "size"}}, "'size', which is no field"),
        (AREA | {"fields": {"stated": "since"}}, "'since', which is no field"),
        (AREA | {"fields": {"stated": "no"}}, "of type text, where integer or number"),
        (AREA | {"fields": {"stated": "area", "of": "no"}}, "no fields.of; it takes stated"),
        (AREA | {"params": {}}, "needs params.share"),
        (AREA | {"params": {"share": "5 %"}}, "share = '5 %'; a share"),
        (AREA | {"params": {"share": True}}, "share = True"),
        (AREA | {"params": {"share": -0.1}}, "0 or more"),
        (AREA | {"params": {"share": float("nan")}}, "share = nan"),
        (AREA | {"params": {"share": 0.1, "acres": 1}}, "no params.acres; it takes m2, share"),
        (RANGE, "allows everything; say least, most or both"),
        (RANGE | {"params": {"least": 3, "most": 2}}, "least is more than most"),
        (LENGTH, "is of LineString or MultiLineString"),
        (STRATA | {"params": {"at": 14}}, "at and strata go together"),
        (STRATA | {"params": {"at": 0, "strata": ["S"]}}, "at = 0; a whole number"),
        (STRATA | {"params": {"at": 1, "strata": "SX"}}, "strata = 'SX'; a list of texts"),
        (STRATA | {"fields": {}, "params": {"at": 1, "strata": ["S"]}}, "fields.code"),
        ({"id": "c", "check": "coverage", "outcome": "row"}, "say or refuse"),
        ({"id": "c", "check": "self-touching", "params": {"m": 1}}, "it takes none"),
    ],
)
def test_what_a_rule_can_not_be(rule: Any, said: str) -> None:
    with pytest.raises(BadSchema, match=said):
        parsed(rule)


def test_a_rule_is_there_once() -> None:
    with pytest.raises(BadSchema, match="rule stated-area is there twice"):
        parsed(AREA, AREA)


@pytest.mark.parametrize("name", CN)
def test_rules_of_the_profile_are_kept_as_they_are(name: str) -> None:
    schema = CN[name]
    assert parse_schema(tomllib.loads(write_schema(schema))) == schema
    kept = json.loads(json.dumps(schema_document(schema)))
    assert parse_schema(kept) == schema
    # The catalogue of an older store has none.
    kept.pop("rules", None)
    assert parse_schema(kept).rules == ()
    assert "rules" not in schema_document(parse_schema(kept))


def test_the_profile_states_the_rules_of_its_standards() -> None:
    told = {name: [rule.check for rule in schema.rules] for name, schema in CN.items()}
    assert told["parcels"] == ["area", "overlap"]
    assert told["grids"] == ["area", "coverage"]
    assert set(told["pipe_segments"]) == {
        "missing-node", "orphan-node", "end-apart", "loop", "duplicate", "ground", "length",
        "slope", "degree", "differing",
    }  # fmt: skip
    rules = {rule.id: rule for schema in CN.values() for rule in schema.rules}
    assert rules["length"].params == {"least_m": 0.05, "most_m": 75}
    assert (rules["tee"].params["value"], rules["tee"].params["degree"]) == ("tee", 3)
    # No city is refused by limits of ours.
    assert {rule.outcome for rule in rules.values()} == {Outcome.SAY}


@pytest.mark.parametrize("name", CN)
def test_rules_name_fields_of_the_nodes_that_are_there(name: str) -> None:
    for rule in CN[name].rules:
        for key in ("number", "ground", "feature", "of_node"):
            if key in rule.params:
                assert CN[rule.params["nodes"]].find(rule.params[key]) is not None


def test_every_check_is_one_of_the_fault_finders() -> None:
    code = "".join(p.read_text("utf-8") for p in Path(spatial.checks.__file__).parent.glob("*.py"))
    for name in CHECKS:
        told = {"coverage": "gap"}.get(name, name)
        assert f'"{told}"' in code, f"no function of spatial.checks tells of {name}"


def test_rules_alone_change_no_data_and_no_row_of_it(store: Store) -> None:
    size = {"id": "size", "type": "number"}
    least = {"id": "size", "check": "range", "fields": {"value": "size"}, "params": {"least": 0}}
    bare, ruled = schema_of(size), schema_of(size, rules=[least])
    frame = points(no=["a", "b"], size=[1.0, 2.0])
    publish(store, "t", frame, bare)
    # A file that differs in its rules alone is still the layer's own.
    done = publish(store, "t", frame, ruled)
    assert (done.created, done.changed, done.retired, done.unchanged) == (0, 0, 0, 2)
    assert layer(store, "t").record.schema.rules == ()
    done = store.commit({"t": SchemaChange(ruled)}, WRITER, "rules").reports["t"]
    assert done.notes == ["rule added: size"]
    assert (done.created, done.changed, done.retired) == (0, 0, 0)
    assert layer(store, "t").record.schema == ruled
    stricter = schema_of(size, rules=[least | {"params": {"least": 1}}])
    assert store.commit({"t": SchemaChange(stricter)}, WRITER, "stricter").reports["t"].notes == [
        "rule changed: size"
    ]
    assert store.commit({"t": SchemaChange(bare)}, WRITER, "none").reports["t"].notes == [
        "rule dropped: size"
    ]
    assert layer(store, "t").record.schema == bare
    assert len(layer(store, "t").at("2020-06-01").read()) == 2
