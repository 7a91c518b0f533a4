"""Strips of the plane, so that rows near one another are looked at together, and few at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from layers.model import Rule
from layers.writing.staging import Stage
from spatial.crs import parse_crs

BATCH_ROWS: Final = 1 << 15
PART_ROWS: Final = 1 << 16
PART_BYTES: Final = 16 << 20
"""Of geometries as the stage has them: what they take as objects is a few times that."""

_FIRST: Final[Any] = sa.literal_column("0")
_SAMPLED = 20_000
_FIRST_ROWS = 1000
_BATCH_BYTES = 4 << 20
_LEAST_ROWS = 64
# What a row takes beside its geometry, and a geometry of few corners beside those.
_ROW_BYTES = 400
_DEGREE_M = 110_000.0
# Towards the poles a metre has more degrees; nearer than this, all lies in one strip.
_LEAST_COSINE = 0.01


@dataclass(frozen=True)
class Strips:
    """Where the plane is cut, along its first axis.

    Attributes
    ----------
    cuts : tuple of float
        In the layer's system, ascending: strip 0 ends where the first of them is.
    margin : float
        How far beyond its edge a strip still has what it must see, in units of the system.
    batch : int
        So many rows are read at once: fewer where they are large.
    """

    cuts: tuple[float, ...] = ()
    margin: float = 0.0
    batch: int = BATCH_ROWS

    def columns(self, stage: Stage) -> tuple[Any, Any]:
        """Return the first strip that a row of the stage lies in, and the last, as expressions."""
        if not self.cuts:
            return _FIRST, _FIRST
        geom, cuts = stage.raw.c._geom, ", ".join(map(repr, self.cuts))
        at: Any = sa.literal_column(f"ARRAY[{cuts}]::float8[]")
        margin: Any = sa.literal_column(repr(self.margin))
        west, east = sa.func.ST_XMin(geom) - margin, sa.func.ST_XMax(geom) + margin
        # Without a place a row lies in the first.
        first, last = (sa.func.coalesce(sa.func.width_bucket(x, at), _FIRST) for x in (west, east))
        return first, last


def lay_one(connection: Connection, stage: Stage) -> Strips:
    """Return the one strip that all rows lie in."""
    some = sa.select(stage.raw.c._geom).limit(_FIRST_ROWS).subquery("some")
    size = connection.scalar(sa.select(sa.func.avg(sa.func.ST_MemSize(some.c._geom))))
    return Strips(batch=_batch(float(size or 0)))


def lay(connection: Connection, stage: Stage, rules: Sequence[Rule]) -> Strips:
    """Cut the plane so that the rows of a strip, as objects, take a bounded memory.

    Parameters
    ----------
    connection : Connection
        Of the publishing transaction.
    stage : Stage
    rules : sequence of Rule
        That look at rows beside one another, as far apart as their tolerances.

    Notes
    -----
    A sample of the rows tells where: strips hold about as many rows, and about as many bytes of
    geometries. A row lies in each strip that it reaches into, and two that meet share one.
    """
    raw = stage.raw
    size = connection.scalar(sa.select(sa.func.pg_table_size(raw.name))) or 0
    rows = connection.scalar(sa.select(sa.func.count()).select_from(raw)) or 0
    if rows <= PART_ROWS and size <= PART_BYTES:
        return lay_one(connection, stage)
    some = sa.tablesample(
        raw, sa.func.bernoulli(min(100.0, 100.0 * _SAMPLED / rows)), seed=sa.literal(1)
    )
    west, east = sa.func.ST_XMin(some.c._geom), sa.func.ST_XMax(some.c._geom)
    query = sa.select(
        (west + east) / 2, sa.func.ST_MemSize(some.c._geom), sa.func.ST_YMax(some.c._geom)
    )
    sample = connection.execute(query.where(some.c._geom.is_not(None))).all()
    # A column at a time: a row of the answer by itself is slow to take apart.
    found = np.array([*zip(*sample, strict=True)], dtype=np.float64).reshape(3, -1).T
    found = found[np.isfinite(found).all(axis=1)]
    if not len(found):
        return lay_one(connection, stage)
    mean = float(found[:, 1].mean())
    parts = max(rows / PART_ROWS, rows * mean / PART_BYTES)
    cuts = _cuts(found[:, 0], found[:, 1] + _ROW_BYTES, int(np.ceil(parts)))
    reach = max(float(rule.params.get("tolerance_m", 0.0)) for rule in rules)
    margin = _in_units(reach, stage.schema.crs, np.abs(found[:, 2]).max())
    return Strips(cuts, margin, _batch(mean))


def _batch(mean: float) -> int:
    return int(np.clip(_BATCH_BYTES / (mean + _ROW_BYTES), _LEAST_ROWS, BATCH_ROWS))


def _cuts(
    places: NDArray[np.float64], weights: NDArray[np.float64], parts: int
) -> tuple[float, ...]:
    order = np.argsort(places)
    passed = np.cumsum(weights[order])
    ends = passed[-1] * np.arange(1, parts) / parts
    return tuple(np.unique(places[order][np.searchsorted(passed, ends)]).tolist())


def _in_units(metres: float, crs: str, latitude: float) -> float:
    """Return at least how many units of a system so many metres are, and a little more."""
    system = parse_crs(crs)
    if system.is_geographic:
        # The sample may have missed what lies nearest to a pole.
        cosine = np.cos(np.radians(min(latitude + 1.0, 90.0)))
        return 1.01 * metres / (_DEGREE_M * max(float(cosine), _LEAST_COSINE))
    return 1.01 * metres / float(system.axis_info[0].unit_conversion_factor)
