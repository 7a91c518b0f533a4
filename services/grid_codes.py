"""The grids of cases, written back: a commit that freezes what was valid at each report."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from layers.edits import Edits, Update
from layers.model import FieldType
from layers.readers import Reader
from layers.reading.timelines import FOREVER
from services.errors import BadParameter

if TYPE_CHECKING:
    import pandas as pd

    from layers.commits import Committed
    from layers.store import PublishedLayer, Store
    from layers.writers import Writer
    from services.assignments import CaseGrids

FIELD = "grid_codes"


def write_grid_codes(
    store: Store,
    reader: Reader,
    writer: Writer,
    found: CaseGrids,
    *,
    field: str = FIELD,
    again: bool = False,
    message: str = "",
    dry_run: bool = False,
    say: Callable[[str, int, int | None], None] = lambda _stage, _done, _total: None,
) -> Committed | None:
    """Write the grid codes of cases into a field of theirs, in every development of each.

    A layer of one grid type is written as the code; several as ``unit=...;community=...``, ordered
    by type, without those in which a case has no grid.

    Parameters
    ----------
    found : CaseGrids
        What `assign_cases` found at the newest revision of the cases.
    field : str
        A text field of the cases.
    again : bool
        Whether what is written already is worked out anew; it stays frozen otherwise.
    message : str
        Of the commit; says what was done where empty.
    dry_run : bool
        Work everything out, report it, write nothing.
    say : callable
        Told of progress: stage, rows done, rows in all where known.

    Returns
    -------
    Committed or None
        None where there was nothing to write.

    Raises
    ------
    BadParameter
        If the cases have no such field, or it is no text.
    FeatureChanged
        If the cases have changed since they were assigned; nothing was written.
    LayersError
        For whatever a commit refuses.
    """
    layer = store.layer(found.cases_layer, reader)
    _check_field(layer, field)
    edits = _edits(layer, found, field, again=again)
    if not edits:
        return None
    pinned = f"{found.grids_layer} r{found.grids_revision}"
    return store.commit(
        {layer.record.id: Edits(edits, as_of=found.cases_revision)},
        writer,
        message or f"grids of {len(edits)} cases as of their reports, by {pinned}",
        provenance={
            "process": "assign-cases-to-grids",
            "grids": found.grids_layer,
            "grids_revision": found.grids_revision,
            "tolerance_m": found.tolerance_m,
        },
        dry_run=dry_run,
        say=say,
    )


def codes_of(found: CaseGrids) -> pd.Series[str]:
    """Return the text that is written for each case that has a grid, by the case's id."""
    rows = found.assignments.dropna(subset=["grid_code"])
    codes = rows["grid_code"].astype(str)
    if found.systems != ("",):
        codes = rows["grid_type"].astype(str) + "=" + codes
    joined: pd.Series[str] = codes.groupby(rows["case"], sort=False).agg(";".join)
    return joined


def _check_field(layer: PublishedLayer, field: str) -> None:
    record = layer.record
    known = {f.id: f for f in record.schema.fields}
    if field not in known:
        raise BadParameter(
            f"{record.id} has no field {field!r} to write grid codes into; add a text field with "
            "shikong layer schema, or name another"
        )
    if known[field].type is not FieldType.TEXT:
        raise BadParameter(
            f"{field!r} of {record.id} is {known[field].type.value}; grid codes are text"
        )


def _edits(layer: PublishedLayer, found: CaseGrids, field: str, *, again: bool) -> list[Update]:
    # as they are now, not as they were at the end of the time whose cases were asked for
    there = layer.at(revision=found.cases_revision).read(restricted=False)[field]
    once = found.assignments.drop_duplicates("case")
    reported = dict(zip(once["case"], once["reported_at"], strict=True))
    edits = []
    for case, codes in codes_of(found).items():
        written = there.get(case)
        has_any = isinstance(written, str) and written != ""
        if written == codes or (has_any and not again):
            continue
        start = reported[case].to_pydatetime()
        edits.append(Update(str(case), {field: codes}, valid_from=start, valid_to=FOREVER))
    return edits
