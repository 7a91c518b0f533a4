"""One rule asked of rows: which function of `spatial.checks` it is, and what that is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from layers.model import Rule, Schema
from layers.quality.around import Beside
from layers.quality.rows import Staged
from spatial.checks.coverage import coverage
from spatial.checks.faults import Faults
from spatial.checks.heights import ground_off, lengths_off, slopes_off
from spatial.checks.networks import (
    degrees_off,
    differing,
    duplicates,
    ends_apart,
    loops,
    missing_nodes,
    orphan_nodes,
    stray_ends,
    take_network,
)
from spatial.checks.overlaps import overlaps, strata
from spatial.checks.placed import outside, repeated_places
from spatial.checks.values import areas_off, out_of_range
from spatial.checks.vertices import repeated_corners, self_touching, thin_polygons

_NONE: Final[NDArray[np.object_]] = np.array([], dtype=object)
# By their names after UCUM.
_METRES: Final = {None: 1.0, "m": 1.0, "cm": 0.01, "mm": 0.001}
_SQUARE_METRES: Final = {None: 1.0, "m2": 1.0, "ar": 100.0, "har": 10_000.0, "km2": 1_000_000.0}


@dataclass(frozen=True)
class Asked:
    """A rule, the rows that it is asked of, and what it looks at in another layer."""

    rule: Rule
    schema: Schema
    rows: Staged
    beside: Beside | None = None

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

    def around(self) -> Beside:
        """Return what the rule looks at in another layer."""
        assert self.beside is not None  # noqa: S101 - a rule that lacks it is not asked
        return self.beside

    def of_nodes(self, name: str) -> Any:
        """Return the values of the other layer's field that a param names."""
        return self.around().values[self.param(name)]

    def unit(self, name: str) -> str | None:
        """Return the unit of the field that the rule names so."""
        found = self.schema.find(self.rule.fields[name])
        return None if found is None else found.unit


Ask = Callable[[Asked], tuple[Faults, ...]]


def why_not(rule: Rule, schema: Schema, adds: bool, partly: bool) -> str | None:
    """Tell why a rule can't be asked at a publish; None where it can.

    Parameters
    ----------
    adds : bool
        Whether the rows are added to others of the layer, which are not looked at.
    partly : bool
        Whether they are a part of the layer, so or by their scope.
    """
    # A group that is published by itself is whole, but for a boundary.
    needs_whole = rule.check == "coverage" and (adds or (partly and "boundary" in rule.params))
    if needs_whole or (partly and rule.check in ("orphan-node", "degree", "stray-end")):
        return "it is of whole layers, and these rows are a part"
    for name, units in (("stated", _SQUARE_METRES), ("height", _METRES)):
        found = schema.find(rule.fields.get(name, ""))
        if found is not None and found.unit not in units:
            return f"{found.unit!r} is no unit of {found.id} that it knows"
    return None


def ask(asked: Asked) -> tuple[Faults, ...]:
    """Return the faults of the rows, whose numbers are places among them."""
    return _ALL[asked.rule.check](asked)


def _range(a: Asked) -> tuple[Faults, ...]:
    limits, unit = a.params("least", "most"), a.unit("value") or "1"
    return (out_of_range(a.values("value"), **limits, unit=unit, places=a.rows.shapes),)


def _area(a: Asked) -> tuple[Faults, ...]:
    stated = a.values("stated") * _SQUARE_METRES[a.unit("stated")]
    as_share, _ = areas_off(stated, a.rows.shapes, a.crs, **a.params("share", "m2"))
    return (as_share,)


def _coverage(a: Asked) -> tuple[Faults, ...]:
    boundary = None if a.beside is None else a.beside.whole()
    how = a.params("sliver_m")
    return coverage(a.rows.shapes, a.crs, groups=a.values("group"), boundary=boundary, **how)


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
    nodes = None if a.beside is None else a.beside.shapes
    return (stray_ends(a.rows.shapes, a.crs, **a.params("tolerance_m"), nodes=nodes),)


def _loop(a: Asked) -> tuple[Faults, ...]:
    return (loops(_network(a)),)


def _duplicate(a: Asked) -> tuple[Faults, ...]:
    return duplicates(_network(a), groups=a.values("group"))


def _network(a: Asked) -> Any:
    ends = _texts(a.values("start")), _texts(a.values("end"))
    nodes, numbers = _NONE, _NONE
    if a.beside is not None:
        nodes, numbers = a.beside.shapes, _texts(a.of_nodes("number"))
    return take_network(a.rows.shapes, *ends, nodes, numbers, a.crs)


def _texts(values: Any) -> NDArray[np.object_]:
    # Numbers of one layer may be texts in the other.
    if values.dtype != object:
        values = [None if np.isnan(v) else f"{v:.0f}" for v in values.tolist()]
    return np.array([*(None if v is None else str(v) for v in values), None], object)[:-1]


def _outside(a: Asked) -> tuple[Faults, ...]:
    return (outside(a.rows.shapes, a.around().whole(), a.crs),)


def _missing(a: Asked) -> tuple[Faults, ...]:
    return (missing_nodes(_network(a)),)


def _orphans(a: Asked) -> tuple[Faults, ...]:
    return (orphan_nodes(_network(a)),)


def _apart(a: Asked) -> tuple[Faults, ...]:
    return (ends_apart(_network(a), **a.params("tolerance_m")),)


def _degree(a: Asked) -> tuple[Faults, ...]:
    how = {"feature": a.param("value"), "degree": a.param("degree")}
    return (degrees_off(_network(a), a.of_nodes("feature"), **how),)


def _differing(a: Asked) -> tuple[Faults, ...]:
    return (differing(_network(a), a.values("value"), a.of_nodes("of_node")),)


def _ground(a: Asked) -> tuple[Faults, ...]:
    depths, elevations = (
        np.column_stack([a.values(f"start_{name}"), a.values(f"end_{name}")])
        for name in ("depth", "elev")
    )
    height = a.values("height")
    return ground_off(
        _network(a),
        a.of_nodes("ground"),
        depths,
        elevations,
        **a.params("tolerance_m"),
        heights_m=None if height is None else height * _METRES[a.unit("height")],
        depth_refs=a.values("depth_ref"),
        elevation_refs=a.values("elev_ref"),
    )


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
OF_EACH: Final[dict[str, Ask]] = {
    "outside": _outside,
    "missing-node": _missing,
    "end-apart": _apart,
    "stray-end": _stray,
    "differing": _differing,
    "ground": _ground,
}
"""Checks that look at each feature by itself, beside another layer."""
OF_PAIRS: Final[dict[str, Ask]] = {"overlap": _overlap, "repeated-place": _places}
"""Checks that look at features that meet: the first of a pair is the lower row."""
OF_ALL: Final[dict[str, Ask]] = {
    "orphan-node": _orphans,
    "degree": _degree,
    "coverage": _coverage,
    "duplicate": _duplicate,
}
"""Checks that look at all features of a layer at once."""
OF_NODES: Final = frozenset({"orphan-node", "degree"})
"""Checks whose faults are rows of the other layer."""
_ALL: Final = {**OF_ROWS, **OF_EACH, **OF_PAIRS, **OF_ALL}
