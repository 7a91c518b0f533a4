"""One rule asked of rows: which function of `spatial.checks` it is, and what that is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from layers.model import Rule, Schema
from layers.quality.rows import Staged
from spatial.checks.coverage import coverage
from spatial.checks.faults import Faults
from spatial.checks.heights import lengths_off, slopes_off
from spatial.checks.networks import duplicates, loops, stray_ends, take_network
from spatial.checks.overlaps import overlaps, strata
from spatial.checks.placed import repeated_places
from spatial.checks.values import areas_off, out_of_range
from spatial.checks.vertices import repeated_corners, self_touching, thin_polygons

_NONE: Final[NDArray[np.object_]] = np.array([], dtype=object)
# By their names after UCUM.
_SQUARE_METRES: Final = {None: 1.0, "m2": 1.0, "ar": 100.0, "har": 10_000.0, "km2": 1_000_000.0}


@dataclass(frozen=True)
class Asked:
    """A rule, and the rows that it is asked of."""

    rule: Rule
    schema: Schema
    rows: Staged

    @property
    def crs(self) -> str:
        """The reference system of the shapes."""
        return self.schema.crs

    def param(self, name: str, default: Any = None) -> Any:
        """Return a param, or what it is where the rule does not say."""
        return self.rule.params.get(name, default)

    def params(self, *names: str) -> dict[str, Any]:
        """Return those params that the rule says."""
        return {n: self.rule.params[n] for n in names if n in self.rule.params}

    def values(self, name: str) -> Any:
        """Return the values of the field that the rule names so, or None."""
        field_id = self.rule.fields.get(name)
        return None if field_id is None else self.rows.values[field_id]

    def unit(self, name: str) -> str | None:
        """Return the unit of the field that the rule names so."""
        found = self.schema.find(self.rule.fields[name])
        return None if found is None else found.unit


Ask = Callable[[Asked], tuple[Faults, ...]]


def why_not(rule: Rule, schema: Schema, adds: bool) -> str | None:
    """Tell why a rule can't be asked at a publish; None where it can.

    Parameters
    ----------
    adds : bool
        Whether the rows are added to others, which are not looked at.
    """
    if rule.check not in {**OF_ROWS, **OF_ALL}:
        return f"rule {rule.id} was not asked: {rule.check} looks at another layer"
    for name in ("nodes", "boundary"):
        if name in rule.params:
            return f"rule {rule.id} was not asked: it looks at the layer {rule.params[name]}"
    if adds and rule.check in ("coverage", "stray-end"):
        return f"rule {rule.id} was not asked: it is of whole layers, and these rows are added"
    stated = schema.find(rule.fields.get("stated", ""))
    if stated is not None and stated.unit not in _SQUARE_METRES:
        return f"rule {rule.id} was not asked: {stated.unit!r} is no unit of area that it knows"
    return None


def ask(asked: Asked) -> tuple[Faults, ...]:
    """Return the faults of the rows, whose numbers are places among them."""
    return {**OF_ROWS, **OF_ALL}[asked.rule.check](asked)


def _range(a: Asked) -> tuple[Faults, ...]:
    limits, unit = a.params("least", "most"), a.unit("value") or "1"
    return (out_of_range(a.values("value"), **limits, unit=unit, places=a.rows.shapes),)


def _area(a: Asked) -> tuple[Faults, ...]:
    stated = a.values("stated") * _SQUARE_METRES[a.unit("stated")]
    as_share, _ = areas_off(stated, a.rows.shapes, a.crs, **a.params("share", "m2"))
    return (as_share,)


def _coverage(a: Asked) -> tuple[Faults, ...]:
    return coverage(a.rows.shapes, a.crs, groups=a.values("group"), **a.params("sliver_m"))


def _overlap(a: Asked) -> tuple[Faults, ...]:
    groups = None
    if "at" in a.rule.params:
        others = "".join(a.param("strata"))
        groups = strata(a.values("code"), at=a.param("at"), others=others)
    return overlaps(a.rows.shapes, a.crs, groups=groups, **a.params("sliver_m"))


def _sliver(a: Asked) -> tuple[Faults, ...]:
    return (thin_polygons(a.rows.shapes, a.crs, **a.params("width_m")),)


def _corners(a: Asked) -> tuple[Faults, ...]:
    return (repeated_corners(a.rows.shapes, a.crs, **a.params("tolerance_m")),)


def _touching(a: Asked) -> tuple[Faults, ...]:
    return (self_touching(a.rows.shapes),)


def _places(a: Asked) -> tuple[Faults, ...]:
    how = a.params("tolerance_m")
    return (repeated_places(a.rows.shapes, a.crs, groups=a.values("group"), **how),)


def _stray(a: Asked) -> tuple[Faults, ...]:
    return (stray_ends(a.rows.shapes, a.crs, **a.params("tolerance_m")),)


def _loop(a: Asked) -> tuple[Faults, ...]:
    return (loops(_network(a)),)


def _duplicate(a: Asked) -> tuple[Faults, ...]:
    return duplicates(_network(a), groups=a.values("group"))


def _network(a: Asked) -> Any:
    ends = a.values("start"), a.values("end")
    return take_network(a.rows.shapes, *ends, _NONE, _NONE, a.crs)


def _length(a: Asked) -> tuple[Faults, ...]:
    limits = {"least_m": a.param("least_m", 0.0), "most_m": a.param("most_m", np.inf)}
    return (lengths_off(a.rows.shapes, a.crs, **limits),)


def _slope(a: Asked) -> tuple[Faults, ...]:
    elevations = np.column_stack([a.values("start_elev"), a.values("end_elev")])
    limits = {"least": a.param("least", -np.inf), "most": a.param("most", np.inf)}
    drains, kinds = a.param("drains"), a.values("drain")
    applies = None if drains is None or kinds is None else np.isin(kinds.astype(str), drains)
    flows = a.values("flow")
    return (slopes_off(a.rows.shapes, a.crs, elevations, flows, **limits, applies=applies),)


OF_ROWS: Final[dict[str, Ask]] = {
    "range": _range,
    "area": _area,
    "sliver": _sliver,
    "repeated-corner": _corners,
    "self-touching": _touching,
    "loop": _loop,
    "length": _length,
    "slope": _slope,
}
"""Checks that look at each row by itself."""
OF_ALL: Final[dict[str, Ask]] = {
    "coverage": _coverage,
    "overlap": _overlap,
    "repeated-place": _places,
    "stray-end": _stray,
    "duplicate": _duplicate,
}
"""Checks that look at rows beside one another, of which there is one a feature."""
