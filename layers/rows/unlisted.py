"""Values that no code list of their field has: said, and published as they are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from layers.model import Field, Outcome
from layers.report import Broken, Findings
from layers.rows.validity import rule_of

FAULT = "unlisted-code"
# So many signs of a value are told.
_SIGNS = 40


def note_unlisted(values: pa.Array, f: Field, rows: NDArray[np.int64], findings: Findings) -> None:
    """Enter the rows whose value of a field is in no list that it has had.

    They are no reason to refuse: a city's newest classes often come before its newest list.

    Examples
    --------
    >>> from layers.schemas.documents import parse_schema
    >>> fields = [{"id": "use", "codes": {"A": "Lamps"}}]
    >>> use = parse_schema({"title": "t", "geometry": "Point", "fields": fields}).fields[0]
    >>> found = Findings()
    >>> note_unlisted(pa.array(["A", "B", None]), use, np.array([1, 2, 3]), found)
    >>> found.broken[0].rule, found.broken[0].rows.named
    ('codes use', [(2, "'B' is in no list of use")])
    """
    codes = pa.array(list(f.codes), pa.string())
    texts = values if pa.types.is_string(values.type) else pc.cast(values, pa.string())
    bad = pc.and_(pc.is_valid(texts), pc.invert(pc.is_in(texts, codes)))
    found = np.flatnonzero(bad.to_numpy(zero_copy_only=False))
    if not found.size:
        return
    broken = _broken(f, findings)
    for n in found.tolist():
        # A restricted value may not stand in a report.
        shown = "the value" if f.is_restricted else repr(texts[n].as_py()[:_SIGNS])
        broken.rows.add(int(rows[n]), f"{shown} is in no list of {f.id}")


def _broken(f: Field, findings: Findings) -> Broken:
    for one in findings.broken:
        if (one.rule, one.fault) == (rule_of(f), FAULT):
            return one
    findings.broken.append(Broken(rule_of(f), FAULT, Outcome.SAY.value))
    return findings.broken[-1]
