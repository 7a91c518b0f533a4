"""The process assign-cases-to-grids as a plugin: inputs read, run as the reader, told as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pygeoapi.process.base import BaseProcessor

from layers.errors import NotFound
from services.errors import BadParameter
from services.guest.description import METADATA, OUTPUT
from services.guest.inputs import read_inputs
from services.guest.session import current_session
from services.negotiation import JSON
from spatial.errors import SpatialError
from spatial.periods import Interval, format_instant

if TYPE_CHECKING:
    import pandas as pd

    from services.assignments import CaseGrids, When

MOST_ROWS = 300_000


class CaseGridsProcessor(BaseProcessor):  # type: ignore[misc]
    """Give each case the grids of its own time."""

    def __init__(self, processor_def: Mapping[str, Any]) -> None:
        super().__init__(processor_def, METADATA)
        self.supports_outputs = True

    def execute(
        self, data: Mapping[str, Any], outputs: Mapping[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Run the process as the reader of the current session.

        Returns
        -------
        tuple
            Media type, and the output ``assignment`` as values that JSON has.

        Raises
        ------
        NotAdmitted
            Where there is no session.
        BadParameter
            For inputs that can't be, layers that the reader does not see among them.
        """
        # Late: pandas is 45 MB that a server does without until somebody runs this.
        from services.assignments import assign_cases

        session = current_session()
        _check_outputs(outputs)
        inputs = read_inputs(data)
        try:
            for name in (inputs.cases, inputs.grids):
                session.admitted.note(session.admitted.layer(name), "process")
            found = session.admitted.run(
                assign_cases,
                **inputs.model_dump(exclude={"list_cases"}),
                most_rows=MOST_ROWS,
            )
        except (NotFound, SpatialError) as error:
            # A layer that is not there is a bad input here, not a resource that is missing
            raise BadParameter(f"inputs: {error}") from None
        return JSON, case_grids_document(found, list_cases=inputs.list_cases)


def case_grids_document(found: CaseGrids, *, list_cases: bool = True) -> dict[str, Any]:
    """Return a result as values that JSON has.

    Parameters
    ----------
    list_cases : bool
        Whether each case is listed, in ``assignments``, or counts are enough.
    """
    document: dict[str, Any] = {
        "cases": found.cases,
        "systems": list(found.systems),
        "totals": dict(found.totals),
        "cases_layer": found.cases_layer,
        "cases_revision": found.cases_revision,
        "grids_layer": found.grids_layer,
        "grids_revision": found.grids_revision,
        "datetime": _written(found.datetime),
        "grids_datetime": _written(found.grids_datetime),
        "tolerance_m": found.tolerance_m,
        "notes": list(found.notes),
        "summary": _rows(found.summary),
    }
    if list_cases:
        document["assignments"] = _rows(_as_text(found))
    return document


def _as_text(found: CaseGrids) -> pd.DataFrame:
    """Write each instant once, though it stands in the row of every system."""
    instants = found.assignments["reported_at"]
    texts = {i: format_instant(i.to_pydatetime()) for i in instants.dropna().unique()}
    return found.assignments.assign(reported_at=instants.astype(object).map(texts))


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    columns = [_plain(table[name]) for name in table.columns]
    names = list(table.columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _plain(column: pd.Series[Any]) -> Iterable[Any]:
    """Return the values as Python's, with None for what is missing."""
    values = column.astype(object)
    return values.where(values.notna(), None).tolist()


def _written(when: When) -> str:
    if not isinstance(when, Interval):
        return format_instant(when)
    ends = (when.start, when.end)
    return "/".join(".." if end is None else format_instant(end) for end in ends)


def _check_outputs(outputs: Mapping[str, Any] | None) -> None:
    for name in outputs or ():
        if name != OUTPUT:
            raise BadParameter(f"outputs: {name!r} is not known; there is: {OUTPUT}")
