"""What a schema must say that is a raster layer's: its features are scenes, which name files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from layers.errors import BadSchema
from layers.model import FieldType, Kind, Role, Schema

# Without these nothing can be shown; the others of ``raster:scenes`` tell people and programs.
NEEDED = {
    "scene": FieldType.TEXT,
    "sha256": FieldType.TEXT,
    "statistics": FieldType.TEXT,
    "codes": FieldType.BOOLEAN,
}


def check_scenes(schema: Schema) -> None:
    """Refuse a raster layer that could show nothing, and what only raster layers have elsewhere.

    Raises
    ------
    BadSchema
        Naming what is lacking.
    """
    if not schema.raster:
        if schema.value_range is not None:
            raise BadSchema("value_range is of raster layers; write raster = true, or leave it out")
        return
    if schema.kind is not Kind.STATE or schema.geometry != "MultiPolygon":
        raise BadSchema("a raster layer has kind = state and geometry = MultiPolygon")
    for name, kind in NEEDED.items():
        found = schema.find(name)
        if found is None or found.type is not kind or found not in schema.stored:
            raise BadSchema(
                f"a raster layer needs the open field {name} of type {kind}; take the fields of "
                "the schema raster:scenes"
            )
    if [f.id for f in schema.with_role(Role.KEY)] != ["scene"]:
        raise BadSchema("the key of a raster layer is its field scene, and no other")


def value_range(value: Any) -> tuple[float, float] | None:
    """Return the values that a raster layer shows in the first and the last of its colours.

    Raises
    ------
    BadSchema
        Where it is no pair of numbers, or the second is not above the first.

    Examples
    --------
    >>> value_range([0, 500])
    (0.0, 500.0)
    """
    if value is None:
        return None
    pair = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
    numbers = [v for v in pair if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(pair) != 2 or len(numbers) != 2 or not all(map(math.isfinite, numbers)):
        raise BadSchema(f"value_range = {value!r}; two numbers, such as [0, 500]")
    low, high = map(float, numbers)
    if not low < high:
        raise BadSchema(f"value_range = {value!r}; the first must be below the second")
    return low, high
