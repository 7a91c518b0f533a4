"""Faults with their places, as they are kept with a revision, and read again; bounded in size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import shapely

from layers.report import NAMED_ROWS, Fault, Report

# Shapes of more corners are kept as their boxes.
_MOST_CORNERS = 64


@dataclass(frozen=True)
class KeptFaults:
    """The faults that are kept with a revision.

    Attributes
    ----------
    count : int
        Of all that were found with their places; at most `NAMED_ROWS` of them are kept.
    crs : str
        The system of their places.
    """

    faults: tuple[Fault, ...]
    count: int
    crs: str


def keep_faults(report: Report) -> dict[str, Any]:
    """Return what is kept of the faults of a report, as JSON has it; of edits nothing.

    Examples
    --------
    >>> from layers.report import Findings
    >>> fault = Fault("apart", 2, "overlap", place=shapely.Point(1, 2))
    >>> report = Report("wells", "a.csv", Findings(faults=[fault]), crs="EPSG:4549")
    >>> kept = keep_faults(report)
    >>> read_faults(kept["faults"]).faults == (fault,)
    True
    """
    found = report.findings
    if not report.crs:
        return {}
    rows = [_document(fault) for fault in _first(found.faults, NAMED_ROWS)]
    return {"faults": {"crs": report.crs, "count": len(found.faults), "rows": rows}}


def read_faults(kept: Mapping[str, Any]) -> KeptFaults:
    """Return faults as they were kept."""
    faults = tuple(
        Fault(**row | {"place": None if row["place"] is None else shapely.from_wkb(row["place"])})
        for row in kept["rows"]
    )
    return KeptFaults(faults, kept["count"], kept["crs"])


def _first(faults: Sequence[Fault], most: int) -> list[Fault]:
    """The first of each rule's, as many of one as of another while there are some."""
    counts: Counter[str] = Counter()
    ranks = []
    for fault in faults:
        ranks.append(counts[fault.rule])
        counts[fault.rule] += 1
    chosen = sorted(range(len(faults)), key=ranks.__getitem__)[:most]
    return [faults[k] for k in sorted(chosen)]


def _document(fault: Fault) -> dict[str, Any]:
    place = fault.place
    if place is not None:
        small = shapely.get_num_coordinates(place) <= _MOST_CORNERS
        place = shapely.force_2d(place if small else shapely.envelope(place))
    return {
        "rule": fault.rule,
        "row": fault.row,
        "message": fault.message,
        "other_row": fault.other_row,
        "measured": fault.measured,
        "allowed": fault.allowed,
        "unit": fault.unit,
        "place": None if place is None else shapely.to_wkb(place, hex=True),
    }
