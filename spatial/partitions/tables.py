"""Answers as Arrow tables: the columns of `spatial.assignment.assign`, codes instead of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spatial.grids import GridIndex
from spatial.placing import STATUSES, Answers, reason_texts

# Columns of few different values, which Parquet is to write as such. Ids are all different, and
# to look for those that are not would take longer than to write them.
REPEATING: Final = ("system", "grid", "status", "distance_m", "candidates", "reason")


@dataclass(frozen=True)
class Texts:
    """What the numbers in answers stand for.

    Attributes
    ----------
    systems, grids, reasons : Array
        Names, codes, and why points are unassigned. Names and codes are whole numbers where all
        are, else text.
    ranks : tuple of ndarray of int32
        Of each system, where in `grids` the code of each place is; -1 at the end, for none.
    """

    systems: pa.Array
    grids: pa.Array
    reasons: pa.Array
    ranks: tuple[NDArray[np.int32], ...]

    @classmethod
    def of(cls, grids: GridIndex, tolerance_m: float) -> Texts:
        """Return the texts of all answers that these grids can give."""
        codes = _labels([code for system in grids.systems for code in system.codes])
        # several polygons of one code are of several editions, or of several systems
        distinct, ranks = np.unique(codes, return_inverse=True)
        ends = np.cumsum([len(system.codes) for system in grids.systems])
        nothing = np.array([-1], dtype=np.int32)
        own = (np.append(r.astype(np.int32), nothing) for r in np.split(ranks, ends[:-1]))
        return cls(
            _array(_labels([system.name for system in grids.systems])),
            _array(distinct),
            pa.array([text or "" for text in reason_texts(tolerance_m)]),
            tuple(own),
        )

    def schema(self, ids: pa.DataType) -> pa.Schema:
        """Return the schema of answers, given the type of ids."""
        none = np.empty(0, dtype=np.uint8)
        nothing = Answers(none.astype(np.int32), none, none.astype(np.int32), none / 1, none)
        return self.table(pa.array([], ids), [nothing] * len(self.systems)).schema

    def table(self, ids: pa.Array, answers: Sequence[Answers]) -> pa.RecordBatch:
        """Return what points were given, as `assign` would; a point's rows follow each other.

        Parameters
        ----------
        ids : Array, shape (n,)
        answers : sequence of Answers
            Of each system.
        """
        count = len(self.systems)
        grids = _woven([r[a.place] for r, a in zip(self.ranks, answers, strict=True)])
        reasons = _woven([a.reasons for a in answers])
        systems = np.tile(np.arange(count, dtype=np.int16), len(ids))
        points = ids if count == 1 else ids.take(pa.array(np.repeat(np.arange(len(ids)), count)))
        return pa.record_batch(
            {
                "point": points,
                "system": _coded(systems, self.systems),
                "grid": _coded(grids, self.grids, grids < 0),
                "status": _coded(_woven([a.status for a in answers]), pa.array(STATUSES)),
                "distance_m": _woven([a.metres for a in answers]),
                "candidates": _woven([a.candidates for a in answers]),
                "reason": _coded(reasons, self.reasons, reasons == 0),
            }
        )


def _labels(values: Sequence[Any]) -> NDArray[Any]:
    if values and all(isinstance(value, int) for value in values):
        return np.array(values, dtype=np.int64)
    return np.array([str(value) for value in values], dtype=object)


def _array(labels: NDArray[Any]) -> pa.Array:
    return pa.array(labels, pa.string() if labels.dtype == object else pa.int64())


def _woven(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return columns[0] if len(columns) == 1 else np.column_stack(columns).ravel()


def _coded(
    codes: NDArray[Any], texts: pa.Array, missing: NDArray[np.bool_] | None = None
) -> pa.DictionaryArray:
    signed = codes.astype(np.int16) if codes.dtype == np.uint8 else codes
    return pa.DictionaryArray.from_arrays(pa.array(signed, mask=missing), texts)
