"""Values of a body's properties, held against the fields of the schema."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from datetime import date, tzinfo
from typing import Any

import pyarrow as pa

from layers.model import Field, FieldType
from layers.schemas.patterns import find_misfits
from services.errors import BadFeature
from services.writing.bodies import pointer
from spatial.errors import SpatialError
from spatial.periods import parse_instant

Fault = tuple[str, str]
_LARGEST = 2**63
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_WANTED = {
    FieldType.TEXT: "a text",
    FieldType.INTEGER: "a whole number of 64 bits",
    FieldType.NUMBER: "a finite number",
    FieldType.BOOLEAN: "true or false",
    FieldType.DATE: "a date such as 2014-05-14",
    FieldType.INSTANT: "an instant with its offset, such as 2014-05-14T04:00:00Z",
}


def read_values(
    stated: Mapping[str, Any],
    fields: Mapping[str, Field],
    current: Mapping[str, Any],
    zone: tzinfo,
    where: tuple[str | int, ...],
) -> dict[str, Any]:
    """Return properties in the types of their fields.

    Parameters
    ----------
    fields : mapping of str to Field
        Those that the writer sees.
    current : mapping of str to value
        What a feature says now, as documents have it: that may be said again, whatever it is.
    where : tuple of str or int
        The path of the properties in the body.

    Raises
    ------
    BadFeature
        With all that is wrong, and where.
    """
    found: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, value in stated.items():
        f, place = fields.get(name), pointer(*where, name)
        if f is None and value is None and name in _PERIOD:
            continue
        if f is None:
            faults.append((_unknown(name, fields), place))
            continue
        try:
            read = None if value is None else _read(f, value, zone)
        except (ValueError, TypeError, OverflowError, SpatialError):
            faults.append((f"{_shown(f, value)} is not {_WANTED[f.type]}", place))
            continue
        known = name in current and type(value) is type(current[name]) and value == current[name]
        fault = None if read is None or known else _misfit(f, read, value)
        if fault is not None:
            faults.append((fault, place))
        found[name] = read
    if faults:
        raise BadFeature(*faults)
    return found


def check_complete(
    values: Mapping[str, Any], fields: Collection[Field], where: tuple[str | int, ...]
) -> None:
    """Refuse a feature that lacks what each must have.

    Raises
    ------
    BadFeature
    """
    lacking = [f.id for f in fields if f.required and values.get(f.id) is None]
    if lacking:
        raise BadFeature(*(("it is required; state it", pointer(*where, n)) for n in lacking))


def _read(f: Field, value: Any, zone: tzinfo) -> Any:
    kind = type(value)
    if f.type is FieldType.TEXT and kind is str:
        return value
    if f.type is FieldType.BOOLEAN and kind is bool:
        return value
    if f.type is FieldType.INTEGER and kind in (int, float) and value == int(value):
        if -_LARGEST <= value < _LARGEST:
            return int(value)
    elif f.type is FieldType.NUMBER and kind in (int, float) and math.isfinite(value):
        return float(value)
    elif f.type is FieldType.DATE and kind is str and _DATE.fullmatch(value):
        return date.fromisoformat(value)
    elif f.type is FieldType.INSTANT and kind is str:
        return parse_instant(value, zone)
    raise ValueError


def _misfit(f: Field, read: Any, value: Any) -> str | None:
    if f.codes and str(read) not in f.codes:
        known = ", ".join(list(f.codes)[:20]) + (", ..." if len(f.codes) > 20 else "")
        return f"{_shown(f, value)} is none of the codes {known}"
    patterned = f.pattern is not None and isinstance(read, str)
    if patterned and find_misfits(pa.array([read], pa.string()), str(f.pattern)):
        return f"{_shown(f, value)} does not fit the pattern {f.pattern}"
    return None


# QGIS sends all fields of a layer with a new feature. It has the period in two of them: as the
# schema calls it (3.44 and later), or as GDAL reads `time`. What says nothing is passed over.
_PERIOD = frozenset("valid_from valid_to _valid_from _valid_to time_start time_end".split())


def _unknown(name: str, fields: Mapping[str, Field]) -> str:
    if name in _PERIOD:
        return f'{name} is no property here; say it as "time": {{"interval": [start, ".."]}}'
    shown = name if len(name) <= 60 else f"{name[:60]}..."
    return f"there is no property {shown!r}; there are: {', '.join(fields)}"


def _shown(f: Field, value: Any) -> str:
    """A value so that a message stays short, and says nothing restricted: messages are logged."""
    if f.is_restricted:
        return "the value"
    if isinstance(value, list | dict):
        return "an array" if isinstance(value, list) else "an object"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
