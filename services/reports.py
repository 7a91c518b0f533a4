"""What is shown of a report: its counts, and over HTTP what staff read of one that is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layers.report import Report

_MOST_ROWS = 100


def report_document(kept: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what is shown of a kept report; None where there is none of a source's rows.

    Ids and causes stay out: they could hold what only some of the readers may know.

    Examples
    --------
    >>> rows = [{"row": 7, "cause": "range: 12 m"}]
    >>> broken = {"rule": "depth", "fault": "range", "outcome": "say", "count": 1, "rows": rows}
    >>> shown = report_document({"rows_read": 9, "source": "a.csv", "rules_broken": [broken]})
    >>> shown["rows_read"], shown["rules_broken"][0]["rows"]
    (9, [7])
    """
    if not kept.get("rows_read"):
        return None
    # Reports of earlier releases lack what was not counted then.
    return {
        "source": kept.get("source", ""),
        "rows_read": kept["rows_read"],
        "rows_refused": kept.get("rows_refused", 0),
        **{name: _count(kept, name) for name in ("repaired", "without_geometry", "without_key")},
        "repeated_keys": _count(kept, "repeated_keys"),
        "rules_broken": [_broken(one) for one in kept.get("rules_broken", ())],
        "rules_unasked": list(kept.get("rules_unasked", ())),
        "columns_left_out": list(kept.get("columns_left_out", ())),
        "fields_lacking": list(kept.get("fields_lacking", ())),
    }


def _count(kept: Mapping[str, Any], name: str) -> int:
    return int(kept.get(name, {}).get("count", 0))


def _broken(one: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: one[name] for name in ("rule", "fault", "outcome", "count")}
    # Of another layer's features the row is 0.
    return shown | {"rows": [r["row"] for r in one["rows"] if r["row"]][:_MOST_ROWS]}


def counted(report: Report) -> list[tuple[str, str, int]]:
    """Return the counts of a report, each with its name in English and Chinese."""
    found = report.findings
    return [
        ("rows read", "读入行", found.rows_read),
        ("rows left out", "剔除行", found.rows_refused),
        ("repaired", "修复", found.repaired.count),
        ("without geometry", "无几何", found.without_geometry.count),
        ("without key", "无标识", found.without_key.count),
        ("keys repeated", "标识重复", len(found.repeated)),
        ("created", "新增", report.created),
        ("changed", "变更", report.changed),
        ("retired", "终止", report.retired),
        ("unchanged", "未变", report.unchanged),
    ]
