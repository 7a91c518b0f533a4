"""The limits of a layer: which share of a source's rows may be left out, repaired or nowhere."""

from __future__ import annotations

from layers.model import Limits
from layers.report import Findings


def limits_passed(found: Findings, limits: Limits) -> list[str]:
    """Return a sentence for each limit that a source's rows pass, with what to do about it.

    Examples
    --------
    >>> limits_passed(Findings(rows_read=200, rows_refused=1), Limits(refused_share=0.005))
    []
    >>> limits_passed(Findings(rows_read=200, rows_refused=2), Limits(refused_share=0.005))[0][:61]
    '2 of 200 rows are left out by rules, and the layer takes 0.5%'
    """
    told = (
        (limits.refused_share, found.rows_refused, "are left out by rules", "refused_share"),
        (limits.repaired_share, found.repaired.count, "had to be repaired", "repaired_share"),
        (
            limits.without_geometry_share,
            found.without_geometry.count,
            "have no geometry",
            "without_geometry_share",
        ),
    )
    return [
        f"{count} of {found.rows_read} rows {what}, and the layer takes {100 * share:.6g}% at "
        f"most; mend them (--faults FILE shows where), or raise {name} in [limits] "
        "of the schema (shikong layer schema)"
        for share, count, what, name in told
        if share is not None and count > share * found.rows_read
    ]
