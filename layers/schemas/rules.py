"""The checks that a rule of a schema can name: which fields and params each takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from layers.errors import BadSchema
from layers.model import Field, FieldType, Outcome, Rule, Schema

_NUMBERS: Final = (FieldType.INTEGER, FieldType.NUMBER)
_TEXTS: Final = (FieldType.TEXT,)
_NAMES: Final = (FieldType.TEXT, FieldType.INTEGER)
_ANY: Final = tuple(FieldType)


class Param(StrEnum):
    """What a param of a rule can be."""

    LENGTH = "a length in metres, 0 or more"
    NUMBER = "a number"
    SHARE = "a share, 0 or more"
    COUNT = "a whole number, 1 or more"
    TEXT = "a text"
    TEXTS = "a list of texts"


@dataclass(frozen=True, slots=True)
class Slot:
    """A place of a check for a field of the layer: of which types, and whether it must be given."""

    types: tuple[FieldType, ...]
    required: bool = True


@dataclass(frozen=True, slots=True)
class Check:
    """What a check takes.

    Attributes
    ----------
    fields : mapping of str to Slot
        Fields of the layer, by what they are for.
    params : mapping of str to Param
        Required but for those in `optional`.
    optional : frozenset of str
        Params that may be left out.
    shapes : tuple of str
        Beginnings of the geometry types that it has a meaning for; all where empty.
    of_rows : bool
        Whether a fault is one of rows, which can be left out: a gap is none.
    """

    fields: Mapping[str, Slot] = field(default_factory=dict)
    params: Mapping[str, Param] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    shapes: tuple[str, ...] = ()
    of_rows: bool = True


_POLYGONS = ("Polygon", "MultiPolygon")
_LINES = ("LineString", "MultiLineString")
_ENDS = {"start": Slot(_NAMES), "end": Slot(_NAMES)}
_NODES = {"nodes": Param.TEXT, "number": Param.TEXT}
_SLIVER = frozenset({"sliver_m"})

CHECKS: Final[Mapping[str, Check]] = {
    "range": Check(
        {"value": Slot(_NUMBERS)},
        {"least": Param.NUMBER, "most": Param.NUMBER},
        frozenset({"least", "most"}),
    ),
    "area": Check(
        {"stated": Slot(_NUMBERS)},
        {"share": Param.SHARE, "m2": Param.SHARE},
        frozenset({"m2"}),
        _POLYGONS,
    ),
    "coverage": Check(
        {"group": Slot(_ANY, required=False)},
        {"boundary": Param.TEXT, "sliver_m": Param.LENGTH},
        _SLIVER | {"boundary"},
        _POLYGONS,
        of_rows=False,
    ),
    "overlap": Check(
        {"code": Slot(_TEXTS, required=False)},
        {"at": Param.COUNT, "strata": Param.TEXTS, "sliver_m": Param.LENGTH},
        _SLIVER | {"at", "strata"},
        _POLYGONS,
    ),
    "sliver": Check({}, {"width_m": Param.LENGTH}, shapes=_POLYGONS),
    "repeated-corner": Check(
        {}, {"tolerance_m": Param.LENGTH}, frozenset({"tolerance_m"}), (*_LINES, *_POLYGONS)
    ),
    "self-touching": Check(shapes=(*_LINES, *_POLYGONS)),
    "repeated-place": Check(
        {"group": Slot(_ANY, required=False)}, {"tolerance_m": Param.LENGTH}, shapes=("Point",)
    ),
    "outside": Check({}, {"boundary": Param.TEXT}),
    "missing-node": Check(_ENDS, _NODES, shapes=_LINES),
    "orphan-node": Check(_ENDS, _NODES, shapes=_LINES, of_rows=False),
    "end-apart": Check(_ENDS, {**_NODES, "tolerance_m": Param.LENGTH}, shapes=_LINES),
    "stray-end": Check(
        {}, {"nodes": Param.TEXT, "tolerance_m": Param.LENGTH}, frozenset({"nodes"}), _LINES
    ),
    "loop": Check(_ENDS, shapes=_LINES),
    "duplicate": Check({**_ENDS, "group": Slot(_ANY, required=False)}, shapes=_LINES),
    "degree": Check(
        _ENDS,
        {**_NODES, "feature": Param.TEXT, "value": Param.TEXT, "degree": Param.COUNT},
        shapes=_LINES,
        of_rows=False,
    ),
    "differing": Check(
        {**_ENDS, "value": Slot(_ANY)}, {**_NODES, "of_node": Param.TEXT}, shapes=_LINES
    ),
    "ground": Check(
        {
            **_ENDS,
            **{
                name: Slot(_NUMBERS)
                for name in ("start_depth", "end_depth", "start_elev", "end_elev")
            },
            "height": Slot(_NUMBERS, required=False),
            "depth_ref": Slot(_TEXTS, required=False),
            "elev_ref": Slot(_TEXTS, required=False),
        },
        {**_NODES, "ground": Param.TEXT, "tolerance_m": Param.LENGTH},
        shapes=_LINES,
    ),
    "length": Check(
        {},
        {"least_m": Param.LENGTH, "most_m": Param.LENGTH},
        frozenset({"least_m", "most_m"}),
        _LINES,
    ),
    "slope": Check(
        {
            "start_elev": Slot(_NUMBERS),
            "end_elev": Slot(_NUMBERS),
            "flow": Slot(_TEXTS),
            "drain": Slot(_TEXTS, required=False),
        },
        {"least": Param.NUMBER, "most": Param.NUMBER, "drains": Param.TEXTS},
        frozenset({"least", "most", "drains"}),
        _LINES,
    ),
}


def check_rules(schema: Schema) -> None:
    """Refuse rules that no check can follow.

    Raises
    ------
    BadSchema
        Naming the rule, the key and what it may be.
    """
    ids = [rule.id for rule in schema.rules]
    repeated = sorted({i for i in ids if ids.count(i) > 1})
    if repeated:
        raise BadSchema(f"rule {repeated[0]} is there twice; give each rule an id of its own")
    for rule in schema.rules:
        check = CHECKS.get(rule.check)
        if check is None:
            raise BadSchema(
                f"rule {rule.id}: check = {rule.check!r}; one of {', '.join(sorted(CHECKS))}"
            )
        _check_shape(rule, check, schema)
        _check_fields(rule, check, schema)
        _check_params(rule, check)
        _check_outcome(rule, check)


def _check_shape(rule: Rule, check: Check, schema: Schema) -> None:
    if check.shapes and schema.geometry.removesuffix("Z") not in check.shapes:
        raise BadSchema(
            f"rule {rule.id}: {rule.check} is of {' or '.join(check.shapes)}, and this layer's "
            f"geometry is {schema.geometry}; leave the rule out"
        )


def _check_fields(rule: Rule, check: Check, schema: Schema) -> None:
    needed = {name for name, slot in check.fields.items() if slot.required}
    _check_names(rule, "fields", set(rule.fields), set(check.fields), needed)
    for name, field_id in rule.fields.items():
        found = schema.find(field_id)
        if found is None or found.is_period:
            raise BadSchema(
                f"rule {rule.id}: {name} = {field_id!r}, which is no field of this schema"
            )
        _check_type(rule, name, found, check.fields[name].types)


def _check_type(rule: Rule, name: str, found: Field, types: tuple[FieldType, ...]) -> None:
    if found.type not in types:
        raise BadSchema(
            f"rule {rule.id}: {name} = {found.id!r} is of type {found.type}, where "
            f"{' or '.join(types)} belongs"
        )


def _check_params(rule: Rule, check: Check) -> None:
    _check_names(
        rule, "params", set(rule.params), set(check.params), set(check.params) - check.optional
    )
    for name, value in rule.params.items():
        if not _fits(value, check.params[name]):
            raise BadSchema(f"rule {rule.id}: {name} = {value!r}; {check.params[name]}")
    for low, high in (("least", "most"), ("least_m", "most_m")):
        if low in check.params and not {low, high} & set(rule.params):
            raise BadSchema(f"rule {rule.id}: allows everything; say {low}, {high} or both")
        if rule.params.get(low, -math.inf) > rule.params.get(high, math.inf):
            raise BadSchema(f"rule {rule.id}: {low} is more than {high}; turn them round")
    if rule.check == "overlap" and len({"at", "strata"} & set(rule.params)) == 1:
        raise BadSchema(f"rule {rule.id}: at and strata go together, with fields.code")
    if "at" in rule.params and "code" not in rule.fields:
        raise BadSchema(f"rule {rule.id}: at is a place in the code; name it under fields.code")


def _check_names(rule: Rule, key: str, given: set[str], known: set[str], needed: set[str]) -> None:
    if given - known:
        takes = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
        raise BadSchema(f"rule {rule.id}: {rule.check} has no {key}.{min(given - known)}; {takes}")
    if needed - given:
        raise BadSchema(f"rule {rule.id}: {rule.check} needs {key}.{min(needed - given)}")


def _check_outcome(rule: Rule, check: Check) -> None:
    if rule.outcome is Outcome.ROW and not check.of_rows:
        raise BadSchema(
            f"rule {rule.id}: a fault of {rule.check} is in no one row that could be left out; "
            "outcome is say or refuse"
        )


def _fits(value: Any, kind: Param) -> bool:
    if kind is Param.TEXT:
        return isinstance(value, str) and bool(value)
    if kind is Param.TEXTS:
        return isinstance(value, tuple) and all(isinstance(v, str) and v for v in value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    if kind is Param.COUNT:
        return isinstance(value, int) and value >= 1
    return kind is Param.NUMBER or value >= 0
