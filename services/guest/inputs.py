"""The inputs of assign-cases-to-grids: what may be stated, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)

from layers.reading.features import Box
from services.errors import BadParameter
from services.guest.execution import explain

LARGEST_TOLERANCE_M = 1_000.0
_LARGEST_REVISION = 2_147_483_647
_CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_NUMBERS = {
    "type": "array",
    "oneOf": [{"minItems": 4, "maxItems": 4}, {"minItems": 6, "maxItems": 6}],
    "items": {"type": "number"},
}
_BBOX = {
    "oneOf": [
        {
            "type": "object",
            "format": "ogc-bbox",
            "required": ["bbox"],
            "properties": {"bbox": _NUMBERS, "crs": {"type": "string", "enum": [_CRS84]}},
        },
        _NUMBERS,
    ]
}


def _bounds(value: Any) -> Any:
    """Return the four bounds of a bbox, as an object with a crs or as numbers alone."""
    if isinstance(value, Mapping):
        if set(value) - {"bbox", "crs"} or value.get("crs", _CRS84) != _CRS84:
            raise ValueError(f"write {{'bbox': [west, south, east, north], 'crs': '{_CRS84}'}}")
        value = value.get("bbox")
    if not isinstance(value, list):
        return value
    bounds = [value[0], value[1], value[3], value[4]] if len(value) == 6 else value
    if all(isinstance(b, int | float) for b in bounds) and len(bounds) == 4:
        west, south, east, north = bounds
        if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
            raise ValueError("outside -180..180, -90..90, or its south is above its north")
    return tuple(bounds)


LayerId = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,47}$")]
RevisionNumber = Annotated[int, Field(ge=1, le=_LARGEST_REVISION)]
Text = Annotated[str, Field(min_length=1, max_length=100)]


class Inputs(BaseModel):
    """What an execution may state; everything has a default."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    cases: LayerId = "incidents"
    grids: LayerId = "grids"
    datetime: Text | None = None
    cases_revision: RevisionNumber | None = None
    grids_revision: RevisionNumber | None = None
    recorded: Text | None = None
    bbox: Annotated[Box | None, BeforeValidator(_bounds), WithJsonSchema(_BBOX)] = None
    tolerance_m: Annotated[float, Field(ge=0, le=LARGEST_TOLERANCE_M)] = 0.0
    grid_types: Annotated[list[str], Field(min_length=1, max_length=100)] | None = None
    list_cases: bool = True


def read_inputs(given: Mapping[str, Any]) -> Inputs:
    """Read the inputs of an execution.

    Raises
    ------
    BadParameter
        Where one is unknown, or not as described.

    Examples
    --------
    >>> read_inputs({"tolerance_m": {"value": 50}}).tolerance_m
    50.0
    """
    try:
        return Inputs.model_validate({name: _value(name, v) for name, v in given.items()})
    except ValidationError as error:
        raise BadParameter(explain(error, "inputs", tuple(Inputs.model_fields))) from None


def input_schema(name: str) -> dict[str, Any]:
    """Return an input's JSON Schema: that it may be absent is said by minOccurs, not by null.

    >>> input_schema("tolerance_m")
    {'default': 0.0, 'maximum': 1000.0, 'minimum': 0, 'type': 'number'}
    """
    schema: dict[str, Any] = dict(Inputs.model_json_schema()["properties"][name])
    schema.pop("title", None)
    if "anyOf" in schema:
        (only,) = (s for s in schema.pop("anyOf") if s != {"type": "null"})
        schema |= only
    return {k: v for k, v in schema.items() if (k, v) != ("default", None)}


def _value(name: str, given: Any) -> Any:
    """Return what a qualified value holds, and any other value as it is."""
    if isinstance(given, Mapping) and "href" in given:
        raise BadParameter(f"inputs: {name} is a reference, which is not fetched; give the value")
    return given["value"] if isinstance(given, Mapping) and "value" in given else given
